//! Canonical chunks and completions as gateways really send them, parsed where they lie.
//!
//! Everything may be missing or null, and types are read leniently; texts stay escaped.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::json_text::JsonText;

/// A streamed chunk, or a whole completion: the choice then has a `message` instead of a `delta`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Chunk<'a> {
    #[serde(borrow)]
    pub(crate) choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    pub(crate) usage: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) error: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) model: Option<Loose<'a>>,
    /// `error` in error bodies of some gateways.
    #[serde(borrow)]
    pub(crate) object: Option<Loose<'a>>,
    /// The text of an error, under the names that gateways have for it.
    #[serde(borrow)]
    pub(crate) message: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) code: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) detail: Option<&'a RawValue>,
    /// iFlow, with `status`.
    #[serde(borrow)]
    pub(crate) msg: Option<&'a RawValue>,
    /// Baidu, with `error_code`.
    #[serde(borrow)]
    pub(crate) error_msg: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) error_code: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) error_message: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) errors: Option<&'a RawValue>,
    /// MiniMax: an error unless its `status_code` is 0.
    #[serde(borrow)]
    pub(crate) base_resp: Option<BaseResp<'a>>,
    #[serde(borrow)]
    pub(crate) x_groq: Option<Groq<'a>>,
}

impl Chunk<'_> {
    /// Returns true if this is an error rather than a part of an answer.
    pub(crate) fn is_error(&self) -> bool {
        let has_choices = self
            .choices
            .as_ref()
            .is_some_and(|choices| !choices.is_empty());
        let words = [
            self.message,
            self.code,
            self.detail,
            self.msg,
            self.error_msg,
            self.error_code,
            self.error_message,
            self.errors,
        ];
        let failed = self
            .base_resp
            .as_ref()
            .and_then(|base| base.status_code.as_ref())
            .is_some_and(|code| !matches!(code.0.as_ref(), "0" | "null" | ""));
        self.error
            .is_some_and(|raw| !matches!(raw.get(), "{}" | "\"\"" | "false" | "0" | "[]"))
            || failed
            || (!has_choices && self.usage.is_none() && words.iter().any(Option::is_some))
            || self
                .object
                .as_ref()
                .is_some_and(|object| object.0 == "error")
    }
}

/// The state of a request at MiniMax.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct BaseResp<'a> {
    #[serde(borrow)]
    pub(crate) status_code: Option<Loose<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Groq<'a> {
    #[serde(borrow)]
    pub(crate) usage: Option<&'a RawValue>,
}

impl Choice<'_> {
    /// The choice's number; 0 where it has none.
    pub(crate) fn number(&self) -> i64 {
        let index = self.index.as_ref();
        index.and_then(|index| index.0.parse().ok()).unwrap_or(0)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Choice<'a> {
    #[serde(borrow)]
    pub(crate) index: Option<Loose<'a>>,
    #[serde(borrow)]
    pub(crate) delta: Option<Delta<'a>>,
    #[serde(borrow)]
    pub(crate) message: Option<Delta<'a>>,
    #[serde(borrow)]
    pub(crate) finish_reason: Option<Loose<'a>>,
    /// The stop sequence that was met: vLLM, SGLang.
    #[serde(borrow)]
    pub(crate) stop_reason: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) matched_stop: Option<&'a RawValue>,
    /// Kimi puts it here.
    #[serde(borrow)]
    pub(crate) usage: Option<&'a RawValue>,
}

/// A piece of a message, or a whole one.
#[derive(Debug, Default)]
pub(crate) struct Delta<'a> {
    pub(crate) content: Option<&'a RawValue>,
    pub(crate) refusal: Option<&'a RawValue>,
    pub(crate) tool_calls: Vec<CallDelta<'a>>,
    /// Every other member with a value: reasoning under the dialect's name for it, and what must return.
    pub(crate) others: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Delta<'a> {
    pub(crate) fn other(&self, key: &str) -> Option<&'a RawValue> {
        self.others
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, raw)| *raw)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Delta<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<'a>(std::marker::PhantomData<&'a ()>);

        impl<'de: 'a, 'a> Visitor<'de> for Members<'a> {
            type Value = Delta<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a delta or a message")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Delta<'a>, A::Error> {
                let mut delta = Delta::default();
                while let Some(Key(key)) = map.next_key::<Key<'a>>()? {
                    match key.as_ref() {
                        "content" => delta.content = map.next_value()?,
                        "refusal" => delta.refusal = map.next_value()?,
                        "tool_calls" => {
                            delta.tool_calls.extend(
                                map.next_value::<Option<Vec<CallDelta<'a>>>>()?
                                    .unwrap_or_default(),
                            );
                        }
                        "function_call" => {
                            if let Some(function) = map.next_value::<Option<Function<'a>>>()? {
                                delta.tool_calls.push(CallDelta {
                                    function: Some(function),
                                    ..CallDelta::default()
                                });
                            }
                        }
                        "role" => {
                            map.next_value::<serde::de::IgnoredAny>()?;
                        }
                        _ => {
                            if let Some(raw) = map.next_value::<Option<&'a RawValue>>()? {
                                delta.others.push((key, raw));
                            }
                        }
                    }
                }
                Ok(delta)
            }
        }

        deserializer.deserialize_map(Members(std::marker::PhantomData))
    }
}

/// A member's name, borrowed where it has no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Debug, Default)]
pub(crate) struct CallDelta<'a> {
    pub(crate) index: Option<i64>,
    pub(crate) id: Option<Loose<'a>>,
    pub(crate) function: Option<Function<'a>>,
    pub(crate) others: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'de: 'a, 'a> Deserialize<'de> for CallDelta<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<'a>(std::marker::PhantomData<&'a ()>);

        impl<'de: 'a, 'a> Visitor<'de> for Members<'a> {
            type Value = CallDelta<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a tool call")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<CallDelta<'a>, A::Error> {
                let mut call = CallDelta::default();
                while let Some(Key(key)) = map.next_key::<Key<'a>>()? {
                    match key.as_ref() {
                        "index" => {
                            call.index = map
                                .next_value::<Option<Loose<'a>>>()?
                                .and_then(|index| index.0.parse().ok())
                        }
                        "id" => call.id = map.next_value()?,
                        "function" => call.function = map.next_value()?,
                        "type" => {
                            map.next_value::<serde::de::IgnoredAny>()?;
                        }
                        _ => {
                            if let Some(raw) = map.next_value::<Option<&'a RawValue>>()? {
                                call.others.push((key, raw));
                            }
                        }
                    }
                }
                Ok(call)
            }
        }

        deserializer.deserialize_map(Members(std::marker::PhantomData))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Function<'a> {
    #[serde(borrow)]
    pub(crate) name: Option<Loose<'a>>,
    /// A JSON string; some gateways send the object itself.
    #[serde(borrow)]
    pub(crate) arguments: Option<&'a RawValue>,
}

/// A string, or another scalar as it is written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Loose<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Loose<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'a RawValue>::deserialize(deserializer)?;
        let text = raw.get();
        Ok(Self(
            match text
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'))
            {
                Some(inner) if !inner.contains('\\') => Cow::Borrowed(inner),
                Some(_) => Cow::Owned(
                    JsonText::from_raw(raw)
                        .map(|text| text.unescape().into_owned())
                        .unwrap_or_default(),
                ),
                None => Cow::Borrowed(text),
            },
        ))
    }
}

/// A part of a `content` list.
#[derive(Debug, Deserialize)]
struct ContentPart<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Loose<'a>>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    /// Mistral's reasoning: a string or a list of parts.
    #[serde(borrow, default)]
    thinking: Option<&'a RawValue>,
}

/// `content` taken apart: reasoning and text.
pub(crate) fn content<'a>(raw: &'a RawValue) -> (Vec<JsonText<'a>>, Vec<JsonText<'a>>) {
    let (mut reasoning, mut text) = (Vec::new(), Vec::new());
    split(raw, false, &mut reasoning, &mut text);
    (reasoning, text)
}

fn split<'a>(
    raw: &'a RawValue,
    is_reasoning: bool,
    reasoning: &mut Vec<JsonText<'a>>,
    text: &mut Vec<JsonText<'a>>,
) {
    if let Some(string) = JsonText::from_raw(raw) {
        if is_reasoning {
            reasoning.push(string)
        } else {
            text.push(string)
        }
        return;
    }
    let Ok(parts) = serde_json::from_str::<Vec<ContentPart<'a>>>(raw.get()) else {
        return;
    };
    for part in parts {
        let thinks = is_reasoning || part.kind.as_ref().is_some_and(|kind| kind.0 == "thinking");
        if let Some(inner) = part.thinking {
            split(inner, true, reasoning, text);
        }
        if let Some(inner) = part.text {
            split(inner, thinks, reasoning, text);
        }
    }
}
