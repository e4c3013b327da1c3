//! Secrets that a file's own notation gives away: password files, SQL, tables, Kubernetes objects.

use crate::Out;
use crate::assign::accept;
use crate::names::{Kind, classify};
use crate::text::{Text, alnum, base64};
use crate::value::{
    Shape, Value, is_placeholder, is_reference, plausible, quote_at, quoted_end, wordy,
};

/// How stored password hashes begin.
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
            || b == b':' && matches!(text.at(at), b's' | b'p')
    });
    let bytes = text.slice(at, end);
    let body = &bytes[len.min(bytes.len())..];
    let salted = bytes[0] != b'$'
        || body.contains(&b'$')
        || bytes.starts_with(b"$2")
        || bytes.starts_with(b"$P$")
        || bytes.starts_with(b"$H$")
        || bytes.starts_with(b"$9$");
    if body.len() >= 16 && salted && Shape::of(body).distinct >= 8 && !wordy(body) {
        let end = text
            .run_back(end, 4, |b| matches!(b, b'.' | b',' | b':' | b'-'))
            .max(at + len);
        out.hit(at, end, "password-hash");
    }
}

/// `host:5432:database:user:password` of a .pgpass.
pub(crate) fn pgpass_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let mut i = at + len;
    for _ in 0..2 {
        let end = text.run(i, |b| alnum(b) || matches!(b, b'_' | b'-' | b'*' | b'.'));
        if end == i || text.at(end) != b':' {
            return;
        }
        i = end + 1;
    }
    let end = text.run(i, |b| !matches!(b, 0..=b' ' | b'"' | b'\'') && (b != b'\\'));
    let line = text.line_start(at);
    let host = text.slice(line, at);
    if host.len() < 100
        && !host.contains(&b' ')
        && plausible(text.slice(i, end), Kind::Password, true)
    {
        out.hit(i, end, "password");
    }
}

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
                Value {
                    start: i,
                    end,
                    quoted: true,
                },
                Kind::Password,
                "sql-password",
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

const MAX_COLUMNS: usize = 48;

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
                accept(
                    text,
                    Value {
                        start,
                        end,
                        quoted: true,
                    },
                    name.kind,
                    name.label,
                    out,
                );
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
        let spaced: Vec<u8> = name
            .iter()
            .map(|&b| if b == b' ' { b'_' } else { b })
            .collect();
        secret[columns] = classify(&spaced);
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
                accept(
                    text,
                    Value {
                        start,
                        end,
                        quoted: true,
                    },
                    name.kind,
                    name.label,
                    out,
                );
            }
        }
    }
}

/// `kind: Secret` with its data behind it.
pub(crate) fn kube_secret_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    if alnum(text.at(at + len)) {
        return;
    }
    kube_data(text, at + len, out);
}

/// A document that says only at its end that it is a Secret, as `kubectl get -o yaml` prints it.
pub(crate) fn kube_document_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let mut i = at + len;
    let start = i;
    while i - start < 12 * 1024 {
        match text.at(i) {
            0 => return,
            b'\n' => {
                if text.starts(i + 1, b"---") {
                    return;
                }
                if text.starts(i + 1, b"kind: ") {
                    if text.starts(i + 7, b"Secret") && !alnum(text.at(i + 13)) {
                        kube_data(text, at + len, out);
                    }
                    return;
                }
                // Only a document that begins with its data is read on.
                if !matches!(text.at(i + 1), b' ' | b'\n' | b'#')
                    && !text.starts(i + 1, b"data:")
                    && !text.starts(i + 1, b"stringData:")
                    && !text.starts(i + 1, b"metadata:")
                    && !text.starts(i + 1, b"immutable:")
                    && !text.starts(i + 1, b"type:")
                {
                    return;
                }
            }
            _ => {}
        }
        i += 1;
    }
}

/// The members of `data:` and `stringData:`.
fn kube_data(text: &Text<'_>, from: usize, out: &mut Out) {
    let mut i = from;
    let mut inside: Option<usize> = None;
    while i - from < 12 * 1024 {
        let Some(next) = (loop {
            if text.at(i) == 0 {
                break None;
            }
            if text.at(i) == b'\n' {
                break Some(i + 1);
            }
            i += 1;
            if i - from > 12 * 1024 {
                break None;
            }
        }) else {
            return;
        };
        let start = text.blanks(next);
        let depth = start - next;
        if text.starts(start, b"---") || text.starts(start, b"apiVersion:") {
            return;
        }
        i = start;
        if text.starts(start, b"data:") || text.starts(start, b"stringData:") {
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
