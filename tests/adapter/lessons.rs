//! Gateways that nobody described: their refusals teach, once, before anything reaches the caller.

use std::fs;
use std::path::Path;

use gateway::lessons;
use serde_json::{Value, json};

use super::double::{
    Double, EVENTS, JSON, Play, Received, ask, config, delta, good, http, knowing, messages,
    open_stream, start, within,
};
use super::message::assemble;

/// A request as an agent sends it.
fn agents() -> Value {
    ask(json!({
        "stream": true, "max_tokens": 64_000, "temperature": 1.0,
        "stop_sequences": ["END"],
        "tools": [{ "name": "Read", "description": "d", "input_schema": { "type": "object", "additionalProperties": false, "properties": { "path": { "type": "string" } } } }],
        "tool_choice": { "type": "tool", "name": "Read" },
    }))
}

fn refusal(message: &str) -> Option<Vec<u8>> {
    Some(http(
        400,
        &[JSON],
        &json!({ "error": { "message": message, "type": "invalid_request_error" } }).to_string(),
    ))
}

/// A gateway with restrictions of its own, each told in its own words.
fn restricted(request: &Received) -> Option<Vec<u8>> {
    let body = &request.body;
    if body.get("stream_options").is_some() {
        return refusal("Unrecognized request argument supplied: stream_options");
    }
    if body.get("max_tokens").is_some() {
        return refusal("不支持参数 max_tokens，请使用 max_completion_tokens");
    }
    if body["max_completion_tokens"].as_u64() > Some(4_096) {
        return refusal("max_completion_tokens: must be between 1 and 4096");
    }
    if body["tool_choice"].is_object() {
        return refusal(
            "Invalid tool_choice type: 'object'. Supported string values: none, auto, required",
        );
    }
    if body["tools"][0]["function"]["parameters"]
        .get("additionalProperties")
        .is_some()
    {
        return refusal(
            "Unknown name \"additionalProperties\" at 'tools[0].parameters': Cannot find field.",
        );
    }
    None
}

async fn a_restricted_gateway() -> Double {
    Double::start(|_, request| Play::Pieces(vec![restricted(request).unwrap_or_else(good)])).await
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect()
}

#[tokio::test]
async fn a_gateway_with_five_restrictions_works_at_once_and_is_known_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let double = a_restricted_gateway().await;
    let mut first = config(&double.url);
    first.lessons = Some(folder.path().join("lessons"));
    let adapter = start(first.clone()).await;
    let got = messages(&adapter, &agents()).await;
    assert_eq!(got.status, 200, "{}", got.text);
    assert_eq!(assemble(&got.text).content[0]["text"], "hello");
    assert_eq!(double.received().len(), 6);
    // What was learned holds for the next request, and for the next adapter.
    assert_eq!(messages(&adapter, &agents()).await.status, 200);
    assert_eq!(double.received().len(), 7);
    let next = start(first).await;
    assert_eq!(messages(&next, &agents()).await.status, 200);
    assert_eq!(double.received().len(), 8);

    let folder = folder.path().join("lessons");
    let kept = lessons::list(&folder).unwrap();
    assert_eq!(kept.len(), 5, "{kept:#?}");
    assert!(
        kept.iter()
            .all(|lesson| lesson.model == "big" && double.url.starts_with(&lesson.gateway))
    );
    let text = fs::read_to_string(&files(&folder)[0]).unwrap();
    assert!(
        !text.contains("sk-gateway") && !text.contains("Read") && !text.contains("hi\""),
        "{text}"
    );
    assert_eq!(
        lessons::forget(&folder, Some("http://elsewhere"), None).unwrap(),
        0
    );
    assert_eq!(lessons::forget(&folder, None, Some("big")).unwrap(), 5);
    assert_eq!(lessons::list(&folder).unwrap(), Vec::new());
}

/// A router of many providers answers 404 where none of them takes a parameter: that is about the request, not the model.
#[tokio::test]
async fn a_router_without_a_provider_for_a_parameter_is_asked_without_it() {
    const WORDS: &str = "No endpoints found that support the provided 'tool_choice' value. To learn more about provider routing, visit: https://openrouter.ai/docs/provider-routing";
    let double = Double::start(|_, request| {
        let body = json!({ "error": { "message": WORDS, "code": 404 } }).to_string();
        let answer = match request.body["tool_choice"].is_object() {
            true => http(404, &[JSON], &body),
            false => good(),
        };
        Play::Pieces(vec![answer])
    })
    .await;
    let adapter = start(config(&double.url)).await;
    for expected in [2, 3] {
        let got = messages(&adapter, &agents()).await;
        assert_eq!(got.status, 200);
        assert_eq!(double.received().len(), expected);
    }
}

#[tokio::test]
async fn a_lesson_that_does_not_help_is_not_kept_and_not_tried_again() {
    // It lies: the field has nothing to do with it.
    let double = Double::start(|_, _| {
        Play::Pieces(vec![
            refusal("Unrecognized request argument supplied: stream_options").unwrap(),
        ])
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&double.url);
    config.lessons = Some(folder.path().to_owned());
    let again = config.clone();
    let adapter = start(config).await;
    let got = messages(&adapter, &agents()).await;
    assert_eq!(got.status, 400);
    assert!(got.error().1.contains("stream_options"));
    assert_eq!(double.received().len(), 2);
    assert_eq!(messages(&adapter, &agents()).await.status, 400);
    assert_eq!(double.received().len(), 3);
    let next = start(again).await;
    assert_eq!(messages(&next, &agents()).await.status, 400);
    assert_eq!(double.received().len(), 4);
    assert!(double.received()[3].body.get("stream_options").is_some());
    assert_eq!(lessons::list(folder.path()).unwrap(), Vec::new());
}

#[tokio::test]
async fn a_file_that_is_none_of_ours_is_ignored() {
    let double = a_restricted_gateway().await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&double.url);
    config.lessons = Some(folder.path().to_owned());
    let again = config.clone();
    let third = config.clone();
    assert_eq!(messages(&start(config).await, &agents()).await.status, 200);
    let path = files(folder.path()).pop().unwrap();
    let whole = fs::read_to_string(&path).unwrap();
    for poison in [
        "{".to_owned(),
        "[]".to_owned(),
        "x".repeat(100_000),
        whole.replace("\"form\":1", "\"form\":2"),
        // Where requests go is never learned.
        whole.replacen(
            "{\"streaming\":{\"usage-option\":false}}",
            "{\"endpoint\":{\"path\":\"/evil\"}}",
            1,
        ),
        whole.replacen("usage-option", "no-such-fact", 1),
        whole.replacen("\"preset\":\"", "\"preset\":\"0", 1),
    ] {
        assert_ne!(poison, whole);
        fs::write(&path, &poison).unwrap();
        let before = double.received().len();
        let adapter = start(again.clone()).await;
        assert_eq!(messages(&adapter, &agents()).await.status, 200);
        assert_eq!(double.received().len() - before, 6, "{poison:.60}");
    }
    // Written anew by the last of them.
    let before = double.received().len();
    assert_eq!(messages(&start(third).await, &agents()).await.status, 200);
    assert_eq!(double.received().len() - before, 1);
}

#[tokio::test]
async fn a_gateway_that_changes_its_mind_is_followed() {
    let double = Double::start(|number, request| {
        let modern = number < 2;
        let body = &request.body;
        let refused = match modern {
            true if body.get("max_tokens").is_some() => {
                refusal("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.")
            }
            false if body.get("max_completion_tokens").is_some() => {
                refusal("[{'type': 'extra_forbidden', 'loc': ('body', 'max_completion_tokens'), 'msg': 'Extra inputs are not permitted', 'input': 64}]")
            }
            _ => None,
        };
        Play::Pieces(vec![refused.unwrap_or_else(good)])
    })
    .await;
    let adapter = start(config(&double.url)).await;
    let body = ask(json!({ "stream": true }));
    for requests in [2, 4, 5] {
        assert_eq!(messages(&adapter, &body).await.status, 200);
        assert_eq!(double.received().len(), requests);
    }
}

#[tokio::test]
async fn a_refusal_that_names_everything_is_tried_once_and_then_believed_no_more() {
    // Always the same words, whatever is sent.
    let double = Double::start(|_, _| {
        Play::Pieces(vec![
            refusal("Unsupported parameters: 'model', 'messages', 'max_tokens', 'stream', 'stream_options', 'temperature', 'stop', 'tools', 'tool_choice'")
                .unwrap(),
        ])
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&double.url);
    config.lessons = Some(folder.path().to_owned());
    let adapter = start(config).await;
    assert_eq!(messages(&adapter, &agents()).await.status, 400);
    let first = double.received().len();
    assert!(first <= 9, "{first}");
    assert_eq!(messages(&adapter, &agents()).await.status, 400);
    assert_eq!(double.received().len(), first + 1, "not again");
    assert_eq!(lessons::list(folder.path()).unwrap(), Vec::new());
    // The caller's own request went out whole the second time.
    let sent = &double.received()[first].body;
    for member in ["stream_options", "temperature", "tools", "tool_choice"] {
        assert!(sent.get(member).is_some(), "{member}: {sent}");
    }
}

#[tokio::test]
async fn a_refusal_that_names_nothing_is_passed_on_as_it_is() {
    for words in [
        "Bad request",
        "Provider returned error",
        "参数错误",
        "",
        "The model is not a model",
    ] {
        let double = Double::always(refusal(words).unwrap()).await;
        let got = messages(&start(config(&double.url)).await, &agents()).await;
        assert_eq!(got.status, 400, "{words}: {}", got.text);
        assert_eq!(double.received().len(), 1, "{words}");
    }
}

/// Lessons on the way to another refusal are kept, since they helped as far as that.
#[tokio::test]
async fn lessons_that_moved_a_request_on_are_kept_where_it_fails_in_the_end() {
    let double = Double::start(|_, request| {
        let answer = restricted(request)
            .unwrap_or_else(|| refusal("The request was flagged by the content filter").unwrap());
        Play::Pieces(vec![answer])
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&double.url);
    config.lessons = Some(folder.path().to_owned());
    let adapter = start(config).await;
    let got = messages(&adapter, &agents()).await;
    assert!(got.error().1.contains("flagged"), "{}", got.text);
    assert_eq!(double.received().len(), 6);
    assert_eq!(lessons::list(folder.path()).unwrap().len(), 5);
    let got = messages(&adapter, &agents()).await;
    assert!(got.error().1.contains("flagged"), "{}", got.text);
    // Once as it is known, and once without what was learned: it might have been that.
    assert_eq!(double.received().len(), 8);
    assert_eq!(lessons::list(folder.path()).unwrap().len(), 5);
}

#[tokio::test]
async fn what_was_learned_is_forgotten_where_it_makes_things_worse() {
    // First it does not know the field; then it cannot do without, and says nothing of it.
    let double = Double::start(|number, request| {
        let has = request.body.get("stream_options").is_some();
        let refused = match (number < 2, has) {
            (true, true) => refusal("Unrecognized request argument supplied: stream_options"),
            (false, false) => refusal("Bad request"),
            _ => None,
        };
        Play::Pieces(vec![refused.unwrap_or_else(good)])
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&double.url);
    config.lessons = Some(folder.path().to_owned());
    let adapter = start(config).await;
    let body = ask(json!({ "stream": true }));
    for (requests, kept) in [(2, 1), (4, 0), (5, 0)] {
        let got = messages(&adapter, &body).await;
        assert_eq!(got.status, 200, "{}", got.text);
        assert_eq!(double.received().len(), requests);
        assert_eq!(lessons::list(folder.path()).unwrap().len(), kept);
    }
}

#[tokio::test]
async fn a_refusal_within_a_stream_teaches_as_long_as_nothing_has_reached_the_caller() {
    let error = || json!({ "error": { "type": "invalid_request_error", "message": "Unrecognized request argument supplied: stream_options" } });
    // In place of the first event, with status 200.
    let double = Double::start(move |_, request| {
        let minds = request.body.get("stream_options").is_some();
        let refused = http(200, &[EVENTS], &format!("data: {}\n\n", error()));
        Play::Pieces(vec![if minds { refused } else { good() }])
    })
    .await;
    let got = messages(&start(config(&double.url)).await, &agents()).await;
    assert_eq!(
        assemble(&got.text).content[0]["text"],
        "hello",
        "{}",
        got.text
    );
    assert_eq!(double.received().len(), 2);
    // In the middle of an answer it is an error, and nothing is sent again.
    let double = Double::always(open_stream(&[delta(json!({ "content": "a" })), error()])).await;
    let adapter = start(config(&double.url)).await;
    let got = messages(&adapter, &agents()).await;
    let message = assemble(&got.text);
    assert!(message.error.unwrap().1.contains("stream_options"));
    assert_eq!(double.received().len(), 1);
    messages(&adapter, &agents()).await;
    let sent = &double.received()[1].body;
    assert!(
        sent.get("stream_options").is_some(),
        "nothing was learned: {sent}"
    );
}

#[tokio::test]
async fn a_lesson_ends_with_the_preset_that_it_was_learned_over() {
    let double = a_restricted_gateway().await;
    let folder = tempfile::tempdir().unwrap();
    for (facts, requests) in [
        (json!({}), 6),
        (json!({}), 1),
        // Something else is known now: all of it is learned again.
        (json!({ "limits": { "context": 1_000 } }), 6),
        (json!({ "limits": { "context": 1_000 } }), 1),
    ] {
        let mut config = knowing(&double.url, &facts);
        config.lessons = Some(folder.path().to_owned());
        let before = double.received().len();
        assert_eq!(messages(&start(config).await, &agents()).await.status, 200);
        assert_eq!(double.received().len() - before, requests, "{facts}");
    }
}

#[tokio::test]
async fn a_page_about_another_model_or_gateway_is_ignored() {
    let double = a_restricted_gateway().await;
    let folder = tempfile::tempdir().unwrap();
    let with_model = |model: &str| {
        let mut config = config(&double.url);
        config.lessons = Some(folder.path().to_owned());
        config.models.main = Some(model.to_owned());
        config
    };
    messages(&start(with_model("big")).await, &agents()).await;
    let bigs = files(folder.path()).pop().unwrap();
    messages(&start(with_model("other")).await, &agents()).await;
    let others = files(folder.path());
    let others = others.iter().find(|path| **path != bigs).unwrap();
    let whole = fs::read_to_string(&bigs).unwrap();
    let elsewhere = whole
        .replace("\"model\":\"big\"", "\"model\":\"other\"")
        .replace(&double.url, "http://elsewhere.example");
    let mut pages = vec![whole.clone(), elsewhere];
    // Nor is a link followed.
    #[cfg(unix)]
    pages.push(String::new());
    for page in pages {
        fs::remove_file(others).unwrap();
        match page.is_empty() {
            false => fs::write(others, &page).unwrap(),
            true => {
                #[cfg(unix)]
                std::os::unix::fs::symlink(&bigs, others).unwrap();
            }
        }
        let before = double.received().len();
        let got = messages(&start(with_model("other")).await, &agents()).await;
        assert_eq!(got.status, 200);
        assert_eq!(double.received().len() - before, 6);
    }
}

/// Eight adapters on one folder, each with its own book, learn at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_learn_at_once_and_every_lesson_is_kept_once() {
    let double = a_restricted_gateway().await;
    let folder = tempfile::tempdir().unwrap();
    let mut learners = Vec::new();
    for number in 0..8 {
        let mut config = config(&double.url);
        config.lessons = Some(folder.path().to_owned());
        // Half of them about another model.
        config.models.main = Some(if number % 2 == 0 { "big" } else { "small" }.to_owned());
        learners.push(tokio::spawn(within(60, async move {
            messages(&start(config).await, &agents()).await.status
        })));
    }
    for learner in learners {
        assert_eq!(learner.await.unwrap(), 200);
    }
    let kept = lessons::list(folder.path()).unwrap();
    assert_eq!(kept.len(), 10, "{kept:#?}");
    assert_eq!(files(folder.path()).len(), 2);
}

/// A window as vLLM has it: the first request teaches its size, later ones ask for a reply that fits.
#[tokio::test]
async fn a_small_window_is_learned_and_replies_are_fitted_into_it() {
    let double = Double::start(|_, request| {
        let (asked, input) = (request.body["max_tokens"].as_u64().unwrap(), 2_614);
        let minds = asked + input > 32_768;
        let words = format!("'max_tokens' or 'max_completion_tokens' is too large: {asked}. This model's maximum context length is 32768 tokens and your request has {input} input tokens ({asked} > 32768 - {input}).");
        Play::Pieces(vec![if minds { refusal(&words).unwrap() } else { good() }])
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&double.url);
    config.lessons = Some(folder.path().to_owned());
    let adapter = start(config).await;
    let long = "word ".repeat(1_500);
    let body = |reply: u64| {
        ask(
            json!({ "stream": true, "max_tokens": reply, "messages": [{ "role": "user", "content": long }] }),
        )
    };
    for (reply, requests) in [(128_000, 2), (128_000, 3), (4_000, 4)] {
        let got = messages(&adapter, &body(reply)).await;
        assert_eq!(got.status, 200, "{}", got.text);
        assert_eq!(double.received().len(), requests);
    }
    let sent = double.received();
    let fitted = sent[2].body["max_tokens"].as_u64().unwrap();
    assert!((28_000..30_000).contains(&fitted), "{fitted}");
    assert_eq!(sent[3].body["max_tokens"], 4_000, "what fits is asked for");
    let kept = lessons::list(folder.path()).unwrap();
    assert_eq!(
        kept[0].words,
        "prompt and reply together have at most 32768 tokens"
    );
}

/// A window that is smaller than guessed is reported to the caller with the numbers of its own request.
#[tokio::test]
async fn a_window_that_is_smaller_than_guessed_is_told_with_what_the_caller_asked() {
    let double = Double::start(|_, request| {
        let asked = request.body["max_tokens"].as_u64().unwrap();
        Play::Pieces(vec![refusal(&format!("This model's maximum context length is 32768 tokens and your request has 20614 input tokens ({asked} > 32768 - 20614).")).unwrap()])
    })
    .await;
    let adapter = start(config(&double.url)).await;
    let body = ask(json!({ "stream": true, "max_tokens": 64_000 }));
    for requests in [2, 3] {
        let got = messages(&adapter, &body).await;
        let said = got.error().1;
        assert!(
            said.starts_with("input length and `max_tokens` exceed context limit: 20614 + "),
            "{said}"
        );
        assert_eq!(double.received().len(), requests);
    }
}
