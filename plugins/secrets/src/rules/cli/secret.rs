//! The secret in a word of a command line.

use super::commands::Form;
use super::line::Word;
use crate::names::Kind;
use crate::rule::Out;
use crate::shape::wordy;
use crate::stand_in::{is_placeholder, is_reference};
use crate::text::Text;
use crate::value::{plausible, random};

/// Reports the secret in a word, if it can be one.
pub(super) fn secret(text: &Text<'_>, word: Word, form: Form, out: &mut Out) {
    let mut start = word.start;
    match form {
        Form::Login => return login(text, word, out),
        Form::Cookie => return cookies(text, word, out),
        Form::Printed => return printed(text, word, out),
        _ => {}
    }
    if let Form::Pair(separator) = form {
        let pair = text.slice(word.start, word.end);
        let Some(at) = pair.iter().position(|&b| b == separator) else {
            return;
        };
        let user = &pair[..at];
        start += at + 1;
        // `-u token:` is a token.
        if start == word.end {
            if user.len() >= 12 && random(user) {
                out.hit(word.start, word.end - 1, "cli-credentials");
            }
            return;
        }
        if user.len() >= 20 && random(user) {
            out.hit(word.start, word.start + user.len(), "cli-credentials");
        }
    }
    let bytes = text.slice(start, word.end);
    if bytes.first() == Some(&b'-')
        || bytes.len() < 3
        || is_reference(bytes, true)
        || is_placeholder(bytes)
    {
        return;
    }
    if plausible(bytes, Kind::Password, true) {
        out.hit(start, word.end, "cli-password");
    }
}

/// `domain/user:password@host`
fn login(text: &Text<'_>, word: Word, out: &mut Out) {
    let bytes = text.slice(word.start, word.end);
    let end = bytes
        .iter()
        .rposition(|&b| b == b'@')
        .unwrap_or(bytes.len());
    let Some(colon) = bytes
        .iter()
        .position(|&b| b == b':')
        .filter(|&colon| colon > 0 && colon < end)
    else {
        return;
    };
    let quote = usize::from(matches!(bytes[colon + 1..].first(), Some(b'\'' | b'"')));
    let password = &bytes[colon + 1 + quote..end];
    if password.starts_with(b"//") || password.iter().all(u8::is_ascii_digit) {
        return;
    }
    let found = Word {
        start: word.start + colon + 1 + quote,
        end: word.start + end - quote,
        ..word
    };
    secret(text, found, Form::Next, out);
}

/// `name=value; name=value`: values that are no words.
fn cookies(text: &Text<'_>, word: Word, out: &mut Out) {
    let mut start = word.start;
    for pair in text.slice(word.start, word.end).split(|&b| b == b';') {
        if let Some(equals) = pair.iter().position(|&b| b == b'=') {
            let value = &pair[equals + 1..];
            if value.len() >= 10
                && value.iter().any(u8::is_ascii_digit)
                && !wordy(value)
                && !is_reference(value, true)
                && !is_placeholder(value)
            {
                out.hit(start + equals + 1, start + pair.len(), "cookie");
            }
        }
        start += pair.len() + 1;
    }
}

/// `echo -n VALUE`, `printf VALUE`, also with quotes around it.
fn printed(text: &Text<'_>, word: Word, out: &mut Out) {
    let start = text.run_most(word.start, 1, |b| matches!(b, b'"' | b'\''));
    let command = text.slice(start, word.end);
    if !(command.starts_with(b"echo ") || command.starts_with(b"printf ")) {
        return;
    }
    let last = command
        .iter()
        .rposition(|&b| b == b' ')
        .map_or(0, |at| at + 1);
    let quoted = |b: u8| matches!(b, b'"' | b'\'' | b'\\');
    let value = Word {
        start: text.run(start + last, quoted),
        end: text.run_back(word.end, 2, quoted),
        ..word
    };
    if value.start < value.end {
        secret(text, value, Form::Next, out);
    }
}
