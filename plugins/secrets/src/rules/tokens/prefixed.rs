//! Tokens by their prefixes.

use std::slice;

use super::table::{NEXT, TOKENS, Token, is_first};
use crate::boundary::starts_here;
use crate::class::{Class, base64url};
use crate::rule::{Family, NEAR, Out};
use crate::shape::{Shape, head, wordy};
use crate::stand_in::is_placeholder;
use crate::text::Text;

/// Prefixes, each with the first token that has it.
pub(crate) const RULES: &[Family] = &{
    let mut families = [Family::new(&[], |_, _, _, _| (), NEAR); TOKENS.len()];
    let mut i = 0;
    while i < TOKENS.len() {
        if is_first(i) {
            families[i] = Family::row(slice::from_ref(&TOKENS[i].prefix), rule, i, NEAR);
        }
        i += 1;
    }
    families
};

/// A prefix hit: takes what follows, checks length and that it reads like no word. `first` is the first token with this
/// prefix.
fn rule(text: &Text<'_>, at: usize, _len: usize, first: usize, out: &mut Out) {
    let mut i = first;
    while !judge(text, at, &TOKENS[i], out) {
        let next = usize::from(NEXT[i]);
        if next == i {
            return;
        }
        i = next;
    }
}

fn judge(text: &Text<'_>, at: usize, token: &Token, out: &mut Out) -> bool {
    if !text.starts(at, token.exact.as_bytes()) {
        return false;
    }
    if token.bounded && !starts_here(text, at) {
        return false;
    }
    let from = at + token.exact.len();
    let mut end = text.run_of(from, 2048, token.class);
    // A sentence ends with a dot, an assignment in a query with a per cent sign.
    while end > from && matches!(text.at(end - 1), b'.' | b'-' | b'%') {
        end -= 1;
    }
    if token.class == Class::Any64 || token.class == Class::Base64 {
        // Escaped line breaks and percent-encoded brackets are no part of it.
        let body = text.slice(from, end);
        if let Some(stop) = body
            .windows(3)
            .position(|three| three[0] == b'%' && !(three[1] == b'2' || three[1] == b'3'))
        {
            end = from + stop;
        }
    }
    if token.exact == "AAAA" {
        // Firebase: AAAA, seven more, a colon, and a long rest.
        if end - from != 7 || text.at(end) != b':' {
            return false;
        }
        let rest = text.run_of(end + 1, usize::MAX, Class::Url);
        if rest - end < 60 {
            return false;
        }
        out.hit(at, rest, "firebase-server-key");
        return true;
    }
    if token.exact == "00D" {
        // Salesforce: organisation, an exclamation mark (also encoded), and the session.
        let (end, bang) = match text.slice(from, end).iter().position(|&b| b == b'%') {
            Some(escape) if text.starts(from + escape, b"%21") => {
                (from + escape, from + escape + 3)
            }
            None if text.at(end) == b'!' => (end, end + 1),
            _ => return false,
        };
        let rest = text.run_of(bang, usize::MAX, Class::Dotted);
        if !(10..=20).contains(&(end - at)) || rest - bang < 40 {
            return false;
        }
        out.hit(at, rest, token.label);
        return true;
    }
    if token.exact == "pk_" {
        // ClickUp: pk_, a user id, an underscore, 32 capitals and digits.
        if text.at(end) != b'_' {
            return false;
        }
        let rest = text.run_of(end + 1, usize::MAX, Class::Upper);
        if rest - end < 30 {
            return false;
        }
        out.hit(at, rest, token.label);
        return true;
    }
    if token.exact == "A3-" {
        let rest = text.run(end, |b| {
            b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-'
        });
        if rest - at < 34 {
            return false;
        }
        out.hit(at, rest, token.label);
        return true;
    }
    if token.exact == "1/1" || token.exact == "2/1" {
        // Asana: the user, in newer ones the token's number too, a colon, the token.
        let end = text.run(from, |b| b.is_ascii_digit() || b == b'/');
        let rest = text.run_of(end + 1, usize::MAX, Class::Hex);
        if text.at(end) != b':' || rest - end < 30 {
            return false;
        }
        out.hit(at, rest, token.label);
        return true;
    }
    if token.exact == "T3BlbkFJ" || token.exact == ":APA91b" || token.exact == ".atlasv1." {
        let start = text.run_back(at, 128, base64url);
        if at - start < 7 || end - from < token.least {
            return false;
        }
        out.hit(start, end, token.label);
        return true;
    }
    let exactly = exact_length(token);
    // Fixed-length upper case identifiers: more characters make it something else.
    if exactly.is_some_and(|exactly| {
        end - from > exactly && text.at(from + exactly).is_ascii_alphanumeric()
    }) {
        return false;
    }
    let body = text.slice(from, end);
    if body.len() < token.least || !telling(body, token) {
        return false;
    }
    if let Some(exactly) = exactly {
        end = end.min(from + exactly);
    }
    out.hit(at, end, token.label);
    true
}

fn exact_length(token: &Token) -> Option<usize> {
    match token.exact {
        "AKIA" | "ASIA" | "ABIA" | "ACCA" | "AROA" | "AIDA" => Some(16),
        _ if token.label == "twilio-key" => Some(31),
        _ => None,
    }
}

/// Whether the part behind the prefix is random, not words or a stand-in.
fn telling(body: &[u8], token: &Token) -> bool {
    let body = head(body);
    let shape = Shape::of(body);
    if shape.distinct < 5.min(shape.len as u32) || is_placeholder(body) {
        return false;
    }
    if matches!(
        token.exact,
        "AKIA" | "ASIA" | "ABIA" | "ACCA" | "AROA" | "AIDA"
    ) {
        return shape.digits > 0 || shape.distinct >= 8;
    }
    // Behind a long prefix, what has all three kinds of characters is no word, however it is put together.
    let mixed = shape.digits > 1 && shape.lower > 1 && shape.upper > 1;
    let issued = token.class == Class::Upper && shape.digits >= 2 && shape.distinct >= 9;
    if wordy(body) && !issued && !(mixed && !token.bounded && token.exact.len() > 4) {
        return false;
    }
    if token.bounded || token.exact.len() <= 4 {
        return shape.digits >= 2 && (shape.letters() >= 2 || token.class == Class::Digits)
            || shape.lower >= 4 && shape.upper >= 4
            || token.class == Class::Upper && shape.digits == 1 && shape.distinct >= 9
            || token.exact == "sk-" && shape.lower >= 40 && shape.distinct >= 16;
    }
    shape.digits >= 1 || (shape.lower > 0 && shape.upper > 0)
}
