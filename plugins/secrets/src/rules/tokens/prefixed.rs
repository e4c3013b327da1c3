//! Tokens by their prefixes.

use std::slice;

use super::table::{Form, NEXT, TOKENS, Token, is_first};
use crate::boundary::starts_here;
use crate::class::{Class, base64url};
use crate::rule::{Family, NEAR, Out, families};
use crate::shape::{Shape, head, wordy};
use crate::stand_in::is_placeholder;
use crate::text::Text;

/// Prefixes, each with the first token that has it.
pub(crate) const RULES: &[Family] = families!(
    TOKENS,
    |row| if is_first(row) {
        slice::from_ref(&TOKENS[row].prefix)
    } else {
        &[]
    },
    rule,
    NEAR
);

/// A prefix: takes what follows, checks its length and that it reads like no word. `first` is the
/// first token with this prefix.
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
    if !text.starts(at, token.prefix.as_bytes()) {
        return false;
    }
    if token.bounded && !starts_here(text, at) {
        return false;
    }
    let from = at + token.prefix.len();
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
    match token.form {
        Form::Joined {
            first,
            signs,
            class,
            least,
        } => {
            if !(first.0..=first.1).contains(&(end - from)) {
                return false;
            }
            let Some(sign) = signs.iter().find(|sign| text.starts(end, sign.as_bytes())) else {
                return false;
            };
            let second = end + sign.len();
            end = text.run_of(second, usize::MAX, class);
            if end - second < least {
                return false;
            }
            out.hit(at, end, token.label);
            return true;
        }
        Form::Inside => {
            let start = text.run_back(at, 128, base64url);
            if at - start < 7 || end - from < token.least {
                return false;
            }
            out.hit(start, end, token.label);
            return true;
        }
        Form::Exactly(length) => {
            if end - from > length && text.at(from + length).is_ascii_alphanumeric() {
                return false;
            }
        }
        Form::Plain | Form::Letters | Form::Sure => {}
    }
    let body = text.slice(from, end);
    if body.len() < token.least || token.form != Form::Sure && !telling(body, token) {
        return false;
    }
    if let Form::Exactly(length) = token.form {
        end = end.min(from + length);
    }
    out.hit(at, end, token.label);
    true
}

/// Returns true if the part behind the prefix is random, not words or a stand-in.
fn telling(body: &[u8], token: &Token) -> bool {
    let body = head(body);
    let shape = Shape::of(body);
    if shape.distinct < 5.min(shape.len as u32) || is_placeholder(body) {
        return false;
    }
    if matches!(token.form, Form::Exactly(_)) && token.class == Class::Upper {
        return shape.digits > 0 || shape.distinct >= 8;
    }
    // Behind a long prefix, a mixture of all three kinds of characters is no word.
    let mixed = shape.digits > 1 && shape.lower > 1 && shape.upper > 1;
    let issued = token.class == Class::Upper && shape.digits >= 2 && shape.distinct >= 9;
    if wordy(body) && !issued && !(mixed && !token.bounded && token.prefix.len() > 4) {
        return false;
    }
    if token.bounded || token.prefix.len() <= 4 {
        return shape.digits >= 2 && (shape.letters() >= 2 || token.class == Class::Digits)
            || shape.lower >= 4 && shape.upper >= 4
            || token.class == Class::Upper && shape.digits == 1 && shape.distinct >= 9
            || token.form == Form::Letters && shape.lower >= 40 && shape.distinct >= 16;
    }
    shape.digits >= 1 || (shape.lower > 0 && shape.upper > 0)
}
