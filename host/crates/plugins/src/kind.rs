//! The four kinds of plugins.

/// The kind of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Passes or fails a job.
    Check,
    /// Shortens long output.
    Summarizer,
    /// Finds secrets.
    Redactor,
    /// Speaks one gateway's form of chat completions.
    Dialect,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 4] = [Kind::Check, Kind::Summarizer, Kind::Redactor, Kind::Dialect];

    /// The word for it, in manifests, messages and the names of WIT interfaces.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Check => "check",
            Kind::Summarizer => "summarizer",
            Kind::Redactor => "redactor",
            Kind::Dialect => "dialect",
        }
    }

    /// The kind of that word.
    pub fn from_word(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}
