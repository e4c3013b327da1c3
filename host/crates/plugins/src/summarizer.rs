//! The input of a summarizer: a long text, and the short one.

use std::ops::Range;

/// The kind of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A log.
    Log,
    /// A unified diff.
    Diff,
    /// Output of a test run.
    TestOutput,
    /// Output of any other command.
    CommandOutput,
    /// Anything else.
    Other,
}

/// A text to be shortened.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The kind of text.
    pub content: Content,
    /// The text; at most 32 MiB.
    pub text: &'a str,
    /// The command line or tool that it comes from.
    pub origin: Option<&'a str>,
    /// Exit code of the command that printed it.
    pub exit_code: Option<i32>,
    /// The longest that the summary may be.
    pub max_bytes: usize,
}

/// A shortened text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// At most as long as was asked for.
    pub text: String,
    /// The ranges of the input that are in it unchanged, sorted, at characters' boundaries.
    pub kept: Vec<Range<usize>>,
    /// Lines of the input that are not in it.
    pub elided_lines: u64,
}
