//! `doctor --network`: what a gateway does wrong is named, with what to do about it, and no key is printed.

use bytes::Bytes;
use serde_json::{Value, json};
use worker_test_support::Worker;
use worker_test_support::gateway::{End, Reply, Request, Script, ScriptedGateway, Turn};

use super::{stderr, stdout, verdict};

const BINARY: &str = env!("CARGO_BIN_EXE_mcp-codex-worker");
const KEY: &str = "sk-the-gateways-own-key-0123456789";

fn doctor(worker: &Worker) -> Vec<Value> {
    let output = worker
        .command(["doctor", "--network", "--json"])
        .output()
        .unwrap();
    for text in [stdout(&output), stderr(&output)] {
        assert!(!text.contains(KEY), "a key was printed: {text}");
    }
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn worker(url: &str) -> Worker {
    Worker::bare(BINARY)
        .with_lessons_of_its_own()
        .set("ONEAPI_BASE_URL", url)
        .set("ONEAPI_API_KEY", KEY)
        .set("CLAUDE_MODEL", "scripted")
        .set("WORKER_PRICE_INPUT", "1")
        .set("WORKER_PRICE_OUTPUT", "2")
}

/// A model that does as it is told.
fn good(request: &Request) -> Turn {
    if request.tools().next().is_some() {
        Turn::call("report", json!({"value": 7}))
            .saying("one two three four five six seven eight nine ten")
    } else {
        Turn::say("ready")
    }
}

fn script(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> ScriptedGateway {
    ScriptedGateway::start(Script::new(reply)).unwrap()
}

fn finding<'a>(findings: &'a [Value], what: &str) -> &'a Value {
    findings
        .iter()
        .find(|finding| finding["what"] == what)
        .unwrap_or_else(|| panic!("nothing about {what}: {findings:#?}"))
}

#[test]
fn a_good_gateway_passes_and_the_bill_is_told() {
    let gateway = script(|request| Reply::Turn(good(request)));
    let findings = doctor(&worker(&gateway.base_url()));
    for what in [
        "models",
        "completion",
        "tool call",
        "streaming",
        "usage",
        "latency",
        "cost",
    ] {
        assert_eq!(verdict(&findings, what), "ok", "{findings:#?}");
    }
    let cost = finding(&findings, "cost")["detail"].as_str().unwrap();
    let reported = gateway.reported();
    assert!(
        cost.contains(&format!("{} tokens in", reported.prompt)) && cost.contains('$'),
        "{cost}: {reported:?}"
    );
    for what in [
        "second turn",
        "agent's request",
        "reasoning",
        "output cap",
        "context",
        "schemas",
        "effort",
    ] {
        assert_eq!(verdict(&findings, what), "ok", "{findings:#?}");
    }
    assert!(
        cost.starts_with(&format!("{} requests", gateway.requests().len())),
        "no retries, nothing hidden: {cost}"
    );
}

#[test]
fn what_is_wrong_with_a_gateway_is_named_with_its_remedy() {
    // A gateway that repeats the key, one that has no tools, one that counts nothing, one that is a web page.
    let echo = Reply::error(
        401,
        "invalid_request_error",
        &format!("Incorrect API key provided: {KEY}"),
    );
    let no_usage = |request: &Request| {
        let mut turn = good(request);
        turn.usage = None;
        if !request.stream() {
            return Reply::Raw {
                status: 200,
                headers: vec![("content-type".into(), "application/json".into())],
                chunks: vec![Bytes::from(
                    json!({"id": "x", "object": "chat.completion", "model": "scripted", "choices": [
                        {"index": 0, "message": {"role": "assistant", "content": "ready"}, "finish_reason": "stop"}]})
                    .to_string(),
                )],
                end: End::Close,
            };
        }
        let chunk = |delta: Value, reason: Value| {
            let chunk = json!({"id": "x", "object": "chat.completion.chunk", "model": "scripted",
                "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]});
            Bytes::from(format!("data: {chunk}\n\n"))
        };
        let call = json!({"tool_calls": [{"index": 0, "id": "c", "type": "function",
            "function": {"name": "report", "arguments": "{\"value\": 7}"}}]});
        Reply::Raw {
            status: 200,
            headers: vec![("content-type".into(), "text/event-stream".into())],
            chunks: vec![
                chunk(json!({"content": "one "}), Value::Null),
                chunk(json!({"content": "two "}), Value::Null),
                chunk(call, Value::Null),
                chunk(json!({}), json!("tool_calls")),
                Bytes::from_static(b"data: [DONE]\n\n"),
            ],
            end: End::Close,
        }
    };
    type Row = (
        &'static str,
        ScriptedGateway,
        &'static str,
        &'static str,
        &'static str,
    );
    let rows: Vec<Row> = vec![
        (
            "a wrong key",
            script(move |_| echo.clone()),
            "completion",
            "fail",
            "ONEAPI_API_KEY (set by environment)",
        ),
        (
            "no tools",
            script(|_| Reply::Turn(Turn::say("one two three four five, report 7"))),
            "tool call",
            "fail",
            "CLAUDE_MODEL",
        ),
        (
            "wrong arguments",
            script(|request| {
                Reply::Turn(if request.tools().next().is_some() {
                    Turn::call("report", json!({"value": "seven"}))
                } else {
                    Turn::say("ready")
                })
            }),
            "tool call",
            "warn",
            "CLAUDE_MODEL",
        ),
        (
            "no usage",
            script(no_usage),
            "usage",
            "warn",
            "WORKER_DIALECT",
        ),
        (
            "a web page",
            script(|_| Reply::html(200)),
            "completion",
            "fail",
            "usually ends in /v1",
        ),
        (
            "no money",
            script(|_| Reply::error(402, "insufficient_quota", "Top up, please.")),
            "completion",
            "fail",
            "top up",
        ),
        (
            "too many requests",
            script(|_| Reply::rate_limited("60")),
            "completion",
            "fail",
            "wait",
        ),
    ];
    for (name, gateway, what, expected, remedy) in rows {
        let findings = doctor(&worker(&gateway.base_url()));
        let found = finding(&findings, what);
        assert_eq!(found["verdict"], expected, "{name}: {findings:#?}");
        assert!(
            found["remedy"]
                .as_str()
                .unwrap_or_default()
                .contains(remedy),
            "{name}: {found}"
        );
    }
}

#[test]
fn a_gateway_that_is_not_there_is_one_finding_and_not_six() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let findings = doctor(&worker(&format!("http://127.0.0.1:{port}/v1")));
    let models = finding(&findings, "models");
    assert_eq!(models["verdict"], "fail", "{models}");
    assert!(models["remedy"].as_str().unwrap().contains("HTTPS_PROXY"));
    assert!(
        !findings
            .iter()
            .any(|finding| finding["what"] == "completion")
    );
}

#[test]
fn a_model_that_the_gateway_does_not_list_and_a_second_gateway_are_looked_at_too() {
    let first = script(|request| Reply::Turn(good(request)));
    let second = script(|_| Reply::unauthorized());
    let worker = worker(&first.base_url())
        .set("CLAUDE_MODEL", "scripted-turbo")
        .set("FALLBACK_BASE_URL", second.base_url())
        .set("FALLBACK_API_KEY", "another-key-that-is-wrong-0123");
    let findings = doctor(&worker);
    let models = finding(&findings, "models");
    assert_eq!(models["verdict"], "warn", "{models}");
    assert!(
        models["remedy"]
            .as_str()
            .unwrap()
            .contains("such as scripted")
    );
    assert_eq!(verdict(&findings, "completion"), "ok", "{findings:#?}");
    let fallback = finding(&findings, "fallback completion");
    assert_eq!(fallback["verdict"], "fail", "{fallback}");
    assert!(
        fallback["remedy"]
            .as_str()
            .unwrap()
            .contains("FALLBACK_API_KEY")
    );

    // Without a gateway there is nothing to ask, and that is said once more.
    let findings = doctor(&worker.unset("ONEAPI_BASE_URL").unset("ONEAPI_API_KEY"));
    assert_eq!(verdict(&findings, "network"), "fail", "{findings:#?}");
}

fn refused(words: &str) -> Reply {
    Reply::error(400, "invalid_request_error", words)
}

/// A gateway with restrictions that nobody described.
fn restricted(request: &Request) -> Reply {
    let body = &request.body;
    if body.get("parallel_tool_calls").is_some() {
        return refused("property 'parallel_tool_calls' is unsupported");
    }
    if body["max_tokens"].as_u64() > Some(16_000) {
        return refused("max_tokens: must be between 1 and 16000");
    }
    if let Some(effort) = body["reasoning_effort"].as_str()
        && !["low", "high"].contains(&effort)
    {
        return refused("reasoning_effort must be one of 'low', 'high'");
    }
    if body["tools"].to_string().contains("propertyNames") {
        return refused(
            "tools.12.function.parameters: the keyword 'propertyNames' is not supported",
        );
    }
    Reply::Turn(good(request).thinking("Let me see."))
}

#[test]
fn what_a_gateway_takes_is_found_and_saved_as_the_operators_word() {
    let gateway = script(restricted);
    let worker = worker(&gateway.base_url());
    let output = worker
        .command(["doctor", "--network", "--save", "--json"])
        .output()
        .unwrap();
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let detail = |what: &str| finding(&findings, what)["detail"].as_str().unwrap();
    for (what, words) in [
        ("second turn", "answered"),
        ("agent's request", "answered"),
        ("learned", "at most 16000 tokens"),
        ("reasoning", "in `reasoning_content`: 11 characters"),
        (
            "output cap",
            "at most 16000 tokens, by the gateway's own word",
        ),
        ("context", "not told"),
        ("schemas", "schemas have no propertyNames"),
        ("effort", "low, high, by the gateway's own word"),
        ("saved", "plugins.declared.config.gateways.127-0-0-1-"),
    ] {
        assert!(detail(what).contains(words), "{what}: {findings:#?}");
    }

    let config = worker.home().join(".config/mcp-codex-worker/config.toml");
    let written = std::fs::read_to_string(&config).unwrap();
    assert!(!written.contains(KEY), "{written}");
    let explained = stdout(&worker.command(["adapter", "--explain"]).output().unwrap());
    for fact in [
        "limits.max-output",
        "thinking.efforts",
        "tools.refused-keywords",
        "endpoint.roots",
    ] {
        let line = explained.lines().find(|line| line.starts_with(fact));
        let line = line.unwrap_or_else(|| panic!("no {fact}: {explained}"));
        assert!(
            line.contains("gateways.127-0-0-1-") && line.contains("config.toml"),
            "{line}"
        );
    }
    // What was learned is the operator's now: the next look meets no refusal of it, and writes the same.
    let before = gateway.requests().len();
    let again = worker
        .command(["doctor", "--network", "--save", "--json"])
        .output()
        .unwrap();
    assert_eq!(again.status.code(), output.status.code(), "{again:?}");
    let asked = gateway.requests().split_off(before);
    assert!(asked.iter().all(
        |request| request.body["tools"].to_string().contains("probe_")
            || !request.body["tools"].to_string().contains("propertyNames")
    ),);
    let rewritten = std::fs::read_to_string(&config).unwrap();
    assert_eq!(
        rewritten
            .matches("[[plugins.declared.config.gateways")
            .count(),
        1,
        "{rewritten}"
    );
}

#[test]
fn schemas_that_are_refused_are_named_and_a_small_context_is_a_warning() {
    let gateway = script(|request| {
        let body = &request.body;
        if body["max_tokens"].as_u64() > Some(16_384) {
            return refused(
                "'max_tokens' or 'max_completion_tokens' is too large: 10000000. This model's maximum context length is 16384 tokens and your request has 30 input tokens (10000000 > 16384 - 30).",
            );
        }
        // It says nothing of what it minds.
        let minds = |tool: &Value| tool.to_string().contains("anyOf");
        if body["tools"]
            .as_array()
            .is_some_and(|tools| tools.iter().any(minds))
        {
            return refused("Bad request");
        }
        Reply::Turn(good(request))
    });
    let findings = doctor(&worker(&gateway.base_url()));
    let context = finding(&findings, "context");
    assert_eq!(context["verdict"], "warn", "{findings:#?}");
    assert!(
        context["detail"]
            .as_str()
            .unwrap()
            .starts_with("16384 tokens (by the gateway's own word)")
    );
    let schemas = finding(&findings, "schemas");
    let detail = schemas["detail"].as_str().unwrap();
    assert!(
        schemas["verdict"] == "warn" && detail.contains("any_of") && !detail.contains("plain"),
        "{schemas}"
    );
}

#[test]
fn lessons_are_listed_and_forgotten() {
    let gateway = script(restricted);
    let worker = worker(&gateway.base_url());
    let run = |arguments: &[&str]| {
        let output = worker.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        stdout(&output)
    };
    assert!(run(&["doctor", "--lessons"]).contains("No gateway has taught anything"));
    doctor(&worker);
    let listed: Value = serde_json::from_str(&run(&["doctor", "--lessons", "--json"])).unwrap();
    let lesson = &listed[0];
    assert_eq!(
        (&lesson["model"], &lesson["gateway"]),
        (&json!("scripted"), &json!(gateway.base_url()))
    );
    assert!(lesson["learned"].as_str().unwrap().ends_with('Z'));
    let text = run(&["doctor", "--lessons"]);
    assert!(text.contains("scripted at http://127.0.0.1:"), "{text}");
    assert!(text.contains(lesson["lesson"].as_str().unwrap()), "{text}");
    assert_eq!(verdict(&doctor(&worker), "lessons"), "ok");
    assert!(run(&["doctor", "--forget", "http://elsewhere/v1"]).starts_with("0 forgotten"));
    assert!(!run(&["doctor", "--forget", &gateway.base_url()]).starts_with("0 "));
    assert_eq!(run(&["doctor", "--lessons", "--json"]).trim(), "[]");
}

#[test]
fn save_asks_for_the_network() {
    let output = worker("http://127.0.0.1:9")
        .command(["doctor", "--save"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(stderr(&output).contains("--network"));
}
