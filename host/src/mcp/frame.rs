//! One frame of the wire: a bounded line of strict JSON.
//!
//! serde_json alone would accept a million array elements, and of two keys with the same name silently the last
//! (THREATS T14).

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The longest frame, in bytes.
pub const FRAME_MAX: usize = 4 << 20;
/// The deepest nesting of arrays and objects.
pub const DEPTH_MAX: usize = 64;
/// The most elements of one array, and the most keys of one object.
pub const ARRAY_MAX: usize = 10_000;

/// The reason why a frame was not taken, and what could still be told about it.
#[derive(Debug)]
pub(super) struct Rejection {
    /// The request's id, when it stood before the fault; an answer without one cannot be matched to its request.
    pub(super) id: Option<Value>,
    /// True if it is a `tools/call`, as far as can be told.
    pub(super) tool_call: bool,
    /// True if the frame is no JSON at all, as against JSON beyond a limit.
    pub(super) malformed: bool,
    /// The rule it breaks.
    pub(super) rule: String,
}

/// Parses a frame.
pub(super) fn parse(line: &[u8]) -> Result<Value, Rejection> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let limits = Limits::default();
    let mut json = serde_json::Deserializer::from_slice(line);
    let parsed = Strict {
        limits: &limits,
        depth: 0,
    }
    .deserialize(&mut json)
    .and_then(|value| json.end().map(|()| value));
    match parsed {
        Ok(Value::Array(_)) => {
            Err(limits.reject("must be one message: batches are not part of MCP"))
        }
        Ok(value) => Ok(value),
        Err(error) => Err(match limits.broken.take() {
            Some(rule) => limits.reject(rule),
            None => Rejection {
                malformed: true,
                // The position, not the text: it may be anything.
                ..limits.reject(format!(
                    "must be one JSON object on one line; it is none at column {}",
                    error.column()
                ))
            },
        }),
    }
}

/// The parts that a frame that is too long can still tell: `head` is its beginning.
pub(super) fn too_long(head: &[u8]) -> Rejection {
    let rejection = match parse(head) {
        Err(rejection) => rejection,
        Ok(_) => Limits::default().reject(""),
    };
    Rejection {
        malformed: false,
        rule: format!("must be at most {FRAME_MAX} bytes"),
        ..rejection
    }
}

/// The limits that are watched while one frame is parsed.
#[derive(Default)]
struct Limits {
    id: RefCell<Option<Value>>,
    tool_call: Cell<bool>,
    broken: Cell<Option<&'static str>>,
}

impl Limits {
    fn reject(&self, rule: impl Into<String>) -> Rejection {
        Rejection {
            id: self.id.borrow_mut().take(),
            tool_call: self.tool_call.get(),
            malformed: false,
            rule: rule.into(),
        }
    }

    fn refuse<E: serde::de::Error>(&self, rule: &'static str) -> E {
        self.broken.set(Some(rule));
        E::custom(rule)
    }
}

const TOO_DEEP: &str = "must be nested at most 64 levels deep";
const TOO_MANY: &str = "must have at most 10000 elements in one array or object";
const TWICE: &str = "must not have two keys of the same name in one object";

#[derive(Clone, Copy)]
struct Strict<'a> {
    limits: &'a Limits,
    depth: usize,
}

impl Strict<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_MAX {
            return Err(self.limits.refuse(TOO_DEEP));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let seed = self.deeper()?;
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(seed)? {
            if array.len() == ARRAY_MAX {
                return Err(self.limits.refuse(TOO_MANY));
            }
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let seed = self.deeper()?;
        let mut seen = HashSet::new();
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.len() == ARRAY_MAX {
                return Err(self.limits.refuse(TOO_MANY));
            }
            if !seen.insert(key.clone()) {
                return Err(self.limits.refuse(TWICE));
            }
            let value = entries.next_value_seed(seed)?;
            if self.depth == 0 {
                match key.as_str() {
                    "id" if value.is_string() || value.is_number() => {
                        *self.limits.id.borrow_mut() = Some(value.clone());
                    }
                    "method" => self.limits.tool_call.set(value == "tools/call"),
                    _ => {}
                }
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn rule(frame: &str) -> String {
        parse(frame.as_bytes()).unwrap_err().rule
    }

    #[test]
    fn what_serde_json_takes_is_taken_unchanged() {
        for frame in [
            r#"{"id":1,"params":{"a":[1,-2,3.5,true,null,"\u00e9\n"],"b":{}}}"#,
            r#"{"id":"x","n":18446744073709551615,"f":1e10}"#,
        ] {
            let expected: Value = serde_json::from_str(frame).unwrap();
            assert_eq!(parse(frame.as_bytes()).unwrap(), expected);
        }
    }

    #[test]
    fn limits_hold_at_their_edge() {
        let nested =
            |levels: usize| format!("{}{}", "{\"a\":".repeat(levels), "1") + &"}".repeat(levels);
        assert!(parse(nested(DEPTH_MAX).as_bytes()).is_ok());
        assert_eq!(rule(&nested(DEPTH_MAX + 1)), TOO_DEEP);
        assert_eq!(rule(&format!("{}1", "[".repeat(100_000))), TOO_DEEP);

        let array = |elements: usize| format!("{{\"a\":[{}]}}", vec!["0"; elements].join(","));
        assert!(parse(array(ARRAY_MAX).as_bytes()).is_ok());
        assert_eq!(rule(&array(ARRAY_MAX + 1)), TOO_MANY);

        assert!(
            TOO_DEEP.contains(&DEPTH_MAX.to_string()) && TOO_MANY.contains(&ARRAY_MAX.to_string())
        );
    }

    #[test]
    fn doubled_keys_are_found_through_their_escapes() {
        assert_eq!(
            rule(r#"{"id":1,"params":{"name":"get","n\u0061me":"start"}}"#),
            TWICE
        );
    }

    #[test]
    fn a_rejection_keeps_the_id_and_the_kind_that_came_before_the_fault() {
        let cut = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"start","arguments":{"prompt":"aaaa"#;
        let rejection = too_long(cut.as_bytes());
        assert_eq!(rejection.id, Some(Value::from(7)));
        assert!(rejection.tool_call);
        assert!(!rejection.malformed);

        let rejection = parse(br#"{"id":"q","method":"ping","params":{"a":1,"a":2}}"#).unwrap_err();
        assert_eq!(
            (rejection.id, rejection.tool_call),
            (Some(Value::from("q")), false)
        );
    }

    #[test]
    fn what_is_no_json_is_refused_without_being_repeated() {
        for frame in [
            "",
            "x-secret",
            "{\"id\":1e999}",
            "{\"a\":\"\\ud800\"}",
            "{} {}",
            "\u{1}",
        ] {
            let rejection = parse(frame.as_bytes()).unwrap_err();
            assert!(rejection.malformed, "{frame}");
            assert!(!rejection.rule.contains("secret"));
        }
        assert!(parse(b"{\"a\":\"\xff\"}").unwrap_err().malformed);
        assert!(!parse(b"[]").unwrap_err().malformed);
    }
}
