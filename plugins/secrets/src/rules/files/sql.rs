//! Secrets in SQL statements.

use super::table::MAX_COLUMNS;
use crate::class::alnum;
use crate::names::{Kind, Name, classify};
use crate::quoting::{quote_at, quoted_end};
use crate::rule::{DOCUMENT, Family, NEAR, Out};
use crate::shape::wordy;
use crate::stand_in::{is_placeholder, is_reference};
use crate::text::Text;
use crate::value::{Value, accept};

/// Literals, the rule that judges them, and how far it looks.
pub(crate) const RULES: &[Family] = &[
    Family::new(
        &[
            "identified by",
            "identified with",
            " password '",
            " password \"",
            "encrypted password",
            "set password for",
        ],
        sql_rule,
        NEAR,
    ),
    Family::new(&["insert into", "csv header"], insert_rule, DOCUMENT),
];

/// `IDENTIFIED BY '...'`, `PASSWORD '...'`.
pub(crate) fn sql_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let literal = text.slice(at, at + len).to_ascii_lowercase();
    let mut i = at + len;
    if literal.starts_with(b" password") {
        i -= 1;
    }
    if literal.starts_with(b"set") {
        let equals = text.run(i, |b| !matches!(b, 0 | b'=' | b';' | b'\n'));
        if text.at(equals) != b'=' {
            return;
        }
        i = equals + 1;
    }
    i = text.blanks(i);
    // `IDENTIFIED WITH plugin BY '...'`, `IDENTIFIED BY PASSWORD '...'`.
    for _ in 0..3 {
        if quote_at(text, i).is_some() {
            break;
        }
        let end = text.run(i, |b| alnum(b) || b == b'_');
        if end == i {
            return;
        }
        if literal == b"identified by"
            && !text.starts_ci(i, b"password")
            && !text.starts_ci(i, b"values")
        {
            accept(
                text,
                Value::quoted(i, end),
                Name::new(Kind::Password, "sql-password"),
                out,
            );
            return;
        }
        i = text.blanks(end);
    }
    let Some(quote) = quote_at(text, i).filter(|quote| quote.mark != b'`') else {
        return;
    };
    let start = i + quote.length;
    let end = quoted_end(text, start, quote);
    let bytes = text.slice(start, end);
    if bytes.len() >= 3
        && !bytes.contains(&b' ')
        && !is_reference(bytes, true)
        && !is_placeholder(bytes)
        && !(wordy(bytes) && literal.starts_with(b" password"))
    {
        out.hit(start, end, "sql-password");
    }
}

/// `INSERT INTO t (name, password) VALUES ('joe', '...')`.
pub(crate) fn insert_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let mut i = at + len;
    let open = {
        let mut j = i;
        while !matches!(text.at(j), 0 | b'(' | b';' | b'\n') && j - i < 200 {
            j += 1;
        }
        if text.at(j) != b'(' {
            return;
        }
        j
    };
    i = open + 1;
    let mut secret = [None; MAX_COLUMNS];
    let mut any = false;
    let mut column = 0;
    loop {
        let start = text.run(i, |b| {
            matches!(b, b' ' | b'`' | b'"' | b'[' | b'\n' | b'\r' | b'\t' | b'\\')
        });
        let end = text.run(start, |b| alnum(b) || b == b'_');
        if end == start || column >= MAX_COLUMNS {
            return;
        }
        secret[column] = classify(text.slice(start, end));
        any |= secret[column].is_some();
        column += 1;
        i = text.run(end, |b| {
            matches!(b, b' ' | b'`' | b'"' | b']' | b'\\' | b'\n' | b'\r')
        });
        match text.at(i) {
            b',' => i += 1,
            b')' => break,
            _ => return,
        }
    }
    if !any {
        return;
    }
    i = text.run(i + 1, |b| b.is_ascii_whitespace());
    if !text.starts_ci(i, b"values") {
        return;
    }
    i += 6;
    // Tuples.
    for _ in 0..200 {
        i = text.run(i, |b| {
            matches!(b, b' ' | b'\n' | b'\r' | b'\t' | b',' | b'\\')
        });
        if text.at(i) == b'n' && text.before(i) == b'\\' {
            i += 1;
            continue;
        }
        if text.at(i) != b'(' {
            return;
        }
        i += 1;
        for name in secret.iter().take(column) {
            i = text.run(i, |b| {
                matches!(b, b' ' | b'\n' | b'\t' | b'N' | b'E' | b'b')
            });
            let (start, end, after) = match quote_at(text, i) {
                Some(quote) => {
                    let start = i + quote.length;
                    let end = quoted_end(text, start, quote);
                    (
                        start,
                        end,
                        end + quote_at(text, end).map_or(0, |quote| quote.length),
                    )
                }
                None => {
                    let end = text.run(i, |b| !matches!(b, 0 | b',' | b')' | b'\n'));
                    (i, end, end)
                }
            };
            if let Some(name) = name {
                accept(text, Value::quoted(start, end), *name, out);
            }
            i = text.blanks(after);
            match text.at(i) {
                b',' => i += 1,
                b')' => break,
                _ => return,
            }
        }
        if text.at(i) == b')' {
            i += 1;
        }
    }
}
