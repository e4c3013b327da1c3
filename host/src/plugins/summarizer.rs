//! Summarizer plugins: long output, shortened to what a reader needs.

use std::ops::Range;
use std::sync::Arc;

use super::loaded::Loaded;
use super::{Cost, Info, Limits, PluginError, Stage, limits, v0_1};

/// What kind of text it is.
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
    /// What kind of text it is.
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
    /// Which bytes of the input are in it as they were, sorted, at characters' boundaries.
    pub kept: Vec<Range<usize>>,
    /// Lines of the input that are not in it.
    pub elided_lines: u64,
}

/// A summarizer plugin.
#[derive(Clone)]
pub struct SummarizerPlugin {
    loaded: Arc<Loaded>,
}

impl SummarizerPlugin {
    pub(super) fn new(loaded: Arc<Loaded>) -> Self {
        SummarizerPlugin { loaded }
    }

    /// What the plugin says about itself.
    pub fn info(&self) -> &Info {
        &self.loaded.info
    }

    /// What its calls cost so far.
    pub fn cost(&self) -> Cost {
        self.loaded.cost()
    }

    /// Shortens a text, in an instance of its own. Blocks for as long as the plugin runs.
    ///
    /// # Errors
    /// Whatever keeps the plugin from a right answer; the caller then cuts the text plainly.
    pub fn summarize(&self, request: &Request<'_>) -> Result<Summary, PluginError> {
        if request.text.len() > Limits::TEXT {
            let what = format!(
                "is given at most {} of text",
                limits::bytes(Limits::TEXT as u64)
            );
            return Err(self.loaded.error(Stage::Input, what, ""));
        }
        let config = self.loaded.config(None)?;
        let mut summary = v0_1::summarizer(&self.loaded, config)?.summarize(request)?;
        if summary.text.len() > request.max_bytes {
            let what = format!(
                "gave {} bytes; {} were asked for",
                summary.text.len(),
                request.max_bytes
            );
            return Err(self.loaded.error(Stage::Output, what, "tell its author"));
        }
        let text = request.text;
        let mut end = 0;
        summary.kept.retain(|kept| {
            let right = kept.start >= end
                && kept.start < kept.end
                && text.is_char_boundary(kept.start)
                && text.is_char_boundary(kept.end);
            if right {
                end = kept.end;
            }
            right
        });
        Ok(summary)
    }
}
