//! Claude Code's stream-json, one object a line, as events that people can read: which tool, on what, with what outcome.
//!
//! Tolerant by design: a line that is no JSON, a type or a field that is not known, is passed over; nothing in a line can
//! end a pass. Shapes as Claude Code 2.1.197 sends them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use gateway::Issued;
use process::Line;
use redact::text;

/// The longest target or summary of an event, in bytes. More than a line of the log holds: what is written down is
/// redacted before it is cut to a line, and half a secret is one that no rule knows.
const SHORT: usize = 2_000;
/// The longest text of the agent that one event carries, in bytes.
const TEXT: usize = 4_000;
/// The longest closing message that is kept, in bytes.
const LAST_MESSAGE: usize = 64 << 10;
/// The most that is kept of one command that failed, and of all of them, in bytes.
const FAILURE: usize = 8 << 10;
const FAILURES: usize = 64 << 10;
/// Tool calls whose answer may still come.
const OPEN_CALLS: usize = 1_000;

/// An action of the agent. `Display` is one line for the job's log. The text is raw: it has to be
/// redacted before it is kept or shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AgentEvent {
    /// It is up.
    Init {
        /// The version.
        version: String,
        /// The tools it offers the model.
        tools: Vec<String>,
    },
    /// A new answer of the model begins; the number counts from 1.
    Turn(u32),
    /// The model said something.
    Text(String),
    /// A tool is called.
    ToolUse {
        /// `Bash`, `Edit`, `Read`, ...
        name: String,
        /// The command, the file (relative to the working directory), the pattern.
        target: String,
    },
    /// A tool answered.
    ToolResult {
        /// The tool's name, as in the call.
        name: String,
        /// The target, as in the call.
        target: String,
        /// True if it did what it was asked to.
        ok: bool,
        /// The outcome, in a few words.
        summary: String,
    },
    /// A request is tried again.
    Retry {
        /// The number of this retry.
        attempt: u32,
        /// The most that there will be.
        of: u32,
        /// The HTTP status, when there was an answer.
        status: Option<u16>,
        /// The kind of failure.
        error: String,
    },
    /// Something worth a line that is none of the above.
    Notice(String),
    /// Claude Code says that it is done.
    Done {
        /// Turns it counted.
        turns: u32,
        /// True if it says so without error.
        ok: bool,
    },
}

impl AgentEvent {
    /// The agent's current step, for "stalled at ..." and live progress; `None` where the event
    /// says nothing about it.
    pub fn step(&self) -> Option<String> {
        match self {
            Self::Init { .. } => Some("waiting for the model's first answer".into()),
            Self::ToolUse { name, target } => Some(format!("{name} {target}")),
            Self::ToolResult { name, target, .. } => {
                Some(format!("waiting for the model after {name} {target}"))
            }
            Self::Text(_) => Some("waiting after a message of the model".into()),
            Self::Retry { attempt, of, .. } => {
                Some(format!("request to the gateway, retry {attempt} of {of}"))
            }
            Self::Done { .. } => Some("finishing".into()),
            Self::Turn(_) | Self::Notice(_) => None,
        }
    }
}

impl fmt::Display for AgentEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Init { version, tools } => {
                let tools = one_line(&tools.join(", "), SHORT);
                write!(
                    f,
                    "Claude Code {} started ({tools})",
                    one_line(version, SHORT)
                )
            }
            Self::Turn(number) => write!(f, "turn {number}"),
            Self::Text(text) => write!(f, "says: {}", one_line(text, SHORT)),
            Self::ToolUse { name, target } => write!(f, "{name} {target}"),
            Self::ToolResult {
                name,
                target,
                ok,
                summary,
            } => {
                write!(f, "{name} {target}: {}", if *ok { "ok" } else { "failed" })?;
                if summary.is_empty() {
                    Ok(())
                } else {
                    write!(f, ", {summary}")
                }
            }
            Self::Retry {
                attempt,
                of,
                status,
                error,
            } => {
                write!(f, "request failed ({}", one_line(error, SHORT))?;
                if let Some(status) = status {
                    write!(f, ", HTTP {status}")?;
                }
                write!(f, "), retry {attempt} of {of}")
            }
            Self::Notice(text) => f.write_str(text),
            Self::Done { turns, ok } => write!(
                f,
                "{} after {turns} turns",
                if *ok { "done" } else { "gave up" }
            ),
        }
    }
}

/// Something the agent wanted to do and was not allowed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// The tool.
    pub tool: String,
    /// The target.
    pub target: String,
}

/// The event that ends a run; see `judgement` for what its fields mean together.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ResultEvent {
    pub(crate) subtype: String,
    pub(crate) is_error: bool,
    pub(crate) api_error_status: Option<u16>,
    pub(crate) num_turns: u32,
    pub(crate) result: Option<String>,
    pub(crate) errors: Vec<Value>,
    pub(crate) terminal_reason: Option<String>,
    permission_denials: Vec<Value>,
}

impl ResultEvent {
    /// Read field by field, so that one of an unexpected shape costs only itself.
    fn from_value(event: &Value) -> Self {
        let text = |name: &str| event.get(name).and_then(Value::as_str).map(str::to_owned);
        let list = |name: &str| {
            event
                .get(name)
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default()
        };
        Self {
            subtype: text("subtype").unwrap_or_default(),
            // Without the field nothing says that it went well.
            is_error: event
                .get("is_error")
                .and_then(Value::as_bool)
                .unwrap_or(true),
            api_error_status: event
                .get("api_error_status")
                .and_then(Value::as_u64)
                .and_then(|status| status.try_into().ok()),
            num_turns: number(event, "num_turns"),
            result: text("result"),
            errors: list("errors"),
            terminal_reason: text("terminal_reason"),
            permission_denials: list("permission_denials"),
        }
    }

    /// The agent's last words. What stands there after a failure is no word of its own but the complaint.
    pub(crate) fn text(&self) -> Option<String> {
        self.result
            .as_deref()
            .filter(|text| !text.is_empty() && !self.is_error && self.num_turns > 0)
            .map(|text| cut(text, LAST_MESSAGE))
    }

    /// The complaint in it.
    pub(crate) fn complaint(&self) -> String {
        let errors: Vec<&str> = self.errors.iter().filter_map(Value::as_str).collect();
        match (&self.result, errors.is_empty()) {
            (Some(result), true) => result.clone(),
            (_, false) => errors.join("; "),
            (None, true) => self
                .terminal_reason
                .clone()
                .unwrap_or_else(|| self.subtype.clone()),
        }
    }

    pub(crate) fn denials(&self, work_dir: &Path) -> Vec<Denial> {
        let denial = |value: &Value| {
            let tool = value.get("tool_name")?.as_str()?.to_owned();
            let target = target(
                &tool,
                value.get("tool_input").unwrap_or(&Value::Null),
                work_dir,
            );
            Some(Denial { tool, target })
        };
        self.permission_denials.iter().filter_map(denial).collect()
    }
}

/// Turns lines into events and remembers what the end will be judged by.
#[derive(Debug)]
pub(crate) struct Interpreter<'a> {
    work_dir: &'a Path,
    /// What the model said went through the adapter. A program that the agent runs can write into the agent's own output.
    issued: Issued,
    /// The calls that were told.
    calls: BTreeSet<String>,
    /// That something was passed over is told once.
    told_of_strangers: bool,
    /// Calls by id: the answer names only the id.
    open: BTreeMap<String, (String, String)>,
    /// Ids of the model's answers: one comes as several events.
    answers: BTreeSet<String>,
    last_text: Option<String>,
    result: Option<ResultEvent>,
    /// The end of what commands said that failed.
    failures: String,
}

impl<'a> Interpreter<'a> {
    pub(crate) fn new(work_dir: &'a Path, issued: Issued) -> Self {
        Self {
            work_dir,
            issued,
            calls: BTreeSet::new(),
            told_of_strangers: false,
            open: BTreeMap::new(),
            answers: BTreeSet::new(),
            last_text: None,
            result: None,
            failures: String::new(),
        }
    }

    /// The last result event: background tasks may be told of after it.
    pub(crate) fn result(&self) -> Option<&ResultEvent> {
        self.result.as_ref()
    }

    pub(crate) fn turns(&self) -> u32 {
        u32::try_from(self.answers.len()).unwrap_or(u32::MAX)
    }

    /// The end of what commands said that failed, all of them together.
    pub(crate) fn failures(&self) -> &str {
        &self.failures
    }

    fn note_failure(&mut self, content: &Value) {
        let pieces = content.as_array().into_iter().flatten();
        let texts = pieces.filter_map(|piece| piece.get("text").and_then(Value::as_str));
        for text in content.as_str().into_iter().chain(texts) {
            self.failures.push_str(&cut(text, FAILURE));
            self.failures.push('\n');
        }
        let over = self.failures.len().saturating_sub(FAILURES);
        if over > 0 {
            let from = self.failures.ceil_char_boundary(over);
            self.failures.drain(..from);
        }
    }

    pub(crate) fn last_text(&self) -> Option<String> {
        self.last_text.clone()
    }

    pub(crate) fn read(&mut self, line: &Line) -> Vec<AgentEvent> {
        let bytes = match line {
            Line::Whole(bytes) => bytes,
            Line::TooLong { length, .. } => {
                return vec![AgentEvent::Notice(format!(
                    "an event of {length} bytes was passed over"
                ))];
            }
        };
        // Lone surrogates and bytes that are no UTF-8 make a line unreadable as JSON; what can be told of it is that.
        let Ok(event) = serde_json::from_slice::<Value>(bytes) else {
            let text = one_line(&String::from_utf8_lossy(bytes), SHORT);
            return if text.is_empty() {
                Vec::new()
            } else {
                vec![AgentEvent::Notice(text)]
            };
        };
        match event.get("type").and_then(Value::as_str) {
            Some("system") => self.system(&event),
            Some("assistant") => self.assistant(&event),
            Some("user") => self.user(&event),
            Some("result") => {
                let result = ResultEvent::from_value(&event);
                let told = AgentEvent::Done {
                    turns: result.num_turns,
                    ok: !result.is_error,
                };
                self.result = Some(result);
                vec![told]
            }
            _ => Vec::new(),
        }
    }

    fn system(&self, event: &Value) -> Vec<AgentEvent> {
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
        match text("subtype") {
            "init" => {
                let tools = event
                    .get("tools")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten();
                let tools = tools.filter_map(Value::as_str).map(str::to_owned).collect();
                vec![AgentEvent::Init {
                    version: text("claude_code_version").to_owned(),
                    tools,
                }]
            }
            "api_retry" => vec![AgentEvent::Retry {
                attempt: number(event, "attempt"),
                of: number(event, "max_retries"),
                status: event
                    .get("error_status")
                    .and_then(Value::as_u64)
                    .and_then(|status| status.try_into().ok()),
                error: text("error").to_owned(),
            }],
            "task_notification" => {
                let status = text("status");
                vec![AgentEvent::Notice(format!(
                    "background task {status}: {}",
                    one_line(text("summary"), SHORT)
                ))]
            }
            "compact_boundary" => vec![AgentEvent::Notice("the conversation was compacted".into())],
            _ => Vec::new(),
        }
    }

    fn assistant(&mut self, event: &Value) -> Vec<AgentEvent> {
        let message = event.get("message").unwrap_or(&Value::Null);
        let own = event.get("parent_tool_use_id").is_none_or(Value::is_null);
        let mut told = Vec::new();
        // What Claude Code says in the model's place ("API Error: ...") is no turn, and no word of the agent's.
        let synthetic = message.get("model").and_then(Value::as_str) == Some("<synthetic>");
        let own = own && !synthetic;
        let id = message
            .get("id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !synthetic && !self.is_issued(id) {
            return self.stranger();
        }
        if let Some(id) = message.get("id").and_then(Value::as_str).filter(|_| own)
            && self.answers.insert(id.to_owned())
        {
            told.push(AgentEvent::Turn(self.turns()));
        }
        for block in message
            .get("content")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let text = |name: &str| block.get(name).and_then(Value::as_str).unwrap_or_default();
            match text("type") {
                "text" if !text("text").trim().is_empty() => {
                    if own {
                        self.last_text = Some(cut(text("text"), LAST_MESSAGE));
                    }
                    told.push(AgentEvent::Text(cut(text("text"), TEXT)));
                }
                "tool_use"
                    if !self.is_issued(text("id")) || !self.calls.insert(text("id").to_owned()) =>
                {
                    told.extend(self.stranger());
                }
                "tool_use" => {
                    let name = one_line(text("name"), SHORT);
                    let target = target(
                        &name,
                        block.get("input").unwrap_or(&Value::Null),
                        self.work_dir,
                    );
                    if self.open.len() >= OPEN_CALLS {
                        self.open.pop_first();
                    }
                    self.open
                        .insert(text("id").to_owned(), (name.clone(), target.clone()));
                    told.push(AgentEvent::ToolUse { name, target });
                }
                _ => {}
            }
        }
        told
    }

    /// True if the model said what has this id. Where nothing has gone through the adapter, nobody can tell.
    fn is_issued(&self, id: &str) -> bool {
        self.issued.is_empty() || self.issued.knows(id)
    }

    fn stranger(&mut self) -> Vec<AgentEvent> {
        if std::mem::replace(&mut self.told_of_strangers, true) {
            return Vec::new();
        }
        let words = "lines that the model did not send were passed over: a program wrote into the agent's output";
        vec![AgentEvent::Notice(words.into())]
    }

    fn user(&mut self, event: &Value) -> Vec<AgentEvent> {
        let details = event.get("tool_use_result").unwrap_or(&Value::Null);
        let content = event
            .pointer("/message/content")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let results = content
            .filter(|block| block.get("type").and_then(Value::as_str) == Some("tool_result"));
        let results: Vec<&Value> = results.collect();
        results
            .into_iter()
            .map(|block| {
                let id = block
                    .get("tool_use_id")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                let (name, target) = self
                    .open
                    .remove(id)
                    .unwrap_or_else(|| ("tool".into(), String::new()));
                let ok = !block
                    .get("is_error")
                    .and_then(Value::as_bool)
                    .unwrap_or(false);
                if !ok && name == "Bash" {
                    self.note_failure(block.get("content").unwrap_or(&Value::Null));
                }
                let summary = summary(
                    &name,
                    ok,
                    block.get("content").unwrap_or(&Value::Null),
                    details,
                );
                AgentEvent::ToolResult {
                    name,
                    target,
                    ok,
                    summary,
                }
            })
            .collect()
    }
}

fn number(event: &Value, name: &str) -> u32 {
    event
        .get(name)
        .and_then(Value::as_u64)
        .and_then(|number| number.try_into().ok())
        .unwrap_or_default()
}

/// The target of a tool.
fn target(tool: &str, input: &Value, work_dir: &Path) -> String {
    let text = |name: &str| input.get(name).and_then(Value::as_str);
    let path = text("file_path")
        .or_else(|| text("notebook_path"))
        .or_else(|| text("path"));
    let short = match tool {
        "Bash" => text("command"),
        "Read" | "Edit" | "Write" | "MultiEdit" | "NotebookEdit" => path,
        "Glob" | "Grep" => text("pattern"),
        "WebFetch" => text("url"),
        "WebSearch" => text("query"),
        _ => text("description").or(path),
    };
    match short {
        Some(short) => {
            let relative = Path::new(short)
                .strip_prefix(work_dir)
                .ok()
                .and_then(Path::to_str);
            one_line(
                relative
                    .filter(|relative| !relative.is_empty())
                    .unwrap_or(short),
                SHORT,
            )
        }
        None if input.is_null() => String::new(),
        None => one_line(&input.to_string(), SHORT),
    }
}

/// The outcome of a call, in a few words; a failure in its own.
fn summary(tool: &str, ok: bool, content: &Value, details: &Value) -> String {
    let text = match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts = blocks
                .iter()
                .filter_map(|block| block.get("text").and_then(Value::as_str));
            texts.collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    };
    if !ok {
        return one_line(&text, SHORT);
    }
    let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
    match tool {
        "Read" => match details.pointer("/file/numLines").and_then(Value::as_u64) {
            Some(lines) => format!("{lines} lines"),
            None => format!("{lines} lines"),
        },
        "Edit" | "Write" | "MultiEdit" => {
            let hunks = details
                .get("structuredPatch")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            let changed: Vec<&str> = hunks
                .flat_map(|hunk| {
                    hunk.get("lines")
                        .and_then(Value::as_array)
                        .into_iter()
                        .flatten()
                })
                .filter_map(Value::as_str)
                .collect();
            let count = |sign: char| changed.iter().filter(|line| line.starts_with(sign)).count();
            if changed.is_empty() {
                String::new()
            } else {
                format!("+{} -{}", count('+'), count('-'))
            }
        }
        _ => match text.lines().rev().find(|line| !line.trim().is_empty()) {
            None => "no output".into(),
            Some(last) if lines == 1 => one_line(last, SHORT),
            Some(last) => format!("{lines} lines, last: {}", one_line(last, SHORT)),
        },
    }
}

/// The text in one line without control characters, at most `limit` bytes long.
fn one_line(text: &str, limit: usize) -> String {
    text::one_line(&text.replace(char::is_control, " "), limit)
}

/// The text, at most `limit` bytes of it; a cut is shown.
pub(super) fn cut(text: &str, limit: usize) -> String {
    match text::prefix(text, limit) {
        whole if whole.len() == text.len() => whole.to_owned(),
        cut => format!("{cut}..."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(lines: &[&str]) -> Vec<String> {
        let mut interpreter = Interpreter::new(Path::new("/repo"), Issued::default());
        lines
            .iter()
            .flat_map(|line| interpreter.read(&Line::Whole(line.as_bytes().to_vec())))
            .map(|event| event.to_string())
            .collect()
    }

    /// Lines as Claude Code 2.1.197 sent them, shortened where they only repeat.
    #[test]
    fn a_run_reads_as_a_log() {
        let seen = log(&[
            r#"{"type":"system","subtype":"init","cwd":"/repo","session_id":"11111111-1111-4111-8111-111111111111","tools":["Bash","Edit","Read"],"mcp_servers":[],"model":"claude-sonnet-5","permissionMode":"acceptEdits","apiKeySource":"none","claude_code_version":"2.1.197","uuid":"e4f1"}"#,
            r#"{"type":"assistant","message":{"id":"msg_0","type":"message","role":"assistant","model":"claude-sonnet-5","content":[{"type":"tool_use","id":"toolu_0","name":"Bash","input":{"command":"cat a.py; env | sort","description":"look"}}],"stop_reason":null,"usage":{"input_tokens":100,"output_tokens":1}},"parent_tool_use_id":null,"uuid":"1336"}"#,
            r#"{"type":"user","message":{"role":"user","content":[{"type":"tool_result","content":"This Bash command contains multiple operations. The following part requires approval: cut -c1-80","is_error":true,"tool_use_id":"toolu_0"}]},"parent_tool_use_id":null,"tool_use_result":"Error: This Bash command contains multiple operations."}"#,
            r#"{"type":"assistant","message":{"id":"msg_1","role":"assistant","model":"claude-sonnet-5","content":[{"type":"text","text":"I will\nread it."}]},"parent_tool_use_id":null}"#,
            r#"{"type":"assistant","message":{"id":"msg_1","role":"assistant","model":"claude-sonnet-5","content":[{"type":"tool_use","id":"toolu_1","name":"Read","input":{"file_path":"/repo/a.py"}}]},"parent_tool_use_id":null}"#,
            r#"{"type":"user","message":{"role":"user","content":[{"tool_use_id":"toolu_1","type":"tool_result","content":"1\tprint(1)\n2\t"}]},"tool_use_result":{"type":"text","file":{"filePath":"/repo/a.py","content":"print(1)\n","numLines":2,"startLine":1,"totalLines":2}}}"#,
            r#"{"type":"assistant","message":{"id":"msg_2","role":"assistant","model":"claude-sonnet-5","content":[{"type":"tool_use","id":"toolu_2","name":"Edit","input":{"replace_all":false,"file_path":"/repo/a.py","old_string":"print(1)","new_string":"print(2)"}}]},"parent_tool_use_id":null}"#,
            r#"{"type":"user","message":{"role":"user","content":[{"tool_use_id":"toolu_2","type":"tool_result","content":"The file /repo/a.py has been updated successfully."}]},"tool_use_result":{"filePath":"/repo/a.py","oldString":"print(1)","newString":"print(2)","originalFile":"print(1)\n","structuredPatch":[{"oldStart":1,"oldLines":1,"newStart":1,"newLines":1,"lines":["-print(1)","+print(2)"]}]}}"#,
            r#"{"type":"system","subtype":"api_retry","attempt":1,"max_retries":10,"retry_delay_ms":2000,"error_status":429,"error":"rate_limit"}"#,
            r#"{"type":"result","subtype":"success","is_error":false,"num_turns":5,"result":"All done.","permission_denials":[]}"#,
        ]);
        insta::assert_snapshot!(seen.join("\n"), @r"
        Claude Code 2.1.197 started (Bash, Edit, Read)
        turn 1
        Bash cat a.py; env | sort
        Bash cat a.py; env | sort: failed, This Bash command contains multiple operations. The following part requires approval: cut -c1-80
        turn 2
        says: I will read it.
        Read a.py
        Read a.py: ok, 2 lines
        turn 3
        Edit a.py
        Edit a.py: ok, +1 -1
        request failed (rate_limit, HTTP 429), retry 1 of 10
        done after 5 turns
        ");
    }

    #[test]
    fn what_is_not_understood_is_passed_over() {
        for line in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"type":7}"#,
            r#"{"type":"stream_event","event":{}}"#,
            r#"{"type":"assistant"}"#,
            r#"{"type":"assistant","message":{"content":"text"}}"#,
            r#"{"type":"assistant","message":{"content":[null,{"type":"thinking","thinking":"x"}]}}"#,
            r#"{"type":"user","message":{"content":"[Request interrupted by user]"}}"#,
            r#"{"type":"system","subtype":"status"}"#,
        ] {
            assert_eq!(log(&[line]), [""; 0], "{line}");
        }
        assert_eq!(
            log(&["not json \u{1b}[31m at all"]),
            ["not json [31m at all"]
        );
        assert_eq!(log(&[r#"{"type":"result"}"#]), ["gave up after 0 turns"]);
        assert_eq!(
            log(&[r#"{"type":"result","is_error":false,"num_turns":-3,"errors":"x"}"#]),
            ["done after 0 turns"]
        );
        let answer = r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"nobody","content":[{"type":"text","text":"a\nb"},{"type":"image"}]}]}}"#;
        assert_eq!(log(&[answer]), ["tool : ok, 2 lines, last: b"]);
    }

    #[test]
    fn the_last_result_counts_and_denials_are_told() {
        let mut interpreter = Interpreter::new(Path::new("/repo"), Issued::default());
        let mut read = |line: &str| interpreter.read(&Line::Whole(line.as_bytes().to_vec()));
        read(
            r#"{"type":"result","subtype":"success","is_error":true,"num_turns":1,"result":"first"}"#,
        );
        read(
            r#"{"type":"result","subtype":"success","is_error":false,"num_turns":2,"result":"second","permission_denials":[{"tool_name":"Bash","tool_use_id":"t","tool_input":{"command":"rm -rf /x"}},{"tool_name":"Edit","tool_input":{"file_path":"/etc/passwd"}},{"odd":1}]}"#,
        );
        read(
            r#"{"type":"system","subtype":"task_notification","status":"stopped","summary":"sleep 100"}"#,
        );
        let result = interpreter.result().cloned().unwrap_or_default();
        assert_eq!(
            (result.num_turns, result.text().as_deref()),
            (2, Some("second"))
        );
        let denied: Vec<String> = result
            .denials(Path::new("/repo"))
            .into_iter()
            .map(|denial| format!("{} {}", denial.tool, denial.target))
            .collect();
        assert_eq!(denied, ["Bash rm -rf /x", "Edit /etc/passwd"]);
    }

    /// The fault is told once, as the pass's ending; it would look like a report of the agent's.
    #[test]
    fn a_complaint_is_no_last_word_of_the_agent() {
        let said = r#"{"type":"assistant","message":{"id":"m1","model":"sonnet","content":[{"type":"text","text":"I will look at the code."}]}}"#;
        let error = r#"{"type":"assistant","message":{"id":"m2","model":"<synthetic>","content":[{"type":"text","text":"API Error: 500 boom"}]}}"#;
        let result = r#"{"type":"result","subtype":"success","is_error":true,"api_error_status":500,"num_turns":2,"result":"API Error: 500 boom"}"#;
        let mut interpreter = Interpreter::new(Path::new("/repo"), Issued::default());
        for line in [said, error, result] {
            interpreter.read(&Line::Whole(line.as_bytes().to_vec()));
        }
        assert_eq!(interpreter.result().and_then(ResultEvent::text), None);
        assert_eq!(
            interpreter.last_text().as_deref(),
            Some("I will look at the code.")
        );
        assert_eq!(interpreter.turns(), 1);
    }

    #[test]
    fn megabytes_in_a_line_leave_a_short_event() {
        let command = "é".repeat(500_000);
        let line = format!(
            r#"{{"type":"assistant","message":{{"id":"m","content":[{{"type":"tool_use","id":"t","name":"Bash","input":{{"command":"{command}"}}}}]}}}}"#
        );
        let seen = log(&[&line]).join("\n");
        assert!(seen.len() < SHORT + 100, "{}", seen.len());
        let mut interpreter = Interpreter::new(Path::new("/"), Issued::default());
        let told = interpreter.read(&Line::TooLong {
            length: 70_000_000,
            head: Vec::new(),
        });
        assert_eq!(
            told,
            [AgentEvent::Notice(
                "an event of 70000000 bytes was passed over".into()
            )]
        );
    }

    proptest::proptest! {
        #[test]
        fn no_line_is_a_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), shape in 0..4usize) {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let value = serde_json::Value::String(text);
            let line = match shape {
                0 => bytes,
                1 => format!(r#"{{"type":"assistant","message":{{"id":{value},"content":[{{"type":"tool_use","name":{value},"input":{value}}}]}}}}"#).into_bytes(),
                2 => format!(r#"{{"type":"user","message":{{"content":[{{"type":"tool_result","content":{value}}}]}},"tool_use_result":{value}}}"#).into_bytes(),
                _ => format!(r#"{{"type":"result","subtype":{value},"errors":[{value}],"result":{value}}}"#).into_bytes(),
            };
            let mut interpreter = Interpreter::new(Path::new("/repo"), Issued::default());
            for event in interpreter.read(&Line::Whole(line)) {
                let line = event.to_string();
                proptest::prop_assert!(!line.contains('\n') || matches!(event, AgentEvent::Notice(_)));
            }
        }
    }
}
