//! What explains a failure, out of a check's output, within the bytes that a reply has for it.

use std::sync::Arc;

use crate::plugins::PluginSet;
use crate::plugins::summarizer::{Content, Request};
use crate::redact::{Redacted, Redactor};
use crate::report::text;

/// The summarizer of every output; an operator's plugin of this name takes its place.
const SUMMARIZER: &str = "test-output";

/// Where an output comes from.
pub(super) struct Origin {
    /// The command line.
    pub(super) command: Option<String>,
    /// How it ended.
    pub(super) exit_code: Option<i32>,
}

/// Shortens an output that is redacted already. A summarizer that fails leaves the plain cut (D6), and what it wrote is
/// redacted again: its text is its own.
pub(super) async fn digest(
    output: &str,
    origin: &Origin,
    max_bytes: usize,
    plugins: &PluginSet,
    redactor: &Redactor,
) -> Redacted {
    let output: Arc<str> = text::printable(output).into();
    let max_bytes = max_bytes.min(output.trim_end().len());
    let call = {
        let (plugins, output) = (plugins.clone(), Arc::clone(&output));
        let (command, exit_code) = (origin.command.clone(), origin.exit_code);
        // Loading compiles the component when it is not cached: not on a thread that serves others.
        tokio::task::spawn_blocking(move || {
            let request = Request {
                content: Content::TestOutput,
                text: &output,
                origin: command.as_deref(),
                exit_code,
                max_bytes,
            };
            plugins.summarizer(SUMMARIZER)?.summarize(&request)
        })
    };
    let made = match call.await {
        Ok(Ok(summary)) => Some(text::printable(&summary.text)),
        Ok(Err(error)) => {
            tracing::warn!(%error, "an output was cut plainly");
            None
        }
        Err(_) => None,
    };
    let fits = |text: &String| text.len() <= max_bytes && !text.trim().is_empty();
    let digest = made
        .filter(fits)
        .unwrap_or_else(|| text::head_tail(&output, max_bytes));
    redactor.text(digest.trim_end())
}
