//! A dialect: canonical chat completions to one gateway's form, and back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::component::ResourceAny;

use crate::instance::Instance;
use crate::v0_1::bindings::dialect::DialectPlugin as Bindings;
use crate::v0_1::plugin::Plugin;
use crate::{Cost, Info, Limits, PluginError, Stage, limits};
use gateway::wire::{Outbound, Reply, Sse, Verdict};
use gateway::{Dialect, DialectError, Facts};

/// Models whose facts are kept.
const MODELS: usize = 64;

/// A dialect plugin.
#[derive(Clone)]
pub struct DialectPlugin {
    plugin: Plugin,
    recognises: Arc<[String]>,
    facts: Arc<Mutex<HashMap<String, Arc<Facts>>>>,
}

impl DialectPlugin {
    pub(crate) fn new(plugin: Plugin) -> Result<Self, PluginError> {
        let recognises = instance(&plugin)?.recognises()?;
        if recognises.len() > 1000 || recognises.iter().any(|pattern| pattern.len() > 500) {
            return Err(plugin.loaded.error(
                Stage::Output,
                "recognises more than can be",
                "tell its author",
            ));
        }
        Ok(DialectPlugin {
            plugin,
            recognises: recognises.into(),
            facts: Arc::default(),
        })
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.plugin.loaded.info.name
    }

    /// What the plugin says about itself.
    pub fn info(&self) -> &Info {
        &self.plugin.loaded.info
    }

    /// What its calls cost so far.
    pub fn cost(&self) -> Cost {
        self.plugin.loaded.cost()
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
        let facts = Arc::new(instance(&self.plugin)?.declare(model)?);
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
        instance(&self.plugin)?.request(body, model)
    }

    /// A whole reply, made canonical. Not to be called where the facts declare replies canonical.
    ///
    /// # Errors
    /// When the plugin refuses or fails; an upstream error for the caller.
    pub fn response(&self, reply: Reply<'_>, model: &str) -> Result<Vec<u8>, PluginError> {
        self.fits(reply.body)?;
        instance(&self.plugin)?.response(&reply, model)
    }

    /// What an error reply means. Not to be called where the facts declare errors usual.
    ///
    /// # Errors
    /// When the plugin fails; the host then judges by the status.
    pub fn classify(&self, reply: Reply<'_>) -> Result<Verdict, PluginError> {
        self.fits(reply.body)?;
        instance(&self.plugin)?.classify(&reply)
    }

    /// Begins one streamed reply, in an instance of its own. Not to be called where the facts declare streams canonical.
    ///
    /// # Errors
    /// When the plugin fails to start.
    pub fn translation(&self, model: &str) -> Result<Translation, PluginError> {
        let mut instance = instance(&self.plugin)?;
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
        Err(self.plugin.loaded.error(Stage::Input, what, ""))
    }
}

fn instance(plugin: &Plugin) -> Result<Instance<Bindings>, PluginError> {
    plugin.dialect(plugin.loaded.config(None)?)
}

/// One streamed reply on its way to the canonical form.
pub struct Translation {
    instance: Instance<Bindings>,
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

impl Dialect for DialectPlugin {
    fn name(&self) -> &str {
        Self::name(self)
    }

    fn facts(&self, model: &str) -> Result<Arc<Facts>, DialectError> {
        Ok(Self::facts(self, model)?)
    }

    fn request(&self, body: &[u8], model: &str) -> Result<Outbound, DialectError> {
        Ok(Self::request(self, body, model)?)
    }

    fn response(&self, reply: Reply<'_>, model: &str) -> Result<Vec<u8>, DialectError> {
        Ok(Self::response(self, reply, model)?)
    }

    fn translation(&self, model: &str) -> Result<Box<dyn gateway::Translation>, DialectError> {
        Ok(Box::new(Self::translation(self, model)?))
    }

    fn classify(&self, reply: Reply<'_>) -> Result<Verdict, DialectError> {
        Ok(Self::classify(self, reply)?)
    }
}

impl gateway::Translation for Translation {
    fn push(&mut self, events: &[Sse]) -> Result<Vec<String>, DialectError> {
        Ok(Self::push(self, events)?)
    }

    fn finish(&mut self, complete: bool) -> Result<Vec<String>, DialectError> {
        Ok(Self::finish(self, complete)?)
    }
}

impl From<PluginError> for DialectError {
    fn from(error: PluginError) -> Self {
        match error.stage {
            // The plugin's own word on this request; everything else is its breakdown.
            Stage::Fault => Self::Refused(error.to_string()),
            Stage::Input => Self::TooLarge(error.to_string()),
            _ => Self::Broken(error.to_string()),
        }
    }
}
