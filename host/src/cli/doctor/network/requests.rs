//! The requests with which `doctor --network` asks, as Claude Code would write them.

use serde_json::{Value, json};

/// The most tokens of one answer; thinking counts.
const TOKENS_MAX: u64 = 1_000;
/// The reply that the newest Claude Code asks for.
pub(super) const AGENTS_REPLY: u64 = 128_000;

/// The tool that the model is to call, and what with.
pub(super) const TOOL: &str = "report";
pub(super) const VALUE: u64 = 7;

const ONE_WORD: &str = "Reply with one word: ready";

/// A request as `analyze` sends it.
pub(super) fn plain() -> Value {
    json!({
        "model": "sonnet",
        "max_tokens": TOKENS_MAX,
        "messages": [{"role": "user", "content": ONE_WORD}],
    })
}

/// A question that only a tool answers.
pub(super) fn with_tool() -> Value {
    json!({
        "model": "sonnet",
        "max_tokens": TOKENS_MAX,
        "messages": [{
            "role": "user",
            "content": format!(
                "First count from one to ten in words. Then, in the same answer, call the tool {TOOL} with the value {VALUE}."
            ),
        }],
        "tools": [report()],
    })
}

/// The next turn of it: the model's answer, and the result of its call.
pub(super) fn with_result(answer: Value, call: &str) -> Value {
    let mut body = with_tool();
    if let Some(messages) = body["messages"].as_array_mut() {
        messages.push(answer);
        messages.push(json!({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": call, "content": "reported"},
            {"type": "text", "text": "Now reply with one word: done"},
        ]}));
    }
    body
}

/// A request with all that the newest Claude Code puts into one, for a reply of so many tokens.
pub(super) fn agents(reply: u64) -> Value {
    let cached = json!({"type": "ephemeral"});
    json!({
        "model": "sonnet",
        "max_tokens": reply,
        "system": [
            {"type": "text", "text": "You are a careful engineer."},
            {"type": "text", "text": "Answer in one word where you can.", "cache_control": cached},
        ],
        "messages": [{"role": "user", "content": [
            {"type": "text", "text": "<system-reminder>It is a fine day.</system-reminder>"},
            {"type": "text", "text": format!("Think a little: is 97 a prime? {ONE_WORD}"), "cache_control": cached},
        ]}],
        "tools": [report()],
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "high"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "metadata": {"user_id": "doctor"},
    })
}

/// A short question with another limit of the reply.
pub(super) fn of_length(tokens: u64) -> Value {
    let mut body = plain();
    body["max_tokens"] = tokens.into();
    body
}

/// A short question that wants thinking of this effort.
pub(super) fn with_effort(word: &str) -> Value {
    let mut body = plain();
    body["thinking"] = json!({"type": "adaptive"});
    body["output_config"] = json!({"effort": word});
    body
}

/// A short question with these tools beside it.
pub(super) fn with_schemas<'a>(schemas: impl IntoIterator<Item = &'a (&'a str, Value)>) -> Value {
    let tools = schemas.into_iter().map(|(name, schema)| {
        json!({"name": format!("probe_{name}"), "description": "Not to be called.", "input_schema": schema})
    });
    let mut body = plain();
    body["tools"] = tools.collect();
    body
}

fn report() -> Value {
    json!({
        "name": TOOL,
        "description": "Takes a number.",
        "input_schema": {
            "type": "object",
            "properties": {"value": {"type": "integer"}},
            "required": ["value"],
        },
    })
}

/// The probe set: what tools of Claude Code and of MCP servers have in their schemas, and gateways
/// are known to refuse, a kind each.
pub(super) fn schemas() -> Vec<(&'static str, Value)> {
    let with = |property: Value| json!({"type": "object", "properties": {"a": property}});
    vec![
        ("plain", with(json!({"type": "string", "description": "d"}))),
        ("nothing", json!({"type": "object"})),
        (
            "closed",
            json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
                "additionalProperties": false,
            }),
        ),
        (
            "limits",
            with(json!({"type": "integer", "minimum": 0, "exclusiveMaximum": 10, "default": 3})),
        ),
        (
            "lists",
            with(json!({
                "type": "array", "minItems": 1, "maxItems": 4, "uniqueItems": true,
                "items": {"type": "object", "properties": {"b": {"type": "string"}}},
            })),
        ),
        (
            "words",
            with(
                json!({"type": "string", "format": "uri", "minLength": 1, "pattern": "^https?://"}),
            ),
        ),
        (
            "values",
            with(json!({"type": "string", "enum": ["x", "y"]})),
        ),
        ("numbers", with(json!({"enum": [1, 2]}))),
        ("one_value", with(json!({"const": "x"}))),
        ("nullable", with(json!({"type": ["string", "null"]}))),
        (
            "any_of",
            with(json!({"anyOf": [{"type": "string"}, {"type": "integer"}]})),
        ),
        (
            "one_of",
            with(
                json!({"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
            ),
        ),
        (
            "references",
            json!({
                "type": "object", "properties": {"a": {"$ref": "#/$defs/A"}},
                "$defs": {"A": {"type": "object", "properties": {"b": {"type": "string"}}}},
            }),
        ),
        (
            "maps",
            with(
                json!({"type": "object", "propertyNames": {"type": "string"}, "additionalProperties": {"type": "string"}}),
            ),
        ),
    ]
}
