//! Log-ins of line protocols: FTP, POP3, Redis, SMTP.

use super::literal::bare;
use crate::names::{Kind, Name};
use crate::quoting::Place;
use crate::rule::Out;
use crate::text::Text;
use crate::value::accept;

/// `PASS ...` of FTP and POP3: only with its `USER ...` before it.
pub(super) fn greeted(text: &Text<'_>, start: usize, name_end: usize, out: &mut Out) {
    let before = text.slice(start.saturating_sub(240), start);
    if text.at(name_end) != b' ' || !before.windows(5).any(|part| part == b"USER ") {
        return;
    }
    let value = bare(text, name_end, Place::Plain);
    accept(
        text,
        value.sure(),
        Name::new(Kind::Password, "password"),
        out,
    );
}

/// `AUTH password` and `AUTH user password` of Redis, `AUTH PLAIN ...` of SMTP.
pub(super) fn protocol_auth(text: &Text<'_>, start: usize, name_end: usize, out: &mut Out) {
    let line = text.line_start(start);
    let prompt = text
        .slice(line, start)
        .iter()
        .rposition(|b| !matches!(b, b' ' | b'>' | b'"'))
        .is_none_or(|at| start - line - at > 2);
    if text.at(name_end) != b' ' || !prompt {
        return;
    }
    let first = bare(text, name_end, Place::Plain);
    let second = bare(text, first.end, Place::Plain);
    let (one, two) = (
        text.slice(first.start, first.end),
        text.slice(second.start, second.end),
    );
    if matches!(one, b"PLAIN" | b"LOGIN" | b"CRAM-MD5" | b"XOAUTH2") {
        let decoded = crate::codec::decode(two);
        if two.len() >= 12 && (decoded.contains(&0) || decoded.contains(&1)) {
            out.hit(second.start, second.end, "smtp-auth");
        }
        return;
    }
    let value = if two.is_empty() { first } else { second };
    let rest = text.blanks(value.end);
    if text.at(rest) == 0 || text.line_break(rest).is_some() || text.at(rest) == b'"' {
        accept(
            text,
            value.sure(),
            Name::new(Kind::Password, "password"),
            out,
        );
    }
}
