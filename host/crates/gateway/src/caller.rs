//! The adapter's other side: a caller that speaks Anthropic messages as Claude Code does, for round trips that people ask
//! for (`doctor --network`, `smoke`).

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::endpoint::base_url;
use super::sse::{Event, Parser};
use super::upstream::{UpstreamError, client};

/// The longest answer that is read, in bytes.
const ANSWER_MAX: usize = 8 << 20;

/// Somebody who asks an adapter.
#[derive(Debug)]
pub struct Caller {
    client: reqwest::Client,
    url: String,
    token: String,
}

/// A model's answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Said {
    /// The visible text.
    pub text: String,
    /// The reasoning that it shows.
    pub thinking: String,
    /// The signature that has to return with the reasoning.
    pub signature: String,
    /// The tools it calls, in order.
    pub calls: Vec<ToolCall>,
    /// The reason why it ended: `end_turn`, `tool_use`, `max_tokens`.
    pub stop_reason: String,
    /// Tokens of the prompt, cached ones included.
    pub input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
    /// Pieces that the text and the arguments came in; 1 for an answer that was not streamed.
    pub pieces: usize,
    /// From the question to the first piece.
    pub first: Duration,
    /// From the question to the end.
    pub whole: Duration,
}

/// A tool that the model calls.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ToolCall {
    /// The id of the call, for the result.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments; null when they are no JSON.
    pub input: Value,
}

/// The reason why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The adapter or the gateway behind it refused.
    #[error("{message}")]
    Refused {
        /// The HTTP status, also of an error within a stream.
        status: u16,
        /// The API's word for it, such as `authentication_error`.
        kind: String,
        /// The message; redacted by the adapter.
        message: String,
    },
    /// The answer broke off, or is none.
    #[error("{0}")]
    Broken(String),
}

impl Caller {
    /// A caller of the adapter at `url` with its token.
    ///
    /// # Errors
    /// The URL cannot be used, or the HTTP client cannot be made.
    pub fn new(url: &str, token: &str) -> Result<Self, UpstreamError> {
        let base = base_url(url)?;
        Ok(Self {
            client: client(&base)?,
            url: format!("{}/v1/messages?beta=true", url.trim_end_matches('/')),
            token: token.to_owned(),
        })
    }

    /// Asks; `body` is a request of Anthropic's Messages API without `stream`.
    ///
    /// # Errors
    /// There is no whole answer.
    pub async fn ask(&self, body: &Value, stream: bool) -> Result<Said, CallError> {
        let mut body = body.clone();
        body["stream"] = stream.into();
        let began = Instant::now();
        let mut response = self
            .client
            .post(&self.url)
            .bearer_auth(&self.token)
            .header("anthropic-version", "2023-06-01")
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await
            .map_err(broken)?;
        let status = response.status().as_u16();
        let mut answer = Answer::default();
        let mut parser = Parser::default();
        let mut whole = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(broken)? {
            if answer.said.first.is_zero() {
                answer.said.first = began.elapsed();
            }
            if status == 200 && stream {
                parser
                    .push(&piece, |event| answer.take(&event))
                    .map_err(|_| CallError::Broken("an event is too long".to_owned()))?;
            } else if whole.len() + piece.len() <= ANSWER_MAX {
                whole.extend_from_slice(&piece);
            } else {
                return Err(CallError::Broken("the answer is too long".to_owned()));
            }
        }
        if status != 200 || !stream {
            let message: Value = serde_json::from_slice(&whole).unwrap_or_default();
            if status != 200 {
                return Err(refusal(status, &message["error"]));
            }
            answer.message(&message);
        }
        answer.said.whole = began.elapsed();
        answer.finish()
    }
}

/// The innermost cause says what happened; what is around it, only that a request was made.
fn broken(error: reqwest::Error) -> CallError {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    CallError::Broken(cause.to_string())
}

/// An answer as it comes together.
#[derive(Debug, Default)]
struct Answer {
    said: Said,
    /// The arguments of the call that is being told.
    arguments: String,
    over: bool,
    error: Option<CallError>,
}

impl Answer {
    fn take(&mut self, event: &Event<'_>) -> bool {
        let data: Value = serde_json::from_slice(event.data).unwrap_or_default();
        match data["type"].as_str().unwrap_or_default() {
            "message_start" => self.usage(&data["message"]["usage"]),
            "content_block_start" if data["content_block"]["type"] == "tool_use" => {
                self.said.calls.push(call(&data["content_block"]));
                self.arguments.clear();
            }
            "content_block_delta" => {
                let delta = &data["delta"];
                let text = delta["text"].as_str().unwrap_or_default();
                let arguments = delta["partial_json"].as_str().unwrap_or_default();
                self.said.text.push_str(text);
                let thinking = delta["thinking"].as_str().unwrap_or_default();
                self.said.thinking.push_str(thinking);
                let signature = delta["signature"].as_str().unwrap_or_default();
                self.said.signature.push_str(signature);
                self.arguments.push_str(arguments);
                self.said.pieces += usize::from(!text.is_empty() || !arguments.is_empty());
            }
            "content_block_stop" if !self.arguments.is_empty() => {
                if let Some(call) = self.said.calls.last_mut() {
                    call.input = serde_json::from_str(&self.arguments).unwrap_or_default();
                }
                self.arguments.clear();
            }
            "message_delta" => {
                self.stop_reason(&data["delta"]);
                self.usage(&data["usage"]);
            }
            "message_stop" => self.over = true,
            "error" => {
                // An error within a stream has no status of its own any more.
                self.error = Some(refusal(502, &data["error"]));
                return false;
            }
            _ => {}
        }
        true
    }

    /// A whole message.
    fn message(&mut self, message: &Value) {
        for block in message["content"].as_array().into_iter().flatten() {
            if block["type"] == "tool_use" {
                self.said.calls.push(call(block));
            }
            self.said
                .text
                .push_str(block["text"].as_str().unwrap_or_default());
            let thinking = block["thinking"].as_str().unwrap_or_default();
            self.said.thinking.push_str(thinking);
            let signature = block["signature"].as_str().unwrap_or_default();
            self.said.signature.push_str(signature);
        }
        self.stop_reason(message);
        self.usage(&message["usage"]);
        self.said.pieces = 1;
        self.over = message["type"] == "message";
    }

    fn stop_reason(&mut self, of: &Value) {
        if let Some(reason) = of["stop_reason"].as_str() {
            reason.clone_into(&mut self.said.stop_reason);
        }
    }

    /// Later counts are the whole again, and a zero is no count.
    fn usage(&mut self, usage: &Value) {
        let count = |name: &str| usage[name].as_u64().unwrap_or_default();
        let input = count("input_tokens")
            + count("cache_read_input_tokens")
            + count("cache_creation_input_tokens");
        self.said.input_tokens = self.said.input_tokens.max(input);
        self.said.output_tokens = self.said.output_tokens.max(count("output_tokens"));
    }

    fn finish(self) -> Result<Said, CallError> {
        match self.error {
            Some(error) => Err(error),
            None if self.over => Ok(self.said),
            None => Err(CallError::Broken(
                "the answer broke off before its end".to_owned(),
            )),
        }
    }
}

fn call(block: &Value) -> ToolCall {
    let text = |key: &str| block[key].as_str().unwrap_or_default().to_owned();
    ToolCall {
        id: text("id"),
        name: text("name"),
        input: block["input"].clone(),
    }
}

fn refusal(status: u16, error: &Value) -> CallError {
    let text = |key: &str, other: &str| error[key].as_str().unwrap_or(other).to_owned();
    CallError::Refused {
        status,
        kind: text("type", "api_error"),
        message: text("message", "the answer is no JSON"),
    }
}

/// A conversation's further messages: what the model said, and the results of the tools that it called.
impl Said {
    /// The answer as a message of the conversation.
    pub fn as_message(&self) -> Value {
        let mut content = Vec::new();
        if !self.thinking.is_empty() || !self.signature.is_empty() {
            content.push(
                json!({"type": "thinking", "thinking": self.thinking, "signature": self.signature}),
            );
        }
        if !self.text.is_empty() {
            content.push(json!({"type": "text", "text": self.text}));
        }
        content.extend(self.calls.iter().map(|call| {
            json!({"type": "tool_use", "id": call.id, "name": call.name, "input": call.input})
        }));
        json!({"role": "assistant", "content": content})
    }
}
