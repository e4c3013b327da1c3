//! JSON Schemas of tools, cut down to what a gateway takes.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::facts::Tools;

/// How deep references into each other are written out before the rest becomes "anything".
const REFERENCE_DEPTH: usize = 16;
/// How many references are written out in one schema: those that name each other twice would grow without end.
const REFERENCE_COUNT: usize = 1_000;

/// The schema as the gateway takes it; itself, not copied, where nothing has to change.
pub(crate) fn fit<'a>(raw: Option<&'a str>, facts: &Tools) -> Cow<'a, str> {
    let Some(raw) = raw.filter(|raw| raw.starts_with('{')) else {
        return Cow::Borrowed("{\"type\":\"object\",\"properties\":{}}");
    };
    let untouched =
        facts.refused_keywords.is_empty() && facts.accepted_formats.is_none() && facts.references;
    if untouched {
        return Cow::Borrowed(raw);
    }
    let Ok(mut schema) = serde_json::from_str::<Value>(raw) else {
        return Cow::Borrowed(raw);
    };
    if !facts.references {
        let root = schema.clone();
        inline(&mut schema, &root, 0, &mut 0);
        if let Value::Object(members) = &mut schema {
            members.remove("$defs");
            members.remove("definitions");
        }
    }
    prune(&mut schema, facts);
    Cow::Owned(schema.to_string())
}

/// Replaces each `$ref` into the document by what it names.
fn inline(schema: &mut Value, root: &Value, depth: usize, count: &mut usize) {
    match schema {
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| inline(item, root, depth, count)),
        Value::Object(members) => {
            let target = members
                .get("$ref")
                .and_then(Value::as_str)
                .map(|reference| {
                    let pointer = reference.strip_prefix('#').unwrap_or(reference);
                    *count += 1;
                    root.pointer(pointer)
                        .filter(|_| depth < REFERENCE_DEPTH && *count < REFERENCE_COUNT)
                        .cloned()
                });
            if let Some(target) = target {
                let Value::Object(mut found) = target.unwrap_or_else(|| json!({})) else {
                    *schema = json!({});
                    return;
                };
                members.shift_remove("$ref");
                for (key, value) in std::mem::take(members) {
                    found.insert(key, value);
                }
                *members = found;
                let mut resolved = Value::Object(std::mem::take(members));
                inline(&mut resolved, root, depth + 1, count);
                *schema = resolved;
                return;
            }
            for (key, value) in members.iter_mut() {
                if !matches!(
                    key.as_str(),
                    "$defs" | "definitions" | "enum" | "const" | "default" | "examples"
                ) {
                    inline(value, root, depth, count);
                }
            }
        }
        _ => {}
    }
}

/// Removes refused keywords; the names of properties are not keywords.
fn prune(schema: &mut Value, facts: &Tools) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| prune(item, facts)),
        Value::Object(members) => {
            members.retain(|key, value| {
                let format_refused = key == "format"
                    && value.as_str().is_some_and(|format| {
                        facts
                            .accepted_formats
                            .as_ref()
                            .is_some_and(|accepted| !accepted.iter().any(|a| a == format))
                    });
                !format_refused && !facts.refused_keywords.iter().any(|refused| refused == key)
            });
            for (key, value) in members.iter_mut() {
                match key.as_str() {
                    "properties" | "patternProperties" | "$defs" | "definitions"
                    | "dependentSchemas" => {
                        if let Value::Object(named) = value {
                            named.values_mut().for_each(|schema| prune(schema, facts));
                        }
                    }
                    "enum" | "const" | "default" | "examples" | "required" => {}
                    _ => prune(value, facts),
                }
            }
            drop_unknown_required(members);
        }
        _ => {}
    }
}

/// Strict gateways refuse a `required` name that is no property.
fn drop_unknown_required(members: &mut Map<String, Value>) {
    let Some(Value::Object(properties)) = members.get("properties") else {
        return;
    };
    let known: Vec<String> = properties.keys().cloned().collect();
    if let Some(Value::Array(required)) = members.get_mut("required") {
        required.retain(|name| {
            name.as_str()
                .is_some_and(|name| known.iter().any(|k| k == name))
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]
    use super::*;
    use crate::facts::Facts;

    fn strict() -> Tools {
        Tools {
            refused_keywords: [
                "$schema",
                "additionalProperties",
                "const",
                "exclusiveMinimum",
            ]
            .map(String::from)
            .into(),
            accepted_formats: Some(vec!["date-time".into()]),
            references: false,
            ..Facts::default().tools
        }
    }

    #[test]
    fn schemas_pass_untouched_where_the_gateway_takes_all() {
        let raw = r#"{ "$schema":"x", "type" : "object" }"#;
        assert_eq!(fit(Some(raw), &Facts::default().tools), raw);
        assert_eq!(
            fit(None, &Facts::default().tools),
            r#"{"type":"object","properties":{}}"#
        );
    }

    #[test]
    fn refused_keywords_go_and_property_names_stay() {
        let raw = r#"{"$schema":"x","type":"object","additionalProperties":false,"required":["format","gone"],
            "properties":{"format":{"type":"string","format":"uri"},"const":{"const":1},"when":{"format":"date-time"},
            "list":{"type":"array","items":{"exclusiveMinimum":0,"enum":["const"]}}}}"#;
        assert_eq!(
            serde_json::from_str::<Value>(&fit(Some(raw), &strict())).unwrap(),
            json!({"type":"object","required":["format"],
                "properties":{"format":{"type":"string"},"const":{},"when":{"format":"date-time"},
                "list":{"type":"array","items":{"enum":["const"]}}}})
        );
    }

    #[test]
    fn references_are_written_out_and_loops_end() {
        let raw = r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/A","description":"d"},"n":{"$ref":"#/$defs/Node"}},
            "$defs":{"A":{"type":"string"},"Node":{"properties":{"next":{"$ref":"#/$defs/Node"}}}}}"##;
        let fitted: Value = serde_json::from_str(&fit(Some(raw), &strict())).unwrap();
        assert_eq!(
            fitted["properties"]["a"],
            json!({"type":"string","description":"d"})
        );
        assert!(!fitted.to_string().contains("$ref") && !fitted.to_string().contains("$defs"));
    }
}
