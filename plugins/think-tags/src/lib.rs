//! Dialect `think-tags`: models that think aloud between <think> and </think>.
//!
//! Plain servers of Qwen3, MiniMax and the R1 distillates. WORKER_DIALECT names this one.

use worker_plugin::{Dialect, Facts, Fault, Images, NoSettings};

/// The dialect.
pub struct ThinkTags;

impl Dialect for ThinkTags {
    type Settings = NoSettings;
    const SUMMARY: &'static str = "models that think aloud between <think> and </think>";

    fn new(_: NoSettings) -> Result<Self, Fault> {
        Ok(ThinkTags)
    }

    fn recognises(&self) -> Vec<String> {
        ["api.minimax.io", "api.minimaxi.com"]
            .map(String::from)
            .into()
    }

    fn facts(&self, _model: &str) -> Facts {
        let mut facts = Facts::default();
        facts.thinking.inline_tag = Some("think".to_owned());
        facts.thinking.by_default = true;
        facts.messages.images = Images::None;
        facts
    }
}

worker_plugin::dialect!(ThinkTags);
