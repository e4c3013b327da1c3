//! JSON Schemas of tools: brought into one normal form, then cut down to what a gateway takes.
//!
//! The normal form is one that every gateway takes for a tool: an object with `properties`, arrays with `items`, no `null`
//! among the types, no pattern that only some regex engines read. A gateway's own subset is a list of what it takes
//! ([`SchemaSubset`]); everything else is said in the description, or left out. Nothing that a model may answer becomes
//! wrong by this: the caller checks a call's arguments against its own schema.

mod inline;
mod normal;
mod remembered;
mod strict;
mod subset;

use std::borrow::Cow;
use std::sync::{Arc, PoisonError};

use serde_json::{Map, Value};

use crate::facts::{SchemaSubset, Tools};
use inline::{inline, prune};
use normal::{make_object, normalize};
use remembered::{REMEMBERED_SCHEMAS, rules};
use strict::close;
use subset::Subset;

/// The depth to which references into each other are written out before the rest becomes "anything".
const REFERENCE_DEPTH: usize = 16;
/// The number of references that are written out in one schema: those that name each other twice would grow without end.
const REFERENCE_COUNT: usize = 1_000;
/// The depth to which a schema is read.
const DEPTH: usize = 64;
/// The most bytes of schemas that are remembered.
const REMEMBERED: usize = 4 << 20;

/// The schema as the gateway takes it; itself, not copied, where nothing has to change.
pub(crate) fn fit<'a>(raw: Option<&'a str>, facts: &Tools) -> Cow<'a, str> {
    let Some(raw) = raw.filter(|raw| raw.starts_with('{')) else {
        return Cow::Borrowed("{\"type\":\"object\",\"properties\":{}}");
    };
    let rules = rules(facts);
    if let Some(known) = REMEMBERED_SCHEMAS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(raw, rules)
    {
        return known.map_or(Cow::Borrowed(raw), |fitted| {
            Cow::Owned((*fitted).to_owned())
        });
    }
    let Ok(schema) = serde_json::from_str::<Value>(raw) else {
        return Cow::Borrowed(raw);
    };
    let fitted = fitted(&schema, facts);
    let fitted: Option<Arc<str>> = (fitted != schema).then(|| fitted.to_string().into());
    REMEMBERED_SCHEMAS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .put(raw, rules, fitted.clone());
    fitted.map_or(Cow::Borrowed(raw), |fitted| {
        Cow::Owned((*fitted).to_owned())
    })
}

/// A response schema as the gateway takes it, and whether it can be followed strictly: OpenAI's strict mode wants every
/// property required and no further ones.
pub(crate) fn of_response<'a>(raw: &'a str, facts: &Tools) -> (Cow<'a, str>, bool) {
    let Ok(mut schema) = serde_json::from_str::<Value>(raw) else {
        return (Cow::Borrowed(raw), false);
    };
    if let Value::Object(members) = &mut schema {
        members.shift_remove("$schema");
    }
    let mut strict = schema.clone();
    if close(&mut strict, 0) {
        return (Cow::Owned(strict.to_string()), true);
    }
    match facts.schema {
        SchemaSubset::Any => (Cow::Borrowed(raw), false),
        _ => (Cow::Owned(fitted(&schema, facts).to_string()), false),
    }
}

fn fitted(schema: &Value, facts: &Tools) -> Value {
    let subset = Subset::of(facts.schema);
    let mut fitted = schema.clone();
    if !facts.references || !subset.references {
        let root = fitted.clone();
        inline(&mut fitted, &root, 0, &mut 0);
        if let Value::Object(members) = &mut fitted {
            members.shift_remove("$defs");
            members.shift_remove("definitions");
        }
    }
    normalize(&mut fitted, 0);
    make_object(&mut fitted);
    if facts.schema != SchemaSubset::Any {
        subset.apply(&mut fitted, 0);
    }
    if !facts.refused_keywords.is_empty() || facts.accepted_formats.is_some() {
        prune(&mut fitted, facts);
    }
    fitted
}

/// Calls a function for every schema right inside another one.
fn each_inner(members: &mut Map<String, Value>, mut each: impl FnMut(&mut Value)) {
    for (key, value) in members.iter_mut() {
        match (key.as_str(), value) {
            (
                "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas",
                Value::Object(named),
            ) => named.values_mut().for_each(&mut each),
            ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(list)) => {
                list.iter_mut().for_each(&mut each);
            }
            (
                "items"
                | "additionalProperties"
                | "not"
                | "contains"
                | "propertyNames"
                | "if"
                | "then"
                | "else",
                value @ Value::Object(_),
            ) => {
                each(value);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
