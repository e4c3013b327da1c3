//! Dialect `azure`: OpenAI models on Azure.
//!
//! Without settings it speaks the resource's `/openai/v1`; with `api-version` the older form with a deployment in the path.

use serde::Deserialize;
use worker_plugin::{Auth, Dialect, Facts, Fault, Header};

#[path = "../../openai/src/models.rs"]
mod models;

/// What the operator may set.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// As in `2024-10-21`: use the older form, in which the model's name is a deployment's.
    api_version: Option<String>,
    /// What the deployments run, as in `gpt-5`, where their names do not say.
    family: Option<String>,
}

/// The dialect.
pub struct Azure(Settings);

impl Dialect for Azure {
    type Settings = Settings;
    const SUMMARY: &'static str = "OpenAI models on Azure";
    const SCHEMA: Option<&'static str> = Some(
        r#"{"type":"object","additionalProperties":false,"properties":{"api-version":{"type":"string"},"family":{"type":"string"}}}"#,
    );

    fn new(settings: Settings) -> Result<Self, Fault> {
        Ok(Azure(settings))
    }

    fn recognises(&self) -> Vec<String> {
        [
            "*.openai.azure.com",
            "*.cognitiveservices.azure.com",
            "*.services.ai.azure.com",
        ]
        .map(String::from)
        .into()
    }

    fn facts(&self, model: &str) -> Facts {
        let mut facts = models::facts(self.0.family.as_deref().unwrap_or(model));
        facts.endpoint.auth = Auth::Header("api-key".to_owned());
        facts.messages.user = true;
        match &self.0.api_version {
            None => facts.endpoint.path = "/openai/v1/chat/completions".to_owned(),
            Some(version) => {
                facts.endpoint.path = "/openai/deployments/{model}/chat/completions".to_owned();
                facts.endpoint.query = vec![Header {
                    name: "api-version".to_owned(),
                    value: version.clone(),
                }];
            }
        }
        facts
    }
}

worker_plugin::dialect!(Azure);
