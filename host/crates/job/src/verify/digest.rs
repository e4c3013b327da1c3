//! The explanation of a failure, out of a check's output, within the bytes that a reply has for it.

use std::sync::Arc;

use plugins::summarizer::{Content, Request};
use plugins::{PluginSet, Stage};
use redact::text;
use redact::{Redacted, Redactor};

/// The source of an output.
pub(super) struct Origin {
    /// The command line.
    pub(super) command: Option<String>,
    /// The end.
    pub(super) exit_code: Option<i32>,
}

/// Shortens an output that is redacted already: the first summarizer that understands it does. Where none does, or those
/// that might fail, the plain cut is left (D6). What a plugin wrote is redacted again: its text is its own.
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
            let fits = |text: &String| text.len() <= max_bytes && !text.trim().is_empty();
            plugins.output_summarizers().iter().find_map(|name| {
                let made = plugins.summarizer(name);
                match made.and_then(|summarizer| summarizer.summarize(&request)) {
                    Ok(summary) => Some(text::printable(&summary.text)).filter(fits),
                    // What it refuses is for the next one.
                    Err(error) if error.stage == Stage::Fault => None,
                    Err(error) => {
                        tracing::warn!(%error, "an output is shortened without this plugin");
                        None
                    }
                }
            })
        })
    };
    let made = call.await.ok().flatten();
    let digest = made.unwrap_or_else(|| text::head_tail(&output, max_bytes));
    redactor.text(digest.trim_end())
}
