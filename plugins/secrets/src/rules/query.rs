//! Parameters of URLs and forms that are secrets.

use crate::class::alnum;
use crate::rule::{Family, NEAR, Out};
use crate::shape::{Shape, wordy};
use crate::stand_in::{is_placeholder, is_reference};
use crate::text::Text;
use crate::value::random;

/// Literals, the rule that judges them, and how far it looks.
pub(crate) const RULES: &[Family] = &[Family::new(QUERY_NAMES, query_rule, NEAR)];

/// Parameters that are secrets only in a URL or a form.
pub(crate) const QUERY_NAMES: &[&str] = &[
    "?key=",
    "&key=",
    ";key=",
    "?sig=",
    "&sig=",
    ";sig=",
    "%26sig%3d",
    "?code=",
    "&code=",
    "?signature=",
    "&signature=",
    "x-amz-signature=",
    "x-goog-signature=",
    "?auth=",
    "&auth=",
    "?sid=",
    "&sid=",
    "sessionid=",
    "?s=",
    "?t=",
    "&hmac=",
    "?hmac=",
    "?k=",
    "&k=",
    "?otp=",
    "?ticket=",
    "&ticket=",
    "x-oss-signature=",
    "&hash=",
    "?st=",
    "samlresponse=",
    "assertion=",
    "code_verifier=",
    "oauth_signature=",
    "\\u0026sig=",
    "\\u0026key=",
    "?apikey=",
    "?jwt=",
];

/// Parameters of URLs and forms.
pub(crate) fn query_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let from = at + len;
    let end = text.run(from, |b| {
        alnum(b)
            || matches!(
                b,
                b'-' | b'_' | b'.' | b'~' | b'%' | b'+' | b'/' | b'=' | b':'
            )
    });
    let bytes = text.slice(from, end);
    let literal = text.slice(at, from).to_ascii_lowercase();
    let signature = literal.windows(3).any(|part| part == b"sig")
        || literal.windows(4).any(|part| part == b"saml")
        || literal.windows(6).any(|part| part == b"assert");
    if bytes.len() < 16 || is_reference(bytes, false) || is_placeholder(bytes) || wordy(bytes) {
        return;
    }
    let line = text.line_start(at);
    let path = text.slice(line.max(at.saturating_sub(200)), at);
    let sends = [
        &b"verif"[..],
        b"reset",
        b"confirm",
        b"invit",
        b"magic",
        b"login",
        b"activat",
        b"subscri",
    ]
    .iter()
    .any(|word| {
        path.windows(word.len())
            .any(|part| part.eq_ignore_ascii_case(word))
    });
    let short_name = !sends && (literal.len() <= 3 || literal == b"&hash=" || literal == b"?st=");
    if short_name && (bytes.len() < 24 || Shape::of(bytes).hex) {
        return;
    }
    if signature || random(bytes) {
        out.hit(from, end, "url-parameter");
    }
}
