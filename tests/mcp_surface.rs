//! The front as a client meets it: handshake, tools, bad frames, and the ways a session ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Write};
#[cfg(unix)]
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use job::{JobId, Store};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Long enough for a busy machine; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server on raw pipes, for frames that no client library would write.
struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    home: TempDir,
}

impl Server {
    fn start() -> Self {
        Self::start_with(|command| command)
    }

    fn start_with(change: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-codex-worker"));
        command
            .env_clear()
            .env("HOME", home.path())
            .current_dir(home.path());
        Self::spawn(change(&mut command), home)
    }

    fn spawn(command: &mut Command, home: TempDir) -> Self {
        Self::spawn_quiet(command.stderr(Stdio::inherit()), home)
    }

    fn spawn_quiet(command: &mut Command, home: TempDir) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                if sender.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            stdin,
            lines,
            home,
        }
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    fn send(&mut self, message: &Value) {
        self.raw(format!("{message}\n").as_bytes());
    }

    /// The next line, which must be JSON like every line on stdout.
    fn next(&self) -> Value {
        let line = self.lines.recv_timeout(PATIENCE).expect("an answer");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON on stdout: {line}"))
    }

    fn request(&mut self, message: &Value) -> Value {
        self.send(message);
        let answer = self.next();
        assert_eq!(answer["id"], message["id"], "{answer}");
        answer
    }

    fn initialized(mut self) -> Self {
        let answer = self.request(&initialize("2025-06-18"));
        assert_eq!(answer["result"]["protocolVersion"], "2025-06-18");
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        self
    }

    fn call(&mut self, params: &Value) -> Value {
        let request = json!({"jsonrpc": "2.0", "id": 77, "method": "tools/call", "params": params});
        self.request(&request)["result"].clone()
    }

    fn tools(&mut self) -> Vec<Value> {
        let answer = self.request(&json!({"jsonrpc": "2.0", "id": 5, "method": "tools/list"}));
        answer["result"]["tools"].as_array().unwrap().clone()
    }

    /// Waits until the process has ended by itself.
    fn ends(mut self) -> std::process::ExitStatus {
        // stdout closes with the process; anything before that is an answer.
        while self.lines.recv_timeout(PATIENCE).is_ok() {}
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn initialize(version: &str) -> Value {
    json!({
        "jsonrpc": "2.0", "id": 0, "method": "initialize",
        "params": {
            "protocolVersion": version,
            "capabilities": {"elicitation": {"form": {}, "url": {}}},
            "clientInfo": {"name": "codex-mcp-client", "title": "Codex", "version": "0.169.0"},
        },
    })
}

#[test]
fn every_protocol_version_in_use_is_served() {
    for (asked, answered) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        // These have no handshake of that name: the newest that has one is offered.
        ("2026-07-28", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
    ] {
        let mut server = Server::start();
        let answer = server.request(&initialize(asked));
        assert_eq!(answer["result"]["protocolVersion"], answered, "{asked}");
        assert_eq!(answer["result"]["serverInfo"]["name"], "mcp-codex-worker");
        assert_eq!(server.tools().len(), 8);
    }
}

#[test]
fn a_client_of_2026_07_28_discovers_and_calls_without_a_handshake() {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "c", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let mut server = Server::start();
    let discovered = server.request(
        &json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": meta}}),
    );
    let versions = discovered["result"]["supportedVersions"].to_string();
    assert!(versions.contains("2026-07-28"), "{discovered}");
    let listed = server.request(
        &json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {"_meta": meta}}),
    );
    assert_eq!(listed["result"]["tools"].as_array().unwrap().len(), 8);
    assert_eq!(listed["result"]["resultType"], "complete");
    let called = server.request(&json!({
        "jsonrpc": "2.0", "id": 3, "method": "tools/call",
        "params": {"_meta": meta, "name": "get", "arguments": {}},
    }));
    assert_eq!(
        called["result"]["structuredContent"]["error"]["argument"],
        "job_id"
    );
}

#[test]
fn the_surface_is_as_reviewed() {
    let mut server = Server::start();
    let answer = server.request(&initialize("2025-11-25"));
    let tools = server.tools();
    insta::assert_snapshot!(
        "instructions",
        answer["result"]["instructions"].as_str().unwrap()
    );
    insta::assert_json_snapshot!("tools", tools);
}

#[test]
fn the_surface_costs_the_planner_little() {
    let mut server = Server::start();
    let answer = server.request(&initialize("2025-11-25"));
    let instructions = answer["result"]["instructions"]
        .as_str()
        .unwrap()
        .to_owned();
    let visible: Vec<Value> = server
        .tools()
        .iter()
        .map(|tool| json!({"name": tool["name"], "description": tool["description"], "parameters": tool["inputSchema"]}))
        .collect();
    let o200k = tiktoken_rs::o200k_base().unwrap();
    for tool in &visible {
        let tokens = o200k.encode_ordinary(&tool.to_string()).len();
        eprintln!("{}: {tokens} tokens", tool["name"]);
    }
    let tokens = o200k.encode_ordinary(&json!(visible).to_string()).len();
    let spoken = o200k.encode_ordinary(&instructions).len();
    eprintln!("tools {tokens} tokens, instructions {spoken} tokens (o200k)");
    assert!(
        tokens + spoken <= 1_300,
        "tools {tokens}, instructions {spoken}"
    );
    // `stats` charges every job with it.
    let charged = mcp_codex_worker::mcp::SURFACE_TOKENS;
    let spoken = (tokens + spoken) as u64;
    assert!(
        charged.abs_diff(spoken) < 40,
        "{charged} are charged, {spoken} are spent"
    );
}

#[test]
fn what_a_planner_must_know_stands_in_the_first_250_characters() {
    let mut server = Server::start();
    let answer = server.request(&initialize("2025-11-25"));
    let head: String = answer["result"]["instructions"]
        .as_str()
        .unwrap()
        .chars()
        .take(250)
        .collect();
    for word in ["start", "prompt", "worker", "checks", "wait_ms", "verified"] {
        assert!(head.contains(word), "{word} is not in: {head}");
    }
}

#[test]
fn codex_exec_runs_every_tool_without_an_approval_setting() {
    for tool in Server::start().initialized().tools() {
        let hint = |name: &str| tool["annotations"][name].as_bool();
        // CLIENTS.md 2.5, measured with codex-cli 0.169.
        let runs = hint("readOnlyHint") == Some(true)
            || (hint("destructiveHint") == Some(false) && hint("openWorldHint") == Some(false));
        assert!(runs, "{} would be refused", tool["name"]);
    }
}

#[test]
fn schemas_carry_no_noise() {
    fn keys(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => object.iter().for_each(|(key, value)| {
                found.push(key.clone());
                keys(value, found);
            }),
            Value::Array(array) => array.iter().for_each(|value| keys(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for tool in Server::start().initialized().tools() {
        keys(&tool["inputSchema"], &mut found);
        assert!(
            tool.get("outputSchema").is_none(),
            "not every reply would fit one"
        );
    }
    // Codex drops these before its model sees them (CLIENTS.md 2.4): what they say belongs into descriptions.
    for noise in [
        "$schema",
        "title",
        "format",
        "default",
        "minimum",
        "maximum",
        "additionalProperties",
    ] {
        assert!(!found.iter().any(|key| key == noise), "{noise}");
    }
}

#[test]
fn a_failed_call_names_the_argument_and_the_rule() {
    let mut server = Server::start().initialized();
    for (params, argument) in [
        (
            json!({"name": "delete_everything", "arguments": {}}),
            "name",
        ),
        (json!({"arguments": {}}), "name"),
        (json!({"name": "start", "arguments": [1, 2]}), "arguments"),
        (json!({"name": "start", "arguments": "prompt"}), "arguments"),
        (json!({"name": "start"}), "prompt"),
        (
            json!({"name": "get", "arguments": {"job_id": "../../etc/passwd"}}),
            "job_id",
        ),
        (
            json!({"name": "get", "arguments": {"job_id": "x".repeat(1 << 20)}}),
            "job_id",
        ),
        (json!({"name": "get", "arguments": {"job_id": 7}}), "job_id"),
        (
            json!({"name": "cancel", "arguments": {"job_id": "x", "force": true}}),
            "force",
        ),
        (json!({"name": "wait", "arguments": {}}), "job_id"),
        (
            json!({"name": "analyze", "arguments": {"question": "?", "path": "/"}}),
            "path",
        ),
        (
            json!({"name": "search", "arguments": {"paths": ["/"]}}),
            "pattern",
        ),
        (
            json!({"name": "search", "arguments": {"pattern": "x"}}),
            "paths",
        ),
        (
            json!({"name": "search", "arguments": {"symbols": [], "paths": ["/"]}}),
            "symbols",
        ),
        (
            json!({"name": "search", "arguments": {"symbols": ["x"], "pattern": "x", "paths": ["/"]}}),
            "symbols",
        ),
        (
            json!({"name": "search", "arguments": {"symbols": ["x"], "paths": ["/"]}}),
            "SANDBOX_ROOT",
        ),
        (
            json!({"name": "get", "arguments": {"help": "stop"}}),
            "help",
        ),
    ] {
        let result = server.call(&params);
        let shown: String = params.to_string().chars().take(200).collect();
        assert_eq!(result["isError"], true, "{shown}: {result}");
        let error = &result["structuredContent"]["error"];
        assert_eq!(error["argument"], argument, "{shown}: {result}");
        assert!(!error["rule"].as_str().unwrap().is_empty());
        let text: Value =
            serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(
            text, result["structuredContent"],
            "text and structure differ"
        );
        assert!(result.to_string().len() < 1_000, "a short error");
    }
}

#[test]
fn a_mistake_in_the_settings_is_told_by_the_call_and_mended_without_a_restart() {
    let mut server = Server::start().initialized();
    let folder = server.home.path().join(".config/mcp-codex-worker");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(".env"), "MAX_RUNNING_JOBS=many-secret-words\n").unwrap();
    let get = json!({"name": "get", "arguments": {"job_id": "x"}});
    let refused = server.call(&get);
    assert_eq!(
        refused["structuredContent"]["error"]["argument"],
        "MAX_RUNNING_JOBS"
    );
    assert!(!refused.to_string().contains("many-secret-words"));

    std::fs::write(folder.join(".env"), "MAX_RUNNING_JOBS=2\n").unwrap();
    let answered = server.call(&get);
    assert_eq!(answered["structuredContent"]["error"]["argument"], "job_id");
}

#[test]
fn the_repository_codex_works_in_sets_nothing() {
    let repository = tempfile::tempdir().unwrap();
    for name in [".env", "config.toml"] {
        std::fs::write(
            repository.path().join(name),
            "SANDBOX_ROOT = \"/\"\nMAX_RUNNING_JOBS = \"none\"\n",
        )
        .unwrap();
    }
    let mut server =
        Server::start_with(|command| command.current_dir(repository.path())).initialized();
    let start =
        json!({"name": "start", "arguments": {"prompt": "x", "allowed_dirs": [repository.path()]}});
    let refused = server.call(&start);
    // Had the repository been heard, MAX_RUNNING_JOBS would have been refused, or the root been there.
    let argument = refused["structuredContent"]["error"]["argument"]
        .as_str()
        .unwrap();
    assert!(
        ["SANDBOX_ROOT", "ONEAPI_BASE_URL"].contains(&argument),
        "{refused}"
    );
}

#[test]
fn the_tools_on_offer_follow_worker_toolsets() {
    let names = |server: &mut Server| -> Vec<String> {
        let tools = server.tools();
        let names = tools
            .iter()
            .map(|tool| tool["name"].as_str().unwrap().to_owned());
        names.collect()
    };
    let jobs = ["start", "get", "tail", "wait", "cancel", "apply"];
    for (sets, expected) in [
        ("", [&jobs[..], &["analyze", "search"]].concat()),
        ("jobs", jobs.to_vec()),
        ("reading, analyze", vec!["analyze", "search"]),
    ] {
        let mut server =
            Server::start_with(|command| command.env("WORKER_TOOLSETS", sets)).initialized();
        assert_eq!(names(&mut server), expected, "{sets}");
    }

    let mut server =
        Server::start_with(|command| command.env("WORKER_TOOLSETS", "jobs")).initialized();
    let refused = server.call(&json!({"name": "search", "arguments": {}}));
    let error = &refused["structuredContent"]["error"];
    assert_eq!(error["argument"], "name");
    assert!(
        error["rule"].as_str().unwrap().contains("WORKER_TOOLSETS"),
        "{error}"
    );

    let mut server =
        Server::start_with(|command| command.env("WORKER_TOOLSETS", "jobs,everything"))
            .initialized();
    // What is wrong is told by every call, so all of them must be there to be called.
    assert_eq!(names(&mut server).len(), 8);
    let refused = server.call(&json!({"name": "get", "arguments": {"job_id": "x"}}));
    let error = &refused["structuredContent"]["error"];
    assert_eq!(error["argument"], "WORKER_TOOLSETS");
    assert!(
        error["rule"]
            .as_str()
            .unwrap()
            .contains("jobs, analyze, reading"),
        "{error}"
    );
}

#[test]
fn hostile_frames_are_answered_and_the_next_request_is_served() {
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{{"name":"start","arguments":{}1{}}}}}"#,
        "{\"a\":".repeat(1_000),
        "}".repeat(1_000)
    );
    let wide = format!(
        r#"{{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{{"name":"start","arguments":{{"checks":[{}0]}}}}}}"#,
        "0,".repeat(1_000_000)
    );
    let long = format!(
        r#"{{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{{"name":"start","arguments":{{"prompt":"{}"}}}}}}"#,
        "x".repeat(5 << 20)
    );
    let long_other = format!(r#"{{"method":"{}"}}"#, "x".repeat(5 << 20));
    let batch = format!(
        "[{}]",
        vec![r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#; 100].join(",")
    );
    // The frame, and where the answer says what is wrong: nothing, a JSON-RPC error, or a failed call.
    let rows: Vec<(&str, Vec<u8>, &str)> = vec![
        ("no JSON", b"hello\n".to_vec(), "error"),
        ("half a message", b"{\"jsonrpc\":\"2.0\",\n".to_vec(), "error"),
        ("not UTF-8", b"{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"\xff\"}\n".to_vec(), "error"),
        ("NUL", b"\0\0\0\n".to_vec(), "error"),
        ("a lone surrogate", br#"{"jsonrpc":"2.0","id":9,"method":"\ud800"}"#.iter().copied().chain(*b"\n").collect(), "error"),
        ("a number beyond numbers", b"{\"jsonrpc\":\"2.0\",\"id\":1e999,\"method\":\"ping\"}\n".to_vec(), "error"),
        ("deep without end", [b"[".repeat(100_000), b"\n".to_vec()].concat(), "error"),
        ("a deep call", [deep.into_bytes(), b"\n".to_vec()].concat(), "result"),
        ("a wide call", [wide.into_bytes(), b"\n".to_vec()].concat(), "result"),
        ("a long call", [long.into_bytes(), b"\n".to_vec()].concat(), "result"),
        ("a long something", [long_other.into_bytes(), b"\n".to_vec()].concat(), "error"),
        ("a batch", [batch.into_bytes(), b"\n".to_vec()].concat(), "error"),
        ("a call with its name twice", b"{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"tools/call\",\"params\":{\"name\":\"get\",\"name\":\"start\"}}\n".to_vec(), "result"),
        ("not JSON-RPC", b"{\"id\":9,\"hello\":1}\n".to_vec(), "error"),
        ("an unknown method", b"{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"rm\"}\n".to_vec(), "error"),
        ("empty lines", b"\n\r\n  \n".to_vec(), ""),
        ("a notification nobody knows", b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n".to_vec(), ""),
        ("an answer to nothing", b"{\"jsonrpc\":\"2.0\",\"id\":99,\"result\":{}}\n".to_vec(), ""),
        ("a cancellation of nothing", b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":3}}\n".to_vec(), ""),
        ("CRLF", b"{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"ping\"}\r\n".to_vec(), "result"),
        ("a byte order mark", b"\xef\xbb\xbf{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"ping\"}\n".to_vec(), "result"),
    ];
    // As the first thing a server hears, and in the middle of a session.
    for opened in [false, true] {
        let mut server = Server::start();
        if opened {
            server = server.initialized();
        }
        for (what, frame, answer_in) in &rows {
            if !opened && !matches!(*answer_in, "error" | "") {
                continue;
            }
            server.raw(frame);
            if !answer_in.is_empty() {
                let answer = server.next();
                assert!(!answer[answer_in].is_null(), "{what}: {answer}");
                assert!(answer.to_string().len() < 600, "{what}: {answer}");
            }
            let pong =
                server.request(&json!({"jsonrpc": "2.0", "id": "still there", "method": "ping"}));
            assert!(pong["result"].is_object(), "after {what}: {pong}");
        }
    }
}

/// A queued job of this server's store, alive as long as the hold is kept: this test stands in for its runner.
fn held_job(server: &Server) -> (Store, JobId, impl Sized + use<>) {
    let folder = server.home.path().join(".local/state/mcp-codex-worker");
    let store = Store::open(&folder).unwrap();
    let id = JobId::random().unwrap();
    let hold = store.add(&id).unwrap();
    (store, id, hold)
}

fn wait_call(id: u64, job: &JobId, timeout_ms: u64) -> Value {
    json!({
        "jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": {
            "name": "wait",
            "arguments": {"job_id": job, "timeout_ms": timeout_ms},
            "_meta": {"progressToken": "p"},
        },
    })
}

#[test]
fn a_wait_reports_progress_lets_others_through_and_wakes_when_the_job_ends() {
    let mut server = Server::start().initialized();
    let (store, job, hold) = held_job(&server);
    server.send(&wait_call(1, &job, 600_000));
    // Asked later, answered first.
    let get = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "get", "arguments": {"job_id": job}}});
    let answer = server.request(&get);
    assert_eq!(
        answer["result"]["structuredContent"]["job_status"],
        "queued"
    );

    let mut seen = 0.0;
    for _ in 0..2 {
        let note = server.next();
        assert_eq!(note["method"], "notifications/progress", "{note}");
        assert_eq!(note["params"]["progressToken"], "p");
        let progress = note["params"]["progress"].as_f64().unwrap();
        assert!(progress > seen, "it must rise");
        seen = progress;
        let message = note["params"]["message"].as_str().unwrap();
        assert!(
            message.contains("queued") && message.contains(job.as_str()),
            "{note}"
        );
    }

    drop(hold);
    let answer = loop {
        let message = server.next();
        if message["method"] != "notifications/progress" {
            break message;
        }
    };
    assert_eq!(answer["id"], 1);
    assert_eq!(
        answer["result"]["structuredContent"]["job_status"],
        "interrupted"
    );
    assert!(store.job(&job).unwrap().unwrap().state.is_terminal());
}

#[test]
fn at_the_time_out_a_wait_answers_where_the_job_stands() {
    let mut server = Server::start().initialized();
    let (_store, job, _hold) = held_job(&server);
    let answer = server.request(&wait_call(1, &job, 10));
    assert_eq!(answer["result"]["isError"], false, "{answer}");
    assert_eq!(
        answer["result"]["structuredContent"]["job_status"],
        "queued"
    );
}

#[test]
fn cancelling_a_call_stops_the_wait_and_not_the_job() {
    let mut server = Server::start().initialized();
    let (store, job, _hold) = held_job(&server);
    server.send(&wait_call(41, &job, 600_000));
    server.send(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 41, "reason": "timed out"}}));
    // The cancelled call gets no answer: the next one is for the next question.
    let pong = server.request(&json!({"jsonrpc": "2.0", "id": 42, "method": "ping"}));
    assert!(pong["result"].is_object());
    let row = store.job(&job).unwrap().unwrap();
    assert!(!row.state.is_terminal() && !row.cancel_requested);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_wait_leaves_the_job_alone() {
    let mut server = Server::start().initialized();
    let (store, job, hold) = held_job(&server);
    server.send(&wait_call(1, &job, 600_000));
    server.request(&json!({"jsonrpc": "2.0", "id": 2, "method": "ping"}));
    server.stdin = None;
    // It ends although the wait has ten minutes to go.
    while server.lines.recv_timeout(PATIENCE).is_ok() {}
    assert!(server.child.wait().unwrap().success());
    assert!(!store.job(&job).unwrap().unwrap().state.is_terminal());

    // Another front has it.
    drop(hold);
    let folder = server.home.path().to_owned();
    let mut other = Server::start_with(|command| command.env("HOME", folder)).initialized();
    let answer = other.request(&wait_call(1, &job, 600_000));
    assert_eq!(
        answer["result"]["structuredContent"]["job_status"],
        "interrupted"
    );
}

#[test]
fn a_hundred_calls_at_once_are_all_answered() {
    let mut server = Server::start().initialized();
    let (_store, job, _hold) = held_job(&server);
    for id in 100..200 {
        server.send(&json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "get", "arguments": {"job_id": job}}}));
    }
    let mut ids: Vec<u64> = (100..200)
        .map(|_| server.next()["id"].as_u64().unwrap())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, (100..200).collect::<Vec<_>>());
}

#[test]
fn the_most_talkative_log_holds_neither_prompts_nor_keys() {
    let home = tempfile::tempdir().unwrap();
    let log = home.path().join("log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-codex-worker"));
    command
        .env_clear()
        .env("HOME", home.path())
        .env("WORKER_LOG", "trace")
        .env("ONEAPI_API_KEY", "canary-key-4711")
        // Warned about in the log, with its name.
        .env("WORKER_canary-key-4711", "1")
        .stderr(std::fs::File::create(&log).unwrap());
    let mut server = Server::spawn_quiet(&mut command, home).initialized();
    server.call(&json!({"name": "start", "arguments": {"prompt": "canary-prompt-4711", "allowed_dirs": ["/"]}}));
    server.stdin = None;
    while server.lines.recv_timeout(PATIENCE).is_ok() {}
    let log = std::fs::read_to_string(log).unwrap();
    assert!(
        log.contains("[redacted:oneapi-api-key]"),
        "the log is there: {log}"
    );
    assert!(!log.contains("canary-"), "{log}");
}

#[test]
fn frames_may_come_in_any_pieces() {
    let mut server = Server::start();
    for byte in format!("{}\n", initialize("2025-06-18")).as_bytes() {
        server.raw(&[*byte]);
    }
    assert_eq!(server.next()["id"], 0);
    let two = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}\n";
    server.raw(two.as_bytes());
    let mut ids = [server.next()["id"].as_u64(), server.next()["id"].as_u64()];
    ids.sort_unstable();
    assert_eq!(ids, [Some(1), Some(2)]);
}

#[test]
fn questions_asked_before_the_end_of_input_are_answered() {
    let mut server = Server::start();
    server.send(&initialize("2025-06-18"));
    // The last one without its line break.
    server.raw(br#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
    server.stdin = None;
    let mut ids = [server.next()["id"].as_u64(), server.next()["id"].as_u64()];
    ids.sort_unstable();
    assert_eq!(ids, [Some(0), Some(1)]);
    assert!(server.ends().success());
}

#[test]
fn the_end_of_input_ends_the_server_at_every_stage() {
    let mut silent = Server::start();
    silent.stdin = None;
    assert!(silent.ends().success());

    let mut greeted = Server::start().initialized();
    greeted.stdin = None;
    assert!(greeted.ends().success());
}

#[cfg(unix)]
#[test]
fn signals_end_the_server_cleanly() {
    use rustix::process::{Pid, Signal, kill_process};

    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let server = Server::start().initialized();
        kill_process(Pid::from_child(&server.child), signal).unwrap();
        assert!(server.ends().success(), "{signal:?}");
    }
}

#[cfg(unix)]
#[test]
fn the_server_ends_with_its_parent_even_while_its_input_stays_open() {
    let home = tempfile::tempdir().unwrap();
    // The shell is the parent; this test keeps both ends of the pipes.
    let mut shell = Command::new("sh");
    shell
        .args([
            "-c",
            "exec 3<&0; \"$0\" serve <&3 & wait",
            env!("CARGO_BIN_EXE_mcp-codex-worker"),
        ])
        .env("HOME", home.path());
    let server = Server::spawn(&mut shell, home).initialized();
    let parent = rustix::process::Pid::from_child(&server.child);
    rustix::process::kill_process(parent, rustix::process::Signal::KILL).unwrap();
    // stdout reaches its end only when the server, its last writer, is gone.
    server.ends();
}

/// F22: some clients hand over streams that do not block.
#[cfg(unix)]
#[test]
fn streams_that_do_not_block_are_waited_for() {
    use std::os::fd::OwnedFd;
    let home = tempfile::tempdir().unwrap();
    let (mut client, server) = std::os::unix::net::UnixStream::pair().unwrap();
    server.set_nonblocking(true).unwrap();
    let output = OwnedFd::from(server.try_clone().unwrap());
    let mut child = Command::new(env!("CARGO_BIN_EXE_mcp-codex-worker"))
        .arg("serve")
        .env_clear()
        .env("HOME", home.path())
        .stdin(Stdio::from(OwnedFd::from(server)))
        .stdout(Stdio::from(output))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    client
        .set_read_timeout(Some(std::time::Duration::from_secs(60)))
        .unwrap();
    let mut replies = BufReader::new(client.try_clone().unwrap());
    let mut line = String::new();
    writeln!(client, "{}", initialize("2025-06-18")).unwrap();
    replies.read_line(&mut line).unwrap();
    assert!(line.contains("serverInfo"), "{line}");
    writeln!(
        client,
        r#"{{"jsonrpc":"2.0","method":"notifications/initialized"}}"#
    )
    .unwrap();
    // More answers than the stream holds, asked for before the first one is read; and no more calls than may be under way.
    const ASKED: usize = 120;
    for id in 0..ASKED {
        writeln!(
            client,
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#
        )
        .unwrap();
    }
    for _ in 0..ASKED {
        line.clear();
        replies.read_line(&mut line).unwrap();
        assert!(line.contains("\"tools\""), "{line}");
    }
    drop(replies);
    drop(client);
    child.wait().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_but_the_protocol_can_reach_stdout() {
    fn target(pid: u32, fd: impl AsRef<Path>) -> std::path::PathBuf {
        std::fs::read_link(Path::new("/proc").join(pid.to_string()).join("fd").join(fd)).unwrap()
    }
    let log = tempfile::tempfile().unwrap();
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-codex-worker"));
    let mut child = command
        .env_clear()
        .env("HOME", home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let stdout = child.stdout.take().unwrap();
    let wires = [stdin.as_raw_fd(), stdout.as_raw_fd()]
        .map(|fd| target(std::process::id(), fd.to_string()));
    let mut stdout = BufReader::new(stdout);
    writeln!(stdin, "{}", initialize("2025-06-18")).unwrap();
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();

    let pid = child.id();
    // What a library, a plugin, a panic or a child writes to descriptor 1 ends on stderr, and descriptor 0 is empty.
    assert_eq!(target(pid, "1"), target(pid, "2"));
    assert_eq!(target(pid, "0"), Path::new("/dev/null"));
    // The real streams are private: no child process inherits them.
    let mut found = 0;
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .flatten()
    {
        if wires.contains(&target(pid, entry.file_name())) {
            found += 1;
            let info = std::fs::read_to_string(
                Path::new("/proc")
                    .join(pid.to_string())
                    .join("fdinfo")
                    .join(entry.file_name()),
            )
            .unwrap();
            let flags = info
                .lines()
                .find_map(|line| line.strip_prefix("flags:"))
                .unwrap()
                .trim();
            let close_on_exec = u32::from_str_radix(flags, 8).unwrap() & 0o2_000_000 != 0;
            assert!(
                close_on_exec,
                "descriptor {} is inherited",
                entry.file_name().display()
            );
        }
    }
    assert_eq!(found, 2, "stdin and stdout");
    drop(stdin);
    child.wait().unwrap();
}
