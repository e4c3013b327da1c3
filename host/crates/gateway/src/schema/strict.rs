//! OpenAI's strict mode: which schemas can be followed to the letter.

use serde_json::{Value, json};

use super::normal::has_type;
use super::{DEPTH, each_inner};

/// Keywords of OpenAI's strict mode.
const STRICT: [&str; 21] = [
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "enum",
    "const",
    "anyOf",
    "$ref",
    "$defs",
    "definitions",
    "description",
    "title",
    "pattern",
    "format",
    "multipleOf",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minItems",
];

/// Closes every object to further properties; returns true if the schema can then be followed strictly.
pub(super) fn close(schema: &mut Value, depth: usize) -> bool {
    let Value::Object(members) = schema else {
        return false;
    };
    let known = |key: &String| STRICT.contains(&key.as_str()) || key == "maxItems";
    if depth > DEPTH || !members.keys().all(known) || (depth == 0 && !has_type(members, "object")) {
        return false;
    }
    if has_type(members, "object") {
        let open = members
            .get("additionalProperties")
            .is_some_and(|further| *further != json!(false));
        let required = members.get("required").and_then(Value::as_array);
        let all = members
            .get("properties")
            .and_then(Value::as_object)
            .is_some_and(|properties| {
                properties.keys().all(|name| {
                    required.is_some_and(|required| required.iter().any(|known| known == name))
                })
            });
        if open || !all {
            return false;
        }
        members.insert("additionalProperties".to_owned(), false.into());
    }
    if has_type(members, "array") && !members.contains_key("items") {
        return false;
    }
    let mut closed = true;
    each_inner(members, |inner| closed &= close(inner, depth + 1));
    closed
}
