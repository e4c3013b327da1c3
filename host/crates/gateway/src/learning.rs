//! One request's lessons: what the gateway's refusals of it teach, until it is known which of them helped.

use std::sync::Arc;

use serde_json::{Value, json};

use super::error::ApiError;
use super::ledger::Ledger;
use super::lessons::{self, Lesson, Refusal};
use super::upstream::{Outbound, Route};
use crate::facts::{Facts, ModelFacts};

/// The most lessons that one request is changed by.
const MOST: usize = 8;
/// No model has a smaller context; a smaller number is something else.
const LEAST_CONTEXT: u32 = 1_024;

/// The lessons from refusals of one request.
#[derive(Debug, Default)]
pub(crate) struct Learning {
    lessons: Vec<Taught>,
    facts: Option<Arc<ModelFacts>>,
    /// The refusal after which the request was sent without what earlier requests had taught.
    bare: Option<ApiError>,
    /// The refusal that named the context: with what the caller itself had asked for.
    full: Option<ApiError>,
}

/// A lesson, and the words that taught it.
#[derive(Debug)]
struct Taught {
    lesson: Lesson,
    words: String,
}

impl Learning {
    /// Reads a refusal; returns the facts to try next, if there are any that were not tried.
    pub(crate) fn take(
        &mut self,
        route: &Route,
        facts: &Facts,
        outbound: &Outbound,
        error: &ApiError,
    ) -> Option<Arc<ModelFacts>> {
        if error.full_context.is_some() && self.bare.is_none() {
            return self.fit(route, facts, error);
        }
        if !error.is_refusal() || self.bare.is_some() {
            return None;
        }
        self.learn(route, facts, outbound, error)
            .or_else(|| self.unlearn(route, error))
    }

    fn learn(
        &mut self,
        route: &Route,
        facts: &Facts,
        outbound: &Outbound,
        error: &ApiError,
    ) -> Option<Arc<ModelFacts>> {
        if self.lessons.len() >= MOST {
            return None;
        }
        let sent: Value = serde_json::from_slice(&outbound.body).ok()?;
        let lesson = lessons::read(Refusal {
            message: &error.message,
            param: error.param.as_deref(),
            sent: &sent,
            facts,
        })?;
        let book = &route.gateway.lessons;
        let mut tried = self.lessons.iter();
        if tried.any(|tried| tried.lesson.facts == lesson.facts)
            || book.is_useless(&route.model, &lesson)
        {
            return None;
        }
        self.try_next(route, lesson, error)
    }

    fn try_next(
        &mut self,
        route: &Route,
        lesson: Lesson,
        error: &ApiError,
    ) -> Option<Arc<ModelFacts>> {
        tracing::info!(
            gateway = route.gateway.host,
            "{} was refused, and is tried again: {}",
            route.model,
            lesson.words
        );
        self.lessons.push(Taught {
            lesson,
            words: plain(&error.message),
        });
        let book = &route.gateway.lessons;
        self.facts = book.facts_with(&route.gateway.dialect, &route.model, &self.known());
        self.facts.clone()
    }

    /// A window that is too small for prompt and reply together: from now on the reply that is asked for fits into what
    /// the prompt leaves.
    fn fit(&mut self, route: &Route, facts: &Facts, error: &ApiError) -> Option<Arc<ModelFacts>> {
        let limit = error.full_context.as_ref()?.0.limit?;
        let context = u32::try_from(limit)
            .ok()
            .filter(|limit| *limit >= LEAST_CONTEXT)?;
        let known = facts.limits.context;
        if !error.is_reply_too_long() || known.is_some_and(|known| known <= context) {
            return None;
        }
        self.full = Some(error.clone());
        let facts = json!({ "limits": { "context": context } });
        let lesson = Lesson {
            words: format!("prompt and reply together have at most {context} tokens"),
            facts: facts.as_object().cloned().unwrap_or_default(),
        };
        self.try_next(route, lesson, error)
    }

    /// A refusal that teaches nothing may be the doing of what was learned before: the request is tried once without.
    fn unlearn(&mut self, route: &Route, error: &ApiError) -> Option<Arc<ModelFacts>> {
        let book = &route.gateway.lessons;
        if !self.lessons.is_empty() || book.known(&route.model).is_empty() {
            return None;
        }
        self.bare = Some(error.clone());
        route.gateway.dialect.facts(&route.model).ok()
    }

    fn known(&self) -> Vec<Lesson> {
        let lessons = self.lessons.iter();
        lessons.map(|taught| taught.lesson.clone()).collect()
    }

    /// Keeps what was learned: the gateway has answered.
    pub(crate) fn helped(self, route: &Route, ledger: &mut Ledger) {
        if self.bare.is_some() {
            tracing::info!(
                gateway = route.gateway.host,
                "{} takes a request again that was refused with what it had taught: that is forgotten",
                route.model
            );
            route
                .gateway
                .lessons
                .forget(&route.gateway.dialect, &route.model);
            return;
        }
        self.keep(route, ledger);
    }

    fn keep(self, route: &Route, ledger: &mut Ledger) {
        let lessons = self.known();
        if let (Some(facts), false) = (self.facts, lessons.is_empty()) {
            ledger.learned(lessons.iter().map(|lesson| lesson.words.clone()));
            route.gateway.lessons.keep(&route.model, lessons, facts);
        }
    }

    /// The request has failed all the same. Returns the error that the caller gets.
    ///
    /// A lesson after which the gateway minds something else has helped; one after which it says the same has not, and is
    /// not tried again.
    pub(crate) fn failed(
        mut self,
        route: &Route,
        error: ApiError,
        ledger: &mut Ledger,
    ) -> ApiError {
        if let Some(first) = self.bare {
            return first;
        }
        if error.full_context.is_some() {
            // The request was read as far as its length.
            let first = self.full.take();
            self.keep(route, ledger);
            return first.unwrap_or(error);
        }
        let words = plain(&error.message);
        let book = &route.gateway.lessons;
        if error.is_refusal() {
            let (useless, helped) = self
                .lessons
                .into_iter()
                .partition(|taught| taught.words == words);
            self.lessons = helped;
            let useless: Vec<Taught> = useless;
            for taught in useless {
                book.drop_useless(&route.model, taught.lesson);
            }
        } else {
            // Nobody knows about the last one.
            self.lessons.pop();
        }
        self.facts = book.facts_with(&route.gateway.dialect, &route.model, &self.known());
        self.keep(route, ledger);
        error
    }
}

/// A refusal's words without what differs from one to the next: numbers, and ids of requests.
fn plain(message: &str) -> String {
    let text = message.to_lowercase();
    let end = ["request id", "request_id", "requestid", "trace id", "tid:"]
        .iter()
        .filter_map(|word| text.find(word))
        .min()
        .unwrap_or(text.len());
    let text = text.get(..end).unwrap_or_default();
    let words = text.split_whitespace();
    let words = words.filter(|word| !word.bytes().any(|byte| byte.is_ascii_digit()));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_the_same_but_for_numbers_and_ids() {
        let same = |one: &str, other: &str| plain(one) == plain(other);
        assert!(same(
            "max_tokens: 32000 > 8192 (request id: 2026a)",
            "max_tokens: 9000 > 8192 (request id: 2026b)"
        ));
        assert!(!same("stream_options is unknown", "user is unknown"));
    }
}
