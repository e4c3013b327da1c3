//! Dialects: canonical chat completions to one gateway's form, and back.

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use crate::bindings::dialect::exports::mcp_codex_worker::dialect::dialect::{
    Failure, Header, Outbound, Reply, Sse, Verdict,
};
use crate::settings::Fault;

/// A dialect, for a gateway with a form of its own. One that only has facts of its own needs no plugin: they are a few lines
/// of the operator's configuration. [`dialect!`](crate::dialect!) makes a component of it.
pub trait Dialect: Sized {
    /// The operator's settings; [`NoSettings`](crate::NoSettings) for nothing.
    type Settings: DeserializeOwned;

    /// One line for `plugin list`.
    const SUMMARY: &'static str;

    /// JSON Schema of the settings, if there is one.
    const SCHEMA: Option<&'static str> = None;

    /// Makes the dialect, or says what is wrong with the settings.
    ///
    /// # Errors
    /// [`Fault::BadSettings`], naming the key.
    fn new(settings: Self::Settings) -> Result<Self, Fault>;

    /// Gateways that this dialect is for: host names with an optional path, as in `*.openai.azure.com`.
    fn recognizes(&self) -> Vec<String>;

    /// Returns the facts of the gateway and of this model on it, as `facts.schema.json` in `wit/` describes it: a
    /// [`json!`](crate::json!) object with what differs from a plain OpenAI-compatible gateway.
    ///
    /// # Errors
    /// A fault becomes an error of each request for this model.
    fn facts(&self, model: &str) -> Result<Value, Fault>;

    /// Rewrites a canonical request to which the facts have been applied. Called only when
    /// the fact `canonical-request` is false.
    ///
    /// # Errors
    /// A fault becomes a 400 to the caller.
    fn request(&self, body: Vec<u8>, model: &str) -> Result<Outbound, Fault> {
        let _ = model;
        Ok(Outbound {
            path: None,
            headers: Vec::new(),
            body,
        })
    }

    /// Makes a whole reply canonical. Called only when the fact `canonical-response` is false.
    ///
    /// # Errors
    /// A fault becomes an upstream error.
    fn response(&self, reply: Reply, model: &str) -> Result<Vec<u8>, Fault> {
        let _ = model;
        Ok(reply.body)
    }

    /// Returns the meaning of an error reply. Called only when the fact `canonical-errors` is false.
    fn classify(&self, reply: &Reply) -> Verdict {
        Verdict::unknown(String::from_utf8_lossy(&reply.body).into_owned())
    }

    /// Makes one streamed reply canonical. Called only when the fact `canonical-stream` is false.
    fn translation(&self, model: &str) -> Box<dyn Translation> {
        let _ = model;
        Box::new(Canonical)
    }
}

/// One streamed reply on its way to the canonical form.
pub trait Translation {
    /// The events of one network read; answers canonical chunks.
    ///
    /// # Errors
    /// A fault ends the stream with an error.
    fn push(&mut self, events: &[Sse]) -> Result<Vec<String>, Fault>;

    /// The upstream ended; `complete` is false when it broke off.
    ///
    /// # Errors
    /// A fault ends the stream with an error.
    fn finish(&mut self, complete: bool) -> Result<Vec<String>, Fault> {
        let _ = complete;
        Ok(Vec::new())
    }
}

/// A stream that is canonical already.
pub struct Canonical;

impl Translation for Canonical {
    fn push(&mut self, events: &[Sse]) -> Result<Vec<String>, Fault> {
        Ok(events.iter().map(|event| event.data.clone()).collect())
    }
}

impl Verdict {
    /// Nothing is known but the message.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::of(Failure::Other(String::new()), message)
    }

    /// A failure that is sent again when its kind may pass by itself.
    pub fn of(failure: Failure, message: impl Into<String>) -> Self {
        let retry = matches!(
            failure,
            Failure::RateLimited | Failure::Overloaded | Failure::ServerError | Failure::Timeout
        );
        Verdict {
            failure,
            retry,
            retry_after_ms: None,
            tokens: None,
            token_limit: None,
            message: message.into(),
        }
    }
}

/// Makes a dialect component of a type that implements [`Dialect`](trait@crate::Dialect).
#[macro_export]
macro_rules! dialect {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            $crate::__plugin!($plugin, $crate::Dialect);
            $crate::__describe!($plugin, $crate::Dialect);
            ::std::thread_local! {
                static STREAM: $crate::glue::Stream = const { $crate::glue::Stream::new() };
            }

            impl $crate::bindings::dialect::exports::mcp_codex_worker::dialect::dialect::Guest
                for Component
            {
                fn recognizes() -> Result<Vec<String>, $crate::Fault> {
                    with_plugin(|plugin| Ok($crate::Dialect::recognizes(plugin)))
                }

                fn facts(model: String) -> Result<String, $crate::Fault> {
                    with_plugin(|plugin| {
                        let facts = $crate::Dialect::facts(plugin, &model)?;
                        Ok(::std::string::ToString::to_string(&facts))
                    })
                }

                fn request(
                    body: Vec<u8>,
                    model: String,
                ) -> Result<$crate::Outbound, $crate::Fault> {
                    with_plugin(|plugin| $crate::Dialect::request(plugin, body, &model))
                }

                fn response(reply: $crate::Reply, model: String) -> Result<Vec<u8>, $crate::Fault> {
                    with_plugin(|plugin| $crate::Dialect::response(plugin, reply, &model))
                }

                fn classify(reply: $crate::Reply) -> Result<$crate::Verdict, $crate::Fault> {
                    with_plugin(|plugin| Ok($crate::Dialect::classify(plugin, &reply)))
                }

                fn begin_stream(model: String) -> Result<(), $crate::Fault> {
                    let translation =
                        with_plugin(|plugin| Ok($crate::Dialect::translation(plugin, &model)))?;
                    STREAM.with(|stream| stream.begin(translation));
                    Ok(())
                }

                fn push(events: Vec<$crate::Sse>) -> Result<Vec<String>, $crate::Fault> {
                    STREAM.with(|stream| stream.with(|translation| translation.push(&events)))
                }

                fn finish(complete: bool) -> Result<Vec<String>, $crate::Fault> {
                    STREAM.with(|stream| stream.with(|translation| translation.finish(complete)))
                }
            }
    $crate::bindings::dialect::export!(Component with_types_in $crate::bindings::dialect);
        };
    };
}
