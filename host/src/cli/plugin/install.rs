//! The installed copy of a component and its entry in the operator's configuration, and what must hold before one is written.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Failure, config_file, engine, plugin_settings, shown};
use plugin_kit::operator::{NewEntry, Operator};
use plugins::{Info, Inspection, PluginSet, digest};
use settings::Settings;
use signing::PublicKey;

/// The options of an installation.
pub(super) struct Installation<'a> {
    pub(super) name: &'a str,
    pub(super) grants: &'a [String],
    pub(super) defaults: &'a serde_json::Map<String, serde_json::Value>,
    pub(super) every_job: bool,
    pub(super) source: &'a str,
    pub(super) signer: Option<PublicKey>,
}

/// Copies the component to the config folder and writes its entry. What was there before is kept, for `plugin rollback`.
pub(super) fn install(
    settings: &Settings,
    seen: &Inspection,
    new: &Installation<'_>,
) -> Result<(), Failure> {
    let info = &seen.info;
    let name = new.name;
    let folder = settings.config_dir.join("plugins");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", shown(&folder)))?;
    let config = config_file(settings);
    let mut operator = Operator::open(&config)?;
    keep_previous(settings, &operator, name, &info.sha256)?;
    let file = format!("{name}.wasm");
    let (copy, temporary) = (
        folder.join(&file),
        folder.join(format!(".{file}.{}", std::process::id())),
    );
    std::fs::write(&temporary, &seen.bytes)
        .and_then(|()| std::fs::rename(&temporary, &copy))
        .map_err(|error| format!("{}: {error}", shown(&copy)))?;
    operator.add(&NewEntry {
        name,
        kind: info.kind,
        path: &format!("plugins/{file}"),
        sha256: &info.sha256,
        grants: new.grants,
        defaults: new.defaults,
        every_job: new.every_job,
        source: Some(new.source),
        signer: new.signer,
    })?;
    operator.save()?;
    Ok(())
}

/// Returns the grants that a plugin asks for and does not have.
pub(super) fn ungranted(seen: &Inspection, grants: &[String]) -> Vec<String> {
    let wants = seen.wants.iter();
    let missing = wants.filter(|want| !granted(want, grants));
    missing.cloned().collect()
}

/// Grants as options of a command.
pub(super) fn as_options(grants: &[String]) -> String {
    let options = grants.iter().map(|grant| format!(" --grant '{grant}'"));
    options.collect()
}

/// Refuses a name that another plugin has: a check that every job must pass would be gone without a word. A newer version
/// of the same plugin takes its place as it should.
pub(super) fn not_another(settings: &Settings, name: &str, new: &Info) -> Result<(), Failure> {
    let set = PluginSet::load(&engine(settings)?, &plugin_settings(settings, None));
    let Some(listed) = set.list().into_iter().find(|listed| listed.name == name) else {
        return Ok(());
    };
    let same = match set.info(name) {
        Ok(old) => old.own_name == new.own_name && old.kind == new.kind,
        // Of one that does not load only the names can be compared.
        Err(_) => new.own_name == name && listed.kind.is_none_or(|kind| kind == new.kind),
    };
    if same {
        return Ok(());
    }
    let what = match (
        set.standing_checks().iter().any(|check| check == name),
        listed.bundled,
    ) {
        (true, _) => "a check that every job must pass",
        (false, true) => "a bundled plugin",
        (false, false) => "an installed plugin",
    };
    Err(format!(
        "{name} is the name of {what}, and {} is another; give it a name of its own with --name, or add --replace",
        new.own_name
    )
    .into())
}

/// Returns true if a wish is among what was granted.
fn granted(want: &str, grants: &[String]) -> bool {
    grants
        .iter()
        .any(|grant| grant == want || want.starts_with("files:") && grant.starts_with("files:"))
}

/// Opens a component, or the folder of one, with what it wants.
pub(super) fn inspected(settings: &Settings, path: &Path) -> Result<Inspection, Failure> {
    let engine = engine(settings)?;
    Ok(PluginSet::inspect_file(
        &engine,
        path,
        settings.plugin_max_bytes,
    )?)
}

/// Returns the folder of the versions installed before.
pub(super) fn previous(settings: &Settings, name: &str) -> (PathBuf, PathBuf) {
    let folder = settings.config_dir.join("plugins");
    (
        folder.join(format!("{name}.previous.wasm")),
        folder.join(format!("{name}.previous.json")),
    )
}

/// Keeps the component and the entry that are about to be replaced by another one.
fn keep_previous(
    settings: &Settings,
    operator: &Operator,
    name: &str,
    sha256: &str,
) -> Result<(), Failure> {
    let Some(had) = operator.installed(name).filter(|had| had.sha256 != sha256) else {
        return Ok(());
    };
    let current = settings
        .config_dir
        .join("plugins")
        .join(format!("{name}.wasm"));
    // Only the copy that is pinned: another file is none to go back to.
    let Some(bytes) = std::fs::read(&current)
        .ok()
        .filter(|bytes| digest(bytes) == had.sha256)
    else {
        return Ok(());
    };
    let (component, entry) = previous(settings, name);
    let words = json!({
        "sha256": had.sha256,
        "grants": had.grants,
        "source": had.source,
        "signer": had.signer,
    });
    let kept =
        std::fs::write(&component, bytes).and_then(|()| std::fs::write(&entry, words.to_string()));
    kept.map_err(|error| format!("{}: {error}", shown(&component)).into())
}
