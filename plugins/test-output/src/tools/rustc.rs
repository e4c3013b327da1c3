//! rustc and clippy: a diagnostic is a block that ends with an empty line.

use crate::lines::Rank;
use crate::output::Output;

pub(super) fn recognise(output: &mut Output<'_>) {
    let mut at = 0;
    while at < output.lines.len() {
        let text = output.text(at).to_owned();
        let Some(level) = level(&text).filter(|_| is_diagnostic(output, at)) else {
            if text.starts_with("error: could not compile")
                || text.starts_with("error: aborting due to")
            {
                output.recognised = true;
                output.claim(at, Rank::Verdict, 0);
            } else if text.starts_with("For more information about this error")
                || text.starts_with("Some errors have detailed explanations")
            {
                output.claim(at, Rank::Noise, 0);
            } else if text.starts_with("warning: ")
                && text.contains(" generated ")
                && text.contains(" warning")
            {
                output.claim(at, Rank::Noise, 0);
            }
            at += 1;
            continue;
        };
        let block = if level == Level::Error {
            output.block()
        } else {
            0
        };
        at = diagnostic(output, at, level, block);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Level {
    Error,
    Warning,
}

fn level(text: &str) -> Option<Level> {
    if text.starts_with("error: ") || text.starts_with("error[E") {
        Some(Level::Error)
    } else if text.starts_with("warning: ") || text.starts_with("warning[") {
        Some(Level::Warning)
    } else {
        None
    }
}

/// The place follows, at once or after the lines of a long message.
fn is_diagnostic(output: &Output<'_>, at: usize) -> bool {
    (at + 1..at + 8)
        .map(|next| output.text(next))
        .take_while(|text| !text.is_empty())
        .any(|text| text.trim_start().starts_with("--> "))
}

/// Claims one diagnostic; answers with the line after it.
fn diagnostic(output: &mut Output<'_>, start: usize, level: Level, block: u32) -> usize {
    let mut at = start;
    let mut helping = false;
    let mut place_seen = false;
    while at < output.lines.len() {
        let text = output.text(at).to_owned();
        let line = text.trim_start();
        if text.is_empty() {
            output.claim(at, Rank::Noise, 0);
            return at + 1;
        }
        let rank = match level {
            Level::Warning => Rank::Noise,
            Level::Error if at == start => Rank::Explain,
            Level::Error => {
                let rank = error_line(line, helping, place_seen);
                helping |= line.starts_with("help: ");
                place_seen |= line.starts_with("--> ");
                rank
            }
        };
        output.claim(at, rank, block);
        at += 1;
    }
    at
}

fn error_line(line: &str, helping: bool, place_seen: bool) -> Rank {
    if line.starts_with("--> ") {
        return if place_seen {
            Rank::Detail
        } else {
            Rank::Place
        };
    }
    if !place_seen {
        return Rank::Explain;
    }
    if let Some(note) = line.strip_prefix("= note: ") {
        let says_types = note.contains("expected") || note.contains("found");
        return if says_types {
            Rank::Explain
        } else {
            Rank::Noise
        };
    }
    if line.starts_with("= help: ") || line == "|" || line == "..." {
        return Rank::Noise;
    }
    if line.starts_with("help: ") || helping {
        return if line == "|" {
            Rank::Noise
        } else {
            Rank::Detail
        };
    }
    Rank::Detail
}
