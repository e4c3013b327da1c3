//! What stands between the planner and its jobs: a hook from its start to `{}`, and MCP over HTTP against stdio.
//!
//! `cargo bench --bench planner` prints, for a quiet machine: the hook without a store, and with one that has the jobs of other
//! sessions; resident memory of `serve --http` idle and with 100 clients; the time of a `ping` over stdio and over HTTP.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_mcp-codex-worker");
const HOOKS: usize = 100;
const PINGS: usize = 1_000;
const CLIENTS: usize = 100;
const OTHERS: usize = 2_000;

/// A HOME and a job store of the benchmark's own, and the program on them. The folders are removed with it.
struct BenchStore {
    home: tempfile::TempDir,
    state: PathBuf,
}

impl BenchStore {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join("state");
        Self { home, state }
    }

    /// The store's folder.
    fn state(&self) -> &Path {
        &self.state
    }

    /// The program with these arguments, and nothing else in its environment.
    fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .env("WORKER_STATE_DIR", &self.state)
            .stderr(Stdio::null());
        command
    }
}

fn main() {
    let store = BenchStore::new();
    println!("hook, no store:              {}", hooks(&store));
    strangers(store.state());
    println!("hook, {OTHERS} jobs of others:   {}", hooks(&store));
    println!("ping over stdio:             {}", stdio(&store));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(http(&store));
}

/// The median and the slowest twentieth.
fn figures(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |part: usize| {
        let index = (times.len() * part / 100).min(times.len().saturating_sub(1));
        times.get(index).copied().unwrap_or_default()
    };
    format!("median {:?}, 95 % {:?}", at(50), at(95))
}

fn hooks(store: &BenchStore) -> String {
    let times = (0..HOOKS).map(|_| {
        let began = Instant::now();
        let mut hook = store
            .program(&["hook", "stop"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = hook.stdin.take().unwrap();
        stdin.write_all(b"{\"session_id\":\"mine\"}").unwrap();
        drop(stdin);
        let output = hook.wait_with_output().unwrap();
        assert_eq!(output.stdout, b"{}\n");
        began.elapsed()
    });
    figures(times.collect())
}

/// Jobs that other sessions started and were not told the end of.
fn strangers(state: &Path) {
    let store = job::Store::open(state).unwrap();
    for number in 0..OTHERS {
        let id = job::JobId::random().unwrap();
        drop(store.add(&id).unwrap());
        let asker = job::Asker {
            session: Some(format!("other {number}")),
            ..job::Asker::default()
        };
        store.record_asker(&id, &asker).unwrap();
    }
}

fn initialize() -> String {
    json!({
        "jsonrpc": "2.0", "id": 0, "method": "initialize",
        "params": { "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "bench", "version": "1" } },
    })
    .to_string()
}

fn ping(id: usize) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": "ping" }).to_string()
}

fn stdio(store: &BenchStore) -> String {
    let mut server = store
        .program(&["serve"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = server.stdin.take().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let mut ask = |frame: String| {
        stdin.write_all(format!("{frame}\n").as_bytes()).unwrap();
        lines.next().unwrap().unwrap();
    };
    ask(initialize());
    let times = (1..=PINGS).map(|id| {
        let began = Instant::now();
        ask(ping(id));
        began.elapsed()
    });
    let told = figures(times.collect());
    drop(stdin);
    server.wait().unwrap();
    told
}

async fn http(store: &BenchStore) {
    let mut server = store
        .program(&["serve", "--http", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(server.stdout.take().unwrap())
        .read_line(&mut url)
        .unwrap();
    let token = std::fs::read_to_string(store.state().join("http-tokens")).unwrap();
    gateway::install_tls();
    let idle = resident(server.id());
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let begun = post(&client, url.trim(), token.trim(), None, initialize()).await;
        let session = begun.headers()["mcp-session-id"]
            .to_str()
            .unwrap()
            .to_owned();
        begun.bytes().await.unwrap();
        clients.push((client, session));
    }
    println!(
        "HTTP, resident memory:       idle {idle} KB, with {CLIENTS} clients {} KB",
        resident(server.id())
    );
    let (client, session) = clients.first().unwrap();
    let mut times = Vec::with_capacity(PINGS);
    for id in 1..=PINGS {
        let began = Instant::now();
        let answer = post(client, url.trim(), token.trim(), Some(session), ping(id)).await;
        let text = answer.text().await.unwrap();
        assert!(text.contains("\"result\":{}"), "{text}");
        times.push(began.elapsed());
    }
    println!("ping over HTTP:              {}", figures(times));
    server.kill().unwrap();
    server.wait().unwrap();
}

async fn post(
    client: &reqwest::Client,
    url: &str,
    token: &str,
    session: Option<&str>,
    body: String,
) -> reqwest::Response {
    let mut request = client
        .post(url)
        .bearer_auth(token)
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json")
        .body(body);
    if let Some(session) = session {
        request = request.header("mcp-session-id", session);
    }
    request.send().await.unwrap()
}

/// VmRSS of a process.
fn resident(pid: u32) -> Value {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.into()
}
