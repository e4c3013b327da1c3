//! The arguments of checks, from a job or from the operator's configuration.

use std::collections::{BTreeMap, HashSet};
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use crate::arguments::Arguments;
use crate::checks::{CheckSpec, CommandCheck, CommandLine, Origin, PluginCheck};
use crate::refusal::Refusal;

/// The longest job and the longest check, in milliseconds: a day.
pub const TIMEOUT_MAX_MS: u64 = 86_400_000;
/// The most checks of one job.
pub const CHECKS_MAX: usize = 32;
/// A check's time-out when none was given, in milliseconds.
pub const CHECK_TIMEOUT_DEFAULT_MS: u64 = 600_000;

/// The keys of a check.
pub(crate) const CHECK_KEYS: &[&str] = &[
    "name",
    "command",
    "timeout_ms",
    "cwd",
    "env",
    "network",
    "retries",
    "report",
    "fails_without_change",
    "plugin",
    "settings",
];

/// The reason why two checks cannot have the same name.
pub(crate) const SAME_NAME: &str = "two checks have this name; results are named by it";

pub(crate) fn checks(arguments: &mut Arguments) -> Result<Vec<CheckSpec>, Refusal> {
    let mut names = HashSet::new();
    let mut checks = Vec::new();
    for mut given in arguments.objects("checks", CHECK_KEYS, CHECKS_MAX)? {
        let check = check(&mut given)?;
        if !names.insert(check.name().to_owned()) {
            return Err(given.refuse("name", SAME_NAME));
        }
        checks.push(check);
    }
    Ok(checks)
}

/// One check, from a job's arguments or from the operator's configuration.
pub(crate) fn check(given: &mut Arguments) -> Result<CheckSpec, Refusal> {
    let name = given.word("name", 100)?;
    match (given.take("command"), given.word("plugin", 100)?) {
        (Some(command), None) => Ok(CheckSpec::Command(command_check(given, name, command)?)),
        (None, Some(plugin)) => Ok(CheckSpec::Plugin(plugin_check(given, name, plugin)?)),
        _ => Err(given.refuse("command", "give either command or plugin")),
    }
}

pub(crate) fn command_check(
    check: &mut Arguments,
    name: Option<String>,
    command: Value,
) -> Result<CommandCheck, Refusal> {
    let name =
        name.ok_or_else(|| check.refuse("name", "must be given; results are named by it"))?;
    if check.has("settings") {
        return Err(check.refuse("settings", "is for checks with a plugin"));
    }
    let rule = "must be a shell command, or a list of a program and its arguments";
    let command = match command {
        Value::String(line) if !line.trim().is_empty() && !line.contains('\0') => {
            CommandLine::Shell(line)
        }
        Value::Array(words) if !words.is_empty() => {
            let words = words.into_iter().map(|word| match word {
                Value::String(word) if !word.contains('\0') => Ok(word),
                _ => Err(check.refuse("command", rule)),
            });
            CommandLine::Argv(words.collect::<Result<_, _>>()?)
        }
        _ => return Err(check.refuse("command", rule)),
    };
    let timeout_ms = check
        .number("timeout_ms", 1, TIMEOUT_MAX_MS)?
        .unwrap_or(CHECK_TIMEOUT_DEFAULT_MS);
    let cwd = check.string("cwd")?.map(PathBuf::from);
    if cwd.as_deref().is_some_and(|cwd| !stays_inside(cwd)) {
        return Err(check.refuse(
            "cwd",
            "must be relative to the working directory and stay inside it",
        ));
    }
    let env = environment(check)?;
    let network = match check.take("network") {
        None => true,
        Some(Value::Bool(network)) => network,
        Some(Value::String(word)) if word == "on" => true,
        Some(Value::String(word)) if word == "off" => false,
        Some(_) => return Err(check.refuse("network", "must be one of on, off")),
    };
    let retries = check
        .number("retries", 0, u64::from(CommandCheck::MOST_RETRIES))?
        .and_then(|retries| u32::try_from(retries).ok())
        .unwrap_or(CommandCheck::RETRIES);
    let report = check.string("report")?.map(PathBuf::from);
    if report.as_deref().is_some_and(|path| !stays_inside(path)) {
        return Err(check.refuse(
            "report",
            "must be relative to the directory that the command runs in and stay inside it",
        ));
    }
    let fails_without_change = check.boolean("fails_without_change")?.unwrap_or(false);
    Ok(CommandCheck {
        name,
        command,
        timeout_ms,
        cwd,
        env,
        network,
        retries,
        report,
        fails_without_change,
        origin: Origin::Job,
    })
}

fn environment(check: &mut Arguments) -> Result<BTreeMap<String, String>, Refusal> {
    let rule = "must be an object of strings, with names of letters, digits and _";
    match check.take("env") {
        None => Ok(BTreeMap::new()),
        Some(Value::Object(variables)) => {
            let variables = variables.into_iter().map(|(name, value)| match value {
                Value::String(value) if is_variable(&name) && !value.contains('\0') => {
                    Ok((name, value))
                }
                _ => Err(check.refuse("env", rule)),
            });
            variables.collect()
        }
        Some(_) => Err(check.refuse("env", rule)),
    }
}

fn is_variable(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || character == '_')
}

fn plugin_check(
    check: &mut Arguments,
    name: Option<String>,
    plugin: String,
) -> Result<PluginCheck, Refusal> {
    if let Some(key) = [
        "timeout_ms",
        "cwd",
        "env",
        "network",
        "retries",
        "report",
        "fails_without_change",
    ]
    .into_iter()
    .find(|key| check.has(key))
    {
        return Err(check.refuse(key, "is for checks with a command"));
    }
    let settings = match check.take("settings") {
        None => Value::Null,
        Some(settings @ Value::Object(_)) => settings,
        Some(_) => return Err(check.refuse("settings", "must be an object")),
    };
    Ok(PluginCheck {
        name: name.unwrap_or_else(|| plugin.clone()),
        plugin,
        settings,
        origin: Origin::Job,
    })
}

/// Returns true if a relative path stays beneath where it starts.
pub(crate) fn stays_inside(path: &Path) -> bool {
    let mut depth = 0_usize;
    for component in path.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    !path.as_os_str().is_empty()
}
