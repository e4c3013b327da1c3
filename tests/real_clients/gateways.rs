//! The newest and the pinned Claude Code at work on the gateways of the field. Each double refuses what the real one refuses, in its
//! words, and streams as it streams; some are known by a preset, and some have to teach.

use bytes::Bytes;
use serde_json::{Value, json};
use worker_test_support::gateway::{End, Reply, Request, Script, ScriptedGateway};
use worker_test_support::worker::run_job;
use worker_test_support::{Worker, clients};

use super::dialects::{
    Said, calls_whole, chunk, counted, data, done, malformed, part, pieces, plain, reason, story,
    turns_with_calls, usage, with,
};
use super::{BINARY, broken_sum};

const KEY: &str = "gateway-key-of-the-test";

/// A refusal: the status and the body.
type Refusal = Option<(u16, Value)>;

/// A gateway as seen from outside.
struct Place {
    name: &'static str,
    /// The preset that its own URL would choose; none: nothing recognizes it.
    preset: Option<&'static str>,
    model: &'static str,
    /// Behind host and port, in ONEAPI_BASE_URL.
    base: &'static str,
    path: &'static str,
    refuses: fn(&Request) -> Refusal,
    events: fn(&Said, usize) -> Vec<String>,
    /// Requests that are refused before the gateway is known.
    lessons: usize,
}

/// An error as OpenAI writes it.
fn openai_error(message: String, param: Option<&str>) -> Refusal {
    Some((
        400,
        json!({"error": {"message": message, "type": "invalid_request_error", "param": param, "code": null}}),
    ))
}

fn refused(message: &str) -> Refusal {
    openai_error(message.to_owned(), None)
}

/// The members that a gateway knows; another one is refused as OpenAI refuses it.
fn unknown_member(request: &Request, known: &[&str]) -> Option<String> {
    const COMMON: [&str; 9] = [
        "model",
        "messages",
        "tools",
        "tool_choice",
        "stream",
        "stream_options",
        "temperature",
        "top_p",
        "stop",
    ];
    let members = request.body.as_object()?;
    let mut names = members.keys().map(String::as_str);
    let unknown = names.find(|name| !COMMON.contains(name) && !known.contains(name));
    unknown.map(str::to_owned)
}

fn number(request: &Request, name: &str) -> u64 {
    request.body[name].as_u64().unwrap_or_default()
}

fn has_tools(request: &Request) -> bool {
    request.tools().next().is_some()
}

/// Assistant messages with calls that lack their reasoning; `" "` is enough for some.
fn reasoning_missing(request: &Request, blank_counts: bool) -> Option<usize> {
    let messages = request.messages().iter().enumerate();
    messages
        .filter(|(_, message)| message["tool_calls"].is_array())
        .find(|(_, message)| {
            let given = message["reasoning_content"].as_str();
            given.is_none_or(|text| text.is_empty() && !blank_counts)
        })
        .map(|(at, _)| at)
}

/// The keywords of all schemas of tools.
fn keywords(request: &Request) -> Vec<String> {
    fn gather(schema: &Value, into: &mut Vec<String>) {
        let Some(members) = schema.as_object() else {
            return;
        };
        for (key, value) in members {
            into.push(key.clone());
            match (key.as_str(), value) {
                ("properties" | "$defs", Value::Object(named)) => {
                    named.values().for_each(|inner| gather(inner, into));
                }
                ("enum" | "required" | "default", _) => {}
                (_, Value::Array(list)) => list.iter().for_each(|inner| gather(inner, into)),
                (_, inner) => gather(inner, into),
            }
        }
    }
    let mut found = Vec::new();
    for tool in request.body["tools"].as_array().into_iter().flatten() {
        gather(&tool["function"]["parameters"], &mut found);
    }
    found
}

fn openais(said: &Said, turn: usize) -> Vec<String> {
    // Its reasoning is not shown.
    let shown = Said {
        thought: "",
        text: said.text,
        calls: said.calls.clone(),
    };
    plain(&shown, turn, "reasoning_content", counted(said))
}

fn with_reasoning(said: &Said, turn: usize) -> Vec<String> {
    plain(said, turn, "reasoning_content", counted(said))
}

fn places() -> Vec<Place> {
    vec![
        Place {
            name: "gpt-5.6 at OpenAI",
            preset: Some("openai"),
            model: "gpt-5.6",
            base: "/v1",
            path: "/v1/chat/completions",
            refuses: |request| {
                let body = &request.body;
                if body.get("max_tokens").is_some() {
                    return openai_error("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.".into(), Some("max_tokens"));
                }
                if has_tools(request) && body["reasoning_effort"] != "none" {
                    return openai_error("Function tools with reasoning_effort are not supported for gpt-5.6 in /v1/chat/completions. Please use /v1/responses instead.".into(), Some("reasoning_effort"));
                }
                if body.get("temperature").is_some() {
                    return openai_error(
                        "Unsupported value: 'temperature' does not support 1 with this model."
                            .into(),
                        Some("temperature"),
                    );
                }
                if number(request, "max_completion_tokens") > 128_000 {
                    return openai_error("max_completion_tokens is too large. This model supports at most 128000 completion tokens.".into(), None);
                }
                let known = [
                    "max_completion_tokens",
                    "parallel_tool_calls",
                    "reasoning_effort",
                    "response_format",
                    "user",
                ];
                unknown_member(request, &known).and_then(|name| {
                    openai_error(
                        format!("Unrecognized request argument supplied: {name}"),
                        Some(&name),
                    )
                })
            },
            events: openais,
            lessons: 0,
        },
        Place {
            name: "gpt-4o at Azure",
            preset: Some("azure"),
            model: "gpt-4o",
            base: "",
            path: "/openai/v1/chat/completions",
            refuses: |request| {
                let key = request.headers.get("api-key");
                if key.is_none_or(|key| key != KEY) {
                    return Some((
                        401,
                        json!({"error": {"code": "401", "message": "Access denied due to invalid subscription key or wrong API endpoint."}}),
                    ));
                }
                let asked = number(request, "max_tokens");
                if asked > 16_384 {
                    return openai_error(
                        format!(
                            "max_tokens is too large: {asked}. This model supports at most 16384 completion tokens, whereas you provided {asked}."
                        ),
                        Some("max_tokens"),
                    );
                }
                let known = [
                    "max_tokens",
                    "parallel_tool_calls",
                    "response_format",
                    "user",
                ];
                unknown_member(request, &known).and_then(|name| {
                    openai_error(
                        format!("Unrecognized request argument supplied: {name}"),
                        Some(&name),
                    )
                })
            },
            // The first chunk has the verdict on the prompt, and no choices.
            events: |said, turn| {
                let mut events = openais(said, turn);
                let verdict = json!({"choices": [], "created": 0, "id": "", "model": "", "object": "",
                    "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {"hate": {"filtered": false, "severity": "safe"}}}]});
                events.insert(0, data(&verdict));
                events
            },
            lessons: 0,
        },
        Place {
            name: "deepseek-v4 behind one-api",
            preset: None,
            model: "deepseek-v4-flash",
            base: "/v1",
            path: "/v1/chat/completions",
            refuses: |request| {
                reasoning_missing(request, true)?;
                Some((
                    400,
                    json!({"error": {"message": "The `reasoning_content` in the thinking mode must be passed back to the API. (request id: 20261129080000123456789)",
                    "type": "upstream_error", "param": "", "code": "invalid_request_error"}}),
                ))
            },
            events: with_reasoning,
            lessons: 0,
        },
        Place {
            name: "deepseek-v4 at NIM",
            preset: Some("nvidia"),
            model: "deepseek-ai/deepseek-v4-flash",
            base: "/v1",
            path: "/v1/chat/completions",
            refuses: |request| {
                let known = [
                    "max_tokens",
                    "chat_template_kwargs",
                    "reasoning_effort",
                    "top_k",
                ];
                if let Some(name) = unknown_member(request, &known) {
                    return Some((
                        400,
                        json!({"object": "error", "type": "BadRequestError", "param": null, "code": 400,
                        "message": format!("[{{'type': 'extra_forbidden', 'loc': ('body', '{name}'), 'msg': 'Extra inputs are not permitted'}}]")}),
                    ));
                }
                reasoning_missing(request, true)?;
                Some((
                    400,
                    json!({"status": 400, "title": "Bad Request", "detail": "The `reasoning_content` in the thinking mode must be passed back to the API."}),
                ))
            },
            events: with_reasoning,
            lessons: 0,
        },
        Place {
            name: "kimi-k2.6 at Moonshot",
            preset: Some("kimi"),
            model: "kimi-k2.6",
            base: "/v1",
            path: "/v1/chat/completions",
            refuses: |request| {
                if request
                    .body
                    .get("temperature")
                    .is_some_and(|value| *value != 1.0)
                {
                    return refused("invalid temperature: only 1 is allowed for this model");
                }
                if let Some(at) = reasoning_missing(request, false) {
                    return openai_error(
                        format!(
                            "thinking is enabled but reasoning_content is missing in assistant tool call message at index {at}"
                        ),
                        None,
                    );
                }
                let flavored = keywords(request);
                ["oneOf", "$ref"]
                    .iter()
                    .find(|word| flavored.iter().any(|known| known == *word))
                    .and_then(|word| openai_error(format!("tools.function.parameters is not a valid moonshot flavored json schema, details: <At path 'root': keyword '{word}' is not supported>"), None))
            },
            events: with_reasoning,
            lessons: 0,
        },
        Place {
            name: "qwen3 on vLLM with a window of 32768",
            preset: Some("vllm"),
            model: "Qwen/Qwen3-32B",
            base: "/v1",
            path: "/v1/chat/completions",
            refuses: |request| {
                let (asked, input) = (number(request, "max_tokens"), request.bytes as u64 / 4);
                if asked + input > 32_768 {
                    return Some((
                        400,
                        json!({"error": {"type": "BadRequestError", "param": "max_tokens", "code": 400,
                        "message": format!("'max_tokens' or 'max_completion_tokens' is too large: {asked}. This model's maximum context length is 32768 tokens and your request has {input} input tokens ({asked} > 32768 - {input}).")}}),
                    ));
                }
                None
            },
            events: |said, turn| plain(said, turn, "reasoning", counted(said)),
            // The window is learned, and replies are fitted into it.
            lessons: 1,
        },
        Place {
            name: "Gemini on Vertex",
            preset: Some("vertex"),
            model: "google/gemini-3-pro",
            base: "/v1/projects/p/locations/global/endpoints/openapi",
            path: "/v1/projects/p/locations/global/endpoints/openapi/chat/completions",
            refuses: |request| {
                const UNKNOWN: [&str; 9] = [
                    "$schema",
                    "additionalProperties",
                    "exclusiveMinimum",
                    "exclusiveMaximum",
                    "propertyNames",
                    "const",
                    "oneOf",
                    "$ref",
                    "$defs",
                ];
                let error = |message: String| {
                    Some((
                        400,
                        json!([{"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}]),
                    ))
                };
                let used = keywords(request);
                if let Some(word) = UNKNOWN
                    .iter()
                    .find(|word| used.iter().any(|known| known == *word))
                {
                    return error(format!(
                        "Invalid JSON payload received. Unknown name \"{word}\" at 'tools[0].function.parameters': Cannot find field."
                    ));
                }
                let unsigned = turns_with_calls(request).any(|turn| {
                    let first = &turn["tool_calls"][0];
                    !first["extra_content"]["google"]["thought_signature"].is_string()
                });
                if unsigned {
                    return error("Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly.".into());
                }
                None
            },
            // No index, and a signature on the first call.
            events: |said, turn| {
                let mut events: Vec<String> = pieces(said.text)
                    .iter()
                    .map(|piece| part(json!({"role": "assistant", "content": piece})))
                    .collect();
                for (at, (name, arguments)) in said.calls.iter().enumerate() {
                    let mut call = json!({"id": format!("function-call-{turn}{at}"), "type": "function",
                        "function": {"name": name, "arguments": arguments.to_string()}});
                    if at == 0 {
                        call["extra_content"] =
                            json!({"google": {"thought_signature": "c2lnbmVk"}});
                    }
                    events.push(part(json!({"role": "assistant", "tool_calls": [call]})));
                }
                let last = chunk(json!({"role": "assistant"}), json!("stop"));
                events.push(data(&with(last, "usage", usage())));
                events.push(done());
                events
            },
            lessons: 0,
        },
        Place {
            name: "grok at xAI",
            preset: Some("xai"),
            model: "grok-4",
            base: "/v1",
            path: "/v1/chat/completions",
            refuses: |request| {
                let error = |message: &str| {
                    Some((
                        400,
                        json!({"code": "Client specified an invalid argument", "error": message}),
                    ))
                };
                if request.body.get("reasoning_effort").is_some() {
                    return error("Model grok-4 does not support parameter reasoningEffort.");
                }
                if request.body.get("stop").is_some() {
                    return error("Argument not supported on this model: stop");
                }
                None
            },
            events: with_reasoning,
            lessons: 0,
        },
        Place {
            name: "llama.cpp",
            preset: Some("llama-cpp"),
            model: "qwen3-coder-30b",
            base: "",
            path: "/v1/chat/completions",
            refuses: |request| {
                let error = |message: &str| {
                    Some((
                        400,
                        json!({"error": {"code": 400, "message": message, "type": "invalid_request_error"}}),
                    ))
                };
                if request.body["tool_choice"].is_object() {
                    return error("Invalid tool_choice: type must be string, but is object");
                }
                if keywords(request)
                    .iter()
                    .any(|word| word == "pattern" || word == "$ref")
                {
                    return Some((
                        500,
                        json!({"error": {"code": 500, "message": "Failed to parse grammar", "type": "server_error"}}),
                    ));
                }
                None
            },
            events: with_reasoning,
            lessons: 0,
        },
        Place {
            name: "LM Studio",
            preset: Some("lm-studio"),
            model: "openai/gpt-oss-20b",
            base: "/v1",
            path: "/v1/chat/completions",
            refuses: |request| match &request.body["tool_choice"] {
                Value::Object(_) => Some((
                    400,
                    json!({"error": "Invalid tool_choice type: 'object'. Supported string values: none, auto, required"}),
                )),
                _ => None,
            },
            events: |said, turn| plain(said, turn, "reasoning", counted(said)),
            lessons: 0,
        },
        Place {
            name: "MiniMax",
            preset: Some("minimax"),
            model: "MiniMax-M2.5",
            base: "/v1",
            path: "/v1/chat/completions",
            refuses: |request| {
                // An error with status 200, as it has them.
                let error = |message: &str| {
                    Some((
                        200,
                        json!({"base_resp": {"status_code": 2013, "status_msg": format!("invalid params, {message}")}}),
                    ))
                };
                if request.body.get("tool_choice").is_some() {
                    return error("tool_choice is not supported");
                }
                let lost = turns_with_calls(request).any(|turn| {
                    !turn["content"]
                        .as_str()
                        .unwrap_or_default()
                        .contains("<think>")
                });
                if lost {
                    return error("the thinking of earlier turns must be kept");
                }
                None
            },
            // It thinks within the text, and ends with a summary of all.
            events: |said, turn| {
                let thought = match said.thought {
                    "" => "<think>\nGo on.\n</think>\n\n".to_owned(),
                    thought => format!("<think>\n{thought}\n</think>\n\n"),
                };
                let text = format!("{thought}{}", said.text);
                let mut events: Vec<String> = pieces(&text)
                    .iter()
                    .map(|piece| part(json!({"role": "assistant", "content": piece})))
                    .collect();
                events.extend(calls_whole(said, |at| format!("call_function_{turn}_{at}")));
                events.push(data(&chunk(json!({}), reason(said))));
                let calls: Vec<Value> = said
                    .calls
                    .iter()
                    .enumerate()
                    .map(|(at, (name, arguments))| {
                        json!({"id": format!("call_function_{turn}_{at}"), "type": "function",
                    "function": {"name": name, "arguments": arguments.to_string()}})
                    })
                    .collect();
                let mut message = json!({"role": "assistant", "content": text});
                if !calls.is_empty() {
                    message["tool_calls"] = json!(calls);
                }
                events.push(data(&json!({"id": "c-1", "object": "chat.completion", "usage": usage(), "base_resp": {"status_code": 0, "status_msg": ""},
                    "choices": [{"index": 0, "finish_reason": reason(said), "message": message}]})));
                events
            },
            lessons: 0,
        },
        Place {
            name: "Doubao at Ark",
            preset: Some("volcengine"),
            model: "doubao-seed-1-6-250615",
            base: "/api/v3",
            path: "/api/v3/chat/completions",
            refuses: |request| {
                let asked = number(request, "max_tokens");
                if asked > 32_768 {
                    return Some((
                        400,
                        json!({"error": {"code": "InvalidParameter", "param": "max_tokens", "type": "BadRequest",
                        "message": format!("The parameter `max_tokens` specified in the request are not valid: integer above maximum value, expected a value <= 32768, but got {asked} instead. Request id: 0217")}}),
                    ));
                }
                None
            },
            events: with_reasoning,
            lessons: 1,
        },
        Place {
            name: "a gateway that nobody described",
            preset: None,
            model: "acme-coder",
            base: "/v1",
            path: "/v1/chat/completions",
            refuses: |request| {
                let body = &request.body;
                if body.get("stream_options").is_some() {
                    return refused("Unrecognized request argument supplied: stream_options");
                }
                if body.get("max_tokens").is_some() {
                    return refused("不支持参数 max_tokens，请使用 max_completion_tokens");
                }
                if number(request, "max_completion_tokens") > 4_096 {
                    return refused("max_completion_tokens: must be between 1 and 4096");
                }
                if keywords(request)
                    .iter()
                    .any(|word| word == "additionalProperties")
                {
                    return refused(
                        "Unknown name \"additionalProperties\" at 'tools[0].parameters': Cannot find field.",
                    );
                }
                if turns_with_calls(request)
                    .any(|turn| turn["reasoning_content"].as_str().is_none_or(str::is_empty))
                {
                    return refused("Missing `reasoning_content` field in the assistant message");
                }
                None
            },
            events: with_reasoning,
            lessons: 5,
        },
    ]
}

/// The double of a gateway.
fn double_of(place: &Place) -> ScriptedGateway {
    let (path, refuses, events) = (place.path, place.refuses, place.events);
    let script = Script::new(move |request| {
        let json = |status: u16, body: Value| Reply::Raw {
            status,
            headers: vec![("content-type".into(), "application/json".into())],
            chunks: vec![Bytes::from(body.to_string())],
            end: End::Close,
        };
        if request.path.split('?').next() != Some(path) {
            return json(
                404,
                json!({"error": {"message": format!("no route {}", request.path)}}),
            );
        }
        if let Some(why) = malformed(request) {
            return json(400, json!({"error": {"message": why}}));
        }
        if let Some((status, body)) = refuses(request) {
            return json(status, body);
        }
        let directory = request.working_directory().unwrap_or_default();
        let turn = request.turn();
        let story = story(&directory);
        let events = story
            .get(turn)
            .map_or_else(Vec::new, |said| events(said, turn));
        Reply::Raw {
            status: 200,
            headers: vec![("content-type".into(), "text/event-stream".into())],
            chunks: events.into_iter().map(Bytes::from).collect(),
            end: End::Close,
        }
    });
    ScriptedGateway::start(script).unwrap()
}

/// A job that reads, edits and tests, with the newest Claude Code and then with the pinned one on the same gateway: what
/// had to be learned is known the second time.
fn does_its_work(place: &Place) {
    let name = place.name;
    let double = double_of(place);
    let origin = double.base_url();
    let origin = origin.trim_end_matches("/v1");
    let mut cache = None;
    let agents = [clients::newest_claude_code(), clients::claude_code()];
    for (round, agent) in agents.iter().enumerate() {
        let repository = broken_sum();
        let mut worker = Worker::new(BINARY, &repository, &double).with_lessons_of_its_own();
        // The second worker has the first one's cache.
        let own = cache.get_or_insert_with(|| tempfile::tempdir().unwrap());
        worker = worker
            .set("WORKER_CACHE_DIR", own.path().display())
            .set("ONEAPI_BASE_URL", format!("{origin}{}", place.base))
            .set("ONEAPI_API_KEY", KEY)
            .set("CLAUDE_MODEL", place.model)
            .set("WORKER_CLAUDE_BIN", agent.display());
        if let Some(preset) = place.preset {
            worker = worker.set("WORKER_DIALECT", preset);
        }
        let job = json!({
            "prompt": "Mend sum().",
            "allowed_dirs": [repository.path()],
            "scoped_patch": {"paths": ["src"]},
            "checks": [{"name": "unit tests", "command": "npm test"}],
        });
        let before = double.requests().len();
        let result = run_job(&mut worker.serve(), job);
        assert_eq!(result["job_status"], "completed", "{name}: {result}");
        assert_eq!(
            result["checks"],
            json!(["scoped_patch: passed (src)", "unit tests: passed"]),
            "{name}: {result}"
        );
        let fixed = "exports.sum = (a, b) => a + b;\n";
        assert_eq!(repository.read("src/a.js"), fixed, "{name}");
        let requests = double.requests().split_off(before);
        let taken = requests
            .iter()
            .filter(|request| (place.refuses)(request).is_none());
        assert_eq!(taken.count(), 4, "{name}: one request a turn");
        let refused = requests.len() - 4;
        let expected = if round == 0 { place.lessons } else { 0 };
        assert_eq!(refused, expected, "{name}: refused in round {round}");
        let results = requests[requests.len() - 1].texts("tool");
        for (result, word) in
            results
                .iter()
                .zip(["exports.sum", "node:assert", "updated", "pass 1"])
        {
            assert!(result.contains(word), "{name}: {word} not in {result}");
        }
        worker.assert_no_process_left();
    }
}

/// One test a gateway, so that they run side by side and a failure names its gateway.
macro_rules! places {
    ($($test:ident: $name:literal,)*) => {
        $(#[test]
        fn $test() {
            let places = places();
            does_its_work(places.iter().find(|place| place.name == $name).unwrap());
        })*

        #[test]
        fn every_gateway_here_has_its_story() {
            let told = [$($name),*];
            let names: Vec<&str> = places().iter().map(|place| place.name).collect();
            assert_eq!(names, told);
        }
    };
}

places! {
    a_job_at_openai_with_gpt_5_6: "gpt-5.6 at OpenAI",
    a_job_at_azure_with_gpt_4o: "gpt-4o at Azure",
    a_job_with_deepseek_v4_behind_one_api: "deepseek-v4 behind one-api",
    a_job_with_deepseek_v4_at_nim: "deepseek-v4 at NIM",
    a_job_with_kimi_k2_6: "kimi-k2.6 at Moonshot",
    a_job_with_qwen3_in_a_small_window: "qwen3 on vLLM with a window of 32768",
    a_job_with_gemini_on_vertex: "Gemini on Vertex",
    a_job_with_grok: "grok at xAI",
    a_job_at_llama_cpp: "llama.cpp",
    a_job_at_lm_studio: "LM Studio",
    a_job_at_minimax: "MiniMax",
    a_job_at_ark: "Doubao at Ark",
    a_job_at_a_gateway_that_nobody_described: "a gateway that nobody described",
}
