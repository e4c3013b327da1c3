//! pytest, unittest, and tracebacks wherever they appear.

use super::is_library_frame;
use crate::lines::Rank;
use crate::output::Output;

pub(super) fn recognise(output: &mut Output<'_>) {
    pytest(output);
    unittest(output);
    tracebacks(output);
}

fn pytest(output: &mut Output<'_>) {
    let is_there = output.lines.iter().any(|line| {
        let text = line.text.as_ref();
        rule(text, '=').is_some_and(|title| {
            title == "FAILURES"
                || title == "ERRORS"
                || title == "short test summary info"
                || title == "test session starts"
        }) || is_count(text) && !text.starts_with('=')
    });
    if !is_there {
        return;
    }
    let mut part = Part::Progress;
    let mut block = 0;
    let mut whole_blocks = false;
    let summary_rank = |blocks: bool| if blocks { Rank::Index } else { Rank::Name };
    for at in 0..output.lines.len() {
        let text = output.text(at).to_owned();
        if let Some(title) = rule(&text, '=') {
            part = match title {
                "FAILURES" | "ERRORS" => Part::Failures,
                "short test summary info" => Part::Summary,
                _ if is_count(&text) => {
                    output.claim(at, Rank::Verdict, 0);
                    Part::Progress
                }
                // `warnings summary`, `slowest durations`, coverage, `PASSES`.
                "test session starts" => Part::Progress,
                _ => Part::Aside,
            };
            output.claim(at, Rank::Noise, 0);
            continue;
        }
        if rule(&text, '!').is_some() {
            output.claim(at, Rank::Verdict, 0);
            continue;
        }
        if is_count(&text) {
            output.claim(at, Rank::Verdict, 0);
            continue;
        }
        match part {
            Part::Progress => {
                if is_progress(&text) {
                    output.claim(at, Rank::Noise, 0);
                }
            }
            Part::Aside => output.claim(at, Rank::Noise, 0),
            Part::Summary => {
                let is_entry = text.starts_with("FAILED ") || text.starts_with("ERROR ");
                let ends = text.is_empty();
                if is_entry && !whole_blocks {
                    block = output.block();
                }
                output.claim(
                    at,
                    if is_entry {
                        summary_rank(whole_blocks)
                    } else {
                        Rank::Noise
                    },
                    if whole_blocks { 0 } else { block },
                );
                if ends {
                    part = Part::Progress;
                }
            }
            Part::Failures | Part::Captured => {
                if rule(&text, '_').is_some_and(|title| !title.trim_matches(['_', ' ']).is_empty())
                {
                    block = output.block();
                    whole_blocks = true;
                    part = Part::Failures;
                    output.claim(at, Rank::Name, block);
                } else if rule(&text, '-').is_some_and(|title| title.starts_with("Captured")) {
                    part = Part::Captured;
                    output.claim(at, Rank::Noise, block);
                } else if matches!(part, Part::Captured) {
                    output.claim(
                        at,
                        if text.is_empty() {
                            Rank::Noise
                        } else {
                            Rank::Output
                        },
                        block,
                    );
                } else {
                    let rank = failure_line(&text);
                    output.claim(at, rank, block);
                }
            }
        }
    }
}

enum Part {
    Progress,
    Failures,
    Captured,
    Summary,
    Aside,
}

fn failure_line(text: &str) -> Rank {
    if let Some(said) = text
        .strip_prefix('E')
        .filter(|rest| rest.starts_with("  ") || rest.is_empty())
    {
        let said = said.trim();
        let empty = said.is_empty()
            || said.starts_with("Use -v to get")
            || said.starts_with("Omitting ")
            || said.starts_with("...Full output truncated");
        return if empty { Rank::Noise } else { Rank::Explain };
    }
    if text.starts_with('>') {
        return Rank::Detail;
    }
    if text.is_empty()
        || text
            .trim_start()
            .chars()
            .all(|c| matches!(c, '^' | '~' | ' '))
        || text.starts_with("_ _ ")
    {
        return Rank::Noise;
    }
    // `test_calc.py:8: AssertionError`, `test_calc.py:8: in test_adds`
    if !text.starts_with(' ')
        && let Some((path, rest)) = super::place(text)
        && rest.starts_with(':')
    {
        return if is_library_frame(path) {
            Rank::Noise
        } else {
            Rank::Place
        };
    }
    if text.starts_with("ImportError while importing")
        || text.starts_with("file ")
        || text.contains("fixture '")
    {
        return Rank::Explain;
    }
    // Source around the failing line, arguments, hints.
    Rank::Noise
}

/// `====== title ======`: the title.
fn rule(text: &str, ornament: char) -> Option<&str> {
    let body = text.strip_prefix(ornament)?.trim_start_matches(ornament);
    let title = body.trim_end_matches(ornament);
    (text.len() >= 8 && title.len() + 2 < text.len() && text.ends_with(ornament))
        .then(|| title.trim())
        .filter(|title| !title.is_empty())
}

/// `=== 4 failed, 30 passed in 0.04s ===`, without the rules under `-q`.
fn is_count(text: &str) -> bool {
    let body = text.trim_matches(['=', ' ']);
    let counts = [
        "passed",
        "failed",
        "error",
        "errors",
        "skipped",
        "deselected",
        "warnings",
        "warning",
        "xfailed",
        "xpassed",
        "rerun",
    ];
    let Some((list, time)) = body.rsplit_once(" in ") else {
        return false;
    };
    time.starts_with(|c: char| c.is_ascii_digit())
        && list.split(", ").all(|part| {
            let mut words = part.split(' ');
            words.next().is_some_and(|number| {
                number.bytes().all(|byte| byte.is_ascii_digit()) && !number.is_empty()
            }) && words.next().is_some_and(|word| counts.contains(&word))
                && words.next().is_none()
        })
}

fn is_progress(text: &str) -> bool {
    let text = text.trim_end();
    let ends_in_percent = text.ends_with("%]");
    let dots = text
        .split(' ')
        .next()
        .is_some_and(|word| word.len() > 3 && word.bytes().all(|byte| b".FEsxXpP".contains(&byte)));
    let header = [
        "platform ",
        "rootdir: ",
        "plugins: ",
        "cachedir: ",
        "configfile: ",
        "collecting ",
        "collected ",
        "testpaths: ",
        "asyncio: ",
    ];
    ends_in_percent
        || dots
        || text.ends_with(" PASSED")
        || header.iter().any(|start| text.starts_with(start))
}

fn unittest(output: &mut Output<'_>) {
    for at in 0..output.lines.len() {
        let text = output.text(at).to_owned();
        let is_header = (text.starts_with("FAIL: ") || text.starts_with("ERROR: "))
            && rule_line(output.text(at.wrapping_sub(1)), '=')
            && rule_line(output.text(at + 1), '-');
        if is_header {
            let block = output.block();
            output.claim(at.wrapping_sub(1), Rank::Noise, 0);
            output.claim(at, Rank::Name, block);
            output.claim(at + 1, Rank::Noise, 0);
            let body = (at + 2..output.lines.len()).take_while(|next| {
                !rule_line(output.text(*next), '=') && !rule_line(output.text(*next), '-')
            });
            let body: Vec<usize> = body.collect();
            let mut in_message = false;
            for next in body {
                let line = output.text(next).to_owned();
                let rank = traceback_line(&line, &mut in_message);
                output.claim(next, rank, block);
            }
        } else if text.starts_with("FAILED (")
            && (text.contains("failures=") || text.contains("errors="))
        {
            output.recognised = true;
            output.claim(at, Rank::Verdict, 0);
        } else if text.starts_with("Ran ") && text.contains(" test") {
            output.claim(at, Rank::Noise, 0);
            output.claim(at.wrapping_sub(1), Rank::Noise, 0);
        }
    }
}

fn rule_line(text: &str, ornament: char) -> bool {
    text.len() >= 20 && text.chars().all(|c| c == ornament)
}

fn tracebacks(output: &mut Output<'_>) {
    let mut at = 0;
    while at < output.lines.len() {
        let starts = output.lines.get(at).is_some_and(|line| {
            line.rank == Rank::Unknown
                && line
                    .trimmed()
                    .starts_with("Traceback (most recent call last)")
        });
        if !starts {
            at += 1;
            continue;
        }
        let indent = output.lines.get(at).map_or(0, crate::lines::Line::indent);
        let block = output.loose_block();
        output.claim(at, Rank::Noise, block);
        at += 1;
        let mut in_message = false;
        while at < output.lines.len() {
            let line = output.text(at).to_owned();
            let rank = traceback_line(
                line.get(indent.min(line.len())..).unwrap_or(&line),
                &mut in_message,
            );
            if in_message && rank != Rank::Explain {
                break;
            }
            output.claim(at, rank, block);
            at += 1;
            if in_message {
                break;
            }
        }
    }
}

/// Frames are indented, the exception is not.
fn traceback_line(line: &str, in_message: &mut bool) -> Rank {
    if line.is_empty() || line.starts_with("Traceback (most recent") {
        return Rank::Noise;
    }
    if line.trim_start().starts_with("File \"") {
        return if is_library_frame(line) {
            Rank::Noise
        } else {
            Rank::Place
        };
    }
    if !line.starts_with(' ') {
        *in_message = true;
        return Rank::Explain;
    }
    if line
        .trim_start()
        .chars()
        .all(|c| matches!(c, '^' | '~' | ' '))
    {
        return Rank::Noise;
    }
    if *in_message {
        Rank::Explain
    } else {
        Rank::Detail
    }
}
