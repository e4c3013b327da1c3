//! `count_tokens`: a fair estimate, rather a little over than under, since Claude Code compacts by it.

use serde_json::value::RawValue;

use super::anthropic::{Block, Content, Request};

/// Tokens of an image, at the resolution that Claude Code sends.
const IMAGE: u64 = 1_600;
/// The cost of a message, a block or a tool beside its text.
const FRAME: u64 = 4;

/// The tokens of a request: system, messages, tools.
pub(crate) fn estimate(request: &Request<'_>) -> u64 {
    let system = request
        .system
        .as_ref()
        .map_or(0, |system| FRAME + of_content(system));
    let messages: u64 = request
        .messages
        .iter()
        .map(|message| FRAME + of_content(&message.content))
        .sum();
    let tools: u64 = request
        .tools
        .iter()
        .flatten()
        .map(|tool| {
            2 * FRAME
                + of_text(&tool.name)
                + tool
                    .description
                    .as_ref()
                    .map_or(0, |text| of_text(text.as_escaped()))
                + raw(tool.input_schema)
        })
        .sum();
    system + messages + tools
}

fn of_content(content: &Content<'_>) -> u64 {
    match content {
        Content::Text(text) => of_text(text.as_escaped()),
        Content::Blocks(blocks) => blocks.iter().map(of_block).sum(),
    }
}

fn of_block(block: &Block<'_>) -> u64 {
    let texts = [&block.text, &block.thinking, &block.title]
        .into_iter()
        .flatten()
        .map(|text| of_text(text.as_escaped()))
        .sum::<u64>();
    let names = [&block.id, &block.name, &block.tool_use_id]
        .into_iter()
        .flatten()
        .map(|text| of_text(text))
        .sum::<u64>();
    let inner = match block.content {
        None => 0,
        Some(content) => match serde_json::from_str::<Content<'_>>(content.get()) {
            Ok(content) => of_content(&content),
            Err(_) => of_text(content.get()),
        },
    };
    let source = match block.source {
        Some(_) if block.kind == "image" => IMAGE,
        // A text document counts by its text, a PDF by its pages of about 4 KB.
        Some(source) => {
            of_text(source.get())
                / if source.get().contains("\"base64\"") {
                    2
                } else {
                    1
                }
        }
        None => 0,
    };
    FRAME + texts + names + raw(block.input) + inner + source
}

fn raw(value: Option<&RawValue>) -> u64 {
    value.map_or(0, |value| of_text(value.get()))
}

/// By kinds of characters: about 3.5 ASCII characters a token in code and prose, a token for each other one.
fn of_text(text: &str) -> u64 {
    let ascii = text.bytes().filter(u8::is_ascii).count() as u64;
    let other = text.bytes().filter(|byte| *byte >= 0xC0).count() as u64;
    (ascii * 2).div_ceil(7) + other
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]
    use super::*;

    fn count(body: &str) -> u64 {
        estimate(&Request::parse(body.as_bytes()).unwrap())
    }

    #[test]
    fn everything_that_the_model_reads_counts() {
        let long = "word ".repeat(200);
        let empty = count(r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#);
        for body in [
            format!(
                r#"{{"model":"m","system":"{long}","messages":[{{"role":"user","content":"x"}}]}}"#
            ),
            format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{long}"}}]}}"#),
            format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"text","text":"{long}"}}]}}]}}"#
            ),
            format!(
                r#"{{"model":"m","messages":[{{"role":"assistant","content":[{{"type":"thinking","thinking":"{long}"}}]}}]}}"#
            ),
            format!(
                r#"{{"model":"m","messages":[{{"role":"assistant","content":[{{"type":"tool_use","id":"1","name":"n","input":{{"a":"{long}"}}}}]}}]}}"#
            ),
            format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"1","content":"{long}"}}]}}]}}"#
            ),
            format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"1","content":[{{"type":"text","text":"{long}"}}]}}]}}]}}"#
            ),
            format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],"tools":[{{"name":"n","description":"{long}","input_schema":{{}}}}]}}"#
            ),
            format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],"tools":[{{"name":"n","input_schema":{{"description":"{long}"}}}}]}}"#
            ),
        ] {
            let counted = count(&body);
            // 200 words are about 200 tokens.
            assert!(
                counted > empty + 200 && counted < empty + 400,
                "{counted}: {body}"
            );
        }
    }

    #[test]
    fn an_image_counts_by_what_it_shows_and_not_by_its_bytes() {
        let data = "A".repeat(400_000);
        let body = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{data}"}}}}]}}]}}"#
        );
        assert!(count(&body) < 2_000);
    }
}
