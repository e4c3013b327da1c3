//! The link between a name and its value.

use crate::class::alnum;
use crate::quoting::quote_at;
use crate::text::Text;

/// The connection of a name and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    Assign,
    Colon,
    Element,
    Comma,
    Call,
    Blank,
    Prose,
    Cell,
}

/// The link behind a name, and the first byte of the value.
pub(super) fn link(text: &Text<'_>, start: usize, name_end: usize) -> Option<(Link, usize)> {
    let mut i = name_end;
    let name_quote = quote_at(text, i);
    if let Some(quote) = name_quote {
        i += quote.length;
    }
    // `env["NAME"]`, `${env:NAME}`, `$ENV{NAME}`.
    while matches!(text.at(i), b']' | b'}')
        || text.at(i) == b'%' && matches!(text.at(i + 1), b' ' | b'=')
    {
        i += 1;
    }
    if text.at(i) == b')' && name_quote.is_some() {
        // `getenv("NAME") ?: "..."`
        i += 1;
    }
    let j = text.blanks(i);
    let blanks = j > i;
    match text.at(j) {
        b'=' if text.at(j + 1) == b'~' => None,
        b'=' => {
            let mut k = text.run(j, |b| b == b'=');
            if text.at(k) == b'>' || text.at(k) == b'~' {
                k += 1;
            }
            if text.starts_ci(j, b"=3d") && text.before(start) != b'?' && text.at(j + 3) != b'=' {
                k = j + 3;
            }
            Some((Link::Assign, k))
        }
        b':' if text.at(j + 1) == b'=' => Some((Link::Assign, j + 2)),
        // LDIF: what follows two colons is base64.
        b':' if text.at(j + 1) == b':' && text.at(j + 2) == b' ' => Some((Link::Assign, j + 2)),
        b':' if text.at(j + 1) == b':' => None,
        b':' if text.at(j + 1) == b'/' && text.at(j + 2) == b'/' => None,
        b':' => Some(annotated(text, j + 1).map_or((Link::Colon, j + 1), |k| (Link::Assign, k))),
        b'<' if text.at(j + 1) == b'-' => Some((Link::Assign, j + 2)),
        // An element with attributes.
        _ if blanks && text.before(start) == b'<' && alnum(text.at(j)) => {
            let close = text.run(j, |b| !matches!(b, 0 | b'>' | b'<' | b'\n'));
            (text.at(close) == b'>' && text.before(close) != b'/')
                .then_some((Link::Element, close + 1))
        }
        b'!' | b'?' | b'+' | b'|' | b'.' if text.at(j + 1) == b'=' => Some((Link::Assign, j + 2)),
        b'?' if text.at(j + 1) == b':' => {
            Some(annotated(text, j + 2).map_or((Link::Assign, j + 2), |k| (Link::Assign, k)))
        }
        b'|' | b'?' if text.at(j + 1) == text.at(j) => {
            Some((Link::Assign, text.run(j + 2, |b| b == b'=')))
        }
        b'|' if blanks => Some((Link::Cell, text.blanks(j + 1))),
        b'%' if text.starts_ci(j, b"%3d") => Some((Link::Assign, j + 3)),
        b'%' if text.starts_ci(j, b"%3a") => Some((Link::Colon, text.run(j + 3, |b| b == b'+'))),
        b'%' if text.starts_ci(j, b"%253d") => Some((Link::Assign, j + 5)),
        b'\\' if text.starts_ci(j, b"\\u003d") => Some((Link::Assign, j + 6)),
        b'\\' if text.starts_ci(j, b"\\\\u003d") => Some((Link::Assign, j + 7)),
        b'\\' if text.at(j + 1) == b't' && name_quote.is_none() => Some((Link::Blank, j + 2)),
        b'&' if text.starts_ci(j, b"&#61;") => Some((Link::Assign, j + 5)),
        b'&' if text.starts_ci(j, b"&gt;") => Some((Link::Element, j + 4)),
        b'\\' if text.starts_ci(j, b"\\u003e") => Some((Link::Element, j + 6)),
        b'>' if matches!(text.before(start), b'<' | b':') => Some((Link::Element, j + 1)),
        b'>' if text.at(j + 1) != b'=' && name_quote.is_some() => Some((Link::Element, j + 1)),
        b',' if name_quote.is_some() => Some((Link::Comma, text.blanks(j + 1))),
        b'(' if !blanks && name_quote.is_none() => Some((Link::Call, j + 1)),
        b'i' | b'w'
            if blanks
                && (text.starts_ci(j, b"is ")
                    || text.starts_ci(j, b"was ")
                    || text.starts_ci(j, b"is: ")) =>
        {
            let k = text.run(j, |b| b != b' ' && b != 0);
            Some((Link::Prose, text.blanks(k)))
        }
        b'a' | b'A' if blanks && text.starts_ci(j, b"as string = ") => Some((Link::Assign, j + 12)),
        // C#: `Password { get; set; } = "..."`
        b'{' if blanks && text.starts(j, b"{ get") => {
            let close = text.run_most(j, 60, |b| !matches!(b, 0 | b'}' | b'\n'));
            let equals = text.blanks(close + 1);
            (text.at(close) == b'}' && text.at(equals) == b'=')
                .then_some((Link::Assign, equals + 1))
        }
        // `NAME<<EOF`
        b'<' if text.starts(j, b"<<") && text.at(j + 2) != b'<' => Some((Link::Assign, j)),
        b'(' if blanks => Some((Link::Blank, j + 1)),
        _ if blanks => Some((Link::Blank, j)),
        _ => None,
    }
}

/// The first byte of the value behind a type: `: &str =`, `: string =`, `: Option<String> =`.
fn annotated(text: &Text<'_>, from: usize) -> Option<usize> {
    let i = text.blanks(from);
    let end = text.run(i, |b| {
        b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'_' | b'&'
                    | b'<'
                    | b'>'
                    | b'\''
                    | b'|'
                    | b' '
                    | b':'
                    | b'?'
                    | b'.'
                    | b'['
                    | b']'
                    | b'*'
            )
    });
    let kind = text.slice(i, end);
    (text.at(end) == b'='
        && text.at(end + 1) != b'='
        && !kind.is_empty()
        && kind.len() < 40
        && kind.iter().filter(|b| b.is_ascii_digit()).count() <= 3)
        .then(|| text.run(end, |b| matches!(b, b'=' | b'>')))
}
