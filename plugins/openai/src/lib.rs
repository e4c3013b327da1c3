//! Dialect `openai`: chat completions as OpenAI has them, and as most gateways take them.

use worker_plugin::{Dialect, Facts, Fault, NoSettings};

/// The dialect.
pub struct OpenAi;

impl Dialect for OpenAi {
    type Settings = NoSettings;
    const SUMMARY: &'static str = "chat completions as OpenAI has them";

    fn new(_: NoSettings) -> Result<Self, Fault> {
        Ok(OpenAi)
    }

    fn recognises(&self) -> Vec<String> {
        vec!["api.openai.com".to_owned()]
    }

    fn facts(&self, _model: &str) -> Facts {
        Facts::default()
    }
}

worker_plugin::dialect!(OpenAi);
