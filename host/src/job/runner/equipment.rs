//! What a job works with besides its tree: plugins, the redactor, the gateway.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use crate::gateway::{self, AdapterConfig, RecordSink};
use crate::job::refusal::Refusal;
use crate::job::spec::JobSpec;
use crate::plugins::{Engine, PluginSet, PluginSettings};
use crate::redact::{KnownValues, Redactor};
use crate::settings::{Secret, Settings};

/// Where a job's adapter listens: any free port that only this machine reaches.
pub(super) const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What a runner works with.
pub(super) struct Equipment {
    settings: Arc<Settings>,
    pub(super) plugins: PluginSet,
    pub(super) redactor: Redactor,
    /// Good for this process's adapter only.
    pub(super) token: Secret,
}

impl Equipment {
    /// Makes ready what every step needs. No plugin is opened here: each is when it is first used, and one that cannot be
    /// used fails as its kind says.
    ///
    /// # Errors
    /// There is no plugin engine or no random source on this machine.
    pub(super) fn load(settings: Arc<Settings>) -> Result<Self, String> {
        let token = gateway::fresh_token()
            .map_err(|fault| format!("the system has no randomness to give: {fault}"))?;
        let token = Secret::new(token);
        let engine = Engine::shared(&settings.cache_dir)?;
        let entries = PluginSettings::from_table(&settings.plugins, &settings.config_dir);
        let plugins = PluginSet::load(&engine, &entries);
        let mut known = held_values(&settings);
        known.add("adapter-token", token.expose());
        let redactor = Redactor::new(known, plugins.redactors());
        Ok(Self {
            settings,
            plugins,
            redactor,
            token,
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
        let config =
            AdapterConfig::from_settings(&self.settings, &self.plugins, redactor, route, records);
        let mut config = config.map_err(|fault| Refusal::new("gateway", fault))?;
        config.token = Some(self.token.expose().to_owned());
        Ok(config)
    }
}

/// The values that the host itself holds.
pub(super) fn held_values(settings: &Settings) -> KnownValues {
    let mut known = KnownValues::new();
    for (name, secret) in settings.secrets() {
        known.add(name, secret.expose());
    }
    known
}
