//! The lines of a text, and which parts of them may be shown.

use std::ops::Range;

use redact::{Marked, Redacted, Redactor, text};

/// The most bytes of one line in a reply.
pub(super) const LINE_MAX: usize = 300;
/// The number of bytes that are judged around what is shown of a file: more than any rule of the
/// redactors looks at.
const JUDGED_AROUND: usize = 64 << 10;

/// The lines of a text, by number from 0.
pub(super) struct Lines<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        let mut starts = vec![0];
        starts.extend(memchr::memchr_iter(b'\n', bytes).map(|at| at + 1));
        if starts.last() == Some(&bytes.len()) {
            starts.pop();
        }
        Self { bytes, starts }
    }

    pub(super) fn count(&self) -> usize {
        self.starts.len()
    }

    /// The range of a line, without its end.
    pub(super) fn range(&self, line: usize) -> Range<usize> {
        let start = self.starts.get(line).copied().unwrap_or(self.bytes.len());
        let next = self.starts.get(line + 1).copied();
        let end = next.unwrap_or(self.bytes.len()).max(start);
        let whole = self.bytes.get(start..end).unwrap_or_default();
        start..end - usize::from(whole.ends_with(b"\n"))
    }

    /// A line as it is.
    pub(super) fn bytes(&self, line: usize) -> &'a [u8] {
        self.bytes.get(self.range(line)).unwrap_or_default()
    }

    /// The line that a byte stands in.
    pub(super) fn at(&self, byte: usize) -> usize {
        self.starts
            .partition_point(|start| *start <= byte)
            .saturating_sub(1)
    }

    /// Judges what is to be shown: `wanted` are ranges of lines, sorted.
    pub(super) fn judge(&self, redactor: &Redactor, wanted: &[Range<usize>]) -> Judged<'a> {
        let mut windows: Vec<Range<usize>> = Vec::new();
        for lines in wanted.iter().filter(|lines| !lines.is_empty()) {
            let from = self.range(lines.start).start;
            let to = self.range(lines.end - 1).end;
            // Whole lines, so that no secret is cut before the rule that knows it.
            let from = self
                .range(self.at(from.saturating_sub(JUDGED_AROUND)))
                .start;
            let to = self
                .range(self.at(to.saturating_add(JUDGED_AROUND)))
                .end
                .max(to);
            match windows.last_mut() {
                Some(last) if last.end >= from => last.end = last.end.max(to),
                _ => windows.push(from..to),
            }
        }
        let windows = windows.into_iter().map(|window| {
            let bytes = self.bytes.get(window.clone()).unwrap_or_default();
            (window, redactor.mark(bytes))
        });
        Judged {
            windows: windows.collect(),
        }
    }
}

/// The parts of a text that may be shown, each in its offsets.
pub(super) struct Judged<'a> {
    pub(super) windows: Vec<(Range<usize>, Marked<'a>)>,
}

impl Judged<'_> {
    pub(super) fn window(&self, range: &Range<usize>) -> Option<&(Range<usize>, Marked<'_>)> {
        self.windows
            .iter()
            .find(|(window, _)| window.start <= range.start && range.end <= window.end)
    }

    /// Returns true if a secret touches these bytes; what was not judged counts as one.
    pub(super) fn hides(&self, range: Range<usize>) -> bool {
        self.window(&range).is_none_or(|(window, marked)| {
            marked.hides(range.start - window.start..range.end - window.start)
        })
    }

    /// A part of a line, ready to be shown; what was not judged is not.
    pub(super) fn part(&self, range: Range<usize>) -> String {
        let part = self.window(&range).map(|(window, marked)| {
            marked.part(range.start - window.start..range.end - window.start)
        });
        let part = part.unwrap_or_else(|| Redacted::from_static("[withheld]"));
        text::printable(&part)
    }

    /// A line, cut around `focus` (from the line's start) where it is too long.
    pub(super) fn line(&self, lines: &Lines<'_>, line: usize, focus: usize) -> String {
        let whole = lines.range(line);
        if whole.len() <= LINE_MAX {
            return self.part(whole);
        }
        let inside = |at: usize| {
            // Not within a character.
            let mut at = at.min(whole.end);
            while at < whole.end && lines.bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80) {
                at += 1;
            }
            at
        };
        let last = whole.end - LINE_MAX;
        let from = inside((whole.start + focus.saturating_sub(LINE_MAX / 3)).min(last));
        let to = inside(from + LINE_MAX);
        let before = if from > whole.start { "..." } else { "" };
        let after = if to < whole.end { "..." } else { "" };
        format!("{before}{}{after}", self.part(from..to))
    }
}

/// Puts ranges together that touch, sorted.
pub(super) fn merged(mut ranges: Vec<Range<usize>>, gap: usize) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end + gap => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}
