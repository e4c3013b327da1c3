//! Parts of a text that is judged as a whole.

use std::ops::Range;

use super::{Redacted, Redactor};

/// A text in its own offsets, and what must not be shown of it: for whoever shows a few lines of a file, whose secrets
/// (a key over many lines, say) only the whole file gives away.
#[derive(Debug)]
pub struct Marked<'a> {
    bytes: &'a [u8],
    /// Sorted, without overlap, each with its label.
    secrets: Vec<(Range<usize>, String)>,
}

impl Redactor {
    /// Judges a whole text of which only parts will be shown.
    pub fn mark<'a>(&self, bytes: &'a [u8]) -> Marked<'a> {
        Marked::new(self, bytes)
    }
}

impl<'a> Marked<'a> {
    pub(super) fn new(redactor: &Redactor, bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            secrets: redactor.ranges(bytes),
        }
    }

    /// The secrets that touch `range`.
    fn touching(&self, range: &Range<usize>) -> &[(Range<usize>, String)] {
        let first = self
            .secrets
            .partition_point(|(secret, _)| secret.end <= range.start);
        let rest = self.secrets.get(first..).unwrap_or_default();
        let count = rest.partition_point(|(secret, _)| secret.start < range.end);
        rest.get(..count).unwrap_or_default()
    }

    /// Returns true if a secret touches `range`.
    pub fn hides(&self, range: Range<usize>) -> bool {
        !self.touching(&range).is_empty()
    }

    /// The text in `range`, each secret that touches it cut out with its label. What is not UTF-8 comes out as U+FFFD.
    pub fn part(&self, range: Range<usize>) -> Redacted {
        let kept = |from: usize, to: usize| {
            String::from_utf8_lossy(self.bytes.get(from..to).unwrap_or_default())
        };
        let mut out = String::new();
        let mut at = range.start;
        for (secret, label) in self.touching(&range) {
            out.push_str(&kept(at, secret.start.max(at)));
            out.push_str("[redacted:");
            out.push_str(label);
            out.push(']');
            at = secret.end.min(range.end);
        }
        out.push_str(&kept(at, range.end));
        Redacted::cut(out)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::KnownValues;

    fn redactor() -> Redactor {
        let mut known = KnownValues::new();
        known.add("key", "line-one-of-the-key\nline-two-of-the-key");
        Redactor::new(known, Vec::new())
    }

    #[test]
    fn a_part_shows_what_the_whole_would_show_of_it() {
        let text = "before line-one-of-the-key\nline-two-of-the-key after\nnext";
        let redactor = redactor();
        let marked = redactor.mark(text.as_bytes());
        let at = |word: &str| text.find(word).unwrap();
        assert_eq!(marked.part(0..text.len()), *redactor.text(text));
        let first = 0..at("\nline-two");
        assert_eq!(marked.part(first.clone()), "before [redacted:key]");
        assert!(marked.hides(first));
        let second = at("line-two")..at("\nnext");
        assert_eq!(marked.part(second), "[redacted:key] after");
        let third = at("next")..text.len();
        assert_eq!(marked.part(third.clone()), "next");
        assert!(!marked.hides(third));
        assert!(!marked.hides(0..7) && marked.hides(0..8));
    }
}
