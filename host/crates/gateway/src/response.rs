//! A whole (not streamed) completion as an Anthropic message.

use http::HeaderMap;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::chunk::{Chunk, Delta, content};
use super::dialect::ActiveDialect;
use super::error::ApiError;
use super::json_text::{JsonText, is_blank, write_plain, write_string};
use super::names::{close_id, close_signature, fresh_id};
use super::request::Return;
use super::stream::{Stop, details_text, gather, stop_sequence};
use super::think_tags::{Piece, ThinkTags};
use super::usage::{self, Reported};
use crate::facts::Facts;

/// A message, and what it cost.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) body: Vec<u8>,
    pub(crate) usage: Option<Reported>,
    pub(crate) stop: Stop,
    pub(crate) upstream_model: Option<String>,
}

/// Translates a canonical completion.
pub(crate) fn translate(
    body: &[u8],
    model: &str,
    dialect: &ActiveDialect,
    facts: &Facts,
    back: &mut Return,
) -> Result<Whole, ApiError> {
    let text = String::from_utf8_lossy(body);
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(ApiError::bad_gateway("The gateway's answer was empty"));
    }
    let completion: Chunk<'_> =
        serde_json::from_str(trimmed).map_err(|error| match trimmed.as_bytes().first() {
            Some(b'<') => ApiError::of_body(body),
            Some(b'{' | b'[') => ApiError::bad_gateway(format!(
                "The gateway's answer is not a chat completion: {error}"
            )),
            _ => ApiError::of_body(body),
        })?;
    if completion.is_error() {
        return Err(dialect.classify(facts, None, &HeaderMap::new(), body));
    }
    let choice = completion
        .choices
        .as_deref()
        .and_then(<[_]>::first)
        .ok_or_else(|| ApiError::bad_gateway("The gateway's answer has no choices"))?;
    let message = choice.message.as_ref().or(choice.delta.as_ref());
    let message =
        message.ok_or_else(|| ApiError::bad_gateway("The gateway's answer has no message"))?;
    let reason = choice
        .finish_reason
        .as_ref()
        .map_or("", |reason| reason.0.as_ref());
    if reason == "error" {
        return Err(ApiError::bad_gateway(
            "The gateway ended the answer with an error and no reason",
        ));
    }

    let mut blocks = Vec::with_capacity(body.len());
    let has_calls = write_blocks(&mut blocks, message, facts, back);
    let met = [choice.stop_reason, choice.matched_stop]
        .into_iter()
        .flatten();
    let sequence = met
        .into_iter()
        .find_map(|raw| stop_sequence(raw, &back.stop_sequences));
    let stop = match Stop::of_finish(reason) {
        Some(Stop::EndTurn) | None if has_calls => Stop::ToolUse,
        Some(Stop::ToolUse) if !has_calls => Stop::EndTurn,
        Some(Stop::EndTurn) if sequence.is_some() => Stop::Sequence,
        Some(stop) => stop,
        None => Stop::EndTurn,
    };
    let raw_usage = completion
        .usage
        .or(choice.usage)
        .or(completion.x_groq.as_ref().and_then(|groq| groq.usage));
    let reported = raw_usage.and_then(|raw| usage::read(raw.get(), &facts.usage));
    let tokens = reported.map_or(
        usage::Tokens {
            input: back.assumed_input,
            output: (blocks.len() as u64).div_ceil(4),
            ..usage::Tokens::default()
        },
        |reported| reported.tokens,
    );

    let mut out = Vec::with_capacity(blocks.len() + 400);
    out.extend_from_slice(b"{\"id\":\"");
    out.extend_from_slice(fresh_id("msg_").as_bytes());
    out.extend_from_slice(b"\",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
    write_plain(&mut out, model);
    out.extend_from_slice(b",\"content\":[");
    out.extend_from_slice(&blocks);
    let sequence = sequence
        .filter(|_| stop == Stop::Sequence)
        .map_or(Value::Null, Value::String);
    out.extend_from_slice(
        format!(
            "],\"stop_reason\":\"{}\",\"stop_sequence\":{sequence},\"usage\":{{\"input_tokens\":{},\"cache_creation_input_tokens\":{},\"cache_read_input_tokens\":{},\"output_tokens\":{}}}}}",
            stop.word(), tokens.input, tokens.cache_write, tokens.cache_read, tokens.output
        )
        .as_bytes(),
    );
    Ok(Whole {
        body: out,
        usage: reported,
        stop,
        upstream_model: completion
            .model
            .as_ref()
            .map(|model| model.0.chars().take(200).collect()),
    })
}

/// Writes the content: reasoning, text, calls. Answers whether there are calls.
fn write_blocks(out: &mut Vec<u8>, message: &Delta<'_>, facts: &Facts, back: &mut Return) -> bool {
    let mut returned = Map::new();
    for field in &facts.thinking.returned_fields {
        if let Some(value) = message
            .other(field)
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
        {
            gather(&mut returned, field, value);
        }
    }
    let mut reasoning = facts
        .thinking
        .fields
        .iter()
        .find_map(|field| {
            message
                .other(field)
                .and_then(JsonText::from_raw)
                .filter(|text| !text.is_empty())
        })
        .unwrap_or_default();
    if reasoning.is_empty()
        && let Some(details) = message.other("reasoning_details")
    {
        details_text(details)
            .iter()
            .for_each(|text| reasoning.push(text));
    }
    let mut text = JsonText::default();
    if let Some(raw) = message.content {
        match JsonText::from_raw(raw) {
            Some(whole) => text = whole,
            None => {
                let (thoughts, texts) = content(raw);
                thoughts.iter().for_each(|piece| reasoning.push(piece));
                texts.iter().for_each(|piece| text.push(piece));
            }
        }
    }
    if let Some(refusal) = message.refusal.and_then(JsonText::from_raw) {
        text.push(&refusal);
    }
    if let Some(tag) = facts.thinking.inline_tag.as_deref() {
        let mut tags = ThinkTags::new(tag);
        let plain = text.unescape().into_owned();
        let pieces = [tags.push(&plain), tags.finish()].concat();
        text = JsonText::default();
        for piece in pieces {
            match piece {
                Piece::Reasoning(piece) => reasoning.push(&JsonText::escape(&piece)),
                Piece::Text(piece) => text.push(&JsonText::escape(&piece)),
            }
        }
    }

    let mut separate = false;
    let mut next = |out: &mut Vec<u8>| {
        if std::mem::replace(&mut separate, true) {
            out.push(b',');
        }
    };
    if !is_blank(reasoning.as_escaped()) || !returned.is_empty() {
        next(out);
        out.extend_from_slice(b"{\"type\":\"thinking\",\"thinking\":");
        write_string(out, &reasoning);
        out.extend_from_slice(b",\"signature\":");
        let carried = (!returned.is_empty()).then(|| Value::Object(returned).to_string());
        write_plain(out, &close_signature(carried.as_deref()));
        out.push(b'}');
    }
    if !text.is_blank() {
        next(out);
        out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
        write_string(out, &text);
        out.push(b'}');
    }
    let mut has_calls = false;
    for call in &message.tool_calls {
        let Some(function) = &call.function else {
            continue;
        };
        let Some(name) = function
            .name
            .as_ref()
            .filter(|name| !name.0.is_empty() && name.0 != "null")
        else {
            continue;
        };
        has_calls = true;
        let mut id = match &call.id {
            Some(id) if !id.0.is_empty() && id.0 != "null" => id.0.to_string(),
            _ => fresh_id("toolu_"),
        };
        let carried: Map<String, Value> = call
            .others
            .iter()
            .filter(|(key, _)| facts.tools.returned_fields.iter().any(|field| field == key))
            .filter_map(|(key, raw)| Some((key.to_string(), serde_json::from_str(raw.get()).ok()?)))
            .collect();
        if !carried.is_empty() {
            id = close_id(&id, &Value::Object(carried).to_string());
        }
        let mut unique = id.clone();
        let mut count = 2;
        while !back.used_ids.insert(unique.clone()) {
            unique = format!("{id}_{count}");
            count += 1;
        }
        next(out);
        out.extend_from_slice(b"{\"type\":\"tool_use\",\"id\":");
        write_plain(out, &unique);
        out.extend_from_slice(b",\"name\":");
        write_plain(out, back.names.inward(&name.0));
        out.extend_from_slice(b",\"input\":");
        out.extend_from_slice(input(function.arguments).as_bytes());
        out.push(b'}');
    }
    has_calls
}

/// A call's arguments as an object; what is no object (cut, broken) becomes an empty one, since the type allows no other.
fn input(arguments: Option<&RawValue>) -> String {
    let object = |text: &str| {
        let trimmed = text.trim();
        (trimmed.starts_with('{') && serde_json::from_str::<&RawValue>(trimmed).is_ok())
            .then(|| trimmed.to_owned())
    };
    arguments
        .and_then(|raw| match JsonText::from_raw(raw) {
            Some(text) => object(&text.unescape()),
            None => object(raw.get()),
        })
        .unwrap_or_else(|| "{}".to_owned())
}
