//! The parts of every rule: its call, its reach, and its hits.

use std::borrow::Cow;

use crate::text::Text;

/// A rule: judges the literal of `len` bytes at `at`.
pub(crate) type Rule = fn(text: &Text<'_>, at: usize, len: usize, out: &mut Out);

/// A rule with a table of its own: judges the literal of `len` bytes at `at` by a row of the table.
pub(crate) type RowRule = fn(text: &Text<'_>, at: usize, len: usize, row: usize, out: &mut Out);

/// The function that judges a literal.
#[derive(Clone, Copy)]
pub(crate) enum Judge {
    /// A rule.
    Rule(Rule),
    /// A rule with a table, and the literal's row of it.
    Row(RowRule, u16),
}

impl Judge {
    /// Judges the literal of `len` bytes at `at`.
    #[inline]
    pub(crate) fn judge(self, text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
        match self {
            Self::Rule(rule) => rule(text, at, len, out),
            Self::Row(rule, row) => rule(text, at, len, usize::from(row), out),
        }
    }
}

/// Literals that one function judges: the only way in which a rule is registered. A file of rules
/// lists its families in a constant `RULES`, and `rules/mod.rs` lists those.
#[derive(Clone, Copy)]
pub(crate) struct Family {
    /// The text may have them in either case.
    pub(crate) literals: &'static [&'static str],
    pub(crate) judge: Judge,
    pub(crate) reach: Reach,
}

impl Family {
    /// Literals of a rule.
    pub(crate) const fn new(literals: &'static [&'static str], rule: Rule, reach: Reach) -> Self {
        Self {
            literals,
            judge: Judge::Rule(rule),
            reach,
        }
    }

    /// Literals of a row of a rule's table.
    pub(crate) const fn row(
        literals: &'static [&'static str],
        rule: RowRule,
        row: usize,
        reach: Reach,
    ) -> Self {
        assert!(row <= u16::MAX as usize, "at most 65,536 rows");
        Self {
            literals,
            judge: Judge::Row(rule, row as u16),
            reach,
        }
    }
}

/// Makes a family of each row of a table: the literals of the row of an index, the rule that judges
/// them, and its reach.
macro_rules! families {
    ($table:expr, |$row:ident| $literals:expr, $rule:expr, $reach:expr) => {
        &{
            let mut families = [Family::new(&[], |_, _, _, _| (), $reach); $table.len()];
            let mut $row = 0;
            while $row < $table.len() {
                families[$row] = Family::row($literals, $rule, $row, $reach);
                $row += 1;
            }
            families
        }
    };
}
pub(crate) use families;

/// The reach of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Bytes before the anchor in which a hit may start.
    pub(crate) back: usize,
    /// Bytes from the start of the anchor.
    pub(crate) ahead: usize,
}

/// The most bytes back that a rule looks for context.
pub(crate) const BEHIND: usize = 512;

pub(crate) const NEAR: Reach = Reach {
    back: 0,
    ahead: 4 * 1024,
};
pub(crate) const AROUND: Reach = Reach {
    back: 256,
    ahead: 4 * 1024,
};
pub(crate) const KEY_BLOCK: Reach = Reach {
    back: 6 * 1024,
    ahead: 40 * 1024,
};
pub(crate) const KEY: Reach = Reach {
    back: 0,
    ahead: 40 * 1024,
};
pub(crate) const ENCODED: Reach = Reach {
    back: 1024,
    ahead: 4 * 1024,
};
pub(crate) const DOCUMENT: Reach = Reach {
    back: 0,
    ahead: 16 * 1024,
};

/// A secret found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// The kind of secret.
    pub label: Cow<'static, str>,
}

/// The hits of the rules.
#[derive(Default)]
pub(crate) struct Out {
    pub(crate) found: Vec<Found>,
}

impl Out {
    pub(crate) fn hit(&mut self, start: usize, end: usize, label: impl Into<Cow<'static, str>>) {
        if start < end {
            self.found.push(Found {
                start,
                end,
                label: label.into(),
            });
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.found.len()
    }

    /// First byte and the one after the last of each hit.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (usize, usize)> {
        self.found.iter().map(|found| (found.start, found.end))
    }
}
