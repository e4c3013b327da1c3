//! Settings against a plugin's JSON Schema: the keywords that settings need, each violation a sentence with the key.
//! `plugin build` refuses a schema with a keyword that is not known here ([`faults`]): it would be no rule.

use serde_json::Value;

/// A setting that breaks a rule. Its text is a clause that begins with the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    /// The key from the top, as in `paths[1]`; empty for the settings as a whole.
    pub(super) key: String,
    /// The rule, as the rest of the clause.
    pub(super) rule: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.key.as_str() {
            "" => write!(f, "the settings {}", self.rule),
            key => write!(f, "{key} {}", self.rule),
        }
    }
}

/// True if settings have to be whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// Nothing may be missing.
    Whole,
    /// More comes with the job.
    SoFar,
}

/// Checks a value.
///
/// # Errors
/// The first violation.
pub(super) fn check(schema: &Value, value: &Value, extent: Extent) -> Result<(), Violation> {
    at(schema, value, "", extent)
}

/// Keywords with an effect here.
const RULES: [&str; 13] = [
    "type",
    "enum",
    "const",
    "required",
    "properties",
    "additionalProperties",
    "items",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
];

/// Keywords for readers.
const WORDS: [&str; 9] = [
    "$schema",
    "$id",
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "pattern",
];

/// Everything in a plugin's settings schema that would silently be no rule: a keyword that is not known here, a type that
/// JSON does not have, a pattern that is none.
pub fn faults(schema: &str) -> Vec<String> {
    let schema = match serde_json::from_str(schema) {
        Ok(schema) => schema,
        Err(error) => return vec![format!("it is no JSON: {error}")],
    };
    let mut found = Vec::new();
    faults_at(&schema, "", &mut found);
    found
}

fn faults_at(schema: &Value, key: &str, found: &mut Vec<String>) {
    let place = if key.is_empty() { "at the top" } else { key };
    let rules = match schema {
        Value::Object(rules) => rules,
        Value::Bool(_) => return,
        other => {
            found.push(format!(
                "{place}: a schema is an object, not {}",
                kind_of(other)
            ));
            return;
        }
    };
    for (keyword, rule) in rules {
        if !RULES.contains(&keyword.as_str()) && !WORDS.contains(&keyword.as_str()) {
            found.push(format!(
                "{place}: {keyword:?} has no effect here; there are: {}, pattern",
                RULES.join(", ")
            ));
        }
        match (keyword.as_str(), rule) {
            ("properties", Value::Object(properties)) => {
                for (name, schema) in properties {
                    faults_at(schema, &join(key, name), found);
                }
            }
            ("items", schema) => faults_at(schema, &format!("{key}[]"), found),
            ("additionalProperties", schema) => faults_at(schema, &join(key, "*"), found),
            ("type", kinds) => {
                let kinds = kinds
                    .as_array()
                    .map_or(std::slice::from_ref(kinds), Vec::as_slice);
                for kind in kinds.iter().filter(|kind| !is_type(kind)) {
                    found.push(format!("{place}: there is no type {kind}"));
                }
            }
            ("pattern", Value::String(pattern)) => {
                if let Err(error) = regex::Regex::new(pattern) {
                    found.push(format!("{place}: pattern {pattern:?}: {error}"));
                }
            }
            _ => {}
        }
    }
}

fn is_type(kind: &Value) -> bool {
    const TYPES: [&str; 7] = [
        "null", "boolean", "string", "array", "object", "number", "integer",
    ];
    kind.as_str().is_some_and(|kind| TYPES.contains(&kind))
}

fn at(schema: &Value, value: &Value, key: &str, extent: Extent) -> Result<(), Violation> {
    let refuse = |rule: String| {
        Err(Violation {
            key: key.to_owned(),
            rule,
        })
    };
    if schema == &Value::Bool(false) {
        return refuse("must not be there".to_owned());
    }
    if let Some(types) = schema.get("type") {
        let types = types
            .as_array()
            .map_or_else(|| vec![types], |types| types.iter().collect());
        let types = types
            .into_iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>();
        if !types.is_empty() && !types.iter().any(|kind| is(value, kind)) {
            return refuse(format!(
                "must be {}, not {}",
                types.join(" or "),
                kind_of(value)
            ));
        }
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        let allowed = allowed
            .iter()
            .map(Value::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        return refuse(format!("must be one of {allowed}"));
    }
    if let Some(only) = schema.get("const")
        && only != value
    {
        return refuse(format!("must be {only}"));
    }
    match value {
        Value::Object(object) => {
            let required = schema
                .get("required")
                .and_then(Value::as_array)
                .filter(|_| extent == Extent::Whole || !key.is_empty());
            let required = required.into_iter().flatten().filter_map(Value::as_str);
            if let Some(missing) = required
                .into_iter()
                .find(|required| !object.contains_key(*required))
            {
                return Err(Violation {
                    key: join(key, missing),
                    rule: "is missing".to_owned(),
                });
            }
            let known = schema.get("properties").and_then(Value::as_object);
            let others = schema.get("additionalProperties");
            for (property, value) in object {
                let place = join(key, property);
                match (known.and_then(|known| known.get(property)), others) {
                    (Some(schema), _) => at(schema, value, &place, extent)?,
                    (None, Some(Value::Bool(false))) => {
                        let known = known
                            .into_iter()
                            .flatten()
                            .map(|(name, _)| name.as_str())
                            .collect::<Vec<_>>();
                        let known = if known.is_empty() {
                            "none".to_owned()
                        } else {
                            known.join(", ")
                        };
                        return Err(Violation {
                            key: place,
                            rule: format!("is no such setting; there are: {known}"),
                        });
                    }
                    (None, Some(schema)) => at(schema, value, &place, extent)?,
                    (None, None) => {}
                }
            }
        }
        Value::Array(items) => {
            let count = items.len() as u64;
            bounds(schema, "minItems", "maxItems", count as f64, key, " items")?;
            if let Some(schema) = schema.get("items") {
                for (index, item) in items.iter().enumerate() {
                    at(schema, item, &format!("{key}[{index}]"), extent)?;
                }
            }
        }
        Value::String(text) => {
            bounds(
                schema,
                "minLength",
                "maxLength",
                text.chars().count() as f64,
                key,
                " characters",
            )?;
            if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
                && regex::Regex::new(pattern).is_ok_and(|pattern| !pattern.is_match(text))
            {
                return refuse(format!("must match {pattern}"));
            }
        }
        Value::Number(number) => {
            bounds(
                schema,
                "minimum",
                "maximum",
                number.as_f64().unwrap_or(0.0),
                key,
                "",
            )?;
        }
        Value::Null | Value::Bool(_) => {}
    }
    Ok(())
}

fn bounds(
    schema: &Value,
    least: &str,
    most: &str,
    value: f64,
    key: &str,
    unit: &str,
) -> Result<(), Violation> {
    let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    let rule = if let Some(least) = bound(least).filter(|least| value < *least) {
        format!("must be at least {least}{unit}")
    } else if let Some(most) = bound(most).filter(|most| value > *most) {
        format!("must be at most {most}{unit}")
    } else {
        return Ok(());
    };
    Err(Violation {
        key: key.to_owned(),
        rule,
    })
}

fn join(key: &str, property: &str) -> String {
    if key.is_empty() {
        property.to_owned()
    } else {
        format!("{key}.{property}")
    }
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "integer" => {
            value.is_i64()
                || value.is_u64()
                || value.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        kind => kind == kind_of(value),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_violation_names_key_and_rule() {
        let schema = json!({
            "type": "object",
            "required": ["paths"],
            "additionalProperties": false,
            "properties": {
                "paths": {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "^[a-z]"}},
                "most": {"type": ["integer", "null"], "minimum": 0, "maximum": 9},
                "how": {"enum": ["warn", "fail"]},
                "deep": {"type": "object", "additionalProperties": {"type": "boolean"}},
            },
        });
        for settings in [
            json!({"paths": ["src"], "most": 3, "how": "warn", "deep": {"a": true}}),
            json!({"paths": ["src"], "most": null}),
        ] {
            check(&schema, &settings, Extent::Whole).unwrap();
        }
        check(&schema, &json!({}), Extent::SoFar).unwrap();
        for (settings, says) in [
            (json!([]), "the settings must be object, not array"),
            (json!({}), "paths is missing"),
            (json!({"paths": []}), "paths must be at least 1 items"),
            (json!({"paths": "src"}), "paths must be array, not string"),
            (
                json!({"paths": ["src", 1]}),
                "paths[1] must be string, not number",
            ),
            (json!({"paths": ["1"]}), "paths[0] must match ^[a-z]"),
            (
                json!({"paths": ["a"], "most": 1.5}),
                "most must be integer or null, not number",
            ),
            (
                json!({"paths": ["a"], "most": 10}),
                "most must be at most 9",
            ),
            (
                json!({"paths": ["a"], "how": "ask"}),
                "how must be one of \"warn\", \"fail\"",
            ),
            (
                json!({"paths": ["a"], "deep": {"b": 1}}),
                "deep.b must be boolean, not number",
            ),
            (
                json!({"paths": ["a"], "mots": 1}),
                "mots is no such setting; there are: paths, most, how, deep",
            ),
        ] {
            let violation = check(&schema, &settings, Extent::Whole).unwrap_err();
            assert_eq!(violation.to_string(), says);
        }
    }

    #[test]
    fn a_keyword_without_effect_is_a_fault_of_the_schema() {
        let rows = [
            (
                json!({"type": "object", "properties": {"a": {"type": "string"}}}),
                vec![],
            ),
            (
                json!({"oneOf": []}),
                vec!["at the top: \"oneOf\" has no effect here"],
            ),
            (
                json!({"properties": {"a": {"items": {"format": "uri", "type": "text"}}}}),
                vec![
                    "a[]: \"format\" has no effect here",
                    "a[]: there is no type \"text\"",
                ],
            ),
            (
                json!({"additionalProperties": {"pattern": "("}}),
                vec!["*: pattern \"(\": regex parse error"],
            ),
            (
                json!({"items": 3}),
                vec!["[]: a schema is an object, not number"],
            ),
        ];
        for (schema, expected) in rows {
            let found = faults(&schema.to_string());
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.starts_with(expected), "{found}");
            }
        }
        assert!(faults("{")[0].starts_with("it is no JSON"));
    }

    #[test]
    fn the_bundled_schemas_have_no_fault() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../plugins");
        let mut seen = 0;
        for plugin in std::fs::read_dir(folder).unwrap().flatten() {
            let file = plugin.path().join("src/settings.schema.json");
            if let Ok(schema) = std::fs::read_to_string(&file) {
                assert!(
                    faults(&schema).is_empty(),
                    "{file:?}: {:?}",
                    faults(&schema)
                );
                seen += 1;
            }
        }
        assert!(seen > 3);
    }
}
