//! The resources of a job besides its tree: plugins, the redactor, the gateway.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use crate::defaults;
use crate::refusal::Refusal;
use crate::root;
use crate::spec::JobSpec;
use gateway::{self, AdapterConfig, RecordSink};
use plugins::{Engine, PluginSet, PluginSettings};
use redact::{KnownValues, Redactor};
use settings::{Secret, Settings};
use workspace::{Root, Workspace};

/// The address of a job's adapter: any free port that only this machine reaches.
pub(super) const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The reasons for which a runner has no resources.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResourcesError {
    #[error("the system has no randomness to give: {0}")]
    Randomness(getrandom::Error),
    #[error(transparent)]
    Engine(#[from] plugins::EngineError),
}

/// The resources of a runner.
pub(super) struct JobResources {
    settings: Arc<Settings>,
    pub(super) plugins: PluginSet,
    pub(super) redactor: Redactor,
    /// Good for this process's adapter only.
    pub(super) token: Secret,
    /// The notes about the plugins that the repository asks for.
    pub(super) lock_notes: Vec<String>,
}

impl JobResources {
    /// Makes ready what every step needs for work in `places`, paths in the user's own trees: what the operator set for
    /// their repositories counts. No plugin is opened here but redactors: each is when it is first used, and one that
    /// cannot be used fails as its kind says.
    ///
    /// # Errors
    /// There is no plugin engine or no random source on this machine.
    pub(super) fn load(
        settings: Arc<Settings>,
        places: &[PathBuf],
    ) -> Result<Self, ResourcesError> {
        let tops = tops(&settings, places);
        let plugins = PluginSettings::of(&settings, &tops);
        let lock_notes = lock_notes(&settings, &tops);
        let resources = Self::with(settings, &plugins)?;
        Ok(Self {
            lock_notes,
            ..resources
        })
    }

    /// The same for what only reads beneath these paths of the root. They may lie above several repositories, so the
    /// redactors of every one of them are among it.
    pub(super) fn to_read(
        settings: Arc<Settings>,
        root: &Root,
        paths: &[String],
    ) -> Result<Self, ResourcesError> {
        let places: Vec<_> = paths.iter().map(|path| root.path().join(path)).collect();
        let tops = tops(&settings, &places);
        let plugins = PluginSettings::of(&settings, &tops).with_every_redactor(&settings);
        Self::with(settings, &plugins)
    }

    fn with(settings: Arc<Settings>, plugins: &PluginSettings) -> Result<Self, ResourcesError> {
        let token = gateway::fresh_token().map_err(ResourcesError::Randomness)?;
        let token = Secret::new(token);
        let engine = Engine::shared(&settings.cache_dir)?;
        let plugins = PluginSet::load(&engine, plugins);
        let mut known = KnownValues::of(&settings);
        known.add("adapter-token", token.expose());
        // Its lines are what to look for, wherever they turn up.
        if let Ok(key) = std::fs::read_to_string(&settings.signing_key) {
            known.add("signing-key", &key);
        }
        let redactor = Redactor::new(known, plugins.redactors());
        Ok(Self {
            settings,
            plugins,
            redactor,
            token,
            lock_notes: Vec::new(),
        })
    }

    /// The gateway's model for a job.
    pub(super) fn model(&self, spec: &JobSpec) -> String {
        spec.model
            .clone()
            .or_else(|| self.settings.model.clone())
            .unwrap_or_default()
    }

    /// The variables of WORKER_CHECK_ENV, with their values.
    pub(super) fn check_env(&self) -> Vec<(OsString, OsString)> {
        self.settings
            .check_values
            .iter()
            .map(|(name, value)| (name.into(), value.expose().into()))
            .collect()
    }

    /// The configuration of an adapter that only this process may use, but for what is particular to its use.
    ///
    /// # Errors
    /// The gateway is not set, or its dialect is not to be had.
    pub(super) fn adapter(
        &self,
        route: &str,
        records: RecordSink,
    ) -> Result<AdapterConfig, Refusal> {
        let redactor = self.redactor.clone();
        let config = AdapterConfig::from_settings(
            &self.settings,
            |named, base_url| self.plugins.choose_dialect(named, base_url),
            redactor,
            route,
            records,
        );
        let mut config = config.map_err(|fault| Refusal::new("gateway", fault))?;
        config.token = Some(self.token.expose().to_owned());
        Ok(config)
    }
}

/// The reason why a job with these checks cannot be done: a redactor that cannot be used, a check
/// plugin that is not there, or settings that it does not take. Opens the redactors, and the
/// plugins that the checks name or the operator requires.
pub(super) fn refusal(settings: &Settings, spec: &JobSpec) -> Option<Refusal> {
    let entries = PluginSettings::of(settings, &tops(settings, &spec.allowed_dirs));
    let engine = Engine::shared(&settings.cache_dir).ok()?;
    let plugins = PluginSet::load(&engine, &entries);
    let tried = plugins
        .try_redactors()
        .map_err(|error| Refusal::new("the operator's redactors", error));
    tried
        .and_then(|()| defaults::try_plugins(&spec.checks, &plugins))
        .err()
}

/// The plugins that a repository asks for (`plugins.lock`), where the operator did not accept them as they are: they take no
/// effect, and those that were accepted before stay.
fn lock_notes(settings: &Settings, tops: &[PathBuf]) -> Vec<String> {
    let note = |top: &PathBuf| {
        let bytes = std::fs::read(top.join("plugins.lock")).ok()?;
        let mut entries = settings.repositories.of(top);
        let accepted = entries.any(|entry| entry.lock.as_ref() == Some(&plugins::digest(&bytes)));
        let known = settings
            .repositories
            .of(top)
            .any(|entry| entry.lock.is_some());
        match (accepted, known) {
            (true, _) => None,
            (false, true) => Some(
                "plugins.lock changed since it was accepted: the plugins of before ran; `mcp-codex-worker plugin accept` takes the new ones"
                    .to_owned(),
            ),
            (false, false) => Some(
                "the repository asks for plugins (plugins.lock) that are not accepted here, so none of them ran: `mcp-codex-worker plugin accept`"
                    .to_owned(),
            ),
        }
    };
    tops.iter().filter_map(note).collect()
}

/// The tops of the working trees that these paths lie in, as a job there would find them.
fn tops(settings: &Settings, places: &[PathBuf]) -> Vec<PathBuf> {
    let Some(Ok(root)) = root::open(settings) else {
        return Vec::new();
    };
    // A file, or a glob, lies in the nearest folder that there is.
    let folder = |place: &PathBuf| {
        let mut places = place.ancestors();
        places.find(|place| place.is_dir()).map(PathBuf::from)
    };
    let opened = places.iter().filter_map(folder);
    let opened = opened.filter_map(|dir| Workspace::open(&root, &[dir]).ok());
    opened.map(|workspace| workspace.top().to_owned()).collect()
}
