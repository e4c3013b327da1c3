//! Text that may be shown.

use std::fmt;
use std::ops::Deref;

use serde::{Serialize, Serializer};

/// Text that has been through redaction. It is what logs, records and MCP replies accept.
///
/// Only a [`Redactor`](super::Redactor) makes it from arbitrary text; pieces of redacted text stay redacted, and so does
/// text that stands in the program.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Redacted(String);

impl Redacted {
    /// For `redact` alone: the text has been cut.
    pub(super) fn cut(text: String) -> Self {
        Self(text)
    }

    /// Text that stands in the program itself.
    pub fn from_static(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// Appends.
    pub fn push(&mut self, more: &Self) {
        self.0.push_str(&more.0);
    }

    /// Appends text that stands in the program itself.
    pub fn push_static(&mut self, more: &'static str) {
        self.0.push_str(more);
    }

    /// Joins pieces with a separator.
    pub fn join<'a>(pieces: impl IntoIterator<Item = &'a Self>, separator: &'static str) -> Self {
        let mut joined = String::new();
        for (index, piece) in pieces.into_iter().enumerate() {
            if index > 0 {
                joined.push_str(separator);
            }
            joined.push_str(&piece.0);
        }
        Self(joined)
    }

    /// The longest beginning of at most `max_bytes` bytes that ends at a character boundary.
    pub fn head(&self, max_bytes: usize) -> Self {
        Self(self.0[..self.0.floor_char_boundary(max_bytes)].to_owned())
    }

    /// The longest end of at most `max_bytes` bytes that starts at a character boundary.
    pub fn tail(&self, max_bytes: usize) -> Self {
        let from = self
            .0
            .ceil_char_boundary(self.0.len().saturating_sub(max_bytes));
        Self(self.0[from..].to_owned())
    }

    /// Shows the characters that make text run the other way: with them a line reads otherwise than a compiler reads it.
    #[must_use]
    pub fn with_directions_shown(self) -> Self {
        let turns = |c: char| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if !self.0.contains(turns) {
            return self;
        }
        let mut shown = String::with_capacity(self.0.len() + 64);
        for c in self.0.chars() {
            match turns(c) {
                true => shown.extend(c.escape_unicode()),
                false => shown.push(c),
            }
        }
        Self(shown)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, as a `String`.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl FromIterator<&'static str> for Redacted {
    fn from_iter<I: IntoIterator<Item = &'static str>>(pieces: I) -> Self {
        Self(pieces.into_iter().collect())
    }
}

impl Deref for Redacted {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Redacted {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for Redacted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl PartialEq<str> for Redacted {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Redacted {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl From<Redacted> for String {
    fn from(text: Redacted) -> Self {
        text.0
    }
}
