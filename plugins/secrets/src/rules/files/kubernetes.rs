//! Secrets of Kubernetes.

use crate::class::{Class, alnum, base64};
use crate::quoting::{quote_at, quoted_end};
use crate::rule::{DOCUMENT, Family, Out};
use crate::stand_in::{is_placeholder, is_reference};
use crate::text::Text;

/// Literals, the rule that judges them, and how far it looks.
pub(crate) const RULES: &[Family] = &[
    Family::new(
        &[
            "kind: secret",
            "\"kind\":\"secret\"",
            "\"kind\": \"secret\"",
        ],
        kube_secret_rule,
        DOCUMENT,
    ),
    Family::new(&["apiversion: v1"], kube_document_rule, DOCUMENT),
    Family::new(
        &[
            "\"data\":",
            "\"stringdata\":",
            "\"data\\\":",
            "\"stringdata\\\":",
        ],
        kube_json_rule,
        DOCUMENT,
    ),
];

/// `kind: Secret` with its data behind it.
pub(crate) fn kube_secret_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    if alnum(text.at(at + len)) {
        return;
    }
    kube_data(text, at + len, out);
}

/// A document that says only at its end that it is a Secret, as `kubectl get -o yaml` prints it.
pub(crate) fn kube_document_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    // An item of a list is indented.
    let depth = at - text.line_start(at);
    if !text
        .slice(at - depth, at)
        .iter()
        .all(|b| matches!(b, b' ' | b'-'))
    {
        return;
    }
    let mut i = at + len;
    let start = i;
    while i - start < 12 * 1024 {
        match text.at(i) {
            0 => return,
            b'\n' => {
                let line = text.run(i + 1, |b| b == b' ');
                if text.line_break(line).is_some() || text.at(line) == b'#' || line - i - 1 > depth
                {
                    i = line.max(i + 1);
                    continue;
                }
                if line - i - 1 < depth || text.starts(line, b"---") {
                    return;
                }
                if text.starts(line, b"kind: ") {
                    if text.starts(line + 6, b"Secret") && !alnum(text.at(line + 12)) {
                        kube_data(text, at + len, out);
                    }
                    return;
                }
                // Only a document that begins with its data is read on.
                if ![
                    &b"data:"[..],
                    b"stringData:",
                    b"metadata:",
                    b"immutable:",
                    b"type:",
                    b"- ",
                ]
                .iter()
                .any(|head| text.starts(line, head))
                {
                    return;
                }
            }
            _ => {}
        }
        i += 1;
    }
}

/// A Secret written as JSON: its data may stand before or after its kind.
pub(crate) fn kube_json_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let open = text.run(at + len, |b| b.is_ascii_whitespace());
    if text.at(open) != b'{' {
        return;
    }
    let mut values: Vec<(usize, usize)> = Vec::new();
    let mut i = open + 1;
    loop {
        i = text.run(i, |b| b.is_ascii_whitespace() || b == b',');
        while let Some(next) = text.line_break(i) {
            i = text.run(next, |b| b.is_ascii_whitespace());
        }
        if text.at(i) == b'}' {
            break;
        }
        for value in [false, true] {
            let Some(quote) = quote_at(text, i) else {
                return;
            };
            let from = i + quote.length;
            let end = quoted_end(text, from, quote);
            if value {
                values.push((from, end));
            }
            i = text.blanks(end + quote.length);
            if !value {
                if text.at(i) != b':' {
                    return;
                }
                i = text.run(i + 1, |b| b.is_ascii_whitespace());
            }
        }
        if values.len() > 64 {
            return;
        }
    }
    let is_secret = |part: &[u8]| {
        let mut rest = part;
        while let Some(at) = rest
            .windows(4)
            .position(|four| four.eq_ignore_ascii_case(b"kind"))
        {
            rest = &rest[at + 4..];
            let value = rest
                .iter()
                .position(|b| !matches!(b, b'"' | b'\\' | b':' | b' '))
                .unwrap_or(rest.len());
            if rest[value..].starts_with(b"Secret\"") || rest[value..].starts_with(b"Secret\\") {
                return true;
            }
        }
        false
    };
    let before = text.slice(at.saturating_sub(400), at);
    let close = text.run_most(i, 2048, |b| b != 0);
    if is_secret(before) || is_secret(text.slice(i, close)) {
        for (start, end) in values {
            let bytes = text.slice(start, end);
            if bytes.len() >= 4 && !is_reference(bytes, true) && !is_placeholder(bytes) {
                out.hit(start, end, "kubernetes-secret");
            }
        }
    }
}

/// `{name: value, name: value}`
fn flow_mapping(text: &Text<'_>, from: usize, out: &mut Out) {
    let mut i = from;
    for _ in 0..32 {
        let colon = text.run(i, |b| !matches!(b, 0 | b':' | b'}' | b'\n'));
        if text.at(colon) != b':' {
            return;
        }
        let start = text.run(colon + 1, |b| matches!(b, b' ' | b'"' | b'\''));
        let end = text.run(start, |b| {
            !matches!(b, 0..=b' ' | b',' | b'}' | b'"' | b'\'')
        });
        let bytes = text.slice(start, end);
        if bytes.len() >= 4 && !is_reference(bytes, true) && !is_placeholder(bytes) {
            out.hit(start, end, "kubernetes-secret");
        }
        i = text.run(end, |b| matches!(b, b' ' | b',' | b'"' | b'\''));
    }
}

/// The members of `data:` and `stringData:`.
fn kube_data(text: &Text<'_>, from: usize, out: &mut Out) {
    let mut i = from;
    let mut inside: Option<usize> = None;
    while i - from < 12 * 1024 {
        i = text.run_of(i, 12 * 1024 - (i - from), Class::Line);
        if text.at(i) != b'\n' {
            return;
        }
        let next = i + 1;
        let start = text.blanks(next);
        let depth = start - next;
        if text.starts(start, b"---")
            || text.starts(start, b"- apiVersion:")
            || text.starts(start, b"apiVersion:") && inside.is_some()
        {
            return;
        }
        i = start;
        if text.starts(start, b"data:") || text.starts(start, b"stringData:") {
            let flow = text.run(start, |b| !matches!(b, 0 | b'{' | b'\n'));
            if text.at(flow) == b'{' {
                flow_mapping(text, flow + 1, out);
                return;
            }
            inside = Some(depth);
            continue;
        }
        let Some(base) = inside else { continue };
        if depth <= base {
            if text.line_break(start).is_none() {
                inside = None;
            }
            continue;
        }
        let name = text.run(start, |b| alnum(b) || matches!(b, b'_' | b'-' | b'.'));
        if text.at(name) != b':' {
            // A line of a block scalar.
            let end = text.run(start, |b| !matches!(b, 0..=b' '));
            if end - start >= 16 && text.slice(start, end).iter().all(|&b| base64(b)) {
                out.hit(start, end, "kubernetes-secret");
            }
            continue;
        }
        let value = text.blanks(name + 1);
        let (value, end) = match quote_at(text, value) {
            Some(quote) => (
                value + quote.length,
                quoted_end(text, value + quote.length, quote),
            ),
            None => (value, text.run(value, |b| !matches!(b, 0..=b' '))),
        };
        let bytes = text.slice(value, end);
        if bytes.len() >= 4
            && !matches!(bytes[0], b'|' | b'>')
            && !is_reference(bytes, true)
            && !bytes.starts_with(b"[redacted")
            && !is_placeholder(bytes)
        {
            out.hit(value, end, "kubernetes-secret");
        }
    }
}
