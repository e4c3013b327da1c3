//! Dialect `kimi`: Moonshot's own API, for the Kimi models.
//!
//! A thinking model wants its reasoning back with its tool calls, refuses a forced tool choice, and pins the temperature.

use worker_plugin::{
    Dialect, Facts, Fault, Images, NoSettings, ReasoningTurns, Sampling, StructuredOutput,
    TokenField,
};

/// The dialect.
pub struct Kimi;

impl Dialect for Kimi {
    type Settings = NoSettings;
    const SUMMARY: &'static str = "Moonshot's own API, for the Kimi models";

    fn new(_: NoSettings) -> Result<Self, Fault> {
        Ok(Kimi)
    }

    fn recognises(&self) -> Vec<String> {
        ["api.moonshot.ai", "api.moonshot.cn", "api.kimi.com"]
            .map(String::from)
            .into()
    }

    fn facts(&self, model: &str) -> Facts {
        let mut facts = Facts::default();
        // k2.5 and later think or not as they are told; k2-thinking always does; k2 and the older ones never do.
        let switchable = model.contains("k2.") || model.contains("k3");
        let thinks = switchable || model.contains("thinking");
        facts.tools.parallel_field = false;
        facts.structured_output = StructuredOutput::JsonObject;
        facts.sampling.temperature = Sampling::AtMost(1.0);
        if !(switchable || model.contains("vision") || model.contains("latest")) {
            facts.messages.images = Images::None;
        }
        if thinks {
            facts.limits.token_field = TokenField::MaxCompletionTokens;
            facts.sampling.temperature = Sampling::Drop;
            facts.sampling.top_p = Sampling::Drop;
            facts.tools.forced_while_thinking = false;
            let thinking = &mut facts.thinking;
            thinking.by_default = true;
            thinking.history_field = Some("reasoning_content".to_owned());
            thinking.history_turns = ReasoningTurns::ToolCalls;
            thinking.history_required = true;
            if switchable {
                thinking.on = Some(r#"{"thinking":{"type":"enabled"}}"#.to_owned());
                thinking.off = Some(r#"{"thinking":{"type":"disabled"}}"#.to_owned());
            }
        }
        facts
    }
}

worker_plugin::dialect!(Kimi);
