//! `plugin lock`, `accept`, `update`, `rollback`, `publish`: plugins that a team shares, and their versions.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::add::{Installation, as_options, install, not_another, ungranted};
use super::registry::{Reference, Registry};
use super::{Failure, config_file, engine, fetch, shown};
use plugin_kit::operator::{Installed, Operator};
use plugin_kit::signature;
use plugin_kit::team::{Lock, LockError, Pinned};
use plugins::{Inspection, Kind, PluginSet, digest};
use settings::Settings;
use signing::{PublicKey, SigningKey};

/// The top of the working tree that a folder is in.
fn top_of(folder: &Path) -> Result<PathBuf, Failure> {
    let folder =
        std::fs::canonicalize(folder).map_err(|error| format!("{}: {error}", shown(folder)))?;
    let top = folder.ancestors().find(|place| place.join(".git").exists());
    top.map(Path::to_owned)
        .ok_or_else(|| format!("{} is in no git repository", shown(&folder)).into())
}

fn inspected(settings: &Settings, path: &Path) -> Result<Inspection, Failure> {
    let engine = engine(settings)?;
    Ok(PluginSet::inspect_file(
        &engine,
        path,
        settings.plugin_max_bytes,
    )?)
}

/// Pins a plugin for everybody who works in a repository.
pub(super) fn lock(
    settings: &Settings,
    source: &str,
    repository: &Path,
    sha256: Option<&str>,
    grants: &[String],
    key: Option<&Path>,
) -> Result<bool, Failure> {
    let key = key.map(SigningKey::read).transpose()?;
    let top = top_of(repository)?;
    let fetched = fetch::fetch(settings, source, Path::new("."), sha256)?;
    let seen = inspected(settings, fetched.path())?;
    let missing = ungranted(&seen, grants);
    if !missing.is_empty() {
        return Err(format!(
            "{} wants {}; if it may, run: mcp-codex-worker plugin lock {source}{}",
            seen.info.own_name,
            missing.join(", "),
            as_options(&missing)
        )
        .into());
    }
    let is_remote = source.contains("://") || source.starts_with("oci-layout:");
    let source = match is_remote {
        true => source.to_owned(),
        false => {
            // A path of the repository: everybody has it there.
            let path = std::fs::canonicalize(fetched.path())?;
            let inside = path.strip_prefix(&top).map_err(|_| {
                format!(
                    "{} is not in {}: a team finds it by a path within the repository, a URL or a registry",
                    shown(&path),
                    shown(&top)
                )
            })?;
            inside.to_string_lossy().replace('\\', "/")
        }
    };
    let signer = fetched.signer(&seen.info)?;
    let mut lock = match Lock::read(&top) {
        Ok((lock, _)) => lock,
        Err(LockError::Missing(_)) => Lock::default(),
        Err(error) => return Err(error.into()),
    };
    let info = &seen.info;
    lock.put(Pinned {
        id: info.own_name.clone(),
        version: info.version.clone(),
        kind: info.kind.word().to_owned(),
        sha256: info.sha256.clone(),
        source,
        signer: signer.map(|signer| signer.to_string()),
        grants: grants.to_vec(),
        config: Map::new(),
    });
    let digest = lock.write(&top)?;
    let signed = signature::lock_file(&top);
    match &key {
        Some(key) => {
            signature::sign_lock(key, &top, &digest)?;
            say!("signed by {}: commit {}, too", key.public(), shown(&signed));
        }
        // It was for the lock of before.
        None if signed.exists() => {
            std::fs::remove_file(&signed)?;
            say!("the lock is not signed any more; --key signs it");
        }
        None => {}
    }
    say!(
        "{} {} ({}) is in {}; commit it",
        info.own_name,
        info.version,
        info.kind,
        shown(&Lock::file(&top))
    );
    say!("it takes effect where an operator runs: mcp-codex-worker plugin accept");
    say!("sha256 of the lock {digest}");
    Ok(true)
}

/// Takes what a repository asks for into the operator's configuration, for that repository.
pub(super) fn accept(
    settings: &Settings,
    repository: &Path,
    grants: &[String],
    trusted: Option<PublicKey>,
) -> Result<bool, Failure> {
    let top = top_of(repository)?;
    let (lock, digest) = Lock::read(&top)?;
    let lock_signer = signature::lock_signer(&top, &digest);
    let lock_signer = lock_signer
        .map_err(|error| format!("{}: {error}; nothing is accepted", shown(&Lock::file(&top))))?;
    if let Some(signer) = lock_signer {
        say!("plugins.lock is signed by {signer}");
    }
    // A lock that the named key signed says the digest of every plugin: none needs a signature of its own.
    let each_by = trusted.filter(|trusted| lock_signer != Some(*trusted));
    let config = config_file(settings);
    let operator = Operator::open(&config)?;
    let mut ready = Vec::new();
    let mut new_grants: Vec<String> = Vec::new();
    for plugin in &lock.plugins {
        let fetched = fetch::fetch(settings, &plugin.source, &top, Some(&plugin.sha256))
            .map_err(|error| format!("plugin {}: {error}", plugin.id))?;
        let seen = inspected(settings, fetched.path())?;
        let info = &seen.info;
        if info.sha256 != plugin.sha256 {
            return Err(format!(
                "plugin {}: {} has the sha256 {}, and plugins.lock says {}; nothing is accepted",
                plugin.id, plugin.source, info.sha256, plugin.sha256
            )
            .into());
        }
        if info.own_name != plugin.id
            || info.version != plugin.version
            || info.kind.word() != plugin.kind
        {
            return Err(format!(
                "plugin {}: plugins.lock says {} {} {}, and the component says {} {} {}; nothing is accepted",
                plugin.id, plugin.kind, plugin.id, plugin.version, info.kind, info.own_name, info.version
            )
            .into());
        }
        not_another(settings, &plugin.id, info)?;
        let had = operator.installed(&plugin.id);
        let signer = fetched.signer(info)?;
        let expected = [plugin.signer().transpose()?, each_by];
        for expected in expected.into_iter().flatten() {
            signature::held_to(signer, expected)
                .map_err(|error| format!("plugin {}: {error}; nothing is accepted", plugin.id))?;
        }
        // The publisher of before, unless the operator names one.
        let before = had.as_ref().and_then(|had| had.signer.as_deref());
        if let Some(before) = before.filter(|_| trusted.is_none()) {
            signature::held_to(signer, before.parse()?).map_err(|error| {
                format!(
                    "plugin {}: {error}; nothing is accepted; if its publisher changed, name the new key with --signer",
                    plugin.id
                )
            })?;
        }
        let had_grants = had
            .as_ref()
            .map(|had| had.grants.clone())
            .unwrap_or_default();
        let asked = plugin.grants.iter().chain(&seen.wants);
        for grant in asked {
            let known =
                had_grants.contains(grant) || grants.contains(grant) || new_grants.contains(grant);
            if !known {
                new_grants.push(grant.clone());
            }
        }
        describe(plugin, had.as_ref(), &had_grants, signer);
        ready.push((plugin, fetched, seen, signer));
    }
    if !new_grants.is_empty() {
        return Err(format!(
            "the plugins ask for {}; if they may, run: mcp-codex-worker plugin accept {}{}",
            new_grants.join(", "),
            shown(&top),
            as_options(&new_grants)
        )
        .into());
    }
    let mut accepted = Vec::new();
    for (plugin, fetched, seen, signer) in &ready {
        let mut defaults = seen.config.values();
        defaults.extend(plugin.config.clone());
        install(
            settings,
            seen,
            &Installation {
                name: &plugin.id,
                grants: &plugin.grants,
                defaults: &defaults,
                every_job: false,
                source: &fetched.source,
                signer: *signer,
            },
        )?;
        accepted.push((plugin.id.clone(), seen.info.kind));
    }
    let mut operator = Operator::open(&config)?;
    operator.accept(&top.display().to_string(), &digest, &accepted)?;
    operator.save()?;
    say!(
        "accepted for {}: every job there runs {}",
        shown(&top),
        match lock.plugins.len() {
            1 => "it".to_owned(),
            many => format!("these {many}"),
        }
    );
    Ok(true)
}

/// One plugin of a lock, beside what is installed under its name.
fn describe(
    plugin: &Pinned,
    had: Option<&Installed>,
    had_grants: &[String],
    signer: Option<PublicKey>,
) {
    let what = match had {
        None => "new".to_owned(),
        Some(had) if had.sha256 == plugin.sha256 => "as before".to_owned(),
        Some(had) => format!(
            "in the place of {}",
            had.sha256.get(..12).unwrap_or(&had.sha256)
        ),
    };
    say!(
        "{} {} ({}) from {}: {what}",
        plugin.id,
        plugin.version,
        plugin.kind,
        plugin.source
    );
    if let Some(signer) = signer {
        say!("    signed by {signer}");
    }
    for grant in plugin
        .grants
        .iter()
        .filter(|grant| !had_grants.contains(grant))
    {
        say!("    may also {grant}");
    }
}

/// Returns the folder of the versions installed before.
fn previous(settings: &Settings, name: &str) -> (PathBuf, PathBuf) {
    let folder = settings.config_dir.join("plugins");
    (
        folder.join(format!("{name}.previous.wasm")),
        folder.join(format!("{name}.previous.json")),
    )
}

/// Keeps the component and the entry that are about to be replaced by another one.
pub(super) fn keep_previous(
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
    let standing = PluginSet::load(&engine(settings)?, &super::plugin_settings(settings, None));
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
    let standing = PluginSet::load(&engine(settings)?, &super::plugin_settings(settings, None));
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

/// Puts a plugin into an OCI registry or layout, as `wkg` does, and says its reference.
pub(super) fn publish(
    settings: &Settings,
    dir: &Path,
    to: &str,
    key: Option<&Path>,
) -> Result<bool, Failure> {
    let key = key.map(SigningKey::read).transpose()?;
    let seen = inspected(settings, dir)?;
    let info = &seen.info;
    let mut annotations = json!({
        "org.opencontainers.image.title": info.own_name,
        "org.opencontainers.image.version": info.version,
        "org.opencontainers.image.description": info.summary,
    });
    if let Some(key) = &key {
        let envelope = signature::sign(key, info)?;
        annotations[fetch::SIGNATURE] = json!(serde_json::to_string(&envelope)?);
    }
    let exports = [
        format!("mcp-codex-worker:types/plugin@{}", info.api),
        format!(
            "mcp-codex-worker:{kind}/{kind}@{}",
            info.api,
            kind = info.kind
        ),
    ];
    let config = json!({
        "created": "1970-01-01T00:00:00Z",
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [format!("sha256:{}", info.sha256)],
        "component": { "exports": exports, "imports": info.imports },
    })
    .to_string()
    .into_bytes();
    let described = |bytes: &[u8], kind: &str| json!({ "mediaType": kind, "digest": format!("sha256:{}", digest(bytes)), "size": bytes.len() });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": fetch::IMAGE,
        "config": described(&config, "application/vnd.wasm.config.v0+json"),
        "layers": [described(&seen.bytes, fetch::WASM)],
        "annotations": annotations,
    })
    .to_string()
    .into_bytes();
    let blobs = [config.as_slice(), seen.bytes.as_slice()];
    let id = digest(&manifest);
    if let Some(folder) = to.strip_prefix("oci-layout:") {
        layout(Path::new(folder), &blobs, &manifest, &info.version)?;
        say!(
            "published {} {} as oci-layout:{folder}",
            info.own_name,
            info.version
        );
    } else if let Some(reference) = to.strip_prefix("oci://") {
        let mut reference = Reference::parse(reference)?;
        reference.tag.get_or_insert_with(|| info.version.clone());
        let registry = Registry::of(&reference.host)?;
        fetch::run(to, registry.push(&reference, &blobs, &manifest))?;
        say!(
            "published {} {} as oci://{}/{}@sha256:{id}",
            info.own_name,
            info.version,
            reference.host,
            reference.name
        );
    } else {
        return Err(format!("{to} is neither oci://HOST/NAME[:TAG] nor oci-layout:FOLDER").into());
    }
    say!("sha256 of the component {}", info.sha256);
    if let Some(key) = key {
        say!("signed by {}", key.public());
    }
    Ok(true)
}

/// Writes an OCI layout.
fn layout(folder: &Path, blobs: &[&[u8]], manifest: &[u8], version: &str) -> Result<(), Failure> {
    let place = folder.join("blobs/sha256");
    std::fs::create_dir_all(&place)?;
    for blob in blobs.iter().copied().chain([manifest]) {
        std::fs::write(place.join(digest(blob)), blob)?;
    }
    let index = json!({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": fetch::IMAGE,
            "digest": format!("sha256:{}", digest(manifest)),
            "size": manifest.len(),
            "annotations": { "org.opencontainers.image.ref.name": version },
        }],
    });
    std::fs::write(folder.join("index.json"), index.to_string())?;
    std::fs::write(
        folder.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    Ok(())
}
