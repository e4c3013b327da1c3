//! Dialect `declared`: a gateway that needs no code, described by the facts in its settings.
//!
//! The host gives it the preset that it chose: one of `presets/gateways`, or one of the operator's.
//! The presets are not part of the component, so that a further one compiles nothing.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Map;
use worker_plugin::{Dialect, Fault, Value};

/// The operator's settings, and what the host adds.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The gateway that is spoken to, of `gateways`; the host's choice.
    preset: Option<String>,
    /// Gateways by name.
    gateways: BTreeMap<String, Gateway>,
    /// Model families by name. The host reads them: a family holds with every dialect.
    #[serde(rename = "models")]
    _models: Map<String, Value>,
}

/// A gateway: the URLs that it is recognized by, and its facts.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Gateway {
    recognizes: Vec<String>,
    #[serde(rename = "about")]
    _about: String,
    #[serde(rename = "like")]
    _like: String,
    #[serde(flatten)]
    facts: Map<String, Value>,
}

/// The dialect.
pub struct Declared(Settings);

impl Dialect for Declared {
    type Settings = Settings;
    const SUMMARY: &'static str = "a gateway that is described by facts alone";
    const SCHEMA: Option<&'static str> = Some(include_str!("settings.schema.json"));

    fn new(settings: Settings) -> Result<Self, Fault> {
        match &settings.preset {
            Some(preset) if !settings.gateways.contains_key(preset) => {
                let known = settings.gateways.keys().map(String::as_str);
                let known = known.collect::<Vec<_>>().join(", ");
                Err(Fault::bad_settings(format!(
                    "preset: there is no {preset}; there are {known}"
                )))
            }
            _ => Ok(Declared(settings)),
        }
    }

    fn recognizes(&self) -> Vec<String> {
        let gateways = self.0.gateways.values();
        gateways
            .flat_map(|gateway| gateway.recognizes.clone())
            .collect()
    }

    fn facts(&self, _model: &str) -> Result<Value, Fault> {
        let gateway = self
            .0
            .preset
            .as_ref()
            .and_then(|preset| self.0.gateways.get(preset));
        Ok(Value::Object(
            gateway
                .map(|gateway| gateway.facts.clone())
                .unwrap_or_default(),
        ))
    }
}

worker_plugin::dialect!(Declared);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use worker_plugin::{json, settings_from};

    fn declared(settings: &Value) -> Result<Declared, Fault> {
        Declared::new(settings_from(&settings.to_string())?)
    }

    #[test]
    fn it_says_what_its_preset_says() {
        let settings = json!({
            "preset": "acme",
            "gateways": {
                "acme": {"about": "a", "like": "vllm", "recognizes": ["acme.example"], "limits": {"max-output": 5}},
                "other": {"recognizes": ["other.example"]},
            },
            "models": {"m": {"matches": ["m*"]}},
        });
        let declared = declared(&settings).unwrap();
        assert_eq!(
            declared.facts("any").unwrap(),
            json!({"limits": {"max-output": 5}})
        );
        assert_eq!(declared.recognizes(), ["acme.example", "other.example"]);
    }

    #[test]
    fn without_a_preset_nothing_is_stated() {
        assert_eq!(declared(&json!({})).unwrap().facts("m").unwrap(), json!({}));
    }

    #[test]
    fn a_preset_that_is_not_there_is_refused_with_those_that_are() {
        let settings = json!({"preset": "acm", "gateways": {"acme": {}}});
        let Err(Fault::BadSettings(said)) = declared(&settings) else {
            unreachable!("it is refused");
        };
        assert_eq!(said, "preset: there is no acm; there are acme");
        assert!(declared(&json!({"gateway": {}})).is_err());
    }
}
