//! Events put together again, as a strict client does it.

use serde_json::{Value, json};

/// The message of a stream.
#[derive(Debug, PartialEq)]
pub struct Message {
    pub content: Vec<Value>,
    pub stop_reason: Option<String>,
    pub usage: Value,
    /// The message of an `error` event.
    pub error: Option<(String, String)>,
}

/// The events of a stream: each with a name that its data repeats.
pub fn events(text: &str) -> Vec<Value> {
    text.split("\n\n")
        .filter(|event| !event.is_empty())
        .map(|event| {
            let (name, data) = event
                .split_once('\n')
                .unwrap_or_else(|| panic!("no data: {event}"));
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(
                name.strip_prefix("event: "),
                data["type"].as_str(),
                "{event}"
            );
            data
        })
        .collect()
}

/// Puts a stream together and fails on whatever a strict client would fail on.
pub fn assemble(text: &str) -> Message {
    let mut message = Message {
        content: Vec::new(),
        stop_reason: None,
        usage: Value::Null,
        error: None,
    };
    let (mut started, mut open, mut stopped) = (false, false, false);
    let mut arguments = String::new();
    for event in events(text) {
        assert!(
            !stopped && message.error.is_none(),
            "an event after the end: {event}"
        );
        let kind = event["type"].as_str().unwrap();
        assert!(
            started || matches!(kind, "message_start" | "ping" | "error"),
            "{kind} before message_start"
        );
        match kind {
            "ping" => {}
            "message_start" => {
                assert!(!started);
                started = true;
                let head = &event["message"];
                assert_eq!(
                    (&head["type"], &head["role"], &head["content"]),
                    (&json!("message"), &json!("assistant"), &json!([]))
                );
                assert!(
                    head["usage"]["input_tokens"].is_u64()
                        && head["id"].as_str().unwrap().starts_with("msg_")
                );
                assert!(head["stop_reason"].is_null());
            }
            "content_block_start" => {
                assert!(!open, "two open blocks");
                open = true;
                assert_eq!(event["index"], message.content.len());
                arguments.clear();
                message.content.push(event["content_block"].clone());
            }
            "content_block_delta" => {
                assert!(open);
                assert_eq!(event["index"], message.content.len() - 1);
                let (block, delta) = (message.content.last_mut().unwrap(), &event["delta"]);
                let mut append = |field: &str, from: &str| {
                    let whole =
                        block[field].as_str().unwrap().to_owned() + delta[from].as_str().unwrap();
                    block[field] = whole.into();
                };
                match delta["type"].as_str().unwrap() {
                    "text_delta" => append("text", "text"),
                    "thinking_delta" => append("thinking", "thinking"),
                    "signature_delta" => block["signature"] = delta["signature"].clone(),
                    "input_json_delta" => {
                        arguments.push_str(delta["partial_json"].as_str().unwrap())
                    }
                    other => panic!("delta {other}"),
                }
            }
            "content_block_stop" => {
                assert!(std::mem::take(&mut open));
                let block = message.content.last_mut().unwrap();
                if block["type"] == "tool_use" {
                    block["input"] = serde_json::from_str(&arguments)
                        .unwrap_or_else(|_| json!({ "broken": arguments }));
                }
                if block["type"] == "thinking" {
                    assert!(
                        !block["signature"].as_str().unwrap().is_empty(),
                        "a thinking block without signature"
                    );
                }
            }
            "message_delta" => {
                assert!(!open);
                message.stop_reason = event["delta"]["stop_reason"].as_str().map(str::to_owned);
                message.usage = event["usage"].clone();
            }
            "message_stop" => {
                assert!(message.stop_reason.is_some());
                stopped = true;
            }
            "error" => {
                let word = |key: &str| event["error"][key].as_str().unwrap().to_owned();
                message.error = Some((word("type"), word("message")));
            }
            other => panic!("event {other}"),
        }
    }
    assert!(
        stopped || message.error.is_some(),
        "the stream has no end: {text}"
    );
    message
}

/// The content, short: `T:text`, `R:reasoning`, `C:name(id)arguments`.
pub fn short(content: &[Value]) -> Vec<String> {
    content
        .iter()
        .map(|block| match block["type"].as_str().unwrap() {
            "text" => format!("T:{}", block["text"].as_str().unwrap()),
            "thinking" => format!("R:{}", block["thinking"].as_str().unwrap()),
            "tool_use" => format!(
                "C:{}({}){}",
                block["name"].as_str().unwrap(),
                block["id"].as_str().unwrap(),
                block["input"]
            ),
            other => panic!("block {other}"),
        })
        .collect()
}
