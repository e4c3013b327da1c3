//! `mcp-codex-worker adapter` for a Claude Code that someone starts by hand.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use worker_test_support::gateway::{Script, ScriptedGateway, Turn};
use worker_test_support::{Worker, clients};

use super::{BINARY, broken_sum};

/// With all that Claude Code sends where nobody spares it anything: two dozen tools, system messages in the conversation,
/// titles, thinking.
#[test]
fn claude_code_started_by_hand_works_with_the_printed_lines() {
    let repository = broken_sum();
    let gateway = ScriptedGateway::start(Script::turns([
        Turn::call(
            "Read",
            json!({"file_path": repository.path().join("src/a.js")}),
        )
        .thinking("What is there?")
        .saying("I will look."),
        Turn::say("It subtracts."),
    ]))
    .unwrap();
    let worker = Worker::new(BINARY, &repository, &gateway);
    let mut adapter = worker
        .command(["adapter"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(adapter.stdout.take().unwrap()).lines();
    let exports: Vec<(String, String)> = lines
        .take(2)
        .map(|line| {
            let line = line.unwrap();
            let (name, value) = line
                .strip_prefix("export ")
                .unwrap()
                .split_once('=')
                .unwrap();
            (name.to_owned(), value.to_owned())
        })
        .collect();
    let output = Command::new(clients::claude_code())
        .args(["-p", "--output-format", "json", "--model", "sonnet"])
        .args(["--", "What does sum() do? Look at the code and say it."])
        .env_clear()
        .env("HOME", worker.home())
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(exports)
        .current_dir(repository.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    adapter.kill().unwrap();
    adapter.wait().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let result: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(
        (&result["is_error"], &result["result"]),
        (&json!(false), &json!("It subtracts.")),
        "{result}"
    );
    let requests = gateway.requests();
    assert!(requests.len() >= 2, "{}", requests.len());
    for request in &requests {
        assert_eq!(request.bearer(), Some("gateway-key-of-the-test"));
        assert_eq!(request.model(), "scripted");
    }
    assert!(requests.iter().any(|request| request.tools().count() > 10));
    let seen = requests.last().unwrap().texts("tool").join("\n");
    assert!(seen.contains("exports.sum"), "{seen}");
}
