//! Names that are values themselves: `name: API_TOKEN` and, next to it, `value: ...`.

use super::link::Link;
use super::member::member;
use super::nested::element;
use crate::class::alnum;
use crate::names::Name;
use crate::quoting::{Place, quote_at};
use crate::rule::Out;
use crate::text::Text;
use crate::value::{Value, accept};

/// A name that is itself a value: `name: API_TOKEN` and, next to it, `value: ...`.
pub(super) fn named_elsewhere(
    text: &Text<'_>,
    start: usize,
    name_end: usize,
    name: Name,
    out: &mut Out,
) -> bool {
    // Before the name: `name:`, `"key": "`, `key="`, `variable "`, `<name>`.
    let mut i = start;
    let opening = text.before(i);
    if matches!(opening, b'"' | b'\'' | b'`') {
        i -= 1;
        i = text.run_back(i, 8, |b| b == b'\\');
    } else if opening == b';' && (text.ends_ci(i, b"&quot;") || text.ends_ci(i, b"&#34;")) {
        i -= if text.ends_ci(i, b"&quot;") { 6 } else { 5 };
    }
    let quoted_name = i != start;
    i = text.run_back(i, 16, |b| b == b' ' || b == b'\t');
    let operator = text.before(i);
    let tag = operator == b'>';
    if matches!(operator, b':' | b'=' | b'>') {
        i -= 1;
        i = text.run_back(i, 16, |b| {
            b == b' ' || b == b'\\' || b == b'"' || b == b'\''
        });
    } else if !(quoted_name && operator.is_ascii_alphabetic()) {
        return false;
    }
    let word_start = text.run_back(i, 32, alnum);
    let word = text.slice(word_start, i).to_ascii_lowercase();
    const HOLDERS: &[&str] = &[
        "name",
        "key",
        "id",
        "field",
        "variable",
        "var",
        "env",
        "property",
        "option",
        "parameterkey",
        "param",
        "parameter",
        "attribute",
        "secretname",
        "title",
        "label",
        "k",
        "header",
        "variablename",
        "envvar",
    ];
    if !HOLDERS.iter().any(|holder| word == holder.as_bytes()) {
        return false;
    }
    // A value of its own: `$env:NAME = "..."`.
    let behind = quote_at(text, name_end).map_or(name_end, |quote| name_end + quote.length);
    if matches!(text.at(text.blanks(behind)), b'=' | b':') {
        return false;
    }
    // Behind the name: the value's member, at most a few others between.
    let mut j = name_end;
    if let Some(quote) = quote_at(text, j) {
        j += quote.length;
    }
    // multipart/form-data: an empty line, then the value.
    if let Some(second) = text.line_break(j).and_then(|next| text.line_break(next))
        && word == b"name"
        && text.at(start.wrapping_sub(2)) == b'='
    {
        let end = text.run(second, |b| !matches!(b, 0..=b' ' | b'\\'));
        return accept(text, Value::quoted(second, end), name, out);
    }
    const VALUES: &[&str] = &[
        "value",
        "default",
        "val",
        "defaultvalue",
        "parametervalue",
        "secretstring",
        "plaintext",
        "content",
        "text",
        "data",
        "v",
        "secret",
        "string",
    ];
    let stop = j + 240;
    let mut lines = 0;
    while j < stop {
        let b = text.at(j);
        if b == 0 {
            return false;
        }
        if b == b'\n' || (b == b'\\' && matches!(text.at(j + 1), b'n')) {
            lines += 1;
            if lines > 4 {
                return false;
            }
            j += if b == b'\n' { 1 } else { 2 };
            // A new list item is another variable.
            let k = text.blanks(j);
            if text.at(k) == b'-' && text.at(k + 1) == b' ' {
                return false;
            }
            continue;
        }
        if b == b'}' && text.at(j.wrapping_sub(1)) != b'{' {
            return false;
        }
        if alnum(b) {
            let end = text.run(j, alnum);
            let word = text.slice(j, end);
            if HOLDERS
                .iter()
                .take(2)
                .any(|holder| word.eq_ignore_ascii_case(holder.as_bytes()))
                && lines > 0
                && !tag
            {
                return false;
            }
            let whole = !matches!(text.before(j), b'_' | b'-' | b'.');
            if whole
                && VALUES
                    .iter()
                    .any(|value| word.eq_ignore_ascii_case(value.as_bytes()))
            {
                let mut k = end;
                if let Some(quote) = quote_at(text, k) {
                    k += quote.length;
                }
                k = text.blanks(k);
                match text.at(k) {
                    b':' | b'=' => {
                        let count = out.len();
                        member(text, k + 1, name, Place::Plain, Link::Colon, false, out);
                        return out.len() > count;
                    }
                    b'>' => {
                        let count = out.len();
                        element(text, k + 1, name, out);
                        return out.len() > count;
                    }
                    _ => {}
                }
            }
            j = end;
            continue;
        }
        j += 1;
    }
    false
}
