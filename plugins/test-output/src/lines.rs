//! The output as lines without what a terminal obeys, and what each line is worth to a reader.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use crate::applog::{self, Level};

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

/// The view of an output that a recogniser has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// The report of a runner, without the application's log and without stamps that the transport put on all lines.
    Report,
    /// All lines as they are.
    Whole,
}

/// The lines while the recognisers go over them, with the block counter that they share.
pub(crate) struct Output<'a> {
    /// The lines that a recogniser sees: all, without the application's log.
    pub(crate) lines: Vec<Line<'a>>,
    /// The application's log.
    aside: Vec<Line<'a>>,
    blocks: u32,
    /// Blocks that a trace outside of any report made.
    loose: HashSet<u32>,
    /// Set where a recogniser found failures it understands.
    pub(crate) recognised: bool,
}

impl<'a> Output<'a> {
    /// Nothing claimed yet, and the application's log set aside where the view says so.
    pub(crate) fn new(text: &'a str, view: View) -> Self {
        let mut all = split(text);
        if view == View::Report {
            strip_transport(&mut all);
        }
        let log = applog::find(&all);
        for (line, log) in all.iter_mut().zip(log) {
            line.log = log;
        }
        let (aside, lines) = all
            .into_iter()
            .partition(|line| view == View::Report && line.log.is_some());
        Self {
            lines,
            aside,
            blocks: 0,
            loose: HashSet::new(),
            recognised: false,
        }
    }

    /// Lines with a rank already, none of them a log's.
    pub(crate) fn ranked(lines: Vec<Line<'a>>, blocks: u32) -> Self {
        Self {
            lines,
            aside: Vec::new(),
            blocks,
            loose: HashSet::new(),
            recognised: true,
        }
    }

    /// Puts the application's log back, each line in its place.
    pub(crate) fn restore(&mut self) {
        if !self.aside.is_empty() {
            self.lines.append(&mut self.aside);
            self.lines.sort_by_key(|line| line.number);
        }
    }

    /// Bytes of the output without the application's log.
    pub(crate) fn quiet_bytes(&self) -> usize {
        self.lines
            .iter()
            .filter(|line| line.log.is_none())
            .map(|line| line.span.len() + 1)
            .sum()
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

    /// A trace outside of any report: the failure itself where nothing else is, else what surrounds one.
    pub(crate) fn loose_block(&mut self) -> u32 {
        let block = self.block();
        self.loose.insert(block);
        block
    }

    /// Makes loose blocks a failure's surroundings where a runner's report has blocks of its own.
    pub(crate) fn settle_loose_blocks(&mut self) {
        if self.loose.is_empty() || self.loose.len() >= self.blocks as usize {
            return;
        }
        let loose = std::mem::take(&mut self.loose);
        for line in &mut self.lines {
            if line.rank > Rank::Context && loose.contains(&line.block) {
                line.rank = if line.rank >= Rank::Explain {
                    Rank::Context
                } else {
                    Rank::Noise
                };
                line.block = 0;
            }
        }
    }

    /// The text of a line, empty beyond the end.
    pub(crate) fn text(&self, at: usize) -> &str {
        self.lines.get(at).map_or("", |line| line.text.as_ref())
    }

    /// Returns true if any line begins with one of these, blanks apart.
    pub(crate) fn any_starts_with(&self, starts: &[&str]) -> bool {
        self.lines
            .iter()
            .any(|line| starts.iter().any(|start| line.trimmed().starts_with(start)))
    }
}

/// Takes the stamp off each line where the transport of the output (a CI, a container's log) has put one on all of them.
fn strip_transport(lines: &mut [Line<'_>]) {
    let said = lines.iter().filter(|line| !line.text.is_empty()).count();
    let stamped = lines
        .iter()
        .filter(|line| applog::behind_stamp(&line.text).is_some())
        .count();
    if said < 8 || stamped + 2 < said {
        return;
    }
    for line in lines {
        let Some(rest) = applog::behind_stamp_as_printed(&line.text) else {
            continue;
        };
        let start = line.text.len() - rest.len();
        line.text = match std::mem::take(&mut line.text) {
            Cow::Borrowed(text) => {
                line.span.start += start;
                Cow::Borrowed(text.get(start..).unwrap_or_default())
            }
            Cow::Owned(text) => Cow::Owned(text.get(start..).unwrap_or_default().to_owned()),
        };
    }
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
