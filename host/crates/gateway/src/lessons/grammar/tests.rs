//! Refusals as gateways word them, and what each teaches.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;

/// A request with everything in it that a refusal can be about.
fn sent() -> Value {
    json!({
        "model": "m", "max_tokens": 32000, "temperature": 1.5, "top_p": 0.9, "stop": ["a", "b"], "stream": true, "user": "u",
        "stream_options": { "include_usage": true }, "parallel_tool_calls": false, "tool_choice": { "type": "function", "function": { "name": "f" } },
        "reasoning_effort": "minimal", "enable_thinking": true, "response_format": { "type": "json_schema" },
        "messages": [
            { "role": "system", "content": "s" },
            { "role": "user", "content": [{ "type": "text", "text": "t" }] },
            { "role": "assistant", "content": null, "tool_calls": [] },
            { "role": "tool", "tool_call_id": "x", "content": "r" },
            { "role": "user", "content": "t" },
        ],
        "tools": [{ "type": "function", "function": { "name": "f", "parameters": {
            "type": "object", "additionalProperties": false, "properties": { "a": { "$ref": "#/$defs/A" }, "b": { "type": "string", "format": "uri" } }, "$defs": { "A": { "exclusiveMinimum": 0 } } } } }],
    })
}

fn facts() -> Facts {
    let mut facts = Facts::default();
    facts.thinking.on = Map::from_iter([("enable_thinking".to_owned(), json!(true))]);
    facts.thinking.efforts = EFFORTS.map(str::to_owned).to_vec();
    facts
}

fn learned(message: &str, param: Option<&str>) -> Option<Value> {
    let (sent, facts) = (sent(), facts());
    read(Refusal {
        message,
        param,
        sent: &sent,
        facts: &facts,
    })
    .map(|lesson| Value::Object(lesson.facts))
}

#[test]
fn refusals_teach_facts() {
    let cap = |most: u64| json!({ "limits": { "max-output": most } });
    let efforts = |words: &[&str]| json!({ "thinking": { "efforts": words } });
    let back = |field: &str| json!({ "thinking": { "history-field": field, "history-turns": "all", "history-required": true, "history-blank": " " } });
    for (message, want) in [
        // The reply's limit.
        (
            "max_tokens is too large: 32000. This model supports at most 16384 completion tokens, whereas you provided 32000.",
            cap(16384),
        ),
        (
            "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]",
            cap(8192),
        ),
        (
            "<400> InternalError.Algo.InvalidParameter: Range of max_tokens should be [1, 8192]",
            cap(8192),
        ),
        (
            "`max_tokens` must be less than or equal to `16384`, the maximum value for `max_tokens` is less than the `context_window` for this model",
            cap(16384),
        ),
        (
            "max_tokens (current value: 32000) must be between 0 and 4096",
            cap(4096),
        ),
        (
            "max_tokens: 32000 > 8,192, which is the maximum allowed number of output tokens",
            cap(8192),
        ),
        (
            "The maximum tokens you requested exceeds the model limit of 8192.",
            cap(8192),
        ),
        ("max_tokens 参数取值范围为 [1, 8192]", cap(8192)),
        ("max_tokens不能超过4096", cap(4096)),
        ("Invalid max_tokens param", cap(8192)),
        // Its name.
        (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            json!({ "limits": { "token-field": "max-completion-tokens" } }),
        ),
        (
            "不支持参数 max_tokens，请使用 max_completion_tokens",
            json!({ "limits": { "token-field": "max-completion-tokens" } }),
        ),
        // Effort.
        (
            "Unsupported value: 'minimal' is not supported with the 'gpt-5.1' model. Supported values are: 'none', 'low', 'medium', and 'high'.",
            efforts(&["none", "low", "medium", "high"]),
        ),
        ("reasoning_effort must be one of high", efforts(&["high"])),
        (
            "Unrecognized request argument supplied: reasoning_effort",
            efforts(&[]),
        ),
        (
            "Function tools with reasoning_effort are not supported for gpt-5.4 in /v1/chat/completions. Please use /v1/responses instead.",
            json!({ "thinking": { "beside-tools": "no-effort" } }),
        ),
        // Reasoning to be passed back.
        (
            "The `reasoning_content` in the thinking mode must be passed back to the API.",
            back("reasoning_content"),
        ),
        (
            "thinking is enabled but reasoning_content is missing in assistant tool call message at index 2",
            back("reasoning_content"),
        ),
        (
            "Missing `reasoning_content` field in the assistant message at message index 2.",
            back("reasoning_content"),
        ),
        (
            "思考模式下必须回传 reasoning_content",
            back("reasoning_content"),
        ),
        // Fields.
        (
            "Unrecognized request argument supplied: stream_options",
            json!({ "streaming": { "usage-option": false } }),
        ),
        (
            "[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options', 'include_usage'), 'msg': 'Extra inputs are not permitted', 'input': True}]",
            json!({ "streaming": { "usage-option": false } }),
        ),
        (
            "body -> parallel_tool_calls\n  Extra inputs are not permitted (type=extra_forbidden)",
            json!({ "tools": { "parallel-field": false } }),
        ),
        (
            "property 'parallel_tool_calls' is unsupported",
            json!({ "tools": { "parallel-field": false } }),
        ),
        (
            "json: unknown field \"parallel_tool_calls\"",
            json!({ "tools": { "parallel-field": false } }),
        ),
        (
            "参数 parallel_tool_calls 不支持",
            json!({ "tools": { "parallel-field": false } }),
        ),
        ("未知参数: user", json!({ "messages": { "user": false } })),
        (
            "Unknown parameter: 'enable_thinking'.",
            json!({ "thinking": { "on": {} } }),
        ),
        (
            "Argument not supported on this model: stop",
            json!({ "sampling": { "stop-limit": 0 } }),
        ),
        // Sampling.
        (
            "Unsupported value: 'temperature' does not support 1.5 with this model. Only the default (1) value is supported.",
            json!({ "sampling": { "temperature": "drop" } }),
        ),
        (
            "temperature must be less than or equal to 1",
            json!({ "sampling": { "temperature": { "at-most": 1.0 } } }),
        ),
        (
            "`temperature` and `top_p` cannot both be specified: top_p is not allowed",
            json!({ "sampling": { "temperature": "drop" } }),
        ),
        (
            "Unsupported parameter: 'top_p' is not supported with this model.",
            json!({ "sampling": { "top-p": "drop" } }),
        ),
        // tool_choice.
        (
            "Invalid tool_choice type: 'object'. Supported string values: none, auto, required",
            json!({ "tools": { "choice": "no-named" } }),
        ),
        (
            "tool_choice 'specified' is incompatible with thinking enabled",
            json!({ "tools": { "forced-while-thinking": false } }),
        ),
        // Roles and order.
        (
            "System role not supported",
            json!({ "messages": { "system-role": "user" } }),
        ),
        (
            "Unexpected role 'user' after role 'tool'",
            json!({ "messages": { "user-after-tool": false } }),
        ),
        // Content.
        (
            "messages.1.content: Input should be a valid string",
            json!({ "messages": { "content-parts": false } }),
        ),
        (
            "invalid type: sequence, expected a string at messages[1].content",
            json!({ "messages": { "content-parts": false } }),
        ),
        // Schemas.
        (
            "Invalid JSON payload received. Unknown name \"additionalProperties\" at 'tools[0].function_declarations[0].parameters': Cannot find field.",
            json!({ "tools": { "refused-keywords": ["additionalProperties"] } }),
        ),
        (
            "schema keyword 'exclusiveMinimum' is not supported in tools",
            json!({ "tools": { "refused-keywords": ["exclusiveMinimum"] } }),
        ),
        (
            "tools.0.function.parameters: $ref is not supported",
            json!({ "tools": { "references": false } }),
        ),
        (
            "Invalid schema for function 'f': In context=('properties', 'a'), array schema missing items.",
            json!({ "tools": { "schema": "minimal" } }),
        ),
        (
            "tools.function.parameters is not a valid moonshot flavored json schema, details: <At path 'root': when using anyOf, type should be defined>",
            json!({ "tools": { "schema": "moonshot" } }),
        ),
        (
            "* GenerateContentRequest.tools[0].function_declarations[16].parameters.properties[a].items: missing field.",
            json!({ "tools": { "schema": "gemini" } }),
        ),
        (
            "failed to parse grammar",
            json!({ "tools": { "schema": "llama-cpp" } }),
        ),
        // Ids, names, the answer's form.
        (
            "Tool call id was x but must be a-z, A-Z, 0-9, with a length of 9.",
            json!({ "tools": { "id": { "alphanumeric": 9 } } }),
        ),
        (
            "Invalid 'messages[2].tool_calls[0].id': string too long. Expected a string with maximum length 40, but got a string with length 56 instead.",
            json!({ "tools": { "id": { "at-most": 40 } } }),
        ),
        (
            "This response_format type is unavailable now",
            json!({ "structured-output": "json-object" }),
        ),
        (
            "parameter.enable_thinking must be set to false for non-streaming calls",
            json!({ "when": [{ "streamed": false, "thinking": { "mode": "never", "off": { "enable_thinking": false } } }] }),
        ),
    ] {
        assert_eq!(learned(message, None), Some(want), "{message}");
    }
    assert_eq!(
        learned("Unsupported parameter", Some("stream_options")),
        Some(json!({ "streaming": { "usage-option": false } }))
    );
}

#[test]
fn what_names_nothing_of_the_request_teaches_nothing() {
    for message in [
        "Bad request",
        "",
        "Unrecognized request argument supplied: frequency_penalty",
        "Unknown parameter: 'model'",
        "messages is not supported",
        "tools are not supported",
        "The user stopped the stream",
        "The model `m` does not exist",
        "Provider returned error",
        "参数错误",
    ] {
        assert_eq!(learned(message, None), None, "{message}");
    }
}

proptest::proptest! {
    #[test]
    fn no_refusal_is_too_strange(message in "\\PC{0,80}", param in proptest::option::of("[a-z_.]{0,20}")) {
        learned(&message, param.as_deref());
    }
}

/// The usual request with other members.
fn sent_with(members: Value) -> Value {
    let mut body = sent();
    for (key, value) in members.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

fn assistant_with(member: &str) -> Value {
    let mut assistant = json!({ "role": "assistant", "content": "c" });
    assistant[member] = json!("r");
    json!({ "messages": [{ "role": "user", "content": "t" }, assistant] })
}

/// Wordings of public reports and of vendors' own pages against which the grammar was not written:
/// what it said of them at first is in the commit that added them.
#[test]
fn wordings_that_nobody_had_in_mind_teach_too() {
    let cap = |most: u64| json!({ "limits": { "max-output": most } });
    let field = json!({ "limits": { "token-field": "max-completion-tokens" } });
    let efforts = |words: &[&str]| json!({ "thinking": { "efforts": words } });
    let back = |field: &str| json!({ "thinking": { "history-field": field, "history-turns": "all", "history-required": true, "history-blank": " " } });
    let never = json!({ "thinking": { "history-turns": "never", "history-required": false } });
    let usage = json!({ "streaming": { "usage-option": false } });
    let parallel = json!({ "tools": { "parallel-field": false } });
    let no_named = json!({ "tools": { "choice": "no-named" } });
    let minimal = json!({ "tools": { "schema": "minimal" } });
    let whole = json!({ "streaming": { "supported": false } });
    let none = || json!({});
    let rows: Vec<(Value, &str, Value)> = vec![
        // The reply's limit.
        (
            none(),
            "max_tokens must be at least 1 and at most 8192, got 32000",
            cap(8192),
        ),
        (
            none(),
            "The maximum tokens you requested exceeds the model limit of 5120. Try again with a maximum tokens value that is lower than 5120.",
            cap(5120),
        ),
        (
            none(),
            "invalid request: max_tokens must be less than or equal to 4096, the maximum output tokens allowed for the model",
            cap(4096),
        ),
        (
            none(),
            "Input validation error: `max_new_tokens` must be <= 4096. Given: 32000",
            cap(4096),
        ),
        (
            none(),
            "This model supports a maximum of 16384 completion tokens, but you requested 32000.",
            cap(16384),
        ),
        (
            none(),
            "Unable to submit request because it has a maxOutputTokens value of 32000 but the supported range is from 1 (inclusive) to 8193 (exclusive). Update the value and try again.",
            cap(8192),
        ),
        (
            none(),
            "Requested max_tokens 32000 exceeds model maximum output length 8000",
            cap(8000),
        ),
        (
            none(),
            "max_tokens is too large. The maximum value is 4,096.",
            cap(4096),
        ),
        (
            none(),
            "请求参数非法：max_tokens 取值应在 [1, 16384] 之间",
            cap(16384),
        ),
        (none(), "max_tokens 超过模型最大输出 8192", cap(8192)),
        (none(), "最大输出 token 数不能大于 12288", cap(12288)),
        (
            none(),
            "参数 max_tokens 的值 32000 超出范围，最大为 8k",
            cap(8192),
        ),
        (
            json!({ "stream": false }),
            "Requests with max_tokens > 4096 must have stream=true",
            json!({ "when": [{ "streamed": false, "limits": { "max-output": 4096 } }] }),
        ),
        // Its name.
        (
            none(),
            "'max_tokens' is deprecated, use 'max_completion_tokens'",
            field.clone(),
        ),
        (
            none(),
            "max_tokens is not supported for this model; please use max_completion_tokens.",
            field.clone(),
        ),
        (
            none(),
            "Unsupported parameter: 'max_tokens'. Did you mean 'max_completion_tokens'?",
            field,
        ),
        // Effort.
        (
            none(),
            "Unsupported parameter: 'reasoning.effort' is not supported with this model.",
            efforts(&[]),
        ),
        (
            none(),
            "Invalid value for reasoning_effort: 'minimal'. Expected one of: low, medium, high",
            efforts(&["low", "medium", "high"]),
        ),
        (
            none(),
            "Model grok-4 does not support parameter reasoningEffort.",
            efforts(&[]),
        ),
        (
            none(),
            "Argument not supported on this model: reasoningEffort",
            efforts(&[]),
        ),
        (
            none(),
            "reasoning_effort: Input should be 'low', 'medium' or 'high'",
            efforts(&["low", "medium", "high"]),
        ),
        (
            none(),
            "Thinking level MINIMAL is not supported for this model. Please retry with other thinking level.",
            efforts(&["none", "low", "medium", "high", "xhigh", "max"]),
        ),
        (
            none(),
            "不支持的 reasoning_effort 值: minimal，可选值为 low、medium、high",
            efforts(&["low", "medium", "high"]),
        ),
        (
            none(),
            "function calling is not supported when reasoning_effort is set",
            json!({ "thinking": { "beside-tools": "no-effort" } }),
        ),
        // Reasoning, back or not.
        (
            none(),
            "Invalid assistant message: reasoning_content is required when thinking is enabled",
            back("reasoning_content"),
        ),
        (
            assistant_with("reasoning_content"),
            "messages[1].reasoning_content: Extra inputs are not permitted",
            never.clone(),
        ),
        (
            assistant_with("reasoning_content"),
            "Extra inputs are not permitted, field: 'messages[1].reasoning_content', value: 'r'",
            never.clone(),
        ),
        (
            assistant_with("reasoning_content"),
            "'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' : property 'reasoning_content' is unsupported)]",
            never.clone(),
        ),
        (
            assistant_with("reasoning"),
            "Unknown name \"reasoning\" at 'messages[1]': Cannot find field.",
            never,
        ),
        // Fields.
        (none(), "Unknown field: stream_options", usage.clone()),
        (
            none(),
            "stream_options: extra fields not permitted",
            usage.clone(),
        ),
        (
            none(),
            "Additional properties are not allowed ('parallel_tool_calls' was unexpected)",
            parallel.clone(),
        ),
        (
            none(),
            "Unrecognized key(s) in object: 'parallel_tool_calls'",
            parallel.clone(),
        ),
        (
            none(),
            "Json deserialize error: unknown field `parallel_tool_calls` at line 1 column 2034",
            parallel.clone(),
        ),
        (
            none(),
            "unknown field `user`, expected one of `model`, `messages`, `stream_options`, `temperature`, `tools`",
            json!({ "messages": { "user": false } }),
        ),
        (
            none(),
            "user: Extra inputs are not permitted",
            json!({ "messages": { "user": false } }),
        ),
        (
            none(),
            "The parameter parallelToolCalls is not supported for this model",
            parallel,
        ),
        (
            none(),
            "response_format json_schema is not supported by this model",
            json!({ "structured-output": "json-object" }),
        ),
        (
            none(),
            "'response_format.type' must be 'json_object' or 'text'",
            json!({ "structured-output": "json-object" }),
        ),
        (
            none(),
            "Feature not supported: stop",
            json!({ "sampling": { "stop-limit": 0 } }),
        ),
        (
            none(),
            "stop: too many stop sequences, max 1",
            json!({ "sampling": { "stop-limit": 1 } }),
        ),
        (
            none(),
            "Number of stop sequences exceeds limit 1",
            json!({ "sampling": { "stop-limit": 1 } }),
        ),
        (
            none(),
            "This model does not support streaming",
            whole.clone(),
        ),
        (none(), "该模型不支持流式输出", whole),
        // Sampling.
        (
            none(),
            "invalid temperature: only 1 is allowed for this model",
            json!({ "sampling": { "temperature": "drop" } }),
        ),
        (
            none(),
            "temperature: range: 0..1",
            json!({ "sampling": { "temperature": { "at-most": 1.0 } } }),
        ),
        (
            none(),
            "`temperature` is deprecated for this model.",
            json!({ "sampling": { "temperature": "drop" } }),
        ),
        (
            none(),
            "temperature 取值范围为 (0, 1]",
            json!({ "sampling": { "temperature": { "at-most": 1.0 } } }),
        ),
        (
            json!({ "top_k": 5 }),
            "top_k is not permitted",
            json!({ "sampling": { "top-k": false } }),
        ),
        // The choice of a tool.
        (
            none(),
            "tool_choice is only supported as 'auto' for this model",
            no_named.clone(),
        ),
        (none(), "tool_choice 参数仅支持 auto", no_named.clone()),
        (
            none(),
            "No endpoints found that support the provided 'tool_choice' value. To learn more about provider routing, visit: https://openrouter.ai/docs/provider-routing",
            no_named.clone(),
        ),
        (
            none(),
            "The tool_choice parameter does not support being set to required or object in thinking mode",
            json!({ "tools": { "forced-while-thinking": false } }),
        ),
        (
            none(),
            "Failed to deserialize the JSON body into the target type: tool_choice: data did not match any variant of untagged enum ToolChoice",
            no_named,
        ),
        // Roles, order, content.
        (
            none(),
            "role 'system' is not supported",
            json!({ "messages": { "system-role": "user" } }),
        ),
        (
            none(),
            "Conversation roles must alternate user/assistant: a user message follows a tool message",
            json!({ "messages": { "user-after-tool": false } }),
        ),
        (
            none(),
            "Invalid type for 'messages[1].content': expected a string, but got an array instead.",
            json!({ "messages": { "content-parts": false } }),
        ),
        (
            none(),
            "Missing required field: messages[2].content",
            json!({ "messages": { "empty-content": "empty-string" } }),
        ),
        (
            none(),
            "Content cannot be null for assistant messages",
            json!({ "messages": { "empty-content": "empty-string" } }),
        ),
        (
            none(),
            "messages.2.content 不能为 null",
            json!({ "messages": { "empty-content": "empty-string" } }),
        ),
        // Tools.
        (
            none(),
            "Invalid schema for function 'f': schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level.",
            minimal.clone(),
        ),
        (
            none(),
            "tools.0.custom.input_schema: JSON schema is invalid. It must match JSON Schema draft 2020-12",
            minimal,
        ),
        (
            none(),
            "tools[0].function_declarations[0].parameters.properties[b].format: only 'enum' and 'date-time' are supported for STRING type",
            json!({ "tools": { "refused-keywords": ["format"] } }),
        ),
        (
            none(),
            "Unsupported keyword: additionalProperties in tool schema",
            json!({ "tools": { "refused-keywords": ["additionalProperties"] } }),
        ),
        (
            none(),
            "unsupported_keyword: 'exclusiveMinimum' in tools[0]",
            json!({ "tools": { "refused-keywords": ["exclusiveMinimum"] } }),
        ),
        (
            none(),
            "Recursive schemas and $ref are currently not supported in tools",
            json!({ "tools": { "references": false } }),
        ),
        (
            none(),
            "failed to compile grammar: unknown regex escape",
            json!({ "tools": { "schema": "llama-cpp" } }),
        ),
        (
            none(),
            "Tool function name exceeds the limit of 48 characters",
            json!({ "tools": { "name-limit": 48 } }),
        ),
        (
            none(),
            "tool_call_id must be at most 40 characters",
            json!({ "tools": { "id": { "at-most": 40 } } }),
        ),
        // Thinking.
        (
            none(),
            "This model only supports thinking mode: enable_thinking cannot be false",
            json!({ "thinking": { "mode": "always" } }),
        ),
        (
            none(),
            "enable_thinking is not supported by this model",
            json!({ "thinking": { "on": {} } }),
        ),
    ];
    let misses: Vec<String> = rows
        .iter()
        .filter_map(|(members, message, want)| {
            let (sent, facts) = (sent_with(members.clone()), facts());
            let refusal = Refusal {
                message,
                param: None,
                sent: &sent,
                facts: &facts,
            };
            let got = read(refusal).map(|lesson| Value::Object(lesson.facts));
            let wrong = || {
                let got = got.as_ref().map_or("nothing".to_owned(), Value::to_string);
                format!("{message}\n    {got} instead of {want}")
            };
            (got.as_ref() != Some(want)).then(wrong)
        })
        .collect();
    assert!(
        misses.is_empty(),
        "{} of {} missed:\n{}",
        misses.len(),
        rows.len(),
        misses.join("\n")
    );
}

#[test]
fn what_is_no_word_on_the_request_teaches_nothing() {
    for message in [
        "Tool calling is not supported by this model",
        "tools is not supported in this model",
        "image input is not supported",
        "\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set",
        "Your request was flagged by the content filter",
        "Invalid API key provided",
        "The model does not exist or you do not have access to it",
        "Request blocked: the user must accept the terms",
        "No endpoints found that support tool use",
        "Error parsing messages: invalid JSON at line 1",
        "账户未实名认证",
        "模型不存在",
    ] {
        let mut sent = sent();
        sent.as_object_mut().unwrap().remove("tool_choice");
        let facts = facts();
        let refusal = Refusal {
            message,
            param: None,
            sent: &sent,
            facts: &facts,
        };
        assert_eq!(read(refusal), None, "{message}");
    }
}
