//! Dialect `openrouter`: OpenRouter.
//!
//! Reasoning comes as `reasoning` and `reasoning_details`; the details return, so that a model can go on thinking.

use worker_plugin::{Dialect, Effort, Facts, Fault, Header, NoSettings};

/// The dialect.
pub struct OpenRouter;

impl Dialect for OpenRouter {
    type Settings = NoSettings;
    const SUMMARY: &'static str = "OpenRouter";

    fn new(_: NoSettings) -> Result<Self, Fault> {
        Ok(OpenRouter)
    }

    fn recognises(&self) -> Vec<String> {
        ["openrouter.ai"].map(String::from).into()
    }

    fn facts(&self, model: &str) -> Facts {
        let mut facts = Facts::default();
        facts.endpoint.path = "/api/v1/chat/completions".to_owned();
        facts.endpoint.headers = vec![Header {
            name: "x-title".to_owned(),
            value: "mcp-codex-worker".to_owned(),
        }];
        // Elsewhere caching is automatic, and the field is refused or ignored.
        facts.messages.cache_control =
            model.starts_with("anthropic/") || model.starts_with("google/");
        facts.messages.documents = true;
        facts.messages.user = true;
        facts.sampling.top_k = true;
        facts.thinking.fields = vec!["reasoning".to_owned(), "reasoning_content".to_owned()];
        facts.thinking.returned_fields = vec!["reasoning_details".to_owned()];
        facts.thinking.on = Some(r#"{"reasoning":{"enabled":true}}"#.to_owned());
        facts.thinking.efforts = ["minimal", "low", "medium", "high"]
            .map(|level| Effort {
                level: level.to_owned(),
                body: format!(r#"{{"reasoning":{{"effort":"{level}"}}}}"#),
            })
            .into();
        // Brings the cost of each request.
        facts.extra_body = Some(r#"{"usage":{"include":true}}"#.to_owned());
        facts.usage.cost = vec!["/cost".to_owned()];
        facts
    }
}

worker_plugin::dialect!(OpenRouter);
