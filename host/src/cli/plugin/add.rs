//! `plugin add`, `remove`, `enable`, `disable`: the operator's entries.

use std::path::Path;

use super::install::{Installation, as_options, install, not_another, ungranted};
use super::{Failure, config_file, engine, fetch, plugin_settings, shown};
use plugin_kit::operator::Operator;
use plugin_kit::signature;
use plugins::{Kind, PluginSet};
use settings::Settings;
use signing::PublicKey;

/// A plugin to add, and the way to add it.
pub(super) struct Wish<'a> {
    pub(super) path: &'a str,
    pub(super) sha256: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    pub(super) grants: &'a [String],
    pub(super) every_job: bool,
    pub(super) replace: bool,
    pub(super) signer: Option<PublicKey>,
}

pub(super) fn run(settings: &Settings, wish: &Wish<'_>) -> Result<bool, Failure> {
    let fetched = fetch::fetch(settings, wish.path, Path::new("."), wish.sha256)?;
    let engine = engine(settings)?;
    // Loaded with what it wants, so that nothing is installed that could not be used.
    let seen = PluginSet::inspect_file(&engine, fetched.path(), settings.plugin_max_bytes)?;
    let info = &seen.info;
    if let Some(expected) = wish
        .sha256
        .filter(|expected| !expected.eq_ignore_ascii_case(&info.sha256))
    {
        return Err(format!(
            "{} has the sha256 {}, and {expected} was expected; nothing is added",
            wish.path, info.sha256
        )
        .into());
    }
    let signer = fetched.signer(info)?;
    if let Some(expected) = wish.signer {
        let held = signature::held_to(signer, expected);
        held.map_err(|error| format!("{}: {error}; nothing is added", wish.path))?;
    }
    let name = wish.name.unwrap_or(&info.own_name);
    if !wish.replace {
        not_another(settings, name, info)?;
    }
    let missing = ungranted(&seen, wish.grants);
    if !missing.is_empty() {
        return Err(format!(
            "{name} wants {}; if it may, run: mcp-codex-worker plugin add {}{}",
            missing.join(", "),
            wish.path,
            as_options(&missing)
        )
        .into());
    }
    install(
        settings,
        &seen,
        &Installation {
            name,
            grants: wish.grants,
            defaults: &seen.config.values(),
            every_job: wish.every_job,
            source: &fetched.source,
            signer,
        },
    )?;
    let config = config_file(settings);
    say!(
        "added {name} {} ({}) to {}",
        info.version,
        info.kind,
        shown(&config)
    );
    if let Some(signer) = signer {
        say!("it is signed by {signer}; later versions must be, too");
    }
    match info.kind {
        Kind::Check if wish.every_job => say!("every job must pass it from now on"),
        Kind::Check => say!(
            "a job asks for it with {{\"name\": \"{name}\", \"plugin\": \"{name}\"}} in checks"
        ),
        Kind::Redactor => say!("all text goes through it from now on"),
        Kind::Dialect => {
            say!("it is used for the gateways that it recognizes, or with WORKER_DIALECT={name}")
        }
        Kind::Summarizer => say!("it is asked first to shorten the output of checks that fail"),
    }
    Ok(true)
}

pub(super) fn remove(settings: &Settings, name: &str) -> Result<bool, Failure> {
    let config = config_file(settings);
    let mut operator = Operator::open(&config)?;
    let Some(path) = operator.remove(name)? else {
        let set = PluginSet::load(&engine(settings)?, &plugin_settings(settings, None));
        let bundled = set.list().into_iter().any(|listed| listed.name == name);
        let why = if bundled {
            "is bundled; `plugin disable` takes it out, where that may be"
        } else {
            "is not installed"
        };
        return Err(format!("{name} {why}").into());
    };
    operator.save()?;
    // Only the copy that `plugin add` made.
    if path.is_some_and(|path| path == format!("plugins/{name}.wasm")) {
        let _ = std::fs::remove_file(
            settings
                .config_dir
                .join("plugins")
                .join(format!("{name}.wasm")),
        );
    }
    say!("removed {name} from {}", shown(&config));
    Ok(true)
}

pub(super) fn enable(settings: &Settings, name: &str, enabled: bool) -> Result<bool, Failure> {
    let set = PluginSet::load(&engine(settings)?, &plugin_settings(settings, None));
    let listed = set
        .list()
        .into_iter()
        .find(|listed| listed.name == name)
        .ok_or(format!("there is no plugin {name}"))?;
    if !enabled && listed.fixed {
        return Err(format!("{name} guards every job and can't be taken out").into());
    }
    let config = config_file(settings);
    let mut operator = Operator::open(&config)?;
    operator.enable(name, enabled)?;
    operator.save()?;
    say!("{name} is {}", if enabled { "in use" } else { "not used" });
    Ok(true)
}
