//! Characters that a reader does not see.

/// Characters that have no shape of their own, as ranges: Unicode's property `Default_Ignorable_Code_Point`
/// (`DerivedCoreProperties.txt` of Unicode 16.0), and the marks of interlinear annotation, U+FFF9 to U+FFFB. Sorted. The
/// property is stable for what is assigned later: it holds the unassigned places around these characters as well.
const IGNORABLE: [(char, char); 17] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Returns true if a character has no shape of its own. Control characters are not among them.
pub(crate) fn is_ignorable(c: char) -> bool {
    let at = IGNORABLE.partition_point(|&(_, last)| last < c);
    IGNORABLE.get(at).is_some_and(|&(first, _)| first <= c)
}

/// Returns true if a character is not seen where text is read: a control character other than a tab and a line break, or
/// one without a shape.
pub(crate) fn is_invisible(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\n') || is_ignorable(c)
}

/// Returns true if a character between the bytes of a value hides it from nobody who reads the text: it is not seen, or a
/// separator of lines and paragraphs, which few programs take for the end of a line.
pub(crate) fn is_left_out(c: char) -> bool {
    is_invisible(c) || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Returns true if a character must not stand in a line as it is: nobody sees it, or it ends the line.
pub(crate) fn breaks_a_line(c: char) -> bool {
    is_invisible(c) || matches!(c, '\t' | '\n' | '\u{2028}' | '\u{2029}')
}

/// The first bytes of the characters without a shape.
pub(crate) const fn begins_ignorable(byte: u8) -> bool {
    matches!(
        byte,
        0xc2 | 0xcd | 0xd8 | 0xe1 | 0xe2 | 0xe3 | 0xef | 0xf0 | 0xf3
    )
}

/// The character at the start of some bytes that begins as one without a shape does.
pub(crate) enum Lead {
    /// It has no shape, and so many bytes.
    Ignorable(usize),
    /// It is another one, or none.
    Other,
    /// The bytes end within it.
    Unfinished,
}

/// Judges the character at the start of `bytes`, whose first byte [`begins_ignorable`].
pub(crate) fn lead(bytes: &[u8]) -> Lead {
    let length = match bytes.first() {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => return Lead::Other,
    };
    let here = bytes.get(..length).unwrap_or(bytes);
    match std::str::from_utf8(here) {
        Ok(text) if text.chars().next().is_some_and(is_ignorable) => Lead::Ignorable(length),
        Err(error) if error.error_len().is_none() => Lead::Unfinished,
        _ => Lead::Other,
    }
}

/// A text without its control characters, which tear a value apart for whoever compares bytes and for no reader.
///
/// Only known values are looked for in it. For a scanner these characters part fields (NUL in an environment, BEL after
/// a title, CR in a progress bar), and a token beside one would no longer end there.
pub(crate) struct Squeezed {
    pub(crate) bytes: Vec<u8>,
    /// Where something was left out: the place in `bytes` and the place in the text of what follows it.
    gaps: Vec<(usize, usize)>,
    length: usize,
}

/// The most bytes that are left out at one place; what follows them is there. A value whose first half stands before
/// nothing but control characters would otherwise be waited for without end.
const LONGEST_GAP: usize = 512;

impl Squeezed {
    /// None where there is nothing to leave out.
    pub(crate) fn of(text: &[u8]) -> Option<Self> {
        let first = first_control(text)?;
        let mut squeezed = Self {
            bytes: text.get(..first).unwrap_or_default().to_vec(),
            gaps: Vec::new(),
            length: text.len(),
        };
        let (mut at, mut gap) = (first, 0);
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let left_out = control(rest);
            gap = if left_out == 0 { 0 } else { gap + left_out };
            if left_out == 0 || gap > LONGEST_GAP {
                let kept = left_out.max(1);
                squeezed
                    .bytes
                    .extend_from_slice(rest.get(..kept).unwrap_or(rest));
                at += kept;
                continue;
            }
            at += left_out;
            let place = squeezed.bytes.len();
            match squeezed.gaps.last_mut().filter(|(last, _)| *last == place) {
                Some((_, after)) => *after = at,
                None => squeezed.gaps.push((place, at)),
            }
        }
        Some(squeezed)
    }

    /// The place in the text of the byte at `place`.
    pub(crate) fn place(&self, place: usize) -> usize {
        if place >= self.bytes.len() {
            return self.length;
        }
        match self.gaps.partition_point(|&(at, _)| at <= place) {
            0 => place,
            count => self
                .gaps
                .get(count - 1)
                .map_or(place, |&(at, after)| after + (place - at)),
        }
    }
}

/// The bytes of the control character at the start of `rest`, or of Unicode's separator of lines or paragraphs; 0 where
/// there is none. A line end stays as it is, since values of several lines are looked for with either one.
pub(crate) fn control(rest: &[u8]) -> usize {
    match rest {
        [b'\t' | b'\n', ..] | [b'\r', b'\n', ..] => 0,
        [..=0x1f | 0x7f, ..] => 1,
        [0xc2, 0x80..=0x9f, ..] => 2,
        [0xe2, 0x80, 0xa8 | 0xa9, ..] => 3,
        _ => 0,
    }
}

/// Returns true if a text has control characters that [`Squeezed`] leaves out.
pub(crate) fn has_control(text: &[u8]) -> bool {
    first_control(text).is_some()
}

/// Returns true if a text has the one character that begins what `ESC [` begins, and that is not seen itself.
pub(crate) fn has_control_introducer(text: &[u8]) -> bool {
    memchr::memchr_iter(0xc2, text).any(|at| text.get(at + 1) == Some(&0x9b))
}

/// The first control character. Text without one is passed over many bytes at a time.
fn first_control(text: &[u8]) -> Option<usize> {
    const AT_A_TIME: usize = 256;
    for (index, part) in text.chunks(AT_A_TIME).enumerate() {
        let suspect = part.iter().fold(false, |suspect, &byte| {
            suspect
                | (byte < 0x20) & (byte != b'\t') & (byte != b'\n')
                | (byte == 0x7f)
                | (byte == 0xc2)
                | (byte == 0xe2)
        });
        if suspect {
            let from = index * AT_A_TIME;
            let found = (from..from + part.len())
                .find(|&at| control(text.get(at..).unwrap_or_default()) > 0);
            if found.is_some() {
                return found;
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{KnownValues, Redactor};

    const KEY: &str = "secret-key-123456";

    fn redactor() -> Redactor {
        let mut known = KnownValues::new();
        known.add("key", KEY);
        Redactor::new(known, Vec::new())
    }

    /// Every character that nobody sees, a few of the large blocks, and what a terminal takes for one.
    fn unseen() -> impl Iterator<Item = String> {
        let large = |c: &char| ('\u{e0080}'..='\u{e0fff}').contains(c);
        ('\0'..=char::MAX)
            .filter(|&c| is_invisible(c))
            .filter(move |c| !large(c) || (*c as u32).is_multiple_of(97))
            .map(String::from)
            .chain(
                [
                    "\u{2028}",
                    "\u{2029}",
                    "\u{9b}0m",
                    "\u{1b}[1;31m",
                    "\0\u{ad}\r\u{1b}[0m\u{7}",
                ]
                .map(String::from),
            )
    }

    #[test]
    fn the_class_is_the_property_of_unicode_and_the_controls() {
        let members = "\0\u{7}\u{8}\u{b}\u{c}\r\u{e}\u{1b}\u{7f}\u{85}\u{9b}\u{ad}\u{34f}\u{61c}\u{115f}\u{180e}\u{200b}\
                       \u{202e}\u{2062}\u{2069}\u{3164}\u{fe0f}\u{feff}\u{ffa0}\u{fff9}\u{fffb}\u{1d173}\u{e0041}\u{e01ef}";
        assert_eq!(members.chars().find(|&c| !is_invisible(c)), None);
        let others = "\t\n a~\u{a0}\u{ac}\u{ae}\u{300}\u{e9}\u{2028}\u{200a}\u{3042}\u{fffc}\u{fffd}\u{1f600}\u{e1000}";
        assert_eq!(others.chars().find(|&c| is_invisible(c)), None);
        // 4,174 of the property in Unicode 16.0, 3 of annotation, 63 controls (65 without tab and line break).
        let all = ('\0'..=char::MAX).filter(|&c| is_invisible(c)).count();
        assert_eq!(all, 4_174 + 3 + 63);
        let begins = |c: char| begins_ignorable(c.to_string().as_bytes()[0]);
        assert!(('\0'..=char::MAX).all(|c| !is_ignorable(c) || begins(c)));
    }

    #[test]
    fn nothing_unseen_between_its_bytes_hides_a_known_value() {
        let redactor = redactor();
        for between in unseen() {
            for torn in [
                format!("{}{between}{}", &KEY[..6], &KEY[6..]),
                KEY.chars().map(|c| format!("{c}{between}")).collect(),
            ] {
                let text = format!("a: {torn} z\n");
                let cut = redactor.text(&text);
                // What stood after its last character may stay.
                let rest = cut.replace(between.as_str(), "");
                assert_eq!(rest, "a: [redacted:key] z\n", "{text:?}");
                for size in 1..5 {
                    let mut stream = redactor.stream();
                    let mut out = String::new();
                    for piece in text.as_bytes().chunks(size) {
                        out.push_str(&stream.push(piece));
                    }
                    out.push_str(&stream.finish());
                    assert_eq!(out, cut.as_str(), "{text:?} in pieces of {size}");
                }
            }
        }
    }

    #[test]
    fn a_value_in_utf_16_of_either_order_goes() {
        let big: Vec<u8> = KEY.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let little: Vec<u8> = KEY.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for bytes in [big, little] {
            let cut = redactor().bytes(&bytes);
            assert_eq!(cut.trim_matches('\0'), "[redacted:key]");
        }
    }

    #[test]
    fn a_value_that_holds_such_characters_itself_goes_with_and_without_them() {
        let mut known = KnownValues::new();
        known.add("key", "pass\u{200d}word\u{7}-99");
        let redactor = Redactor::new(known, Vec::new());
        for text in [
            "pass\u{200d}word\u{7}-99",
            "password-99",
            "pa\0ss\u{200d}word\u{7}-99",
        ] {
            assert_eq!(redactor.text(text), "[redacted:key]", "{text:?}");
        }
    }

    #[test]
    fn what_nobody_sees_stays_where_no_value_is() {
        let text = "nul\0 bell\u{7} crlf\r\n 10%\r20%\r soft\u{ad}hyphen \u{26a0}\u{fe0f} secr\0et \u{a9} \u{85}\n";
        assert_eq!(redactor().text(text), text);
        assert!(Squeezed::of(b"plain\ttext\r\n of lines\n").is_none());
    }

    #[test]
    fn no_flood_of_them_is_waited_for() {
        let redactor = redactor();
        for flood in [
            "\0",
            "\r",
            "\u{85}",
            "\u{e0041}",
            "s\0",
            "secret-key\0",
            "\u{8}",
            "s\u{8}",
            "\u{1b}]",
            "\u{1b}]0;",
            "\u{2028}",
            "\\u0000",
            "\\u0073",
            "\\\\\\",
        ] {
            let mut stream = redactor.stream();
            let (mut pushed, mut out) = (0, 0);
            let piece = format!("secret-{}", flood.repeat(20_000));
            for _ in 0..10 {
                pushed += piece.len();
                out += stream.push(piece.as_bytes()).len();
                assert!(
                    pushed - out <= 2 * crate::MAX_HELD_BACK,
                    "{flood:?}: {}",
                    pushed - out
                );
            }
            assert_eq!(out + stream.finish().len(), pushed, "{flood:?}");
        }
    }
}
