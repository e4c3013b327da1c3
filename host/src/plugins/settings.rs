//! The `[plugins]` table of the host's configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::grants::Grants;
use super::{Kind, Limits};

/// Keys of `[plugins]` that are lists and not plugins.
const LISTS: [&str; 3] = ["dirs", "checks", "redact"];

/// What the operator configured about plugins. What could not be understood is listed in [`PluginSettings::problems`];
/// whether that stops a job depends on the plugin's kind.
#[derive(Debug, Clone, Default)]
pub struct PluginSettings {
    /// Folders in which `NAME/plugin.toml` is looked for when an entry gives no path.
    pub dirs: Vec<PathBuf>,
    /// Check plugins that every job must pass, in report order.
    pub checks: Vec<String>,
    /// Redactors beside the bundled ones. Each is required: without it text is withheld.
    pub redact: Vec<String>,
    /// `[plugins.NAME]`.
    pub entries: BTreeMap<String, Entry>,
    /// What is wrong, each with the plugin that it concerns, if it concerns one.
    pub problems: Vec<(Option<String>, String)>,
}

/// One `[plugins.NAME]`.
#[derive(Debug, Clone)]
pub struct Entry {
    /// False takes the plugin out without forgetting its settings.
    pub enabled: bool,
    /// What it is; saves opening it to find out.
    pub kind: Option<Kind>,
    /// A component, or a folder with a `plugin.toml`.
    pub path: Option<PathBuf>,
    /// Digest of the component, in hex.
    pub sha256: Option<String>,
    /// What it may do.
    pub grants: Grants,
    /// `limits`, not yet laid over a kind's defaults.
    pub(super) limits: LimitChanges,
    /// `config`: its settings.
    pub config: serde_json::Map<String, Value>,
    /// Why it cannot be used.
    pub(super) broken: Option<String>,
}

/// The operator's changes of a kind's limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LimitChanges {
    memory: Option<u64>,
    deadline: Option<Duration>,
    output: Option<u64>,
    log: Option<u64>,
}

impl LimitChanges {
    /// The limits of a plugin of that kind.
    pub(super) fn over(&self, kind: Kind) -> Limits {
        let defaults = Limits::of(kind);
        Limits {
            memory: self.memory.unwrap_or(defaults.memory),
            deadline: self.deadline.unwrap_or(defaults.deadline),
            output: self.output.unwrap_or(defaults.output),
            log: self.log.unwrap_or(defaults.log),
            ..defaults
        }
    }
}

impl PluginSettings {
    /// Reads the table. Relative paths count from `config_dir`, `~/` from the home directory.
    pub fn from_table(table: &toml::Table, config_dir: &Path) -> Self {
        let mut settings = PluginSettings::default();
        for (key, value) in table {
            let result = match (key.as_str(), value) {
                ("dirs", value) => strings(value).map(|dirs| {
                    settings.dirs = dirs.iter().map(|dir| resolve(dir, config_dir)).collect();
                }),
                ("checks", value) => strings(value).map(|names| settings.checks = names),
                ("redact", value) => strings(value).map(|names| settings.redact = names),
                (name, toml::Value::Table(entry)) if is_name(name) => {
                    let entry = Entry::from_table(entry, config_dir);
                    if let Some(problem) = &entry.broken {
                        settings.problems.push((Some(name.to_owned()), problem.clone()));
                    }
                    settings.entries.insert(name.to_owned(), entry);
                    Ok(())
                }
                (_, toml::Value::Table(_)) => {
                    Err("a plugin's name has small letters, digits and dashes, and begins with a letter".to_owned())
                }
                _ => Err(format!("must be one of {}, or a table of its own", LISTS.join(", "))),
            };
            if let Err(rule) = result {
                settings
                    .problems
                    .push((None, format!("[plugins] {key}: {rule}")));
            }
        }
        settings
    }
}

/// Whether this can be a plugin's name.
pub(super) fn is_name(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !LISTS.contains(&name)
        && name.len() <= 64
        && name.bytes().all(word)
        && name
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_lowercase())
        && !name.ends_with('-')
}

impl Default for Entry {
    fn default() -> Self {
        Entry {
            enabled: true,
            kind: None,
            path: None,
            sha256: None,
            grants: Grants::default(),
            limits: LimitChanges::default(),
            config: serde_json::Map::new(),
            broken: None,
        }
    }
}

impl Entry {
    fn from_table(table: &toml::Table, config_dir: &Path) -> Self {
        let mut entry = Entry::default();
        for (key, value) in table {
            if let Err(rule) = entry.set(key, value, config_dir) {
                entry.broken.get_or_insert(format!("{key}: {rule}"));
            }
        }
        entry
    }

    fn set(&mut self, key: &str, value: &toml::Value, config_dir: &Path) -> Result<(), String> {
        let text = || value.as_str().ok_or("must be a string".to_owned());
        match key {
            "enabled" => self.enabled = value.as_bool().ok_or("must be true or false")?,
            "kind" => {
                let kind = Kind::from_word(text()?);
                self.kind = Some(kind.ok_or("must be check, summarizer, redactor or dialect")?);
            }
            "path" => self.path = Some(resolve(text()?, config_dir)),
            "sha256" => {
                let hex = text()?.to_ascii_lowercase();
                if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Err("must have 64 hexadecimal digits".to_owned());
                }
                self.sha256 = Some(hex);
            }
            "grants" => self.grants = Grants::parse(&strings(value)?)?,
            "limits" => {
                for (name, limit) in value.as_table().ok_or("must be a table")? {
                    self.limits
                        .set(name, limit)
                        .map_err(|rule| format!("{name}: {rule}"))?;
                }
            }
            "config" => match serde_json::to_value(value) {
                Ok(Value::Object(config)) => self.config = config,
                _ => return Err("must be a table".to_owned()),
            },
            _ => {
                return Err(
                    "no such key; there are enabled, kind, path, sha256, grants, limits, config"
                        .to_owned(),
                );
            }
        }
        Ok(())
    }
}

impl LimitChanges {
    fn set(&mut self, name: &str, value: &toml::Value) -> Result<(), String> {
        match name {
            "memory" => self.memory = Some(size(value, 1 << 16, 4 << 30)?),
            "output" => self.output = Some(size(value, 1 << 10, 256 << 20)?),
            "log" => self.log = Some(size(value, 0, 64 << 20)?),
            "deadline" => self.deadline = Some(time(value)?),
            _ => return Err("no such limit; there are memory, deadline, output, log".to_owned()),
        }
        Ok(())
    }
}

/// `"64MiB"`, `"64 KiB"`, or a number of bytes.
fn size(value: &toml::Value, least: u64, most: u64) -> Result<u64, String> {
    let rule = || "must be a size such as \"64MiB\", \"512KiB\", or a number of bytes".to_owned();
    let count = match value {
        toml::Value::Integer(count) => u64::try_from(*count).map_err(|_| rule())?,
        toml::Value::String(text) => {
            let (number, unit) = text.split_at(
                text.find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(text.len()),
            );
            let unit = match unit.trim() {
                "" | "B" => 1,
                "KiB" => 1 << 10,
                "MiB" => 1 << 20,
                "GiB" => 1 << 30,
                _ => return Err(rule()),
            };
            number
                .parse::<u64>()
                .ok()
                .and_then(|number| number.checked_mul(unit))
                .ok_or_else(rule)?
        }
        _ => return Err(rule()),
    };
    if (least..=most).contains(&count) {
        Ok(count)
    } else {
        Err(format!(
            "must be between {} and {}",
            super::limits::bytes(least),
            super::limits::bytes(most)
        ))
    }
}

/// `"2s"`, `"500ms"`, or a number of milliseconds.
fn time(value: &toml::Value) -> Result<Duration, String> {
    let rule =
        || "must be a time such as \"2s\", \"500ms\", or a number of milliseconds".to_owned();
    let millis = match value {
        toml::Value::Integer(count) => u64::try_from(*count).map_err(|_| rule())?,
        toml::Value::String(text) => {
            let (number, unit) = text.split_at(
                text.find(|c: char| !c.is_ascii_digit())
                    .unwrap_or(text.len()),
            );
            let unit = match unit.trim() {
                "" | "ms" => 1,
                "s" => 1000,
                _ => return Err(rule()),
            };
            number
                .parse::<u64>()
                .ok()
                .and_then(|number| number.checked_mul(unit))
                .ok_or_else(rule)?
        }
        _ => return Err(rule()),
    };
    if (10..=600_000).contains(&millis) {
        Ok(Duration::from_millis(millis))
    } else {
        Err("must be between 10 ms and 600 s".to_owned())
    }
}

fn strings(value: &toml::Value) -> Result<Vec<String>, String> {
    let list = value.as_array().ok_or("must be a list of strings")?;
    list.iter()
        .map(|item| {
            item.as_str()
                .map(str::to_owned)
                .ok_or("must be a list of strings".to_owned())
        })
        .collect()
}

/// `path` from the user's home or the configuration's folder; never from the current directory.
fn resolve(path: &str, config_dir: &Path) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => config_dir.join(path),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> PluginSettings {
        PluginSettings::from_table(&text.parse().unwrap(), Path::new("/etc/worker"))
    }

    #[test]
    fn an_entry_is_read_with_its_grants_limits_and_settings() {
        let settings = read(
            r#"
            checks = ["todo"]
            [todo]
            kind = "check"
            path = "plugins/todo.wasm"
            sha256 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
            grants = ["clock", "files:docs/**"]
            limits = { memory = "16 MiB", deadline = "500ms", output = 4096 }
            config = { words = ["TODO"], deep = { a = 1 } }
            "#,
        );
        assert_eq!(settings.problems, []);
        let todo = &settings.entries["todo"];
        assert_eq!(
            todo.path.as_deref(),
            Some(Path::new("/etc/worker/plugins/todo.wasm"))
        );
        assert!(todo.sha256.as_deref().unwrap().starts_with("aaaa"));
        assert_eq!(todo.grants.words(), ["clock", "files:docs/**"]);
        let limits = todo.limits.over(Kind::Check);
        assert_eq!(
            (limits.memory, limits.deadline),
            (16 << 20, Duration::from_millis(500))
        );
        assert_eq!(
            (limits.output, limits.log),
            (4096, Limits::of(Kind::Check).log)
        );
        assert_eq!(Value::Object(todo.config.clone())["deep"]["a"], 1);
    }

    #[test]
    fn what_is_wrong_is_named_by_key_and_rule() {
        for (text, says) in [
            ("checks = 1", "checks: must be a list of strings"),
            ("[Todo]", "small letters"),
            ("todo = 1", "a table of its own"),
            ("[todo]\nsha256 = \"ab\"", "sha256: must have 64"),
            ("[todo]\nkind = \"thing\"", "kind: must be check"),
            (
                "[todo]\ngrants = [\"network\"]",
                "grants: there is no grant \"network\"",
            ),
            (
                "[todo]\nlimits = { memory = \"1TB\" }",
                "limits: memory: must be a size",
            ),
            (
                "[todo]\nlimits = { memory = 1 }",
                "limits: memory: must be between 64 KiB and",
            ),
            (
                "[todo]\nlimits = { deadline = \"1h\" }",
                "limits: deadline: must be a time",
            ),
            ("[todo]\nlimits = { cpu = 1 }", "limits: cpu: no such limit"),
            ("[todo]\nonfailure = 1", "onfailure: no such key"),
        ] {
            let problems = read(text).problems;
            assert!(
                problems.iter().any(|(_, problem)| problem.contains(says)),
                "{text}: {problems:?}"
            );
        }
    }
}
