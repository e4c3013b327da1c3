//! What telling literals become in base64 and hexadecimal.

use crate::rules::tokens;

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
const SCHEMES: &[&str] = &[
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

/// How many forms a literal has: base64 at three alignments, hexadecimal.
const ENCODINGS: usize = 4;
/// The most bytes of a form.
const LONGEST_FORM: usize = 64;

/// What a literal of a few bytes becomes in base64 at an alignment of 0, 1 or 2, without the characters that what stands
/// around it changes, or in hexadecimal (3); in lower case, as anchors are. Nothing where too little would be left.
const fn form(literal: &[u8], encoding: usize) -> ([u8; LONGEST_FORM], usize) {
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

/// The most bytes of all encoded forms together.
const POOL: usize = tokens::TOKENS.len() * 72;
/// The most encoded forms.
const MOST: usize = (tokens::TOKENS.len() + SCHEMES.len()) * ENCODINGS;

/// The encoded forms of tokens and URLs, one behind the other.
pub(crate) struct Forms {
    pub(crate) pool: [u8; POOL],
    used: usize,
    /// The end of each in the pool.
    pub(crate) ends: [u16; MOST],
    pub(crate) count: usize,
}

#[allow(
    long_running_const_eval,
    reason = "some hundred literals in four encodings"
)]
pub(crate) static FORMS: Forms = {
    let mut forms = Forms {
        pool: [0; POOL],
        used: 0,
        ends: [0; MOST],
        count: 0,
    };
    let mut i = 0;
    while i < tokens::TOKENS.len() + SCHEMES.len() {
        let literal = if i < tokens::TOKENS.len() {
            tokens::TOKENS[i].exact
        } else {
            SCHEMES[i - tokens::TOKENS.len()]
        };
        let mut encoding = 0;
        while encoding < ENCODINGS {
            let (form, length) = form(literal.as_bytes(), encoding);
            let mut k = 0;
            while k < length {
                forms.pool[forms.used] = form[k];
                forms.used += 1;
                k += 1;
            }
            if length > 0 {
                forms.ends[forms.count] = forms.used as u16;
                forms.count += 1;
            }
            encoding += 1;
        }
        i += 1;
    }
    forms
};
