//! TAP, from whoever prints it: `node --test`, Perl's tests, bats, tape, AVA.

use super::{body, is_library_frame, number};
use crate::lines::Rank;
use crate::output::Output;

/// Lines that one test's YAML may have: one without an end does not swallow the rest.
const YAML_LINES: usize = 2_000;

pub(super) fn recognise(output: &mut Output<'_>) {
    let told = diagnostics(output);
    if !output.any_starts_with(&["not ok "]) && !output.any_starts_with(&["TAP version"]) {
        return;
    }
    let mut at = 0;
    while at < output.lines.len() {
        let line = output.text(at).trim_start().to_owned();
        let is_numbered =
            |rest: &str| number(rest.trim_start()).is_some() || rest.starts_with("- ");
        if line.strip_prefix("not ok ").is_some_and(is_numbered) {
            at = failure(output, at, told);
            continue;
        }
        let is_plan = line
            .strip_prefix("1..")
            .is_some_and(|rest| number(rest).is_some_and(|(_, rest)| rest.is_empty()));
        if line.strip_prefix("ok ").is_some_and(is_numbered) {
            output.claim(at, Rank::Noise, 0);
            if output.text(at + 1).trim() == "---" {
                let end = (at + 1..output.lines.len())
                    .take(YAML_LINES)
                    .find(|next| output.text(*next).trim() == "...")
                    .unwrap_or(at);
                for inner in at + 1..=end {
                    output.claim(inner, Rank::Noise, 0);
                }
                at = end;
            }
        } else if is_plan || line.starts_with("# Subtest") || line.starts_with("TAP version") {
            output.claim(at, Rank::Noise, 0);
        } else if let Some(rank) =
            counter(line.trim_start_matches("# ")).filter(|_| line.starts_with("# "))
        {
            output.claim(at, rank, 0);
        }
        at += 1;
    }
}

/// `pass 12`, `fail 3`, ...: only what failed is news.
pub(super) fn counter(line: &str) -> Option<Rank> {
    let (word, count) = line.split_once(' ')?;
    count
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
        .then_some(())?;
    match word {
        "fail" | "pass" => Some(Rank::Verdict),
        "cancelled" if count != "0" => Some(Rank::Verdict),
        "tests" | "suites" | "cancelled" | "skipped" | "todo" | "duration_ms" => Some(Rank::Noise),
        _ => None,
    }
}

/// `not ok 3 - name` with its YAML; answers with the line after it.
fn failure(output: &mut Output<'_>, start: usize, told: bool) -> usize {
    if output.text(start).contains("# TODO") {
        output.claim(start, Rank::Noise, 0);
        return start + 1;
    }
    if output.text(start + 1).trim() != "---" {
        return comments(output, start, told);
    }
    let end = (start + 1..output.lines.len())
        .take(YAML_LINES)
        .find(|at| output.text(*at).trim() == "...")
        .unwrap_or(start + 1);
    let is_parent =
        (start + 1..end).any(|at| output.text(at).contains("failureType: 'subtestsFailed'"));
    if is_parent {
        for at in start..=end {
            output.claim(at, Rank::Noise, 0);
        }
        return end + 1;
    }
    let block = output.block();
    output.claim(start, Rank::Name, block);
    let base = output
        .lines
        .get(start + 2)
        .map_or(0, crate::lines::Line::indent);
    let mut key = String::new();
    let mut framed = false;
    for at in start + 1..=end {
        let text = output.text(at).to_owned();
        let line = text.trim_start();
        if !line.is_empty() && text.len() - line.len() == base {
            key = line.split(':').next().unwrap_or_default().to_owned();
        }
        let rank = match key.as_str() {
            _ if line.is_empty() => Rank::Noise,
            "error" if line == "error: |-" || line == "error: |" => Rank::Noise,
            "at" if line == "at: >-" || is_library_frame(line) || !line.contains(':') => {
                Rank::Noise
            }
            "details" if line == "details:" || line == "message: Error thrown in test" => {
                Rank::Noise
            }
            "message" if line == "message: ''" => Rank::Noise,
            "error" | "message" | "found" | "wanted" | "diag" | "details" => Rank::Explain,
            "location" | "at" => Rank::Place,
            "expected" | "actual" => Rank::Detail,
            "stack"
                if !framed
                    && line.contains("file://")
                    && !is_library_frame(line.trim_end_matches(')')) =>
            {
                framed = true;
                Rank::Detail
            }
            _ => Rank::Noise,
        };
        output.claim(at, rank, block);
    }
    end + 1
}

/// `not ok 2 - name` with comments or indented lines below it; answers with the line after them.
fn comments(output: &mut Output<'_>, start: usize, told: bool) -> usize {
    let own = output
        .lines
        .get(start)
        .map_or(0, crate::lines::Line::indent);
    let belongs = |output: &Output<'_>, at: usize| {
        let text = output.text(at);
        let line = text.trim_start();
        let indented = text.len() - line.len() >= own + 2
            && !line.starts_with("ok ")
            && !line.starts_with("not ok ");
        match line.strip_prefix('#') {
            Some(said) => !is_aside(said.trim_start()),
            None => indented && !line.is_empty(),
        }
    };
    if !belongs(output, start + 1) {
        // Perl's harness prints the explanations elsewhere; then the list repeats them.
        if told {
            output.claim(start, Rank::Index, 0);
        } else {
            let block = output.block();
            output.claim(start, Rank::Name, block);
        }
        return start + 1;
    }
    let block = output.block();
    output.claim(start, Rank::Name, block);
    let mut at = start + 1;
    while at < output.lines.len() && belongs(output, at) {
        diagnostic(output, at, block);
        at += 1;
    }
    at
}

fn diagnostic(output: &mut Output<'_>, at: usize, block: u32) {
    let said = output
        .text(at)
        .trim_start()
        .trim_start_matches('#')
        .to_owned();
    let line = said.trim_start();
    let repeats_the_name = line.starts_with("Failed test ")
        || line == "Failed test"
        || line.starts_with("Failed (TODO) test");
    let rank = if repeats_the_name {
        Rank::Noise
    } else {
        body::rank(&said)
    };
    output.claim(at, rank, block);
}

/// Comments that belong to no test: counters, headings, the harness's sum.
fn is_aside(said: &str) -> bool {
    said.starts_with("Subtest")
        || said.starts_with("Looks like you")
        || counter(said).is_some()
        || said.starts_with("TAP results")
}

/// Test::More's `#   Failed test 'name'` where no `not ok` stands above it, as under `prove`; true where there is one.
fn diagnostics(output: &mut Output<'_>) -> bool {
    let mut block = 0;
    let mut told = false;
    let mut after_not_ok = false;
    for at in 0..output.lines.len() {
        let text = output.text(at).to_owned();
        let line = text.trim_start();
        let Some(said) = line.strip_prefix('#').map(str::trim_start) else {
            after_not_ok = line.starts_with("not ok ");
            block = 0;
            if told {
                harness(output, at);
            }
            continue;
        };
        if said.starts_with("Failed test") && !after_not_ok {
            block = output.block();
            told = true;
            output.claim(at, Rank::Name, block);
        } else if said.starts_with("Looks like you") {
            block = 0;
            output.claim(at, Rank::Noise, 0);
        } else if block > 0 {
            diagnostic(output, at, block);
        }
    }
    told
}

/// The sum of Perl's harness.
fn harness(output: &mut Output<'_>, at: usize) {
    let text = output.text(at);
    let line = text.trim_start();
    let rank = if text.starts_with("Result: FAIL")
        || text.starts_with("Failed ") && text.contains(" subtests")
    {
        Rank::Verdict
    } else if text.contains("(Wstat: ") {
        Rank::Index
    } else if [
        "Dubious, ",
        "Files=",
        "Test Summary Report",
        "Failed test",
        "Non-zero exit status",
        "Parse errors:",
    ]
    .iter()
    .any(|start| line.starts_with(start))
        || text.ends_with(".. ok")
    {
        Rank::Noise
    } else {
        return;
    };
    output.claim(at, rank, 0);
}
