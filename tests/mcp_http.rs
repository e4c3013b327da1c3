//! MCP over HTTP: many clients on one process, and what is kept out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use worker_test_support::{Repository, StandIn, Worker, wait_for_file};

const BINARY: &str = env!("CARGO_BIN_EXE_mcp-codex-worker");
/// Long enough for a busy machine; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server that listens, and a token that it knows.
pub(crate) struct HttpServer {
    process: Child,
    url: String,
    token: String,
}

/// An answer, its events read to the end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    session: Option<String>,
    /// The JSON-RPC answer: the body, or the last event of the stream.
    pub(crate) answer: Value,
    pub(crate) text: String,
}

impl HttpServer {
    pub(crate) fn start(worker: &Worker, arguments: &[&str]) -> Self {
        let tokens = worker.home().join("tokens");
        if !tokens.exists() {
            std::fs::write(&tokens, "").unwrap();
            std::fs::set_permissions(&tokens, std::os::unix::fs::PermissionsExt::from_mode(0o600))
                .unwrap();
            std::fs::write(&tokens, format!("{}\n{}\n", token('a'), token('b'))).unwrap();
        }
        let mut process = worker
            .command(["serve", "--http", "127.0.0.1:0", "--token-file"])
            .arg(&tokens)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut url)
            .unwrap();
        assert!(url.ends_with("/mcp\n"), "{url:?}");
        Self {
            process,
            url: url.trim().to_owned(),
            token: token('a'),
        }
    }

    fn address(&self) -> SocketAddr {
        let (_, rest) = self.url.split_once("://").unwrap();
        rest.trim_end_matches("/mcp").parse().unwrap()
    }

    /// A request as a well-behaved client makes it.
    fn request(&self, method: Method) -> RequestBuilder {
        client()
            .request(method, &self.url)
            .bearer_auth(&self.token)
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
    }

    pub(crate) fn post(&self, message: &Value) -> RequestBuilder {
        self.request(Method::POST).body(message.to_string())
    }

    /// Begins a session of this revision; its name.
    async fn session(&self, revision: &str) -> String {
        let begun = read(self.post(&initialize(revision))).await;
        assert_eq!(
            begun.answer["result"]["protocolVersion"], revision,
            "{begun:?}"
        );
        let session = begun.session.expect("a session");
        let told = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let told = read(self.post(&told).header("mcp-session-id", &session)).await;
        assert_eq!(told.status, 202, "{told:?}");
        session
    }

    /// Asks within a session.
    async fn ask(&self, session: &str, message: Value) -> Reply {
        read(self.post(&message).header("mcp-session-id", session)).await
    }

    /// The next client is served, whatever went before.
    async fn still_serves(&self) {
        let session = self.session("2025-11-25").await;
        let answer = self.ask(&session, ping()).await.answer;
        assert_eq!(answer["result"], json!({}), "{answer}");
        let ended = read(
            self.request(Method::DELETE)
                .header("mcp-session-id", session),
        )
        .await;
        assert!((200..300).contains(&ended.status), "{ended:?}");
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn token(last: char) -> String {
    format!("{}{last}", "0123456789abcdef".repeat(3))
}

fn client() -> Client {
    gateway::install_tls();
    Client::builder()
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .unwrap()
}

pub(crate) async fn read(request: RequestBuilder) -> Reply {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let header = |name: &str| {
        let value = response.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    let session = header("mcp-session-id");
    let text = response.text().await.unwrap();
    let event = text
        .lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .rfind(|data| !data.trim().is_empty());
    let answer = serde_json::from_str(event.unwrap_or(&text)).unwrap_or(Value::Null);
    Reply {
        status,
        session,
        answer,
        text,
    }
}

fn initialize(revision: &str) -> Value {
    json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": { "protocolVersion": revision, "capabilities": {}, "clientInfo": { "name": "c", "version": "1" } },
    })
}

fn ping() -> Value {
    json!({ "jsonrpc": "2.0", "id": 2, "method": "ping" })
}

fn call(tool: &str, arguments: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": { "name": tool, "arguments": arguments } })
}

#[tokio::test]
async fn clients_of_one_process_delegate_and_see_each_others_jobs_by_their_ids_alone() {
    let repository = Repository::with([("src/a.txt", "one\n")]);
    repository.commit("Begin");
    let agent = StandIn::that("printf 'two\\n' > src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let server = HttpServer::start(&worker, &[]);
    let (first, second) = (
        server.session("2025-06-18").await,
        server.session("2025-11-25").await,
    );
    let listed = server
        .ask(
            &first,
            json!({ "jsonrpc": "2.0", "id": 4, "method": "tools/list" }),
        )
        .await;
    assert_eq!(
        listed.answer["result"]["tools"].as_array().unwrap().len(),
        8
    );

    // The directory of the server is not the caller's.
    let homeless = server
        .ask(&first, call("start", json!({ "prompt": "p" })))
        .await;
    assert_eq!(
        homeless.answer["result"]["structuredContent"]["error"]["argument"], "allowed_dirs",
        "{homeless:?}"
    );
    let job = json!({
        "prompt": "Change a line.", "allowed_dirs": [repository.path()], "wait_ms": 120_000,
        "checks": ["grep -q two src/a.txt"],
    });
    let done = server.ask(&first, call("start", job)).await;
    let result = &done.answer["result"]["structuredContent"];
    assert_eq!(result["job_status"], "completed", "{done:?}");
    let known = server
        .ask(&second, call("get", json!({ "job_id": result["job_id"] })))
        .await;
    assert_eq!(
        &known.answer["result"]["structuredContent"], result,
        "{known:?}"
    );
    drop(server);
    worker.assert_no_process_left();
}

#[tokio::test]
async fn each_revision_has_the_sessions_that_it_wants() {
    let worker = Worker::bare(BINARY);
    let server = HttpServer::start(&worker, &[]);
    for revision in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let session = server.session(revision).await;
        let reply = server.ask(&session, ping()).await;
        assert_eq!(reply.answer["result"], json!({}), "{revision}: {reply:?}");
        // Outside a session there is none of these.
        let outside = read(server.post(&ping())).await;
        assert!(outside.status >= 400, "{revision}: {outside:?}");
        let end = server
            .request(Method::DELETE)
            .header("mcp-session-id", &session);
        assert!((200..300).contains(&read(end).await.status), "{revision}");
        assert_eq!(server.ask(&session, ping()).await.status, 404, "{revision}");
    }
    // The newest has none: each request says what it needs.
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "c", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    for (method, name, more, wanted) in [
        (
            "server/discover",
            None,
            json!({}),
            "/result/supportedVersions",
        ),
        ("tools/list", None, json!({}), "/result/tools/7"),
        (
            "tools/call",
            Some("get"),
            json!({ "name": "get", "arguments": {} }),
            "/result/structuredContent/error/argument",
        ),
    ] {
        let mut params = more;
        params["_meta"] = meta.clone();
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let mut request = server
            .post(&message)
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", method);
        if let Some(name) = name {
            request = request.header("mcp-name", name);
        }
        let reply = read(request).await;
        assert_eq!(
            (reply.status, reply.session),
            (200, None),
            "{method}: {}",
            reply.text
        );
        assert!(
            reply.answer.pointer(wanted).is_some(),
            "{method}: {}",
            reply.text
        );
    }
    // A header that says something else than the body is no basis to route on.
    let message =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": { "_meta": meta } });
    let lying = server
        .post(&message)
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call");
    assert_eq!(read(lying).await.status, 400);
}

#[tokio::test]
async fn what_may_not_pass_is_refused_and_the_next_request_is_served() {
    let worker = Worker::bare(BINARY);
    let mut server = HttpServer::start(&worker, &["--origin", "https://app.example.com"]);
    let session = server.session("2025-11-25").await;
    let begin = || initialize("2025-11-25").to_string();
    let raw = |body: String| server.request(Method::POST).body(body);
    let within = |body: String| raw(body).header("mcp-session-id", &session);
    let bare = |method| client().request(method, &server.url);
    let deep = format!("{}1{}", "{\"a\":".repeat(65), "}".repeat(65));
    let long = "x".repeat(mcp_codex_worker::mcp::FRAME_MAX);
    let chunks = || {
        let chunk = vec![b' '; 1 << 20];
        let chunks = (0..8).map(move |_| Ok::<_, std::io::Error>(chunk.clone()));
        reqwest::Body::wrap_stream(futures_util::stream::iter(chunks))
    };
    let plain = bare(Method::POST)
        .bearer_auth(&server.token)
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "text/plain");
    for (what, request, status) in [
        ("no token", bare(Method::POST).body(begin()), 401),
        ("no token to listen", bare(Method::GET), 401),
        (
            "no token to end",
            bare(Method::DELETE).header("mcp-session-id", &session),
            401,
        ),
        (
            "another token",
            bare(Method::POST).bearer_auth("x".repeat(49)).body(begin()),
            401,
        ),
        (
            "token in the query",
            client()
                .post(format!("{}?token={}", server.url, server.token))
                .body(begin()),
            401,
        ),
        (
            "another origin",
            raw(begin()).header("origin", "https://evil.example.com"),
            403,
        ),
        (
            "no origin at all",
            raw(begin()).header("origin", "null"),
            403,
        ),
        (
            "its port",
            raw(begin()).header("origin", "https://app.example.com:8443"),
            403,
        ),
        (
            "its scheme",
            raw(begin()).header("origin", "http://app.example.com"),
            403,
        ),
        (
            "another host",
            raw(begin()).header("host", "evil.example.com"),
            403,
        ),
        ("too long", raw(json!({ "a": &long }).to_string()), 413),
        (
            "too long, untold",
            server.request(Method::POST).body(chunks()),
            413,
        ),
        ("no JSON", raw("{".to_owned()), 400),
        ("no message", raw("{}".to_owned()), 400),
        ("a batch", raw(format!("[{}]", ping())), 400),
        (
            "two keys",
            raw(r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"ping"}"#.to_owned()),
            400,
        ),
        ("deep", raw(deep), 400),
        ("no text of JSON", plain.body(begin()), 415),
        ("no session", raw(ping().to_string()), 422),
        (
            "an invented session",
            raw(ping().to_string()).header("mcp-session-id", "x"),
            404,
        ),
        ("no session to listen to", server.request(Method::GET), 422),
        (
            "an unknown revision",
            within(ping().to_string()).header("mcp-protocol-version", "1999-01-01"),
            400,
        ),
        ("another method", server.request(Method::PUT), 405),
    ] {
        let reply = read(request).await;
        // rmcp has its own code for a session that is missing.
        let right = reply.status == status || (status == 422 && (400..500).contains(&reply.status));
        assert!(right, "{what}: {} {}", reply.status, reply.text);
        assert_eq!(reply.session, None, "{what}");
        assert!(!reply.text.contains(&server.token), "{what}");
        assert_eq!(
            server.ask(&session, ping()).await.answer["result"],
            json!({}),
            "after {what}"
        );
    }
    // Without a token nothing is read; the client may find its connection closed instead of an answer.
    let unread = bare(Method::POST).body(long).send().await;
    assert!(unread.is_err() || unread.is_ok_and(|reply| reply.status() == 401));
    server.still_serves().await;
    let elsewhere = client()
        .post(server.url.replace("/mcp", "/"))
        .bearer_auth(&server.token);
    assert_eq!(read(elsewhere).await.status, 404);
    // A tool call is refused in the form of tool calls, as over stdio.
    let twice =
        r#"{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"get","name":"start"}}"#;
    let twice = read(within(twice.to_owned())).await;
    assert_eq!(twice.status, 200, "{twice:?}");
    assert_eq!(
        twice.answer["result"]["structuredContent"]["error"]["argument"],
        "request"
    );
    let page = raw(begin()).header("origin", "https://app.example.com");
    assert_eq!(read(page).await.status, 200, "the page that was allowed");

    // The session of a client is nothing to another one, whatever it tries.
    let message = ping();
    server.token = token('b');
    for (what, request) in [
        ("to ask", server.post(&message)),
        ("to listen", server.request(Method::GET)),
        ("to end", server.request(Method::DELETE)),
    ] {
        let reply = read(request.header("mcp-session-id", &session)).await;
        assert_eq!(reply.status, 404, "{what}: {reply:?}");
    }
    server.token = token('a');
    assert_eq!(server.ask(&session, ping()).await.status, 200);
}

#[tokio::test]
async fn a_thousand_idle_connections_keep_nobody_out() {
    let worker = Worker::bare(BINARY);
    let server = HttpServer::start(&worker, &[]);
    let _ = raise_descriptors();
    let idle: Vec<TcpStream> = (0..1000)
        .map(|_| TcpStream::connect(server.address()).unwrap())
        .collect();
    server.still_serves().await;
    // They were let go, not kept: the oldest reads the end of its stream.
    let mut oldest = &idle[0];
    oldest.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(matches!(oldest.read(&mut [0; 1]), Ok(0) | Err(_)));
    server.still_serves().await;
}

/// As many descriptors as the machine lets this process have.
fn raise_descriptors() -> rustix::io::Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)
}

#[tokio::test]
async fn a_new_session_takes_the_place_of_the_one_that_was_idle_longest() {
    let worker = Worker::bare(BINARY);
    let server = HttpServer::start(&worker, &[]);
    let first = server.session("2025-11-25").await;
    let second = server.session("2025-11-25").await;
    // Used again, the first is not the oldest any more.
    server.ask(&first, ping()).await;
    let client = client();
    for _ in 0..511 {
        let request = client
            .post(&server.url)
            .bearer_auth(&server.token)
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .body(initialize("2025-11-25").to_string());
        assert!(read(request).await.session.is_some());
    }
    assert_eq!(server.ask(&second, ping()).await.status, 404);
    assert_eq!(server.ask(&first, ping()).await.status, 200);
}

#[tokio::test]
async fn a_certificate_in_files_is_served_and_the_token_stays_off_the_clear() {
    let fixture = |name: &str| {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/tls");
        path.join(name).display().to_string()
    };
    let worker = Worker::bare(BINARY);
    let (certificate, key) = (fixture("certificate.pem"), fixture("key.pem"));
    let server = HttpServer::start(&worker, &["--tls-cert", &certificate, "--tls-key", &key]);
    assert!(server.url.starts_with("https://"), "{}", server.url);
    gateway::install_tls();
    let trusted = reqwest::Certificate::from_pem(&std::fs::read(&certificate).unwrap()).unwrap();
    let client = Client::builder()
        .no_proxy()
        .tls_certs_only([trusted])
        .timeout(PATIENCE)
        .build()
        .unwrap();
    let begun = read(
        client
            .post(&server.url)
            .bearer_auth(&server.token)
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .body(initialize("2025-11-25").to_string()),
    )
    .await;
    assert!(begun.session.is_some(), "{begun:?}");
    let clear = server.url.replace("https", "http");
    assert!(client.post(clear).send().await.is_err());

    for (arguments, says) in [
        (
            [("--tls-cert", key.as_str()), ("--tls-key", key.as_str())],
            "no certificate",
        ),
        (
            [("--tls-cert", &certificate), ("--tls-key", &certificate)],
            "no private key",
        ),
        ([("--tls-cert", "absent"), ("--tls-key", &key)], "absent"),
    ] {
        let output = worker
            .command(["serve", "--http", "127.0.0.1:0"])
            .args(arguments.iter().flat_map(|(name, value)| [*name, *value]))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn other_machines_are_served_only_where_that_was_said_in_so_many_words() {
    let worker = Worker::bare(BINARY);
    for (arguments, says) in [
        (vec!["0.0.0.0:0"], "--allow-remote"),
        (vec!["[::]:0"], "--allow-remote"),
        (vec!["0.0.0.0:0", "--allow-remote"], "--tls-cert"),
        (
            vec!["0.0.0.0:0", "--allow-remote", "--behind-proxy"],
            "--host",
        ),
        (vec!["0.0.0.0:0", "--behind-proxy"], "--allow-remote"),
        (vec!["127.0.0.1:0", "--tls-cert", "x"], "--tls-key"),
        (
            vec!["127.0.0.1:0", "--origin", "app.example.com"],
            "no origin",
        ),
        (vec!["localhost"], "invalid"),
    ] {
        let output = worker
            .command(["serve", "--http"])
            .args(&arguments)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
    let open = worker.home().join("open");
    std::fs::write(&open, token('a')).unwrap();
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let output = worker
        .command(["serve", "--http", "127.0.0.1:0", "--token-file"])
        .arg(&open)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("chmod 600"));
}

#[tokio::test]
async fn a_signal_ends_the_server_and_no_job() {
    let repository = Repository::with([("src/a.txt", "one\n")]);
    repository.commit("Begin");
    let agent = StandIn::that("touch begun; wait_for go; printf 'two\\n' > src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut server = HttpServer::start(&worker, &[]);
    let session = server.session("2025-11-25").await;
    let job = json!({ "prompt": "p", "allowed_dirs": [repository.path()] });
    let started = server.ask(&session, call("start", job)).await;
    let id = started.answer["result"]["structuredContent"]["job_id"].clone();
    wait_for_file(&repository.path().join("begun"));
    let wait = server
        .post(&call(
            "wait",
            json!({ "job_id": id, "timeout_ms": 120_000 }),
        ))
        .header("mcp-session-id", &session)
        .send()
        .await
        .unwrap();
    let pid = rustix::process::Pid::from_child(&server.process);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(server.process.wait().unwrap().code(), Some(0));
    drop(wait);
    std::fs::write(repository.path().join("go"), "").unwrap();
    // Another front, by another way.
    let mut front = worker.serve();
    let wait = json!({ "job_id": id, "timeout_ms": 120_000 });
    let ended = worker_test_support::worker::call(&mut front, "wait", wait).structured;
    assert_eq!(ended["job_status"], "completed", "{ended}");
    worker.assert_no_process_left();
}
