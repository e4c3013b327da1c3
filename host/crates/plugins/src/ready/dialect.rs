//! A dialect: canonical chat completions to one gateway's form, and back.

use std::sync::Arc;

use crate::instance::Instance;
use crate::v1::bindings::dialect::DialectPlugin as Bindings;
use crate::v1::plugin::Plugin;
use crate::{Cost, Info, Limits, PluginError, Stage, limits};
use gateway::facts::{Facts, FactsError, Layer, Layers, Origin, Preset, Presets, recognizes};
use gateway::wire::{Outbound, Reply, Sse, Verdict};
use gateway::{Dialect, DialectError};
use serde_json::{Value, json};

/// A dialect plugin.
#[derive(Clone)]
pub struct DialectPlugin {
    plugin: Plugin,
    /// Gateways that it is for.
    patterns: Arc<[String]>,
    /// The facts of gateways and models, whichever dialect speaks to them.
    presets: Option<Arc<Presets>>,
    /// The preset that `declared` is to speak, and the settings that say so.
    preset: Option<(String, Value)>,
}

impl DialectPlugin {
    pub(crate) fn new(plugin: Plugin) -> Result<Self, PluginError> {
        let patterns = instance(&plugin, None)?.recognizes()?;
        if patterns.len() > 1000 || patterns.iter().any(|pattern| pattern.len() > 500) {
            return Err(plugin.loaded.error(
                Stage::Output,
                "recognizes more than can be",
                "tell its author",
            ));
        }
        Ok(DialectPlugin {
            plugin,
            patterns: patterns.into(),
            presets: None,
            preset: None,
        })
    }

    /// The same with what its set knows of gateways and models.
    pub(crate) fn knowing(&self, presets: &Arc<Presets>) -> Self {
        Self {
            presets: Some(Arc::clone(presets)),
            ..self.clone()
        }
    }

    /// The same, to speak one preset. The component gets its facts as settings.
    pub(crate) fn speaking(&self, preset: &Preset) -> Self {
        let settings = json!({
            "preset": preset.name,
            "gateways": {&preset.name: preset.facts()},
        });
        Self {
            patterns: preset.patterns.clone().into(),
            preset: Some((preset.name.clone(), settings)),
            ..self.clone()
        }
    }

    /// Returns its name in the configuration, or the name of the preset that it speaks.
    pub fn name(&self) -> &str {
        match &self.preset {
            Some((preset, _)) => preset,
            None => &self.plugin.loaded.info.name,
        }
    }

    /// Returns its title for people: the kind, and the name.
    pub fn title(&self) -> String {
        match &self.preset {
            Some((preset, _)) => format!("gateway preset {preset}"),
            None => format!("plugin {}", self.name()),
        }
    }

    /// The family of a model, as far as it is known.
    pub fn family(&self, model: &str) -> Option<&str> {
        let family = self.presets().family_for(model);
        family.map(|(family, _)| family.name.as_str())
    }

    fn presets(&self) -> &Presets {
        self.presets.as_deref().unwrap_or(Presets::bundled())
    }

    /// Returns the plugin's information about itself.
    pub fn info(&self) -> &Info {
        &self.plugin.loaded.info
    }

    /// Returns the cost of its calls so far.
    pub fn cost(&self) -> Cost {
        self.plugin.loaded.cost()
    }

    /// Gateways that it is for: host names with an optional path.
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// Everything that is stated about a model: what the plugin answers, and what is known of the model and said by the
    /// operator.
    ///
    /// # Errors
    /// When the plugin fails to say, or states what cannot be.
    pub fn layers(&self, model: &str) -> Result<Layers, PluginError> {
        let stated = self.instance()?.facts(model)?;
        let wrong = |error: FactsError| {
            let what = format!("states facts that cannot be: {error}");
            let remedy = "tell its author; wit/facts.schema.json has every fact";
            self.plugin.loaded.error(Stage::Output, what, remedy)
        };
        let origin = Origin::Gateway(self.name().to_owned());
        let gateway = Layer::from_json(origin, &stated).map_err(wrong)?;
        let preset = self.preset.as_ref().map(|(preset, _)| preset.as_str());
        let presets = self.presets();
        presets.layers(gateway, preset, model).map_err(wrong)
    }

    /// Returns the facts for an agent's requests to a model.
    ///
    /// # Errors
    /// As [`DialectPlugin::layers`].
    pub fn facts(&self, model: &str) -> Result<Arc<Facts>, PluginError> {
        let merged = self.layers(model)?.merge(model);
        let merged = merged.map_err(|error| {
            let what = format!("states facts that cannot be together: {error}");
            self.plugin.loaded.error(Stage::Output, what, "")
        })?;
        Ok(Arc::clone(merged.usual()))
    }

    /// A canonical request, facts applied, in the gateway's own form. Not to be called where the facts declare requests
    /// canonical.
    ///
    /// # Errors
    /// When the plugin refuses or fails; a 400 for the caller.
    pub fn request(&self, body: &[u8], model: &str) -> Result<Outbound, PluginError> {
        self.fits(body)?;
        self.instance()?.request(body, model)
    }

    /// A whole reply, made canonical. Not to be called where the facts declare replies canonical.
    ///
    /// # Errors
    /// When the plugin refuses or fails; an upstream error for the caller.
    pub fn response(&self, reply: Reply<'_>, model: &str) -> Result<Vec<u8>, PluginError> {
        self.fits(reply.body)?;
        self.instance()?.response(&reply, model)
    }

    /// Returns the meaning of an error reply. Not to be called where the facts declare errors usual.
    ///
    /// # Errors
    /// When the plugin fails; the host then judges by the status.
    pub fn classify(&self, reply: Reply<'_>) -> Result<Verdict, PluginError> {
        self.fits(reply.body)?;
        self.instance()?.classify(&reply)
    }

    /// Begins one streamed reply, in an instance of its own. Not to be called where the facts declare streams canonical.
    ///
    /// # Errors
    /// When the plugin fails to start.
    pub fn translation(&self, model: &str) -> Result<Translation, PluginError> {
        let mut instance = self.instance()?;
        instance.begin_stream(model)?;
        Ok(Translation { instance })
    }

    fn instance(&self) -> Result<Instance<Bindings>, PluginError> {
        let settings = self.preset.as_ref().map(|(_, settings)| settings);
        instance(&self.plugin, settings)
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

fn instance(plugin: &Plugin, settings: Option<&Value>) -> Result<Instance<Bindings>, PluginError> {
    plugin.dialect(plugin.loaded.config(settings)?)
}

/// One streamed reply on its way to the canonical form.
pub struct Translation {
    instance: Instance<Bindings>,
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
        self.instance.push(events)
    }

    /// The upstream ended; `complete` is false when it broke off.
    ///
    /// # Errors
    /// As [`Translation::push`].
    pub fn finish(&mut self, complete: bool) -> Result<Vec<String>, PluginError> {
        self.instance.finish(complete)
    }
}

impl Dialect for DialectPlugin {
    fn name(&self) -> &str {
        Self::name(self)
    }

    fn recognizes(&self, base_url: &str) -> bool {
        let mut patterns = self.patterns.iter();
        patterns.any(|pattern| recognizes(pattern, base_url))
    }

    fn layers(&self, model: &str) -> Result<Layers, DialectError> {
        Ok(Self::layers(self, model)?)
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
