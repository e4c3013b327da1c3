//! JSON Schemas of tools: brought into one normal form, then cut down to what a gateway takes.
//!
//! The normal form is one that every gateway takes for a tool: an object with `properties`, arrays with `items`, no `null`
//! among the types, no pattern that only some regex engines read. A gateway's own subset is a list of what it takes
//! ([`SchemaSubset`]); everything else is said in the description, or left out. Nothing that a model may answer becomes
//! wrong by this: the caller checks a call's arguments against its own schema.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use serde_json::{Map, Value, json};

use crate::facts::{SchemaSubset, Tools};

/// The depth to which references into each other are written out before the rest becomes
/// "anything".
const REFERENCE_DEPTH: usize = 16;
/// The number of references that are written out in one schema: those that name each other twice
/// would grow without end.
const REFERENCE_COUNT: usize = 1_000;
/// The depth to which a schema is looked into.
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

/// Schemas that were fitted, with what they became: an agent sends the same ones with every request.
static REMEMBERED_SCHEMAS: LazyLock<Mutex<Schemas>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Schemas {
    fitted: HashMap<(u64, u64), (Box<str>, Option<Arc<str>>)>,
    bytes: usize,
}

impl Schemas {
    /// The outcome for a schema under these rules: nothing, or another one.
    fn get(&self, raw: &str, rules: u64) -> Option<Option<Arc<str>>> {
        let (known, fitted) = self.fitted.get(&(key(raw), rules))?;
        (**known == *raw).then(|| fitted.clone())
    }

    fn put(&mut self, raw: &str, rules: u64, fitted: Option<Arc<str>>) {
        let bytes = raw.len() + fitted.as_ref().map_or(0, |fitted| fitted.len());
        if self.bytes + bytes > REMEMBERED {
            self.fitted.clear();
            self.bytes = 0;
        }
        if bytes <= REMEMBERED {
            self.bytes += bytes;
            self.fitted.insert((key(raw), rules), (raw.into(), fitted));
        }
    }
}

/// A key that is read off a few bytes: the whole is compared where it is found.
fn key(raw: &str) -> u64 {
    let bytes = raw.as_bytes();
    let mut hasher = DefaultHasher::new();
    bytes.len().hash(&mut hasher);
    for part in [
        0,
        bytes.len() / 3,
        bytes.len() * 2 / 3,
        bytes.len().saturating_sub(64),
    ] {
        bytes
            .get(part..bytes.len().min(part + 64))
            .hash(&mut hasher);
    }
    hasher.finish()
}

/// A number for the facts that decide what becomes of a schema.
fn rules(facts: &Tools) -> u64 {
    let mut hasher = DefaultHasher::new();
    facts.refused_keywords.hash(&mut hasher);
    facts.accepted_formats.hash(&mut hasher);
    facts.references.hash(&mut hasher);
    (facts.schema as u8).hash(&mut hasher);
    hasher.finish()
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

/// Brings a schema and all schemas inside it into the normal form.
fn normalize(schema: &mut Value, depth: usize) {
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
fn without_null(members: &mut Map<String, Value>) {
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

fn is_null(schema: &Value) -> bool {
    schema
        .get("type")
        .is_some_and(|kind| kind == "null" || *kind == json!(["null"]))
        || schema.get("const").is_some_and(Value::is_null)
        || schema
            .get("enum")
            .is_some_and(|values| *values == json!([null]))
}

fn has_any(members: &Map<String, Value>, keys: &[&str]) -> bool {
    keys.iter().any(|key| members.contains_key(*key))
}

fn has_type(members: &Map<String, Value>, kind: &str) -> bool {
    match members.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(|one| one == kind),
        Some(one) => one == kind,
        None => false,
    }
}

/// The type that a schema's other members imply.
fn implied_type(members: &Map<String, Value>) -> Option<&'static str> {
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
fn make_object(schema: &mut Value) {
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

/// The parts that a gateway takes of JSON Schema.
struct Subset {
    /// Keywords; any where there are none.
    keywords: &'static [&'static str],
    formats: Option<&'static [&'static str]>,
    references: bool,
    /// A list of types becomes alternatives.
    one_type: bool,
    /// Alternatives stay; otherwise the first of them stands for all.
    alternatives: bool,
    /// Values of an enumeration are strings.
    string_enums: bool,
    /// Each schema has a type.
    typed: bool,
    /// A type beside alternatives goes into them.
    type_inside: bool,
    patterns: Patterns,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Patterns {
    Any,
    /// Only those that are anchored on both sides.
    Anchored,
}

impl Subset {
    fn of(subset: SchemaSubset) -> Self {
        let any = Self {
            keywords: &[],
            formats: None,
            references: true,
            one_type: false,
            alternatives: true,
            string_enums: false,
            typed: false,
            type_inside: false,
            patterns: Patterns::Any,
        };
        match subset {
            SchemaSubset::Any => any,
            // Gemini's Schema message: ai.google.dev/api/caching#Schema.
            SchemaSubset::Gemini => Self {
                keywords: &[
                    "type",
                    "description",
                    "title",
                    "properties",
                    "required",
                    "items",
                    "enum",
                    "anyOf",
                    "minimum",
                    "maximum",
                    "minItems",
                    "maxItems",
                    "format",
                    "nullable",
                    "minLength",
                    "maxLength",
                    "minProperties",
                    "maxProperties",
                    "pattern",
                    "propertyOrdering",
                    "default",
                ],
                formats: Some(&["enum", "date-time"]),
                references: false,
                one_type: true,
                string_enums: true,
                typed: true,
                type_inside: true,
                ..any
            },
            // "moonshot flavored json schema": MoonshotAI/walle, its validator.
            SchemaSubset::Moonshot => Self {
                keywords: &[
                    "type",
                    "description",
                    "title",
                    "properties",
                    "required",
                    "items",
                    "enum",
                    "anyOf",
                    "minimum",
                    "maximum",
                    "minItems",
                    "maxItems",
                    "minLength",
                    "maxLength",
                    "additionalProperties",
                    "default",
                    "$ref",
                    "$defs",
                ],
                one_type: true,
                typed: true,
                type_inside: true,
                ..any
            },
            // llama.cpp's json-schema-to-grammar: what it throws at is left out.
            SchemaSubset::LlamaCpp => Self {
                keywords: &[
                    "type",
                    "description",
                    "title",
                    "properties",
                    "required",
                    "items",
                    "prefixItems",
                    "enum",
                    "const",
                    "anyOf",
                    "oneOf",
                    "allOf",
                    "minimum",
                    "maximum",
                    "exclusiveMinimum",
                    "exclusiveMaximum",
                    "minItems",
                    "maxItems",
                    "minLength",
                    "maxLength",
                    "additionalProperties",
                    "pattern",
                    "format",
                    "$ref",
                    "$defs",
                    "definitions",
                ],
                formats: Some(&["date", "time", "date-time", "uuid"]),
                patterns: Patterns::Anchored,
                ..any
            },
            SchemaSubset::Openai => Self {
                keywords: &[
                    "type",
                    "description",
                    "title",
                    "properties",
                    "required",
                    "items",
                    "enum",
                    "const",
                    "anyOf",
                    "minimum",
                    "maximum",
                    "exclusiveMinimum",
                    "exclusiveMaximum",
                    "multipleOf",
                    "minItems",
                    "maxItems",
                    "minLength",
                    "maxLength",
                    "additionalProperties",
                    "pattern",
                    "format",
                    "default",
                    "$ref",
                    "$defs",
                    "definitions",
                ],
                ..any
            },
            SchemaSubset::Minimal => Self {
                keywords: &[
                    "type",
                    "description",
                    "properties",
                    "required",
                    "items",
                    "enum",
                ],
                formats: Some(&[]),
                references: false,
                one_type: true,
                alternatives: false,
                string_enums: true,
                typed: true,
                ..any
            },
        }
    }

    fn takes(&self, keyword: &str) -> bool {
        self.keywords.is_empty() || self.keywords.contains(&keyword)
    }

    fn apply(&self, schema: &mut Value, depth: usize) {
        let Value::Object(members) = schema else {
            return;
        };
        self.unite(members);
        if !self.alternatives {
            self.take_first(members);
        }
        self.enumerate(members);
        if self.one_type
            && let Some(Value::Array(kinds)) = members.get("type").cloned()
        {
            self.split_types(members, &kinds);
        }
        if self.type_inside
            && let Some(Value::Array(alternatives)) = members.get_mut("anyOf")
        {
            let alternatives = std::mem::take(alternatives);
            let kind = members.shift_remove("type");
            let alternatives = alternatives
                .into_iter()
                .map(|mut alternative| {
                    if let (Some(kind), Value::Object(inner)) = (&kind, &mut alternative) {
                        inner.entry("type").or_insert_with(|| kind.clone());
                    }
                    alternative
                })
                .collect();
            members.insert("anyOf".to_owned(), Value::Array(alternatives));
        }
        if self.formats.is_some_and(|formats| {
            members
                .get("format")
                .and_then(Value::as_str)
                .is_some_and(|format| !formats.contains(&format))
        }) {
            members.shift_remove("format");
        }
        if self.patterns == Patterns::Anchored
            && members
                .get("pattern")
                .and_then(Value::as_str)
                .is_some_and(|pattern| {
                    !(pattern.starts_with('^') && pattern.ends_with('$')) || pattern.contains('\\')
                })
        {
            members.shift_remove("pattern");
        }
        members.retain(|keyword, _| self.takes(keyword));
        if self.typed && !has_any(members, &["type", "anyOf", "$ref"]) {
            members.insert("type".to_owned(), "string".into());
        }
        if has_type(members, "array") && !has_any(members, &["items", "prefixItems"]) {
            members.insert("items".to_owned(), json!({}));
        }
        drop_unknown_required(members);
        if depth < DEPTH {
            each_inner(members, |inner| self.apply(inner, depth + 1));
        }
    }

    /// The first alternative in place of all.
    fn take_first(&self, members: &mut Map<String, Value>) {
        for _ in 0..DEPTH {
            let Some(alternatives) = members.shift_remove("anyOf") else {
                return;
            };
            if let Some(Value::Object(first)) = alternatives.get(0) {
                let mut first = first.clone();
                first.extend(std::mem::take(members));
                *members = first;
            }
            self.unite(members);
        }
        members.shift_remove("anyOf");
    }

    /// `const` as an enumeration; values that may not be in one go into the description.
    fn enumerate(&self, members: &mut Map<String, Value>) {
        if !self.takes("const")
            && let Some(only) = members.shift_remove("const")
        {
            members.entry("enum").or_insert_with(|| json!([only]));
        }
        if !self.string_enums {
            return;
        }
        let values = match members.get("enum") {
            Some(Value::Array(values)) if !values.iter().all(Value::is_string) => values.clone(),
            _ => return,
        };
        members.shift_remove("enum");
        let values: Vec<String> = values.iter().map(Value::to_string).collect();
        describe(members, &format!("One of: {}", values.join(", ")));
    }

    /// `oneOf` as `anyOf`, and `allOf` as one schema, where the gateway has only that.
    fn unite(&self, members: &mut Map<String, Value>) {
        if !self.takes("oneOf")
            && let Some(alternatives) = members.shift_remove("oneOf")
        {
            members.entry("anyOf").or_insert(alternatives);
        }
        if !self.takes("allOf")
            && let Some(Value::Array(parts)) = members.shift_remove("allOf")
        {
            for part in parts {
                let Value::Object(part) = part else {
                    continue;
                };
                for (key, value) in part {
                    match (members.get_mut(&key), value) {
                        (Some(Value::Object(into)), Value::Object(more)) => into.extend(more),
                        (Some(Value::Array(into)), Value::Array(more)) if key == "required" => {
                            into.extend(more)
                        }
                        (Some(_), _) => {}
                        (None, value) => {
                            members.insert(key, value);
                        }
                    }
                }
            }
        }
    }

    fn split_types(&self, members: &mut Map<String, Value>, kinds: &[Value]) {
        if !self.alternatives || members.contains_key("anyOf") {
            let first = kinds
                .iter()
                .find(|kind| *kind == "string")
                .or(kinds.first());
            members.insert(
                "type".to_owned(),
                first.cloned().unwrap_or_else(|| "string".into()),
            );
            return;
        }
        let description = members.shift_remove("description");
        members.shift_remove("type");
        let rest = std::mem::take(members);
        let alternatives = kinds
            .iter()
            .map(|kind| {
                let mut one = Map::new();
                one.insert("type".to_owned(), kind.clone());
                for (key, value) in &rest {
                    if belongs(key, kind) {
                        one.insert(key.clone(), value.clone());
                    }
                }
                Value::Object(one)
            })
            .collect();
        if let Some(description) = description {
            members.insert("description".to_owned(), description);
        }
        members.insert("anyOf".to_owned(), Value::Array(alternatives));
    }
}

/// Returns true if a keyword says something of values of a type.
fn belongs(keyword: &str, kind: &Value) -> bool {
    match keyword {
        "properties" | "required" | "additionalProperties" | "minProperties" | "maxProperties" => {
            kind == "object"
        }
        "items" | "prefixItems" | "minItems" | "maxItems" => kind == "array",
        "minLength" | "maxLength" | "pattern" | "format" | "enum" => kind == "string",
        "minimum" | "maximum" | "multipleOf" => kind == "number" || kind == "integer",
        _ => false,
    }
}

/// Adds a sentence to a description.
fn describe(members: &mut Map<String, Value>, sentence: &str) {
    let description = match members.get("description").and_then(Value::as_str) {
        Some(said) if !said.is_empty() => format!("{said} {sentence}"),
        _ => sentence.to_owned(),
    };
    members.insert("description".to_owned(), description.into());
}

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
fn close(schema: &mut Value, depth: usize) -> bool {
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
    use proptest::prelude::*;

    fn in_subset(schema: SchemaSubset, raw: &str) -> Value {
        let tools = Tools {
            schema,
            ..Facts::default().tools
        };
        serde_json::from_str(&fit(Some(raw), &tools)).unwrap()
    }

    #[test]
    fn every_schema_has_a_normal_form() {
        for (raw, want) in [
            (
                r#"{"type":"object"}"#,
                r#"{"type":"object","properties":{}}"#,
            ),
            ("{}", r#"{"type":"object","properties":{}}"#),
            (
                r#"{"properties":{"a":{}}}"#,
                r#"{"type":"object","properties":{"a":{}}}"#,
            ),
            (
                r#"{"type":["object","null"],"properties":{}}"#,
                r#"{"type":"object","properties":{}}"#,
            ),
            (
                r#"{"type":"object","properties":null,"required":null}"#,
                r#"{"type":"object","properties":{}}"#,
            ),
            (
                r#"{"type":"object","properties":{"a":{"type":"array"},"b":{"type":"array","items":[{"type":"string"}]},"c":{"type":["array","null"]}}}"#,
                r#"{"type":"object","properties":{"a":{"type":"array","items":{}},"b":{"type":"array","items":{"type":"string"}},"c":{"type":"array","items":{}}}}"#,
            ),
            (
                r#"{"type":"object","properties":{"a":{"anyOf":[{"type":"string","minLength":1},{"type":"null"}],"description":"d"},"b":{"type":["string","null"],"enum":["x",null]},"c":{"type":["string","number","null"]}}}"#,
                r#"{"type":"object","properties":{"a":{"type":"string","minLength":1,"description":"d"},"b":{"type":"string","enum":["x"]},"c":{"type":["string","number"]}}}"#,
            ),
            (
                r#"{"type":"object","properties":{"a":{"type":"string","pattern":"^\\p{L}+$"},"b":{"type":"string","pattern":"^[a-z]+$"},"c":true,"d":{"type":"STRING"},"e":{"enum":[1,2]}}}"#,
                r#"{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string","pattern":"^[a-z]+$"},"c":{},"d":{"type":"string"},"e":{"enum":[1,2],"type":"integer"}}}"#,
            ),
            (
                r#"{"anyOf":[{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]},{"properties":{"b":{"type":"string"}}}]}"#,
                r#"{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}}}"#,
            ),
            (
                r#"{"type":"object","properties":{"items":{"type":"array","items":{"type":"object","properties":{"type":{"type":"array"}}}}}}"#,
                r#"{"type":"object","properties":{"items":{"type":"array","items":{"type":"object","properties":{"type":{"type":"array","items":{}}}}}}}"#,
            ),
        ] {
            let want: Value = serde_json::from_str(want).unwrap();
            assert_eq!(in_subset(SchemaSubset::Any, raw), want, "{raw}");
        }
    }

    #[test]
    fn a_subset_takes_what_it_names_and_nothing_else() {
        use SchemaSubset::{Gemini, LlamaCpp, Minimal, Moonshot};
        let property = |subset, raw: &str| {
            let whole = format!(
                r#"{{"type":"object","additionalProperties":false,"properties":{{"a":{raw}}}}}"#
            );
            in_subset(subset, &whole)["properties"]["a"].clone()
        };
        for (subset, raw, want) in [
            (
                Gemini,
                r#"{"type":["string","integer"],"description":"d","minLength":1}"#,
                r#"{"description":"d","anyOf":[{"type":"string","minLength":1},{"type":"integer"}]}"#,
            ),
            (
                Gemini,
                r#"{"oneOf":[{"type":"string"},{"type":"integer","exclusiveMinimum":0}]}"#,
                r#"{"anyOf":[{"type":"string"},{"type":"integer"}]}"#,
            ),
            (
                Gemini,
                r#"{"type":"integer","enum":[1,2]}"#,
                r#"{"type":"integer","description":"One of: 1, 2"}"#,
            ),
            (
                Gemini,
                r#"{"const":"x"}"#,
                r#"{"type":"string","enum":["x"]}"#,
            ),
            (
                Gemini,
                r#"{"type":"string","format":"uri","$comment":"c","examples":["x"]}"#,
                r#"{"type":"string"}"#,
            ),
            (
                Gemini,
                r#"{"type":"array"}"#,
                r#"{"type":"array","items":{"type":"string"}}"#,
            ),
            (
                Gemini,
                r#"{"allOf":[{"type":"object","properties":{"b":{"type":"string"}}},{"required":["b"]}]}"#,
                r#"{"type":"object","properties":{"b":{"type":"string"}},"required":["b"]}"#,
            ),
            (
                Moonshot,
                r#"{"type":"object","anyOf":[{"properties":{"b":{"type":"string"}}},{"required":["c"]}]}"#,
                r#"{"anyOf":[{"type":"object","properties":{"b":{"type":"string"}}},{"type":"object","required":["c"]}]}"#,
            ),
            (
                Moonshot,
                r#"{"description":"any"}"#,
                r#"{"description":"any","type":"string"}"#,
            ),
            (
                LlamaCpp,
                r#"{"type":"string","pattern":"[a-z]","format":"uri","not":{}}"#,
                r#"{"type":"string"}"#,
            ),
            (
                LlamaCpp,
                r#"{"type":"string","pattern":"^[a-z]+$"}"#,
                r#"{"type":"string","pattern":"^[a-z]+$"}"#,
            ),
            (
                Minimal,
                r#"{"anyOf":[{"type":"string","format":"x"},{"type":"integer"}],"description":"d"}"#,
                r#"{"type":"string","description":"d"}"#,
            ),
        ] {
            let want: Value = serde_json::from_str(want).unwrap();
            assert_eq!(property(subset, raw), want, "{raw}");
        }
        assert_eq!(
            in_subset(
                Gemini,
                r#"{"type":"object","$schema":"x","additionalProperties":false}"#
            ),
            json!({"type":"object","properties":{}})
        );
    }

    #[test]
    fn strict_is_only_what_can_be() {
        for (raw, want) in [
            (
                r#"{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}"#,
                true,
            ),
            (
                r#"{"$schema":"x","type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}"#,
                true,
            ),
            (
                r#"{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}},"required":["a"]}"#,
                false,
            ),
            (
                r#"{"type":"object","properties":{"a":{"type":"object","properties":{"b":{"type":"string"}}}},"required":["a"]}"#,
                false,
            ),
            (
                r#"{"type":"object","properties":{"a":{"type":"object"}},"required":["a"]}"#,
                false,
            ),
            (
                r#"{"type":"object","properties":{},"additionalProperties":true}"#,
                false,
            ),
            (r#"{"type":"array","items":{"type":"string"}}"#, false),
            (
                r#"{"type":"object","properties":{"a":{"oneOf":[{"type":"string"}]}},"required":["a"]}"#,
                false,
            ),
        ] {
            let (schema, strict) = of_response(raw, &Facts::default().tools);
            assert_eq!(strict, want, "{raw}");
            if strict {
                let schema: Value = serde_json::from_str(&schema).unwrap();
                assert_eq!(schema["additionalProperties"], false, "{raw}");
            }
        }
    }

    fn any_schema() -> impl Strategy<Value = Value> {
        let leaf = proptest::sample::select(vec![
            json!({}),
            json!(true),
            json!(null),
            json!({"type":"string"}),
            json!({"type":["array","null"]}),
            json!({"type":"array"}),
            json!({"enum":[1,null]}),
            json!({"const":1}),
            json!({"type":7}),
            json!({"$ref":"#/properties/a"}),
            json!({"pattern":"\\p{L}"}),
        ]);
        leaf.prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                proptest::collection::btree_map("[ab]", inner.clone(), 0..3)
                    .prop_map(|properties| json!({"type":"object","properties":properties})),
                proptest::collection::vec(inner.clone(), 0..3)
                    .prop_map(|list| json!({"anyOf":list})),
                proptest::collection::vec(inner.clone(), 0..3)
                    .prop_map(|list| json!({"oneOf":list,"allOf":list})),
                inner.clone().prop_map(|item| json!({"items":item})),
                inner.prop_map(
                    |item| json!({"type":["object","array"],"properties":{"x":item},"items":[item]})
                ),
            ]
        })
    }

    /// Fails where a schema is not in the normal form.
    fn check(schema: &Value) {
        let members = schema.as_object().unwrap();
        assert!(!has_type(members, "null"), "{schema}");
        assert!(
            !has_type(members, "array") || has_any(members, &["items", "prefixItems"]),
            "{schema}"
        );
        each_inner(&mut members.clone(), |inner| check(inner));
    }

    proptest! {
        #[test]
        fn the_normal_form_holds_at_any_depth_and_stays(schema in any_schema()) {
            let raw = match schema { Value::Object(_) => schema.to_string(), other => json!({ "properties": { "a": other } }).to_string() };
            for subset in [SchemaSubset::Any, SchemaSubset::Gemini, SchemaSubset::Moonshot, SchemaSubset::LlamaCpp, SchemaSubset::Openai, SchemaSubset::Minimal] {
                let once = in_subset(subset, &raw);
                prop_assert_eq!(&once["type"], "object");
                prop_assert!(once["properties"].is_object());
                each_inner(&mut once.as_object().unwrap().clone(), |inner| check(inner));
                let twice = in_subset(subset, &once.to_string());
                prop_assert_eq!(&twice, &once);
            }
        }
    }

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
    fn a_schema_in_its_normal_form_passes_untouched() {
        let raw = r#"{ "$schema":"x", "type" : "object", "properties":{} }"#;
        for _ in 0..2 {
            assert!(
                matches!(fit(Some(raw), &Facts::default().tools), Cow::Borrowed(same) if same == raw)
            );
        }
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
                "properties":{"format":{"type":"string"},"const":{"type":"integer"},"when":{"format":"date-time"},
                "list":{"type":"array","items":{"type":"string","enum":["const"]}}}})
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
