//! One record a request: what it cost and how it went, without a word of what was said.
//!
//! Names are those of OpenTelemetry's semantic conventions for generative AI where they exist.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The record of one request in WORKER_METRICS_FILE and the job store.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// The time at which it came in, RFC 3339 in UTC.
    pub time: String,
    /// The request's id, which the caller got as `request-id`.
    pub id: String,
    /// The job it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The purpose of the request: `job`, `analyze`, `adapter`.
    pub route: String,
    /// `primary` or `fallback`: which gateway answered, or failed last.
    pub gateway: String,
    /// Host of that gateway.
    #[serde(rename = "server.address")]
    pub server_address: String,
    /// Dialect of that gateway.
    pub dialect: String,
    /// Always `chat`.
    #[serde(rename = "gen_ai.operation.name")]
    pub operation: String,
    /// The model that the gateway was asked for.
    #[serde(rename = "gen_ai.request.model")]
    pub request_model: String,
    /// The model that it says it used.
    #[serde(
        rename = "gen_ai.response.model",
        skip_serializing_if = "Option::is_none"
    )]
    pub response_model: Option<String>,
    /// The reason why the answer ended.
    #[serde(
        rename = "gen_ai.response.finish_reasons",
        skip_serializing_if = "Vec::is_empty",
        default
    )]
    pub finish_reasons: Vec<String>,
    /// The whole prompt, cached tokens included.
    #[serde(rename = "gen_ai.usage.input_tokens")]
    pub input_tokens: u64,
    /// The reply, reasoning included.
    #[serde(rename = "gen_ai.usage.output_tokens")]
    pub output_tokens: u64,
    /// Of the prompt: read from a cache.
    #[serde(rename = "gen_ai.usage.cache_read.input_tokens")]
    pub cache_read_tokens: u64,
    /// Of the prompt: written to a cache.
    #[serde(rename = "gen_ai.usage.cache_creation.input_tokens")]
    pub cache_write_tokens: u64,
    /// Of the reply: reasoning.
    #[serde(rename = "gen_ai.usage.reasoning.output_tokens")]
    pub reasoning_tokens: u64,
    /// The place of the model's reasoning: a field of the message, or the name of a tag
    /// within its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_from: Option<String>,
    /// The lessons from refusals on the way to this answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lessons: Vec<String>,
    /// The parts of the request that did not reach the gateway: images, documents, tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
    /// The gateway gave no counts; these are estimates.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
    /// True if the answer was streamed.
    pub stream: bool,
    /// The number of times that the request was sent.
    pub attempts: u32,
    /// Status that the caller got; 499 when it left first.
    #[serde(rename = "http.response.status_code")]
    pub status: u16,
    /// The error's type, when there was one.
    #[serde(rename = "error.type", skip_serializing_if = "Option::is_none")]
    pub error_type: Option<String>,
    /// Milliseconds to the first byte of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_to_first_byte_ms: Option<f64>,
    /// Milliseconds to the end.
    pub duration_ms: f64,
    /// US dollars, by the gateway's word or the operator's prices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
}

/// The receiver of records, besides the adapter's events. Called at the end of each request; must not block for long.
#[derive(Clone)]
pub struct RecordSink(Option<Arc<TakeRecord>>);

type TakeRecord = dyn Fn(&RequestRecord) + Send + Sync;

impl RecordSink {
    /// Hands each record to a function.
    pub fn new(take: impl Fn(&RequestRecord) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(take)))
    }

    /// Keeps nothing.
    pub fn none() -> Self {
        Self(None)
    }

    pub(crate) fn take(&self, record: &RequestRecord) {
        if let Some(take) = &self.0 {
            take(record);
        }
    }
}

impl std::fmt::Debug for RecordSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RecordSink")
            .field(&self.0.is_some())
            .finish()
    }
}

/// Milliseconds with three decimals.
pub(crate) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// A time as RFC 3339 in UTC, to the millisecond.
pub fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time.max(UNIX_EPOCH)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_123, "2000-02-29T00:00:00.123Z"),
            (1_795_334_399_999, "2026-11-22T07:59:59.999Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_millis(millis)), text);
        }
    }
}
