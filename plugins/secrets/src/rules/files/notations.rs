//! Secrets that one notation only gives away.

use crate::class::alnum;
use crate::names::Kind;
use crate::rule::{Family, NEAR, Out};
use crate::text::Text;
use crate::value::plausible;

/// Literals, the rule that judges them, and how far it looks.
pub(crate) const RULES: &[Family] = &[
    Family::new(NOTATIONS, notation_rule, NEAR),
    Family::new(
        &[":543", ":6432:", ":*:", ":25060:", ":26257:"],
        pgpass_rule,
        NEAR,
    ),
];

/// `host:5432:database:user:password` of a .pgpass.
pub(crate) fn pgpass_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let mut i = at + len;
    // `:543`: one of the ports that servers side by side use.
    if text.before(i) != b':' {
        if !text.at(i).is_ascii_digit() || text.at(i + 1) != b':' {
            return;
        }
        i += 2;
    }
    for _ in 0..2 {
        let end = text.run(i, |b| alnum(b) || matches!(b, b'_' | b'-' | b'*' | b'.'));
        if end == i || text.at(end) != b':' {
            return;
        }
        i = end + 1;
    }
    let end = text.run(i, |b| !matches!(b, 0..=b' ' | b'"' | b'\'') && (b != b'\\'));
    let line = text.line_start(at);
    let host = text.slice(line, at);
    if host.len() < 100
        && !host.contains(&b' ')
        && plausible(text.slice(i, end), Kind::Password, true)
    {
        out.hit(i, end, "password");
    }
}

/// What gives the value behind it away in one notation only.
pub(crate) const NOTATIONS: &[&str] = &[
    "unseal key",
    "community ",
    ": eap \"",
    ": xauth \"",
    " on >",
    "]:587 ",
    "]:465 ",
    "]:25 ",
    "\"md5",
    "x-honeycomb-team",
    "jfrog-art-api",
    "secret ip",
    "chpasswd:",
];

/// Values of single notations.
pub(crate) fn notation_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let literal = text.slice(at, at + len).to_ascii_lowercase();
    let word = |i: usize| text.run(i, |b| !matches!(b, 0..=b' ' | b'"' | b'\'' | b'\\' | b','));
    let mut password = |start: usize, end: usize, label: &'static str| {
        let bytes = text.slice(start, end);
        if !bytes.is_empty() && plausible(bytes, Kind::Password, true) {
            out.hit(start, end, label);
        }
    };
    match literal.as_slice() {
        // Vault: `Unseal Key 1: ...`
        b"unseal key" => {
            let i = text.run(at + len, |b| {
                b.is_ascii_digit() || matches!(b, b' ' | b'(' | b')')
            });
            if text.at(i) == b':' {
                let start = text.blanks(i + 1);
                let end = word(start);
                if end - start >= 24 {
                    password(start, end, "unseal-key");
                }
            }
        }
        // SNMP: `snmp-server community NAME RO`, `rocommunity NAME`
        b"community " => {
            let line = text.slice(text.line_start(at), at).to_ascii_lowercase();
            let start = text.blanks(at + len);
            let end = word(start);
            let bytes = text.slice(start, end);
            let told = line.windows(4).any(|part| part == b"snmp")
                || matches!(line.as_slice(), b"ro" | b"rw");
            if told && bytes.iter().any(u8::is_ascii_digit) {
                password(start, end, "snmp-community");
            }
        }
        // IPsec secrets.
        b": eap \"" | b": xauth \"" => {
            let start = at + len;
            let end = text.run(start, |b| !matches!(b, 0 | b'"' | b'\n' | b'\r'));
            password(start, end, "password");
        }
        // Redis: `user joe on >PASSWORD ~* +@all`
        b" on >" => {
            let line = text.slice(text.line_start(at), at);
            if line
                .windows(4)
                .any(|part| part.eq_ignore_ascii_case(b"user"))
            {
                password(at + len, word(at + len), "password");
            }
        }
        // Postfix: `[host]:587 user:PASSWORD`
        b"]:587 " | b"]:465 " | b"]:25 " => {
            let end = word(at + len);
            let pair = text.slice(at + len, end);
            if let Some(colon) = pair.iter().position(|&b| b == b':') {
                password(at + len + colon + 1, end, "password");
            }
        }
        // pgbouncer's userlist.
        b"\"md5" => {
            let end = text.run(at + len, |b| b.is_ascii_hexdigit());
            if end - at - len == 32 && text.at(end) == b'"' {
                out.hit(at + 1, end, "password-hash");
            }
        }
        b"x-honeycomb-team" | b"jfrog-art-api" => {
            let i = text.run(at + len, |b| {
                matches!(b, b' ' | b'"' | b'\'' | b'\\' | b':' | b'=' | b',' | b')')
            });
            let end = word(i);
            let end = text.run_back(end, 3, |b| matches!(b, b')' | b';' | b'}'));
            if i > at + len && end >= i + 16 {
                password(i, end, "api-key");
            }
        }
        // The head of pppd's chap-secrets: client, server, secret, addresses.
        b"secret ip" => {
            let mut i = at + len;
            for _ in 0..8 {
                let line = text.run_most(i, 200, |b| !matches!(b, 0 | b'\n' | b'\r' | b'\\'));
                let Some(next) = text.line_break(line) else {
                    return;
                };
                i = next;
                for column in 0..3 {
                    let start = text.run(i, |b| matches!(b, b' ' | b'\t' | b'"'));
                    let end = word(start);
                    if column == 2 {
                        password(start, end, "password");
                    }
                    i = end + usize::from(text.at(end) == b'"');
                }
            }
        }
        // cloud-init: the lines `user:password` below `chpasswd:`.
        b"chpasswd:" => {
            let mut i = at + len;
            for _ in 0..16 {
                let Some(next) = text.line_break(text.blanks(i)) else {
                    return;
                };
                let start = text.blanks(next);
                let end = word(start);
                if start == next || end == start {
                    return;
                }
                let pair = text.slice(start, end);
                if let Some(colon) = pair
                    .iter()
                    .position(|&b| b == b':')
                    .filter(|&colon| colon > 0 && colon + 1 < pair.len())
                {
                    password(start + colon + 1, end, "password");
                }
                i = text.run_most(end, 200, |b| !matches!(b, 0 | b'\n' | b'\r' | b'\\'));
            }
        }
        _ => {}
    }
}
