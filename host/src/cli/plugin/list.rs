//! `plugin list`.
#![allow(clippy::print_stdout)]

use std::path::Path;

use super::{Failure, config_file, engine, plugin_settings, shown};
use plugins::PluginSet;
use settings::{RepositoryEntry, Settings};

pub(super) fn run(settings: &Settings, repository: Option<&Path>) -> Result<bool, Failure> {
    let engine = engine(settings)?;
    let set = PluginSet::load(&engine, &plugin_settings(settings, repository));
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
        println!("{:<18} {kind:<10} {version:<8} {says}", listed.name);
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
            println!("{:<18} {}", "", notes.join("; "));
        }
    }
    let mut problems = set.problems();
    if repository.is_none() {
        for entry in settings.repositories.all() {
            print_entry(entry);
            for problem in PluginSet::problems_in(&engine, settings, entry) {
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }
        }
    }
    for problem in &problems {
        eprintln!("{problem}");
    }
    if !problems.is_empty() {
        eprintln!("(configured in {})", shown(&config_file(settings)));
    }
    Ok(problems.is_empty())
}

/// The plugin that speaks to the gateway, with what it speaks and why.
fn spoken(settings: &Settings, set: &PluginSet) -> Option<(String, String)> {
    let gateway = settings.gateway().ok()?;
    let named = settings.dialect.as_deref();
    let (dialect, why) = set.dialect_of(named, &gateway.base_url).ok()?;
    let plugin = dialect.info().name.clone();
    Some((plugin, format!("speaks {}, since {why}", dialect.title())))
}

/// What holds otherwise for some repositories.
fn print_entry(entry: &RepositoryEntry) {
    if entry.plugins.is_empty() {
        return;
    }
    println!("\nin {}:", entry.key);
    for (name, value) in &entry.plugins {
        let said = match value {
            toml::Value::Table(table) => {
                let said = table.iter().map(|(key, value)| format!("{key} = {value}"));
                said.collect::<Vec<_>>().join("; ")
            }
            value => value.to_string(),
        };
        println!("    {name:<14} {said}");
    }
}
