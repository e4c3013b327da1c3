//! Secrets inside base64 and hexadecimal text, with bounds.

use crate::anchors::{self, Target};
use crate::class::{Class, base64, hex};
use crate::codec::{decode, fit_to_print, printable, unhex};
use crate::memory::Memory;
use crate::rule::Out;
use crate::text::Text;

/// The most bytes back to the beginning of a run.
const LONGEST: usize = 1024;

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

/// The characters before and behind an anchor that decide about it.
const BEFORE: usize = 512;
const BEHIND: usize = 1024;
/// The plain text that a rule sees before and behind an anchor in it.
const PLAIN_BEFORE: usize = 256;
const PLAIN_BEHIND: usize = 1020;

/// The characters that are decoded ahead; whole groups of either notation.
const MORE: usize = 1536;

/// The text decoded last, and the secrets found in it: anchors may be close together in one long
/// run, which is decoded and judged once.
#[derive(Default)]
pub(crate) struct Decoded {
    /// By the place where groups begin, modulo their length.
    base64: [Stretch; 4],
    hex: [Stretch; 2],
    /// The lines that were put together last, and those of them that go.
    lines: Option<((usize, usize), Vec<(usize, usize)>)>,
}

impl Decoded {
    /// Decodes the text around the anchor; hides the run if its plain text holds a secret.
    pub(crate) fn judge(&mut self, text: &Text<'_>, at: usize, len: usize, out: &mut Out) {
        let hexadecimal = text.slice(at, at + len).iter().all(|&b| hex(b)) && len.is_multiple_of(2);
        if hexadecimal {
            let start = text.run_back_of(at, LONGEST, Class::Hex);
            let end = text.run_of(at, usize::MAX, Class::Hex);
            // Hashes are this long; nothing telling is shorter.
            if end - start >= 24
                && (at - start).is_multiple_of(2)
                && self.holds_secret(text, Notation::Hex, start, at, end)
            {
                out.hit(start, end, "hex-encoded-secret");
            }
        }
        // Padding ends a run; the text before it is a name.
        let start = text.run_back_of(at, LONGEST, Class::Body64);
        let end = text.run_of(at + len, usize::MAX, Class::Both64);
        if end - start < 20 {
            return;
        }
        if self.wrapped(text, start, end, out) {
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
            if start <= at
                && end - start >= 16
                && self.holds_secret(text, Notation::Base64, start, at, end)
            {
                out.hit(start, end, "base64-encoded-secret");
                return;
            }
        }
    }

    /// Returns true if the text encoded in the run from `start` to `end` holds a secret near `at`.
    fn holds_secret(
        &mut self,
        text: &Text<'_>,
        notation: Notation,
        start: usize,
        at: usize,
        end: usize,
    ) -> bool {
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
        let stretch = match notation {
            Notation::Base64 => &mut self.base64[start % 4],
            Notation::Hex => &mut self.hex[start % 2],
        };
        stretch.cover(notation, text, before, behind.min(end), end);
        let plain = |i: usize| (i - stretch.from) * bytes / characters;
        let (from, to) = (plain(from), plain(to));
        stretch.holds_secret(from, to)
    }

    /// Joins lines as mail and `base64` wrap them, and hides those that hold a secret.
    fn wrapped(&mut self, text: &Text<'_>, start: usize, end: usize, out: &mut Out) -> bool {
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
        if let Some((known, hidden)) = &self.lines
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
        self.lines = Some((key, hidden));
        any
    }
}

/// A stretch of a run in plain text.
#[derive(Default)]
struct Stretch {
    /// The first byte in the text and the one after the last.
    from: usize,
    to: usize,
    plain: Vec<u8>,
    /// By byte of `plain`: the number of printable bytes before it.
    printable: Vec<u32>,
    /// The place in `plain` up to which anchors have been judged.
    judged: usize,
    /// Anchors in `plain` that are secrets.
    secrets: Vec<usize>,
    /// The memory of the pass over `plain`.
    memory: Option<Box<Memory>>,
}

impl Stretch {
    /// Decodes on, so that all from `from` to `to` is there, and some more of a run that goes on to
    /// `end`; `from` and `to` are whole groups away from where groups begin, but for the end of a
    /// run.
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

    /// Returns true if there is a secret whose anchor is between `from` and `to`, in printable
    /// text.
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
                if at < to
                    && secrets.last() != Some(&at)
                    && let Target::Plain(judge) = anchor.target
                {
                    let mut out = Out::default();
                    let text = Text::around(plain, at, PLAIN_BEFORE, PLAIN_BEHIND, true, memory);
                    judge.judge(&text, at, anchor.literal.len(), &mut out);
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
        if let Target::Plain(judge) = anchor.target {
            let text = Text::around(plain, at, PLAIN_BEFORE, PLAIN_BEHIND, true, &memory);
            judge.judge(&text, at, anchor.literal.len(), &mut out);
        }
    });
    out.ranges()
        .map(|(start, end)| (start, end.min(plain.len())))
        .collect()
}

fn hide(lines: &[(usize, usize)], out: &mut Out) {
    for &(start, end) in lines {
        out.hit(start, end, "base64-encoded-secret");
    }
}
