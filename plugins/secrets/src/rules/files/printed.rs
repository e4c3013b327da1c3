//! Secrets that a command printed.

use crate::names::Kind;
use crate::rule::{Family, NEAR, Out};
use crate::shape::wordy;
use crate::text::Text;
use crate::value::plausible;

/// Literals, the rule that judges them, and how far it looks.
pub(crate) const RULES: &[Family] = &[Family::new(PRINTERS, printed_rule, NEAR)];

/// Commands that print a secret and nothing else.
pub(crate) const PRINTERS: &[&str] = &[
    "jsonpath=",
    "go-template=",
    "vault kv get -field",
    "vault read -field",
    "op read ",
    "get-secret-value",
    "secrets versions access",
    "keyvault secret show",
    "pass show ",
    "find-generic-password",
    "gh auth token",
    "print-access-token",
    "print-identity-token",
    "get-login-password",
    "/run/secrets/",
    "master.key",
    ".vault-token",
    "auth:token",
    "bw get password",
    "secrets get ",
    "create token ",
    "token create",
];

/// The one word on the line below a command that prints a secret.
pub(crate) fn printed_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let line = text.slice(text.line_start(at), at);
    let literal = text.slice(at, at + len);
    if matches!(literal, b"jsonpath=" | b"go-template=")
        && !line
            .windows(6)
            .any(|part| part.eq_ignore_ascii_case(b"secret"))
    {
        return;
    }
    if matches!(literal, b"master.key" | b".vault-token" | b"/run/secrets/")
        && !line.windows(4).any(|part| part == b"cat ")
    {
        return;
    }
    let end = text.run_most(at + len, 300, |b| !matches!(b, 0 | b'\n' | b'\r' | b'\\'));
    let Some(start) = text.line_break(end) else {
        return;
    };
    let end = text.run(start, |b| {
        !matches!(b, 0..=b' ' | b'"' | b'\'' | b'\\' | b'{')
    });
    let bytes = text.slice(start, end);
    let alone = text.at(end) == 0 || text.line_break(end).is_some() || text.at(end) == b'"';
    if alone
        && bytes.len() >= 10
        && bytes.iter().any(u8::is_ascii_digit)
        && !wordy(bytes)
        && plausible(bytes, Kind::Password, true)
    {
        out.hit(start, end, "printed-secret");
    }
}
