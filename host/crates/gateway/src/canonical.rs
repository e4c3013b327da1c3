//! The canonical chat-completions request: what every dialect starts from, and what most gateways take as it is.
//!
//! A borrowed tree that is written once; the texts in it are still the caller's escaped bytes.

use std::borrow::Cow;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::json_text::{JsonText, write_plain, write_string};
use crate::facts::{EmptyContent, TokenField};

/// A whole request.
#[derive(Debug, Default)]
pub(crate) struct Request<'a> {
    pub(crate) model: String,
    pub(crate) messages: Vec<Message<'a>>,
    pub(crate) tools: Vec<Tool<'a>>,
    pub(crate) tool_choice: Option<ToolChoice>,
    pub(crate) parallel_tool_calls: Option<bool>,
    pub(crate) max_tokens: Option<(TokenField, u64)>,
    /// `temperature`, `top_p`, `top_k` as they were written.
    pub(crate) numbers: Vec<(&'static str, Cow<'a, str>)>,
    pub(crate) stop: Vec<JsonText<'a>>,
    pub(crate) user: Option<String>,
    pub(crate) response_format: Option<ResponseFormat<'a>>,
    pub(crate) stream: bool,
    /// Ask for a usage chunk at the end of the stream.
    pub(crate) stream_usage: bool,
    /// Members that are added as they are; each wins over a member of the same name.
    pub(crate) further: Map<String, Value>,
}

/// The form of the answer.
#[derive(Debug)]
pub(crate) enum ResponseFormat<'a> {
    JsonObject,
    /// A JSON schema, raw.
    JsonSchema {
        schema: Cow<'a, str>,
        /// The answer must follow it to the letter, which not every schema allows.
        strict: bool,
    },
}

#[derive(Debug)]
pub(crate) enum Message<'a> {
    System {
        role: String,
        content: Vec<Part<'a>>,
    },
    User {
        content: Vec<Part<'a>>,
    },
    Assistant(Assistant<'a>),
    Tool {
        id: String,
        content: Vec<Part<'a>>,
    },
}

#[derive(Debug, Default)]
pub(crate) struct Assistant<'a> {
    pub(crate) content: Vec<Part<'a>>,
    pub(crate) calls: Vec<Call<'a>>,
    /// The field for earlier reasoning, and the reasoning.
    pub(crate) reasoning: Option<(String, JsonText<'a>)>,
    /// Members that the gateway wants back, as it sent them.
    pub(crate) returned: Option<String>,
    /// The form of `content` when there are only calls.
    pub(crate) empty: Empty,
}

/// [`EmptyContent`] with a default.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Empty(pub(crate) EmptyContent);

impl Default for Empty {
    fn default() -> Self {
        Self(EmptyContent::Null)
    }
}

/// One call of an assistant message.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) id: String,
    pub(crate) name: String,
    /// A JSON object; sent as a JSON string.
    pub(crate) arguments: Cow<'a, str>,
    /// A JSON object with members that the gateway wants back with this call.
    pub(crate) returned: Option<String>,
}

/// A part of a message's content.
#[derive(Debug)]
pub(crate) enum Part<'a> {
    Text {
        text: JsonText<'a>,
        cache_control: Option<&'a RawValue>,
    },
    /// An `https:` or a `data:` URL.
    Image { url: JsonText<'a> },
    /// A document as a `data:` URL.
    File {
        name: JsonText<'a>,
        data: JsonText<'a>,
    },
}

impl<'a> Part<'a> {
    pub(crate) fn text(text: JsonText<'a>) -> Self {
        Self::Text {
            text,
            cache_control: None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Tool<'a> {
    pub(crate) name: String,
    pub(crate) description: Option<JsonText<'a>>,
    /// A JSON schema, raw.
    pub(crate) parameters: Cow<'a, str>,
    pub(crate) cache_control: Option<&'a RawValue>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ToolChoice {
    /// `auto`, `none`, or the gateway's word for "some tool".
    Word(String),
    Named(String),
}

impl Request<'_> {
    /// Writes the request as JSON into a fresh buffer that should hold about `size_hint` bytes.
    pub(crate) fn write(&self, size_hint: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(size_hint);
        out.extend_from_slice(b"{\"model\":");
        write_plain(&mut out, &self.model);
        out.extend_from_slice(b",\"messages\":[");
        for (index, message) in self.messages.iter().enumerate() {
            comma(&mut out, index);
            message.write(&mut out);
        }
        out.push(b']');
        if !self.tools.is_empty() {
            out.extend_from_slice(b",\"tools\":[");
            for (index, tool) in self.tools.iter().enumerate() {
                comma(&mut out, index);
                tool.write(&mut out);
            }
            out.push(b']');
        }
        match &self.tool_choice {
            None => {}
            Some(ToolChoice::Word(word)) => {
                out.extend_from_slice(b",\"tool_choice\":");
                write_plain(&mut out, word);
            }
            Some(ToolChoice::Named(name)) => {
                out.extend_from_slice(
                    b",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":",
                );
                write_plain(&mut out, name);
                out.extend_from_slice(b"}}");
            }
        }
        let member = |out: &mut Vec<u8>, key: &str| -> bool {
            let free = !self.further.contains_key(key);
            if free {
                out.extend_from_slice(b",\"");
                out.extend_from_slice(key.as_bytes());
                out.extend_from_slice(b"\":");
            }
            free
        };
        if let Some(parallel) = self.parallel_tool_calls
            && member(&mut out, "parallel_tool_calls")
        {
            out.extend_from_slice(if parallel { b"true" } else { b"false" });
        }
        if let Some((field, limit)) = self.max_tokens {
            let key = match field {
                TokenField::MaxTokens => "max_tokens",
                TokenField::MaxCompletionTokens => "max_completion_tokens",
            };
            if member(&mut out, key) {
                out.extend_from_slice(limit.to_string().as_bytes());
            }
        }
        for (key, number) in &self.numbers {
            if member(&mut out, key) {
                out.extend_from_slice(number.as_bytes());
            }
        }
        if !self.stop.is_empty() && member(&mut out, "stop") {
            out.push(b'[');
            for (index, stop) in self.stop.iter().enumerate() {
                comma(&mut out, index);
                write_string(&mut out, stop);
            }
            out.push(b']');
        }
        if let Some(user) = &self.user
            && member(&mut out, "user")
        {
            write_plain(&mut out, user);
        }
        if let Some(format) = &self.response_format
            && member(&mut out, "response_format")
        {
            match format {
                ResponseFormat::JsonObject => out.extend_from_slice(b"{\"type\":\"json_object\"}"),
                ResponseFormat::JsonSchema { schema, strict } => {
                    out.extend_from_slice(
                        b"{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"response\",",
                    );
                    if *strict {
                        out.extend_from_slice(b"\"strict\":true,");
                    }
                    out.extend_from_slice(b"\"schema\":");
                    out.extend_from_slice(schema.as_bytes());
                    out.extend_from_slice(b"}}");
                }
            }
        }
        if self.stream && member(&mut out, "stream") {
            out.extend_from_slice(b"true");
            if self.stream_usage && member(&mut out, "stream_options") {
                out.extend_from_slice(b"{\"include_usage\":true}");
            }
        }
        for (key, value) in &self.further {
            out.push(b',');
            write_plain(&mut out, key);
            out.push(b':');
            out.extend_from_slice(value.to_string().as_bytes());
        }
        out.push(b'}');
        out
    }
}

impl Message<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::System { role, content } => {
                out.extend_from_slice(b"{\"role\":");
                write_plain(out, role);
                write_content(out, content);
            }
            Self::User { content } => {
                out.extend_from_slice(b"{\"role\":\"user\"");
                write_content(out, content);
            }
            Self::Tool { id, content } => {
                out.extend_from_slice(b"{\"role\":\"tool\",\"tool_call_id\":");
                write_plain(out, id);
                write_content(out, content);
            }
            Self::Assistant(assistant) => {
                out.extend_from_slice(b"{\"role\":\"assistant\"");
                assistant.write(out);
            }
        }
        out.push(b'}');
    }
}

impl Assistant<'_> {
    fn is_only_calls(&self) -> bool {
        self.content.is_empty() && !self.calls.is_empty()
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self.empty.0 {
            EmptyContent::Null if self.is_only_calls() => {
                out.extend_from_slice(b",\"content\":null")
            }
            EmptyContent::Omitted if self.is_only_calls() => {}
            _ => write_content(out, &self.content),
        }
        if let Some((field, text)) = &self.reasoning {
            out.push(b',');
            write_plain(out, field);
            out.push(b':');
            write_string(out, text);
        }
        write_members(out, self.returned.as_deref());
        if !self.calls.is_empty() {
            out.extend_from_slice(b",\"tool_calls\":[");
            for (index, call) in self.calls.iter().enumerate() {
                comma(out, index);
                call.write(out);
            }
            out.push(b']');
        }
    }
}

impl Call<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":");
        write_plain(out, &self.id);
        out.extend_from_slice(b",\"type\":\"function\",\"function\":{\"name\":");
        write_plain(out, &self.name);
        out.extend_from_slice(b",\"arguments\":");
        write_plain(out, &self.arguments);
        out.push(b'}');
        write_members(out, self.returned.as_deref());
        out.push(b'}');
    }
}

impl Tool<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"type\":\"function\",\"function\":{\"name\":");
        write_plain(out, &self.name);
        if let Some(description) = &self.description {
            out.extend_from_slice(b",\"description\":");
            write_string(out, description);
        }
        out.extend_from_slice(b",\"parameters\":");
        out.extend_from_slice(self.parameters.as_bytes());
        out.push(b'}');
        write_cache_control(out, self.cache_control);
        out.push(b'}');
    }
}

/// Adds the members of a JSON object to the object under way.
fn write_members(out: &mut Vec<u8>, object: Option<&str>) {
    let members = object
        .and_then(|o| o.trim().strip_prefix('{')?.strip_suffix('}'))
        .map(str::trim);
    if let Some(members) = members.filter(|members| !members.is_empty()) {
        out.push(b',');
        out.extend_from_slice(members.as_bytes());
    }
}

/// Writes the caller's mark of a prompt's cached beginning, without what only Anthropic's own API knows (`scope`).
fn write_cache_control(out: &mut Vec<u8>, cache_control: Option<&RawValue>) {
    #[derive(serde::Deserialize)]
    struct Mark<'m> {
        #[serde(borrow, default)]
        ttl: Option<&'m str>,
    }
    let Some(raw) = cache_control else {
        return;
    };
    let mark = serde_json::from_str::<Mark<'_>>(raw.get());
    out.extend_from_slice(b",\"cache_control\":{\"type\":\"ephemeral\"");
    if let Ok(Mark { ttl: Some(ttl) }) = mark {
        out.extend_from_slice(b",\"ttl\":");
        write_plain(out, ttl);
    }
    out.push(b'}');
}

/// Texts alone become one plain string, which every gateway takes; anything else is a list of parts.
fn write_content(out: &mut Vec<u8>, content: &[Part<'_>]) {
    out.extend_from_slice(b",\"content\":");
    if content.iter().all(|part| {
        matches!(
            part,
            Part::Text {
                cache_control: None,
                ..
            }
        )
    }) {
        out.push(b'"');
        for (index, part) in content.iter().enumerate() {
            if let Part::Text { text, .. } = part {
                if index > 0 {
                    out.extend_from_slice(b"\\n");
                }
                out.extend_from_slice(text.as_escaped().as_bytes());
            }
        }
        out.push(b'"');
        return;
    }
    out.push(b'[');
    for (index, part) in content.iter().enumerate() {
        comma(out, index);
        match part {
            Part::Text {
                text,
                cache_control,
            } => {
                out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
                write_string(out, text);
                write_cache_control(out, *cache_control);
                out.push(b'}');
            }
            Part::Image { url } => {
                out.extend_from_slice(b"{\"type\":\"image_url\",\"image_url\":{\"url\":");
                write_string(out, url);
                out.extend_from_slice(b"}}");
            }
            Part::File { name, data } => {
                out.extend_from_slice(b"{\"type\":\"file\",\"file\":{\"filename\":");
                write_string(out, name);
                out.extend_from_slice(b",\"file_data\":");
                write_string(out, data);
                out.extend_from_slice(b"}}");
            }
        }
    }
    out.push(b']');
}

fn comma(out: &mut Vec<u8>, index: usize) {
    if index > 0 {
        out.push(b',');
    }
}
