//! Secrets that a command printed.

use crate::names::Kind;
use crate::rule::{Family, NEAR, Out, families};
use crate::shape::wordy;
use crate::text::Text;
use crate::value::plausible;

/// Commands that print a secret and nothing else.
struct Printer {
    literals: &'static [&'static str],
    /// A piece that the line before the literal must hold, in either case; none if empty.
    says: &'static str,
}

const PRINTERS: &[Printer] = &[
    Printer {
        literals: &["jsonpath=", "go-template="],
        says: "secret",
    },
    Printer {
        literals: &["/run/secrets/", "master.key", ".vault-token"],
        says: "cat ",
    },
    Printer {
        literals: &[
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
            "auth:token",
            "bw get password",
            "secrets get ",
            "create token ",
            "token create",
        ],
        says: "",
    },
];

/// The table, a family a row.
pub(crate) const RULES: &[Family] = families!(PRINTERS, |row| PRINTERS[row].literals, rule, NEAR);

/// The one word on the line below a command of the row `row`.
fn rule(text: &Text<'_>, at: usize, len: usize, row: usize, out: &mut Out) {
    let says = PRINTERS[row].says.as_bytes();
    let line = text.slice(text.line_start(at), at);
    if !says.is_empty()
        && !line
            .windows(says.len())
            .any(|part| part.eq_ignore_ascii_case(says))
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
