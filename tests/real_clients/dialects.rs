//! Claude Code at work through the dialects: each job reads, edits and tests, on a double that sends that gateway's bytes
//! and refuses what that gateway refuses.
//!
//! Five gateways, as unlike each other as they get, are always tried; WORKER_TEST_DIALECTS=all tries every bundled dialect.

use bytes::Bytes;
use serde_json::{Value, json};
use worker_test_support::Worker;
use worker_test_support::gateway::{End, Reply, Request, Script, ScriptedGateway};
use worker_test_support::worker::run_job;

use super::{BINARY, broken_sum};

const KEY: &str = "gateway-key-of-the-test";

/// One answer of the model.
#[derive(Default)]
pub(super) struct Said {
    pub(super) thought: &'static str,
    pub(super) text: &'static str,
    /// Names and arguments.
    pub(super) calls: Vec<(&'static str, Value)>,
}

/// Reads both files at once, mends the fault, runs the tests, and says so.
pub(super) fn story(directory: &str) -> [Said; 4] {
    let path = |file: &str| format!("{directory}/{file}");
    [
        Said {
            thought: "Two files matter here; \"both\" at once.",
            text: "I will look at the code.",
            calls: vec![
                ("Read", json!({"file_path": path("src/a.js")})),
                ("Read", json!({"file_path": path("tests/a.test.js")})),
            ],
        },
        Said {
            thought: "It subtracts.",
            calls: vec![(
                "Edit",
                json!({"file_path": path("src/a.js"), "old_string": "a - b", "new_string": "a + b"}),
            )],
            ..Said::default()
        },
        Said {
            text: "Now the tests.",
            calls: vec![(
                "Bash",
                json!({"command": "npm test", "description": "Run the tests"}),
            )],
            ..Said::default()
        },
        Said {
            text: "sum() subtracted; it adds now.",
            ..Said::default()
        },
    ]
}

/// A gateway as seen from outside.
struct Gateway {
    dialect: &'static str,
    model: &'static str,
    path: &'static str,
    /// Returns the reason why it would refuse a request.
    refuses: fn(&Request) -> Option<&'static str>,
    /// The events for an answer; the number of the answer makes ids unlike each other.
    events: fn(&Said, usize) -> Vec<String>,
}

pub(super) fn data(chunk: &Value) -> String {
    format!("data: {chunk}\n\n")
}

pub(super) fn chunk(delta: Value, finish: Value) -> Value {
    json!({"id": "c-1", "object": "chat.completion.chunk", "created": 1_762_770_000, "model": "m",
        "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]})
}

pub(super) fn part(delta: Value) -> String {
    data(&chunk(delta, Value::Null))
}

pub(super) fn with(mut chunk: Value, key: &str, value: Value) -> Value {
    chunk[key] = value;
    chunk
}

pub(super) fn usage() -> Value {
    json!({"prompt_tokens": 1200, "completion_tokens": 40, "total_tokens": 1240})
}

/// A few characters at a time, as models stream.
pub(super) fn pieces(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters
        .chunks(9)
        .map(|piece| piece.iter().collect())
        .collect()
}

pub(super) fn reason(said: &Said) -> Value {
    json!(if said.calls.is_empty() {
        "stop"
    } else {
        "tool_calls"
    })
}

/// Reasoning and text, piece by piece, under their names.
pub(super) fn words(said: &Said, reasoning: &str) -> Vec<String> {
    let thought = pieces(said.thought);
    let thought = thought.iter().map(|piece| part(json!({reasoning: piece})));
    let text = pieces(said.text);
    let text = text.iter().map(|piece| part(json!({"content": piece})));
    thought.chain(text).collect()
}

/// Calls whose arguments come in pieces; `more` stands in each further piece beside them.
pub(super) fn calls_in_pieces(
    said: &Said,
    id: impl Fn(usize) -> String,
    more: &Value,
) -> Vec<String> {
    let mut events = Vec::new();
    for (index, (name, arguments)) in said.calls.iter().enumerate() {
        events.push(part(
            json!({"tool_calls": [{"index": index, "id": id(index), "type": "function",
            "function": {"name": name, "arguments": ""}}]}),
        ));
        for piece in pieces(&arguments.to_string()) {
            let mut call = more.clone();
            call["index"] = json!(index);
            call["function"]["arguments"] = json!(piece);
            events.push(part(json!({"tool_calls": [call]})));
        }
    }
    events
}

/// Calls that come whole.
pub(super) fn calls_whole(said: &Said, id: impl Fn(usize) -> String) -> Vec<String> {
    let calls = said.calls.iter().enumerate();
    calls
        .map(|(index, (name, arguments))| {
            part(
                json!({"tool_calls": [{"index": index, "id": id(index), "type": "function",
                "function": {"name": name, "arguments": arguments.to_string()}}]}),
            )
        })
        .collect()
}

pub(super) fn done() -> String {
    "data: [DONE]\n\n".to_owned()
}

/// The plain form that several gateways share.
pub(super) fn plain(said: &Said, turn: usize, reasoning: &str, last: Vec<Value>) -> Vec<String> {
    let mut events = vec![part(json!({"role": "assistant", "content": ""}))];
    events.extend(words(said, reasoning));
    events.extend(calls_in_pieces(
        said,
        |index| format!("call_{turn}_{index}"),
        &json!({}),
    ));
    events.extend(last.iter().map(data));
    events.push(done());
    events
}

pub(super) fn counted(said: &Said) -> Vec<Value> {
    vec![
        chunk(json!({}), reason(said)),
        json!({"id": "c-1", "object": "chat.completion.chunk", "choices": [], "usage": usage()}),
    ]
}

/// The answers of the model in the history that have calls.
pub(super) fn turns_with_calls(request: &Request) -> impl Iterator<Item = &Value> {
    let messages = request.messages().iter();
    messages.filter(|message| message["tool_calls"].is_array())
}

fn call_ids(request: &Request) -> impl Iterator<Item = &str> {
    turns_with_calls(request)
        .flat_map(|turn| turn["tool_calls"].as_array().into_iter().flatten())
        .filter_map(|call| call["id"].as_str())
}

/// Returns the fault of a request that no gateway takes.
pub(super) fn malformed(request: &Request) -> Option<&'static str> {
    let messages = request.messages();
    for (at, message) in messages.iter().enumerate() {
        let Some(calls) = message["tool_calls"].as_array() else {
            continue;
        };
        let answered = messages[at + 1..]
            .iter()
            .take_while(|message| message["role"] == "tool")
            .count();
        if answered != calls.len() {
            return Some("tool_calls must be followed by a tool message for each tool_call_id");
        }
    }
    let body = request.body.to_string();
    ["input_schema", "tool_use_id", "context_management"]
        .iter()
        .any(|word| body.contains(word))
        .then_some("unknown field of another API")
}

fn gateways() -> Vec<Gateway> {
    vec![
        Gateway {
            dialect: "deepseek",
            model: "deepseek-v4-flash",
            path: "/v1/chat/completions",
            refuses: |request| {
                turns_with_calls(request)
                    .any(|turn| !turn["reasoning_content"].is_string())
                    .then_some("The `reasoning_content` in the thinking mode must be passed back to the API.")
            },
            events: |said, turn| {
                let mut events = vec![part(
                    json!({"role": "assistant", "content": null, "reasoning_content": ""}),
                )];
                for piece in pieces(said.thought) {
                    events.push(part(json!({"content": null, "reasoning_content": piece})));
                }
                for piece in pieces(said.text) {
                    events.push(part(json!({"content": piece, "reasoning_content": null})));
                }
                events.extend(calls_in_pieces(
                    said,
                    |index| format!("call_0{index}_{turn}kX3vQ"),
                    &json!({}),
                ));
                let mut usage = usage();
                usage["prompt_cache_hit_tokens"] = json!(1024);
                usage["prompt_cache_miss_tokens"] = json!(176);
                let last = chunk(
                    json!({"content": "", "reasoning_content": null}),
                    reason(said),
                );
                events.extend([data(&with(last, "usage", usage)), done()]);
                events
            },
        },
        Gateway {
            dialect: "qwen",
            model: "qwen3-max",
            path: "/compatible-mode/v1/chat/completions",
            refuses: |request| {
                (request.body["stream_options"]["include_usage"] != true)
                    .then_some("no usage wanted")
            },
            // Further pieces of a call have an empty id and an empty name.
            events: |said, turn| {
                let more = json!({"id": "", "type": "function", "function": {"name": ""}});
                let mut events = vec![part(
                    json!({"role": "assistant", "content": null, "reasoning_content": ""}),
                )];
                events.extend(words(said, "reasoning_content"));
                events.extend(calls_in_pieces(
                    said,
                    |index| format!("call_{turn}{index}d8f"),
                    &more,
                ));
                events.extend(counted(said).iter().map(data));
                events.push(done());
                events
            },
        },
        Gateway {
            dialect: "openrouter",
            model: "anthropic/claude-x",
            path: "/api/v1/chat/completions",
            refuses: |request| {
                if request.headers.get("x-title").is_none() {
                    return Some("nobody says who asks");
                }
                // Reasoning that is shown must come back as it was.
                let first = turns_with_calls(request).next()?;
                (first["reasoning_details"][0]["signature"] != "sig-0")
                    .then_some("the signature is gone")
            },
            events: |said, turn| {
                let mut events = vec![": OPENROUTER PROCESSING\n\n".to_owned(); 2];
                let provider = |delta| {
                    data(&with(
                        chunk(delta, Value::Null),
                        "provider",
                        json!("Anthropic"),
                    ))
                };
                for piece in pieces(said.thought) {
                    let detail = json!([{"type": "reasoning.text", "text": piece, "format": "anthropic-claude-v1", "index": 0}]);
                    events.push(provider(
                        json!({"role": "assistant", "content": "", "reasoning": piece, "reasoning_details": detail}),
                    ));
                    events.push(": OPENROUTER PROCESSING\n\n".to_owned());
                }
                if !said.thought.is_empty() {
                    let signature = format!("sig-{turn}");
                    let detail = json!([{"type": "reasoning.text", "signature": signature, "format": "anthropic-claude-v1", "index": 0}]);
                    events.push(provider(
                        json!({"role": "assistant", "content": "", "reasoning": null, "reasoning_details": detail}),
                    ));
                }
                for piece in pieces(said.text) {
                    events.push(provider(json!({"role": "assistant", "content": piece})));
                }
                events.extend(calls_in_pieces(
                    said,
                    |index| format!("toolu_or_{turn}{index}"),
                    &json!({"type": "function"}),
                ));
                let mut usage = usage();
                usage["cost"] = json!(0.0042);
                let last = with(
                    chunk(json!({"role": "assistant", "content": ""}), reason(said)),
                    "usage",
                    usage,
                );
                events.extend([data(&last), done()]);
                events
            },
        },
        Gateway {
            dialect: "ollama",
            model: "qwen3:8b",
            path: "/v1/chat/completions",
            refuses: |request| {
                request
                    .body
                    .get("tool_choice")
                    .map(|_| "json: unknown field \"tool_choice\"")
            },
            // Whole calls, all with index 0 and none with an id; the reason is always `stop`.
            events: |said, _| {
                let mut events = words(said, "reasoning");
                for (name, arguments) in &said.calls {
                    events.push(part(json!({"role": "assistant", "content": "",
                        "tool_calls": [{"index": 0, "id": "", "type": "function", "function": {"name": name, "arguments": arguments.to_string()}}]})));
                }
                events.push(data(&chunk(
                    json!({"role": "assistant", "content": ""}),
                    json!("stop"),
                )));
                events.push(data(&json!({"id": "c-1", "choices": [], "usage": usage()})));
                events.push(done());
                events
            },
        },
        Gateway {
            dialect: "think-tags",
            model: "MiniMax-M2",
            path: "/v1/chat/completions",
            refuses: |_| None,
            // The thought is part of the text, cut wherever it happens to be.
            events: |said, turn| {
                let text = match said.thought {
                    "" => said.text.to_owned(),
                    thought => format!("<think>\n{thought}\n</think>\n\n{}", said.text),
                };
                let mut events = vec![part(json!({"role": "assistant", "content": ""}))];
                events.extend(
                    pieces(&text)
                        .iter()
                        .map(|piece| part(json!({"content": piece}))),
                );
                events.extend(calls_in_pieces(
                    said,
                    |index| format!("call_{turn}_{index}"),
                    &json!({}),
                ));
                events.extend(counted(said).iter().map(data));
                events.push(done());
                events
            },
        },
        Gateway {
            dialect: "openai",
            model: "gpt-5.5",
            path: "/v1/chat/completions",
            refuses: |request| {
                let body = &request.body;
                match () {
                    () if body.get("max_tokens").is_some() => {
                        Some("Unsupported parameter: 'max_tokens'")
                    }
                    () if body["messages"][0]["role"] != "developer" => {
                        Some("no developer message")
                    }
                    () => None,
                }
            },
            events: |said, turn| plain(said, turn, "unheard_of", counted(said)),
        },
        Gateway {
            dialect: "azure",
            model: "gpt-4.1",
            path: "/openai/v1/chat/completions",
            refuses: |request| {
                let key = request
                    .headers
                    .get("api-key")
                    .and_then(|key| key.to_str().ok());
                (key != Some(KEY)).then_some("Access denied due to invalid subscription key")
            },
            events: |said, turn| {
                let filtered = json!({"choices": [], "id": "", "object": "", "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]});
                let mut events = vec![data(&filtered)];
                events.extend(plain(said, turn, "unheard_of", counted(said)));
                events
            },
        },
        Gateway {
            dialect: "kimi",
            model: "kimi-k2.5",
            path: "/v1/chat/completions",
            refuses: |request| {
                turns_with_calls(request)
                    .any(|turn| !turn["reasoning_content"].is_string())
                    .then_some("thinking is enabled but reasoning_content is missing in assistant tool call message")
            },
            // Ids that begin anew with each answer, and usage within the choice.
            events: |said, turn| {
                let mut events = vec![part(json!({"role": "assistant", "content": ""}))];
                events.extend(words(said, "reasoning_content"));
                events.extend(calls_in_pieces(
                    said,
                    |index| format!("functions.{}:{}", said.calls[index].0, turn + index),
                    &json!({}),
                ));
                let mut last = chunk(json!({}), reason(said));
                last["choices"][0]["usage"] = usage();
                events.extend([data(&last), done()]);
                events
            },
        },
        Gateway {
            dialect: "glm",
            model: "glm-4.6",
            path: "/v1/chat/completions",
            refuses: |request| {
                (request.body["tool_stream"] != true).then_some("not streaming arguments")
            },
            events: |said, turn| {
                let last = with(
                    chunk(json!({"role": "assistant", "content": ""}), reason(said)),
                    "usage",
                    usage(),
                );
                plain(said, turn, "reasoning_content", vec![last])
            },
        },
        Gateway {
            dialect: "mistral",
            model: "magistral-medium-latest",
            path: "/v1/chat/completions",
            refuses: |request| match () {
                () if request.body.get("stream_options").is_some() => {
                    Some("Extra inputs are not permitted")
                }
                () if call_ids(request)
                    .any(|id| id.len() != 9 || !id.bytes().all(|b| b.is_ascii_alphanumeric())) =>
                {
                    Some("Tool call id has to be a-z, A-Z, 0-9, with a length of 9")
                }
                () if request
                    .messages()
                    .windows(2)
                    .any(|pair| pair[0]["role"] == "tool" && pair[1]["role"] == "user") =>
                {
                    Some("Unexpected role 'user' after role 'tool'")
                }
                () => None,
            },
            // Reasoning as parts of the content, and whole calls.
            events: |said, turn| {
                let mut events = vec![part(json!({"role": "assistant", "content": ""}))];
                for piece in pieces(said.thought) {
                    let thought = json!([{"type": "thinking", "thinking": [{"type": "text", "text": piece}]}]);
                    events.push(part(json!({"content": thought})));
                }
                events.extend(
                    pieces(said.text)
                        .iter()
                        .map(|piece| part(json!({"content": piece}))),
                );
                events.extend(calls_whole(said, |index| format!("Zx{turn}Kq{index}Lm4")));
                events.push(data(&with(
                    chunk(json!({"content": ""}), reason(said)),
                    "usage",
                    usage(),
                )));
                events.push(done());
                events
            },
        },
        Gateway {
            dialect: "gemini",
            model: "gemini-3-pro",
            path: "/v1beta/openai/chat/completions",
            refuses: |request| {
                let unsigned = turns_with_calls(request).any(|turn| {
                    turn["tool_calls"][0]["extra_content"]["google"]["thought_signature"] != "s/+="
                });
                let tools = request.body["tools"].to_string();
                match () {
                    () if unsigned => Some("Function call is missing a thought_signature"),
                    () if ["$schema", "additionalProperties", "exclusiveMinimum"]
                        .iter()
                        .any(|word| tools.contains(word)) =>
                    {
                        Some("Invalid JSON payload received. Unknown name at 'tools[0]'")
                    }
                    () => None,
                }
            },
            // Whole calls without an index, the first one signed; the reason is `stop`.
            events: |said, turn| {
                let mut events: Vec<String> = pieces(said.text)
                    .iter()
                    .map(|piece| part(json!({"role": "assistant", "content": piece})))
                    .collect();
                for (index, (name, arguments)) in said.calls.iter().enumerate() {
                    let mut call = json!({"id": format!("function-call-{turn}{index}"), "type": "function",
                        "function": {"name": name, "arguments": arguments.to_string()}});
                    if index == 0 {
                        call["extra_content"] = json!({"google": {"thought_signature": "s/+="}});
                    }
                    events.push(part(json!({"role": "assistant", "tool_calls": [call]})));
                }
                events.push(data(&with(
                    chunk(json!({"role": "assistant"}), json!("stop")),
                    "usage",
                    usage(),
                )));
                events.push(done());
                events
            },
        },
        Gateway {
            dialect: "vllm",
            model: "qwen3",
            path: "/v1/chat/completions",
            refuses: |_| None,
            // Usage in every chunk, and text beside the beginning of a call.
            events: |said, turn| {
                let mut events = vec![part(json!({"role": "assistant", "content": ""}))];
                events.extend(words(said, "reasoning"));
                events.extend(calls_in_pieces(
                    said,
                    |index| format!("chatcmpl-tool-{turn}{index}ab"),
                    &json!({}),
                ));
                events.extend(counted(said).iter().map(data));
                let mut events: Vec<String> = events
                    .iter()
                    .map(|event| {
                        event.replacen(
                            '{',
                            "{\"usage\":{\"prompt_tokens\":1200,\"completion_tokens\":1},",
                            1,
                        )
                    })
                    .collect();
                let last = events.len() - 1;
                events[last] = data(&json!({"id": "c-1", "choices": [], "usage": usage()}));
                events.push(done());
                events
            },
        },
        Gateway {
            dialect: "one-api",
            model: "any",
            path: "/v1/chat/completions",
            refuses: |request| {
                request
                    .body
                    .get("parallel_tool_calls")
                    .map(|_| "unknown field")
            },
            // An empty reason in every chunk, no usage, no end.
            events: |said, turn| {
                let mut events = plain(
                    said,
                    turn,
                    "reasoning_content",
                    vec![chunk(json!({}), reason(said))],
                );
                events.pop();
                events
                    .iter()
                    .map(|event| event.replace("\"finish_reason\":null", "\"finish_reason\":\"\""))
                    .collect()
            },
        },
        Gateway {
            dialect: "groq",
            model: "openai/gpt-oss-120b",
            path: "/v1/chat/completions",
            refuses: |request| {
                let body = request.body.to_string();
                match () {
                    () if body.contains("reasoning_content") => {
                        Some("property 'reasoning_content' is unsupported")
                    }
                    () if body.contains("$schema") => Some("unknown keyword $schema"),
                    () => None,
                }
            },
            events: |said, turn| {
                let mut events = vec![part(json!({"role": "assistant", "content": null}))];
                events.extend(words(said, "reasoning"));
                events.extend(calls_whole(said, |index| format!("fc_{turn}{index}")));
                let last = chunk(json!({}), reason(said));
                events.push(data(&with(
                    last,
                    "x_groq",
                    json!({"id": "req_1", "usage": usage()}),
                )));
                events.push(done());
                events
            },
        },
    ]
}

/// The double of a gateway.
fn double_of(gateway: &Gateway) -> ScriptedGateway {
    let (path, refuses, events) = (gateway.path, gateway.refuses, gateway.events);
    let script = Script::new(move |request| {
        if request.path != path {
            return Reply::error(404, "not_found", &format!("no route {}", request.path));
        }
        if let Some(why) = malformed(request).or_else(|| refuses(request)) {
            return Reply::error(400, "invalid_request_error", why);
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

fn does_its_work(gateway: &Gateway) {
    let name = gateway.dialect;
    let repository = broken_sum();
    let double = double_of(gateway);
    let root = double.base_url();
    let worker = Worker::new(BINARY, &repository, &double)
        // Without its version: the dialect knows its paths.
        .set("ONEAPI_BASE_URL", root.trim_end_matches("/v1"))
        .set("ONEAPI_API_KEY", KEY)
        .set("CLAUDE_MODEL", gateway.model)
        .set("WORKER_DIALECT", name);
    let job = json!({
        "prompt": "Mend sum().",
        "allowed_dirs": [repository.path()],
        "scoped_patch": {"paths": ["src"]},
        "checks": [{"name": "unit tests", "command": "npm test"}],
    });
    let result = run_job(&mut worker.serve(), job);
    assert_eq!(result["job_status"], "completed", "{name}: {result}");
    assert_eq!(
        result["checks"],
        json!(["scoped_patch: passed (src)", "unit tests: passed"]),
        "{name}: {result}"
    );
    assert_eq!(
        repository.read("src/a.js"),
        "exports.sum = (a, b) => a + b;\n",
        "{name}"
    );
    let requests = double.requests();
    assert_eq!(requests.len(), 4, "{name}: one request a turn");
    // What the agent saw: both files, in the order in which it asked for them, and the tests.
    let results = requests[3].texts("tool");
    for (result, word) in results
        .iter()
        .zip(["exports.sum", "node:assert", "updated", "pass 1"])
    {
        assert!(result.contains(word), "{name}: {word} not in {result}");
    }
    assert_eq!(results.len(), 4, "{name}");
    worker.assert_no_process_left();
}

#[test]
fn claude_code_does_its_work_through_dialects() {
    let all = std::env::var("WORKER_TEST_DIALECTS").is_ok_and(|which| which == "all");
    let gateways = gateways();
    let some = if all { gateways.len() } else { 5 };
    for gateway in &gateways[..some] {
        does_its_work(gateway);
    }
}

/// Each gateway that is played here has a preset of its name.
#[test]
fn every_gateway_here_has_a_preset() {
    let presets = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../plugins/declared/presets/gateways");
    let missing: Vec<&str> = gateways()
        .iter()
        .map(|gateway| gateway.dialect)
        .filter(|name| !presets.join(format!("{name}.toml")).is_file())
        .collect();
    assert_eq!(missing, [""; 0]);
}
