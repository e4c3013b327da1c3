//! The value behind `=` or `:`.

use super::link::Link;
use super::literal::{bare, joined, quoted, wrapped};
use super::nested::{below, document, here_document, holder, list};
use crate::class::alnum;
use crate::memory::Walk;
use crate::names::{Kind, Name};
use crate::quoting::{LONGEST_BARE, Place};
use crate::rule::Out;
use crate::text::Text;
use crate::value::{Value, accept, holds_credentials};

/// The value behind `=` or `:`.
pub(super) fn member(
    text: &Text<'_>,
    from: usize,
    name: Name,
    place: Place,
    link: Link,
    flag: bool,
    out: &mut Out,
) {
    let mut i = text.blanks(from);
    if text.at(i) == 0 {
        return;
    }
    // YAML tags and anchors; PowerShell and C# casts.
    if matches!(text.at(i), b'!' | b'&') && link == Link::Colon {
        let word = text.run(i, |b| !matches!(b, 0..=b' '));
        if text.at(word) == b' '
            && !text.slice(i, word).eq_ignore_ascii_case(b"!vault")
            && !text.starts_ci(i, b"!ref")
            && !text.starts_ci(i, b"!sub")
        {
            i = text.blanks(word);
        }
    }
    if text.at(i) == b'(' && matches!(name.label, "auth" | "credential") {
        list(text, i, name, out);
        return;
    }
    if let Some(body) = document(text, i) {
        here_document(text, body, name, out);
        return;
    }
    if let Some(value) = quoted(text, i) {
        if value.end == value.start {
            return;
        }
        if joined(text, value, name, out) || accept(text, value, name, out) {
            return;
        }
        shell_default(text, value, name, out);
        pairs(text, value, name, out);
        return;
    }
    // Block scalars, and values on the line below.
    if matches!(text.at(i), b'|' | b'>') && link == Link::Colon {
        let marks = text.run(i, |b| matches!(b, b'|' | b'>' | b'-' | b'+' | b'0'..=b'9'));
        if text.line_break(text.blanks(marks)).is_some() {
            below(text, text.blanks(marks), name, true, out);
            return;
        }
    }
    if text.line_break(i).is_some() {
        if !holder(text, i, name, out) {
            below(text, i, name, false, out);
        }
        return;
    }
    if text.at(i) == b'{' && text.at(i + 1) != b'{' && holder(text, i, name, out) {
        return;
    }
    if matches!(text.at(i), b'[' | b'{' | b'(') || text.starts(i, b"vec![") || text.starts(i, b"&[")
    {
        list(text, i, name, out);
        if !matches!(text.at(i), b'{') || text.at(i + 1) == b'{' {
            if text.at(i) == b'[' && !text.starts(i, b"[redacted:") || text.at(i) == b'(' {
                wrapped(text, i + 1, name, out);
            }
            return;
        }
    }
    let value = bare(text, i, place);
    if value.end == value.start {
        return;
    }
    let bytes = text.slice(value.start, value.end);
    if shell_default(text, value, name, out) {
        return;
    }
    let spaced = text.at(from) == b' ' && text.before(from) == b'=';
    // `password = value` in code is most often a variable; in settings it is most often a value.
    let kind = name.kind;
    if spaced
        && !flag
        && kind == Kind::Secret
        && bytes.len() < 12
        && !bytes.iter().any(u8::is_ascii_digit)
    {
        wrapped(text, i, name, out);
        return;
    }
    if accept(text, value, name.as_kind(kind), out) {
        // The same option may hold a scheme and a credential: `auth: Bearer xyz`.
        return;
    }
    if scheme(bytes) {
        let next = bare(text, value.end, place);
        accept(text, next, name.as_kind(Kind::Secret), out);
        return;
    }
    wrapped(text, i, name, out);
}

pub(super) fn scheme(word: &[u8]) -> bool {
    [
        "bearer", "basic", "token", "apikey", "bot", "key", "ssws", "plain", "pass:", "7", "5",
        "0", "8", "9",
    ]
    .iter()
    .any(|scheme| word.eq_ignore_ascii_case(scheme.as_bytes()))
}

/// `${NAME:-default}`: the default is a value.
fn shell_default(text: &Text<'_>, value: Value, name: Name, out: &mut Out) -> bool {
    if text.at(value.start) != b'$' || text.at(value.start + 1) != b'{' {
        return false;
    }
    let word = text.run(value.start + 2, |b| alnum(b) || matches!(b, b'_' | b'.'));
    if text.at(word) != b':' && text.at(word) != b'-' {
        return false;
    }
    let mut start = word + 1;
    if matches!(text.at(start), b'-' | b'=' | b'?') {
        start += 1;
    }
    let end = text.walk(Walk::Default, start, LONGEST_BARE, |i| {
        (!matches!(text.at(i), 0..=b' ' | b'}' | b'"' | b'\'' | b'`' | b'\\')).then_some(i + 1)
    });
    accept(text, Value::quoted(start, end), name, out)
}

/// A quoted value that holds more than the secret: `"auth": "user:password"` in base64, `"Bearer
/// xyz"`.
fn pairs(text: &Text<'_>, value: Value, name: Name, out: &mut Out) {
    let bytes = text.slice(value.start, value.end);
    if let Some(space) = bytes.iter().position(|&b| b == b' ') {
        if scheme(&bytes[..space]) {
            let start = value.start + space + 1;
            accept(
                text,
                Value::quoted(start, value.end),
                name.as_kind(Kind::Secret),
                out,
            );
        }
        return;
    }
    if name.label == "auth" && holds_credentials(bytes) {
        out.hit(value.start, value.end, "auth");
    }
}
