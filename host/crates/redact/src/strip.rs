//! Text that is hidden from scanners: colour codes and characters without a shape, which would tear
//! a secret apart.
//!
//! The stripper turns a raw stream into a *seen* stream plus the pieces that were taken out, each with its place. The
//! pieces come back when the text is put out, except those inside a secret.

use std::collections::VecDeque;

use crate::invisible::{Lead, begins_ignorable, lead};

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
        let ascii = bytes.is_ascii();
        let mut kept = 0;
        let mut at = 0;
        while let Some(step) = bytes.get(at..).and_then(|rest| next_suspect(rest, ascii)) {
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

/// The next byte that may begin what is taken out.
fn next_suspect(bytes: &[u8], ascii: bool) -> Option<usize> {
    if ascii {
        return memchr::memchr2(0x1b, b'\\', bytes);
    }
    bytes
        .iter()
        .position(|&byte| matches!(byte, 0x1b | b'\\') || begins_ignorable(byte))
}

/// Judges the sequence at the start of `bytes`.
fn sequence(bytes: &[u8], last: bool) -> Found {
    let found = match bytes {
        [0x1b, b'[', rest @ ..] => control(rest, 2),
        [0x1b] => Found::Unfinished,
        // The same in one character.
        [0xc2, 0x9b, rest @ ..] => control(rest, 2),
        [b'\\', ..] => escaped_control(bytes),
        [first, ..] if begins_ignorable(*first) => match lead(bytes) {
            Lead::Ignorable(length) => Found::Remove(length),
            Lead::Other => Found::Nothing,
            Lead::Unfinished => Found::Unfinished,
        },
        _ => Found::Nothing,
    };
    match found {
        Found::Unfinished if last || bytes.len() >= LONGEST => Found::Nothing,
        other => other,
    }
}

/// Parameters and final byte, after the `before` bytes that begin a sequence.
fn control(rest: &[u8], before: usize) -> Found {
    for (index, &byte) in rest.iter().enumerate() {
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
        let found = match rest.get(length) {
            None => return Found::Unfinished,
            Some(b'[') => control(&rest[length + 1..], slashes + length + 1),
            Some(_) => return Found::Nothing,
        };
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
