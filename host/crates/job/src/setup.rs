//! The set-up of an isolated tree: the command that installs what no commit holds (`npm ci`), before the agent starts.
//! From `setup` of `[repositories."PATH"]`, or from a job where the operator allows that.

use std::path::{Component, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::arguments::Arguments;
use crate::check_arguments::command_check;
use crate::checks::CommandCheck;
use crate::refusal::Refusal;

/// The name of a set-up's line in the result.
pub(crate) const SETUP_LINE: &str = "setup";

/// The keys of a set-up.
const SETUP_KEYS: &[&str] = &[
    "command",
    "lock_files",
    "timeout_ms",
    "cwd",
    "env",
    "network",
];

/// The most lock files of one set-up.
const LOCK_FILES_MAX: usize = 64;

/// The command that makes a tree ready.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetupSpec {
    /// The command, run as a check's command is.
    pub command: CommandCheck,
    /// Files, relative to the tree's top, that decide what the command makes: while they are the same, what it made for one
    /// tree is copied into the next. With none it runs for each tree.
    pub lock_files: Vec<PathBuf>,
}

/// Reads a set-up from a job's arguments or from the operator's configuration: a command line, or an object.
///
/// # Errors
/// The part that breaks a rule.
pub(crate) fn read(place: &str, value: Value) -> Result<SetupSpec, Refusal> {
    let rule = "must be a shell command, or an object with command and lock_files";
    let values = match value {
        Value::Object(values) => values,
        line @ (Value::String(_) | Value::Array(_)) => {
            Map::from_iter([("command".to_owned(), line)])
        }
        _ => return Err(Refusal::new(place, rule)),
    };
    let mut given = Arguments::at(format!("{place}."), values, SETUP_KEYS)?;
    let Some(command) = given.take("command") else {
        return Err(given.refuse("command", rule));
    };
    let mut lock_files = Vec::new();
    let named = given.strings("lock_files", LOCK_FILES_MAX)?;
    for path in named.unwrap_or_default().into_iter().map(PathBuf::from) {
        let plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if !path.components().all(plain) {
            let rule = "must be files of the tree, relative to its top";
            return Err(given.refuse("lock_files", rule));
        }
        lock_files.push(path);
    }
    let mut command = command_check(&mut given, Some(SETUP_LINE.to_owned()), command)?;
    command.retries = 0;
    Ok(SetupSpec {
        command,
        lock_files,
    })
}
