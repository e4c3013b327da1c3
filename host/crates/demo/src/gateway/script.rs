//! The answers of the gateway: turns of a model, faults, and which of them a request gets.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::request::Request;

/// Decides the answer to each request.
#[derive(Clone)]
pub struct Script(pub(super) Arc<dyn Fn(&Request) -> Reply + Send + Sync>);

impl Script {
    /// A script that is a function of the request.
    pub fn new(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self(Arc::new(reply))
    }

    /// The answer to a request, for a script that is made of others.
    pub fn answer(&self, request: &Request) -> Reply {
        (self.0)(request)
    }

    /// One turn after the other: a conversation with `n` assistant messages in it gets turn `n`, one that has had them
    /// all gets a last word. A request that offers no tools (a title, a question) gets the turn's text alone.
    pub fn turns(turns: impl IntoIterator<Item = Turn>) -> Self {
        let turns: Vec<Turn> = turns.into_iter().collect();
        Self::new(move |request| {
            let mut turn = turns
                .get(request.turn())
                .cloned()
                .unwrap_or_else(|| Turn::say("Nothing is left to do."));
            if request.tools().next().is_none() && !turn.calls.is_empty() {
                turn.calls.clear();
                if turn.text.is_empty() {
                    turn.text = "Fix the failing test".into();
                }
            }
            Reply::Turn(turn)
        })
    }

    /// The same script, but requests of conversation turn `turn` (0 is the first) get `reply` instead, for as long as
    /// the number of earlier requests with the same messages lies in `attempts`.
    pub fn but_at(self, turn: usize, attempts: Range<usize>, reply: Reply) -> Self {
        Self::new(move |request| {
            if request.turn() == turn && attempts.contains(&request.attempt) {
                reply.clone()
            } else {
                (self.0)(request)
            }
        })
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

/// The answer to one request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A well-formed answer, in the form the request asked for.
    Turn(Turn),
    /// The beginning of a well-formed stream: so many events of it, then this end. A request that does not ask for a
    /// stream gets the headers and the end alone.
    Broken(Turn, usize, End),
    /// These bytes, one write each.
    Raw {
        /// The HTTP status.
        status: u16,
        /// The HTTP headers.
        headers: Vec<(String, String)>,
        /// The body.
        chunks: Vec<Bytes>,
        /// The part after the last chunk.
        end: End,
    },
    /// Nothing at all, not even a status line.
    Hang,
}

impl Reply {
    /// An error in OpenAI's shape.
    pub fn error(status: u16, kind: &str, message: &str) -> Self {
        let body =
            json!({"error": {"message": message, "type": kind, "param": null, "code": null}});
        Self::Raw {
            status,
            headers: vec![("content-type".into(), "application/json".into())],
            chunks: vec![Bytes::from(body.to_string())],
            end: End::Close,
        }
    }

    /// 429 with a Retry-After header (seconds or an HTTP date).
    pub fn rate_limited(retry_after: &str) -> Self {
        let mut reply = Self::error(429, "rate_limit_exceeded", "Rate limit reached, slow down.");
        if let Self::Raw { headers, .. } = &mut reply {
            headers.push(("retry-after".into(), retry_after.into()));
        }
        reply
    }

    /// 401, as a gateway answers a wrong key.
    pub fn unauthorized() -> Self {
        Self::error(401, "invalid_request_error", "Incorrect API key provided.")
    }

    /// A web page where JSON should be, as a proxy in front of a dead gateway answers.
    pub fn html(status: u16) -> Self {
        Self::Raw {
            status,
            headers: vec![("content-type".into(), "text/html".into())],
            chunks: vec![Bytes::from_static(
                b"<!doctype html><html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>",
            )],
            end: End::Close,
        }
    }
}

/// The end of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Properly.
    Close,
    /// The connection breaks.
    Cut,
    /// The connection stays open and silent.
    Silence,
}

/// One answer of the model.
#[derive(Debug, Clone, Default)]
pub struct Turn {
    /// Sent as `reasoning_content` before everything else.
    pub reasoning: String,
    /// The visible text. `{cwd}` stands for the agent's working directory, here and in the calls' arguments.
    pub text: String,
    /// The tools called, in order.
    pub calls: Vec<ToolCall>,
    /// The usage that is reported; estimated at four bytes a token when absent.
    pub usage: Option<Usage>,
    /// Sent instead of `stop` or `tool_calls`.
    pub finish_reason: Option<String>,
    /// The answer waits here before its first byte.
    pub gate: Option<Gate>,
    /// The pause before each streamed event.
    pub pace: Duration,
}

impl Turn {
    /// Text alone, which ends an agent's run.
    pub fn say(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// A tool call.
    pub fn call(tool: impl Into<String>, arguments: Value) -> Self {
        Self::default().and_call(tool, arguments)
    }

    /// One more tool call in the same turn.
    #[must_use]
    pub fn and_call(mut self, tool: impl Into<String>, arguments: Value) -> Self {
        self.calls.push(ToolCall {
            name: tool.into(),
            arguments: arguments.to_string(),
        });
        self
    }

    /// Text before the calls.
    #[must_use]
    pub fn saying(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    /// Reasoning before the text.
    #[must_use]
    pub fn thinking(mut self, reasoning: impl Into<String>) -> Self {
        self.reasoning = reasoning.into();
        self
    }

    /// Reports this as used.
    #[must_use]
    pub fn using(mut self, usage: Usage) -> Self {
        self.usage = Some(usage);
        self
    }

    /// Waits for the gate before the first byte.
    #[must_use]
    pub fn behind(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// Pauses before each streamed event.
    #[must_use]
    pub fn paced(mut self, pace: Duration) -> Self {
        self.pace = pace;
        self
    }
}

/// A function call by the model.
#[derive(Debug, Clone)]
pub struct ToolCall {
    /// The function's name.
    pub name: String,
    /// The arguments as the model wrote them; JSON unless a test wants otherwise.
    pub arguments: String,
}

/// Token counts of one answer, or of several added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// All tokens of the request, cached ones included.
    pub prompt: u64,
    /// Those of `prompt` that came from a cache.
    pub cached: u64,
    /// All tokens of the answer, reasoning included.
    pub completion: u64,
    /// Those of `completion` that were reasoning.
    pub reasoning: u64,
}

impl Usage {
    pub(super) fn add(&mut self, other: Self) {
        self.prompt += other.prompt;
        self.cached += other.cached;
        self.completion += other.completion;
        self.reasoning += other.reasoning;
    }

    pub(super) fn to_json(self) -> Value {
        json!({
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning},
        })
    }
}

/// Holds answers back until it is opened; cheap to clone, and every clone is the same gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Lets everything through from now on.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    pub(super) async fn pass(&self) {
        let mut open = self.0.subscribe();
        let _ = open.wait_for(|open| *open).await;
    }
}
