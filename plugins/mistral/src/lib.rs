//! Dialect `mistral`: Mistral's own API.
//!
//! Unknown fields are a 422, tool call ids are nine letters and digits, and "some tool" is `any`.

use worker_plugin::{Dialect, EmptyContent, Facts, Fault, NoSettings, ToolId};

/// The dialect.
pub struct Mistral;

impl Dialect for Mistral {
    type Settings = NoSettings;
    const SUMMARY: &'static str = "Mistral's own API";

    fn new(_: NoSettings) -> Result<Self, Fault> {
        Ok(Mistral)
    }

    fn recognises(&self) -> Vec<String> {
        ["api.mistral.ai", "codestral.mistral.ai"]
            .map(String::from)
            .into()
    }

    fn facts(&self, _model: &str) -> Facts {
        let mut facts = Facts::default();
        facts.messages.empty_content = EmptyContent::EmptyString;
        // "Unexpected role 'user' after role 'tool'", from the older models.
        facts.messages.user_after_tool = false;
        facts.messages.max_images = Some(8);
        facts.tools.id = ToolId::Alphanumeric(9);
        facts.tools.required_word = "any".to_owned();
        // The last chunk has the usage without being asked for it.
        facts.streaming.usage_option = false;
        facts
    }
}

worker_plugin::dialect!(Mistral);
