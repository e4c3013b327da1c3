//! What a component asks for and may have, and of what kind it is: decided by its type, before any of its code runs.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, Linker, Resource};

use super::bindings::{check, clock, config, dialect, files, job, log, redactor, summarizer};
use crate::Kind;
use crate::grants::Grants;
use crate::host::Host;

/// A component, linked and ready for instances.
pub(crate) enum Pre {
    Check(check::CheckPluginPre<Host>),
    Summarizer(summarizer::SummarizerPluginPre<Host>),
    Redactor(redactor::RedactorPluginPre<Host>),
    Dialect(dialect::DialectPluginPre<Host>),
}

/// What linking found out.
pub(crate) struct Linked {
    pub(crate) pre: Pre,
    pub(crate) kind: Kind,
    pub(crate) api: String,
    pub(crate) imports: Vec<String>,
    pub(crate) wasi: bool,
}

/// Gives a component what it asks for and may have; decided by its type, before any of its code runs.
///
/// # Errors
/// What it wants or lacks, and the remedy.
pub(crate) fn link(
    engine: &wasmtime::Engine,
    component: &Component,
    grants: &Grants,
    name: &str,
) -> Result<Linked, (String, String)> {
    let shape = component.component_type();
    let imports = shape
        .imports(engine)
        .map(|(name, _)| name.to_owned())
        .collect::<Vec<_>>();
    let exports = shape
        .exports(engine)
        .filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentInstance(_)));
    let exports = exports.map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
    let (kind, api) = kind_of(&exports)?;
    let mut linker = Linker::<Host>::new(engine);
    let internal = |error: wasmtime::Error| {
        (
            format!("cannot be linked: {error:#}"),
            "tell its author".to_owned(),
        )
    };
    let mut wasi = false;
    for import in &imports {
        let (interface, version) = import.split_once('@').unwrap_or((import, ""));
        if interface.starts_with("worker:plugin/") && !of_this_version(version) {
            return Err(other_version(version));
        }
        match interface {
            "worker:plugin/types" => {}
            "worker:plugin/log" => {
                log::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host).map_err(internal)?
            }
            "worker:plugin/config" => {
                config::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)
                    .map_err(internal)?
            }
            "worker:plugin/job" if kind == Kind::Check => {
                job::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host).map_err(internal)?;
            }
            "worker:plugin/clock" if grants.clock => {
                clock::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)
                    .map_err(internal)?;
            }
            "worker:plugin/files" if kind == Kind::Check && !grants.files.is_empty() => {
                files::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)
                    .map_err(internal)?;
            }
            "worker:plugin/clock" => return Err(ungranted(import, name, "clock")),
            "worker:plugin/files" if kind == Kind::Check => {
                return Err(ungranted(import, name, "files:GLOB"));
            }
            _ if [
                "wasi:cli/",
                "wasi:clocks/",
                "wasi:filesystem/",
                "wasi:io/",
                "wasi:random/",
                "wasi:sockets/",
            ]
            .iter()
            .any(|package| interface.starts_with(package)) =>
            {
                wasi = true;
            }
            _ => {
                let what = format!("imports {import}, which this host gives to no {kind}");
                return Err((what, "use a version without it".to_owned()));
            }
        }
    }
    if wasi {
        link_wasi(&mut linker).map_err(internal)?;
    }
    let pre = linker.instantiate_pre(component).map_err(|error| {
        let what = format!("does not fit this host: {}", error.root_cause());
        (
            what,
            "build it against the wit/ of this version (`mcp-codex-worker plugin new` has it)"
                .to_owned(),
        )
    })?;
    let misfit = |error: wasmtime::Error| {
        let what = format!(
            "does not export what a {kind} of worker:plugin 0.1 exports: {}",
            error.root_cause()
        );
        (
            what,
            "build it against the wit/ of this version (`mcp-codex-worker plugin new` has it)"
                .to_owned(),
        )
    };
    let pre = match kind {
        Kind::Check => Pre::Check(check::CheckPluginPre::new(pre).map_err(misfit)?),
        Kind::Summarizer => {
            Pre::Summarizer(summarizer::SummarizerPluginPre::new(pre).map_err(misfit)?)
        }
        Kind::Redactor => Pre::Redactor(redactor::RedactorPluginPre::new(pre).map_err(misfit)?),
        Kind::Dialect => Pre::Dialect(dialect::DialectPluginPre::new(pre).map_err(misfit)?),
    };
    Ok(Linked {
        pre,
        kind,
        api,
        imports,
        wasi,
    })
}

/// The kind and the version of `worker:plugin` that these exports make.
fn kind_of(exports: &[String]) -> Result<(Kind, String), (String, String)> {
    let mut found = Vec::new();
    for export in exports {
        let (interface, version) = export.split_once('@').unwrap_or((export, ""));
        if let Some(kind) = interface
            .strip_prefix("worker:plugin/")
            .and_then(Kind::from_word)
        {
            found.push((kind, version));
        }
    }
    match found[..] {
        [(kind, version)] if of_this_version(version) => Ok((kind, version.to_owned())),
        [(_, version)] => Err(other_version(version)),
        [] => {
            let exported = if exports.is_empty() {
                "nothing".to_owned()
            } else {
                exports.join(", ")
            };
            let what = format!(
                "is no plugin: it exports {exported}, and none of check, summarizer, redactor, dialect"
            );
            Err((
                what,
                "`mcp-codex-worker plugin new` shows how a plugin is made".to_owned(),
            ))
        }
        _ => Err((
            "is of more than one kind".to_owned(),
            "make a component for each kind".to_owned(),
        )),
    }
}

fn of_this_version(version: &str) -> bool {
    version == "0.1" || version.starts_with("0.1.")
}

fn other_version(version: &str) -> (String, String) {
    let what = format!("was made for worker:plugin {version}, and this host has 0.1");
    (
        what,
        "use a version of the plugin for 0.1, or another version of mcp-codex-worker".to_owned(),
    )
}

fn ungranted(import: &str, name: &str, grant: &str) -> (String, String) {
    let what = format!("imports {import}, which needs the grant \"{grant}\"");
    (
        what,
        format!("add it to grants in [plugins.{name}], or use a version without it"),
    )
}

/// WASI as language runtimes want it, with nothing behind it (see `host::inert_wasi`), and without waiting: a plugin that
/// sleeps would be out of reach of its deadline.
fn link_wasi(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_sync(linker)?;
    linker.allow_shadowing(true);
    let refuse = || Err(wasmtime::Error::msg("a plugin may not wait"));
    let poll_version = "wasi:io/poll@0.2.12";
    let mut poll = linker.instance(poll_version)?;
    type Pollable = Resource<wasmtime_wasi::p2::DynPollable>;
    poll.func_wrap(
        "[method]pollable.block",
        move |_, (_,): (Pollable,)| -> wasmtime::Result<()> { refuse() },
    )?;
    poll.func_wrap(
        "poll",
        move |_, (_,): (Vec<Pollable>,)| -> wasmtime::Result<(Vec<u32>,)> {
            Err(wasmtime::Error::msg("a plugin may not wait"))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}
