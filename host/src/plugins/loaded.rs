//! A plugin that is compiled, linked and described, ready for instances.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use wasmtime::component::Component;

use super::config::{Config, Place};
use super::grants::Grants;
use super::log::PluginLog;
use super::schema::Extent;
use super::v0_1::{self, Pre};
use super::{Engine, Kind, Limits, PluginError, Stage, engine, limits};

/// So many breakdowns within that time put a plugin out of use.
const QUARANTINE: (usize, Duration) = (5, Duration::from_secs(600));

/// What a plugin says about itself, and what can be seen of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Its name in the configuration; the component's own where there is none.
    pub name: String,
    /// The name that the component gives itself.
    pub own_name: String,
    /// Its version.
    pub version: String,
    /// One line for people.
    pub summary: String,
    /// What it does.
    pub kind: Kind,
    /// The version of `worker:plugin` that it was made for.
    pub api: String,
    /// JSON Schema of its settings.
    pub config_schema: Option<String>,
    /// Every interface that it imports.
    pub imports: Vec<String>,
    /// Bytes of the component.
    pub size: u64,
    /// Digest of the component, in hex.
    pub sha256: String,
}

/// What calls of a plugin cost so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Calls, the start of an instance among them.
    pub calls: u64,
    /// Time on the clock.
    pub time: Duration,
    /// The most bytes of memory that one instance had.
    pub memory: u64,
    /// Instructions, roughly; only counted by an engine that measures.
    pub fuel: u64,
}

impl Cost {
    /// What was added after `before` (the memory is that of all).
    pub fn since(&self, before: &Cost) -> Cost {
        Cost {
            calls: self.calls - before.calls,
            time: self.time.saturating_sub(before.time),
            memory: self.memory,
            fuel: self.fuel - before.fuel,
        }
    }
}

/// What a plugin is made from.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) name: String,
    /// Where the bytes come from; none for a bundled plugin.
    pub(super) file: Option<PathBuf>,
    pub(super) bytes: Bytes,
    /// Digest of `bytes`.
    pub(super) sha256: String,
    /// The kind that it must have, where one was promised.
    pub(super) kind: Option<Kind>,
    pub(super) grants: Grants,
    pub(super) limits: super::settings::LimitChanges,
    pub(super) config: Config,
    /// Larger components are refused, in bytes.
    pub(super) largest: u64,
    pub(super) log: Arc<PluginLog>,
}

/// A plugin that instances can be made of.
pub(super) struct Loaded {
    pub(super) engine: Arc<Engine>,
    pub(super) info: Info,
    pub(super) pre: Pre,
    pub(super) limits: Limits,
    pub(super) grants: Arc<Grants>,
    pub(super) log: Arc<PluginLog>,
    /// The operator's settings.
    config: Config,
    schema: Option<Value>,
    /// Imports WASI, which may block.
    pub(super) wasi: bool,
    troubles: Mutex<Vec<Instant>>,
    cost: Mutex<Cost>,
}

impl Loaded {
    /// Compiles (or takes from the cache), checks what it wants and offers, and asks it to describe itself.
    pub(super) fn load(engine: &Arc<Engine>, source: Source) -> Result<Arc<Loaded>, PluginError> {
        let name = source.name.clone();
        let refuse = |stage, what: String, remedy: String| PluginError {
            plugin: name.clone(),
            version: None,
            kind: source.kind,
            stage,
            what,
            remedy,
        };
        if source.bytes.len() as u64 > source.largest {
            let what = format!(
                "is larger than the {} that are taken",
                limits::bytes(source.largest)
            );
            let remedy = "make it smaller (strip it, build it for release), or set WORKER_PLUGIN_MAX_BYTES higher";
            return Err(refuse(Stage::Compile, what, remedy.to_owned()));
        }
        is_component(&source.bytes)
            .map_err(|(what, remedy)| refuse(Stage::Compile, what, remedy))?;
        let component: Component =
            engine
                .component(&source.sha256, &source.bytes)
                .map_err(|what| {
                    refuse(
                        Stage::Compile,
                        what,
                        "build it again with `mcp-codex-worker plugin build`".to_owned(),
                    )
                })?;
        let linked = v0_1::link(&engine.wasmtime, &component, &source.grants, &name)
            .map_err(|(what, remedy)| refuse(Stage::Link, what, remedy))?;
        if let Some(kind) = source.kind.filter(|kind| *kind != linked.kind) {
            let what = format!("is a {}, not a {kind}", linked.kind);
            return Err(refuse(
                Stage::Link,
                what,
                format!("write kind = \"{}\"", linked.kind),
            ));
        }
        let info = Info {
            own_name: name.clone(),
            name: source.name,
            version: String::new(),
            summary: String::new(),
            kind: linked.kind,
            api: linked.api,
            config_schema: None,
            imports: linked.imports,
            size: source.bytes.len() as u64,
            sha256: source.sha256,
        };
        let mut loaded = Loaded {
            engine: Arc::clone(engine),
            info,
            pre: linked.pre,
            limits: source.limits.over(linked.kind),
            grants: Arc::new(source.grants),
            log: source.log,
            config: source.config,
            schema: None,
            wasi: linked.wasi,
            troubles: Mutex::default(),
            cost: Mutex::default(),
        };
        // The operator's settings are looked at here, so that a fault in them shows at once. A check may get what it needs
        // only with the job: what is missing, and what the plugin itself says, is left until they are whole.
        let probe = Arc::new(loaded);
        let described = v0_1::describe(&probe)?;
        loaded = Arc::into_inner(probe)
            .ok_or_else(|| refuse(Stage::Start, "is still in use".to_owned(), String::new()))?;
        loaded.info.own_name = described.name;
        loaded.info.version = described.version;
        loaded.info.summary = described.summary;
        if let Some(text) = &described.config_schema {
            let parsed = serde_json::from_str(text);
            let schema = parsed.map_err(|error| {
                loaded.error(
                    Stage::Output,
                    format!("its settings schema is no JSON: {error}"),
                    "tell its author",
                )
            })?;
            loaded.schema = Some(schema);
        }
        loaded.info.config_schema = described.config_schema;
        let loaded = Arc::new(loaded);
        if loaded.info.kind == Kind::Check {
            loaded.fits(&loaded.config, Extent::SoFar)?;
        } else {
            v0_1::validate(&loaded, loaded.config(None)?)?;
        }
        Ok(loaded)
    }

    /// The settings of one use as JSON text: the operator's, with `more` laid over them.
    pub(super) fn config(&self, more: Option<&Value>) -> Result<Arc<str>, PluginError> {
        let mut config = self.config.clone();
        match more {
            None | Some(Value::Null) => {}
            Some(Value::Object(more)) => config.lay(Place::job(), more.clone()),
            Some(_) => return Err(self.error(Stage::Settings, "settings must be an object", "")),
        }
        self.fits(&config, Extent::Whole)?;
        Ok(Arc::from(Value::Object(config.values()).to_string()))
    }

    fn fits(&self, config: &Config, extent: Extent) -> Result<(), PluginError> {
        let Some(schema) = &self.schema else {
            return Ok(());
        };
        config.check(schema, extent).map_err(|(violation, remedy)| {
            let what = format!("its settings do not fit: {violation}");
            self.error(Stage::Settings, what, remedy)
        })
    }

    /// What to do when the plugin itself says that its settings are wrong.
    pub(super) fn settings_remedy(&self) -> String {
        match self.config.places().as_str() {
            "" => format!(
                "write them in [plugins.{}.config], or where the job gives them",
                self.info.name
            ),
            places => format!("correct {places}, or what the job gives"),
        }
    }

    /// An error of this plugin.
    pub(super) fn error(
        &self,
        stage: Stage,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> PluginError {
        PluginError {
            plugin: self.info.name.clone(),
            version: Some(self.info.version.clone()).filter(|version| !version.is_empty()),
            kind: Some(self.info.kind),
            stage,
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    /// Counts one call.
    pub(super) fn spent(&self, time: Duration, memory: u64, fuel: u64) {
        let mut cost = self.cost.lock().unwrap_or_else(PoisonError::into_inner);
        cost.calls += 1;
        cost.time += time;
        cost.memory = cost.memory.max(memory);
        cost.fuel += fuel;
    }

    /// What its calls cost so far.
    pub(super) fn cost(&self) -> Cost {
        *self.cost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a breakdown.
    pub(super) fn had_trouble(&self) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        troubles.retain(|when| when.elapsed() < QUARANTINE.1);
        troubles.push(Instant::now());
    }

    /// Refuses a plugin that broke down too often.
    pub(super) fn usable(&self) -> Result<(), PluginError> {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        troubles.retain(|when| when.elapsed() < QUARANTINE.1);
        if troubles.len() < QUARANTINE.0 {
            return Ok(());
        }
        let what = format!(
            "broke down {} times in {} minutes and is not started again",
            troubles.len(),
            QUARANTINE.1.as_secs() / 60
        );
        Err(self.error(Stage::Trap, what, "see the log for its reasons"))
    }
}

/// Tells a core module and other files from a component, in words that help.
fn is_component(bytes: &[u8]) -> Result<(), (String, String)> {
    let build = "build a component: `mcp-codex-worker plugin build`".to_owned();
    match bytes {
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err((
            "is a core WebAssembly module and no component".to_owned(),
            build,
        )),
        [0x7f, b'E', b'L', b'F', ..] => Err((
            "is native code; only WebAssembly components are taken".to_owned(),
            build,
        )),
        [] => Err(("is an empty file".to_owned(), build)),
        _ => Err(("is no WebAssembly".to_owned(), build)),
    }
}

impl Source {
    /// A component as it is, without an operator's entry: bundled ones, and those that are only looked at.
    pub(super) fn plain(name: &str, bytes: Bytes, sha256: Option<&str>) -> Self {
        Source {
            name: name.to_owned(),
            file: None,
            sha256: sha256.map_or_else(|| engine::digest(&bytes), str::to_owned),
            bytes,
            kind: None,
            grants: Grants::default(),
            limits: super::settings::LimitChanges::default(),
            config: Config::default(),
            largest: u64::MAX,
            log: Arc::default(),
        }
    }
}
