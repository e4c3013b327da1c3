//! Text that is hidden from scanners: colour codes and invisible characters, which would tear a
//! secret apart.
//!
//! The stripper turns a raw stream into a *seen* stream plus the pieces that were taken out, each with its place. The
//! pieces come back when the text is put out, except those inside a secret.

use std::collections::VecDeque;

/// A piece taken out of the raw stream.
#[derive(Debug)]
pub(super) struct Removed {
    /// Offset in the seen stream of the byte that follows the piece.
    pub(super) at: u64,
    pub(super) bytes: Vec<u8>,
}

/// Splits a raw stream, whatever its chunks, into seen bytes and removed pieces.
#[derive(Debug, Default)]
pub(super) struct Stripper {
    /// An unfinished sequence from the end of the last chunk; at most [`LONGEST`] bytes.
    carry: Vec<u8>,
    /// Bytes taken out since the last seen byte that was no part of a sequence.
    run: usize,
}

/// The most bytes that are taken out at one place. What follows them without an ordinary byte in between is seen: nothing
/// but sequences would otherwise never be decided, and held back without end.
const LONGEST_RUN: usize = 512;

/// The longest sequence that is taken out.
const LONGEST: usize = 40;

enum Found {
    Remove(usize),
    Nothing,
    Unfinished,
}

impl Stripper {
    /// Takes the next chunk; appends to `seen`, whose first byte has the offset `base` in the seen stream.
    pub(super) fn feed(
        &mut self,
        chunk: &[u8],
        last: bool,
        base: u64,
        seen: &mut Vec<u8>,
        removed: &mut VecDeque<Removed>,
    ) {
        if self.carry.is_empty() {
            self.split(chunk, last, base, seen, removed);
        } else {
            let mut joined = std::mem::take(&mut self.carry);
            joined.extend_from_slice(chunk);
            self.split(&joined, last, base, seen, removed);
        }
    }

    fn split(
        &mut self,
        bytes: &[u8],
        last: bool,
        base: u64,
        seen: &mut Vec<u8>,
        removed: &mut VecDeque<Removed>,
    ) {
        let mut kept = 0;
        let mut at = 0;
        while let Some(step) = bytes
            .get(at..)
            .and_then(|rest| memchr::memchr3(0x1b, b'\\', 0xe2, rest))
        {
            at += step;
            if step > 0 {
                self.run = 0;
            }
            match sequence(&bytes[at..], last) {
                Found::Remove(length) => {
                    self.run += length;
                    if self.run > LONGEST_RUN {
                        at += length;
                        continue;
                    }
                    seen.extend_from_slice(&bytes[kept..at]);
                    take_out(removed, base + seen.len() as u64, &bytes[at..at + length]);
                    at += length;
                    kept = at;
                }
                Found::Nothing => {
                    // A run of backslashes is judged as one, from its first.
                    let run = bytes[at..]
                        .iter()
                        .take_while(|&&byte| byte == b'\\')
                        .count();
                    at += run.max(1);
                    self.run = 0;
                }
                Found::Unfinished => {
                    seen.extend_from_slice(&bytes[kept..at]);
                    self.carry.extend_from_slice(&bytes[at..]);
                    return;
                }
            }
        }
        if at < bytes.len() {
            self.run = 0;
        }
        seen.extend_from_slice(&bytes[kept..]);
    }
}

/// Takes text out; text at one place is one piece.
fn take_out(removed: &mut VecDeque<Removed>, at: u64, bytes: &[u8]) {
    match removed.back_mut().filter(|piece| piece.at == at) {
        Some(piece) => piece.bytes.extend_from_slice(bytes),
        None => removed.push_back(Removed {
            at,
            bytes: bytes.to_vec(),
        }),
    }
}

/// Judges the sequence at the start of `bytes`.
fn sequence(bytes: &[u8], last: bool) -> Found {
    let found = match bytes {
        [0x1b, rest @ ..] => control(rest, 1),
        [b'\\', ..] => escaped_control(bytes),
        [0xe2, rest @ ..] => invisible(rest),
        _ => Found::Nothing,
    };
    match found {
        Found::Unfinished if last || bytes.len() >= LONGEST => Found::Nothing,
        other => other,
    }
}

/// `[` parameters final byte, after the escape character.
fn control(rest: &[u8], before: usize) -> Found {
    match rest.first() {
        None => return Found::Unfinished,
        Some(b'[') => {}
        Some(_) => return Found::Nothing,
    }
    for (index, &byte) in rest.iter().enumerate().skip(1) {
        match byte {
            0x20..=0x3f => {}
            0x40..=0x7e => return Found::Remove(before + index + 1),
            _ => return Found::Nothing,
        }
        if before + index + 1 >= LONGEST {
            return Found::Nothing;
        }
    }
    Found::Unfinished
}

/// The same, written out in a string literal: `\u001b[2m`, `\x1b[2m`, `\033[2m`, `\e[2m`, also with doubled backslashes.
fn escaped_control(bytes: &[u8]) -> Found {
    let slashes = bytes.iter().take_while(|&&byte| byte == b'\\').count();
    if slashes > 4 {
        return Found::Nothing;
    }
    let rest = &bytes[slashes..];
    if rest.is_empty() {
        return Found::Unfinished;
    }
    for form in ["u001b", "x1b", "033", "e"] {
        let length = form.len().min(rest.len());
        if !rest[..length].eq_ignore_ascii_case(&form.as_bytes()[..length]) {
            continue;
        }
        if length < form.len() {
            return Found::Unfinished;
        }
        let found = control(&rest[length..], slashes + length);
        // Only colours: `\e[` begins too much else.
        if let Found::Remove(total) = found {
            return match bytes.get(total - 1) {
                Some(b'm' | b'K') => found,
                _ => Found::Nothing,
            };
        }
        return found;
    }
    Found::Nothing
}

/// Zero-width and direction characters: U+200B to U+200F, U+202A to U+202E, U+2060, U+2066 to U+2069.
fn invisible(rest: &[u8]) -> Found {
    match rest {
        [] => Found::Unfinished,
        [0x80 | 0x81] => Found::Unfinished,
        [0x80, 0x8b..=0x8f | 0xaa..=0xae, ..] | [0x81, 0xa0 | 0xa6..=0xa9, ..] => Found::Remove(3),
        _ => Found::Nothing,
    }
}
