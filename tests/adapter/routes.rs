//! Fallback, circuit, records, relay.

use gateway::{ActiveDialect, Mode, Question, complete};
use serde_json::{Value, json};
use settings::{Price, Prices};

use super::double::{
    Double, EVENTS, JSON, KEY, Play, ask, completion, config, delta, finish, good, http, messages,
    post, recorded, start, stream, upstream,
};
use super::message::assemble;

#[tokio::test]
async fn a_fallback_answers_when_the_primary_is_spent_and_the_primary_then_rests() {
    let primary = Double::always(http(503, &[("retry-after-ms", "1")], "busy")).await;
    let fallback = Double::start(|_, request| {
        let refused = request.body["model"] == "first";
        Play::Pieces(vec![if refused {
            http(404, &[], "no such model")
        } else {
            good()
        }])
    })
    .await;
    let mut config = config(&primary.url);
    config.retries = 1;
    config.fallback = Some((
        upstream(&fallback.url, ActiveDialect::plain()),
        vec!["first".into(), "second".into()],
    ));
    let records = recorded(&mut config);
    let adapter = start(config).await;
    for _ in 0..5 {
        let got = messages(&adapter, &ask(json!({ "stream": true }))).await;
        assert_eq!(assemble(&got.text).content[0]["text"], "hello");
    }
    // Three failures, whichever requests had them, and then it is left alone.
    assert_eq!(primary.received().len(), 3);
    let records = records.lock().unwrap();
    let used: Vec<(&str, u32)> = records
        .iter()
        .map(|r| (r.request_model.as_str(), r.attempts))
        .collect();
    assert_eq!(
        used,
        [
            ("second", 4),
            ("second", 3),
            ("second", 2),
            ("second", 2),
            ("second", 2)
        ]
    );
    assert!(records.iter().all(|record| record.gateway == "fallback"));
}

#[tokio::test]
async fn a_gateway_that_is_long_silent_is_not_waited_for_twice_while_there_is_another() {
    let primary = Double::start(|_, _| Play::Silence(Vec::new())).await;
    let fallback = Double::always(good()).await;
    let mut config = config(&primary.url);
    config.idle_timeout = std::time::Duration::from_secs(5);
    config.fallback = Some((upstream(&fallback.url, ActiveDialect::plain()), Vec::new()));
    let adapter = start(config).await;
    let got = messages(&adapter, &ask(json!({ "stream": true }))).await;
    assert_eq!(assemble(&got.text).content[0]["text"], "hello");
    assert_eq!(
        (primary.received().len(), fallback.received().len()),
        (1, 1)
    );
}

#[tokio::test]
async fn a_wrong_request_is_not_taken_to_the_fallback() {
    let primary = Double::always(http(400, &[], "wrong")).await;
    let fallback = Double::always(good()).await;
    let mut config = config(&primary.url);
    config.fallback = Some((upstream(&fallback.url, ActiveDialect::plain()), Vec::new()));
    let adapter = start(config).await;
    assert_eq!(messages(&adapter, &ask(json!({}))).await.status, 400);
    assert!(fallback.received().is_empty());
}

#[tokio::test]
async fn when_everything_fails_the_primarys_error_is_told() {
    let primary = Double::always(http(402, &[], "{\"error\":\"Insufficient Balance\"}")).await;
    let fallback = Double::always(http(401, &[], "{\"error\":\"bad key\"}")).await;
    let mut config = config(&primary.url);
    config.fallback = Some((upstream(&fallback.url, ActiveDialect::plain()), Vec::new()));
    let adapter = start(config).await;
    let got = messages(&adapter, &ask(json!({}))).await;
    assert_eq!(
        (got.status, got.error().1.as_str()),
        (402, "Insufficient Balance")
    );
    assert_eq!(fallback.only().body["model"], "big");
}

#[tokio::test]
async fn a_record_tells_what_a_request_cost_and_nothing_of_what_was_said() {
    let usage = json!({ "prompt_tokens": 1_000, "completion_tokens": 100, "prompt_tokens_details": { "cached_tokens": 400 }, "completion_tokens_details": { "reasoning_tokens": 30 } });
    let double = Double::always(stream(&[
        delta(json!({ "content": "SECRET-ANSWER" })),
        finish("stop"),
        json!({ "choices": [], "usage": usage }),
    ]))
    .await;
    let mut config = config(&double.url);
    config.prices = Prices {
        default: Some(Price {
            input: 1.0,
            output: 10.0,
            cache: Some(0.1),
        }),
        ..Prices::default()
    };
    let records = recorded(&mut config);
    let adapter = start(config).await;
    let got = messages(
        &adapter,
        &ask(json!({ "stream": true, "system": "SECRET-PROMPT" })),
    )
    .await;
    let record = records.lock().unwrap()[0].clone();
    let line: Value = serde_json::to_value(&record).unwrap();
    for (key, want) in [
        ("job", json!("job_1")),
        ("route", json!("test")),
        ("dialect", json!("plain")),
        ("gateway", json!("primary")),
        ("gen_ai.operation.name", json!("chat")),
        ("gen_ai.request.model", json!("big")),
        ("gen_ai.response.model", json!("up")),
        ("gen_ai.usage.input_tokens", json!(1_000)),
        ("gen_ai.usage.output_tokens", json!(100)),
        ("gen_ai.usage.cache_read.input_tokens", json!(400)),
        ("gen_ai.usage.reasoning.output_tokens", json!(30)),
        ("attempts", json!(1)),
        ("http.response.status_code", json!(200)),
        ("gen_ai.response.finish_reasons", json!(["end_turn"])),
    ] {
        assert_eq!(line[key], want, "{key}: {line}");
    }
    assert!((record.cost_usd.unwrap() - (600.0 + 1_000.0 + 40.0) / 1e6).abs() < 1e-12);
    assert_eq!(got.headers["request-id"], record.id.as_str());
    let text = line.to_string();
    assert!(!text.contains("SECRET") && !text.contains(KEY), "{text}");
    assert_eq!(
        (adapter.usage().requests, adapter.usage().tokens.cache_read),
        (1, 400)
    );
}

#[tokio::test]
async fn a_question_is_answered_without_claude_code() {
    let double = Double::always(completion(json!({ "content": "the answer" }), "stop")).await;
    let mut config = config(&double.url);
    config.models.lite = Some("small".into());
    let records = recorded(&mut config);
    let question = Question {
        system: "stable",
        user: "changing",
        model: None,
        max_tokens: 100,
    };
    let answer = complete(config, question).await.unwrap();
    assert_eq!(
        (answer.text.as_str(), answer.model.as_str(), answer.cut),
        ("the answer", "small", false)
    );
    assert_eq!(answer.usage.tokens.total(), 13);
    assert_eq!(
        double.only().body["messages"],
        json!([{ "role": "system", "content": "stable" }, { "role": "user", "content": "changing" }])
    );
    assert_eq!(records.lock().unwrap().len(), 1);
}

fn anthropic_stream(end: &str) -> Vec<u8> {
    let head = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"up\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":9,\"cache_read_input_tokens\":5,\"output_tokens\":1}}}\n\n";
    let text = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n";
    http(200, &[EVENTS], &format!("{head}{text}{end}"))
}

const GOOD_END: &str = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":3}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

#[tokio::test]
async fn the_relay_passes_bytes_and_meters_them() {
    let double = Double::start(|number, request| {
        assert_eq!(request.path, "/v1/messages?beta=true");
        Play::Pieces(vec![if number == 0 {
            http(529, &[("retry-after-ms", "1")], "{}")
        } else {
            anthropic_stream(GOOD_END)
        }])
    })
    .await;
    let mut config = config(&double.url);
    config.mode = Mode::Relay;
    let records = recorded(&mut config);
    let adapter = start(config).await;
    let request = super::double::client()
        .post(format!("{}/v1/messages?beta=true", adapter.url()))
        .header("authorization", format!("Bearer {}", super::double::TOKEN))
        .header("anthropic-version", "2023-06-01")
        .body(ask(json!({ "stream": true, "thinking": { "type": "adaptive" } })).to_string());
    let got = super::double::answer_to(request).await;
    let sent = String::from_utf8(anthropic_stream(GOOD_END)).unwrap();
    assert_eq!(got.text, sent.split_once("\r\n\r\n").unwrap().1);
    let seen = double.received()[1].clone();
    assert_eq!(
        (&seen.body["model"], &seen.body["thinking"]),
        (&json!("big"), &json!({ "type": "adaptive" }))
    );
    assert_eq!(seen.header("x-api-key").as_deref(), Some(KEY));
    assert_eq!(
        seen.header("anthropic-version").as_deref(),
        Some("2023-06-01")
    );
    assert!(!seen.head.contains(super::double::TOKEN));
    let record = records.lock().unwrap()[0].clone();
    assert_eq!(
        (
            record.input_tokens,
            record.cache_read_tokens,
            record.output_tokens,
            record.attempts
        ),
        (14, 5, 3, 2)
    );
}

#[tokio::test]
async fn a_relayed_stream_that_is_cut_ends_in_an_error() {
    let double = Double::always(anthropic_stream(
        "event: content_block_delta\ndata: {\"type\":\"conte",
    ))
    .await;
    let mut config = config(&double.url);
    config.mode = Mode::Relay;
    let adapter = start(config).await;
    let got = messages(&adapter, &ask(json!({ "stream": true }))).await;
    assert!(
        got.text
            .contains("\n\nevent: error\ndata: {\"type\":\"error\""),
        "{}",
        got.text
    );
}

#[tokio::test]
async fn the_relay_passes_errors_and_whole_messages() {
    let message = json!({ "id": "m", "type": "message", "role": "assistant", "model": "up", "content": [{ "type": "text", "text": "a" }], "stop_reason": "end_turn", "usage": { "input_tokens": 2, "output_tokens": 1 } });
    let double = Double::start(move |number, _| {
        Play::Pieces(vec![if number == 0 {
            http(200, &[JSON], &message.to_string())
        } else {
            http(401, &[JSON], "{\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"bad key\"}}")
        }])
    })
    .await;
    let mut config = config(&double.url);
    config.mode = Mode::Relay;
    let adapter = start(config).await;
    let got = post(&adapter, "/v1/messages", ask(json!({})).to_string()).await;
    assert_eq!(
        (got.status, &got.json()["content"][0]["text"]),
        (200, &json!("a"))
    );
    let got = post(&adapter, "/v1/messages", ask(json!({})).to_string()).await;
    assert_eq!(
        (got.status, got.error()),
        (
            401,
            ("authentication_error".to_owned(), "bad key".to_owned())
        )
    );
}
