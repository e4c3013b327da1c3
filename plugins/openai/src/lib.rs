//! Dialect `openai`: chat completions as OpenAI has them.
//!
//! Also what a gateway gets that no dialect recognises: everything that is special depends on names of OpenAI's models.

use worker_plugin::{Dialect, Facts, Fault, NoSettings};

mod models;

/// The dialect.
pub struct OpenAi;

impl Dialect for OpenAi {
    type Settings = NoSettings;
    const SUMMARY: &'static str = "chat completions as OpenAI has them";

    fn new(_: NoSettings) -> Result<Self, Fault> {
        Ok(OpenAi)
    }

    fn recognises(&self) -> Vec<String> {
        ["api.openai.com"].map(String::from).into()
    }

    fn facts(&self, model: &str) -> Facts {
        models::facts(model)
    }
}

worker_plugin::dialect!(OpenAi);

#[cfg(test)]
mod tests {
    use super::*;
    use worker_plugin::{Sampling, TokenField};

    #[test]
    fn reasoning_models_are_told_by_their_names() {
        for (model, reasons) in [
            ("gpt-5.5", true),
            ("gpt-5-mini", true),
            ("o3", true),
            ("o4-mini", true),
            ("openai/o3-mini", true),
            ("gpt-5-chat-latest", false),
            ("gpt-4.1", false),
            ("o3o", false),
            ("deepseek-v4-flash", false),
            ("", false),
        ] {
            let facts = OpenAi.facts(model);
            assert_eq!(
                matches!(facts.limits.token_field, TokenField::MaxCompletionTokens),
                reasons,
                "{model}"
            );
            assert_eq!(
                matches!(facts.sampling.temperature, Sampling::Drop),
                reasons,
                "{model}"
            );
        }
    }
}
