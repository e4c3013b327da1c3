//! The tools as a planner sees them.
//!
//! Every word here is paid for by the planner in each of its turns, so the schemas are written by hand: no `$schema`,
//! `title` or `format`, and limits and defaults stand in descriptions because Codex drops the keywords for them before its
//! model sees them (measured with 0.169). The descriptions carry the words that a planner searches for.

use std::sync::Arc;

use rmcp::model::{Tool, ToolAnnotations};
use serde_json::{Map, Value, json};

use job::spec::{CHECK_TIMEOUT_DEFAULT_MS, PROMPT_MAX, REVISE_PASSES_MAX};
use settings::Toolset;

/// What the planner is told about this server; the first 250 characters stand for the whole in some clients.
pub const INSTRUCTIONS: &str = "Delegate coding work to a cheap background agent instead of editing yourself: call start {prompt, allowed_dirs, checks, wait_ms: 600000}. It edits, runs the checks, repairs, and answers in that one call with verified evidence. Still running? wait {job_id}. \
completed = every check passed; failed names the check. Do not re-read files or re-run checks that passed. Long matter: get {job_id, artifact}. Questions about many files: analyze.";

/// What all tools and the instructions cost the planner, in o200k tokens, about.
pub const SURFACE_TOKENS: u64 = 1_470;

/// Every tool with the set it belongs to, always in the same order, so that prompt caches hold.
const TOOLS: &[(&str, Toolset, fn() -> Tool)] = &[
    ("start", Toolset::Jobs, start),
    ("get", Toolset::Jobs, get),
    ("tail", Toolset::Jobs, tail),
    ("wait", Toolset::Jobs, wait),
    ("cancel", Toolset::Jobs, cancel),
    ("apply", Toolset::Jobs, apply),
    ("analyze", Toolset::Analyze, analyze),
    ("search", Toolset::Reading, search),
    ("read_pack", Toolset::Reading, read_pack),
];

/// The tools of these sets.
pub fn tools(sets: &[Toolset]) -> Vec<Tool> {
    let offered = TOOLS.iter().filter(|(_, set, _)| sets.contains(set));
    offered.map(|(_, _, tool)| tool()).collect()
}

/// The tool of that name, and its set.
pub(super) fn find(name: &str) -> Option<(&'static str, Toolset)> {
    let found = TOOLS.iter().find(|(known, _, _)| *known == name);
    found.map(|(name, set, _)| (*name, *set))
}

/// The names of the tools of these sets, for a reply.
pub(super) fn names(sets: &[Toolset]) -> String {
    let offered = TOOLS.iter().filter(|(_, set, _)| sets.contains(set));
    let names: Vec<&str> = offered.map(|(name, _, _)| *name).collect();
    names.join(", ")
}

fn start() -> Tool {
    let string = json!({ "type": "string" });
    let strings = json!({ "type": "array", "items": string });
    let schema = json!({
        "type": "object",
        "properties": {
            "prompt": described("string", format!("The whole task. At most {PROMPT_MAX} bytes, not beginning with / or -.")),
            "allowed_dirs": with(&strings, "Absolute directories it may change, in one git repository; the first is the working directory."),
            "model": string,
            "permission_mode": { "enum": ["default", "acceptEdits", "dontAsk", "plan", "bypassPermissions"], "description": "Default acceptEdits." },
            "include_diff": described("boolean", "Default false; it is always an artifact."),
            "scoped_patch": {
                "type": "object",
                "description": "Changes outside fail.",
                "properties": {
                    "paths": with(&strings, "Files, directories, globs; relative to the working directory."),
                    "max_diff_bytes": described("integer", "Caps the returned diff."),
                    "on_violation": { "enum": ["fail", "revert"], },
                },
                "required": ["paths"],
            },
            "checks": {
                "type": "array",
                "description": "What must pass: command or plugin each.",
                "items": {
                    "type": "object",
                    "properties": {
                        "name": string,
                        "command": { "type": ["string", "array"], "items": string, "description": "Shell line or argv." },
                        "timeout_ms": described("integer", format!("Default {CHECK_TIMEOUT_DEFAULT_MS}.")),
                        "cwd": string,
                        "env": { "type": "object" },
                        "network": { "enum": ["on", "off"] },
                        "plugin": string,
                        "settings": { "type": "object" },
                    },
                    "required": ["name"],
                },
            },
            "expect_changes": described("boolean", "false: a job that only reads."),
            "timeout_ms": described("integer", "Whole job; default 1800000."),
            "wait_ms": described("integer", "Wait this long for the result; default 0, use 600000."),
            "auto_revise": {
                "type": "object",
                "description": "Repairs after failed checks.",
                "properties": { "max_passes": described("integer", format!("0-{REVISE_PASSES_MAX}; default 1 with checks.")) },
            },
            "isolation": { "enum": ["none", "worktree"], "description": "worktree: works in a copy. Default none." },
            "base": described("string", "Commit the worktree starts from."),
            "include_dirty": described("boolean", "Worktree takes uncommitted work along."),
            "resume_job_id": described("string", "Go on with a finished job."),
            "max_tokens_total": { "type": "integer" },
            "max_cost_usd": { "type": "number" },
            "max_turns": { "type": "integer" },
        },
        "required": ["prompt"],
    });
    tool(
        "start",
        "Run a coding task in the background with a cheap coding agent (Claude Code worker): implement a feature, fix failing tests or a bug, refactor, migrate, edit many files, run commands. Delegate here instead of spawning an agent. Verifies with your checks and repairs. Answers job_id, or the result (job_status, changed_files, checks, diff) if it ends within wait_ms.",
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
        "Job status, job progress or job result of a background job; or a slice of one of its artifacts (diff, check output, agent report).",
        json!({
            "type": "object",
            "properties": {
                "job_id": { "type": "string" },
                "include_diff": { "type": "boolean" },
                "artifact": described("string", "A name from the result."),
                "cursor": described("integer", "Where to go on reading."),
                "max_bytes": described("integer", "Default 4000, at most 24000."),
            },
            "required": ["job_id"],
        }),
        reading(),
    )
}

fn tail() -> Tool {
    tool(
        "tail",
        "Log of a background job: what the agent did; the newest part, or from cursor on.",
        json!({
            "type": "object",
            "properties": {
                "job_id": { "type": "string" },
                "cursor": { "type": "integer" },
                "max_bytes": described("integer", "Default 4000, at most 24000."),
            },
            "required": ["job_id"],
        }),
        reading(),
    )
}

fn wait() -> Tool {
    tool(
        "wait",
        "Wait for a background job to finish and get its verified result. At the time-out: its status, no error; call again.",
        json!({
            "type": "object",
            "properties": {
                "job_id": { "type": "string" },
                "job_ids": described_items("Instead of job_id: returns when the first ends."),
                "all": described("boolean", "Wait for all of job_ids."),
                "timeout_ms": described("integer", "Default: the operator's, usually 240000."),
            },
        }),
        reading(),
    )
}

fn cancel() -> Tool {
    tool(
        "cancel",
        "Stop a background job and all its processes; the files stay as they are.",
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
        "Bring the changes made in a worktree into the checkout; refuses on conflicts.",
        json!({
            "type": "object",
            "properties": {
                "job_id": { "type": "string" },
                "how": { "enum": ["merge", "squash", "patch"], "description": "Default merge." },
            },
            "required": ["job_id"],
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
        "Ask a cheap model a question about files (explain, summarize, find, review code) without reading them yourself. Read-only, one call.",
        json!({
            "type": "object",
            "properties": {
                "question": { "type": "string" },
                "paths": described_items("Absolute files, directories or globs; at most 64."),
                "model": described("string", "Default: the operator's lite model."),
            },
            "required": ["question", "paths"],
        }),
        ToolAnnotations::new().read_only(true).open_world(true),
    )
}

fn search() -> Tool {
    tool(
        "search",
        "Search code: lines that match a regex (ripgrep; .gitignore honoured), as file and line number.",
        json!({
            "type": "object",
            "properties": {
                "pattern": { "type": "string" },
                "paths": described_items("As analyze."),
                "literal": { "type": "boolean" },
                "context": described("integer", "Lines around."),
                "max_bytes": described("integer", "Default 7000, at most 24000."),
            },
            "required": ["pattern", "paths"],
        }),
        reading(),
    )
}

fn read_pack() -> Tool {
    tool(
        "read_pack",
        "Read from many files only what defines and uses some symbols or keywords, definitions first, instead of whole files.",
        json!({
            "type": "object",
            "properties": {
                "symbols": described_items("At most 32."),
                "paths": described_items("As analyze."),
                "max_bytes": described("integer", "Default 7000, at most 24000."),
            },
            "required": ["symbols", "paths"],
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

fn with(schema: &Value, description: &str) -> Value {
    let mut schema = schema.clone();
    if let Value::Object(schema) = &mut schema {
        schema.insert("description".to_owned(), description.into());
    }
    schema
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
