//! Calls of a dialect.

use super::bindings::dialect::DialectPlugin;
use super::bindings::dialect::exports::mcp_codex_worker::dialect::dialect as wire;
use crate::convert::alike;
use crate::instance::Instance;
use crate::{Limits, PluginError};
use gateway::wire as dialects;

impl Instance<DialectPlugin> {
    pub(crate) fn recognizes(&mut self) -> Result<Vec<String>, PluginError> {
        self.ask("recognizes", Limits::START, |bindings, store| {
            bindings
                .mcp_codex_worker_dialect_dialect()
                .call_recognizes(store)
        })
    }

    pub(crate) fn facts(&mut self, model: &str) -> Result<String, PluginError> {
        self.ask("facts", Limits::START, |bindings, store| {
            bindings
                .mcp_codex_worker_dialect_dialect()
                .call_facts(store, model)
        })
    }

    pub(crate) fn request(
        &mut self,
        body: &[u8],
        model: &str,
    ) -> Result<dialects::Outbound, PluginError> {
        let outbound = self.ask("request", Limits::WHOLE_BODY, |bindings, store| {
            bindings
                .mcp_codex_worker_dialect_dialect()
                .call_request(store, body, model)
        })?;
        Ok(outbound.into())
    }

    pub(crate) fn response(
        &mut self,
        reply: &dialects::Reply<'_>,
        model: &str,
    ) -> Result<Vec<u8>, PluginError> {
        let reply = wire::Reply::from(reply);
        self.ask("response", Limits::WHOLE_BODY, |bindings, store| {
            bindings
                .mcp_codex_worker_dialect_dialect()
                .call_response(store, &reply, model)
        })
    }

    pub(crate) fn classify(
        &mut self,
        reply: &dialects::Reply<'_>,
    ) -> Result<dialects::Verdict, PluginError> {
        let reply = wire::Reply::from(reply);
        let limit = self.loaded.limits.call(reply.body.len());
        let verdict = self.ask("classify", limit, |bindings, store| {
            bindings
                .mcp_codex_worker_dialect_dialect()
                .call_classify(store, &reply)
        })?;
        Ok(verdict.into())
    }

    pub(crate) fn begin_stream(&mut self, model: &str) -> Result<(), PluginError> {
        self.ask("begin-stream", Limits::START, |bindings, store| {
            bindings
                .mcp_codex_worker_dialect_dialect()
                .call_begin_stream(store, model)
        })
    }

    pub(crate) fn push(&mut self, events: &[dialects::Sse]) -> Result<Vec<String>, PluginError> {
        let events = events
            .iter()
            .map(|event| wire::Sse {
                event: event.event.clone(),
                data: event.data.clone(),
            })
            .collect::<Vec<_>>();
        let limit = self.loaded.limits.call(0);
        self.ask("push", limit, |bindings, store| {
            bindings
                .mcp_codex_worker_dialect_dialect()
                .call_push(store, &events)
        })
    }

    pub(crate) fn finish(&mut self, complete: bool) -> Result<Vec<String>, PluginError> {
        let limit = self.loaded.limits.call(0);
        self.ask("finish", limit, |bindings, store| {
            bindings
                .mcp_codex_worker_dialect_dialect()
                .call_finish(store, complete)
        })
    }
}

fn pairs(headers: Vec<wire::Header>) -> Vec<(String, String)> {
    headers
        .into_iter()
        .map(|header| (header.name, header.value))
        .collect()
}

impl From<&dialects::Reply<'_>> for wire::Reply {
    fn from(reply: &dialects::Reply<'_>) -> Self {
        wire::Reply {
            status: reply.status,
            headers: reply
                .headers
                .iter()
                .map(|(name, value)| wire::Header {
                    name: name.clone(),
                    value: value.clone(),
                })
                .collect(),
            body: reply.body.to_vec(),
        }
    }
}

/// A word of a later version says nothing here: the host goes by the status.
impl From<wire::Failure> for dialects::Failure {
    fn from(failure: wire::Failure) -> Self {
        match failure {
            wire::Failure::RateLimited => Self::RateLimited,
            wire::Failure::Overloaded => Self::Overloaded,
            wire::Failure::ServerError => Self::ServerError,
            wire::Failure::Timeout => Self::Timeout,
            wire::Failure::ContextTooLong => Self::ContextTooLong,
            wire::Failure::RequestTooLarge => Self::RequestTooLarge,
            wire::Failure::InvalidRequest => Self::InvalidRequest,
            wire::Failure::RefusedContent => Self::RefusedContent,
            wire::Failure::Unauthorized => Self::Unauthorized,
            wire::Failure::Forbidden => Self::Forbidden,
            wire::Failure::OutOfCredit => Self::OutOfCredit,
            wire::Failure::NotFound => Self::NotFound,
            wire::Failure::Other(_) => Self::Unknown,
        }
    }
}

alike!(struct wire::Verdict => dialects::Verdict { failure, retry, retry_after_ms, tokens, token_limit, message });
alike!(struct wire::Outbound => dialects::Outbound { path, headers: pairs, body });
