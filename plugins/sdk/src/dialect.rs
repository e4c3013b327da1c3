//! Dialects: canonical chat completions to one gateway's form, and back.

use serde::de::DeserializeOwned;

pub use crate::bindings::dialect::exports::worker::plugin::dialect::{
    Auth, Effort, EmptyContent, Endpoint, Facts, Failure, Images, Limits, Messages, Outbound,
    ReasoningTurns, Reply, Sampling, SamplingRules, Sse, Streaming, StructuredOutput, SystemRole,
    Thinking, TokenField, ToolChoice, ToolId, Tools, UsageFields, Verdict,
};
pub use crate::bindings::worker::plugin::types::Header;
use crate::settings::Fault;

impl Effort {
    /// A wish for thinking that is OpenAI's field `reasoning_effort`: `low`, `medium`, `high` and their like.
    pub fn reasoning(level: &str) -> Self {
        Effort {
            level: level.to_owned(),
            body: format!(r#"{{"reasoning_effort":"{level}"}}"#),
        }
    }
}

/// A dialect. Most need no more than [`facts`](Dialect::facts). [`dialect!`](crate::dialect!) makes a component of it.
pub trait Dialect: Sized {
    /// What the operator may set; [`NoSettings`](crate::NoSettings) for nothing.
    type Settings: DeserializeOwned;

    /// One line for `plugin list`.
    const SUMMARY: &'static str;

    /// JSON Schema of the settings, if there is one.
    const SCHEMA: Option<&'static str> = None;

    /// Makes the dialect, or says what is wrong with the settings.
    ///
    /// # Errors
    /// [`Fault::BadConfig`], naming the key.
    fn new(settings: Self::Settings) -> Result<Self, Fault>;

    /// Gateways that this dialect is for: host names with an optional path, as in `*.openai.azure.com`.
    fn recognises(&self) -> Vec<String>;

    /// What holds for this model. `Facts::default()` is the plain case; change what differs.
    fn facts(&self, model: &str) -> Facts;

    /// Rewrites a canonical request to which the facts have been applied. Called only when
    /// `facts.canonical_request` is false.
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

    /// Makes a whole reply canonical. Called only when `facts.canonical_response` is false.
    ///
    /// # Errors
    /// A fault becomes an upstream error.
    fn response(&self, reply: Reply, model: &str) -> Result<Vec<u8>, Fault> {
        let _ = model;
        Ok(reply.body)
    }

    /// What an error reply means. Called only when `facts.canonical_errors` is false.
    fn classify(&self, reply: &Reply) -> Verdict {
        Verdict::unknown(String::from_utf8_lossy(&reply.body).into_owned())
    }

    /// Makes one streamed reply canonical. Called only when `facts.canonical_stream` is false.
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
        Self::of(Failure::Unknown, message)
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

impl Default for Facts {
    /// The plain case: OpenAI's form as most gateways take it, nothing to translate.
    fn default() -> Self {
        Facts {
            endpoint: Endpoint::default(),
            limits: Limits::default(),
            messages: Messages::default(),
            tools: Tools::default(),
            sampling: SamplingRules::default(),
            thinking: Thinking::default(),
            streaming: Streaming::default(),
            usage: UsageFields::default(),
            structured_output: StructuredOutput::JsonSchema,
            extra_body: None,
            canonical_request: true,
            canonical_response: true,
            canonical_stream: true,
            canonical_errors: true,
        }
    }
}

impl Default for Endpoint {
    fn default() -> Self {
        Endpoint {
            path: "/chat/completions".to_owned(),
            query: Vec::new(),
            auth: Auth::Bearer,
            headers: Vec::new(),
            max_body: None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            token_field: TokenField::MaxTokens,
            max_output: None,
            context: None,
        }
    }
}

impl Default for Messages {
    fn default() -> Self {
        Messages {
            system_role: SystemRole::System,
            content_parts: true,
            empty_content: EmptyContent::Null,
            merge_same_role: true,
            user_after_tool: true,
            images: Images::User,
            max_images: None,
            documents: false,
            cache_control: false,
            user: false,
        }
    }
}

impl Default for Tools {
    fn default() -> Self {
        Tools {
            supported: true,
            choice: ToolChoice::Full,
            required_word: "required".to_owned(),
            forced_while_thinking: true,
            parallel_field: true,
            id: ToolId::Any,
            name_limit: 64,
            refused_keywords: Vec::new(),
            accepted_formats: None,
            references: true,
            returned_fields: Vec::new(),
            missing_field_body: None,
        }
    }
}

impl Default for SamplingRules {
    fn default() -> Self {
        SamplingRules {
            temperature: Sampling::Pass,
            top_p: Sampling::Pass,
            top_k: false,
            stop_limit: 4,
        }
    }
}

impl Default for Thinking {
    fn default() -> Self {
        Thinking {
            fields: vec!["reasoning_content".to_owned(), "reasoning".to_owned()],
            history_field: None,
            history_turns: ReasoningTurns::Never,
            history_required: false,
            returned_fields: Vec::new(),
            inline_tag: None,
            on: None,
            off: None,
            efforts: Vec::new(),
            by_default: false,
        }
    }
}

impl Default for Streaming {
    fn default() -> Self {
        Streaming {
            supported: true,
            usage_option: true,
            idle_seconds: None,
        }
    }
}

#[allow(clippy::derivable_impls, reason = "the type is generated from the WIT")]
impl Default for UsageFields {
    fn default() -> Self {
        UsageFields {
            cached: Vec::new(),
            cache_written: Vec::new(),
            reasoning: Vec::new(),
            cost: Vec::new(),
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
            impl $crate::bindings::dialect::exports::worker::plugin::dialect::Guest for Component {
                type Translation = $crate::glue::GuestTranslation<Component>;

                fn recognises() -> Vec<String> {
                    with_plugin(|plugin| Ok($crate::Dialect::recognises(plugin)))
                        .unwrap_or_default()
                }

                fn declare(model: String) -> $crate::Facts {
                    match with_plugin(|plugin| Ok($crate::Dialect::facts(plugin, &model))) {
                        Ok(facts) => facts,
                        Err(fault) => ::std::panic!("{fault:?}"),
                    }
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

                fn classify(reply: $crate::Reply) -> $crate::Verdict {
                    match with_plugin(|plugin| Ok($crate::Dialect::classify(plugin, &reply))) {
                        Ok(verdict) => verdict,
                        Err(fault) => ::std::panic!("{fault:?}"),
                    }
                }
            }
            impl $crate::glue::MakesTranslations for Component {
                fn make(model: &str) -> Result<Box<dyn $crate::Translation>, $crate::Fault> {
                    with_plugin(|plugin| Ok($crate::Dialect::translation(plugin, model)))
                }
            }
    $crate::bindings::dialect::export!(Component with_types_in $crate::bindings::dialect);
        };
    };
}
