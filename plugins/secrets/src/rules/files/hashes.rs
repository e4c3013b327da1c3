//! Stored password hashes.

use crate::class::alnum;
use crate::rule::{AROUND, Family, NEAR, Out};
use crate::shape::{Shape, head, wordy};
use crate::text::Text;

/// Literals, the rule that judges them, and how far it looks.
pub(crate) const RULES: &[Family] = &[
    Family::new(HASHES, hash_rule, NEAR),
    Family::new(DUMPS, dump_rule, AROUND),
];

/// Beginnings of stored password hashes.
pub(crate) const HASHES: &[&str] = &[
    "$1$",
    "$5$",
    "$6$",
    "$y$",
    "$7$",
    "$2a$",
    "$2b$",
    "$2x$",
    "$2y$",
    "$apr1$",
    "$argon2",
    "$scrypt$",
    "$pbkdf2",
    "{ssha",
    "{sha}",
    "{crypt}",
    "pbkdf2_sha256$",
    "pbkdf2:sha",
    "scrypt:",
    "$8$",
    "$9$",
    "$14$",
    "$sha1$",
    "scram-sha-256$",
    "scram-sha-1$",
    "$gy$",
    "$p$",
    "$h$",
];

/// A password hash: it is guessed offline, so it counts as a secret.
pub(crate) fn hash_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let end = text.run_most(at + len, 512, |b| {
        alnum(b)
            || matches!(
                b,
                b'.' | b'/' | b'$' | b'+' | b'=' | b',' | b'-' | b'_' | b'}' | b'*'
            )
            || b == b':' && matches!(text.at(at), b's' | b'p' | b'S')
    });
    let bytes = text.slice(at, end);
    let body = &bytes[len.min(bytes.len())..];
    let salted = bytes[0] != b'$'
        || body.contains(&b'$')
        || bytes.starts_with(b"$2")
        || bytes.starts_with(b"$P$")
        || bytes.starts_with(b"$H$")
        || bytes.starts_with(b"$9$");
    if body.len() >= 16 && salted && Shape::of(head(body)).distinct >= 8 && !wordy(head(body)) {
        let end = text
            .run_back(end, 4, |b| matches!(b, b'.' | b',' | b':' | b'-'))
            .max(at + len);
        out.hit(at, end, "password-hash");
    }
}

/// Ends of lines in dumps of password hashes.
pub(crate) const DUMPS: &[&str] = &[":::", ":[u "];

/// `user:500:LM-HASH:NT-HASH:::`, and smbpasswd's lines.
pub(crate) fn dump_rule(text: &Text<'_>, at: usize, _len: usize, out: &mut Out) {
    let nt = text.run_back(at, 33, |b| b.is_ascii_hexdigit());
    let lm = text.run_back(nt.saturating_sub(1), 33, |b| b.is_ascii_hexdigit());
    if at - nt == 32 && text.before(nt) == b':' && nt - 1 - lm == 32 && text.before(lm) == b':' {
        out.hit(lm, nt - 1, "password-hash");
        out.hit(nt, at, "password-hash");
    }
}
