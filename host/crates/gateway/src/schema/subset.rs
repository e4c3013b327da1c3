//! The subsets of JSON Schema that gateways take, each as an allow-list, and the treatment of the rest.

use serde_json::{Map, Value, json};

use super::inline::drop_unknown_required;
use super::normal::{has_any, has_type};
use super::{DEPTH, each_inner};
use crate::facts::SchemaSubset;

/// The subset of JSON Schema that a gateway takes.
pub(super) struct Subset {
    /// Keywords; any where there are none.
    keywords: &'static [&'static str],
    formats: Option<&'static [&'static str]>,
    pub(super) references: bool,
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
    pub(super) fn of(subset: SchemaSubset) -> Self {
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

    pub(super) fn takes(&self, keyword: &str) -> bool {
        self.keywords.is_empty() || self.keywords.contains(&keyword)
    }

    pub(super) fn apply(&self, schema: &mut Value, depth: usize) {
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
    pub(super) fn take_first(&self, members: &mut Map<String, Value>) {
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
    pub(super) fn enumerate(&self, members: &mut Map<String, Value>) {
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
    pub(super) fn unite(&self, members: &mut Map<String, Value>) {
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

    pub(super) fn split_types(&self, members: &mut Map<String, Value>, kinds: &[Value]) {
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
pub(super) fn belongs(keyword: &str, kind: &Value) -> bool {
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
pub(super) fn describe(members: &mut Map<String, Value>, sentence: &str) {
    let description = match members.get("description").and_then(Value::as_str) {
        Some(said) if !said.is_empty() => format!("{said} {sentence}"),
        _ => sentence.to_owned(),
    };
    members.insert("description".to_owned(), description.into());
}
