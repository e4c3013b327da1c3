//! A name, blanks, a value: flags, netrc, SQL, routers, `set NAME value`.

use super::literal::{bare, quoted};
use super::member::scheme;
use crate::class::alnum;
use crate::lists::{Heads, Words};
use crate::names::{Kind, Name};
use crate::quoting::Place;
use crate::rule::Out;
use crate::shape::{Shape, wordy};
use crate::stand_in::is_placeholder;
use crate::text::Text;
use crate::value::{Value, accept, random};

/// A name, blanks, a value: flags, netrc, SQL, Cisco, `set NAME value`.
pub(super) fn blank(
    text: &Text<'_>,
    name_start: usize,
    from: usize,
    name: Name,
    flag: bool,
    out: &mut Out,
) {
    if let Some(value) = quoted(text, from) {
        let bytes = text.slice(value.start, value.end);
        let sure = flag
            || before_word(text, name_start)
            || bytes.iter().any(u8::is_ascii_digit) && !bytes.contains(&b' ');
        if sure && !(wordy(bytes) && !flag) {
            accept(text, value, name, out);
        }
        return;
    }
    let mut value = bare(text, from, Place::Plain);
    if scheme(text.slice(value.start, value.end)) {
        value = bare(text, value.end, Place::Plain);
    }
    let bytes = text.slice(value.start, value.end);
    if bytes.starts_with(b"-") {
        valued(text, value, name, out);
        return;
    }
    if bytes.is_empty() || matches!(bytes[0], b'=' | b'>' | b'|' | b'(' | b'{') {
        return;
    }
    if flag {
        accept(text, value, name, out);
        return;
    }
    let sure = before_word(text, name_start);
    let strange = bytes.len() >= 10 && Shape::of(bytes).mixed();
    if wordy(bytes) && !(sure && strange) || is_placeholder(bytes) {
        return;
    }
    // `app-secret-7d9f8b6c5d`: the name of an object.
    let named = bytes
        .iter()
        .position(|b| matches!(b, b'-' | b'.'))
        .is_some_and(|at| at >= 3 && wordy(&bytes[..at]));
    let first = {
        let line = text.line_start(name_start);
        text.slice(line, name_start).iter().all(|b| {
            matches!(
                b,
                b' ' | b'\t' | b'+' | b'-' | b'#' | b'*' | b'$' | b'>' | b'|'
            )
        }) && {
            let rest = text.blanks(value.end);
            text.at(rest) == 0
                || text.line_break(rest).is_some()
                || text.at(rest) == b'"'
                || text.at(rest) == b';'
        }
    };
    let parenthesis = text.before(from) == b'(' && text.at(value.end) == b')';
    let mixed = bytes.iter().any(u8::is_ascii_digit);
    if sure
        || first && mixed
        || random(bytes) && !named && name.kind != Kind::Weak && bytes.len() >= 16
        || parenthesis && random(bytes)
    {
        accept(
            text,
            value,
            name.as_kind(if name.kind == Kind::Weak {
                Kind::Weak
            } else {
                Kind::Secret.min_for(name.kind)
            }),
            out,
        );
    }
}

/// `gh secret set NAME --body VALUE`, `az keyvault secret set --name NAME --value VALUE`.
fn valued(text: &Text<'_>, option: Value, name: Name, out: &mut Out) {
    const OPTIONS: &[&[u8]] = &[
        b"--body",
        b"-b",
        b"--value",
        b"-v",
        b"--secret-string",
        b"--plaintext",
        b"--data",
        b"--secret",
        b"--string-value",
    ];
    let mut i = option.start;
    // Another option may stand between.
    for _ in 0..4 {
        let end = text.run(i, |b| alnum(b) || b == b'-');
        let word = text.slice(i, end);
        if !word.starts_with(b"-") {
            return;
        }
        let from = match text.at(end) {
            b'=' | b' ' => end + 1,
            b'"' | b'\'' => end,
            _ if word.starts_with(b"-b") => i + 2,
            _ => return,
        };
        let value = quoted(text, from).unwrap_or_else(|| bare(text, from, Place::Plain));
        if OPTIONS.contains(&word) || word.starts_with(b"-b") && from == i + 2 {
            accept(text, value.sure(), name.as_kind(Kind::Password), out);
            return;
        }
        i = text.blanks(value.end + usize::from(value.quoted));
    }
}

/// Returns true if the words before a name say that a value follows it: `login joe password x`,
/// `set X y`, `ENV X y`.
fn before_word(text: &Text<'_>, name_start: usize) -> bool {
    let line = text
        .line_start(name_start)
        .max(name_start.saturating_sub(200));
    let before = text.slice(line, name_start);
    let last = before
        .split(|b| matches!(b, b' ' | b'\t'))
        .rfind(|word| !word.is_empty())
        .unwrap_or(&[]);
    static LAST: Words = Words::new(&[
        "set",
        "env",
        "setx",
        "option",
        "config",
        "define",
        "setenv",
        "-gx",
        "-x",
        "--add",
        "export",
        "param",
        "arg",
        "fastcgi_param",
        "add",
        "put",
        "let",
        "enable",
        "secret",
        "neighbor",
        "0",
        "7",
        "8",
    ]);
    static BEFORE: Heads<11> = Heads::new([
        "login ",
        "machine ",
        "d-i ",
        "username ",
        "neighbor ",
        "server ",
        " config ",
        "invalid ",
        "wrong ",
        "using ",
        "with ",
    ]);
    LAST.has(last) || BEFORE.within(before)
}
