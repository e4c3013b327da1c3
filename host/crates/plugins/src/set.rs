//! The plugins of a process: what is bundled, and what the operator put beside it or in its place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::bundled::{BUNDLED, Bundled, Code};
use super::config::{Config, Place};
use super::grants::Grants;
use super::log::PluginLog;
use super::manifest::{self, Manifest};
use super::ready::{MissingRedactor, Ready};
use super::settings::Entry;
use super::source::Source;
use super::{
    CheckPlugin, Cost, DialectPlugin, Engine, Info, Kind, Limits, PluginError, PluginSettings,
    RedactorPlugin, Stage, SummarizerPlugin, engine, limits,
};
use gateway::facts::{Presets, recognizes, weight};
use gateway::{ActiveDialect, DialectError};
use redact::ScannerSource;
use settings::{RepositoryEntry, Settings};

/// The bundled summarizer of checks' output; an operator's entry of this name takes its place.
const OUTPUT_SUMMARIZER: &str = "test-output";

/// The bundled dialect that speaks the gateway presets.
const DECLARED: &str = "declared";

/// Every plugin that may be used, by name. Each is read, compiled and linked when it is first asked for, and stays as it
/// is for as long as this set lives.
#[derive(Clone)]
pub struct PluginSet {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Arc<Engine>,
    settings: PluginSettings,
    slots: BTreeMap<String, Slot>,
    /// Check plugins that every job must pass: those of the settings that are not switched off.
    standing: Vec<String>,
    /// The facts of gateways and models, read when they are first needed.
    presets: OnceLock<Result<Arc<Presets>, PluginError>>,
    log: Arc<PluginLog>,
}

/// One plugin.
struct Slot {
    bundled: Option<&'static Bundled>,
    entry: Option<Entry>,
    source: OnceLock<Result<Source, PluginError>>,
    loaded: OnceLock<Result<Ready, PluginError>>,
}

/// A line of `plugin list`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The name.
    pub name: String,
    /// The kind, as far as it is known without opening the plugin.
    pub kind: Option<Kind>,
    /// True if it comes with the host and nothing stands in its place.
    pub bundled: bool,
    /// False: taken out by the operator.
    pub enabled: bool,
    /// The path of an operator's component.
    pub path: Option<PathBuf>,
    /// Digest of its component, in hex, where it is known without opening it.
    pub sha256: Option<String>,
    /// The grants.
    pub grants: Vec<String>,
    /// Can be added to, but neither replaced nor taken out.
    pub fixed: bool,
}

/// The description of a plugin for `plugin inspect` and `plugin add`.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The plugin's information about itself, and its imports.
    pub info: Info,
    /// Grants that it asks for, by its manifest or by what it imports.
    pub wants: Vec<String>,
    /// Grants that it has, where it is installed.
    pub grants: Option<Vec<String>>,
    /// The limits of a call.
    pub limits: Limits,
    /// The settings: of its manifest, and where it is installed the operator's.
    pub config: Config,
    /// The component.
    pub bytes: Vec<u8>,
    /// The time until it was ready, compilation included where it was not cached.
    pub load_time: Duration,
}

impl PluginSet {
    /// The bundled plugins and the operator's. Nothing is opened yet.
    pub fn load(engine: &Arc<Engine>, settings: &PluginSettings) -> Self {
        let mut slots = BTreeMap::new();
        for bundled in BUNDLED {
            slots.insert(bundled.name.to_owned(), Slot::new(Some(bundled), None));
        }
        for (name, entry) in &settings.entries {
            let of_preset = Presets::bundled().gateway(name).is_some()
                && entry.path.is_none()
                && in_dirs(&settings.dirs, name).is_none();
            let entry = match of_preset {
                true if entry.says_nothing() => continue,
                true => entry.of_a_preset(name),
                false => entry.clone(),
            };
            let slot = slots.entry(name.clone());
            slot.or_insert_with(|| Slot::new(None, None)).entry = Some(entry);
        }
        Self::new(engine, settings.clone(), slots)
    }

    fn new(engine: &Arc<Engine>, settings: PluginSettings, slots: BTreeMap<String, Slot>) -> Self {
        let on = |name: &&String| slots.get(name.as_str()).is_none_or(Slot::enabled);
        PluginSet {
            inner: Arc::new(Inner {
                engine: Arc::clone(engine),
                standing: settings.checks.iter().filter(on).cloned().collect(),
                settings,
                slots,
                presets: OnceLock::new(),
                log: Arc::default(),
            }),
        }
    }

    /// One plugin as its manifest describes it, with everything granted that it wants: for whoever writes or looks at it.
    ///
    /// # Errors
    /// When its component cannot be read.
    pub fn of_manifest(
        engine: &Arc<Engine>,
        manifest: &Manifest,
        largest: u64,
    ) -> Result<Self, PluginError> {
        let refuse = |stage, what: String, remedy: String| PluginError {
            plugin: manifest.id.clone(),
            version: Some(manifest.version.clone()),
            sha256: None,
            kind: Some(manifest.kind),
            stage,
            what,
            remedy,
        };
        let file = manifest.component();
        let bytes = read_component(&file, largest).map_err(|(stage, what, _)| {
            refuse(
                stage,
                what,
                "build it with `mcp-codex-worker plugin build`".to_owned(),
            )
        })?;
        let entry = Entry {
            kind: Some(manifest.kind),
            path: Some(file),
            sha256: Some(engine::digest(&bytes)),
            grants: Grants::parse(&manifest.wants)
                .map_err(|error| refuse(Stage::Settings, error.to_string(), String::new()))?,
            config: defaults(manifest),
            promised: Some(manifest.promise()),
            ..Entry::default()
        };
        Ok(Self::of_entry(engine, &manifest.id, entry, largest))
    }

    /// A set that has one operator's plugin and nothing bundled.
    fn of_entry(engine: &Arc<Engine>, name: &str, entry: Entry, largest: u64) -> Self {
        let slot = Slot::new(None, Some(entry));
        let settings = PluginSettings {
            largest,
            ..PluginSettings::default()
        };
        Self::new(engine, settings, BTreeMap::from([(name.to_owned(), slot)]))
    }

    /// A component, or a folder with a manifest, loaded with every grant that it could want.
    ///
    /// # Errors
    /// Why it could not be used.
    pub fn inspect_file(
        engine: &Arc<Engine>,
        path: &Path,
        largest: u64,
    ) -> Result<Inspection, PluginError> {
        let refuse = |stage, what: String| PluginError {
            plugin: path.display().to_string(),
            version: None,
            sha256: None,
            kind: None,
            stage,
            what,
            remedy: String::new(),
        };
        let manifest = match path.is_dir() {
            true => Some(
                Manifest::read(path).map_err(|error| refuse(Stage::Settings, error.to_string()))?,
            ),
            false => None,
        };
        let file = manifest
            .as_ref()
            .map_or_else(|| path.to_owned(), Manifest::component);
        let bytes =
            read_component(&file, largest).map_err(|(stage, what, _)| refuse(stage, what))?;
        let sha256 = engine::digest(&bytes);
        if let Some(pin) = manifest
            .as_ref()
            .and_then(|manifest| manifest.sha256.as_ref())
            .filter(|pin| **pin != sha256)
        {
            let what = format!(
                "{} has the sha256 {sha256}, and plugin.toml says {pin}: build it again",
                file.display()
            );
            return Err(refuse(Stage::Digest, what));
        }
        let everything = ["clock".to_owned(), "files:**".to_owned()];
        let name = manifest
            .as_ref()
            .map_or("plugin", |manifest| manifest.id.as_str());
        let entry = Entry {
            path: Some(file),
            sha256: Some(sha256),
            kind: manifest.as_ref().map(|manifest| manifest.kind),
            grants: Grants::parse(&everything)
                .map_err(|error| refuse(Stage::Settings, error.to_string()))?,
            config: manifest.as_ref().map(defaults).unwrap_or_default(),
            promised: manifest.as_ref().map(Manifest::promise),
            ..Entry::default()
        };
        let began = Instant::now();
        let info = Self::of_entry(engine, name, entry, largest).info(name)?;
        let load_time = began.elapsed();
        let mut wants = manifest
            .as_ref()
            .map(|manifest| manifest.wants.clone())
            .unwrap_or_default();
        let imports = |interface: &str| {
            let mut imports = info.imports.iter();
            imports.any(|import| import.starts_with(interface))
        };
        // A language runtime imports the time with the rest of WASI, needed or not; alone it is asked for.
        let time = imports("wasi:clocks/") && !imports("wasi:cli/") && !imports("wasi:io/");
        let files = imports("mcp-codex-worker:check/files@");
        for (asked, grant, word) in [(time, "clock", "clock"), (files, "files:", "files:**")] {
            if asked && !wants.iter().any(|want| want.starts_with(grant)) {
                wants.push(word.to_owned());
            }
        }
        Ok(Inspection {
            limits: Limits::of(info.kind),
            info,
            wants,
            grants: None,
            config: manifest.as_ref().map(defaults).unwrap_or_default(),
            bytes,
            load_time,
        })
    }

    /// An installed or bundled plugin, as a job would get it.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn inspect(&self, name: &str) -> Result<Inspection, PluginError> {
        let began = Instant::now();
        let info = self.info(name)?;
        let load_time = began.elapsed();
        let entry = self
            .inner
            .slots
            .get(name)
            .and_then(|slot| slot.entry.as_ref());
        let grants = entry.map(|entry| entry.grants.words()).unwrap_or_default();
        Ok(Inspection {
            limits: entry.map_or_else(
                || Limits::of(info.kind),
                |entry| entry.limits.over(info.kind),
            ),
            wants: grants.clone(),
            grants: Some(grants),
            config: entry.map(|entry| entry.config.clone()).unwrap_or_default(),
            bytes: Vec::new(),
            info,
            load_time,
        })
    }

    /// The plugins that were asked for and can be used, ordered by name: which component each one is, and which bytes.
    pub fn used(&self) -> Vec<Info> {
        let loaded = self.inner.slots.values();
        let loaded = loaded.filter_map(|slot| slot.loaded.get()?.as_ref().ok());
        loaded
            .filter(|ready| ready.cost().calls > 0)
            .map(|ready| ready.info().clone())
            .collect()
    }

    /// Returns the cost of a plugin's calls so far.
    pub fn cost(&self, name: &str) -> Cost {
        let ready = self
            .inner
            .slots
            .get(name)
            .and_then(|slot| slot.loaded.get()?.as_ref().ok());
        ready.map(Ready::cost).unwrap_or_default()
    }

    /// Names of check plugins that every job must pass, in report order; not those that are switched off.
    pub fn standing_checks(&self) -> &[String] {
        &self.inner.standing
    }

    /// Returns the log lines of plugins since the last call, a text each with the plugin's name in front; redactors' lines are not
    /// among it. `redact` takes the secrets out.
    pub fn take_log(&self, redact: impl Fn(&str) -> String) -> Vec<String> {
        self.inner.log.take(redact)
    }

    /// A check.
    ///
    /// # Errors
    /// Why there is none of that name, or why it cannot be used.
    pub fn check(&self, name: &str) -> Result<Arc<CheckPlugin>, PluginError> {
        match self.ready(name, Kind::Check)? {
            Ready::Check(check) => Ok(check),
            other => Err(other.not_a(Kind::Check)),
        }
    }

    /// A summarizer.
    ///
    /// # Errors
    /// As for [`PluginSet::check`].
    pub fn summarizer(&self, name: &str) -> Result<Arc<SummarizerPlugin>, PluginError> {
        match self.ready(name, Kind::Summarizer)? {
            Ready::Summarizer(summarizer) => Ok(summarizer),
            other => Err(other.not_a(Kind::Summarizer)),
        }
    }

    /// Names of the summarizers of a check's output, in the order in which they are asked: the operator's list, and after
    /// it the bundled one.
    pub fn output_summarizers(&self) -> Vec<String> {
        let listed = self.inner.settings.summarize.iter();
        let all = listed.map(String::as_str).chain([OUTPUT_SUMMARIZER]);
        let on = |name: &str| self.inner.slots.get(name).is_none_or(Slot::enabled);
        let mut names: Vec<String> = Vec::new();
        for name in all.filter(|name| on(name)) {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        names
    }

    /// A dialect: a plugin of that name, else the gateway preset of that name.
    ///
    /// # Errors
    /// As for [`PluginSet::check`], and when the settings of `declared` cannot be understood.
    pub fn dialect(&self, name: &str) -> Result<Arc<DialectPlugin>, PluginError> {
        let presets = self.presets()?;
        let has_slot = self.inner.slots.contains_key(name);
        let dialect = match presets.gateway(name) {
            Some(preset) if !has_slot => self.component(DECLARED)?.speaking(preset),
            _ => (*self.component(name)?).clone(),
        };
        Ok(Arc::new(dialect.knowing(&presets)))
    }

    /// The component of a dialect.
    fn component(&self, name: &str) -> Result<Arc<DialectPlugin>, PluginError> {
        match self.ready(name, Kind::Dialect)? {
            Ready::Dialect(dialect) => Ok(dialect),
            other => Err(other.not_a(Kind::Dialect)),
        }
    }

    /// The gateway presets and model families: the bundled ones, and what the settings of `declared` say. A dialect plugin
    /// takes the place of a preset of its name.
    ///
    /// # Errors
    /// When the settings of `declared` cannot be understood.
    pub fn presets(&self) -> Result<Arc<Presets>, PluginError> {
        let read = || {
            let mut presets = Presets::bundled().clone();
            for (name, slot) in &self.inner.slots {
                let entry = slot.entry.as_ref();
                if entry.is_some_and(|entry| self.has_component(name, entry)) {
                    presets.remove_gateway(name);
                }
            }
            let slot = self.inner.slots.get(DECLARED);
            let config = slot.and_then(|slot| slot.entry.as_ref());
            for (place, settings) in config.iter().flat_map(|entry| entry.config.layers()) {
                let place = place.to_string();
                presets = presets
                    .with(&place, settings)
                    .map_err(|error| PluginError {
                        plugin: DECLARED.to_owned(),
                        version: None,
                        sha256: None,
                        kind: Some(Kind::Dialect),
                        stage: Stage::Settings,
                        what: error.to_string(),
                        remedy: format!("correct {place}"),
                    })?;
            }
            Ok(Arc::new(presets))
        };
        self.inner.presets.get_or_init(read).clone()
    }

    /// Names that WORKER_DIALECT may have: gateway presets and dialect plugins.
    pub fn dialect_names(&self) -> Vec<String> {
        let presets = self.presets().ok();
        let presets = presets.iter().flat_map(|presets| presets.gateways());
        let mut names = self.names(Kind::Dialect);
        names.extend(presets.map(|preset| preset.name.clone()));
        names.sort();
        names
    }

    /// The dialect that the operator names, else the one that recognizes the gateway's URL, else `openai`; and why it was
    /// chosen, in words.
    ///
    /// # Errors
    /// When the named dialect is not there (the error names those that are), or the chosen one cannot be loaded.
    pub fn dialect_of(
        &self,
        named: Option<&str>,
        base_url: &str,
    ) -> Result<(Arc<DialectPlugin>, String), PluginError> {
        if let Some(name) = named {
            return Ok((self.dialect(name)?, "WORKER_DIALECT names it".to_owned()));
        }
        let (dialect, pattern) = self.dialect_for(base_url)?;
        let why = match pattern {
            Some(pattern) => format!("the gateway's URL matches {pattern}"),
            None => "nothing recognizes the gateway's URL".to_owned(),
        };
        Ok((dialect, why))
    }

    /// The same, to be put to use.
    ///
    /// # Errors
    /// As [`PluginSet::dialect_of`].
    pub fn choose_dialect(
        &self,
        named: Option<&str>,
        base_url: &str,
    ) -> Result<(ActiveDialect, String), DialectError> {
        let (dialect, why) = self.dialect_of(named, base_url)?;
        Ok((ActiveDialect::new(dialect), why))
    }

    /// One redactor, for `plugin inspect` and tests; jobs take [`PluginSet::redactors`].
    ///
    /// # Errors
    /// As for [`PluginSet::check`].
    pub fn redactor(&self, name: &str) -> Result<Arc<RedactorPlugin>, PluginError> {
        match self.ready(name, Kind::Redactor)? {
            Ready::Redactor(redactor) => Ok(redactor),
            other => Err(other.not_a(Kind::Redactor)),
        }
    }

    /// Names of the redactors: the bundled ones, those listed in `redact`, and every entry that is known to be one, but for
    /// those that the operator switched off.
    fn redactor_names(&self) -> Vec<&str> {
        let bundled = BUNDLED
            .iter()
            .filter(|bundled| bundled.kind == Kind::Redactor)
            .map(|bundled| bundled.name);
        let listed = self
            .inner
            .settings
            .redact
            .iter()
            .map(String::as_str)
            .filter(|name| *name != "builtin");
        let entries = self.inner.settings.entries.iter();
        let entries = entries.filter(|(_, entry)| entry.kind == Some(Kind::Redactor));
        let on = |name: &str| self.inner.slots.get(name).is_none_or(Slot::enabled);
        let mut names = Vec::new();
        for name in bundled
            .chain(listed)
            .chain(entries.map(|(name, _)| name.as_str()))
        {
            if on(name) && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Every redactor. One that cannot be used stays in the list and fails each time, so that text is withheld.
    pub fn redactors(&self) -> Vec<Arc<dyn ScannerSource>> {
        let source = |name: &str| -> Arc<dyn ScannerSource> {
            match self.redactor(name) {
                Ok(redactor) => redactor,
                Err(error) => {
                    tracing::error!(plugin = name, "{error}");
                    Arc::new(MissingRedactor(error))
                }
            }
        };
        self.redactor_names().into_iter().map(source).collect()
    }

    /// Tries every redactor: one that cannot be used withholds all text, so that no job is worth beginning.
    ///
    /// # Errors
    /// The first that cannot be used.
    pub fn try_redactors(&self) -> Result<(), PluginError> {
        for name in self.redactor_names() {
            self.redactor(name)?.try_start()?;
        }
        Ok(())
    }

    /// The dialect for a gateway: the plugin or preset whose pattern fixes most of the URL, else `openai`; with the pattern
    /// that decided.
    ///
    /// # Errors
    /// When the dialect that is to be used cannot be.
    pub fn dialect_for(
        &self,
        base_url: &str,
    ) -> Result<(Arc<DialectPlugin>, Option<String>), PluginError> {
        let presets = self.presets()?;
        let known = presets.gateway_for(base_url);
        let mut best = known.map(|(preset, pattern)| (preset.name.clone(), pattern.to_owned()));
        for name in self.names(Kind::Dialect) {
            let dialect = match self.component(&name) {
                Ok(dialect) => dialect,
                // An entry that does not say its kind may be anything; others may still be the right one.
                Err(error) => {
                    tracing::warn!(plugin = name, "{error}");
                    continue;
                }
            };
            for pattern in dialect.patterns() {
                let closer = best
                    .as_ref()
                    .is_none_or(|(_, best)| weight(pattern) > weight(best));
                if closer && recognizes(pattern, base_url) {
                    best = Some((name.clone(), pattern.clone()));
                }
            }
        }
        match best {
            Some((name, pattern)) => Ok((self.dialect(&name)?, Some(pattern))),
            None => Ok((self.dialect("openai")?, None)),
        }
    }

    /// Names of the plugins of a kind that are enabled, by name. An entry that does not say what it is, is opened.
    pub fn names(&self, kind: Kind) -> Vec<String> {
        let slots = self.inner.slots.iter().filter(|(_, slot)| slot.enabled());
        let of_kind = slots.filter(|(name, slot)| match slot.known_kind() {
            Some(known) => known == kind,
            None => matches!(self.load_slot(name, slot), Ok(ready) if ready.info().kind == kind),
        });
        of_kind.map(|(name, _)| name.clone()).collect()
    }

    /// Reads the components of these plugins now, so that what changes later does not concern this set, and has them
    /// compiled in a thread of its own, so that nobody waits for that later. Errors come when a plugin is asked for.
    pub fn make_ready(&self, names: Vec<String>) {
        for name in &names {
            if let Some(slot) = self.inner.slots.get(name) {
                let _ = self.source(name, slot);
            }
        }
        let set = self.clone();
        let compile = move || {
            for name in names {
                if let Some(slot) = set.inner.slots.get(&name) {
                    let _ = set.load_slot(&name, slot);
                }
            }
        };
        let thread = std::thread::Builder::new().name("plugin-loader".to_owned());
        if let Err(error) = thread.spawn(compile) {
            tracing::debug!("plugins are compiled when they are first used: {error}");
        }
    }

    /// Everything that is known to be wrong: in the configuration, and with plugins that were asked for.
    pub fn problems(&self) -> Vec<PluginError> {
        let configuration = self
            .inner
            .settings
            .problems
            .iter()
            .filter(|(name, _)| name.is_none());
        let configuration = configuration.map(|(_, what)| PluginError {
            plugin: "configuration".to_owned(),
            version: None,
            sha256: None,
            kind: None,
            stage: Stage::Settings,
            what: what.clone(),
            remedy: "correct the config file".to_owned(),
        });
        let file = self.inner.settings.file.display();
        let kept = self.inner.slots.iter().filter(|(_, slot)| {
            slot.enabled() && slot.entry.as_ref().is_some_and(|entry| !entry.enabled)
        });
        let kept = kept.map(|(name, slot)| PluginError {
            plugin: name.clone(),
            version: None,
            sha256: None,
            kind: slot.known_kind(),
            stage: Stage::Settings,
            what: format!("{file}: [plugins.{name}] enabled: it guards every job and stays on"),
            remedy: "correct the config file".to_owned(),
        });
        let broken = self
            .inner
            .slots
            .iter()
            .filter(|(_, slot)| slot.entry.as_ref().is_some_and(|e| e.broken.is_some()));
        let broken = broken.filter_map(|(name, slot)| self.load_slot(name, slot).err());
        let asked = self
            .inner
            .slots
            .values()
            .filter(|slot| slot.entry.as_ref().is_none_or(|e| e.broken.is_none()));
        let asked = asked.filter_map(|slot| slot.loaded.get()?.as_ref().err().cloned());
        configuration
            .chain(kept)
            .chain(broken)
            .chain(self.presets().err())
            .chain(asked)
            .collect()
    }

    /// Returns the faults where this entry for repositories holds: the plugins that it names are opened as a job there would
    /// get them.
    pub fn problems_in(
        engine: &Arc<Engine>,
        settings: &Settings,
        entry: &RepositoryEntry,
    ) -> Vec<PluginError> {
        let set = Self::load(engine, &PluginSettings::of_entry(settings, entry));
        for name in entry.plugins.keys() {
            if let Some(slot) = set.inner.slots.get(name).filter(|slot| slot.enabled()) {
                // Its error is among the set's problems from now on.
                let _ = set.load_slot(name, slot);
            }
        }
        set.problems()
    }

    /// Every plugin, for `plugin list`.
    pub fn list(&self) -> Vec<Listed> {
        let line = |(name, slot): (&String, &Slot)| Listed {
            name: name.clone(),
            kind: slot.known_kind(),
            bundled: slot.is_bundled(),
            enabled: slot.enabled(),
            path: slot.entry.as_ref().and_then(|entry| entry.path.clone()),
            sha256: match (&slot.entry, slot.bundled) {
                (_, Some(bundled)) if slot.is_bundled() => Some(bundled.sha256.to_owned()),
                (Some(entry), _) => entry.sha256.clone(),
                (None, _) => None,
            },
            grants: slot
                .entry
                .as_ref()
                .map(|entry| entry.grants.words())
                .unwrap_or_default(),
            fixed: slot.bundled.is_some_and(|bundled| !bundled.replaceable()),
        };
        self.inner.slots.iter().map(line).collect()
    }

    /// Returns a plugin's information about itself.
    ///
    /// # Errors
    /// Why there is none of that name, or why it cannot be used.
    pub fn info(&self, name: &str) -> Result<Info, PluginError> {
        let slot = self
            .inner
            .slots
            .get(name)
            .ok_or_else(|| self.unknown(name, None))?;
        Ok(self.load_slot(name, slot)?.info().clone())
    }

    fn ready(&self, name: &str, kind: Kind) -> Result<Ready, PluginError> {
        let slot = self
            .inner
            .slots
            .get(name)
            .ok_or_else(|| self.unknown(name, Some(kind)))?;
        self.load_slot(name, slot)
    }

    fn load_slot(&self, name: &str, slot: &Slot) -> Result<Ready, PluginError> {
        let load = || {
            let source = self.source(name, slot)?;
            let file = source.file.clone();
            let plugin = source.load(&self.inner.engine);
            let plugin = plugin.map_err(|error| error.in_file(file.as_deref()))?;
            Ready::new(plugin)
        };
        slot.loaded.get_or_init(load).clone()
    }

    fn source(&self, name: &str, slot: &Slot) -> Result<Source, PluginError> {
        slot.source.get_or_init(|| self.open(name, slot)).clone()
    }

    /// Reads what a plugin is to be made from.
    fn open(&self, name: &str, slot: &Slot) -> Result<Source, PluginError> {
        let refuse = |stage, what: String, remedy: String| PluginError {
            plugin: name.to_owned(),
            version: None,
            sha256: None,
            kind: slot.known_kind(),
            stage,
            what,
            remedy,
        };
        if let Some(problem) = slot.entry.as_ref().and_then(|entry| entry.broken.as_ref()) {
            return Err(refuse(
                Stage::Settings,
                problem.clone(),
                "correct the config file".to_owned(),
            ));
        }
        let fixed = slot.bundled.is_some_and(|bundled| !bundled.replaceable());
        if fixed
            && slot
                .entry
                .as_ref()
                .is_some_and(|entry| !entry.suppress.is_empty())
        {
            let what = "guards every job, and none of its rules can be suppressed".to_owned();
            let remedy = format!("take suppress out of [plugins.{name}]");
            return Err(refuse(Stage::Settings, what, remedy));
        }
        if !slot.enabled() {
            let remedy = format!("write enabled = true in [plugins.{name}]");
            return Err(refuse(Stage::Settings, "is not enabled".to_owned(), remedy));
        }
        let own = slot
            .entry
            .as_ref()
            .filter(|entry| self.has_component(name, entry));
        let mut source = match (slot.bundled, own) {
            (Some(bundled), None) => {
                let plain = Source::plain(name, Code::Bundled(bundled), Some(bundled.sha256));
                Source {
                    kind: Some(bundled.kind),
                    ..plain
                }
            }
            (Some(bundled), Some(_)) if !bundled.replaceable() => {
                let what = format!(
                    "is a bundled {} that can only be added to, not replaced",
                    bundled.kind
                );
                return Err(refuse(
                    Stage::Settings,
                    what,
                    "give the entry in [plugins] another name".to_owned(),
                ));
            }
            (Some(bundled), Some(entry)) => {
                let source = self
                    .read(name, entry)
                    .map_err(|(stage, what, remedy)| refuse(stage, what, remedy))?;
                Source {
                    kind: Some(bundled.kind),
                    ..source
                }
            }
            (None, _) => {
                let entry = slot
                    .entry
                    .as_ref()
                    .ok_or_else(|| self.unknown(name, None))?;
                self.read(name, entry)
                    .map_err(|(stage, what, remedy)| refuse(stage, what, remedy))?
            }
        };
        if let Some(entry) = &slot.entry {
            source.grants = entry.grants.clone();
            source.limits = entry.limits.clone();
            source.suppress = entry.suppress.clone();
            source.config.lay_all(entry.config.clone());
        }
        source.log = Arc::clone(&self.inner.log);
        source.troubles = self.inner.settings.troubles.clone();
        Ok(source)
    }

    /// Returns true if an entry has a component of its own, and not only settings for the bundled one.
    fn has_component(&self, name: &str, entry: &Entry) -> bool {
        entry.path.is_some() || self.in_dirs(name).is_some()
    }

    /// The folder of that name in `dirs` that holds a manifest.
    fn in_dirs(&self, name: &str) -> Option<PathBuf> {
        in_dirs(&self.inner.settings.dirs, name)
    }

    /// Reads an operator's component and compares its digest.
    fn read(&self, name: &str, entry: &Entry) -> Result<Source, (Stage, String, String)> {
        let path = entry
            .path
            .clone()
            .or_else(|| self.in_dirs(name))
            .ok_or_else(|| {
                let what = format!(
                    "[plugins.{name}] has no path, and no folder of dirs has {name}/{}",
                    manifest::FILE
                );
                (
                    Stage::Locate,
                    what,
                    "add it with `mcp-codex-worker plugin add FILE`".to_owned(),
                )
            })?;
        let manifest = match path.is_dir() {
            true => Some(Manifest::read(&path).map_err(|error| {
                let remedy = "correct the manifest".to_owned();
                (Stage::Settings, error.to_string(), remedy)
            })?),
            false => None,
        };
        let file = manifest
            .as_ref()
            .map_or_else(|| path.clone(), Manifest::component);
        let bytes = read_component(&file, self.inner.settings.largest)?;
        let sha256 = engine::digest(&bytes);
        let pins = [
            entry.sha256.as_deref(),
            manifest
                .as_ref()
                .and_then(|manifest| manifest.sha256.as_deref()),
        ];
        let broken = pins
            .into_iter()
            .flatten()
            .find(|pin| !pin.eq_ignore_ascii_case(&sha256));
        if let Some(pin) = broken {
            let what = format!(
                "{} has the sha256 {sha256}, and {pin} was expected",
                file.display()
            );
            let remedy =
                "if you changed it, add it again with `mcp-codex-worker plugin add`".to_owned();
            return Err((Stage::Digest, what, remedy));
        }
        if entry.sha256.is_none() {
            let what = format!(
                "{} is not pinned: [plugins.{name}] has no sha256",
                file.display()
            );
            let remedy = format!(
                "write sha256 = \"{sha256}\", or add it with `mcp-codex-worker plugin add`"
            );
            return Err((Stage::Digest, what, remedy));
        }
        Ok(Source {
            kind: entry
                .kind
                .or(manifest.as_ref().map(|manifest| manifest.kind)),
            config: manifest.as_ref().map(defaults).unwrap_or_default(),
            promised: manifest
                .as_ref()
                .map(Manifest::promise)
                .or(entry.promised.clone()),
            sha256,
            file: Some(file),
            ..Source::plain(name, Code::Given(bytes.into()), Some(""))
        })
    }

    fn unknown(&self, name: &str, kind: Option<Kind>) -> PluginError {
        let slots = self.inner.slots.iter();
        let known = match kind {
            Some(Kind::Dialect) => self.dialect_names(),
            _ => slots
                .filter(|(_, slot)| kind.is_none() || slot.known_kind() == kind)
                .map(|(name, _)| name.clone())
                .collect(),
        };
        PluginError {
            plugin: name.to_owned(),
            version: None,
            sha256: None,
            kind,
            stage: Stage::Locate,
            what: format!(
                "there is none of that name; there are: {}",
                known.join(", ")
            ),
            remedy: "`mcp-codex-worker plugin add` adds one".to_owned(),
        }
    }
}

impl Slot {
    fn new(bundled: Option<&'static Bundled>, entry: Option<Entry>) -> Self {
        Slot {
            bundled,
            entry,
            source: OnceLock::new(),
            loaded: OnceLock::new(),
        }
    }

    fn known_kind(&self) -> Option<Kind> {
        self.bundled
            .map(|bundled| bundled.kind)
            .or_else(|| self.entry.as_ref()?.kind)
    }

    fn is_bundled(&self) -> bool {
        self.bundled.is_some() && self.entry.as_ref().is_none_or(|entry| entry.path.is_none())
    }

    /// Returns true if it is enabled: a check that tightens cannot be taken out.
    fn enabled(&self) -> bool {
        self.bundled.is_some_and(|bundled| !bundled.replaceable())
            || self.entry.as_ref().is_none_or(|entry| entry.enabled)
    }
}

/// The folder of that name in these that holds a manifest.
fn in_dirs(dirs: &[PathBuf], name: &str) -> Option<PathBuf> {
    let mut folders = dirs.iter().map(|dir| dir.join(name));
    folders.find(|folder| folder.join(manifest::FILE).is_file())
}

/// The default settings of a manifest.
fn defaults(manifest: &Manifest) -> Config {
    let mut config = Config::default();
    let file = manifest.folder.join(manifest::FILE);
    config.lay(Place::table(&file, "config"), manifest.config.clone());
    config
}

/// The bytes of a component file, if it is a plain file of a size that may be taken.
fn read_component(file: &Path, largest: u64) -> Result<Vec<u8>, (Stage, String, String)> {
    use std::io::Read;
    let missing = |error: std::io::Error| {
        let remedy = "correct its path in the config file, or add it again with `mcp-codex-worker plugin add`";
        (
            Stage::Locate,
            format!("{}: {error}", file.display()),
            remedy.to_owned(),
        )
    };
    let opened = std::fs::File::open(file).map_err(missing)?;
    let metadata = opened.metadata().map_err(missing)?;
    if !metadata.is_file() {
        return Err((
            Stage::Locate,
            format!("{} is no plain file", file.display()),
            "give the component itself".to_owned(),
        ));
    }
    let mut bytes = Vec::new();
    // One byte more than may be: of a part of it the digest would be another.
    opened
        .take(largest.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(missing)?;
    if bytes.len() as u64 > largest {
        let what = format!(
            "{} is larger than the {} that are taken",
            file.display(),
            limits::bytes(largest)
        );
        let remedy = "make it smaller (strip it, build it for release), or set WORKER_PLUGIN_MAX_BYTES higher";
        return Err((Stage::Compile, what, remedy.to_owned()));
    }
    Ok(bytes)
}
