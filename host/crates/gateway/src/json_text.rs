//! JSON strings that are carried from one document into another in their escaped form.
//!
//! Prompts and answers are megabytes of text that the adapter does not look into. Between JSON and JSON the escaped bytes
//! can be copied as they are, without unescaping and escaping again.

use std::borrow::Cow;

use memchr::{memchr, memmem};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The inside of a JSON string, escaped, without its quotes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct JsonText<'a>(Cow<'a, str>);

impl<'a> JsonText<'a> {
    /// Escapes plain text.
    pub(crate) fn escape(plain: &str) -> JsonText<'static> {
        let mut quoted = serde_json::to_string(plain).unwrap_or_default();
        quoted.pop();
        if !quoted.is_empty() {
            quoted.remove(0);
        }
        JsonText(Cow::Owned(quoted))
    }

    /// Text without any character that JSON escapes.
    pub(crate) const fn plain(text: &'static str) -> JsonText<'static> {
        JsonText(Cow::Borrowed(text))
    }

    /// The string that a raw JSON value holds; `None` for a value of another type.
    pub(crate) fn from_raw(raw: &'a RawValue) -> Option<Self> {
        let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
        Some(Self(mend_surrogates(inner)))
    }

    /// The escaped form.
    pub(crate) fn as_escaped(&self) -> &str {
        &self.0
    }

    /// The text itself.
    pub(crate) fn unescape(&self) -> Cow<'_, str> {
        if memchr(b'\\', self.0.as_bytes()).is_none() {
            return Cow::Borrowed(&self.0);
        }
        match serde_json::from_str::<String>(&format!("\"{}\"", self.0)) {
            Ok(text) => Cow::Owned(text),
            Err(_) => Cow::Borrowed(&self.0),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns true if there is nothing but white space.
    pub(crate) fn is_blank(&self) -> bool {
        is_blank(&self.0)
    }

    /// Appends further text.
    pub(crate) fn push(&mut self, more: &JsonText<'a>) {
        if self.0.is_empty() {
            self.0 = more.0.clone();
        } else if !more.0.is_empty() {
            self.0.to_mut().push_str(&more.0);
        }
    }

    /// Appends further text behind a line feed.
    pub(crate) fn push_line(&mut self, more: &JsonText<'a>) {
        if !self.0.is_empty() && !more.0.is_empty() {
            self.0.to_mut().push_str("\\n");
        }
        self.push(more);
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for JsonText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'a RawValue>::deserialize(deserializer)?;
        Self::from_raw(raw).ok_or_else(|| {
            D::Error::custom(format_args!("expected a string, found {}", kind(raw.get())))
        })
    }
}

/// The kind of a raw JSON value, for messages.
pub(crate) fn kind(raw: &str) -> &'static str {
    match raw.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// Returns true if escaped text is nothing but white space.
pub(crate) fn is_blank(escaped: &str) -> bool {
    let mut bytes = escaped.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' => {}
            b'\\' if matches!(bytes.next(), Some(b'n' | b't' | b'r' | b'f' | b'b')) => {}
            _ => return false,
        }
    }
    true
}

/// Replaces lone surrogates (`\ud83d` without its other half), which JavaScript writes and strict parsers refuse.
fn mend_surrogates(escaped: &str) -> Cow<'_, str> {
    let may_hold = |needle: &[u8]| memmem::find(escaped.as_bytes(), needle).is_some();
    if memchr(b'\\', escaped.as_bytes()).is_none() || !(may_hold(b"\\ud") || may_hold(b"\\uD")) {
        return Cow::Borrowed(escaped);
    }
    let mut mended = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = escaped
        .get(at..)
        .and_then(|rest| memchr(b'\\', rest.as_bytes()))
    {
        let escape = at + found;
        match unit(escaped, escape) {
            Some(0xD800..=0xDBFF) if matches!(unit(escaped, escape + 6), Some(0xDC00..=0xDFFF)) => {
                at = escape + 12
            }
            Some(0xD800..=0xDFFF) => {
                mended.push_str(escaped.get(copied..escape).unwrap_or_default());
                mended.push_str("\\ufffd");
                at = escape + 6;
                copied = at;
            }
            _ => at = escape + 2,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(escaped);
    }
    mended.push_str(escaped.get(copied..).unwrap_or_default());
    Cow::Owned(mended)
}

/// The UTF-16 unit of the `\uXXXX` at this place.
fn unit(escaped: &str, at: usize) -> Option<u16> {
    let hex = escaped.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(hex, 16).ok()
}

/// Tells from the pieces of an escaped JSON text whether they make a whole JSON value yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Completeness {
    depth: u32,
    in_string: bool,
    after_backslash: bool,
    begun: bool,
    done: bool,
    broken: bool,
}

impl Completeness {
    /// Reads the next escaped piece; a piece never ends inside an escape, since each comes out of a JSON string of its own.
    pub(crate) fn push(&mut self, escaped: &str) {
        let mut at = 0;
        while at < escaped.len() {
            at += self.step_at(escaped, at);
        }
    }

    /// Reads the next escaped piece as far as the value goes; returns it cut there.
    pub(crate) fn take<'p>(&mut self, escaped: &'p str) -> (&'p str, &'p str) {
        let mut at = 0;
        while at < escaped.len() && !self.is_whole() {
            at += self.step_at(escaped, at);
        }
        escaped.split_at_checked(at).unwrap_or((escaped, ""))
    }

    /// Reads the character at a place; returns the bytes of its escaped form.
    fn step_at(&mut self, escaped: &str, at: usize) -> usize {
        let bytes = escaped.as_bytes();
        let (char, width) = match (bytes.get(at), bytes.get(at + 1)) {
            (Some(b'\\'), Some(b'u')) => (
                unit(escaped, at)
                    .and_then(|u| u8::try_from(u).ok())
                    .unwrap_or(b'x'),
                6,
            ),
            (Some(b'\\'), Some(b'n' | b't' | b'r')) => (b' ', 2),
            (Some(b'\\'), Some(&other)) => (other, 2),
            (Some(b'\\'), None) | (None, _) => (b'x', 1),
            (Some(&byte), _) => (byte, 1),
        };
        self.step(char);
        width
    }

    fn step(&mut self, char: u8) {
        if self.in_string {
            match char {
                _ if self.after_backslash => self.after_backslash = false,
                b'\\' => self.after_backslash = true,
                b'"' => {
                    self.in_string = false;
                    self.done = self.depth == 0;
                }
                _ => {}
            }
            return;
        }
        match char {
            b' ' => return,
            _ if self.done => self.broken = true,
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.done = self.depth == 0;
            }
            _ => {}
        }
        self.begun = true;
    }

    /// Returns true if a whole object, array or string has been read and nothing behind it.
    pub(crate) fn is_whole(&self) -> bool {
        self.done && !self.broken
    }

    /// Returns true if there was nothing but white space.
    pub(crate) fn is_blank(&self) -> bool {
        !self.begun
    }
}

/// Appends escaped text as a JSON string.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &JsonText<'_>) {
    out.push(b'"');
    out.extend_from_slice(text.as_escaped().as_bytes());
    out.push(b'"');
}

/// Appends plain text as a JSON string.
pub(crate) fn write_plain(out: &mut Vec<u8>, plain: &str) {
    if serde_json::to_writer(&mut *out, plain).is_err() {
        out.extend_from_slice(b"\"\"");
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
    use proptest::prelude::*;

    fn text(json: &str) -> JsonText<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn escaped_text_is_carried_as_it_is() {
        for json in [
            r#""""#,
            r#""a\n\"b\"\u00e9é😀""#,
            r#""\ud83d\ude00""#,
            r#""\\ud83d""#,
        ] {
            let mut out = Vec::new();
            write_string(&mut out, &text(json));
            assert_eq!(String::from_utf8(out).unwrap(), json);
        }
    }

    #[test]
    fn lone_surrogates_are_replaced() {
        for (json, want) in [
            (r#""a\ud83db""#, r"a\ufffdb"),
            (r#""\ude00\ud83d\ude00\ud83d""#, r"\ufffd\ud83d\ude00\ufffd"),
            (r#""\uD83D\n""#, r"\ufffd\n"),
            (r#""\\\ud83d""#, r"\\\ufffd"),
        ] {
            assert_eq!(text(json).as_escaped(), want, "{json}");
        }
    }

    #[test]
    fn blank_text_is_told_from_text() {
        for (json, blank) in [
            (r#""""#, true),
            (r#"" \n\t ""#, true),
            (r#"" x""#, false),
            (r#""\\n""#, false),
            (r#""\u00a0""#, false),
        ] {
            assert_eq!(text(json).is_blank(), blank, "{json}");
        }
    }

    #[test]
    fn a_whole_json_value_is_told_from_a_beginning() {
        for (pieces, whole) in [
            (&[r#"{\"a\":"#, r#"\"}\"}"#][..], true),
            (&[r#"{\"a\":\"\\\""#, r#"}"#], false),
            (&[r#"{}"#, r#"\n "#], true),
            (&[r#"{}"#, r#"{"#], false),
            (&[r#""#], false),
            (&[r#"\u007b\u007d"#], true),
            (&[r#"[{\"a\":[1]}"#], false),
        ] {
            let mut state = Completeness::default();
            pieces.iter().for_each(|piece| state.push(piece));
            assert_eq!(state.is_whole(), whole, "{pieces:?}");
        }
    }

    proptest! {
        #[test]
        fn completeness_agrees_with_a_json_parser(value in "\\{\"[a-z\\\\\"\\{\\}\n]{0,12}\":\\[?[0-9]{1,3}\\]?\\}") {
            let escaped = JsonText::escape(&value);
            let mut state = Completeness::default();
            for piece in value.chars() {
                state.push(JsonText::escape(&piece.to_string()).as_escaped());
            }
            let mut at_once = Completeness::default();
            at_once.push(escaped.as_escaped());
            prop_assert_eq!(state.is_whole(), at_once.is_whole());
            if serde_json::from_str::<serde_json::Value>(&value).is_ok() {
                prop_assert!(at_once.is_whole());
            }
        }

        #[test]
        fn unescape_undoes_escape(plain in any::<String>()) {
            let escaped = JsonText::escape(&plain);
            let back = escaped.unescape();
            prop_assert_eq!(back.as_ref(), plain.as_str());
        }
    }
}
