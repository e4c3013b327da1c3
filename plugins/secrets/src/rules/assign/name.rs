//! A name that says that its value is a secret, and the notation behind it.

use crate::class::alnum;
use crate::names::{Kind, Name, classify, classify_words};
use crate::quoting::{Place, quote_at};
use crate::rule::{Family, NEAR, Out};
use crate::rules::files::table::table_rule;
use crate::shape::{Shape, wordy};
use crate::text::Text;
use crate::value::{Value, accept, random};

use super::elsewhere::named_elsewhere;
use super::link::{Link, link};
use super::literal::{bare, quoted, wrapped};
use super::member::member;
use super::nested::{element, list};
use super::protocol::{greeted, protocol_auth};
use super::words::blank;

/// Literals, the rule that judges them, and how far it looks.
pub(crate) const RULES: &[Family] = &[Family::new(NAMES, rule, NEAR)];

/// The literals of names of secrets. Every hit is part of an identifier that [`classify`] judges.
pub(crate) const NAMES: &[&str] = &[
    "pass",
    "pwd",
    "psw",
    "secret",
    "token",
    "key",
    "auth",
    "cred",
    "salt",
    "pepper",
    "hmac",
    "_pat",
    "licen",
    "mnemonic",
    "seed",
    "_pw",
    "_pin",
    "pw=",
    "pw:",
    "pw\"",
    "pw'",
    "pw>",
    "pw ",
    "pw\\",
    "pw`",
    "contribsys",
    "psk",
    "jwt",
    "mdp",
    "_sk=",
    "_sk:",
    "_sk\"",
    "_sk ",
    "_ak=",
    "_ak:",
    "_ak\"",
    "_ak ",
    "app_certificate",
    "appcertificate",
    "reporter_id",
];

fn identifier(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.') || b >= 0x80
}

/// A keyword within a name.
pub(crate) fn rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let mut start = text.run_back(at, 100, identifier);
    // Some keywords take what follows a name along.
    let word = text.run_back(at + len, len, |b| !identifier(b));
    let end = text.run(word, identifier);
    let mut name_end = end;
    // `\nNAME`: the letter belongs to the line break.
    if start > 0 && text.at(start - 1) == b'\\' && matches!(text.at(start), b'n' | b't' | b'r') {
        start += 1;
    }
    let flag =
        matches!(text.at(start), b'-') || (text.before(start) == b'/' && text.at(name_end) == b':');
    while start < name_end && matches!(text.at(start), b'-' | b'.') {
        start += 1;
    }
    while name_end > start && matches!(text.at(name_end - 1), b'-' | b'.') {
        name_end -= 1;
    }
    if name_end - start > 120 || name_end <= at {
        return;
    }
    // `-Dencryption.key=`, `-PsigningKey=`
    if flag && matches!(text.at(start), b'D' | b'P') && alnum(text.at(start + 1)) {
        let whole = classify(text.slice(start, name_end));
        if whole.is_none_or(|name| name.kind == Kind::Weak) {
            start += 1;
        }
    }
    let Some(name) = classify(text.slice(start, name_end)) else {
        spaced(text, start, name_end, out);
        return;
    };
    if !flag && text.slice(start, name_end) == b"PASS" {
        greeted(text, start, name_end, out);
        return;
    }
    if !flag && text.slice(start, name_end) == b"AUTH" {
        protocol_auth(text, start, name_end, out);
    }
    if named_elsewhere(text, start, name_end, name, out) {
        return;
    }
    let Some((link, mut from)) = link(text, start, name_end) else {
        column(text, at, start, name_end, out);
        return;
    };
    if link == Link::Blank && flag {
        from = text.blanks(from);
        if text.at(from) == b'-' && text.at(from + 1) == b'-' {
            return;
        }
    }
    // `arn:aws:secretsmanager:...:secret:name`
    if link == Link::Colon
        && text.before(start) == b':'
        && text.at(name_end) == b':'
        && text.at(name_end + 1) != b' '
    {
        return;
    }
    let place = place_of(text, start, link);
    match link {
        Link::Assign | Link::Colon => member(text, from, name, place, link, flag, out),
        Link::Element => element(text, from, name, out),
        Link::Comma | Link::Call => {
            if link == Link::Call && matches!(name.label, "auth" | "credential") {
                list(text, from - 1, name, out);
            } else if let Some(value) = quoted(text, from) {
                if !accept(text, value, name, out) && link == Link::Comma {
                    column(text, at, start, name_end, out);
                }
            } else if link == Link::Call {
                wrapped(text, from, name, out);
            } else {
                column(text, at, start, name_end, out);
            }
        }
        Link::Blank => blank(text, start, from, name, flag, out),
        Link::Prose => {
            let value = quoted(text, from).unwrap_or_else(|| bare(text, from, Place::Plain));
            let bytes = text.slice(value.start, value.end);
            if bytes.len() >= 8
                && (value.quoted || bytes.iter().any(u8::is_ascii_digit))
                && !wordy(bytes)
            {
                accept(text, value, name, out);
            }
        }
        Link::Cell => {
            let end = text.run(from, |b| {
                !matches!(b, 0 | b'|' | b'\n' | b'\r' | b' ' | b'\\')
            });
            let bytes = text.slice(from, end);
            if bytes.len() >= 8 && bytes.iter().any(u8::is_ascii_digit) && !wordy(bytes) {
                accept(text, Value::quoted(from, end), name, out);
            }
        }
    }
}

/// A name of several words in prose or a form: `API key: ...`, `the client key is ...`. The value
/// must look random.
fn spaced(text: &Text<'_>, start: usize, name_end: usize, out: &mut Out) {
    if text.before(start) != b' ' {
        return;
    }
    let first = text.run_back(start - 1, 24, alnum);
    let second = if text.before(first) == b' ' {
        text.run_back(first - 1, 24, alnum)
    } else {
        first
    };
    let words = text.slice(second, name_end);
    let Some(name) = classify_words(words).filter(|_| first + 1 < start) else {
        return;
    };
    let Some((link @ (Link::Assign | Link::Colon | Link::Prose | Link::Cell), from)) =
        link(text, start, name_end)
    else {
        return;
    };
    if name.kind == Kind::Weak && link != Link::Prose {
        return;
    }
    let value = quoted(text, from).unwrap_or_else(|| bare(text, from, Place::Plain));
    let bytes = text.slice(value.start, value.end);
    if name.kind == Kind::Weak && bytes.len() < 20 {
        return;
    }
    if random(bytes) || bytes.len() >= 12 && Shape::of(bytes).mixed() && !wordy(bytes) {
        accept(text, value, Name::new(Kind::Secret, "key"), out);
    }
}

/// A name between separators may head a column.
fn column(text: &Text<'_>, at: usize, start: usize, name_end: usize, out: &mut Out) {
    let quoted = usize::from(quote_at(text, name_end).is_some());
    let before = text.before(start - quoted.min(start));
    let after = text.at(name_end + quoted);
    let separator = |b: u8| matches!(b, b',' | b';' | b'\t' | b'|');
    let edge = |b: u8| matches!(b, 0 | b'\n' | b'\r' | b'\\' | b' ');
    if separator(before) && (separator(after) || edge(after)) || separator(after) && edge(before) {
        table_rule(text, at, 0, out);
    }
}

fn place_of(text: &Text<'_>, start: usize, link: Link) -> Place {
    let b = text.before(start);
    let encoded = matches!(b, b'6') && text.ends_ci(start, b"%26");
    let entity = text.ends_ci(start, b"&amp;") || text.ends_ci(start, b"u0026");
    if link == Link::Assign
        && (matches!(b, b'?' | b'&' | b'#') && text.at(start) != b' ' || encoded || entity)
    {
        return Place::Query;
    }
    // A form body: the first pair has nothing before it.
    Place::Plain
}
