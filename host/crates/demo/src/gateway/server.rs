//! The listener, and the play of a script.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::{HeaderMap, Method, Response, Uri};
use serde_json::{Value, json};

use super::request::Request;
use super::script::{End, Reply, Script, Turn, Usage};
use crate::loopback::Loopback;

/// A running gateway on a port of its own; it ends when this is dropped.
pub struct ScriptedGateway {
    server: Loopback,
    shared: Arc<Shared>,
}

impl ScriptedGateway {
    /// Binds a free loopback port and plays `script` on it.
    ///
    /// # Errors
    /// When no loopback port or no thread is to be had.
    pub fn start(script: Script) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            script,
            record: Mutex::default(),
            arrived: Condvar::new(),
        });
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        Ok(Self {
            server: Loopback::serve(router)?,
            shared,
        })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The value for ONEAPI_BASE_URL, `/v1` included.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.server.address())
    }

    /// Every completion request so far, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.record().requests.clone()
    }

    /// Blocks until `count` completion requests have arrived; false when `patience` ran out first.
    pub fn wait_for_requests(&self, count: usize, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut record = self.shared.record();
        while record.requests.len() < count {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return false;
            };
            record = self
                .shared
                .arrived
                .wait_timeout(record, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    /// The usage reported so far, over all answers.
    pub fn reported(&self) -> Usage {
        self.shared.record().reported
    }
}

impl fmt::Debug for ScriptedGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedGateway")
            .field("address", &self.server.address())
            .finish_non_exhaustive()
    }
}

struct Shared {
    script: Script,
    record: Mutex<Record>,
    arrived: Condvar,
}

#[derive(Default)]
struct Record {
    requests: Vec<Request>,
    attempts: HashMap<u64, usize>,
    reported: Usage,
}

impl Shared {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, mut request: Request) -> Request {
        let mut hasher = DefaultHasher::new();
        request.body["messages"].to_string().hash(&mut hasher);
        let mut record = self.record();
        let attempts = record.attempts.entry(hasher.finish()).or_default();
        request.attempt = *attempts;
        *attempts += 1;
        record.requests.push(request.clone());
        self.arrived.notify_all();
        request
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let path = uri
        .path_and_query()
        .map_or_else(String::new, ToString::to_string);
    if method == Method::GET && uri.path().ends_with("/models") {
        return whole(
            200,
            &json!({"object": "list", "data": [{"id": "scripted", "object": "model"}]}),
        );
    }
    if method != Method::POST || !uri.path().ends_with("/chat/completions") {
        let message = format!("The scripted gateway has no {method} {path}.");
        return whole(
            404,
            &json!({"error": {"message": message, "type": "invalid_request_error"}}),
        );
    }
    let bytes = body.len();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let request = shared.note(Request {
        path,
        headers,
        body,
        bytes,
        attempt: 0,
    });
    match (shared.script.0)(&request) {
        Reply::Turn(turn) => play(&shared, &request, turn, usize::MAX, End::Close).await,
        Reply::Broken(turn, events, end) => play(&shared, &request, turn, events, end).await,
        Reply::Raw {
            status,
            headers,
            chunks,
            end,
        } => streamed(status, &headers, chunks, end, Duration::ZERO),
        Reply::Hang => std::future::pending().await,
    }
}

/// Answers with a turn, or with the first `events` events of one.
async fn play(
    shared: &Shared,
    request: &Request,
    mut turn: Turn,
    events: usize,
    end: End,
) -> Response<Body> {
    if let Some(gate) = turn.gate.take() {
        gate.pass().await;
    }
    if let Some(cwd) = request.working_directory() {
        turn.text = turn.text.replace("{cwd}", &cwd);
        for call in &mut turn.calls {
            // The directory goes into JSON text, so it is escaped as a JSON string is.
            let escaped = Value::String(cwd.clone()).to_string();
            call.arguments = call
                .arguments
                .replace("{cwd}", escaped.get(1..escaped.len() - 1).unwrap_or(&cwd));
        }
    }
    let usage = turn.usage.unwrap_or_else(|| estimate(request, &turn));
    if end == End::Close {
        shared.record().reported.add(usage);
    }
    let id = format!("chatcmpl-{}-{}", request.turn(), request.attempt);
    if request.stream() {
        let usage = request.body["stream_options"]["include_usage"]
            .as_bool()
            .unwrap_or(false)
            .then_some(usage);
        let mut chunks = chunks_of(&id, request.model(), &turn, usage);
        chunks.truncate(events);
        let headers = [("content-type".to_owned(), "text/event-stream".to_owned())];
        return streamed(200, &headers, chunks, end, turn.pace);
    }
    if end != End::Close {
        return streamed(
            200,
            &[("content-type".into(), "application/json".into())],
            Vec::new(),
            end,
            turn.pace,
        );
    }
    let mut message = json!({"role": "assistant", "content": turn.text});
    if !turn.reasoning.is_empty() {
        message["reasoning_content"] = json!(turn.reasoning);
    }
    if !turn.calls.is_empty() {
        message["tool_calls"] = (0..)
            .zip(&turn.calls)
            .map(|(index, call)| tool_call(&id, index, &call.name, &call.arguments))
            .collect();
    }
    whole(
        200,
        &json!({
            "id": id, "object": "chat.completion", "created": 1_700_000_000, "model": request.model(),
            "choices": [{"index": 0, "message": message, "finish_reason": finish_reason(&turn)}],
            "usage": usage.to_json(),
        }),
    )
}

fn finish_reason(turn: &Turn) -> &str {
    turn.finish_reason
        .as_deref()
        .unwrap_or(if turn.calls.is_empty() {
            "stop"
        } else {
            "tool_calls"
        })
}

fn tool_call(id: &str, index: usize, name: &str, arguments: &str) -> Value {
    json!({"id": format!("call_{id}_{index}"), "type": "function", "function": {"name": name, "arguments": arguments}})
}

/// The server-sent events of a turn, one chunk each, in the order of OpenAI's API.
fn chunks_of(id: &str, model: &str, turn: &Turn, usage: Option<Usage>) -> Vec<Bytes> {
    let chunk = |choices: Value, usage: Value| {
        let event = json!({
            "id": id, "object": "chat.completion.chunk", "created": 1_700_000_000, "model": model,
            "choices": choices, "usage": usage,
        });
        Bytes::from(format!("data: {event}\n\n"))
    };
    let delta = |delta: Value| {
        chunk(
            json!([{"index": 0, "delta": delta, "finish_reason": null}]),
            Value::Null,
        )
    };
    let mut chunks = vec![delta(json!({"role": "assistant", "content": ""}))];
    chunks.extend(pieces(&turn.reasoning).map(|piece| delta(json!({"reasoning_content": piece}))));
    chunks.extend(pieces(&turn.text).map(|piece| delta(json!({"content": piece}))));
    for (index, call) in turn.calls.iter().enumerate() {
        let mut opening = tool_call(id, index, &call.name, "");
        opening["index"] = json!(index);
        chunks.push(delta(json!({"tool_calls": [opening]})));
        chunks.extend(pieces(&call.arguments).map(|piece| {
            delta(json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}))
        }));
    }
    chunks.push(chunk(
        json!([{"index": 0, "delta": {}, "finish_reason": finish_reason(turn)}]),
        Value::Null,
    ));
    if let Some(usage) = usage {
        chunks.push(chunk(json!([]), usage.to_json()));
    }
    chunks.push(Bytes::from_static(b"data: [DONE]\n\n"));
    chunks
}

/// Cuts text as a model streams it: a few characters a piece.
fn pieces(text: &str) -> impl Iterator<Item = String> {
    const CHARACTERS: usize = 12;
    let mut rest = text.chars().peekable();
    std::iter::from_fn(move || {
        rest.peek()?;
        Some(rest.by_ref().take(CHARACTERS).collect())
    })
}

/// Four bytes a token, the usual rule of thumb for English and code.
fn estimate(request: &Request, turn: &Turn) -> Usage {
    let tokens = |bytes: usize| bytes.div_ceil(4) as u64;
    let reasoning = tokens(turn.reasoning.len());
    let calls: usize = turn
        .calls
        .iter()
        .map(|call| call.name.len() + call.arguments.len())
        .sum();
    Usage {
        prompt: tokens(request.bytes),
        cached: 0,
        completion: reasoning + tokens(turn.text.len() + calls),
        reasoning,
    }
}

fn whole(status: u16, body: &Value) -> Response<Body> {
    let headers = [("content-type".to_owned(), "application/json".to_owned())];
    respond(status, &headers, Body::from(body.to_string()))
}

fn streamed(
    status: u16,
    headers: &[(String, String)],
    chunks: Vec<Bytes>,
    end: End,
    pace: Duration,
) -> Response<Body> {
    let events = stream::iter(chunks).then(move |chunk| async move {
        if !pace.is_zero() {
            tokio::time::sleep(pace).await;
        }
        io::Result::Ok(chunk)
    });
    let end = stream::once(async move {
        match end {
            End::Close => None,
            End::Cut => Some(Err(io::Error::new(
                io::ErrorKind::ConnectionReset,
                "scripted cut",
            ))),
            End::Silence => std::future::pending().await,
        }
    })
    .filter_map(std::future::ready);
    respond(status, headers, Body::from_stream(events.chain(end)))
}

fn respond(status: u16, headers: &[(String, String)], body: Body) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(body).unwrap_or_else(|error| {
        let mut response = Response::new(Body::from(format!("the script is wrong: {error}")));
        *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;
    use crate::gateway::Gate;

    fn post(gateway: &ScriptedGateway, body: &Value) -> io::Result<String> {
        let mut connection = TcpStream::connect(gateway.server.address())?;
        let body = body.to_string();
        write!(
            connection,
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer key\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn conversation(answers: usize, stream: bool) -> Value {
        let mut messages = vec![json!({"role": "system", "content": "CWD: /work \"here\""})];
        for _ in 0..answers {
            messages.push(json!({"role": "assistant", "content": "x"}));
        }
        let tools = json!([{"type": "function", "function": {"name": "Bash"}}]);
        json!({"model": "m", "stream": stream, "messages": messages, "tools": tools, "stream_options": {"include_usage": true}})
    }

    #[test]
    fn the_turn_is_chosen_by_the_conversation_and_not_by_the_count_of_requests() {
        let script = Script::turns([
            Turn::call("Bash", json!({"command": "ls {cwd}"})),
            Turn::say("done"),
        ]);
        let gateway = ScriptedGateway::start(script).unwrap();
        for _ in 0..2 {
            let answer = post(&gateway, &conversation(0, false)).unwrap();
            assert!(
                answer.contains(r#"\"command\":\"ls /work \\\"here\\\"\""#),
                "{answer}"
            );
        }
        let answer = post(&gateway, &conversation(1, true)).unwrap();
        assert!(
            answer.contains(r#""content":"done""#) && answer.contains("[DONE]"),
            "{answer}"
        );
        assert!(answer.contains(r#""prompt_tokens""#), "{answer}");
        let attempts: Vec<usize> = gateway
            .requests()
            .iter()
            .map(|request| request.attempt)
            .collect();
        assert_eq!(attempts, [0, 1, 0]);
        assert_eq!(gateway.requests()[0].bearer(), Some("key"));
    }

    #[test]
    fn faults_hit_the_turn_and_the_attempts_they_are_meant_for() {
        let script = Script::turns([Turn::say("the whole of the text")])
            .but_at(0, 0..1, Reply::rate_limited("1"))
            .but_at(
                0,
                1..2,
                Reply::Broken(Turn::say("the whole of the text"), 2, End::Cut),
            );
        let gateway = ScriptedGateway::start(script).unwrap();
        let limited = post(&gateway, &conversation(0, true)).unwrap();
        assert!(
            limited.starts_with("HTTP/1.1 429") && limited.contains("retry-after: 1"),
            "{limited}"
        );
        let cut = post(&gateway, &conversation(0, true)).unwrap_or_default();
        assert!(
            !cut.contains("[DONE]") && !cut.ends_with("0\r\n\r\n"),
            "{cut}"
        );
        let whole = post(&gateway, &conversation(0, true)).unwrap();
        assert!(whole.contains("[DONE]"), "{whole}");
    }

    #[test]
    fn a_gate_holds_an_answer_until_it_is_opened() {
        let gate = Gate::closed();
        let gateway =
            ScriptedGateway::start(Script::turns([Turn::say("late").behind(&gate)])).unwrap();
        std::thread::scope(|scope| {
            let answer = scope.spawn(|| post(&gateway, &conversation(0, false)));
            assert!(gateway.wait_for_requests(1, Duration::from_secs(30)));
            assert!(!answer.is_finished());
            gate.open();
            assert!(answer.join().unwrap().unwrap().contains("late"));
        });
    }
}
