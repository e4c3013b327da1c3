//! The search for the literals that rules hang on.
//!
//! One pass, one table of three-byte hashes, made when the plugin is compiled: an instance starts
//! without any work, where hundreds of regular expressions or an automaton would cost more than all
//! the text of a short job.

use crate::custom::Custom;
use crate::encoded_forms::{FORMS, TOKEN_HEADERS};
use crate::rule::{ENCODED, Family, Judge, NEAR, Reach};
use crate::rules;

/// The part of the program that judges an anchor.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// A rule, which judges plain text.
    Plain(Judge),
    /// The decoder: what is around the anchor is encoded, and its plain text is judged.
    Encoded,
    /// The operator's rule of this index.
    Custom(usize),
}

/// A literal, which the text may have in either case, and what judges it.
#[derive(Clone, Copy)]
pub(crate) struct Anchor<'a> {
    pub(crate) literal: &'a [u8],
    pub(crate) target: Target,
    pub(crate) reach: Reach,
}

/// The most bytes of a literal.
pub(crate) const LONGEST: usize = 64;
/// The most anchors.
const MOST: usize = 4096;
const BITS: u32 = 14;

/// All anchors that the plugin brings along, indexed by the hash of their first three bytes.
struct Builtin {
    all: [Anchor<'static>; MOST],
    count: usize,
    /// By anchor: its first eight bytes and which of them there are.
    keys: [(u64, u64); MOST],
    present: Present,
    /// By hash: the first anchor, plus one; 0 for none.
    heads: [u16; 1 << BITS],
    /// By anchor: the next one with the same hash.
    next: [u16; MOST],
}

impl Builtin {
    const fn add(&mut self, anchor: Anchor<'static>) {
        let length = anchor.literal.len();
        assert!(3 <= length && length <= LONGEST, "3 to 64 bytes");
        self.all[self.count] = anchor;
        self.keys[self.count] = key(anchor.literal);
        let slot = slot(anchor.literal);
        self.present[slot >> 6] |= 1 << (slot & 63);
        self.next[self.count] = self.heads[slot];
        self.count += 1;
        self.heads[slot] = self.count as u16;
    }

    /// Returns true if there is an anchor of encoded text with this literal.
    const fn has_encoded(&self, literal: &[u8]) -> bool {
        let mut i = self.heads[slot(literal)];
        while i != 0 {
            let anchor = &self.all[i as usize - 1];
            if matches!(anchor.target, Target::Encoded)
                && anchor.literal.eq_ignore_ascii_case(literal)
            {
                return true;
            }
            i = self.next[i as usize - 1];
        }
        false
    }
}

#[allow(
    long_running_const_eval,
    reason = "three thousand anchors, once for all instances"
)]
static BUILTIN: Builtin = {
    let mut builtin = Builtin {
        all: [Anchor {
            literal: &[],
            target: Target::Custom(0),
            reach: NEAR,
        }; MOST],
        count: 0,
        keys: [(0, 0); MOST],
        present: [0; 1 << (BITS - 6)],
        heads: [0; 1 << BITS],
        next: [0; MOST],
    };
    let mut file = 0;
    while file < rules::ALL.len() {
        let mut family = 0;
        while family < rules::ALL[file].len() {
            let Family {
                literals,
                judge,
                reach,
            } = rules::ALL[file][family];
            let mut i = 0;
            while i < literals.len() {
                builtin.add(Anchor {
                    literal: literals[i].as_bytes(),
                    target: Target::Plain(judge),
                    reach,
                });
                i += 1;
            }
            family += 1;
        }
        file += 1;
    }
    let mut i = 0;
    while i < TOKEN_HEADERS.len() + FORMS.len() {
        let literal = if i < TOKEN_HEADERS.len() {
            TOKEN_HEADERS[i].as_bytes()
        } else {
            FORMS.get(i - TOKEN_HEADERS.len())
        };
        if !builtin.has_encoded(literal) {
            builtin.add(Anchor {
                literal,
                target: Target::Encoded,
                reach: ENCODED,
            });
        }
        i += 1;
    }
    builtin
};

/// The anchors that the plugin brings along.
pub(crate) fn builtin() -> &'static [Anchor<'static>] {
    &BUILTIN.all[..BUILTIN.count]
}

/// By hash of three bytes: a bit that is set if an anchor begins so.
type Present = [u64; 1 << (BITS - 6)];

#[inline]
const fn hash(three: u32) -> usize {
    ((three & 0x00ff_ffff).wrapping_mul(0x9E37_79B1) >> (32 - BITS)) as usize
}

#[inline]
const fn fold(b: u8) -> u32 {
    (b | 0x20) as u32
}

/// The slot of a literal of at least three bytes.
const fn slot(literal: &[u8]) -> usize {
    hash(fold(literal[0]) << 16 | fold(literal[1]) << 8 | fold(literal[2]))
}

const FOLD: u64 = 0x2020_2020_2020_2020;

/// The first eight bytes, folded, and a mask of those that there are.
const fn key(literal: &[u8]) -> (u64, u64) {
    let mut bytes = [0; 8];
    let mut mask = [0; 8];
    let mut i = 0;
    while i < 8 && i < literal.len() {
        bytes[i] = literal[i] | 0x20;
        mask[i] = 0xff;
        i += 1;
    }
    (u64::from_le_bytes(bytes), u64::from_le_bytes(mask))
}

/// Calls `candidate` for each place at or after `from` where an anchor of `present` may begin, with
/// the hash.
#[inline]
fn sweep(bytes: &[u8], from: usize, present: &Present, mut candidate: impl FnMut(usize, usize)) {
    let Some(tail @ [first, second, rest @ ..]) = bytes.get(from..) else {
        return;
    };
    let mut three = fold(*first) << 8 | fold(*second);
    for (i, (&b, _)) in rest.iter().zip(tail).enumerate() {
        three = three << 8 | fold(b);
        let slot = hash(three);
        if present[slot >> 6] >> (slot & 63) & 1 != 0 {
            candidate(from + i, slot);
        }
    }
}

/// Returns true if `literal` is at `at`, in either case.
fn stands(bytes: &[u8], at: usize, literal: &[u8]) -> bool {
    bytes
        .get(at..at + literal.len())
        .is_some_and(|text| text.eq_ignore_ascii_case(literal))
}

/// Calls `found` for each anchor of the plugin that starts at or after `from`, in order of places.
/// A literal that the text cuts off is not found.
#[inline]
pub(crate) fn find(bytes: &[u8], from: usize, mut found: impl FnMut(usize, &Anchor<'static>)) {
    sweep(bytes, from, &BUILTIN.present, |at, slot| {
        candidates(bytes, at, slot, &mut found);
    });
}

#[inline(never)]
fn candidates(
    bytes: &[u8],
    at: usize,
    slot: usize,
    found: &mut impl FnMut(usize, &Anchor<'static>),
) {
    // Eight bytes at once tell most of those apart that only share a hash.
    let eight = match bytes.get(at..at + 8) {
        Some(eight) => {
            let mut all = [0; 8];
            all.copy_from_slice(eight);
            all
        }
        None => {
            let mut all = [0; 8];
            let rest = &bytes[at..];
            all[..rest.len()].copy_from_slice(rest);
            all
        }
    };
    let eight = u64::from_le_bytes(eight) | FOLD;
    let mut i = BUILTIN.heads[slot];
    while i != 0 {
        let index = usize::from(i) - 1;
        let (key, mask) = BUILTIN.keys[index];
        if (eight ^ key) & mask == 0 && stands(bytes, at, BUILTIN.all[index].literal) {
            found(at, &BUILTIN.all[index]);
        }
        i = BUILTIN.next[index];
    }
}

/// The anchors of the operator's rules.
pub(crate) struct Own {
    literals: Vec<Vec<u8>>,
    present: Box<Present>,
}

impl Own {
    pub(crate) fn new(rules: &[Custom]) -> Self {
        let literals: Vec<Vec<u8>> = rules
            .iter()
            .map(|rule| rule.prefix.to_ascii_lowercase())
            .collect();
        let mut present = Box::new([0; 1 << (BITS - 6)]);
        for slot in literals.iter().map(|literal| slot(literal)) {
            present[slot >> 6] |= 1 << (slot & 63);
        }
        Self { literals, present }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = Anchor<'_>> {
        self.literals
            .iter()
            .enumerate()
            .map(|(index, literal)| Anchor {
                literal,
                target: Target::Custom(index),
                reach: NEAR,
            })
    }

    /// Calls `found` as [`find`] does.
    pub(crate) fn find<'a>(
        &'a self,
        bytes: &[u8],
        from: usize,
        mut found: impl FnMut(usize, &Anchor<'a>),
    ) {
        sweep(bytes, from, &self.present, |at, _| {
            for anchor in self.all().filter(|own| stands(bytes, at, own.literal)) {
                found(at, &anchor);
            }
        });
    }
}
