//! Lists of words, indexed when the plugin is compiled: each name and value is looked up in several
//! of them, and an instance starts without any work.

/// The row or column of a byte: letters of either case share one.
const fn letter(b: u8) -> usize {
    (b & 31) as usize
}

/// Whole words.
pub(crate) struct Words {
    list: &'static [&'static str],
    /// By first letter: which lengths there are.
    lengths: [u32; 32],
}

impl Words {
    /// Words of at most 31 bytes, in lower case.
    pub(crate) const fn new(list: &'static [&'static str]) -> Self {
        let mut lengths = [0; 32];
        let mut i = 0;
        while i < list.len() {
            let word = list[i].as_bytes();
            assert!(!word.is_empty() && word.len() < 32, "1 to 31 bytes");
            lengths[letter(word[0])] |= 1 << word.len();
            i += 1;
        }
        Self { list, lengths }
    }

    /// Returns true if `word` is one of them, in either case.
    #[inline]
    pub(crate) fn has(&self, word: &[u8]) -> bool {
        let Some(&first) = word.first() else {
            return false;
        };
        word.len() < 32
            && self.lengths[letter(first)] >> word.len() & 1 != 0
            && self
                .list
                .iter()
                .any(|entry| word.eq_ignore_ascii_case(entry.as_bytes()))
    }
}

/// Beginnings of words.
pub(crate) struct Heads<const N: usize> {
    /// By first letter.
    sorted: [&'static str; N],
    /// By first letter: where its entries begin in `sorted`.
    starts: [u8; 33],
    /// By first letter: which second letters there are.
    seconds: [u32; 32],
}

impl<const N: usize> Heads<N> {
    /// Beginnings of at least two bytes, in lower case.
    pub(crate) const fn new(list: [&'static str; N]) -> Self {
        assert!(N < 256, "at most 255");
        let mut heads = Self {
            sorted: [""; N],
            starts: [0; 33],
            seconds: [0; 32],
        };
        let mut count = 0;
        let mut first = 0;
        while first < 32 {
            heads.starts[first] = count as u8;
            let mut i = 0;
            while i < N {
                let entry = list[i].as_bytes();
                assert!(entry.len() >= 2, "at least two bytes");
                if letter(entry[0]) == first {
                    heads.sorted[count] = list[i];
                    heads.seconds[first] |= 1 << letter(entry[1]);
                    count += 1;
                }
                i += 1;
            }
            first += 1;
        }
        heads.starts[32] = count as u8;
        heads
    }

    /// The entries with which `text` begins, in either case.
    #[inline]
    pub(crate) fn of<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = &'static [u8]> + 'a {
        let range = match text {
            [first, second, ..] if self.seconds[letter(*first)] >> letter(*second) & 1 != 0 => {
                usize::from(self.starts[letter(*first)])
                    ..usize::from(self.starts[letter(*first) + 1])
            }
            _ => 0..0,
        };
        self.sorted[range]
            .iter()
            .map(|entry| entry.as_bytes())
            .filter(|entry| {
                text.get(..entry.len())
                    .is_some_and(|head| head.eq_ignore_ascii_case(entry))
            })
    }

    /// Returns true if `text` begins with one of them.
    #[inline]
    pub(crate) fn begins(&self, text: &[u8]) -> bool {
        self.of(text).next().is_some()
    }

    /// Returns true if one of them is anywhere in `text`.
    pub(crate) fn within(&self, text: &[u8]) -> bool {
        (0..text.len()).any(|at| self.begins(&text[at..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_find_what_they_hold_in_either_case_and_nothing_else() {
        static WORDS: Words = Words::new(&["key", "token", "b64"]);
        for word in ["key", "KEY", "Token", "b64"] {
            assert!(WORDS.has(word.as_bytes()), "{word}");
        }
        for word in [
            "",
            "ke",
            "keys",
            "tokem",
            "B65",
            "a word that is longer than any of the list",
        ] {
            assert!(!WORDS.has(word.as_bytes()), "{word}");
        }
        static HEADS: Heads<4> = Heads::new(["secret", "se-", "op://", "\u{2026}"]);
        for (text, begins) in [
            ("secrets", true),
            ("SE-1", true),
            ("op://x", true),
            ("\u{2026}", true),
            ("s", false),
            ("secre", false),
            ("", false),
            ("xsecret", false),
        ] {
            assert_eq!(HEADS.begins(text.as_bytes()), begins, "{text}");
        }
        assert!(HEADS.within(b"the SECRET"));
        assert!(!HEADS.within(b"the secre"));
    }
}
