//! Dialect `ollama`: an Ollama server.
//!
//! Its default context of 4,096 tokens cuts a coding session without a word: set OLLAMA_CONTEXT_LENGTH there.

use worker_plugin::{Dialect, EmptyContent, Facts, Fault, NoSettings, ToolChoice};

/// The dialect.
pub struct Ollama;

impl Dialect for Ollama {
    type Settings = NoSettings;
    const SUMMARY: &'static str = "an Ollama server";

    fn new(_: NoSettings) -> Result<Self, Fault> {
        Ok(Ollama)
    }

    fn recognises(&self) -> Vec<String> {
        ["localhost:11434", "127.0.0.1:11434"]
            .map(String::from)
            .into()
    }

    fn facts(&self, _model: &str) -> Facts {
        let mut facts = Facts::default();
        facts.messages.empty_content = EmptyContent::EmptyString;
        facts.tools.choice = ToolChoice::None;
        facts.tools.parallel_field = false;
        facts
    }
}

worker_plugin::dialect!(Ollama);
