//! Dialect `vllm`: a vLLM or SGLang server.
//!
//! Such servers have any address, so WORKER_DIALECT names this one. Tools need the server's own tool parser flags.

use worker_plugin::{Dialect, Facts, Fault, NoSettings, ReasoningTurns};

/// The dialect.
pub struct Vllm;

impl Dialect for Vllm {
    type Settings = NoSettings;
    const SUMMARY: &'static str = "a vLLM or SGLang server";

    fn new(_: NoSettings) -> Result<Self, Fault> {
        Ok(Vllm)
    }

    fn recognises(&self) -> Vec<String> {
        Vec::new()
    }

    fn facts(&self, _model: &str) -> Facts {
        let mut facts = Facts::default();
        facts.sampling.top_k = true;
        facts.sampling.stop_limit = 64;
        facts.thinking.fields = vec!["reasoning".to_owned(), "reasoning_content".to_owned()];
        facts.thinking.history_field = Some("reasoning".to_owned());
        facts.thinking.history_turns = ReasoningTurns::ToolCalls;
        // Chat templates differ in the name of their switch, and ignore the other one.
        facts.thinking.on =
            Some(r#"{"chat_template_kwargs":{"enable_thinking":true,"thinking":true}}"#.to_owned());
        facts.thinking.off = Some(
            r#"{"chat_template_kwargs":{"enable_thinking":false,"thinking":false}}"#.to_owned(),
        );
        facts
    }
}

worker_plugin::dialect!(Vllm);
