//! tsc and eslint.

use super::{number, place};
use crate::lines::{Output, Rank};

pub(super) fn recognise(output: &mut Output<'_>) {
    tsc(output);
    eslint(output);
}

/// `a.ts(2,42): error TS2322: ...`, and with `--pretty` `a.ts:2:42 - error TS2322: ...`.
fn tsc(output: &mut Output<'_>) {
    let mut block = 0;
    let mut pretty = false;
    for at in 0..output.lines.len() {
        let text = output.text(at).to_owned();
        let plain_start = !text.starts_with(' ') && text.contains("): error TS");
        let pretty_start = place(&text).is_some_and(|(_, rest)| rest.starts_with(" - error TS"));
        let bare = text.starts_with("error TS");
        if plain_start || pretty_start || bare {
            block = output.block();
            pretty = pretty_start;
            output.claim(at, Rank::Explain, block);
        } else if block == 0 {
        } else if text.starts_with("Found ") && text.contains(" error") {
            output.claim(at, Rank::Verdict, 0);
            block = 0;
        } else if text.starts_with("  ") && !pretty {
            output.claim(at, Rank::Detail, block);
        } else if pretty {
            let line = text.trim_start();
            let is_code =
                number(line).is_some_and(|(_, rest)| rest.starts_with(' ') || rest.is_empty());
            let is_marker = !line.is_empty() && line.chars().all(|c| c == '~' || c == ' ');
            if is_code || line.is_empty() || is_marker {
                output.claim(at, if is_code { Rank::Detail } else { Rank::Noise }, block);
            } else if text.starts_with("  ") {
                output.claim(at, Rank::Detail, block);
            } else {
                block = 0;
            }
        } else {
            block = 0;
        }
    }
}

/// A file's path, then `  1:5  error  message  rule`.
fn eslint(output: &mut Output<'_>) {
    let mut header = None;
    let mut block = 0;
    for at in 0..output.lines.len() {
        let text = output.text(at).to_owned();
        if let Some(rank) = problem(&text) {
            if let Some(header) = header.filter(|_| rank == Rank::Explain) {
                if block == 0 {
                    block = output.block();
                }
                output.claim(header, Rank::Name, block);
            }
            output.claim(at, rank, if rank == Rank::Explain { block } else { 0 });
            continue;
        }
        if text.starts_with("✖ ") && text.contains(" problem") {
            output.claim(at, Rank::Verdict, 0);
        } else if text.contains("potentially fixable with the `--fix`") {
            output.claim(at, Rank::Noise, 0);
        }
        let is_path = !text.starts_with(' ')
            && text.contains(['/', '\\', '.'])
            && problem(output.text(at + 1)).is_some();
        if is_path {
            header = Some(at);
            block = 0;
            let only_warnings = (at + 1..output.lines.len())
                .map(|next| problem(output.text(next)))
                .take_while(Option::is_some)
                .all(|rank| rank == Some(Rank::Noise));
            if only_warnings {
                output.claim(at, Rank::Noise, 0);
            }
        } else if !text.is_empty() {
            header = None;
        }
    }
}

fn problem(text: &str) -> Option<Rank> {
    let rest = text.strip_prefix("  ")?.trim_start();
    let (_, rest) = number(rest)?;
    let (_, rest) = number(rest.strip_prefix(':')?)?;
    let rest = rest.strip_prefix("  ")?.trim_start();
    if rest.starts_with("error  ") {
        Some(Rank::Explain)
    } else if rest.starts_with("warning  ") {
        Some(Rank::Noise)
    } else {
        None
    }
}
