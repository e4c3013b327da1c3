//! Gateway presets, each in front of a double of its gateway, which refuses what the real one refuses.

use std::path::Path;

use plugins::{Engine, PluginSet, PluginSettings};
use serde_json::{Value, json};

use super::double::{
    Double, Play, Received, ask, config, delta, finish, http, messages, start, stream,
};
use super::message::{assemble, short};

fn plugins() -> PluginSet {
    // Compiled components are kept from run to run.
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dialects");
    std::fs::create_dir_all(&cache).unwrap();
    PluginSet::load(&Engine::shared(&cache).unwrap(), &PluginSettings::default())
}

/// The reason why a gateway refuses a request.
type Refusal = Option<&'static str>;

struct Case {
    dialect: &'static str,
    model: &'static str,
    /// Fields of the caller's request beside the usual conversation.
    fields: Value,
    refuses: fn(&Received) -> Refusal,
    /// Chunks of the answer.
    answer: Vec<Value>,
    /// The expected content.
    content: &'static [&'static str],
}

fn text() -> Vec<Value> {
    vec![
        delta(json!({ "role": "assistant", "content": "ok" })),
        finish("stop"),
    ]
}

fn has(request: &Received, key: &str) -> bool {
    request.body.get(key).is_some()
}

fn calls(request: &Received) -> Vec<Value> {
    let turns = request.body["messages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|message| message["role"] == "assistant");
    turns
        .flat_map(|turn| turn["tool_calls"].as_array().cloned().unwrap_or_default())
        .collect()
}

fn cases() -> Vec<Case> {
    let forced = json!({ "tool_choice": { "type": "any" } });
    let adaptive = json!({ "thinking": { "type": "adaptive" }, "output_config": { "effort": "high" }, "tool_choice": { "type": "any" }, "temperature": 0.3 });
    vec![
        Case {
            dialect: "openai",
            model: "gpt-5.2",
            fields: adaptive.clone(),
            refuses: |r| match () {
                () if has(r, "max_tokens") => Some("Unsupported parameter: 'max_tokens'"),
                () if has(r, "temperature") => Some("Unsupported value: 'temperature'"),
                () if r.body["messages"][0]["role"] != "developer" => Some("no developer message"),
                () if r.body["reasoning_effort"] != "high" => Some("no effort"),
                () => None,
            },
            answer: text(),
            content: &["T:ok"],
        },
        Case {
            dialect: "azure",
            model: "my-deployment",
            fields: json!({}),
            refuses: |r| match () {
                () if r.header("api-key").is_none() || r.header("authorization").is_some() => {
                    Some("Access denied")
                }
                () if r.path != "/openai/v1/chat/completions" => Some("Resource not found"),
                () => None,
            },
            // Azure begins with its content filter's word on the prompt.
            answer: vec![
                json!({ "choices": [], "prompt_filter_results": [{}] }),
                text()[0].clone(),
                text()[1].clone(),
            ],
            content: &["T:ok"],
        },
        Case {
            dialect: "deepseek",
            model: "deepseek-v4-flash",
            fields: adaptive.clone(),
            refuses: |r| match () {
                () if r.body["messages"][2]["reasoning_content"] != "I should look" => Some(
                    "The `reasoning_content` in the thinking mode must be passed back to the API.",
                ),
                () if r.body["tool_choice"] == "required" => {
                    Some("deepseek-reasoner does not support this tool_choice")
                }
                () if r.body["thinking"]["type"] != "enabled" => Some("not thinking"),
                () if r.body.to_string().contains("image_url") => {
                    Some("unknown variant `image_url`, expected `text`")
                }
                () => None,
            },
            answer: vec![
                delta(json!({ "role": "assistant", "content": null, "reasoning_content": "r" })),
                delta(json!({ "content": "ok", "reasoning_content": null })),
                finish("stop"),
                json!({ "choices": [], "usage": { "prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 5 } }),
            ],
            content: &["R:r", "T:ok"],
        },
        Case {
            dialect: "kimi",
            model: "kimi-k2.5",
            fields: adaptive.clone(),
            refuses: |r| match () {
                () if has(r, "temperature") => {
                    Some("invalid temperature: only 1 is allowed for this model")
                }
                () if r.body["tool_choice"] == "required" => {
                    Some("tool_choice 'required' is incompatible with thinking enabled")
                }
                () if !r.body["messages"][2]["reasoning_content"].is_string() => Some(
                    "thinking is enabled but reasoning_content is missing in assistant tool call message",
                ),
                () => None,
            },
            answer: vec![
                delta(
                    json!({ "tool_calls": [{ "index": 0, "id": "functions.Bash:0", "type": "function", "function": { "name": "Bash", "arguments": "{}" } }] }),
                ),
                finish("tool_calls"),
            ],
            content: &["C:Bash(functions.Bash:0){}"],
        },
        Case {
            dialect: "qwen",
            model: "qwen3-max",
            fields: adaptive.clone(),
            refuses: |r| match () {
                () if r.path != "/compatible-mode/v1/chat/completions" => Some("not found"),
                () if r.body["enable_thinking"] != true => Some("not thinking"),
                () if r.body["tool_choice"] == "required" => Some(
                    "The tool_choice parameter does not support being set to required or object in thinking mode",
                ),
                () => None,
            },
            // Further pieces of a call come with an empty id and name.
            answer: vec![
                delta(
                    json!({ "content": null, "tool_calls": [{ "index": 0, "id": "call_1", "type": "function", "function": { "name": "Bash", "arguments": "" } }] }),
                ),
                delta(
                    json!({ "content": null, "tool_calls": [{ "index": 0, "id": "", "type": "function", "function": { "name": "", "arguments": "{\"command\":\"ls\"}" } }] }),
                ),
                finish("tool_calls"),
            ],
            content: &["C:Bash(call_1){\"command\":\"ls\"}"],
        },
        Case {
            dialect: "glm",
            model: "glm-4.6",
            fields: forced.clone(),
            refuses: |r| match () {
                () if r.body["tool_choice"] != "auto" => Some("tool_choice only supports auto"),
                () if r.body["tool_stream"] != true => Some("not streaming arguments"),
                () => None,
            },
            answer: text(),
            content: &["T:ok"],
        },
        Case {
            dialect: "mistral",
            model: "mistral-medium-latest",
            fields: forced.clone(),
            refuses: |r| match () {
                () if has(r, "stream_options") => Some("Extra inputs are not permitted"),
                () if calls(r)
                    .iter()
                    .any(|call| call["id"].as_str().unwrap().len() != 9) =>
                {
                    Some("Tool call id has to be a-z, A-Z, 0-9, with a length of 9")
                }
                () if r.body["messages"]
                    .as_array()
                    .unwrap()
                    .windows(2)
                    .any(|m| m[0]["role"] == "tool" && m[1]["role"] == "user") =>
                {
                    Some("Unexpected role 'user' after role 'tool'")
                }
                () if r.body["tool_choice"] != "any" => Some("tool_choice"),
                () => None,
            },
            answer: vec![
                delta(
                    json!({ "content": [{ "type": "thinking", "thinking": [{ "type": "text", "text": "r" }] }] }),
                ),
                delta(json!({ "content": "ok" })),
                finish("stop"),
            ],
            content: &["R:r", "T:ok"],
        },
        Case {
            dialect: "gemini",
            model: "gemini-3-pro",
            fields: json!({}),
            refuses: |r| match () {
                () if r.path != "/v1beta/openai/chat/completions" => Some("not found"),
                () if [
                    "$schema",
                    "additionalProperties",
                    "\"format\":\"uri\"",
                    "$ref",
                ]
                .iter()
                .any(|word| r.body["tools"].to_string().contains(word)) =>
                {
                    Some("Unknown name \"$schema\" at 'tools[0]'")
                }
                () if calls(r).iter().any(|call| {
                    call["extra_content"]["google"]["thought_signature"]
                        .as_str()
                        .is_none()
                }) =>
                {
                    Some("Function call is missing a thought_signature")
                }
                () => None,
            },
            // Neither call has an index; both have ids.
            answer: vec![
                delta(
                    json!({ "tool_calls": [{ "id": "a1", "extra_content": { "google": { "thought_signature": "sig==" } }, "function": { "name": "Bash", "arguments": "{}" } }] }),
                ),
                delta(
                    json!({ "tool_calls": [{ "id": "a2", "function": { "name": "Bash", "arguments": "{}" } }] }),
                ),
                finish("stop"),
            ],
            content: &["C:Bash(a1__x_*){}", "C:Bash(a2){}"],
        },
        Case {
            dialect: "openrouter",
            model: "anthropic/claude-x",
            fields: json!({ "thinking": { "type": "enabled", "budget_tokens": 3000 } }),
            refuses: |r| match () {
                () if r.path != "/api/v1/chat/completions" => Some("not found"),
                () if r.body["reasoning"] != json!({ "enabled": true, "effort": "low" }) => {
                    Some("reasoning")
                }
                () if r.body["messages"][0]["content"][0]["cache_control"]["type"]
                    != "ephemeral" =>
                {
                    Some("the cache marks are lost")
                }
                () if r.body["usage"]["include"] != true => Some("no cost"),
                () => None,
            },
            answer: vec![
                delta(
                    json!({ "reasoning": "r", "reasoning_details": [{ "type": "reasoning.text", "text": "r", "index": 0 }] }),
                ),
                text()[0].clone(),
                text()[1].clone(),
            ],
            content: &["R:r", "T:ok"],
        },
        Case {
            dialect: "vllm",
            model: "qwen3",
            fields: json!({ "thinking": { "type": "disabled" }, "top_k": 20 }),
            refuses: |r| match () {
                () if r.body["chat_template_kwargs"]["enable_thinking"] != false => {
                    Some("still thinking")
                }
                () if r.body["top_k"] != 20 => Some("top_k"),
                () => None,
            },
            answer: vec![
                delta(
                    json!({ "reasoning": "r", "content": "ok", "tool_calls": [{ "index": 0, "id": "chatcmpl-tool-1", "function": { "name": "Bash", "arguments": "{}" } }] }),
                ),
                finish("tool_calls"),
            ],
            content: &["R:r", "T:ok", "C:Bash(chatcmpl-tool-1){}"],
        },
        Case {
            dialect: "ollama",
            model: "qwen3:8b",
            fields: forced,
            refuses: |r| has(r, "tool_choice").then_some("json: unknown field \"tool_choice\""),
            answer: vec![
                delta(
                    json!({ "content": "", "tool_calls": [{ "function": { "name": "Bash", "arguments": "{\"command\":\"ls\"}" } }] }),
                ),
                finish("stop"),
            ],
            content: &["C:Bash(toolu_*){\"command\":\"ls\"}"],
        },
        Case {
            dialect: "one-api",
            model: "any",
            fields: json!({}),
            refuses: |r| has(r, "parallel_tool_calls").then_some("unknown field"),
            answer: vec![
                json!({ "choices": [{ "index": 0, "delta": { "content": "ok" }, "finish_reason": "" }] }),
                finish("stop"),
                json!({ "choices": [], "usage": null }),
            ],
            content: &["T:ok"],
        },
        Case {
            dialect: "groq",
            model: "openai/gpt-oss-120b",
            fields: adaptive,
            refuses: |r| match () {
                () if r.body["tools"].to_string().contains("$schema") => {
                    Some("'tools.0.function.parameters' : unknown keyword $schema")
                }
                () if r.body.to_string().contains("reasoning_content") => {
                    Some("property 'reasoning_content' is unsupported")
                }
                () if r.body["reasoning_effort"] != "high" => Some("effort"),
                () => None,
            },
            answer: vec![
                delta(json!({ "reasoning": "r" })),
                text()[0].clone(),
                json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }], "x_groq": { "usage": { "prompt_tokens": 5, "completion_tokens": 2 } } }),
            ],
            content: &["R:r", "T:ok"],
        },
        Case {
            dialect: "think-tags",
            model: "MiniMax-M2",
            fields: json!({}),
            refuses: |_| None,
            answer: vec![
                delta(json!({ "content": "<thi" })),
                delta(json!({ "content": "nk>r</th" })),
                delta(json!({ "content": "ink>\n\nok" })),
                finish("stop"),
            ],
            content: &["R:r", "T:ok"],
        },
    ]
}

/// A conversation with everything in it: reasoning, a call, its result, an image, and a schema with difficult words.
fn conversation(fields: &Value) -> Value {
    let mut body = ask(json!({
        "stream": true,
        "system": [{ "type": "text", "text": "s", "cache_control": { "type": "ephemeral" } }],
        "tools": [{ "name": "Bash", "description": "d", "input_schema": { "$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
            "additionalProperties": false, "properties": { "command": { "type": "string" }, "url": { "type": "string", "format": "uri" }, "n": { "$ref": "#/$defs/N" } },
            "$defs": { "N": { "type": "integer" } } } }],
        "messages": [
            { "role": "user", "content": "hi" },
            { "role": "assistant", "content": [{ "type": "thinking", "thinking": "I should look", "signature": "w0" }, { "type": "tool_use", "id": "toolu_01", "name": "Bash", "input": {} }] },
            { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "toolu_01", "content": "out" }, { "type": "text", "text": "go on" }] },
        ],
    }));
    for (key, value) in fields.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preset_satisfies_its_gateway() {
    let set = plugins();
    for case in cases() {
        let (refuses, answer) = (case.refuses, stream(&case.answer));
        let double = Double::start(move |_, request| {
            Play::Pieces(vec![match refuses(request) {
                Some(why) => http(
                    400,
                    &[],
                    &json!({ "error": { "message": why } }).to_string(),
                ),
                None => answer.clone(),
            }])
        })
        .await;
        // Without its version: the dialect knows its paths.
        let base = double.url.trim_end_matches("/v1").to_owned();
        let (dialect, _) = set.choose_dialect(Some(case.dialect), &base).unwrap();
        let mut config = config(&base);
        config.primary.dialect = dialect;
        config.models.main = Some(case.model.into());
        let adapter = start(config).await;
        let got = messages(&adapter, &conversation(&case.fields)).await;
        assert_eq!(
            got.status,
            200,
            "{}: {}\n{:#}",
            case.dialect,
            got.text,
            double.received()[0].body
        );
        let content = short(&assemble(&got.text).content);
        let fits = content.len() == case.content.len()
            && content
                .iter()
                .zip(case.content)
                .all(|(got, want)| match want.split_once('*') {
                    Some((head, tail)) => got.starts_with(head) && got.ends_with(tail),
                    None => got == want,
                });
        assert!(
            fits,
            "{}: {content:?} instead of {:?}",
            case.dialect, case.content
        );
    }
}

/// Each row: the dialect, a model, fields of the request, where to look in the gateway's, what is there.
fn written() -> Vec<(&'static str, &'static str, Value, &'static str, Value)> {
    let budget =
        |tokens: u64| json!({ "thinking": { "type": "enabled", "budget_tokens": tokens } });
    let much = json!({ "max_tokens": 64_000 });
    let sampled = json!({ "temperature": 0.3, "top_p": 0.5, "stop_sequences": ["x"] });
    let structured = json!({ "output_config": { "format": { "type": "json_schema", "schema": { "type": "object" } } } });
    let user = json!({ "metadata": { "user_id": "u" } });
    let shown = |kind: &str, media: &str| {
        json!({ "messages": [{ "role": "user", "content": [
        { "type": kind, "title": "t", "source": { "type": "base64", "media_type": media, "data": "AAAA" } }] }] })
    };
    let called = json!({ "messages": [{ "role": "user", "content": "hi" },
        { "role": "assistant", "content": [{ "type": "tool_use", "id": "toolu_012345678901234567890123456789012345678901", "name": "f", "input": {} }] },
        { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "toolu_012345678901234567890123456789012345678901", "content": "x" }] }] });
    let schema_words = "Answer with one JSON object that follows this JSON schema, and nothing else: {\"type\":\"object\"}";
    vec![
        (
            "deepseek",
            "deepseek-chat",
            much.clone(),
            "/max_tokens",
            json!(8_192),
        ),
        (
            "deepseek",
            "deepseek-v4-flash",
            much.clone(),
            "/max_tokens",
            json!(64_000),
        ),
        (
            "deepseek",
            "deepseek-v4-flash",
            shown("image", "image/png"),
            "/messages/0/content",
            json!("[image, which this gateway cannot take]"),
        ),
        (
            "deepseek",
            "deepseek-v4-flash",
            structured.clone(),
            "/response_format",
            json!({ "type": "json_object" }),
        ),
        (
            "deepseek",
            "deepseek-v4-flash",
            structured.clone(),
            "/messages/0/content",
            json!(schema_words),
        ),
        (
            "deepseek",
            "deepseek-v4-flash",
            budget(2_000),
            "/reasoning_effort",
            json!("high"),
        ),
        (
            "one-api",
            "any",
            structured.clone(),
            "/response_format",
            Value::Null,
        ),
        (
            "one-api",
            "any",
            structured.clone(),
            "/messages/0/content",
            json!(schema_words),
        ),
        (
            "openai",
            "gpt-4.1",
            json!({ "output_config": { "format": { "type": "json_schema", "schema": { "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"], "additionalProperties": false } } } }),
            "/response_format/json_schema/strict",
            json!(true),
        ),
        (
            "openai",
            "gpt-5.5",
            much.clone(),
            "/max_completion_tokens",
            json!(64_000),
        ),
        (
            "openai",
            "gpt-5.5",
            sampled.clone(),
            "/temperature",
            Value::Null,
        ),
        ("openai", "gpt-5.5", sampled.clone(), "/stop", Value::Null),
        (
            "openai",
            "gpt-4.1",
            much.clone(),
            "/max_tokens",
            json!(32_768),
        ),
        (
            "openai",
            "gpt-4.1",
            sampled.clone(),
            "/temperature",
            json!(0.3),
        ),
        ("openai", "gpt-4.1", sampled.clone(), "/stop", json!(["x"])),
        (
            "openai",
            "gpt-4.1",
            json!({ "system": "s" }),
            "/messages/0/role",
            json!("system"),
        ),
        (
            "kimi",
            "kimi-k2-0905-preview",
            json!({ "temperature": 2 }),
            "/temperature",
            json!(1),
        ),
        (
            "kimi",
            "kimi-k2-0905-preview",
            json!({ "temperature": 0.6 }),
            "/temperature",
            json!(0.6),
        ),
        ("kimi", "kimi-k2.5", sampled.clone(), "/top_p", Value::Null),
        (
            "kimi",
            "kimi-k2.5",
            much,
            "/max_completion_tokens",
            json!(64_000),
        ),
        (
            "kimi",
            "kimi-k2.5",
            json!({ "thinking": { "type": "disabled" } }),
            "/thinking/type",
            json!("disabled"),
        ),
        (
            "qwen",
            "qwen3-max",
            json!({ "thinking": { "type": "disabled" } }),
            "/enable_thinking",
            json!(false),
        ),
        (
            "qwen",
            "qwen3-max",
            json!({ "top_k": 7 }),
            "/top_k",
            json!(7),
        ),
        (
            "glm",
            "glm-4.6",
            json!({ "stop_sequences": ["a", "b"] }),
            "/stop",
            json!(["a"]),
        ),
        (
            "mistral",
            "mistral-medium-latest",
            sampled,
            "/temperature",
            json!(0.3),
        ),
        (
            "groq",
            "openai/gpt-oss-120b",
            budget(1_024),
            "/reasoning_effort",
            json!("low"),
        ),
        (
            "groq",
            "openai/gpt-oss-120b",
            budget(8_000),
            "/reasoning_effort",
            json!("medium"),
        ),
        (
            "groq",
            "openai/gpt-oss-120b",
            budget(32_000),
            "/reasoning_effort",
            json!("high"),
        ),
        (
            "groq",
            "openai/gpt-oss-120b",
            json!({}),
            "/reasoning_effort",
            Value::Null,
        ),
        (
            "openrouter",
            "any/model",
            shown("document", "application/pdf"),
            "/messages/0/content/0",
            json!({ "type": "file", "file": { "filename": "t", "file_data": "data:application/pdf;base64,AAAA" } }),
        ),
        (
            "openrouter",
            "any/model",
            user.clone(),
            "/user",
            json!("0bfe935e70c321c7ca3afc75ce0d0ca2f98b5422e008bb31c00c6d7f1f1c0ad6"),
        ),
        (
            "openrouter",
            "any/model",
            json!({ "system": [{ "type": "text", "text": "s", "cache_control": { "type": "ephemeral" } }] }),
            "/messages/0/content",
            json!("s"),
        ),
        (
            "azure",
            "my-deployment",
            user,
            "/user",
            json!("0bfe935e70c321c7ca3afc75ce0d0ca2f98b5422e008bb31c00c6d7f1f1c0ad6"),
        ),
        (
            "ollama",
            "qwen3:8b",
            called.clone(),
            "/messages/1/content",
            json!(""),
        ),
        (
            "one-api",
            "any",
            called.clone(),
            "/messages/1/tool_calls/0/id",
            json!("call_5ea71d10023d94722f5ba37091864c756f2"),
        ),
        (
            "one-api",
            "any",
            called.clone(),
            "/messages/2/tool_call_id",
            json!("call_5ea71d10023d94722f5ba37091864c756f2"),
        ),
        (
            "openai",
            "gpt-4.1",
            called,
            "/messages/1/content",
            Value::Null,
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preset_writes_what_its_gateway_takes() {
    let set = plugins();
    for (dialect, model, fields, place, want) in written() {
        let double = Double::always(stream(&text())).await;
        let (chosen, _) = set.choose_dialect(Some(dialect), &double.url).unwrap();
        let mut config = config(&double.url);
        config.primary.dialect = chosen;
        config.models.main = Some(model.into());
        let adapter = start(config).await;
        let mut body = ask(fields.clone());
        body["stream"] = json!(true);
        let got = messages(&adapter, &body).await;
        assert_eq!(got.status, 200, "{dialect} {fields}: {}", got.text);
        let seen = double.only().body;
        assert_eq!(
            seen.pointer(place).cloned().unwrap_or(Value::Null),
            want,
            "{dialect} {model} {fields}: {place} in {seen:#}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_wants_back_returns_with_the_history() {
    let set = plugins();
    for (dialect, model, answer, place, want) in [
        (
            "gemini",
            "gemini-3-pro",
            vec![
                delta(
                    json!({ "tool_calls": [{ "index": 0, "id": "a1", "extra_content": { "google": { "thought_signature": "s/+=" } }, "function": { "name": "Bash", "arguments": "{}" } }] }),
                ),
                finish("tool_calls"),
            ],
            "/messages/1/tool_calls/0",
            json!({ "id": "a1", "type": "function", "function": { "name": "Bash", "arguments": "{}" }, "extra_content": { "google": { "thought_signature": "s/+=" } } }),
        ),
        (
            "openrouter",
            "google/gemini-3",
            vec![
                delta(
                    json!({ "reasoning": "r1", "reasoning_details": [{ "type": "reasoning.text", "index": 0, "text": "r1" }] }),
                ),
                delta(
                    json!({ "reasoning": "r2", "reasoning_details": [{ "type": "reasoning.text", "index": 0, "text": "r2", "signature": "s" }] }),
                ),
                delta(json!({ "content": "ok" })),
                finish("stop"),
            ],
            "/messages/1/reasoning_details",
            json!([{ "type": "reasoning.text", "index": 0, "text": "r1r2", "signature": "s" }]),
        ),
    ] {
        let double = Double::always(stream(&answer)).await;
        let (chosen, _) = set.choose_dialect(Some(dialect), &double.url).unwrap();
        let mut config = config(&double.url);
        config.primary.dialect = chosen;
        config.models.main = Some(model.into());
        let adapter = start(config).await;
        let first = assemble(
            &messages(&adapter, &ask(json!({ "stream": true })))
                .await
                .text,
        );
        let mut history = vec![
            json!({ "role": "user", "content": "hi" }),
            json!({ "role": "assistant", "content": first.content }),
        ];
        if let Some(call) = first
            .content
            .iter()
            .find(|block| block["type"] == "tool_use")
        {
            history.push(json!({ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": call["id"], "content": "out" }] }));
        }
        messages(
            &adapter,
            &ask(json!({ "stream": true, "messages": history })),
        )
        .await;
        let seen = double.received()[1].body.clone();
        assert_eq!(seen.pointer(place), Some(&want), "{dialect}: {seen:#}");
        if dialect == "gemini" {
            assert_eq!(seen["messages"][2]["tool_call_id"], "a1");
        }
    }
}

#[test]
fn a_dialect_is_chosen_by_its_gateways_url() {
    let set = plugins();
    for (url, want) in [
        ("https://api.openai.com/v1", "openai"),
        ("https://me.openai.azure.com", "azure"),
        ("https://api.deepseek.com", "deepseek"),
        ("https://api.moonshot.cn/v1", "kimi"),
        ("https://dashscope.aliyuncs.com/compatible-mode/v1", "qwen"),
        ("https://open.bigmodel.cn/api/paas/v4", "glm"),
        ("https://api.mistral.ai/v1", "mistral"),
        (
            "https://generativelanguage.googleapis.com/v1beta/openai",
            "gemini",
        ),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("http://localhost:11434/v1", "ollama"),
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://gateway.example/v1", "openai"),
    ] {
        let (dialect, why) = set.choose_dialect(None, url).unwrap();
        assert_eq!(dialect.name(), want, "{url}: {why}");
    }
    let error = set
        .choose_dialect(Some("klingon"), "https://x")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("klingon") && error.contains("deepseek"),
        "{error}"
    );
}
