//! The log: `tracing` events, masked, on stderr.

use std::io::{self, Write};
use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Takes secrets out of one finished log line. The module `redact` stands above this one, so it is handed in.
pub type Mask = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Sends `tracing` events and panics of this process to stderr, each line through `mask`. `filter` is WORKER_LOG; one that
/// cannot be parsed counts as `warn`. Only the first call in a process has an effect.
pub fn init(filter: &str, style: Style, mask: Option<Mask>) {
    let filter = quiet(filter);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(false)
        .with_writer(Stderr { mask });
    let first = match style {
        Style::Text => builder.compact().try_init().is_ok(),
        Style::Json => builder.json().try_init().is_ok(),
    };
    if first {
        std::panic::set_hook(Box::new(|panic| {
            let message = panic
                .payload()
                .downcast_ref::<&str>()
                .map(|message| (*message).to_owned())
                .or_else(|| panic.payload().downcast_ref::<String>().cloned())
                .unwrap_or_default();
            let location = panic.location().map(ToString::to_string);
            tracing::error!(location = location.unwrap_or_default(), "panic: {message}");
        }));
    }
}

/// The filter, which is `warn` when it is empty or no filter. rmcp logs whole messages below that level, prompts included,
/// and does so only when it is asked for by name.
fn quiet(filter: &str) -> EnvFilter {
    let parsed = Some(filter.trim())
        .filter(|filter| !filter.is_empty())
        .and_then(|filter| EnvFilter::try_new(filter).ok())
        .unwrap_or_else(|| EnvFilter::new("warn"));
    match "rmcp=warn".parse() {
        Ok(directive) if !filter.contains("rmcp") => parsed.add_directive(directive),
        _ => parsed,
    }
}

struct Stderr {
    mask: Option<Mask>,
}

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Line;

    fn make_writer(&'a self) -> Self::Writer {
        Line {
            text: Vec::with_capacity(256),
            mask: self.mask.clone(),
        }
    }
}

/// One event: gathered whole, so that a secret is never split between writes, and written when it is dropped.
struct Line {
    text: Vec<u8>,
    mask: Option<Mask>,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.text);
        let line = printable(text.trim_end_matches('\n'));
        let mut line = match &self.mask {
            Some(mask) => mask(&line),
            None => line,
        };
        line.push('\n');
        // There is nobody to tell when stderr is gone.
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }
}

/// Escapes what a terminal would obey and what would begin a line of its own (THREATS T13).
fn printable(text: &str) -> String {
    let obeyed = |c: char| {
        (c.is_control() && c != '\t')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
    };
    let mut out = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        if obeyed(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_stays_one_line_and_commands_no_terminal() {
        assert_eq!(
            printable("a\u{1b}[31m\nERROR fake\r\u{9b}\u{202e}\tb"),
            "a\\u{1b}[31m\\u{a}ERROR fake\\u{d}\\u{9b}\\u{202e}\tb"
        );
    }
}
