//! A gateway that answers with the bytes it is given, and an adapter in front of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::facts::{Layer, Origin};
use gateway::{
    ActiveDialect, Adapter, AdapterConfig, Budget, Mode, ModelMap, RecordSink, RequestRecord,
    Upstream,
};
use redact::{KnownValues, Redactor};
use serde_json::{Value, json};
use settings::{Prices, Secret};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub const TOKEN: &str = "job-token";
pub const KEY: &str = "sk-gateway-key-0123456789";

/// A request as the gateway got it.
#[derive(Debug, Clone)]
pub struct Received {
    pub path: String,
    pub head: String,
    pub body: Value,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<String> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    }
}

/// The double's act on one request.
pub enum Play {
    /// Writes these bytes piece by piece and closes.
    Pieces(Vec<Vec<u8>>),
    /// Writes these bytes and then says nothing more.
    Silence(Vec<u8>),
    /// Writes these bytes, waits until it is told to go on, writes the others and closes.
    Gate(Vec<u8>, watch::Receiver<bool>, Vec<u8>),
}

type Answer = dyn Fn(usize, &Received) -> Play + Send + Sync;

/// The gateway's double.
pub struct Double {
    pub url: String,
    received: Arc<Mutex<Vec<Received>>>,
    /// The number of callers that left before they had everything.
    left: watch::Receiver<usize>,
}

impl Double {
    pub async fn start(answer: impl Fn(usize, &Received) -> Play + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let (leaving, left) = watch::channel(0);
        let answer: Arc<Answer> = Arc::new(answer);
        let seen = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (seen, answer, leaving) =
                    (Arc::clone(&seen), Arc::clone(&answer), leaving.clone());
                tokio::spawn(async move {
                    if serve(socket, &seen, &*answer).await {
                        leaving.send_modify(|left| *left += 1);
                    }
                });
            }
        });
        Self {
            url,
            received,
            left,
        }
    }

    /// One that answers every request with the same bytes.
    pub async fn always(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::start(move |_, _| Play::Pieces(vec![bytes.clone()])).await
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    pub fn only(&self) -> Received {
        let received = self.received();
        assert_eq!(received.len(), 1, "{received:#?}");
        received[0].clone()
    }

    pub async fn someone_left(&mut self) {
        let left = self.left.wait_for(|left| *left > 0);
        tokio::time::timeout(Duration::from_secs(20), left)
            .await
            .expect("the adapter did not hang up")
            .unwrap();
    }
}

/// Serves one connection; answers whether the caller hung up on a silent answer.
async fn serve(mut socket: TcpStream, seen: &Mutex<Vec<Received>>, answer: &Answer) -> bool {
    let Some(request) = read_request(&mut socket).await else {
        return false;
    };
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    match answer(number, &request) {
        Play::Pieces(pieces) => {
            for piece in pieces {
                if socket.write_all(&piece).await.is_err() {
                    return true;
                }
                tokio::task::yield_now().await;
            }
            let _ = socket.shutdown().await;
            false
        }
        Play::Gate(first, mut open, rest) => {
            let _ = socket.write_all(&first).await;
            let _ = open.wait_for(|open| *open).await;
            let _ = socket.write_all(&rest).await;
            let _ = socket.shutdown().await;
            false
        }
        Play::Silence(bytes) => {
            let _ = socket.write_all(&bytes).await;
            // Nothing more is asked on this connection: a read ends when the other side is gone.
            matches!(socket.read(&mut [0; 1]).await, Ok(0) | Err(_))
        }
    }
}

async fn read_request(socket: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let mut buffer = [0u8; 65_536];
    loop {
        let read = socket
            .read(&mut buffer)
            .await
            .ok()
            .filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let length = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length:")?
                    .trim()
                    .parse::<usize>()
                    .ok()
            })
            .unwrap_or(0);
        if bytes.len() >= end + 4 + length {
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let body =
                serde_json::from_slice(&bytes[end + 4..end + 4 + length]).unwrap_or(Value::Null);
            return Some(Received { path, head, body });
        }
    }
}

/// An answer with a status, further headers and a body that ends with the connection.
pub fn http(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

pub const EVENTS: (&str, &str) = ("content-type", "text/event-stream");
pub const JSON: (&str, &str) = ("content-type", "application/json");

/// A stream of these chunks, without an end.
pub fn open_stream(chunks: &[Value]) -> Vec<u8> {
    http(
        200,
        &[EVENTS],
        &chunks
            .iter()
            .map(|chunk| format!("data: {chunk}\n\n"))
            .collect::<String>(),
    )
}

/// A stream of these chunks, with `[DONE]`.
pub fn stream(chunks: &[Value]) -> Vec<u8> {
    [open_stream(chunks), b"data: [DONE]\n\n".to_vec()].concat()
}

/// A chunk with this delta.
pub fn delta(delta: Value) -> Value {
    json!({ "id": "c1", "object": "chat.completion.chunk", "model": "up", "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] })
}

/// The chunk that ends an answer.
pub fn finish(reason: &str) -> Value {
    json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] })
}

/// A short good answer.
pub fn good() -> Vec<u8> {
    stream(&[
        delta(json!({ "role": "assistant", "content": "hello" })),
        finish("stop"),
    ])
}

/// A whole completion with this message.
pub fn completion(message: Value, reason: &str) -> Vec<u8> {
    let body = json!({ "id": "c1", "object": "chat.completion", "model": "up",
        "choices": [{ "index": 0, "message": message, "finish_reason": reason }],
        "usage": { "prompt_tokens": 10, "completion_tokens": 3 } });
    http(200, &[JSON], &body.to_string())
}

pub fn upstream(url: &str, dialect: ActiveDialect) -> Upstream {
    Upstream {
        base_url: url.to_owned(),
        api_key: Secret::new(KEY),
        dialect,
    }
}

/// The usual adapter for a gateway.
pub fn config(url: &str) -> AdapterConfig {
    let mut known = KnownValues::new();
    known.add("gateway-key", KEY);
    AdapterConfig {
        mode: Mode::Translate,
        primary: upstream(url, ActiveDialect::plain()),
        fallback: None,
        models: ModelMap {
            main: Some("big".into()),
            lite: None,
        },
        token: Some(TOKEN.into()),
        budget: Budget::default(),
        pool: None,
        prices: Prices::default(),
        retries: 2,
        patience: std::time::Duration::ZERO,
        idle_timeout: Duration::from_secs(20),
        redactor: Redactor::new(known, Vec::new()),
        route: "test".into(),
        job: Some("job_1".into()),
        records: RecordSink::none(),
        lessons: None,
        circuits: None,
    }
}

/// The usual adapter for a gateway of which these facts are known.
pub fn knowing(url: &str, facts: &Value) -> AdapterConfig {
    let mut config = config(url);
    let facts = Layer::from_json(Origin::Gateway("double".into()), &facts.to_string()).unwrap();
    config.primary.dialect = config.primary.dialect.assuming(vec![facts]);
    config
}

/// Records go into this list.
pub fn recorded(config: &mut AdapterConfig) -> Arc<Mutex<Vec<RequestRecord>>> {
    let records: Arc<Mutex<Vec<RequestRecord>>> = Arc::default();
    let sink = Arc::clone(&records);
    config.records = RecordSink::new(move |record| sink.lock().unwrap().push(record.clone()));
    records
}

pub async fn start(config: AdapterConfig) -> Adapter {
    Adapter::bind("127.0.0.1:0".parse().unwrap(), config)
        .await
        .unwrap()
}

pub async fn in_front_of(double: &Double) -> Adapter {
    start(config(&double.url)).await
}

/// The caller's answer.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Got {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    /// `error.type` and `error.message`.
    pub fn error(&self) -> (String, String) {
        let body = self.json();
        assert_eq!(body["type"], "error", "{body}");
        (
            body["error"]["type"].as_str().unwrap().to_owned(),
            body["error"]["message"].as_str().unwrap().to_owned(),
        )
    }
}

pub fn client() -> reqwest::Client {
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_root_certificates(rustls::RootCertStore::empty())
    .with_no_client_auth();
    reqwest::Client::builder()
        .no_proxy()
        .tls_backend_preconfigured(tls)
        .build()
        .unwrap()
}

pub async fn post(adapter: &Adapter, path: &str, body: impl Into<reqwest::Body>) -> Got {
    let request = client()
        .post(format!("{}{path}", adapter.url()))
        .header("x-api-key", TOKEN)
        .body(body);
    answer_to(request).await
}

pub async fn answer_to(request: reqwest::RequestBuilder) -> Got {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = String::from_utf8(response.bytes().await.unwrap().to_vec()).unwrap();
    Got {
        status,
        headers,
        text,
    }
}

/// A minimal request, with further fields.
pub fn ask(fields: Value) -> Value {
    let mut body = json!({ "model": "claude-sonnet-5", "max_tokens": 64, "messages": [{ "role": "user", "content": "hi" }] });
    for (key, value) in fields.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

pub async fn messages(adapter: &Adapter, body: &Value) -> Got {
    post(adapter, "/v1/messages?beta=true", body.to_string()).await
}

/// Sends a request and gives back what the gateway saw.
pub async fn seen_by_gateway(body: &Value) -> Value {
    let double = Double::always(good()).await;
    let adapter = in_front_of(&double).await;
    let got = messages(&adapter, body).await;
    assert_eq!(got.status, 200, "{}", got.text);
    double.only().body
}

/// Tests that wait on something that may never come.
pub fn within<T>(
    seconds: u64,
    work: impl Future<Output = T> + Send + 'static,
) -> Pin<Box<dyn Future<Output = T> + Send>> {
    Box::pin(async move {
        tokio::time::timeout(Duration::from_secs(seconds), work)
            .await
            .expect("took too long")
    })
}
