//! Credentials in HTTP headers.

use crate::class::{alnum, base64};
use crate::memory::Walk;
use crate::quoting::{Place, quote_at, quoted_end, unquoted_end};
use crate::rule::{Family, NEAR, Out};
use crate::shape::{head, wordy};
use crate::stand_in::{is_placeholder, is_reference};
use crate::text::Text;
use crate::value::{holds_credentials, random};

/// Literals, the rule that judges them, and how far it looks.
pub(crate) const RULES: &[Family] = &[
    Family::new(&["authorization"], authorization_rule, NEAR),
    Family::new(&["bearer "], bearer_rule, NEAR),
    Family::new(&["basic "], basic_rule, NEAR),
    Family::new(
        &[
            "cookie:",
            "cookie\":",
            "cookie\\\":",
            "cookie = \"",
            "cookie='",
            "cookies={",
        ],
        cookie_rule,
        NEAR,
    ),
];

/// `Authorization: Scheme credentials`, as header, member, or argument.
pub(crate) fn authorization_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let mut i = at + len;
    if alnum(text.at(i)) || text.at(i) == b'_' {
        return;
    }
    let enclosing = text.before(
        at.saturating_sub(if text.ends_ci(at, b"proxy-") { 6 } else { 0 })
            .max(text.floor()),
    );
    let mut name_quoted = false;
    if let Some(quote) = quote_at(text, i) {
        name_quoted = true;
        i += quote.length;
    }
    i = text.run(i, |b| matches!(b, b']' | b' ' | b')'));
    match text.at(i) {
        b':' | b'=' | b',' => i += 1 + usize::from(text.at(i + 1) == b'>'),
        b'%' if text.starts_ci(i, b"%3a") => i += 3,
        _ => return,
    }
    i = text.run(i, |b| matches!(b, b' ' | b'\t' | b'[' | b'+'));
    let mut end = None;
    if let Some(quote) = quote_at(text, i) {
        i += quote.length;
        end = Some(quoted_end(text, i, quote));
    } else if !name_quoted && matches!(enclosing, b'"' | b'\'') {
        let back = text.run_back(at - 1, 8, |b| b == b'\\');
        if let Some(quote) = quote_at(text, back) {
            end = Some(quoted_end(text, i, quote));
        }
    }
    if text.at(i) == b'f' && quote_at(text, i + 1).is_some() {
        return;
    }
    let line_end = || {
        text.walk(Walk::Header, i, 1024, |j| {
            (!matches!(text.at(j), 0 | b'\n' | b'\r' | b'"' | b'`')
                && text.line_break(j).is_none()
                && quote_at(text, j).is_none_or(|quote| quote.depth == 0))
            .then_some(j + 1)
        })
    };
    let mut end = end.unwrap_or_else(line_end);
    // `Digest username="...", response="..."`: the quotes belong to the parameters.
    if text.at(end) == b'"' && text.before(end) == b'=' {
        end = line_end_of(text, end);
    }
    while end > i && matches!(text.at(end - 1), b' ' | b',' | b'\'') {
        end -= 1;
    }
    let value = text.slice(i, end);
    let scheme_end = value
        .iter()
        .position(|b| matches!(b, b' ' | b'+'))
        .filter(|&space| value[..space].iter().all(|b| alnum(*b) || *b == b'-'));
    let (credentials, from) = match scheme_end {
        Some(space) => {
            let from = i + space + 1;
            (text.slice(from, end), from)
        }
        None => (value, i),
    };
    if credentials.len() < 6 || is_reference(head(credentials), true) || is_placeholder(credentials)
    {
        return;
    }
    let structured =
        credentials.contains(&b'=') && credentials.iter().any(|b| matches!(b, b',' | b' ' | b'"'));
    if structured {
        let end = if credentials.contains(&b'"') {
            line_end_of(text, from).max(end)
        } else {
            end
        };
        out.hit(from, end, "authorization");
        return;
    }
    let stop = from
        + credentials
            .iter()
            .position(|b| matches!(b, b' ' | b'<' | b'>' | b',' | b';'))
            .unwrap_or(credentials.len());
    let stop = unquoted_end(text, from, Place::Plain).min(stop).max(from);
    let first = text.slice(from, stop);
    if first.len() >= 6
        && !wordy(first)
        && (first.len() >= 12 || first.iter().any(u8::is_ascii_digit))
    {
        out.hit(from, stop, "authorization");
    }
}

fn line_end_of(text: &Text<'_>, from: usize) -> usize {
    let mut j = text.walk(Walk::LineEnd, from, usize::MAX, |j| {
        (!matches!(text.at(j), 0 | b'\n' | b'\r') && text.line_break(j).is_none()).then_some(j + 1)
    });
    while j > from && matches!(text.at(j - 1), b' ' | b'\'') {
        j -= 1;
    }
    j
}

/// `Bearer xyz`, anywhere.
pub(crate) fn bearer_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    if alnum(text.before(at)) {
        return;
    }
    let from = text.run(at + len, |b| b == b' ');
    let end = text.run(from, |b| {
        alnum(b) || matches!(b, b'.' | b'_' | b'~' | b'+' | b'/' | b'=' | b'-' | b':')
    });
    let end = text.run_back(end, end - from, |b| matches!(b, b'.' | b':'));
    let bytes = text.slice(from, end);
    if bytes.len() >= 12
        && !wordy(bytes)
        && !is_placeholder(bytes)
        && bytes.iter().any(u8::is_ascii_digit)
    {
        out.hit(from, end, "bearer-token");
    }
}

/// `Basic dXNlcjpwYXNz`: only what decodes to a user and a password.
pub(crate) fn basic_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    if alnum(text.before(at)) {
        return;
    }
    let from = text.run(at + len, |b| b == b' ');
    let end = text.run(from, base64);
    let bytes = text.slice(from, end);
    if bytes.len() >= 8 && holds_credentials(bytes) {
        out.hit(from, end, "basic-auth");
    }
}

/// `Cookie:` and `Set-Cookie:` headers: values that look like sessions.
pub(crate) fn cookie_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let mut i = text.run(at + len, |b| {
        matches!(b, b' ' | b'"' | b'\'' | b'\\' | b'[')
    });
    for _ in 0..40 {
        let name_end = text.run(i, |b| {
            alnum(b) || matches!(b, b'_' | b'-' | b'.' | b'%' | b'$' | b'[' | b']')
        });
        // `cookies={"session": "..."}`
        let member = text.run_most(name_end, 5, |b| matches!(b, b'"' | b'\'' | b':' | b' '));
        let from = if text.at(name_end) == b'=' {
            name_end + 1
        } else if text.slice(name_end, member).contains(&b':') {
            member
        } else {
            return;
        };
        if name_end == i {
            return;
        }
        let end = text.run(from, |b| {
            !matches!(b, 0..=b' ' | b';' | b'"' | b'\'' | b',' | b'\\')
        });
        let bytes = text.slice(from, end);
        let name = text.slice(i, name_end).to_ascii_lowercase();
        let session = [
            &b"sess"[..],
            b"sid",
            b"auth",
            b"token",
            b"jwt",
            b"csrf",
            b"remember",
            b"login",
            b"user",
            b"connect",
            b"id",
        ]
        .iter()
        .any(|word| name.windows(word.len()).any(|part| part == *word));
        if bytes.len() >= 12
            && !wordy(bytes)
            && !is_placeholder(bytes)
            && !is_reference(bytes, true)
            && (session || random(bytes) && bytes.len() >= 24)
        {
            out.hit(from, end, "cookie");
        }
        if text.at(end) != b';' {
            return;
        }
        i = text.run(end + 1, |b| b == b' ');
    }
}
