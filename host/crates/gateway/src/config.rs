//! An adapter's configuration out of the settings: the one place where gateways, keys, dialects and models meet.

use std::sync::Arc;
use std::time::Duration;

use super::endpoint::{self, endpoint_url};
use super::facts::ModelFacts;
use super::lessons::{self, LessonBook};
use super::{
    ActiveDialect, AdapterConfig, Budget, DialectError, Mode, ModelMap, RecordSink, Upstream,
    UpstreamError,
};
use redact::Redactor;
use settings::{Secret, Settings};

/// The reason why the settings make no adapter.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no gateway.
    #[error(transparent)]
    NoGateway(#[from] settings::NoGateway),
    /// A gateway's URL cannot be used.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The dialect is not there, or cannot be loaded.
    #[error(transparent)]
    Dialect(#[from] DialectError),
}

impl AdapterConfig {
    /// The adapter that the settings describe. No token, no job and no budget: the caller sets what it needs.
    /// `choose` gives the dialect that the operator named, else the one for a gateway's URL, and why in words for the log.
    ///
    /// # Errors
    ///
    /// Fails if there is no gateway, its URL cannot be used, or its dialect cannot be loaded.
    pub fn from_settings(
        settings: &Settings,
        choose: impl Fn(Option<&str>, &str) -> Result<(ActiveDialect, String), DialectError>,
        redactor: Redactor,
        route: &str,
        records: RecordSink,
    ) -> Result<Self, ConfigError> {
        let gateway = settings.gateway()?;
        let mode = if settings.use_openai_adapter {
            Mode::Translate
        } else {
            Mode::Relay
        };
        let upstream = |base_url: &str, api_key: &Secret| -> Result<Upstream, ConfigError> {
            endpoint::base_url(base_url).map_err(UpstreamError::from)?;
            let dialect = match mode {
                Mode::Translate => {
                    let (dialect, why) = choose(settings.dialect.as_deref(), base_url)?;
                    tracing::info!(dialect = dialect.name(), "{why}");
                    dialect
                }
                Mode::Relay => ActiveDialect::plain(),
            };
            Ok(Upstream {
                base_url: base_url.to_owned(),
                api_key: api_key.clone(),
                dialect,
            })
        };
        let fallback = match &settings.fallback {
            Some(fallback) => Some((
                upstream(&fallback.base_url, &fallback.api_key)?,
                fallback.models.clone(),
            )),
            None => None,
        };
        Ok(Self {
            mode,
            primary: upstream(&gateway.base_url, &gateway.api_key)?,
            fallback,
            models: ModelMap {
                main: settings.model.clone(),
                lite: settings.lite_model.clone(),
            },
            token: None,
            budget: Budget::default(),
            pool: None,
            prices: settings.prices.clone(),
            retries: settings.gateway_retries,
            patience: Duration::from_millis(settings.gateway_patience_ms),
            idle_timeout: Duration::from_millis(settings.gateway_idle_ms),
            redactor,
            route: route.to_owned(),
            job: None,
            records,
            lessons: Some(lessons::folder(&settings.cache_dir)),
            circuits: Some(settings.state_dir.join("circuits")),
        })
    }
}

/// The facts of a gateway and a model, known without asking the gateway.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The URL that requests go to.
    pub url: String,
    /// The facts, each with its source.
    pub facts: Arc<ModelFacts>,
}

impl AdapterConfig {
    /// Explains the facts of the first gateway and a model, with the lessons from its refusals.
    ///
    /// # Errors
    ///
    /// Fails if the gateway's URL cannot be used, or its dialect fails to say.
    pub fn explain(&self, model: &str) -> Result<Explanation, ConfigError> {
        let Upstream {
            base_url, dialect, ..
        } = &self.primary;
        let base = endpoint::base_url(base_url).map_err(UpstreamError::from)?;
        let facts = LessonBook::new(&base, self.lessons.clone())
            .facts(dialect, model)
            .map_err(|error| ConfigError::Dialect(DialectError::Broken(error.message)))?;
        let endpoint = &facts.usual().endpoint;
        let at_home = dialect.recognizes(base_url);
        let url = endpoint_url(&base, &endpoint.path, endpoint, at_home, model)
            .map_err(|error| ConfigError::Dialect(DialectError::Broken(error.message)))?;
        Ok(Explanation {
            url: url.to_string(),
            facts,
        })
    }
}

/// A bearer token for one adapter: 256 random bits, as hexadecimal digits.
///
/// # Errors
///
/// Fails if the system has no randomness.
pub fn fresh_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}
