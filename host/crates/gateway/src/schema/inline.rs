//! References written out, and keywords that a gateway refuses by name.

use serde_json::{Map, Value, json};

use super::{REFERENCE_COUNT, REFERENCE_DEPTH};
use crate::facts::Tools;

/// Replaces each `$ref` into the document by what it names.
pub(super) fn inline(schema: &mut Value, root: &Value, depth: usize, count: &mut usize) {
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
pub(super) fn prune(schema: &mut Value, facts: &Tools) {
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
pub(super) fn drop_unknown_required(members: &mut Map<String, Value>) {
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
