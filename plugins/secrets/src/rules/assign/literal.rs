//! Values as literals of a language: quoted, bare, put together from several, inside a constructor.

use crate::class::alnum;
use crate::lists::Heads;
use crate::names::Name;
use crate::quoting::{Place, quote_at, quoted_end, unquoted_end};
use crate::rule::Out;
use crate::shape::wordy;
use crate::text::Text;
use crate::value::{Value, accept, plausible};

/// The quoted string at `from`, behind the letters and signs that languages put before a quote.
pub(super) fn quoted(text: &Text<'_>, from: usize) -> Option<Value> {
    let mut i = text.blanks(from);
    for _ in 0..3 {
        if let Some(quote) = quote_at(text, i) {
            let mut start = i + quote.length;
            if quote.depth == 0 && text.at(start) == quote.mark && text.at(start + 1) == quote.mark
            {
                start += 2;
                if let Some(next) = text.line_break(start) {
                    start = text.blanks(next);
                }
                return Some(Value::quoted(start, quoted_end(text, start, quote)));
            }
            // JSON in a JSON string, a quoted word in a quoted option.
            if let Some(inner) = quote_at(text, start)
                .filter(|inner| inner.mark != quote.mark || inner.depth != quote.depth)
            {
                start += inner.length;
                return Some(Value::quoted(start, quoted_end(text, start, inner)));
            }
            return Some(Value::quoted(start, quoted_end(text, start, quote)));
        }
        match text.at(i) {
            b'b' | b'r' | b'f' | b'u' | b'@' | b'$' | b'L' | b'N' | b'E' | b'#' | b'R' | b'('
            | b'q' => i += 1,
            _ => return None,
        }
    }
    None
}

pub(super) fn bare(text: &Text<'_>, from: usize, place: Place) -> Value {
    let start = text.blanks(from);
    Value {
        start,
        end: unquoted_end(text, start, place),
        quoted: false,
    }
}

/// A string that is put together from several literals: `"abc" + "def"`, `"abc" "def"`, over lines
/// as well. They are judged as one.
pub(super) fn joined(text: &Text<'_>, first: Value, name: Name, out: &mut Out) -> bool {
    let mut pieces = [(0, 0); 16];
    pieces[0] = (first.start, first.end);
    let mut count = 1;
    let mut end = first.end;
    while count < pieces.len() {
        let Some(close) = quote_at(text, end).filter(|quote| quote.depth < 16) else {
            break;
        };
        let gap = |mut i: usize| loop {
            i = text.blanks(i);
            if text.at(i) == b'\\' && text.at(i + 1) == b'\n' {
                i += 1;
            }
            match text.line_break(i) {
                Some(next) => i = next,
                None => return i,
            }
        };
        let after = end + close.length;
        let mut i = gap(after);
        let operator = matches!(text.at(i), b'+' | b'.' | b'&') && text.at(i + 1) != b'=';
        if operator {
            i = gap(text.run(i, |b| matches!(b, b'+' | b'.' | b'&')));
        } else if i == after {
            break;
        }
        let Some(open) = quote_at(text, i).filter(|open| *open == close) else {
            break;
        };
        let start = i + open.length;
        end = quoted_end(text, start, open);
        // A member's name is no piece.
        let next = text.blanks(end + quote_at(text, end).map_or(0, |quote| quote.length));
        if end == start || matches!(text.at(next), b':' | b'=') {
            break;
        }
        pieces[count] = (start, end);
        count += 1;
    }
    if count == 1 {
        return false;
    }
    let pieces = &pieces[..count];
    let whole: Vec<u8> = pieces
        .iter()
        .flat_map(|&(start, end)| text.slice(start, end))
        .copied()
        .collect();
    if whole.is_empty() || !plausible(&whole, name.kind, true) || wordy(&whole) {
        return false;
    }
    for &(start, end) in pieces {
        out.hit(start, end, name.label);
    }
    true
}

/// A literal inside a constructor, or the fallback behind a reference: `String::from("...")`,
/// `process.env.X || "..."`.
pub(super) fn wrapped(text: &Text<'_>, from: usize, name: Name, out: &mut Out) {
    // Beyond this nothing is looked at.
    const REACH: usize = 240;
    let head_end = text.run_most(from, REACH, |b| {
        alnum(b)
            || matches!(
                b,
                b'_' | b'.'
                    | b':'
                    | b'!'
                    | b'&'
                    | b'$'
                    | b'{'
                    | b'}'
                    | b'['
                    | b']'
                    | b'-'
                    | b'>'
                    | b'<'
                    | b' '
                    | b'?'
            )
    });
    if head_end - from == REACH {
        return;
    }
    let head = text.slice(from, head_end.min(from + 80));
    static HEADS: Heads<25> = Heads::new([
        "from", "new", "secret", "some", "env", "fetch", "get", "decode", "encode", "str",
        "buffer", "bytes", "value", "password", "token", "key", "default", "literal", "plain",
        "of", "box", "arc", "parse", "config", "text",
    ]);
    let operator = text.at(head_end) == b'|'
        || head.windows(3).any(|three| {
            three == b" ??"
                || three == b" ?:"
                || three.eq_ignore_ascii_case(b" or")
                || three == b"?? "
        });
    if !operator && !HEADS.within(head) {
        return;
    }
    let mut i = from;
    for _ in 0..REACH {
        let b = text.at(i);
        if matches!(b, 0 | b'\n' | b'\r' | b';') {
            return;
        }
        if let Some(quote) = quote_at(text, i) {
            let start = i + quote.length;
            let value = Value::quoted(start, quoted_end(text, start, quote));
            if accept(text, value, name, out) {
                return;
            }
            i = value.end + quote.length;
            continue;
        }
        i += 1;
    }
}
