//! Everything else: lines that sound like an explanation, and what stands around them.

use super::place;
use crate::lines::{Output, Rank};

pub(super) fn recognise(output: &mut Output<'_>) {
    let known_tool = output.recognised;
    let mut found = Vec::new();
    for at in 0..output.lines.len() {
        let Some(line) = output
            .lines
            .get(at)
            .filter(|line| line.rank == Rank::Unknown)
        else {
            continue;
        };
        let text = line.text.to_string();
        if let Some(noise) = noise(&text) {
            output.claim(at, noise, 0);
        } else if is_verdict(&text) {
            output.claim(at, Rank::Verdict, 0);
        } else if explains(&text) {
            found.push(at);
        }
    }
    if known_tool {
        // Where a tool's own words are there, this is at most an addition.
        for at in found {
            output.claim(at, Rank::Detail, 0);
        }
        return;
    }
    if found.is_empty() {
        return;
    }
    let mut last = None;
    let mut block = 0;
    for at in &found {
        if last.is_none_or(|last: usize| at - last > 3) {
            block = output.block();
        }
        last = Some(*at);
        output.claim(*at, Rank::Explain, block);
    }
    // What stands right before and after often says what the line is about.
    for at in found {
        for near in at.saturating_sub(2)..=at + 2 {
            if !output.text(near).is_empty() {
                let block = output.lines.get(at).map_or(0, |line| line.block);
                output.claim(near, Rank::Detail, block);
            }
        }
    }
    // And the end of a log is where a tool sums up.
    let end: Vec<usize> = (0..output.lines.len())
        .rev()
        .filter(|at| !output.text(*at).is_empty())
        .take(5)
        .collect();
    for at in end {
        output.claim(at, Rank::Detail, 0);
    }
}

/// npm's frame around a script, and warnings.
fn noise(text: &str) -> Option<Rank> {
    let line = text.trim_start();
    let starts = [
        "npm warn",
        "npm WARN",
        "npm notice",
        "npm ERR! A complete log",
        "npm error A complete log",
        "npm error path",
        "npm error workspace",
        "npm ERR! path",
        "> ",
        "warning: ",
        "Warning: ",
        "npm error Lifecycle",
        "npm ERR! Lifecycle",
        "npm error command",
        "npm ERR! command",
    ];
    let ornament = !line.is_empty() && line.chars().all(|c| "─━═-=_*~#".contains(c));
    (ornament || starts.iter().any(|start| line.starts_with(start))).then_some(Rank::Noise)
}

fn is_verdict(text: &str) -> bool {
    let line = text.trim_start();
    line.starts_with("make: *** ")
        || line.starts_with("make[")
        || line.starts_with("ninja: build stopped")
        || line.starts_with("BUILD FAILED")
        || line.starts_with("[ERROR] BUILD FAILURE")
        || line.starts_with("npm error code ")
        || line.starts_with("npm ERR! code ")
        || line.starts_with("Command failed with exit code")
}

/// Words of failure in a place where they mean it.
fn explains(text: &str) -> bool {
    let line = text.trim_start();
    if line.is_empty() {
        return false;
    }
    if let Some((_, rest)) = place(line)
        && let Some(said) = rest.strip_prefix(": ")
    {
        let mild = ["warning", "note", "info", "debug", "hint"];
        return !mild.iter().any(|word| said.starts_with(word));
    }
    let lower = line.to_ascii_lowercase();
    let mild = lower.starts_with("warn")
        || lower.starts_with("info")
        || lower.starts_with("debug")
        || lower.contains("0 errors")
        || lower.contains("0 failed")
        || lower.contains("no error");
    if mild {
        return false;
    }
    const STRONG: &[&str] = &[
        "error:",
        "error ",
        "errors:",
        "failed:",
        "failure:",
        "fatal:",
        "fatal ",
        "panic",
        "exception",
        "traceback",
        "assert",
        "segmentation fault",
        "core dumped",
        "out of memory",
        "killed",
        "aborted",
        "undefined reference",
        "undefined symbol",
        "unresolved",
        "no such file",
        "not found",
        "cannot ",
        "can't ",
        "could not ",
        "unable to ",
        "permission denied",
        "connection refused",
        "timed out",
        "timeout",
        "expected",
        "mismatch",
        "unexpected",
        "denied",
        "invalid ",
        "missing ",
        "stack overflow",
        "not ok",
        "✗",
        "✘",
        "✕",
        "❌",
        "[error]",
        "[fail",
        "failed",
        "error[",
    ];
    STRONG.iter().any(|word| lower.contains(word))
        || line.ends_with(" error")
        || line.starts_with("FAIL")
        || line.starts_with("ERR")
}
