//! The extent of a value: quotes in any notation, and the ends of a value without quotes.

use crate::memory::Walk;
use crate::text::Text;

/// A quote: its character, and the number of backslashes before it, which is its depth in strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quote {
    pub(crate) mark: u8,
    pub(crate) depth: usize,
    pub(crate) length: usize,
}

/// The quote at `i`, with its backslashes; also as an HTML entity, percent-encoded, or `\u0022`.
pub(crate) fn quote_at(text: &Text<'_>, i: usize) -> Option<Quote> {
    let b = text.at(i);
    match b {
        b'"' | b'\'' | b'`' => Some(Quote {
            mark: b,
            depth: 0,
            length: 1,
        }),
        b'\\' => {
            let end = text.run(i, |b| b == b'\\');
            let depth = end - i;
            let mark = text.at(end);
            if depth > 15 {
                return None;
            }
            if matches!(mark, b'"' | b'\'' | b'`') {
                return Some(Quote {
                    mark,
                    depth,
                    length: depth + 1,
                });
            }
            if text.starts_ci(end, b"u0022") {
                return Some(Quote {
                    mark: b'"',
                    depth,
                    length: depth + 5,
                });
            }
            if text.starts_ci(end, b"u0027") {
                return Some(Quote {
                    mark: b'\'',
                    depth,
                    length: depth + 5,
                });
            }
            None
        }
        b'&' => {
            for (entity, mark) in [
                ("&quot;", b'"'),
                ("&#34;", b'"'),
                ("&apos;", b'\''),
                ("&#39;", b'\''),
                ("&#x27;", b'\''),
                ("&#x22;", b'"'),
            ] {
                if text.starts_ci(i, entity.as_bytes()) {
                    return Some(Quote {
                        mark: b'&',
                        depth: usize::from(mark),
                        length: entity.len(),
                    });
                }
            }
            None
        }
        b'%' if text.starts(i, b"%22") || text.starts(i, b"%27") => Some(Quote {
            mark: b'%',
            depth: usize::from(text.at(i + 2)),
            length: 3,
        }),
        _ => None,
    }
}

/// The end of the string that `quote` opened, with its first character at `from`.
pub(crate) fn quoted_end(text: &Text<'_>, from: usize, quote: Quote) -> usize {
    let mut i = from;
    loop {
        let b = text.at(i);
        match b {
            0 | b'\n' | b'\r' => return i,
            b'\\' => {
                let end = text.run(i, |b| b == b'\\');
                let depth = end - i;
                let mark = text.at(end);
                let same = mark == quote.mark;
                if same && depth <= quote.depth && !(quote.depth == 0 && depth % 2 == 1) {
                    return i;
                }
                if same && quote.depth == 0 && depth.is_multiple_of(2) {
                    return end;
                }
                // The quote of the string around this one.
                if mark == b'"'
                    && quote.mark != b'"'
                    && quote.mark != b'&'
                    && quote.mark != b'%'
                    && quote.depth > 0
                    && depth < quote.depth
                {
                    return i;
                }
                i = end + usize::from(mark != 0 && mark != b'\n');
            }
            b'&' | b'%' if quote.mark == b => {
                if quote_at(text, i).is_some_and(|other| {
                    other == quote || (other.mark == quote.mark && other.depth == quote.depth)
                }) {
                    return i;
                }
                i += 1;
            }
            _ if b == quote.mark && quote.mark != b'&' && quote.mark != b'%' => {
                // Doubled quotes stand for one, as in CSV and YAML.
                if quote.depth == 0
                    && quote.mark != b'`'
                    && text.at(i + 1) == b
                    && i > from
                    && !ends_a_value(text.at(i + 2))
                {
                    i += 2;
                    continue;
                }
                return i;
            }
            _ if b == b'"' && quote.depth > 0 && quote.mark != b'&' && quote.mark != b'%' => {
                return i;
            }
            _ => i += 1,
        }
    }
}

fn ends_a_value(b: u8) -> bool {
    matches!(
        b,
        0 | b' ' | b'\t' | b'\n' | b'\r' | b',' | b';' | b')' | b'}' | b']'
    )
}

/// The place of an unquoted value, which decides about its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Inside a URL or a form body: `&` ends it.
    Query,
    /// Anywhere else.
    Plain,
}

/// The longest unquoted value.
pub(crate) const LONGEST_BARE: usize = 1536;

/// The end of the unquoted value at `from`.
pub(crate) fn unquoted_end(text: &Text<'_>, from: usize, place: Place) -> usize {
    let step = |i: usize| {
        let b = text.at(i);
        let ends = match b {
            0..=b' ' | 0x7f | b'"' | b'`' | b'<' => true,
            b'>' if i > from && !matches!(text.at(i - 1), b'-' | b'=') => place == Place::Query,
            b'\'' => {
                ends_a_value(text.at(i + 1)) || text.at(i + 1) == b':' || place == Place::Query
            }
            b'\\' => {
                let end = text.run(i, |b| b == b'\\');
                if matches!(
                    text.at(end),
                    b'n' | b'r' | b't' | b'"' | b'\'' | b'u' | b'x' | b'`' | 0..=b' '
                ) {
                    return None;
                }
                return Some(end);
            }
            b'&' => {
                place == Place::Query
                    || text.starts(i, b"&quot;")
                    || text.starts(i, b"&lt;")
                    || text.starts(i, b"&gt;")
                    || text.starts(i, b"&#")
                    || text.starts(i, b"&&")
                    || starts_next_member(text, i + 1)
            }
            b'#' => place == Place::Query,
            b',' | b';' | b'|' => starts_next_member(text, i + 1),
            // The end of a shell word or of a call.
            b')' | b']' | b'}' => closes(text, i),
            _ => false,
        };
        (!ends).then_some(i + 1)
    };
    let mut i = match place {
        Place::Plain => text.walk(Walk::Unquoted, from, LONGEST_BARE, step),
        Place::Query => {
            let mut i = from;
            while i - from < LONGEST_BARE
                && let Some(next) = step(i)
            {
                i = next;
            }
            i
        }
    };
    // Punctuation of the sentence or list around it.
    while i > from && matches!(text.at(i - 1), b',' | b';' | b'.' | b':' | b')' | b'>') {
        i -= 1;
    }
    if i > from + 1 && text.at(i - 1) == b'\'' {
        i -= 1;
    }
    i
}

/// Returns true if `=`, or a colon and a blank, follows the next word: `a=1,b=2`.
fn starts_next_member(text: &Text<'_>, i: usize) -> bool {
    if ends_a_value(text.at(i)) || matches!(text.at(i), b'"' | b'\'' | b'\\') {
        return true;
    }
    let end = text.run_most(i, 41, |b| {
        b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b' ')
    });
    let name = end - i;
    (1..=40).contains(&name)
        && !text.at(i).is_ascii_digit()
        && (text.at(end) == b'=' && text.at(end + 1) != b'=' || text.starts(end, b": "))
}

/// Returns true if the bracket at `i` and the bytes behind it end the value.
fn closes(text: &Text<'_>, i: usize) -> bool {
    let end = text.run_most(i, 64, |b| {
        matches!(
            b,
            b')' | b']' | b'}' | b';' | b',' | b'.' | b':' | b'"' | b'\''
        )
    });
    ends_a_value(text.at(end)) || text.at(end) == b'\\' || text.at(end) == b'<'
}
