//! The output of the demo: numbered steps, a live line on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use super::install::Progress;

/// The interval at which a progress line is repeated where lines cannot be rewritten.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// The output of the demo. An output that is gone (`| head`) stops nothing.
pub struct Console {
    out: Box<dyn Write>,
    live: bool,
    steps: usize,
    last_plain: Option<Instant>,
    line_open: bool,
}

impl Console {
    /// The standard output.
    pub fn stdout() -> Self {
        let out = std::io::stdout();
        let live = out.is_terminal();
        Self::new(Box::new(out), live)
    }

    /// Any output; `live` when its lines can be rewritten.
    pub fn new(out: Box<dyn Write>, live: bool) -> Self {
        Self {
            out,
            live,
            steps: 0,
            last_plain: None,
            line_open: false,
        }
    }

    /// The heading of the next step.
    pub fn step(&mut self, title: &str) {
        self.steps += 1;
        let step = self.steps;
        self.line("");
        self.line(&format!("{step}. {title}"));
    }

    /// Text below the heading.
    pub fn say(&mut self, text: &str) {
        for line in text.lines() {
            self.line(&format!("   {line}"));
        }
    }

    /// The progress of an installation.
    pub fn install_progress(&mut self, title: &str, progress: Progress) {
        match progress {
            Progress::Waiting => self.say(&format!(
                "another process is installing {title}; waiting for it"
            )),
            Progress::Installing { bytes, of, elapsed } => {
                let text = format!(
                    "installing {title}: {} of about {} MB, {} s",
                    megabytes(bytes.min(of)),
                    megabytes(of),
                    elapsed.as_secs()
                );
                self.rewrite(&text);
            }
            Progress::Installed { bytes, elapsed } => {
                let seconds = elapsed.as_secs_f32();
                self.say(&format!(
                    "installed {title}: {} MB in {seconds:.1} s",
                    megabytes(bytes)
                ));
            }
        }
    }

    /// A line of its own.
    pub fn line(&mut self, text: &str) {
        if std::mem::take(&mut self.line_open) {
            // The next line takes the place of the live one.
            let _ = write!(self.out, "\r\x1b[2K");
        }
        let _ = writeln!(self.out, "{text}");
        let _ = self.out.flush();
    }

    fn rewrite(&mut self, text: &str) {
        if self.live {
            let _ = write!(self.out, "\r\x1b[2K   {text}");
            let _ = self.out.flush();
            self.line_open = true;
        } else if self
            .last_plain
            .is_none_or(|last| last.elapsed() >= PLAIN_EVERY)
        {
            self.last_plain = Some(Instant::now());
            self.say(text);
        }
    }
}

fn megabytes(bytes: u64) -> u64 {
    bytes / 1_000_000
}

/// A count with its thousands apart, as in `12,345`.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        for (count, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(count), text);
        }
    }
}
