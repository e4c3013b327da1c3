//! The normal form: what every gateway takes for a tool.

use serde_json::{Map, Value, json};

use super::inline::drop_unknown_required;
use super::{DEPTH, each_inner};

/// Brings a schema and all schemas inside it into the normal form.
pub(super) fn normalize(schema: &mut Value, depth: usize) {
    if depth > DEPTH {
        *schema = json!({});
        return;
    }
    let Value::Object(members) = schema else {
        // `true` and `false` are schemas, and few gateways know them.
        *schema = json!({});
        return;
    };
    normalize_type(members);
    without_null(members);
    if let Some(Value::Array(tuple)) = members.get("items") {
        let first = match tuple.as_slice() {
            [one] => one.clone(),
            [] => json!({}),
            several => json!({ "anyOf": several }),
        };
        members.insert("items".to_owned(), first);
    }
    if members.get("items").is_some_and(|items| !items.is_object()) {
        members.shift_remove("items");
    }
    if !members.contains_key("type")
        && !has_any(members, &["anyOf", "oneOf", "allOf", "$ref", "not", "if"])
        && let Some(kind) = implied_type(members)
    {
        members.insert("type".to_owned(), kind.into());
    }
    if has_type(members, "array") && !has_any(members, &["items", "prefixItems"]) {
        members.insert("items".to_owned(), json!({}));
    }
    if members
        .get("properties")
        .is_some_and(|properties| !properties.is_object())
    {
        members.shift_remove("properties");
    }
    if members
        .get("required")
        .is_some_and(|required| !required.is_array())
    {
        members.shift_remove("required");
    }
    if members
        .get("pattern")
        .is_some_and(|pattern| pattern.as_str().is_none_or(needs_own_engine))
    {
        members.shift_remove("pattern");
    }
    each_inner(members, |inner| normalize(inner, depth + 1));
}

/// Patterns with Unicode classes or that look around: regex engines of grammars have neither.
fn needs_own_engine(pattern: &str) -> bool {
    ["\\p{", "\\P{", "\\p", "(?=", "(?!", "(?<"]
        .iter()
        .any(|part| pattern.contains(part))
}

/// The names of types as JSON Schema has them; what is none is left out.
fn normalize_type(members: &mut Map<String, Value>) {
    let word = |value: &Value| {
        let word = match value.as_str()?.to_ascii_lowercase().as_str() {
            "string" | "str" | "text" => "string",
            "number" | "float" | "double" => "number",
            "integer" | "int" | "long" => "integer",
            "boolean" | "bool" => "boolean",
            "object" | "dict" | "map" => "object",
            "array" | "list" => "array",
            "null" => "null",
            _ => return None,
        };
        Some(Value::from(word))
    };
    let kind = match members.get("type") {
        None => return,
        Some(Value::Array(kinds)) => {
            let mut known: Vec<Value> = kinds.iter().filter_map(word).collect();
            known.dedup();
            match known.len() {
                0 => None,
                1 => known.pop(),
                _ => Some(Value::Array(known)),
            }
        }
        Some(one) => word(one),
    };
    match kind {
        Some(kind) => members.insert("type".to_owned(), kind),
        None => members.shift_remove("type"),
    };
}

/// Takes `null` out of types, alternatives and enumerations.
pub(super) fn without_null(members: &mut Map<String, Value>) {
    if let Some(Value::Array(kinds)) = members.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [one] = kinds.as_slice() {
            let one = one.clone();
            members.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(values)) = members.get_mut("enum")
        && values.iter().any(|value| !value.is_null())
    {
        values.retain(|value| !value.is_null());
    }
    for key in ["anyOf", "oneOf"] {
        let Some(Value::Array(alternatives)) = members.get_mut(key) else {
            continue;
        };
        let before = alternatives.len();
        alternatives.retain(|alternative| !is_null(alternative));
        if alternatives.len() == before {
            continue;
        }
        match alternatives.as_slice() {
            [] => {
                members.shift_remove(key);
            }
            [Value::Object(only)] => {
                // What is said beside the alternatives wins: the description of a property.
                let mut only = only.clone();
                members.shift_remove(key);
                only.extend(std::mem::take(members));
                *members = only;
                normalize_type(members);
            }
            _ => {}
        }
    }
}

pub(super) fn is_null(schema: &Value) -> bool {
    schema
        .get("type")
        .is_some_and(|kind| kind == "null" || *kind == json!(["null"]))
        || schema.get("const").is_some_and(Value::is_null)
        || schema
            .get("enum")
            .is_some_and(|values| *values == json!([null]))
}

pub(super) fn has_any(members: &Map<String, Value>, keys: &[&str]) -> bool {
    keys.iter().any(|key| members.contains_key(*key))
}

pub(super) fn has_type(members: &Map<String, Value>, kind: &str) -> bool {
    match members.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(|one| one == kind),
        Some(one) => one == kind,
        None => false,
    }
}

/// The type that a schema's other members imply.
pub(super) fn implied_type(members: &Map<String, Value>) -> Option<&'static str> {
    if has_any(
        members,
        &[
            "properties",
            "additionalProperties",
            "required",
            "patternProperties",
        ],
    ) {
        return Some("object");
    }
    if has_any(members, &["items", "prefixItems", "minItems", "maxItems"]) {
        return Some("array");
    }
    let of = |value: &Value| match value {
        Value::String(_) => Some("string"),
        Value::Bool(_) => Some("boolean"),
        Value::Number(number) if number.is_f64() => Some("number"),
        Value::Number(_) => Some("integer"),
        _ => None,
    };
    if let Some(only) = members.get("const") {
        return of(only);
    }
    let values = members.get("enum")?.as_array()?;
    let first = of(values.first()?)?;
    values
        .iter()
        .all(|value| of(value) == Some(first))
        .then_some(first)
}

/// Makes the outermost schema an object with `properties` and without alternatives.
pub(super) fn make_object(schema: &mut Value) {
    let Value::Object(root) = schema else {
        return;
    };
    let mut parts: Vec<(bool, Value)> = Vec::new();
    for (key, all) in [("allOf", true), ("anyOf", false), ("oneOf", false)] {
        if let Some(Value::Array(list)) = root.shift_remove(key) {
            parts.extend(list.into_iter().map(|part| (all, part)));
        }
    }
    let mut properties = match root.shift_remove("properties") {
        Some(Value::Object(properties)) => properties,
        _ => Map::new(),
    };
    let mut required = root.shift_remove("required");
    for (all, part) in parts {
        let Value::Object(mut part) = part else {
            continue;
        };
        if let Some(Value::Object(more)) = part.shift_remove("properties") {
            for (name, property) in more {
                properties.entry(name).or_insert(property);
            }
        }
        // What only one of several alternatives asks for is not asked for.
        if all && let Some(Value::Array(more)) = part.shift_remove("required") {
            match &mut required {
                Some(Value::Array(names)) => {
                    for name in more {
                        if !names.contains(&name) {
                            names.push(name);
                        }
                    }
                }
                _ => required = Some(Value::Array(more)),
            }
        }
    }
    if root.get("type").is_none_or(|kind| kind != "object") {
        root.insert("type".to_owned(), "object".into());
    }
    root.insert("properties".to_owned(), Value::Object(properties));
    if let Some(required) = required {
        root.insert("required".to_owned(), required);
    }
    drop_unknown_required(root);
    for key in [
        "not",
        "enum",
        "const",
        "if",
        "then",
        "else",
        "items",
        "prefixItems",
        "minItems",
        "maxItems",
        "pattern",
        "format",
    ] {
        root.shift_remove(key);
    }
}
