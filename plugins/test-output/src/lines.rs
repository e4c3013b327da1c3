//! Lines without what a terminal obeys, and what each line is worth to a reader.

use std::borrow::Cow;
use std::ops::Range;

/// The worth of a line, from nothing to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// Progress, passing tests, library frames, ornaments: never shown where anything else is.
    Noise,
    /// Nobody has claimed it.
    Unknown,
    /// Lines that the application logged while it was tested, or said outside of any failure; shown
    /// where room is left.
    Context,
    /// Repeats in one place what failed; shown where the blocks themselves do not fit.
    Index,
    /// Output of a failing test.
    Output,
    /// Source lines, the caller's frames, hints.
    Detail,
    /// File and line.
    Place,
    /// The assertion, the message, expected and got.
    Explain,
    /// The failing test, or the failing file.
    Name,
    /// The count at the end: the exit state in words.
    Verdict,
}

/// The weight of a logged line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Debug, info.
    Mild,
    /// A stamp without a level, or the rest of a record.
    Plain,
    /// Warning, error, fatal.
    Loud,
}

/// One line of the input.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    /// The bytes in the input, line end apart.
    pub(crate) span: Range<usize>,
    /// Without escape sequences, control characters and trailing blanks.
    pub(crate) text: Cow<'a, str>,
    /// The worth.
    pub(crate) rank: Rank,
    /// The failure it belongs to; 0 for none.
    pub(crate) block: u32,
    /// The place among the lines of the input.
    pub(crate) number: usize,
    /// The number of lines it stands for: those that differ from it in figures alone are folded
    /// into it.
    pub(crate) times: u32,
    /// Set where the application's log has written it.
    pub(crate) log: Option<Level>,
}

impl Line<'_> {
    /// Without indentation.
    pub(crate) fn trimmed(&self) -> &str {
        self.text.trim_start()
    }

    /// Leading blanks.
    pub(crate) fn indent(&self) -> usize {
        self.text.len() - self.trimmed().len()
    }
}

/// An output is read whole up to this many bytes. Of a longer one the beginning and twice as much of the end are read, where
/// a runner sums up: the host gives a plugin a second.
const READ: usize = 12 << 20;
/// The same in lines: what is known of each takes memory, of which a plugin has 128 MiB.
const READ_LINES: usize = 600_000;

/// Splits the input.
pub(crate) fn split(text: &str) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut number = 0;
    for part in parts(text) {
        let mut start = part.start;
        for piece in text.get(part).unwrap_or_default().split_inclusive('\n') {
            let body = piece.trim_end_matches(['\n', '\r']);
            lines.push(Line {
                span: start..start + body.len(),
                text: clean(body),
                rank: Rank::Unknown,
                block: 0,
                number,
                times: 1,
                log: None,
            });
            number += 1;
            start += piece.len();
        }
        // What is left out between two parts makes them no neighbours.
        number += 1;
    }
    lines
}

/// The parts of an output that are read, cut behind line ends.
fn parts(text: &str) -> Vec<Range<usize>> {
    let lines = text.bytes().filter(|byte| *byte == b'\n').count();
    if text.len() <= READ && lines <= READ_LINES {
        return std::iter::once(0..text.len()).collect();
    }
    // The end of each line, from the front and from the back.
    let ends = || {
        text.as_bytes()
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'\n')
    };
    let head = ends()
        .take(READ_LINES / 3)
        .map(|(at, _)| at + 1)
        .take_while(|end| *end <= READ / 3)
        .last()
        .unwrap_or(0);
    let tail = ends()
        .rev()
        .take(READ_LINES / 3 * 2)
        .map(|(at, _)| at + 1)
        .take_while(|start| text.len() - start <= READ / 3 * 2)
        .last()
        .unwrap_or(text.len())
        .max(head);
    if head == 0 && tail == text.len() {
        // Lines so long that none ends where it should.
        let end = (0..=READ).rev().find(|end| text.is_char_boundary(*end));
        return std::iter::once(0..end.unwrap_or(0)).collect();
    }
    vec![0..head, tail..text.len()]
}

/// Without ANSI and OSC sequences, control characters, and what a carriage return overwrote.
pub(crate) fn clean(line: &str) -> Cow<'_, str> {
    let plain = |c: char| c == '\t' || !c.is_control();
    if line.chars().all(plain) {
        return Cow::Borrowed(line.trim_end());
    }
    let mut out = String::with_capacity(line.len());
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => match rest.next() {
                Some('[') => {
                    let mut column = String::new();
                    for c in rest.by_ref() {
                        if c == 'G' && matches!(column.as_str(), "" | "1" | "2") {
                            // Back to the line's beginning, as a carriage return.
                            out.clear();
                        }
                        if ('@'..='~').contains(&c) {
                            break;
                        }
                        if column.len() < 4 {
                            column.push(c);
                        }
                    }
                }
                Some(']') => {
                    while let Some(c) = rest.next() {
                        if c == '\u{7}' || (c == '\u{1b}' && rest.next_if_eq(&'\\').is_some()) {
                            break;
                        }
                    }
                }
                _ => {}
            },
            '\r' => out.clear(),
            c if plain(c) => out.push(c),
            _ => {}
        }
    }
    out.truncate(out.trim_end().len());
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_plain_and_know_their_bytes() {
        let text =
            "\u{1b}[31mred\u{1b}[0m  \r\nplain\n10%\r99%\n\u{1b}[1Gold\u{1b}[77G1/3\u{1b}[1Glast";
        let lines = split(text);
        let shown: Vec<_> = lines.iter().map(|line| line.text.as_ref()).collect();
        assert_eq!(shown, ["red", "plain", "99%", "last"]);
        assert_eq!(text.get(lines[1].span.clone()), Some("plain"));
    }
}
