//! Drives the real Codex against a scripted model.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::{fs, thread};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, Response, Uri};
use demo::loopback::Loopback;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::clients;

/// A Codex with a home of its own, whose model is a script.
pub struct Codex {
    program: PathBuf,
    home: TempDir,
    model: ScriptedModel,
    servers: String,
    /// The config as somebody else left it, instead of our own.
    adopted: Option<String>,
    trusts_hooks: bool,
}

impl Codex {
    /// The pinned Codex, no MCP server configured yet.
    pub fn with_model(plan: impl Fn(&Seen) -> Move + Send + Sync + 'static) -> Self {
        let home = tempfile::Builder::new()
            .prefix("codex-home-")
            .tempdir()
            .expect("a temporary folder");
        Self {
            program: clients::codex(),
            home,
            model: ScriptedModel::start(plan),
            servers: String::new(),
            adopted: None,
            trusts_hooks: false,
        }
    }

    /// The program, for callers that look for it on PATH.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Trusts every hook, as the user would.
    pub fn trust_hooks(&mut self) {
        self.trusts_hooks = true;
    }

    /// Lets somebody change its home, config.toml included; later runs go on with what was left there.
    pub fn set_up(&mut self, change: impl FnOnce(&Path)) {
        let config = self.write_config();
        change(self.home.path());
        self.adopted = Some(fs::read_to_string(config).expect("read config.toml"));
    }

    /// Runs `codex` with these arguments, and gives what it printed.
    pub fn print(&self, arguments: &[&str]) -> String {
        self.write_config();
        let output = Command::new(&self.program)
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .output()
            .expect("start codex");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Adds TOML to its `config.toml`, such as an `[mcp_servers.worker]` table.
    pub fn configure(&mut self, toml: &str) {
        self.servers.push_str(toml);
        self.servers.push('\n');
    }

    /// Runs `codex exec` to its end.
    pub fn exec(&self, directory: &Path, prompt: &str) -> Run {
        self.spawn(directory, prompt).finish()
    }

    /// Starts `codex exec`, with nothing in its environment but HOME, PATH and the model's key.
    pub fn spawn(&self, directory: &Path, prompt: &str) -> Running {
        self.write_config();
        let mut child = Command::new(&self.program)
            .args(["exec", "--json", "--skip-git-repo-check"])
            .args(
                self.trusts_hooks
                    .then_some("--dangerously-bypass-hook-trust"),
            )
            .arg("-C")
            .arg(directory)
            .arg(prompt)
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("SCRIPTED_MODEL_KEY", "none")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start codex");
        let lines = |pipe: Box<dyn std::io::Read + Send>| {
            thread::spawn(move || {
                BufReader::new(pipe)
                    .lines()
                    .map_while(Result::ok)
                    .collect::<Vec<String>>()
            })
        };
        let stdout = lines(Box::new(child.stdout.take().expect("stdout")));
        let stderr = lines(Box::new(child.stderr.take().expect("stderr")));
        Running {
            child,
            stdout,
            stderr,
        }
    }

    /// Every request that its model got, oldest first.
    pub fn seen(&self) -> Vec<Seen> {
        self.model.shared.seen.lock().expect("the record").clone()
    }

    fn write_config(&self) -> PathBuf {
        let folder = self.home.path().join(".codex");
        fs::create_dir_all(&folder).expect("create CODEX_HOME");
        let path = folder.join("config.toml");
        fs::write(&path, self.config()).expect("write config.toml");
        path
    }

    fn config(&self) -> String {
        if let Some(adopted) = &self.adopted {
            return adopted.clone();
        }
        format!(
            r#"model = "gpt-5.5"
model_provider = "scripted"

[model_providers.scripted]
name = "scripted"
base_url = "http://{}/v1"
wire_api = "responses"
env_key = "SCRIPTED_MODEL_KEY"
request_max_retries = 1
stream_max_retries = 1

[features]
enable_request_compression = false

{}"#,
            self.model.server.address(),
            self.servers
        )
    }
}

/// A `codex exec` at work.
pub struct Running {
    child: Child,
    stdout: thread::JoinHandle<Vec<String>>,
    stderr: thread::JoinHandle<Vec<String>>,
}

impl Running {
    /// `kill -9`, as by a crash or an impatient user.
    pub fn kill(mut self) {
        self.child.kill().expect("kill codex");
        self.child.wait().expect("wait for codex");
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Run {
        let status = self.child.wait().expect("wait for codex");
        let events = self
            .stdout
            .join()
            .expect("read codex")
            .into_iter()
            .filter_map(|line| serde_json::from_str(&line).ok());
        Run {
            status,
            events: events.collect(),
            stderr: self.stderr.join().expect("read codex").join("\n"),
        }
    }
}

/// A `codex exec` that has ended.
#[derive(Debug)]
pub struct Run {
    pub status: ExitStatus,
    /// The events that `--json` printed.
    pub events: Vec<Value>,
    pub stderr: String,
}

impl Run {
    /// The MCP tool calls that ended, in order.
    pub fn tool_calls(&self) -> Vec<&Value> {
        let items = self
            .events
            .iter()
            .filter(|event| event["type"] == "item.completed")
            .map(|event| &event["item"]);
        items
            .filter(|item| item["type"] == "mcp_tool_call")
            .collect()
    }
}

/// The next move of Codex's model.
#[derive(Debug, Clone)]
pub enum Move {
    /// Searches the tools that Codex did not show at once.
    Search(String),
    /// Calls a tool of an MCP server.
    Call {
        server: String,
        tool: String,
        arguments: Value,
    },
    /// Says something, which ends the turn.
    Say(String),
}

impl Move {
    pub fn call(tool: &str, arguments: Value) -> Self {
        Self::Call {
            server: "worker".into(),
            tool: tool.into(),
            arguments,
        }
    }
}

/// A request that Codex sent to its model.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The body of `POST /v1/responses`.
    pub body: Value,
    /// Moves that are no longer in the conversation, since Codex made a summary of it.
    before: usize,
}

impl Seen {
    fn items(&self, kind: &'static str) -> impl Iterator<Item = &Value> {
        self.body["input"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(move |item| item["type"] == kind)
    }

    /// The number of moves the model made before.
    pub fn step(&self) -> usize {
        self.before
            + self.items("function_call_output").count()
            + self.items("tool_search_output").count()
    }

    /// Returns true if Codex asks for a summary, because the conversation fills the model's
    /// context.
    pub fn asks_for_summary(&self) -> bool {
        self.body["input"]
            .as_array()
            .and_then(|input| input.last())
            .is_some_and(|last| last.to_string().contains("CONTEXT CHECKPOINT COMPACTION"))
    }

    /// The tool results as the model reads them, oldest first.
    pub fn outputs(&self) -> Vec<String> {
        self.items("function_call_output")
            .map(|item| match &item["output"] {
                Value::String(text) => text.clone(),
                parts => {
                    let parts = parts
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter_map(|part| part["text"].as_str());
                    parts.collect::<Vec<_>>().join("\n")
                }
            })
            .collect()
    }

    /// The tool results that are JSON, without Codex's line about the wall time.
    pub fn replies(&self) -> Vec<Value> {
        let outputs = self.outputs();
        outputs
            .iter()
            .map(|output| serde_json::from_str(after_header(output)).unwrap_or(Value::Null))
            .collect()
    }

    /// The results of the tool searches, oldest first: lists of namespaces with their tools.
    pub fn found(&self) -> Vec<Value> {
        self.items("tool_search_output")
            .map(|item| item["tools"].clone())
            .collect()
    }
}

fn after_header(output: &str) -> &str {
    output
        .split_once("Output:\n")
        .map_or(output, |(_, reply)| reply)
}

/// An endpoint for `POST /v1/responses` whose answers come from a script.
struct ScriptedModel {
    server: Loopback,
    shared: Arc<Shared>,
}

struct Shared {
    plan: Box<dyn Fn(&Seen) -> Move + Send + Sync>,
    seen: Mutex<Vec<Seen>>,
    /// Moves that Codex's summaries have taken out of the conversation.
    summarized: AtomicUsize,
}

impl ScriptedModel {
    fn start(plan: impl Fn(&Seen) -> Move + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared {
            plan: Box::new(plan),
            seen: Mutex::default(),
            summarized: AtomicUsize::new(0),
        });
        let router = Router::new()
            .fallback(respond)
            .with_state(Arc::clone(&shared));
        Self {
            server: Loopback::serve(router).expect("a loopback port"),
            shared,
        }
    }
}

async fn respond(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> Response<Body> {
    if method != Method::POST || !uri.path().ends_with("/responses") {
        let mut missing = Response::new(Body::from("{}"));
        *missing.status_mut() = axum::http::StatusCode::NOT_FOUND;
        return missing;
    }
    let seen = Seen {
        body: serde_json::from_slice(&body).expect("Codex sends JSON"),
        before: shared.summarized.load(Ordering::Relaxed),
    };
    shared.seen.lock().expect("the record").push(seen.clone());
    let step = seen.step();
    let id = format!("response-{step}");
    let next = if seen.asks_for_summary() {
        shared.summarized.store(step, Ordering::Relaxed);
        Move::Say("The last tool has answered; go on from there.".into())
    } else {
        (shared.plan)(&seen)
    };
    let item = match next {
        Move::Search(query) => json!({
            "type": "tool_search_call", "call_id": format!("call-{step}"), "execution": "client", "status": "completed",
            "arguments": {"query": query},
        }),
        Move::Call {
            server,
            tool,
            arguments,
        } => json!({
            "type": "function_call", "call_id": format!("call-{step}"), "namespace": format!("mcp__{server}"),
            "name": tool, "arguments": arguments.to_string(),
        }),
        Move::Say(text) => json!({
            "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}],
        }),
    };
    let usage = json!({
        "input_tokens": body.len() / 4, "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": item.to_string().len() / 4, "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": (body.len() + item.to_string().len()) / 4,
    });
    let events = [
        json!({"type": "response.created", "response": {"id": id}}),
        json!({"type": "response.output_item.done", "item": item}),
        json!({"type": "response.completed", "response": {"id": id, "usage": usage}}),
    ];
    let stream: String = events
        .iter()
        .map(|event| {
            format!(
                "event: {}\ndata: {event}\n\n",
                event["type"].as_str().unwrap_or_default()
            )
        })
        .collect();
    let mut response = Response::new(Body::from(stream));
    response.headers_mut().insert(
        "content-type",
        "text/event-stream".parse().expect("a header"),
    );
    response
}
