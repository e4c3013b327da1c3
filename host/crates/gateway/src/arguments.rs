//! The arguments of a tool call as they arrive: in pieces, cut, said twice, or encoded twice.
//!
//! A call runs with exactly one whole JSON object. Everything here works on escaped text, since that is what is sent.

use serde_json::Value;

use super::json_text::{Completeness, JsonText, is_blank};

/// The most strings around an object that are taken off.
const ENCODINGS: usize = 4;

/// A call got a second object that differs from its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("The gateway sent two different sets of arguments for one tool call")]
pub(crate) struct SecondObject;

/// The arguments of one call, gathered from their pieces.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    /// The first value so far, escaped.
    text: String,
    progress: Completeness,
    /// Bytes of `text` that were sent.
    sent: usize,
    /// The call is over: nothing of its arguments can change any more.
    sealed: bool,
    /// A repetition of the whole object so far, escaped.
    again: String,
    again_progress: Completeness,
}

impl Arguments {
    /// Takes the next escaped piece.
    pub(crate) fn push(&mut self, escaped: &str) -> Result<(), SecondObject> {
        // "null" for a call without arguments.
        if escaped == "null" && self.is_blank() {
            return Ok(());
        }
        let mut rest = escaped;
        if !self.progress.is_whole() {
            let (part, behind) = self.progress.take(escaped);
            self.text.push_str(part);
            if self.progress.is_whole() && self.is_encoded() {
                self.decode();
            }
            rest = behind;
        }
        if rest.is_empty() || (self.again.is_empty() && is_blank(rest)) {
            return Ok(());
        }
        let begins_object = first(rest) == Some(b'{') || first(rest) == Some(b'"');
        if self.is_empty_object() && self.sent == 0 && !self.sealed && begins_object {
            // `{}` in front of the arguments themselves.
            *self = Self::default();
            return self.push(rest);
        }
        if self.again.is_empty() && !begins_object {
            // A brace too many, or a tag of the model's own format.
            return Ok(());
        }
        self.again.push_str(rest);
        self.again_progress.push(rest);
        if !self.again_progress.is_whole() {
            return Ok(());
        }
        let again = std::mem::take(&mut self.again);
        self.again_progress = Completeness::default();
        match object(&unescaped(&again)) {
            Some(again) if same(&again, &unescaped(&self.text)) => Ok(()),
            _ => Err(SecondObject),
        }
    }

    /// Returns true if a whole value is there.
    pub(crate) fn is_whole(&self) -> bool {
        self.progress.is_whole()
    }

    /// Returns true if there is nothing but white space.
    pub(crate) fn is_blank(&self) -> bool {
        self.progress.is_blank()
    }

    /// Returns true if the call can run: with no arguments, or with a whole JSON object.
    pub(crate) fn can_run(&self) -> bool {
        self.is_blank() || (self.is_whole() && object(&unescaped(&self.text)).is_some())
    }

    /// Returns true if a piece is these arguments again, as a whole.
    pub(crate) fn is_repeated_by(&self, escaped: &str) -> bool {
        self.is_whole()
            && object(&unescaped(escaped)).is_some_and(|again| same(&again, &unescaped(&self.text)))
    }

    /// Bytes that wait to be sent.
    pub(crate) fn waiting(&self) -> usize {
        self.text.len() - self.sent + self.again.len()
    }

    /// Takes the escaped text that can be sent now.
    pub(crate) fn take_ready(&mut self) -> &str {
        // What is encoded twice is decoded first, and `{}` may be only a placeholder.
        if self.sealed || self.is_encoded() || self.is_empty_object() {
            return "";
        }
        let from = std::mem::replace(&mut self.sent, self.text.len());
        self.text.get(from..).unwrap_or_default()
    }

    /// Ends the arguments; returns what was not sent of them.
    pub(crate) fn seal(&mut self) -> &str {
        if std::mem::replace(&mut self.sealed, true) {
            return "";
        }
        let nothing_sent = self.sent == 0;
        let from = std::mem::replace(&mut self.sent, self.text.len());
        if nothing_sent && self.is_blank() {
            return "{}";
        }
        self.text.get(from..).unwrap_or_default()
    }

    fn is_empty_object(&self) -> bool {
        self.is_whole() && self.text.trim_ascii() == "{}"
    }

    fn is_encoded(&self) -> bool {
        first(&self.text) == Some(b'"')
    }

    fn decode(&mut self) {
        if let Some(object) = object(&unescaped(&self.text)) {
            self.text = JsonText::escape(&object).as_escaped().to_owned();
        }
    }
}

/// The object in a call's arguments, out of the strings around it; blank arguments are the empty object.
pub(crate) fn object(plain: &str) -> Option<String> {
    let mut text = plain.trim().to_owned();
    for _ in 0..ENCODINGS {
        if text.is_empty() || text == "null" {
            return Some("{}".to_owned());
        }
        if text.starts_with('{') {
            let mut values = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
            let whole = matches!(values.next(), Some(Ok(Value::Object(_))));
            let end = values.byte_offset();
            let (object, behind) = text.split_at_checked(end).filter(|_| whole)?;
            return follows(object, behind).then(|| object.to_owned());
        }
        text = serde_json::from_str::<String>(&text)
            .ok()?
            .trim()
            .to_owned();
    }
    None
}

/// Returns true if what is behind an object is no other one: nothing, noise, or the object again.
fn follows(object: &str, behind: &str) -> bool {
    let behind = behind.trim();
    if !behind.starts_with('{') {
        return true;
    }
    let mut values = serde_json::Deserializer::from_str(behind).into_iter::<Value>();
    match (values.next(), serde_json::from_str::<Value>(object)) {
        (Some(Ok(again)), Ok(object)) => again == object,
        _ => false,
    }
}

fn same(one: &str, other: &str) -> bool {
    match (
        serde_json::from_str::<Value>(one),
        serde_json::from_str::<Value>(other),
    ) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

fn unescaped(escaped: &str) -> String {
    serde_json::from_str(&format!("\"{escaped}\"")).unwrap_or_default()
}

/// The first character of escaped text that is no white space, where it is an ASCII one.
fn first(escaped: &str) -> Option<u8> {
    let mut bytes = escaped.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' => {}
            b'\\' => match bytes.next() {
                Some(b'n' | b't' | b'r' | b'f' | b'b') => {}
                Some(b'u') => {
                    let digits: Vec<u8> = bytes.by_ref().take(4).collect();
                    let unit = std::str::from_utf8(&digits).ok()?;
                    return u8::from_str_radix(unit, 16).ok();
                }
                other => return other,
            },
            byte => return Some(byte),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// The text that is sent for arguments that arrive in these plain pieces.
    fn sent(pieces: &[&str]) -> Result<(String, bool), SecondObject> {
        let mut arguments = Arguments::default();
        let mut sent = String::new();
        for piece in pieces {
            arguments.push(JsonText::escape(piece).as_escaped())?;
            sent.push_str(arguments.take_ready());
        }
        let runs = arguments.can_run();
        sent.push_str(arguments.seal());
        Ok((unescaped(&sent), runs))
    }

    #[test]
    fn a_call_runs_with_one_whole_object() {
        for (pieces, want) in [
            (&["{\"a\":", "1}"][..], "{\"a\":1}"),
            (&["", "null", ""], "{}"),
            (&["{}"], "{}"),
            (&["{}", "{\"a\":", "1}"], "{\"a\":1}"),
            // The last piece says all of it again.
            (&["{\"a\":", "1}", "{\"a\":1}"], "{\"a\":1}"),
            (&["{\"a\":1}{\"a\": 1}"], "{\"a\":1}"),
            (&["{\"a\":1}", "{\"a\"", ":1}"], "{\"a\":1}"),
            // A brace too many, and a tag.
            (&["{\"a\":1}", "}"], "{\"a\":1}"),
            (&["{\"a\":1}\n</tool_call>"], "{\"a\":1}"),
            // Encoded twice and three times.
            (&["\"{\\\"a\\\":", "1}\""], "{\"a\":1}"),
            (&["\"\\\"{\\\\\\\"a\\\\\\\":1}\\\"\""], "{\"a\":1}"),
            (&["\"\""], "{}"),
            (&[" \n", "{\"a\":\"}\\\"{\"}"], " \n{\"a\":\"}\\\"{\"}"),
        ] {
            assert_eq!(sent(pieces), Ok((want.to_owned(), true)), "{pieces:?}");
        }
        for pieces in [
            &["{\"a\":"][..],
            &["\"{\\\"a\\\":"],
            &["\"text\""],
            &["{'a':1}"],
            &["[1]"],
            &["text"],
        ] {
            assert!(!sent(pieces).unwrap().1, "{pieces:?}");
        }
        for pieces in [&["{\"a\":1}", "{\"b\":1}"][..], &["{\"a\":1}{\"b\":2}"]] {
            assert_eq!(sent(pieces), Err(SecondObject), "{pieces:?}");
        }
    }

    #[test]
    fn arguments_of_a_whole_answer_are_read_the_same_way() {
        for (plain, want) in [
            ("", Some("{}")),
            ("null", Some("{}")),
            (" {\"a\":1} ", Some("{\"a\":1}")),
            ("\"{\\\"a\\\":1}\"", Some("{\"a\":1}")),
            ("{\"a\":1}{\"a\":1}", Some("{\"a\":1}")),
            ("{\"a\":1}</tool_call>", Some("{\"a\":1}")),
            ("{\"a\":1}{\"b\":1}", None),
            ("{\"a\":", None),
            ("[]", None),
            ("\"x\"", None),
        ] {
            assert_eq!(object(plain).as_deref(), want, "{plain}");
        }
    }

    proptest! {
        #[test]
        fn any_cut_of_an_object_gives_the_object(text in "[a-z{}\"\\\\\n é]{0,12}", cuts in proptest::collection::vec(0usize..40, 0..6)) {
            let whole = serde_json::json!({ "k": text, "n": [1, { "x": text }] }).to_string();
            let mut ends: Vec<usize> = cuts.into_iter().filter(|at| *at < whole.len() && whole.is_char_boundary(*at)).collect();
            ends.push(whole.len());
            ends.sort_unstable();
            let mut from = 0;
            let mut pieces = Vec::new();
            for end in ends {
                pieces.push(whole.get(from..end).unwrap());
                from = end;
            }
            prop_assert_eq!(sent(&pieces), Ok((whole.clone(), true)));
        }
    }
}
