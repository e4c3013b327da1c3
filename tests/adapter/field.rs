//! Answers as gateways in the field really give them: ends, arguments, summaries, errors under status 200, spent accounts.

use serde_json::{Value, json};

use super::double::{
    Double, EVENTS, JSON, Play, TOKEN, ask, client, completion, config, delta, finish, good, http,
    in_front_of, knowing, messages, recorded, seen_by_gateway, start, stream,
};
use super::message::{assemble, short};

fn call(index: u64, id: Option<&str>, name: Option<&str>, arguments: &str) -> Value {
    let mut call = json!({ "index": index, "function": { "arguments": arguments } });
    if let Some(id) = id {
        call["id"] = id.into();
    }
    if let Some(name) = name {
        call["function"]["name"] = name.into();
    }
    delta(json!({ "tool_calls": [call] }))
}

#[tokio::test]
async fn an_end_is_what_its_word_means() {
    for (word, want) in [
        ("stop", Some("end_turn")),
        ("FINISH", Some("end_turn")),
        ("max_output_tokens", Some("max_tokens")),
        ("SAFETY", Some("refusal")),
        ("content_filter: PROHIBITED_CONTENT", Some("refusal")),
        (
            "model_context_window_exceeded",
            Some("model_context_window_exceeded"),
        ),
        // Nobody knows the word; there is an answer.
        ("weird", Some("end_turn")),
        ("insufficient_system_resource", None),
        ("network_error", None),
        ("MALFORMED_FUNCTION_CALL", None),
        ("abort", None),
    ] {
        for streams in [true, false] {
            let answer = if streams {
                stream(&[delta(json!({ "content": "x" })), finish(word)])
            } else {
                completion(json!({ "content": "x" }), word)
            };
            let double = Double::always(answer).await;
            let mut config = config(&double.url);
            config.retries = 0;
            let got = messages(&start(config).await, &ask(json!({ "stream": streams }))).await;
            match (want, streams) {
                (Some(want), true) => assert_eq!(
                    assemble(&got.text).stop_reason.as_deref(),
                    Some(want),
                    "{word}"
                ),
                (Some(want), false) => assert_eq!(got.json()["stop_reason"], want, "{word}"),
                (None, true) => assert!(
                    assemble(&got.text).error.unwrap().1.contains(word),
                    "{word}"
                ),
                (None, false) => {
                    assert!(got.status == 502 && got.error().1.contains(word), "{word}")
                }
            }
        }
    }
}

#[tokio::test]
async fn a_failure_before_any_output_is_tried_again_and_nothing_is_no_success() {
    for first in [
        stream(&[finish("network_error")]),
        stream(&[finish("OTHER")]),
        stream(&[delta(json!({ "role": "assistant" }))]),
        stream(&[]),
    ] {
        let double = Double::start(move |number, _| {
            Play::Pieces(vec![if number == 0 { first.clone() } else { good() }])
        })
        .await;
        let got = messages(&in_front_of(&double).await, &ask(json!({ "stream": true }))).await;
        assert_eq!(assemble(&got.text).content[0]["text"], "hello");
    }
}

#[tokio::test]
async fn a_call_runs_with_whole_arguments_said_once() {
    for (name, chunks, want) in [
        (
            "the last chunk repeats all",
            vec![
                call(0, Some("c"), Some("f"), "{\"a\":"),
                call(0, None, None, "1}"),
                call(0, Some("c"), Some("f"), "{\"a\":1}"),
            ],
            vec!["C:f(c){\"a\":1}"],
        ),
        (
            "the last chunk repeats all, without an id",
            vec![
                call(0, None, Some("f"), "{\"a\":1}"),
                call(0, None, Some("f"), "{\"a\": 1}"),
            ],
            vec!["C:f{\"a\":1}"],
        ),
        (
            "the name in each piece",
            vec![
                call(0, Some("c"), Some("f"), "{\"a\":"),
                call(0, Some("c"), Some("f"), "1}"),
                call(0, Some("c"), Some("f"), ""),
            ],
            vec!["C:f(c){\"a\":1}"],
        ),
        (
            "encoded twice",
            vec![
                call(0, Some("c"), Some("f"), "\"{\\\"a\\\":"),
                call(0, None, None, "1}\""),
            ],
            vec!["C:f(c){\"a\":1}"],
        ),
        (
            "an empty object in front",
            vec![
                call(0, Some("c"), Some("f"), "{}"),
                call(0, None, None, "{\"a\":1}"),
            ],
            vec!["C:f(c){\"a\":1}"],
        ),
        (
            "two calls",
            vec![
                call(0, Some("c"), Some("f"), "{}"),
                call(1, Some("d"), Some("g"), "{\"a\":1}"),
            ],
            vec!["C:f(c){}", "C:g(d){\"a\":1}"],
        ),
        (
            "calls in the second choice",
            vec![
                delta(json!({ "content": "x" })),
                json!({ "choices": [{ "index": 1, "delta": { "tool_calls": [{ "index": 0, "id": "c", "function": { "name": "f", "arguments": "{}" } }] }, "finish_reason": "tool_calls" }] }),
            ],
            vec!["T:x", "C:f(c){}"],
        ),
    ] {
        let chunks = [chunks, vec![finish("stop")]].concat();
        let double = Double::always(stream(&chunks)).await;
        let got = messages(&in_front_of(&double).await, &ask(json!({ "stream": true }))).await;
        let message = assemble(&got.text);
        assert_eq!(message.error, None, "{name}");
        let calls: Vec<String> = short(&message.content)
            .into_iter()
            .map(|block| match block.find("(toolu_") {
                Some(at) => format!("{}{}", &block[..at], &block[block.find(')').unwrap() + 1..]),
                None => block,
            })
            .collect();
        assert_eq!(calls, want, "{name}");
        assert_eq!(message.stop_reason.as_deref(), Some("tool_use"), "{name}");
    }
    for (name, chunks, end) in [
        (
            "cut, and a reason to finish",
            vec![call(0, Some("c"), Some("f"), "{\"a\":")],
            "stop",
        ),
        (
            "cut, and calls as the reason",
            vec![call(0, Some("c"), Some("f"), "{\"a\":\"x")],
            "tool_calls",
        ),
        (
            "two different sets",
            vec![
                call(0, Some("c"), Some("f"), "{\"a\":1}"),
                call(0, None, None, "{\"b\":1}"),
            ],
            "stop",
        ),
    ] {
        let double = Double::always(stream(&[chunks, vec![finish(end)]].concat())).await;
        let got = messages(&in_front_of(&double).await, &ask(json!({ "stream": true }))).await;
        assert!(assemble(&got.text).error.is_some(), "{name}: {}", got.text);
    }
}

#[tokio::test]
async fn arguments_of_a_whole_answer_are_whole_or_none() {
    let calls = |arguments: &str| json!({ "content": null, "tool_calls": [{ "id": "c", "type": "function", "function": { "name": "f", "arguments": arguments } }] });
    for (arguments, reason, want) in [
        ("\"{\\\"a\\\":1}\"", "stop", Some(json!({ "a": 1 }))),
        ("{\"a\":1}{\"a\":1}", "tool_calls", Some(json!({ "a": 1 }))),
        ("", "tool_calls", Some(json!({}))),
        ("{\"a\":", "stop", None),
        ("{'a':1}", "tool_calls", None),
    ] {
        let double = Double::always(completion(calls(arguments), reason)).await;
        let mut config = config(&double.url);
        config.retries = 0;
        let got = messages(&start(config).await, &ask(json!({}))).await;
        match want {
            Some(want) => assert_eq!(got.json()["content"][0]["input"], want, "{arguments}"),
            None => assert_eq!(got.status, 502, "{arguments}: {}", got.text),
        }
    }
    // What the reply's limit has cut is no call.
    let double = Double::always(completion(calls("{\"a\":"), "length")).await;
    let got = messages(&in_front_of(&double).await, &ask(json!({})))
        .await
        .json();
    assert_eq!(
        (&got["content"], &got["stop_reason"]),
        (&json!([]), &json!("max_tokens"))
    );
}

#[tokio::test]
async fn a_summary_is_no_increment() {
    let summary = json!({ "object": "chat.completion", "choices": [{ "index": 0, "finish_reason": "stop",
        "message": { "role": "assistant", "content": "hello world", "reasoning_content": "why", "tool_calls": [{ "id": "c", "function": { "name": "f", "arguments": "{}" } }] } }] });
    let pieces = [
        delta(json!({ "reasoning_content": "why" })),
        delta(json!({ "content": "hello " })),
        delta(json!({ "content": "world" })),
    ];
    let all = json!({ "choices": [{ "index": 0, "delta": { "content": "hello world" }, "finish_reason": "stop" }] });
    for (name, chunks, want) in [
        (
            "a closing message",
            [pieces.to_vec(), vec![summary.clone()]].concat(),
            vec!["R:why", "T:hello world", "C:f(c){}"],
        ),
        (
            "a closing delta",
            [pieces.to_vec(), vec![all]].concat(),
            vec!["R:why", "T:hello world"],
        ),
        (
            "only a message",
            vec![summary],
            vec!["R:why", "T:hello world", "C:f(c){}"],
        ),
    ] {
        let double = Double::always(stream(&chunks)).await;
        let got = messages(&in_front_of(&double).await, &ask(json!({ "stream": true }))).await;
        assert_eq!(short(&assemble(&got.text).content), want, "{name}");
    }
}

#[tokio::test]
async fn an_error_under_status_200_says_the_gateways_words() {
    for (body, status, words) in [
        (
            json!({ "base_resp": { "status_code": 1008, "status_msg": "insufficient balance" }, "choices": null }),
            402,
            "insufficient balance",
        ),
        (
            json!({ "base_resp": { "status_code": 1004, "status_msg": "login fail" } }),
            401,
            "login fail",
        ),
        (
            json!({ "base_resp": { "status_code": 1002, "status_msg": "slow" }, "usage": { "total_tokens": 0 } }),
            429,
            "slow",
        ),
        (
            json!({ "status": "449", "msg": "You exceeded your current rate limit", "body": null }),
            429,
            "rate limit",
        ),
        (
            json!({ "status": "434", "msg": "Invalid apiKey" }),
            401,
            "Invalid apiKey",
        ),
        (
            json!({ "error_code": 336003, "error_msg": "invalid param: messages", "id": "1" }),
            400,
            "invalid param",
        ),
        (
            json!({ "error_code": 110, "error_msg": "Access token invalid or no longer valid, invalid access token" }),
            401,
            "token",
        ),
        (
            json!({ "code": 30011, "message": "Your paid balance is insufficient", "data": null }),
            402,
            "paid balance",
        ),
        (
            json!({ "success": false, "message": "the model is busy: system is busy" }),
            503,
            "busy",
        ),
        (
            json!({ "errors": [{ "message": "no such model" }] }),
            500,
            "no such model",
        ),
    ] {
        for streams in [false, true] {
            for answer in [
                http(200, &[JSON], &body.to_string()),
                http(200, &[EVENTS], &format!("data: {body}\n\n")),
            ] {
                let double = Double::always(answer).await;
                let mut config = config(&double.url);
                config.retries = 0;
                let got = messages(&start(config).await, &ask(json!({ "stream": streams }))).await;
                assert_eq!(got.status, status, "{body}: {}", got.text);
                assert!(got.error().1.contains(words), "{body}: {}", got.text);
            }
        }
    }
}

#[tokio::test]
async fn a_spent_account_ends_the_agent_at_once() {
    for (status, body, want) in [
        (
            429,
            json!({ "error": { "code": "1113", "message": "余额不足或无可用资源包,请充值。" } }),
            402,
        ),
        (
            429,
            json!({ "error": { "code": "insufficient_quota", "message": "You exceeded your current quota, please check your plan and billing details." } }),
            402,
        ),
        (
            403,
            json!({ "error": { "message": "用户额度不足, 剩余额度: ＄-0.000002", "type": "new_api_error" } }),
            402,
        ),
        (
            400,
            json!({ "error": { "message": "Your credit balance is too low to access the API" } }),
            402,
        ),
        (
            402,
            json!({ "error": { "message": "Insufficient Balance" } }),
            402,
        ),
        (401, json!({ "error": { "message": "bad key" } }), 401),
        (403, json!({ "error": { "message": "no" } }), 403),
    ] {
        let double = Double::always(http(
            status,
            &[JSON, ("x-should-retry", "true")],
            &body.to_string(),
        ))
        .await;
        let got = messages(&in_front_of(&double).await, &ask(json!({ "stream": true }))).await;
        assert_eq!(got.status, want, "{body}");
        let retry: Vec<_> = got.headers.get_all("x-should-retry").iter().collect();
        assert_eq!(retry, ["false"], "{body}");
        assert_eq!(double.received().len(), 1, "{body}");
    }
    for (status, body) in [
        (
            429,
            json!({ "error": { "code": 429, "status": "RESOURCE_EXHAUSTED", "message": "You exceeded your current quota. Please retry in 30s." } }),
        ),
        (
            413,
            json!({ "error": { "code": "rate_limit_exceeded", "message": "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 8000" } }),
        ),
    ] {
        let double = Double::always(http(status, &[JSON], &body.to_string())).await;
        let mut config = config(&double.url);
        config.retries = 0;
        let got = messages(&start(config).await, &ask(json!({}))).await;
        assert_eq!(
            (got.status, got.headers.get("x-should-retry")),
            (429, None),
            "{body}"
        );
    }
}

#[tokio::test]
async fn the_summand_that_is_too_large_is_told_with_what_was_asked() {
    let body = json!({ "object": "error", "message": "This model's maximum context length is 32768 tokens. However, your request has 6614 input tokens.", "code": 400 });
    let double = Double::always(http(400, &[JSON], &body.to_string())).await;
    let got = messages(
        &in_front_of(&double).await,
        &ask(json!({ "max_tokens": 32_000 })),
    )
    .await;
    let said = got.error().1;
    assert!(
        said.starts_with(
            "input length and `max_tokens` exceed context limit: 6614 + 32000 > 32768"
        ),
        "{said}"
    );
}

#[tokio::test]
async fn events_are_read_however_they_are_written() {
    let text = |content: &str| delta(json!({ "content": content }));
    for (name, body) in [
        (
            "signs of life",
            format!(
                "data: ping\n\ndata: {}\n\n: x\n\ndata: [PING]\n\ndata: {}\n\ndata: [DONE]\n\n",
                text("hello"),
                finish("stop")
            ),
        ),
        (
            "a quoted end",
            format!(
                "data: {}\n\ndata: {}\n\ndata: \"[DONE]\"\n\n",
                text("hello"),
                finish("stop")
            ),
        ),
        (
            "two objects a line",
            format!(
                "data: {}{}\n\ndata: {} {}\n\ndata: [DONE]\n\n",
                text("he"),
                text("l"),
                text("lo"),
                finish("stop")
            ),
        ),
        (
            "a mark in front",
            format!(
                "\u{feff}data: {}\n\ndata: {}\n\ndata: [DONE]\n\n",
                text("hello"),
                finish("stop")
            ),
        ),
    ] {
        let double = Double::always(http(200, &[EVENTS], &body)).await;
        let got = messages(&in_front_of(&double).await, &ask(json!({ "stream": true }))).await;
        let message = assemble(&got.text);
        assert_eq!(
            (message.error, short(&message.content)),
            (None, vec!["T:hello".to_owned()]),
            "{name}"
        );
    }
    let whole =
        json!({ "choices": [{ "message": { "content": "hello" }, "finish_reason": "stop" }] });
    for streams in [true, false] {
        let double = Double::always(http(200, &[JSON], &format!("\u{feff}{whole}"))).await;
        let got = messages(
            &in_front_of(&double).await,
            &ask(json!({ "stream": streams })),
        )
        .await;
        assert!(
            got.status == 200 && got.text.contains("hello"),
            "{}",
            got.text
        );
    }
}

#[tokio::test]
async fn a_reason_to_finish_on_every_chunk_ends_nothing() {
    let chunk = |content: &str| json!({ "choices": [{ "index": 0, "delta": { "content": content }, "finish_reason": "stop" }] });
    let (open, gate) = tokio::sync::watch::channel(false);
    let first = super::double::open_stream(&[chunk("a"), chunk("b")]);
    let rest = format!("data: {}\n\ndata: [DONE]\n\n", chunk("c")).into_bytes();
    let double =
        Double::start(move |_, _| Play::Gate(first.clone(), gate.clone(), rest.clone())).await;
    let adapter = in_front_of(&double).await;
    let mut answer = client()
        .post(format!("{}/v1/messages", adapter.url()))
        .header("x-api-key", TOKEN)
        .body(ask(json!({ "stream": true })).to_string())
        .send()
        .await
        .unwrap();
    let mut text = String::new();
    let mut piece = async || {
        let piece = answer.chunk().await.unwrap();
        piece.map(|piece| String::from_utf8(piece.to_vec()).unwrap())
    };
    // How long the adapter waits after each is held beside its code.
    while !(text.contains("\"text\":\"ab\"") || text.contains("\"text\":\"b\"")) {
        text.push_str(&piece().await.unwrap());
    }
    open.send_replace(true);
    while let Some(more) = piece().await {
        text.push_str(&more);
    }
    assert_eq!(short(&assemble(&text).content), ["T:abc"]);
}

#[tokio::test]
async fn stop_sequences_hold_where_the_gateway_ignores_them() {
    let chunks = [
        delta(json!({ "content": "one EN" })),
        delta(json!({ "content": "D two" })),
        delta(json!({ "content": " three" })),
        finish("stop"),
    ];
    let whole = completion(json!({ "content": "one END two" }), "stop");
    for (streams, answer) in [(true, stream(&chunks)), (false, whole)] {
        let double = Double::always(answer).await;
        let got = messages(
            &in_front_of(&double).await,
            &ask(json!({ "stream": streams, "stop_sequences": ["END"] })),
        )
        .await;
        if streams {
            let message = assemble(&got.text);
            assert_eq!(short(&message.content), ["T:one "]);
            assert_eq!(message.stop_reason.as_deref(), Some("stop_sequence"));
        } else {
            let got = got.json();
            assert_eq!(
                (&got["content"][0]["text"], &got["stop_sequence"]),
                (&json!("one "), &json!("END"))
            );
        }
    }
}

#[tokio::test]
async fn tools_reach_the_gateway_in_a_form_that_it_takes() {
    let body = ask(json!({ "stream": true, "tools": [
        { "name": "a", "input_schema": { "type": "object" } },
        { "name": "b", "input_schema": {} },
        { "name": "c", "input_schema": { "type": "object", "properties": { "l": { "type": "array" }, "n": { "type": ["string", "null"] }, "p": { "type": "string", "pattern": "\\p{L}" } } } },
        { "type": "mcp_toolset", "mcp_server_name": "x" },
    ] }));
    let seen = seen_by_gateway(&body).await;
    // What only Anthropic's servers have is not dropped in silence.
    assert!(
        seen["messages"][0]["content"]
            .as_str()
            .unwrap()
            .contains("mcp_toolset"),
        "{seen}"
    );
    let schemas: Vec<&Value> = seen["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| &tool["function"]["parameters"])
        .collect();
    let empty = json!({ "type": "object", "properties": {} });
    let third = json!({ "type": "object", "properties": { "l": { "type": "array", "items": {} }, "n": { "type": "string" }, "p": { "type": "string" } } });
    assert_eq!(schemas, [&empty, &empty, &third]);
    for (schema, strict) in [
        (
            json!({ "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"] }),
            json!(true),
        ),
        (
            json!({ "type": "object", "properties": { "a": { "type": "string" } } }),
            Value::Null,
        ),
    ] {
        let body = ask(
            json!({ "stream": true, "output_config": { "format": { "type": "json_schema", "schema": schema } } }),
        );
        assert_eq!(
            seen_by_gateway(&body).await["response_format"]["json_schema"]["strict"],
            strict
        );
    }
}

/// A PNG of one pixel.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

#[tokio::test]
async fn what_does_not_reach_the_gateway_is_told() {
    let image = json!({ "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": PIXEL } });
    let document = json!({ "type": "document", "title": "a.pdf", "source": { "type": "base64", "media_type": "application/pdf", "data": "JVBERi0=" } });
    let search = json!([{ "type": "web_search_20250305", "name": "web_search" }, { "name": "f", "input_schema": {} }]);
    let content = |parts: Value| json!([{ "role": "user", "content": parts }]);
    for (name, facts, fields, want) in [
        (
            "images",
            json!({ "messages": { "images": "none" } }),
            json!({ "messages": content(json!([image, image, { "type": "text", "text": "hi" }])) }),
            Some("2 images"),
        ),
        (
            "images beyond a number",
            json!({ "messages": { "max-images": 1 } }),
            json!({ "messages": content(json!([image, image])) }),
            Some("1 image"),
        ),
        (
            "a document",
            json!({}),
            json!({ "messages": content(json!([document])) }),
            Some("1 document"),
        ),
        (
            "a search",
            json!({}),
            json!({ "tools": search }),
            Some("1 tools: web_search"),
        ),
        (
            "everything is taken",
            json!({}),
            json!({ "messages": content(json!([image])) }),
            None,
        ),
    ] {
        for streams in [true, false] {
            let answer = match streams {
                true => good(),
                false => completion(json!({ "content": "hello" }), "stop"),
            };
            let double = Double::always(answer).await;
            let mut config = knowing(&double.url, &facts);
            let records = recorded(&mut config);
            let mut body = ask(fields.clone());
            body["stream"] = streams.into();
            let got = messages(&start(config).await, &body).await;
            let told = got.headers.get("x-worker-left-out");
            let told = told.map(|words| words.to_str().unwrap());
            assert_eq!((got.status, told), (200, want), "{name}");
            let kept = records.lock().unwrap();
            assert_eq!(kept[0].left_out.as_deref(), want, "{name}");
        }
    }
}

#[tokio::test]
async fn more_tools_than_the_gateway_takes_are_left_out_by_their_need_and_told() {
    let tool = |name: &str| json!({ "name": name, "description": "d", "input_schema": {} });
    let mut tools: Vec<Value> = (0..6)
        .map(|number| tool(&format!("mcp__s__{number}")))
        .collect();
    tools.push(tool("Read"));
    tools.push(tool("Edit"));
    let body = ask(json!({ "stream": true, "tools": tools,
        "tool_choice": { "type": "tool", "name": "mcp__s__5" } }));
    // Told by its preset, or by its refusal.
    for (facts, requests) in [(json!({ "tools": { "max": 4 } }), 1), (json!({}), 2)] {
        let double = Double::start(|_, request| {
            let count = request.body["tools"].as_array().map_or(0, Vec::len);
            Play::Pieces(vec![match count > 4 {
                true => http(400, &[JSON], &json!({ "error": { "param": "tools", "code": "array_above_max_length",
                    "message": format!("Invalid 'tools': array too long. Expected an array with maximum length 4, but got an array with length {count} instead.") } }).to_string()),
                false => good(),
            }])
        })
        .await;
        let got = messages(&start(knowing(&double.url, &facts)).await, &body).await;
        assert_eq!(got.status, 200, "{}", got.text);
        let seen = double.received();
        assert_eq!(seen.len(), requests);
        let sent = &seen.last().unwrap().body;
        let names: Vec<&str> = sent["tools"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tool| tool["function"]["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["mcp__s__0", "mcp__s__5", "Read", "Edit"]);
        let told = got.headers["x-worker-left-out"].to_str().unwrap();
        assert_eq!(told, "4 tools: mcp__s__1, mcp__s__2, mcp__s__3, mcp__s__4");
        let note = sent["messages"][0]["content"].as_str().unwrap();
        assert!(
            note.contains("Not available here") && note.contains("mcp__s__4"),
            "{note}"
        );
    }
}

#[tokio::test]
async fn a_description_that_is_too_long_is_cut_and_told() {
    let tools = json!([{ "name": "f", "description": "ä".repeat(2_000), "input_schema": {} }]);
    let double = Double::start(|_, request| {
        let description = request.body["tools"][0]["function"]["description"].as_str();
        let length = description.unwrap().chars().count();
        Play::Pieces(vec![match length > 1_024 {
            true => http(400, &[JSON], &json!({ "error": { "param": "tools[0].function.description", "code": "string_above_max_length",
                "message": format!("Invalid 'tools[0].function.description': string too long. Expected a string with maximum length 1024, but got a string with length {length} instead.") } }).to_string()),
            false => good(),
        }])
    })
    .await;
    let body = ask(json!({ "stream": true, "tools": tools }));
    let got = messages(&in_front_of(&double).await, &body).await;
    assert_eq!(got.status, 200, "{}", got.text);
    let sent = double.received();
    let description = sent[1].body["tools"][0]["function"]["description"].as_str();
    assert!(description.unwrap().ends_with("ä..."));
    let told = got.headers["x-worker-left-out"].to_str().unwrap();
    assert_eq!(told, "ends of 1 descriptions of tools");
}

#[tokio::test]
async fn an_answer_that_comes_packed_unasked_is_unpacked() {
    for streams in [true, false] {
        let plain = match streams {
            true => {
                let chunks = [delta(json!({ "content": "hello" })), finish("stop")];
                let events = chunks.iter().map(|chunk| format!("data: {chunk}\n\n"));
                events.collect::<String>() + "data: [DONE]\n\n"
            }
            false => json!({ "choices": [{ "message": { "content": "hello" }, "finish_reason": "stop" }] })
                .to_string(),
        };
        let kind = if streams { EVENTS } else { JSON };
        for (encoding, status) in [("gzip", 200), ("deflate", 200), ("br", 502)] {
            let body = packed(encoding, plain.as_bytes());
            let mut answer = http(200, &[kind, ("content-encoding", encoding)], "");
            answer.extend(body);
            let double = Double::always(answer).await;
            let mut config = config(&double.url);
            config.retries = 0;
            let got = messages(&start(config).await, &ask(json!({ "stream": streams }))).await;
            assert_eq!(got.status, status, "{encoding}: {}", got.text);
            let words = if status == 200 {
                "hello"
            } else {
                "packed as br"
            };
            assert!(got.text.contains(words), "{encoding}: {}", got.text);
            let head = double.received()[0].head.to_lowercase();
            assert!(head.contains("accept-encoding: identity"), "{head}");
        }
        // An error's words, too.
        let error = json!({ "error": { "message": "no such model" } }).to_string();
        let mut answer = http(404, &[JSON, ("content-encoding", "gzip")], "");
        answer.extend(packed("gzip", error.as_bytes()));
        let double = Double::always(answer).await;
        let got = messages(
            &in_front_of(&double).await,
            &ask(json!({ "stream": streams })),
        )
        .await;
        assert!(got.error().1.contains("no such model"), "{}", got.text);
    }
}

/// Bytes as one stored block of deflate, which needs no compressor.
fn packed(encoding: &str, plain: &[u8]) -> Vec<u8> {
    let length = u16::try_from(plain.len()).unwrap();
    let mut block = vec![1];
    block.extend(length.to_le_bytes());
    block.extend((!length).to_le_bytes());
    block.extend(plain);
    match encoding {
        "gzip" => {
            let mut crc = !0u32;
            for byte in plain {
                crc ^= u32::from(*byte);
                for _ in 0..8 {
                    crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
                }
            }
            let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255].to_vec();
            let tail = [(!crc).to_le_bytes(), u32::from(length).to_le_bytes()].concat();
            [head, block, tail].concat()
        }
        "deflate" => {
            let (mut a, mut b) = (1u32, 0u32);
            for byte in plain {
                a = (a + u32::from(*byte)) % 65_521;
                b = (b + a) % 65_521;
            }
            let sum = ((b << 16) | a).to_be_bytes().to_vec();
            [vec![0x78, 0x01], block, sum].concat()
        }
        _ => plain.to_vec(),
    }
}
