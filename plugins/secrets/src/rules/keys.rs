//! Private keys in their many wrappings, and signed tokens.

use std::slice;

use crate::boundary::starts_here;
use crate::class::{alnum, base64, base64url, hex};
use crate::quoting::quote_at;
use crate::rule::{Family, KEY, KEY_BLOCK, NEAR, Out, families};
use crate::shape::{Shape, wordy};
use crate::text::Text;

/// Literals, the rule that judges them, and how far it looks.
pub(crate) const RULES: &[Family] = &[
    Family::new(
        &["private key", "private%20key", "private+key"],
        pem_rule,
        KEY_BLOCK,
    ),
    Family::new(&["openvpn static key"], static_key_rule, NEAR),
    Family::new(&["private-lines:"], ppk_rule, KEY),
    Family::new(&["private-mac:"], ppk_mac_rule, NEAR),
    Family::new(&["eyj"], jwt_rule, NEAR),
    Family::new(JWK_MEMBERS, jwk_rule, NEAR),
    Family::new(
        &["<d>", "<p>", "<q>", "<dp>", "<dq>", "<inverseq>"],
        xml_key_rule,
        NEAR,
    ),
];

/// `PRIVATE KEY`, in a header or a footer, whole or damaged.
pub(crate) fn pem_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    if !matches!(
        text.slice(at, at + len),
        b"PRIVATE KEY" | b"PRIVATE%20KEY" | b"PRIVATE+KEY"
    ) {
        return;
    }
    let head = text.slice(at.saturating_sub(48), at);
    let word = |needle: &[u8]| head.windows(needle.len()).rposition(|part| part == needle);
    let begins = word(b"BEGIN ")
        .or_else(|| word(b"BEGIN%20"))
        .or_else(|| word(b"BEGIN+"));
    let ends = word(b"END ")
        .or_else(|| word(b"END%20"))
        .or_else(|| word(b"END+"));
    if begins.is_some() && begins >= ends {
        let mut i = at + len;
        for block in [&b" BLOCK"[..], b"+BLOCK", b"%20BLOCK"] {
            if text.starts(i, block) {
                i += block.len();
            }
        }
        i = text.run(i, |b| b == b'-' || b == b' ');
        body(text, i, out);
    } else if let Some(place) = ends {
        let from = at - (head.len() - place);
        headless(text, text.run_back(from, 8, |b| b == b'-'), out);
    }
}

/// Masks the base64 that starts at or soon after `from`.
fn body(text: &Text<'_>, from: usize, out: &mut Out) {
    let mut i = from;
    let mut start = None;
    let mut end = from;
    let mut lines = 0;
    loop {
        let line = separators(text, i);
        if line == i && lines > 0 {
            break;
        }
        let Some((chunk, chunk_end)) = chunk(text, line, lines > 0) else {
            // `Proc-Type: 4,ENCRYPTED`, `Comment: ...`: a few headers at the body's beginning.
            if lines < 8
                && start.is_none()
                && let Some(next) = header_line(text, line)
            {
                i = next;
                lines += 1;
                continue;
            }
            break;
        };
        // A line with something before the base64 keeps it.
        if chunk != line {
            if let Some(first) = start.take() {
                out.hit(first, end, "private-key");
            }
            out.hit(chunk, chunk_end, "private-key");
        } else if start.is_none() {
            start = Some(chunk);
        }
        end = chunk_end;
        i = chunk_end;
        lines += 1;
    }
    if let Some(start) = start {
        out.hit(start, end, "private-key");
    }
}

/// Line breaks in any notation, quotes, concatenation, indentation, comment signs.
fn separators(text: &Text<'_>, from: usize) -> usize {
    let mut i = from;
    loop {
        let b = text.at(i);
        match b {
            b' ' | b'\t' | b'\n' | b'\r' | b'"' | b'\'' | b',' | b'|' | b'>' | b'#' | b'*'
            | b'`' | b';' | b'(' | b')' | b':' | b'.' => i += 1,
            b'+' if matches!(text.at(i + 1), b' ' | b'\n' | b'\r')
                || matches!(text.before(i), b'\n' | b' ') && !base64(text.at(i + 1)) =>
            {
                i += 1
            }
            b'-' if !matches!(text.at(i + 1), b'-') && matches!(text.before(i), b'\n') => i += 1,
            b'\\' => {
                let end = text.run(i, |b| b == b'\\');
                match text.at(end) {
                    b'n' | b'r' | b't' => i = end + 1,
                    b'u' if text.starts(end, b"u000a")
                        || text.starts(end, b"u000A")
                        || text.starts(end, b"u000d") =>
                    {
                        i = end + 5
                    }
                    b'x' if text.starts_ci(end, b"x0a") => i = end + 3,
                    _ => i = end,
                }
            }
            b'%' if text.starts_ci(i, b"%0a")
                || text.starts_ci(i, b"%0d")
                || text.starts_ci(i, b"%20") =>
            {
                i += 3
            }
            // The arrow that file viewers put behind a line's number.
            0xe2 if text.starts(i, b"\xe2\x86\x92") => i += 3,
            b'/' if text.at(i + 1) == b'/' && matches!(text.at(i + 2), b' ' | b'\n') => i += 2,
            b'&' if text.starts_ci(i, b"&#10;") || text.starts_ci(i, b"&#13;") => i += 5,
            b'&' if text.starts_ci(i, b"&#xa;") || text.starts_ci(i, b"&#xd;") => i += 5,
            b'<' if text.starts_ci(i, b"<br>") => i += 4,
            b'<' if text.starts_ci(i, b"<br/>") => i += 5,
            _ => return i,
        }
        if i - from > 160 {
            return i;
        }
    }
}

/// A run of base64 at `line`, or as the last word of the line: a log may put a time before it.
fn chunk(text: &Text<'_>, line: usize, inside: bool) -> Option<(usize, usize)> {
    // Written in JSON, a slash may be escaped; in a URL, plus, slash and equals.
    let run = |from: usize| {
        let mut i = from;
        loop {
            if base64(text.at(i)) {
                i += 1;
            } else if text.at(i) == b'\\' && text.at(i + 1) == b'/' {
                i += 2;
            } else if text.at(i) == b'%'
                && (text.starts_ci(i, b"%2b")
                    || text.starts_ci(i, b"%2f")
                    || text.starts_ci(i, b"%3d"))
            {
                i += 3;
            } else {
                return i;
            }
        }
    };
    let end = run(line);
    let length = end - line;
    let shape = Shape::of(text.slice(line, end));
    let number = shape.digits == shape.len && shape.len < 8;
    let words = wordy(text.slice(line, end));
    if length >= 40 && !words
        || (inside
            && !number
            && length >= 2
            && (length >= 20
                || text.at(end - 1) == b'='
                || text.at(line) == b'='
                || footer_follows(text, end))
            && shape.len > 0
            && !(words && !footer_follows(text, end)))
    {
        return Some((line, end));
    }
    if !inside && length >= 20 && !words && shape.digits > 0 {
        return Some((line, end));
    }
    // The last word of a longer line.
    let mut i = line;
    let mut last = line;
    while !matches!(text.at(i), 0 | b'\n' | b'\r') && text.line_break(i).is_none() && i - line < 200
    {
        if matches!(text.at(i), b' ' | b'\t') {
            last = i + 1;
        } else if text.at(i) == b'\\' && text.at(i + 1) == b't' {
            last = i + 2;
        } else if text.at(i) == 0xe2 && text.starts(i, b"\xe2\x86\x92") {
            last = i + 3;
        }
        i += 1;
    }
    let end = run(last);
    (last > line
        && (end - last >= 40 || inside && end - last >= 8 && text.at(end - 1) == b'=')
        && !wordy(text.slice(last, end))
        && Shape::of(text.slice(last, end)).upper > 0)
        .then_some((last, end))
}

fn footer_follows(text: &Text<'_>, from: usize) -> bool {
    let i = separators(text, from);
    text.starts(i, b"--") || text.starts(i, b"=")
}

/// `Name: value` inside a key block.
fn header_line(text: &Text<'_>, from: usize) -> Option<usize> {
    let end = text.run(from, |b| alnum(b) || b == b'-');
    if end == from || end - from > 24 || text.at(end) != b':' || text.at(end + 1) != b' ' {
        return None;
    }
    let mut i = end;
    while i - from < 200 {
        if matches!(text.at(i), 0) {
            return None;
        }
        if text.line_break(i).is_some() {
            return Some(i);
        }
        i += 1;
    }
    None
}

/// A body whose header is lost: base64 lines before the footer.
fn headless(text: &Text<'_>, footer: usize, out: &mut Out) {
    let back = |i: usize, escaped: bool| -> usize {
        if escaped {
            let after = text.run_back(i, 2, |b| b == b'n' || b == b'r');
            text.run_back(after, 4, |b| b == b'\\')
        } else {
            text.run_back(i, 80, |b| {
                matches!(b, b' ' | b'\t' | b'\n' | b'\r' | b'"' | b'\'' | b',' | b'+')
            })
        }
    };
    // Where a line begins whose base64 begins at `i`: before its number or comment sign.
    let line_start = |i: usize| {
        let start = text.run_back(i, 24, |b| b != b'\n');
        let prefix = text.slice(start, i);
        let only_prefix = prefix.iter().all(|b| {
            matches!(
                b,
                b' ' | b'\t' | b'/' | b'#' | b'*' | b'|' | b'>' | b':' | b'0'
                    ..=b'9' | 0xe2 | 0x86 | 0x92
            )
        });
        (text.before(start) == b'\n' && !prefix.is_empty() && only_prefix).then_some(start)
    };
    let mut i = line_start(footer).unwrap_or(footer);
    let mut lines: Vec<(usize, usize)> = Vec::new();
    let mut whole = true;
    while i > text.floor() {
        let escaped = text.before(i) == b'n' && i >= 2 && text.at(i - 2) == b'\\';
        let line_end = back(i, escaped);
        if line_end == i {
            break;
        }
        let mut line = text.run_back(line_end, 512, base64);
        if line > 0 && text.at(line - 1) == b'\\' && matches!(text.at(line), b'n' | b'r') {
            line += 1;
        }
        let length = line_end - line;
        if length < if lines.is_empty() { 1 } else { 40 }
            || wordy(text.slice(line, line_end)) && length < 60
        {
            break;
        }
        lines.push((line, line_end));
        i = match line_start(line) {
            Some(start) => {
                whole = false;
                start
            }
            None => line,
        };
    }
    let (Some(&(start, _)), Some(&(_, end))) = (lines.last(), lines.first()) else {
        return;
    };
    if end - start < 60 {
        return;
    }
    if whole {
        out.hit(start, end, "private-key");
    } else {
        for (start, end) in lines {
            out.hit(start, end, "private-key");
        }
    }
}

/// `Private-Lines: 14` of a PuTTY key, and the lines that follow.
pub(crate) fn ppk_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let number = text.blanks(at + len);
    let end = text.run(number, |b| b.is_ascii_digit());
    if end > number {
        body(text, end, out);
    }
}

/// `Private-MAC: 40 or 64 hexadecimal digits`.
pub(crate) fn ppk_mac_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let from = text.blanks(at + len);
    let end = text.run(from, hex);
    if end - from >= 32 {
        out.hit(from, end, "private-key");
    }
}

/// A beginning of a private key in base64, without a header.
struct Beginning {
    /// The literal as it is written.
    literal: &'static str,
    /// The bytes that follow at a distance from the literal's start: any of these.
    then: (usize, &'static [&'static str]),
}

const BEGINNINGS: &[Beginning] = &[
    // DER: SEQUENCE, then INTEGER 0 (PKCS#1: 0 and the modulus; PKCS#8: 0 and the algorithm).
    Beginning {
        literal: "MII",
        then: (6, &["IBAA", "IBAD"]),
    },
    Beginning {
        literal: "MHcCA",
        then: (0, &["MHcCAQEE"]),
    },
    Beginning {
        literal: "MIGkA",
        then: (0, &["MIGkAgEB"]),
    },
    Beginning {
        literal: "MIGHA",
        then: (0, &["MIGHAgEA"]),
    },
    Beginning {
        literal: "MC4CA",
        then: (0, &["MC4CAQAw"]),
    },
    // OpenSSH.
    Beginning {
        literal: "b3BlbnNzaC1rZXktdj",
        then: (0, &["b3BlbnNzaC1rZXktdj"]),
    },
];

/// The beginnings of keys, a family a row.
pub(crate) const BARE: &[Family] = families!(
    BEGINNINGS,
    |row| slice::from_ref(&BEGINNINGS[row].literal),
    bare_key_rule,
    KEY
);

/// The first bytes of a DER or OpenSSH private key, in base64, without a header.
fn bare_key_rule(text: &Text<'_>, at: usize, _len: usize, row: usize, out: &mut Out) {
    if base64(text.before(at))
        && !(matches!(text.before(at), b'n' | b'r') && text.at(at.wrapping_sub(2)) == b'\\')
        && text.before(at) != b'='
    {
        return;
    }
    let Beginning {
        literal,
        then: (distance, then),
    } = BEGINNINGS[row];
    if text.starts(at, literal.as_bytes())
        && then
            .iter()
            .any(|then| text.starts(at + distance, then.as_bytes()))
    {
        body(text, at, out);
    }
}

/// `eyJ...`: a JSON Web Token, signed (three parts) or encrypted (five).
pub(crate) fn jwt_rule(text: &Text<'_>, at: usize, _len: usize, out: &mut Out) {
    if !text.starts(at, b"eyJ") {
        return;
    }
    let before = text.before(at);
    if base64url(before) && !starts_here(text, at) && before != b'_' && before != b'-' {
        return;
    }
    let header = text.run(at, base64url);
    if header - at < 12 || text.at(header) != b'.' {
        return;
    }
    let payload = text.run(header + 1, base64url);
    // An encrypted token with a key agreed on directly has an empty second part.
    let direct = payload == header + 1 && text.at(payload) == b'.';
    if payload - header < 8 && !direct {
        return;
    }
    let mut end = payload;
    let mut parts = 2;
    while parts < 5 && text.at(end) == b'.' {
        let next = text.run(end + 1, base64url);
        if next == end + 1 && parts != 2 {
            break;
        }
        end = next;
        parts += 1;
    }
    // Two parts are a token cut short; its claims are telling as well.
    if if direct { parts == 5 } else { parts >= 3 } || text.starts(header + 1, b"eyJ") {
        out.hit(at, end, "jwt");
    }
}

/// `-----BEGIN OpenVPN Static key V1-----`: lines of hexadecimal digits.
pub(crate) fn static_key_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let mut i = text.run(at + len, |b| !matches!(b, 0 | b'\n' | b'\r' | b'\\'));
    for _ in 0..20 {
        let start = separators(text, i);
        let end = text.run(start, hex);
        if end - start < 24 {
            return;
        }
        out.hit(start, end, "private-key");
        i = end;
    }
}

/// Members of a JSON Web Key that are private.
pub(crate) const JWK_MEMBERS: &[&str] = &[
    "\"d\":",
    "\"d\" :",
    "\"p\":",
    "\"q\":",
    "\"dp\":",
    "\"dq\":",
    "\"qi\":",
    "\"k\":",
    "\"d\\\":",
    "\"p\\\":",
    "\"q\\\":",
    "\"dp\\\":",
    "\"dq\\\":",
    "\"qi\\\":",
    "\"k\\\":",
    "'d':",
];

/// A private member: a long base64url value.
pub(crate) fn jwk_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let i = text.blanks(at + len);
    let Some(quote) = quote_at(text, i) else {
        return;
    };
    let from = i + quote.length;
    let end = text.run(from, base64url);
    let bytes = text.slice(from, end);
    let shape = Shape::of(bytes);
    if bytes.len() >= 40
        && quote_at(text, end).is_some()
        && shape.digits > 1
        && shape.lower > 1
        && shape.upper > 1
    {
        out.hit(from, end, "private-key");
    }
}

/// `<D>...</D>` of an XML RSA key.
pub(crate) fn xml_key_rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let from = at + len;
    let end = text.run(from, base64);
    if end - from >= 40
        && text.at(end) == b'<'
        && text.at(end + 1) == b'/'
        && text.at(at + 1).is_ascii_uppercase()
    {
        out.hit(from, end, "private-key");
    }
}
