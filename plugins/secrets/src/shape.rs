//! The composition of a value, and the words in it.

/// The composition of a value.
pub(crate) struct Shape {
    pub(crate) len: usize,
    pub(crate) digits: usize,
    pub(crate) lower: usize,
    pub(crate) upper: usize,
    pub(crate) special: usize,
    pub(crate) distinct: u32,
    pub(crate) hex: bool,
    pub(crate) uuid: bool,
}

impl Shape {
    pub(crate) fn of(value: &[u8]) -> Self {
        let mut shape = Self {
            len: value.len(),
            digits: 0,
            lower: 0,
            upper: 0,
            special: 0,
            distinct: 0,
            hex: !value.is_empty(),
            uuid: false,
        };
        let mut seen = [0u64; 4];
        for &b in value {
            match b {
                b'0'..=b'9' => shape.digits += 1,
                b'a'..=b'z' => shape.lower += 1,
                b'A'..=b'Z' => shape.upper += 1,
                _ => shape.special += 1,
            }
            shape.hex &= b.is_ascii_hexdigit();
            seen[usize::from(b >> 6)] |= 1 << (b & 63);
        }
        shape.distinct = seen.iter().map(|part| part.count_ones()).sum();
        shape.uuid = value.len() == 36
            && value.iter().enumerate().all(|(i, &b)| {
                if matches!(i, 8 | 13 | 18 | 23) {
                    b == b'-'
                } else {
                    b.is_ascii_hexdigit()
                }
            });
        shape
    }

    /// Upper and lower case and several digits: hardly a word, whatever its parts look like.
    pub(crate) fn mixed(&self) -> bool {
        self.digits >= 2 && self.upper >= 1 && self.lower >= 1
    }

    pub(crate) fn letters(&self) -> usize {
        self.lower + self.upper
    }
}

/// The head of a value, which tells what it is: a random value shows it early. Values may be close
/// together, each in the one before.
pub(crate) fn head(value: &[u8]) -> &[u8] {
    &value[..value.len().min(256)]
}

pub(crate) fn has_odd_special(value: &[u8]) -> bool {
    value.iter().any(|b| {
        matches!(
            b,
            b'!' | b'@'
                | b'#'
                | b'$'
                | b'%'
                | b'^'
                | b'&'
                | b'*'
                | b'?'
                | b'+'
                | b'='
                | b'~'
                | b'|'
                | b'{'
                | b'}'
                | b'<'
                | b'>'
        )
    })
}

/// Returns true if the parts read like words, numbers or abbreviations: `my-app-config`,
/// `getUserName`, `rc-2`. Of many parts a few may be odd, as in `bn_mul4x_mont_gather`.
pub(crate) fn wordy(value: &[u8]) -> bool {
    let (mut letters, mut parts, mut odd, mut odd_length) = (0, 0, 0, 0);
    for part in value.split(|b| !b.is_ascii_alphanumeric()) {
        if part.is_empty() {
            continue;
        }
        let digits = part.iter().filter(|b| b.is_ascii_digit()).count();
        letters += part.len() - digits;
        parts += 1;
        let usual = if digits == part.len() {
            digits <= 8
        } else if digits == 0 {
            word_like(part)
        } else {
            words_with_digits(part, digits)
        };
        if !usual {
            odd += 1;
            odd_length += part.len();
            // What is random shows it early.
            if odd_length > 8 || odd == 1 && !is_identifier(value) {
                return false;
            }
        }
    }
    letters > 0 && (odd == 0 || parts >= 4 && odd * 3 <= parts)
}

fn is_identifier(value: &[u8]) -> bool {
    value
        .iter()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/'))
}

/// `utf8`, `2fa`, `SelectedTls12UsingTls13`: some groups of digits among words.
fn words_with_digits(part: &[u8], digits: usize) -> bool {
    let (mut runs, mut groups, mut longest) = (0, 0, 0);
    for run in part.chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()) {
        if run[0].is_ascii_digit() {
            longest = longest.max(run.len());
            groups += 1;
        } else {
            runs += 1;
            if !word_like(run) {
                return false;
            }
        }
    }
    let edge = part[0].is_ascii_digit() || part[part.len() - 1].is_ascii_digit();
    // One group at an edge, or words that are words between them.
    longest <= 5
        && (runs == 1 && edge && digits == longest
            || groups <= 2
                && digits * 5 <= part.len()
                && (part.len() - digits) >= runs * 4
                && part[0].is_ascii_uppercase())
}

/// Returns true if letters look like a word or several words run together in some usual way.
pub(crate) fn word_like(letters: &[u8]) -> bool {
    if letters.len() <= 4 {
        return letters.iter().all(u8::is_ascii_alphabetic);
    }
    // Upper case letters; changes from lower to upper case, and capitals behind capitals; the
    // consonants of now and the most in a row.
    let (mut upper, mut humps, mut drops) = (0, 0, 0);
    let (mut vowels, mut rare, mut run, mut longest) = (0, 0, 0, 0);
    let mut previous = 0;
    for &b in letters {
        if !b.is_ascii_alphabetic() {
            return false;
        }
        if b.is_ascii_uppercase() {
            upper += 1;
            humps += usize::from(previous >= b'a');
            drops += usize::from(previous != 0 && previous < b'a');
        }
        match b | 0x20 {
            b'a' | b'e' | b'i' | b'o' | b'u' | b'y' => {
                vowels += 1;
                run = 0;
            }
            other => {
                rare += usize::from(matches!(other, b'q' | b'x' | b'z' | b'j'));
                run += 1;
                longest = longest.max(run);
                // No word, whatever follows; only a short abbreviation in capitals may be so.
                if run > 4 && letters.len() > 5 {
                    return false;
                }
            }
        }
        previous = b;
    }
    let all_upper = upper == letters.len();
    // Humps of at least two letters on average, as in camelCase.
    if !all_upper && humps + drops > 0 && letters.len() / (humps + drops + 1) < 4 {
        return false;
    }
    if all_upper && letters.len() <= 5 {
        return true;
    }
    vowels * 5 >= letters.len()
        && longest <= 4
        && vowels * 4 <= letters.len() * 3
        && rare <= 1 + letters.len() / 8
}
