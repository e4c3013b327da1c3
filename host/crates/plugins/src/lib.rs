//! Policy as WebAssembly components: checks, summarizers, redactors, dialects.
//!
//! [`Engine`] compiles and caches, [`PluginSet`] is what the operator configured on top of what is bundled, each kind has a
//! file with the types that it works on, and `ready` has what calls it. A component gets a log and its own settings; anything more is granted by
//! name. Calls are synchronous and end by a deadline. Names of the wire types and conversions stand in [`v0_1`] alone, so
//! that a next version of `wit/` can be served beside this one.

mod bundled;
mod cache;
pub mod check;
mod complexity;
mod config;
mod convert;
pub mod engine;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod grants;
mod host;
mod instance;
mod limits;
pub mod loaded;
mod log;
pub mod manifest;
mod ready;
mod schema;
mod set;
pub mod settings;
mod source;
pub mod summarizer;
mod v0_1;

pub use bundled::{BUNDLED, Bundled};
pub use cache::unused_compiled;
pub use check::Snapshot;
pub use config::{Config, Place};
pub use engine::Engine;
pub use error::{PluginError, Stage};
pub use limits::Limits;
pub use loaded::{Cost, Info};
pub use ready::{CheckPlugin, DialectPlugin, RedactorPlugin, SummarizerPlugin, Translation};
pub use set::{Inspection, Listed, PluginSet};
pub use settings::{Entry, PLUGIN_MAX_BYTES, PluginSettings};

/// What a plugin does.
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
