//! Compilers' checkers and linters: tsc, ESLint, Biome, Ruff, flake8, pylint, mypy, pyright.

use super::{number, place};
use crate::counts::counts;
use crate::lines::Rank;
use crate::output::Output;

pub(super) fn recognise(output: &mut Output<'_>) {
    tsc(output);
    eslint(output);
    biome(output);
    ruff(output);
    pyright(output);
    coded_lines(output);
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

/// `bad.py:9:12: F821 Undefined name`: flake8, Ruff, pylint, mypy and others that put a code on each line.
fn coded_lines(output: &mut Output<'_>) {
    let found: Vec<(usize, bool)> = (0..output.lines.len())
        .filter(|at| {
            output
                .lines
                .get(*at)
                .is_some_and(|line| line.rank == Rank::Unknown)
        })
        .filter_map(|at| coded(output.text(at)).map(|severe| (at, severe)))
        .collect();
    if found.is_empty() {
        return;
    }
    // pylint's conventions matter only where nothing is wrong.
    let only_mild = found.iter().all(|(_, severe)| !severe);
    for (at, severe) in found {
        let block = output.block();
        let rank = if severe || only_mild {
            Rank::Explain
        } else {
            Rank::Detail
        };
        output.claim(at, rank, block);
    }
    for at in 0..output.lines.len() {
        let text = output.text(at);
        let rank = if text.starts_with("************* Module ") || text.starts_with("[*] ") {
            Rank::Noise
        } else if is_sum(text) {
            Rank::Verdict
        } else if place(text).is_some_and(|(_, rest)| rest.starts_with(": note: ")) {
            Rank::Detail
        } else {
            continue;
        };
        output.claim(at, rank, 0);
    }
}

/// The sums of linters.
fn is_sum(text: &str) -> bool {
    text.starts_with("Found ") && text.contains(" error")
        || text.starts_with("Your code has been rated")
}

/// True for an error, false for what is milder, nothing for a line without a code.
fn coded(text: &str) -> Option<bool> {
    let (path, rest) = place(text).filter(|(path, _)| !path.starts_with("http"))?;
    let said = rest.strip_prefix(": ")?;
    if let Some(said) = said.strip_prefix("error: ") {
        // mypy's code stands at the end.
        return (path.ends_with(".py") || path.ends_with(".pyi"))
            .then(|| said.ends_with(']'))
            .filter(|coded| *coded);
    }
    let code = said.split([' ', ':']).next()?;
    let letters = code.bytes().take_while(u8::is_ascii_uppercase).count();
    let digits = code.get(letters..)?;
    let is_code = (1..=5).contains(&letters)
        && (2..=5).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    // pylint: C is a convention, R a refactoring, W a warning, with four figures behind.
    let mild = digits.len() == 4 && matches!(code.get(..letters), Some("C" | "R" | "W"));
    is_code.then_some(!mild)
}

/// Ruff in full: the code and the message, the place below an arrow, the source.
fn ruff(output: &mut Output<'_>) {
    let mut at = 0;
    while at < output.lines.len() {
        let is_head = output.text(at + 1).trim_start().starts_with("--> ")
            && !output.text(at).starts_with([' ', '-'])
            && output
                .lines
                .get(at)
                .is_some_and(|line| line.rank == Rank::Unknown);
        if !is_head {
            at += 1;
            continue;
        }
        let block = output.block();
        output.claim(at, Rank::Explain, block);
        output.claim(at + 1, Rank::Place, block);
        at += 2;
        while at < output.lines.len() && !output.text(at).is_empty() {
            let marked = output
                .text(at + 1)
                .trim_start()
                .trim_start_matches('|')
                .trim_start()
                .starts_with('^');
            let rank = if marked { Rank::Detail } else { Rank::Noise };
            output.claim(at, rank, block);
            at += 1;
        }
    }
    if output.recognised {
        for at in 0..output.lines.len() {
            if is_sum(output.text(at)) {
                output.claim(at, Rank::Verdict, 0);
            } else if output.text(at).starts_with("[*] ") && output.text(at).contains(" fixable") {
                output.claim(at, Rank::Noise, 0);
            }
        }
    }
}

/// `  /src/bad.py:8:18 - error: ... (rule)` below the file's path, the reasons indented further.
fn pyright(output: &mut Output<'_>) {
    let said = |text: &str| -> Option<bool> {
        let (_, rest) = place(text.trim_start())?;
        let rest = rest.strip_prefix(" - ")?;
        let known = rest.starts_with("error: ")
            || rest.starts_with("warning: ")
            || rest.starts_with("information: ");
        known.then(|| rest.starts_with("error: "))
    };
    let mut block = 0;
    let mut last = false;
    let mut there = false;
    for at in 0..output.lines.len() {
        let text = output.text(at).to_owned();
        match said(&text).filter(|_| text.starts_with("  ")) {
            Some(true) => {
                block = output.block();
                there = true;
                last = true;
                output.claim(at, Rank::Explain, block);
            }
            Some(false) => {
                last = false;
                output.claim(at, Rank::Noise, 0);
            }
            // Its indentation has non-breaking spaces in it.
            None if text.len() - text.trim_start().len() >= 4 && last => {
                output.claim(at, Rank::Explain, block)
            }
            None => {
                if there && text.contains(" errors, ") && counts(&text).is_some()
                    || there && text.starts_with("1 error, ")
                {
                    output.claim(at, Rank::Verdict, 0);
                }
                last = false;
            }
        }
    }
}

/// `src/bad.js:2:3 lint/suspicious/noDebugger ━━━`, then `  × the message` and the source.
fn biome(output: &mut Output<'_>) {
    let is_head = |text: &str| {
        place(text).is_some_and(|(_, rest)| rest.starts_with(' ')) && text.ends_with('━')
    };
    let heads: Vec<usize> = (0..output.lines.len())
        .filter(|at| is_head(output.text(*at)))
        .collect();
    if heads.is_empty() {
        return;
    }
    for (n, start) in heads.iter().enumerate() {
        let end = heads.get(n + 1).copied().unwrap_or(output.lines.len());
        let is_error = (*start..end).any(|at| output.text(at).starts_with("  × "));
        let block = output.block();
        let name = if is_error { Rank::Name } else { Rank::Detail };
        output.claim(*start, name, if is_error { block } else { 0 });
        for at in start + 1..end {
            let text = output.text(at).to_owned();
            let line = text.trim_start();
            let rank = if text.starts_with("Found ") && counts(&text).is_some() {
                Rank::Verdict
            } else if !text.is_empty() && !text.starts_with(' ') {
                Rank::Noise
            } else if line.starts_with("× ") {
                Rank::Explain
            } else if line.starts_with("! ") || is_error && line.starts_with("> ") {
                Rank::Detail
            } else {
                Rank::Noise
            };
            output.claim(at, rank, if is_error { block } else { 0 });
        }
    }
}
