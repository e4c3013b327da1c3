//! Names and their values, in every notation: assignments, members, elements, headers, flags, calls, prose.

use crate::Out;
use crate::lists::{Heads, Words};
use crate::memory::Walk;
use crate::names::{Kind, Name, classify};
use crate::text::{Text, alnum, base64};
use crate::value::{
    Place, Shape, Value, head, is_placeholder, is_reference, plausible, quote_at, quoted_end,
    random, unquoted_end, wordy,
};

/// What may stand in a secret's name. Every hit is part of an identifier that [`classify`] judges.
pub(crate) const NAMES: &[&str] = &[
    "pass",
    "pwd",
    "psw",
    "secret",
    "token",
    "key",
    "auth",
    "cred",
    "salt",
    "pepper",
    "hmac",
    "_pat",
    "licen",
    "mnemonic",
    "seed",
    "_pw",
    "_pin",
    "pw=",
    "pw:",
    "pw\"",
    "pw'",
    "pw>",
    "pw ",
    "pw\\",
    "pw`",
    "contribsys",
    "psk",
    "jwt",
    "mdp",
    "_sk=",
    "_sk:",
    "_sk\"",
    "_sk ",
    "_ak=",
    "_ak:",
    "_ak\"",
    "_ak ",
    "app_certificate",
    "appcertificate",
    "reporter_id",
];

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

fn identifier(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.') || b >= 0x80
}

/// What connects a name and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Assign,
    Colon,
    Element,
    Comma,
    Call,
    Blank,
    Prose,
    Cell,
}

/// A keyword within a name.
pub(crate) fn rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let mut start = text.run_back(at, 100, identifier);
    // Some keywords take what follows a name along.
    let word = text.run_back(at + len, len, |b| !identifier(b));
    let end = text.run(word, identifier);
    let mut name_end = end;
    // `\nNAME`: the letter belongs to the line break.
    if start > 0 && text.at(start - 1) == b'\\' && matches!(text.at(start), b'n' | b't' | b'r') {
        start += 1;
    }
    let flag =
        matches!(text.at(start), b'-') || (text.before(start) == b'/' && text.at(name_end) == b':');
    while start < name_end && matches!(text.at(start), b'-' | b'.') {
        start += 1;
    }
    while name_end > start && matches!(text.at(name_end - 1), b'-' | b'.') {
        name_end -= 1;
    }
    if name_end - start > 120 || name_end <= at {
        return;
    }
    // `-Dencryption.key=`, `-PsigningKey=`
    if flag && matches!(text.at(start), b'D' | b'P') && alnum(text.at(start + 1)) {
        let whole = classify(text.slice(start, name_end));
        if whole.is_none_or(|name| name.kind == Kind::Weak) {
            start += 1;
        }
    }
    let Some(name) = classify(text.slice(start, name_end)) else {
        spaced(text, start, name_end, out);
        return;
    };
    if !flag && text.slice(start, name_end) == b"PASS" {
        greeted(text, start, name_end, out);
        return;
    }
    if !flag && text.slice(start, name_end) == b"AUTH" {
        protocol_auth(text, start, name_end, out);
    }
    if named_elsewhere(text, start, name_end, name, out) {
        return;
    }
    let Some((link, mut from)) = link(text, start, name_end) else {
        column(text, at, start, name_end, out);
        return;
    };
    if link == Link::Blank && flag {
        from = text.blanks(from);
        if text.at(from) == b'-' && text.at(from + 1) == b'-' {
            return;
        }
    }
    // `arn:aws:secretsmanager:...:secret:name`
    if link == Link::Colon
        && text.before(start) == b':'
        && text.at(name_end) == b':'
        && text.at(name_end + 1) != b' '
    {
        return;
    }
    let place = place_of(text, start, link);
    match link {
        Link::Assign | Link::Colon => member(text, from, name, place, link, flag, out),
        Link::Element => element(text, from, name, out),
        Link::Comma | Link::Call => {
            if link == Link::Call && matches!(name.label, "auth" | "credential") {
                list(text, from - 1, name, out);
            } else if let Some(value) = quoted(text, from) {
                if !accept(text, value, name.kind, name.label, out) && link == Link::Comma {
                    column(text, at, start, name_end, out);
                }
            } else if link == Link::Call {
                wrapped(text, from, name, out);
            } else {
                column(text, at, start, name_end, out);
            }
        }
        Link::Blank => blank(text, start, from, name, flag, out),
        Link::Prose => {
            let value = quoted(text, from).unwrap_or_else(|| bare(text, from, Place::Plain));
            let bytes = text.slice(value.start, value.end);
            if bytes.len() >= 8
                && (value.quoted || bytes.iter().any(u8::is_ascii_digit))
                && !wordy(bytes)
            {
                accept(text, value, name.kind, name.label, out);
            }
        }
        Link::Cell => {
            let end = text.run(from, |b| {
                !matches!(b, 0 | b'|' | b'\n' | b'\r' | b' ' | b'\\')
            });
            let bytes = text.slice(from, end);
            if bytes.len() >= 8 && bytes.iter().any(u8::is_ascii_digit) && !wordy(bytes) {
                accept(
                    text,
                    Value {
                        start: from,
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

/// A name of several words in prose or a form: `API key: ...`, `the client key is ...`. The value must look random.
fn spaced(text: &Text<'_>, start: usize, name_end: usize, out: &mut Out) {
    if text.before(start) != b' ' {
        return;
    }
    let first = text.run_back(start - 1, 24, alnum);
    let second = if text.before(first) == b' ' {
        text.run_back(first - 1, 24, alnum)
    } else {
        first
    };
    let joined: Vec<u8> = text
        .slice(second, name_end)
        .iter()
        .map(|&b| if b == b' ' { b'_' } else { b })
        .collect();
    let Some(name) = classify(&joined).filter(|_| first + 1 < start) else {
        return;
    };
    let Some((link @ (Link::Assign | Link::Colon | Link::Prose | Link::Cell), from)) =
        link(text, start, name_end)
    else {
        return;
    };
    if name.kind == Kind::Weak && link != Link::Prose {
        return;
    }
    let value = quoted(text, from).unwrap_or_else(|| bare(text, from, Place::Plain));
    let bytes = text.slice(value.start, value.end);
    if name.kind == Kind::Weak && bytes.len() < 20 {
        return;
    }
    if random(bytes) || bytes.len() >= 12 && Shape::of(bytes).mixed() && !wordy(bytes) {
        accept(text, value, Kind::Secret, "key", out);
    }
}

/// `PASS ...` of FTP and POP3: only with its `USER ...` before it.
fn greeted(text: &Text<'_>, start: usize, name_end: usize, out: &mut Out) {
    let before = text.slice(start.saturating_sub(240), start);
    if text.at(name_end) != b' ' || !before.windows(5).any(|part| part == b"USER ") {
        return;
    }
    let value = bare(text, name_end, Place::Plain);
    accept(
        text,
        Value {
            quoted: true,
            ..value
        },
        Kind::Password,
        "password",
        out,
    );
}

/// `AUTH password` and `AUTH user password` of Redis, `AUTH PLAIN ...` of SMTP.
fn protocol_auth(text: &Text<'_>, start: usize, name_end: usize, out: &mut Out) {
    let line = text.line_start(start);
    let prompt = text
        .slice(line, start)
        .iter()
        .rposition(|b| !matches!(b, b' ' | b'>' | b'"'))
        .is_none_or(|at| start - line - at > 2);
    if text.at(name_end) != b' ' || !prompt {
        return;
    }
    let first = bare(text, name_end, Place::Plain);
    let second = bare(text, first.end, Place::Plain);
    let (one, two) = (
        text.slice(first.start, first.end),
        text.slice(second.start, second.end),
    );
    if matches!(one, b"PLAIN" | b"LOGIN" | b"CRAM-MD5" | b"XOAUTH2") {
        let decoded = crate::encoded::decode(two);
        if two.len() >= 12 && (decoded.contains(&0) || decoded.contains(&1)) {
            out.hit(second.start, second.end, "smtp-auth");
        }
        return;
    }
    let value = if two.is_empty() { first } else { second };
    let rest = text.blanks(value.end);
    if text.at(rest) == 0 || text.line_break(rest).is_some() || text.at(rest) == b'"' {
        accept(
            text,
            Value {
                quoted: true,
                ..value
            },
            Kind::Password,
            "password",
            out,
        );
    }
}

/// A name between separators may head a column.
fn column(text: &Text<'_>, at: usize, start: usize, name_end: usize, out: &mut Out) {
    let quoted = usize::from(quote_at(text, name_end).is_some());
    let before = text.before(start - quoted.min(start));
    let after = text.at(name_end + quoted);
    let separator = |b: u8| matches!(b, b',' | b';' | b'\t' | b'|');
    let edge = |b: u8| matches!(b, 0 | b'\n' | b'\r' | b'\\' | b' ');
    if separator(before) && (separator(after) || edge(after)) || separator(after) && edge(before) {
        crate::files::table_rule(text, at, 0, out);
    }
}

fn place_of(text: &Text<'_>, start: usize, link: Link) -> Place {
    let b = text.before(start);
    let encoded = matches!(b, b'6') && text.ends_ci(start, b"%26");
    let entity = text.ends_ci(start, b"&amp;") || text.ends_ci(start, b"u0026");
    if link == Link::Assign
        && (matches!(b, b'?' | b'&' | b'#') && text.at(start) != b' ' || encoded || entity)
    {
        return Place::Query;
    }
    // A form body: the first pair has nothing before it.
    Place::Plain
}

/// What follows a name, and where the value starts.
fn link(text: &Text<'_>, start: usize, name_end: usize) -> Option<(Link, usize)> {
    let mut i = name_end;
    let name_quote = quote_at(text, i);
    if let Some(quote) = name_quote {
        i += quote.length;
    }
    // `env["NAME"]`, `${env:NAME}`, `$ENV{NAME}`.
    while matches!(text.at(i), b']' | b'}')
        || text.at(i) == b'%' && matches!(text.at(i + 1), b' ' | b'=')
    {
        i += 1;
    }
    if text.at(i) == b')' && name_quote.is_some() {
        // `getenv("NAME") ?: "..."`
        i += 1;
    }
    let j = text.blanks(i);
    let blanks = j > i;
    match text.at(j) {
        b'=' if text.at(j + 1) == b'~' => None,
        b'=' => {
            let mut k = text.run(j, |b| b == b'=');
            if text.at(k) == b'>' || text.at(k) == b'~' {
                k += 1;
            }
            if text.starts_ci(j, b"=3d") && text.before(start) != b'?' && text.at(j + 3) != b'=' {
                k = j + 3;
            }
            Some((Link::Assign, k))
        }
        b':' if text.at(j + 1) == b'=' => Some((Link::Assign, j + 2)),
        // LDIF: what follows two colons is base64.
        b':' if text.at(j + 1) == b':' && text.at(j + 2) == b' ' => Some((Link::Assign, j + 2)),
        b':' if text.at(j + 1) == b':' => None,
        b':' if text.at(j + 1) == b'/' && text.at(j + 2) == b'/' => None,
        b':' => Some(annotated(text, j + 1).map_or((Link::Colon, j + 1), |k| (Link::Assign, k))),
        b'<' if text.at(j + 1) == b'-' => Some((Link::Assign, j + 2)),
        // An element with attributes.
        _ if blanks && text.before(start) == b'<' && alnum(text.at(j)) => {
            let close = text.run(j, |b| !matches!(b, 0 | b'>' | b'<' | b'\n'));
            (text.at(close) == b'>' && text.before(close) != b'/')
                .then_some((Link::Element, close + 1))
        }
        b'!' | b'?' | b'+' | b'|' | b'.' if text.at(j + 1) == b'=' => Some((Link::Assign, j + 2)),
        b'?' if text.at(j + 1) == b':' => {
            Some(annotated(text, j + 2).map_or((Link::Assign, j + 2), |k| (Link::Assign, k)))
        }
        b'|' | b'?' if text.at(j + 1) == text.at(j) => {
            Some((Link::Assign, text.run(j + 2, |b| b == b'=')))
        }
        b'|' if blanks => Some((Link::Cell, text.blanks(j + 1))),
        b'%' if text.starts_ci(j, b"%3d") => Some((Link::Assign, j + 3)),
        b'%' if text.starts_ci(j, b"%3a") => Some((Link::Colon, text.run(j + 3, |b| b == b'+'))),
        b'%' if text.starts_ci(j, b"%253d") => Some((Link::Assign, j + 5)),
        b'\\' if text.starts_ci(j, b"\\u003d") => Some((Link::Assign, j + 6)),
        b'\\' if text.starts_ci(j, b"\\\\u003d") => Some((Link::Assign, j + 7)),
        b'\\' if text.at(j + 1) == b't' && name_quote.is_none() => Some((Link::Blank, j + 2)),
        b'&' if text.starts_ci(j, b"&#61;") => Some((Link::Assign, j + 5)),
        b'&' if text.starts_ci(j, b"&gt;") => Some((Link::Element, j + 4)),
        b'\\' if text.starts_ci(j, b"\\u003e") => Some((Link::Element, j + 6)),
        b'>' if matches!(text.before(start), b'<' | b':') => Some((Link::Element, j + 1)),
        b'>' if text.at(j + 1) != b'=' && name_quote.is_some() => Some((Link::Element, j + 1)),
        b',' if name_quote.is_some() => Some((Link::Comma, text.blanks(j + 1))),
        b'(' if !blanks && name_quote.is_none() => Some((Link::Call, j + 1)),
        b'i' | b'w'
            if blanks
                && (text.starts_ci(j, b"is ")
                    || text.starts_ci(j, b"was ")
                    || text.starts_ci(j, b"is: ")) =>
        {
            let k = text.run(j, |b| b != b' ' && b != 0);
            Some((Link::Prose, text.blanks(k)))
        }
        b'a' | b'A' if blanks && text.starts_ci(j, b"as string = ") => Some((Link::Assign, j + 12)),
        // C#: `Password { get; set; } = "..."`
        b'{' if blanks && text.starts(j, b"{ get") => {
            let close = text.run_most(j, 60, |b| !matches!(b, 0 | b'}' | b'\n'));
            let equals = text.blanks(close + 1);
            (text.at(close) == b'}' && text.at(equals) == b'=')
                .then_some((Link::Assign, equals + 1))
        }
        // `NAME<<EOF`
        b'<' if text.starts(j, b"<<") && text.at(j + 2) != b'<' => Some((Link::Assign, j)),
        b'(' if blanks => Some((Link::Blank, j + 1)),
        _ if blanks => Some((Link::Blank, j)),
        _ => None,
    }
}

/// `: &str =`, `: string =`, `: Option<String> =`: where the value starts behind a type.
fn annotated(text: &Text<'_>, from: usize) -> Option<usize> {
    let i = text.blanks(from);
    let end = text.run(i, |b| {
        b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'_' | b'&'
                    | b'<'
                    | b'>'
                    | b'\''
                    | b'|'
                    | b' '
                    | b':'
                    | b'?'
                    | b'.'
                    | b'['
                    | b']'
                    | b'*'
            )
    });
    let kind = text.slice(i, end);
    (text.at(end) == b'='
        && text.at(end + 1) != b'='
        && !kind.is_empty()
        && kind.len() < 40
        && kind.iter().filter(|b| b.is_ascii_digit()).count() <= 3)
        .then(|| text.run(end, |b| matches!(b, b'=' | b'>')))
}

/// The quoted string at `from`, behind the letters and signs that languages put before a quote.
fn quoted(text: &Text<'_>, from: usize) -> Option<Value> {
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
                return Some(Value {
                    start,
                    end: quoted_end(text, start, quote),
                    quoted: true,
                });
            }
            // JSON in a JSON string, a quoted word in a quoted option.
            if let Some(inner) = quote_at(text, start)
                .filter(|inner| inner.mark != quote.mark || inner.depth != quote.depth)
            {
                start += inner.length;
                return Some(Value {
                    start,
                    end: quoted_end(text, start, inner),
                    quoted: true,
                });
            }
            return Some(Value {
                start,
                end: quoted_end(text, start, quote),
                quoted: true,
            });
        }
        match text.at(i) {
            b'b' | b'r' | b'f' | b'u' | b'@' | b'$' | b'L' | b'N' | b'E' | b'#' | b'R' | b'('
            | b'q' => i += 1,
            _ => return None,
        }
    }
    None
}

fn bare(text: &Text<'_>, from: usize, place: Place) -> Value {
    let start = text.blanks(from);
    Value {
        start,
        end: unquoted_end(text, start, place),
        quoted: false,
    }
}

/// Where the body of a here-document begins: `<<EOF`, `<<-'EOF'`, `$(cat <<EOF`, `<<<EOT` of PHP, `<<~EOS` of Ruby.
fn document(text: &Text<'_>, from: usize) -> Option<(usize, usize, usize)> {
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
fn here_document(text: &Text<'_>, document: (usize, usize, usize), name: Name, out: &mut Out) {
    let (mut i, mark, mark_end) = document;
    let end_mark = text.slice(mark, mark_end);
    for _ in 0..24 {
        let start = text.blanks(i);
        let end = text.run(start, |b| !matches!(b, 0..=b' ' | b'\\'));
        let line = text.slice(start, end);
        if line.is_empty() || line.strip_suffix(b";").unwrap_or(line) == end_mark {
            return;
        }
        let value = Value {
            start,
            end,
            quoted: true,
        };
        if !line.ends_with(b":") {
            accept(text, value, name.kind, name.label, out);
        }
        let Some(next) = text.line_break(text.blanks(end)) else {
            return;
        };
        i = next;
    }
}

/// A string that is put together from several literals: `"abc" + "def"`, `"abc" "def"`, over lines as well. They are
/// judged as one.
fn joined(text: &Text<'_>, first: Value, name: Name, out: &mut Out) -> bool {
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

/// The value among the members of an object or mapping that a name holds: `{"type": "string", "value": "..."}`,
/// `Type: String`, `Default: ...`.
fn holder(text: &Text<'_>, from: usize, name: Name, out: &mut Out) -> bool {
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
            return accept(text, value, name.kind, name.label, out);
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

/// The value behind `=` or `:`.
fn member(
    text: &Text<'_>,
    from: usize,
    name: Name,
    place: Place,
    link: Link,
    flag: bool,
    out: &mut Out,
) {
    let mut i = text.blanks(from);
    if text.at(i) == 0 {
        return;
    }
    // YAML tags and anchors; PowerShell and C# casts.
    if matches!(text.at(i), b'!' | b'&') && link == Link::Colon {
        let word = text.run(i, |b| !matches!(b, 0..=b' '));
        if text.at(word) == b' '
            && !text.slice(i, word).eq_ignore_ascii_case(b"!vault")
            && !text.starts_ci(i, b"!ref")
            && !text.starts_ci(i, b"!sub")
        {
            i = text.blanks(word);
        }
    }
    if text.at(i) == b'(' && matches!(name.label, "auth" | "credential") {
        list(text, i, name, out);
        return;
    }
    if let Some(body) = document(text, i) {
        here_document(text, body, name, out);
        return;
    }
    if let Some(value) = quoted(text, i) {
        if value.end == value.start {
            return;
        }
        if joined(text, value, name, out) || accept(text, value, name.kind, name.label, out) {
            return;
        }
        shell_default(text, value, name, out);
        pairs(text, value, name, out);
        return;
    }
    // Block scalars, and values on the line below.
    if matches!(text.at(i), b'|' | b'>') && link == Link::Colon {
        let marks = text.run(i, |b| matches!(b, b'|' | b'>' | b'-' | b'+' | b'0'..=b'9'));
        if text.line_break(text.blanks(marks)).is_some() {
            below(text, text.blanks(marks), name, true, out);
            return;
        }
    }
    if text.line_break(i).is_some() {
        if !holder(text, i, name, out) {
            below(text, i, name, false, out);
        }
        return;
    }
    if text.at(i) == b'{' && text.at(i + 1) != b'{' && holder(text, i, name, out) {
        return;
    }
    if matches!(text.at(i), b'[' | b'{' | b'(') || text.starts(i, b"vec![") || text.starts(i, b"&[")
    {
        list(text, i, name, out);
        if !matches!(text.at(i), b'{') || text.at(i + 1) == b'{' {
            if text.at(i) == b'[' && !text.starts(i, b"[redacted:") || text.at(i) == b'(' {
                wrapped(text, i + 1, name, out);
            }
            return;
        }
    }
    let value = bare(text, i, place);
    if value.end == value.start {
        return;
    }
    let bytes = text.slice(value.start, value.end);
    if shell_default(text, value, name, out) {
        return;
    }
    let spaced = text.at(from) == b' ' && text.before(from) == b'=';
    // `password = value` in code is most often a variable; in settings it is most often a value.
    let kind = name.kind;
    if spaced
        && !flag
        && kind == Kind::Secret
        && bytes.len() < 12
        && !bytes.iter().any(u8::is_ascii_digit)
    {
        wrapped(text, i, name, out);
        return;
    }
    if accept(text, value, kind, name.label, out) {
        // The same option may hold a scheme and a credential: `auth: Bearer xyz`.
        return;
    }
    if scheme(bytes) {
        let next = bare(text, value.end, place);
        accept(text, next, Kind::Secret, name.label, out);
        return;
    }
    wrapped(text, i, name, out);
}

fn scheme(word: &[u8]) -> bool {
    [
        "bearer", "basic", "token", "apikey", "bot", "key", "ssws", "plain", "pass:", "7", "5",
        "0", "8", "9",
    ]
    .iter()
    .any(|scheme| word.eq_ignore_ascii_case(scheme.as_bytes()))
}

/// `${NAME:-default}`: the default is a value.
fn shell_default(text: &Text<'_>, value: Value, name: Name, out: &mut Out) -> bool {
    if text.at(value.start) != b'$' || text.at(value.start + 1) != b'{' {
        return false;
    }
    let word = text.run(value.start + 2, |b| alnum(b) || matches!(b, b'_' | b'.'));
    if text.at(word) != b':' && text.at(word) != b'-' {
        return false;
    }
    let mut start = word + 1;
    if matches!(text.at(start), b'-' | b'=' | b'?') {
        start += 1;
    }
    let end = text.run(start, |b| {
        !matches!(b, 0..=b' ' | b'}' | b'"' | b'\'' | b'`' | b'\\')
    });
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
    )
}

/// A quoted value that holds more than the secret: `"auth": "user:password"` in base64, `"Bearer xyz"`.
fn pairs(text: &Text<'_>, value: Value, name: Name, out: &mut Out) {
    let bytes = text.slice(value.start, value.end);
    if let Some(space) = bytes.iter().position(|&b| b == b' ') {
        if scheme(&bytes[..space]) {
            let start = value.start + space + 1;
            accept(
                text,
                Value {
                    start,
                    end: value.end,
                    quoted: true,
                },
                Kind::Secret,
                name.label,
                out,
            );
        }
        return;
    }
    if name.label == "auth" && holds_credentials(bytes) {
        out.hit(value.start, value.end, "auth");
    }
}

/// base64 of `user:password`.
pub(crate) fn holds_credentials(bytes: &[u8]) -> bool {
    let decoded = crate::encoded::decode(bytes);
    decoded.len() >= 4
        && decoded.contains(&b':')
        && decoded
            .iter()
            .all(|b| (0x20..0x7f).contains(b) || *b >= 0xc2)
}

/// Values on the lines below a name, deeper than it: block scalars, lists, a wrapped string.
fn below(text: &Text<'_>, from: usize, name: Name, block: bool, out: &mut Out) {
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
            if !accept(text, value, name.kind, name.label, out) {
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
            if !accept(
                text,
                Value {
                    start,
                    end,
                    quoted: true,
                },
                name.kind,
                name.label,
                out,
            ) {
                return;
            }
            i = rest;
        }
        if !block && !item {
            return;
        }
    }
}

/// Strings in brackets behind a name.
fn list(text: &Text<'_>, from: usize, name: Name, out: &mut Out) {
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
            accept(text, value, Kind::Weak, name.label, out);
            i = value.end + quote_at(text, value.end).map_or(1, |quote| quote.length);
            continue;
        }
        // `auth=("user", "password")`
        let pair =
            count == 1 && text.at(open) == b'(' && matches!(name.label, "auth" | "credential");
        let kind = if pair { Kind::Password } else { name.kind };
        // Lists of names are more common than lists of secrets.
        if kind == Kind::Password || random(text.slice(value.start, value.end)) {
            accept(text, value, kind, name.label, out);
        }
        i = value.end + close;
    }
}

/// A literal inside a constructor, or the fallback behind a reference: `String::from("...")`, `process.env.X || "..."`.
fn wrapped(text: &Text<'_>, from: usize, name: Name, out: &mut Out) {
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
            let value = Value {
                start,
                end: quoted_end(text, start, quote),
                quoted: true,
            };
            if accept(text, value, name.kind, name.label, out) {
                return;
            }
            i = value.end + quote.length;
            continue;
        }
        i += 1;
    }
}

/// `<password>value</password>`, also with attributes.
fn element(text: &Text<'_>, from: usize, name: Name, out: &mut Out) {
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
        accept(
            text,
            Value {
                start,
                end: trimmed,
                quoted: true,
            },
            name.kind,
            name.label,
            out,
        );
    } else if end > start && text.at(end) == b'\\' {
        accept(
            text,
            Value {
                start,
                end: unquoted_end(text, start, Place::Plain),
                quoted: true,
            },
            name.kind,
            name.label,
            out,
        );
    }
}

/// A name, blanks, a value: flags, netrc, SQL, Cisco, `set NAME value`.
fn blank(text: &Text<'_>, name_start: usize, from: usize, name: Name, flag: bool, out: &mut Out) {
    if let Some(value) = quoted(text, from) {
        let bytes = text.slice(value.start, value.end);
        let sure = flag
            || before_word(text, name_start)
            || bytes.iter().any(u8::is_ascii_digit) && !bytes.contains(&b' ');
        if sure && !(wordy(bytes) && !flag) {
            accept(text, value, name.kind, name.label, out);
        }
        return;
    }
    let mut value = bare(text, from, Place::Plain);
    if scheme(text.slice(value.start, value.end)) {
        value = bare(text, value.end, Place::Plain);
    }
    let bytes = text.slice(value.start, value.end);
    if bytes.starts_with(b"-") {
        valued(text, value, name, out);
        return;
    }
    if bytes.is_empty() || matches!(bytes[0], b'=' | b'>' | b'|' | b'(' | b'{') {
        return;
    }
    if flag {
        accept(text, value, name.kind, name.label, out);
        return;
    }
    let sure = before_word(text, name_start);
    let strange = bytes.len() >= 10 && Shape::of(bytes).mixed();
    if wordy(bytes) && !(sure && strange) || is_placeholder(bytes) {
        return;
    }
    // `app-secret-7d9f8b6c5d`: the name of an object.
    let named = bytes
        .iter()
        .position(|b| matches!(b, b'-' | b'.'))
        .is_some_and(|at| at >= 3 && wordy(&bytes[..at]));
    let first = {
        let line = text.line_start(name_start);
        text.slice(line, name_start).iter().all(|b| {
            matches!(
                b,
                b' ' | b'\t' | b'+' | b'-' | b'#' | b'*' | b'$' | b'>' | b'|'
            )
        }) && {
            let rest = text.blanks(value.end);
            text.at(rest) == 0
                || text.line_break(rest).is_some()
                || text.at(rest) == b'"'
                || text.at(rest) == b';'
        }
    };
    let parenthesis = text.before(from) == b'(' && text.at(value.end) == b')';
    let mixed = bytes.iter().any(u8::is_ascii_digit);
    if sure
        || first && mixed
        || random(bytes) && !named && name.kind != Kind::Weak && bytes.len() >= 16
        || parenthesis && random(bytes)
    {
        accept(
            text,
            value,
            if name.kind == Kind::Weak {
                Kind::Weak
            } else {
                Kind::Secret.min_for(name.kind)
            },
            name.label,
            out,
        );
    }
}

/// `gh secret set NAME --body VALUE`, `az keyvault secret set --name NAME --value VALUE`.
fn valued(text: &Text<'_>, option: Value, name: Name, out: &mut Out) {
    const OPTIONS: &[&[u8]] = &[
        b"--body",
        b"-b",
        b"--value",
        b"-v",
        b"--secret-string",
        b"--plaintext",
        b"--data",
        b"--secret",
        b"--string-value",
    ];
    let mut i = option.start;
    // Another option may stand between.
    for _ in 0..4 {
        let end = text.run(i, |b| alnum(b) || b == b'-');
        let word = text.slice(i, end);
        if !word.starts_with(b"-") {
            return;
        }
        let from = match text.at(end) {
            b'=' | b' ' => end + 1,
            b'"' | b'\'' => end,
            _ if word.starts_with(b"-b") => i + 2,
            _ => return,
        };
        let value = quoted(text, from).unwrap_or_else(|| bare(text, from, Place::Plain));
        if OPTIONS.contains(&word) || word.starts_with(b"-b") && from == i + 2 {
            accept(
                text,
                Value {
                    quoted: true,
                    ..value
                },
                Kind::Password,
                name.label,
                out,
            );
            return;
        }
        i = text.blanks(value.end + usize::from(value.quoted));
    }
}

impl Kind {
    /// The laxer kind of a name counts where the notation leaves no doubt.
    fn min_for(self, named: Kind) -> Kind {
        if named == Kind::Password {
            Kind::Password
        } else {
            self
        }
    }
}

/// Whether the words before a name say that a value follows it: `login joe password x`, `set X y`, `ENV X y`.
fn before_word(text: &Text<'_>, name_start: usize) -> bool {
    let line = text
        .line_start(name_start)
        .max(name_start.saturating_sub(200));
    let before = text.slice(line, name_start);
    let last = before
        .split(|b| matches!(b, b' ' | b'\t'))
        .rfind(|word| !word.is_empty())
        .unwrap_or(&[]);
    static LAST: Words = Words::new(&[
        "set",
        "env",
        "setx",
        "option",
        "config",
        "define",
        "setenv",
        "-gx",
        "-x",
        "--add",
        "export",
        "param",
        "arg",
        "fastcgi_param",
        "add",
        "put",
        "let",
        "enable",
        "secret",
        "neighbor",
        "0",
        "7",
        "8",
    ]);
    static BEFORE: Heads<11> = Heads::new([
        "login ",
        "machine ",
        "d-i ",
        "username ",
        "neighbor ",
        "server ",
        " config ",
        "invalid ",
        "wrong ",
        "using ",
        "with ",
    ]);
    LAST.has(last) || BEFORE.within(before)
}

/// A name that is itself a value: `name: API_TOKEN` and, next to it, `value: ...`.
fn named_elsewhere(
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
        return accept(
            text,
            Value {
                start: second,
                end,
                quoted: true,
            },
            name.kind,
            name.label,
            out,
        );
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

/// Notes a hit where the value can be a secret.
pub(crate) fn accept(
    text: &Text<'_>,
    value: Value,
    kind: Kind,
    label: &'static str,
    out: &mut Out,
) -> bool {
    let bytes = text.slice(value.start, value.end);
    let phrase = label == "seed-phrase"
        && (12..=25).contains(&bytes.split(|&b| b == b' ').count())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || *b == b' ');
    // What an earlier pass took out was the value.
    if bytes.starts_with(b"[redacted:") {
        return true;
    }
    if bytes.is_empty() || !phrase && !plausible(bytes, kind, value.quoted) {
        return false;
    }
    out.hit(value.start, value.end, label);
    true
}

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
    if short_name && (bytes.len() < 24 || crate::value::Shape::of(bytes).hex) {
        return;
    }
    if signature || random(bytes) {
        out.hit(from, end, "url-parameter");
    }
}

/// `Authorization: Scheme credentials`, as header, member, or argument.
pub(crate) fn authorization_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let mut i = at + len;
    if alnum(text.at(i)) || text.at(i) == b'_' {
        return;
    }
    let enclosing = text.before(
        at.saturating_sub(if text.ends_ci(at, b"proxy-") { 6 } else { 0 })
            .max(text.floor()),
    );
    let mut name_quoted = false;
    if let Some(quote) = quote_at(text, i) {
        name_quoted = true;
        i += quote.length;
    }
    i = text.run(i, |b| matches!(b, b']' | b' ' | b')'));
    match text.at(i) {
        b':' | b'=' | b',' => i += 1 + usize::from(text.at(i + 1) == b'>'),
        b'%' if text.starts_ci(i, b"%3a") => i += 3,
        _ => return,
    }
    i = text.run(i, |b| matches!(b, b' ' | b'\t' | b'[' | b'+'));
    let mut end = None;
    if let Some(quote) = quote_at(text, i) {
        i += quote.length;
        end = Some(quoted_end(text, i, quote));
    } else if !name_quoted && matches!(enclosing, b'"' | b'\'') {
        let back = text.run_back(at - 1, 8, |b| b == b'\\');
        if let Some(quote) = quote_at(text, back) {
            end = Some(quoted_end(text, i, quote));
        }
    }
    if text.at(i) == b'f' && quote_at(text, i + 1).is_some() {
        return;
    }
    let line_end = || {
        text.walk(Walk::Header, i, 1024, |j| {
            (!matches!(text.at(j), 0 | b'\n' | b'\r' | b'"' | b'`')
                && text.line_break(j).is_none()
                && quote_at(text, j).is_none_or(|quote| quote.depth == 0))
            .then_some(j + 1)
        })
    };
    let mut end = end.unwrap_or_else(line_end);
    // `Digest username="...", response="..."`: the quotes belong to the parameters.
    if text.at(end) == b'"' && text.before(end) == b'=' {
        end = line_end_of(text, end);
    }
    while end > i && matches!(text.at(end - 1), b' ' | b',' | b'\'') {
        end -= 1;
    }
    let value = text.slice(i, end);
    let scheme_end = value
        .iter()
        .position(|b| matches!(b, b' ' | b'+'))
        .filter(|&space| value[..space].iter().all(|b| alnum(*b) || *b == b'-'));
    let (credentials, from) = match scheme_end {
        Some(space) => {
            let from = i + space + 1;
            (text.slice(from, end), from)
        }
        None => (value, i),
    };
    if credentials.len() < 6 || is_reference(head(credentials), true) || is_placeholder(credentials)
    {
        return;
    }
    let structured =
        credentials.contains(&b'=') && credentials.iter().any(|b| matches!(b, b',' | b' ' | b'"'));
    if structured {
        let end = if credentials.contains(&b'"') {
            line_end_of(text, from).max(end)
        } else {
            end
        };
        out.hit(from, end, "authorization");
        return;
    }
    let stop = from
        + credentials
            .iter()
            .position(|b| matches!(b, b' ' | b'<' | b'>' | b',' | b';'))
            .unwrap_or(credentials.len());
    let stop = unquoted_end(text, from, Place::Plain).min(stop).max(from);
    let first = text.slice(from, stop);
    if first.len() >= 6
        && !wordy(first)
        && (first.len() >= 12 || first.iter().any(u8::is_ascii_digit))
    {
        out.hit(from, stop, "authorization");
    }
}

fn line_end_of(text: &Text<'_>, from: usize) -> usize {
    let mut j = text.walk(Walk::LineEnd, from, usize::MAX, |j| {
        (!matches!(text.at(j), 0 | b'\n' | b'\r') && text.line_break(j).is_none()).then_some(j + 1)
    });
    while j > from && matches!(text.at(j - 1), b' ' | b'\'') {
        j -= 1;
    }
    j
}

/// `Bearer xyz`, wherever it stands.
pub(crate) fn bearer_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    if alnum(text.before(at)) {
        return;
    }
    let from = text.run(at + len, |b| b == b' ');
    let end = text.run(from, |b| {
        alnum(b) || matches!(b, b'.' | b'_' | b'~' | b'+' | b'/' | b'=' | b'-' | b':')
    });
    let end = text.run_back(end, end - from, |b| matches!(b, b'.' | b':'));
    let bytes = text.slice(from, end);
    if bytes.len() >= 12
        && !wordy(bytes)
        && !is_placeholder(bytes)
        && bytes.iter().any(u8::is_ascii_digit)
    {
        out.hit(from, end, "bearer-token");
    }
}

/// `Basic dXNlcjpwYXNz`: only what decodes to a user and a password.
pub(crate) fn basic_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    if alnum(text.before(at)) {
        return;
    }
    let from = text.run(at + len, |b| b == b' ');
    let end = text.run(from, base64);
    let bytes = text.slice(from, end);
    if bytes.len() >= 8 && holds_credentials(bytes) {
        out.hit(from, end, "basic-auth");
    }
}

/// `Cookie:` and `Set-Cookie:` headers: values that look like sessions.
pub(crate) fn cookie_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let mut i = text.run(at + len, |b| {
        matches!(b, b' ' | b'"' | b'\'' | b'\\' | b'[')
    });
    for _ in 0..40 {
        let name_end = text.run(i, |b| {
            alnum(b) || matches!(b, b'_' | b'-' | b'.' | b'%' | b'$' | b'[' | b']')
        });
        // `cookies={"session": "..."}`
        let member = text.run_most(name_end, 5, |b| matches!(b, b'"' | b'\'' | b':' | b' '));
        let from = if text.at(name_end) == b'=' {
            name_end + 1
        } else if text.slice(name_end, member).contains(&b':') {
            member
        } else {
            return;
        };
        if name_end == i {
            return;
        }
        let end = text.run(from, |b| {
            !matches!(b, 0..=b' ' | b';' | b'"' | b'\'' | b',' | b'\\')
        });
        let bytes = text.slice(from, end);
        let name = text.slice(i, name_end).to_ascii_lowercase();
        let session = [
            &b"sess"[..],
            b"sid",
            b"auth",
            b"token",
            b"jwt",
            b"csrf",
            b"remember",
            b"login",
            b"user",
            b"connect",
            b"id",
        ]
        .iter()
        .any(|word| name.windows(word.len()).any(|part| part == *word));
        if bytes.len() >= 12
            && !wordy(bytes)
            && !is_placeholder(bytes)
            && !is_reference(bytes, true)
            && (session || random(bytes) && bytes.len() >= 24)
        {
            out.hit(from, end, "cookie");
        }
        if text.at(end) != b';' {
            return;
        }
        i = text.run(end + 1, |b| b == b' ');
    }
}
