//! A layer: the facts that one source states. Everything that it leaves out is for others to say.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::pattern::ModelName;
use super::types::Facts;

/// Words for how much a model thinks, least to most.
pub const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/// The default facts as JSON: the names that there are, and what holds where nothing is stated.
static DEFAULTS: LazyLock<Map<String, Value>> =
    LazyLock::new(|| match serde_json::to_value(Facts::default()) {
        Ok(Value::Object(facts)) => facts,
        _ => Map::new(),
    });

/// Source of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody states it: the plain gateway's value.
    Default,
    /// A gateway's preset, or the component that is its dialect.
    Gateway(String),
    /// A model family.
    Family(String),
    /// A refusal of the gateway's.
    Lesson(String),
    /// The operator's configuration, by its place.
    Operator(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Gateway(name) => write!(f, "gateway {name}"),
            Self::Family(name) => write!(f, "model family {name}"),
            Self::Lesson(words) => write!(f, "lesson: {words}"),
            Self::Operator(place) => f.write_str(place),
        }
    }
}

/// A fact that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fact}: {rule}")]
pub struct FactsError {
    /// The fact's name with its section, as in `limits.max-output`.
    pub fact: String,
    /// The fault.
    pub rule: String,
}

impl FactsError {
    pub(super) fn new(fact: impl Into<String>, rule: impl Into<String>) -> Self {
        Self {
            fact: fact.into(),
            rule: rule.into(),
        }
    }
}

/// Facts by their names with section, as in `limits.max-output`.
pub(super) type Stated = BTreeMap<String, Value>;

/// The facts that one source states.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    pub(super) origin: Origin,
    always: Stated,
    when: Vec<When>,
}

/// Facts that hold for some requests.
#[derive(Debug, Clone, PartialEq)]
struct When {
    condition: Condition,
    facts: Stated,
}

/// The requests for which facts hold: those that satisfy everything that is given here.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Condition {
    /// Names of models in which `*` is any text. One with a `/` is compared with the gateway's
    /// whole name of the model, every other one with the name without vendor and tag.
    models: Option<Vec<String>>,
    /// The reply is streamed, or not.
    streamed: Option<bool>,
    /// The request has tools, or not.
    with_tools: Option<bool>,
}

/// The names of the conditions of a `when`.
const CONDITIONS: [&str; 3] = ["models", "streamed", "with-tools"];

/// A request, as far as facts depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestKind {
    pub(super) streamed: bool,
    pub(super) with_tools: bool,
}

impl Layer {
    /// Reads what a source states.
    ///
    /// # Errors
    /// The first fact that does not exist, with the name that was probably meant, or that has a
    /// value it cannot have.
    pub fn new(origin: Origin, stated: &Map<String, Value>) -> Result<Self, FactsError> {
        let mut layer = Self {
            origin,
            always: Stated::new(),
            when: Vec::new(),
        };
        for (key, value) in stated {
            if key == "when" {
                layer.when = whens(value)?;
            } else {
                state(&mut layer.always, key, value)?;
            }
        }
        Ok(layer)
    }

    /// Reads what a source states as JSON.
    ///
    /// # Errors
    /// As [`Layer::new`], and for a text that is no JSON object.
    pub fn from_json(origin: Origin, text: &str) -> Result<Self, FactsError> {
        let stated = serde_json::from_str(text)
            .map_err(|error| FactsError::new("facts", format!("are no JSON object: {error}")))?;
        Self::new(origin, &stated)
    }

    /// A layer that states nothing.
    pub fn empty(origin: Origin) -> Self {
        Self {
            origin,
            always: Stated::new(),
            when: Vec::new(),
        }
    }

    /// The statements about requests of a kind for a model.
    pub(super) fn about(&self, model: &ModelName, kind: RequestKind) -> Stated {
        let mut stated = self.always.clone();
        for when in &self.when {
            if when.condition.holds(model, kind) {
                stated.extend(when.facts.clone());
            }
        }
        stated
    }
}

impl Condition {
    fn holds(&self, model: &ModelName, kind: RequestKind) -> bool {
        let models = self.models.as_ref();
        models.is_none_or(|patterns| patterns.iter().any(|pattern| model.matches(pattern)))
            && self
                .streamed
                .is_none_or(|streamed| streamed == kind.streamed)
            && self.with_tools.is_none_or(|tools| tools == kind.with_tools)
    }
}

fn whens(value: &Value) -> Result<Vec<When>, FactsError> {
    let list = value
        .as_array()
        .ok_or_else(|| FactsError::new("when", "must be a list of tables"))?;
    let one = |(index, value): (usize, &Value)| {
        let place = |error: FactsError| {
            FactsError::new(format!("when[{index}].{}", error.fact), error.rule)
        };
        let table = value
            .as_object()
            .ok_or_else(|| FactsError::new(format!("when[{index}]"), "must be a table"))?;
        let mut facts = Stated::new();
        let mut condition = Map::new();
        for (key, value) in table {
            if CONDITIONS.contains(&key.as_str()) {
                condition.insert(key.clone(), value.clone());
            } else {
                state(&mut facts, key, value).map_err(place)?;
            }
        }
        if condition.is_empty() {
            let rule = format!("says no condition; there are {}", CONDITIONS.join(", "));
            return Err(FactsError::new(format!("when[{index}]"), rule));
        }
        let condition = serde_json::from_value(Value::Object(condition))
            .map_err(|error| FactsError::new(format!("when[{index}]"), error.to_string()))?;
        Ok(When { condition, facts })
    };
    list.iter().enumerate().map(one).collect()
}

/// Adds what a key states: a section of facts, or a fact that has none.
fn state(stated: &mut Stated, key: &str, value: &Value) -> Result<(), FactsError> {
    let known = DEFAULTS
        .get(key)
        .ok_or_else(|| unknown("", key, DEFAULTS.keys()))?;
    let Some(section) = section(known) else {
        check(
            key,
            value,
            Map::from_iter([(key.to_owned(), value.clone())]),
        )?;
        stated.insert(key.to_owned(), value.clone());
        return Ok(());
    };
    let Some(facts) = value.as_object() else {
        return Err(FactsError::new(key, "must be a table"));
    };
    for (name, value) in facts {
        if !section.contains_key(name) {
            return Err(unknown(&format!("{key}."), name, section.keys()));
        }
        let fact = format!("{key}.{name}");
        let inner = Map::from_iter([(name.clone(), value.clone())]);
        check(
            &fact,
            value,
            Map::from_iter([(key.to_owned(), Value::Object(inner))]),
        )?;
        stated.insert(fact, value.clone());
    }
    Ok(())
}

/// The facts of a section, if the default of that name is one. `extra-body` is a fact itself: it
/// has no members.
fn section(known: &Value) -> Option<&Map<String, Value>> {
    known.as_object().filter(|members| !members.is_empty())
}

/// Checks one fact by reading the facts with nothing else stated.
fn check(fact: &str, value: &Value, stated: Map<String, Value>) -> Result<(), FactsError> {
    serde_json::from_value::<Facts>(Value::Object(stated))
        .map_err(|error| FactsError::new(fact, error.to_string()))?;
    let strings = |value: &Value| -> Vec<String> {
        let list = value.as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let rule = match fact {
        "thinking.efforts" => strings(value)
            .iter()
            .find(|word| !EFFORTS.contains(&word.as_str()))
            .map(|word| format!("{word:?} is none of {}", EFFORTS.join(", "))),
        "endpoint.roots" => strings(value)
            .iter()
            .find(|root| !(root.is_empty() || root.starts_with('/')) || root.ends_with('/'))
            .map(|root| format!("{root:?} must begin with / and not end with it, or be empty")),
        "endpoint.path" => value
            .as_str()
            .filter(|path| !path.starts_with('/'))
            .map(|path| format!("{path:?} must begin with /")),
        _ => None,
    };
    match rule {
        Some(rule) => Err(FactsError::new(fact, rule)),
        None => Ok(()),
    }
}

fn unknown<'a>(
    section: &str,
    name: &str,
    known: impl Iterator<Item = &'a String> + Clone,
) -> FactsError {
    let nearest = known
        .clone()
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .filter(|(likeness, _)| *likeness > 0.8);
    let elsewhere = DEFAULTS.iter().find_map(|(key, value)| {
        let inside = self::section(value)?.contains_key(name);
        inside.then(|| format!("{key}.{name}"))
    });
    let rule = match (nearest, elsewhere) {
        (Some((_, nearest)), _) => format!("no such fact; did you mean {section}{nearest}?"),
        (None, Some(elsewhere)) => format!("no such fact; did you mean {elsewhere}?"),
        (None, None) => {
            let known = known.map(String::as_str).collect::<Vec<_>>();
            format!("no such fact; there are {}", known.join(", "))
        }
    };
    FactsError::new(format!("{section}{name}"), rule)
}

/// Every fact with its default, by its name with section.
pub(super) fn defaults() -> impl Iterator<Item = (String, &'static Value)> {
    DEFAULTS
        .iter()
        .flat_map(|(key, value)| match section(value) {
            Some(section) => section
                .iter()
                .map(|(name, value)| (format!("{key}.{name}"), value))
                .collect::<Vec<_>>(),
            None => vec![(key.clone(), value)],
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn read(stated: Value) -> Result<Layer, FactsError> {
        Layer::from_json(Origin::Default, &stated.to_string())
    }

    #[test]
    fn what_cannot_be_is_refused_by_name_with_what_was_meant() {
        for (stated, words) in [
            (
                json!({"limit": {}}),
                "limit: no such fact; did you mean limits?",
            ),
            (
                json!({"limits": {"max-ouput": 1}}),
                "limits.max-ouput: no such fact; did you mean limits.max-output?",
            ),
            (
                json!({"limits": {"max_output": 1}}),
                "limits.max_output: no such fact; did you mean limits.max-output?",
            ),
            (
                json!({"max-output": 1}),
                "max-output: no such fact; did you mean limits.max-output?",
            ),
            (
                json!({"tools": {"history-turns": "all"}}),
                "tools.history-turns: no such fact; did you mean thinking.history-turns?",
            ),
            (
                json!({"zzz": 1}),
                "zzz: no such fact; there are endpoint, limits, messages",
            ),
            (json!({"limits": 1}), "limits: must be a table"),
            (
                json!({"limits": {"max-output": "many"}}),
                "limits.max-output: invalid type: string",
            ),
            (
                json!({"limits": {"max-output": -1}}),
                "limits.max-output: invalid value: integer `-1`, expected u32",
            ),
            (
                json!({"messages": {"images": "some"}}),
                "messages.images: unknown variant `some`, expected one of `none`, `user`, `user-and-tool`",
            ),
            (
                json!({"thinking": {"efforts": ["huge"]}}),
                "thinking.efforts: \"huge\" is none of none, minimal,",
            ),
            (
                json!({"endpoint": {"roots": ["v1"]}}),
                "endpoint.roots: \"v1\" must begin with /",
            ),
            (
                json!({"endpoint": {"path": "chat"}}),
                "endpoint.path: \"chat\" must begin with /",
            ),
            (
                json!({"endpoint": {"auth": {"heder": "x"}}}),
                "endpoint.auth: unknown variant `heder`",
            ),
            (
                json!({"extra-body": 3}),
                "extra-body: invalid type: integer `3`",
            ),
            (json!({"when": {}}), "when: must be a list of tables"),
            (
                json!({"when": [{"limits": {}}]}),
                "when[0]: says no condition; there are models, streamed, with-tools",
            ),
            (
                json!({"when": [{"streamed": true, "limit": {}}]}),
                "when[0].limit: no such fact; did you mean limits?",
            ),
            (
                json!({"when": [{"streamed": "yes"}]}),
                "when[0]: invalid type: string \"yes\", expected a boolean",
            ),
            (json!([]), "facts: are no JSON object"),
        ] {
            let said = read(stated.clone()).unwrap_err().to_string();
            assert!(said.starts_with(words), "{stated}: {said}");
        }
    }

    #[test]
    fn every_default_can_be_stated() {
        for (fact, value) in defaults() {
            let stated = match fact.split_once('.') {
                Some((section, name)) => json!({section: {name: value}}),
                None => json!({&fact: value}),
            };
            assert!(read(stated).is_ok(), "{fact}");
        }
    }
}
