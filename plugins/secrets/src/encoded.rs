//! Secrets inside base64 and hexadecimal text, with bounds.

use crate::anchors;
use crate::class::{Class, base64, hex};
use crate::codec::{decode, fit_to_print, printable, unhex};
use crate::memory::Memory;
use crate::rule::Out;
use crate::text::Text;

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

/// How far back the beginning of a run is looked for.
const LONGEST: usize = 1024;

/// Decodes what is around the anchor; where the plain text holds a secret, hides the run.
pub(crate) fn rule(text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
    let hexadecimal = text.slice(at, at + len).iter().all(|&b| hex(b)) && len.is_multiple_of(2);
    if hexadecimal {
        let start = text.run_back_of(at, LONGEST, Class::Hex);
        let end = text.run_of(at, usize::MAX, Class::Hex);
        // Hashes are this long; nothing telling is shorter.
        if end - start >= 24
            && (at - start).is_multiple_of(2)
            && holds_secret(text, Notation::Hex, start, at, end)
        {
            out.hit(start, end, "hex-encoded-secret");
        }
    }
    // Padding ends a run; what stands before is a name.
    let start = text.run_back_of(at, LONGEST, Class::Body64);
    let end = text.run_of(at + len, usize::MAX, Class::Both64);
    if end - start < 20 {
        return;
    }
    if wrapped(text, start, end, out) {
        return;
    }
    // A path or an escape may run into the front.
    let slash = text
        .slice(start, at)
        .iter()
        .rposition(|&b| b == b'/')
        .map(|slash| start + slash + 1);
    let escape = (text.before(start) == b'\\').then_some(start + 1);
    for start in [Some(start), slash, escape].into_iter().flatten() {
        if start <= at && end - start >= 16 && holds_secret(text, Notation::Base64, start, at, end)
        {
            out.hit(start, end, "base64-encoded-secret");
            return;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Notation {
    Base64,
    Hex,
}

impl Notation {
    /// Characters that stand for whole bytes together, and how many bytes.
    fn group(self) -> (usize, usize) {
        match self {
            Self::Base64 => (4, 3),
            Self::Hex => (2, 1),
        }
    }
}

/// What stands around the anchor tells, so many characters before and behind it.
const BEFORE: usize = 512;
const BEHIND: usize = 1024;
/// What a rule sees of the plain text around an anchor in it.
const PLAIN_BEFORE: usize = 256;
const PLAIN_BEHIND: usize = 1020;

/// So many characters more are decoded at a time; whole groups of either notation.
const MORE: usize = 1536;

/// Whether what is encoded in the run from `start` to `end` holds a secret near `at`.
fn holds_secret(text: &Text<'_>, notation: Notation, start: usize, at: usize, end: usize) -> bool {
    let (characters, bytes) = notation.group();
    let whole = |length: usize| length / characters * characters;
    // Padding ends what is decoded.
    let class = match notation {
        Notation::Base64 => Class::Body64,
        Notation::Hex => Class::Hex,
    };
    let end = text.run_of(start, end - start, class);
    let from = start + whole((at - start).saturating_sub(BEFORE));
    let to = end.min(at + BEHIND);
    let context = PLAIN_BEFORE.div_ceil(bytes) * characters;
    let before = from - (from - start).min(context);
    let behind = start + whole(at + BEHIND - start) + PLAIN_BEHIND / bytes * characters;
    let mut decoded = text.memory().decoded.borrow_mut();
    let stretch = match notation {
        Notation::Base64 => &mut decoded.base64[start % 4],
        Notation::Hex => &mut decoded.hex[start % 2],
    };
    stretch.cover(notation, text, before, behind.min(end), end);
    let plain = |i: usize| (i - stretch.from) * bytes / characters;
    let (from, to) = (plain(from), plain(to));
    stretch.holds_secret(from, to)
}

/// What was decoded last, and what was found in it: anchors may stand close together in one long run, and it is decoded
/// and judged but once.
#[derive(Default)]
pub(crate) struct Decoded {
    /// By the place where groups begin, modulo their length.
    base64: [Stretch; 4],
    hex: [Stretch; 2],
    /// The lines that were put together last, and those of them that go.
    lines: Option<((usize, usize), Vec<(usize, usize)>)>,
}

/// A stretch of a run in plain text.
#[derive(Default)]
struct Stretch {
    /// Where in the text it begins and ends.
    from: usize,
    to: usize,
    plain: Vec<u8>,
    /// By byte of `plain`: how many before it are fit to print.
    printable: Vec<u32>,
    /// Up to here anchors in `plain` have been judged.
    judged: usize,
    /// Anchors in `plain` that are secrets.
    secrets: Vec<usize>,
    /// Of `plain`, as it is now.
    memory: Option<Box<Memory>>,
}

impl Stretch {
    /// Decodes on, so that all from `from` to `to` is there, and some more of what goes on to `end`; `from` and `to` are
    /// whole groups away from where groups begin, but for the end of a run.
    fn cover(&mut self, notation: Notation, text: &Text<'_>, from: usize, to: usize, end: usize) {
        if !(self.from <= from && from < self.to) {
            *self = Self {
                from,
                to: from,
                printable: vec![0],
                ..Self::default()
            };
        }
        if self.to >= to {
            return;
        }
        let to = if end - to > MORE { to + MORE } else { to };
        let fresh = text.slice(self.to, to);
        let plain = match notation {
            Notation::Base64 => decode(fresh),
            Notation::Hex => unhex(fresh),
        };
        let mut count = self.printable.last().copied().unwrap_or(0);
        self.printable.extend(plain.iter().map(|&b| {
            count += u32::from(fit_to_print(b));
            count
        }));
        self.plain.extend(plain);
        self.memory = None;
        self.to = to;
    }

    /// Whether there is a secret whose anchor stands between `from` and `to`, in text that is fit to print.
    fn holds_secret(&mut self, from: usize, to: usize) -> bool {
        let to = to.min(self.plain.len());
        if from >= to {
            return false;
        }
        let printable = (self.printable[to] - self.printable[from]) as usize;
        if to - from < 12 || printable * 20 < (to - from) * 19 {
            return false;
        }
        let unjudged = self.judged.max(from);
        if unjudged < to {
            let memory = self.memory.get_or_insert_default();
            let end = self.plain.len().min(to + anchors::LONGEST);
            let (plain, secrets) = (&self.plain, &mut self.secrets);
            anchors::find(&plain[..end], unjudged, |at, anchor| {
                // What is encoded in it once more is not looked at.
                if at < to && anchor.in_decoded && secrets.last() != Some(&at) {
                    let mut out = Out::default();
                    let text = Text::around(plain, at, PLAIN_BEFORE, PLAIN_BEHIND, true, memory);
                    anchor.judge(&text, at, &[], &mut out);
                    if out.len() > 0 {
                        secrets.push(at);
                    }
                }
            });
            self.judged = to;
        }
        let first = self.secrets.partition_point(|&at| at < from);
        self.secrets.get(first).is_some_and(|&at| at < to)
    }
}

/// The secrets in plain text, each from its first byte to the one after its last.
fn secrets_within(plain: &[u8]) -> Vec<(usize, usize)> {
    let mut out = Out::default();
    let memory = Memory::default();
    anchors::find(plain, 0, |at, anchor| {
        if anchor.in_decoded {
            let text = Text::around(plain, at, PLAIN_BEFORE, PLAIN_BEHIND, true, &memory);
            anchor.judge(&text, at, &[], &mut out);
        }
    });
    out.ranges()
        .map(|(start, end)| (start, end.min(plain.len())))
        .collect()
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
    let key = (lines[0].0, lines[lines.len() - 1].1);
    if let Some((known, hidden)) = &text.memory().decoded.borrow().lines
        && *known == key
    {
        hide(hidden, out);
        return !hidden.is_empty();
    }
    let joined: Vec<u8> = lines
        .iter()
        .flat_map(|&(start, end)| text.slice(start, end))
        .copied()
        .collect();
    let plain = decode(&joined);
    let mut hidden = Vec::new();
    if printable(&plain) {
        for (from, to) in secrets_within(&plain) {
            let (from, to) = (from * 4 / 3, (to * 4).div_ceil(3));
            let mut offset = 0;
            for &(start, end) in &lines {
                let length = end - start;
                if offset < to && offset + length > from && !hidden.contains(&(start, end)) {
                    hidden.push((start, end));
                }
                offset += length;
            }
        }
    }
    hide(&hidden, out);
    let any = !hidden.is_empty();
    text.memory().decoded.borrow_mut().lines = Some((key, hidden));
    any
}

fn hide(lines: &[(usize, usize)], out: &mut Out) {
    for &(start, end) in lines {
        out.hit(start, end, "base64-encoded-secret");
    }
}

/// How many forms a literal has: base64 at three alignments, hexadecimal.
pub(crate) const ENCODINGS: usize = 4;
/// The most bytes of a form.
const LONGEST_FORM: usize = 64;

/// What a literal of a few bytes becomes in base64 at an alignment of 0, 1 or 2, without the characters that what stands
/// around it changes, or in hexadecimal (3); in lower case, as anchors are. Nothing where too little would be left.
pub(crate) const fn form(literal: &[u8], encoding: usize) -> ([u8; LONGEST_FORM], usize) {
    const ALPHABET: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz0123456789+/";
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut form = [0; LONGEST_FORM];
    let mut length = 0;
    if encoding == 3 {
        while length < literal.len() * 2 {
            let byte = literal[length / 2];
            form[length] = DIGITS[(byte >> 4) as usize];
            form[length + 1] = DIGITS[(byte & 15) as usize];
            length += 2;
        }
        return (form, if literal.len() >= 3 { length } else { 0 });
    }
    // Bits in front of the literal, and where it ends.
    let front = encoding * 8;
    let end = front + literal.len() * 8;
    let mut group = front.div_ceil(6);
    while (group + 1) * 6 <= end {
        let mut six = 0;
        let mut i = group * 6;
        while i < group * 6 + 6 {
            let at = i - front;
            six = six << 1 | (literal[at / 8] >> (7 - at % 8) & 1) as usize;
            i += 1;
        }
        form[length] = ALPHABET[six];
        length += 1;
        group += 1;
    }
    (form, if length >= 4 { length } else { 0 })
}
