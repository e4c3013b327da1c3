//! `node --test` in both of its reports, and TAP from anyone else.

use super::{is_library_frame, number};
use crate::lines::{Output, Rank};

pub(super) fn recognise(output: &mut Output<'_>) {
    tap(output);
    spec(output);
}

fn tap(output: &mut Output<'_>) {
    if !output.any_starts_with(&["not ok "]) && !output.any_starts_with(&["TAP version"]) {
        return;
    }
    let mut at = 0;
    while at < output.lines.len() {
        let line = output.text(at).trim_start().to_owned();
        let is_numbered =
            |rest: &str| number(rest.trim_start()).is_some() || rest.starts_with("- ");
        if line.strip_prefix("not ok ").is_some_and(is_numbered) {
            at = failure(output, at);
            continue;
        }
        let is_plan = line
            .strip_prefix("1..")
            .is_some_and(|rest| number(rest).is_some_and(|(_, rest)| rest.is_empty()));
        if line.strip_prefix("ok ").is_some_and(is_numbered) {
            output.claim(at, Rank::Noise, 0);
            if output.text(at + 1).trim() == "---" {
                let end = (at + 1..output.lines.len())
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
fn counter(line: &str) -> Option<Rank> {
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
fn failure(output: &mut Output<'_>, start: usize) -> usize {
    if output.text(start).contains("# TODO") {
        output.claim(start, Rank::Noise, 0);
        return start + 1;
    }
    if output.text(start + 1).trim() != "---" {
        let block = output.block();
        output.claim(start, Rank::Name, block);
        return start + 1;
    }
    let end = (start + 1..output.lines.len())
        .find(|at| output.text(*at).trim() == "...")
        .unwrap_or(output.lines.len() - 1);
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
        .get(start + 1)
        .map_or(0, crate::lines::Line::indent);
    let mut key = String::new();
    let mut framed = false;
    for at in start + 1..=end {
        let text = output.text(at).to_owned();
        let line = text.trim_start();
        if !line.is_empty() && text.len() - line.len() <= base {
            key = line.split(':').next().unwrap_or_default().to_owned();
        }
        let rank = match key.as_str() {
            _ if line.is_empty() => Rank::Noise,
            "error" if line == "error: |-" || line == "error: |" => Rank::Noise,
            "error" | "message" | "found" | "wanted" | "diag" => Rank::Explain,
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

fn spec(output: &mut Output<'_>) {
    let is_there =
        output.any_starts_with(&["✖ "]) && output.any_starts_with(&["ℹ fail ", "ℹ tests "]);
    if !is_there {
        return;
    }
    // The failing tests come once more at the end, with their places.
    let list = output
        .lines
        .iter()
        .position(|line| line.trimmed() == "✖ failing tests:")
        .unwrap_or(0);
    for at in 0..list {
        let line = output.text(at).trim_start().to_owned();
        if line.starts_with("ℹ ") {
            let rank = counter(line.trim_start_matches("ℹ ")).unwrap_or(Rank::Noise);
            output.claim(at, rank, 0);
        } else {
            output.claim(at, Rank::Noise, 0);
        }
    }
    let mut block = 0;
    let mut in_object = false;
    for at in list..output.lines.len() {
        let text = output.text(at).to_owned();
        let line = text.trim_start();
        if line == "✖ failing tests:"
            || line.starts_with("✔ ")
            || line.starts_with("▶ ")
            || line.starts_with("﹣ ")
        {
            output.claim(at, Rank::Noise, 0);
        } else if let Some(count) = line.strip_prefix("ℹ ") {
            output.claim(at, counter(count).unwrap_or(Rank::Noise), 0);
        } else if line.starts_with("test at ") {
            block = output.block();
            output.claim(at, Rank::Place, block);
            in_object = false;
        } else if line.starts_with("✖ ") {
            if output
                .lines
                .get(at.wrapping_sub(1))
                .is_none_or(|before| !before.trimmed().starts_with("test at "))
            {
                block = output.block();
            }
            output.claim(at, Rank::Name, block);
            in_object = false;
        } else if block > 0 {
            let rank = if in_object || line.is_empty() || line == "}" {
                Rank::Noise
            } else if let Some(frame) = line.strip_prefix("at ") {
                // The object with the error's fields opens behind the last frame.
                in_object = line.ends_with('{');
                let first = output
                    .lines
                    .get(at.wrapping_sub(1))
                    .is_none_or(|before| !before.trimmed().starts_with("at "));
                let own = !is_library_frame(
                    frame
                        .trim_end_matches(')')
                        .trim_start_matches("TestContext.<anonymous>"),
                );
                if own && first {
                    Rank::Detail
                } else {
                    Rank::Noise
                }
            } else {
                Rank::Explain
            };
            output.claim(at, rank, block);
        }
    }
}
