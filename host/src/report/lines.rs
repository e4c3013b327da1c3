//! The job's log as people and planners read it: a line for each thing that happened.

use std::borrow::Cow;

use super::text;

/// A line of the log is at most this long; what is longer is in the transcript.
const LINE_BYTES: usize = 240;

/// A line such as `Edit src/a.ts: ok` or `Bash npm test: failed, 2 tests failed`: what was used, on what, and what came
/// of it. Empty parts are left out.
pub fn log_line(what: &str, target: &str, outcome: &str) -> String {
    let what = text::one_line(&text::printable(what), 60);
    let target = text::one_line(&text::printable(target), 140);
    let outcome = text::one_line(&text::printable(outcome), 120);
    let mut line = what;
    if !target.is_empty() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&target);
    }
    if !outcome.is_empty() {
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&outcome);
    }
    text::one_line(&line, LINE_BYTES)
}

/// A file name for a result: control characters and what would reorder or hide text are written as `\u{..}`.
pub fn escaped(path: &str) -> Cow<'_, str> {
    let hidden = |c: char| c.is_control() || text::printable(c.encode_utf8(&mut [0; 4])).is_empty();
    if !path.chars().any(hidden) {
        return Cow::Borrowed(path);
    }
    let mut out = String::with_capacity(path.len() + 8);
    for c in path.chars() {
        if hidden(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_on_what_and_how_it_went() {
        assert_eq!(log_line("Edit", "src/a.ts", "ok"), "Edit src/a.ts: ok");
        assert_eq!(
            log_line("Bash", "npm\n  test", "exit code 1"),
            "Bash npm test: exit code 1"
        );
        assert_eq!(
            log_line("retry", "", "rate limited, in 2 s"),
            "retry: rate limited, in 2 s"
        );
        assert_eq!(log_line("", "", "text only"), "text only");
        assert_eq!(log_line("Bash", "\u{1b}[2Jclear\u{7}", ""), "Bash clear");
        assert!(log_line("Bash", &"x".repeat(5_000), &"y".repeat(5_000)).len() <= LINE_BYTES);
    }

    #[test]
    fn a_file_name_cannot_hide_anything() {
        assert_eq!(escaped("src/ä.rs"), "src/ä.rs");
        assert_eq!(escaped("a\nb\u{202e}c"), "a\\nb\\u{202e}c");
    }
}
