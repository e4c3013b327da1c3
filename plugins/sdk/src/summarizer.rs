//! Summarizers: long output, shortened to what a reader needs.

use serde::de::DeserializeOwned;

pub use crate::bindings::summarizer::exports::mcp_codex_worker::summarizer::summarizer::{
    Content, Summary,
};
use crate::settings::Fault;

/// The text to shorten.
#[derive(Debug, Clone)]
pub struct Request {
    /// The kind of text, as far as the host knows.
    pub content: Content,
    /// The text, redacted already; at most 32 MiB.
    pub text: String,
    /// The command line, tool or language that it comes from, when known: `cargo test`, `npm test`.
    pub origin: Option<String>,
    /// Exit code of the command that printed it.
    pub exit_code: Option<i32>,
    /// The most bytes that the summary may have.
    pub max_bytes: u32,
}

/// A summarizer. [`summarizer!`](crate::summarizer!) makes a component of it.
pub trait Summarizer: Sized {
    /// The operator's settings; [`NoSettings`](crate::NoSettings) for nothing.
    type Settings: DeserializeOwned;

    /// One line for `plugin list`.
    const SUMMARY: &'static str;

    /// JSON Schema of the settings, if there is one.
    const SCHEMA: Option<&'static str> = None;

    /// Makes the summarizer, or says what is wrong with the settings.
    ///
    /// # Errors
    /// [`Fault::BadSettings`], naming the key.
    fn new(settings: Self::Settings) -> Result<Self, Fault>;

    /// Shortens `request.text` to at most `request.max_bytes`.
    ///
    /// # Errors
    /// A fault makes the host cut the text plainly, and note that it did.
    fn summarize(&self, request: &Request) -> Result<Summary, Fault>;
}

/// Makes a summarizer component of a type that implements [`Summarizer`](trait@crate::Summarizer).
#[macro_export]
macro_rules! summarizer {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            $crate::__plugin!($plugin, $crate::Summarizer);
            $crate::__describe!($plugin, $crate::Summarizer);
            impl $crate::bindings::summarizer::exports::mcp_codex_worker::summarizer::summarizer::Guest
                for Component
            {
                fn summarize(
                    request: $crate::bindings::summarizer::exports::mcp_codex_worker::summarizer::summarizer::Request,
                ) -> Result<$crate::Summary, $crate::Fault> {
                    let request = $crate::Request {
                        content: request.content,
                        text: $crate::glue::input_text()?,
                        origin: request.origin,
                        exit_code: request.exit_code,
                        max_bytes: request.max_bytes,
                    };
                    with_plugin(|plugin| $crate::Summarizer::summarize(plugin, &request))
                }
            }
            $crate::bindings::summarizer::export!(Component with_types_in $crate::bindings::summarizer);
        };
    };
}
