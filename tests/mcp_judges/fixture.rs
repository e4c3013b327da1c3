//! The tools, prompts and resources that the conformance suite asks for, behind the product's own HTTP layer and its own
//! Tasks layer. What those two do wrong, the suite can see here and not with the product's eight tools.

#![allow(
    deprecated,
    reason = "the suite of 2025-11-25 asks for what later revisions took away"
)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use mcp_codex_worker::mcp::http::{HttpOptions, HttpServer, Tokens};
use mcp_codex_worker::mcp::tasks::{self, Standing, TaskStore};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, ClientCapabilities,
    CompleteRequestParams, CompleteResult, ErrorCode, ErrorData, GetPromptRequestParams,
    GetPromptResponse, GetTaskParams, GetTaskResult, Implementation, InputRequests,
    InputRequiredResult, InputResponses, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ProtocolVersion,
    ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig,
    SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter, TaskPayload, Tool,
    UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::{RoleServer, ServerHandler};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

type Answer = Result<CallToolResponse, ErrorData>;

/// One red pixel.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8Dwn4EIAABEAAMB7eEcXAAAAABJRU5ErkJggg==";
/// No sound.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=";
/// Between two words of a tool that reports: the suite wants to see them apart.
const PAUSE: Duration = Duration::from_millis(50);

/// The server of the fixtures; ended when this is dropped.
pub(super) struct FixtureServer {
    pub(super) url: String,
    pub(super) token: String,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl FixtureServer {
    /// Serves callers from a page of this origin, beside those that are no page.
    pub(super) fn begin(origin: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let tokens = Tokens::of(&path).unwrap();
        let token = std::fs::read_to_string(&path).unwrap().trim().to_owned();
        let options = HttpOptions {
            address: ([127, 0, 0, 1], 0).into(),
            tokens,
            allow_remote: false,
            tls: None,
            behind_proxy: false,
            hosts: Vec::new(),
            origins: vec![origin.to_owned()],
        };
        let stop = CancellationToken::new();
        let (sender, receiver) = std::sync::mpsc::channel();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let fixture = Fixture::new();
                let server = HttpServer::bind(options, stopped, move || fixture.clone());
                let server = server.await.unwrap();
                sender.send(server.url().unwrap()).unwrap();
                server.run().await;
            });
        });
        Self {
            url: receiver.recv().unwrap(),
            token,
            stop,
            thread: Some(thread),
            _folder: folder,
        }
    }
}

impl Drop for FixtureServer {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A list that changed.
#[derive(Debug, Clone, Copy)]
enum Change {
    Tools,
    Prompts,
}

#[derive(Clone)]
struct Fixture {
    tasks: FixtureTasks,
    changes: broadcast::Sender<Change>,
}

impl Fixture {
    fn new() -> Self {
        Self {
            tasks: FixtureTasks::default(),
            changes: broadcast::channel(16).0,
        }
    }
}

/// What is written as JSON here and is a type of MCP.
fn typed<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_else(|fault| panic!("{fault}: {value}"))
}

fn content(blocks: Value) -> Answer {
    Ok(CallToolResult::success(typed(blocks)).into())
}

fn said(text: impl Into<String>) -> Answer {
    content(json!([{ "type": "text", "text": text.into() }]))
}

fn failed(text: &str) -> CallToolResult {
    CallToolResult::error(typed(json!([{ "type": "text", "text": text }])))
}

/// A form with these fields.
fn form(message: &str, properties: Value) -> Value {
    let required: Vec<&String> = properties.as_object().unwrap().keys().collect();
    let schema = json!({ "type": "object", "required": required, "properties": properties });
    json!({ "method": "elicitation/create", "params": { "message": message, "requestedSchema": schema } })
}

fn name_form(message: &str) -> Value {
    form(message, json!({ "name": { "type": "string" } }))
}

fn sampling(text: &str, max_tokens: u32) -> Value {
    let message = json!({ "role": "user", "content": { "type": "text", "text": text } });
    json!({ "method": "sampling/createMessage", "params": { "messages": [message], "maxTokens": max_tokens } })
}

fn roots() -> Value {
    json!({ "method": "roots/list", "params": {} })
}

/// Asks the client back by the result.
fn needs(requests: Value, state: Option<&str>) -> InputRequiredResult {
    InputRequiredResult::new(Some(typed(requests)), state.map(seal))
}

/// A field of a form that was sent back filled in.
fn filled<'a>(responses: &'a InputResponses, key: &str, field: &str) -> Option<&'a str> {
    let response = responses.get(key)?;
    (response["action"] == "accept")
        .then(|| response["content"][field].as_str())
        .flatten()
}

/// A state that its client cannot change unseen.
fn seal(state: &str) -> String {
    let digest = Sha256::digest(format!("a key of this process\0{state}"));
    format!("{state}.{}", hex::encode(digest))
}

/// The state that was sealed; none where there is none.
fn open(sealed: Option<&str>) -> Result<Option<&str>, ErrorData> {
    let Some(sealed) = sealed else {
        return Ok(None);
    };
    match sealed.split_once('.') {
        Some((state, _)) if seal(state) == sealed => Ok(Some(state)),
        _ => Err(ErrorData::invalid_params(
            "requestState is not as it was sent",
            None,
        )),
    }
}

fn is_newest(context: &RequestContext<RoleServer>) -> bool {
    context
        .protocol_version()
        .is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
}

/// Asks the client back by a request of its own, as the revisions before 2026-07-28 do.
async fn asked(
    context: &RequestContext<RoleServer>,
    request: Value,
) -> Result<Value, CallToolResult> {
    match context.peer.send_request(typed(request)).await {
        Ok(answer) => Ok(serde_json::to_value(answer).unwrap()),
        Err(fault) => Err(failed(&fault.to_string())),
    }
}

async fn told(context: &RequestContext<RoleServer>, method: &str, params: Value) {
    let note = typed(json!({ "method": method, "params": params }));
    let _ = context.peer.send_notification(note).await;
}

async fn form_filled(context: &RequestContext<RoleServer>, head: &str, form: Value) -> Answer {
    Ok(match asked(context, form).await {
        Ok(answer) => {
            let (action, content) = (&answer["action"], &answer["content"]);
            let action = action.as_str().unwrap_or_default();
            return said(format!("{head}: action={action}, content={content}"));
        }
        Err(failed) => failed.into(),
    })
}

fn without(capability: ClientCapabilities) -> ErrorData {
    ErrorData::missing_required_client_capability(capability)
}

impl Fixture {
    async fn tool(
        &self,
        request: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Answer {
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        match &*request.name {
            "test_simple_text" => said("This is a simple text response for testing."),
            "test_image_content" => {
                content(json!([{ "type": "image", "data": PNG, "mimeType": "image/png" }]))
            }
            "test_audio_content" => {
                content(json!([{ "type": "audio", "data": WAV, "mimeType": "audio/wav" }]))
            }
            "test_embedded_resource" => content(json!([{ "type": "resource", "resource": {
                "uri": "test://embedded-resource", "mimeType": "text/plain",
                "text": "This is an embedded resource content.",
            }}])),
            "test_multiple_content_types" => content(json!([
                { "type": "text", "text": "Multiple content types test:" },
                { "type": "image", "data": PNG, "mimeType": "image/png" },
                { "type": "resource", "resource": {
                    "uri": "test://mixed-content-resource", "mimeType": "application/json",
                    "text": r#"{"test":"data","value":123}"#,
                }},
            ])),
            "test_error_handling" => {
                Ok(failed("This tool intentionally returns an error for testing").into())
            }
            "test_tool_with_logging" => {
                for text in [
                    "Tool execution started",
                    "Tool processing data",
                    "Tool execution completed",
                ] {
                    let params = json!({ "level": "info", "data": text });
                    told(context, "notifications/message", params).await;
                    tokio::time::sleep(PAUSE).await;
                }
                said("It logged.")
            }
            "test_tool_with_progress" => {
                for progress in [0, 50, 100] {
                    if let Some(token) = context.meta.get_progress_token() {
                        let params =
                            json!({ "progressToken": token, "progress": progress, "total": 100 });
                        told(context, "notifications/progress", params).await;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                said("It went on.")
            }
            "test_sampling" => {
                let prompt = arguments["prompt"].as_str().unwrap_or_default();
                match asked(context, sampling(prompt, 100)).await {
                    Ok(answer) => {
                        let text = answer["content"]["text"].as_str();
                        said(format!("LLM response: {}", text.unwrap_or_default()))
                    }
                    Err(failed) => Ok(failed.into()),
                }
            }
            "test_elicitation" => {
                let message = arguments["message"].as_str().unwrap_or_default();
                let fields = json!({
                    "username": { "type": "string", "description": "User's response" },
                    "email": { "type": "string", "description": "User's email address" },
                });
                form_filled(context, "User response", form(message, fields)).await
            }
            "test_elicitation_sep1034_defaults" => {
                let fields = json!({
                    "name": { "type": "string", "default": "John Doe" },
                    "age": { "type": "integer", "default": 30 },
                    "score": { "type": "number", "default": 95.5 },
                    "status": { "type": "string", "enum": ["active", "inactive", "pending"], "default": "active" },
                    "verified": { "type": "boolean", "default": true },
                });
                form_filled(context, "Elicitation completed", form("Defaults", fields)).await
            }
            "test_elicitation_sep1330_enums" => {
                let titled = |kind: &str| {
                    let of = |number: &str| json!({ "const": format!("value{number}"), "title": format!("{kind} {number}") });
                    json!([of("1"), of("2"), of("3")])
                };
                let plain = json!(["option1", "option2", "option3"]);
                let fields = json!({
                    "untitledSingle": { "type": "string", "enum": plain },
                    "titledSingle": { "type": "string", "oneOf": titled("Option") },
                    "legacyEnum": {
                        "type": "string", "enum": ["opt1", "opt2", "opt3"],
                        "enumNames": ["Option One", "Option Two", "Option Three"],
                    },
                    "untitledMulti": { "type": "array", "items": { "type": "string", "enum": plain } },
                    "titledMulti": { "type": "array", "items": { "anyOf": titled("Choice") } },
                });
                form_filled(context, "Elicitation completed", form("Enums", fields)).await
            }
            "test_missing_capability" => {
                let capabilities = context.client_capabilities().unwrap_or_default();
                if capabilities.sampling.is_none() {
                    return Err(without(typed(json!({ "sampling": {} }))));
                }
                said("Sampling is there.")
            }
            "test_streaming_elicitation" => Ok(needs(
                json!({ "user_name": name_form("What is your name?") }),
                None,
            )
            .into()),
            // No log without the level that its client asks for.
            "test_logging_tool" => said("Nothing to log."),
            "test_trigger_tool_change" => {
                let _ = self.changes.send(Change::Tools);
                said("The tools changed.")
            }
            "test_trigger_prompt_change" => {
                let _ = self.changes.send(Change::Prompts);
                said("The prompts changed.")
            }
            name if name.starts_with("test_input_required_result_") => asking_back(
                name,
                &request.input_responses.unwrap_or_default(),
                open(request.request_state.as_deref())?,
                &context.client_capabilities().unwrap_or_default(),
            ),
            name => {
                let responses = request.input_responses.unwrap_or_default();
                self.task_tool(name, &arguments, &responses, tasks::declared(context))
                    .await
            }
        }
    }

    /// The tools of the Tasks extension; those that are named `required` do nothing without.
    async fn task_tool(
        &self,
        name: &str,
        arguments: &Value,
        responses: &InputResponses,
        with_tasks: bool,
    ) -> Answer {
        let required = || without(ClientCapabilities::builder().enable_tasks().build());
        match name {
            "greet" => {
                let name = arguments["name"].as_str().unwrap_or_default();
                said(format!("Hello, {name}!"))
            }
            "slow_compute" => {
                let seconds = arguments["seconds"].as_u64().unwrap_or(0);
                let work = async move {
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                    CallToolResult::success(typed(json!([{ "type": "text", "text": "Computed." }])))
                };
                if !with_tasks || seconds == 0 {
                    return Ok(work.await.into());
                }
                Ok(self
                    .tasks
                    .begin(|_| async move { tasks::completed(work.await) }))
            }
            "failing_job" | "protocol_error_job" | "test_tool_with_task" if !with_tasks => {
                Err(required())
            }
            "failing_job" => Ok(self.tasks.begin(|_| async move {
                tokio::time::sleep(PAUSE).await;
                tasks::completed(failed("The job failed."))
            })),
            "protocol_error_job" => Ok(self.tasks.begin(|_| async move {
                let error = json!({ "code": -32603, "message": "The job broke." });
                TaskPayload::Failed {
                    error: typed(error),
                }
            })),
            "confirm_delete" | "multi_input" if !with_tasks => Err(required()),
            "confirm_delete" => {
                let confirm = form("Delete it?", json!({ "confirm": { "type": "boolean" } }));
                Ok(self.tasks.asking(json!({ "confirm": confirm })))
            }
            "multi_input" => Ok(self.tasks.asking(
                json!({ "first": name_form("First name?"), "second": name_form("Second name?") }),
            )),
            "test_tool_with_task" => match filled(responses, "user_name", "name") {
                None => {
                    let asked = json!({ "user_name": name_form("What is your name?") });
                    Ok(needs(asked, Some("name")).into())
                }
                Some(name) => {
                    let text = json!([{ "type": "text", "text": format!("Hello, {name}!") }]);
                    Ok(self.tasks.begin(|_| async move {
                        tasks::completed(CallToolResult::success(typed(text)))
                    }))
                }
            },
            _ => Err(ErrorData::invalid_params("no such tool", None)),
        }
    }
}

/// The tools that ask their client back by a result, `state` being what they gave it to bring along.
fn asking_back(
    name: &str,
    responses: &InputResponses,
    state: Option<&str>,
    client: &ClientCapabilities,
) -> Answer {
    let sampled = |key: &str| {
        let text = responses.get(key)?.pointer("/content/text")?.as_str()?;
        Some(text.to_owned())
    };
    let listed = |key: &str| Some(responses.get(key)?.get("roots")?.as_array()?.len());
    let again = |requests: Value, state: Option<&str>| Ok(needs(requests, state).into());
    let user_name = || name_form("What is your name?");
    match name.trim_start_matches("test_input_required_result_") {
        "elicitation" => match filled(responses, "user_name", "name") {
            Some(name) => said(format!("Hello, {name}!")),
            None => again(json!({ "user_name": user_name() }), None),
        },
        "sampling" => match sampled("capital_question") {
            Some(text) => said(text),
            None => {
                let question = sampling("What is the capital of France?", 100);
                again(json!({ "capital_question": question }), None)
            }
        },
        "list_roots" => match listed("client_roots") {
            Some(_) => said(format!("Roots: {}", responses["client_roots"]["roots"])),
            None => again(json!({ "client_roots": roots() }), None),
        },
        "request_state" | "tampered_state" => match (state, responses.contains_key("confirm")) {
            (Some("confirm"), true) => said("state-ok"),
            _ => {
                let confirm = form("Please confirm", json!({ "ok": { "type": "boolean" } }));
                again(json!({ "confirm": confirm }), Some("confirm"))
            }
        },
        "multiple_inputs" => {
            let all = (
                filled(responses, "user_name", "name"),
                sampled("greeting"),
                listed("client_roots"),
            );
            match (state, all) {
                (Some("all"), (Some(name), Some(greeting), Some(roots))) => {
                    said(format!("{greeting}, {name} of {roots} roots"))
                }
                _ => {
                    let greeting = sampling("Generate a greeting", 50);
                    let asked = json!({ "user_name": user_name(), "greeting": greeting, "client_roots": roots() });
                    again(asked, Some("all"))
                }
            }
        }
        "multi_round" => {
            let first = filled(responses, "step1", "name");
            let second = filled(responses, "step2", "color");
            match (state, first, second) {
                (Some("step 2"), _, Some(color)) => said(format!("It is {color}.")),
                (Some("step 1"), Some(_), _) => {
                    let color = json!({ "color": { "type": "string" } });
                    let asked = form("Step 2: What is your favorite color?", color);
                    again(json!({ "step2": asked }), Some("step 2"))
                }
                _ => {
                    let asked = name_form("Step 1: What is your name?");
                    again(json!({ "step1": asked }), Some("step 1"))
                }
            }
        }
        "capabilities" => {
            let mut requests = serde_json::Map::new();
            if client.elicitation.is_some() {
                requests.insert("user_name".to_owned(), user_name());
            }
            if client.sampling.is_some() {
                requests.insert("greeting".to_owned(), sampling("Generate a greeting", 50));
            }
            match requests.keys().all(|key| responses.contains_key(key)) {
                true => said("Nothing to ask."),
                false => again(requests.into(), None),
            }
        }
        _ => Err(ErrorData::invalid_params("no such tool", None)),
    }
}

const TOOLS: &[&str] = &[
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_error_handling",
    "test_tool_with_logging",
    "test_tool_with_progress",
    "test_sampling",
    "test_elicitation",
    "test_elicitation_sep1034_defaults",
    "test_elicitation_sep1330_enums",
    "test_missing_capability",
    "test_streaming_elicitation",
    "test_logging_tool",
    "test_trigger_tool_change",
    "test_trigger_prompt_change",
    "test_input_required_result_elicitation",
    "test_input_required_result_sampling",
    "test_input_required_result_list_roots",
    "test_input_required_result_request_state",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
    "test_input_required_result_tampered_state",
    "test_input_required_result_capabilities",
    "greet",
    "slow_compute",
    "failing_job",
    "protocol_error_job",
    "confirm_delete",
    "multi_input",
    "test_tool_with_task",
];

impl ServerHandler for Fixture {
    fn get_info(&self) -> ServerConfig {
        let capabilities: ServerCapabilities = typed(json!({
            "tools": { "listChanged": true },
            "prompts": { "listChanged": true },
            "resources": { "subscribe": true },
            "completions": {},
            "logging": {},
            "extensions": { "io.modelcontextprotocol/tasks": {} },
        }));
        let mut config = ServerConfig::new(capabilities);
        config.protocol_version = ProtocolVersion::LATEST_WITH_INITIALIZE;
        config.server_info = Implementation::new("conformance-fixture", "1");
        config
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tool = |name: &'static str| {
            let schema = typed(json!({ "type": "object", "properties": {} }));
            Tool::new(
                name,
                format!("The suite's fixture {name}."),
                Arc::new(schema),
            )
        };
        Ok(ListToolsResult::with_all_items(
            TOOLS.iter().map(|name| tool(name)).collect(),
        ))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Answer {
        self.tool(request, &context).await
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        tasks::get(&self.tasks, &request.task_id).await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        tasks::cancel(&self.tasks, &request.task_id).await
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        tasks::update(&self.tasks, &request.task_id, request.input_responses).await
    }

    async fn complete(
        &self,
        _request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let values = json!({ "values": ["paris", "park", "party"], "total": 3, "hasMore": false });
        Ok(typed(
            json!({ "resultType": "complete", "completion": values }),
        ))
    }

    async fn set_level(
        &self,
        _request: SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        match is_newest(&context) {
            true => Err(ErrorData::new(
                ErrorCode::METHOD_NOT_FOUND,
                "each request says its level",
                None,
            )),
            false => Ok(()),
        }
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let argument = |name: &str| json!({ "name": name, "description": name, "required": true });
        let prompt = |name: &str, arguments: Value| json!({ "name": name, "description": name, "arguments": arguments });
        Ok(typed(json!({ "resultType": "complete", "prompts": [
            prompt("test_simple_prompt", json!([])),
            prompt("test_prompt_with_arguments", json!([argument("arg1"), argument("arg2")])),
            prompt("test_prompt_with_embedded_resource", json!([argument("resourceUri")])),
            prompt("test_prompt_with_image", json!([])),
            prompt("test_input_required_result_prompt", json!([])),
        ]})))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let argument = |name: &str| arguments[name].as_str().unwrap_or_default().to_owned();
        let text = |text: String| json!({ "type": "text", "text": text });
        let contents = match request.name.as_str() {
            "test_simple_prompt" => vec![text("This is a simple prompt for testing.".to_owned())],
            "test_prompt_with_arguments" => {
                let (first, second) = (argument("arg1"), argument("arg2"));
                vec![text(format!(
                    "Prompt with arguments: arg1='{first}', arg2='{second}'"
                ))]
            }
            "test_prompt_with_embedded_resource" => vec![
                json!({ "type": "resource", "resource": {
                    "uri": argument("resourceUri"), "mimeType": "text/plain",
                    "text": "Embedded resource content for testing.",
                }}),
                text("Please process the embedded resource above.".to_owned()),
            ],
            "test_prompt_with_image" => vec![
                json!({ "type": "image", "data": PNG, "mimeType": "image/png" }),
                text("Please analyze the image above.".to_owned()),
            ],
            "test_input_required_result_prompt" => {
                let responses = request.input_responses.unwrap_or_default();
                match filled(&responses, "user_context", "context") {
                    Some(context) => vec![text(format!("In the context of {context}."))],
                    None => {
                        let fields = json!({ "context": { "type": "string" } });
                        let asked = form("What context should the prompt use?", fields);
                        return Ok(needs(json!({ "user_context": asked }), None).into());
                    }
                }
            }
            _ => return Err(ErrorData::invalid_params("no such prompt", None)),
        };
        let message = |content| json!({ "role": "user", "content": content });
        let messages: Vec<Value> = contents.into_iter().map(message).collect();
        Ok(GetPromptResponse::Complete(typed(
            json!({ "resultType": "complete", "messages": messages }),
        )))
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let resource = |name: &str, kind: &str| json!({ "uri": format!("test://{name}"), "name": name, "description": name, "mimeType": kind });
        Ok(typed(json!({ "resultType": "complete", "resources": [
            resource("static-text", "text/plain"),
            resource("static-binary", "image/png"),
            resource("watched-resource", "text/plain"),
        ]})))
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(typed(
            json!({ "resultType": "complete", "resourceTemplates": [{
                "uriTemplate": "test://template/{id}/data", "name": "template",
                "description": "template", "mimeType": "application/json",
            }]}),
        ))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let uri = request.uri.as_str();
        let path = uri.strip_prefix("test://").unwrap_or_default();
        let read = match path {
            "static-text" | "watched-resource" => {
                let text = "This is the content of the static text resource.";
                json!({ "uri": uri, "mimeType": "text/plain", "text": text })
            }
            "static-binary" => json!({ "uri": uri, "mimeType": "image/png", "blob": PNG }),
            path => {
                let id = path
                    .strip_prefix("template/")
                    .and_then(|rest| rest.strip_suffix("/data"));
                let Some(id) = id else {
                    let data = json!({ "uri": uri });
                    return Err(ErrorData::resource_not_found(
                        "no such resource",
                        Some(data),
                    ));
                };
                let data = format!("Data for ID: {id}");
                let text = json!({ "id": id, "templateTest": true, "data": data }).to_string();
                json!({ "uri": uri, "mimeType": "application/json", "text": text })
            }
        };
        Ok(ReadResourceResponse::Complete(typed(
            json!({ "resultType": "complete", "contents": [read] }),
        )))
    }

    async fn subscribe(
        &self,
        _request: SubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn unsubscribe(
        &self,
        _request: UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let mut changes = self.changes.subscribe();
        loop {
            let change = tokio::select! {
                () = context.cancelled() => return Ok(()),
                change = changes.recv() => change,
            };
            // One that this client did not ask for is held back by the sink.
            let _ = match change {
                Ok(Change::Tools) => context.sink().notify_tool_list_changed().await,
                Ok(Change::Prompts) => context.sink().notify_prompt_list_changed().await,
                Err(_) => return Ok(()),
            };
        }
    }
}

/// Tasks that are kept in memory, for the fixtures.
#[derive(Clone, Default)]
struct FixtureTasks(Arc<Mutex<HashMap<String, Entry>>>);

struct Entry {
    created: SystemTime,
    updated: SystemTime,
    payload: TaskPayload,
    stop: CancellationToken,
    answered: Arc<Notify>,
}

impl Entry {
    fn turn_into(&mut self, payload: TaskPayload) {
        self.payload = payload;
        self.updated = SystemTime::now();
    }

    fn standing(&self, id: &str) -> Standing {
        Standing {
            id: id.to_owned(),
            created: self.created,
            updated: self.updated,
            message: None,
            payload: self.payload.clone(),
        }
    }
}

impl FixtureTasks {
    fn with<T>(&self, id: &str, work: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        self.0.lock().unwrap().get_mut(id).map(work)
    }

    /// Begins a task; `work` gets what it is woken by when its client has answered all of its questions.
    fn begin<W>(&self, work: impl FnOnce(Arc<Notify>) -> W) -> CallToolResponse
    where
        W: Future<Output = TaskPayload> + Send + 'static,
    {
        let number = self.0.lock().unwrap().len();
        let id = format!("task-{number}");
        let (stop, answered) = (CancellationToken::new(), Arc::new(Notify::new()));
        let now = SystemTime::now();
        let entry = Entry {
            created: now,
            updated: now,
            payload: TaskPayload::Working,
            stop: stop.clone(),
            answered: Arc::clone(&answered),
        };
        let standing = entry.standing(&id);
        self.0.lock().unwrap().insert(id.clone(), entry);
        let (tasks, work) = (self.clone(), work(answered));
        tokio::spawn(async move {
            let payload = tokio::select! {
                () = stop.cancelled() => TaskPayload::Cancelled,
                payload = work => payload,
            };
            tasks.with(&id, |entry| entry.turn_into(payload));
        });
        tasks::begun(standing)
    }

    /// Begins a task that ends when its client has answered these.
    fn asking(&self, requests: Value) -> CallToolResponse {
        let done = json!([{ "type": "text", "text": "Answered." }]);
        let response = self.begin(|answered| async move {
            answered.notified().await;
            tasks::completed(CallToolResult::success(typed(done)))
        });
        if let CallToolResponse::Task(task) = &response {
            let input_requests: InputRequests = typed(requests);
            self.with(&task.task.task_id, |entry| {
                entry.turn_into(TaskPayload::InputRequired { input_requests });
            });
        }
        response
    }
}

impl TaskStore for FixtureTasks {
    async fn standing(&self, id: &str) -> Result<Option<Standing>, ErrorData> {
        Ok(self.with(id, |entry| entry.standing(id)))
    }

    async fn stop(&self, id: &str) -> Result<bool, ErrorData> {
        Ok(self.with(id, |entry| entry.stop.cancel()).is_some())
    }

    async fn respond(&self, id: &str, responses: InputResponses) -> Result<bool, ErrorData> {
        let known = self.with(id, |entry| {
            let TaskPayload::InputRequired { input_requests } = &mut entry.payload else {
                return;
            };
            input_requests.retain(|key, _| !responses.contains_key(key));
            if input_requests.is_empty() {
                entry.turn_into(TaskPayload::Working);
                entry.answered.notify_one();
            }
        });
        Ok(known.is_some())
    }
}
