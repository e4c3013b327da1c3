//! A streamed answer gathered into a whole message, for a gateway that streams where nobody asked for a stream.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::sse::Parser;

/// The events of the block machine, as far as a message is made of them.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: Map<String, Value>,
    },
    ContentBlockStart {
        content_block: Map<String, Value>,
    },
    ContentBlockDelta {
        delta: Piece,
    },
    ContentBlockStop,
    MessageDelta {
        delta: Map<String, Value>,
        usage: Value,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
enum Piece {
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: String },
    #[serde(rename = "signature_delta")]
    Signature { signature: String },
    #[serde(rename = "input_json_delta")]
    Arguments { partial_json: String },
}

/// The message that these events of the block machine tell. A call that the reply's limit has cut is left out, as in an
/// answer that was whole from the start.
pub(crate) fn message(events: &[u8]) -> Vec<u8> {
    let mut message = Map::new();
    let mut blocks: Vec<Value> = Vec::new();
    let mut block = Map::new();
    let mut arguments = String::new();
    let mut take = |event: Event| match event {
        Event::MessageStart { message: head } => message = head,
        Event::ContentBlockStart { content_block } => {
            block = content_block;
            arguments.clear();
        }
        Event::ContentBlockDelta { delta } => match delta {
            Piece::Text { text } => append(&mut block, "text", &text),
            Piece::Thinking { thinking } => append(&mut block, "thinking", &thinking),
            Piece::Signature { signature } => append(&mut block, "signature", &signature),
            Piece::Arguments { partial_json } => arguments.push_str(&partial_json),
        },
        Event::ContentBlockStop => {
            let mut block = std::mem::take(&mut block);
            if block.contains_key("input") {
                let Ok(input) = serde_json::from_str::<Map<String, Value>>(&arguments) else {
                    return;
                };
                block.insert("input".into(), input.into());
            }
            blocks.push(Value::Object(block));
        }
        Event::MessageDelta { delta, usage } => {
            message.extend(delta);
            message.insert("usage".into(), usage);
        }
        Event::Other => {}
    };
    let mut parser = Parser::default();
    let whole = parser.push(events, |event| {
        if let Ok(event) = serde_json::from_slice(event.data) {
            take(event);
        }
        true
    });
    debug_assert!(whole.is_ok(), "the machine writes whole events");
    message.insert("content".into(), blocks.into());
    Value::Object(message).to_string().into_bytes()
}

fn append(block: &mut Map<String, Value>, field: &str, text: &str) {
    if let Some(Value::String(whole)) = block.get_mut(field) {
        whole.push_str(text);
    }
}
