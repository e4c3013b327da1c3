//! What one pass over a text remembers: of each question whose answer does not depend on who asks, the last answer. So
//! text in which anchors stand close together costs about what it is long, not that times how far the rules look.

use std::cell::{Cell, RefCell};

use crate::encoded::Decoded;
use crate::text::{alnum, base64, base64url, hex};

/// What the characters of a token may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Letters and digits.
    Word,
    /// Letters, digits, `-`, `_`.
    Url,
    /// The same and dots.
    Dotted,
    /// Hexadecimal.
    Hex,
    /// Hexadecimal and `-`.
    Uuid,
    /// Lower case letters and digits.
    Lower,
    /// Upper case letters and digits.
    Upper,
    /// Digits.
    Digits,
    /// base64.
    Base64,
    /// base64 and base64url.
    Both64,
    /// The same without padding.
    Body64,
    /// The same, with `%` for percent-encoded padding.
    Any64,
    /// base64url and the signs between the parts of a sealed value: `*`, `.`, `|`, `:`, `~`.
    Sealed,
}

const CLASSES: usize = Class::Sealed as usize + 1;

/// By byte: the classes that take it, a bit each.
static TAKES: [u16; 256] = {
    let mut takes = [0; 256];
    let mut i = 0;
    while i < 256 {
        let b = i as u8;
        let both = base64(b) || base64url(b);
        takes[i] = (alnum(b) as u16) << Class::Word as u16
            | (base64url(b) as u16) << Class::Url as u16
            | ((base64url(b) || b == b'.') as u16) << Class::Dotted as u16
            | (hex(b) as u16) << Class::Hex as u16
            | ((hex(b) || b == b'-') as u16) << Class::Uuid as u16
            | ((b.is_ascii_lowercase() || b.is_ascii_digit()) as u16) << Class::Lower as u16
            | ((b.is_ascii_uppercase() || b.is_ascii_digit()) as u16) << Class::Upper as u16
            | (b.is_ascii_digit() as u16) << Class::Digits as u16
            | (base64(b) as u16) << Class::Base64 as u16
            | (both as u16) << Class::Both64 as u16
            | ((both && b != b'=') as u16) << Class::Body64 as u16
            | ((both || b == b'%') as u16) << Class::Any64 as u16
            | ((both || matches!(b, b'*' | b'.' | b'|' | b':' | b'~')) as u16)
                << Class::Sealed as u16;
        i += 1;
    }
    takes
};

impl Class {
    /// Whether a byte is of this class.
    #[inline]
    pub(crate) fn takes(self, b: u8) -> bool {
        TAKES[usize::from(b)] >> self as u16 & 1 != 0
    }
}

/// The memory of one pass over one text.
#[derive(Default)]
pub(crate) struct Memory {
    /// By class: the run looked at last, its first byte and the one after its last.
    runs: [Cell<(usize, usize)>; CLASSES],
    /// What was decoded last.
    pub(crate) decoded: RefCell<Decoded>,
}

impl Memory {
    /// The end of the run of `class` in `bytes` that begins at `i`.
    pub(crate) fn run(&self, bytes: &[u8], i: usize, class: Class) -> usize {
        let known = &self.runs[class as usize];
        let (from, to) = known.get();
        if from <= i && i < to {
            return to;
        }
        let mut end = i;
        while let Some(&b) = bytes.get(end) {
            if end == from && from < to {
                end = to;
                break;
            }
            if !class.takes(b) {
                break;
            }
            end += 1;
        }
        if end > i {
            known.set((i, end));
        }
        end
    }

    /// The start of the run of `class` before `i`, at most `most` bytes back.
    pub(crate) fn run_back(&self, bytes: &[u8], i: usize, most: usize, class: Class) -> usize {
        let known = &self.runs[class as usize];
        let (from, to) = known.get();
        let floor = i.saturating_sub(most);
        let mut start = i;
        while start > floor && class.takes(bytes[start - 1]) {
            start = if from < start && start <= to {
                from
            } else {
                start - 1
            };
        }
        if start < from && from <= i && i <= to {
            known.set((start, to));
        }
        start.max(floor)
    }
}
