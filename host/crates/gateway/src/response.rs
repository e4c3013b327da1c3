//! A whole (not streamed) completion as an Anthropic message.

use http::HeaderMap;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::arguments::object;
use super::chunk::{CallDelta, Choice, Chunk, Delta, content};
use super::dialect::ActiveDialect;
use super::error::ApiError;
use super::finish::{self, Finish, Stop};
use super::json_text::{JsonText, is_blank, write_plain, write_string};
use super::names::{close_id, close_signature, fresh_id};
use super::request::Return;
use super::stop_scan::StopScan;
use super::stream::{
    MOST_CALLS, REASONING_FIELDS, details_text, gather, stop_sequence, too_many_calls,
};
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
    let trimmed = text.trim_start_matches('\u{feff}').trim();
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
    let choices = completion.choices.as_deref().unwrap_or_default();
    // One answer was asked for: several choices are its parts, as Copilot's text and calls.
    let mut parts: Vec<(&Choice<'_>, &Delta<'_>)> = choices
        .iter()
        .filter_map(|choice| Some((choice, choice.message.as_ref().or(choice.delta.as_ref())?)))
        .collect();
    parts.sort_by_key(|(choice, _)| choice.number());
    let Some((choice, message)) = parts.first() else {
        return Err(ApiError::bad_gateway(match choices {
            [] => "The gateway's answer has no choices",
            _ => "The gateway's answer has no message",
        }));
    };
    let mut known = None;
    let mut unknown = None;
    for (choice, _) in &parts {
        match choice
            .finish_reason
            .as_ref()
            .and_then(|reason| Finish::read(&reason.0))
        {
            Some(Finish::Failed(word)) => return Err(finish::failed(&word)),
            Some(Finish::Stop(stop)) => known = known.or(Some(stop)),
            Some(Finish::Unknown(word)) => unknown = Some(word),
            None => {}
        }
    }

    let calls = parts
        .iter()
        .flat_map(|(_, part)| &part.tool_calls)
        .collect::<Vec<_>>();
    if calls.len() > MOST_CALLS {
        return Err(too_many_calls());
    }
    let mut blocks = Vec::with_capacity(body.len());
    let written = write_blocks(&mut blocks, message, calls, facts, back, known)?;
    if known.is_none() && blocks.is_empty() {
        return Err(finish::empty(unknown.as_deref()));
    }
    let met = [choice.stop_reason, choice.matched_stop]
        .into_iter()
        .flatten();
    let sequence = written.stop_sequence.clone().or(met
        .into_iter()
        .find_map(|raw| stop_sequence(raw, &back.stop_sequences)));
    let stop = match written.stop_sequence {
        Some(_) => Stop::Sequence,
        None => known
            .unwrap_or(Stop::EndTurn)
            .fitted(written.has_calls, sequence.is_some()),
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

/// The outcome of writing a message's content.
struct Written {
    has_calls: bool,
    /// The caller's stop sequence at which the text was cut; nothing behind it is written.
    stop_sequence: Option<String>,
}

/// Writes the content: reasoning, text, calls.
fn write_blocks(
    out: &mut Vec<u8>,
    message: &Delta<'_>,
    calls: Vec<&CallDelta<'_>>,
    facts: &Facts,
    back: &mut Return,
    stop: Option<Stop>,
) -> Result<Written, ApiError> {
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
        .map(String::as_str)
        .chain(REASONING_FIELDS)
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

    let mut stop_sequence = None;
    if let Some(mut stops) = StopScan::new(&back.stop_sequences) {
        let mut free = stops.push(&text.unescape());
        free.push_str(&stops.finish());
        if let Some(met) = stops.met() {
            stop_sequence = Some(met.to_owned());
            text = JsonText::escape(&free);
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
    for call in calls.into_iter().filter(|_| stop_sequence.is_none()) {
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
        let arguments = match arguments(function.arguments) {
            Some(arguments) => arguments,
            // The limit has cut the call off: it is none.
            None if matches!(stop, Some(Stop::MaxTokens | Stop::ContextWindow)) => continue,
            None => {
                return Err(ApiError::bad_gateway(
                    "The gateway's answer has a tool call whose arguments are no JSON object",
                ));
            }
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
        out.extend_from_slice(arguments.as_bytes());
        out.push(b'}');
    }
    Ok(Written {
        has_calls,
        stop_sequence,
    })
}

/// A call's arguments as an object; `None` for what is none.
fn arguments(raw: Option<&RawValue>) -> Option<String> {
    match raw {
        None => object(""),
        Some(raw) => match JsonText::from_raw(raw) {
            Some(text) => object(&text.unescape()),
            None => object(raw.get()),
        },
    }
}
