//! Telling literals in base64 and hexadecimal.

use crate::rules::tokens;

/// Literals besides tokens' prefixes that a secret may stand behind: the text around their encoded
/// forms is decoded and judged.
const TELLING: &[&str] = &[
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
    "password=",
    "password\":",
    "_SECRET=",
    "SECRET=",
    "secret=",
    "_TOKEN=",
    "TOKEN=",
    "token=",
    "_KEY=",
    "_authToken",
    "pscale_",
    "PRIVATE KEY",
    "-----BEGIN ",
];

/// `eyJ`, the first bytes of a JSON Web Token, at the three alignments of base64. Three bytes alone
/// are too short for a form: two of these take bits of the letter that follows in most headers.
pub(crate) const TOKEN_HEADERS: &[&str] = &["zxlk", "v5sm", "leup"];

/// The number of forms of a literal: base64 at three alignments, hexadecimal.
const ENCODINGS: usize = 4;
/// The most bytes of a form.
const LONGEST_FORM: usize = 64;

/// Encodes a literal of a few bytes in base64 at an alignment of 0, 1 or 2, without the characters
/// that the text around it changes, or in hexadecimal (3); in lower case, as anchors are. Returns
/// nothing where too little would be left.
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
const MOST: usize = (tokens::TOKENS.len() + TELLING.len()) * ENCODINGS;

/// The encoded forms of tokens' prefixes and other telling literals, one behind the other.
pub(crate) struct Forms {
    pool: [u8; POOL],
    used: usize,
    /// The end of each in the pool.
    ends: [u16; MOST],
    count: usize,
}

impl Forms {
    /// The number of forms.
    pub(crate) const fn len(&self) -> usize {
        self.count
    }

    /// The form of this index.
    pub(crate) const fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        let (head, _) = self.pool.split_at(self.ends[index] as usize);
        head.split_at(start as usize).1
    }
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
    while i < tokens::TOKENS.len() + TELLING.len() {
        let literal = if i < tokens::TOKENS.len() {
            tokens::TOKENS[i].prefix
        } else {
            TELLING[i - tokens::TOKENS.len()]
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
