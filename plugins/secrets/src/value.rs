//! The verdict on a value.

use crate::codec::decode;
use crate::names::{Kind, Name};
use crate::rule::Out;
use crate::shape::{Shape, has_odd_special, head, word_like, wordy};
use crate::stand_in::{is_placeholder, is_reference};
use crate::text::Text;

/// A value found behind an operator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The notation leaves no doubt that it is a value, as quotes do.
    pub(crate) quoted: bool,
}

impl Value {
    pub(crate) fn quoted(start: usize, end: usize) -> Self {
        Self {
            start,
            end,
            quoted: true,
        }
    }

    /// The same value where the text around it leaves no doubt.
    pub(crate) fn sure(self) -> Self {
        Self::quoted(self.start, self.end)
    }
}

/// Notes a hit where the value can be a secret.
pub(crate) fn accept(text: &Text<'_>, value: Value, name: Name, out: &mut Out) -> bool {
    let bytes = text.slice(value.start, value.end);
    let phrase = name.label == "seed-phrase"
        && (12..=25).contains(&bytes.split(|&b| b == b' ').count())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || *b == b' ');
    // What an earlier pass took out was the value.
    if bytes.starts_with(b"[redacted:") {
        return true;
    }
    if bytes.is_empty() || !phrase && !plausible(bytes, name.kind, value.quoted) {
        return false;
    }
    out.hit(value.start, value.end, name.label);
    true
}

/// Returns true if a value under a name of this kind can be a secret.
pub(crate) fn plausible(value: &[u8], kind: Kind, quoted: bool) -> bool {
    if value.len() > 8192 {
        return false;
    }
    let value = head(value);
    telling(value, kind, quoted) && !is_placeholder(value)
}

fn telling(value: &[u8], kind: Kind, quoted: bool) -> bool {
    if value.len() < 4 || is_reference(value, quoted) {
        return false;
    }
    let shape = Shape::of(value);
    if shape.letters() + shape.digits < 3 || shape.distinct < 3 {
        return false;
    }
    match kind {
        Kind::Password => {
            if shape.letters() == 0 && shape.special == 0 {
                return if quoted {
                    shape.len >= 4
                } else {
                    (6..=8).contains(&shape.len)
                };
            }
            if value.contains(&b' ') {
                // A sentence is not a password; a few words may be a passphrase.
                return quoted
                    && shape.len >= 12
                    && shape.digits > 0
                    && value.iter().filter(|&&b| b == b' ').count() <= 3
                    && !wordy(value);
            }
            if shape.digits == 0 && shape.special == 0 {
                return shape.len >= 8
                    && (!word_like(value) || shape.lower == shape.len && shape.len >= 14);
            }
            if shape.digits == 0 {
                // `new-password`, `my_pass`: words; `pa$$word!x` is none.
                return shape.len >= 6
                    && !code_like(value, quoted)
                    && (!wordy(value)
                        || has_odd_special(value)
                            && shape.len >= 8
                            && (quoted || shape.lower > 1 && shape.upper > 1));
            }
            shape.len >= if quoted { 5 } else { 6 }
                && !(wordy(value) && shape.len < 10 && !has_odd_special(value) && !quoted)
                && !code_like(value, quoted)
        }
        Kind::Secret => {
            if shape.len < 8 || value.contains(&b' ') && !quoted {
                return false;
            }
            if value.iter().filter(|&&b| b == b' ').count() > 1 {
                return false;
            }
            if shape.uuid {
                return true;
            }
            if shape.letters() == 0 && shape.special <= 2 {
                return shape.digits >= 16;
            }
            if shape.digits == 0 && shape.special == 0 {
                return shape.len >= 16 && !word_like(value);
            }
            // Capitals and digits in one piece are an identifier that someone issued.
            let issued = shape.lower + shape.special == 0 && shape.len >= 16 && shape.digits >= 2;
            if wordy(value) && !issued {
                return has_odd_special(value) && shape.digits > 0 && shape.len >= 10 && quoted;
            }
            !code_like(value, quoted)
        }
        Kind::Weak => {
            if shape.len < 16
                || shape.uuid
                || value.contains(&b' ')
                || shape.digits == 0 && shape.len < 24
                || wordy(value)
                || code_like(value, quoted)
            {
                return false;
            }
            if shape.hex && matches!(shape.len, 32 | 40 | 64 | 96 | 128) {
                return quoted || shape.len == 32;
            }
            random(value)
        }
    }
}

/// Returns true if a string without a name looks random enough to be a credential.
pub(crate) fn random(value: &[u8]) -> bool {
    let value = head(value);
    let shape = Shape::of(value);
    if shape.len < 16 || shape.distinct < 8 || wordy(value) || is_placeholder(value) {
        return false;
    }
    shape.digits >= 2 && shape.letters() >= 4
        || (shape.lower >= 4 && shape.upper >= 4 && !word_like(value))
}

/// base64 of `user:password`.
pub(crate) fn holds_credentials(bytes: &[u8]) -> bool {
    let decoded = decode(bytes);
    decoded.len() >= 4
        && decoded.contains(&b':')
        && decoded
            .iter()
            .all(|b| (0x20..0x7f).contains(b) || *b >= 0xc2)
}

/// An expression of some programming language rather than a value.
fn code_like(value: &[u8], quoted: bool) -> bool {
    if quoted {
        return false;
    }
    if value
        .windows(2)
        .any(|two| two == b"::" || two == b"->" || two == b"=>")
        && !value
            .split(|b| matches!(b, b':' | b'-' | b'=' | b'>'))
            .any(|part| random(part) && !part.contains(&b'('))
    {
        return true;
    }
    // `name(`, `name[`, `name.name`
    let head = value
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
        .count();
    let called = head >= 3
        && value[..head]
            .iter()
            .all(|b| b.is_ascii_alphabetic() || *b == b'_');
    if called
        && (value.get(head) == Some(&b'(')
            || value.get(head) == Some(&b'!') && matches!(value.get(head + 1), Some(b'[' | b'(')))
    {
        return true;
    }
    match value.get(head) {
        Some(b'(' | b'[') if head > 0 && value[0].is_ascii_alphabetic() => {
            value.contains(&b')')
                || value.contains(&b']')
                || value.last() == Some(&b'(')
                || value.last() == Some(&b'[')
                || word_like(&value[..head])
        }
        Some(b'.') if head > 0 && head < value.len() - 1 && value[0].is_ascii_alphabetic() => {
            value.split(|&b| b == b'.').all(|part| {
                part.first()
                    .is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_')
                    && (wordy(part) || part.iter().all(u8::is_ascii_alphabetic))
                    || part.ends_with(b")")
            })
        }
        _ => false,
    }
}
