//! The least call that works: what a call leaves out and the caller's place supplies.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::caller::Caller;
use job::Refusal;

/// The arguments of `start` in full: a check that is a string becomes a command with its own text as the name,
/// `allowed_dirs` counts from the caller's workspace and is that workspace where it was left out.
///
/// # Errors
/// `allowed_dirs` is needed and the caller has no workspace that it could come from.
pub(super) fn complete(
    mut arguments: Map<String, Value>,
    caller: &Caller,
) -> Result<Map<String, Value>, Refusal> {
    match arguments.get_mut("checks") {
        Some(Value::Array(checks)) => name_commands(checks),
        // One command is a list of one.
        Some(command @ Value::String(_)) => {
            let mut checks = vec![command.take()];
            name_commands(&mut checks);
            *command = Value::Array(checks);
        }
        _ => {}
    }
    if let Some(directory @ Value::String(_)) = arguments.get_mut("allowed_dirs") {
        *directory = Value::Array(vec![directory.take()]);
    }
    let left_out = arguments.get("allowed_dirs").is_none_or(Value::is_null);
    let resumes = arguments
        .get("resume_job_id")
        .is_some_and(|id| !id.is_null());
    match (left_out && !resumes, caller.workspace()) {
        (true, Some(workspace)) => {
            arguments.insert("allowed_dirs".to_owned(), json!([workspace]));
        }
        (true, None) => {
            return Err(Refusal::new(
                "allowed_dirs",
                "must name the directory to work in, as in [\"/workspaces/my-project\"]: the client did not say which one is yours",
            ));
        }
        (false, Some(workspace)) => from(workspace, arguments.get_mut("allowed_dirs"), |_| true),
        (false, None) => {}
    }
    Ok(arguments)
}

/// The arguments of a reading tool, `paths` counted from the caller's workspace where they begin there; the rest count from
/// SANDBOX_ROOT, as ever.
pub(super) fn absolute_paths(
    mut arguments: Map<String, Value>,
    caller: &Caller,
) -> Map<String, Value> {
    if let Some(path @ Value::String(_)) = arguments.get_mut("paths") {
        *path = Value::Array(vec![path.take()]);
    }
    if let Some(workspace) = caller.workspace() {
        let begins_there = |path: &str| {
            let first = Path::new(path).components().next();
            first.is_some_and(|first| workspace.join(first).symlink_metadata().is_ok())
        };
        from(workspace, arguments.get_mut("paths"), begins_there);
    }
    arguments
}

/// Makes relative paths absolute. Where they lead is judged later, beneath SANDBOX_ROOT.
fn from(workspace: &Path, paths: Option<&mut Value>, counts: impl Fn(&str) -> bool) {
    for path in paths.and_then(Value::as_array_mut).into_iter().flatten() {
        if let Value::String(text) = path
            && !text.is_empty()
            && !Path::new(text).is_absolute()
            && counts(text)
        {
            let relative = match text.as_str() {
                "." => Path::new(""),
                text => Path::new(text.trim_start_matches("./")),
            };
            if let Some(whole) = workspace.join(relative).to_str() {
                *text = whole.trim_end_matches('/').to_owned();
            }
        }
    }
}

/// The longest name of a check, in bytes.
const NAME_MAX: usize = 100;

fn name_commands(checks: &mut [Value]) {
    for check in checks {
        match check {
            Value::String(command) => *check = json!({ "name": name(command), "command": command }),
            Value::Object(check) if !check.contains_key("name") => {
                if let Some(Value::String(command)) = check.get("command") {
                    let name = name(command);
                    check.insert("name".to_owned(), name.into());
                }
            }
            _ => {}
        }
    }
}

/// A command as the name of its check: one line of plain text.
fn name(command: &str) -> String {
    redact::text::one_line(command.trim(), NAME_MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::mcp::caller::Reach;

    fn caller(workspace: &str) -> Caller {
        let meta = json!({"x-codex-turn-metadata": {"workspaces": {workspace: {}}}});
        Caller::of(meta.as_object().unwrap(), Reach::Parent)
    }

    fn completed(arguments: Value) -> Value {
        let Value::Object(arguments) = arguments else {
            unreachable!()
        };
        Value::Object(complete(arguments, &caller("/w/project")).unwrap())
    }

    #[test]
    fn what_a_call_leaves_out_comes_from_where_the_planner_works() {
        for (given, wanted) in [
            (
                json!({"prompt": "p", "checks": ["npm test"]}),
                json!({"prompt": "p", "checks": [{"name": "npm test", "command": "npm test"}], "allowed_dirs": ["/w/project"]}),
            ),
            (
                json!({"checks": "cargo test", "allowed_dirs": "."}),
                json!({"checks": [{"name": "cargo test", "command": "cargo test"}], "allowed_dirs": ["/w/project"]}),
            ),
            (
                json!({"checks": [{"command": "make\ncheck"}], "allowed_dirs": ["./src", "/elsewhere", "tests"]}),
                json!({"checks": [{"command": "make\ncheck", "name": "make check"}], "allowed_dirs": ["/w/project/src", "/elsewhere", "/w/project/tests"]}),
            ),
            (json!({"resume_job_id": "x"}), json!({"resume_job_id": "x"})),
            (
                json!({"allowed_dirs": null, "resume_job_id": null}),
                json!({"allowed_dirs": ["/w/project"], "resume_job_id": null}),
            ),
            // What is no form of these is left for the arguments' own judge.
            (
                json!({"checks": [7, {"plugin": "scope"}], "allowed_dirs": [3, ""]}),
                json!({"checks": [7, {"plugin": "scope"}], "allowed_dirs": [3, ""]}),
            ),
        ] {
            assert_eq!(completed(given.clone()), wanted, "{given}");
        }
    }

    #[test]
    fn a_caller_of_several_workspaces_is_asked_which() {
        let meta = json!({"x-codex-turn-metadata": {"workspaces": {"/a": {}, "/b": {}}}});
        let caller = Caller::of(meta.as_object().unwrap(), Reach::Parent);
        let refusal = complete(Map::new(), &caller).unwrap_err();
        assert_eq!(refusal.argument, "allowed_dirs");
    }
}
