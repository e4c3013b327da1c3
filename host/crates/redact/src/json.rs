//! Redaction of JSON values, so that names count for their values and no escape hides a secret.

use std::ops::Range;

use serde::Serialize;
use serde_json::{Map, Value};

use super::Redactor;
use super::label::WITHHELD;
use super::redacted::Redacted;

/// A JSON value in which every string has been through redaction, or stands in the program itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct RedactedJson(Value);

impl RedactedJson {
    /// Makes an object of redacted members.
    pub fn object<const N: usize>(members: [(&'static str, Self); N]) -> Self {
        let members = members.map(|(name, member)| (name.to_owned(), member.0));
        Self(Value::Object(members.into_iter().collect()))
    }

    /// Makes a list of redacted items.
    pub fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self(items.into_iter().map(Self::into_value).collect())
    }

    /// The value.
    pub fn as_value(&self) -> &Value {
        &self.0
    }

    /// The value.
    pub fn into_value(self) -> Value {
        self.0
    }

    /// The value as compact JSON text.
    pub fn to_text(&self) -> Redacted {
        Redacted::cut(self.0.to_string())
    }
}

impl From<Redacted> for RedactedJson {
    fn from(text: Redacted) -> Self {
        Self(text.into_string().into())
    }
}

impl From<&'static str> for RedactedJson {
    fn from(text: &'static str) -> Self {
        Self(text.into())
    }
}

impl Redactor {
    /// Redacts the strings, keys and secret-looking numbers of a JSON value. A member's name counts for its value, so
    /// that `{"password": "..."}` is recognised as in text.
    pub fn json(&self, value: serde_json::Value) -> RedactedJson {
        redact(self, value)
    }
}

/// Writes the value as text, finds what is to go there, and takes it out of the strings it came from.
fn redact(redactor: &Redactor, value: Value) -> RedactedJson {
    let mut written = Written::default();
    written.value(&value);
    let ranges = redactor.ranges(written.text.as_bytes());
    let mut cutter = Cutter {
        redactor,
        text: &written.text,
        leaves: written.leaves.into_iter(),
        ranges: &ranges,
    };
    RedactedJson(cutter.value(value))
}

type Labelled = (Range<usize>, String);

/// A value as compact JSON, with the place of each string (without its quotes) and number, in order of traversal.
#[derive(Default)]
struct Written {
    text: String,
    leaves: Vec<Range<usize>>,
}

impl Written {
    fn value(&mut self, value: &Value) {
        match value {
            Value::Null | Value::Bool(_) => self.text.push_str(&value.to_string()),
            Value::Number(number) => {
                let start = self.text.len();
                self.text.push_str(&number.to_string());
                self.leaves.push(start..self.text.len());
            }
            Value::String(string) => self.string(string),
            Value::Array(items) => {
                self.text.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        self.text.push(',');
                    }
                    self.value(item);
                }
                self.text.push(']');
            }
            Value::Object(members) => {
                self.text.push('{');
                for (index, (name, member)) in members.iter().enumerate() {
                    if index > 0 {
                        self.text.push(',');
                    }
                    self.string(name);
                    self.text.push(':');
                    self.value(member);
                }
                self.text.push('}');
            }
        }
    }

    fn string(&mut self, string: &str) {
        self.text.push('"');
        let start = self.text.len();
        for c in string.chars() {
            push_escaped(&mut self.text, c);
        }
        self.leaves.push(start..self.text.len());
        self.text.push('"');
    }
}

fn push_escaped(text: &mut String, c: char) {
    match c {
        '"' => text.push_str("\\\""),
        '\\' => text.push_str("\\\\"),
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        c if (c as u32) < 0x20 => text.push_str(&format!("\\u{:04x}", c as u32)),
        c => text.push(c),
    }
}

struct Cutter<'a> {
    redactor: &'a Redactor,
    text: &'a str,
    leaves: std::vec::IntoIter<Range<usize>>,
    /// The ranges to cut from `text`; those behind the current leaf.
    ranges: &'a [Labelled],
}

impl Cutter<'_> {
    fn value(&mut self, value: Value) -> Value {
        match value {
            Value::Null | Value::Bool(_) => value,
            Value::Number(_) => {
                let place = self.leaves.next().unwrap_or_default();
                match self.within(&place).first() {
                    Some((_, label)) => Value::String(format!("[redacted:{label}]")),
                    None => value,
                }
            }
            Value::String(string) => Value::String(self.string(string)),
            Value::Array(items) => {
                Value::Array(items.into_iter().map(|item| self.value(item)).collect())
            }
            Value::Object(members) => {
                let mut cut = Map::with_capacity(members.len());
                for (name, member) in members {
                    let mut name = self.name(name);
                    // Two names may look alike once they are cut; neither member may get lost.
                    while cut.contains_key(&name) {
                        name.push('\'');
                    }
                    let member = self.value(member);
                    cut.insert(name, member);
                }
                Value::Object(cut)
            }
        }
    }

    /// A member's name. Where text is withheld because a scanner fails, its value goes and the name stays, or nobody could
    /// read the record; what is known to be secret goes from it all the same.
    fn name(&mut self, name: String) -> String {
        let place = self.leaves.clone().next().unwrap_or_default();
        let mut ranges = self.ranges.iter();
        let withheld = ranges.any(|(range, label)| {
            label == WITHHELD && range.start < place.end && place.start < range.end
        });
        if !withheld {
            return self.string(name);
        }
        self.leaves.next();
        let known = self.redactor.without_scanners();
        known.text(&name).to_string()
    }

    fn string(&mut self, string: String) -> String {
        let place = self.leaves.next().unwrap_or_default();
        let escaped = self.text.get(place.clone()).unwrap_or_default();
        let mut gone = self.within(&place);
        if escaped.len() != string.len() {
            gone = unescaped(&string, &gone);
            gone.extend(self.redactor.ranges(string.as_bytes()));
            gone.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
        }
        if gone.is_empty() {
            return string;
        }
        let mut cut = String::with_capacity(string.len());
        let mut done = 0;
        for (range, label) in gone {
            let start = string.floor_char_boundary(range.start);
            let end = string.ceil_char_boundary(range.end);
            if start >= done && start < end {
                cut.push_str(string.get(done..start).unwrap_or_default());
                cut.push_str("[redacted:");
                cut.push_str(&label);
                cut.push(']');
            }
            done = done.max(end);
        }
        cut.push_str(string.get(done..).unwrap_or_default());
        cut
    }

    /// The ranges that touch a leaf, relative to it. Leaves come in order, so what lies before is not needed again.
    fn within(&mut self, place: &Range<usize>) -> Vec<Labelled> {
        while self
            .ranges
            .first()
            .is_some_and(|(range, _)| range.end <= place.start)
        {
            self.ranges = &self.ranges[1..];
        }
        self.ranges
            .iter()
            .take_while(|(range, _)| range.start < place.end)
            .map(|(range, label)| {
                let start = range.start.saturating_sub(place.start);
                (start..range.end.min(place.end) - place.start, label.clone())
            })
            .collect()
    }
}

/// Ranges in the escaped form of a string, as ranges in the string; a character that is touched goes as a whole.
fn unescaped(string: &str, ranges: &[Labelled]) -> Vec<Labelled> {
    let mut found: Vec<Labelled> = Vec::new();
    let mut escape = String::new();
    for (range, label) in ranges {
        let (mut start, mut end) = (string.len(), 0);
        let mut at = 0;
        for (offset, c) in string.char_indices() {
            escape.clear();
            push_escaped(&mut escape, c);
            if at < range.end && at + escape.len() > range.start {
                start = start.min(offset);
                end = offset + c.len_utf8();
            }
            at += escape.len();
            if at >= range.end {
                break;
            }
        }
        if start < end {
            found.push((start..end, label.clone()));
        }
    }
    found
}
