//! Schemas as tools have them, and as gateways take them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
use serde_json::json;

use super::normal::{has_any, has_type};
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
            proptest::collection::vec(inner.clone(), 0..3).prop_map(|list| json!({"anyOf":list})),
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
