//! Policy as WebAssembly components: checks, summarizers, redactors, dialects.

pub(crate) mod bundled;
pub mod facts;

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
