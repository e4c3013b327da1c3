//! Dialect `glm`: Zhipu's and Z.ai's API, for the GLM models.

use worker_plugin::{
    Dialect, Facts, Fault, Images, NoSettings, ReasoningTurns, StructuredOutput, ToolChoice,
};

/// The dialect.
pub struct Glm;

impl Dialect for Glm {
    type Settings = NoSettings;
    const SUMMARY: &'static str = "Zhipu's and Z.ai's API, for the GLM models";

    fn new(_: NoSettings) -> Result<Self, Fault> {
        Ok(Glm)
    }

    fn recognises(&self) -> Vec<String> {
        ["open.bigmodel.cn", "api.z.ai"].map(String::from).into()
    }

    fn facts(&self, model: &str) -> Facts {
        let mut facts = Facts::default();
        facts.tools.choice = ToolChoice::AutoOnly;
        facts.tools.parallel_field = false;
        facts.sampling.stop_limit = 1;
        facts.structured_output = StructuredOutput::JsonObject;
        // glm-4.5v, glm-4.6v: the models that see.
        if !model
            .split(['-', '.'])
            .any(|part| part.ends_with('v') && part.starts_with(|c: char| c.is_ascii_digit()))
        {
            facts.messages.images = Images::None;
        }
        facts.thinking.by_default = true;
        facts.thinking.on = Some(r#"{"thinking":{"type":"enabled"}}"#.to_owned());
        facts.thinking.off = Some(r#"{"thinking":{"type":"disabled"}}"#.to_owned());
        facts.thinking.history_field = Some("reasoning_content".to_owned());
        facts.thinking.history_turns = ReasoningTurns::ToolCalls;
        // Without it the arguments of a call come in one piece at its end.
        facts.extra_body = Some(r#"{"tool_stream":true}"#.to_owned());
        facts
    }
}

worker_plugin::dialect!(Glm);
