//! Secrets that a file's own notation gives away: password files, SQL, tables, Kubernetes objects.

use crate::class::{Class, alnum, base64};
use crate::names::{Kind, Name, classify, classify_words};
use crate::quoting::{quote_at, quoted_end};
use crate::rule::{BEHIND, Out};
use crate::shape::{Shape, head, wordy};
use crate::stand_in::{is_placeholder, is_reference};
use crate::text::Text;
use crate::value::{Value, accept, plausible};

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

/// `host:5432:database:user:password` of a .pgpass.
pub(crate) fn pgpass_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let mut i = at + len;
    // `:543`: one of the ports that servers side by side use.
    if text.before(i) != b':' {
        if !text.at(i).is_ascii_digit() || text.at(i + 1) != b':' {
            return;
        }
        i += 2;
    }
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
    // The beginning of the line is out of sight, and with it what stands in which column.
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

/// `kind: Secret` with its data behind it.
pub(crate) fn kube_secret_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    if alnum(text.at(at + len)) {
        return;
    }
    kube_data(text, at + len, out);
}

/// A document that says only at its end that it is a Secret, as `kubectl get -o yaml` prints it.
pub(crate) fn kube_document_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    // An item of a list stands deeper.
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

/// What gives the value behind it away in one notation only.
pub(crate) const NOTATIONS: &[&str] = &[
    "unseal key",
    "community ",
    ": eap \"",
    ": xauth \"",
    " on >",
    "]:587 ",
    "]:465 ",
    "]:25 ",
    "\"md5",
    "x-honeycomb-team",
    "jfrog-art-api",
    "secret ip",
    "chpasswd:",
];

/// Values of single notations.
pub(crate) fn notation_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let literal = text.slice(at, at + len).to_ascii_lowercase();
    let word = |i: usize| text.run(i, |b| !matches!(b, 0..=b' ' | b'"' | b'\'' | b'\\' | b','));
    let mut password = |start: usize, end: usize, label: &'static str| {
        let bytes = text.slice(start, end);
        if !bytes.is_empty() && plausible(bytes, Kind::Password, true) {
            out.hit(start, end, label);
        }
    };
    match literal.as_slice() {
        // Vault: `Unseal Key 1: ...`
        b"unseal key" => {
            let i = text.run(at + len, |b| {
                b.is_ascii_digit() || matches!(b, b' ' | b'(' | b')')
            });
            if text.at(i) == b':' {
                let start = text.blanks(i + 1);
                let end = word(start);
                if end - start >= 24 {
                    password(start, end, "unseal-key");
                }
            }
        }
        // SNMP: `snmp-server community NAME RO`, `rocommunity NAME`
        b"community " => {
            let line = text.slice(text.line_start(at), at).to_ascii_lowercase();
            let start = text.blanks(at + len);
            let end = word(start);
            let bytes = text.slice(start, end);
            let told = line.windows(4).any(|part| part == b"snmp")
                || matches!(line.as_slice(), b"ro" | b"rw");
            if told && bytes.iter().any(u8::is_ascii_digit) {
                password(start, end, "snmp-community");
            }
        }
        // IPsec secrets.
        b": eap \"" | b": xauth \"" => {
            let start = at + len;
            let end = text.run(start, |b| !matches!(b, 0 | b'"' | b'\n' | b'\r'));
            password(start, end, "password");
        }
        // Redis: `user joe on >PASSWORD ~* +@all`
        b" on >" => {
            let line = text.slice(text.line_start(at), at);
            if line
                .windows(4)
                .any(|part| part.eq_ignore_ascii_case(b"user"))
            {
                password(at + len, word(at + len), "password");
            }
        }
        // Postfix: `[host]:587 user:PASSWORD`
        b"]:587 " | b"]:465 " | b"]:25 " => {
            let end = word(at + len);
            let pair = text.slice(at + len, end);
            if let Some(colon) = pair.iter().position(|&b| b == b':') {
                password(at + len + colon + 1, end, "password");
            }
        }
        // pgbouncer's userlist.
        b"\"md5" => {
            let end = text.run(at + len, |b| b.is_ascii_hexdigit());
            if end - at - len == 32 && text.at(end) == b'"' {
                out.hit(at + 1, end, "password-hash");
            }
        }
        b"x-honeycomb-team" | b"jfrog-art-api" => {
            let i = text.run(at + len, |b| {
                matches!(b, b' ' | b'"' | b'\'' | b'\\' | b':' | b'=' | b',' | b')')
            });
            let end = word(i);
            let end = text.run_back(end, 3, |b| matches!(b, b')' | b';' | b'}'));
            if i > at + len && end >= i + 16 {
                password(i, end, "api-key");
            }
        }
        // The head of pppd's chap-secrets: client, server, secret, addresses.
        b"secret ip" => {
            let mut i = at + len;
            for _ in 0..8 {
                let line = text.run_most(i, 200, |b| !matches!(b, 0 | b'\n' | b'\r' | b'\\'));
                let Some(next) = text.line_break(line) else {
                    return;
                };
                i = next;
                for column in 0..3 {
                    let start = text.run(i, |b| matches!(b, b' ' | b'\t' | b'"'));
                    let end = word(start);
                    if column == 2 {
                        password(start, end, "password");
                    }
                    i = end + usize::from(text.at(end) == b'"');
                }
            }
        }
        // cloud-init: the lines `user:password` below `chpasswd:`.
        b"chpasswd:" => {
            let mut i = at + len;
            for _ in 0..16 {
                let Some(next) = text.line_break(text.blanks(i)) else {
                    return;
                };
                let start = text.blanks(next);
                let end = word(start);
                if start == next || end == start {
                    return;
                }
                let pair = text.slice(start, end);
                if let Some(colon) = pair
                    .iter()
                    .position(|&b| b == b':')
                    .filter(|&colon| colon > 0 && colon + 1 < pair.len())
                {
                    password(start + colon + 1, end, "password");
                }
                i = text.run_most(end, 200, |b| !matches!(b, 0 | b'\n' | b'\r' | b'\\'));
            }
        }
        _ => {}
    }
}

/// Commands that print a secret and nothing else.
pub(crate) const PRINTERS: &[&str] = &[
    "jsonpath=",
    "go-template=",
    "vault kv get -field",
    "vault read -field",
    "op read ",
    "get-secret-value",
    "secrets versions access",
    "keyvault secret show",
    "pass show ",
    "find-generic-password",
    "gh auth token",
    "print-access-token",
    "print-identity-token",
    "get-login-password",
    "/run/secrets/",
    "master.key",
    ".vault-token",
    "auth:token",
    "bw get password",
    "secrets get ",
    "create token ",
    "token create",
];

/// The one word on the line below a command that prints a secret.
pub(crate) fn printed_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let line = text.slice(text.line_start(at), at);
    let literal = text.slice(at, at + len);
    if matches!(literal, b"jsonpath=" | b"go-template=")
        && !line
            .windows(6)
            .any(|part| part.eq_ignore_ascii_case(b"secret"))
    {
        return;
    }
    if matches!(literal, b"master.key" | b".vault-token" | b"/run/secrets/")
        && !line.windows(4).any(|part| part == b"cat ")
    {
        return;
    }
    let end = text.run_most(at + len, 300, |b| !matches!(b, 0 | b'\n' | b'\r' | b'\\'));
    let Some(start) = text.line_break(end) else {
        return;
    };
    let end = text.run(start, |b| {
        !matches!(b, 0..=b' ' | b'"' | b'\'' | b'\\' | b'{')
    });
    let bytes = text.slice(start, end);
    let alone = text.at(end) == 0 || text.line_break(end).is_some() || text.at(end) == b'"';
    if alone
        && bytes.len() >= 10
        && bytes.iter().any(u8::is_ascii_digit)
        && !wordy(bytes)
        && plausible(bytes, Kind::Password, true)
    {
        out.hit(start, end, "printed-secret");
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
