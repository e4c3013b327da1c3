//! Secrets that one notation only gives away.

use crate::class::alnum;
use crate::names::Kind;
use crate::rule::{Family, NEAR, Out};
use crate::text::Text;
use crate::value::plausible;

/// Literals, the rule that judges them, and how far it looks.
pub(crate) const RULES: &[Family] = &[
    Family::new(&["unseal key"], unseal_key_rule, NEAR),
    Family::new(&["community "], community_rule, NEAR),
    Family::new(&[": eap \"", ": xauth \""], ipsec_rule, NEAR),
    Family::new(&[" on >"], redis_user_rule, NEAR),
    Family::new(&["]:587 ", "]:465 ", "]:25 "], postfix_rule, NEAR),
    Family::new(&["\"md5"], pgbouncer_rule, NEAR),
    Family::new(&["x-honeycomb-team", "jfrog-art-api"], header_rule, NEAR),
    Family::new(&["secret ip"], chap_rule, NEAR),
    Family::new(&["chpasswd:"], cloud_init_rule, NEAR),
    Family::new(
        &[":543", ":6432:", ":*:", ":25060:", ":26257:"],
        pgpass_rule,
        NEAR,
    ),
];

/// `host:5432:database:user:password` of a .pgpass.
fn pgpass_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
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

/// The end of the word at `i`.
fn word(text: &Text<'_>, i: usize) -> usize {
    text.run(i, |b| !matches!(b, 0..=b' ' | b'"' | b'\'' | b'\\' | b','))
}

/// Reports a value that can be a password.
fn password(text: &Text<'_>, start: usize, end: usize, label: &'static str, out: &mut Out) {
    let bytes = text.slice(start, end);
    if !bytes.is_empty() && plausible(bytes, Kind::Password, true) {
        out.hit(start, end, label);
    }
}

/// `Unseal Key 1: ...` of Vault.
fn unseal_key_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let i = text.run(at + len, |b| {
        b.is_ascii_digit() || matches!(b, b' ' | b'(' | b')')
    });
    if text.at(i) == b':' {
        let start = text.blanks(i + 1);
        let end = word(text, start);
        if end - start >= 24 {
            password(text, start, end, "unseal-key", out);
        }
    }
}

/// `snmp-server community NAME RO`, `rocommunity NAME` of SNMP.
fn community_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let line = text.slice(text.line_start(at), at).to_ascii_lowercase();
    let start = text.blanks(at + len);
    let end = word(text, start);
    let bytes = text.slice(start, end);
    let told =
        line.windows(4).any(|part| part == b"snmp") || matches!(line.as_slice(), b"ro" | b"rw");
    if told && bytes.iter().any(u8::is_ascii_digit) {
        password(text, start, end, "snmp-community", out);
    }
}

/// `joe : EAP "PASSWORD"` of ipsec.secrets.
fn ipsec_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let start = at + len;
    let end = text.run(start, |b| !matches!(b, 0 | b'"' | b'\n' | b'\r'));
    password(text, start, end, "password", out);
}

/// `user joe on >PASSWORD ~* +@all` of Redis.
fn redis_user_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let line = text.slice(text.line_start(at), at);
    if line
        .windows(4)
        .any(|part| part.eq_ignore_ascii_case(b"user"))
    {
        password(text, at + len, word(text, at + len), "password", out);
    }
}

/// `[host]:587 user:PASSWORD` of Postfix.
fn postfix_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let end = word(text, at + len);
    let pair = text.slice(at + len, end);
    if let Some(colon) = pair.iter().position(|&b| b == b':') {
        password(text, at + len + colon + 1, end, "password", out);
    }
}

/// `"joe" "md5..."` of pgbouncer's list of users.
fn pgbouncer_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let end = text.run(at + len, |b| b.is_ascii_hexdigit());
    if end - at - len == 32 && text.at(end) == b'"' {
        out.hit(at + 1, end, "password-hash");
    }
}

/// Headers whose name alone says that the value is a key.
fn header_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let i = text.run(at + len, |b| {
        matches!(b, b' ' | b'"' | b'\'' | b'\\' | b':' | b'=' | b',' | b')')
    });
    let end = text.run_back(word(text, i), 3, |b| matches!(b, b')' | b';' | b'}'));
    if i > at + len && end >= i + 16 {
        password(text, i, end, "api-key", out);
    }
}

/// The head of pppd's chap-secrets, and lines of client, server, secret, addresses below it.
fn chap_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let mut i = at + len;
    for _ in 0..8 {
        let line = text.run_most(i, 200, |b| !matches!(b, 0 | b'\n' | b'\r' | b'\\'));
        let Some(next) = text.line_break(line) else {
            return;
        };
        i = next;
        for column in 0..3 {
            let start = text.run(i, |b| matches!(b, b' ' | b'\t' | b'"'));
            let end = word(text, start);
            if column == 2 {
                password(text, start, end, "password", out);
            }
            i = end + usize::from(text.at(end) == b'"');
        }
    }
}

/// `chpasswd:` of cloud-init, and lines `user:password` below it.
fn cloud_init_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let mut i = at + len;
    for _ in 0..16 {
        let Some(next) = text.line_break(text.blanks(i)) else {
            return;
        };
        let start = text.blanks(next);
        let end = word(text, start);
        if start == next || end == start {
            return;
        }
        let pair = text.slice(start, end);
        if let Some(colon) = pair
            .iter()
            .position(|&b| b == b':')
            .filter(|&colon| colon > 0 && colon + 1 < pair.len())
        {
            password(text, start + colon + 1, end, "password", out);
        }
        i = text.run_most(end, 200, |b| !matches!(b, 0 | b'\n' | b'\r' | b'\\'));
    }
}
