//! One question to the gateway without Claude Code, for `analyze`: the same dialect, retries, fallback and metering.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::anthropic::Request;
use super::dispatch::{Answer, Passage, Work, dispatch};
use super::error::{ApiError, Kind};
use super::ledger::Ledger;
use super::names::fresh_id;
use super::shared::{Reservation, Shared};
use super::{AdapterConfig, BindError, Mode, Usage};

/// A question to a model.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Stable instructions, first, so that prompt caches hold.
    pub system: &'a str,
    /// The text that changes from question to question.
    pub user: &'a str,
    /// The gateway's model; absent: the lite model, else the main one.
    pub model: Option<&'a str>,
    /// Most tokens of the reply.
    pub max_tokens: u32,
}

/// A model's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// The text.
    pub text: String,
    /// True if the reply was cut at `max_tokens`.
    pub cut: bool,
    /// The gateway's model.
    pub model: String,
    /// The cost of the answer.
    pub usage: Usage,
}

/// The reason why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] BindError),
    /// No model is configured.
    #[error("no model is set: give one with the call, or set CLAUDE_MODEL or WORKER_LITE_MODEL")]
    NoModel,
    /// The gateway refused or failed.
    #[error("the gateway answered {status} ({kind}): {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The API's word for it.
        kind: &'static str,
        /// The gateway's words, redacted.
        message: String,
    },
}

/// Asks one question.
///
/// # Errors
///
/// Fails if the configuration cannot work, or no gateway answers.
pub async fn complete(
    config: AdapterConfig,
    question: Question<'_>,
) -> Result<Completion, GatewayError> {
    let mode = config.mode;
    let shared = Shared::new(config)?;
    let models = shared.models();
    let model = question
        .model
        .map(str::to_owned)
        .or(models.lite)
        .or(models.main)
        .ok_or(GatewayError::NoModel)?;
    let body = Bytes::from(
        json!({
            "model": model,
            "max_tokens": question.max_tokens,
            "system": question.system,
            "messages": [{ "role": "user", "content": question.user }],
        })
        .to_string(),
    );
    let refused = |error: ApiError| GatewayError::Refused {
        status: error.status,
        kind: error.kind.word(),
        message: shared.config.redactor.text(&error.message).to_string(),
    };
    let request = Request::parse(&body).map_err(|invalid| refused(ApiError::invalid(invalid.0)))?;
    let headers = http::HeaderMap::from_iter([(
        http::HeaderName::from_static("anthropic-version"),
        http::HeaderValue::from_static("2023-06-01"),
    )]);
    let passage = match mode {
        Mode::Translate => Passage::Translated,
        Mode::Relay => Passage::Relayed {
            query: None,
            headers: &headers,
        },
    };
    let work = Work {
        request: &request,
        body: &body,
        passage,
    };
    let mut ledger = Ledger::open(
        &shared,
        fresh_id("req_"),
        Reservation::default(),
        false,
        (body.len() as u64).div_ceil(4),
    );
    let answer = match dispatch(&shared, &work, &model, &mut ledger).await {
        Ok(Answer::Whole(answer)) => answer,
        Ok(Answer::Stream(..) | Answer::Relay(..)) => {
            return Err(refused(ApiError::new(
                502,
                Kind::Api,
                "The gateway streamed where it was not asked to",
            )));
        }
        Err(error) => {
            ledger.close_failed(&error);
            return Err(refused(error));
        }
    };
    drop(ledger);
    let message: Message = serde_json::from_slice(&answer)
        .map_err(|error| refused(ApiError::bad_gateway(error.to_string())))?;
    let texts: Vec<String> = message
        .content
        .into_iter()
        .filter(|block| block.kind == "text")
        .filter_map(|block| block.text)
        .collect();
    Ok(Completion {
        text: texts.join("\n"),
        cut: message.stop_reason.as_deref() == Some("max_tokens"),
        model,
        usage: shared.usage(),
    })
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Vec<TextBlock>,
    #[serde(default)]
    stop_reason: Option<String>,
}

#[derive(Deserialize)]
struct TextBlock {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
}
