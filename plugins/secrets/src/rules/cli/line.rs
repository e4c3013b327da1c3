//! The words of a command line.

use crate::quoting::{Place, quote_at, quoted_end, unquoted_end};
use crate::text::Text;

#[derive(Clone, Copy)]
pub(super) struct Word {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) after: usize,
}

/// The next shell word of the command at `i`; none at its end.
pub(super) fn word(text: &Text<'_>, i: usize) -> Option<Word> {
    let mut start = text.blanks(i);
    // A command may go on on the next line.
    if text.at(start) == b'\\' && text.at(start + 1) == b'\n' {
        start = text.blanks(start + 2);
    }
    // An argument list written as JSON.
    while matches!(text.at(start), b',' | b'[' | b']') {
        start = text.blanks(start + 1);
    }
    if text.line_break(start).is_some() || matches!(text.at(start), 0 | b'|' | b';' | b'&' | b')') {
        return None;
    }
    if let Some(quote) = quote_at(text, start) {
        let from = start + quote.length;
        let end = quoted_end(text, from, quote);
        let close = quote_at(text, end).map_or(0, |quote| quote.length);
        return Some(Word {
            start: from,
            end,
            after: end.max(from) + close,
        });
    }
    let end = unquoted_end(text, start, Place::Plain);
    if end == start {
        return Some(Word {
            start,
            end: start,
            after: start + 1,
        });
    }
    // `-p'value'`, of which an unquoted value ends before the first quote, or before the second.
    let mut after = end;
    let mut stop = end;
    let mark = text.at(end);
    if matches!(mark, b'\'' | b'"')
        && text.at(end.wrapping_sub(1)) != b' '
        && let Some(quote) = quote_at(text, end)
    {
        let marks = text.slice(start, end).iter().filter(|&&b| b == mark);
        if marks.count().is_multiple_of(2) {
            stop = quoted_end(text, end + quote.length, quote);
        }
        after = stop + 1;
    }
    Some(Word {
        start,
        end: stop,
        after,
    })
}

/// The words behind a command, each looked for once.
pub(super) struct Line<'a> {
    text: &'a Text<'a>,
    words: Vec<Word>,
    /// The place where the next word is looked for; none behind the last.
    next: Option<usize>,
}

impl<'a> Line<'a> {
    /// The most words that are looked at.
    pub(super) const MOST: usize = 60;

    pub(super) fn new(text: &'a Text<'a>, from: usize) -> Self {
        Self {
            text,
            words: Vec::new(),
            next: Some(from),
        }
    }

    pub(super) fn word(&mut self, index: usize) -> Option<Word> {
        while self.words.len() <= index {
            let word = word(self.text, self.next?);
            self.next = word.map(|word| word.after);
            self.words.push(word?);
        }
        self.words.get(index).copied()
    }
}
