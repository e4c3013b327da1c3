//! The sources of values: flags, the environment, `.env`, the config file.
//!
//! Neither file is ever looked for in the current directory: Codex starts the server inside a repository, and a
//! repository must not set the gateway, the root, a plugin or a permission.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::SETTINGS;
use super::edited::as_text;
use super::error::{Problem, SettingsError};
use super::origin::Origin;
use super::path::is_absolute;
use super::repositories::{self, Repositories};
use super::table::setting;

/// The name of this tool's folders below the user's config, state and cache folders.
const FOLDER: &str = "mcp-codex-worker";

/// A settings file larger than this is not one.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Everything that settings are made from; nothing else is looked at.
#[derive(Clone, Default)]
pub struct Sources {
    /// Name and value of each `--set`.
    pub flags: Vec<(String, String)>,
    /// The process environment, or what a test puts in its place.
    pub environment: BTreeMap<String, String>,
    /// `--env-file`; `.env` in the config folder when absent.
    pub env_file: Option<PathBuf>,
    /// `--config`; `config.toml` in the config folder when absent.
    pub config: Option<PathBuf>,
    /// The user's config folder for this tool.
    pub config_dir: PathBuf,
    /// The user's home directory.
    pub home: Option<PathBuf>,
}

impl Sources {
    /// The sources of this process, with what its command line said.
    pub fn from_process(
        flags: Vec<(String, String)>,
        env_file: Option<PathBuf>,
        config: Option<PathBuf>,
    ) -> Self {
        // A value that is not UTF-8 keeps a replacement character, by which it is refused later.
        let environment: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| {
                Some((
                    name.into_string().ok()?,
                    value.to_string_lossy().into_owned(),
                ))
            })
            .collect();
        let here = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        Self {
            flags,
            env_file: env_file.map(here),
            config: config.map(here),
            ..Self::from_environment(environment)
        }
    }

    /// The sources of a process with this environment and no flags.
    pub fn from_environment(environment: BTreeMap<String, String>) -> Self {
        let home = ["HOME", "USERPROFILE"]
            .iter()
            .find_map(|name| folder(&environment, name));
        let config_dir = folder(&environment, "XDG_CONFIG_HOME")
            .or_else(|| folder(&environment, "APPDATA"))
            .or_else(|| home.as_ref().map(|home| home.join(".config")))
            .unwrap_or_default()
            .join(FOLDER);
        Self {
            flags: Vec::new(),
            environment,
            env_file: None,
            config: None,
            config_dir,
            home,
        }
    }

    /// The arguments that make another process of this program load the same settings (the environment it inherits).
    pub fn arguments(&self) -> Vec<OsString> {
        let mut arguments = Vec::new();
        if let Some(path) = &self.env_file {
            arguments.push("--env-file".into());
            arguments.push(path.into());
        }
        if let Some(path) = &self.config {
            arguments.push("--config".into());
            arguments.push(path.into());
        }
        for (name, value) in &self.flags {
            arguments.push("--set".into());
            arguments.push(format!("{name}={value}").into());
        }
        arguments
    }

    /// The `.env` that is read.
    pub fn env_file_path(&self) -> PathBuf {
        self.env_file
            .clone()
            .unwrap_or_else(|| self.config_dir.join(".env"))
    }

    /// The config file that is read.
    pub fn config_path(&self) -> PathBuf {
        self.config
            .clone()
            .unwrap_or_else(|| self.config_dir.join("config.toml"))
    }

    /// The default place of the job store.
    pub(super) fn default_state_dir(&self) -> Option<PathBuf> {
        self.default_folder("XDG_STATE_HOME", ".local/state", "state")
    }

    /// The default place of what can be made again.
    pub(super) fn default_cache_dir(&self) -> Option<PathBuf> {
        self.default_folder("XDG_CACHE_HOME", ".cache", "cache")
    }

    fn default_folder(&self, xdg: &str, beneath_home: &str, windows: &str) -> Option<PathBuf> {
        folder(&self.environment, xdg)
            .map(|base| base.join(FOLDER))
            .or_else(|| {
                folder(&self.environment, "LOCALAPPDATA")
                    .map(|base| base.join(FOLDER).join(windows))
            })
            .or_else(|| {
                self.home
                    .as_ref()
                    .map(|home| home.join(beneath_home).join(FOLDER))
            })
    }
}

impl fmt::Debug for Sources {
    /// Names only: the environment holds other programs' secrets too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("env_file", &self.env_file_path())
            .field("config", &self.config_path())
            .finish_non_exhaustive()
    }
}

fn folder(environment: &BTreeMap<String, String>, name: &str) -> Option<PathBuf> {
    environment
        .get(name)
        .map(PathBuf::from)
        .filter(|path| is_absolute(path))
}

/// A value as it was written.
#[derive(Clone)]
pub(super) enum Raw {
    /// One text, from any source.
    Text(String),
    /// An array, from the config file only.
    List(Vec<String>),
}

/// All sources, read and laid over each other.
pub(super) struct Layers {
    layers: [(Origin, BTreeMap<String, Raw>); 4],
    /// `[plugins]` of the config file, for the module that knows what it means.
    pub(super) plugins: toml::Table,
    /// `[[checks]]` of the config file.
    pub(super) checks: Vec<toml::Table>,
    /// `[repositories."PATH"]` of the config file.
    pub(super) repositories: Repositories,
    /// Names that nobody understands, where ignoring them is the friendlier choice.
    pub(super) warnings: Vec<String>,
}

impl Layers {
    pub(super) fn read(sources: &Sources) -> Result<Self, SettingsError> {
        let mut problems = Vec::new();
        let mut warnings = Vec::new();

        let mut flags = BTreeMap::new();
        for (name, value) in &sources.flags {
            match setting(name) {
                None => problems.push(unknown(name, Origin::Flag)),
                Some(setting) if setting.secret => problems.push(Problem::new(
                    name,
                    Some(Origin::Flag),
                    "a secret on the command line",
                    "must come from the environment or from .env: other users can read command lines",
                )),
                Some(_) => {
                    flags.insert(name.clone(), Raw::Text(value.clone()));
                }
            }
        }

        let mut environment = BTreeMap::new();
        for (name, value) in &sources.environment {
            if setting(name).is_some() {
                environment.insert(name.clone(), Raw::Text(value.clone()));
            } else if name.starts_with("WORKER_") {
                warnings.push(unknown(name, Origin::Environment).to_string());
            }
        }

        let mut env_file = BTreeMap::new();
        let path = sources.env_file_path();
        match read_file(&path, sources.env_file.is_some()) {
            Ok(text) => {
                for (name, value) in dotenv(&text, &path, &mut problems) {
                    if setting(&name).is_some() {
                        env_file.insert(name, Raw::Text(value));
                    } else {
                        warnings.push(unknown(&name, Origin::EnvFile).to_string());
                    }
                }
            }
            Err(problem) => problems.push(problem),
        }

        let mut config = BTreeMap::new();
        let mut plugins = toml::Table::new();
        let mut checks = Vec::new();
        let mut repositories = Repositories::default();
        let path = sources.config_path();
        match read_file(&path, sources.config.is_some()) {
            Ok(text) => match text.parse::<toml::Table>() {
                Ok(table) => {
                    for (name, value) in table {
                        match (name.as_str(), value) {
                            ("plugins", toml::Value::Table(table)) => plugins = table,
                            ("plugins", _) => problems.push(Problem::new(
                                "plugins",
                                Some(Origin::ConfigFile),
                                "not a table",
                                "must be tables written as [plugins.NAME]",
                            )),
                            ("checks", value) => match repositories::tables(value) {
                                Some(tables) => checks = tables,
                                None => problems.push(Problem::new(
                                    "checks",
                                    Some(Origin::ConfigFile),
                                    repositories::NO_TABLES,
                                    repositories::CHECKS_RULE,
                                )),
                            },
                            ("repositories", toml::Value::Table(table)) => {
                                let home = sources.home.as_deref();
                                repositories = Repositories::read(table, home, &mut problems);
                            }
                            ("repositories", _) => problems.push(Problem::new(
                                "repositories",
                                Some(Origin::ConfigFile),
                                "not a table",
                                "must be tables written as [repositories.\"/path\"]",
                            )),
                            (_, value) => match (setting(&name), raw(value)) {
                                (None, _) => problems.push(unknown(&name, Origin::ConfigFile)),
                                (_, Some(value)) => {
                                    config.insert(name, value);
                                }
                                (_, None) => problems.push(Problem::new(
                                    &name,
                                    Some(Origin::ConfigFile),
                                    "a table or a mixed array",
                                    "must be a string, a number, a boolean or an array of strings",
                                )),
                            },
                        }
                    }
                }
                Err(error) => problems.push(Problem::new(
                    path.display().to_string(),
                    None,
                    // The message alone: the parser's own display quotes the line, which may hold a key.
                    format!("not valid TOML ({})", error.message()),
                    "must be TOML with the settings' names as keys",
                )),
            },
            Err(problem) => problems.push(problem),
        }

        if problems.is_empty() {
            Ok(Self {
                layers: [
                    (Origin::Flag, flags),
                    (Origin::Environment, environment),
                    (Origin::EnvFile, env_file),
                    (Origin::ConfigFile, config),
                ],
                plugins,
                checks,
                repositories,
                warnings,
            })
        } else {
            Err(SettingsError { problems })
        }
    }

    /// The strongest value that is not empty. An empty one means "not set here" and leaves the word to the next source.
    pub(super) fn find(&self, name: &str) -> Option<(Raw, Origin)> {
        self.layers.iter().find_map(|(origin, values)| {
            let value = values.get(name)?;
            let empty = match value {
                Raw::Text(text) => text.trim().is_empty(),
                Raw::List(list) => list.is_empty(),
            };
            (!empty).then(|| (value.clone(), *origin))
        })
    }

    /// Every value of that name, from every source.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        self.layers
            .iter()
            .filter_map(|(_, values)| match values.get(name) {
                Some(Raw::Text(text)) if !text.trim().is_empty() => Some(text.trim().to_owned()),
                _ => None,
            })
            .collect()
    }
}

fn unknown(name: &str, origin: Origin) -> Problem {
    let known = SETTINGS
        .iter()
        .map(|setting| (strsim::levenshtein(name, setting.name), setting.name))
        .min()
        .filter(|(distance, known)| *distance <= known.len() / 4)
        .map(|(_, known)| format!("did you mean {known}? "))
        .unwrap_or_default();
    Problem::new(
        name,
        Some(origin),
        "not a setting",
        format!("{known}`mcp-codex-worker doctor` lists every setting"),
    )
}

fn raw(value: toml::Value) -> Option<Raw> {
    match value {
        toml::Value::String(text) => Some(Raw::Text(text)),
        toml::Value::Integer(number) => Some(Raw::Text(number.to_string())),
        toml::Value::Float(number) => Some(Raw::Text(number.to_string())),
        toml::Value::Boolean(truth) => Some(Raw::Text(u8::from(truth).to_string())),
        toml::Value::Array(items) => items
            .into_iter()
            .map(|item| match item {
                toml::Value::String(text) => Some(text),
                _ => None,
            })
            .collect::<Option<Vec<String>>>()
            .map(Raw::List),
        toml::Value::Table(_) | toml::Value::Datetime(_) => None,
    }
}

/// The file's text; nothing when it is absent and nobody asked for it by name.
fn read_file(path: &Path, required: bool) -> Result<String, Problem> {
    let refuse = |class: String| {
        Problem::new(
            path.display().to_string(),
            None,
            class,
            "must be a readable UTF-8 text file of at most 1 MiB",
        )
    };
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => return Err(refuse("not a file".into())),
        Ok(metadata) if metadata.len() > MAX_FILE_BYTES => return Err(refuse("too large".into())),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => {
            return Ok(String::new());
        }
        Err(error) => return Err(refuse(error.to_string())),
    }
    let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    Ok(as_text(&text).to_owned())
}

/// Reads `NAME=VALUE` lines. `export ` in front is allowed, `#` begins a comment. In double quotes only `\"` and `\\` are
/// escapes, so that `"C:\new"` stays the path it looks like; single quotes keep everything.
fn dotenv(text: &str, path: &Path, problems: &mut Vec<Problem>) -> Vec<(String, String)> {
    let mut values = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let parsed = line
            .split_once('=')
            .map(|(name, value)| (name.trim_end(), value.trim_start()))
            .filter(|(name, _)| is_name(name))
            .and_then(|(name, value)| Some((name.to_owned(), dotenv_value(value)?)));
        match parsed {
            Some(pair) => values.push(pair),
            None => problems.push(Problem::new(
                format!("{} line {}", path.display(), index + 1),
                None,
                "not an assignment",
                "must read NAME=VALUE, with quotes closed and comments behind #",
            )),
        }
    }
    values
}

/// Returns true if a name can be a variable's name.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn dotenv_value(value: &str) -> Option<String> {
    let comment = |rest: &str| {
        let rest = rest.trim_start();
        rest.is_empty() || rest.starts_with('#')
    };
    if let Some(quoted) = value.strip_prefix('\'') {
        let (inner, rest) = quoted.split_once('\'')?;
        return comment(rest).then(|| inner.to_owned());
    }
    if let Some(quoted) = value.strip_prefix('"') {
        let mut inner = String::new();
        let mut characters = quoted.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    let rest = quoted.get(at + 1..)?;
                    return comment(rest).then_some(inner);
                }
                '\\' if quoted
                    .get(at + 1..)
                    .is_some_and(|rest| rest.starts_with(['"', '\\'])) =>
                {
                    inner.push(characters.next()?.1);
                }
                other => inner.push(other),
            }
        }
        return None;
    }
    let end = value
        .match_indices('#')
        .find(|(at, _)| {
            *at == 0
                || value
                    .get(..*at)
                    .is_some_and(|before| before.ends_with([' ', '\t']))
        })
        .map_or(value.len(), |(at, _)| at);
    value.get(..end).map(|value| value.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn dotenv_reads_what_people_write() {
        let text = "\u{feff}# comment\n\nexport A=1\nB = two words # note\nC='#x' # y\nD=\"a \\\"q\\\" \\\\ C:\\new\"\nE=C:\\Users\\me\nF=a#b\nG=\n";
        let mut problems = Vec::new();
        let values = dotenv(text, Path::new(".env"), &mut problems);
        assert!(problems.is_empty());
        let expected = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "#x"),
            ("D", "a \"q\" \\ C:\\new"),
            ("E", "C:\\Users\\me"),
            ("F", "a#b"),
            ("G", ""),
        ];
        let expected: Vec<_> = expected.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
        assert_eq!(values, expected);
    }

    #[test]
    fn dotenv_refuses_lines_by_number_and_without_their_value() {
        let mut problems = Vec::new();
        dotenv(
            "A=1\nB\n1C=sk-secret\nD=\"open sk-secret\nE='x' sk-secret\n",
            Path::new(".env"),
            &mut problems,
        );
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 4);
        for (line, text) in [2, 3, 4, 5].iter().zip(&shown) {
            assert!(text.contains(&format!(".env line {line}")), "{text}");
            assert!(!text.contains("sk-secret"), "{text}");
        }
    }

    #[test]
    fn a_misspelt_setting_gets_a_hint_and_a_foreign_one_none() {
        let hint = |name| unknown(name, Origin::Environment).rule;
        assert!(hint("SANDBOXROOT").starts_with("did you mean SANDBOX_ROOT? "));
        assert!(!hint("HOME").contains("did you mean"));
    }
}
