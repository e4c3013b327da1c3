//! The test runners of Bun and Deno, and AVA.

use std::collections::HashSet;

use super::body;
use crate::counts::counts;
use crate::lines::Rank;
use crate::output::Output;

pub(super) fn recognise(output: &mut Output<'_>) {
    bun(output);
    deno(output);
    ava(output);
}

/// A test's message stands above its `(fail) name`.
fn bun(output: &mut Output<'_>) {
    let is_there = output.lines.iter().any(|line| {
        line.text.starts_with("bun test v")
            || line.text.starts_with("Ran ") && line.text.contains(" tests across ")
    });
    if !is_there {
        return;
    }
    let mut pending: Vec<usize> = Vec::new();
    for at in 0..output.lines.len() {
        let text = output.text(at).to_owned();
        let mark = |marks: &[&str]| marks.iter().any(|mark| text.starts_with(mark));
        if mark(&["(fail) ", "✗ "]) {
            let block = output.block();
            output.claim(at, Rank::Name, block);
            // The caret's line stands above the message, the failing source line above the caret.
            let mut source = None;
            for line in pending.drain(..) {
                let text = output.text(line).to_owned();
                let trimmed = text.trim();
                if trimmed == "^" {
                    if let Some(source) = source {
                        output.set(source, Rank::Detail, block);
                    }
                    output.claim(line, Rank::Noise, block);
                    continue;
                }
                let rank = body::rank(&text);
                if rank == Rank::Noise {
                    source = Some(line);
                }
                output.claim(line, rank, block);
            }
        } else if mark(&["(pass) ", "(skip) ", "(todo) ", "✓ ", "» ", "bun test v"]) {
            pending.clear();
            output.claim(at, Rank::Noise, 0);
        } else if let Some(counts) = counts(&text).filter(|_| text.starts_with(' ')) {
            let rank = if counts.failed > 0 {
                Rank::Verdict
            } else {
                Rank::Noise
            };
            output.claim(at, rank, 0);
        } else if text.starts_with("Ran ") && text.contains(" across ")
            || text.contains(" expect() calls")
        {
            output.claim(at, Rank::Noise, 0);
        } else if text.trim_end().ends_with(':') && super::is_path(text.trim_end_matches(':')) {
            pending.clear();
            output.claim(at, Rank::Noise, 0);
        } else {
            pending.push(at);
        }
    }
}

/// ` ERRORS `, then `name => ./cart_test.ts:5:6`, the error and its frames, up to ` FAILURES `.
fn deno(output: &mut Output<'_>) {
    let heading = |text: &str| {
        text.contains(" => ")
            && text
                .split(" => ")
                .last()
                .is_some_and(|place| super::place(place).is_some_and(|(_, rest)| rest.is_empty()))
    };
    let Some(start) = output
        .lines
        .iter()
        .position(|line| line.text.trim() == "ERRORS")
    else {
        return;
    };
    if !output.lines.iter().any(|line| heading(&line.text)) {
        return;
    }
    for at in 0..start {
        let text = output.text(at);
        let passing = text.contains(" ... ok")
            || text.starts_with("Check ")
            || text.starts_with("running ") && text.contains(" test");
        if passing {
            output.claim(at, Rank::Noise, 0);
        } else if text.contains(" ... FAILED") {
            output.claim(at, Rank::Index, 0);
        }
    }
    let mut block = 0;
    let mut ended = false;
    for at in start..output.lines.len() {
        let text = output.text(at).to_owned();
        let line = text.trim();
        if matches!(line, "ERRORS" | "FAILURES") {
            ended = line == "FAILURES";
            block = 0;
            output.claim(at, Rank::Noise, 0);
        } else if heading(&text) {
            if ended {
                output.claim(at, Rank::Index, 0);
            } else {
                block = output.block();
                output.claim(at, Rank::Name, block);
            }
        } else if text.starts_with("FAILED | ") && counts(&text).is_some() {
            output.claim(at, Rank::Verdict, 0);
            block = 0;
            ended = true;
        } else if line == "error: Test failed"
            || line == "Stack backtrace:"
            || line == "0: <unknown>"
        {
            output.claim(at, Rank::Noise, 0);
        } else if block > 0 && !ended {
            output.claim(at, body::rank(&text), block);
        }
    }
}

/// The failing tests' names stand in a list first, and then each over its report.
fn ava(output: &mut Output<'_>) {
    let listed = |text: &str| -> Option<String> {
        let rest = text.trim_start().strip_prefix(['✘', '✖'])?;
        let name = rest.trim_start().strip_prefix("[fail]: ")?;
        let name = name
            .strip_suffix(" Error thrown in test")
            .or_else(|| name.strip_suffix(" Rejected promise returned by test"))
            .or_else(|| name.strip_suffix(" Assertion failed"))
            .unwrap_or(name);
        Some(name.to_owned())
    };
    let mut names: HashSet<String> = HashSet::new();
    for at in 0..output.lines.len() {
        if let Some(name) = listed(output.text(at)) {
            names.insert(name);
            output.claim(at, Rank::Index, 0);
        }
    }
    if names.is_empty() {
        return;
    }
    let mut block = 0;
    let mut framed = false;
    for at in 0..output.lines.len() {
        let text = output.text(at).to_owned();
        let line = text.trim();
        if names.contains(line) {
            block = output.block();
            output.claim(at, Rank::Name, block);
            framed = false;
        } else if let Some(counts) = counts(line) {
            let rank = if counts.failed > 0 {
                Rank::Verdict
            } else {
                Rank::Noise
            };
            output.claim(at, rank, 0);
            block = 0;
        } else if line.starts_with("✔ ") || line == "─" {
            output.claim(at, Rank::Noise, 0);
        } else if block > 0 {
            let rank = match line {
                "Difference (- actual, + expected):" | "Error thrown in test:" => Rank::Noise,
                _ if line.ends_with(" {") && !line.starts_with(['+', '-']) => Rank::Noise,
                _ if line == "}" || line.starts_with("message: ") => Rank::Noise,
                _ => body::rank(&text),
            };
            // The place comes twice, without and with the column.
            let rank = if rank == Rank::Place && framed {
                Rank::Detail
            } else {
                rank
            };
            framed |= rank == Rank::Place;
            output.claim(at, rank, block);
        }
    }
}
