//! Secrets inside base64 and hexadecimal text, with bounds.

use crate::Out;
use crate::text::{Text, base64, hex};

/// What telling prefixes become in base64, at the three alignments, and in hexadecimal; in lower case, as anchors are. They
/// are only where a look begins: the text around is decoded and judged.
pub(crate) const PREFIXES: &[&str] = &[
    "zxlk",
    "v5sm",
    "leup",
    "z2hwx",
    "docf",
    "nahbf",
    "z2hvx",
    "dob1",
    "nag9f",
    "z2hzx",
    "doc1",
    "nahnf",
    "z2h1x",
    "dodv",
    "nahvf",
    "z2l0ahvix3bhdf",
    "dpdgh1yl9wyxrf",
    "naxrodwjfcgf0x",
    "z2xwyxqt",
    "dscgf0l",
    "nbhbhdc",
    "c2styw50l",
    "nrlwfudc",
    "zay1hbnqt",
    "c2stchjvai",
    "nrlxbyb2ot",
    "zay1wcm9ql",
    "c2stb3it",
    "nrlw9yl",
    "zay1vci",
    "c2tfbgl2zv",
    "nrx2xpdmvf",
    "za19saxzlx",
    "c2tfdgvzdf",
    "nrx3rlc3rf",
    "za190zxn0x",
    "cmtfbgl2zv",
    "jrx2xpdmvf",
    "ya19saxzlx",
    "eg94yi",
    "hvegit",
    "4b3hil",
    "eg94cc",
    "hvehat",
    "4b3hwl",
    "egfwcc",
    "hhchat",
    "4yxbwl",
    "qutjq",
    "flsu",
    "bs0lb",
    "qvnjq",
    "ftsu",
    "bu0lb",
    "qul6y",
    "fjem",
    "bsxph",
    "bnbtx",
    "5wbv",
    "ucg1f",
    "chlwas",
    "b5cgkt",
    "wexbpl",
    "ahzzl",
    "h2cy",
    "odnmu",
    "zg9wx3yxx",
    "rvcf92mv",
    "kb3bfdjff",
    "u0cu",
    "c2hwyxrf",
    "nocgf0x",
    "zahbhdf",
    "r09du1byl",
    "dpq1nqwc",
    "ht0ntufgt",
    "eweyos",
    "lhmjku",
    "5yti5l",
    "agzf",
    "z3nrx",
    "dza1",
    "nc2tf",
    "egfpl",
    "hhas",
    "4ywkt",
    "zgnrcl9wyxrf",
    "rja3jfcgf0x",
    "ky2tyx3bhdf",
    "ls0tls1crudjti",
    "0tls0tqkvhsu4g",
    "tls0tlujfr0loi",
    "cgfzc3dvcmq9",
    "bhc3n3b3jkp",
    "wyxnzd29yzd",
    "ueftu1dpukq9",
    "bbu1nxt1jep",
    "qqvntv09srd",
    "cgfzc3dvcmqio",
    "bhc3n3b3jkij",
    "wyxnzd29yzci6",
    "c2vjcmv0p",
    "nly3jldd",
    "zzwnyzxq9",
    "u0vdukvup",
    "nfq1jfvd",
    "trunsrvq9",
    "dg9rzw49",
    "rva2vup",
    "0b2tlbj",
    "ve9lru49",
    "rps0vop",
    "ut0tftj",
    "x0tfwt",
    "9lrvk9",
    "fs0vzp",
    "x2f1dghub2tlb",
    "9hdxrovg9rzw",
    "fyxv0afrva2vu",
    "d2hzzwnf",
    "doc2vjx",
    "3ahnly1",
    "chnjywxlx",
    "bzy2fszv",
    "wc2nhbgvf",
    "bglux2fwav",
    "xpbl9hcglf",
    "saw5fyxbpx",
    "ufjjvkfursblrv",
    "bssvzbveugs0vz",
    "quklwqvrfietfw",
    "6768705f",
    "67686f5f",
    "6768735f",
    "6768755f",
    "6769746875625f7061745f",
    "676c7061742d",
    "736b2d616e742d",
    "736b2d70726f6a2d",
    "736b2d6f722d",
    "736b5f6c6976655f",
    "736b5f746573745f",
    "726b5f6c6976655f",
    "786f78622d",
    "786f78702d",
    "786170702d",
    "414b4941",
    "41534941",
    "41497a61",
    "6e706d5f",
    "707970692d",
    "6876732e",
    "646f705f76315f",
    "73687061745f",
    "474f435350582d",
    "796132392e",
    "67736b5f",
    "7861692d",
    "64636b725f7061745f",
    "2d2d2d2d2d424547494e20",
    "70617373776f72643d",
    "50415353574f52443d",
    "70617373776f7264223a",
    "7365637265743d",
    "5345435245543d",
    "746f6b656e3d",
    "544f4b454e3d",
    "5f4b45593d",
    "5f61757468546f6b656e",
    "77687365635f",
    "707363616c655f",
    "6c696e5f6170695f",
    "50524956415445204b4559",
];

/// Beginnings of URLs that may hold credentials.
pub(crate) const SCHEMES: &[&str] = &[
    "postgres://",
    "postgresql://",
    "mysql://",
    "mongodb://",
    "mongodb+srv://",
    "redis://",
    "rediss://",
    "amqp://",
    "amqps://",
    "https://",
    "http://",
    "PASSWORD=",
    "_SECRET=",
    "_TOKEN=",
];

/// The longest run that is decoded.
const LONGEST: usize = 2048;

/// Decodes what is around the anchor; where the plain text holds a secret, hides the run.
pub(crate) fn rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let alphabet = |b: u8| base64(b) || matches!(b, b'-' | b'_');
    let hexadecimal = text.slice(at, at + len).iter().all(|&b| hex(b)) && len.is_multiple_of(2);
    if hexadecimal {
        let start = text.run_back(at, LONGEST / 2, hex);
        let end = text.run(at, hex);
        // Hashes are this long; nothing telling is shorter.
        if end - start >= 24 && (at - start).is_multiple_of(2) {
            let plain = unhex(text.slice(start, end));
            if printable(&plain) && crate::holds_secret(&plain) {
                out.hit(start, end, "hex-encoded-secret");
            }
        }
    }
    // Padding ends a run; what stands before is a name.
    let start = text.run_back(at, LONGEST / 2, |b| alphabet(b) && b != b'=');
    let end = text.run(at + len, alphabet);
    if end - start < 20 {
        return;
    }
    if wrapped(text, start, end, out) {
        return;
    }
    // A path or an escape may run into the front. What is around the anchor tells, from a whole group of four on.
    let near = |start: usize| start + (at - start).saturating_sub(512) / 4 * 4;
    let holds = |start: usize| {
        let plain = decode(text.slice(near(start), end.min(at + 1024)));
        printable(&plain) && crate::holds_secret(&plain)
    };
    let slash = text
        .slice(start, at)
        .iter()
        .rposition(|&b| b == b'/')
        .map(|slash| start + slash + 1);
    let escape = (text.before(start) == b'\\').then_some(start + 1);
    for start in [Some(start), slash, escape].into_iter().flatten() {
        if start <= at && end - start >= 16 && holds(start) {
            out.hit(start, end, "base64-encoded-secret");
            return;
        }
    }
}

/// Lines as mail and `base64` wrap them: what is encoded goes on over line breaks. Hides the lines that hold a secret.
fn wrapped(text: &Text<'_>, start: usize, end: usize, out: &mut Out) -> bool {
    let width = end - start;
    let line = |i: usize| {
        let end = text.run_most(i, 128, base64);
        (end > i && matches!(text.at(end), 0 | b'\n' | b'\r' | b'\\')).then_some((i, end))
    };
    if !(57..=128).contains(&width) && !matches!(text.before(start), b'\n') {
        return false;
    }
    let mut lines = vec![(start, end)];
    // Before: lines of one width.
    let mut first = start;
    while lines.len() < 4 && first > 1 && text.before(first) == b'\n' {
        let stop = text.run_back(first, 2, |b| matches!(b, b'\n' | b'\r'));
        let begin = text.run_back(stop, 128, base64);
        if stop - begin < 57
            || begin > 0 && text.before(begin) != b'\n'
            || !(stop - begin).is_multiple_of(4)
        {
            break;
        }
        lines.insert(0, (begin, stop));
        first = begin;
    }
    let full = lines[0].1 - lines[0].0;
    let mut last = end;
    while lines.len() < 12
        && lines[lines.len() - 1].1 - lines[lines.len() - 1].0 == full
        && full.is_multiple_of(4)
    {
        let Some(next) = text.line_break(last) else {
            break;
        };
        let Some((begin, stop)) = line(next) else {
            break;
        };
        if stop - begin > full {
            break;
        }
        lines.push((begin, stop));
        last = stop;
    }
    if lines.len() < 2 {
        return false;
    }
    let joined: Vec<u8> = lines
        .iter()
        .flat_map(|&(start, end)| text.slice(start, end))
        .copied()
        .collect();
    let plain = decode(&joined);
    if !printable(&plain) {
        return false;
    }
    let mut any = false;
    for (from, to) in crate::secrets_within(&plain) {
        let (from, to) = (from * 4 / 3, (to * 4).div_ceil(3));
        let mut offset = 0;
        for &(start, end) in &lines {
            let length = end - start;
            if offset < to && offset + length > from {
                out.hit(start, end, "base64-encoded-secret");
                any = true;
            }
            offset += length;
        }
    }
    any
}

/// What a literal of a few bytes becomes in base64 at the three alignments, without the characters that what stands
/// around it changes, and in hexadecimal; in lower case, as anchors are.
pub(crate) fn forms(literal: &[u8]) -> Vec<Vec<u8>> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut forms = Vec::new();
    for alignment in 0..3 {
        let bit = |i: usize| {
            let i = i.checked_sub(alignment * 8)?;
            literal.get(i / 8).map(|byte| byte >> (7 - i % 8) & 1)
        };
        let whole = (0..).map(|group| {
            (0..6).try_fold(0usize, |six, i| {
                Some(six << 1 | usize::from(bit(group * 6 + i)?))
            })
        });
        let core: Vec<u8> = whole
            .skip_while(Option::is_none)
            .map_while(|six| six)
            .map(|six| ALPHABET[six].to_ascii_lowercase())
            .collect();
        if core.len() >= 4 {
            forms.push(core);
        }
    }
    if literal.len() >= 3 {
        forms.push(
            literal
                .iter()
                .flat_map(|b| format!("{b:02x}").into_bytes())
                .collect(),
        );
    }
    forms
}

fn printable(bytes: &[u8]) -> bool {
    bytes.len() >= 12
        && bytes
            .iter()
            .filter(|b| (0x20..0x7f).contains(*b) || b.is_ascii_whitespace() || **b >= 0xc2)
            .count()
            * 20
            >= bytes.len() * 19
}

fn unhex(digits: &[u8]) -> Vec<u8> {
    let value = |b: u8| char::from(b).to_digit(16).unwrap_or(0) as u8;
    digits
        .chunks_exact(2)
        .map(|pair| value(pair[0]) << 4 | value(pair[1]))
        .collect()
}

/// Decodes base64 or base64url leniently: as far as the alphabet goes.
pub(crate) fn decode(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len() * 3 / 4);
    let mut bits = 0u32;
    let mut count = 0;
    for &b in bytes {
        let six = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => break,
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            plain.push((bits >> count) as u8);
        }
    }
    plain
}
