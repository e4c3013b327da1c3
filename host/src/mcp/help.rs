//! `get {help}`: arguments that are accepted and, being rare, are not worth a place in the schema that each planner pays for.

use serde_json::{Map, Value, json};

use job::Refusal;
use job::spec::{CHECK_TIMEOUT_DEFAULT_MS, PROMPT_MAX, REVISE_PASSES_MAX};

/// Returns the help that a call of `get` asks for, if it does. `known` says which tools there are.
///
/// # Errors
/// It asks for help on no tool of ours.
pub(super) fn asked(
    arguments: &Map<String, Value>,
    known: impl Fn(&str) -> bool,
) -> Result<Option<Value>, Refusal> {
    match arguments.get("help") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(tool)) if tool == "start" => Ok(Some(start())),
        Some(Value::String(tool)) if tool == "get" || tool == "tail" => Ok(Some(json!({
            "arguments": { "max_bytes": "default 4000, at most 24000" }
        }))),
        Some(Value::String(tool)) if tool == "apply" => Ok(Some(json!({
            "arguments": {
                "how": "merge (default): commits; squash: staged; patch: files alone",
                "job_ids": "several results as one: every check of theirs runs once more on the whole; stops before the first conflict",
                "preview": "true, with job_ids: only their order and the files that several of them changed",
                "wait_ms": "with job_ids: how long to wait for the checks of the whole; default as in wait",
            }
        }))),
        Some(Value::String(tool)) if tool == "analyze" => Ok(Some(json!({
            "arguments": { "model": "default: the operator's lite model" }
        }))),
        Some(Value::String(tool)) if tool == "search" => Ok(Some(json!({
            "arguments": {
                "literal": "true: the pattern is plain text",
                "context": "lines around, at most 20",
                "max_bytes": "default 7000, at most 24000",
            }
        }))),
        Some(Value::String(tool)) if known(tool) => Ok(Some(
            json!({ "help": format!("the schema of {tool} has all of its arguments") }),
        )),
        Some(_) => Err(Refusal::new(
            "help",
            "must be the name of a tool, such as start",
        )),
    }
}

fn start() -> Value {
    json!({
        "arguments": {
            "prompt": format!("at most {PROMPT_MAX} bytes"),
            "permission_mode": "default, acceptEdits (default), dontAsk, plan, bypassPermissions",
            "expect_changes": "false: a job that only reads",
            "scoped_patch.on_violation": "fail (default), revert",
            "scoped_patch.max_diff_bytes": "caps the returned diff",
            "checks[].timeout_ms": format!("default {CHECK_TIMEOUT_DEFAULT_MS}"),
            "checks[].command": "bash line (sh where there is no bash), or list of program and arguments",
            "checks[].cwd": "relative to the working directory",
            "checks[].env": "object of strings",
            "checks[].network": "on (default), off",
            "checks[].retries": "how often a failed command runs again, 0-3, default 1; two outcomes are flaky, not passed",
            "checks[].report": "file that the command leaves (JUnit XML, TAP, JSON); explains a failure",
            "checks[].fails_without_change": "true: it must fail on the base with the new tests",
            "checks[].plugin": "a check plugin instead of a command, with settings",
            "timeout_ms": "whole job; default 1800000",
            "auto_revise": format!("{{max_passes}}: repairs after failed checks, 0-{REVISE_PASSES_MAX}; default 1 with checks"),
            "each": "list of strings: a job for each, in a tree of its own; {item} in prompt, paths, checks; one table",
            "apply": "merge, squash, patch: brings a completed worktree job in at once",
            "isolation": "none (default), worktree",
            "base": "with worktree: commit that it starts from",
            "include_dirty": "with worktree: takes uncommitted work along",
            "setup": "with worktree, where the operator allows it: command that installs dependencies, or {command, lock_files}",
            "attempts": "with worktree: a number (race of the same model), or {models, mode: ladder (default; the next when one fails) or race, pick: first (default), best}; the result is the verified one's",
            "max_tokens_total": "cap, input and output together",
            "max_cost_usd": "cap, by the operator's prices",
            "max_turns": "cap, model turns of a pass",
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ask(help: Value) -> Result<Option<Value>, Refusal> {
        let known = |tool: &str| super::super::tools::find(tool).is_some();
        asked(json!({ "help": help }).as_object().unwrap(), known)
    }

    #[test]
    fn help_has_what_the_schema_leaves_out() {
        let help = ask(json!("start")).unwrap().unwrap();
        for rare in [
            "auto_revise",
            "max_turns",
            "base",
            "checks[].network",
            "checks[].fails_without_change",
            "attempts",
        ] {
            assert!(help["arguments"][rare].is_string(), "{rare}");
        }
        assert!(ask(json!("wait")).unwrap().unwrap()["help"].is_string());
        assert!(ask(Value::Null).unwrap().is_none());
        for wrong in [json!("stop"), json!(3)] {
            assert_eq!(ask(wrong).unwrap_err().argument, "help");
        }
    }
}
