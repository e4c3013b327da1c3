//! A gateway that plays a script: OpenAI chat completions over HTTP on loopback, streamed or whole.
//!
//! The answer depends on the conversation it is sent and not on how many requests came before, so that a client
//! may retry, resume or run several conversations at once. It records every request it gets.

mod request;
mod script;
mod server;

pub use request::Request;
pub use script::{End, Gate, Reply, Script, ToolCall, Turn, Usage};
pub use server::ScriptedGateway;
