//! Calls of a dialect.

use wasmtime::component::ResourceAny;

use super::bindings::dialect::DialectPlugin;
use super::bindings::dialect::exports::worker::plugin::dialect as wire;
use super::bindings::types;
use crate::convert::alike;
use crate::instance::Instance;
use crate::{Limits, PluginError};
use gateway::wire as dialects;

impl Instance<DialectPlugin> {
    pub(crate) fn recognizes(&mut self) -> Result<Vec<String>, PluginError> {
        self.call("recognizes", Limits::START, |bindings, store| {
            bindings.worker_plugin_dialect().call_recognizes(store)
        })
    }

    pub(crate) fn facts(&mut self, model: &str) -> Result<String, PluginError> {
        self.ask("facts", Limits::START, |bindings, store| {
            bindings.worker_plugin_dialect().call_facts(store, model)
        })
    }

    pub(crate) fn request(
        &mut self,
        body: &[u8],
        model: &str,
    ) -> Result<dialects::Outbound, PluginError> {
        let outbound = self.ask("request", Limits::WHOLE_BODY, |bindings, store| {
            bindings
                .worker_plugin_dialect()
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
                .worker_plugin_dialect()
                .call_response(store, &reply, model)
        })
    }

    pub(crate) fn classify(
        &mut self,
        reply: &dialects::Reply<'_>,
    ) -> Result<dialects::Verdict, PluginError> {
        let reply = wire::Reply::from(reply);
        let limit = self.loaded.limits.call(reply.body.len());
        let verdict = self.call("classify", limit, |bindings, store| {
            bindings
                .worker_plugin_dialect()
                .call_classify(store, &reply)
        })?;
        Ok(verdict.into())
    }

    pub(crate) fn translation(&mut self, model: &str) -> Result<ResourceAny, PluginError> {
        self.call("translation", Limits::START, |bindings, store| {
            bindings
                .worker_plugin_dialect()
                .translation()
                .call_constructor(store, model)
        })
    }

    pub(crate) fn push(
        &mut self,
        translation: ResourceAny,
        events: &[dialects::Sse],
    ) -> Result<Vec<String>, PluginError> {
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
                .worker_plugin_dialect()
                .translation()
                .call_push(store, translation, &events)
        })
    }

    pub(crate) fn finish(
        &mut self,
        translation: ResourceAny,
        complete: bool,
    ) -> Result<Vec<String>, PluginError> {
        let limit = self.loaded.limits.call(0);
        self.ask("finish", limit, |bindings, store| {
            bindings
                .worker_plugin_dialect()
                .translation()
                .call_finish(store, translation, complete)
        })
    }
}

fn pairs(headers: Vec<types::Header>) -> Vec<(String, String)> {
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
                .map(|(name, value)| types::Header {
                    name: name.clone(),
                    value: value.clone(),
                })
                .collect(),
            body: reply.body.to_vec(),
        }
    }
}

alike!(enum wire::Failure => dialects::Failure {
    RateLimited, Overloaded, ServerError, Timeout, ContextTooLong, RequestTooLarge, InvalidRequest, RefusedContent,
    Unauthorized, Forbidden, OutOfCredit, NotFound, Unknown,
});
alike!(struct wire::Verdict => dialects::Verdict { failure, retry, retry_after_ms, tokens, token_limit, message });
alike!(struct wire::Outbound => dialects::Outbound { path, headers: pairs, body });
