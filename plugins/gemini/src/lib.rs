//! Dialect `gemini`: Google's compatible mode, for the Gemini models.
//!
//! A call's `extra_content` carries the thought signature, without which later turns are refused.

use worker_plugin::{Dialect, Effort, Facts, Fault, NoSettings};

/// JSON Schema keywords that are answered with `Unknown name "..."`.
const REFUSED: [&str; 19] = [
    "$schema",
    "$id",
    "$comment",
    "$anchor",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "patternProperties",
    "dependentSchemas",
    "dependentRequired",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "const",
    "if",
    "then",
    "else",
    "not",
    "contains",
    "uniqueItems",
];

/// The dialect.
pub struct Gemini;

impl Dialect for Gemini {
    type Settings = NoSettings;
    const SUMMARY: &'static str = "Google's compatible mode, for the Gemini models";

    fn new(_: NoSettings) -> Result<Self, Fault> {
        Ok(Gemini)
    }

    fn recognises(&self) -> Vec<String> {
        ["generativelanguage.googleapis.com"]
            .map(String::from)
            .into()
    }

    fn facts(&self, model: &str) -> Facts {
        let mut facts = Facts::default();
        facts.endpoint.path = "/v1beta/openai/chat/completions".to_owned();
        facts.tools.parallel_field = false;
        facts.tools.refused_keywords = REFUSED.map(String::from).into();
        facts.tools.accepted_formats = Some(["date-time", "enum"].map(String::from).into());
        facts.tools.references = false;
        facts.tools.returned_fields = vec!["extra_content".to_owned()];
        if model.contains("gemini-3") {
            // The value that Google gives for calls of another model, or from before a switch.
            facts.tools.missing_field_body =
                Some(r#"{"extra_content":{"google":{"thought_signature":"skip_thought_signature_validator"}}}"#.to_owned());
        }
        if model.contains("gemini-2.5") || model.contains("gemini-3") {
            facts.thinking.by_default = true;
            facts.thinking.efforts = ["low", "medium", "high"].map(Effort::reasoning).into();
        }
        facts
    }
}

worker_plugin::dialect!(Gemini);
