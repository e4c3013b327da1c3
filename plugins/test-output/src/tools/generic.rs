//! Everything else: lines that sound like an explanation, and what stands around them.

use std::collections::HashMap;

use super::place;
use crate::applog::template;
use crate::counts::counts;
use crate::lines::{Level, Rank};
use crate::output::Output;

pub(super) fn recognise(output: &mut Output<'_>) {
    let mut seen: HashMap<u64, Kind> = HashMap::new();
    let mut found = Vec::new();
    for at in 0..output.lines.len() {
        let Some(line) = output
            .lines
            .get(at)
            .filter(|line| line.rank == Rank::Unknown)
        else {
            continue;
        };
        let text = line.text.as_ref();
        let log = line.log;
        if log.is_none() {
            if let Some(noise) = noise(text) {
                output.claim(at, noise, 0);
                continue;
            }
            if is_verdict(text) {
                output.claim(at, Rank::Verdict, 0);
                continue;
            }
        }
        let kind = seen.entry(template(text)).or_insert_with(|| Kind {
            says: match log {
                Some(Level::Mild) => false,
                Some(Level::Loud) => true,
                Some(Level::Plain) | None => explains(text),
            },
            first: at,
            times: 0,
        });
        kind.times += 1;
        if kind.says && kind.times == 1 {
            found.push(at);
        }
    }
    for kind in seen.values().filter(|kind| kind.says) {
        if let Some(line) = output.lines.get_mut(kind.first) {
            line.times = kind.times;
        }
    }
    if output.recognised {
        // Where a tool's own words are there, this is at most what surrounds them.
        for at in found {
            output.claim(at, Rank::Context, 0);
        }
    } else if !found.is_empty() {
        explain(output, found);
    }
}

/// No tool is known: what sounds like an explanation is one, and what stands around it says what it is about.
fn explain(output: &mut Output<'_>, found: Vec<usize>) {
    /// A log that says the same more often complains; it does not explain.
    const COMPLAINS: u32 = 3;
    let mut last = None;
    let mut block = 0;
    for at in &found {
        if last.is_none_or(|last: usize| at - last > 3) {
            block = output.block();
        }
        last = Some(*at);
        let rank = match output.lines.get(*at) {
            Some(line) if line.log.is_some() && line.times > COMPLAINS => Rank::Detail,
            _ => Rank::Explain,
        };
        output.claim(*at, rank, block);
    }
    for at in found {
        let Some(line) = output.lines.get(at) else {
            continue;
        };
        let (block, folded) = (line.block, line.times > 1);
        for near in at.saturating_sub(2)..=at + 2 {
            let said = output
                .lines
                .get(near)
                .is_some_and(|line| !(line.text.is_empty() || folded && line.log.is_some()));
            if said {
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

/// Lines that differ in figures alone, shown at the first of them.
struct Kind {
    says: bool,
    first: usize,
    times: u32,
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
        || counts(line).is_some_and(|counts| counts.failed > 0)
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
