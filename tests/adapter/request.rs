//! Requests: what the gateway is sent for what the caller sends.

use gateway::ActiveDialect;
use serde_json::{Value, json};

use super::double::{Double, ask, config, good, messages, seen_by_gateway, start};

/// Each row: what it shows, fields of the request, where to look in the gateway's, what is there.
fn rows() -> Vec<(&'static str, Value, &'static str, Value)> {
    let user = |content: Value| json!({ "messages": [{ "role": "user", "content": content }] });
    let turn = |assistant: Value, user: Value| json!({ "messages": [{ "role": "user", "content": "hi" }, { "role": "assistant", "content": assistant }, { "role": "user", "content": user }] });
    let tool = json!([{ "name": "f", "description": "d", "input_schema": { "type": "object", "properties": { "a": { "type": "string" } } } }]);
    let with_tool = |choice: Value| json!({ "tools": tool, "tool_choice": choice });
    let use_f = json!([{ "type": "tool_use", "id": "c1", "name": "f", "input": { "a": 1 } }]);
    let png = json!({ "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": "AAAA" } });
    vec![
        (
            "the model of the settings",
            json!({}),
            "/model",
            json!("big"),
        ),
        (
            "system as a string",
            json!({ "system": "s" }),
            "/messages/0",
            json!({ "role": "system", "content": "s" }),
        ),
        (
            "system blocks joined, the billing header left out",
            json!({ "system": [
            { "type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cch=abc;" },
            { "type": "text", "text": "a", "cache_control": { "type": "ephemeral" } }, { "type": "text", "text": "b" }] }),
            "/messages/0",
            json!({ "role": "system", "content": "a\nb" }),
        ),
        ("no system", json!({}), "/messages/0/role", json!("user")),
        (
            "early system messages lead",
            json!({ "system": "s", "messages": [{ "role": "user", "content": "hi" }, { "role": "system", "content": "agents" }] }),
            "/messages",
            json!([{ "role": "system", "content": "s\nagents" }, { "role": "user", "content": "hi" }]),
        ),
        (
            "later system messages stay in their place",
            json!({ "messages": [
            { "role": "user", "content": "hi" }, { "role": "assistant", "content": "a" }, { "role": "system", "content": "note" }, { "role": "user", "content": "go" }] }),
            "/messages/2",
            json!({ "role": "user", "content": "<system-reminder>\nnote\n</system-reminder>\ngo" }),
        ),
        (
            "text blocks become one string",
            user(
                json!([{ "type": "text", "text": "a" }, { "type": "text", "text": "b", "cache_control": { "type": "ephemeral" } }]),
            ),
            "/messages/0/content",
            json!("a\nb"),
        ),
        (
            "empty text is dropped",
            user(json!([{ "type": "text", "text": "" }, { "type": "text", "text": "b" }])),
            "/messages/0/content",
            json!("b"),
        ),
        (
            "empty messages are dropped",
            json!({ "messages": [{ "role": "user", "content": "a" }, { "role": "assistant", "content": "" }, { "role": "user", "content": "b" }] }),
            "/messages",
            json!([{ "role": "user", "content": "a\nb" }]),
        ),
        (
            "escapes and lone surrogates",
            user(json!("a\n\"\\é😀")),
            "/messages/0/content",
            json!("a\n\"\\é😀"),
        ),
        (
            "an image",
            user(json!([{ "type": "text", "text": "a" }, png])),
            "/messages/0/content",
            json!([{ "type": "text", "text": "a" }, { "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } }]),
        ),
        (
            "an image by URL",
            user(
                json!([{ "type": "image", "source": { "type": "url", "url": "https://x/y.png" } }]),
            ),
            "/messages/0/content/0/image_url/url",
            json!("https://x/y.png"),
        ),
        (
            "a text document",
            user(
                json!([{ "type": "document", "title": "t", "source": { "type": "text", "media_type": "text/plain", "data": "body" } }]),
            ),
            "/messages/0/content",
            json!("t\nbody"),
        ),
        (
            "a PDF that the gateway cannot take",
            user(
                json!([{ "type": "document", "title": "t", "source": { "type": "base64", "media_type": "application/pdf", "data": "AAAA" } }]),
            ),
            "/messages/0/content",
            json!("[document t, which this gateway cannot take]"),
        ),
        (
            "a call",
            turn(
                json!([{ "type": "text", "text": "a" }, { "type": "tool_use", "id": "c1", "name": "f", "input": { "a": "é\n" } }]),
                json!("go"),
            ),
            "/messages/1",
            json!({ "role": "assistant", "content": "a", "tool_calls": [{ "id": "c1", "type": "function", "function": { "name": "f", "arguments": "{\"a\":\"é\\n\"}" } }] }),
        ),
        (
            "a call without text",
            turn(
                json!([{ "type": "tool_use", "id": "c1", "name": "f", "input": {} }]),
                json!("go"),
            ),
            "/messages/1",
            json!({ "role": "assistant", "content": null, "tool_calls": [{ "id": "c1", "type": "function", "function": { "name": "f", "arguments": "{}" } }] }),
        ),
        (
            "all calls of a turn in one message with its text, and the results in their order",
            turn(
                json!([{ "type": "text", "text": "a" }, { "type": "tool_use", "id": "c1", "name": "f", "input": {} }, { "type": "tool_use", "id": "c2", "name": "g", "input": { "a": [1, null] } }]),
                json!([{ "type": "tool_result", "tool_use_id": "c2", "content": "2" }, { "type": "tool_result", "tool_use_id": "c1", "content": "1" }]),
            ),
            "/messages",
            json!([{ "role": "user", "content": "hi" },
                { "role": "assistant", "content": "a", "tool_calls": [
                    { "id": "c1", "type": "function", "function": { "name": "f", "arguments": "{}" } },
                    { "id": "c2", "type": "function", "function": { "name": "g", "arguments": "{\"a\":[1,null]}" } }] },
                { "role": "tool", "tool_call_id": "c1", "content": "1" }, { "role": "tool", "tool_call_id": "c2", "content": "2" }]),
        ),
        (
            "text behind a call",
            turn(
                json!([{ "type": "tool_use", "id": "c1", "name": "f", "input": {} }, { "type": "text", "text": "a" }]),
                json!("go"),
            ),
            "/messages/1/content",
            json!("a"),
        ),
        (
            "results stand in front of text, whatever the order",
            turn(
                use_f.clone(),
                json!([{ "type": "text", "text": "go" }, { "type": "tool_result", "tool_use_id": "c1", "content": "ok" }]),
            ),
            "/messages",
            json!([{ "role": "user", "content": "hi" },
                { "role": "assistant", "content": null, "tool_calls": [{ "id": "c1", "type": "function", "function": { "name": "f", "arguments": "{\"a\":1}" } }] },
                { "role": "tool", "tool_call_id": "c1", "content": "ok" }, { "role": "user", "content": "go" }]),
        ),
        (
            "a result without content",
            turn(
                use_f.clone(),
                json!([{ "type": "tool_result", "tool_use_id": "c1" }]),
            ),
            "/messages/2",
            json!({ "role": "tool", "tool_call_id": "c1", "content": "" }),
        ),
        (
            "a result of no blocks",
            turn(
                use_f.clone(),
                json!([{ "type": "tool_result", "tool_use_id": "c1", "content": [] }]),
            ),
            "/messages/2",
            json!({ "role": "tool", "tool_call_id": "c1", "content": "" }),
        ),
        (
            "an error without words",
            turn(
                use_f.clone(),
                json!([{ "type": "tool_result", "tool_use_id": "c1", "is_error": true }]),
            ),
            "/messages/2",
            json!({ "role": "tool", "tool_call_id": "c1", "content": "Error" }),
        ),
        (
            "a result of text blocks",
            turn(
                use_f.clone(),
                json!([{ "type": "tool_result", "tool_use_id": "c1", "is_error": true, "content": [{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }] }]),
            ),
            "/messages/2",
            json!({ "role": "tool", "tool_call_id": "c1", "content": "a\nb" }),
        ),
        (
            "an image in a result",
            turn(
                use_f.clone(),
                json!([{ "type": "tool_result", "tool_use_id": "c1", "content": [{ "type": "text", "text": "shot" }, png] }, { "type": "text", "text": "go" }]),
            ),
            "/messages/3/content",
            json!([{ "type": "text", "text": "Attached to the tool's result:" },
                { "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } }, { "type": "text", "text": "go" }]),
        ),
        (
            "an image in a result stays out of its text",
            turn(
                use_f,
                json!([{ "type": "tool_result", "tool_use_id": "c1", "content": [{ "type": "text", "text": "shot" }, png] }]),
            ),
            "/messages/2/content",
            json!("shot"),
        ),
        (
            "earlier thinking is dropped",
            turn(
                json!([{ "type": "thinking", "thinking": "r", "signature": "s" }, { "type": "redacted_thinking", "data": "x" }, { "type": "text", "text": "a" }]),
                json!("go"),
            ),
            "/messages/1",
            json!({ "role": "assistant", "content": "a" }),
        ),
        (
            "a tool",
            json!({ "tools": tool }),
            "/tools",
            json!([{ "type": "function", "function": { "name": "f", "description": "d", "parameters": { "type": "object", "properties": { "a": { "type": "string" } } } } }]),
        ),
        (
            "a custom tool without description",
            json!({ "tools": [{ "type": "custom", "name": "f", "description": null, "input_schema": {} }] }),
            "/tools/0/function",
            json!({ "name": "f", "parameters": { "type": "object", "properties": {} } }),
        ),
        (
            "server tools are left out",
            json!({ "tools": [{ "type": "web_search_20250305", "name": "web_search" }] }),
            "/tools",
            Value::Null,
        ),
        (
            "no tools, no choice",
            json!({ "tools": [], "tool_choice": { "type": "any" } }),
            "/tool_choice",
            Value::Null,
        ),
        (
            "choice auto",
            with_tool(json!({ "type": "auto" })),
            "/tool_choice",
            json!("auto"),
        ),
        (
            "choice any",
            with_tool(json!({ "type": "any" })),
            "/tool_choice",
            json!("required"),
        ),
        (
            "choice tool",
            with_tool(json!({ "type": "tool", "name": "f" })),
            "/tool_choice",
            json!({ "type": "function", "function": { "name": "f" } }),
        ),
        (
            "choice none",
            with_tool(json!({ "type": "none" })),
            "/tool_choice",
            json!("none"),
        ),
        (
            "one call at a time",
            with_tool(json!({ "type": "auto", "disable_parallel_tool_use": true })),
            "/parallel_tool_calls",
            json!(false),
        ),
        (
            "many calls at a time",
            with_tool(json!({ "type": "auto" })),
            "/parallel_tool_calls",
            Value::Null,
        ),
        ("max_tokens", json!({}), "/max_tokens", json!(64)),
        (
            "a temperature of 0",
            json!({ "temperature": 0 }),
            "/temperature",
            json!(0),
        ),
        ("top_p", json!({ "top_p": 0.1 }), "/top_p", json!(0.1)),
        (
            "top_k is not for everyone",
            json!({ "top_k": 5 }),
            "/top_k",
            Value::Null,
        ),
        (
            "one stop sequence is still a list",
            json!({ "stop_sequences": ["x"] }),
            "/stop",
            json!(["x"]),
        ),
        (
            "at most four stop sequences",
            json!({ "stop_sequences": ["1", "2", "3", "4", "5"] }),
            "/stop",
            json!(["1", "2", "3", "4"]),
        ),
        (
            "metadata",
            json!({ "metadata": { "user_id": "u" } }),
            "/metadata",
            Value::Null,
        ),
        (
            "user",
            json!({ "metadata": { "user_id": "u" } }),
            "/user",
            Value::Null,
        ),
        (
            "thinking",
            json!({ "thinking": { "type": "adaptive" }, "output_config": { "effort": "high" } }),
            "/thinking",
            Value::Null,
        ),
        (
            "output_config",
            json!({ "output_config": { "effort": "high" } }),
            "/output_config",
            Value::Null,
        ),
        (
            "context_management",
            json!({ "context_management": { "edits": [] } }),
            "/context_management",
            Value::Null,
        ),
        (
            "the form of the answer",
            json!({ "output_config": { "format": { "type": "json_schema", "schema": { "type": "object", "properties": {}, "additionalProperties": false } } } }),
            "/response_format",
            json!({ "type": "json_schema", "json_schema": { "name": "response", "strict": true, "schema": { "type": "object", "properties": {}, "additionalProperties": false } } }),
        ),
        (
            "a stream and its usage",
            json!({ "stream": true }),
            "/stream_options",
            json!({ "include_usage": true }),
        ),
        (
            "no stream",
            json!({ "stream": false }),
            "/stream_options",
            Value::Null,
        ),
    ]
}

#[tokio::test]
async fn every_field_reaches_the_gateway_in_its_form() {
    for (name, fields, place, want) in rows() {
        let mut fields = fields;
        // The double streams; a caller that does not want that is answered all the same.
        if fields.get("stream").is_none() {
            fields["stream"] = json!(true);
        }
        let body = if fields["stream"] == json!(false) {
            let double =
                Double::always(super::double::completion(json!({ "content": "a" }), "stop")).await;
            let adapter = super::double::in_front_of(&double).await;
            messages(&adapter, &ask(fields)).await;
            double.only().body
        } else {
            seen_by_gateway(&ask(fields)).await
        };
        assert_eq!(
            body.pointer(place).cloned().unwrap_or(Value::Null),
            want,
            "{name}: {body}"
        );
        let text = body.to_string();
        for never in ["cache_control", "input_schema", "anthropic", "\"thinking\""] {
            assert!(!text.contains(never), "{name}: {never} in {text}");
        }
    }
}

#[tokio::test]
async fn long_tool_names_are_shortened_and_come_back() {
    let long = format!("mcp__server__{}", "x".repeat(80));
    let double = Double::start(|_, request| {
        let name = request.body["tools"][0]["function"]["name"].clone();
        let call = json!({ "tool_calls": [{ "index": 0, "id": "c9", "function": { "name": name, "arguments": "{}" } }] });
        super::double::Play::Pieces(vec![super::double::stream(&[super::double::delta(call), super::double::finish("tool_calls")])])
    })
    .await;
    let adapter = super::double::in_front_of(&double).await;
    let body = ask(
        json!({ "stream": true, "tools": [{ "name": long, "input_schema": { "type": "object" } }],
        "tool_choice": { "type": "tool", "name": long },
        "messages": [{ "role": "user", "content": "hi" }, { "role": "assistant", "content": [{ "type": "tool_use", "id": "c1", "name": long, "input": {} }] },
            { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "c1", "content": "ok" }] }] }),
    );
    let got = messages(&adapter, &body).await;
    let seen = double.only().body;
    let short = seen["tools"][0]["function"]["name"].as_str().unwrap();
    assert!(short.len() <= 64);
    assert_eq!(seen["tool_choice"]["function"]["name"], short);
    assert_eq!(
        seen["messages"][1]["tool_calls"][0]["function"]["name"],
        short
    );
    assert_eq!(super::message::assemble(&got.text).content[0]["name"], long);
}

#[tokio::test]
async fn the_gateway_gets_its_own_key_and_none_of_the_callers_headers() {
    let double = Double::always(good()).await;
    let adapter = start(config(&double.url)).await;
    let request = super::double::client()
        .post(format!("{}/v1/messages?beta=true", adapter.url()))
        .header("authorization", format!("Bearer {}", super::double::TOKEN))
        .header("anthropic-version", "2023-06-01")
        .header("anthropic-beta", "x")
        .header("user-agent", "claude-cli/2.1.197")
        .body(ask(json!({ "stream": true })).to_string());
    assert_eq!(super::double::answer_to(request).await.status, 200);
    let seen = double.only();
    assert_eq!(seen.path, "/v1/chat/completions");
    assert_eq!(
        seen.header("authorization"),
        Some(format!("Bearer {}", super::double::KEY))
    );
    for name in ["x-api-key", "anthropic-version", "anthropic-beta"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert!(!seen.head.contains(super::double::TOKEN) && !seen.head.contains("claude-cli"));
}

#[tokio::test]
async fn a_request_that_is_none_is_refused_in_the_apis_words() {
    let double = Double::always(good()).await;
    let adapter = start(config(&double.url)).await;
    let deep = format!(
        "{{\"model\":\"m\",\"max_tokens\":1,\"messages\":{}1{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    for (body, says) in [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[]", "expected form"),
        (
            r#"{"max_tokens":1,"messages":[{"role":"user","content":"a"}]}"#,
            "model: Field required",
        ),
        (
            r#"{"model":"m","max_tokens":1}"#,
            "messages: Field required",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":"a"}]}"#,
            "max_tokens: Field required",
        ),
        (
            r#"{"model":"m","max_tokens":0,"messages":[{"role":"user","content":"a"}]}"#,
            "max_tokens: must be at least 1",
        ),
        (
            r#"{"model":"m","max_tokens":1,"messages":[]}"#,
            "messages: at least one",
        ),
        (
            r#"{"model":"m","max_tokens":"x","messages":[{"role":"user","content":"a"}]}"#,
            "expected form",
        ),
        (
            r#"{"model":"m","max_tokens":1e999,"messages":[{"role":"user","content":"a"}]}"#,
            "JSON",
        ),
        (
            r#"{"model":"m","max_tokens":1,"messages":[{"role":"robot","content":"a"}]}"#,
            "messages.0.role",
        ),
        (
            r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":3}]}"#,
            "expected a string or an array",
        ),
        (
            r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"text"}]}]}"#,
            "messages.0.content.0.text: Field required",
        ),
        (
            r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":[{"type":"tool_result"}]}]}"#,
            "messages.0.content.0.tool_use_id: Field required",
        ),
        (
            r#"{"model":"m","model":"n","max_tokens":1,"messages":[]}"#,
            "duplicate field",
        ),
        (deep.as_str(), "expected form"),
    ] {
        let got = super::double::post(&adapter, "/v1/messages", body.to_owned()).await;
        let (kind, message) = got.error();
        let shown: String = body.chars().take(100).collect();
        assert_eq!(
            (got.status, kind.as_str()),
            (400, "invalid_request_error"),
            "{shown}"
        );
        assert!(message.contains(says), "{shown}: {message}");
    }
    assert!(double.received().is_empty());
}

#[tokio::test]
async fn side_requests_go_to_the_lite_model() {
    let double = Double::always(good()).await;
    let mut config = config(&double.url);
    config.models.lite = Some("small".into());
    config.primary.dialect = ActiveDialect::plain();
    let adapter = start(config).await;
    messages(
        &adapter,
        &ask(json!({ "stream": true, "model": "claude-haiku-4-5" })),
    )
    .await;
    messages(&adapter, &ask(json!({ "stream": true }))).await;
    adapter.set_model(Some("huge".into()));
    messages(&adapter, &ask(json!({ "stream": true }))).await;
    let models: Vec<Value> = double
        .received()
        .iter()
        .map(|request| request.body["model"].clone())
        .collect();
    assert_eq!(models, [json!("small"), json!("big"), json!("huge")]);
}
