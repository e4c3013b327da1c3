//! Live progress on stderr: lines that stay, and on a terminal one line below them that is written anew.

use std::io::{IsTerminal, Stderr, Write};

use super::terminal::{Tone, colors, paint, shorten, width};
use redact::text::printable;

/// The output of progress. Elsewhere than on a terminal a status is a line of its own, once for
/// each new one.
pub(super) struct Progress {
    err: Stderr,
    quiet: bool,
    live: bool,
    color: bool,
    /// The live line as it stands there.
    shown: String,
    /// The last status that was told where lines cannot be rewritten.
    told: String,
}

impl Progress {
    /// On standard error, or nowhere.
    pub(super) fn stderr(quiet: bool) -> Self {
        let err = std::io::stderr();
        let live = err.is_terminal();
        Self {
            quiet,
            live,
            color: colors(&err),
            err,
            shown: String::new(),
            told: String::new(),
        }
    }

    /// Returns true if nothing is to be shown.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// A line that stays.
    pub(super) fn line(&mut self, text: &str) {
        if self.quiet {
            return;
        }
        self.clear();
        let _ = writeln!(self.err, "{}", printable(text));
    }

    /// Shows the status: `status` in a word or a few, `detail` what changes all the time.
    pub(super) fn status(&mut self, status: &str, detail: &str) {
        if self.quiet {
            return;
        }
        if !self.live {
            if self.told != status {
                status.clone_into(&mut self.told);
                let _ = writeln!(self.err, "-- {status}");
            }
            return;
        }
        let line = shorten(&printable(&format!("{status} | {detail}")), width());
        if line == self.shown {
            return;
        }
        self.clear();
        let _ = write!(self.err, "{}", paint(self.color, &line, Tone::Live));
        let _ = self.err.flush();
        self.shown = line;
    }

    /// Takes the live line away.
    pub(super) fn clear(&mut self) {
        if !self.shown.is_empty() {
            let _ = write!(self.err, "\r\x1b[2K");
            let _ = self.err.flush();
            self.shown.clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
