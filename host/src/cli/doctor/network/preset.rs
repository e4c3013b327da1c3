//! `doctor --network --save`: what was found, as the operator's word on the gateway, in the settings
//! of `declared`.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Finding, Saved};
use crate::reason::{Reason, fail};
use gateway::facts::ModelName;
use plugin_kit::operator::{Declared, Operator};
use plugins::PluginSet;

/// The end of every URL of requests.
const COMPLETIONS: &str = "/chat/completions";

impl Saved<'_> {
    /// Writes the facts into the config file.
    pub(super) fn write(&self, plugins: &PluginSet, file: &Path, what: String) -> Finding {
        if self.facts.is_empty() {
            return Finding::ok(what, "nothing: all of it is known without asking");
        }
        match self.written(plugins, file) {
            Ok(name) => Finding::ok(
                what,
                format!(
                    "as plugins.declared.config.gateways.{name} in {}: `adapter --explain` shows it",
                    file.display()
                ),
            ),
            Err(why) => Finding::fail(
                what,
                why.0,
                format!(
                    "write the facts into {} by hand: {}",
                    file.display(),
                    Value::Object(self.facts.clone())
                ),
            ),
        }
    }

    /// Writes them, and returns the name of the gateway's entry.
    fn written(&self, plugins: &PluginSet, file: &Path) -> Result<String, Reason> {
        let presets = plugins.presets()?;
        let (dialect, _) = plugins.dialect_of(self.named, self.base_url)?;
        let speaks = dialect.name();
        if presets.gateway(speaks).is_none() {
            fail!("the gateway is spoken to by the plugin {speaks}, which states its facts itself");
        }
        let is_known = self.named.is_some() || presets.gateway_for(self.base_url).is_some();
        let (name, head) = match is_known {
            true => (speaks.to_owned(), Map::new()),
            false => (self.name(), self.head(speaks)),
        };
        let model = ModelName::new(self.model);
        let entry = Declared {
            name: &name,
            head: &head,
            model: model.pattern(),
            facts: self.facts,
        };
        let mut operator = Operator::open(file)?;
        operator.declare(&entry).and_then(|()| operator.save())?;
        Ok(name)
    }

    /// Host, port and path of the base URL.
    fn place(&self) -> &str {
        let rest = self.base_url.split_once("://");
        let rest = rest.map_or(self.base_url, |(_, rest)| rest);
        let place = rest.split(['?', '#']).next().unwrap_or_default();
        place.trim_end_matches('/')
    }

    /// A name for a gateway that has none, of its host.
    fn name(&self) -> String {
        let host = self.place().split('/').next().unwrap_or_default();
        let plain = |c: char| match c.is_ascii_alphanumeric() {
            true => c.to_ascii_lowercase(),
            false => '-',
        };
        let name = host.chars().map(plain).collect::<String>();
        name.trim_matches('-').to_owned()
    }

    /// Returns the entry by which a gateway that nothing recognized is recognized from now on. The path is the one that requests went to: a
    /// gateway that is recognized may have another.
    fn head(&self, like: &str) -> Map<String, Value> {
        let path = self
            .url
            .split_once("://")
            .and_then(|(_, rest)| rest.split_once('/'))
            .map_or("", |(_, path)| path);
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let path = format!("/{path}");
        let root = path.strip_suffix(COMPLETIONS).unwrap_or(&path);
        Map::from_iter([
            ("about".to_owned(), json!("found by doctor --network")),
            ("like".to_owned(), json!(like)),
            ("recognizes".to_owned(), json!([self.place()])),
            ("endpoint".to_owned(), json!({"roots": [root]})),
        ])
    }
}
