//! The form of chat completions that a gateway speaks: the facts that its dialect declares, and the calls into the dialect
//! where facts are not enough.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::error::{ApiError, Hopeless, Kind, passed_on, retry_after};
use crate::facts::{Facts, Layer, Layers, ModelFacts, Origin};
use crate::overflow::Counts;
use crate::wire::{Failure, Outbound, Reply, Sse, Verdict};

/// Models whose facts are kept.
const MODELS: usize = 64;

/// One gateway's form of chat completions. What its facts declare canonical is never asked of it.
pub trait Dialect: Send + Sync {
    /// The name, as in WORKER_DIALECT.
    fn name(&self) -> &str;

    /// Returns true if a base URL is the gateway's own, and not that of a proxy in front of it.
    fn recognizes(&self, base_url: &str) -> bool;

    /// Everything that is stated about a model on this gateway.
    ///
    /// # Errors
    /// When the dialect fails to say.
    fn layers(&self, model: &str) -> Result<Layers, DialectError>;

    /// A canonical request, facts applied, in the gateway's own form.
    ///
    /// # Errors
    /// When the dialect refuses or fails.
    fn request(&self, body: &[u8], model: &str) -> Result<Outbound, DialectError>;

    /// A whole reply, made canonical.
    ///
    /// # Errors
    /// When the dialect refuses or fails.
    fn response(&self, reply: Reply<'_>, model: &str) -> Result<Vec<u8>, DialectError>;

    /// Begins one streamed reply.
    ///
    /// # Errors
    /// When the dialect fails to start.
    fn translation(&self, model: &str) -> Result<Box<dyn Translation>, DialectError>;

    /// Returns the meaning of an error reply.
    ///
    /// # Errors
    /// When the dialect fails; the adapter then judges by the status.
    fn classify(&self, reply: Reply<'_>) -> Result<Verdict, DialectError>;
}

/// One streamed reply on its way to the canonical form.
pub trait Translation: Send {
    /// The events of one network read; answers canonical chunks.
    ///
    /// # Errors
    /// When the dialect refuses or fails; the stream then ends with an error.
    fn push(&mut self, events: &[Sse]) -> Result<Vec<String>, DialectError>;

    /// The upstream ended; `complete` is false when it broke off.
    ///
    /// # Errors
    /// As [`Translation::push`].
    fn finish(&mut self, complete: bool) -> Result<Vec<String>, DialectError>;
}

/// The reason why a dialect failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialectError {
    /// The dialect's own word on this request.
    #[error("{0}")]
    Refused(String),
    /// More bytes than a dialect is given.
    #[error("{0}")]
    TooLarge(String),
    /// It is not there, cannot be loaded, or broke down.
    #[error("{0}")]
    Broken(String),
}

/// Plain chat completions, for doubles that speak just that and for a gateway that is only relayed to.
struct Plain;

impl Dialect for Plain {
    fn name(&self) -> &str {
        "plain"
    }

    fn recognizes(&self, _base_url: &str) -> bool {
        false
    }

    fn layers(&self, _model: &str) -> Result<Layers, DialectError> {
        Ok(Layers::of(Layer::empty(Origin::Default)))
    }

    fn request(&self, body: &[u8], _model: &str) -> Result<Outbound, DialectError> {
        Ok(canonical(body.to_vec()))
    }

    fn response(&self, reply: Reply<'_>, _model: &str) -> Result<Vec<u8>, DialectError> {
        Ok(reply.body.to_vec())
    }

    fn translation(&self, _model: &str) -> Result<Box<dyn Translation>, DialectError> {
        Err(DialectError::Broken(
            "plain chat completions need no translation".to_owned(),
        ))
    }

    fn classify(&self, _reply: Reply<'_>) -> Result<Verdict, DialectError> {
        Err(DialectError::Broken(
            "plain chat completions have errors of the usual shapes".to_owned(),
        ))
    }
}

/// A dialect with further facts, for a question of what a gateway takes. They hold as a lesson does:
/// what the gateway's refusals teach is over them.
struct Assuming {
    dialect: Arc<dyn Dialect>,
    facts: Vec<Layer>,
}

impl Dialect for Assuming {
    fn name(&self) -> &str {
        self.dialect.name()
    }

    fn recognizes(&self, base_url: &str) -> bool {
        self.dialect.recognizes(base_url)
    }

    fn layers(&self, model: &str) -> Result<Layers, DialectError> {
        let mut layers = self.dialect.layers(model)?;
        layers.lessons.extend(self.facts.iter().cloned());
        Ok(layers)
    }

    fn request(&self, body: &[u8], model: &str) -> Result<Outbound, DialectError> {
        self.dialect.request(body, model)
    }

    fn response(&self, reply: Reply<'_>, model: &str) -> Result<Vec<u8>, DialectError> {
        self.dialect.response(reply, model)
    }

    fn translation(&self, model: &str) -> Result<Box<dyn Translation>, DialectError> {
        self.dialect.translation(model)
    }

    fn classify(&self, reply: Reply<'_>) -> Result<Verdict, DialectError> {
        self.dialect.classify(reply)
    }
}

/// A request that is the gateway's own form already.
fn canonical(body: Vec<u8>) -> Outbound {
    Outbound {
        path: None,
        headers: Vec::new(),
        body,
    }
}

/// The dialect of one gateway, in use: asked only for what its facts do not declare canonical.
#[derive(Clone)]
pub struct ActiveDialect {
    dialect: Arc<dyn Dialect>,
    /// Facts of the models that were asked for.
    facts: Arc<Mutex<HashMap<String, Arc<ModelFacts>>>>,
}

impl ActiveDialect {
    /// A dialect, put to use.
    pub fn new(dialect: Arc<dyn Dialect>) -> Self {
        Self {
            dialect,
            facts: Arc::default(),
        }
    }

    /// The same dialect with further facts over its own: lessons of another adapter, or what a
    /// question assumes.
    #[must_use]
    pub fn assuming(&self, facts: Vec<Layer>) -> Self {
        Self::new(Arc::new(Assuming {
            dialect: Arc::clone(&self.dialect),
            facts,
        }))
    }

    /// Plain chat completions without any component.
    pub fn plain() -> Self {
        Self::new(Arc::new(Plain))
    }

    /// The name, as in WORKER_DIALECT.
    pub fn name(&self) -> &str {
        self.dialect.name()
    }

    /// Returns true if a base URL is the gateway's own.
    pub(crate) fn recognizes(&self, base_url: &str) -> bool {
        self.dialect.recognizes(base_url)
    }

    /// Returns the facts of a model, merged once.
    ///
    /// # Errors
    /// When the dialect fails to say, or says what cannot be.
    pub fn model_facts(&self, model: &str) -> Result<Arc<ModelFacts>, DialectError> {
        let mut known = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(facts) = known.get(model) {
            return Ok(Arc::clone(facts));
        }
        let merged = self.dialect.layers(model)?.merge(model);
        let facts =
            Arc::new(merged.map_err(|error| {
                DialectError::Broken(format!("dialect {}: {error}", self.name()))
            })?);
        if known.len() >= MODELS {
            known.clear();
        }
        known.insert(model.to_owned(), Arc::clone(&facts));
        Ok(facts)
    }

    /// Everything that is stated about a model.
    pub(crate) fn layers(&self, model: &str) -> Result<Layers, ApiError> {
        self.dialect.layers(model).map_err(broken)
    }

    /// Returns the facts of a model for a request.
    pub(crate) fn facts(&self, model: &str) -> Result<Arc<ModelFacts>, ApiError> {
        self.model_facts(model).map_err(broken)
    }

    /// A request in the gateway's own form.
    pub(crate) fn request(
        &self,
        facts: &Facts,
        body: Vec<u8>,
        model: &str,
    ) -> Result<Outbound, ApiError> {
        if facts.canonical_request {
            return Ok(canonical(body));
        }
        self.dialect
            .request(&body, model)
            .map_err(|error| match error {
                DialectError::Refused(why) => ApiError::invalid(why),
                DialectError::TooLarge(why) => ApiError::new(413, Kind::TooLarge, why),
                DialectError::Broken(_) => broken(error),
            })
    }

    /// A whole reply, made canonical.
    pub(crate) fn response(
        &self,
        facts: &Facts,
        headers: &HeaderMap,
        body: Vec<u8>,
        model: &str,
    ) -> Result<Vec<u8>, ApiError> {
        if facts.canonical_response {
            return Ok(body);
        }
        let headers = plain(headers);
        let reply = Reply {
            status: 200,
            headers: &headers,
            body: &body,
        };
        self.dialect.response(reply, model).map_err(broken)
    }

    /// A translation of one stream, where it is not canonical.
    pub(crate) fn stream(
        &self,
        facts: &Facts,
        model: &str,
    ) -> Result<Option<DialectStream>, ApiError> {
        if facts.canonical_stream {
            return Ok(None);
        }
        Ok(Some(DialectStream {
            translation: self.dialect.translation(model).map_err(broken)?,
            events: Vec::new(),
        }))
    }

    /// Returns the meaning of an error reply; `status` is absent for an error under status 200, in a stream or as a whole reply.
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
        if facts.canonical_errors {
            return usual;
        }
        let names = plain(headers);
        match self.dialect.classify(Reply {
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

impl fmt::Debug for ActiveDialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ActiveDialect").field(&self.name()).finish()
    }
}

/// One stream on its way through a component: the events of one network read go in together.
pub(crate) struct DialectStream {
    translation: Box<dyn Translation>,
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
        self.translation.push(&events).map_err(broken)
    }

    /// The stream ended.
    pub(crate) fn finish(&mut self, complete: bool) -> Result<Vec<String>, ApiError> {
        let mut chunks = self.push()?;
        chunks.extend(self.translation.finish(complete).map_err(broken)?);
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
fn broken(error: DialectError) -> ApiError {
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
    let base = match verdict.failure {
        Failure::ContextTooLong => {
            let counts = verdict.tokens.zip(verdict.token_limit);
            let counts = counts.map_or(Counts::default(), |(tokens, limit)| {
                Counts::known(tokens, limit)
            });
            ApiError::full_context(counts, &verdict.message)
        }
        _ => ApiError::new(its_status, kind, verdict.message),
    };
    ApiError {
        retry: verdict.retry,
        retry_after: retry_after(headers, std::time::SystemTime::now())
            .or(verdict.retry_after_ms.map(std::time::Duration::from_millis)),
        headers: passed_on(headers),
        hopeless,
        upstream_status: status,
        ..base
    }
}
