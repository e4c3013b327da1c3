//! Callers and gateways that mean no good, or do not care: THREATS T9, T11, T12, T14 and T15.

use std::time::Duration;

use gateway::Mode;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::double::{
    Double, JSON, Play, TOKEN, answer_to, ask, client, config, delta, finish, good, http,
    in_front_of, messages, open_stream, post, start, stream, within,
};
use super::message::assemble;

#[tokio::test]
async fn a_token_opens_its_own_adapter_as_long_as_that_lives() {
    let double = Double::always(good()).await;
    let (mut first, mut second) = (config(&double.url), config(&double.url));
    first.token = Some("token-of-job-a".into());
    second.token = Some("token-of-job-b".into());
    let (first, second) = (start(first).await, start(second).await);
    let asked = |url: String, token: &'static str| {
        client()
            .post(format!("{url}/v1/messages"))
            .header("x-api-key", token)
            .body(ask(json!({ "stream": true })).to_string())
    };
    assert_eq!(
        answer_to(asked(first.url(), "token-of-job-a")).await.status,
        200
    );
    assert_eq!(
        answer_to(asked(second.url(), "token-of-job-a"))
            .await
            .status,
        401
    );
    let url = first.url();
    first.shutdown().await;
    assert!(asked(url, "token-of-job-a").send().await.is_err());
    assert_eq!(
        answer_to(asked(second.url(), "token-of-job-a"))
            .await
            .status,
        401
    );
    assert_eq!(double.received().len(), 1);
}

#[tokio::test]
async fn no_route_answers_without_the_token_but_the_sign_of_life() {
    let double = Double::always(good()).await;
    let adapter = in_front_of(&double).await;
    for (method, path) in [
        ("POST", "/v1/messages"),
        ("POST", "/v1/messages?beta=true"),
        ("POST", "/v1/messages/count_tokens"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/big"),
        ("GET", "/v1/messages"),
        ("POST", "/v1/chat/completions"),
        ("GET", "/metrics"),
    ] {
        let request = client()
            .request(method.parse().unwrap(), format!("{}{path}", adapter.url()))
            .body(ask(json!({})).to_string());
        let got = answer_to(request).await;
        assert_eq!(
            (got.status, got.error().0.as_str()),
            (401, "authentication_error"),
            "{path}"
        );
        assert!(!got.text.contains("big"), "{path}: {}", got.text);
    }
    assert!(double.received().is_empty());
}

#[tokio::test]
async fn a_redirect_leads_no_key_anywhere() {
    let elsewhere = Double::always(good()).await;
    for mode in [Mode::Translate, Mode::Relay] {
        for status in [301, 302, 303, 307, 308] {
            let location = elsewhere.url.clone();
            let double = Double::always(http(status, &[("location", &location)], "")).await;
            let mut config = config(&double.url);
            config.mode = mode;
            let adapter = start(config).await;
            let got = messages(&adapter, &ask(json!({ "stream": true }))).await;
            assert_eq!(
                (got.status, got.error().0.as_str()),
                (502, "api_error"),
                "{mode:?} {status}"
            );
            assert!(got.error().1.contains("redirect"), "{}", got.text);
            assert!(got.headers.get("location").is_none());
            assert_eq!(double.received().len(), 1, "{mode:?} {status}");
        }
    }
    assert!(elsewhere.received().is_empty());
}

#[tokio::test]
async fn nothing_of_a_request_becomes_a_header_of_another() {
    let double = Double::always(good()).await;
    let mut config = config(&double.url);
    config.models.main = None;
    let adapter = start(config).await;
    let forged = "m\r\nx-forged: 1\r\n\r\nGET / HTTP/1.1";
    let body = ask(
        json!({ "model": forged, "stream": true, "metadata": { "user_id": forged },
        "tools": [{ "name": "f\r\nx-forged: 1", "input_schema": {} }] }),
    );
    assert_eq!(messages(&adapter, &body).await.status, 200);
    let seen = double.only();
    assert!(!seen.head.contains("x-forged"), "{}", seen.head);
    assert_eq!(seen.body["model"], forged);
}

#[tokio::test]
async fn monstrous_requests_are_refused_or_served_and_the_next_one_is_served() {
    let double = Double::always(good()).await;
    let adapter = in_front_of(&double).await;
    let with =
        |messages: &str| format!("{{\"model\":\"m\",\"max_tokens\":1,\"stream\":true,{messages}}}");
    let hello = "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]";
    let deep = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let schema = |depth: usize| {
        with(&format!(
            "{hello},\"tools\":[{{\"name\":\"f\",\"input_schema\":{}}}]",
            deep(depth)
        ))
    };
    let rows: Vec<(&str, String, &[u16])> = vec![
        (
            "a million numbers",
            with(&format!("\"messages\":[{}1]", "1,".repeat(1_000_000))),
            &[400],
        ),
        (
            "a million messages",
            with(&format!(
                "\"messages\":[{}{}]",
                "{\"role\":\"user\",\"content\":\"a\"},".repeat(200_000),
                "{\"role\":\"user\",\"content\":\"a\"}"
            )),
            &[200, 400],
        ),
        ("a deep schema", schema(60), &[200]),
        ("a bottomless schema", schema(100_000), &[200, 400]),
        (
            "a bottomless unknown field",
            with(&format!("{hello},\"x\":{}", deep(100_000))),
            &[200, 400],
        ),
        (
            "a bottomless argument",
            with(&format!(
                "\"messages\":[{{\"role\":\"user\",\"content\":\"a\"}},{{\"role\":\"assistant\",\"content\":[{{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":{}}}]}},{{\"role\":\"user\",\"content\":[{{\"type\":\"tool_result\",\"tool_use_id\":\"c\",\"content\":\"x\"}}]}}]",
                deep(100_000)
            )),
            &[200, 400],
        ),
        (
            "a lone surrogate",
            with("\"messages\":[{\"role\":\"user\",\"content\":\"\\ud800 a\"}]"),
            &[200, 400],
        ),
        (
            "half a surrogate pair in a name",
            with(&format!(
                "{hello},\"tools\":[{{\"name\":\"\\udc00\",\"input_schema\":{{}}}}]"
            )),
            &[200, 400],
        ),
        (
            "a NUL",
            with("\"messages\":[{\"role\":\"user\",\"content\":\"a\\u0000b\"}]"),
            &[200],
        ),
        (
            "a number without end",
            with(&format!("{hello},\"temperature\":1{}", "0".repeat(100_000))),
            &[200, 400],
        ),
        (
            "an infinite number",
            with(&format!("{hello},\"temperature\":1e999")),
            &[200, 400],
        ),
        ("a field twice", with(&format!("{hello},{hello}")), &[400]),
        (
            "a long key",
            with(&format!("{hello},\"{}\":1", "k".repeat(1 << 20))),
            &[200],
        ),
    ];
    for (name, body, statuses) in rows {
        let got = post(&adapter, "/v1/messages", body).await;
        assert!(
            statuses.contains(&got.status),
            "{name}: {} {:.300}",
            got.status,
            got.text
        );
        if got.status == 400 {
            assert_eq!(got.error().0, "invalid_request_error", "{name}");
        }
        assert_eq!(
            messages(&adapter, &ask(json!({ "stream": true })))
                .await
                .status,
            200,
            "after {name}"
        );
    }
    let broken: [&[u8]; 3] = [b"\xff\xfe{}", b"{\"model\":\"\xff\"", b"\0"];
    for body in broken {
        assert_eq!(
            post(&adapter, "/v1/messages", body.to_vec()).await.status,
            400
        );
    }
}

#[tokio::test]
async fn monstrous_answers_end_in_an_answer_or_an_error_and_the_next_request_is_served() {
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let event = |body: &str| http(200, &[super::double::EVENTS], &format!("data: {body}\n\n"));
    let chunk = |delta: &str| {
        format!(
            "{{\"choices\":[{{\"index\":0,\"delta\":{{{delta}}},\"finish_reason\":\"stop\"}}]}}"
        )
    };
    let whole = |message: &str| {
        http(
            200,
            &[JSON],
            &format!(
                "{{\"choices\":[{{\"index\":0,\"message\":{{{message}}},\"finish_reason\":\"stop\"}}]}}"
            ),
        )
    };
    let raw = |bytes: &[u8]| [http(200, &[super::double::EVENTS], ""), bytes.to_vec()].concat();
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("bottomless content", event(&chunk(&format!("\"content\":{}", deep(100_000))))),
        ("bottomless unknown member", event(&chunk(&format!("\"content\":\"a\",\"x\":{}", deep(100_000))))),
        ("bottomless arguments", event(&chunk(&format!("\"tool_calls\":[{{\"index\":0,\"id\":\"c\",\"function\":{{\"name\":\"f\",\"arguments\":{}}}}}]", deep(100_000))))),
        ("bottomless reasoning details", event(&chunk(&format!("\"content\":\"a\",\"reasoning_details\":{}", deep(100_000))))),
        ("a bottomless error", event(&format!("{{\"error\":{}}}", deep(100_000)))),
        ("a bottomless error reply", http(500, &[JSON], &format!("{{\"error\":{}}}", deep(100_000)))),
        ("nothing but depth", http(200, &[JSON], &deep(200_000))),
        ("bottomless whole content", whole(&format!("\"content\":{}", deep(100_000)))),
        ("a lone surrogate", event(&chunk("\"content\":\"\\ud800\""))),
        ("no UTF-8", raw(b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\xff\xfe\"},\"finish_reason\":\"stop\"}]}\n\n")),
        ("NUL bytes", raw(&[0; 4096])),
        ("an index beyond measure", event(&chunk("\"tool_calls\":[{\"index\":99999999999999999999,\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]"))),
        ("an infinite number", event("{\"choices\":[],\"usage\":{\"prompt_tokens\":1e999}}")),
        ("negative counts", stream(&[delta(json!({ "content": "a" })), finish("stop"), json!({ "choices": [], "usage": { "prompt_tokens": -5, "completion_tokens": -1 } })])),
        ("counts beyond measure", stream(&[delta(json!({ "content": "a" })), finish("stop"), json!({ "choices": [], "usage": { "prompt_tokens": u64::MAX, "completion_tokens": u64::MAX, "prompt_tokens_details": { "cached_tokens": u64::MAX } } })])),
        ("a line without end", raw(&[b"data: ".as_slice(), &vec![b'x'; 17 << 20]].concat())),
        ("a million calls", event(&chunk(&format!("\"tool_calls\":[{}{{}}]", "{},".repeat(100_000))))),
        ("a field twice", event(&chunk("\"content\":\"a\",\"content\":\"b\""))),
        ("a header that is forged", http(500, &[("retry-after", "1\u{1}")], "{}")),
    ];
    for (name, bytes) in rows {
        for streams in [true, false] {
            let (hostile, whole) = (
                bytes.clone(),
                super::double::completion(json!({ "content": "hello" }), "stop"),
            );
            let double = Double::start(move |number, request| {
                let streams = request.body["stream"] == json!(true);
                Play::Pieces(vec![match number {
                    0 => hostile.clone(),
                    _ if streams => good(),
                    _ => whole.clone(),
                }])
            })
            .await;
            let mut config = config(&double.url);
            config.retries = 0;
            let adapter = start(config).await;
            let got = messages(&adapter, &ask(json!({ "stream": streams }))).await;
            if got.status != 200 {
                got.error();
            } else if streams {
                assemble(&got.text);
            } else {
                assert_eq!(got.json()["type"], "message", "{name}");
            }
            let next = messages(&adapter, &ask(json!({ "stream": streams }))).await;
            assert!(
                next.status == 200 && next.text.contains("hello"),
                "after {name}: {}",
                next.text
            );
        }
    }
}

#[tokio::test]
async fn an_answer_may_have_128_tool_calls_and_no_more() {
    for (count, served) in [(128, true), (129, false)] {
        let calls = |with_index: bool| -> Vec<serde_json::Value> {
            let calls = 0..count;
            let calls = calls.map(|number| {
                let mut call = json!({
                    "id": format!("c{number}"),
                    "type": "function",
                    "function": { "name": "Bash", "arguments": "{}" },
                });
                if with_index {
                    call["index"] = json!(number);
                }
                call
            });
            calls.collect()
        };
        let (streamed, whole) = (
            // Each by itself, in two pieces: pieces are not calls.
            stream(
                &calls(true)
                    .into_iter()
                    .flat_map(|call| {
                        let rest =
                            json!({ "index": call["index"], "function": { "arguments": "" } });
                        [call, rest].map(|call| delta(json!({ "tool_calls": [call] })))
                    })
                    .chain([finish("tool_calls")])
                    .collect::<Vec<_>>(),
            ),
            super::double::completion(json!({ "tool_calls": calls(false) }), "tool_calls"),
        );
        let double = Double::start(move |_, request| {
            Play::Pieces(vec![match request.body["stream"] == json!(true) {
                true => streamed.clone(),
                false => whole.clone(),
            }])
        })
        .await;
        let mut config = config(&double.url);
        config.retries = 0;
        let adapter = start(config).await;
        for streams in [true, false] {
            let got = messages(&adapter, &ask(json!({ "stream": streams }))).await;
            let refused = got.text.contains("more than 128 tool calls");
            assert_eq!(refused, !served, "{count} {streams}: {}", got.text);
            let blocks = got.text.matches("\"type\":\"tool_use\"").count();
            assert!(blocks == 128 || !served, "{count} {streams}: {blocks}");
        }
    }
}

#[tokio::test]
async fn a_relayed_answer_may_have_no_more_of_them_either() {
    for (count, served) in [(128, true), (129, false)] {
        let calls: Vec<serde_json::Value> = (0..count)
            .map(|n| json!({ "type": "tool_use", "id": format!("c{n}"), "name": "Bash", "input": {} }))
            .collect();
        let message = json!({
            "id": "m", "type": "message", "role": "assistant", "model": "up", "content": calls,
            "stop_reason": "tool_use", "usage": { "input_tokens": 2, "output_tokens": 1 },
        });
        let mut events = String::new();
        let mut event = |data: serde_json::Value| {
            let kind = data["type"].as_str().unwrap().to_owned();
            events.push_str(&format!("event: {kind}\ndata: {data}\n\n"));
        };
        let mut empty = message.clone();
        empty["content"] = json!([]);
        event(json!({ "type": "message_start", "message": empty }));
        for (index, call) in calls.iter().enumerate() {
            event(json!({ "type": "content_block_start", "index": index, "content_block": call }));
            event(json!({ "type": "content_block_stop", "index": index }));
        }
        event(
            json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" }, "usage": { "output_tokens": 1 } }),
        );
        event(json!({ "type": "message_stop" }));
        let double = Double::start(move |_, request| {
            Play::Pieces(vec![match request.body["stream"] == json!(true) {
                true => super::double::http(200, &[("content-type", "text/event-stream")], &events),
                false => super::double::http(
                    200,
                    &[("content-type", "application/json")],
                    &message.to_string(),
                ),
            }])
        })
        .await;
        let mut config = config(&double.url);
        config.retries = 0;
        config.mode = gateway::Mode::Relay;
        let adapter = start(config).await;
        for streams in [true, false] {
            let got = messages(&adapter, &ask(json!({ "stream": streams }))).await;
            let refused = got.text.contains("more than 128 tool calls");
            assert_eq!(refused, !served, "{count} {streams}: {}", got.text);
        }
        assert_eq!(adapter.issued().knows("c127"), served);
    }
}

/// More callers than there are places, none of which shows the token: they make room for each other, and one that shows it is
/// served before any of them has to leave for its silence.
#[tokio::test]
async fn callers_that_want_nothing_keep_nobody_out() {
    let half: &[&[u8]] = &[
        b"",
        b"P",
        b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-",
    ];
    let done: &[&[u8]] = &[b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"];
    // Half a request, and a connection kept after a whole one.
    let rounds = [half, done].map(|sent| async move {
        let double = Double::always(good()).await;
        let adapter = in_front_of(&double).await;
        let mut idle = Vec::new();
        for bytes in sent.iter().cycle().take(520) {
            let mut socket = TcpStream::connect(adapter.address()).await.unwrap();
            socket.write_all(bytes).await.unwrap();
            idle.push(socket);
        }
        let body = ask(json!({ "stream": true }));
        let asked = within(9, async move { messages(&adapter, &body).await });
        let got = asked.await;
        assert_eq!(assemble(&got.text).content[0]["text"], "hello");
    });
    let [first, second] = rounds;
    tokio::join!(first, second);
}

#[tokio::test]
async fn a_caller_that_leaves_is_noticed_wherever_its_request_is() {
    let begun = open_stream(&[delta(json!({ "content": "a" }))]);
    let anthropic = http(
        200,
        &[super::double::EVENTS],
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\n",
    );
    for (name, mode, streams, bytes) in [
        ("before the headers", Mode::Translate, true, Vec::new()),
        (
            "before the first event",
            Mode::Translate,
            true,
            open_stream(&[]),
        ),
        ("in a stream", Mode::Translate, true, begun.clone()),
        (
            "in a whole reply",
            Mode::Translate,
            false,
            http(200, &[JSON], "{\"choices\":["),
        ),
        (
            "in a stream that nobody asked for",
            Mode::Translate,
            false,
            begun,
        ),
        (
            "in an error",
            Mode::Translate,
            true,
            http(500, &[JSON], "{"),
        ),
        ("in a relayed stream", Mode::Relay, true, anthropic),
        ("before a relayed stream", Mode::Relay, true, Vec::new()),
        (
            "in a relayed whole reply",
            Mode::Relay,
            false,
            http(200, &[JSON], "{"),
        ),
    ] {
        let mut double = Double::start(move |_, _| Play::Silence(bytes.clone())).await;
        let mut config = config(&double.url);
        config.mode = mode;
        let adapter = start(config).await;
        let request = client()
            .post(format!("{}/v1/messages", adapter.url()))
            .header("x-api-key", TOKEN)
            .body(ask(json!({ "stream": streams })).to_string());
        let asking = tokio::spawn(async move {
            let mut response = request.send().await.unwrap();
            while response.chunk().await.unwrap().is_some() {}
        });
        while double.received().is_empty() {
            tokio::task::yield_now().await;
        }
        asking.abort();
        tokio::time::timeout(Duration::from_secs(60), double.someone_left())
            .await
            .expect(name);
    }
}

#[tokio::test]
async fn a_caller_that_leaves_during_a_pause_ends_the_retries() {
    let double = Double::always(http(429, &[("retry-after", "14")], "{}")).await;
    let mut config = config(&double.url);
    let records = super::double::recorded(&mut config);
    let adapter = start(config).await;
    let request = client()
        .post(format!("{}/v1/messages", adapter.url()))
        .header("x-api-key", TOKEN)
        .body(ask(json!({ "stream": true })).to_string());
    let asking = tokio::spawn(request.send());
    while double.received().is_empty() {
        tokio::task::yield_now().await;
    }
    asking.abort();
    within(60, async move {
        while records.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let record = records.lock().unwrap()[0].clone();
        assert_eq!((record.status, record.attempts), (499, 1));
    })
    .await;
    assert_eq!(double.received().len(), 1);
}

#[tokio::test]
async fn a_caller_that_does_not_read_holds_up_nobody_else() {
    let chunk = format!(
        "data: {}\n\n",
        delta(json!({ "content": "x".repeat(64 << 10) }))
    );
    let much: Vec<Vec<u8>> = std::iter::once(open_stream(&[]))
        .chain(std::iter::repeat_n(chunk.into_bytes(), 2_000))
        .collect();
    let double = Double::start(move |number, _| {
        Play::Pieces(if number == 0 {
            much.clone()
        } else {
            vec![good()]
        })
    })
    .await;
    let adapter = in_front_of(&double).await;
    let body = ask(json!({ "stream": true })).to_string();
    let mut lazy = TcpStream::connect(adapter.address()).await.unwrap();
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-api-key: {TOKEN}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    lazy.write_all(head.as_bytes()).await.unwrap();
    while double.received().is_empty() {
        tokio::task::yield_now().await;
    }
    let got = messages(&adapter, &ask(json!({ "stream": true }))).await;
    assert_eq!(assemble(&got.text).content[0]["text"], "hello");
    drop(lazy);
}
