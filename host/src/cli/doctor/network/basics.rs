//! The basics that every agent needs of a gateway: a model, an answer, a tool call and its result, a stream,
//! counts.

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Finding;
use super::asked::{Gateway, PATIENCE, adapter, context_in, in_time, is_unreachable};
use super::depth::Depth;
use super::requests::{self, AGENTS_REPLY, TOOL, VALUE};
use crate::cli::progress::Progress;
use crate::reason::Reason;
use gateway::{
    AdapterConfig, CallError, GatewayError, Lesson, ListedModel, Mode, RecordSink, RequestRecord,
    Said, list_models,
};

/// An agent that waits longer than this for each first word is no pleasure.
const SLOW: Duration = Duration::from_secs(15);

/// An answer that takes less is too short to tell whether it was streamed.
const HELD_BACK: Duration = Duration::from_secs(1);

/// The findings so far.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) findings: Vec<Finding>,
    /// Facts to write down; none where the gateway did not answer as an agent needs it.
    pub(super) facts: Option<Map<String, Value>>,
    /// The URL that requests go to.
    pub(super) url: String,
}

/// The answers that an agent needs.
#[derive(Debug)]
struct Talk {
    whole: Result<Said, CallError>,
    streamed: Result<Said, CallError>,
    /// The turn after the tool call; none where there was no call.
    second: Option<Result<Said, CallError>>,
    /// The request with all that Claude Code sends; none where nothing else was answered.
    agents: Option<Result<Said, CallError>>,
    /// The lessons from the gateway's refusals, now and before.
    lessons: Vec<Lesson>,
}

impl Gateway {
    pub(super) async fn probe(&self, mut config: AdapterConfig, progress: &mut Progress) -> Found {
        let mut found = Found::default();
        let records: Arc<Mutex<Vec<RequestRecord>>> = Arc::default();
        let kept = Arc::clone(&records);
        config.records = RecordSink::new(move |record| {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push(record.clone());
        });
        // What is wrong should show, and at once.
        config.retries = 0;
        config.idle_timeout = PATIENCE;
        config.models.main = Some(self.model.clone());
        config.models.lite = None;
        if let Ok(known) = config.explain(&self.model) {
            found.url = known.url;
        }
        self.tell(progress, "models");
        let listed = list_models(
            &config.primary,
            config.mode,
            &self.model,
            &config.redactor,
            PATIENCE,
        )
        .await;
        let unreachable = matches!(&listed, Err(GatewayError::Refused { message, .. }) if is_unreachable(message));
        let own = listed.as_ref().ok().and_then(|models| {
            let mut own = models.iter();
            own.find(|listed| listed.name == self.model).cloned()
        });
        found.findings.push(self.models(listed));
        if unreachable {
            return found;
        }
        let talk = match self.talk(&config, progress).await {
            Ok(talk) => talk,
            Err(reason) => {
                found.findings.push(Finding::fail(
                    self.what("adapter"),
                    reason.0,
                    "free some memory or descriptors",
                ));
                return found;
            }
        };
        found.findings.extend(self.judged(&talk));
        if let (Some(Ok(agents)), Mode::Translate) = (&talk.agents, config.mode) {
            let reasoning_from = {
                let records = records.lock().unwrap_or_else(PoisonError::into_inner);
                let mut latest = records.iter().rev();
                latest.find_map(|record| record.reasoning_from.clone())
            };
            match Depth::new(self, &config, &talk.lessons, own) {
                Ok(depth) => {
                    let deep = depth.ask(agents, reasoning_from, progress).await;
                    found.findings.extend(deep.findings);
                    found.facts = Some(deep.facts);
                }
                Err(reason) => found.findings.push(Finding::fail(
                    self.what("facts"),
                    reason.0,
                    "correct the settings of the gateway's dialect",
                )),
            }
        }
        let records = records.lock().unwrap_or_else(PoisonError::into_inner);
        found.findings.extend(self.spent(&records));
        found
    }

    /// Tries an agent's turns: an answer, a streamed one with a tool, the tool's result, and all of it in Claude
    /// Code's own form. What the gateway refuses in these is learned for the jobs to come.
    async fn talk(&self, config: &AdapterConfig, progress: &mut Progress) -> Result<Talk, Reason> {
        let (adapter, caller) = adapter(config.clone()).await?;
        self.tell(progress, "completion");
        let whole = in_time(caller.ask(&requests::plain(), false)).await;
        let streamed = match &whole {
            Err(CallError::Refused {
                status: 401..=403, ..
            }) => Err(CallError::Broken("not tried".to_owned())),
            _ => {
                self.tell(progress, "tool call");
                in_time(caller.ask(&requests::with_tool(), true)).await
            }
        };
        let mut second = None;
        let mut agents = None;
        if let Ok(said) = &streamed {
            if let Some(call) = said.calls.first() {
                self.tell(progress, "second turn");
                let body = requests::with_result(said.as_message(), &call.id);
                second = Some(in_time(caller.ask(&body, true)).await);
            }
            self.tell(progress, "agent's request");
            let mut answer = in_time(caller.ask(&requests::agents(AGENTS_REPLY), true)).await;
            // Claude Code asks for less by itself where the context is too small for its usual reply.
            if let Err(error) = &answer
                && let Some(context) = context_in(&error.to_string())
            {
                let less = requests::agents(context / 2);
                answer = in_time(caller.ask(&less, true)).await;
            }
            agents = Some(answer);
        }
        let lessons = adapter.learned(&self.model);
        adapter.shutdown().await;
        Ok(Talk {
            whole,
            streamed,
            second,
            agents,
            lessons,
        })
    }

    fn judged(&self, talk: &Talk) -> Vec<Finding> {
        let mut findings = vec![self.completion(&talk.whole)];
        // The same refusal twice tells nothing new.
        if talk.whole.is_ok() || talk.streamed.is_ok() {
            findings.extend(self.streamed(&talk.streamed));
        }
        for (what, answer) in [
            ("second turn", &talk.second),
            ("agent's request", &talk.agents),
        ] {
            let what = self.what(what);
            match answer {
                Some(Ok(said)) => findings.push(Finding::ok(
                    what,
                    format!("answered in {}", took(said.whole)),
                )),
                Some(Err(error)) => findings.push(self.failed(what, error)),
                None => {}
            }
        }
        if let (Ok(streamed), Ok(whole)) = (&talk.streamed, &talk.whole) {
            findings.push(self.latency(streamed, whole));
        }
        findings.extend(
            talk.lessons
                .iter()
                .map(|lesson| Finding::ok(self.what("learned"), lesson.words.clone())),
        );
        findings
    }

    fn models(&self, listed: Result<Vec<ListedModel>, GatewayError>) -> Finding {
        let what = self.what("models");
        let names = |models: Vec<ListedModel>| models.into_iter().map(|model| model.name);
        match listed.map(|models| names(models).collect::<Vec<_>>()) {
            Ok(models) if models.contains(&self.model) => Finding::ok(
                what,
                format!("{} listed, {} among them", models.len(), self.model),
            ),
            Ok(models) if models.is_empty() => Finding::ok(what, "the gateway's list is empty"),
            Ok(models) => {
                let near = nearest(&self.model, &models);
                Finding::warn(
                    what,
                    format!(
                        "{} listed, and {} is not among them",
                        models.len(),
                        self.model
                    ),
                    format!("set {} to one of them, such as {near}", self.model_setting),
                )
            }
            Err(GatewayError::Refused {
                status, message, ..
            }) if is_unreachable(&message) || matches!(status, 401..=403) => {
                self.refused(what, status, &message)
            }
            // Many have no list; what counts is whether they answer.
            Err(error) => Finding::ok(what, format!("the gateway gives no list ({error})")),
        }
    }

    fn completion(&self, whole: &Result<Said, CallError>) -> Finding {
        let what = self.what("completion");
        match whole {
            Ok(said) if said.text.trim().is_empty() => Finding::warn(
                what,
                format!(
                    "an answer without a word ({}, {} tokens)",
                    said.stop_reason, said.output_tokens
                ),
                "a model that thinks longer than it answers: set WORKER_DIALECT to the gateway's own, or another model",
            ),
            Ok(said) => Finding::ok(
                what,
                format!("{} answers in {}", self.model, took(said.whole)),
            ),
            Err(error) => self.failed(what, error),
        }
    }

    fn streamed(&self, streamed: &Result<Said, CallError>) -> Vec<Finding> {
        let said = match streamed {
            Ok(said) => said,
            Err(error) => return vec![self.failed(self.what("streaming"), error)],
        };
        let what = self.what("tool call");
        let another = format!(
            "an agent needs tools: set {} to a model that calls them, or WORKER_DIALECT to what the gateway speaks",
            self.model_setting
        );
        let call = match said.calls.as_slice() {
            [] => Finding::fail(what, "the model talks instead of calling its tool", another),
            [call, ..] if call.name == TOOL && call.input["value"] == json!(VALUE) => {
                Finding::ok(what, "called, with the right argument")
            }
            [call, ..] if call.input.is_object() => Finding::warn(
                what,
                format!("called {}, but with {}", call.name, call.input),
                another,
            ),
            [call, ..] => Finding::fail(
                what,
                format!("called {}, but its arguments are no JSON", call.name),
                another,
            ),
        };
        let what = self.what("streaming");
        // A short answer may well come in one piece; one that took its time and then came whole was held back.
        let held_back = said.pieces <= 2
            && said.whole > HELD_BACK
            && said.first.as_secs_f32() > 0.9 * said.whole.as_secs_f32();
        let stream = if !held_back {
            Finding::ok(what, format!("{} pieces", said.pieces))
        } else {
            Finding::warn(
                what,
                "the answer came all at once, at its end",
                "a proxy on the way may hold answers back: long ones then run into time-outs",
            )
        };
        vec![call, stream]
    }

    fn latency(&self, streamed: &Said, whole: &Said) -> Finding {
        let what = self.what("latency");
        let first = streamed.first.max(Duration::from_millis(1));
        let detail = format!(
            "first piece after {}, whole answers after {} and {}",
            took(first),
            took(streamed.whole),
            took(whole.whole)
        );
        if first > SLOW {
            Finding::warn(
                what,
                detail,
                "a job makes dozens of requests: a faster model does more in its time",
            )
        } else {
            Finding::ok(what, detail)
        }
    }

    /// Reports whether the gateway counts tokens, and the cost of the questions.
    fn spent(&self, records: &[RequestRecord]) -> Vec<Finding> {
        let answered: Vec<&RequestRecord> = records
            .iter()
            .filter(|record| record.error_type.is_none())
            .collect();
        let mut findings = Vec::new();
        if !answered.is_empty() {
            let what = self.what("usage");
            let estimated = answered.iter().filter(|record| record.estimated).count();
            findings.push(if estimated == 0 {
                Finding::ok(what, "every answer says what it used")
            } else {
                Finding::warn(
                    what,
                    format!(
                        "{estimated} of {} answers do not say what they used: counts, costs and caps are estimates",
                        answered.len()
                    ),
                    "set WORKER_DIALECT to the gateway's own, or have it honour stream_options.include_usage",
                )
            });
        }
        let sum = |of: fn(&RequestRecord) -> u64| records.iter().map(of).sum::<u64>();
        let (input, output) = (sum(|r| r.input_tokens), sum(|r| r.output_tokens));
        let dollars: Option<f64> = records.iter().map(|record| record.cost_usd).sum();
        let price = match dollars {
            Some(dollars) if !records.is_empty() => format!(", ${dollars:.6}"),
            _ => String::new(),
        };
        findings.push(Finding::ok(
            self.what("cost"),
            format!(
                "{} requests of this doctor: {input} tokens in, {output} out{price}",
                records.len()
            ),
        ));
        findings
    }
}

fn took(duration: Duration) -> String {
    match duration.as_millis() {
        ms @ 0..1_000 => format!("{ms} ms"),
        _ => format!("{:.1} s", duration.as_secs_f32()),
    }
}

/// A few of the gateway's models, those first that share most of the name.
fn nearest(model: &str, models: &[String]) -> impl Display {
    let words = |text: &str| -> Vec<String> {
        text.to_lowercase()
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let meant = words(model);
    let mut ranked: Vec<&String> = models.iter().collect();
    ranked.sort_by_key(|name| {
        let has = words(name);
        std::cmp::Reverse(meant.iter().filter(|word| has.contains(word)).count())
    });
    ranked
        .into_iter()
        .take(3)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_models_that_are_nearest_in_name_are_offered() {
        let models =
            ["gpt-x", "deepseek-v4", "vendor/deepseek-v4-flash", "glm-5"].map(str::to_owned);
        assert_eq!(
            nearest("deepseek-v4-flash", &models).to_string(),
            "vendor/deepseek-v4-flash, deepseek-v4, gpt-x"
        );
    }
}
