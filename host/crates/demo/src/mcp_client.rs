//! A small MCP client over stdio, as Codex is one: starts a server, shakes hands, lists its tools, calls them.
//!
//! It counts what a planner's model would have to read, and it lets raw requests through, because tests send wrong ones.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

/// The version Codex 0.169 asks for.
const PROTOCOL: &str = "2025-06-18";

/// A connected server; it is ended when this is dropped.
#[derive(Debug)]
pub struct McpClient {
    server: Child,
    stdin: Option<ChildStdin>,
    messages: Receiver<io::Result<Value>>,
    early: VecDeque<Value>,
    notifications: Vec<Value>,
    next_id: u64,
    handshake: Handshake,
    read_by_model: ReadByModel,
}

/// The server's description of itself.
#[derive(Debug, Clone, Default)]
pub struct Handshake {
    /// The answer to `initialize`.
    pub initialize: Value,
    /// The answer to `tools/list`.
    pub tools: Vec<Value>,
    /// From the spawn to the answer to `initialize`.
    pub answered_after: Duration,
}

/// Bytes that a planner's model reads and writes because of the server; at four bytes a token they are its costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadByModel {
    /// Instructions, and name, description and parameters of every tool.
    pub surface: usize,
    /// Arguments written.
    pub arguments: usize,
    /// Replies read.
    pub replies: usize,
    /// Tool calls, each of which makes the planner send its context once more.
    pub calls: usize,
}

/// The reason why a call got no reply.
#[derive(Debug, thiserror::Error)]
pub enum McpClientError {
    /// The server could not be started.
    #[error("the MCP server could not be started: {0}")]
    Start(#[source] io::Error),
    /// The server is gone.
    #[error("the MCP server ended while {method} was waiting for its answer")]
    Gone {
        /// The request.
        method: String,
    },
    /// No answer came.
    #[error("the MCP server did not answer {method} within {} s", patience.as_secs())]
    Silent {
        /// The request.
        method: String,
        /// The time that was waited.
        patience: Duration,
    },
    /// Something else than JSON-RPC came over stdout.
    #[error("the MCP server wrote something else than JSON-RPC to stdout: {0}")]
    Garbage(#[source] io::Error),
    /// The server answered with a JSON-RPC error.
    #[error("the MCP server refused {method}: {error}")]
    Refused {
        /// The request.
        method: String,
        /// The error object.
        error: Value,
    },
}

/// The answer of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolReply {
    /// The `structuredContent`, all that Codex's model reads; null when there was none.
    pub structured: Value,
    /// The text content.
    pub text: String,
    /// True if the call failed.
    pub is_error: bool,
}

impl McpClient {
    /// Starts the server and shakes hands with it. Its stderr goes where `command` says.
    ///
    /// # Errors
    /// When it cannot be started, or does not answer as an MCP server within `patience`.
    pub fn connect(mut command: Command, patience: Duration) -> Result<Self, McpClientError> {
        let started = Instant::now();
        let mut server = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(McpClientError::Start)?;
        let stdin = server.stdin.take();
        let (sender, messages) = mpsc::channel();
        if let Some(stdout) = server.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines() {
                    let message =
                        line.and_then(|line| serde_json::from_str(&line).map_err(io::Error::other));
                    if sender.send(message).is_err() {
                        return;
                    }
                }
            });
        }
        let mut client = Self {
            server,
            stdin,
            messages,
            early: VecDeque::new(),
            notifications: Vec::new(),
            next_id: 0,
            handshake: Handshake::default(),
            read_by_model: ReadByModel::default(),
        };
        let introduction = json!({
            "protocolVersion": PROTOCOL,
            "capabilities": {},
            "clientInfo": {"name": "mcp-codex-worker-demo", "version": env!("CARGO_PKG_VERSION")},
        });
        client.handshake.initialize = client.request("initialize", introduction, patience)?;
        client.handshake.answered_after = started.elapsed();
        client.notify("notifications/initialized", json!({}))?;
        let tools = client.request("tools/list", json!({}), patience)?;
        client.handshake.tools = tools["tools"].as_array().cloned().unwrap_or_default();
        client.read_by_model.surface = client.handshake.surface().to_string().len();
        Ok(client)
    }

    /// The server's description of itself.
    pub fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// The text that a planner's model had to read and write so far.
    pub fn read_by_model(&self) -> ReadByModel {
        self.read_by_model
    }

    /// The notifications that came so far.
    pub fn notifications(&self) -> &[Value] {
        &self.notifications
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.server.id()
    }

    /// Calls a tool.
    ///
    /// # Errors
    /// As [`Self::request`]; a tool that fails is a reply with `is_error`.
    pub fn call(
        &mut self,
        tool: &str,
        arguments: Value,
        patience: Duration,
    ) -> Result<ToolReply, McpClientError> {
        let id = self.send_call(tool, &arguments)?;
        let result = self.answer(id, tool, patience)?;
        Ok(self.reply(&result))
    }

    /// Calls a tool without waiting; the id is for [`Self::poll_call`].
    ///
    /// # Errors
    /// When the server is gone.
    pub fn send_call(&mut self, tool: &str, arguments: &Value) -> Result<u64, McpClientError> {
        self.read_by_model.calls += 1;
        self.read_by_model.arguments += arguments.to_string().len();
        let progress = self.next_id;
        self.send(
            "tools/call",
            json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": progress}}),
        )
    }

    /// The reply to a call that was sent before, if it comes in time.
    ///
    /// # Errors
    /// As [`Self::poll`].
    pub fn poll_call(
        &mut self,
        id: u64,
        tool: &str,
        patience: Duration,
    ) -> Result<Option<ToolReply>, McpClientError> {
        let result = self.poll(id, tool, patience)?;
        Ok(result.map(|result| self.reply(&result)))
    }

    fn reply(&mut self, result: &Value) -> ToolReply {
        let texts = result["content"].as_array().into_iter().flatten();
        let reply = ToolReply {
            structured: result.get("structuredContent").cloned().unwrap_or_default(),
            text: texts.filter_map(|part| part["text"].as_str()).collect(),
            is_error: result["isError"].as_bool().unwrap_or(false),
        };
        self.read_by_model.replies += reply.read_by_codex().len();
        reply
    }

    /// Sends any request and waits for its result.
    ///
    /// # Errors
    /// When the server is gone, silent, or answers with a JSON-RPC error.
    pub fn request(
        &mut self,
        method: &str,
        params: Value,
        patience: Duration,
    ) -> Result<Value, McpClientError> {
        let id = self.send(method, params)?;
        self.answer(id, method, patience)
    }

    /// Sends a request without waiting; the id is for [`Self::answer`].
    ///
    /// # Errors
    /// When the server is gone.
    pub fn send(&mut self, method: &str, params: Value) -> Result<u64, McpClientError> {
        let id = self.next_id;
        self.next_id += 1;
        self.write(
            method,
            &json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}),
        )?;
        Ok(id)
    }

    /// Waits for the result of a request that was sent before.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn answer(
        &mut self,
        id: u64,
        method: &str,
        patience: Duration,
    ) -> Result<Value, McpClientError> {
        self.poll(id, method, patience)?
            .ok_or_else(|| McpClientError::Silent {
                method: method.to_owned(),
                patience,
            })
    }

    /// The result of a request that was sent before, if it comes in time; notifications are kept meanwhile.
    ///
    /// # Errors
    /// When the server is gone, or answers with a JSON-RPC error.
    pub fn poll(
        &mut self,
        id: u64,
        method: &str,
        patience: Duration,
    ) -> Result<Option<Value>, McpClientError> {
        let deadline = Instant::now() + patience;
        let mut message = loop {
            if let Some(found) = self.early.iter().position(|message| message["id"] == id)
                && let Some(message) = self.early.remove(found)
            {
                break message;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let message = match self.messages.recv_timeout(left) {
                Ok(message) => message.map_err(McpClientError::Garbage)?,
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(McpClientError::Gone {
                        method: method.to_owned(),
                    });
                }
            };
            if message.get("id").is_some() {
                self.early.push_back(message);
            } else {
                self.notifications.push(message);
            }
        };
        match message.get("error") {
            Some(error) => Err(McpClientError::Refused {
                method: method.to_owned(),
                error: error.clone(),
            }),
            None => Ok(Some(
                message
                    .get_mut("result")
                    .map(Value::take)
                    .unwrap_or_default(),
            )),
        }
    }

    /// Sends a notification.
    ///
    /// # Errors
    /// When the server is gone.
    pub fn notify(&mut self, method: &str, params: Value) -> Result<(), McpClientError> {
        self.write(
            method,
            &json!({"jsonrpc": "2.0", "method": method, "params": params}),
        )
    }

    fn write(&mut self, method: &str, message: &Value) -> Result<(), McpClientError> {
        let gone = || McpClientError::Gone {
            method: method.to_owned(),
        };
        let stdin = self.stdin.as_mut().ok_or_else(gone)?;
        stdin
            .write_all(format!("{message}\n").as_bytes())
            .and_then(|()| stdin.flush())
            .map_err(|_| gone())
    }

    /// Closes stdin, as a client that goes away, and gives the exit status if the server ends within `patience`.
    pub fn hang_up(&mut self, patience: Duration) -> Option<ExitStatus> {
        drop(self.stdin.take());
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.server.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

impl Drop for McpClient {
    fn drop(&mut self) {
        const GRACE: Duration = Duration::from_secs(2);
        if self.hang_up(GRACE).is_none() {
            let _ = self.server.kill();
            let _ = self.server.wait();
        }
    }
}

impl Handshake {
    /// The part of the tool surface that Codex shows its model: instructions, and name, description and parameters of
    /// every tool, without the schema words that Codex drops (measured with Codex 0.169).
    pub fn surface(&self) -> Value {
        let tools = self.tools.iter().map(|tool| {
            json!({
                "name": tool["name"],
                "description": tool["description"],
                "parameters": as_shown(&tool["inputSchema"]),
            })
        });
        json!({"description": self.initialize["instructions"], "tools": tools.collect::<Vec<_>>()})
    }
}

impl ToolReply {
    /// The text that Codex's model reads of it: the structured content where there is one, else the
    /// text.
    pub fn read_by_codex(&self) -> String {
        if self.structured.is_null() {
            self.text.clone()
        } else {
            self.structured.to_string()
        }
    }
}

/// A schema without what Codex drops before its model sees it. Properties may bear these names, so their map is kept.
fn as_shown(schema: &Value) -> Value {
    const DROPPED: &[&str] = &[
        "$schema", "minimum", "maximum", "default", "format", "title",
    ];
    match schema {
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| !DROPPED.contains(&name.as_str()))
            .map(|(name, value)| match value {
                Value::Object(properties) if name == "properties" => {
                    let shown = properties
                        .iter()
                        .map(|(name, schema)| (name.clone(), as_shown(schema)));
                    (name.clone(), Value::Object(shown.collect()))
                }
                value => (name.clone(), as_shown(value)),
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(values) => values.iter().map(as_shown).collect(),
        value => value.clone(),
    }
}
