//! The facts of a plugin in use, whatever its version of `wit/`: what it is, may cost and did cost, and its errors.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::config::{Config, Place};
use super::engine::Runtime;
use super::grants::Grants;
use super::log::PluginLog;
use super::schema::Extent;
use super::troubles::Troubles;
use super::{Kind, Limits, PluginError, Stage};

/// A plugin's information about itself, and its visible properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The name in the configuration; the component's own where there is none.
    pub name: String,
    /// The name that the component gives itself.
    pub own_name: String,
    /// The version.
    pub version: String,
    /// One line for people.
    pub summary: String,
    /// The kind.
    pub kind: Kind,
    /// The version of its kind's package that it was made for.
    pub api: String,
    /// JSON Schema of its settings.
    pub settings_schema: Option<String>,
    /// Every interface that it imports.
    pub imports: Vec<String>,
    /// Bytes of the component.
    pub size: u64,
    /// Digest of the component, in hex.
    pub sha256: String,
}

/// A plugin's information about itself.
pub(super) struct Described {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) summary: String,
    pub(super) settings_schema: Option<String>,
}

/// The cost of a plugin's calls so far.
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
    /// Returns the cost added after `before` (the memory is that of all).
    pub fn since(&self, before: &Cost) -> Cost {
        Cost {
            calls: self.calls - before.calls,
            time: self.time.saturating_sub(before.time),
            memory: self.memory,
            fuel: self.fuel - before.fuel,
        }
    }
}

/// A plugin in use.
pub(super) struct Loaded {
    pub(super) runtime: Arc<Runtime>,
    pub(super) info: Info,
    pub(super) limits: Limits,
    pub(super) grants: Arc<Grants>,
    pub(super) log: Arc<PluginLog>,
    /// Rules of a check whose findings do not count here.
    pub(super) suppress: Vec<String>,
    /// The operator's settings.
    config: Config,
    schema: Option<Value>,
    /// Imports WASI, which may block.
    pub(super) wasi: bool,
    troubles: Mutex<Troubles>,
    cost: Mutex<Cost>,
}

impl Loaded {
    /// A plugin that has not said yet what it is.
    pub(super) fn new(
        runtime: Arc<Runtime>,
        info: Info,
        wasi: bool,
        limits: Limits,
        grants: Grants,
        config: Config,
        log: Arc<PluginLog>,
    ) -> Self {
        Loaded {
            runtime,
            info,
            limits,
            grants: Arc::new(grants),
            log,
            suppress: Vec::new(),
            config,
            schema: None,
            wasi,
            troubles: Mutex::default(),
            cost: Mutex::default(),
        }
    }

    /// Takes what it says about itself.
    pub(super) fn introduce(&mut self, described: Described) -> Result<(), PluginError> {
        self.info.own_name = described.name;
        self.info.version = described.version;
        self.info.summary = described.summary;
        if let Some(text) = &described.settings_schema {
            let parsed = serde_json::from_str(text).map_err(|error| {
                let what = format!("its settings schema is no JSON: {error}");
                self.error(Stage::Output, what, "tell its author")
            });
            self.schema = Some(parsed?);
        }
        self.info.settings_schema = described.settings_schema;
        Ok(())
    }

    /// Returns true if the manifest or the operator set anything.
    pub(super) fn has_settings(&self) -> bool {
        !self.config.values().is_empty()
    }

    /// Checks that the operator's settings fit, as far as they go: what is missing may come with the job.
    pub(super) fn settings_so_far(&self) -> Result<(), PluginError> {
        self.fits(&self.config, Extent::SoFar)
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

    /// Returns the remedy when the plugin itself says that its settings are wrong.
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
            sha256: Some(self.info.sha256.as_str().into()),
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

    /// Returns the cost of its calls so far.
    pub(super) fn cost(&self) -> Cost {
        *self.cost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts breakdowns together with other processes from now on, in a file of that folder.
    pub(super) fn remember_troubles(&mut self, folder: &Path) {
        self.troubles = Mutex::new(Troubles::of(folder, &self.info.sha256));
    }

    /// Counts a breakdown.
    pub(super) fn had_trouble(&self) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        troubles.add();
    }

    /// Refuses a plugin that broke down too often.
    pub(super) fn usable(&self) -> Result<(), PluginError> {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((times, rest)) = troubles.too_many() else {
            return Ok(());
        };
        let what = format!(
            "broke down {times} times in the last ten minutes and is not started for {} s",
            rest.as_secs() + 1
        );
        Err(self.error(Stage::Trap, what, "see the log for its reasons"))
    }
}
