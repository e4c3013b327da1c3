//! The models that a gateway says it has.

use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;

use super::endpoint::{endpoint_url, messages_url};
use super::error::ApiError;
use super::upstream::Gateway;
use super::{GatewayError, Mode, Upstream};
use crate::facts::Auth;
use redact::Redactor;

/// The longest list that is read, in bytes; the largest aggregators' lists have about one megabyte.
const LIST_MAX: usize = 8 << 20;

/// A model as a gateway's list has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedModel {
    /// The name.
    pub name: String,
    /// Tokens of prompt and reply together, where the list says so.
    pub context: Option<u64>,
    /// The most tokens of one reply, where the list says so.
    pub max_output: Option<u64>,
}

/// The models of a gateway, in its own order: `GET models` beside where it takes completions. `model` stands in for the
/// name where the address hangs on it.
///
/// # Errors
/// The gateway cannot be used, does not answer in `patience`, or answers with anything but a list: many have none.
pub async fn list_models(
    upstream: &Upstream,
    mode: Mode,
    model: &str,
    redactor: &Redactor,
    patience: Duration,
) -> Result<Vec<ListedModel>, GatewayError> {
    let refused = |error: ApiError| GatewayError::Refused {
        status: error.status,
        kind: error.kind.word(),
        message: redactor.text(&error.message).to_string(),
    };
    let gateway = Gateway::new(upstream, None).map_err(super::BindError::Upstream)?;
    let (mut url, auth) = match mode {
        Mode::Translate => {
            let facts = gateway.dialect.facts(model).map_err(refused)?;
            let endpoint = &facts.usual().endpoint;
            let url = endpoint_url(
                &gateway.base,
                &endpoint.path,
                endpoint,
                gateway.at_home,
                model,
            )
            .map_err(refused)?;
            (url, endpoint.auth.clone())
        }
        Mode::Relay => (
            messages_url(&gateway.base, None),
            Auth::Header("x-api-key".to_owned()),
        ),
    };
    let beside = ["/chat/completions", "/messages"]
        .iter()
        .find_map(|end| url.path().strip_suffix(end))
        .unwrap_or_else(|| url.path().trim_end_matches('/'))
        .to_owned();
    url.set_path(&format!("{beside}/models"));
    let mut response = gateway.get(url, &auth, patience).await.map_err(refused)?;
    let status = response.status().as_u16();
    let headers: HeaderMap = response.headers().clone();
    let mut body = Vec::new();
    loop {
        let piece = response.chunk().await;
        let piece = piece
            .map_err(|error| refused(ApiError::connection(&gateway.host, &error.without_url())))?;
        match piece {
            Some(piece) if body.len() + piece.len() <= LIST_MAX => body.extend_from_slice(&piece),
            Some(_) => return Err(refused(ApiError::bad_gateway("The list is too long"))),
            None => break,
        }
    }
    if status != 200 {
        return Err(refused(ApiError::of_reply(status, &headers, &body)));
    }
    models(&body).ok_or_else(|| {
        refused(ApiError::bad_gateway(
            "The gateway's answer is no list of models",
        ))
    })
}

/// Names of a model's context in gateways' lists: vLLM; OpenRouter, Together, Moonshot; Groq; Mistral, LM Studio; Copilot;
/// Google; llama.cpp; Cerebras, SambaNova.
const CONTEXT: [&str; 11] = [
    "max_model_len",
    "context_length",
    "context_window",
    "max_context_length",
    "max_context_window_tokens",
    "inputTokenLimit",
    "input_token_limit",
    "n_ctx",
    "n_ctx_train",
    "max_context_tokens",
    "max_input_tokens",
];
/// Names of the most tokens of a reply.
const MAX_OUTPUT: [&str; 6] = [
    "max_completion_tokens",
    "max_output_tokens",
    "max_output_length",
    "outputTokenLimit",
    "output_token_limit",
    "max_tokens",
];
/// The depth of limits in a list's entry, at most: Copilot's are in `capabilities.limits`.
const DEPTH: u8 = 3;

/// The models in a list of OpenAI's form, or in one of those that others give.
fn models(body: &[u8]) -> Option<Vec<ListedModel>> {
    let list: Value = serde_json::from_slice(body).ok()?;
    let items = [&list["data"], &list["models"], &list]
        .into_iter()
        .find_map(Value::as_array)?;
    let model = |item: &Value| {
        let name = [item, &item["id"], &item["name"]]
            .into_iter()
            .find_map(Value::as_str)?;
        Some(ListedModel {
            name: name.to_owned(),
            context: limit(item, &CONTEXT, DEPTH),
            max_output: limit(item, &MAX_OUTPUT, DEPTH),
        })
    };
    Some(items.iter().filter_map(model).collect())
}

/// The first of these members that is a number of tokens, nearer ones first.
fn limit(item: &Value, names: &[&str], depth: u8) -> Option<u64> {
    let members = item.as_object()?;
    let own = names.iter().find_map(|name| members.get(*name)?.as_u64());
    own.filter(|tokens| *tokens > 0).or_else(|| {
        let deeper = depth.checked_sub(1)?;
        members
            .values()
            .find_map(|inner| limit(inner, names, deeper))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_come_in_several_forms() {
        let rows = [
            (
                r#"{"object":"list","data":[{"id":"a"},{"id":"b"}]}"#,
                Some(2),
            ),
            (r#"{"models":[{"name":"a"},{"name":"b"}]}"#, Some(2)),
            (r#"["a","b"]"#, Some(2)),
            (r#"{"data":[{"no":"name"}]}"#, Some(0)),
            (r#"{"error":"no"}"#, None),
            ("<html>", None),
        ];
        for (body, count) in rows {
            assert_eq!(
                models(body.as_bytes()).map(|models| models.len()),
                count,
                "{body}"
            );
        }
    }

    #[test]
    fn limits_are_read_under_the_names_that_gateways_have_for_them() {
        for (item, context, max_output) in [
            // vLLM.
            (
                json!({"max_model_len": 32_768, "permission": []}),
                Some(32_768),
                None,
            ),
            // OpenRouter: the provider's own limit is nearer to what holds than the model's.
            (
                json!({"context_length": 163_840, "top_provider": {"context_length": 131_072, "max_completion_tokens": 65_536}}),
                Some(163_840),
                Some(65_536),
            ),
            // Groq.
            (
                json!({"context_window": 131_072, "max_completion_tokens": 32_768}),
                Some(131_072),
                Some(32_768),
            ),
            // Copilot.
            (
                json!({"capabilities": {"limits": {"max_context_window_tokens": 128_000, "max_output_tokens": 16_384}}}),
                Some(128_000),
                Some(16_384),
            ),
            // llama.cpp.
            (json!({"meta": {"n_ctx_train": 40_960}}), Some(40_960), None),
            (json!({"context_length": null, "max_tokens": 0}), None, None),
            (json!({"context_length": "131072"}), None, None),
        ] {
            let mut item = item;
            item["id"] = "m".into();
            let body = json!({"data": [item]}).to_string();
            let want = ListedModel {
                name: "m".to_owned(),
                context,
                max_output,
            };
            assert_eq!(models(body.as_bytes()), Some(vec![want]), "{body}");
        }
    }
}
