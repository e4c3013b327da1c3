//! The limits of a gateway beyond an agent's plainest turns: how long a reply and a prompt may be,
//! which forms of schemas and words for an effort it knows, and where it puts the model's reasoning.
//!
//! Each question goes through an adapter of its own that keeps nothing: what a strange question
//! teaches is not for the jobs to come, unless the operator saves it.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Finding;
use super::asked::{Gateway, adapter, context_in, in_time};
use super::requests::{self, AGENTS_REPLY};
use crate::cli::progress::Progress;
use crate::reason::Reason;
use gateway::facts::{EFFORTS, Facts, Layer, ModelFacts, Origin, ThinkingMode};
use gateway::{ActiveDialect, AdapterConfig, CallError, Lesson, ListedModel, Said};

/// A reply that no model can give: what refuses it, says how long one may be.
const BEYOND: u64 = 10_000_000;
/// A shorter reply cuts the larger edits of an agent.
const SHORT_REPLY: u64 = 8_192;
/// A smaller context is full after an agent's first few turns.
const SMALL_CONTEXT: u64 = 32_000;

/// Questions about one model on one gateway.
pub(super) struct Depth<'a> {
    gateway: &'a Gateway,
    config: &'a AdapterConfig,
    /// The gateway's dialect with all that was learned so far.
    dialect: ActiveDialect,
    facts: Arc<ModelFacts>,
    listed: ListedModel,
    deep: Deep,
}

/// The answers.
#[derive(Debug, Default)]
pub(super) struct Deep {
    pub(super) findings: Vec<Finding>,
    /// The facts learned beside those known without asking.
    pub(super) facts: Map<String, Value>,
}

/// The outcome of a question.
struct Answer {
    said: Result<Said, CallError>,
    /// The lessons learned on the way to the answer.
    lessons: Vec<Lesson>,
}

impl Answer {
    /// The value of a fact that was learned by the gateway's own word, and not guessed.
    fn learned(&self, section: &str, fact: &str) -> Option<&Value> {
        let stated = self.lessons.iter().filter(|lesson| !lesson.is_guess());
        stated
            .filter_map(|lesson| lesson.facts.get(section)?.get(fact))
            .next_back()
    }

    fn is_refused(&self) -> bool {
        matches!(self.said, Err(CallError::Refused { status, .. }) if (400..500).contains(&status))
    }

    fn words(&self) -> String {
        match &self.said {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }
}

impl<'a> Depth<'a> {
    pub(super) fn new(
        gateway: &'a Gateway,
        config: &'a AdapterConfig,
        lessons: &[Lesson],
        listed: Option<ListedModel>,
    ) -> Result<Self, Reason> {
        let layers = lessons.iter().map(Lesson::layer);
        let layers = layers.collect::<Result<Vec<_>, _>>()?;
        let dialect = config.primary.dialect.assuming(layers);
        let mut deep = Deep::default();
        for lesson in lessons {
            add(&mut deep.facts, lesson.facts.clone());
        }
        Ok(Self {
            gateway,
            config,
            facts: dialect.model_facts(&gateway.model)?,
            dialect,
            listed: listed.unwrap_or_default(),
            deep,
        })
    }

    pub(super) async fn ask(
        mut self,
        agents: &Said,
        reasoning_from: Option<String>,
        progress: &mut Progress,
    ) -> Deep {
        self.reasoning(agents, reasoning_from);
        self.gateway.tell(progress, "limits");
        self.limits().await;
        self.gateway.tell(progress, "schemas");
        self.schemas().await;
        self.gateway.tell(progress, "effort");
        self.effort(!agents.thinking.is_empty()).await;
        self.deep
    }

    fn usual(&self) -> &Facts {
        self.facts.usual()
    }

    /// The source of a fact, in words.
    fn origin(&self, fact: &str) -> String {
        let mut explained = self.facts.explain().iter();
        explained
            .find(|explained| explained.fact == fact)
            .map_or_else(String::new, |explained| explained.origin.to_string())
    }

    fn find(&mut self, finding: Finding) {
        self.deep.findings.push(finding);
    }

    fn write_down(&mut self, section: &str, fact: &str, value: Value) {
        add(&mut self.deep.facts, facts(section, fact, value));
    }

    /// Asks with facts assumed.
    async fn question(&self, assumed: Map<String, Value>, body: &Value) -> Answer {
        let refused = |why: String| Answer {
            said: Err(CallError::Broken(why)),
            lessons: Vec::new(),
        };
        let origin = Origin::Lesson("assumed for a question".to_owned());
        let layer = match Layer::new(origin, &assumed) {
            Ok(layer) => layer,
            Err(error) => return refused(error.to_string()),
        };
        let mut config = self.config.clone();
        config.lessons = None;
        config.primary.dialect = self.dialect.assuming(vec![layer]);
        let (adapter, caller) = match adapter(config).await {
            Ok(pair) => pair,
            Err(why) => return refused(why.0),
        };
        let said = in_time(caller.ask(body, true)).await;
        let lessons = adapter.learned(&self.gateway.model);
        adapter.shutdown().await;
        Answer { said, lessons }
    }

    fn reasoning(&mut self, agents: &Said, from: Option<String>) {
        let what = self.gateway.what("reasoning");
        let length = agents.thinking.chars().count();
        let tag = self.usual().thinking.inline_tag.clone();
        let finding = match from {
            Some(from) if tag.as_ref() == Some(&from) => Finding::ok(
                what,
                format!("in the text, between <{from}> and </{from}>: {length} characters"),
            ),
            Some(from) => Finding::ok(what, format!("in `{from}`: {length} characters")),
            None if agents.text.trim_start().starts_with("<think>") => {
                self.write_down("thinking", "inline-tag", json!("think"));
                Finding::warn(
                    what,
                    "in the text, between <think> and </think>, where it is taken for the answer",
                    "`doctor --network --save` writes down where it is; WORKER_DIALECT=think-tags says the same",
                )
            }
            None => Finding::ok(what, "the model shows none"),
        };
        self.find(finding);
    }

    /// Finds the limits of reply and context. To ask for a reply that no model can give costs nothing more than a word:
    /// gateways refuse it, and name a limit.
    async fn limits(&mut self) {
        let limits = json!({ "max-output": null, "context": null });
        let unbounded = Map::from_iter([("limits".to_owned(), limits)]);
        let body = requests::of_length(BEYOND);
        let first = self.question(unbounded.clone(), &body).await;
        let context = first.learned("limits", "context").and_then(Value::as_u64);
        let context = context.or_else(|| context_in(&first.words()));
        let named = first
            .learned("limits", "max-output")
            .and_then(Value::as_u64);
        let known = self.usual().limits.max_output.map(u64::from);
        let cap = match (named, &first.said) {
            (Some(named), _) => Reply::AtMost(named, "by the gateway's own word"),
            (None, Ok(_)) if first.lessons.is_empty() => Reply::Unbounded,
            (None, _) if context.is_some() => Reply::WithinContext,
            _ => {
                // It was too much, and no number was named.
                let body = requests::of_length(AGENTS_REPLY);
                let second = self.question(unbounded, &body).await;
                let named = second
                    .learned("limits", "max-output")
                    .and_then(Value::as_u64);
                match (named, &second.said) {
                    (Some(named), _) => Reply::AtMost(named, "by the gateway's own word"),
                    (None, Ok(_)) if second.lessons.is_empty() => Reply::Agents,
                    (None, Ok(_)) => Reply::AtMost(SHORT_REPLY, "where it names no number"),
                    (None, Err(error)) => Reply::Refused(error.to_string()),
                }
            }
        };
        let what = self.gateway.what("output cap");
        let from_list = self.listed.max_output;
        let beside = match (known, from_list) {
            (Some(known), _) => {
                format!(
                    "; {known} are asked for ({})",
                    self.origin("limits.max-output")
                )
            }
            (None, Some(listed)) => format!("; its list says {listed}"),
            (None, None) => String::new(),
        };
        self.find(match &cap {
            Reply::AtMost(tokens, whose) if *tokens < SHORT_REPLY => Finding::warn(
                what,
                format!("a reply has at most {tokens} tokens, {whose}"),
                "an agent's larger edits are cut there: a model with longer replies does better",
            ),
            Reply::AtMost(tokens, whose) => Finding::ok(
                what,
                format!("a reply has at most {tokens} tokens, {whose}"),
            ),
            Reply::Unbounded => Finding::ok(
                what,
                format!("{BEYOND} tokens were taken without a word{beside}"),
            ),
            Reply::WithinContext => {
                Finding::ok(what, format!("none beside the context's own{beside}"))
            }
            Reply::Agents => Finding::ok(
                what,
                format!("{AGENTS_REPLY} tokens were taken, {BEYOND} were not{beside}"),
            ),
            Reply::Refused(words) => Finding::ok(what, format!("not told ({words}){beside}")),
        });
        let found = match cap {
            Reply::AtMost(tokens, _) => Some(tokens),
            _ => from_list,
        };
        if let Some(tokens) = found.filter(|tokens| known.is_none_or(|known| *tokens < known)) {
            self.write_down("limits", "max-output", tokens.into());
        }
        self.context(context);
    }

    fn context(&mut self, named: Option<u64>) {
        let what = self.gateway.what("context");
        let known = self.usual().limits.context.map(u64::from);
        let found = named.or(self.listed.context);
        let (tokens, source) = match (named, self.listed.context, known) {
            (Some(tokens), _, _) => (tokens, "by the gateway's own word".to_owned()),
            (None, Some(tokens), _) => (tokens, "by the gateway's list".to_owned()),
            (None, None, Some(tokens)) => (tokens, self.origin("limits.context")),
            (None, None, None) => {
                self.find(Finding::ok(
                    what,
                    "not told: an agent learns it where it is full",
                ));
                return;
            }
        };
        let detail = format!("{tokens} tokens ({source})");
        self.find(if tokens < SMALL_CONTEXT {
            Finding::warn(
                what,
                detail,
                "an agent's instructions alone have 15,000: start the server with a larger context, or take another model",
            )
        } else {
            Finding::ok(what, detail)
        });
        if let Some(tokens) = found.filter(|tokens| known.is_none_or(|known| *tokens < known)) {
            self.write_down("limits", "context", tokens.into());
        }
    }

    /// Finds the forms of schemas that the gateway takes: all of the probe set at once, and where that is refused, one by one.
    async fn schemas(&mut self) {
        let what = self.gateway.what("schemas");
        if !self.usual().tools.supported {
            self.find(Finding::ok(what, "the gateway takes no tools"));
            return;
        }
        let set = requests::schemas();
        let body = requests::with_schemas(&set);
        let all = self.question(Map::new(), &body).await;
        let taught = |answer: &Answer| {
            let words = answer.lessons.iter().map(|lesson| lesson.words.clone());
            words.collect::<Vec<_>>().join("; ")
        };
        if all.said.is_ok() {
            for lesson in all.lessons.clone() {
                add(&mut self.deep.facts, lesson.facts);
            }
            self.find(match all.lessons.is_empty() {
                true => Finding::ok(
                    what,
                    format!("all {} kinds of the probe set are taken", set.len()),
                ),
                false => Finding::ok(
                    what,
                    format!(
                        "all {} kinds of the probe set are taken once it is known that {}",
                        set.len(),
                        taught(&all)
                    ),
                ),
            });
            return;
        }
        if !all.is_refused() {
            if let Err(error) = &all.said {
                let failed = self.gateway.failed(what, error);
                self.find(failed);
            }
            return;
        }
        let minimal = Map::from_iter([(
            "tools".to_owned(),
            json!({"schema": "minimal", "references": false}),
        )]);
        let least = self.question(minimal.clone(), &body).await;
        let mut refused = Vec::new();
        for kind in &set {
            let alone = self
                .question(Map::new(), &requests::with_schemas([kind]))
                .await;
            if alone.is_refused() {
                refused.push(kind.0);
            }
        }
        let named = match refused.as_slice() {
            [] => format!("so many tools at once are refused ({})", all.words()),
            refused => format!("{} refused ({})", refused.join(", "), all.words()),
        };
        if least.said.is_ok() {
            add(&mut self.deep.facts, minimal);
            self.find(Finding::warn(
                what,
                format!("{named}; taken in the form `minimal`"),
                "`doctor --network --save` writes down that schemas have the form `minimal`",
            ));
        } else {
            self.find(Finding::warn(
                what,
                format!("{named}, in the form `minimal` too"),
                "tools with such schemas make each request fail: leave their MCP servers out, and report the gateway",
            ));
        }
    }

    /// Finds the words for an effort that the gateway takes.
    async fn effort(&mut self, shows_reasoning: bool) {
        let what = self.gateway.what("effort");
        if self.usual().thinking.mode == ThinkingMode::Unsupported {
            let origin = self.origin("thinking.mode");
            self.find(Finding::ok(
                what,
                format!("the model does not think ({origin})"),
            ));
            return;
        }
        let known = self.usual().thinking.efforts.clone();
        let origin = self.origin("thinking.efforts");
        let is_stated = origin != Origin::Default.to_string();
        if is_stated && known.is_empty() {
            self.find(Finding::ok(what, format!("none is taken ({origin})")));
            return;
        }
        let words = match known.is_empty() {
            true => EFFORTS
                .iter()
                .skip(1)
                .map(|word| (*word).to_owned())
                .collect(),
            false => known.clone(),
        };
        let assumed = facts("thinking", "efforts", json!(words));
        // The two ends; what is between them is taken where both are.
        let mut answer = self
            .question(assumed.clone(), &requests::with_effort("max"))
            .await;
        if answer.said.is_ok() && answer.lessons.is_empty() {
            answer = self
                .question(assumed, &requests::with_effort("minimal"))
                .await;
        }
        let listed = answer.learned("thinking", "efforts").cloned();
        let all = words.join(", ");
        let finding = match (&answer.said, listed) {
            (_, Some(list)) if list == json!([]) => {
                self.write_down("thinking", "efforts", list);
                Finding::ok(what, "none is taken, by the gateway's own word")
            }
            (_, Some(list)) => {
                let told = list.as_array().into_iter().flatten();
                let told = told
                    .filter_map(Value::as_str)
                    .collect::<Vec<_>>()
                    .join(", ");
                self.write_down("thinking", "efforts", list);
                Finding::ok(what, format!("{told}, by the gateway's own word"))
            }
            (Ok(_), None) if is_stated => Finding::ok(what, format!("{all} ({origin})")),
            (Ok(_), None) if shows_reasoning => {
                self.write_down("thinking", "efforts", json!(words));
                Finding::ok(what, format!("{all} are taken"))
            }
            (Ok(_), None) => Finding::ok(
                what,
                "every word is taken, and no reasoning shown: it may well be ignored",
            ),
            (Err(_), None) if is_stated => Finding::warn(
                what,
                format!("{all} ({origin}), but it is refused: {}", answer.words()),
                "requests that want thinking fail: state thinking.efforts of this model in the settings of `declared`",
            ),
            (Err(_), None) => Finding::ok(what, format!("none is taken ({})", answer.words())),
        };
        self.find(finding);
    }
}

/// The length of reply that a gateway takes.
enum Reply {
    AtMost(u64, &'static str),
    /// More than any model can give was taken.
    Unbounded,
    /// The gateway took what an agent asks for, and not more.
    Agents,
    /// Only the context bounds it.
    WithinContext,
    Refused(String),
}

fn facts(section: &str, fact: &str, value: Value) -> Map<String, Value> {
    let section_facts = Map::from_iter([(fact.to_owned(), value)]);
    Map::from_iter([(section.to_owned(), Value::Object(section_facts))])
}

/// Lays facts over others; conditional ones are added.
fn add(over: &mut Map<String, Value>, facts: Map<String, Value>) {
    for (key, value) in facts {
        match (over.get_mut(&key), value) {
            (Some(Value::Object(section)), Value::Object(facts)) if key != "extra-body" => {
                section.extend(facts);
            }
            (Some(Value::Array(whens)), Value::Array(more)) if key == "when" => whens.extend(more),
            (_, value) => {
                over.insert(key, value);
            }
        }
    }
}
