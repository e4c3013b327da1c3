//! Dialect `acme-gateway`: a gateway that wraps everything. Requests go as `{"engine": MODEL, "chat": REQUEST}`, a streamed
//! event is `{"type": "piece", "text": ...}` or `{"type": "end", "why": ...}`, and errors have a code of its own.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use worker_plugin::{
    Dialect, Failure, Fault, NoSettings, Outbound, Reply, Sse, Translation, Value, Verdict, json,
};

struct Acme;

impl Dialect for Acme {
    type Settings = NoSettings;
    const SUMMARY: &'static str = "the wrapped chats of gateway.acme.example";

    fn new(_: NoSettings) -> Result<Self, Fault> {
        Ok(Acme)
    }

    fn recognizes(&self) -> Vec<String> {
        vec!["gateway.acme.example".to_owned(), "*.gateway.acme.example".to_owned()]
    }

    fn facts(&self, model: &str) -> Result<Value, Fault> {
        Ok(json!({
            "endpoint": {
                "path": "/chat/v3",
                // The host puts the key there; a plugin never sees it.
                "auth": {"header": "x-acme-key"},
                "headers": {"x-acme-client": "worker"},
            },
            "limits": {"max-output": if model.ends_with("-mini") { 4096 } else { 16_384 }},
            "tools": {"choice": "auto-only"},
            "canonical-request": false,
            "canonical-response": false,
            "canonical-stream": false,
            "canonical-errors": false,
        }))
    }

    fn request(&self, body: Vec<u8>, model: &str) -> Result<Outbound, Fault> {
        let chat: Value = serde_json::from_slice(&body)?;
        let body = json!({"engine": model, "chat": chat}).to_string().into_bytes();
        Ok(Outbound { path: None, headers: Vec::new(), body })
    }

    fn response(&self, reply: Reply, model: &str) -> Result<Vec<u8>, Fault> {
        let reply: Value = serde_json::from_slice(&reply.body)?;
        let text = reply["text"].as_str().ok_or(Fault::unsupported("a reply without text"))?;
        let message = json!({"role": "assistant", "content": text});
        let why = reply["why"].as_str().unwrap_or_default();
        let choice = json!({"index": 0, "message": message, "finish_reason": finish(why)});
        Ok(json!({"model": model, "choices": [choice]}).to_string().into_bytes())
    }

    fn classify(&self, reply: &Reply) -> Verdict {
        let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let failure = match body["acme_code"].as_str() {
            Some("BUSY") => Failure::Overloaded,
            Some("SLOW_DOWN") => Failure::RateLimited,
            Some("TOO_LONG") => Failure::ContextTooLong,
            Some("NO_KEY") => Failure::Unauthorized,
            Some("NO_MONEY") => Failure::OutOfCredit,
            _ => Failure::Other(String::new()),
        };
        Verdict::of(failure, body["says"].as_str().unwrap_or("no reason given"))
    }

    fn translation(&self, model: &str) -> Box<dyn Translation> {
        Box::new(Stream { model: model.to_owned() })
    }
}

/// Returns the reason why a reply ended, in canonical words.
fn finish(why: &str) -> &'static str {
    if why == "full" { "length" } else { "stop" }
}

// A stream has an event for each token: these are typed and borrow their text, which is five times faster than a `Value`.

#[derive(Deserialize)]
struct Piece<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Cow<'a, str>,
    #[serde(borrow, default)]
    why: Cow<'a, str>,
}

#[derive(Serialize)]
struct Chunk<'a> {
    model: &'a str,
    choices: [Choice<'a>; 1],
}

#[derive(Serialize, Default)]
struct Choice<'a> {
    index: u32,
    delta: Delta<'a>,
    finish_reason: Option<&'static str>,
}

#[derive(Serialize, Default)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Cow<'a, str>>,
}

struct Stream {
    model: String,
}

impl Translation for Stream {
    fn push(&mut self, events: &[Sse]) -> Result<Vec<String>, Fault> {
        let chunk = |event: &Sse| {
            let piece: Piece = serde_json::from_str(&event.data)?;
            let choice = match &*piece.kind {
                "piece" => Choice { delta: Delta { content: Some(piece.text) }, ..Choice::default() },
                "end" => Choice { finish_reason: Some(finish(&piece.why)), ..Choice::default() },
                _ => return Err(Fault::unsupported("an event of no known type")),
            };
            Ok(serde_json::to_string(&Chunk { model: &self.model, choices: [choice] })?)
        };
        events.iter().map(chunk).collect()
    }
}

worker_plugin::dialect!(Acme);
