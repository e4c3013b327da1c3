//! The `[plugins]` table of the host's configuration, and what `[repositories."PATH".plugins]` says otherwise.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::bundled::BUNDLED;
use super::config::{Config, Place};
use super::grants::{GrantError, Grants};
use super::{Kind, Limits};
use settings::{RepositoryEntry, Settings};

/// Bytes that a component may have unless WORKER_PLUGIN_MAX_BYTES says otherwise. Python's interpreter makes 18 MB.
pub const PLUGIN_MAX_BYTES: u64 = 32 << 20;

/// Keys of `[plugins]` that are lists and not plugins.
const LISTS: [&str; 4] = ["dirs", "checks", "redact", "summarize"];

/// A rule that a key of the configuration breaks. The text is a clause about the key.
#[derive(Debug, thiserror::Error)]
enum SettingError {
    /// The value is of another type or form.
    #[error("must be {0}")]
    Form(&'static str),
    /// The number or size is too small or too large.
    #[error("must be between {0} and {1}")]
    Range(String, String),
    /// The key is for another table.
    #[error("is for {0}")]
    Place(&'static str),
    /// There is no such key, grant or plugin.
    #[error("{0}")]
    Unknown(&'static str),
    /// The name can be no plugin's.
    #[error("a plugin's name has small letters, digits and dashes, and begins with a letter")]
    Name,
    /// Neither a list of `[plugins]` nor the table of a plugin.
    #[error("must be one of {}, or a table of its own", LISTS.join(", "))]
    Table,
    /// A word of `grants` is none.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// A limit cannot be had.
    #[error("{0}: {1}")]
    Limit(String, Box<SettingError>),
}

/// The operator's configuration of plugins. What could not be understood is listed in [`PluginSettings::problems`];
/// whether that stops a job depends on the plugin's kind.
#[derive(Debug, Clone)]
pub struct PluginSettings {
    /// The config file, for messages.
    pub file: PathBuf,
    /// Larger components are refused, in bytes.
    pub largest: u64,
    /// The folder in which breakdowns are counted over processes; none counts them in this one alone.
    pub troubles: Option<PathBuf>,
    /// Folders in which `NAME/plugin.toml` is looked for when an entry gives no path.
    pub dirs: Vec<PathBuf>,
    /// Check plugins that every job must pass, in report order.
    pub checks: Vec<String>,
    /// Redactors beside the bundled ones. Each is required: without it text is withheld.
    pub redact: Vec<String>,
    /// Summarizers that are asked before the bundled one, in this order; the first that understands an output shortens it.
    pub summarize: Vec<String>,
    /// `[plugins.NAME]`.
    pub entries: BTreeMap<String, Entry>,
    /// The faults, each with the plugin that it concerns, if it concerns one.
    pub problems: Vec<(Option<String>, String)>,
}

/// One `[plugins.NAME]`.
#[derive(Debug, Clone)]
pub struct Entry {
    /// False takes the plugin out without forgetting its settings.
    pub enabled: bool,
    /// The kind; saves opening the plugin to find out.
    pub kind: Option<Kind>,
    /// A component, or a folder with a `plugin.toml`.
    pub path: Option<PathBuf>,
    /// Digest of the component, in hex.
    pub sha256: Option<String>,
    /// The grants.
    pub grants: Grants,
    /// `limits`, not yet laid over a kind's defaults.
    pub(super) limits: LimitChanges,
    /// `defaults` (of its manifest, as `plugin add` found them), and over them `config`: its settings.
    pub config: Config,
    /// Rules of a check whose findings do not count here.
    pub suppress: Vec<String>,
    /// Name and version that its manifest promises.
    pub(super) promised: Option<(String, String)>,
    /// The reason why it cannot be used: place, key and rule.
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

impl Default for PluginSettings {
    fn default() -> Self {
        PluginSettings {
            file: PathBuf::from("config.toml"),
            largest: PLUGIN_MAX_BYTES,
            troubles: None,
            dirs: Vec::new(),
            checks: Vec::new(),
            redact: Vec::new(),
            summarize: Vec::new(),
            entries: BTreeMap::new(),
            problems: Vec::new(),
        }
    }
}

impl PluginSettings {
    /// Returns the settings for work in the working trees with these tops; with none, those that hold everywhere.
    pub fn of(settings: &Settings, tops: &[PathBuf]) -> Self {
        let mut plugins = Self::everywhere(settings);
        for entry in settings.repositories.of_any(tops) {
            plugins.lay(entry);
        }
        plugins
    }

    /// Returns the settings of this one entry for repositories, apart from other entries.
    pub fn of_entry(settings: &Settings, entry: &RepositoryEntry) -> Self {
        let mut plugins = Self::everywhere(settings);
        plugins.lay(entry);
        plugins
    }

    /// The same with the redactors that any repository has: for text that may come from several of them.
    #[must_use]
    pub fn with_every_redactor(mut self, settings: &Settings) -> Self {
        for entry in settings.repositories.all() {
            let names = entry.plugins.get("redact").map(strings);
            for name in names.and_then(Result::ok).unwrap_or_default() {
                if !self.redact.contains(&name) {
                    self.redact.push(name);
                }
            }
        }
        self
    }

    fn everywhere(settings: &Settings) -> Self {
        let mut plugins = Self {
            file: settings.sources.config_path(),
            largest: settings.plugin_max_bytes,
            troubles: Some(settings.state_dir.join("plugins")),
            ..Self::default()
        };
        plugins.read(&settings.plugins, &settings.config_dir);
        plugins
    }

    /// Reads a `[plugins]` table of the file `config.toml` in `config_dir`. Relative paths count from there, `~/` from the
    /// home directory.
    pub fn from_table(table: &toml::Table, config_dir: &Path) -> Self {
        let mut plugins = Self {
            file: config_dir.join("config.toml"),
            ..Self::default()
        };
        plugins.read(table, config_dir);
        plugins
    }

    fn read(&mut self, table: &toml::Table, config_dir: &Path) {
        let context = Context {
            file: &self.file.clone(),
            table: "plugins".to_owned(),
            config_dir: Some(config_dir),
        };
        for (key, value) in table {
            let result = match (key.as_str(), value) {
                ("dirs", value) => strings(value).map(|dirs| {
                    self.dirs = dirs.iter().map(|dir| resolve(dir, config_dir)).collect();
                }),
                ("checks", value) => strings(value).map(|names| self.checks = names),
                ("redact", value) => strings(value).map(|names| self.redact = names),
                ("summarize", value) => strings(value).map(|names| self.summarize = names),
                (name, value) => self.entry(name, value, &context),
            };
            if let Err(rule) = result {
                let problem = format!("[plugins] {key}: {rule}");
                self.problems.push((None, context.problem(&problem)));
            }
        }
    }

    /// Lays over what an entry for repositories says: other settings, grants, limits or none at all for plugins that there
    /// are, further checks and redactors.
    fn lay(&mut self, entry: &RepositoryEntry) {
        let context = Context {
            file: &self.file.clone(),
            table: format!("repositories.{:?}.plugins", entry.key),
            config_dir: None,
        };
        for (key, value) in &entry.plugins {
            let result = match (key.as_str(), value) {
                ("dirs", _) => Err(SettingError::Place("[plugins] only")),
                ("checks", value) => strings(value).map(|names| join(&mut self.checks, names)),
                ("redact", value) => strings(value).map(|names| join(&mut self.redact, names)),
                ("summarize", value) => {
                    strings(value).map(|names| join(&mut self.summarize, names))
                }
                (name, toml::Value::Table(_)) if is_name(name) && !self.has(name) => Err(
                    SettingError::Unknown("there is no plugin of that name in [plugins]"),
                ),
                (name, value) => self.entry(name, value, &context),
            };
            if let Err(rule) = result {
                let problem = format!("[{}] {key}: {rule}", context.table);
                self.problems.push((None, context.problem(&problem)));
            }
        }
    }

    fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name) || BUNDLED.iter().any(|bundled| bundled.name == name)
    }

    /// Reads the table of one plugin over what is known of it.
    fn entry(
        &mut self,
        name: &str,
        value: &toml::Value,
        context: &Context<'_>,
    ) -> Result<(), SettingError> {
        let toml::Value::Table(table) = value else {
            return Err(SettingError::Table);
        };
        if !is_name(name) {
            return Err(SettingError::Name);
        }
        let entry = self.entries.entry(name.to_owned()).or_default();
        let context = Context {
            table: format!("{}.{name}", context.table),
            ..*context
        };
        for (key, value) in table {
            if let Err(rule) = entry.set(key, value, &context) {
                let problem = context.problem(&format!("[{}] {key}: {rule}", context.table));
                self.problems.push((Some(name.to_owned()), problem.clone()));
                entry.broken.get_or_insert(problem);
            }
        }
        Ok(())
    }
}

/// Adds a repository's list. A name that stands in both has the place that the nearer one gives it.
fn join(list: &mut Vec<String>, names: Vec<String>) {
    list.retain(|name| !names.contains(name));
    list.extend(names);
}

/// The place of a table.
struct Context<'a> {
    file: &'a Path,
    table: String,
    /// The folder that relative paths count from; none in a repository's section, which names no files.
    config_dir: Option<&'a Path>,
}

impl Context<'_> {
    fn problem(&self, problem: &str) -> String {
        format!("{}: {problem}", self.file.display())
    }
}

/// Returns true if this can be a plugin's name.
pub fn is_name(name: &str) -> bool {
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
            config: Config::default(),
            suppress: Vec::new(),
            promised: None,
            broken: None,
        }
    }
}

impl Entry {
    /// Returns true for an entry that changes nothing.
    pub(super) fn says_nothing(&self) -> bool {
        self.enabled && self.broken.is_none() && self.config.values().is_empty()
    }

    /// The entry of a gateway preset, which has its settings elsewhere.
    pub(super) fn of_a_preset(&self, name: &str) -> Self {
        let problem = format!(
            "[plugins.{name}]: {name} is a preset of the plugin declared: write what differs in \
             [plugins.declared.config.gateways.{name}], or name another dialect by WORKER_DIALECT"
        );
        Self {
            kind: Some(Kind::Dialect),
            broken: self.broken.clone().or(Some(problem)),
            ..self.clone()
        }
    }

    fn set(
        &mut self,
        key: &str,
        value: &toml::Value,
        context: &Context<'_>,
    ) -> Result<(), SettingError> {
        use SettingError::{Form, Place as Misplaced, Unknown};
        let text = || value.as_str().ok_or(Form("a string"));
        let here = |config_dir: Option<&Path>| {
            config_dir.map(Path::to_owned).ok_or(Misplaced(
                "[plugins.NAME] only: a plugin is the same for every repository",
            ))
        };
        match key {
            "enabled" => self.enabled = value.as_bool().ok_or(Form("true or false"))?,
            "kind" => {
                here(context.config_dir)?;
                let kind = Kind::from_word(text()?);
                self.kind = Some(kind.ok_or(Form("check, summarizer, redactor or dialect"))?);
            }
            "path" => self.path = Some(resolve(text()?, &here(context.config_dir)?)),
            "sha256" => {
                here(context.config_dir)?;
                let hex = text()?.to_ascii_lowercase();
                if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Err(Form("a digest of 64 hexadecimal digits"));
                }
                self.sha256 = Some(hex);
            }
            "grants" => self.grants = Grants::parse(&strings(value)?)?,
            "suppress" => self.suppress = strings(value)?,
            // For `plugin update`.
            "source" | "signer" => {
                text()?;
            }
            "limits" => {
                for (name, limit) in value.as_table().ok_or(Form("a table"))? {
                    let set = self.limits.set(name, limit);
                    set.map_err(|rule| SettingError::Limit(name.clone(), Box::new(rule)))?;
                }
            }
            "config" | "defaults" => match serde_json::to_value(value) {
                Ok(Value::Object(config)) => {
                    let place = Place::table(context.file, format!("{}.{key}", context.table));
                    if key == "defaults" {
                        self.config.lay_defaults(place, config);
                    } else {
                        self.config.lay(place, config);
                    }
                }
                _ => return Err(Form("a table")),
            },
            _ => {
                return Err(Unknown(
                    "no such key; there are enabled, kind, path, sha256, grants, limits, suppress, source, signer, config, defaults",
                ));
            }
        }
        Ok(())
    }
}

impl LimitChanges {
    fn set(&mut self, name: &str, value: &toml::Value) -> Result<(), SettingError> {
        match name {
            "memory" => self.memory = Some(size(value, 1 << 16, 4 << 30)?),
            "output" => self.output = Some(size(value, 1 << 10, 256 << 20)?),
            "log" => self.log = Some(size(value, 0, 64 << 20)?),
            "deadline" => self.deadline = Some(time(value)?),
            _ => {
                return Err(SettingError::Unknown(
                    "no such limit; there are memory, deadline, output, log",
                ));
            }
        }
        Ok(())
    }
}

/// `"64MiB"`, `"64 KiB"`, or a number of bytes.
fn size(value: &toml::Value, least: u64, most: u64) -> Result<u64, SettingError> {
    const UNITS: &[(&str, u64)] = &[
        ("", 1),
        ("B", 1),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
    ];
    let count = quantity(value, UNITS).ok_or(SettingError::Form(
        "a size such as \"64MiB\", \"512KiB\", or a number of bytes",
    ))?;
    if (least..=most).contains(&count) {
        Ok(count)
    } else {
        let bytes = super::limits::bytes;
        Err(SettingError::Range(bytes(least), bytes(most)))
    }
}

/// `"2s"`, `"500ms"`, or a number of milliseconds.
fn time(value: &toml::Value) -> Result<Duration, SettingError> {
    let millis = quantity(value, &[("", 1), ("ms", 1), ("s", 1000)]).ok_or(SettingError::Form(
        "a time such as \"2s\", \"500ms\", or a number of milliseconds",
    ))?;
    if (10..=600_000).contains(&millis) {
        Ok(Duration::from_millis(millis))
    } else {
        Err(SettingError::Range("10 ms".to_owned(), "600 s".to_owned()))
    }
}

/// A number, or a text of a number and one of these units, in the smallest unit.
fn quantity(value: &toml::Value, units: &[(&str, u64)]) -> Option<u64> {
    match value {
        toml::Value::Integer(count) => u64::try_from(*count).ok(),
        toml::Value::String(text) => {
            let end = text.find(|c: char| !c.is_ascii_digit());
            let (number, unit) = text.split_at(end.unwrap_or(text.len()));
            let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim())?;
            number.parse::<u64>().ok()?.checked_mul(*factor)
        }
        _ => None,
    }
}

fn strings(value: &toml::Value) -> Result<Vec<String>, SettingError> {
    const FORM: SettingError = SettingError::Form("a list of strings");
    let list = value.as_array().ok_or(FORM)?;
    list.iter()
        .map(|item| item.as_str().map(str::to_owned).ok_or(FORM))
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
        assert_eq!(Value::Object(todo.config.values())["deep"]["a"], 1);
    }

    #[test]
    fn what_is_wrong_is_named_by_key_and_rule() {
        for (text, says) in [
            ("checks = 1", "checks: must be a list of strings"),
            ("[Todo]", "small letters"),
            ("todo = 1", "a table of its own"),
            ("[todo]\nsha256 = \"ab\"", "sha256: must be a digest of 64"),
            ("[todo]\nkind = \"thing\"", "kind: must be check"),
            (
                "[todo]\ngrants = [\"network\"]",
                "[plugins.todo] grants: there is no grant \"network\"",
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
            (
                "[todo]\nonfailure = 1",
                "/etc/worker/config.toml: [plugins.todo] onfailure: no such key",
            ),
        ] {
            let problems = read(text).problems;
            assert!(
                problems.iter().any(|(_, problem)| problem.contains(says)),
                "{text}: {problems:?}"
            );
        }
    }

    /// Settings as they would be loaded from a config file of this text.
    fn settings(text: &str) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.toml"), text).unwrap();
        let sources = settings::Sources {
            config_dir: folder.path().to_owned(),
            home: Some(PathBuf::from("/home/ada")),
            ..settings::Sources::default()
        };
        Settings::load(&sources).unwrap()
    }

    const SECTIONS: &str = r#"
        [plugins]
        checks = ["todo", "license", "size"]
        redact = ["corp"]
        [plugins.todo]
        path = "todo.wasm"
        limits = { memory = "16MiB", deadline = "1s" }
        config = { words = ["TODO"], most = 3 }
        [plugins.license]
        [plugins.corp]

        [repositories."/work/*".plugins]
        checks = ["style", "todo"]
        [repositories."/work/*".plugins.todo]
        config = { words = ["FIXME"] }
        limits = { deadline = "3s" }
        [repositories."/work/shop".plugins.license]
        enabled = false
        [repositories."/work/shop".plugins.corp]
        enabled = false
        [repositories."/work/shop".plugins.todo]
        grants = ["files:docs/**"]
    "#;

    #[test]
    fn a_repository_has_its_own_settings_order_and_switches() {
        let settings = settings(SECTIONS);
        let of = |dir: &str| PluginSettings::of(&settings, &[PathBuf::from(dir)]);
        let elsewhere = of("/elsewhere");
        assert_eq!(elsewhere.problems, []);
        assert_eq!(elsewhere.checks, ["todo", "license", "size"]);
        assert_eq!(
            Value::Object(elsewhere.entries["todo"].config.values()),
            serde_json::json!({"words": ["TODO"], "most": 3})
        );

        let shop = of("/work/shop");
        assert_eq!(shop.problems, []);
        assert_eq!(shop.checks, ["license", "size", "style", "todo"]);
        assert!(!shop.entries["license"].enabled && !shop.entries["corp"].enabled);
        let todo = &shop.entries["todo"];
        assert_eq!(
            Value::Object(todo.config.values()),
            serde_json::json!({"words": ["FIXME"], "most": 3})
        );
        assert_eq!(todo.grants.words(), ["files:docs/**"]);
        let limits = todo.limits.over(Kind::Check);
        assert_eq!(
            (limits.memory, limits.deadline),
            (16 << 20, Duration::from_secs(3))
        );
        assert!(of("/work/other").entries["license"].enabled);
    }

    #[test]
    fn what_a_repository_cannot_say_is_named_by_file_key_and_rule() {
        for (text, says) in [
            ("dirs = ['x']", "dirs: is for [plugins] only"),
            ("checks = 1", "checks: must be a list of strings"),
            (
                "todoo = {}",
                "todoo: there is no plugin of that name in [plugins]",
            ),
            ("todo = 1", "todo: must be one of dirs"),
            ("todo = { path = 'x' }", "path: is for [plugins.NAME] only"),
            ("todo = { sha256 = 'x' }", "sha256: is for"),
            ("todo = { kind = 'check' }", "kind: is for"),
            ("todo = { enabled = 1 }", "enabled: must be true or false"),
        ] {
            let settings = settings(&format!(
                "[plugins.todo]\n[repositories.'/a'.plugins]\n{text}"
            ));
            let problems = PluginSettings::of(&settings, &[PathBuf::from("/a")]).problems;
            let [(_, problem)] = &problems[..] else {
                unreachable!("{text}: {problems:?}")
            };
            assert!(problem.contains(says), "{problem}");
            assert!(
                problem.contains("config.toml: [repositories.\"/a\".plugins"),
                "{problem}"
            );
        }
    }
}
