//! `plugin lock`, `accept`: the plugins that a repository asks for, reviewed with its code.

use std::path::{Path, PathBuf};

use serde_json::Map;

use super::install::{Installation, as_options, inspected, install, not_another, ungranted};
use super::{Failure, config_file, fetch, shown};
use plugin_kit::operator::{Installed, Operator};
use plugin_kit::signature;
use plugin_kit::team::{Lock, LockError, Pinned};
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

/// A path from the top of the repository: everybody has it there.
fn within(path: &Path, top: &Path) -> Result<String, Failure> {
    let path = std::fs::canonicalize(path).map_err(|error| format!("{}: {error}", shown(path)))?;
    let inside = path.strip_prefix(top).map_err(|_| {
        format!(
            "{} is not in {}: a team finds it by a path within the repository, a URL or a registry",
            shown(&path),
            shown(top)
        )
    })?;
    Ok(inside.to_string_lossy().replace('\\', "/"))
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
    let source = match source.strip_prefix("oci-layout:") {
        Some(folder) => format!("oci-layout:{}", within(Path::new(folder), &top)?),
        None if source.contains("://") => source.to_owned(),
        None => within(fetched.path(), &top)?,
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
    replace: bool,
) -> Result<bool, Failure> {
    let top = top_of(repository)?;
    let key = top.display().to_string();
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
        let elsewhere = operator.elsewhere(&plugin.id, &key);
        let standing = operator.is_standing(&plugin.id);
        let another = had.as_ref().is_some_and(|had| had.sha256 != info.sha256);
        if another && !replace && (standing || !elsewhere.is_empty()) {
            // One repository's lock would decide what the jobs of others must pass.
            let users = standing.then(|| "every job".to_owned()).into_iter();
            let users = users.chain(elsewhere).collect::<Vec<_>>().join(", ");
            return Err(format!(
                "plugin {}: another version is installed, and in use for {users}; nothing is accepted; if they may have this one, too, add --replace",
                plugin.id
            )
            .into());
        }
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
    for (plugin, fetched, seen, signer) in &ready {
        let standing = operator.is_standing(&plugin.id);
        let mut granted = plugin.grants.clone();
        if standing || !operator.elsewhere(&plugin.id, &key).is_empty() {
            let had = operator.installed(&plugin.id).map(|had| had.grants);
            let had = had.unwrap_or_default().into_iter();
            granted.extend(had.filter(|grant| !plugin.grants.contains(grant)));
        }
        install(
            settings,
            seen,
            &Installation {
                name: &plugin.id,
                grants: &granted,
                defaults: &seen.config.values(),
                every_job: standing,
                source: &fetched.source,
                signer: *signer,
            },
        )?;
    }
    let mut operator = Operator::open(&config)?;
    operator.accept(&key, &digest, &lock.plugins)?;
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
