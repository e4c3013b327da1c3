//! Dialect `qwen`: DashScope's compatible mode, for the Qwen models.

use worker_plugin::{Dialect, Facts, Fault, Images, NoSettings, StructuredOutput};

/// The dialect.
pub struct Qwen;

impl Dialect for Qwen {
    type Settings = NoSettings;
    const SUMMARY: &'static str = "DashScope's compatible mode, for the Qwen models";

    fn new(_: NoSettings) -> Result<Self, Fault> {
        Ok(Qwen)
    }

    fn recognises(&self) -> Vec<String> {
        [
            "dashscope.aliyuncs.com",
            "dashscope-intl.aliyuncs.com",
            "dashscope-us.aliyuncs.com",
        ]
        .map(String::from)
        .into()
    }

    fn facts(&self, model: &str) -> Facts {
        let mut facts = Facts::default();
        // The base URL is `https://dashscope.aliyuncs.com/compatible-mode/v1`, often given without its path.
        facts.endpoint.path = "/compatible-mode/v1/chat/completions".to_owned();
        facts.sampling.top_k = true;
        facts.structured_output = StructuredOutput::JsonObject;
        facts.tools.forced_while_thinking = false;
        if !["vl", "omni", "qvq", "qwen3.5", "qwen3.6"]
            .iter()
            .any(|eyes| model.contains(eyes))
        {
            facts.messages.images = Images::None;
        }
        if !(model.contains("coder") || model.contains("instruct") || model.starts_with("qwq")) {
            facts.thinking.on = Some(r#"{"enable_thinking":true}"#.to_owned());
            facts.thinking.off = Some(r#"{"enable_thinking":false}"#.to_owned());
        }
        facts
    }
}

worker_plugin::dialect!(Qwen);
