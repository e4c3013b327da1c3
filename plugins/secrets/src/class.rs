//! Classes of bytes: what values of one kind consist of.

pub(crate) const fn alnum(b: u8) -> bool {
    b.is_ascii_alphanumeric()
}

/// base64 in the usual alphabet, padding included.
pub(crate) const fn base64(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')
}

/// base64url without padding, which is also what most token alphabets are.
pub(crate) const fn base64url(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')
}

pub(crate) const fn hex(b: u8) -> bool {
    b.is_ascii_hexdigit()
}

/// A class of characters.
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
    /// Anything within a line.
    Line,
    /// The characters of a path of a URL.
    Path,
    /// base64, base64url and dots.
    Dotted64,
    /// base64url, dots and `~`.
    Tilde,
    /// Upper case letters, digits and `-`.
    Dashed,
    /// Digits and `/`.
    Number,
    /// Letters, digits and `$`.
    Dollar,
    /// Hexadecimal, `x` and `u`.
    Licence,
}

pub(crate) const CLASSES: usize = Class::Licence as usize + 1;

/// By byte: the classes that take it, a bit each.
static TAKES: [u32; 256] = {
    let mut takes = [0; 256];
    let mut i = 0;
    while i < 256 {
        let b = i as u8;
        let both = base64(b) || base64url(b);
        takes[i] = (alnum(b) as u32) << Class::Word as u32
            | (base64url(b) as u32) << Class::Url as u32
            | ((base64url(b) || b == b'.') as u32) << Class::Dotted as u32
            | (hex(b) as u32) << Class::Hex as u32
            | ((hex(b) || b == b'-') as u32) << Class::Uuid as u32
            | ((b.is_ascii_lowercase() || b.is_ascii_digit()) as u32) << Class::Lower as u32
            | ((b.is_ascii_uppercase() || b.is_ascii_digit()) as u32) << Class::Upper as u32
            | (b.is_ascii_digit() as u32) << Class::Digits as u32
            | (base64(b) as u32) << Class::Base64 as u32
            | (both as u32) << Class::Both64 as u32
            | ((both && b != b'=') as u32) << Class::Body64 as u32
            | ((both || b == b'%') as u32) << Class::Any64 as u32
            | ((both || matches!(b, b'*' | b'.' | b'|' | b':' | b'~')) as u32)
                << Class::Sealed as u32
            | (!matches!(b, 0 | b'\n') as u32) << Class::Line as u32
            | ((alnum(b)
                || matches!(
                    b,
                    b'/' | b'-' | b'_' | b'.' | b'~' | b'%' | b'@' | b':' | b'='
                )) as u32)
                << Class::Path as u32
            | ((both || b == b'.') as u32) << Class::Dotted64 as u32
            | ((base64url(b) || matches!(b, b'.' | b'~')) as u32) << Class::Tilde as u32
            | ((b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-') as u32)
                << Class::Dashed as u32
            | ((b.is_ascii_digit() || b == b'/') as u32) << Class::Number as u32
            | ((alnum(b) || b == b'$') as u32) << Class::Dollar as u32
            | ((hex(b) || matches!(b, b'x' | b'u')) as u32) << Class::Licence as u32;
        i += 1;
    }
    takes
};

impl Class {
    /// Returns true if a byte is of this class.
    #[inline]
    pub(crate) fn takes(self, b: u8) -> bool {
        TAKES[usize::from(b)] >> self as u32 & 1 != 0
    }
}
