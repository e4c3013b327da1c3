//! Which form of chat completions a gateway speaks: the facts that its dialect declares, and the calls into the component
//! where facts are not enough.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::error::{ApiError, Hopeless, Kind, overflow_message, passed_on, retry_after};
use crate::plugins::dialect::{Failure, Outbound, Reply, Sse, Verdict};
use crate::plugins::facts::Facts;
use crate::plugins::{DialectPlugin, PluginError, PluginSet, Stage, Translation};

/// The dialect of one gateway.
#[derive(Clone)]
pub enum Dialect {
    /// A component.
    Plugin(Arc<DialectPlugin>),
    /// Plain chat completions without any component, for doubles that speak just that.
    Plain,
}

impl Dialect {
    /// The dialect that the operator names, else the one that recognises the gateway's URL, else `openai`; and why it was
    /// chosen, in words for the log.
    ///
    /// # Errors
    ///
    /// When the named dialect is not there (the error names those that are), or the chosen one cannot be loaded.
    pub fn choose(
        set: &PluginSet,
        named: Option<&str>,
        base_url: &str,
    ) -> Result<(Self, String), PluginError> {
        if let Some(name) = named {
            return Ok((
                Self::Plugin(set.dialect(name)?),
                "WORKER_DIALECT names it".to_owned(),
            ));
        }
        let (dialect, pattern) = set.dialect_for(base_url)?;
        let why = match pattern {
            Some(pattern) => format!("the gateway's URL matches {pattern}"),
            None => "no dialect recognises the gateway's URL".to_owned(),
        };
        Ok((Self::Plugin(dialect), why))
    }

    /// Its name, as in WORKER_DIALECT.
    pub fn name(&self) -> &str {
        match self {
            Self::Plugin(plugin) => plugin.name(),
            Self::Plain => "plain",
        }
    }

    /// What is true of a model.
    pub(crate) fn facts(&self, model: &str) -> Result<Arc<Facts>, ApiError> {
        match self {
            Self::Plugin(plugin) => plugin.facts(model).map_err(|error| broken(&error)),
            Self::Plain => Ok(Arc::new(Facts::default())),
        }
    }

    /// A request in the gateway's own form, where it is not canonical.
    pub(crate) fn request(
        &self,
        facts: &Facts,
        body: Vec<u8>,
        model: &str,
    ) -> Result<Outbound, ApiError> {
        match self {
            Self::Plugin(plugin) if !facts.canonical_request => plugin
                .request(&body, model)
                .map_err(|error| match error.stage {
                    // The plugin's own word on this request; everything else is its breakdown.
                    Stage::Fault => ApiError::invalid(error.to_string()),
                    Stage::Input => ApiError::new(413, Kind::TooLarge, error.to_string()),
                    _ => broken(&error),
                }),
            _ => Ok(Outbound {
                path: None,
                headers: Vec::new(),
                body,
            }),
        }
    }

    /// A whole reply, made canonical.
    pub(crate) fn response(
        &self,
        facts: &Facts,
        headers: &HeaderMap,
        body: Vec<u8>,
        model: &str,
    ) -> Result<Vec<u8>, ApiError> {
        match self {
            Self::Plugin(plugin) if !facts.canonical_response => {
                let headers = plain(headers);
                let reply = Reply {
                    status: 200,
                    headers: &headers,
                    body: &body,
                };
                plugin
                    .response(reply, model)
                    .map_err(|error| broken(&error))
            }
            _ => Ok(body),
        }
    }

    /// A translation of one stream, where it is not canonical.
    pub(crate) fn stream(
        &self,
        facts: &Facts,
        model: &str,
    ) -> Result<Option<DialectStream>, ApiError> {
        match self {
            Self::Plugin(plugin) if !facts.canonical_stream => {
                let translation = plugin.translation(model).map_err(|error| broken(&error))?;
                Ok(Some(DialectStream {
                    translation,
                    events: Vec::new(),
                }))
            }
            _ => Ok(None),
        }
    }

    /// What an error reply means; `status` is absent for an error under status 200, in a stream or as a whole reply.
    pub(crate) fn classify(
        &self,
        facts: &Facts,
        status: Option<u16>,
        headers: &HeaderMap,
        body: &[u8],
    ) -> ApiError {
        let usual = match status {
            Some(status) => ApiError::of_reply(status, headers, body),
            None => ApiError::of_body(body),
        };
        let Self::Plugin(plugin) = self else {
            return usual;
        };
        if facts.canonical_errors {
            return usual;
        }
        let names = plain(headers);
        match plugin.classify(Reply {
            status: status.unwrap_or(200),
            headers: &names,
            body,
        }) {
            Ok(verdict) => of_verdict(verdict, status, headers, usual),
            Err(error) => {
                tracing::warn!("{error}");
                usual
            }
        }
    }
}

impl fmt::Debug for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Dialect").field(&self.name()).finish()
    }
}

/// One stream on its way through a component: the events of one network read go in together.
pub(crate) struct DialectStream {
    translation: Translation,
    events: Vec<Sse>,
}

impl DialectStream {
    pub(crate) fn collect(&mut self, name: &[u8], data: &[u8]) {
        let event = (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned());
        self.events.push(Sse {
            event,
            data: String::from_utf8_lossy(data).into_owned(),
        });
    }

    /// Translates what was collected.
    pub(crate) fn push(&mut self) -> Result<Vec<String>, ApiError> {
        if self.events.is_empty() {
            return Ok(Vec::new());
        }
        let events = std::mem::take(&mut self.events);
        self.translation
            .push(&events)
            .map_err(|error| broken(&error))
    }

    /// The stream ended.
    pub(crate) fn finish(&mut self, complete: bool) -> Result<Vec<String>, ApiError> {
        let mut chunks = self.push()?;
        chunks.extend(
            self.translation
                .finish(complete)
                .map_err(|error| broken(&error))?,
        );
        Ok(chunks)
    }
}

impl fmt::Debug for DialectStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DialectStream")
            .field("events", &self.events.len())
            .finish_non_exhaustive()
    }
}

/// A component that failed: the same would happen again, so the caller is asked not to try.
fn broken(error: &PluginError) -> ApiError {
    ApiError {
        headers: vec![(
            HeaderName::from_static("x-should-retry"),
            HeaderValue::from_static("false"),
        )],
        ..ApiError::new(500, Kind::Api, error.to_string())
    }
}

fn plain(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .filter_map(|(name, value)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        })
        .collect()
}

fn of_verdict(
    verdict: Verdict,
    status: Option<u16>,
    headers: &HeaderMap,
    usual: ApiError,
) -> ApiError {
    let (kind, its_status, hopeless) = match verdict.failure {
        Failure::RateLimited => (Kind::RateLimit, 429, None),
        Failure::Overloaded => (Kind::Overloaded, 503, None),
        Failure::ServerError => (Kind::Api, 500, None),
        Failure::Timeout => (Kind::Timeout, 504, None),
        Failure::ContextTooLong | Failure::InvalidRequest | Failure::RefusedContent => {
            (Kind::InvalidRequest, 400, None)
        }
        Failure::RequestTooLarge => (Kind::TooLarge, 413, None),
        Failure::Unauthorized => (Kind::Authentication, 401, Some(Hopeless::Auth)),
        Failure::Forbidden => (Kind::Permission, 403, Some(Hopeless::Auth)),
        Failure::OutOfCredit => (Kind::Billing, 402, Some(Hopeless::Credit)),
        Failure::NotFound => (Kind::NotFound, 404, None),
        Failure::Unknown => return usual,
    };
    let message = match verdict.failure {
        Failure::ContextTooLong => {
            overflow_message(&verdict.message, verdict.tokens.zip(verdict.token_limit))
        }
        _ => verdict.message,
    };
    ApiError {
        retry: verdict.retry,
        retry_after: retry_after(headers, std::time::SystemTime::now())
            .or(verdict.retry_after_ms.map(std::time::Duration::from_millis)),
        headers: passed_on(headers),
        hopeless,
        upstream_status: status,
        ..ApiError::new(its_status, kind, message)
    }
}
