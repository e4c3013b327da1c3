//! Dialect `{{name}}`: a gateway that takes chat completions at its own path, and names the reply's limit differently.

use worker_plugin::{Dialect, Fault, NoSettings, Value, json};

struct Plugin;

impl Dialect for Plugin {
    type Settings = NoSettings;
    const SUMMARY: &'static str = "chat completions as gateway.example has them";

    fn new(_: NoSettings) -> Result<Self, Fault> {
        Ok(Plugin)
    }

    fn recognizes(&self) -> Vec<String> {
        vec!["gateway.example".to_owned()]
    }

    // What differs from a plain OpenAI-compatible gateway; vendor/wit/facts.schema.json has every fact with its default. A
    // gateway whose requests or streams have another form sets `canonical-request` or `canonical-stream` to false, and
    // implements `request` or `translation`.
    fn facts(&self, _model: &str) -> Result<Value, Fault> {
        Ok(json!({
            "endpoint": {"path": "/api/chat"},
            "limits": {"token-field": "max-completion-tokens", "max-output": 8192},
        }))
    }
}

worker_plugin::dialect!(Plugin);
