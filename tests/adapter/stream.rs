//! Streams, as gateways send them, and the events they become.

use gateway::{GatewayEvent, Mode};
use serde_json::{Value, json};

use super::double::{
    Double, EVENTS, JSON, Play, ask, completion, delta, finish, http, in_front_of, messages,
    open_stream, stream,
};
use super::message::{assemble, short};

fn call(index: Value, id: Value, name: Value, arguments: Value) -> Value {
    delta(
        json!({ "tool_calls": [{ "index": index, "id": id, "type": "function", "function": { "name": name, "arguments": arguments } }] }),
    )
}

/// A call of `f` with these arguments, as the first of an answer.
fn f(arguments: &str) -> Value {
    call(json!(0), json!("c1"), json!("f"), json!(arguments))
}

/// A call of `g` without any, as the second.
fn g() -> Value {
    call(json!(1), json!("c2"), json!("g"), json!("{}"))
}

fn piece(index: u64, arguments: &str) -> Value {
    delta(json!({ "tool_calls": [{ "index": index, "function": { "arguments": arguments } }] }))
}

/// Each row: what it shows, the chunks, the content, the stop reason.
type Row = (
    &'static str,
    Vec<Value>,
    &'static [&'static str],
    &'static str,
);

fn rows() -> Vec<Row> {
    let text = |text: &str| delta(json!({ "content": text }));
    vec![
        (
            "text",
            vec![
                delta(json!({ "role": "assistant", "content": "" })),
                text("a"),
                text(" b\n\"é😀\""),
                finish("stop"),
            ],
            &["T:a b\n\"é😀\""],
            "end_turn",
        ),
        (
            "text in the first chunk and beside the finish reason",
            vec![
                delta(json!({ "role": "assistant", "content": "a" })),
                json!({ "choices": [{ "index": 0, "delta": { "content": "b" }, "finish_reason": "stop" }] }),
            ],
            &["T:ab"],
            "end_turn",
        ),
        (
            "chunks that say nothing",
            vec![
                json!({ "choices": [] }),
                delta(json!({ "role": "assistant", "content": null, "tool_calls": null })),
                delta(json!({ "tool_calls": [] })),
                json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "" }] }),
                text("a"),
                finish("stop"),
            ],
            &["T:a"],
            "end_turn",
        ),
        (
            "no answer at all but an end",
            vec![finish("stop")],
            &[],
            "end_turn",
        ),
        (
            "cut at the limit",
            vec![text("a"), finish("length")],
            &["T:a"],
            "max_tokens",
        ),
        (
            "filtered",
            vec![text("a"), finish("content_filter")],
            &["T:a"],
            "refusal",
        ),
        (
            "an unknown reason",
            vec![text("a"), finish("eos")],
            &["T:a"],
            "end_turn",
        ),
        (
            "reasoning_content",
            vec![
                delta(json!({ "reasoning_content": "r1" })),
                delta(json!({ "reasoning_content": "r2", "content": "" })),
                text("a"),
                finish("stop"),
            ],
            &["R:r1r2", "T:a"],
            "end_turn",
        ),
        (
            "reasoning",
            vec![
                delta(json!({ "reasoning": "r" })),
                text("a"),
                finish("stop"),
            ],
            &["R:r", "T:a"],
            "end_turn",
        ),
        (
            "reasoning_details",
            vec![
                delta(json!({ "reasoning_details": [{ "type": "reasoning.text", "text": "r" }] })),
                text("a"),
                finish("stop"),
            ],
            &["R:r", "T:a"],
            "end_turn",
        ),
        (
            "content as a list of parts",
            vec![
                delta(
                    json!({ "content": [{ "type": "thinking", "thinking": [{ "type": "text", "text": "r" }] }] }),
                ),
                delta(json!({ "content": [{ "type": "text", "text": "a" }] })),
                finish("stop"),
            ],
            &["R:r", "T:a"],
            "end_turn",
        ),
        (
            "reasoning, text and a call in one delta",
            vec![
                delta(
                    json!({ "reasoning_content": "r", "content": "a", "tool_calls": [{ "index": 0, "id": "c1", "function": { "name": "f", "arguments": "{}" } }] }),
                ),
                finish("tool_calls"),
            ],
            &["R:r", "T:a", "C:f(c1){}"],
            "tool_use",
        ),
        (
            "a call in pieces",
            vec![
                f(""),
                piece(0, "{\"a\""),
                piece(0, ":1}"),
                finish("tool_calls"),
            ],
            &["C:f(c1){\"a\":1}"],
            "tool_use",
        ),
        (
            "arguments in the chunk with the id",
            vec![f("{\"a\":1}"), finish("tool_calls")],
            &["C:f(c1){\"a\":1}"],
            "tool_use",
        ),
        (
            "a call that ends with stop",
            vec![f("{}"), finish("stop")],
            &["C:f(c1){}"],
            "tool_use",
        ),
        (
            "no arguments",
            vec![f(""), finish("tool_calls")],
            &["C:f(c1){}"],
            "tool_use",
        ),
        (
            "null arguments",
            vec![
                call(json!(0), json!("c1"), json!("f"), Value::Null),
                finish("tool_calls"),
            ],
            &["C:f(c1){}"],
            "tool_use",
        ),
        (
            "arguments as an object",
            vec![
                call(json!(0), json!("c1"), json!("f"), json!({ "a": 1 })),
                finish("tool_calls"),
            ],
            &["C:f(c1){\"a\":1}"],
            "tool_use",
        ),
        (
            "two calls one after the other",
            vec![f("{}"), g(), finish("tool_calls")],
            &["C:f(c1){}", "C:g(c2){}"],
            "tool_use",
        ),
        (
            "two calls interleaved",
            vec![
                f("{\"a\":"),
                call(json!(1), json!("c2"), json!("g"), json!("{\"b\":")),
                piece(0, "1"),
                piece(1, "2"),
                piece(0, "}"),
                piece(1, "}"),
                finish("tool_calls"),
            ],
            &["C:f(c1){\"a\":1}", "C:g(c2){\"b\":2}"],
            "tool_use",
        ),
        (
            "the same index with another id",
            vec![
                f("{}"),
                call(json!(0), json!("c2"), json!("g"), json!("{}")),
                finish("tool_calls"),
            ],
            &["C:f(c1){}", "C:g(c2){}"],
            "tool_use",
        ),
        (
            "no index, ids",
            vec![
                call(Value::Null, json!("c1"), json!("f"), json!("{}")),
                call(Value::Null, json!("c2"), json!("g"), json!("{}")),
                finish("tool_calls"),
            ],
            &["C:f(c1){}", "C:g(c2){}"],
            "tool_use",
        ),
        (
            "the id repeated, or empty",
            vec![
                f("{\"a\""),
                call(json!(0), json!("c1"), json!(""), json!(":")),
                call(json!(0), json!(""), json!(""), json!("1}")),
                finish("tool_calls"),
            ],
            &["C:f(c1){\"a\":1}"],
            "tool_use",
        ),
        (
            "the name after the id",
            vec![
                call(json!(0), json!("c1"), Value::Null, Value::Null),
                call(json!(0), Value::Null, json!("f"), json!("{}")),
                finish("tool_calls"),
            ],
            &["C:f(c1){}"],
            "tool_use",
        ),
        (
            "the id after the name",
            vec![
                call(json!(0), Value::Null, json!("f"), Value::Null),
                call(json!(0), json!("c1"), Value::Null, json!("{}")),
                finish("tool_calls"),
            ],
            &["C:f(c1){}"],
            "tool_use",
        ),
        (
            "text within a call",
            vec![
                f("{\"a\":"),
                text("aside"),
                piece(0, "1}"),
                finish("tool_calls"),
            ],
            &["C:f(c1){\"a\":1}", "T:aside"],
            "tool_use",
        ),
        (
            "text after a call",
            vec![f("{}"), text("after"), finish("tool_calls")],
            &["C:f(c1){}", "T:after"],
            "tool_use",
        ),
        (
            "white space around calls",
            vec![text("\n\n"), f("{}"), text("\n"), g(), finish("tool_calls")],
            &["C:f(c1){}", "C:g(c2){}"],
            "tool_use",
        ),
        (
            "white space in front of text",
            vec![text("\n\n"), text("  a"), finish("stop")],
            &["T:\n\n  a"],
            "end_turn",
        ),
        (
            "arguments that the reply's limit has cut",
            vec![f("{\"a\":"), finish("length")],
            &["C:f(c1){\"broken\":\"{\\\"a\\\":\"}"],
            "max_tokens",
        ),
        (
            "two calls with the same id",
            vec![
                f("{}"),
                call(json!(1), json!("c1"), json!("f"), json!("{}")),
                finish("tool_calls"),
            ],
            &["C:f(c1){}", "C:f(c1_2){}"],
            "tool_use",
        ),
        (
            "a function_call of old",
            vec![
                delta(json!({ "function_call": { "name": "f", "arguments": "{}" } })),
                finish("function_call"),
            ],
            &["C:f(*){}"],
            "tool_use",
        ),
        (
            "a second choice",
            vec![
                json!({ "choices": [{ "index": 1, "delta": { "content": "x" } }, { "index": 0, "delta": { "content": "a" } }] }),
                finish("stop"),
            ],
            &["T:a"],
            "end_turn",
        ),
        (
            "a refusal",
            vec![delta(json!({ "refusal": "no" })), finish("stop")],
            &["T:no"],
            "end_turn",
        ),
        (
            "calls promised and none made",
            vec![text("a"), finish("tool_calls")],
            &["T:a"],
            "end_turn",
        ),
    ]
}

fn matches(content: &[Value], want: &[&str]) -> bool {
    let got = short(content);
    got.len() == want.len()
        && got
            .iter()
            .zip(want)
            .all(|(got, want)| match want.split_once('*') {
                Some((head, tail)) => got.starts_with(head) && got.ends_with(tail),
                None => got == want,
            })
}

#[tokio::test]
async fn every_way_to_stream_an_answer_becomes_the_same_protocol() {
    for (name, chunks, content, stop) in rows() {
        let whole = stream(&chunks);
        // In one read, and byte by byte: the content is the same.
        let single: Vec<Vec<u8>> = whole.iter().map(|byte| vec![*byte]).collect();
        for pieces in [vec![whole], single] {
            let double = Double::start(move |_, _| Play::Pieces(pieces.clone())).await;
            let adapter = in_front_of(&double).await;
            let got = messages(&adapter, &ask(json!({ "stream": true }))).await;
            assert_eq!(got.status, 200, "{name}: {}", got.text);
            let message = assemble(&got.text);
            assert!(
                matches(&message.content, content),
                "{name}: {:?} instead of {content:?}",
                short(&message.content)
            );
            assert_eq!(message.stop_reason.as_deref(), Some(stop), "{name}");
        }
    }
}

#[tokio::test]
async fn an_old_id_is_not_used_again() {
    let double = Double::always(stream(&[f("{}"), finish("tool_calls")])).await;
    let adapter = in_front_of(&double).await;
    let body = ask(json!({ "stream": true, "messages": [
        { "role": "user", "content": "hi" },
        { "role": "assistant", "content": [{ "type": "tool_use", "id": "c1", "name": "f", "input": {} }] },
        { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "c1", "content": "ok" }] },
    ] }));
    let message = assemble(&messages(&adapter, &body).await.text);
    assert_eq!(short(&message.content), ["C:f(c1_2){}"]);
}

#[tokio::test]
async fn usage_is_found_wherever_it_stands() {
    let text = || delta(json!({ "content": "a" }));
    let usage = json!({ "prompt_tokens": 10, "completion_tokens": 3, "prompt_tokens_details": { "cached_tokens": 4 } });
    let with = |mut chunk: Value, usage: &Value| {
        chunk["usage"] = usage.clone();
        chunk
    };
    let half = json!({ "prompt_tokens": 10, "completion_tokens": 1 });
    for (name, chunks) in [
        (
            "in a chunk of its own",
            vec![
                text(),
                finish("stop"),
                json!({ "choices": [], "usage": usage }),
            ],
        ),
        (
            "beside the finish reason",
            vec![text(), with(finish("stop"), &usage)],
        ),
        (
            "growing in each chunk",
            vec![with(text(), &half), with(finish("stop"), &usage)],
        ),
        (
            "null at the end",
            vec![
                text(),
                with(finish("stop"), &usage),
                json!({ "choices": [], "usage": null }),
            ],
        ),
        (
            "in the choice",
            vec![
                text(),
                json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop", "usage": usage }] }),
            ],
        ),
    ] {
        let double = Double::always(stream(&chunks)).await;
        let adapter = in_front_of(&double).await;
        let message = assemble(
            &messages(&adapter, &ask(json!({ "stream": true })))
                .await
                .text,
        );
        assert_eq!(
            message.usage,
            json!({ "input_tokens": 6, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4, "output_tokens": 3 }),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_stream_may_end_without_done_but_not_without_a_reason() {
    let text = delta(json!({ "content": "a" }));
    for (name, bytes, ends_well) in [
        (
            "no [DONE]",
            open_stream(&[text.clone(), finish("stop")]),
            true,
        ),
        (
            "no last blank line",
            {
                let mut b = open_stream(&[text.clone(), finish("stop")]);
                b.pop();
                b.pop();
                b
            },
            true,
        ),
        (
            "[DONE] without a reason",
            stream(std::slice::from_ref(&text)),
            true,
        ),
        ("nothing", open_stream(std::slice::from_ref(&text)), false),
        ("a call that is cut", open_stream(&[f("{\"a\":")]), false),
        (
            "a call that is cut, and [DONE]",
            stream(&[f("{\"a\":")]),
            false,
        ),
        (
            "a chunk that is cut",
            {
                let mut b = open_stream(&[text.clone(), text.clone()]);
                b.truncate(b.len() - 20);
                b
            },
            false,
        ),
    ] {
        let double = Double::always(bytes).await;
        let adapter = in_front_of(&double).await;
        let got = messages(&adapter, &ask(json!({ "stream": true }))).await;
        assert_eq!(got.status, 200, "{name}");
        let message = assemble(&got.text);
        assert_eq!(message.error.is_none(), ends_well, "{name}: {message:?}");
        assert_eq!(
            message.stop_reason.is_some(),
            ends_well,
            "{name}: {message:?}"
        );
        // What has reached the caller is never asked for again.
        assert_eq!(double.received().len(), 1, "{name}");
    }
}

#[tokio::test]
async fn an_error_in_the_stream_ends_it_as_an_error() {
    for (name, event) in [
        (
            "an error chunk",
            "data: {\"error\":{\"message\":\"boom\",\"code\":502}}\n\n",
        ),
        (
            "an error event",
            "event: error\ndata: {\"message\":\"boom\"}\n\n",
        ),
        (
            "with a choice",
            "data: {\"error\":{\"message\":\"boom\"},\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}\n\n",
        ),
    ] {
        let start = String::from_utf8(open_stream(&[delta(json!({ "content": "a" }))])).unwrap();
        let double = Double::always(format!("{start}{event}")).await;
        let adapter = in_front_of(&double).await;
        let message = assemble(
            &messages(&adapter, &ask(json!({ "stream": true })))
                .await
                .text,
        );
        assert_eq!(
            message.error.map(|error| error.1),
            Some("boom".to_owned()),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_whole_reply_to_a_streaming_request_is_told_as_a_stream() {
    let message = json!({ "role": "assistant", "content": "a", "reasoning_content": "r",
        "tool_calls": [{ "id": "c1", "type": "function", "function": { "name": "f", "arguments": "{\"a\":1}" } }] });
    let double = Double::always(completion(message, "tool_calls")).await;
    let adapter = in_front_of(&double).await;
    let got = messages(&adapter, &ask(json!({ "stream": true }))).await;
    let message = assemble(&got.text);
    assert_eq!(short(&message.content), ["R:r", "T:a", "C:f(c1){\"a\":1}"]);
    assert_eq!(
        (
            message.stop_reason.as_deref(),
            &message.usage["output_tokens"]
        ),
        (Some("tool_use"), &json!(3))
    );
}

#[tokio::test]
async fn a_request_without_stream_gets_a_whole_message() {
    let rows: Vec<(&str, Value, &str, Vec<&str>, &str)> = vec![
        (
            "text",
            json!({ "content": "a" }),
            "stop",
            vec!["T:a"],
            "end_turn",
        ),
        (
            "everything",
            json!({ "content": "a", "reasoning": "r", "tool_calls": [{ "id": "c1", "function": { "name": "f", "arguments": "{\"a\":1}" } }] }),
            "stop",
            vec!["R:r", "T:a", "C:f(c1){\"a\":1}"],
            "tool_use",
        ),
        (
            "no text",
            json!({ "content": "", "tool_calls": [{ "id": "c1", "function": { "name": "f", "arguments": "" } }] }),
            "tool_calls",
            vec!["C:f(c1){}"],
            "tool_use",
        ),
        (
            "cut arguments",
            json!({ "content": null, "tool_calls": [{ "id": "c1", "function": { "name": "f", "arguments": "{\"a\":" } }] }),
            "length",
            vec![],
            "max_tokens",
        ),
        (
            "arguments as an object",
            json!({ "tool_calls": [{ "id": "c1", "function": { "name": "f", "arguments": { "a": 1 } } }] }),
            "tool_calls",
            vec!["C:f(c1){\"a\":1}"],
            "tool_use",
        ),
        (
            "a list of parts",
            json!({ "content": [{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }] }),
            "stop",
            vec!["T:ab"],
            "end_turn",
        ),
    ];
    for (name, message, reason, content, stop) in rows {
        let double = Double::always(completion(message, reason)).await;
        let adapter = in_front_of(&double).await;
        let got = messages(&adapter, &ask(json!({}))).await;
        assert_eq!(got.status, 200, "{name}: {}", got.text);
        let body = got.json();
        assert_eq!(
            short(body["content"].as_array().unwrap()),
            content,
            "{name}"
        );
        assert_eq!(
            (&body["stop_reason"], &body["model"], &body["type"]),
            (&json!(stop), &json!("claude-sonnet-5"), &json!("message")),
            "{name}"
        );
        assert_eq!(body["usage"]["input_tokens"], 10, "{name}");
        assert!(double.only().body.get("stream").is_none());
    }
}

#[tokio::test]
async fn an_answer_that_is_none_is_a_clean_error() {
    for (name, body) in [
        ("no choices", "{\"choices\":[]}"),
        ("HTML", "<html><title>Sign in</title></html>"),
        ("nothing", ""),
        ("cut", "{\"choices\":[{\"message\":{\"content\":\"a"),
        ("an error", "{\"error\":{\"message\":\"boom\"}}"),
    ] {
        for streams in [false, true] {
            let double =
                Double::always(http(200, &[if streams { EVENTS } else { JSON }], body)).await;
            let mut config = super::double::config(&double.url);
            config.retries = 0;
            let adapter = super::double::start(config).await;
            let got = messages(&adapter, &ask(json!({ "stream": streams }))).await;
            assert!(
                got.status >= 500,
                "{name} {streams}: {} {}",
                got.status,
                got.text
            );
            assert_eq!(got.error().0, "api_error", "{name}");
        }
    }
}

#[tokio::test]
async fn a_stream_that_nobody_asked_for_is_gathered_into_a_message() {
    let mut rows = rows();
    rows.push((
        "a thought",
        vec![
            delta(json!({ "reasoning_content": "r" })),
            delta(json!({ "content": "a" })),
            finish("stop"),
        ],
        &["R:r", "T:a"],
        "end_turn",
    ));
    for (name, chunks, content, stop) in rows {
        let double = Double::always(stream(&chunks)).await;
        let adapter = in_front_of(&double).await;
        let got = messages(&adapter, &ask(json!({}))).await;
        assert_eq!(got.status, 200, "{name}: {}", got.text);
        let body = got.json();
        // A call that is cut is none in a whole message.
        let whole = content
            .iter()
            .filter(|block| !block.contains("{\"broken\""));
        let want: Vec<String> = whole.map(|block| (*block).to_owned()).collect();
        let want: Vec<&str> = want.iter().map(String::as_str).collect();
        let blocks = body["content"].as_array().unwrap();
        assert!(
            matches(blocks, &want),
            "{name}: {:?} instead of {want:?}",
            short(blocks)
        );
        assert_eq!(body["stop_reason"], stop, "{name}");
        assert_eq!(
            (&body["type"], &body["role"], &body["model"]),
            (
                &json!("message"),
                &json!("assistant"),
                &json!("claude-sonnet-5")
            ),
            "{name}"
        );
        for block in blocks.iter().filter(|block| block["type"] == "thinking") {
            assert!(!block["signature"].as_str().unwrap().is_empty(), "{name}");
        }
    }
    let usage = json!({ "choices": [], "usage": { "prompt_tokens": 10, "completion_tokens": 3 } });
    let chunks = [delta(json!({ "content": "a" })), finish("stop"), usage];
    // Whatever it is called, and whether or not it is called an end.
    for bytes in [
        stream(&chunks),
        open_stream(&chunks),
        http(
            200,
            &[JSON],
            &String::from_utf8_lossy(&stream(&chunks))
                .split_once("\r\n\r\n")
                .unwrap()
                .1
                .replace("data: ", "data:"),
        ),
    ] {
        let double = Double::always(bytes).await;
        let mut config = super::double::config(&double.url);
        let records = super::double::recorded(&mut config);
        let adapter = super::double::start(config).await;
        let got = messages(&adapter, &ask(json!({}))).await;
        assert_eq!(got.json()["usage"]["output_tokens"], 3, "{}", got.text);
        let record = records.lock().unwrap()[0].clone();
        assert_eq!(
            (record.status, record.output_tokens, record.finish_reasons),
            (200, 3, vec!["end_turn".to_owned()])
        );
    }
    // And one that breaks off is no message.
    let double = Double::always(open_stream(&[delta(json!({ "content": "a" }))])).await;
    let mut config = super::double::config(&double.url);
    config.retries = 0;
    let adapter = super::double::start(config).await;
    let got = messages(&adapter, &ask(json!({}))).await;
    assert_eq!((got.status, got.error().0.as_str()), (502, "api_error"));
}

#[tokio::test]
async fn a_gateway_that_does_not_count_is_estimated() {
    let text = "word ".repeat(100);
    let whole = completion(json!({ "content": text }), "stop");
    let whole = String::from_utf8(whole)
        .unwrap()
        .replace("\"usage\"", "\"other\"");
    for (streams, bytes) in [
        (
            true,
            stream(&[delta(json!({ "content": text })), finish("stop")]),
        ),
        (false, whole.into_bytes()),
    ] {
        let double = Double::always(bytes).await;
        let mut config = super::double::config(&double.url);
        let records = super::double::recorded(&mut config);
        let adapter = super::double::start(config).await;
        let got = messages(&adapter, &ask(json!({ "stream": streams }))).await;
        let usage = if streams {
            assemble(&got.text).usage
        } else {
            got.json()["usage"].clone()
        };
        assert!(usage["input_tokens"].as_u64().unwrap() > 0, "{usage}");
        assert!(usage["output_tokens"].as_u64().unwrap() > 50, "{usage}");
        let record = records.lock().unwrap()[0].clone();
        assert!(record.estimated && record.output_tokens > 50, "{record:?}");
    }
}

#[tokio::test]
async fn what_a_whole_reply_leaves_out_is_made_up() {
    for body in [
        json!({ "choices": [{ "message": { "content": "a" } }] }),
        json!({ "choices": [{ "message": { "role": "assistant", "content": "a", "tool_calls": null }, "finish_reason": null }], "id": null, "model": null, "usage": null }),
    ] {
        let double = Double::always(http(200, &[JSON], &body.to_string())).await;
        let adapter = in_front_of(&double).await;
        let message = messages(&adapter, &ask(json!({}))).await.json();
        assert!(
            message["id"].as_str().unwrap().starts_with("msg_"),
            "{message}"
        );
        assert_eq!(message["model"], "claude-sonnet-5");
        assert_eq!(short(message["content"].as_array().unwrap()), ["T:a"]);
        assert_eq!(message["stop_reason"], "end_turn");
        assert!(message["usage"]["output_tokens"].is_u64(), "{message}");
    }
}

#[tokio::test]
async fn an_answer_is_over_when_its_reason_came_and_nothing_more_does() {
    let double = Double::start(|_, _| {
        Play::Silence(open_stream(&[
            delta(json!({ "content": "a" })),
            finish("stop"),
        ]))
    })
    .await;
    let adapter = in_front_of(&double).await;
    let message = assemble(
        &messages(&adapter, &ask(json!({ "stream": true })))
            .await
            .text,
    );
    assert_eq!(short(&message.content), ["T:a"]);
    assert_eq!(
        (message.stop_reason.as_deref(), message.error),
        (Some("end_turn"), None)
    );
}

#[tokio::test]
async fn a_gateway_that_thinks_for_long_is_covered_by_pings() {
    let (gate, open) = tokio::sync::watch::channel(false);
    let rest = stream(&[delta(json!({ "content": "a" })), finish("stop")]);
    let at = rest.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    let double = Double::start(move |_, _| {
        // A comment, as some gateways send to keep the connection.
        let head = [&rest[..at], b": WAIT\n\n"].concat();
        Play::Gate(head, open.clone(), rest[at..].to_vec())
    })
    .await;
    let adapter = in_front_of(&double).await;
    let mut answer = super::double::client()
        .post(format!("{}/v1/messages", adapter.url()))
        .header("x-api-key", super::double::TOKEN)
        .body(ask(json!({ "stream": true })).to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let mut text = String::from_utf8(answer.chunk().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(text.starts_with("event: ping\n"), "{text}");
    gate.send_replace(true);
    while let Some(more) = answer.chunk().await.unwrap() {
        text.push_str(std::str::from_utf8(&more).unwrap());
    }
    assert_eq!(short(&assemble(&text).content), ["T:a"]);
}

#[tokio::test]
async fn an_answer_that_goes_on_is_a_sign_of_life() {
    let text = delta(json!({ "content": "a" }));
    let event = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n";
    let begun = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\n";
    for (mode, first, rest) in [
        (
            Mode::Translate,
            open_stream(std::slice::from_ref(&text)),
            format!("data: {text}\n\n"),
        ),
        (Mode::Relay, http(200, &[EVENTS], begun), event.to_owned()),
    ] {
        let (gate, open) = tokio::sync::watch::channel(false);
        let double = Double::start(move |_, _| {
            Play::Gate(first.clone(), open.clone(), rest.clone().into_bytes())
        })
        .await;
        let mut config = super::double::config(&double.url);
        config.mode = mode;
        let adapter = super::double::start(config).await;
        let mut events = adapter.events();
        let mut answer = super::double::client()
            .post(format!("{}/v1/messages", adapter.url()))
            .header("x-api-key", super::double::TOKEN)
            .body(ask(json!({ "stream": true })).to_string())
            .send()
            .await
            .unwrap();
        answer.chunk().await.unwrap();
        assert!(
            matches!(events.recv().await, Ok(GatewayEvent::Activity)),
            "the request"
        );
        gate.send_replace(true);
        let next = super::double::within(60, async move { events.recv().await });
        assert!(
            matches!(next.await, Ok(GatewayEvent::Activity)),
            "{mode:?}: its answer"
        );
    }
}

/// Gateways send a chunk of HTTP for each token, and many of them in one packet.
#[tokio::test]
async fn tokens_that_arrive_together_go_on_together() {
    const TOKENS: usize = 200;
    let tokens: Vec<Value> = (0..TOKENS)
        .map(|token| delta(json!({ "content": format!("{token} ") })))
        .chain([finish("stop")])
        .collect();
    let whole = stream(&tokens);
    let body = whole
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map_or(&[][..], |end| &whole[end + 4..]);
    let mut bytes =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            .to_vec();
    for event in String::from_utf8_lossy(body).split_inclusive("\n\n") {
        bytes.extend(format!("{:x}\r\n{event}\r\n", event.len()).into_bytes());
    }
    bytes.extend(b"0\r\n\r\n");
    let double = Double::always(bytes).await;
    let adapter = in_front_of(&double).await;
    let asked = ask(json!({ "stream": true }));
    let mut answer = super::double::client()
        .post(format!("{}/v1/messages", adapter.url()))
        .header("x-api-key", super::double::TOKEN)
        .body(asked.to_string())
        .send()
        .await
        .unwrap();
    let (mut pieces, mut text) = (0, Vec::new());
    while let Some(piece) = answer.chunk().await.unwrap() {
        pieces += 1;
        text.extend_from_slice(&piece);
    }
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("199 ") && text.contains("message_stop"),
        "{text}"
    );
    assert!(pieces < TOKENS / 2, "{pieces} writes for {TOKENS} tokens");
}
