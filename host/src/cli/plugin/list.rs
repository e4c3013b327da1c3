//! `plugin list`.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::cli::terminal::complain;

use super::{Failure, config_file, engine, plugin_settings, shown};
use plugins::{Engine, Listed, PluginError, PluginSet};
use settings::{RepositoryEntry, Settings};

pub(super) fn run(
    settings: &Settings,
    repository: Option<&Path>,
    as_json: bool,
) -> Result<bool, Failure> {
    let engine = engine(settings)?;
    let set = PluginSet::load(&engine, &plugin_settings(settings, repository));
    if as_json {
        let plugins: Vec<Value> = set.list().iter().map(|listed| row(&set, listed)).collect();
        let problems = problems(settings, repository, &engine, &set);
        let words: Vec<String> = problems.iter().map(ToString::to_string).collect();
        say!("{}", json!({ "plugins": plugins, "problems": words }));
        return Ok(problems.is_empty());
    }
    let spoken = spoken(settings, &set);
    for listed in set.list() {
        // Opened, so that the list is true: this is what a job would get.
        let info = listed.enabled.then(|| set.info(&listed.name));
        let (kind, version, says) = match &info {
            Some(Ok(info)) => (Some(info.kind), info.version.as_str(), info.summary.clone()),
            Some(Err(error)) => (listed.kind, "-", format!("CANNOT BE USED: {}", error.what)),
            None => (listed.kind, "-", "disabled".to_owned()),
        };
        let kind = kind.map_or_else(|| "?".to_owned(), |kind| kind.to_string());
        let origin = match &listed.path {
            Some(path) => shown(path),
            None => "bundled".to_owned(),
        };
        say!("{:<18} {kind:<10} {version:<8} {says}", listed.name);
        let grants = listed.grants.join(", ");
        let mut notes = vec![origin];
        if !grants.is_empty() {
            notes.push(format!("granted {grants}"));
        }
        if set.standing_checks().contains(&listed.name) {
            notes.push("for every job".to_owned());
        }
        if let Some(spoken) = spoken.as_ref().filter(|(name, _)| *name == listed.name) {
            notes.push(spoken.1.clone());
        }
        if listed.path.is_some() || notes.len() > 1 {
            say!("{:<18} {}", "", notes.join("; "));
        }
    }
    if repository.is_none() {
        settings.repositories.all().iter().for_each(print_entry);
    }
    let problems = problems(settings, repository, &engine, &set);
    for problem in &problems {
        complain(format_args!("{problem}"));
    }
    if !problems.is_empty() {
        complain(format_args!(
            "(configured in {})",
            shown(&config_file(settings))
        ));
    }
    Ok(problems.is_empty())
}

/// One plugin, for programs.
fn row(set: &PluginSet, listed: &Listed) -> Value {
    let info = listed.enabled.then(|| set.info(&listed.name));
    let (info, error) = match info {
        Some(Ok(info)) => (Some(info), None),
        Some(Err(error)) => (None, Some(error.to_string())),
        None => (None, None),
    };
    let kind = info.as_ref().map(|info| info.kind).or(listed.kind);
    let sha256 = info.as_ref().map(|info| &info.sha256);
    json!({
        "name": listed.name,
        "kind": kind.map(plugins::Kind::word),
        "version": info.as_ref().map(|info| &info.version),
        "summary": info.as_ref().map(|info| &info.summary),
        "bundled": listed.bundled,
        "enabled": listed.enabled,
        "required": set.standing_checks().contains(&listed.name),
        "path": listed.path,
        "sha256": sha256.or(listed.sha256.as_ref()),
        "grants": listed.grants,
        "error": error,
    })
}

/// Everything that is wrong: here, and where an entry for repositories holds.
fn problems(
    settings: &Settings,
    repository: Option<&Path>,
    engine: &Arc<Engine>,
    set: &PluginSet,
) -> Vec<PluginError> {
    let mut problems = set.problems();
    if repository.is_none() {
        for entry in settings.repositories.all() {
            for problem in PluginSet::problems_in(engine, settings, entry) {
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }
        }
    }
    problems
}

/// The plugin that speaks to the gateway, with what it speaks and why.
fn spoken(settings: &Settings, set: &PluginSet) -> Option<(String, String)> {
    let gateway = settings.gateway().ok()?;
    let named = settings.dialect.as_deref();
    let (dialect, why) = set.dialect_of(named, &gateway.base_url).ok()?;
    let plugin = dialect.info().name.clone();
    Some((plugin, format!("speaks {}, since {why}", dialect.title())))
}

/// Prints the entry of some repositories.
fn print_entry(entry: &RepositoryEntry) {
    if entry.plugins.is_empty() {
        return;
    }
    say!("\nin {}:", entry.key);
    for (name, value) in &entry.plugins {
        let said = match value {
            toml::Value::Table(table) => {
                let said = table.iter().map(|(key, value)| format!("{key} = {value}"));
                said.collect::<Vec<_>>().join("; ")
            }
            value => value.to_string(),
        };
        say!("    {name:<14} {said}");
    }
}
