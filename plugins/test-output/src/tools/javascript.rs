//! jest, vitest and mocha.

use std::collections::HashSet;

use super::{is_library_frame, number};
use crate::lines::Rank;
use crate::output::Output;

pub(super) fn recognise(output: &mut Output<'_>) {
    jest(output);
    vitest(output);
    mocha(output);
}

fn jest(output: &mut Output<'_>) {
    if !output.any_starts_with(&["● "])
        || !output.any_starts_with(&["Tests:", "Test Suites:", "FAIL "])
    {
        return;
    }
    let mut names = HashSet::new();
    let mut part = Jest::Outside;
    let mut block = 0;
    for at in 0..output.lines.len() {
        let text = output.text(at).to_owned();
        let line = text.trim_start();
        let outer = !text.starts_with("    ");
        if let Some(name) = line.strip_prefix("● ").filter(|_| outer) {
            if name == "Console" {
                output.claim(at, Rank::Noise, 0);
                part = Jest::Console;
            } else if names.contains(name) {
                // `Summary of all failing tests` says everything once more.
                output.claim(at, Rank::Noise, 0);
                part = Jest::Repeated;
            } else {
                names.insert(name.to_owned());
                block = output.block();
                output.claim(at, Rank::Name, block);
                part = Jest::Message;
            }
            continue;
        }
        if let Some(rank) = jest_outer(&text) {
            output.claim(at, rank, 0);
            part = Jest::Outside;
            continue;
        }
        part = match part {
            Jest::Outside => Jest::Outside,
            Jest::Repeated => {
                output.claim(at, Rank::Noise, 0);
                Jest::Repeated
            }
            Jest::Console => {
                output.claim(
                    at,
                    if line.is_empty() || line.starts_with("at ") {
                        Rank::Noise
                    } else {
                        Rank::Output
                    },
                    block,
                );
                Jest::Console
            }
            Jest::Message | Jest::Diff => {
                let rank = js_line(line, matches!(part, Jest::Diff));
                output.claim(at, rank, block);
                let in_diff = line.starts_with("- Expected")
                    || line.starts_with("+ Received")
                    || line.starts_with("- Snapshot");
                if in_diff
                    || matches!(part, Jest::Diff)
                        && !is_code_frame(line)
                        && !line.starts_with("at ")
                {
                    Jest::Diff
                } else {
                    Jest::Message
                }
            }
        };
    }
    places(output);
}

enum Jest {
    Outside,
    Console,
    Repeated,
    Message,
    Diff,
}

fn jest_outer(text: &str) -> Option<Rank> {
    let line = text.trim_start();
    let rank = if text.starts_with("FAIL ") {
        Rank::Index
    } else if text.starts_with("PASS ")
        || text.starts_with("RUNS ")
        || text.starts_with("Snapshots:")
        || text.starts_with("Time:")
        || text.starts_with("Ran all test suites")
        || text.starts_with("Summary of all failing tests")
        || text.starts_with("Determining test suites")
    {
        Rank::Noise
    } else if text.starts_with("Tests:") || text.starts_with("Test Suites:") {
        Rank::Verdict
    } else if line.starts_with("✓ ")
        || line.starts_with("√ ")
        || line.starts_with("○ ")
        || line.starts_with("✎ ")
    {
        Rank::Noise
    } else if line.starts_with("✕ ") || line.starts_with("× ") {
        Rank::Index
    } else if text.starts_with(" › ") {
        Rank::Explain
    } else {
        return None;
    };
    Some(rank)
}

/// `> 4 | code`, `  5 | code`, `    | ^`, and vitest's `4| code`.
fn is_code_frame(line: &str) -> bool {
    let line = line.strip_prefix('>').unwrap_or(line).trim_start();
    number(line)
        .map_or(line, |(_, rest)| rest)
        .trim_start()
        .starts_with('|')
}

/// A line of a failure in either runner.
fn js_line(line: &str, in_diff: bool) -> Rank {
    if line.is_empty() || line.chars().all(|c| c == '⎯' || c == '─') {
        return Rank::Noise;
    }
    if is_code_frame(line) {
        return if line.starts_with('>') {
            Rank::Detail
        } else {
            Rank::Noise
        };
    }
    if let Some(frame) = line.strip_prefix("at ").or_else(|| line.strip_prefix("❯ ")) {
        return if is_library_frame(frame) || is_library_frame(line) {
            Rank::Noise
        } else {
            Rank::Place
        };
    }
    if in_diff && !line.starts_with(['+', '-']) {
        return Rank::Detail;
    }
    if line == "- Expected" || line == "+ Received" {
        return Rank::Detail;
    }
    Rank::Explain
}

/// The first frame of the caller's own code is the place; further ones are detail.
fn places(output: &mut Output<'_>) {
    let mut last = 0;
    for at in 0..output.lines.len() {
        let Some(line) = output
            .lines
            .get(at)
            .filter(|line| line.rank == Rank::Place && line.block > 0)
        else {
            continue;
        };
        let block = line.block;
        if block == last && (line.trimmed().starts_with("at ") || line.trimmed().starts_with("❯ "))
        {
            output.set(at, Rank::Detail, block);
        }
        last = block;
    }
}

fn vitest(output: &mut Output<'_>) {
    let is_there = output.any_starts_with(&["Test Files "])
        || output.any_starts_with(&["⎯⎯"]) && output.any_starts_with(&["FAIL "]);
    if !is_there {
        return;
    }
    let mut block = 0;
    let mut inside = false;
    let mut in_diff = false;
    for at in 0..output.lines.len() {
        let text = output.text(at).to_owned();
        let line = text.trim_start();
        if text.starts_with(" FAIL ") {
            // Tests that failed for one reason stand one after the other.
            if !inside
                || output
                    .lines
                    .get(at.wrapping_sub(1))
                    .is_none_or(|before| before.rank != Rank::Name)
            {
                block = output.block();
            }
            output.claim(at, Rank::Name, block);
            inside = true;
            in_diff = false;
            continue;
        }
        if let Some(rank) = vitest_outer(&text, line) {
            output.claim(at, rank, 0);
            if line.starts_with("⎯") || rank == Rank::Verdict {
                inside = false;
            }
            continue;
        }
        if inside {
            if is_code_frame(line) {
                // The line under which the caret stands.
                let under = output.text(at + 1).trim_start().to_owned();
                let is_marked = under.starts_with('|') && under.contains('^');
                output.claim(
                    at,
                    if is_marked { Rank::Detail } else { Rank::Noise },
                    block,
                );
                in_diff = false;
                continue;
            }
            let rank = if line.starts_with("This error originated in")
                || line.starts_with("Serialized Error")
            {
                Rank::Detail
            } else {
                js_line(line, in_diff)
            };
            in_diff = line.starts_with("- Expected")
                || line.starts_with("+ Received")
                || in_diff && !line.starts_with('❯');
            output.claim(at, rank, block);
        } else if line.starts_with("stdout | ") || line.starts_with("stderr | ") {
            output.claim(at, Rank::Noise, 0);
        }
    }
    places(output);
}

fn vitest_outer(text: &str, line: &str) -> Option<Rank> {
    let rank = if line.starts_with("✓ ")
        || line.starts_with("↓ ")
        || line.starts_with("RUN ")
        || line.starts_with("Start at ")
        || line.starts_with("Duration ")
        || line.starts_with("stdout | ")
    {
        Rank::Noise
    } else if line.starts_with("⎯") {
        Rank::Noise
    } else if line.starts_with("× ") {
        Rank::Index
    } else if line.starts_with("→ ") && text.starts_with("     ") {
        Rank::Index
    } else if line.starts_with("❯ ") && line.contains(" test") && line.contains('(') {
        Rank::Noise
    } else if line.starts_with("Test Files ")
        || text.starts_with("      Tests ")
        || line.starts_with("Errors ") && text.starts_with("     ")
    {
        Rank::Verdict
    } else {
        return None;
    };
    Some(rank)
}

fn mocha(output: &mut Output<'_>) {
    let is_count = |text: &str, word: &str| {
        number(text.trim_start()).is_some_and(|(_, rest)| rest.trim_start().starts_with(word))
    };
    let Some(failing) = output
        .lines
        .iter()
        .position(|line| is_count(&line.text, "failing") && line.text.starts_with("  "))
    else {
        return;
    };
    for at in 0..failing {
        let line = output.text(at).trim_start().to_owned();
        if line.starts_with("✓ ")
            || line.starts_with("✔ ")
            || line.starts_with("√ ")
            || line.starts_with("- ")
        {
            output.claim(at, Rank::Noise, 0);
        } else if number(&line).is_some_and(|(_, rest)| rest.starts_with(") ")) {
            output.claim(at, Rank::Index, 0);
        } else if is_count(&line, "passing") || is_count(&line, "pending") {
            output.claim(at, Rank::Noise, 0);
        }
    }
    output.claim(failing, Rank::Verdict, 0);
    let mut block = 0;
    let mut in_title = false;
    let mut at = failing + 1;
    while at < output.lines.len() {
        let text = output.text(at).to_owned();
        let line = text.trim_start();
        if text.starts_with("  ")
            && !text.starts_with("   ")
            && number(line).is_some_and(|(_, rest)| rest.starts_with(") "))
        {
            block = output.block();
            in_title = !line.ends_with(':');
            output.claim(at, Rank::Name, block);
        } else if block == 0 {
            output.claim(at, Rank::Noise, 0);
        } else if in_title {
            output.claim(at, Rank::Name, block);
            in_title = !line.ends_with(':') && !line.is_empty();
        } else if line == "+ expected - actual" {
            output.claim(at, Rank::Detail, block);
        } else if line.starts_with("npm ") {
            break;
        } else {
            let is_diff_context = text.starts_with("       ")
                && !line.starts_with(['+', '-'])
                && !line.contains("rror");
            let rank = js_line(line, is_diff_context && !line.starts_with("at "));
            output.claim(at, rank, block);
        }
        at += 1;
    }
    places(output);
}
