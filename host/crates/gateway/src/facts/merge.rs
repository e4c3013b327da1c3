//! The merge of layers: what goes out is the model's demand within the gateway's permission, and
//! over both what was learned and what the operator says.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::layer::{FactsError, Layer, Origin, RequestKind, Stated, defaults};
use super::pattern::ModelName;
use super::types::Facts;

/// The result of a gateway's word and a model family's word on the same fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The gateway's: it decides about its own form, and how a demand is written.
    Gateway,
    /// The model family's: it knows what the model needs.
    Family,
    /// The lesser: the smaller number, what both allow, the earlier of these words.
    Least(&'static [&'static str]),
    /// The stricter: dropped over fixed over bounded over free.
    Strictest,
    /// The family's words that the gateway has too.
    Common,
    /// The family's, but for a gateway that takes none.
    UnlessNever,
}

/// The rules of the facts on which both may have a word; all others are the gateway's.
const RULES: [(&str, Rule); 31] = [
    ("endpoint.max-body", Rule::Least(&[])),
    ("limits.max-output", Rule::Least(&[])),
    ("limits.context", Rule::Least(&[])),
    ("messages.content-parts", Rule::Least(&[])),
    (
        "messages.images",
        Rule::Least(&["none", "user", "user-and-tool"]),
    ),
    ("messages.max-images", Rule::Least(&[])),
    ("messages.documents", Rule::Least(&[])),
    ("messages.cache-control", Rule::Least(&[])),
    ("messages.user", Rule::Least(&[])),
    ("tools.supported", Rule::Least(&[])),
    (
        "tools.choice",
        Rule::Least(&["none", "auto-only", "no-named", "full"]),
    ),
    ("tools.forced-while-thinking", Rule::Least(&[])),
    ("tools.parallel-field", Rule::Least(&[])),
    ("tools.max", Rule::Least(&[])),
    ("tools.description-limit", Rule::Least(&[])),
    ("tools.name-limit", Rule::Least(&[])),
    ("tools.id", Rule::Strictest),
    ("sampling.temperature", Rule::Strictest),
    ("sampling.top-p", Rule::Strictest),
    ("sampling.top-k", Rule::Least(&[])),
    ("sampling.stop-limit", Rule::Least(&[])),
    ("streaming.supported", Rule::Least(&[])),
    (
        "structured-output",
        Rule::Least(&["none", "json-object", "json-schema"]),
    ),
    ("thinking.mode", Rule::Family),
    ("thinking.by-default", Rule::Family),
    ("thinking.template-arguments", Rule::Family),
    ("thinking.efforts", Rule::Common),
    ("thinking.history-tag", Rule::Family),
    ("thinking.history-turns", Rule::UnlessNever),
    ("thinking.history-required", Rule::Family),
    ("thinking.history-blank", Rule::Family),
];

/// Everything that is stated about a gateway and a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Layers {
    /// The gateway's preset, or the facts that its dialect answers.
    pub gateway: Layer,
    /// The model's family.
    pub family: Option<Layer>,
    /// The lessons from the gateway's refusals, over both.
    pub lessons: Vec<Layer>,
    /// The operator's words, over everything else.
    pub operator: Vec<Layer>,
}

/// A fact with its value and its source.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// The name with section, as in `limits.max-output`.
    pub fact: String,
    /// The value.
    pub value: Value,
    /// The source.
    pub origin: Origin,
}

/// The facts of one model on one gateway, for each kind of request.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFacts {
    /// Not streamed and streamed; in each, without and with tools. The same one where nothing
    /// depends on it.
    kinds: [[Arc<Facts>; 2]; 2],
    explained: Vec<Explained>,
}

impl ModelFacts {
    /// Returns the facts for a request that is streamed or not, and has tools or not.
    pub fn of(&self, streamed: bool, with_tools: bool) -> &Arc<Facts> {
        let [whole, streams] = &self.kinds;
        let [without, with] = if streamed { streams } else { whole };
        if with_tools { with } else { without }
    }

    /// Returns the facts for an agent's request: streamed, with tools.
    pub fn usual(&self) -> &Arc<Facts> {
        self.of(true, true)
    }

    /// The facts that hold for an agent's request, each with its source.
    pub fn explain(&self) -> &[Explained] {
        &self.explained
    }
}

impl Layers {
    /// A gateway's facts with nothing over them.
    pub fn of(gateway: Layer) -> Self {
        Self {
            gateway,
            family: None,
            lessons: Vec::new(),
            operator: Vec::new(),
        }
    }

    /// Merges the layers for a model.
    ///
    /// # Errors
    /// When the layers make no facts together.
    pub fn merge(&self, model: &str) -> Result<ModelFacts, FactsError> {
        let model = ModelName::new(model);
        let winners = |streamed, with_tools| {
            let kind = RequestKind {
                streamed,
                with_tools,
            };
            self.winners(&model, kind)
        };
        let usual = winners(true, true);
        let usual_facts = Arc::new(facts(&usual)?);
        let shared = |streamed, with_tools| {
            let winners = winners(streamed, with_tools);
            if winners == usual {
                return Ok(Arc::clone(&usual_facts));
            }
            facts(&winners).map(Arc::new)
        };
        Ok(ModelFacts {
            kinds: [
                [shared(false, false)?, shared(false, true)?],
                [shared(true, false)?, Arc::clone(&usual_facts)],
            ],
            explained: explain(usual),
        })
    }

    /// The value that holds for each fact that anybody states, and its source.
    fn winners(&self, model: &ModelName, kind: RequestKind) -> Winners {
        let mut winners = Winners::new();
        lay(&mut winners, &self.gateway, model, kind);
        if let Some(family) = &self.family {
            for (fact, value) in family.about(model, kind) {
                let combined = match winners.get(&fact) {
                    Some((gateway, _)) => combine(&fact, gateway, &value),
                    None => Some(value),
                };
                if let Some(value) = combined {
                    winners.insert(fact, (value, family.origin.clone()));
                }
            }
        }
        for layer in self.lessons.iter().chain(&self.operator) {
            lay(&mut winners, layer, model, kind);
        }
        winners
    }
}

/// Values with their sources, by fact.
type Winners = BTreeMap<String, (Value, Origin)>;

fn lay(winners: &mut Winners, layer: &Layer, model: &ModelName, kind: RequestKind) {
    let stated: Stated = layer.about(model, kind);
    winners.extend(
        stated
            .into_iter()
            .map(|(fact, value)| (fact, (value, layer.origin.clone()))),
    );
}

/// Combines a fact that both state; none: the gateway's value stays.
fn combine(fact: &str, gateway: &Value, family: &Value) -> Option<Value> {
    let rule = RULES
        .iter()
        .find(|(ruled, _)| *ruled == fact)
        .map_or(Rule::Gateway, |(_, rule)| *rule);
    let familys = match rule {
        Rule::Gateway => false,
        Rule::Family => true,
        Rule::UnlessNever => gateway != "never",
        Rule::Least(words) => rank(family, words) < rank(gateway, words),
        Rule::Strictest => strictness(family) > strictness(gateway),
        Rule::Common => {
            let allowed = gateway.as_array().map(Vec::as_slice).unwrap_or_default();
            let words = family.as_array().into_iter().flatten();
            let common = words.filter(|word| allowed.contains(word)).cloned();
            return Some(Value::Array(common.collect()));
        }
    };
    familys.then(|| family.clone())
}

/// Returns the rank of a value between the least and the most: null is no limit.
fn rank(value: &Value, words: &[&str]) -> u64 {
    match value {
        Value::Bool(allowed) => u64::from(*allowed),
        Value::String(word) => words
            .iter()
            .position(|known| known == word)
            .map_or(u64::MAX, |rank| rank as u64),
        other => other.as_u64().unwrap_or(u64::MAX),
    }
}

/// Returns the strictness of a rule for a sampling parameter or for ids; of two upper bounds the lower one.
fn strictness(value: &Value) -> (u8, f64) {
    match (value.as_str(), value.get("at-most").and_then(Value::as_f64)) {
        (Some("drop"), _) => (3, 0.0),
        (Some(_), _) => (0, 0.0),
        (None, Some(most)) => (1, -most),
        (None, None) => (2, 0.0),
    }
}

/// Makes facts of what is stated; the rest has its default.
fn facts(winners: &Winners) -> Result<Facts, FactsError> {
    let mut whole = Map::new();
    for (fact, (value, _)) in winners {
        match fact.split_once('.') {
            None => {
                whole.insert(fact.clone(), value.clone());
            }
            Some((section, name)) => {
                let members = whole
                    .entry(section)
                    .or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(members) = members {
                    members.insert(name.to_owned(), value.clone());
                }
            }
        }
    }
    serde_json::from_value(Value::Object(whole))
        .map_err(|error| FactsError::new("facts", error.to_string()))
}

fn explain(mut winners: Winners) -> Vec<Explained> {
    let one = |(fact, default): (String, &Value)| {
        let (value, origin) = winners
            .remove(&fact)
            .unwrap_or_else(|| (default.clone(), Origin::Default));
        Explained {
            fact,
            value,
            origin,
        }
    };
    defaults().map(one).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::types::{Images, ReasoningTurns};
    use super::*;
    use serde_json::json;

    fn layer(origin: Origin, stated: &Value) -> Layer {
        Layer::from_json(origin, &stated.to_string()).unwrap()
    }

    fn layers(gateway: &Value, family: &Value, over: &[&Value]) -> Layers {
        Layers {
            gateway: layer(Origin::Gateway("g".into()), gateway),
            family: Some(layer(Origin::Family("f".into()), family)),
            lessons: Vec::new(),
            operator: over
                .iter()
                .map(|stated| layer(Origin::Operator("o".into()), stated))
                .collect(),
        }
    }

    /// A section and a fact of it with its value.
    fn one(fact: &str, value: &Value) -> Value {
        match fact.split_once('.') {
            Some((section, name)) => json!({section: {name: value}}),
            None => json!({fact: value}),
        }
    }

    #[test]
    fn a_demand_goes_out_within_the_permission() {
        let (gateway, family) = ("gateway g", "model family f");
        for (fact, gateways, familys, want, from) in [
            // A limit is the smaller one, whoever has it.
            (
                "limits.max-output",
                json!(100),
                json!(50),
                json!(50),
                family,
            ),
            (
                "limits.max-output",
                json!(50),
                json!(100),
                json!(50),
                gateway,
            ),
            (
                "limits.max-output",
                json!(null),
                json!(100),
                json!(100),
                family,
            ),
            ("limits.context", json!(9), json!(8), json!(8), family),
            ("sampling.stop-limit", json!(16), json!(0), json!(0), family),
            // What both can.
            (
                "messages.images",
                json!("user"),
                json!("none"),
                json!("none"),
                family,
            ),
            (
                "messages.images",
                json!("none"),
                json!("user"),
                json!("none"),
                gateway,
            ),
            (
                "messages.images",
                json!("user-and-tool"),
                json!("user"),
                json!("user"),
                family,
            ),
            (
                "messages.documents",
                json!(true),
                json!(false),
                json!(false),
                family,
            ),
            (
                "messages.documents",
                json!(false),
                json!(true),
                json!(false),
                gateway,
            ),
            (
                "tools.choice",
                json!("auto-only"),
                json!("full"),
                json!("auto-only"),
                gateway,
            ),
            (
                "tools.choice",
                json!("full"),
                json!("none"),
                json!("none"),
                family,
            ),
            (
                "tools.forced-while-thinking",
                json!(true),
                json!(false),
                json!(false),
                family,
            ),
            (
                "structured-output",
                json!("json-schema"),
                json!("json-object"),
                json!("json-object"),
                family,
            ),
            // The stricter rule.
            (
                "sampling.temperature",
                json!({"at-most": 1.0}),
                json!("drop"),
                json!("drop"),
                family,
            ),
            (
                "sampling.temperature",
                json!("drop"),
                json!("pass"),
                json!("drop"),
                gateway,
            ),
            (
                "sampling.temperature",
                json!({"at-most": 1.0}),
                json!({"at-most": 2.0}),
                json!({"at-most": 1.0}),
                gateway,
            ),
            (
                "sampling.top-p",
                json!({"at-most": 1.0}),
                json!({"fixed": 0.95}),
                json!({"fixed": 0.95}),
                family,
            ),
            (
                "tools.id",
                json!({"at-most": 40}),
                json!({"alphanumeric": 9}),
                json!({"alphanumeric": 9}),
                family,
            ),
            (
                "tools.id",
                json!({"at-most": 40}),
                json!({"at-most": 64}),
                json!({"at-most": 40}),
                gateway,
            ),
            // How a demand is written is the gateway's, what is demanded the model's.
            (
                "thinking.history-field",
                json!("reasoning"),
                json!("reasoning_content"),
                json!("reasoning"),
                gateway,
            ),
            (
                "thinking.history-turns",
                json!("tool-calls"),
                json!("all"),
                json!("all"),
                family,
            ),
            (
                "thinking.history-turns",
                json!("never"),
                json!("all"),
                json!("never"),
                gateway,
            ),
            (
                "thinking.history-required",
                json!(false),
                json!(true),
                json!(true),
                family,
            ),
            (
                "thinking.on",
                json!({"a": 1}),
                json!({"b": 1}),
                json!({"a": 1}),
                gateway,
            ),
            (
                "thinking.on",
                json!({}),
                json!({"b": 1}),
                json!({}),
                gateway,
            ),
            (
                "thinking.mode",
                json!("never"),
                json!("always"),
                json!("always"),
                family,
            ),
            (
                "thinking.efforts",
                json!(["low", "high"]),
                json!(["none", "high", "low"]),
                json!(["high", "low"]),
                family,
            ),
            (
                "thinking.efforts",
                json!([]),
                json!(["high"]),
                json!([]),
                family,
            ),
            (
                "limits.token-field",
                json!("max-tokens"),
                json!("max-completion-tokens"),
                json!("max-tokens"),
                gateway,
            ),
            (
                "messages.system-role",
                json!("system"),
                json!("developer"),
                json!("system"),
                gateway,
            ),
            (
                "extra-body",
                json!({"a": 1}),
                json!({"b": 1}),
                json!({"a": 1}),
                gateway,
            ),
        ] {
            let said = layers(&one(fact, &gateways), &one(fact, &familys), &[]);
            let merged = said.merge("m").unwrap();
            let explained = merged.explain().iter().find(|e| e.fact == fact).unwrap();
            assert_eq!(explained.value, want, "{fact}: {gateways} and {familys}");
            assert_eq!(
                explained.origin.to_string(),
                from,
                "{fact}: {gateways} and {familys}"
            );
            // Where only the family has a word, it is taken; over both the operator's.
            let alone = layers(&json!({}), &one(fact, &familys), &[])
                .merge("m")
                .unwrap();
            let explained = alone.explain().iter().find(|e| e.fact == fact).unwrap();
            assert_eq!(
                (&explained.value, explained.origin.to_string()),
                (&familys, family.to_owned()),
                "{fact}"
            );
            let over = layers(
                &one(fact, &gateways),
                &one(fact, &familys),
                &[&one(fact, &gateways)],
            );
            let over = over.merge("m").unwrap();
            let explained = over.explain().iter().find(|e| e.fact == fact).unwrap();
            assert_eq!(
                (&explained.value, explained.origin.to_string()),
                (&gateways, "o".to_owned()),
                "{fact}"
            );
        }
    }

    #[test]
    fn every_rule_is_for_a_fact_that_there_is() {
        let facts = defaults().map(|(fact, _)| fact).collect::<Vec<_>>();
        for (at, (fact, rule)) in RULES.iter().enumerate() {
            assert!(facts.iter().any(|known| known == fact), "{fact}");
            assert!(
                RULES[..at].iter().all(|(other, _)| other != fact),
                "{fact} twice"
            );
            let value = defaults().find(|(known, _)| known == fact).unwrap().1;
            if let (Rule::Least(words), Value::String(default)) = (rule, value) {
                assert!(words.contains(&default.as_str()), "{fact}: {default}");
            }
        }
    }

    #[test]
    fn a_fact_can_depend_on_the_request_and_on_the_model() {
        let gateway = json!({
            "messages": {"images": "none"},
            "when": [
                {"models": ["qwen3-*b"], "streamed": false, "thinking": {"mode": "never"}},
                {"models": ["vendor/*"], "messages": {"images": "user"}},
                {"models": ["vendor/blind"], "messages": {"images": "none"}},
            ],
        });
        let family = json!({
            "thinking": {"efforts": ["low"], "history-turns": "all"},
            "when": [{"with-tools": true, "thinking": {"efforts": []}}],
        });
        let said = layers(&gateway, &family, &[]);
        let qwen = said.merge("Qwen/Qwen3-32B").unwrap();
        let mode = |streamed| format!("{:?}", qwen.of(streamed, true).thinking.mode);
        assert_eq!(
            (mode(true), mode(false)),
            ("Optional".to_owned(), "Never".to_owned())
        );
        let efforts = |tools| qwen.of(true, tools).thinking.efforts.len();
        assert_eq!((efforts(true), efforts(false)), (0, 1));
        assert_eq!(qwen.usual().thinking.history_turns, ReasoningTurns::All);
        for (model, images) in [
            ("vendor/x", Images::User),
            ("vendor/blind", Images::None),
            ("x", Images::None),
        ] {
            assert_eq!(
                said.merge(model).unwrap().usual().messages.images,
                images,
                "{model}"
            );
        }
        // What depends on nothing is kept once.
        let plain = layers(&json!({}), &json!({}), &[]).merge("m").unwrap();
        assert!(Arc::ptr_eq(plain.of(false, false), plain.usual()));
        assert_eq!(**plain.usual(), Facts::default());
    }

    #[test]
    fn a_lesson_holds_over_both_and_the_operator_over_a_lesson() {
        let limit = |most: u32| json!({"limits": {"max-output": most}});
        let mut said = layers(&limit(10), &limit(20), &[]);
        said.lessons = vec![layer(
            Origin::Lesson("max_tokens above 30".into()),
            &limit(30),
        )];
        let holds = |said: &Layers| {
            let merged = said.merge("m").unwrap();
            let explained = merged.explain().iter();
            let explained = explained
                .into_iter()
                .find(|e| e.fact == "limits.max-output");
            let origin = explained.unwrap().origin.to_string();
            (merged.usual().limits.max_output, origin)
        };
        assert_eq!(
            holds(&said),
            (Some(30), "lesson: max_tokens above 30".to_owned())
        );
        said.operator = vec![layer(Origin::Operator("o".into()), &limit(40))];
        assert_eq!(holds(&said), (Some(40), "o".to_owned()));
    }

    #[test]
    fn every_fact_is_explained() {
        let merged = layers(&json!({}), &json!({}), &[]).merge("m").unwrap();
        assert_eq!(merged.explain().len(), defaults().count());
        assert!(merged.explain().iter().all(|e| e.origin == Origin::Default));
    }
}
