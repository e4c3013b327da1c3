//! `doctor --network`: real requests through the adapter to the configured gateways. It says what they cost.

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::Finding;
use crate::reason::Reason;
use gateway::{
    Adapter, AdapterConfig, CallError, Caller, GatewayError, RecordSink, RequestRecord, Said,
    fresh_token, list_models,
};
use plugins::{Engine, PluginSet, PluginSettings};
use redact::{KnownValues, Redactor};
use settings::Settings;

/// The time that one request may take: models that think at length answer after half a minute.
const PATIENCE: Duration = Duration::from_secs(90);

/// An agent that waits longer than this for each first word is no pleasure.
const SLOW: Duration = Duration::from_secs(15);

/// A time that is too short to tell whether it was streamed.
const HELD_BACK: Duration = Duration::from_secs(1);

/// The most tokens of one answer; thinking counts.
const TOKENS_MAX: u32 = 1_000;

/// The tool that the model is to call, and what with.
const TOOL: &str = "report";
const VALUE: u64 = 7;

/// Asks the gateway, and the second one where there is one.
pub(super) fn probe(settings: &Settings) -> Vec<Finding> {
    let redactor = Redactor::new(KnownValues::of(settings), Vec::new());
    let mut findings = match requests(settings, &redactor) {
        Ok(findings) => findings,
        Err(reason) => vec![Finding::fail(
            "network",
            reason.0,
            "`mcp-codex-worker setup` asks for gateway, key and model",
        )],
    };
    // Whatever a gateway says goes through here, so that no key is ever printed.
    for finding in &mut findings {
        finding.detail = redactor.text(&finding.detail).to_string();
        finding.remedy = finding
            .remedy
            .take()
            .map(|remedy| redactor.text(&remedy).to_string());
    }
    findings
}

fn requests(settings: &Settings, redactor: &Redactor) -> Result<Vec<Finding>, Reason> {
    settings.gateway()?;
    let model = settings
        .model
        .clone()
        .ok_or("CLAUDE_MODEL is not set: there is no model to ask")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let plugins = PluginSet::load(
        &Engine::shared(&settings.cache_dir)?,
        &PluginSettings::of(settings, &[]),
    );
    let config = || {
        AdapterConfig::from_settings(
            settings,
            |named, base_url| plugins.choose_dialect(named, base_url),
            redactor.clone(),
            "doctor",
            RecordSink::none(),
        )
    };
    let origin = |names: &[&str]| {
        let set = names
            .iter()
            .find_map(|name| Some((*name, settings.origins.get(*name)?)));
        match set {
            Some((name, origin)) => format!("{name} (set by {origin})"),
            None => names.first().copied().unwrap_or_default().to_owned(),
        }
    };
    let mut findings = runtime.block_on(
        Gateway {
            prefix: "",
            model,
            url: origin(&["ONEAPI_BASE_URL", "ANTHROPIC_BASE_URL"]),
            key: origin(&["ONEAPI_API_KEY", "ANTHROPIC_API_KEY"]),
            model_setting: origin(&["CLAUDE_MODEL", "ANTHROPIC_MODEL"]),
        }
        .probe(AdapterConfig {
            fallback: None,
            ..config()?
        }),
    );
    let second = config()?;
    if let Some((upstream, models)) = second.fallback.clone() {
        let model = models.first().cloned().or_else(|| settings.model.clone());
        findings.extend(
            runtime.block_on(
                Gateway {
                    prefix: "fallback ",
                    model: model.unwrap_or_default(),
                    url: origin(&["FALLBACK_BASE_URL"]),
                    key: origin(&["FALLBACK_API_KEY"]),
                    model_setting: origin(&["FALLBACK_MODELS"]),
                }
                .probe(AdapterConfig {
                    primary: upstream,
                    fallback: None,
                    ..second
                }),
            ),
        );
    }
    Ok(findings)
}

/// A gateway as its findings speak of it.
struct Gateway {
    /// In front of what is looked at.
    prefix: &'static str,
    /// The model that is asked.
    model: String,
    /// The settings behind it, and where they come from.
    url: String,
    key: String,
    model_setting: String,
}

impl Gateway {
    async fn probe(&self, mut config: AdapterConfig) -> Vec<Finding> {
        let mut findings = Vec::new();
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
        let listed = list_models(
            &config.primary,
            config.mode,
            &self.model,
            &config.redactor,
            PATIENCE,
        )
        .await;
        let unreachable = matches!(&listed, Err(GatewayError::Refused { message, .. }) if is_unreachable(message));
        findings.push(self.models(listed));
        if unreachable {
            return findings;
        }
        match self.talk(config).await {
            Ok((streamed, whole)) => {
                findings.push(self.completion(&whole));
                // The same refusal twice tells nothing new.
                if whole.is_ok() || streamed.is_ok() {
                    findings.extend(self.streamed(&streamed));
                }
                if let (Ok(streamed), Ok(whole)) = (&streamed, &whole) {
                    findings.push(self.latency(streamed, whole));
                }
                let records = records.lock().unwrap_or_else(PoisonError::into_inner);
                findings.extend(self.spent(&records));
            }
            Err(reason) => findings.push(Finding::fail(
                self.what("adapter"),
                reason.0,
                "free some memory or descriptors",
            )),
        }
        findings
    }

    /// One streamed request with a tool, as every turn of an agent is one, and one plain one, as `analyze` asks.
    async fn talk(
        &self,
        mut config: AdapterConfig,
    ) -> Result<(Result<Said, CallError>, Result<Said, CallError>), Reason> {
        let token = fresh_token()?;
        config.token = Some(token.clone());
        let adapter = Adapter::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), config).await?;
        let caller = Caller::new(&adapter.url(), &token)?;
        let whole = in_time(caller.ask(&plain_request(), false)).await;
        let streamed = match &whole {
            Err(CallError::Refused {
                status: 401..=403, ..
            }) => Err(CallError::Broken("not tried".to_owned())),
            _ => in_time(caller.ask(&tool_request(), true)).await,
        };
        adapter.shutdown().await;
        Ok((streamed, whole))
    }

    fn what(&self, what: &str) -> String {
        format!("{}{what}", self.prefix)
    }

    fn models(&self, listed: Result<Vec<String>, GatewayError>) -> Finding {
        let what = self.what("models");
        match listed {
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

    /// Says if the gateway counts tokens, and what this cost.
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

    fn failed(&self, what: String, error: &CallError) -> Finding {
        match error {
            CallError::Refused {
                status, message, ..
            } => self.refused(what, *status, message),
            CallError::Broken(message) => Finding::fail(
                what,
                message.clone(),
                format!("try again; if it stays so, check {}", self.url),
            ),
        }
    }

    fn refused(&self, what: String, status: u16, message: &str) -> Finding {
        let remedy = if is_unreachable(message) {
            format!(
                "check {}, the network, and HTTPS_PROXY and NO_PROXY",
                self.url
            )
        } else if message.contains("HTML page") {
            format!(
                "{} leads to a web page: use the API's address, which usually ends in /v1",
                self.url
            )
        } else {
            match status {
                401 | 403 => format!("check {}: the gateway does not take it", self.key),
                402 => "top up the gateway's account, or set FALLBACK_BASE_URL".to_owned(),
                404 => format!(
                    "check {} (it usually ends in /v1) and {}",
                    self.url, self.model_setting
                ),
                429 => "wait, or have the gateway raise its limit".to_owned(),
                400..=499 => {
                    "the gateway's own words say what it minds; WORKER_DIALECT may be wrong for it"
                        .to_owned()
                }
                _ => "try again later; FALLBACK_BASE_URL names a second gateway".to_owned(),
            }
        };
        Finding::fail(what, format!("{message} ({status})"), remedy)
    }
}

fn is_unreachable(message: &str) -> bool {
    message.contains("cannot be reached")
}

async fn in_time(ask: impl Future<Output = Result<Said, CallError>>) -> Result<Said, CallError> {
    tokio::time::timeout(PATIENCE, ask)
        .await
        .unwrap_or_else(|_| {
            Err(CallError::Broken(format!(
                "no whole answer within {} s",
                PATIENCE.as_secs()
            )))
        })
}

fn plain_request() -> Value {
    json!({
        "model": "sonnet",
        "max_tokens": TOKENS_MAX,
        "messages": [{"role": "user", "content": "Reply with one word: ready"}],
    })
}

fn tool_request() -> Value {
    json!({
        "model": "sonnet",
        "max_tokens": TOKENS_MAX,
        "messages": [{
            "role": "user",
            "content": format!(
                "First count from one to ten in words. Then, in the same answer, call the tool {TOOL} with the value {VALUE}."
            ),
        }],
        "tools": [{
            "name": TOOL,
            "description": "Takes a number.",
            "input_schema": {
                "type": "object",
                "properties": {"value": {"type": "integer"}},
                "required": ["value"],
            },
        }],
    })
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
