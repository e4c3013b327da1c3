//! The imports, grants and kind of a component: decided by its type, before any of its code runs.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, Linker, Resource};

use super::bindings::{
    check, dialect, files, findings, input, job, log, redactor, settings, summarizer, types,
};
use crate::Kind;
use crate::grants::Grants;
use crate::host::Host;
use crate::instance::Misfit;
use crate::loaded::Info;

/// A component, linked and ready for instances.
pub(crate) enum Pre {
    Check(check::CheckPluginPre<Host>),
    Summarizer(summarizer::SummarizerPluginPre<Host>),
    Redactor(redactor::RedactorPluginPre<Host>),
    Dialect(dialect::DialectPluginPre<Host>),
}

/// The result of linking.
pub(crate) struct Linked {
    pub(crate) pre: Pre,
    pub(crate) kind: Kind,
    pub(crate) api: String,
    pub(crate) imports: Vec<String>,
    pub(crate) wasi: bool,
}

/// The namespace of this project's packages.
const NAMESPACE: &str = "mcp-codex-worker:";

/// The beginning of every interface name of the draft, which came before the packages.
const DRAFT: &str = "worker:plugin/";

/// The version of each package that this host has.
const VERSION: &str = "1.0.0";

/// The time, as WASI has it.
const TIME: &str = "wasi:clocks/";

/// The interfaces that language runtimes import.
const WASI: [&str; 6] = [
    "wasi:cli/",
    TIME,
    "wasi:filesystem/",
    "wasi:io/",
    "wasi:random/",
    "wasi:sockets/",
];

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
    let of_wasi = |import: &&String| WASI.iter().any(|package| import.starts_with(package));
    let wasi = imports.iter().filter(of_wasi).count();
    // A language runtime imports the time among the rest of WASI, whether the plugin asks for it or not. A component that
    // imports the time and nothing else of WASI asks for it.
    let asks_time = |import: &String| {
        let only = imports.iter().filter(of_wasi);
        import.starts_with(TIME) && only.clone().all(|import| import.starts_with(TIME))
    };
    for import in &imports {
        let (interface, version) = import.split_once('@').unwrap_or((import, ""));
        if interface.starts_with(DRAFT) {
            return Err(draft(interface));
        }
        if interface.starts_with(NAMESPACE) && !is_major(version) {
            return Err(other_version(interface, version));
        }
        let own = interface.strip_prefix(NAMESPACE).unwrap_or_default();
        let linked = match own {
            "types/types" => types::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host),
            "types/log" => log::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host),
            "types/settings" => settings::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host),
            "check/job" if kind == Kind::Check => {
                job::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)
            }
            "check/findings" if kind == Kind::Check => {
                findings::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)
            }
            "check/files" if kind == Kind::Check && !grants.files.is_empty() => {
                files::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)
            }
            "check/files" if kind == Kind::Check => {
                return Err(ungranted(import, name, "files:GLOB"));
            }
            "summarizer/input" if kind == Kind::Summarizer => {
                input::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)
            }
            _ if asks_time(import) && !grants.clock => {
                return Err(ungranted(import, name, "clock"));
            }
            _ if of_wasi(&import) && !version.starts_with("0.2.") => {
                let what = format!("imports {import}, and this host has WASI 0.2");
                return Err((what, "build it for WASI 0.2".to_owned()));
            }
            _ if of_wasi(&import) => Ok(()),
            _ => {
                let what = format!("imports {import}, which this host gives to no {kind}");
                return Err((what, "use a version without it".to_owned()));
            }
        };
        linked.map_err(internal)?;
    }
    if wasi > 0 {
        link_wasi(&mut linker).map_err(internal)?;
    }
    let pre = linker
        .instantiate_pre(component)
        .map_err(|error| misfit(&error, &imports, "imports"))?;
    let wrong = |error: wasmtime::Error| misfit(&error, &exports, "exports");
    let pre = match kind {
        Kind::Check => Pre::Check(check::CheckPluginPre::new(pre).map_err(wrong)?),
        Kind::Summarizer => {
            Pre::Summarizer(summarizer::SummarizerPluginPre::new(pre).map_err(wrong)?)
        }
        Kind::Redactor => Pre::Redactor(redactor::RedactorPluginPre::new(pre).map_err(wrong)?),
        Kind::Dialect => Pre::Dialect(dialect::DialectPluginPre::new(pre).map_err(wrong)?),
    };
    Ok(Linked {
        pre,
        kind,
        api,
        imports,
        wasi: wasi > 0,
    })
}

/// The kind that these exports make, and the version of its package.
fn kind_of(exports: &[String]) -> Result<(Kind, String), (String, String)> {
    let mut found = Vec::new();
    for export in exports {
        let (interface, version) = export.split_once('@').unwrap_or((export, ""));
        if interface.starts_with(DRAFT) {
            return Err(draft(interface));
        }
        let kind = interface.strip_prefix(NAMESPACE).and_then(|own| {
            let (package, own) = own.split_once('/')?;
            Kind::from_word(package).filter(|_| package == own)
        });
        if let Some(kind) = kind {
            found.push((kind, interface, version));
        }
    }
    match found[..] {
        [(kind, _, version)] if is_major(version) => Ok((kind, version.to_owned())),
        [(_, interface, version)] => Err(other_version(interface, version)),
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

/// Returns true if a version is of the major one that this host has.
fn is_major(version: &str) -> bool {
    parts(version).is_some_and(|parts| parts[0] == 1)
}

/// The numbers of a version.
fn parts(version: &str) -> Option<[u64; 3]> {
    let mut numbers = version.split('.').map(str::parse::<u64>);
    let mut next = || numbers.next()?.ok();
    Some([next()?, next()?, next()?])
}

/// The package of an interface.
fn package(interface: &str) -> &str {
    interface.split('/').next().unwrap_or(interface)
}

fn other_version(interface: &str, version: &str) -> (String, String) {
    let package = package(interface);
    let what = format!("was made for {package} {version}, and this host has {VERSION}");
    let newer = parts(version) > parts(VERSION);
    (what, remedy_of(package, newer))
}

fn remedy_of(package: &str, newer: bool) -> String {
    match newer {
        true => format!(
            "update mcp-codex-worker, or use a version of the plugin for {package} {VERSION}"
        ),
        false => {
            "build it again: `mcp-codex-worker plugin new` has the wit/ and the SDK of this version"
                .to_owned()
        }
    }
}

fn draft(interface: &str) -> (String, String) {
    (
        format!("was made for the draft {interface}, which came before version 1 of the packages"),
        remedy_of("", false),
    )
}

/// A component whose types are not those that are published: names the interface and its version.
fn misfit(error: &wasmtime::Error, names: &[String], verb: &str) -> (String, String) {
    let words = format!("{error:#}");
    let culprit = names
        .iter()
        .filter(|name| name.starts_with(NAMESPACE))
        .find(|name| words.contains(name.as_str()))
        .or_else(|| {
            let bare = |name: &str| name.split('@').next().map(str::to_owned);
            let of_name = |name: &&String| bare(name).is_some_and(|bare| words.contains(&bare));
            names
                .iter()
                .filter(|name| name.starts_with(NAMESPACE))
                .find(of_name)
        });
    let detail = error.root_cause();
    match culprit {
        Some(name) => {
            let (interface, version) = name.split_once('@').unwrap_or((name, ""));
            let newer = parts(version) > parts(VERSION);
            let package = package(interface);
            let has = match newer {
                true => format!("this host has {package} {VERSION}"),
                false => "the published interface of that version is another".to_owned(),
            };
            let what = format!("{verb} {interface} of version {version}, and {has}: {detail}");
            (what, remedy_of(package, newer))
        }
        None => (
            format!("does not fit this host: it {verb} what this host has otherwise: {detail}"),
            remedy_of("", false),
        ),
    }
}

/// The error of an instance that could not be made, with what it means where functions are of other types than those that
/// are published. Wasmtime compares the types of exports when it makes an instance, and says it in words alone.
pub(super) fn mistyped(error: wasmtime::Error, info: &Info) -> wasmtime::Error {
    if !format!("{error:#}").contains("failed to convert function to given type") {
        return error;
    }
    let (kind, api) = (info.kind, &info.api);
    let package = format!("{NAMESPACE}{kind}");
    let newer = parts(api) > parts(VERSION);
    let has = match newer {
        true => format!("this host has {package} {VERSION}"),
        false => "the published interfaces of that version are others".to_owned(),
    };
    let what = format!(
        "exports {NAMESPACE}types/plugin and {package}/{kind} of version {api}, and {has}: {}",
        error.root_cause()
    );
    let remedy = remedy_of(&package, newer);
    wasmtime::Error::new(Misfit { what, remedy })
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
