//! Errors of the gateway, as the caller gets them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway::{FatalCause, GatewayEvent, Mode};
use serde_json::json;
use tokio::sync::watch;

use super::double::{
    Double, EVENTS, KEY, Play, TOKEN, ask, client, config, delta, good, http, messages,
    open_stream, recorded, start, stream, within,
};
use super::message::assemble;

#[tokio::test]
async fn a_status_stays_what_it_is_and_keeps_its_words_and_headers() {
    for (status, want, kind) in [
        (400, 400, "invalid_request_error"),
        (401, 401, "authentication_error"),
        (402, 402, "billing_error"),
        (403, 403, "permission_error"),
        (404, 404, "not_found_error"),
        (413, 413, "request_too_large"),
        (422, 422, "invalid_request_error"),
        (429, 429, "rate_limit_error"),
        (500, 500, "api_error"),
        (503, 503, "overloaded_error"),
        (529, 529, "overloaded_error"),
        (302, 502, "api_error"),
    ] {
        let double = Double::always(http(
            status,
            &[
                ("retry-after", "7"),
                ("retry-after-ms", "7000"),
                ("x-ratelimit-remaining-requests", "0"),
                ("location", "http://127.0.0.1:1/"),
            ],
            &json!({ "error": { "message": format!("words {KEY}") } }).to_string(),
        ))
        .await;
        let mut config = config(&double.url);
        config.retries = 0;
        let adapter = start(config).await;
        for streams in [false, true] {
            let got = messages(&adapter, &ask(json!({ "stream": streams }))).await;
            let (word, message) = got.error();
            assert_eq!((got.status, word.as_str()), (want, kind), "{status}");
            assert!(!got.text.contains(KEY), "the key is in {message}");
            if status != 302 {
                assert!(message.contains("words"), "{status}: {message}");
                assert_eq!(got.headers["retry-after"], "7");
                assert_eq!(got.headers["retry-after-ms"], "7000");
                assert_eq!(got.headers["x-ratelimit-remaining-requests"], "0");
            }
        }
        // A redirect is not followed: one request a question, and none elsewhere.
        assert_eq!(double.received().len(), 2, "{status}");
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_has_begun_is_not() {
    let busy = |status| http(status, &[("retry-after-ms", "10")], "{\"error\":\"busy\"}");
    let empty = open_stream(&[]);
    let error = json!({ "error": { "message": "busy", "code": 503 } });
    let role = delta(json!({ "role": "assistant", "content": "" }));
    let error_first = open_stream(std::slice::from_ref(&error));
    let error_behind_role = open_stream(&[role.clone(), error]);
    let broken_behind_role = open_stream(&[role]);
    for (name, first) in [
        ("429", busy(429)),
        ("500", busy(500)),
        ("503", busy(503)),
        ("an empty stream", empty),
        ("an error as the first event", error_first),
        // Nothing of these has reached the caller either.
        ("an error behind the role", error_behind_role),
        ("an end behind the role", broken_behind_role),
    ] {
        let double = Double::start(move |number, _| {
            Play::Pieces(vec![if number == 0 { first.clone() } else { good() }])
        })
        .await;
        let mut config = config(&double.url);
        let records = recorded(&mut config);
        let adapter = start(config).await;
        let got = messages(&adapter, &ask(json!({ "stream": true }))).await;
        assert_eq!(got.status, 200, "{name}: {}", got.text);
        assert_eq!(assemble(&got.text).content[0]["text"], "hello", "{name}");
        assert_eq!(double.received().len(), 2, "{name}");
        assert_eq!(records.lock().unwrap()[0].attempts, 2, "{name}");
    }
}

#[tokio::test]
async fn retry_after_is_waited_for_when_short_and_passed_on_when_long() {
    let double = Double::start(|number, _| {
        Play::Pieces(vec![if number == 0 {
            http(429, &[("retry-after", "1")], "{}")
        } else {
            good()
        }])
    })
    .await;
    let adapter = start(config(&double.url)).await;
    let began = Instant::now();
    assert_eq!(
        messages(&adapter, &ask(json!({ "stream": true })))
            .await
            .status,
        200
    );
    assert!(began.elapsed() >= Duration::from_secs(1));

    let double = Double::always(http(429, &[("retry-after", "3600")], "{}")).await;
    let adapter = start(config(&double.url)).await;
    let got = messages(&adapter, &ask(json!({ "stream": true }))).await;
    assert_eq!(
        (got.status, got.headers["retry-after"].to_str().unwrap()),
        (429, "3600")
    );
    assert_eq!(double.received().len(), 1);
}

#[tokio::test]
async fn a_silent_gateway_is_given_up() {
    for (name, bytes, begun) in [
        ("silence from the start", Vec::new(), false),
        (
            "silence after a beginning",
            open_stream(&[super::double::delta(json!({ "content": "a" }))]),
            true,
        ),
    ] {
        let double = Double::start(move |_, _| Play::Silence(bytes.clone())).await;
        let mut config = config(&double.url);
        config.idle_timeout = Duration::from_millis(200);
        config.retries = 0;
        let adapter = start(config).await;
        let got = messages(&adapter, &ask(json!({ "stream": true }))).await;
        if begun {
            assert_eq!(
                assemble(&got.text).error.unwrap().0,
                "timeout_error",
                "{name}"
            );
        } else {
            assert_eq!(
                (got.status, got.error().0.as_str()),
                (504, "timeout_error"),
                "{name}"
            );
        }
    }
}

#[tokio::test]
async fn what_a_gateway_says_in_a_stream_is_redacted_too() {
    let error = json!({ "error": { "message": format!("no luck with {KEY} today"), "type": "overloaded_error" } });
    for (mode, bytes) in [
        (
            Mode::Translate,
            open_stream(&[delta(json!({ "content": "a" })), error.clone()]),
        ),
        (
            Mode::Relay,
            http(
                200,
                &[EVENTS],
                &format!(
                    "event: message_start\ndata: {}\n\nevent: error\ndata: {}\n\n",
                    json!({ "type": "message_start", "message": {} }),
                    json!({ "type": "error", "error": error["error"] })
                ),
            ),
        ),
    ] {
        // Bytes in two writes: the relay answers at the first.
        let at = bytes.windows(7).rposition(|w| w == b"no luck").unwrap() - 40;
        let (gate, open) = watch::channel(false);
        let double = Double::start(move |_, _| {
            Play::Gate(bytes[..at].to_vec(), open.clone(), bytes[at..].to_vec())
        })
        .await;
        let mut config = config(&double.url);
        config.mode = mode;
        config.retries = 0;
        let adapter = start(config).await;
        let mut answer = client()
            .post(format!("{}/v1/messages", adapter.url()))
            .header("x-api-key", TOKEN)
            .body(ask(json!({ "stream": true })).to_string())
            .send()
            .await
            .unwrap();
        let mut text = answer.chunk().await.unwrap().unwrap().to_vec();
        gate.send_replace(true);
        while let Some(more) = answer.chunk().await.unwrap() {
            text.extend_from_slice(&more);
        }
        let text = String::from_utf8(text).unwrap();
        assert!(!text.contains(KEY), "{mode:?}: {text}");
        let last = super::message::events(&text).pop().unwrap();
        assert_eq!(
            last["error"]["type"], "overloaded_error",
            "{mode:?}: {text}"
        );
        assert!(
            last["error"]["message"]
                .as_str()
                .unwrap()
                .contains("no luck with"),
            "{mode:?}: {text}"
        );
    }
}

#[tokio::test]
async fn a_gateway_that_is_not_there_is_a_502_that_names_it() {
    let mut config = config("http://127.0.0.1:9/v1");
    config.retries = 0;
    let adapter = start(config).await;
    let got = messages(&adapter, &ask(json!({}))).await;
    let (kind, message) = got.error();
    assert_eq!((got.status, kind.as_str()), (502, "api_error"));
    assert!(
        message.contains("127.0.0.1:9 cannot be reached"),
        "{message}"
    );
}

#[tokio::test]
async fn a_full_context_makes_claude_code_compact() {
    let said = "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens.";
    let double = Double::always(http(
        400,
        &[],
        &json!({ "error": { "message": said, "code": "context_length_exceeded" } }).to_string(),
    ))
    .await;
    let adapter = start(config(&double.url)).await;
    let got = messages(&adapter, &ask(json!({ "stream": true }))).await;
    assert_eq!(got.status, 400);
    assert!(
        got.error()
            .1
            .starts_with("prompt is too long: 5000 tokens > 4096 maximum")
    );
}

#[tokio::test]
async fn the_runner_hears_of_a_hopeless_gateway() {
    for (status, body, cause) in [
        (401, "{\"error\":\"bad key\"}", FatalCause::Auth),
        (
            402,
            "{\"error\":\"Insufficient Balance\"}",
            FatalCause::Credit,
        ),
        (403, "{\"error\":\"no\"}", FatalCause::Auth),
    ] {
        let double = Double::always(http(status, &[], body)).await;
        let adapter = start(config(&double.url)).await;
        let mut events = adapter.events();
        messages(&adapter, &ask(json!({ "stream": true }))).await;
        let heard = within(10, async move {
            loop {
                if let GatewayEvent::Fatal { cause, .. } = events.recv().await.unwrap() {
                    return cause;
                }
            }
        })
        .await;
        assert_eq!(heard, cause);
        assert_eq!(
            double.received().len(),
            1,
            "a hopeless request is not repeated"
        );
    }
}

#[tokio::test]
async fn a_caller_that_leaves_ends_the_request_upstream() {
    for streams in [true, false] {
        let bytes = if streams {
            open_stream(&[super::double::delta(json!({ "content": "a" }))])
        } else {
            Vec::new()
        };
        let mut double = Double::start(move |_, _| Play::Silence(bytes.clone())).await;
        let mut config = config(&double.url);
        let records = recorded(&mut config);
        let adapter = start(config).await;
        let request = super::double::client()
            .post(format!("{}/v1/messages", adapter.url()))
            .header("x-api-key", super::double::TOKEN)
            .body(ask(json!({ "stream": streams })).to_string());
        let asking = tokio::spawn(async move {
            let mut response = request.send().await.unwrap();
            while response.chunk().await.unwrap().is_some() {}
        });
        while double.received().is_empty() {
            tokio::task::yield_now().await;
        }
        asking.abort();
        double.someone_left().await;
        while records.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(records.lock().unwrap()[0].status, 499);
        let usage = adapter.usage();
        assert!(
            usage.tokens.input > 0 && usage.requests == 1 && usage.turns == 1,
            "what has left counts: {usage:?}"
        );
    }
}

/// A gateway that bills each prompt, and a reply as long as it was allowed to be, once it is told to go on.
async fn greedy(prompt: u64) -> (Double, watch::Sender<bool>) {
    let (open, gate) = watch::channel(false);
    let double = Double::start(move |_, request| {
        let reply = request.body["max_tokens"].as_u64().unwrap();
        let usage = json!({ "choices": [], "usage": { "prompt_tokens": prompt, "completion_tokens": reply } });
        let answer = stream(&[
            delta(json!({ "content": "a" })),
            super::double::finish("stop"),
            usage,
        ]);
        Play::Gate(Vec::new(), gate.clone(), answer)
    })
    .await;
    (double, open)
}

/// All budgets hold for requests that come at once: each is set aside before it is sent.
#[tokio::test]
async fn requests_at_once_do_not_pass_a_budget_together() {
    let price = settings::Price {
        input: 1.0,
        output: 10.0,
        cache: None,
    };
    for cap in ["tokens", "cost", "turns", "none"] {
        let ask_for = ask(json!({ "stream": true, "max_tokens": 1_000 }));
        let prompt = (ask_for.to_string().len() as u64).div_ceil(4);
        let (double, open) = greedy(prompt).await;
        let mut config = config(&double.url);
        match cap {
            "tokens" => config.budget.max_tokens_total = Some(5_000),
            "cost" => {
                config.prices.default = Some(price);
                config.budget.max_cost_usd = Some(0.05);
            }
            "turns" => config.budget.max_turns = Some(5),
            _ => {}
        }
        let adapter = Arc::new(start(config).await);
        let asking: Vec<_> = (0..40)
            .map(|number| {
                let (adapter, mut body) = (Arc::clone(&adapter), ask_for.clone());
                // No name for a request makes one to the main model something else.
                match number % 3 {
                    0 => body["model"] = json!("claude-haiku-4-5"),
                    1 => {
                        body["output_config"] =
                            json!({ "format": { "type": "json_schema", "schema": {} } })
                    }
                    _ => {}
                }
                tokio::spawn(async move { messages(&adapter, &body).await.status })
            })
            .collect();
        let first = if cap == "none" { 8 } else { 4 };
        while double.received().len() < first {
            tokio::task::yield_now().await;
        }
        for _ in 0..2_000 {
            tokio::task::yield_now().await;
        }
        let flying = double.received().len();
        assert!(flying <= 8, "{cap}: {flying} on their way at once");
        open.send(true).unwrap();
        let mut served = 0;
        for asked in asking {
            served += usize::from(asked.await.unwrap() == 200);
        }
        let usage = adapter.usage();
        match cap {
            "tokens" => assert!(usage.tokens.total() <= 5_000, "{usage:?}"),
            "cost" => assert!(usage.cost_usd.unwrap() <= 0.05 + 1e-9, "{usage:?}"),
            "turns" => assert_eq!((usage.turns, served), (5, 5)),
            _ => assert_eq!((usage.turns, served), (40, 40)),
        }
        assert!(served >= 4, "{cap}: {served}");
    }
}

#[tokio::test]
async fn a_spent_budget_ends_the_job() {
    let usage =
        json!({ "choices": [], "usage": { "prompt_tokens": 900, "completion_tokens": 50 } });
    let double = Double::always(stream(&[
        super::double::delta(json!({ "content": "a" })),
        super::double::finish("stop"),
        usage,
    ]))
    .await;
    let mut config = config(&double.url);
    config.budget.max_tokens_total = Some(1_000);
    let adapter = start(config).await;
    let mut events = adapter.events();
    let body = ask(json!({ "stream": true, "max_tokens": 64000 }));
    assert_eq!(messages(&adapter, &body).await.status, 200);
    assert_eq!(messages(&adapter, &body).await.status, 200);
    let got = messages(&adapter, &body).await;
    assert_eq!(got.status, 400);
    assert!(
        got.error()
            .1
            .contains("budget of 1000 tokens is spent (1900 used)"),
        "{}",
        got.text
    );
    let limits: Vec<_> = double
        .received()
        .iter()
        .map(|request| request.body["max_tokens"].as_u64().unwrap())
        .collect();
    let prompt = (body.to_string().len() as u64).div_ceil(4);
    assert_eq!(
        limits,
        [1_000 - prompt, 50 - prompt],
        "a prompt and its reply may not exceed what is left"
    );
    assert_eq!(adapter.usage().tokens.total(), 1_900);
    let cause = within(10, async move {
        loop {
            if let GatewayEvent::Fatal { cause, .. } = events.recv().await.unwrap() {
                return cause;
            }
        }
    })
    .await;
    assert_eq!(cause.as_str(), "budget");
}

/// Patience is time: a gateway that is down for longer than any number of quick tries is outlasted, at two requests a
/// second at the most, and one that stays down is told after the patience and not before.
#[tokio::test]
async fn an_outage_is_outlasted_for_as_long_as_the_patience_says() {
    let began = Instant::now();
    let outage = Duration::from_secs(4);
    let up = good();
    for status in [503, 429] {
        let (began, up) = (Instant::now(), up.clone());
        let double = Double::start(move |_, _| {
            Play::Pieces(vec![if began.elapsed() < outage {
                http(status, &[], "{}")
            } else {
                up.clone()
            }])
        })
        .await;
        let mut config = config(&double.url);
        config.patience = Duration::from_secs(60);
        let adapter = start(config).await;
        let got = messages(&adapter, &ask(json!({}))).await;
        assert_eq!(got.status, 200, "{status}");
        assert!(began.elapsed() >= outage);
        let asked = double.received().len();
        let most = 2 * usize::try_from(began.elapsed().as_secs()).unwrap() + 3;
        assert!(asked <= most, "{status}: {asked} requests");
    }
    assert!(began.elapsed() < Duration::from_secs(60));

    // A wait beyond the patience ends the request at once, one that is none or over is as no wait at all.
    for (wait, at_once) in [
        ("31536000", true),
        ("Fri, 31 Dec 9999 23:59:59 GMT", true),
        ("1e300", true),
        ("Sun, 06 Nov 1994 08:49:37 GMT", false),
        ("soon", false),
        ("-5", false),
        ("NaN", false),
        ("", false),
    ] {
        let double = Double::always(http(429, &[("retry-after", wait)], "{}")).await;
        let mut config = config(&double.url);
        config.patience = Duration::from_secs(3);
        let began = Instant::now();
        let adapter = start(config).await;
        assert_eq!(
            messages(&adapter, &ask(json!({}))).await.status,
            429,
            "{wait}"
        );
        let (took, asked) = (began.elapsed(), double.received().len());
        assert!(took < Duration::from_secs(20), "{wait}: {took:?}");
        assert_eq!(asked == 1, at_once, "{wait}: {asked} requests in {took:?}");
    }

    let double = Double::always(http(503, &[], "{}")).await;
    let mut config = config(&double.url);
    config.patience = Duration::from_secs(3);
    let began = Instant::now();
    let adapter = start(config).await;
    assert_eq!(messages(&adapter, &ask(json!({}))).await.status, 503);
    let took = began.elapsed();
    assert!(
        took > Duration::from_secs(1) && took < Duration::from_secs(10),
        "{took:?}"
    );
}
