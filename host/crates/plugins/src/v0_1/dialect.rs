//! Calls of a dialect, and its facts.

use wasmtime::component::ResourceAny;

use super::bindings::dialect::DialectPlugin;
use super::bindings::dialect::exports::worker::plugin::dialect as wire;
use super::bindings::types;
use crate::convert::{alike, each};
use crate::instance::Instance;
use crate::{Limits, PluginError};
use gateway::facts;
use gateway::wire as dialects;

impl Instance<DialectPlugin> {
    pub(crate) fn recognises(&mut self) -> Result<Vec<String>, PluginError> {
        self.call("recognises", Limits::START, |bindings, store| {
            bindings.worker_plugin_dialect().call_recognises(store)
        })
    }

    pub(crate) fn declare(&mut self, model: &str) -> Result<facts::Facts, PluginError> {
        let facts = self.call("declare", Limits::START, |bindings, store| {
            bindings.worker_plugin_dialect().call_declare(store, model)
        })?;
        Ok(facts.into())
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

alike!(enum wire::Auth => facts::Auth { Bearer, Header(name), Query(name), None });
alike!(struct wire::Endpoint => facts::Endpoint { path, query: pairs, auth, headers: pairs, max_body });
alike!(enum wire::TokenField => facts::TokenField { MaxTokens, MaxCompletionTokens });
alike!(struct wire::Limits => facts::Limits { token_field, max_output, context });
alike!(enum wire::SystemRole => facts::SystemRole { System, Developer, User });
alike!(enum wire::EmptyContent => facts::EmptyContent { Null, EmptyString, Omitted });
alike!(enum wire::Images => facts::Images { None, User, UserAndTool });
alike!(struct wire::Messages => facts::Messages {
    system_role, content_parts, empty_content, merge_same_role, user_after_tool, images, max_images, documents,
    cache_control, user,
});
alike!(enum wire::ToolChoice => facts::ToolChoice { Full, NoNamed, AutoOnly, None });
alike!(enum wire::ToolId => facts::ToolId { Any, AtMost(most), Alphanumeric(length) });
alike!(struct wire::Tools => facts::Tools {
    supported, choice, required_word, forced_while_thinking, parallel_field, id, name_limit, refused_keywords,
    accepted_formats, references, returned_fields, missing_field_body,
});
alike!(enum wire::Sampling => facts::Sampling { Pass, Drop, AtMost(most), Fixed(value) });
alike!(struct wire::SamplingRules => facts::SamplingRules { temperature, top_p, top_k, stop_limit });
alike!(enum wire::ReasoningTurns => facts::ReasoningTurns { Never, ToolCalls, All });
alike!(struct wire::Effort => facts::Effort { level, body });
alike!(struct wire::Thinking => facts::Thinking {
    fields, history_field, history_turns, history_required, returned_fields, inline_tag, on, off, efforts: each,
    by_default,
});
alike!(struct wire::Streaming => facts::Streaming { supported, usage_option, idle_seconds });
alike!(struct wire::UsageFields => facts::UsageFields { cached, cache_written, reasoning, cost });
alike!(enum wire::StructuredOutput => facts::StructuredOutput { None, JsonObject, JsonSchema });
alike!(struct wire::Facts => facts::Facts {
    endpoint, limits, messages, tools, sampling, thinking, streaming, usage, structured_output, extra_body,
    canonical_request, canonical_response, canonical_stream, canonical_errors,
});
