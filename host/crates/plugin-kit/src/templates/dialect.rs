//! Dialect `{{name}}`: a gateway that takes chat completions at its own path, and names the reply's limit differently.

use worker_plugin::{Dialect, Facts, Fault, NoSettings, TokenField};

struct Plugin;

impl Dialect for Plugin {
    type Settings = NoSettings;
    const SUMMARY: &'static str = "chat completions as gateway.example has them";

    fn new(_: NoSettings) -> Result<Self, Fault> {
        Ok(Plugin)
    }

    fn recognises(&self) -> Vec<String> {
        vec!["gateway.example".to_owned()]
    }

    // Most gateways need no more than this: what differs from the plain case. A gateway whose requests or streams have
    // another form sets `canonical_request` or `canonical_stream` to false, and implements `request` or `translation`.
    fn facts(&self, _model: &str) -> Facts {
        let mut facts = Facts::default();
        facts.endpoint.path = "/api/chat".to_owned();
        facts.limits.token_field = TokenField::MaxCompletionTokens;
        facts.limits.max_output = Some(8192);
        facts
    }
}

worker_plugin::dialect!(Plugin);
