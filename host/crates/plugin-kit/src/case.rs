//! `plugin case`: a case of a check, made of what it saw in a job.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::cases::FILE;

/// The reason why there is no case.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// The job's record cannot be read.
    #[error("the record of what the checks saw cannot be read: {0}")]
    Record(#[from] serde_json::Error),
    /// The plugin did not run in the job.
    #[error("{wanted} did not run in the last pass of this job; there {}", listed(.ran))]
    NotRun {
        /// The plugin that was asked for, and the check where one was named.
        wanted: String,
        /// The checks that ran, each with its plugin.
        ran: Vec<String>,
    },
    /// There is a case of that name.
    #[error("{0} is there already; remove it, or give the case another --name")]
    Exists(String),
    /// The file system is in the way.
    #[error("{file}: {error}")]
    File {
        /// Which file.
        file: String,
        /// The answer of the system.
        error: std::io::Error,
    },
}

fn listed(checks: &[String]) -> String {
    match checks {
        [] => "ran none".to_owned(),
        checks => format!("ran {}", checks.join(", ")),
    }
}

/// A case that was written.
#[derive(Debug)]
pub struct Written {
    /// The file of the case.
    pub file: PathBuf,
    /// The parts of the job that the case lacks.
    pub left_out: Vec<String>,
}

/// Writes a case of what a plugin saw: `record` is the job's, `check` tells two runs of one plugin apart.
///
/// # Errors
/// When the plugin did not run, or when the case is there or cannot be written.
pub fn write(
    folder: &Path,
    name: &str,
    record: &str,
    plugin: &str,
    check: Option<&str>,
) -> Result<Written, CaseError> {
    let record: Value = serde_json::from_str(record)?;
    let case = of(&record, plugin, check)?;
    let left_out = case["left_out"].as_array().into_iter().flatten();
    let left_out = left_out.filter_map(Value::as_str).map(str::to_owned);
    let left_out = left_out.collect();
    let place = folder.join("cases").join(name);
    let file = place.join(FILE);
    let failed = |error| CaseError::File {
        file: file.display().to_string(),
        error,
    };
    if file.exists() {
        return Err(CaseError::Exists(file.display().to_string()));
    }
    std::fs::create_dir_all(&place).map_err(failed)?;
    let text = format!("{}\n", serde_json::to_string_pretty(&case)?);
    std::fs::write(&file, text).map_err(failed)?;
    Ok(Written { file, left_out })
}

/// The case of one run.
fn of(record: &Value, plugin: &str, check: Option<&str>) -> Result<Value, CaseError> {
    let checks: Vec<&Value> = record["checks"].as_array().into_iter().flatten().collect();
    let wanted =
        |run: &&&Value| run["plugin"] == plugin && check.is_none_or(|check| run["name"] == check);
    let Some(run) = checks.iter().find(wanted) else {
        let wanted = match check {
            Some(check) => format!("{plugin} as the check {check:?}"),
            None => plugin.to_owned(),
        };
        let words = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let ran = checks.iter().map(|run| {
            let (name, plugin) = (words(&run["name"]), words(&run["plugin"]));
            match name == plugin {
                true => plugin,
                false => format!("{plugin} (the check {name:?})"),
            }
        });
        return Err(CaseError::NotRun {
            wanted,
            ran: ran.collect(),
        });
    };
    let commands = record["commands"].as_array().into_iter().flatten();
    let before = usize::try_from(run["commands"].as_u64().unwrap_or_default());
    let commands: Vec<&Value> = commands.take(before.unwrap_or(usize::MAX)).collect();
    let mut case = Map::new();
    for (key, value) in [
        ("settings", run["settings"].clone()),
        ("task", record["task"].clone()),
        ("changed", record["changed"].clone()),
        ("tree", run["tree"].clone()),
        ("commands", json!(commands)),
        ("agent_message", record["agent_message"].clone()),
        ("left_out", run["left_out"].clone()),
        ("expect", run["expect"].clone()),
    ] {
        let says_nothing = value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(Map::is_empty)
            || value.as_str().is_some_and(str::is_empty)
            || value.is_null();
        if !says_nothing {
            case.insert(key.to_owned(), value);
        }
    }
    Ok(Value::Object(case))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn record() -> String {
        let run = |name: &str, plugin: &str, commands: u64| {
            json!({
                "name": name, "plugin": plugin, "settings": {"words": [name]}, "commands": commands,
                "tree": {}, "expect": {"passed": true}, "left_out": ["big.sql (after)"],
            })
        };
        json!({
            "task": "Change it.", "agent_message": "", "changed": {"a": {"after": "x\n"}},
            "commands": [{"name": "one"}, {"name": "two"}],
            "checks": [run("scoped_patch", "scope", 0), run("no todo", "todo", 1), run("again", "todo", 2)],
        })
        .to_string()
    }

    #[test]
    fn a_case_has_what_the_plugin_saw_at_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, plugin: &str, check| {
            super::write(folder.path(), name, &record(), plugin, check)
        };
        let read = |written: &Written| -> Value {
            serde_json::from_str(&std::fs::read_to_string(&written.file).unwrap()).unwrap()
        };
        let first = write("a", "todo", None).unwrap();
        assert_eq!(first.file, folder.path().join("cases/a/case.json"));
        assert_eq!(first.left_out, ["big.sql (after)"]);
        let case = read(&first);
        assert_eq!(case["commands"], json!([{"name": "one"}]));
        assert_eq!(case["settings"], json!({"words": ["no todo"]}));
        assert_eq!(case["task"], "Change it.");
        assert!(case.get("tree").is_none() && case.get("agent_message").is_none());
        let second = read(&write("b", "todo", Some("again")).unwrap());
        assert_eq!(second["commands"].as_array().unwrap().len(), 2);
        // What is there is somebody's work.
        let error = write("a", "scope", None).unwrap_err();
        assert!(matches!(error, CaseError::Exists(_)), "{error}");
        let error = write("c", "gone", None).unwrap_err().to_string();
        assert!(
            error.contains("gone did not run") && error.contains("todo (the check \"no todo\")"),
            "{error}"
        );
    }
}
