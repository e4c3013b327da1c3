//! The common parts of people's commands: colors where a terminal shows them, tables, ages.

use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};

use job::State;

/// Standard output for people. An output that is gone (`| head`) stops nothing.
pub(super) struct Terminal {
    out: std::io::Stdout,
    color: bool,
    gone: bool,
}

/// The tone of a piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// The good case.
    Good,
    /// Worth a look.
    Doubtful,
    /// Not as it should be.
    Bad,
    /// Still going on.
    Live,
    /// Beside the point.
    Quiet,
}

impl Terminal {
    /// The standard output, with colors where it shows them.
    pub(super) fn stdout() -> Self {
        let out = std::io::stdout();
        Self {
            color: colors(&out),
            out,
            gone: false,
        }
    }

    /// The standard output without colors.
    #[cfg(test)]
    pub(super) fn plain() -> Self {
        Self {
            out: std::io::stdout(),
            color: false,
            gone: false,
        }
    }

    /// Returns true if nobody reads any more, which ends a display that would be drawn for ever.
    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Returns true if lines can be overwritten.
    pub(super) fn is_live(&self) -> bool {
        self.out.is_terminal()
    }

    pub(super) fn line(&mut self, text: impl AsRef<str>) {
        let written = writeln!(self.out, "{}", text.as_ref()).and_then(|()| self.out.flush());
        self.gone |= written.is_err();
    }

    /// Clears the screen for a display that is drawn again.
    pub(super) fn clear(&mut self) {
        if self.is_live() {
            let _ = write!(self.out, "\x1b[H\x1b[2J");
        }
    }

    pub(super) fn paint(&self, text: &str, tone: Tone) -> String {
        paint(self.color, text, tone)
    }

    /// The state's word, as wide as the widest.
    pub(super) fn state(&self, state: State) -> String {
        let tone = match state {
            State::Completed => Tone::Good,
            State::Failed | State::TimedOut | State::Interrupted => Tone::Bad,
            State::Cancelled | State::NeedsInput => Tone::Doubtful,
            _ => Tone::Live,
        };
        self.paint(&format!("{:<11}", state.as_str()), tone)
    }
}

/// Prints a line on standard error, where somebody reads it: a closed one ends nothing.
pub(super) fn complain(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Returns true if a stream shows colors: a terminal that knows them, unless NO_COLOR or CLICOLOR says otherwise.
pub(super) fn colors(stream: &impl anstream::stream::RawStream) -> bool {
    anstream::AutoStream::choice(stream) != anstream::ColorChoice::Never
}

/// A text with its tone, where colors are wanted.
pub(super) fn paint(color: bool, text: &str, tone: Tone) -> String {
    if !color {
        return text.to_owned();
    }
    let style = match tone {
        Tone::Good => AnsiColor::Green.on_default(),
        Tone::Doubtful => AnsiColor::Yellow.on_default(),
        Tone::Bad => AnsiColor::Red.on_default(),
        Tone::Live => AnsiColor::Cyan.on_default(),
        Tone::Quiet => Style::new().dimmed(),
    };
    format!("{style}{text}{style:#}")
}

/// Columns of the terminal behind stderr; 80 where that is not to be found out.
pub(super) fn width() -> usize {
    #[cfg(unix)]
    if let Ok(size) = rustix::termios::tcgetwinsize(std::io::stderr())
        && size.ws_col > 0
    {
        return usize::from(size.ws_col) - 1;
    }
    79
}

/// A length of time in its two largest units, as in `3m 20s`.
pub(super) fn age(milliseconds: i64) -> String {
    let seconds = milliseconds.max(0) / 1_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// The beginning of a text, on one line.
pub(super) fn shorten(text: &str, width: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() <= width {
        return text;
    }
    let head: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{head}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_in_two_units() {
        let rows = [
            (-5, "0s"),
            (59_999, "59s"),
            (200_000, "3m 20s"),
            (3_600_000, "1h 0m"),
            (90_000_000, "1d 1h"),
        ];
        for (milliseconds, expected) in rows {
            assert_eq!(age(milliseconds), expected);
        }
    }

    #[test]
    fn long_and_broken_texts_become_one_short_line() {
        assert_eq!(shorten("a\n  b\tc", 9), "a b c");
        assert_eq!(shorten("éééééé", 4), "ééé…");
    }
}
