//! `wit/facts.schema.json`, made from the type of the facts, and held to it.

#![allow(clippy::unwrap_used, clippy::panic)]

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::layer::{Condition, defaults};
use super::types::Facts;

/// The path of the schema.
const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../../wit/facts.schema.json"
);

/// The schema of what a dialect answers: the facts, each with its doc and its default, and those of
/// some requests.
fn schema() -> Value {
    let mut facts = made_of::<Facts>();
    let sections = facts["properties"].as_object_mut().unwrap();
    for section in sections.values_mut() {
        // Each of its facts says its own.
        if section.get("properties").is_some() {
            section.as_object_mut().unwrap().shift_remove("default");
        }
    }
    let same = |name: &String| {
        (
            name.clone(),
            json!({"$ref": format!("#/properties/{name}")}),
        )
    };
    let same = sections.keys().map(same).collect::<Vec<_>>();
    let mut when = made_of::<Condition>();
    when["properties"].as_object_mut().unwrap().extend(same);
    facts["properties"]["when"] = json!({
        "description": "Facts that hold for some requests, the later ones over the earlier ones.",
        "type": "array",
        "items": when,
    });
    let mut whole = Map::from_iter([
        (
            "$schema".to_owned(),
            json!("http://json-schema.org/draft-07/schema#"),
        ),
        ("title".to_owned(), json!("Facts of a gateway and a model")),
    ]);
    whole.extend(facts.as_object().unwrap().clone());
    Value::Object(whole)
}

fn made_of<T: schemars::JsonSchema>() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<T>();
    tidied(schema.to_value())
}

/// A schema without what is this implementation's (names of types, widths of numbers), with its
/// description first and on one line.
fn tidied(schema: Value) -> Value {
    match schema {
        Value::Object(members) => {
            let is_schema = ["type", "oneOf", "anyOf"]
                .iter()
                .any(|word| members.contains_key(*word));
            let mut tidy = Map::new();
            if let Some(Value::String(text)) = members.get("description") {
                tidy.insert("description".to_owned(), json!(text.replace('\n', " ")));
            }
            for (key, value) in members {
                let own = matches!(key.as_str(), "title" | "format" | "$schema") && is_schema;
                if !own && !tidy.contains_key(&key) {
                    tidy.insert(key, tidied(value));
                }
            }
            Value::Object(tidy)
        }
        Value::Array(items) => items.into_iter().map(tidied).collect(),
        other => other,
    }
}

#[test]
fn the_published_schema_is_that_of_the_type() {
    let text = format!("{:#}\n", schema());
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(FILE, &text).unwrap();
    }
    let published = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(
        published.replace("\r\n", "\n") == text,
        "{FILE} is not what the facts are: run this test with UPDATE_SCHEMA=1"
    );
}

#[test]
fn every_fact_is_in_the_schema_with_its_default_and_its_doc() {
    let schema = schema();
    for (fact, default) in defaults() {
        let place = match fact.split_once('.') {
            Some((section, name)) => &schema["properties"][section]["properties"][name],
            None => &schema["properties"][&fact],
        };
        assert_eq!(&place["default"], default, "{fact}");
        assert!(
            place["description"]
                .as_str()
                .is_some_and(|doc| !doc.is_empty()),
            "{fact}: no description"
        );
        assert!(
            describes(place),
            "{fact}: a choice without description: {place}"
        );
    }
    assert!(schema["properties"]["when"]["items"]["properties"]["with-tools"].is_object());
    let _: Map<String, Value> = serde_json::from_value(schema["properties"].clone()).unwrap();
}

/// Returns true if each choice of an enumeration says what it is.
fn describes(schema: &Value) -> bool {
    let choices = schema["oneOf"].as_array();
    choices.is_none_or(|choices| {
        choices
            .iter()
            .all(|choice| choice["description"].is_string())
    })
}
