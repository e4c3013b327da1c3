//! `worker:plugin@0.1`: the bindings of `wit/`, what they give the plugin, and the conversions from and to the types that
//! the rest of the host works with. A next version gets a file like this beside it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, Linker, Resource};

use super::check::{self as checks, ReadError};
use super::convert::{alike, each};
use super::dialect as dialects;
use super::grants::Grants;
use super::host::Host;
use super::instance::Instance;
use super::loaded::Loaded;
use super::summarizer as summarizers;
use super::{Kind, Limits, PluginError, Stage, facts};

/// What the host gives.
mod imports {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "worker:plugin/host",
        imports: { default: trappable },
        with: { "worker:plugin/job.snapshot": super::Lent },
    });
}

/// One kind: its bindings, their shared types taken from `imports`, and how an instance of it is made.
macro_rules! kind {
    ($name:ident, $Kind:ident, $world:literal, $Plugin:ident $(, $with:literal : $to:ty)*) => {
        pub(super) mod $name {
            wasmtime::component::bindgen!({
                path: "../wit",
                world: $world,
                imports: { default: trappable },
                with: {
                    "worker:plugin/types": crate::plugins::v0_1::imports::worker::plugin::types,
                    "worker:plugin/log": crate::plugins::v0_1::imports::worker::plugin::log,
                    "worker:plugin/config": crate::plugins::v0_1::imports::worker::plugin::config,
                    $($with: $to,)*
                },
            });
        }

        pub(super) fn $name(
            loaded: &Arc<Loaded>,
            config: Arc<str>,
        ) -> Result<Instance<$name::$Plugin>, PluginError> {
            match &loaded.pre {
                Pre::$Kind(pre) => Instance::start(loaded, config, |store| pre.instantiate(store)),
                _ => Err(loaded.error(Stage::Locate, format!("is a {}", loaded.info.kind), "")),
            }
        }
    };
}

kind!(check, Check, "worker:plugin/check-plugin", CheckPlugin,
    "worker:plugin/job": crate::plugins::v0_1::imports::worker::plugin::job);
kind!(
    summarizer,
    Summarizer,
    "worker:plugin/summarizer-plugin",
    SummarizerPlugin
);
kind!(
    redactor,
    Redactor,
    "worker:plugin/redactor-plugin",
    RedactorPlugin
);
kind!(
    dialect,
    Dialect,
    "worker:plugin/dialect-plugin",
    DialectPlugin
);

use imports::worker::plugin::{clock, config, files, job, log, types};

/// The job that was lent to a check for one call; the job itself stands in [`Host::job`].
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Lent;

/// A component, linked and ready for instances.
pub(super) enum Pre {
    Check(check::CheckPluginPre<Host>),
    Summarizer(summarizer::SummarizerPluginPre<Host>),
    Redactor(redactor::RedactorPluginPre<Host>),
    Dialect(dialect::DialectPluginPre<Host>),
}

/// What linking found out.
pub(super) struct Linked {
    pub(super) pre: Pre,
    pub(super) kind: Kind,
    pub(super) api: String,
    pub(super) imports: Vec<String>,
    pub(super) wasi: bool,
}

/// Gives a component what it asks for and may have; decided by its type, before any of its code runs.
///
/// # Errors
/// What it wants or lacks, and the remedy.
pub(super) fn link(
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

impl types::Host for Host {}

impl log::Host for Host {
    fn write(
        &mut self,
        level: types::Level,
        message: String,
        fields: Vec<log::Field>,
    ) -> wasmtime::Result<()> {
        self.in_time()?;
        let mut line = message;
        for field in fields.into_iter().take(32) {
            line.push_str(&format!(" {}={}", field.key, field.value));
        }
        self.write_log(level_of(level), &line);
        Ok(())
    }

    fn enabled(&mut self, level: types::Level) -> wasmtime::Result<bool> {
        self.in_time()?;
        Ok(match level_of(level) {
            tracing::Level::TRACE => tracing::enabled!(target: "plugin", tracing::Level::TRACE),
            tracing::Level::DEBUG => tracing::enabled!(target: "plugin", tracing::Level::DEBUG),
            _ => true,
        })
    }
}

fn level_of(level: types::Level) -> tracing::Level {
    match level {
        types::Level::Trace => tracing::Level::TRACE,
        types::Level::Debug => tracing::Level::DEBUG,
        types::Level::Info => tracing::Level::INFO,
        types::Level::Warn => tracing::Level::WARN,
        types::Level::Error => tracing::Level::ERROR,
    }
}

impl config::Host for Host {
    fn json(&mut self) -> wasmtime::Result<String> {
        self.in_time()?;
        Ok(self.config.to_string())
    }
}

impl clock::Host for Host {
    fn now_ms(&mut self) -> wasmtime::Result<u64> {
        self.in_time()?;
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Ok(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Host {
    /// The lent job, for one host call.
    fn lent(&self) -> wasmtime::Result<Arc<dyn checks::Snapshot>> {
        self.in_time()?;
        self.job
            .clone()
            .ok_or_else(|| wasmtime::Error::msg("no job was lent"))
    }
}

/// What a read may give at most.
fn bounded(len: u32) -> Result<u32, job::ReadError> {
    if u64::from(len) > Limits::READ {
        Err(job::ReadError::TooLarge(Limits::READ))
    } else {
        Ok(len)
    }
}

impl job::Host for Host {}

impl job::HostSnapshot for Host {
    fn id(&mut self, _: Resource<Lent>) -> wasmtime::Result<String> {
        Ok(self.lent()?.id())
    }

    fn task(&mut self, _: Resource<Lent>) -> wasmtime::Result<String> {
        Ok(self.lent()?.task())
    }

    fn changed(&mut self, _: Resource<Lent>) -> wasmtime::Result<Vec<job::ChangedFile>> {
        Ok(each(self.lent()?.changed()))
    }

    fn commands(&mut self, _: Resource<Lent>) -> wasmtime::Result<Vec<job::Command>> {
        Ok(each(self.lent()?.commands()))
    }

    fn diff_size(&mut self, _: Resource<Lent>) -> wasmtime::Result<u64> {
        Ok(self.lent()?.diff_size())
    }

    fn diff(
        &mut self,
        _: Resource<Lent>,
        path: Option<String>,
    ) -> wasmtime::Result<Result<String, job::ReadError>> {
        let diff = self.lent()?.diff(path.as_deref());
        let most = usize::try_from(Limits::READ).unwrap_or(usize::MAX);
        Ok(diff
            .map(|diff| super::host::cut(&diff, most).to_owned())
            .map_err(job::ReadError::from))
    }

    fn read(
        &mut self,
        _: Resource<Lent>,
        path: String,
        offset: u64,
        len: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, job::ReadError>> {
        let job = self.lent()?;
        Ok(bounded(len).and_then(|len| Ok(job.read(&path, offset, len)?)))
    }

    fn read_base(
        &mut self,
        _: Resource<Lent>,
        path: String,
        offset: u64,
        len: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, job::ReadError>> {
        let job = self.lent()?;
        Ok(bounded(len).and_then(|len| Ok(job.read_base(&path, offset, len)?)))
    }

    fn read_output(
        &mut self,
        _: Resource<Lent>,
        command: u32,
        which: job::Output,
        offset: u64,
        len: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, job::ReadError>> {
        let job = self.lent()?;
        Ok(bounded(len)
            .and_then(|len| Ok(job.read_output(command as usize, which.into(), offset, len)?)))
    }

    fn agent_message(&mut self, _: Resource<Lent>) -> wasmtime::Result<String> {
        Ok(self.lent()?.agent_message())
    }

    fn drop(&mut self, lent: Resource<Lent>) -> wasmtime::Result<()> {
        self.table.delete(lent)?;
        Ok(())
    }
}

impl files::Host for Host {
    fn find(
        &mut self,
        _: Resource<Lent>,
        glob: String,
    ) -> wasmtime::Result<Result<Vec<String>, job::ReadError>> {
        let found = self.lent()?.find(&glob);
        Ok(found.map_err(job::ReadError::from).map(|mut paths| {
            paths.retain(|path| self.grants.allows_file(path));
            paths.truncate(10_000);
            paths
        }))
    }

    fn read(
        &mut self,
        _: Resource<Lent>,
        path: String,
        offset: u64,
        len: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, job::ReadError>> {
        let job = self.lent()?;
        if !self.grants.allows_file(&path) {
            return Ok(Err(job::ReadError::NotGranted));
        }
        Ok(bounded(len).and_then(|len| Ok(job.read_tree(&path, offset, len)?)))
    }
}

impl From<ReadError> for job::ReadError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotFound => job::ReadError::NotFound,
            ReadError::NotGranted => job::ReadError::NotGranted,
            ReadError::Io(message) => job::ReadError::Io(message),
        }
    }
}

alike!(enum checks::Change => job::Change { Added, Modified, Deleted, Renamed, TypeChanged, ModeChanged });
alike!(struct checks::ChangedFile => job::ChangedFile { path, change, previous_path, size, binary, allowed });
alike!(struct checks::Command => job::Command { name, argv, exit_code, timed_out, wall_ms, stdout_size, stderr_size });
alike!(enum job::Output => checks::Output { Stdout, Stderr });

/// A plugin's refusal, as an error of it.
fn fault(loaded: &Loaded, fault: types::Fault) -> PluginError {
    match fault {
        types::Fault::Unsupported(message) => loaded.error(
            Stage::Fault,
            format!("does not understand its input: {}", plain(&message)),
            "",
        ),
        types::Fault::BadConfig(message) => {
            let what = format!("its settings are wrong: {}", plain(&message));
            loaded.error(Stage::Settings, what, loaded.settings_remedy())
        }
        types::Fault::Failed(message) => loaded.error(Stage::Fault, plain(&message), ""),
    }
}

/// A plugin's words as part of a sentence.
fn plain(message: &str) -> String {
    let message = super::host::cut(message, 1000);
    message
        .split(char::is_control)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// What a plugin says about itself.
pub(super) struct Described {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) summary: String,
    pub(super) config_schema: Option<String>,
}

/// The two functions of the interface `plugin`, over whichever kind it is.
macro_rules! each_kind {
    ($loaded:expr, $config:expr, $instance:ident => $act:expr) => {
        match &$loaded.pre {
            Pre::Check(_) => {
                let mut $instance = check($loaded, $config)?;
                $act
            }
            Pre::Summarizer(_) => {
                let mut $instance = summarizer($loaded, $config)?;
                $act
            }
            Pre::Redactor(_) => {
                let mut $instance = redactor($loaded, $config)?;
                $act
            }
            Pre::Dialect(_) => {
                let mut $instance = dialect($loaded, $config)?;
                $act
            }
        }
    };
}

/// Asks the plugin for its description.
pub(super) fn describe(loaded: &Arc<Loaded>) -> Result<Described, PluginError> {
    each_kind!(loaded, Arc::from("{}"), instance => {
        let info = instance.call("describe", Limits::START, |bindings, store| {
            bindings.worker_plugin_plugin().call_describe(store)
        })?;
        Ok(Described {
            name: plain(&info.name),
            version: plain(&info.version),
            summary: plain(&info.summary),
            config_schema: info.config_schema,
        })
    })
}

/// Asks the plugin whether its settings are right.
pub(super) fn validate(loaded: &Arc<Loaded>, config: Arc<str>) -> Result<(), PluginError> {
    each_kind!(loaded, config, instance => {
        let answer = instance.call("validate", Limits::START, |bindings, store| {
            bindings.worker_plugin_plugin().call_validate(store)
        })?;
        answer.map_err(|faults| match faults.into_iter().next() {
            Some(first) => fault(loaded, first),
            None => loaded.error(Stage::Settings, "its settings are wrong", ""),
        })
    })
}

impl Instance<check::CheckPlugin> {
    pub(super) fn run(
        &mut self,
        job: Arc<dyn checks::Snapshot>,
    ) -> Result<checks::Report, PluginError> {
        let limit = self.loaded.limits.call(0);
        let answer = self.call("run", limit, |bindings, store| {
            store.data_mut().job = Some(job);
            let lent = store.data_mut().table.push(Lent)?;
            let borrowed = Resource::new_borrow(lent.rep());
            let answer = bindings
                .worker_plugin_check()
                .call_run(&mut *store, borrowed)?;
            store.data_mut().table.delete(lent)?;
            store.data_mut().job = None;
            Ok(answer)
        })?;
        let report = answer.map_err(|refusal| fault(&self.loaded, refusal))?;
        Ok(report.into())
    }
}

use check::exports::worker::plugin::check as verdict;
alike!(enum verdict::Severity => checks::Severity { Note, Warning, Error });
alike!(struct verdict::Finding => checks::Finding { rule, severity, path, line, message, hint });
alike!(struct verdict::Report => checks::Report { passed, summary, findings: each });

impl Instance<summarizer::SummarizerPlugin> {
    pub(super) fn summarize(
        &mut self,
        request: &summarizers::Request<'_>,
    ) -> Result<summarizers::Summary, PluginError> {
        let wire = summary::Request {
            content: request.content.into(),
            text: request.text.to_owned(),
            origin: request.origin.map(str::to_owned),
            exit_code: request.exit_code,
            max_bytes: u32::try_from(request.max_bytes).unwrap_or(u32::MAX),
        };
        let limit = self.loaded.limits.call(request.text.len());
        let answer = self.call("summarize", limit, |bindings, store| {
            bindings
                .worker_plugin_summarizer()
                .call_summarize(store, &wire)
        })?;
        let summary = answer.map_err(|refusal| fault(&self.loaded, refusal))?;
        Ok(summary.into())
    }
}

use summarizer::exports::worker::plugin::summarizer as summary;
alike!(enum summarizers::Content => summary::Content { Log, Diff, TestOutput, CommandOutput, Other });
alike!(struct summary::Summary => summarizers::Summary { text, kept: ranges, elided_lines });

fn ranges(spans: Vec<types::Span>) -> Vec<std::ops::Range<usize>> {
    let range = |span: types::Span| span.start as usize..span.end as usize;
    spans.into_iter().map(range).collect()
}

impl Instance<redactor::RedactorPlugin> {
    pub(super) fn needs(&mut self) -> Result<crate::redact::Appetite, PluginError> {
        let appetite = self.call("needs", Limits::START, |bindings, store| {
            bindings.worker_plugin_redactor().call_needs(store)
        })?;
        Ok(crate::redact::Appetite {
            lookahead: appetite.lookahead as usize,
            context: appetite.context as usize,
            prefilter: appetite
                .prefilters
                .into_iter()
                .map(|prefilter| crate::redact::Prefilter {
                    literals: prefilter.literals,
                    ignore_case: prefilter.ignore_case,
                    before: prefilter.before as usize,
                    after: prefilter.after as usize,
                })
                .collect(),
        })
    }

    pub(super) fn scan(
        &mut self,
        window: crate::redact::Window<'_>,
    ) -> Result<crate::redact::Verdicts, PluginError> {
        let wire = redactor::exports::worker::plugin::redactor::Window {
            bytes: window.bytes.to_vec(),
            decided: u32::try_from(window.decided).unwrap_or(u32::MAX),
            last: window.last,
        };
        let limit = self.loaded.limits.call(window.bytes.len());
        let answer = self.call("scan", limit, |bindings, store| {
            bindings.worker_plugin_redactor().call_scan(store, &wire)
        })?;
        let verdicts = answer.map_err(|refusal| fault(&self.loaded, refusal))?;
        Ok(crate::redact::Verdicts {
            hits: verdicts
                .hits
                .into_iter()
                .map(|hit| crate::redact::Hit {
                    start: hit.span.start as usize,
                    end: hit.span.end as usize,
                    label: hit.label,
                })
                .collect(),
            settled: verdicts.settled as usize,
        })
    }
}

use dialect::exports::worker::plugin::dialect as wire;

impl Instance<dialect::DialectPlugin> {
    pub(super) fn recognises(&mut self) -> Result<Vec<String>, PluginError> {
        self.call("recognises", Limits::START, |bindings, store| {
            bindings.worker_plugin_dialect().call_recognises(store)
        })
    }

    pub(super) fn declare(&mut self, model: &str) -> Result<facts::Facts, PluginError> {
        let facts = self.call("declare", Limits::START, |bindings, store| {
            bindings.worker_plugin_dialect().call_declare(store, model)
        })?;
        Ok(facts.into())
    }

    pub(super) fn request(
        &mut self,
        body: &[u8],
        model: &str,
    ) -> Result<dialects::Outbound, PluginError> {
        let answer = self.call("request", Limits::WHOLE_BODY, |bindings, store| {
            bindings
                .worker_plugin_dialect()
                .call_request(store, body, model)
        })?;
        let outbound = answer.map_err(|refusal| fault(&self.loaded, refusal))?;
        Ok(outbound.into())
    }

    pub(super) fn response(
        &mut self,
        reply: &dialects::Reply<'_>,
        model: &str,
    ) -> Result<Vec<u8>, PluginError> {
        let reply = wire::Reply::from(reply);
        let answer = self.call("response", Limits::WHOLE_BODY, |bindings, store| {
            bindings
                .worker_plugin_dialect()
                .call_response(store, &reply, model)
        })?;
        answer.map_err(|refusal| fault(&self.loaded, refusal))
    }

    pub(super) fn classify(
        &mut self,
        reply: &dialects::Reply<'_>,
    ) -> Result<dialects::Verdict, PluginError> {
        let reply = wire::Reply::from(reply);
        let limit = self.loaded.limits.call(reply.body.len());
        let verdict = self.call("classify", limit, |bindings, store| {
            bindings
                .worker_plugin_dialect()
                .call_classify(store, &reply)
        })?;
        Ok(verdict.into())
    }

    pub(super) fn translation(
        &mut self,
        model: &str,
    ) -> Result<wasmtime::component::ResourceAny, PluginError> {
        self.call("translation", Limits::START, |bindings, store| {
            bindings
                .worker_plugin_dialect()
                .translation()
                .call_constructor(store, model)
        })
    }

    pub(super) fn push(
        &mut self,
        translation: wasmtime::component::ResourceAny,
        events: &[dialects::Sse],
    ) -> Result<Vec<String>, PluginError> {
        let events = events
            .iter()
            .map(|event| wire::Sse {
                event: event.event.clone(),
                data: event.data.clone(),
            })
            .collect::<Vec<_>>();
        let limit = self.loaded.limits.call(0);
        let answer = self.call("push", limit, |bindings, store| {
            bindings
                .worker_plugin_dialect()
                .translation()
                .call_push(store, translation, &events)
        })?;
        answer.map_err(|refusal| fault(&self.loaded, refusal))
    }

    pub(super) fn finish(
        &mut self,
        translation: wasmtime::component::ResourceAny,
        complete: bool,
    ) -> Result<Vec<String>, PluginError> {
        let limit = self.loaded.limits.call(0);
        let answer = self.call("finish", limit, |bindings, store| {
            bindings
                .worker_plugin_dialect()
                .translation()
                .call_finish(store, translation, complete)
        })?;
        answer.map_err(|refusal| fault(&self.loaded, refusal))
    }
}

fn pairs(headers: Vec<types::Header>) -> Vec<(String, String)> {
    headers
        .into_iter()
        .map(|header| (header.name, header.value))
        .collect()
}

impl From<&dialects::Reply<'_>> for wire::Reply {
    fn from(reply: &dialects::Reply<'_>) -> Self {
        wire::Reply {
            status: reply.status,
            headers: reply
                .headers
                .iter()
                .map(|(name, value)| types::Header {
                    name: name.clone(),
                    value: value.clone(),
                })
                .collect(),
            body: reply.body.to_vec(),
        }
    }
}

alike!(enum wire::Failure => dialects::Failure {
    RateLimited, Overloaded, ServerError, Timeout, ContextTooLong, RequestTooLarge, InvalidRequest, RefusedContent,
    Unauthorized, Forbidden, OutOfCredit, NotFound, Unknown,
});
alike!(struct wire::Verdict => dialects::Verdict { failure, retry, retry_after_ms, tokens, token_limit, message });
alike!(struct wire::Outbound => dialects::Outbound { path, headers: pairs, body });

alike!(enum wire::Auth => facts::Auth { Bearer, Header(name), Query(name), None });
alike!(struct wire::Endpoint => facts::Endpoint { path, query: pairs, auth, headers: pairs, max_body });
alike!(enum wire::TokenField => facts::TokenField { MaxTokens, MaxCompletionTokens });
alike!(struct wire::Limits => facts::Limits { token_field, max_output, context });
alike!(enum wire::SystemRole => facts::SystemRole { System, Developer, User });
alike!(enum wire::EmptyContent => facts::EmptyContent { Null, EmptyString, Omitted });
alike!(enum wire::Images => facts::Images { None, User, UserAndTool });
alike!(struct wire::Messages => facts::Messages {
    system_role, content_parts, empty_content, merge_same_role, user_after_tool, images, max_images, documents,
    cache_control, user,
});
alike!(enum wire::ToolChoice => facts::ToolChoice { Full, NoNamed, AutoOnly, None });
alike!(enum wire::ToolId => facts::ToolId { Any, AtMost(most), Alphanumeric(length) });
alike!(struct wire::Tools => facts::Tools {
    supported, choice, required_word, forced_while_thinking, parallel_field, id, name_limit, refused_keywords,
    accepted_formats, references, returned_fields, missing_field_body,
});
alike!(enum wire::Sampling => facts::Sampling { Pass, Drop, AtMost(most), Fixed(value) });
alike!(struct wire::SamplingRules => facts::SamplingRules { temperature, top_p, top_k, stop_limit });
alike!(enum wire::ReasoningTurns => facts::ReasoningTurns { Never, ToolCalls, All });
alike!(struct wire::Effort => facts::Effort { level, body });
alike!(struct wire::Thinking => facts::Thinking {
    fields, history_field, history_turns, history_required, returned_fields, inline_tag, on, off, efforts: each,
    by_default,
});
alike!(struct wire::Streaming => facts::Streaming { supported, usage_option, idle_seconds });
alike!(struct wire::UsageFields => facts::UsageFields { cached, cache_written, reasoning, cost });
alike!(enum wire::StructuredOutput => facts::StructuredOutput { None, JsonObject, JsonSchema });
alike!(struct wire::Facts => facts::Facts {
    endpoint, limits, messages, tools, sampling, thinking, streaming, usage, structured_output, extra_body,
    canonical_request, canonical_response, canonical_stream, canonical_errors,
});
