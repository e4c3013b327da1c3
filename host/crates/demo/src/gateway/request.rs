//! A request as the gateway saw it.

use http::HeaderMap;
use serde_json::Value;

/// A completion request as it arrived.
#[derive(Debug, Clone)]
pub struct Request {
    /// The path it was sent to, query included.
    pub path: String,
    /// The HTTP headers.
    pub headers: HeaderMap,
    /// The body; null when that was no JSON.
    pub body: Value,
    /// The body's length in bytes.
    pub bytes: usize,
    /// The number of earlier requests that carried the same messages: 0 for the first try.
    pub attempt: usize,
}

impl Request {
    /// The model asked for.
    pub fn model(&self) -> &str {
        self.body["model"].as_str().unwrap_or_default()
    }

    /// Returns true if a stream was asked for.
    pub fn stream(&self) -> bool {
        self.body["stream"].as_bool().unwrap_or(false)
    }

    /// The conversation.
    pub fn messages(&self) -> &[Value] {
        self.body["messages"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The number of answers the conversation already holds, which is the number of the turn that
    /// is due.
    pub fn turn(&self) -> usize {
        self.messages()
            .iter()
            .filter(|message| message["role"] == "assistant")
            .count()
    }

    /// The names of the tools offered.
    pub fn tools(&self) -> impl Iterator<Item = &str> {
        self.body["tools"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|tool| tool["function"]["name"].as_str())
    }

    /// The text of every message of a role, in order.
    pub fn texts(&self, role: &str) -> Vec<String> {
        self.messages()
            .iter()
            .filter(|message| message["role"] == role)
            .map(|message| text_of(&message["content"]))
            .collect()
    }

    /// The key in the Authorization header.
    pub fn bearer(&self) -> Option<&str> {
        self.headers
            .get(http::header::AUTHORIZATION)?
            .to_str()
            .ok()?
            .strip_prefix("Bearer ")
    }

    /// The agent's working directory, as Claude Code names it in its instructions.
    pub fn working_directory(&self) -> Option<String> {
        self.messages()
            .iter()
            .take_while(|message| message["role"] != "assistant")
            .find_map(|message| {
                text_of(&message["content"]).lines().find_map(|line| {
                    let line = line.trim_start_matches([' ', '-']);
                    [
                        "CWD: ",
                        "Working directory: ",
                        "Primary working directory: ",
                    ]
                    .iter()
                    .find_map(|label| line.strip_prefix(label))
                    .map(|path| path.trim().to_owned())
                })
            })
    }
}

/// The text in a message's content, which is a string or a list of parts.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect::<Vec<_>>()
            .join("\n"),
        _ => String::new(),
    }
}
