//! The memory of one pass over a text: of each question whose answer does not depend on who asks,
//! the last answer. A text in which anchors are close together costs about its length, not its
//! length times the reach of the rules.

use std::cell::Cell;

use crate::class::{CLASSES, Class};

/// Walks over text that anything may follow, up to a place that only the bytes there decide about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walk {
    /// To the end of an unquoted value.
    Unquoted,
    /// To the end of the line or of the string that holds a header.
    Header,
    /// To the end of the line.
    LineEnd,
    /// To the end of a value that stands in for a variable.
    Default,
    /// To the next `@` of a URL, or to its end.
    Authority,
}

const WALKS: usize = Walk::Authority as usize + 1;

/// Signs without which a rule has nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// `@`
    At,
    /// `%40`
    EncodedAt,
}

impl Sign {
    fn bytes(self) -> &'static [u8] {
        match self {
            Self::At => b"@",
            Self::EncodedAt => b"%40",
        }
    }
}

const SIGNS: usize = Sign::EncodedAt as usize + 1;

/// The memory of one pass over one text.
#[derive(Default)]
pub(crate) struct Memory {
    /// By class: the run looked at last, its first byte and the one after its last.
    runs: [Cell<(usize, usize)>; CLASSES],
    /// By walk: from where to where it is known not to end.
    walks: [Cell<(usize, usize)>; WALKS],
    /// By sign: from where to where it does not stand.
    absent: [Cell<(usize, usize)>; SIGNS],
    /// Behind the first place and up to the second no line begins.
    line: Cell<(usize, usize)>,
}

impl Memory {
    /// The end of the run of `class` in `bytes` that begins at `i`.
    pub(crate) fn run(&self, bytes: &[u8], i: usize, class: Class) -> usize {
        let known = &self.runs[class as usize];
        let (from, to) = known.get();
        if from <= i && i < to {
            return to;
        }
        let mut end = i;
        while let Some(&b) = bytes.get(end) {
            if end == from && from < to {
                end = to;
                break;
            }
            if !class.takes(b) {
                break;
            }
            end += 1;
        }
        if end > i {
            known.set((i, end));
        }
        end
    }

    /// The start of the run of `class` before `i`, at most `most` bytes back.
    pub(crate) fn run_back(&self, bytes: &[u8], i: usize, most: usize, class: Class) -> usize {
        let known = &self.runs[class as usize];
        let (from, to) = known.get();
        let floor = i.saturating_sub(most);
        let mut start = i;
        while start > floor && class.takes(bytes[start - 1]) {
            start = if from < start && start <= to {
                from
            } else {
                start - 1
            };
        }
        if start < from && from <= i && i <= to {
            known.set((start, to));
        }
        start.max(floor)
    }

    /// The place from which on a walk that begins at `from` may end: the text before it is known.
    pub(crate) fn walked(&self, walk: Walk, from: usize) -> usize {
        let (start, to) = self.walks[walk as usize].get();
        if start <= from && from < to { to } else { from }
    }

    /// Notes that a walk does not end before `to`, begun anywhere from `from` on.
    pub(crate) fn walk(&self, walk: Walk, from: usize, to: usize) {
        let known = &self.walks[walk as usize];
        let (start, end) = known.get();
        if start <= from && from < end {
            known.set((start, to.max(end)));
        } else if from < to {
            known.set((from, to));
        }
    }

    /// Returns true if a sign does not begin in `bytes` from `from` to `to`.
    pub(crate) fn lacks(&self, bytes: &[u8], from: usize, to: usize, sign: Sign) -> bool {
        let known = &self.absent[sign as usize];
        let (start, end) = known.get();
        let (start, mut i) = if start <= from && from < end {
            (start, end)
        } else {
            (from, from)
        };
        let first = sign.bytes()[0];
        while i < to && !(bytes[i] == first && bytes[i..].starts_with(sign.bytes())) {
            i += 1;
        }
        known.set((start, i.max(from)));
        i >= to
    }

    /// The start of the line that holds `i`, not before `floor`; `begins` returns true where a line
    /// begins.
    pub(crate) fn line_start(
        &self,
        i: usize,
        floor: usize,
        begins: impl Fn(usize) -> bool,
    ) -> usize {
        let (low, high) = self.line.get();
        let mut start = i;
        while start > floor {
            if low < start && start <= high {
                start = low;
                continue;
            }
            if begins(start) {
                break;
            }
            start -= 1;
        }
        // What begins a line right behind the floor is not to be seen.
        let seen = start.max(floor + 1);
        if low < i && i <= high {
            self.line.set((seen.min(low), high));
        } else if seen < i {
            self.line.set((seen, i));
        }
        start.max(floor)
    }
}
