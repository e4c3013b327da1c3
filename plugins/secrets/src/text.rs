//! The text around an anchor, as the rules see it.

use std::cell::Cell;

use crate::class::Class;
use crate::memory::{Memory, Sign, Walk};

/// A window on the text in which a rule may look. Bytes outside it read as 0, which no rule takes
/// for part of a secret.
///
/// Rules need no care for cut text: a look beyond the end of the text so far is noticed, and the
/// anchor is judged again once there is more.
pub(crate) struct Text<'a> {
    bytes: &'a [u8],
    floor: usize,
    limit: usize,
    open: bool,
    cut: Cell<bool>,
    memory: &'a Memory,
}

impl<'a> Text<'a> {
    /// The window that decides about the anchor at `at`: `behind` bytes before it and `ahead` bytes
    /// after its start.
    pub(crate) fn around(
        bytes: &'a [u8],
        at: usize,
        behind: usize,
        ahead: usize,
        last: bool,
        memory: &'a Memory,
    ) -> Self {
        let limit = at.saturating_add(ahead);
        Self {
            bytes,
            floor: at.saturating_sub(behind),
            limit: limit.min(bytes.len()),
            open: !last && limit > bytes.len(),
            cut: Cell::new(false),
            memory,
        }
    }

    /// Returns true if a rule looked beyond the end of the text so far.
    pub(crate) fn was_cut(&self) -> bool {
        self.cut.get()
    }

    /// The byte at `i`, 0 where there is none.
    #[inline]
    pub(crate) fn at(&self, i: usize) -> u8 {
        if i < self.limit {
            if i < self.floor { 0 } else { self.bytes[i] }
        } else {
            if self.open {
                self.cut.set(true);
            }
            0
        }
    }

    /// The byte before `i`.
    pub(crate) fn before(&self, i: usize) -> u8 {
        if i == 0 { 0 } else { self.at(i - 1) }
    }

    /// The first byte of the window.
    pub(crate) fn floor(&self) -> usize {
        self.floor
    }

    /// The bytes from `from` to `to`, as far as they are in the window.
    pub(crate) fn slice(&self, from: usize, to: usize) -> &'a [u8] {
        let to = to.min(self.limit);
        let from = from.max(self.floor).min(to);
        &self.bytes[from..to]
    }

    pub(crate) fn starts(&self, i: usize, with: &[u8]) -> bool {
        with.iter().enumerate().all(|(k, &b)| self.at(i + k) == b)
    }

    /// The same for either case of ASCII letters; `with` is lower case.
    pub(crate) fn starts_ci(&self, i: usize, with: &[u8]) -> bool {
        with.iter()
            .enumerate()
            .all(|(k, &b)| self.at(i + k).to_ascii_lowercase() == b)
    }

    /// Returns true if the text before `i` ends with `with` (lower case, either case in the text).
    pub(crate) fn ends_ci(&self, i: usize, with: &[u8]) -> bool {
        i >= with.len() && self.starts_ci(i - with.len(), with)
    }

    /// The end of the run of bytes from `i` on that `class` takes.
    pub(crate) fn run(&self, i: usize, class: impl Fn(u8) -> bool) -> usize {
        let mut end = i;
        while class(self.at(end)) {
            end += 1;
        }
        end
    }

    /// The same for a run of at most `most` bytes.
    pub(crate) fn run_most(&self, i: usize, most: usize, class: impl Fn(u8) -> bool) -> usize {
        let mut end = i;
        while end - i < most && class(self.at(end)) {
            end += 1;
        }
        end
    }

    /// The same, for a class whose runs are remembered: anchors may be close together in one long
    /// run, which is walked once.
    pub(crate) fn run_of(&self, i: usize, most: usize, class: Class) -> usize {
        if i < self.floor || i >= self.limit {
            if most > 0 {
                self.at(i);
            }
            return i;
        }
        let stop = self.memory.run(self.bytes, i, class);
        let end = stop.min(i.saturating_add(most)).min(self.limit);
        if end == self.limit && end - i < most {
            // As a look at what has not come.
            self.at(end);
        }
        end
    }

    /// The start of the run of bytes before `i` that `class` takes, at most `most` bytes back.
    pub(crate) fn run_back(&self, i: usize, most: usize, class: impl Fn(u8) -> bool) -> usize {
        let mut start = i;
        while start > 0 && i - start < most && class(self.at(start - 1)) {
            start -= 1;
        }
        start
    }

    /// The same, for a class whose runs are remembered.
    pub(crate) fn run_back_of(&self, i: usize, most: usize, class: Class) -> usize {
        let seen = i.min(self.limit);
        let most = most.min(seen.saturating_sub(self.floor));
        if seen < i {
            return i;
        }
        self.memory.run_back(self.bytes, i, most, class)
    }

    /// Skips spaces and tabs.
    pub(crate) fn blanks(&self, i: usize) -> usize {
        self.run(i, |b| b == b' ' || b == b'\t')
    }

    /// The start of the line that holds `i`; a line break written out as `\n` counts.
    pub(crate) fn line_start(&self, i: usize) -> usize {
        if i > self.limit {
            return i;
        }
        self.memory.line_start(i, self.floor, |start| {
            let b = self.bytes[start - 1];
            b == b'\n' || (b == b'n' && start >= self.floor + 2 && self.bytes[start - 2] == b'\\')
        })
    }

    /// The end of a walk from `from`, at most `most` bytes on. `step` returns the next place, or
    /// none where the walk ends; it may look at the next 80 bytes and at nothing before.
    pub(crate) fn walk(
        &self,
        walk: Walk,
        from: usize,
        most: usize,
        step: impl Fn(usize) -> Option<usize>,
    ) -> usize {
        const AHEAD: usize = 80;
        let stop = from.saturating_add(most);
        let mut i = self.memory.walked(walk, from).min(stop);
        while i < stop {
            let Some(next) = step(i) else { break };
            i = next;
        }
        // The text at the end of the window may continue.
        let known = i.min(self.limit.saturating_sub(AHEAD));
        if known > from {
            self.memory.walk(walk, from, known);
        }
        i
    }

    /// Returns true if `sign` is known not to begin within `span` bytes from `from`; false also
    /// where that cannot be known.
    pub(crate) fn lacks(&self, from: usize, span: usize, sign: Sign) -> bool {
        !self.open
            && self.floor <= from
            && from <= self.limit
            && self
                .memory
                .lacks(self.bytes, from, (from + span).min(self.limit), sign)
    }

    /// Skips one line break: `\n`, `\r\n`, or either written out with backslashes.
    pub(crate) fn line_break(&self, i: usize) -> Option<usize> {
        match self.at(i) {
            b'\n' => Some(i + 1),
            b'\r' if self.at(i + 1) == b'\n' => Some(i + 2),
            b'\r' => Some(i + 1),
            b'\\' => {
                let mut end = self.run(i, |b| b == b'\\');
                if end - i > 4 {
                    return None;
                }
                match self.at(end) {
                    b'n' => Some(end + 1),
                    b'r' => {
                        end += 1;
                        let more = self.run(end, |b| b == b'\\');
                        Some(if more > end && self.at(more) == b'n' {
                            more + 1
                        } else {
                            end
                        })
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }
}
