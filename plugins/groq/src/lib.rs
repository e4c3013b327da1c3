//! Dialect `groq`: Groq and Cerebras.

use worker_plugin::{Dialect, Effort, Facts, Fault, Images, NoSettings, TokenField};

/// The dialect.
pub struct Groq;

impl Dialect for Groq {
    type Settings = NoSettings;
    const SUMMARY: &'static str = "Groq and Cerebras";

    fn new(_: NoSettings) -> Result<Self, Fault> {
        Ok(Groq)
    }

    fn recognises(&self) -> Vec<String> {
        ["api.groq.com", "api.cerebras.ai"].map(String::from).into()
    }

    fn facts(&self, model: &str) -> Facts {
        let mut facts = Facts::default();
        facts.limits.token_field = TokenField::MaxCompletionTokens;
        facts.tools.refused_keywords = vec!["$schema".to_owned()];
        if !(model.contains("llama-4") || model.contains("vision")) {
            facts.messages.images = Images::None;
        }
        facts.thinking.fields = vec!["reasoning".to_owned(), "reasoning_content".to_owned()];
        if model.contains("gpt-oss") {
            facts.thinking.by_default = true;
            facts.thinking.efforts = ["low", "medium", "high"].map(Effort::reasoning).into();
        }
        facts
    }
}

worker_plugin::dialect!(Groq);
