//! Dialect `deepseek`: DeepSeek's own API.
//!
//! A thinking model wants its reasoning back with each assistant message that has tool calls, and refuses a forced tool choice.

use worker_plugin::{
    Dialect, Effort, Facts, Fault, Images, NoSettings, ReasoningTurns, StructuredOutput,
};

/// The dialect.
pub struct DeepSeek;

impl Dialect for DeepSeek {
    type Settings = NoSettings;
    const SUMMARY: &'static str = "DeepSeek's own API";

    fn new(_: NoSettings) -> Result<Self, Fault> {
        Ok(DeepSeek)
    }

    fn recognises(&self) -> Vec<String> {
        ["api.deepseek.com"].map(String::from).into()
    }

    fn facts(&self, model: &str) -> Facts {
        let mut facts = Facts::default();
        facts.limits.max_output = match model {
            "deepseek-chat" => Some(8_192),
            "deepseek-reasoner" => Some(65_536),
            _ => None,
        };
        facts.messages.images = Images::None;
        facts.tools.forced_while_thinking = false;
        facts.tools.parallel_field = false;
        facts.sampling.stop_limit = 16;
        facts.structured_output = StructuredOutput::JsonObject;
        let thinking = &mut facts.thinking;
        thinking.by_default = model != "deepseek-chat";
        thinking.history_field = Some("reasoning_content".to_owned());
        thinking.history_turns = ReasoningTurns::ToolCalls;
        // Without it: 400 "The `reasoning_content` in the thinking mode must be passed back to the API".
        thinking.history_required = true;
        if !matches!(model, "deepseek-chat" | "deepseek-reasoner") {
            thinking.on = Some(r#"{"thinking":{"type":"enabled"}}"#.to_owned());
            thinking.off = Some(r#"{"thinking":{"type":"disabled"}}"#.to_owned());
            thinking.efforts = ["high", "max"].map(Effort::reasoning).into();
        }
        facts
    }
}

worker_plugin::dialect!(DeepSeek);
