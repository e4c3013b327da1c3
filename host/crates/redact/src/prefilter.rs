//! The native search for a scanner's literals, and the windows around them.

use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};

use super::scanner::ScanNeeds;

/// A compiled prefilter.
pub(super) struct Windows {
    literals: AhoCorasick,
    /// By pattern: bytes before and after its start.
    margins: Vec<(usize, usize)>,
    longest: usize,
    widest_before: usize,
}

impl Windows {
    /// None where the scanner must see every byte, or declares literals that cannot be compiled.
    pub(super) fn compile(needs: &ScanNeeds) -> Option<Self> {
        let mut patterns: Vec<&str> = Vec::new();
        let mut margins = Vec::new();
        for group in &needs.prefilter {
            for literal in &group.literals {
                if literal.is_empty() {
                    return None;
                }
                patterns.push(literal);
                margins.push((group.before, group.after.max(literal.len())));
            }
        }
        if patterns.is_empty() {
            return None;
        }
        // One automaton for all groups: looking at more text than asked for changes nothing.
        let ignore_case = needs.prefilter.iter().any(|group| group.ignore_case);
        let literals = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(ignore_case)
            .build(&patterns)
            .ok()?;
        Some(Self {
            literals,
            longest: patterns
                .iter()
                .map(|literal| literal.len())
                .max()
                .unwrap_or(0),
            widest_before: margins.iter().map(|&(before, _)| before).max().unwrap_or(0),
            margins,
        })
    }

    /// The parts of `text` that can matter, in order and apart from each other. A part that ends with the text may
    /// continue beyond it.
    pub(super) fn of(&self, text: &[u8]) -> Vec<Range<usize>> {
        let Ok(found) = self.literals.try_find_overlapping_iter(text) else {
            return std::iter::once(0..text.len()).collect();
        };
        let mut around: Vec<Range<usize>> = Vec::new();
        for literal in found {
            let (before, after) = self
                .margins
                .get(literal.pattern().as_usize())
                .copied()
                .unwrap_or((usize::MAX, 0));
            let start = literal.start().saturating_sub(before);
            let end = literal.start().saturating_add(after).min(text.len());
            match around.last_mut() {
                Some(previous) if previous.start <= start && start <= previous.end => {
                    previous.end = previous.end.max(end)
                }
                _ => around.push(start..end),
            }
        }
        // Groups have margins of their own, so a later literal may reach further back.
        around.sort_unstable_by_key(|part| part.start);
        let mut parts: Vec<Range<usize>> = Vec::with_capacity(around.len());
        for part in around {
            match parts.last_mut() {
                Some(previous) if part.start <= previous.end => {
                    previous.end = previous.end.max(part.end)
                }
                _ => parts.push(part),
            }
        }
        parts
    }

    /// The distance from the end of the text at which a hit may start that is caused by a literal
    /// not seen yet.
    pub(super) fn reach_back(&self) -> usize {
        self.widest_before + self.longest
    }
}
