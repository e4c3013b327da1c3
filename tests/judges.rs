//! Judges from outside: the tests that Anthropic's Python SDK has of its own, and llmock, a gateway that breaks on purpose and
//! then says what its caller did wrong.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use worker_test_support::clients;

use super::double::{
    Double, Play, ask, client, completion, config, delta, finish, messages, start, stream,
};
use gateway::Adapter;

/// The key with which the SDK's tests ask.
const SDK_TESTS_KEY: &str = "my-anthropic-api-key";

/// Tests of the SDK that the adapter has to pass, whole files of them.
const RUN: [&str; 4] = [
    "tests/api_resources/test_messages.py",
    "tests/api_resources/beta/test_messages.py",
    "tests/api_resources/test_models.py",
    "tests/api_resources/beta/test_models.py",
];

/// Returns the subjects of the other tests, and why the adapter has none of it.
fn reasons() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients/anthropic-python/reasons.txt"),
    )
    .unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (path, reason) = line.split_once(": ").expect(line);
            (path.to_owned(), reason.to_owned())
        })
        .collect()
}

#[tokio::test]
async fn the_adapter_passes_the_message_tests_of_anthropics_python_sdk() {
    let (python, source) = tokio::task::spawn_blocking(|| {
        (
            clients::anthropic_python(),
            clients::anthropic_python_source(),
        )
    })
    .await
    .unwrap();
    let double = Double::start(|_, request| {
        let answer = match request.body["stream"] == true {
            true => stream(&[delta(json!({ "content": "hello" })), finish("stop")]),
            false => completion(json!({ "content": "hello" }), "stop"),
        };
        Play::Pieces(vec![answer])
    })
    .await;
    let mut config = config(&double.url);
    config.token = Some(SDK_TESTS_KEY.into());
    let adapter = start(config).await;
    let report = tempfile::tempdir().unwrap();
    let log = report.path().join("report.xml");
    let output = tokio::process::Command::new(python)
        .current_dir(&source)
        .args(["-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider"])
        .arg(format!("--junitxml={}", log.display()))
        .args(RUN)
        .env("TEST_API_BASE_URL", adapter.url())
        .env("NO_PROXY", "127.0.0.1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    // Skipping is failure.
    let report = std::fs::read_to_string(&log).unwrap();
    let count = |name: &str| {
        let (_, rest) = report.split_once(&format!(" {name}=\"")).unwrap();
        rest.split('"').next().unwrap().parse::<u32>().unwrap()
    };
    assert!(count("tests") >= 200 && count("skipped") == 0, "{said}");

    // Every other file of tests about resources has a reason.
    let reasons = reasons();
    let mut unexplained = Vec::new();
    let mut folders = vec![source.join("tests/api_resources")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&source).unwrap().display().to_string();
            let is_test = name.contains("/test_") && name.ends_with(".py");
            let known = RUN.contains(&name.as_str())
                || reasons.iter().any(|(prefix, _)| name.starts_with(prefix));
            if is_test && !known {
                unexplained.push(name);
            }
        }
    }
    assert!(unexplained.is_empty(), "no reason: {unexplained:#?}");
}

/// A running llmock.
struct Llmock {
    process: Child,
    url: String,
}

impl Drop for Llmock {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Llmock {
    async fn start(python: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let llmock = Self {
            // A venv that was moved has scripts that name its old place.
            process: Command::new(python)
                .args(["-c", "from llmock.cli import app; app()"])
                .args(["serve", "--host", "127.0.0.1", "--port", &port.to_string()])
                .args(["--tool-mode", "off"])
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
            url: format!("http://127.0.0.1:{port}"),
        };
        let began = Instant::now();
        while client()
            .get(format!("{}/health", llmock.url))
            .send()
            .await
            .is_err()
        {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "llmock does not listen"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        llmock
    }

    async fn play(&self, behaviors: Value) {
        let reset = client().post(format!("{}/_llmock/reset", self.url)).send();
        assert!(reset.await.unwrap().status().is_success());
        if behaviors == json!([]) {
            return;
        }
        let body = json!({ "behaviors": behaviors }).to_string();
        let sent = client()
            .post(format!("{}/_llmock/scenario", self.url))
            .body(body)
            .send();
        let sent = sent.await.unwrap();
        assert_eq!(sent.status().as_u16(), 201, "{:?}", sent.text().await);
    }

    async fn verdict(&self) -> Value {
        let got = client().get(format!("{}/_llmock/verdict", self.url)).send();
        let text = got.await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

/// A caller that asks again where the answer is an error, as Claude Code does.
async fn persistent(adapter: &Adapter, body: &Value) -> bool {
    for _ in 0..3 {
        let got = messages(adapter, body).await;
        let failed = got.status >= 500 || got.text.contains("event: error");
        if got.status == 200 && !failed {
            return true;
        }
        if got.status < 500 && !failed {
            return false;
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn llmock_finds_no_fault_with_the_adapter() {
    let python = tokio::task::spawn_blocking(clients::anthropic_python)
        .await
        .unwrap();
    let llmock = Llmock::start(&python).await;
    let fault = |kind: &str| json!({ "type": "stream_fault", "kind": kind, "after_chunks": 2 });
    let fail =
        |status: u16, times: u32| json!({ "type": "fail", "status": status, "times": times });
    for (name, behaviors, answered) in [
        ("all is well", json!([]), true),
        (
            "a rate",
            json!([{ "type": "fail", "status": 429, "retry_after": 1, "times": 2 }]),
            true,
        ),
        ("overloaded", json!([fail(503, 2)]), true),
        ("a bad gateway", json!([fail(502, 1)]), true),
        ("a time-out", json!([fail(504, 1)]), true),
        ("a wrong key", json!([fail(401, 1)]), false),
        ("a bad request", json!([fail(400, 1)]), false),
        ("a missing model", json!([fail(404, 1)]), false),
        ("unprocessable", json!([fail(422, 1)]), false),
        ("a stream that is cut", json!([fault("disconnect")]), true),
        ("a stream that ends early", json!([fault("truncate")]), true),
        ("a chunk that is no JSON", json!([fault("malformed")]), true),
        (
            "a stream that hangs",
            json!([{ "type": "stream_fault", "kind": "stall", "after_chunks": 1, "stall_seconds": 20 }]),
            true,
        ),
        (
            "a slow first word",
            json!([{ "type": "slow_first_token", "seconds": 1 }]),
            true,
        ),
    ] {
        let mut config = config(&format!("{}/v1", llmock.url));
        config.idle_timeout = Duration::from_secs(3);
        let adapter = start(config).await;
        let body = ask(json!({ "stream": true, "max_tokens": 200, "system": name }));
        // Where the whole answer is on its way before its reader has hung up, the judge cannot tell that it did.
        let mut verdict = Value::Null;
        for _ in 0..5 {
            llmock.play(behaviors.clone()).await;
            assert_eq!(persistent(&adapter, &body).await, answered, "{name}");
            verdict = llmock.verdict().await;
            let asked_again = verdict["attempts"].as_u64() > Some(1);
            let unseen = verdict["findings"][0]["code"] == "malformed_chunk_ignored";
            if !(asked_again && unseen) {
                break;
            }
        }
        assert_eq!(
            (&verdict["passed"], &verdict["warnings"]),
            (&json!(true), &json!(0)),
            "{name}: {verdict:#}"
        );
    }
    // Broken calls reach nobody.
    let tools = json!([{ "name": "weather", "description": "weather in a city", "input_schema": { "type": "object", "properties": { "city": { "type": "string" } } } }]);
    let adapter = start(config(&format!("{}/v1", llmock.url))).await;
    llmock
        .play(json!([{ "type": "tool_fault", "kind": "malformed_arguments" }]))
        .await;
    let got = messages(&adapter, &ask(json!({ "stream": true, "tools": tools }))).await;
    assert!(
        got.status != 200 || got.text.contains("event: error") || !got.text.contains("tool_use"),
        "{}",
        got.text
    );
}
