//! Anthropic Messages requests, parsed where they lie: texts, schemas and tool inputs stay raw JSON.
//!
//! Source: the public API reference of `POST /v1/messages`, and what Claude Code 2.1 sends. Unknown fields are ignored.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json_text::{JsonText, kind};

/// A request to `/v1/messages` or `/v1/messages/count_tokens`.
#[derive(Debug, Deserialize)]
pub(crate) struct Request<'a> {
    #[serde(borrow)]
    pub(crate) model: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) messages: Vec<Message<'a>>,
    #[serde(borrow, default)]
    pub(crate) system: Option<Content<'a>>,
    #[serde(borrow, default)]
    pub(crate) tools: Option<Vec<Tool<'a>>>,
    #[serde(borrow, default)]
    pub(crate) tool_choice: Option<ToolChoice<'a>>,
    #[serde(default)]
    pub(crate) max_tokens: Option<u64>,
    #[serde(borrow, default)]
    pub(crate) temperature: Option<Number<'a>>,
    #[serde(borrow, default)]
    pub(crate) top_p: Option<Number<'a>>,
    #[serde(borrow, default)]
    pub(crate) top_k: Option<Number<'a>>,
    #[serde(borrow, default)]
    pub(crate) stop_sequences: Option<Vec<JsonText<'a>>>,
    #[serde(default)]
    pub(crate) stream: Option<bool>,
    #[serde(borrow, default)]
    pub(crate) metadata: Option<Metadata<'a>>,
    #[serde(borrow, default)]
    pub(crate) thinking: Option<Thinking<'a>>,
    #[serde(borrow, default)]
    pub(crate) output_config: Option<OutputConfig<'a>>,
}

/// A number as it was written, so that `0.1` stays `0.1`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number<'a>(pub(crate) &'a str);

impl<'de: 'a, 'a> Deserialize<'de> for Number<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'a RawValue>::deserialize(deserializer)?.get();
        match raw.as_bytes().first() {
            Some(b'0'..=b'9' | b'-') => Ok(Self(raw)),
            _ => Err(serde::de::Error::custom(format_args!(
                "expected a number, found {}",
                kind(raw)
            ))),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Message<'a> {
    #[serde(borrow)]
    pub(crate) role: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) content: Content<'a>,
}

/// A string, or a list of blocks.
#[derive(Debug)]
pub(crate) enum Content<'a> {
    Text(JsonText<'a>),
    Blocks(Vec<Block<'a>>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let raw = <&'a RawValue>::deserialize(deserializer)?;
        match raw.get().as_bytes().first() {
            Some(b'"') => Ok(Self::Text(JsonText::from_raw(raw).unwrap_or_default())),
            Some(b'[') => serde_json::from_str(raw.get())
                .map(Self::Blocks)
                .map_err(D::Error::custom),
            _ => Err(D::Error::custom(format_args!(
                "expected a string or an array of content blocks, found {}",
                kind(raw.get())
            ))),
        }
    }
}

/// A content block of any type: which of the fields are there depends on `type`.
#[derive(Debug, Deserialize)]
pub(crate) struct Block<'a> {
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) text: Option<JsonText<'a>>,
    #[serde(borrow, default)]
    pub(crate) thinking: Option<JsonText<'a>>,
    #[serde(borrow, default)]
    pub(crate) signature: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) tool_use_id: Option<Cow<'a, str>>,
    /// Of a tool result: a string or blocks.
    #[serde(borrow, default)]
    pub(crate) content: Option<&'a RawValue>,
    #[serde(default)]
    pub(crate) is_error: Option<bool>,
    #[serde(borrow, default)]
    pub(crate) source: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) title: Option<JsonText<'a>>,
    #[serde(borrow, default)]
    pub(crate) tool_name: Option<JsonText<'a>>,
    #[serde(borrow, default)]
    pub(crate) cache_control: Option<&'a RawValue>,
}

/// The source of an image or a document.
#[derive(Debug, Deserialize)]
pub(crate) struct Source<'a> {
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) media_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) data: Option<JsonText<'a>>,
    #[serde(borrow, default)]
    pub(crate) url: Option<JsonText<'a>>,
    #[serde(borrow, default)]
    pub(crate) content: Option<Content<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Tool<'a> {
    /// Absent for a set of tools that the API itself fetches (`mcp_toolset`).
    #[serde(borrow, default)]
    pub(crate) name: Cow<'a, str>,
    /// Absent or `custom`: a tool of the caller. Anything else runs on Anthropic's servers.
    #[serde(borrow, default, rename = "type")]
    pub(crate) kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) description: Option<JsonText<'a>>,
    #[serde(borrow, default)]
    pub(crate) input_schema: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) cache_control: Option<&'a RawValue>,
}

impl Tool<'_> {
    /// Returns true if the tool runs on Anthropic's own servers, which no other gateway has.
    pub(crate) fn is_server_tool(&self) -> bool {
        self.kind.as_deref().is_some_and(|kind| kind != "custom")
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct ToolChoice<'a> {
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) name: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(crate) disable_parallel_tool_use: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Metadata<'a> {
    #[serde(borrow, default)]
    pub(crate) user_id: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Thinking<'a> {
    /// `enabled`, `adaptive` or `disabled`.
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Cow<'a, str>,
    #[serde(default)]
    pub(crate) budget_tokens: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct OutputConfig<'a> {
    #[serde(borrow, default)]
    pub(crate) effort: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(crate) format: Option<OutputFormat<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct OutputFormat<'a> {
    #[serde(borrow, rename = "type")]
    pub(crate) kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(crate) schema: Option<&'a RawValue>,
}

/// The fault of a request, in the words of the API: the field, then the rule.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub(crate) String);

impl<'a> Request<'a> {
    /// Returns true if the request has tools that a gateway can call.
    pub(crate) fn has_tools(&self) -> bool {
        let mut tools = self.tools.iter().flatten();
        tools.any(|tool| !tool.is_server_tool())
    }

    /// Parses a body; says what is wrong with it in one sentence.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Invalid> {
        let text = std::str::from_utf8(body)
            .map_err(|_| Invalid("The request body is not valid JSON: it is not UTF-8".into()))?;
        serde_json::from_str(text).map_err(|error| {
            use serde_json::error::Category;
            match error.classify() {
                Category::Data => Invalid(field_message(&error.to_string())),
                Category::Syntax | Category::Eof | Category::Io => {
                    Invalid(format!("The request body is not valid JSON: {error}"))
                }
            }
        })
    }

    /// Checks what only `/v1/messages` asks for.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        match self.max_tokens {
            None => return Err(Invalid("max_tokens: Field required".into())),
            Some(0) => return Err(Invalid("max_tokens: must be at least 1".into())),
            Some(_) => {}
        }
        self.check_messages()
    }

    /// Checks what every route asks for.
    pub(crate) fn check_messages(&self) -> Result<(), Invalid> {
        if self.model.is_empty() {
            return Err(Invalid("model: must not be empty".into()));
        }
        if self.messages.is_empty() {
            return Err(Invalid("messages: at least one message is required".into()));
        }
        for (index, message) in self.messages.iter().enumerate() {
            if !matches!(message.role.as_ref(), "user" | "assistant" | "system") {
                return Err(Invalid(format!(
                    "messages.{index}.role: must be \"user\" or \"assistant\""
                )));
            }
        }
        Ok(())
    }
}

/// serde's "missing field `x`" in the API's words.
fn field_message(message: &str) -> String {
    match message
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split_once('`'))
    {
        Some((field, _)) => format!("{field}: Field required"),
        None => format!("The request does not have the expected form: {message}"),
    }
}
