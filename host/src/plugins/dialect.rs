//! Dialect plugins: canonical chat completions to one gateway's form, and back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::component::ResourceAny;

use super::instance::Instance;
use super::loaded::Loaded;
use super::{Cost, Facts, Info, Limits, PluginError, Stage, limits, v0_1};

/// Models whose facts are kept.
const MODELS: usize = 64;

/// A request in the gateway's own form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbound {
    /// Instead of the path in the facts.
    pub path: Option<String>,
    /// Beside those in the facts; never credentials.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What a gateway answered.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: &'a [(String, String)],
    /// Body.
    pub body: &'a [u8],
}

/// One server-sent event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sse {
    /// Its `event:`.
    pub event: Option<String>,
    /// Its `data:` lines, joined.
    pub data: String,
}

/// What kind of failure an error reply is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Too many requests.
    RateLimited,
    /// The gateway or model has no room.
    Overloaded,
    /// The gateway's own fault.
    ServerError,
    /// It took too long.
    Timeout,
    /// More tokens than the model takes.
    ContextTooLong,
    /// More bytes than the gateway takes.
    RequestTooLarge,
    /// The request is wrong.
    InvalidRequest,
    /// A content filter refused it.
    RefusedContent,
    /// The key is wrong.
    Unauthorized,
    /// The key may not do this.
    Forbidden,
    /// No money left.
    OutOfCredit,
    /// No such model or path.
    NotFound,
    /// Anything else.
    Unknown,
}

/// What an error reply means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What kind of failure it is.
    pub failure: Failure,
    /// Worth sending again as it is.
    pub retry: bool,
    /// Not before so many milliseconds.
    pub retry_after_ms: Option<u64>,
    /// With [`Failure::ContextTooLong`]: tokens asked for.
    pub tokens: Option<u64>,
    /// With [`Failure::ContextTooLong`]: the most that there may be.
    pub token_limit: Option<u64>,
    /// The gateway's words, not yet redacted.
    pub message: String,
}

/// A dialect plugin.
#[derive(Clone)]
pub struct DialectPlugin {
    loaded: Arc<Loaded>,
    recognises: Arc<[String]>,
    facts: Arc<Mutex<HashMap<String, Arc<Facts>>>>,
}

impl DialectPlugin {
    pub(super) fn new(loaded: Arc<Loaded>) -> Result<Self, PluginError> {
        let recognises = instance(&loaded)?.recognises()?;
        if recognises.len() > 1000 || recognises.iter().any(|pattern| pattern.len() > 500) {
            return Err(loaded.error(
                Stage::Output,
                "recognises more than can be",
                "tell its author",
            ));
        }
        Ok(DialectPlugin {
            loaded,
            recognises: recognises.into(),
            facts: Arc::default(),
        })
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.loaded.info.name
    }

    /// What the plugin says about itself.
    pub fn info(&self) -> &Info {
        &self.loaded.info
    }

    /// What its calls cost so far.
    pub fn cost(&self) -> Cost {
        self.loaded.cost()
    }

    /// Gateways that it is for: host names with an optional path.
    pub fn recognises(&self) -> &[String] {
        &self.recognises
    }

    /// What holds for a model; asked of the plugin once.
    ///
    /// # Errors
    /// When the plugin fails to say.
    pub fn facts(&self, model: &str) -> Result<Arc<Facts>, PluginError> {
        let mut known = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(facts) = known.get(model) {
            return Ok(Arc::clone(facts));
        }
        let facts = Arc::new(instance(&self.loaded)?.declare(model)?);
        if known.len() >= MODELS {
            known.clear();
        }
        known.insert(model.to_owned(), Arc::clone(&facts));
        Ok(facts)
    }

    /// A canonical request, facts applied, in the gateway's own form. Not to be called where the facts declare requests
    /// canonical.
    ///
    /// # Errors
    /// When the plugin refuses or fails; a 400 for the caller.
    pub fn request(&self, body: &[u8], model: &str) -> Result<Outbound, PluginError> {
        self.fits(body)?;
        instance(&self.loaded)?.request(body, model)
    }

    /// A whole reply, made canonical. Not to be called where the facts declare replies canonical.
    ///
    /// # Errors
    /// When the plugin refuses or fails; an upstream error for the caller.
    pub fn response(&self, reply: Reply<'_>, model: &str) -> Result<Vec<u8>, PluginError> {
        self.fits(reply.body)?;
        instance(&self.loaded)?.response(&reply, model)
    }

    /// What an error reply means. Not to be called where the facts declare errors usual.
    ///
    /// # Errors
    /// When the plugin fails; the host then judges by the status.
    pub fn classify(&self, reply: Reply<'_>) -> Result<Verdict, PluginError> {
        self.fits(reply.body)?;
        instance(&self.loaded)?.classify(&reply)
    }

    /// Begins one streamed reply, in an instance of its own. Not to be called where the facts declare streams canonical.
    ///
    /// # Errors
    /// When the plugin fails to start.
    pub fn translation(&self, model: &str) -> Result<Translation, PluginError> {
        let mut instance = instance(&self.loaded)?;
        let resource = instance.translation(model)?;
        Ok(Translation { instance, resource })
    }

    fn fits(&self, body: &[u8]) -> Result<(), PluginError> {
        if body.len() <= Limits::BODY {
            return Ok(());
        }
        let what = format!(
            "is given bodies of at most {}, and this one has {} bytes",
            limits::bytes(Limits::BODY as u64),
            body.len()
        );
        Err(self.loaded.error(Stage::Input, what, ""))
    }
}

fn instance(loaded: &Arc<Loaded>) -> Result<Instance<v0_1::dialect::DialectPlugin>, PluginError> {
    v0_1::dialect(loaded, loaded.config(None)?)
}

/// One streamed reply on its way to the canonical form.
pub struct Translation {
    instance: Instance<v0_1::dialect::DialectPlugin>,
    resource: ResourceAny,
}

impl Translation {
    /// The events of one network read; answers canonical chunks.
    ///
    /// # Errors
    /// When the plugin refuses or fails; the stream then ends with an error.
    pub fn push(&mut self, events: &[Sse]) -> Result<Vec<String>, PluginError> {
        let size = events.iter().map(|event| event.data.len()).sum::<usize>();
        if size > Limits::BODY {
            let what = format!(
                "is given at most {} of events at once",
                limits::bytes(Limits::BODY as u64)
            );
            return Err(self.instance.loaded.error(Stage::Input, what, ""));
        }
        self.instance.push(self.resource, events)
    }

    /// The upstream ended; `complete` is false when it broke off.
    ///
    /// # Errors
    /// As [`Translation::push`].
    pub fn finish(&mut self, complete: bool) -> Result<Vec<String>, PluginError> {
        self.instance.finish(self.resource, complete)
    }
}
