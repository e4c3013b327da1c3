//! Secrets in columns of tables.

use crate::class::alnum;
use crate::names::classify_words;
use crate::quoting::{quote_at, quoted_end};
use crate::rule::{BEHIND, DOCUMENT, Family, Out};
use crate::text::Text;
use crate::value::{Value, accept};

/// Literals, the rule that judges them, and how far it looks.
pub(crate) const RULES: &[Family] = &[Family::new(COLUMNS, table_rule, DOCUMENT)];

/// The most columns that are looked at.
pub(super) const MAX_COLUMNS: usize = 48;

/// Column names that make a line worth a look as the head of a table.
pub(crate) const COLUMNS: &[&str] = &[
    ",password",
    ",passwd",
    ",secret",
    ",token",
    ",api_key",
    ",apikey",
    "password,",
    "secret access key",
    ",access_token",
    ",pwd",
    ",pass",
    ";password",
    "\tpassword",
    "| password",
    "|password",
    "token,",
    "secret,",
    ",client_secret",
    ", password",
    ",key",
    "| token",
    "| secret",
    "| api_key",
];

/// A line of column names, and the rows below it.
pub(crate) fn table_rule(text: &Text<'_>, at: usize, _len: usize, out: &mut Out) {
    let line = text.line_start(at);
    // The beginning of the line is out of sight, and with it the order of the columns.
    if at - line >= BEHIND {
        return;
    }
    let separator = {
        let head = text.slice(line, at + 2);
        [b'|', b'\t', b';', b',']
            .into_iter()
            .find(|&separator| head.contains(&separator))
            .unwrap_or(b',')
    };
    let mut secret = [None; MAX_COLUMNS];
    let mut any = false;
    let mut columns = 0;
    let mut i = line;
    let trim = |b: u8| matches!(b, b' ' | b'"' | b'\'');
    loop {
        let end = text.run(i, |b| {
            b != separator && !matches!(b, 0 | b'\n' | b'\r' | b'\\')
        });
        if columns >= MAX_COLUMNS || end - i > 60 {
            return;
        }
        let start = text.run(i, trim).min(end);
        let stop = text.run_back(end, end - start, trim);
        let name = text.slice(start, stop);
        // Only names stand in a head.
        if name
            .iter()
            .any(|b| !(alnum(*b) || matches!(b, b'_' | b'-' | b' ' | b'.')))
        {
            return;
        }
        secret[columns] = classify_words(name);
        any |= secret[columns].is_some();
        columns += 1;
        if text.at(end) == separator {
            i = end + 1;
        } else {
            i = end;
            break;
        }
    }
    if !any || columns < 2 {
        return;
    }
    for _ in 0..200 {
        let Some(mut start) = text.line_break(i) else {
            return;
        };
        let mut column = 0;
        // A rule below the head of a Markdown or psql table.
        let ruled = text.run(start, |b| matches!(b, b'-' | b'+' | b'|' | b':' | b' '));
        if ruled > start && text.line_break(ruled).is_some() {
            i = ruled;
            continue;
        }
        let row = start;
        let mut values: [(usize, usize); MAX_COLUMNS] = [(0, 0); MAX_COLUMNS];
        loop {
            let inner = text.blanks(start);
            let (from, to, after) = match quote_at(text, inner) {
                Some(quote) => {
                    let from = inner + quote.length;
                    let to = quoted_end(text, from, quote);
                    (
                        from,
                        to,
                        text.blanks(to + quote_at(text, to).map_or(0, |quote| quote.length)),
                    )
                }
                None => {
                    let end = text.run(start, |b| {
                        b != separator && !matches!(b, 0 | b'\n' | b'\r' | b'"') && b != b'\\'
                    });
                    (
                        inner.min(end),
                        text.run_back(end, end - start, |b| b == b' '),
                        end,
                    )
                }
            };
            if column < MAX_COLUMNS {
                values[column] = (from, to);
            }
            column += 1;
            if text.at(after) == separator {
                start = after + 1;
            } else {
                i = after;
                break;
            }
            if column > MAX_COLUMNS {
                return;
            }
        }
        if column != columns || i == row {
            return;
        }
        for (name, (start, end)) in secret.iter().zip(values) {
            if let Some(name) = name {
                accept(text, Value::quoted(start, end), *name, out);
            }
        }
    }
}
