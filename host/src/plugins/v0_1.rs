//! `worker:plugin@0.1`: the bindings of `wit/`, what they give the plugin, and the conversions from and to the types that
//! the rest of the host works with. A next version gets a file like this beside it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, Linker, Resource};

use super::check::{self as checks, ReadError};
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

/// Bindings of one kind, their shared types taken from `imports`.
macro_rules! kind {
    ($name:ident, $world:literal $(, $with:literal : $to:ty)*) => {
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
    };
}

kind!(check, "worker:plugin/check-plugin", "worker:plugin/job": crate::plugins::v0_1::imports::worker::plugin::job);
kind!(summarizer, "worker:plugin/summarizer-plugin");
kind!(redactor, "worker:plugin/redactor-plugin");
kind!(dialect, "worker:plugin/dialect-plugin");

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
        Ok(self
            .lent()?
            .changed()
            .into_iter()
            .map(job::ChangedFile::from)
            .collect())
    }

    fn commands(&mut self, _: Resource<Lent>) -> wasmtime::Result<Vec<job::Command>> {
        Ok(self
            .lent()?
            .commands()
            .into_iter()
            .map(job::Command::from)
            .collect())
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
        let which = match which {
            job::Output::Stdout => checks::Output::Stdout,
            job::Output::Stderr => checks::Output::Stderr,
        };
        Ok(bounded(len)
            .and_then(|len| Ok(job.read_output(command as usize, which, offset, len)?)))
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

impl From<checks::ChangedFile> for job::ChangedFile {
    fn from(file: checks::ChangedFile) -> Self {
        job::ChangedFile {
            path: file.path,
            change: match file.change {
                checks::Change::Added => job::Change::Added,
                checks::Change::Modified => job::Change::Modified,
                checks::Change::Deleted => job::Change::Deleted,
                checks::Change::Renamed => job::Change::Renamed,
                checks::Change::TypeChanged => job::Change::TypeChanged,
                checks::Change::ModeChanged => job::Change::ModeChanged,
            },
            previous_path: file.previous_path,
            size: file.size,
            binary: file.binary,
            allowed: file.allowed,
        }
    }
}

impl From<checks::Command> for job::Command {
    fn from(command: checks::Command) -> Self {
        job::Command {
            name: command.name,
            argv: command.argv,
            exit_code: command.exit_code,
            timed_out: command.timed_out,
            wall_ms: command.wall_ms,
            stdout_size: command.stdout_size,
            stderr_size: command.stderr_size,
        }
    }
}

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

/// Instances of each kind.
pub(super) fn check(
    loaded: &Arc<Loaded>,
    config: Arc<str>,
) -> Result<Instance<check::CheckPlugin>, PluginError> {
    match &loaded.pre {
        Pre::Check(pre) => Instance::start(loaded, config, |store| pre.instantiate(store)),
        _ => Err(wrong_kind(loaded)),
    }
}

pub(super) fn summarizer(
    loaded: &Arc<Loaded>,
    config: Arc<str>,
) -> Result<Instance<summarizer::SummarizerPlugin>, PluginError> {
    match &loaded.pre {
        Pre::Summarizer(pre) => Instance::start(loaded, config, |store| pre.instantiate(store)),
        _ => Err(wrong_kind(loaded)),
    }
}

pub(super) fn redactor(
    loaded: &Arc<Loaded>,
    config: Arc<str>,
) -> Result<Instance<redactor::RedactorPlugin>, PluginError> {
    match &loaded.pre {
        Pre::Redactor(pre) => Instance::start(loaded, config, |store| pre.instantiate(store)),
        _ => Err(wrong_kind(loaded)),
    }
}

pub(super) fn dialect(
    loaded: &Arc<Loaded>,
    config: Arc<str>,
) -> Result<Instance<dialect::DialectPlugin>, PluginError> {
    match &loaded.pre {
        Pre::Dialect(pre) => Instance::start(loaded, config, |store| pre.instantiate(store)),
        _ => Err(wrong_kind(loaded)),
    }
}

fn wrong_kind(loaded: &Loaded) -> PluginError {
    loaded.error(Stage::Locate, format!("is a {}", loaded.info.kind), "")
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
        Ok(checks::Report {
            passed: report.passed,
            summary: report.summary,
            findings: report
                .findings
                .into_iter()
                .map(checks::Finding::from)
                .collect(),
        })
    }
}

impl From<check::exports::worker::plugin::check::Finding> for checks::Finding {
    fn from(finding: check::exports::worker::plugin::check::Finding) -> Self {
        use check::exports::worker::plugin::check::Severity;
        checks::Finding {
            rule: finding.rule,
            severity: match finding.severity {
                Severity::Note => checks::Severity::Note,
                Severity::Warning => checks::Severity::Warning,
                Severity::Error => checks::Severity::Error,
            },
            path: finding.path,
            line: finding.line,
            message: finding.message,
            hint: finding.hint,
        }
    }
}

impl Instance<summarizer::SummarizerPlugin> {
    pub(super) fn summarize(
        &mut self,
        request: &summarizers::Request<'_>,
    ) -> Result<summarizers::Summary, PluginError> {
        use summarizer::exports::worker::plugin::summarizer as wit;
        let wire = wit::Request {
            content: match request.content {
                summarizers::Content::Log => wit::Content::Log,
                summarizers::Content::Diff => wit::Content::Diff,
                summarizers::Content::TestOutput => wit::Content::TestOutput,
                summarizers::Content::CommandOutput => wit::Content::CommandOutput,
                summarizers::Content::Other => wit::Content::Other,
            },
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
        Ok(summarizers::Summary {
            text: summary.text,
            kept: summary
                .kept
                .into_iter()
                .map(|span| span.start as usize..span.end as usize)
                .collect(),
            elided_lines: u64::from(summary.elided_lines),
        })
    }
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
        Ok(dialects::Outbound {
            path: outbound.path,
            headers: pairs(outbound.headers),
            body: outbound.body,
        })
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

impl From<wire::Verdict> for dialects::Verdict {
    fn from(verdict: wire::Verdict) -> Self {
        dialects::Verdict {
            failure: match verdict.failure {
                wire::Failure::RateLimited => dialects::Failure::RateLimited,
                wire::Failure::Overloaded => dialects::Failure::Overloaded,
                wire::Failure::ServerError => dialects::Failure::ServerError,
                wire::Failure::Timeout => dialects::Failure::Timeout,
                wire::Failure::ContextTooLong => dialects::Failure::ContextTooLong,
                wire::Failure::RequestTooLarge => dialects::Failure::RequestTooLarge,
                wire::Failure::InvalidRequest => dialects::Failure::InvalidRequest,
                wire::Failure::RefusedContent => dialects::Failure::RefusedContent,
                wire::Failure::Unauthorized => dialects::Failure::Unauthorized,
                wire::Failure::Forbidden => dialects::Failure::Forbidden,
                wire::Failure::OutOfCredit => dialects::Failure::OutOfCredit,
                wire::Failure::NotFound => dialects::Failure::NotFound,
                wire::Failure::Unknown => dialects::Failure::Unknown,
            },
            retry: verdict.retry,
            retry_after_ms: verdict.retry_after_ms,
            tokens: verdict.tokens,
            token_limit: verdict.token_limit,
            message: verdict.message,
        }
    }
}

impl From<wire::Facts> for facts::Facts {
    fn from(facts: wire::Facts) -> Self {
        let wire::Facts {
            endpoint,
            limits,
            messages,
            tools,
            sampling,
            thinking,
            streaming,
            usage,
            structured_output,
            extra_body,
            canonical_request,
            canonical_response,
            canonical_stream,
            canonical_errors,
        } = facts;
        facts::Facts {
            endpoint: facts::Endpoint {
                path: endpoint.path,
                query: pairs(endpoint.query),
                auth: match endpoint.auth {
                    wire::Auth::Bearer => facts::Auth::Bearer,
                    wire::Auth::Header(name) => facts::Auth::Header(name),
                    wire::Auth::Query(name) => facts::Auth::Query(name),
                    wire::Auth::None => facts::Auth::None,
                },
                headers: pairs(endpoint.headers),
                max_body: endpoint.max_body,
            },
            limits: facts::Limits {
                token_field: match limits.token_field {
                    wire::TokenField::MaxTokens => facts::TokenField::MaxTokens,
                    wire::TokenField::MaxCompletionTokens => facts::TokenField::MaxCompletionTokens,
                },
                max_output: limits.max_output,
                context: limits.context,
            },
            messages: facts::Messages {
                system_role: match messages.system_role {
                    wire::SystemRole::System => facts::SystemRole::System,
                    wire::SystemRole::Developer => facts::SystemRole::Developer,
                    wire::SystemRole::User => facts::SystemRole::User,
                },
                content_parts: messages.content_parts,
                empty_content: match messages.empty_content {
                    wire::EmptyContent::Null => facts::EmptyContent::Null,
                    wire::EmptyContent::EmptyString => facts::EmptyContent::EmptyString,
                    wire::EmptyContent::Omitted => facts::EmptyContent::Omitted,
                },
                merge_same_role: messages.merge_same_role,
                user_after_tool: messages.user_after_tool,
                images: match messages.images {
                    wire::Images::None => facts::Images::None,
                    wire::Images::User => facts::Images::User,
                    wire::Images::UserAndTool => facts::Images::UserAndTool,
                },
                max_images: messages.max_images,
                documents: messages.documents,
                cache_control: messages.cache_control,
                user: messages.user,
            },
            tools: facts::Tools {
                supported: tools.supported,
                choice: match tools.choice {
                    wire::ToolChoice::Full => facts::ToolChoice::Full,
                    wire::ToolChoice::NoNamed => facts::ToolChoice::NoNamed,
                    wire::ToolChoice::AutoOnly => facts::ToolChoice::AutoOnly,
                    wire::ToolChoice::None => facts::ToolChoice::None,
                },
                required_word: tools.required_word,
                forced_while_thinking: tools.forced_while_thinking,
                parallel_field: tools.parallel_field,
                id: match tools.id {
                    wire::ToolId::Any => facts::ToolId::Any,
                    wire::ToolId::AtMost(most) => facts::ToolId::AtMost(most),
                    wire::ToolId::Alphanumeric(length) => facts::ToolId::Alphanumeric(length),
                },
                name_limit: tools.name_limit,
                refused_keywords: tools.refused_keywords,
                accepted_formats: tools.accepted_formats,
                references: tools.references,
                returned_fields: tools.returned_fields,
                missing_field_body: tools.missing_field_body,
            },
            sampling: facts::SamplingRules {
                temperature: sampling.temperature.into(),
                top_p: sampling.top_p.into(),
                top_k: sampling.top_k,
                stop_limit: sampling.stop_limit,
            },
            thinking: facts::Thinking {
                fields: thinking.fields,
                history_field: thinking.history_field,
                history_turns: match thinking.history_turns {
                    wire::ReasoningTurns::Never => facts::ReasoningTurns::Never,
                    wire::ReasoningTurns::ToolCalls => facts::ReasoningTurns::ToolCalls,
                    wire::ReasoningTurns::All => facts::ReasoningTurns::All,
                },
                history_required: thinking.history_required,
                returned_fields: thinking.returned_fields,
                inline_tag: thinking.inline_tag,
                on: thinking.on,
                off: thinking.off,
                efforts: thinking
                    .efforts
                    .into_iter()
                    .map(|effort| facts::Effort {
                        level: effort.level,
                        body: effort.body,
                    })
                    .collect(),
                by_default: thinking.by_default,
            },
            streaming: facts::Streaming {
                supported: streaming.supported,
                usage_option: streaming.usage_option,
                idle_seconds: streaming.idle_seconds,
            },
            usage: facts::UsageFields {
                cached: usage.cached,
                cache_written: usage.cache_written,
                reasoning: usage.reasoning,
                cost: usage.cost,
            },
            structured_output: match structured_output {
                wire::StructuredOutput::None => facts::StructuredOutput::None,
                wire::StructuredOutput::JsonObject => facts::StructuredOutput::JsonObject,
                wire::StructuredOutput::JsonSchema => facts::StructuredOutput::JsonSchema,
            },
            extra_body,
            canonical_request,
            canonical_response,
            canonical_stream,
            canonical_errors,
        }
    }
}

impl From<wire::Sampling> for facts::Sampling {
    fn from(sampling: wire::Sampling) -> Self {
        match sampling {
            wire::Sampling::Pass => facts::Sampling::Pass,
            wire::Sampling::Drop => facts::Sampling::Drop,
            wire::Sampling::AtMost(most) => facts::Sampling::AtMost(most),
            wire::Sampling::Fixed(value) => facts::Sampling::Fixed(value),
        }
    }
}
