//! Anthropic's own SDKs on the adapter: what their objects say of a gateway's answers and faults.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::process::Command;
use worker_test_support::clients;

use super::double::{
    Double, Play, Received, TOKEN, completion, config, delta, finish, http, open_stream, start,
    stream,
};

const WORDS: &str = "Hällo, \u{1f980}\n";

fn usage() -> Value {
    json!({ "prompt_tokens": 10, "completion_tokens": 3, "prompt_tokens_details": { "cached_tokens": 4 } })
}

/// The gateway's answer to a story: the text of the last message names it.
fn answer(request: &Received, again: &AtomicUsize) -> Vec<u8> {
    let last = request.body["messages"].as_array().unwrap().last().unwrap();
    let story = last["content"].as_str().unwrap();
    let streams = request.body["stream"] == json!(true);
    let end = json!({ "choices": [], "usage": usage() });
    let piece = |index: u64, id: Value, name: Value, arguments: &str| {
        delta(
            json!({ "tool_calls": [{ "index": index, "id": id, "function": { "name": name, "arguments": arguments } }] }),
        )
    };
    let say = |text: &str| delta(json!({ "content": text }));
    let refuse = |status: u16, message: &str| {
        let body = json!({ "error": { "message": message, "type": "x", "code": null } });
        http(status, &[("retry-after", "7")], &body.to_string())
    };
    match story {
        "text" => stream(&[say("Hällo, "), say("\u{1f980}\n"), finish("stop"), end]),
        "parallel" => stream(&[
            say("Both."),
            piece(0, json!("call_a"), json!("read"), "{\"path\":"),
            piece(1, json!("call_b"), json!("list"), "{\"path\""),
            piece(0, Value::Null, Value::Null, "\"a\"}"),
            piece(1, Value::Null, Value::Null, ":\"b\"}"),
            finish("tool_calls"),
            end,
        ]),
        "thinking" => stream(&[
            delta(json!({ "reasoning_content": "Well" })),
            delta(json!({ "reasoning_content": ", now." })),
            say("So."),
            finish("stop"),
            end,
        ]),
        "whole" => completion(
            json!({ "content": WORDS, "tool_calls": [{ "id": "call_a", "function": { "name": "read", "arguments": "{\"path\":\"a\"}" } }] }),
            "tool_calls",
        ),
        "again" if again.fetch_add(1, Ordering::Relaxed) == 0 => {
            http(429, &[("retry-after-ms", "5")], "{\"error\":\"not now\"}")
        }
        "again" => completion(json!({ "content": "now" }), "stop"),
        "overflow" => refuse(
            400,
            "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens.",
        ),
        "broken-off" if streams => open_stream(&[say("a")]),
        "broken-off" => http(200, &[], "{\"choices\":[{\"message\":{\"content\":\"a"),
        "error-within" => {
            let error = json!({ "error": { "message": "boom", "type": "overloaded_error" } });
            if streams {
                open_stream(&[say("a"), error])
            } else {
                http(200, &[], &error.to_string())
            }
        }
        status => refuse(status.parse().unwrap(), &format!("words for {status}")),
    }
}

/// The values that both SDKs must report, story by story.
fn table() -> Vec<(&'static str, Value)> {
    let message = |content: Value, stop: &str| json!({ "role": "assistant", "model": "claude-sonnet-5", "content": content, "stop_reason": stop, "usage": [6, 4, 3] });
    let with = |mut message: Value, key: &str, value: Value| {
        message[key] = value;
        message
    };
    let text = |text: &str| json!({ "type": "text", "text": text });
    let call = |id: &str, name: &str, path: &str| json!({ "type": "tool_use", "id": id, "name": name, "input": { "path": path } });
    let mut table = vec![
        (
            "text",
            with(
                message(json!([text(WORDS)]), "end_turn"),
                "pieces",
                json!({ "text": WORDS, "thinking": "" }),
            ),
        ),
        (
            "parallel",
            message(
                json!([
                    text("Both."),
                    call("call_a", "read", "a"),
                    call("call_b", "list", "b")
                ]),
                "tool_use",
            ),
        ),
        (
            "thinking",
            with(
                with(
                    message(
                        json!([{ "type": "thinking", "thinking": "Well, now.", "signature": true }, text("So.")]),
                        "end_turn",
                    ),
                    "pieces",
                    json!({ "text": "So.", "thinking": "Well, now." }),
                ),
                "then",
                json!([text(WORDS)]),
            ),
        ),
        (
            "whole",
            json!({ "content": [text(WORDS), call("call_a", "read", "a")], "stop_reason": "tool_use", "usage": [10, 0, 3], "request_id": true }),
        ),
        ("count", json!({ "counted": true })),
        ("models", json!({ "ids": ["big"], "one": "big" })),
        (
            "again",
            json!({ "content": [text("now")], "stop_reason": "end_turn" }),
        ),
        (
            "broken-off",
            json!({ "api_error": true, "type": "api_error", "message": "The gateway broke off in the middle of its answer" }),
        ),
        (
            "broken-off, whole",
            json!({ "error": "InternalServerError", "status": 502, "type": "api_error" }),
        ),
        (
            "error-within",
            json!({ "api_error": true, "type": "overloaded_error", "message": "boom" }),
        ),
        (
            "error-within, whole",
            json!({ "error": "ServiceUnavailableError", "status": 503, "type": "overloaded_error", "message": "boom" }),
        ),
        ("left", json!({})),
        (
            "wrong token",
            json!({ "error": "AuthenticationError", "status": 401, "type": "authentication_error", "message": "The adapter's token is missing or wrong" }),
        ),
    ];
    for (story, whole, error, status, kind) in [
        (
            "400",
            "400, whole",
            "BadRequestError",
            400,
            "invalid_request_error",
        ),
        (
            "401",
            "401, whole",
            "AuthenticationError",
            401,
            "authentication_error",
        ),
        (
            "403",
            "403, whole",
            "PermissionDeniedError",
            403,
            "permission_error",
        ),
        ("404", "404, whole", "NotFoundError", 404, "not_found_error"),
        (
            "413",
            "413, whole",
            "ContentTooLargeError",
            413,
            "request_too_large",
        ),
        (
            "429",
            "429, whole",
            "RateLimitError",
            429,
            "rate_limit_error",
        ),
        ("500", "500, whole", "InternalServerError", 500, "api_error"),
        (
            "503",
            "503, whole",
            "ServiceUnavailableError",
            503,
            "overloaded_error",
        ),
        (
            "overflow",
            "overflow, whole",
            "BadRequestError",
            400,
            "invalid_request_error",
        ),
    ] {
        let words = if story == "overflow" {
            "prompt is too long: 5000 tokens > 4096 maximum (This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens.)".to_owned()
        } else {
            format!("words for {story}")
        };
        let want = json!({ "error": error, "api_error": true, "status": status, "type": kind, "message": words, "retry_after": "7", "request_id": true });
        table.extend([(story, want.clone()), (whole, want)]);
    }
    table
}

/// Returns true if everything that is wanted is there.
fn fits(got: &Value, want: &Value) -> bool {
    match want {
        Value::Object(members) => members.iter().all(|(key, want)| got[key] == *want),
        _ => got == want,
    }
}

/// Runs a driver against an adapter and checks what it prints.
async fn drives(mut driver: Command) {
    let again = AtomicUsize::new(0);
    let mut double = Double::start(move |_, request| {
        let messages = request.body["messages"].as_array().unwrap();
        if messages.last().unwrap()["content"] == "endless" {
            return Play::Silence(open_stream(&[delta(json!({ "content": "a" }))]));
        }
        Play::Pieces(vec![answer(request, &again)])
    })
    .await;
    let mut config = config(&double.url);
    // The SDKs' own retries are looked at, not the adapter's.
    config.retries = 0;
    let adapter = start(config).await;
    let output = driver
        .env("ADAPTER_URL", adapter.url())
        .env("ADAPTER_TOKEN", TOKEN)
        .env("NO_PROXY", "127.0.0.1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{}: {complaints}",
        output.status
    );
    let mut told: BTreeMap<String, Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<(String, Value)>(line).unwrap())
        .collect();
    for (story, want) in table() {
        let got = told.remove(story).expect(story);
        assert!(fits(&got, &want), "{story}: {got:#} instead of {want:#}");
    }
    assert!(told.is_empty(), "not looked at: {told:#?}");
    double.someone_left().await;
}

fn driver(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/clients")
        .join(name)
}

#[tokio::test]
async fn anthropics_sdk_for_javascript_has_no_complaint() {
    let sdk = tokio::task::spawn_blocking(clients::anthropic_sdk)
        .await
        .unwrap();
    let mut node = Command::new("node");
    node.arg("--throw-deprecation")
        .arg(driver("anthropic-sdk/drive.mjs"))
        .env("SDK_MANIFEST", sdk);
    drives(node).await;
}

#[tokio::test]
async fn anthropics_sdk_for_python_has_no_complaint() {
    let python = tokio::task::spawn_blocking(clients::anthropic_python)
        .await
        .unwrap();
    let mut python = Command::new(python);
    python
        .args(["-W", "error"])
        .arg(driver("anthropic-python/drive.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    drives(python).await;
}
