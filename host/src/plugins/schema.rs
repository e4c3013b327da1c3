//! Settings against a plugin's JSON Schema: the keywords that settings need, each violation a sentence with the key.
//! A keyword that is not known here is left to the plugin itself.

use serde_json::Value;

/// Checks a value.
///
/// # Errors
/// The first violation: key and rule.
pub(super) fn check(schema: &Value, value: &Value) -> Result<(), String> {
    at(schema, value, "")
}

fn at(schema: &Value, value: &Value, key: &str) -> Result<(), String> {
    let name = || {
        if key.is_empty() {
            "the settings".to_owned()
        } else {
            key.to_owned()
        }
    };
    if schema == &Value::Bool(false) {
        return Err(format!("{} must not be there", name()));
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
            return Err(format!(
                "{} must be {}, not {}",
                name(),
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
        return Err(format!("{} must be one of {allowed}", name()));
    }
    if let Some(only) = schema.get("const")
        && only != value
    {
        return Err(format!("{} must be {only}", name()));
    }
    match value {
        Value::Object(object) => {
            for required in schema
                .get("required")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                if let Some(required) = required
                    .as_str()
                    .filter(|required| !object.contains_key(*required))
                {
                    return Err(format!("{} is missing", join(key, required)));
                }
            }
            let known = schema.get("properties").and_then(Value::as_object);
            let others = schema.get("additionalProperties");
            for (property, value) in object {
                let place = join(key, property);
                match (known.and_then(|known| known.get(property)), others) {
                    (Some(schema), _) => at(schema, value, &place)?,
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
                        return Err(format!("{place} is no such setting; there are: {known}"));
                    }
                    (None, Some(schema)) => at(schema, value, &place)?,
                    (None, None) => {}
                }
            }
        }
        Value::Array(items) => {
            let count = items.len() as u64;
            bounds(schema, "minItems", "maxItems", count as f64, &name, "items")?;
            if let Some(schema) = schema.get("items") {
                for (index, item) in items.iter().enumerate() {
                    at(schema, item, &format!("{key}[{index}]"))?;
                }
            }
        }
        Value::String(text) => {
            bounds(
                schema,
                "minLength",
                "maxLength",
                text.chars().count() as f64,
                &name,
                "characters",
            )?;
            if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
                && regex::Regex::new(pattern).is_ok_and(|pattern| !pattern.is_match(text))
            {
                return Err(format!("{} must match {pattern}", name()));
            }
        }
        Value::Number(number) => {
            bounds(
                schema,
                "minimum",
                "maximum",
                number.as_f64().unwrap_or(0.0),
                &name,
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
    name: &dyn Fn() -> String,
    unit: &str,
) -> Result<(), String> {
    let unit = if unit.is_empty() {
        String::new()
    } else {
        format!(" {unit}")
    };
    let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    if let Some(least) = bound(least).filter(|least| value < *least) {
        return Err(format!("{} must be at least {least}{unit}", name()));
    }
    if let Some(most) = bound(most).filter(|most| value > *most) {
        return Err(format!("{} must be at most {most}{unit}", name()));
    }
    Ok(())
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
        check(
            &schema,
            &json!({"paths": ["src"], "most": 3, "how": "warn", "deep": {"a": true}}),
        )
        .unwrap();
        check(&schema, &json!({"paths": ["src"], "most": null})).unwrap();
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
            assert_eq!(check(&schema, &settings).unwrap_err(), says);
        }
    }
}
