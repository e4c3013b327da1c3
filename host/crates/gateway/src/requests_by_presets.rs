//! Requests as they go out, by gateway preset and model: the facts at work, without a component and
//! without a network.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use crate::anthropic::Request;
use crate::facts::{Layer, Origin, Presets};
use crate::request::translate;

/// The body that a gateway gets for a caller's request.
fn sent(preset: &str, model: &str, fields: &Value) -> Value {
    let mut body = json!({
        "model": "claude-sonnet-5",
        "max_tokens": 128_000,
        "messages": [{"role": "user", "content": "hi"}],
    });
    for (key, value) in fields.as_object().unwrap() {
        body[key] = value.clone();
    }
    let text = body.to_string();
    let request = Request::parse(text.as_bytes()).unwrap();
    let presets = Presets::bundled();
    let facts = presets.gateway(preset).unwrap().facts();
    let gateway = Layer::new(Origin::Gateway(preset.to_owned()), facts).unwrap();
    let layers = presets.layers(gateway, Some(preset), model).unwrap();
    let facts = layers.merge(model).unwrap();
    let facts = facts.of(request.stream == Some(true), request.has_tools());
    let (canonical, _) = translate(&request, facts, model, None).unwrap();
    serde_json::from_slice(&canonical.write(1024)).unwrap()
}

fn with_tools(fields: Value) -> Value {
    with(
        fields,
        json!({"tools": [{"name": "Bash", "input_schema": {"type": "object", "properties": {}}}]}),
    )
}

fn with(mut fields: Value, more: Value) -> Value {
    let members = fields.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    fields
}

/// A turn with a call, with or without a thought, and its result.
fn history(thought: Option<&str>) -> Value {
    let mut turn = vec![json!({"type": "tool_use", "id": "toolu_01", "name": "Bash", "input": {}})];
    if let Some(thought) = thought {
        turn.insert(
            0,
            json!({"type": "thinking", "thinking": thought, "signature": "s"}),
        );
    }
    with_tools(json!({"stream": true, "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": turn},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_01", "content": "out"}]},
    ]}))
}

/// A row: preset, model, fields of the caller's request, where to look in the gateway's, what is
/// there.
type Row = (&'static str, &'static str, Value, &'static str, Value);

fn hold(rows: Vec<Row>) {
    for (preset, model, fields, place, want) in rows {
        let body = sent(preset, model, &fields);
        let found = body.pointer(place).cloned().unwrap_or(Value::Null);
        assert_eq!(
            found, want,
            "{preset} {model} {fields}: {place} in {body:#}"
        );
    }
}

#[test]
#[rustfmt::skip]
fn a_reply_is_never_asked_to_be_longer_than_the_model_can() {
    let none = || json!({});
    hold(vec![
        ("openai", "gpt-4o", none(), "/max_tokens", json!(16_384)),
        ("openai", "gpt-4o-mini", none(), "/max_tokens", json!(16_384)),
        ("openai", "gpt-4.1", none(), "/max_tokens", json!(32_768)),
        ("openai", "gpt-4-turbo", none(), "/max_tokens", json!(4_096)),
        ("openai", "gpt-5.1", none(), "/max_completion_tokens", json!(128_000)),
        ("openai", "o3", none(), "/max_completion_tokens", json!(100_000)),
        ("one-api", "openai/gpt-4o:extended", none(), "/max_tokens", json!(16_384)),
        ("azure", "gpt-4o", none(), "/max_tokens", json!(16_384)),
        ("openrouter", "openai/gpt-4o", none(), "/max_tokens", json!(16_384)),
        ("gemini", "gemini-2.5-pro", none(), "/max_tokens", json!(65_536)),
        ("openai", "gemini-2.0-flash", none(), "/max_tokens", json!(8_192)),
        ("glm", "glm-4.5-air", none(), "/max_tokens", json!(98_304)),
        ("deepseek", "deepseek-chat", none(), "/max_tokens", json!(8_192)),
        ("deepseek", "deepseek-v4-flash", none(), "/max_tokens", json!(128_000)),
        // Nobody knows: as asked.
        ("openai", "some-model", none(), "/max_tokens", json!(128_000)),
    ]);
}

#[test]
#[rustfmt::skip]
fn reasoning_returns_to_the_models_that_demand_it_whoever_serves_them() {
    let place = "/messages/1/reasoning_content";
    let thought = || history(Some("hm"));
    let without = || history(None);
    hold(vec![
        ("openai", "deepseek-v4-flash", thought(), place, json!("hm")),
        ("openai", "deepseek-v4-flash", without(), place, json!("")),
        ("one-api", "deepseek-ai/DeepSeek-V4-Pro", thought(), place, json!("hm")),
        ("one-api", "kimi-k2.6", thought(), place, json!("hm")),
        // An empty text counts as missing there.
        ("one-api", "kimi-k2.6", without(), place, json!(" ")),
        ("kimi", "kimi-k2-thinking", without(), place, json!(" ")),
        ("siliconflow", "moonshotai/Kimi-K2-Thinking", without(), place, json!(" ")),
        ("volcengine", "deepseek-v4-pro", thought(), place, json!("hm")),
        ("openai", "glm-4.7", thought(), place, json!("hm")),
        ("openai", "glm-4.7", without(), place, Value::Null),
        // In the gateway's own field.
        ("vllm", "deepseek-ai/DeepSeek-V4-Flash", thought(), "/messages/1/reasoning", json!("hm")),
        ("vllm", "some-model", thought(), "/messages/1/reasoning", json!("hm")),
        ("sglang", "some-model", thought(), place, json!("hm")),
        ("openrouter", "moonshotai/kimi-k2.6", thought(), "/messages/1/reasoning", json!("hm")),
        // A gateway that refuses the field gets none.
        ("groq", "moonshotai/kimi-k2.6", thought(), place, Value::Null),
        ("cerebras", "zai-glm-4.7", thought(), place, Value::Null),
        ("mistral", "magistral-medium-latest", thought(), place, Value::Null),
        // Models that want none get none.
        ("openai", "gpt-4o", thought(), place, Value::Null),
        ("openai", "deepseek-r1", thought(), place, Value::Null),
        ("openai", "some-model", thought(), place, Value::Null),
    ]);
}

#[test]
#[rustfmt::skip]
fn effort_is_said_in_the_words_of_each_generation() {
    let wants = |effort: &str| json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}});
    let budget = |tokens: u32| json!({"thinking": {"type": "enabled", "budget_tokens": tokens}});
    let declined = || json!({"thinking": {"type": "disabled"}});
    let place = "/reasoning_effort";
    hold(vec![
        ("openai", "gpt-5", budget(500), place, json!("minimal")),
        ("openai", "gpt-5", declined(), place, json!("minimal")),
        ("openai", "gpt-5.1", budget(500), place, json!("low")),
        ("openai", "gpt-5.1", wants("max"), place, json!("high")),
        ("openai", "gpt-5.1", declined(), place, json!("none")),
        ("openai", "gpt-5.1", json!({}), place, Value::Null),
        ("openai", "gpt-5.2", wants("max"), place, json!("xhigh")),
        ("openai", "gpt-5-pro", wants("low"), place, json!("high")),
        ("openai", "gpt-5.2-pro", wants("low"), place, json!("medium")),
        ("openai", "gpt-5-codex", budget(500), place, json!("low")),
        ("openai", "gpt-5.1-codex-max", wants("xhigh"), place, json!("xhigh")),
        ("openai", "gpt-5-chat-latest", wants("high"), place, Value::Null),
        ("openai", "gpt-4o", wants("high"), place, Value::Null),
        ("openai", "o3", declined(), place, json!("low")),
        // Tools and effort do not go together from 5.4 on.
        ("openai", "gpt-5.3", with_tools(wants("high")), place, json!("high")),
        ("openai", "gpt-5.4", wants("high"), place, json!("high")),
        ("openai", "gpt-5.4", with_tools(wants("high")), place, Value::Null),
        ("openai", "gpt-5.5", with_tools(declined()), place, Value::Null),
        ("azure", "gpt-5.4-mini", with_tools(wants("high")), place, Value::Null),
        // And 5.6 must be told so.
        ("openai", "gpt-5.6-sol", wants("high"), place, json!("high")),
        ("openai", "gpt-5.6-sol", with_tools(wants("high")), place, json!("none")),
        ("openai", "gpt-5.6-sol", with_tools(json!({})), place, json!("none")),
        ("one-api", "gpt-5.7", with_tools(json!({})), place, json!("none")),
        ("openrouter", "openai/gpt-5.6-sol", with_tools(wants("high")), "/reasoning/effort", json!("high")),
        // Other makers, other words, other fields.
        ("openrouter", "openai/gpt-5.1", budget(500), "/reasoning/effort", json!("low")),
        ("openrouter", "openai/gpt-5.1", declined(), "/reasoning/enabled", json!(false)),
        ("openrouter", "deepseek/deepseek-v4-pro", wants("low"), "/reasoning/effort", json!("high")),
        ("deepseek", "deepseek-v4-flash", wants("max"), place, json!("max")),
        ("deepseek", "deepseek-v4-flash", wants("low"), place, json!("high")),
        ("groq", "openai/gpt-oss-120b", wants("max"), place, json!("high")),
        ("groq", "qwen/qwen3-32b", declined(), place, json!("none")),
        ("xai", "grok-3-mini", wants("medium"), place, json!("low")),
        ("xai", "grok-4", wants("high"), place, Value::Null),
        ("xai", "grok-4.3", declined(), place, json!("none")),
        ("xai", "grok-4.5", declined(), place, json!("low")),
        ("gemini", "gemini-3-pro-preview", declined(), place, json!("low")),
        ("gemini", "gemini-2.5-flash", declined(), place, json!("none")),
        ("ollama", "gpt-oss:20b", wants("high"), place, json!("high")),
        ("ollama", "llama3.1:8b", wants("high"), place, Value::Null),
        ("volcengine", "doubao-seed-1-6-250615", budget(500), place, json!("minimal")),
    ]);
}

#[test]
#[rustfmt::skip]
fn thinking_is_switched_as_the_gateway_has_it() {
    let wants = || json!({"thinking": {"type": "enabled", "budget_tokens": 9_000}});
    let declined = || json!({"thinking": {"type": "disabled"}});
    let streamed = |fields| with(fields, json!({"stream": true}));
    let switch = "/enable_thinking";
    let argument = "/chat_template_kwargs/enable_thinking";
    hold(vec![
        ("qwen", "qwen3-max", streamed(wants()), switch, json!(true)),
        ("qwen", "qwen3-max", declined(), switch, json!(false)),
        ("qwen", "qwen3-max", json!({}), switch, Value::Null),
        // Open models think by default, and not streamed may not.
        ("qwen", "qwen3-32b", streamed(wants()), switch, json!(true)),
        ("qwen", "qwen3-32b", streamed(json!({})), switch, Value::Null),
        ("qwen", "qwen3-32b", wants(), switch, json!(false)),
        ("qwen", "qwen3-235b-a22b", json!({}), switch, json!(false)),
        ("one-api", "Qwen/Qwen3-8B", json!({}), switch, json!(false)),
        // Those that only think are never told not to, those that never do are told nothing.
        ("qwen", "qwen3-235b-a22b-thinking-2507", declined(), switch, Value::Null),
        ("qwen", "qwen3-235b-a22b-thinking-2507", json!({}), switch, Value::Null),
        ("qwen", "qwen3-coder-plus", wants(), switch, Value::Null),
        ("qwen", "qwen3-235b-a22b-instruct-2507", declined(), switch, Value::Null),
        ("siliconflow", "Qwen/Qwen3-8B", streamed(declined()), switch, json!(false)),
        ("siliconflow", "moonshotai/Kimi-K2.5", streamed(declined()), switch, Value::Null),
        ("vllm", "Qwen/Qwen3-32B", streamed(declined()), argument, json!(false)),
        ("vllm", "Qwen/Qwen3-32B", streamed(declined()), "/chat_template_kwargs/thinking", Value::Null),
        ("vllm", "deepseek-ai/DeepSeek-V3.1", declined(), "/chat_template_kwargs", json!({"thinking": false})),
        ("vllm", "some-model", declined(), "/chat_template_kwargs", json!({"enable_thinking": false, "thinking": false})),
        ("vllm", "meta-llama/Llama-3.1-8B", wants(), "/chat_template_kwargs", Value::Null),
        ("nvidia", "qwen/qwen3-235b-a22b", streamed(wants()), argument, json!(true)),
        ("deepseek", "deepseek-v4-pro", declined(), "/thinking/type", json!("disabled")),
        ("openai", "deepseek-v4-pro", wants(), "/thinking/type", json!("enabled")),
        ("volcengine", "glm-4-7-251222", declined(), "/thinking/type", json!("disabled")),
        ("together", "Qwen/Qwen3.5-397B-A17B", declined(), "/reasoning/enabled", json!(false)),
        ("fireworks", "accounts/fireworks/models/deepseek-v3p1", declined(), "/reasoning_effort", json!("none")),
        ("ollama", "qwen3:8b", declined(), "/reasoning_effort", json!("none")),
        ("openrouter", "qwen/qwen3-32b", streamed(wants()), "/reasoning/enabled", json!(true)),
        ("openrouter", "qwen/qwen3-32b", streamed(declined()), "/reasoning/enabled", json!(false)),
        ("openrouter", "some/model", declined(), "/reasoning", Value::Null),
        ("openrouter", "z-ai/glm-5.3", declined(), "/reasoning", json!({"effort": "low"})),
        ("openai", "some-model", wants(), "/thinking", Value::Null),
    ]);
}

/// MiniMax's models get their thoughts back where they were: within the text.
#[test]
fn reasoning_within_the_text_returns_within_the_text() {
    let place = "/messages/1/content";
    let thought = || history(Some("hm"));
    hold(vec![
        (
            "minimax",
            "MiniMax-M2.5",
            thought(),
            place,
            json!("<think>\nhm\n</think>\n\n"),
        ),
        (
            "one-api",
            "minimax-m3",
            thought(),
            place,
            json!("<think>\nhm\n</think>\n\n"),
        ),
        ("minimax", "MiniMax-M2.5", history(None), place, Value::Null),
        // A server that takes them out has a field for them.
        (
            "vllm",
            "MiniMaxAI/MiniMax-M2",
            thought(),
            "/messages/1/reasoning",
            json!("hm"),
        ),
        (
            "vllm",
            "MiniMaxAI/MiniMax-M2",
            thought(),
            place,
            Value::Null,
        ),
        (
            "minimax",
            "MiniMax-M2.5",
            json!({}),
            "/max_completion_tokens",
            json!(128_000),
        ),
    ]);
}

#[test]
#[rustfmt::skip]
fn the_rest_of_a_request_fits_too() {
    let sampled = || json!({"temperature": 0.3, "stop_sequences": ["x"]});
    let forced = || with_tools(json!({"tool_choice": {"type": "tool", "name": "Bash"}}));
    hold(vec![
        ("openai", "gpt-5.1", sampled(), "/temperature", Value::Null),
        ("one-api", "gpt-5.1", sampled(), "/stop", Value::Null),
        ("openai", "gpt-5.1", json!({"system": "s"}), "/messages/0/role", json!("developer")),
        ("openrouter", "openai/gpt-5.1", json!({"system": "s"}), "/messages/0/role", json!("system")),
        ("xai", "grok-4", sampled(), "/stop", Value::Null),
        ("xai", "grok-4-1-fast-non-reasoning", sampled(), "/stop", json!(["x"])),
        ("kimi", "kimi-k2.5", sampled(), "/temperature", Value::Null),
        ("one-api", "kimi-k2-0905-preview", json!({"temperature": 2}), "/temperature", json!(1)),
        ("lm-studio", "some-model", forced(), "/tool_choice", json!("required")),
        ("llama-cpp", "some-model", forced(), "/tool_choice", json!("required")),
        ("openai", "some-model", forced(), "/tool_choice/type", json!("function")),
        ("venice", "some-model", json!({}), "/venice_parameters/include_venice_system_prompt", json!(false)),
        ("venice", "qwen3-235b", json!({"thinking": {"type": "disabled"}}), "/venice_parameters", json!({"disable_thinking": true, "include_venice_system_prompt": false})),
    ]);
    // Nine letters and digits, whoever serves the model.
    for (preset, model) in [
        ("mistral", "codestral-latest"),
        ("vllm", "mistralai/Devstral-Small-2507"),
        ("one-api", "mistral-large-latest"),
    ] {
        let body = sent(preset, model, &history(None));
        let id = body["messages"][1]["tool_calls"][0]["id"]
            .as_str()
            .unwrap_or_default();
        let fits = id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        assert!(fits, "{preset} {model}: {id}");
        assert_eq!(body["messages"][2]["tool_call_id"], id);
    }
}

/// The newest Claude Code's requests, recorded, go to every gateway in that gateway's own words.
#[test]
#[rustfmt::skip]
fn the_newest_claude_codes_requests_have_nothing_foreign_left_in_them() {
    const MEMBERS: &[&str] = &[
        "model", "messages", "tools", "tool_choice", "max_tokens", "max_completion_tokens",
        "temperature", "top_p", "top_k", "stop", "stream", "stream_options", "user",
        "parallel_tool_calls", "response_format", "reasoning_effort", "reasoning", "thinking",
        "enable_thinking", "chat_template_kwargs", "tool_stream", "usage",
    ];
    let recorded = [
        include_str!("../../../../tests/fixtures/claude-code/2.1.332-job.json"),
        include_str!("../../../../tests/fixtures/claude-code/2.1.332-hand.json"),
    ];
    let presets = Presets::bundled();
    let families = presets.models().flat_map(|family| family.patterns.first());
    let models: Vec<String> = families.map(|pattern| pattern.replace('*', "x")).collect();
    for requests in recorded {
        let requests: Vec<Value> = serde_json::from_str(requests).unwrap();
        for (turn, request) in requests.iter().enumerate() {
            for preset in presets.gateways() {
                for model in models.iter().map(String::as_str).chain(["some-model"]) {
                    let place = format!("{} {model} turn {turn}", preset.name);
                    let body = sent(&preset.name, model, &request["body"]);
                    let members = body.as_object().unwrap().keys();
                    let foreign = members
                        .filter(|name| *name != "venice_parameters")
                        .find(|name| !MEMBERS.contains(&name.as_str()));
                    assert_eq!(foreign, None, "{place}");
                    let text = body.to_string();
                    for word in ["context_management", "defer_loading", "input_schema", "eager_input_streaming", "tool_use_id", "\"scope\"", "billing-header", "device_id"] {
                        assert!(!text.contains(word), "{place}: {word}");
                    }
                    let messages = body["messages"].as_array().unwrap();
                    for message in messages {
                        let role = message["role"].as_str().unwrap();
                        assert!(["system", "developer", "user", "assistant", "tool"].contains(&role), "{place}: {role}");
                        let says = !matches!(&message["content"], Value::Null) || message["tool_calls"].is_array();
                        assert!(says && message["content"] != json!([]), "{place}: {message}");
                    }
                    let leading = messages.iter().skip(1).filter(|message| matches!(message["role"].as_str(), Some("system" | "developer")));
                    assert_eq!(leading.count(), 0, "{place}: one system message, in front");
                }
            }
        }
    }
}
