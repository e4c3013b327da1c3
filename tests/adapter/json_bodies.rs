//! Bodies that are JSON, nearly JSON and no JSON, in the manner of JSONTestSuite: what is valid is taken, what is not is
//! refused in the API's own form, on what parsers may differ either will do, and nothing ends the adapter.

use serde_json::{Value, json};

use super::double::{Double, EVENTS, JSON, Play, ask, config, good, http, messages, post, start};
use super::message::assemble;

/// A request with this text of JSON as its user's words.
fn with_content(raw: &str) -> Vec<u8> {
    with_members(&format!(
        "\"messages\":[{{\"role\":\"user\",\"content\":{raw}}}]"
    ))
}

fn with_members(members: &str) -> Vec<u8> {
    format!("{{\"model\":\"m\",\"max_tokens\":5,\"stream\":true,{members}}}").into_bytes()
}

const MESSAGES: &str = "\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]";

/// Returns the bodies that every parser takes.
fn valid() -> Vec<(&'static str, Vec<u8>)> {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    vec![
        ("an escaped letter", with_content("\"\\u0041\"")),
        ("a pair of surrogates", with_content("\"\\uD834\\uDD1E\"")),
        ("a zero", with_content("\"a\\u0000b\"")),
        (
            "line separators",
            with_content("\"\\u2028\\u2029\u{2028}\u{2029}\""),
        ),
        ("a deletion", with_content("\"\u{7f}\"")),
        (
            "every short escape",
            with_content("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
        ),
        ("a letter of four bytes", with_content("\"\u{1f980}\"")),
        ("no letter at all", with_content("\"\u{fdd0}\u{fffe}\"")),
        ("capitals in an escape", with_content("\"\\u00E4\\u00e4\"")),
        ("a mark within", with_content("\"\u{feff}\"")),
        (
            "space everywhere",
            format!(
                " \t\r\n{{ \"model\" : \"m\" , \"max_tokens\"\n: 5 , \"stream\" : true , {} }} \n",
                MESSAGES.replace(':', " : ")
            )
            .into_bytes(),
        ),
        (
            "another order",
            format!("{{{MESSAGES},\"stream\":true,\"max_tokens\":5,\"model\":\"m\"}}").into_bytes(),
        ),
        (
            "an escaped name",
            with_members("\"m\\u0065ssages\":[{\"role\":\"user\",\"content\":\"a\"}]"),
        ),
        (
            "unknown members",
            with_members(&format!(
                "{MESSAGES},\"x\":[1,-0,0.5,1e5,1E-2,true,false,null,{{\"\":[]}}]"
            )),
        ),
        ("an empty name", with_members(&format!("{MESSAGES},\"\":0"))),
        (
            "deep in an unknown member",
            with_members(&format!("{MESSAGES},\"x\":{}", nested(90))),
        ),
        (
            "a member of 1 MiB",
            with_members(&format!("{MESSAGES},\"x\":\"{}\"", "a".repeat(1 << 20))),
        ),
        (
            "words of 1 MiB",
            with_content(&format!("\"{}\"", "ä".repeat(1 << 19))),
        ),
        (
            "a call with any arguments",
            with_members(
                "\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"a\":[1e5,\"\\u0000\",{}]}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"t\",\"content\":\"\"}]}]",
            ),
        ),
    ]
}

/// Returns the bodies that no parser takes, and JSON that is no request.
fn invalid() -> Vec<(&'static str, Vec<u8>)> {
    let bytes = |text: &str| text.as_bytes().to_vec();
    let cut = |by: usize| {
        let whole = with_content("\"a\"");
        whole[..whole.len() - by].to_vec()
    };
    let mut rows = vec![
        ("nothing", bytes("")),
        ("space", bytes(" \n")),
        ("an opening", bytes("{")),
        ("a list's opening", bytes("[")),
        ("two that do not match", bytes("{]")),
        ("half a word", bytes("nul")),
        ("a capital word", bytes("True")),
        ("a name without quotes", bytes("{model:\"m\"}")),
        ("single quotes", bytes("{'model':'m'}")),
        ("a comma at the end", with_members(&format!("{MESSAGES},"))),
        ("two commas", with_members(&format!("{MESSAGES},,\"x\":1"))),
        ("no comma", with_members(&format!("{MESSAGES} \"x\":1"))),
        ("no colon", with_members(&format!("{MESSAGES},\"x\" 1"))),
        ("two colons", with_members(&format!("{MESSAGES},\"x\"::1"))),
        ("a comment", with_members(&format!("{MESSAGES}/* x */"))),
        (
            "a comment at the end",
            [with_content("\"a\""), bytes("// x")].concat(),
        ),
        (
            "more behind it",
            [with_content("\"a\""), bytes("x")].concat(),
        ),
        (
            "two of them",
            [with_content("\"a\""), with_content("\"a\"")].concat(),
        ),
        ("an unknown escape", with_content("\"\\x41\"")),
        ("a short escape", with_content("\"\\u12\"")),
        ("an escape of no digits", with_content("\"\\uZZZZ\"")),
        ("a line within a string", with_content("\"a\nb\"")),
        ("a zero within a string", with_content("\"a\0b\"")),
        ("a string without an end", with_content("\"a")),
        (
            "a tab within a name",
            with_members(&format!("{MESSAGES},\"x\ty\":1")),
        ),
        ("no number", with_members(&format!("{MESSAGES},\"x\":NaN"))),
        (
            "infinity",
            with_members(&format!("{MESSAGES},\"x\":-Infinity")),
        ),
        ("a plus", with_members(&format!("{MESSAGES},\"x\":+1"))),
        (
            "a zero in front",
            with_members(&format!("{MESSAGES},\"x\":012")),
        ),
        (
            "a point in front",
            with_members(&format!("{MESSAGES},\"x\":.5")),
        ),
        (
            "a point at the end",
            with_members(&format!("{MESSAGES},\"x\":5.")),
        ),
        (
            "an exponent of nothing",
            with_members(&format!("{MESSAGES},\"x\":1e")),
        ),
        (
            "a number of base 16",
            with_members(&format!("{MESSAGES},\"x\":0x10")),
        ),
        (
            "bytes of another encoding",
            with_content("\"\u{1}\"")
                .iter()
                .map(|byte| if *byte == 1 { 0xe4 } else { *byte })
                .collect(),
        ),
        (
            "half a letter",
            [with_content("\"a\"")[..60].to_vec(), vec![0xf0, 0x9f]].concat(),
        ),
        (
            "UTF-16",
            with_content("\"a\"")
                .iter()
                .flat_map(|byte| [*byte, 0])
                .collect(),
        ),
        ("a list", bytes("[]")),
        ("a number", bytes("1")),
        ("null", bytes("null")),
        ("a string", bytes("\"x\"")),
        ("words that are a number", with_content("1")),
        ("words that are null", with_content("null")),
        (
            "messages that are a string",
            with_members("\"messages\":\"a\""),
        ),
        ("100,000 openings", "[".repeat(100_000).into_bytes()),
        ("100,000 objects", "{\"a\":".repeat(100_000).into_bytes()),
        (
            "100,000 openings within",
            with_members(&format!("{MESSAGES},\"x\":{}", "[".repeat(100_000))),
        ),
    ];
    rows.extend((1..20).map(|by| ("cut off", cut(by))));
    rows
}

/// On what parsers differ.
fn either() -> Vec<(&'static str, Vec<u8>)> {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    vec![
        ("half a pair", with_content("\"\\uD800\"")),
        (
            "half a pair, and more",
            with_content("\"\\uD800abc\\uDFFF\""),
        ),
        (
            "a pair the wrong way round",
            with_content("\"\\uDD1E\\uD834\""),
        ),
        (
            "a mark in front",
            [vec![0xef, 0xbb, 0xbf], with_content("\"a\"")].concat(),
        ),
        (
            "a number too large",
            with_members(&format!("{MESSAGES},\"x\":1e400")),
        ),
        (
            "a whole number too large",
            with_members(&format!("{MESSAGES},\"x\":{}", "9".repeat(400))),
        ),
        (
            "a limit as a fraction",
            format!("{{\"model\":\"m\",\"max_tokens\":5.0,{MESSAGES}}}").into_bytes(),
        ),
        (
            "a limit with an exponent",
            format!("{{\"model\":\"m\",\"max_tokens\":5e0,{MESSAGES}}}").into_bytes(),
        ),
        (
            "a member twice",
            with_members(&format!("{MESSAGES},{MESSAGES}")),
        ),
        (
            "an unknown member twice",
            with_members(&format!("{MESSAGES},\"x\":1,\"x\":2")),
        ),
        (
            "very deep in an unknown member",
            with_members(&format!("{MESSAGES},\"x\":{}", nested(50_000))),
        ),
        (
            "objects very deep",
            with_members(&format!("{MESSAGES},\"x\":{}", objects(50_000))),
        ),
        (
            "a schema very deep",
            with_members(&format!(
                "{MESSAGES},\"tools\":[{{\"name\":\"f\",\"input_schema\":{}}}]",
                objects(50_000)
            )),
        ),
        (
            "arguments very deep",
            with_members(&format!(
                "\"messages\":[{{\"role\":\"user\",\"content\":\"a\"}},{{\"role\":\"assistant\",\"content\":[{{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}}]}},{{\"role\":\"user\",\"content\":[{{\"type\":\"tool_result\",\"tool_use_id\":\"t\"}}]}}]",
                objects(50_000)
            )),
        ),
    ]
}

#[tokio::test]
async fn a_callers_body_is_taken_or_refused_and_never_ends_the_adapter() {
    let double = Double::always(good()).await;
    let adapter = start(config(&double.url)).await;
    for (name, body) in valid() {
        let got = post(&adapter, "/v1/messages", body).await;
        assert_eq!(got.status, 200, "{name}: {}", got.text);
        assert_eq!(assemble(&got.text).content[0]["text"], "hello", "{name}");
        let sent = double.received().pop().unwrap();
        assert!(sent.body["messages"].is_array(), "{name}: no JSON went out");
    }
    for (name, body) in invalid() {
        let before = double.received().len();
        let got = post(&adapter, "/v1/messages", body).await;
        assert_eq!(got.status, 400, "{name}: {}", got.text);
        assert_eq!(got.error().0, "invalid_request_error", "{name}");
        assert_eq!(double.received().len(), before, "{name}");
    }
    for (name, body) in either() {
        let before = double.received().len();
        let got = post(&adapter, "/v1/messages", body).await;
        match got.status {
            400 => assert_eq!(got.error().0, "invalid_request_error", "{name}"),
            status => {
                assert_eq!(status, 200, "{name}: {}", got.text);
                assert_eq!(double.received().len(), before + 1, "{name}");
            }
        }
    }
    let got = messages(&adapter, &ask(json!({}))).await;
    assert_eq!(got.status, 200, "it still answers: {}", got.text);
}

#[tokio::test]
async fn a_gateways_body_is_an_answer_or_an_error_and_never_ends_the_adapter() {
    let answer = |raw: &str| {
        format!("{{\"choices\":[{{\"message\":{{\"role\":\"assistant\",\"content\":{raw}}},\"finish_reason\":\"stop\"}}]}}").into_bytes()
    };
    let chunk = |raw: &str| {
        format!("{{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{raw}}},\"finish_reason\":\"stop\"}}]}}").into_bytes()
    };
    let words: [(&str, &str); 8] = [
        ("\"\\u0041\"", "A"),
        ("\"\\uD834\\uDD1E\"", "\u{1d11e}"),
        ("\"\\u0000\"", "\u{0}"),
        ("\"\u{2028}\\u2029\"", "\u{2028}\u{2029}"),
        ("\"\\\"\\\\\\/\\b\\f\\n\\r\\t!\"", "\"\\/\u{8}\u{c}\n\r\t!"),
        ("\"\u{1f980}\"", "\u{1f980}"),
        ("\"\u{feff}x\"", "\u{feff}x"),
        ("\"\u{7f}\"", "\u{7f}"),
    ];
    let reply = |streams: bool, body: &[u8]| {
        let mut whole = http(200, &[if streams { EVENTS } else { JSON }], "");
        if streams {
            whole.extend(b"data: ");
        }
        whole.extend(body);
        if streams {
            whole.extend(b"\n\ndata: [DONE]\n\n");
        }
        whole
    };
    let said = |streams: bool, text: &str| match streams {
        true => assemble(text).content[0]["text"].clone(),
        false => serde_json::from_str::<Value>(text).unwrap()["content"][0]["text"].clone(),
    };
    for streams in [true, false] {
        let form = |raw: &str| if streams { chunk(raw) } else { answer(raw) };
        let mut broken: Vec<(&str, Vec<u8>)> = vec![
            ("an opening", b"{".to_vec()),
            ("half a word", b"nul".to_vec()),
            ("an unknown escape", form("\"\\x41\"")),
            ("a short escape", form("\"\\u12\"")),
            ("a zero within a string", form("\"a\0b\"")),
            ("no number", form("NaN")),
            ("100,000 openings", "[".repeat(100_000).into_bytes()),
            ("100,000 objects", "{\"a\":".repeat(100_000).into_bytes()),
            ("100,000 openings within", form(&"[".repeat(100_000))),
            (
                "UTF-16",
                form("\"a\"").iter().flat_map(|byte| [*byte, 0]).collect(),
            ),
        ];
        let whole = form("\"a\"");
        broken.extend((1..12).map(|by| ("cut off", whole[..whole.len() - by].to_vec())));
        let either: Vec<(&str, Vec<u8>)> = vec![
            ("half a pair", form("\"\\uD800\"")),
            ("a number too large", form("\"a\",\"x\":1e400")),
            ("a member twice", form("\"a\",\"content\":\"b\"")),
            (
                "very deep",
                form(&format!(
                    "\"a\",\"x\":{}{}",
                    "[".repeat(50_000),
                    "]".repeat(50_000)
                )),
            ),
            (
                "bytes of another encoding",
                form("\"\u{1}\"")
                    .iter()
                    .map(|byte| if *byte == 1 { 0xe4 } else { *byte })
                    .collect(),
            ),
        ];
        let bodies: Vec<Vec<u8>> = words
            .iter()
            .map(|(raw, _)| form(raw))
            .chain(broken.iter().map(|(_, body)| body.clone()))
            .chain(either.iter().map(|(_, body)| body.clone()))
            .chain([form("\"still here\"")])
            .map(|body| reply(streams, &body))
            .collect();
        let double =
            Double::start(move |number, _| Play::Pieces(vec![bodies[number].clone()])).await;
        let mut config = config(&double.url);
        config.retries = 0;
        let adapter = start(config).await;
        let request = ask(json!({ "stream": streams }));
        for (raw, want) in words {
            let got = messages(&adapter, &request).await;
            assert_eq!(got.status, 200, "{raw}: {}", got.text);
            assert_eq!(said(streams, &got.text), want, "{raw}");
        }
        for (name, _) in &broken {
            let got = messages(&adapter, &request).await;
            let failed = got.status >= 500 || got.text.contains("event: error");
            assert!(failed, "{name}: {} {}", got.status, got.text);
        }
        for (name, _) in &either {
            let got = messages(&adapter, &request).await;
            assert!(
                got.status == 200 || got.status >= 500,
                "{name}: {}",
                got.status
            );
        }
        let got = messages(&adapter, &request).await;
        assert_eq!(said(streams, &got.text), "still here");
    }
}
