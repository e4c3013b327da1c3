//! Values within something, or on the lines below: objects, lists, elements, block scalars,
//! here-documents.

use super::literal::{bare, quoted};
use crate::class::alnum;
use crate::names::{Kind, Name, classify};
use crate::quoting::{Place, quote_at, unquoted_end};
use crate::rule::Out;
use crate::text::Text;
use crate::value::{Value, accept, random};

/// The value among the members of an object or mapping that a name holds: `{"type": "string",
/// "value": "..."}`, `Type: String`, `Default: ...`.
pub(super) fn holder(text: &Text<'_>, from: usize, name: Name, out: &mut Out) -> bool {
    const MEMBERS: &[&str] = &[
        "value",
        "default",
        "stringvalue",
        "plaintext",
        "secretstring",
        "s",
        "data",
        "content",
        "#text",
        "_text",
        "raw",
        "currentvalue",
        "initialvalue",
    ];
    let curly = text.at(from) == b'{';
    let mut i = from + usize::from(curly);
    let mut line = false;
    for _ in 0..16 {
        loop {
            i = text.run(i, |b| matches!(b, b' ' | b'\t' | b','));
            match text.line_break(i) {
                Some(next) => {
                    // A mapping ends where its indentation does.
                    if !curly && text.blanks(next) == next {
                        return false;
                    }
                    line = true;
                    i = next;
                }
                None => break,
            }
        }
        if !curly && !line {
            return false;
        }
        let quote = quote_at(text, i);
        let start = i + quote.map_or(0, |quote| quote.length);
        let end = text.run(start, |b| alnum(b) || matches!(b, b'_' | b'#' | b'-'));
        let mut after = end + quote_at(text, end).map_or(0, |quote| quote.length);
        after = text.blanks(after);
        if end == start || text.at(after) != b':' {
            return false;
        }
        let key = text.slice(start, end);
        let value = text.blanks(after + 1);
        if MEMBERS
            .iter()
            .any(|member| key.eq_ignore_ascii_case(member.as_bytes()))
        {
            let value = quoted(text, value).unwrap_or_else(|| bare(text, value, Place::Plain));
            return accept(text, value, name, out);
        }
        if classify(key).is_some() {
            return false;
        }
        i = match quoted(text, value) {
            Some(value) => value.end + quote_at(text, value.end).map_or(1, |quote| quote.length),
            None => text.run_most(value, 80, |b| {
                !matches!(b, 0 | b',' | b'\n' | b'\r' | b'}' | b'{' | b'[' | b'\\')
            }),
        };
        if matches!(text.at(i), b'}' | b'{' | b'[') {
            return false;
        }
        line = false;
    }
    false
}

/// Strings in brackets behind a name.
pub(super) fn list(text: &Text<'_>, from: usize, name: Name, out: &mut Out) {
    let mut i = text.run(from, |b| !matches!(b, 0 | b'[' | b'{' | b'('));
    let open = i;
    let curly = text.at(i) == b'{';
    i += 1;
    for count in 0..64 {
        i = text.run(i, |b| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | b','));
        while let Some(next) = text.line_break(i) {
            i = text.blanks(next);
        }
        let Some(value) = quoted(text, i) else { return };
        let close = quote_at(text, value.end).map_or(1, |quote| quote.length);
        let next = text.blanks(value.end + close);
        if curly && matches!(text.at(next), b':' | b'=') {
            // Members: `"github-oauth": {"github.com": "..."}`.
            let Some(value) = quoted(text, next + 1) else {
                return;
            };
            accept(text, value, name.as_kind(Kind::Weak), out);
            i = value.end + quote_at(text, value.end).map_or(1, |quote| quote.length);
            continue;
        }
        // `auth=("user", "password")`
        let pair =
            count == 1 && text.at(open) == b'(' && matches!(name.label, "auth" | "credential");
        let kind = if pair { Kind::Password } else { name.kind };
        // Lists of names are more common than lists of secrets.
        if kind == Kind::Password || random(text.slice(value.start, value.end)) {
            accept(text, value, name.as_kind(kind), out);
        }
        i = value.end + close;
    }
}

/// `<password>value</password>`, also with attributes.
pub(super) fn element(text: &Text<'_>, from: usize, name: Name, out: &mut Out) {
    let mut start = text.run(from, |b| matches!(b, b' ' | b'\t' | b'\n' | b'\r'));
    if text.starts_ci(start, b"<![cdata[") {
        start += 9;
    } else if text.starts_ci(start, b"<string>") || text.starts_ci(start, b"<value>") {
        start = text.run(start, |b| b != b'>' && b != 0) + 1;
    }
    let end = text.run(start, |b| {
        !matches!(b, 0 | b'<' | b'\n' | b'\r' | b'&' | b']' | b'"')
    });
    let closes = text.at(end) == b'<' && matches!(text.at(end + 1), b'/' | b'!')
        || text.starts_ci(end, b"&lt;/")
        || text.at(end) == b']'
        || text.at(end) == b'\n'
        || text.starts(end, b"&amp;");
    if end > start && closes {
        let trimmed = text.run_back(end, end - start, |b| b == b' ');
        accept(text, Value::quoted(start, trimmed), name, out);
    } else if end > start && text.at(end) == b'\\' {
        accept(
            text,
            Value::quoted(start, unquoted_end(text, start, Place::Plain)),
            name,
            out,
        );
    }
}

/// Values on the lines below a name, deeper than it: block scalars, lists, a wrapped string.
pub(super) fn below(text: &Text<'_>, from: usize, name: Name, block: bool, out: &mut Out) {
    let mut i = from;
    for _ in 0..24 {
        let Some(next) = text.line_break(i) else {
            return;
        };
        let mut start = text.blanks(next);
        let indented = start > next;
        let item = text.at(start) == b'-' && text.at(start + 1) == b' ';
        if item {
            start = text.blanks(start + 1);
        }
        if !indented && !item {
            return;
        }
        if let Some(value) = quoted(text, start) {
            if !accept(text, value, name, out) {
                return;
            }
            i = value.end + usize::from(text.at(value.end) != 0);
            i = text.run(i, |b| matches!(b, b',' | b' ' | b'"' | b'\''));
        } else {
            let end = text.run(start, |b| !matches!(b, 0..=b' ' | b'"' | b'\\'));
            // `name: value` is a member of its own.
            if end == start
                || matches!(text.at(end - 1), b':')
                || text.slice(start, end).contains(&b'=') && !block && end - start < 16
            {
                return;
            }
            let rest = text.blanks(end);
            let line_ends =
                text.at(rest) == 0 || text.line_break(rest).is_some() || text.at(rest) == b'"';
            let list = matches!(text.at(end - 1), b',' | b';' | b'{' | b'(');
            if !line_ends || !(block || item) && (list || !random(text.slice(start, end))) {
                return;
            }
            if !accept(text, Value::quoted(start, end), name, out) {
                return;
            }
            i = rest;
        }
        if !block && !item {
            return;
        }
    }
}

/// The body of a here-document, and the extent of its mark: `<<EOF`, `<<-'EOF'`, `$(cat <<EOF`,
/// `<<<EOT` of PHP, `<<~EOS` of Ruby.
pub(super) fn document(text: &Text<'_>, from: usize) -> Option<(usize, usize, usize)> {
    let mut i = from;
    if text.at(i) == b'"' {
        i += 1;
    }
    if text.starts(i, b"$(") {
        i = text.blanks(i + 2);
        if !text.starts(i, b"cat") {
            return None;
        }
        i = text.blanks(i + 3);
    }
    if !text.starts(i, b"<<") {
        return None;
    }
    i = text.run(i, |b| b == b'<');
    i = text.run(i, |b| {
        matches!(b, b'-' | b'~' | b' ' | b'\'' | b'"' | b'\\')
    });
    let mark = text.run(i, |b| alnum(b) || b == b'_');
    if mark == i || !text.at(i).is_ascii_uppercase() && mark - i < 3 {
        return None;
    }
    let line = text.run_most(mark, 120, |b| !matches!(b, 0 | b'\n' | b'\r' | b'\\'));
    text.line_break(line).map(|body| (body, i, mark))
}

/// The lines of a here-document that is the value of a name.
pub(super) fn here_document(
    text: &Text<'_>,
    document: (usize, usize, usize),
    name: Name,
    out: &mut Out,
) {
    let (mut i, mark, mark_end) = document;
    let end_mark = text.slice(mark, mark_end);
    for _ in 0..24 {
        let start = text.blanks(i);
        let end = text.run(start, |b| !matches!(b, 0..=b' ' | b'\\'));
        let line = text.slice(start, end);
        if line.is_empty() || line.strip_suffix(b";").unwrap_or(line) == end_mark {
            return;
        }
        let value = Value::quoted(start, end);
        if !line.ends_with(b":") {
            accept(text, value, name, out);
        }
        let Some(next) = text.line_break(text.blanks(end)) else {
            return;
        };
        i = next;
    }
}
