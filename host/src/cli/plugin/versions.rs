//! `plugin update`, `rollback`: another version of an installed plugin, and the one of before.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::install::{
    Installation, as_options, inspected, install, not_another, previous, ungranted,
};
use super::{Failure, config_file, engine, fetch, plugin_settings, shown};
use plugin_kit::operator::{Installed, Operator};
use plugin_kit::signature;
use plugins::{Inspection, Kind, PluginSet};
use settings::Settings;
use signing::PublicKey;

/// Replaces a plugin by another version, and shows what that changes.
pub(super) fn update(
    settings: &Settings,
    name: &str,
    source: Option<&str>,
    sha256: Option<&str>,
    grants: &[String],
    signer: Option<PublicKey>,
) -> Result<bool, Failure> {
    let operator = Operator::open(&config_file(settings))?;
    let Some(had) = operator.installed(name) else {
        return Err(
            format!("{name} is not installed; `mcp-codex-worker plugin add` adds it").into(),
        );
    };
    let Some(source) = source.map(str::to_owned).or(had.source.clone()) else {
        return Err(format!(
            "{name} has no source to update from; give one: plugin update {name} SOURCE"
        )
        .into());
    };
    let fetched = fetch::fetch(settings, &source, Path::new("."), sha256)?;
    let new = inspected(settings, fetched.path())?;
    not_another(settings, name, &new.info)?;
    if new.info.sha256 == had.sha256 {
        say!("{name} {} is the newest of {source}", new.info.version);
        return Ok(true);
    }
    let old = settings
        .config_dir
        .join("plugins")
        .join(format!("{name}.wasm"));
    let old = inspected(settings, &old).ok();
    differences(name, old.as_ref(), &new, &had);
    let found = fetched.signer(&new.info)?;
    let before = had.signer.as_deref().map(str::parse).transpose()?;
    if let Some(expected) = signer.or(before) {
        signature::held_to(found, expected).map_err(|error| {
            format!(
                "the new version {error}; nothing is changed; if its publisher changed, name the new key with --signer"
            )
        })?;
    }
    let mut allowed = had.grants.clone();
    allowed.extend(
        grants
            .iter()
            .filter(|grant| !had.grants.contains(grant))
            .cloned(),
    );
    let missing = ungranted(&new, &allowed);
    if !missing.is_empty() {
        return Err(format!(
            "the new version wants {}, which {name} may not; nothing is changed; if it may, run: mcp-codex-worker plugin update {name} {source}{}",
            missing.join(", "),
            as_options(&missing)
        )
        .into());
    }
    // What it does not ask for any more it need not have.
    let kept: Vec<String> = allowed
        .into_iter()
        .filter(|grant| {
            let family = |word: &str| word.split(':').next().unwrap_or_default().to_owned();
            new.wants.iter().any(|want| family(want) == family(grant))
        })
        .collect();
    let standing = PluginSet::load(&engine(settings)?, &plugin_settings(settings, None));
    let every_job = match new.info.kind {
        Kind::Check => standing.standing_checks().iter().any(|check| check == name),
        _ => false,
    };
    install(
        settings,
        &new,
        &Installation {
            name,
            grants: &kept,
            defaults: &new.config.values(),
            every_job,
            source: &fetched.source,
            signer: found,
        },
    )?;
    say!(
        "{name} is {} now; `mcp-codex-worker plugin rollback {name}` takes it back",
        new.info.version
    );
    Ok(true)
}

/// Prints what a new version changes: version, digest, grants, settings.
fn differences(name: &str, old: Option<&Inspection>, new: &Inspection, had: &Installed) {
    let version = old.map_or("?", |old| old.info.version.as_str());
    say!("{name} {version} -> {}", new.info.version);
    say!("    sha256 {} -> {}", had.sha256, new.info.sha256);
    for grant in new.wants.iter().filter(|want| !had.grants.contains(want)) {
        say!("    + wants {grant}");
    }
    for grant in had.grants.iter().filter(|grant| !new.wants.contains(grant)) {
        say!("    - wants {grant}");
    }
    let keys = |seen: Option<&Inspection>| -> Map<String, Value> {
        let schema = seen.and_then(|seen| seen.info.settings_schema.as_deref());
        let schema: Value = schema
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        schema["properties"]
            .as_object()
            .cloned()
            .unwrap_or_default()
    };
    let (before, after) = (keys(old), keys(Some(new)));
    for (key, rule) in &after {
        match before.get(key) {
            None => say!("    + setting {key}: {rule}"),
            Some(of_before) if of_before != rule => {
                say!("    ~ setting {key}: {of_before} -> {rule}")
            }
            Some(_) => {}
        }
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        say!("    - setting {key}");
    }
}

/// Takes the version back that was installed before.
pub(super) fn rollback(settings: &Settings, name: &str) -> Result<bool, Failure> {
    let (component, entry) = previous(settings, name);
    let Ok(words) = std::fs::read_to_string(&entry) else {
        return Err(format!("nothing was installed before the {name} of now").into());
    };
    let words: Value = serde_json::from_str(&words)?;
    let grants: Vec<String> = serde_json::from_value(words["grants"].clone()).unwrap_or_default();
    let seen = inspected(settings, &component)?;
    if words["sha256"] != json!(seen.info.sha256) {
        return Err(format!("{} is not what was installed before", shown(&component)).into());
    }
    let standing = PluginSet::load(&engine(settings)?, &plugin_settings(settings, None));
    let every_job = standing.standing_checks().iter().any(|check| check == name);
    let source = words["source"].as_str().map(str::to_owned);
    let source = source.unwrap_or_else(|| shown(&component));
    let signer = words["signer"].as_str().map(str::parse).transpose()?;
    install(
        settings,
        &seen,
        &Installation {
            name,
            grants: &grants,
            defaults: &seen.config.values(),
            every_job,
            source: &source,
            signer,
        },
    )?;
    say!("{name} is {} again", seen.info.version);
    Ok(true)
}
