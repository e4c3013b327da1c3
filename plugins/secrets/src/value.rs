//! Where a value starts and ends, and whether it can be a secret.

use crate::lists::{Heads, Words};
use crate::memory::Walk;
use crate::names::{Kind, Name};
use crate::rule::Out;
use crate::text::Text;

/// A value found behind an operator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Value {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The notation leaves no doubt that it is a value, as quotes do.
    pub(crate) quoted: bool,
}

impl Value {
    pub(crate) fn quoted(start: usize, end: usize) -> Self {
        Self {
            start,
            end,
            quoted: true,
        }
    }

    /// The same where what stands around it leaves no doubt.
    pub(crate) fn sure(self) -> Self {
        Self::quoted(self.start, self.end)
    }
}

/// A quote: its character and the number of backslashes in front of it, which tells how deep in strings it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quote {
    pub(crate) mark: u8,
    pub(crate) depth: usize,
    pub(crate) length: usize,
}

/// The quote at `i`, with its backslashes; also written as an HTML entity, percent-encoded, or `\u0022`.
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

/// Where the string that `quote` opened, with its first character at `from`, ends.
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

/// How an unquoted value is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Inside a URL or a form body: `&` ends it.
    Query,
    /// Anywhere else.
    Plain,
}

/// The longest unquoted value.
pub(crate) const LONGEST_BARE: usize = 1536;

/// Where the unquoted value at `from` ends.
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

/// Whether `=`, or a colon and a blank, follows the next word: `a=1,b=2`.
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

/// Whether the bracket at `i` and what follows ends the value.
fn closes(text: &Text<'_>, i: usize) -> bool {
    let end = text.run_most(i, 64, |b| {
        matches!(
            b,
            b')' | b']' | b'}' | b';' | b',' | b'.' | b':' | b'"' | b'\''
        )
    });
    ends_a_value(text.at(end)) || text.at(end) == b'\\' || text.at(end) == b'<'
}

/// What a value is made of.
pub(crate) struct Shape {
    pub(crate) len: usize,
    pub(crate) digits: usize,
    pub(crate) lower: usize,
    pub(crate) upper: usize,
    pub(crate) special: usize,
    pub(crate) distinct: u32,
    pub(crate) hex: bool,
    pub(crate) uuid: bool,
}

impl Shape {
    pub(crate) fn of(value: &[u8]) -> Self {
        let mut shape = Self {
            len: value.len(),
            digits: 0,
            lower: 0,
            upper: 0,
            special: 0,
            distinct: 0,
            hex: !value.is_empty(),
            uuid: false,
        };
        let mut seen = [0u64; 4];
        for &b in value {
            match b {
                b'0'..=b'9' => shape.digits += 1,
                b'a'..=b'z' => shape.lower += 1,
                b'A'..=b'Z' => shape.upper += 1,
                _ => shape.special += 1,
            }
            shape.hex &= b.is_ascii_hexdigit();
            seen[usize::from(b >> 6)] |= 1 << (b & 63);
        }
        shape.distinct = seen.iter().map(|part| part.count_ones()).sum();
        shape.uuid = value.len() == 36
            && value.iter().enumerate().all(|(i, &b)| {
                if matches!(i, 8 | 13 | 18 | 23) {
                    b == b'-'
                } else {
                    b.is_ascii_hexdigit()
                }
            });
        shape
    }

    /// Upper and lower case and several digits: hardly a word, whatever its parts look like.
    pub(crate) fn mixed(&self) -> bool {
        self.digits >= 2 && self.upper >= 1 && self.lower >= 1
    }

    pub(crate) fn letters(&self) -> usize {
        self.lower + self.upper
    }
}

/// Notes a hit where the value can be a secret.
pub(crate) fn accept(text: &Text<'_>, value: Value, name: Name, out: &mut Out) -> bool {
    let bytes = text.slice(value.start, value.end);
    let phrase = name.label == "seed-phrase"
        && (12..=25).contains(&bytes.split(|&b| b == b' ').count())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || *b == b' ');
    // What an earlier pass took out was the value.
    if bytes.starts_with(b"[redacted:") {
        return true;
    }
    if bytes.is_empty() || !phrase && !plausible(bytes, name.kind, value.quoted) {
        return false;
    }
    out.hit(value.start, value.end, name.label);
    true
}

/// Whether a value under a name of this kind can be a secret.
pub(crate) fn plausible(value: &[u8], kind: Kind, quoted: bool) -> bool {
    if value.len() > 8192 {
        return false;
    }
    let value = head(value);
    telling(value, kind, quoted) && !is_placeholder(value)
}

/// As much of a value as tells what it is: what is random, or no value, shows it early. Values may stand close together,
/// each in the one before.
pub(crate) fn head(value: &[u8]) -> &[u8] {
    &value[..value.len().min(256)]
}

fn telling(value: &[u8], kind: Kind, quoted: bool) -> bool {
    if value.len() < 4 || is_reference(value, quoted) {
        return false;
    }
    let shape = Shape::of(value);
    if shape.letters() + shape.digits < 3 || shape.distinct < 3 {
        return false;
    }
    match kind {
        Kind::Password => {
            if shape.letters() == 0 && shape.special == 0 {
                return if quoted {
                    shape.len >= 4
                } else {
                    (6..=8).contains(&shape.len)
                };
            }
            if value.contains(&b' ') {
                // A sentence is not a password; a few words may be a passphrase.
                return quoted
                    && shape.len >= 12
                    && shape.digits > 0
                    && value.iter().filter(|&&b| b == b' ').count() <= 3
                    && !wordy(value);
            }
            if shape.digits == 0 && shape.special == 0 {
                return shape.len >= 8
                    && (!word_like(value) || shape.lower == shape.len && shape.len >= 14);
            }
            if shape.digits == 0 {
                // `new-password`, `my_pass`: words; `pa$$word!x` is none.
                return shape.len >= 6
                    && !code_like(value, quoted)
                    && (!wordy(value)
                        || has_odd_special(value)
                            && shape.len >= 8
                            && (quoted || shape.lower > 1 && shape.upper > 1));
            }
            shape.len >= if quoted { 5 } else { 6 }
                && !(wordy(value) && shape.len < 10 && !has_odd_special(value) && !quoted)
                && !code_like(value, quoted)
        }
        Kind::Secret => {
            if shape.len < 8 || value.contains(&b' ') && !quoted {
                return false;
            }
            if value.iter().filter(|&&b| b == b' ').count() > 1 {
                return false;
            }
            if shape.uuid {
                return true;
            }
            if shape.letters() == 0 && shape.special <= 2 {
                return shape.digits >= 16;
            }
            if shape.digits == 0 && shape.special == 0 {
                return shape.len >= 16 && !word_like(value);
            }
            // Capitals and digits in one piece are an identifier that someone issued.
            let issued = shape.lower + shape.special == 0 && shape.len >= 16 && shape.digits >= 2;
            if wordy(value) && !issued {
                return has_odd_special(value) && shape.digits > 0 && shape.len >= 10 && quoted;
            }
            !code_like(value, quoted)
        }
        Kind::Weak => {
            if shape.len < 16
                || shape.uuid
                || value.contains(&b' ')
                || shape.digits == 0 && shape.len < 24
                || wordy(value)
                || code_like(value, quoted)
            {
                return false;
            }
            if shape.hex && matches!(shape.len, 32 | 40 | 64 | 96 | 128) {
                return quoted || shape.len == 32;
            }
            random(value)
        }
    }
}

/// Whether a bare string, without a name, looks random enough to be a credential.
pub(crate) fn random(value: &[u8]) -> bool {
    let value = head(value);
    let shape = Shape::of(value);
    if shape.len < 16 || shape.distinct < 8 || wordy(value) || is_placeholder(value) {
        return false;
    }
    shape.digits >= 2 && shape.letters() >= 4
        || (shape.lower >= 4 && shape.upper >= 4 && !word_like(value))
}

fn has_odd_special(value: &[u8]) -> bool {
    value.iter().any(|b| {
        matches!(
            b,
            b'!' | b'@'
                | b'#'
                | b'$'
                | b'%'
                | b'^'
                | b'&'
                | b'*'
                | b'?'
                | b'+'
                | b'='
                | b'~'
                | b'|'
                | b'{'
                | b'}'
                | b'<'
                | b'>'
        )
    })
}

/// An expression of some programming language rather than a value.
fn code_like(value: &[u8], quoted: bool) -> bool {
    if quoted {
        return false;
    }
    if value
        .windows(2)
        .any(|two| two == b"::" || two == b"->" || two == b"=>")
        && !value
            .split(|b| matches!(b, b':' | b'-' | b'=' | b'>'))
            .any(|part| random(part) && !part.contains(&b'('))
    {
        return true;
    }
    // `name(`, `name[`, `name.name`
    let head = value
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
        .count();
    let called = head >= 3
        && value[..head]
            .iter()
            .all(|b| b.is_ascii_alphabetic() || *b == b'_');
    if called
        && (value.get(head) == Some(&b'(')
            || value.get(head) == Some(&b'!') && matches!(value.get(head + 1), Some(b'[' | b'(')))
    {
        return true;
    }
    match value.get(head) {
        Some(b'(' | b'[') if head > 0 && value[0].is_ascii_alphabetic() => {
            value.contains(&b')')
                || value.contains(&b']')
                || value.last() == Some(&b'(')
                || value.last() == Some(&b'[')
                || word_like(&value[..head])
        }
        Some(b'.') if head > 0 && head < value.len() - 1 && value[0].is_ascii_alphabetic() => {
            value.split(|&b| b == b'.').all(|part| {
                part.first()
                    .is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_')
                    && (wordy(part) || part.iter().all(u8::is_ascii_alphabetic))
                    || part.ends_with(b")")
            })
        }
        _ => false,
    }
}

/// Something that stands for a value kept elsewhere.
pub(crate) fn is_reference(value: &[u8], quoted: bool) -> bool {
    let starts = |with: &str| {
        value
            .get(..with.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(with.as_bytes()))
    };
    match value[0] {
        b'$' => {
            if matches!(value.get(1), Some(b'{' | b'(' | b'[')) {
                return true;
            }
            let name = if value.get(1) == Some(&b'$') {
                &value[2..]
            } else {
                &value[1..]
            };
            return name.iter().all(|b| {
                b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'.' | b'>' | b'-')
            }) && (name.iter().all(|b| !b.is_ascii_digit())
                || name.iter().all(|b| !b.is_ascii_lowercase()))
                || name.starts_with(b"env:");
        }
        b'%' if (value.len() > 2 && value.ends_with(b"%")
            || value.len() <= 3
            || value[1] == b'('
            || value[1] == b'{') =>
        {
            return true;
        }
        b'{' if (value.starts_with(b"{{")
            || value.starts_with(b"{%")
            || (value.ends_with(b"}") && wordy(&value[1..value.len() - 1]))
            || value.len() < 4) =>
        {
            return true;
        }
        b'<' => return value.ends_with(b">") || quoted && value.contains(&b'>'),
        b'#' if value.get(1) == Some(&b'{') => {
            return true;
        }
        b'@' if value[1..].iter().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'/' | b'(' | b')')
        }) && wordy(&value[1..]) =>
        {
            return true;
        }
        b'*' | b'&'
            if value[1..].iter().all(|b| {
                b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'*' | b'-' | b' ')
            }) && (wordy(&value[1..]) || value[1] == b'*') =>
        {
            return true;
        }
        b'[' | b'(' => return value.len() < 8 || value.starts_with(b"[redacted") || !quoted,
        b'/' | b'.' | b'~' if is_path(value) => {
            return true;
        }
        b'!' if (starts("!ref")
            || starts("!sub")
            || starts("!getatt")
            || starts("!vault")
            || starts("!env")
            || starts("!join")
            || starts("!!")) =>
        {
            return true;
        }
        _ => {}
    }
    if value.windows(10).any(|part| part == b"[redacted:") {
        return true;
    }
    if value
        .windows(2)
        .any(|two| two == b"${" || two == b"{{" || two == b"$(")
        && value.contains(&b'}') | value.contains(&b')')
    {
        return true;
    }
    static HEADS: Heads<85> = Heads::new([
        "process.env",
        "os.environ",
        "os.getenv",
        "getenv(",
        "env.",
        "env(",
        "env[",
        "env!(",
        "std::env",
        "import.meta.env",
        "system.getenv",
        "var.",
        "local.",
        "data.",
        "module.",
        "secrets.",
        "vars.",
        "inputs.",
        "steps.",
        "github.",
        "config.",
        "configuration.",
        "self.",
        "this.",
        "settings.",
        "options.",
        "opts.",
        "args.",
        "params.",
        "props.",
        "ctx.",
        "req.",
        "request.",
        "user.",
        "vault:",
        "op://",
        "arn:",
        "ssm:",
        "sm://",
        "secretsmanager",
        "resolve:",
        "file:",
        "file://",
        "http://",
        "https://",
        "env:",
        "ref+",
        "enc(",
        "enc[",
        "keyring:",
        "bws:",
        "doppler:",
        "aws-vault",
        "akv:",
        "gcpsm:",
        "awssm:",
        "credentials(",
        "fromjson(",
        "azurekeyvault",
        "sha256:",
        "sha384-",
        "sha512-",
        "sha1-",
        "sha256-",
        "sha512:",
        "md5:",
        "urn:",
        "data:image",
        "viper.",
        "conf.",
        "cfg.",
        "app.",
        "kubernetes.",
        "string.",
        "std::",
        "crate::",
        "super::",
        "projects/",
        "base64.",
        "crypto.",
        "hashlib.",
        "uuid.",
        "secure.",
        "random.",
        "pulumi.",
    ]);
    if HEADS.begins(value) {
        return true;
    }
    if !quoted && value.len() < 40 && value.windows(2).any(|two| two == b"()") {
        return true;
    }
    is_windows_path(value) || is_time_or_version(value) || is_address(value)
}

fn is_path(value: &[u8]) -> bool {
    let mut parts = value
        .split(|&b| b == b'/')
        .filter(|part| !part.is_empty())
        .peekable();
    let mut count = 0;
    let mut words = 0;
    for part in parts.by_ref() {
        count += 1;
        words += usize::from(wordy(part) || part == b"..");
    }
    count > 0 && words * 4 >= count * 3 && (count > 1 || value[0] != b'/' || value.len() < 16)
}

fn is_windows_path(value: &[u8]) -> bool {
    value.len() > 3
        && value[0].is_ascii_alphabetic()
        && value[1] == b':'
        && (value[2] == b'\\' || value[2] == b'/')
}

/// `2026-02-11T10:00:00Z`, `1.22.333`, `4h30m`.
fn is_time_or_version(value: &[u8]) -> bool {
    let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    let seps = value
        .iter()
        .filter(|b| {
            matches!(
                b,
                b'.' | b':' | b'-' | b'T' | b'Z' | b'+' | b'v' | b'/' | b' '
            )
        })
        .count();
    seps >= 2 && digits + seps == value.len() && digits >= 3 && value.len() <= 32
}

/// An e-mail address or a host name with a port.
fn is_address(value: &[u8]) -> bool {
    let Some(at) = value.iter().position(|&b| b == b'@') else {
        return false;
    };
    let host = &value[at + 1..];
    at > 0
        && host.contains(&b'.')
        && value[..at]
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+'))
        && host
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
        && host.split(|&b| b == b'.').next_back().is_some_and(|tld| {
            (2..=8).contains(&tld.len()) && tld.iter().all(u8::is_ascii_lowercase)
        })
}

/// A value that says it is none.
pub(crate) fn is_placeholder(value: &[u8]) -> bool {
    static WHOLE: Words = Words::new(&[
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "apikey",
        "api_key",
        "api-key",
        "test",
        "testing",
        "admin",
        "root",
        "user",
        "username",
        "guest",
        "postgres",
        "mysql",
        "none",
        "null",
        "nil",
        "true",
        "false",
        "undefined",
        "string",
        "text",
        "bool",
        "boolean",
        "number",
        "object",
        "required",
        "optional",
        "invalid",
        "missing",
        "empty",
        "default",
        "foobar",
        "value",
        "hidden",
        "unknown",
        "unset",
        "provided",
        "credentials",
        "private",
        "public",
        "bearer",
        "basic",
        "changeit",
        "pass",
        "pwd",
        "key",
        "mypassword",
        "mysecret",
        "mytoken",
        "secure",
        "strong",
        "weak",
        "expired",
        "valid",
        "wrong",
        "correct",
        "incorrect",
        "prompt",
        "stdin",
        "inherit",
        "disabled",
        "enabled",
        "login",
        "sensitive",
        "plaintext",
        "encrypted",
        "hashed",
        "anonymous",
        "unauthorized",
        "forbidden",
        "secretstr",
        "localhost",
        "p@ssw0rd",
        "password1",
        "password123",
        "passw0rd",
        "pass123",
        "test123",
        "test1234",
        "admin123",
        "secret123",
        "123456",
        "12345678",
        "qwerty",
        "letmein",
        "current-password",
        "new-password",
        "one-time-code",
    ]);
    if WHOLE.has(value) {
        return true;
    }
    static PARTS: Heads<62> = Heads::new([
        "example",
        "placeholder",
        "changeme",
        "change-me",
        "change_me",
        "change-this",
        "your-",
        "your_",
        "yourpass",
        "yoursecret",
        "yourtoken",
        "yourkey",
        "yourapi",
        "replace",
        "insert-",
        "insert_",
        "dummy",
        "redacted",
        "masked",
        "removed",
        "fixme",
        "xxxx",
        "xxx-",
        "****",
        "....",
        "<your",
        "not-a-real",
        "notreal",
        "not-real",
        "not_a_",
        "not-a-",
        "fake-",
        "fake_",
        "my-secret",
        "my_secret",
        "my-token",
        "my-password",
        "-here",
        "_here",
        "sample",
        "to-be-",
        "todo",
        "notasecret",
        "0000000000",
        "1234567890",
        "\u{2026}",
        "abcdefgh",
        "abcd1234",
        "deadbeef",
        "lorem",
        "insecure",
        "unused",
        "mock-",
        "mock_",
        "-mock",
        "test-token",
        "test_token",
        "test-key",
        "test_key",
        "test-secret",
        "test_secret",
        "hunter2",
    ]);
    let value = head(value);
    let upper_only = value.iter().all(|b| !b.is_ascii_lowercase());
    for at in 0..value.len() {
        for part in PARTS.of(&value[at..]) {
            let rest = &value[at + 1..at + part.len()];
            // In one case throughout, else it is chance.
            if upper_only || rest.iter().all(|b| !b.is_ascii_uppercase()) {
                return true;
            }
        }
    }
    let shape = Shape::of(value);
    if shape.len >= 8 && shape.distinct <= 3 {
        return true;
    }
    // Runs like `aaaaaa`, `12345678`, `abcdef` that fill most of it.
    let steps = value
        .windows(2)
        .filter(|two| two[1] == two[0] || two[1] == two[0].wrapping_add(1))
        .count();
    shape.len >= 6 && steps * 3 >= (shape.len - 1) * 2
}

/// Whether the parts read like words, numbers or abbreviations: `my-app-config`, `getUserName`, `rc-2`. Of many parts
/// a few may be odd, as in `bn_mul4x_mont_gather`.
pub(crate) fn wordy(value: &[u8]) -> bool {
    let (mut letters, mut parts, mut odd, mut odd_length) = (0, 0, 0, 0);
    for part in value.split(|b| !b.is_ascii_alphanumeric()) {
        if part.is_empty() {
            continue;
        }
        let digits = part.iter().filter(|b| b.is_ascii_digit()).count();
        letters += part.len() - digits;
        parts += 1;
        let usual = if digits == part.len() {
            digits <= 8
        } else if digits == 0 {
            word_like(part)
        } else {
            words_with_digits(part, digits)
        };
        if !usual {
            odd += 1;
            odd_length += part.len();
            // What is random shows it early.
            if odd_length > 8 || odd == 1 && !is_identifier(value) {
                return false;
            }
        }
    }
    letters > 0 && (odd == 0 || parts >= 4 && odd * 3 <= parts)
}

fn is_identifier(value: &[u8]) -> bool {
    value
        .iter()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/'))
}

/// `utf8`, `2fa`, `SelectedTls12UsingTls13`: some groups of digits among words.
fn words_with_digits(part: &[u8], digits: usize) -> bool {
    let (mut runs, mut groups, mut longest) = (0, 0, 0);
    for run in part.chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()) {
        if run[0].is_ascii_digit() {
            longest = longest.max(run.len());
            groups += 1;
        } else {
            runs += 1;
            if !word_like(run) {
                return false;
            }
        }
    }
    let edge = part[0].is_ascii_digit() || part[part.len() - 1].is_ascii_digit();
    // One group at an edge, or words that are words between them.
    longest <= 5
        && (runs == 1 && edge && digits == longest
            || groups <= 2
                && digits * 5 <= part.len()
                && (part.len() - digits) >= runs * 4
                && part[0].is_ascii_uppercase())
}

/// Whether letters look like a word or several words run together in some usual way.
pub(crate) fn word_like(letters: &[u8]) -> bool {
    if letters.len() <= 4 {
        return letters.iter().all(u8::is_ascii_alphabetic);
    }
    // Upper case letters; changes from lower to upper case, and capitals behind capitals; the consonants of now and the
    // most in a row.
    let (mut upper, mut humps, mut drops) = (0, 0, 0);
    let (mut vowels, mut rare, mut run, mut longest) = (0, 0, 0, 0);
    let mut previous = 0;
    for &b in letters {
        if !b.is_ascii_alphabetic() {
            return false;
        }
        if b.is_ascii_uppercase() {
            upper += 1;
            humps += usize::from(previous >= b'a');
            drops += usize::from(previous != 0 && previous < b'a');
        }
        match b | 0x20 {
            b'a' | b'e' | b'i' | b'o' | b'u' | b'y' => {
                vowels += 1;
                run = 0;
            }
            other => {
                rare += usize::from(matches!(other, b'q' | b'x' | b'z' | b'j'));
                run += 1;
                longest = longest.max(run);
                // No word, however it goes on; only a short abbreviation in capitals may be so.
                if run > 4 && letters.len() > 5 {
                    return false;
                }
            }
        }
        previous = b;
    }
    let all_upper = upper == letters.len();
    // Humps of at least two letters on average, as in camelCase.
    if !all_upper && humps + drops > 0 && letters.len() / (humps + drops + 1) < 4 {
        return false;
    }
    if all_upper && letters.len() <= 5 {
        return true;
    }
    vowels * 5 >= letters.len()
        && longest <= 4
        && vowels * 4 <= letters.len() * 3
        && rare <= 1 + letters.len() / 8
}
