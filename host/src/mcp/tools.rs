//! The tools as a planner sees them.
//!
//! Every word here is paid for by the planner in each of its turns, so the schemas are written by hand: no `$schema`,
//! `title` or `format`, and limits and defaults stand in descriptions because Codex drops the keywords for them before its
//! model sees them (measured with 0.169). The descriptions carry the words that a planner searches for.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use rmcp::model::{Tool, ToolAnnotations};
use serde_json::{Map, Value, json};

use super::caller::Caller;
use super::{help, least_call};
use job::{Front, Refusal};
use settings::Toolset;

/// The description of this server for the planner. Codex ranks tools by these words too, and the
/// first 250 characters stand for the whole in some clients: they have the words that a planner
/// searches for, Codex's own `spawn_agent` among them. That tool comes before one of ours for
/// "worker" where ours say the word only twice (1,600 tokens, measured with 0.169 and 0.171).
pub const INSTRUCTIONS: &str = "Delegate work, coding work, tasks, implementation, many files, or run parallel jobs, with a background worker agent on a cheap worker model. start {prompt, checks, wait_ms: 600000}: the worker edits, tests, repairs, answers the verified result and job status; do not re-check. Else wait {job_id}, get {help}.";

/// The cost of all tools and the instructions to the planner, in o200k tokens, about.
pub const SURFACE_TOKENS: u64 = 758;

/// The reports of a call while it waits.
pub(super) type Progress<'a> = &'a mut (dyn FnMut(&Value) + Send);

/// A tool: its words, and what answers it.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) set: Toolset,
    describe: fn() -> Tool,
    pub(super) call: for<'a> fn(
        &'a Front,
        &'a Caller,
        Map<String, Value>,
        Progress<'a>,
    ) -> BoxFuture<'a, Result<Value, Refusal>>,
}

/// Every tool, always in the same order, so that prompt caches hold. Eight, since Codex's search shows eight hits: with
/// more of ours `start` can be missing among them, with fewer its own `spawn_agent` (1,404 tokens) is (measured with 0.169 to
/// 0.171).
const TOOLS: [Row; 8] = [
    Row {
        name: "start",
        set: Toolset::Jobs,
        describe: start,
        call: |front, caller, arguments, progress| {
            Box::pin(async move {
                let arguments = least_call::complete(arguments, caller)?;
                front.start(arguments, caller.asker(), progress).await
            })
        },
    },
    Row {
        name: "get",
        set: Toolset::Jobs,
        describe: get,
        call: |front, _, arguments, _| {
            Box::pin(async move {
                match help::asked(&arguments, |tool| find(tool).is_some())? {
                    Some(help) => Ok(help),
                    None => front.get(arguments).await,
                }
            })
        },
    },
    Row {
        name: "tail",
        set: Toolset::Jobs,
        describe: tail,
        call: |front, _, arguments, _| Box::pin(front.tail(arguments)),
    },
    Row {
        name: "wait",
        set: Toolset::Jobs,
        describe: wait,
        call: |front, _, arguments, progress| Box::pin(front.wait(arguments, progress)),
    },
    Row {
        name: "cancel",
        set: Toolset::Jobs,
        describe: cancel,
        call: |front, _, arguments, _| Box::pin(front.cancel(arguments)),
    },
    Row {
        name: "apply",
        set: Toolset::Jobs,
        describe: apply,
        call: |front, caller, arguments, progress| {
            Box::pin(front.apply(arguments, caller.asker(), progress))
        },
    },
    Row {
        name: "analyze",
        set: Toolset::Analyze,
        describe: analyze,
        call: |front, caller, arguments, _| {
            Box::pin(async move {
                front
                    .analyze(least_call::absolute_paths(arguments, caller))
                    .await
            })
        },
    },
    Row {
        name: "search",
        set: Toolset::Reading,
        describe: search,
        call: |front, caller, arguments, _| {
            Box::pin(async move {
                let arguments = least_call::absolute_paths(arguments, caller);
                match (
                    arguments.contains_key("symbols"),
                    arguments.contains_key("pattern"),
                ) {
                    (true, false) => front.read_pack(arguments).await,
                    (true, true) => Err(Refusal::new(
                        "symbols",
                        "goes without pattern: give either of them",
                    )),
                    (false, _) => front.search(arguments).await,
                }
            })
        },
    },
];

/// The tools of these sets.
pub fn tools(sets: &[Toolset]) -> Vec<Tool> {
    let offered = TOOLS.iter().filter(|tool| sets.contains(&tool.set));
    offered.map(|tool| (tool.describe)()).collect()
}

/// The tool of that name.
pub(super) fn find(name: &str) -> Option<&'static Row> {
    const { &TOOLS }.iter().find(|tool| tool.name == name)
}

/// The names of the tools of these sets, for a reply.
pub(super) fn names(sets: &[Toolset]) -> String {
    let offered = TOOLS.iter().filter(|tool| sets.contains(&tool.set));
    let names: Vec<&str> = offered.map(|tool| tool.name).collect();
    names.join(", ")
}

fn start() -> Tool {
    let string = json!({ "type": "string" });
    let schema = json!({
        "type": "object",
        "properties": {
            "prompt": described("string", "The whole task."),
            "checks": described_list("Shell commands that must pass, or {name, command, timeout_ms}."),
            "allowed_dirs": described_items("May change; default: yours."),
            "scoped_patch": {
                "type": "object",
                "description": "Changes outside fail.",
                "properties": { "paths": described_items("Files, directories, globs.") },
            },
            "wait_ms": described("integer", "Default 0; use 600000."),
            "include_diff": described("boolean", "Default false."),
            "model": string,
            "isolation": described("string", "worktree: in a copy; then apply."),
            "resume_job_id": described("string", "Go on with a finished job."),
        },
        "required": ["prompt"],
    });
    tool(
        "start",
        "Delegate a coding task to a cheap background worker: implement a feature, write tests, fix a bug, refactor, edit many files. Runs your checks, repairs. Answers job_id, or the result within wait_ms.",
        schema,
        // Its changes stay in allowed_dirs, are reported and can be undone; without both hints `codex exec` refuses it.
        ToolAnnotations::new()
            .read_only(false)
            .destructive(false)
            .open_world(false),
    )
}

fn get() -> Tool {
    tool(
        "get",
        "Job status, progress, result, or a slice of an artifact.",
        json!({
            "type": "object",
            "properties": {
                "job_id": { "type": "string" },
                "include_diff": { "type": "boolean" },
                "artifact": { "type": "string" },
                "cursor": { "type": "integer" },
                "help": described("string", "A tool: its other arguments."),
            },
        }),
        reading(),
    )
}

fn tail() -> Tool {
    tool(
        "tail",
        "Log of a job, newest part or from cursor.",
        json!({
            "type": "object",
            "properties": {
                "job_id": { "type": "string" },
                "cursor": { "type": "integer" },
            },
            "required": ["job_id"],
        }),
        reading(),
    )
}

fn wait() -> Tool {
    tool(
        "wait",
        "Wait for jobs to finish; answers result or status.",
        json!({
            "type": "object",
            "properties": {
                "job_id": { "type": "string" },
                "job_ids": described_items("First to end, or all."),
                "all": json!({ "type": "boolean" }),
                "timeout_ms": { "type": "integer" },
            },
        }),
        reading(),
    )
}

fn cancel() -> Tool {
    tool(
        "cancel",
        "Stop a job; files stay.",
        json!({
            "type": "object",
            "properties": { "job_id": { "type": "string" } },
            "required": ["job_id"],
        }),
        ToolAnnotations::new()
            .read_only(false)
            .destructive(false)
            .idempotent(true)
            .open_world(false),
    )
}

fn apply() -> Tool {
    tool(
        "apply",
        "Merge worktree jobs' changes into the checkout.",
        json!({
            "type": "object",
            "properties": {
                "job_id": { "type": "string" },
                "job_ids": { "type": "array", "items": { "type": "string" } },
                "how": { "enum": ["merge", "squash", "patch"] },
            },
        }),
        ToolAnnotations::new()
            .read_only(false)
            .destructive(false)
            .open_world(false),
    )
}

fn analyze() -> Tool {
    tool(
        "analyze",
        "Ask a cheap model about many files (explain, review code).",
        json!({
            "type": "object",
            "properties": {
                "question": { "type": "string" },
                "paths": described_items("Files, directories, globs."),
            },
            "required": ["question", "paths"],
        }),
        ToolAnnotations::new().read_only(true).open_world(true),
    )
}

fn search() -> Tool {
    tool(
        "search",
        "Search code: lines that match a regex, or what defines and uses symbols.",
        json!({
            "type": "object",
            "properties": {
                "pattern": { "type": "string" },
                "symbols": described_items("Instead of pattern."),
                "paths": json!({ "type": "array", "items": { "type": "string" } }),
            },
            "required": ["paths"],
        }),
        reading(),
    )
}

fn reading() -> ToolAnnotations {
    ToolAnnotations::new().read_only(true).open_world(false)
}

fn described(kind: &str, description: impl Into<String>) -> Value {
    json!({ "type": kind, "description": description.into() })
}

fn described_items(description: &str) -> Value {
    json!({ "type": "array", "items": { "type": "string" }, "description": description })
}

fn described_list(description: &str) -> Value {
    json!({ "type": "array", "description": description })
}

fn tool(
    name: &'static str,
    description: &'static str,
    schema: Value,
    annotations: ToolAnnotations,
) -> Tool {
    let schema = match schema {
        Value::Object(schema) => schema,
        _ => Map::new(),
    };
    Tool::new(name, description, Arc::new(schema)).with_annotations(annotations)
}
