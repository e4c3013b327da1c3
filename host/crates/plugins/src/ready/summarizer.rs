//! A summarizer: long output, shortened to what a reader needs.

use crate::summarizer::{Request, Summary};
use crate::v1::plugin::Plugin;
use crate::{Cost, Info, Limits, PluginError, Stage, limits};

/// A summarizer plugin.
#[derive(Clone)]
pub struct SummarizerPlugin {
    plugin: Plugin,
}

impl SummarizerPlugin {
    pub(crate) fn new(plugin: Plugin) -> Self {
        SummarizerPlugin { plugin }
    }

    /// Returns the plugin's information about itself.
    pub fn info(&self) -> &Info {
        &self.plugin.loaded.info
    }

    /// Returns the cost of its calls so far.
    pub fn cost(&self) -> Cost {
        self.plugin.loaded.cost()
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
            return Err(self.plugin.loaded.error(Stage::Input, what, ""));
        }
        let config = self.plugin.loaded.config(None)?;
        let mut summary = self.plugin.summarizer(config)?.summarize(request)?;
        if summary.text.len() > request.max_bytes {
            let what = format!(
                "gave {} bytes; {} were asked for",
                summary.text.len(),
                request.max_bytes
            );
            return Err(self
                .plugin
                .loaded
                .error(Stage::Output, what, "tell its author"));
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
