//! The honest way for a runner that nobody knows: its summary counts failures, and marks of failure stand before or behind
//! the names of the tests. What follows a name, up to the next mark or two empty lines, is what went wrong.

use super::body;
use crate::counts::counts;
use crate::lines::Rank;
use crate::output::Output;

/// Lines that one failure may have.
const LINES: usize = 60;

pub(super) fn recognise(output: &mut Output<'_>) {
    if output.recognised {
        return;
    }
    let is_sum = |text: &str| counts(text).is_some_and(|counts| counts.failed > 0);
    if !output.lines.iter().any(|line| is_sum(&line.text)) {
        return;
    }
    let heads: Vec<usize> = (0..output.lines.len())
        .filter(|at| is_head(output.text(*at)) && !is_sum(output.text(*at)))
        .collect();
    if heads.is_empty() {
        return;
    }
    let mut block = 0;
    let mut left = 0;
    let mut empty = 0;
    let mut next_head = heads.iter().copied().peekable();
    for at in 0..output.lines.len() {
        let text = output.text(at).to_owned();
        let line = text.trim();
        if next_head.next_if_eq(&at).is_some() {
            block = output.block();
            left = LINES;
            output.claim(at, Rank::Name, block);
        } else if is_sum(&text) {
            output.claim(at, Rank::Verdict, 0);
            left = 0;
        } else if is_pass(line) {
            output.claim(at, Rank::Noise, 0);
            left = 0;
        } else if line.is_empty() {
            empty += 1;
            if empty > 1 {
                left = 0;
            }
            continue;
        } else if left > 0 {
            left -= 1;
            output.claim(at, body::rank(&text), block);
        }
        empty = 0;
    }
}

fn is_head(text: &str) -> bool {
    let line = text.trim();
    if line.len() > 300 {
        return false;
    }
    let before = [
        "✗ ",
        "✘ ",
        "✖ ",
        "✕ ",
        "❌ ",
        "FAIL ",
        "FAIL: ",
        "FAILED ",
        "FAILED: ",
        "Failed: ",
        "[FAIL] ",
        "[FAILED] ",
        "(fail) ",
        "not ok ",
        "--- FAIL",
        "Failure: ",
        "Failure in ",
    ];
    let behind = [
        " FAILED",
        " FAIL",
        " [FAIL]",
        " [FAILED]",
        "*failed*",
        " ... failed",
        " - FAILED!",
        " (FAILED)",
        "*** FAILED ***",
        " ✗",
        " ✘",
    ];
    before.iter().any(|mark| line.starts_with(mark))
        || behind.iter().any(|mark| line.ends_with(mark))
}

fn is_pass(line: &str) -> bool {
    [
        "✓ ", "✔ ", "√ ", "PASS ", "PASS: ", "PASSED ", "[PASS] ", "ok ",
    ]
    .iter()
    .any(|mark| line.starts_with(mark))
        || [" PASSED", " ... ok", " OK", " [PASS]"]
            .iter()
            .any(|mark| line.ends_with(mark))
}
