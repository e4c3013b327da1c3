//! A text as who looks at it has it: a terminal, which takes sequences for commands and overstrikes what stands before a
//! backspace, and a reader of JSON, for whom `\u0008` is such a character. Known values are looked for in that, too.
//!
//! [`Squeezed`](crate::invisible::Squeezed) only leaves characters out, which is cheap. What is here is made where a text
//! has such characters at all.

use std::borrow::Cow;

use crate::invisible::control;

/// The longest sequence that is left out. A longer one is read as text.
const LONGEST_SEQUENCE: usize = 4_096;

/// The most backslashes before an escape: JSON in JSON doubles them.
const MOST_SLASHES: usize = 4;

/// The length of `u001b`, without the backslashes before it.
const ESCAPE_BY_NUMBER: usize = 5;

const BACKSPACE: u8 = 8;

/// One reading of a text.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) bytes: Vec<u8>,
    /// The place of each byte in the text.
    places: Vec<(usize, usize)>,
    /// What was read as one, sequences and escapes.
    wholes: Vec<(usize, usize)>,
    /// From here on what follows decides how the text is read.
    settled: usize,
}

/// What is left out besides control characters.
#[derive(Debug, Clone, Copy)]
struct Reading {
    sequences: bool,
    overstrikes: bool,
}

/// The readings of a text that may differ from what stands there. `last` is true where nothing follows it.
pub(crate) fn readings(text: &[u8], last: bool) -> Vec<Shown> {
    let mut readings = Vec::new();
    let plain = Reading {
        sequences: false,
        overstrikes: false,
    };
    let terminal = Reading {
        sequences: true,
        ..plain
    };
    let overstruck = Reading {
        overstrikes: true,
        ..terminal
    };
    let mut of = |source: &Source<'_>| {
        let has_backspace = memchr::memchr(BACKSPACE, &source.bytes).is_some();
        let unescaped = source.places.is_some();
        let wanted = [
            (plain, unescaped),
            (terminal, has_sequence(&source.bytes)),
            (overstruck, has_backspace),
        ];
        let wanted = wanted.into_iter().filter(|(_, wanted)| *wanted);
        readings.extend(wanted.map(|(reading, _)| source.shown(reading, last)));
    };
    of(&Source::of(text));
    if has_escape(text, last) {
        of(&Source::unescaped(text, last));
    }
    readings
}

impl Shown {
    /// The place in the text of the byte at `at`; of the end, the place from which on nothing is decided.
    pub(crate) fn begin(&self, at: usize) -> usize {
        self.places.get(at).map_or(self.settled, |place| place.0)
    }

    /// The place in the text after the byte before `at`.
    pub(crate) fn end(&self, at: usize) -> usize {
        let before = at.checked_sub(1).and_then(|at| self.places.get(at));
        before.map_or(self.settled, |place| place.1)
    }

    /// A place of the text, or where what is read as one with it begins: the rest of a sequence would be read as text.
    pub(crate) fn before_whole(&self, place: usize) -> usize {
        let within = |(from, to): &&(usize, usize)| *from < place && place < *to;
        let whole = self.wholes.iter().find(within);
        whole.map_or(place, |whole| whole.0)
    }

    fn push(&mut self, character: Character) {
        self.bytes.extend(character.bytes);
        self.places.extend(character.places);
    }

    /// Takes the last character away, unless that is the end of a line.
    fn pop(&mut self) -> Option<Character> {
        let kept = without_last(&self.bytes)?.len();
        Some(Character {
            bytes: self.bytes.split_off(kept),
            places: self.places.split_off(kept),
        })
    }
}

struct Character {
    bytes: Vec<u8>,
    places: Vec<(usize, usize)>,
}

/// A text without its last character, which a backspace may take away; none where it is the end of a line, or empty.
pub(crate) fn without_last(text: &[u8]) -> Option<&[u8]> {
    if matches!(text, [] | [.., b'\n']) {
        return None;
    }
    let is_begin = |byte: &u8| !matches!(byte, 0x80..=0xbf);
    let from = text.len().saturating_sub(4);
    let begin = text.get(from..)?.iter().rposition(is_begin);
    text.get(..begin.map_or(text.len() - 1, |begin| from + begin))
}

/// A text before a terminal reads it.
struct Source<'t> {
    bytes: Cow<'t, [u8]>,
    /// The place of each byte, where that is not its own.
    places: Option<Vec<(usize, usize)>>,
    wholes: Vec<(usize, usize)>,
    settled: usize,
}

impl<'t> Source<'t> {
    fn of(text: &'t [u8]) -> Self {
        Self {
            bytes: Cow::Borrowed(text),
            places: None,
            wholes: Vec::new(),
            settled: text.len(),
        }
    }

    /// With the characters that escapes are written for.
    fn unescaped(text: &[u8], last: bool) -> Self {
        let (mut bytes, mut places, mut wholes) = (Vec::new(), Vec::new(), Vec::new());
        let (mut at, mut settled) = (0, text.len());
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let kept = match escape(rest, last) {
                Escape::Character(character, length) => {
                    let mut encoded = [0; 4];
                    let encoded = character.encode_utf8(&mut encoded).as_bytes();
                    bytes.extend_from_slice(encoded);
                    places.extend(encoded.iter().map(|_| (at, at + length)));
                    wholes.push((at, at + length));
                    at += length;
                    // What ends a string is an escape and a backslash, which is written with as many again.
                    let slashes = 2 * length.saturating_sub(ESCAPE_BY_NUMBER);
                    let after = text.get(at..at + slashes);
                    if character == '\u{1b}'
                        && after.is_some_and(|after| after.iter().all(|byte| *byte == b'\\'))
                    {
                        bytes.push(b'\\');
                        places.push((at, at + slashes));
                        wholes.push((at, at + slashes));
                        at += slashes;
                    }
                    continue;
                }
                Escape::Unfinished => {
                    settled = at;
                    break;
                }
                Escape::None(length) => length,
            };
            let kept = rest.get(..kept).unwrap_or(rest);
            bytes.extend_from_slice(kept);
            places.extend((at..at + kept.len()).map(|at| (at, at + 1)));
            at += kept.len();
        }
        Self {
            bytes: Cow::Owned(bytes),
            places: Some(places),
            wholes,
            settled,
        }
    }

    fn place(&self, at: usize) -> (usize, usize) {
        match &self.places {
            None => (at, at + 1),
            Some(places) => {
                let end = (self.settled, self.settled);
                places.get(at).copied().unwrap_or(end)
            }
        }
    }

    fn shown(&self, reading: Reading, last: bool) -> Shown {
        let mut shown = Shown {
            bytes: Vec::with_capacity(self.bytes.len()),
            places: Vec::with_capacity(self.bytes.len()),
            wholes: self.wholes.clone(),
            settled: self.settled,
        };
        let mut at = 0;
        // What a backspace took away and nothing has taken the place of.
        let mut under: Option<Character> = None;
        while let Some(rest) = self.bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match sequence(rest, last) {
                _ if !reading.sequences => {}
                Sequence::Whole(length) => {
                    let whole = (self.place(at).0, self.place(at + length - 1).1);
                    shown.wholes.push(whole);
                    at += length;
                    continue;
                }
                Sequence::Unfinished => {
                    shown.settled = self.place(at).0;
                    break;
                }
                Sequence::None => {}
            }
            let left_out = control(rest);
            if left_out > 0 {
                if reading.overstrikes && rest.first() == Some(&BACKSPACE) && under.is_none() {
                    under = shown.pop();
                }
                at += left_out;
                continue;
            }
            let bytes = rest.get(..length_of_character(rest)).unwrap_or(rest);
            let length = bytes.len();
            // An underlined character is printed after, or before, the line beneath it; a bold one twice.
            match under.take() {
                Some(first) if bytes == b"_" || first.bytes == bytes => shown.push(first),
                _ => {
                    shown.bytes.extend_from_slice(bytes);
                    let places = (at..at + length).map(|at| self.place(at));
                    shown.places.extend(places);
                }
            }
            at += length;
        }
        shown
    }
}

fn length_of_character(rest: &[u8]) -> usize {
    let length = match rest.first() {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => 1,
    };
    let whole = |length: &usize| {
        let continued = rest.get(1..*length);
        continued.is_some_and(|rest| rest.iter().all(|byte| matches!(byte, 0x80..=0xbf)))
    };
    Some(length).filter(whole).unwrap_or(1)
}

enum Sequence {
    Whole(usize),
    None,
    Unfinished,
}

/// Returns true if a text may have sequences of a terminal.
fn has_sequence(text: &[u8]) -> bool {
    let begins = |at: usize| {
        let next = text.get(at + 1);
        next.is_some_and(|next| matches!(next, 0x90 | 0x98 | 0x9b | 0x9d..=0x9f))
    };
    memchr::memchr(0x1b, text).is_some() || memchr::memchr_iter(0xc2, text).any(begins)
}

/// Judges what stands at the start of `rest` by ECMA-48: a control sequence, a string (a title, a link), or an escape with
/// the character that it is about.
fn sequence(rest: &[u8], last: bool) -> Sequence {
    let kind = match rest {
        [0x1b] if !last => return Sequence::Unfinished,
        [0x1b, kind, ..] => *kind,
        // The same in one character.
        [0xc2, kind @ 0x80..=0x9f, ..] => kind - 0x40,
        _ => return Sequence::None,
    };
    let body = rest.get(2..).unwrap_or_default();
    let body = body.get(..LONGEST_SEQUENCE).unwrap_or(body);
    let length = match kind {
        b'[' => {
            let parameters = |byte: &u8| matches!(byte, 0x20..=0x3f);
            final_of(body, parameters, 0x40)
        }
        b']' | b'P' | b'X' | b'^' | b'_' => end_of_string(body),
        0x20..=0x2f => final_of(body, |byte| matches!(byte, 0x20..=0x2f), 0x30),
        0x30..=0x7e => Some(Some(0)),
        _ => Some(None),
    };
    match length {
        Some(Some(length)) => Sequence::Whole(2 + length),
        Some(None) => Sequence::None,
        None if last || body.len() >= LONGEST_SEQUENCE => Sequence::None,
        None => Sequence::Unfinished,
    }
}

/// The length up to the final character; none where it has not come, or another one stands there.
fn final_of(body: &[u8], before: impl Fn(&u8) -> bool, least: u8) -> Option<Option<usize>> {
    let at = body.iter().position(|byte| !before(byte))?;
    let ends = body
        .get(at)
        .is_some_and(|byte| (least..=0x7e).contains(byte));
    Some(ends.then_some(at + 1))
}

/// The length of a string with what ends it: BEL, ST, or the escape that begins another sequence.
fn end_of_string(body: &[u8]) -> Option<Option<usize>> {
    for at in memchr::memchr3_iter(0x07, 0x1b, 0xc2, body) {
        let length = match body.get(at..).unwrap_or_default() {
            [0x07, ..] => at + 1,
            [0x1b, b'\\', ..] | [0xc2, 0x9c, ..] => at + 2,
            [0x1b] => return None,
            [0x1b, ..] => at,
            _ => continue,
        };
        return Some(Some(length));
    }
    None
}

enum Escape {
    Character(char, usize),
    /// So many bytes are what they are.
    None(usize),
    Unfinished,
}

/// Returns true if a text has escapes of characters that are not seen, or of any by their numbers, or may end within one.
fn has_escape(text: &[u8], last: bool) -> bool {
    let mut rest = text;
    while let Some(from) = memchr::memchr(b'\\', rest).and_then(|at| rest.get(at..)) {
        match escape(from, last) {
            // A run of backslashes is judged as one.
            Escape::None(length) => rest = from.get(length..).unwrap_or_default(),
            Escape::Character(..) | Escape::Unfinished => return true,
        }
    }
    false
}

/// Judges the escape at the start of `rest`. Line ends and tabs stay as they are written: values are looked for so, too.
fn escape(rest: &[u8], last: bool) -> Escape {
    let slashes = |rest: &[u8]| rest.iter().take_while(|byte| **byte == b'\\').count();
    let before = slashes(rest);
    if before == 0 {
        return Escape::None(memchr::memchr(b'\\', rest).unwrap_or(rest.len()));
    }
    if before > MOST_SLASHES {
        return Escape::None(before);
    }
    let unfinished = match last {
        true => Escape::None(rest.len()),
        false => Escape::Unfinished,
    };
    let after = rest.get(before..).unwrap_or_default();
    match after {
        [] => unfinished,
        [b'b', ..] => Escape::Character('\u{8}', before + 1),
        [b'f', ..] => Escape::Character('\u{c}', before + 1),
        [b'r', after @ ..] => match after.get(slashes(after)) {
            None if after.len() <= MOST_SLASHES && !last => unfinished,
            Some(b'n') if slashes(after) > 0 => Escape::None(before + 1),
            _ => Escape::Character('\r', before + 1),
        },
        [b'u', after @ ..] => {
            let digits = after.get(..4).unwrap_or(after);
            if !digits.iter().all(u8::is_ascii_hexdigit) {
                return Escape::None(before + 1);
            }
            let number = std::str::from_utf8(digits).ok();
            let number = number.and_then(|digits| u32::from_str_radix(digits, 16).ok());
            match number.and_then(char::from_u32) {
                _ if digits.len() < 4 => unfinished,
                Some('\t' | '\n') | None => Escape::None(before + 1),
                Some(character) => Escape::Character(character, before + ESCAPE_BY_NUMBER),
            }
        }
        _ => Escape::None(before),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::{KnownValues, Redactor};

    const KEY: &str = "secret-key-123456";

    fn redactor() -> Redactor {
        let mut known = KnownValues::new();
        known.add("key", KEY);
        Redactor::new(known, Vec::new())
    }

    /// The same, however the text was cut. The line in front of it is long enough for a look within a line.
    fn cut(text: &str) -> String {
        let redactor = redactor();
        let cut = redactor.text(text).into_string();
        for size in 1..9 {
            let mut stream = redactor.stream();
            let mut out = String::new();
            for piece in text.as_bytes().chunks(size) {
                out.push_str(&stream.push(piece));
            }
            out.push_str(&stream.finish());
            assert_eq!(out, cut, "{text:?} in pieces of {size}");
        }
        let beside = "x".repeat(600);
        let step = text.len() / 64 + 1;
        for at in (0..text.len()).step_by(step) {
            let mut stream = redactor.stream();
            let (first, rest) = text.as_bytes().split_at(at);
            let first = stream.push(&[beside.as_bytes(), first].concat());
            let mut out = first.into_string();
            out.push_str(&stream.push(&[rest, beside.as_bytes()].concat()));
            out.push_str(&stream.finish());
            assert_eq!(
                out,
                format!("{beside}{cut}{beside}"),
                "{text:?} cut at {at}"
            );
        }
        cut
    }

    fn each(between: &str) -> String {
        KEY.chars().map(|c| format!("{c}{between}")).collect()
    }

    /// What a terminal takes for a command.
    const SEQUENCES: [&str; 12] = [
        "\u{1b}]0;a title\u{7}",
        "\u{1b}]8;;https://x.example/y\u{1b}\\",
        "\u{1b}]2;t\u{9c}",
        "\u{9d}0;t\u{7}",
        "\u{1b}Pq#1\u{1b}\\",
        "\u{90}q\u{9c}",
        "\u{1b}_note\u{1b}\\",
        "\u{1b}^note\u{9c}",
        "\u{1b}(B",
        "\u{1b}#8",
        "\u{1b}7",
        "\u{1b}(B\u{1b}[m\u{1b}]0;t\u{7}\0",
    ];

    #[test]
    fn no_sequence_of_a_terminal_hides_a_known_value() {
        for between in SEQUENCES {
            let once = format!("{}{between}{}", &KEY[..6], &KEY[6..]);
            assert_eq!(cut(&format!("a: {once} z\n")), "a: [redacted:key] z\n");
            let all = cut(&format!("a: {} z\n", each(between)));
            let wanted = format!("a: [redacted:key]{between} z\n");
            assert_eq!(all.replace(between, ""), wanted.replace(between, ""));
        }
    }

    #[test]
    fn no_overstrike_hides_a_known_value() {
        let bold: String = KEY.chars().map(|c| format!("{c}\u{8}{c}")).collect();
        let line: String = KEY.chars().map(|c| format!("_\u{8}{c}")).collect();
        let after: String = KEY.chars().map(|c| format!("{c}\u{8}_")).collect();
        let wrong: String = KEY.chars().map(|c| format!("ж\u{8}{c}")).collect();
        let both: String = KEY.chars().map(|c| format!("_\u{8}{c}\u{8}{c}")).collect();
        let once = "secrX\u{8}et-key-123456".to_owned();
        for torn in [bold, line, after, wrong, both, once] {
            let cut = cut(&format!("a: {torn} z\n"));
            assert!(cut.contains("[redacted:key]"), "{torn:?}: {cut:?}");
            // The first and the last may have a part before and after them.
            assert!(
                cut.len() <= "a: _.[redacted:key].6 z\n".len() + 1,
                "{cut:?}"
            );
        }
    }

    #[test]
    fn nor_does_json_that_says_it() {
        let lines = [
            "\u{2028}", "\u{2029}", "\u{8}", "\r", "\0", "\u{c}", "\u{1b}",
        ];
        for between in SEQUENCES.into_iter().chain(lines) {
            let json = serde_json::to_string(&format!("a: {} z", each(between))).unwrap();
            let again = serde_json::to_string(&json).unwrap();
            let ascii = json
                .replace('\u{2028}', "\\u2028")
                .replace('\u{2029}', "\\u2029");
            for text in [json, again, ascii] {
                let cut = cut(&text);
                assert!(cut.contains("a: [redacted:key]"), "{text:?}: {cut:?}");
                let rest = cut.replace("[redacted:key]", "");
                assert!(!rest.contains('k'), "{text:?}: {cut:?}");
            }
        }
        let spelt: String = KEY
            .chars()
            .map(|c| format!("\\u{:04x}", c as u32))
            .collect();
        assert_eq!(cut(&format!("\"{spelt}\"")), "\"[redacted:key]\"");
    }

    #[test]
    fn ordinary_text_with_such_characters_stays() {
        for text in [
            "\u{1b}]0;title\u{7}prompt$ ls\n",
            "N\u{8}NA\u{8}AM\u{8}ME\u{8}E\n",
            r#"{"a":"\u0041\b\u2028","re":"\\bsecret\\b","path":"C:\\users\\b"}"#,
            "secret\u{8}\u{8} and \u{1b}]never ended\n secret-key",
            "\\u12 \\uzzzz \\",
            "\u{1b}",
        ] {
            assert_eq!(cut(text), text);
        }
    }
}
