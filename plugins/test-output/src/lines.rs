//! The output as lines without what a terminal obeys, and what each line is worth to a reader.

use std::borrow::Cow;
use std::ops::Range;

/// What a line is worth, from nothing to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// Progress, passing tests, library frames, ornaments: never shown where anything else is.
    Noise,
    /// Nobody has claimed it.
    Unknown,
    /// Repeats in one place what failed; shown where the blocks themselves do not fit.
    Index,
    /// What a failing test printed.
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

/// One line of the input.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    /// Its bytes in the input, line end apart.
    pub(crate) span: Range<usize>,
    /// Without escape sequences, control characters and trailing blanks.
    pub(crate) text: Cow<'a, str>,
    /// What it is worth.
    pub(crate) rank: Rank,
    /// The failure it belongs to; 0 for none.
    pub(crate) block: u32,
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

/// Splits the input.
pub(crate) fn split(text: &str) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut start = 0;
    for piece in text.split_inclusive('\n') {
        let body = piece.trim_end_matches(['\n', '\r']);
        lines.push(Line {
            span: start..start + body.len(),
            text: clean(body),
            rank: Rank::Unknown,
            block: 0,
        });
        start += piece.len();
    }
    lines
}

/// Without ANSI and OSC sequences, control characters, and what a carriage return overwrote.
fn clean(line: &str) -> Cow<'_, str> {
    let plain = |c: char| c == '\t' || !c.is_control();
    if line.chars().all(plain) {
        return Cow::Borrowed(line.trim_end());
    }
    let mut out = String::with_capacity(line.len());
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => match rest.next() {
                Some('[') => while rest.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
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

/// The lines while the recognisers go over them, with the block counter that they share.
pub(crate) struct Output<'a> {
    /// All lines.
    pub(crate) lines: Vec<Line<'a>>,
    blocks: u32,
    /// Whether a recogniser found failures it understands.
    pub(crate) recognised: bool,
}

impl<'a> Output<'a> {
    /// Nothing claimed yet.
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            lines: split(text),
            blocks: 0,
            recognised: false,
        }
    }

    /// Claims a line, unless a recogniser before gave it a rank.
    pub(crate) fn claim(&mut self, at: usize, rank: Rank, block: u32) {
        if let Some(line) = self
            .lines
            .get_mut(at)
            .filter(|line| line.rank == Rank::Unknown)
        {
            line.rank = rank;
            line.block = block;
        }
    }

    /// Gives a line a rank, whatever it had.
    pub(crate) fn set(&mut self, at: usize, rank: Rank, block: u32) {
        if let Some(line) = self.lines.get_mut(at) {
            line.rank = rank;
            line.block = block;
        }
    }

    /// A new failure.
    pub(crate) fn block(&mut self) -> u32 {
        self.recognised = true;
        self.blocks += 1;
        self.blocks
    }

    /// The text of a line, empty beyond the end.
    pub(crate) fn text(&self, at: usize) -> &str {
        self.lines.get(at).map_or("", |line| line.text.as_ref())
    }

    /// Whether any line begins with one of these, blanks apart.
    pub(crate) fn any_starts_with(&self, starts: &[&str]) -> bool {
        self.lines
            .iter()
            .any(|line| starts.iter().any(|start| line.trimmed().starts_with(start)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_plain_and_know_their_bytes() {
        let text = "\u{1b}[31mred\u{1b}[0m  \r\nplain\n10%\r99%\nlast";
        let lines = split(text);
        let shown: Vec<_> = lines.iter().map(|line| line.text.as_ref()).collect();
        assert_eq!(shown, ["red", "plain", "99%", "last"]);
        assert_eq!(text.get(lines[3].span.clone()), Some("last"));
    }
}
