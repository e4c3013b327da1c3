//! The streaming core.

use std::collections::VecDeque;
use std::ops::Range;

use super::invisible::{has_control, has_control_introducer};
use super::label::{WITHHELD, clean_label};
use super::redacted::Redacted;
use super::redactor::Redactor;
use super::scanner::{ScanError, ScanNeeds, Scanner, Verdicts, Window};
use super::slot::Slot;
use super::strip::{Removed, Stripper};

impl Redactor {
    /// Redacts a whole text.
    pub fn text(&self, text: &str) -> Redacted {
        self.bytes(text.as_bytes())
    }

    /// Redacts whole bytes; what is not UTF-8 comes out as U+FFFD, after redaction.
    pub fn bytes(&self, bytes: &[u8]) -> Redacted {
        let mut stream = self.stream();
        let mut out = stream.push(bytes);
        out.push(&stream.finish());
        out
    }

    /// Starts a stream. Feed it with [`RedactStream::push`] and end it with [`RedactStream::finish`].
    pub fn stream(&self) -> RedactStream {
        RedactStream::new(self)
    }

    /// The ranges of `bytes` that are to go, with their labels, sorted and without overlap.
    pub(crate) fn ranges(&self, bytes: &[u8]) -> Vec<(std::ops::Range<usize>, String)> {
        let mut core = Core::new(self);
        let mut found: Vec<(std::ops::Range<usize>, String)> = Vec::new();
        let mut offset = 0;
        let mut note = |piece: Piece<'_>| match piece {
            Piece::Keep(kept) => offset += kept.len(),
            Piece::Mark(label) => found.push((offset..offset, label.to_owned())),
            Piece::Gone(gone) => {
                offset += gone.len();
                if let Some(last) = found.last_mut() {
                    last.0.end = offset;
                }
            }
        };
        core.push(bytes, &mut note);
        core.finish(&mut note);
        found
    }
}

/// A stream through a redactor. What is put out after any number of pushes, joined, is what [`Redactor::bytes`] makes of
/// the whole.
pub struct RedactStream {
    core: Core,
    text: Utf8,
}

impl RedactStream {
    pub(super) fn new(redactor: &Redactor) -> Self {
        Self {
            core: Core::new(redactor),
            text: Utf8::default(),
        }
    }

    /// Takes the next bytes and answers what is decided by now. Never keeps back more than
    /// [`MAX_HELD_BACK`](super::MAX_HELD_BACK) bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Redacted {
        let mut out = String::with_capacity(bytes.len());
        let text = &mut self.text;
        self.core
            .push(bytes, &mut |piece| text.take(piece, &mut out));
        Redacted::cut(out)
    }

    /// Ends the text and answers what was kept back.
    pub fn finish(mut self) -> Redacted {
        let mut out = String::new();
        let text = &mut self.text;
        self.core.finish(&mut |piece| text.take(piece, &mut out));
        self.text.flush(&mut out);
        Redacted::cut(out)
    }
}

impl std::fmt::Debug for RedactStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedactStream").finish_non_exhaustive()
    }
}

/// The core's verdict on the raw bytes, in order.
pub(super) enum Piece<'a> {
    /// Bytes that stay.
    Keep(&'a [u8]),
    /// A secret begins.
    Mark(&'a str),
    /// Bytes of the secret marked last.
    Gone(&'a [u8]),
}

/// Puts pieces together; what is not UTF-8 becomes U+FFFD, the same for any cut of the kept bytes.
#[derive(Default)]
struct Utf8 {
    /// The beginning of a sequence whose end has not come yet.
    carry: Vec<u8>,
}

impl Utf8 {
    fn take(&mut self, piece: Piece<'_>, out: &mut String) {
        match piece {
            Piece::Keep(bytes) if self.carry.is_empty() => self.decode(bytes, out),
            Piece::Keep(bytes) => {
                let mut joined = std::mem::take(&mut self.carry);
                joined.extend_from_slice(bytes);
                self.decode(&joined, out);
            }
            Piece::Mark(label) => {
                self.flush(out);
                out.push_str("[redacted:");
                out.push_str(label);
                out.push(']');
            }
            Piece::Gone(_) => {}
        }
    }

    fn decode(&mut self, bytes: &[u8], out: &mut String) {
        let mut rest = bytes;
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => return out.push_str(text),
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    out.push_str(&String::from_utf8_lossy(valid));
                    let Some(bad) = error.error_len() else {
                        self.carry.extend_from_slice(after);
                        return;
                    };
                    out.push(char::REPLACEMENT_CHARACTER);
                    rest = &after[bad..];
                }
            }
        }
    }

    fn flush(&mut self, out: &mut String) {
        if !self.carry.is_empty() {
            self.carry.clear();
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

/// Bytes fed to scanners at a time.
const STEP: usize = 64 * 1024;
/// New bytes without a line end that are worth a scan.
const WORTH_A_SCAN: usize = 512;
/// New bytes that are always worth a scan, so that with the longest lookahead no more than
/// [`MAX_HELD_BACK`](super::MAX_HELD_BACK) is kept back.
const WORTH_A_SCAN_AT_MOST: usize = 8 * 1024;
/// From this many undecided bytes on, the native prefilter chooses what a scanner sees; below it, the scanner sees
/// everything and can tell exactly what is decided, so that live text flows line by line.
const WORTH_A_PREFILTER: usize = 8 * 1024;
/// Failures after which a scanner is not started again for this stream.
const MAX_FAILURES: u32 = 3;

/// Stripping, scanning, uniting, cutting. Offsets are those of the seen stream.
pub(super) struct Core {
    redactor: Redactor,
    stripper: Stripper,
    seen: Vec<u8>,
    /// The offset of `seen[0]`.
    base: u64,
    removed: VecDeque<Removed>,
    /// Up to here pieces have been put out.
    emitted: u64,
    /// Up to here text is masked.
    masked: u64,
    known_settled: u64,
    lanes: Vec<Lane>,
    /// Final hits that start at or after `emitted`.
    hits: Vec<Found>,
    /// The end of the text when it was last scanned.
    scanned: u64,
}

/// One scanner in one stream.
struct Lane {
    scanner: Option<Box<dyn Scanner>>,
    failures: u32,
    settled: u64,
    context: usize,
}

/// Seen text with the removed pieces where they stood.
struct RawText {
    bytes: Vec<u8>,
    /// The offset in the seen stream of its first seen byte.
    from: u64,
    pieces: Vec<RawPiece>,
}

/// A removed piece in it.
struct RawPiece {
    /// The position in the list of removed pieces.
    index: usize,
    /// The range in the raw text.
    start: usize,
    end: usize,
    /// Offset in the seen stream of the byte that follows it.
    at: u64,
}

impl RawText {
    /// Empty where nothing was removed.
    fn of(text: &[u8], from: u64, removed: &VecDeque<Removed>) -> Self {
        let mut raw = Self {
            bytes: Vec::new(),
            from,
            pieces: Vec::new(),
        };
        let mut rest = text;
        let mut taken = from;
        for (index, piece) in removed.iter().enumerate() {
            let Some(before) = piece.at.checked_sub(taken) else {
                continue;
            };
            let before = usize::try_from(before)
                .unwrap_or(usize::MAX)
                .min(rest.len());
            let (kept, after) = rest.split_at(before);
            raw.bytes.extend_from_slice(kept);
            rest = after;
            taken = piece.at;
            let start = raw.bytes.len();
            raw.bytes.extend_from_slice(&piece.bytes);
            raw.pieces.push(RawPiece {
                index,
                start,
                end: raw.bytes.len(),
                at: piece.at,
            });
        }
        if !raw.pieces.is_empty() {
            raw.bytes.extend_from_slice(rest);
        }
        raw
    }

    /// The piece that holds this place of the raw text.
    fn piece(&self, place: usize) -> Option<&RawPiece> {
        self.pieces
            .iter()
            .find(|piece| (piece.start..piece.end).contains(&place))
    }

    /// A place of the raw text in the seen stream; a place in a piece is where the piece stood.
    fn seen(&self, place: usize) -> u64 {
        match self.pieces.iter().rfind(|piece| piece.start <= place) {
            None => self.from + place as u64,
            Some(piece) => piece.at + place.saturating_sub(piece.end) as u64,
        }
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    start: u64,
    /// Reversed, so that of several hits with one start the longest comes first and names the mark.
    end: std::cmp::Reverse<u64>,
    /// Known values come before scanners, scanners in their order.
    rank: usize,
    label: String,
}

impl Core {
    pub(super) fn new(redactor: &Redactor) -> Self {
        let lanes = redactor
            .scanners
            .iter()
            .map(|_| Lane {
                scanner: None,
                failures: 0,
                settled: 0,
                context: 0,
            })
            .collect();
        Self {
            redactor: redactor.clone(),
            stripper: Stripper::default(),
            seen: Vec::new(),
            base: 0,
            removed: VecDeque::new(),
            emitted: 0,
            masked: 0,
            known_settled: 0,
            lanes,
            hits: Vec::new(),
            scanned: 0,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8], sink: &mut dyn FnMut(Piece<'_>)) {
        for step in bytes.chunks(STEP) {
            let fresh = self.seen.len();
            self.stripper
                .feed(step, false, self.base, &mut self.seen, &mut self.removed);
            let line_ended =
                memchr::memrchr(b'\n', self.seen.get(fresh..).unwrap_or_default()).is_some();
            let unscanned = self.end() - self.scanned;
            let undecided = self.scanned.saturating_sub(self.settled());
            // Scanning what is undecided again for each new byte would be quadratic. Lines flow as they come where little
            // is undecided; in a line without end it is what the next scan sees again.
            let worth = if line_ended {
                undecided / 8
            } else {
                undecided / 2
            };
            if (line_ended || unscanned >= WORTH_A_SCAN as u64)
                && unscanned >= worth.min(WORTH_A_SCAN_AT_MOST as u64)
            {
                self.scan(false);
                self.emit(sink);
            }
        }
    }

    pub(super) fn finish(&mut self, sink: &mut dyn FnMut(Piece<'_>)) {
        self.stripper
            .feed(&[], true, self.base, &mut self.seen, &mut self.removed);
        self.scan(true);
        self.emit(sink);
        for piece in std::mem::take(&mut self.removed) {
            sink(Piece::Keep(&piece.bytes));
        }
        for (lane, slot) in self.lanes.iter_mut().zip(self.redactor.scanners.iter()) {
            if let Some(scanner) = lane.scanner.take() {
                slot.give_back(scanner);
            }
        }
    }

    fn end(&self) -> u64 {
        self.base + self.seen.len() as u64
    }

    fn settled(&self) -> u64 {
        self.lanes
            .iter()
            .map(|lane| lane.settled)
            .fold(self.known_settled, u64::min)
    }

    fn at(&self, offset: u64) -> usize {
        usize::try_from(offset.saturating_sub(self.base))
            .unwrap_or(usize::MAX)
            .min(self.seen.len())
    }

    fn scan(&mut self, last: bool) {
        self.scanned = self.end();
        let redactor = self.redactor.clone();
        let from = self.known_settled;
        let text = self.seen.get(self.at(from)..).unwrap_or_default();
        let hits = &mut self.hits;
        let decided = redactor.known.find_shown(text, last, |start, end, label| {
            hits.push(Found {
                start: from + start as u64,
                end: std::cmp::Reverse(from + end as u64),
                rank: 0,
                label: label.to_owned(),
            });
        });
        self.known_settled = from + decided as u64;
        let swallowed = self.scan_raw(from, last);
        // Those behind an open end come again.
        let known_settled = self.known_settled;
        self.hits
            .retain(|hit| hit.rank > 0 || hit.start < known_settled);
        for (index, kept) in swallowed {
            if let Some(piece) = self.removed.get_mut(index)
                && piece.at < known_settled
            {
                piece.bytes.truncate(kept);
            }
        }
        for (index, slot) in redactor.scanners.iter().enumerate() {
            self.scan_lane(index, slot, last);
        }
        self.hits.sort_unstable();
        self.hits.dedup();
    }

    /// Looks for known values in the text as it came, too: what looks like the end of a colour code may be the beginning
    /// of one. Answers which removed pieces hold a beginning, and how much of each stands before it.
    fn scan_raw(&mut self, from: u64, last: bool) -> Vec<(usize, usize)> {
        let text = self.seen.get(self.at(from)..).unwrap_or_default();
        let raw = RawText::of(text, from, &self.removed);
        let mut swallowed = Vec::new();
        if raw.pieces.is_empty() {
            return swallowed;
        }
        let hits = &mut self.hits;
        let hit = |start: usize, end: usize, label: &str| {
            swallowed.extend(
                raw.piece(start)
                    .map(|piece| (piece.index, start - piece.start)),
            );
            let (start, end) = (raw.seen(start), raw.seen(end));
            if start < end {
                hits.push(Found {
                    start,
                    end: std::cmp::Reverse(end),
                    rank: 0,
                    label: label.to_owned(),
                });
            }
        };
        // The escape character of a colour code is no reason for a second look: what follows it is seen.
        let known = &self.redactor.known;
        let decided = if has_control(text) || has_control_introducer(&raw.bytes) {
            known.find(&raw.bytes, last, hit)
        } else {
            known.find_exactly(&raw.bytes, last, hit)
        };
        self.known_settled = self.known_settled.min(raw.seen(decided));
        swallowed
    }

    fn scan_lane(&mut self, index: usize, slot: &Slot, last: bool) {
        let end = self.end();
        let Some(lane) = self.lanes.get_mut(index) else {
            return;
        };
        if lane.settled == end && !last {
            return;
        }
        if lane.scanner.is_none() && lane.failures < MAX_FAILURES {
            match slot.take() {
                Ok(scanner) => {
                    lane.context = scanner.needs().context.min(ScanNeeds::MAX_CONTEXT);
                    lane.scanner = Some(scanner);
                }
                Err(error) => {
                    lane.failures += 1;
                    tracing::error!(scanner = slot.source.name(), %error, "redactor does not start; text is withheld");
                }
            }
        }
        let window_start = lane
            .settled
            .saturating_sub(lane.context as u64)
            .max(self.base);
        let decided = usize::try_from(lane.settled - window_start).unwrap_or(usize::MAX);
        let from = usize::try_from(window_start - self.base).unwrap_or(usize::MAX);
        let text = self.seen.get(from..).unwrap_or_default();
        let mut answer = match lane.scanner.as_mut() {
            None => Err(None),
            Some(scanner) => look(scanner.as_mut(), slot, text, decided, last).map_err(Some),
        };
        // Withheld text is lost, and a deadline missed on a busy machine says nothing about the text: one more try,
        // with a fresh instance.
        if let Err(Some(reason)) = &answer {
            tracing::warn!(
                scanner = slot.source.name(),
                reason = reason.to_string(),
                "redactor failed; trying once more"
            );
            if let Ok(mut scanner) = slot.source.start() {
                answer = look(scanner.as_mut(), slot, text, decided, last).map_err(Some);
                lane.scanner = Some(scanner);
            }
        }
        let rank = index + 1;
        match answer {
            Ok(verdicts) => {
                for hit in verdicts.hits {
                    let start = hit.start.max(decided);
                    if start < hit.end {
                        self.hits.push(Found {
                            start: window_start + start as u64,
                            end: std::cmp::Reverse(window_start + hit.end as u64),
                            rank,
                            label: clean_label(&hit.label),
                        });
                    }
                }
                lane.settled = window_start + verdicts.settled.max(decided) as u64;
            }
            Err(reason) => {
                if let Some(reason) = reason {
                    lane.failures += 1;
                    lane.scanner = None;
                    tracing::error!(
                        scanner = slot.source.name(),
                        reason = reason.to_string(),
                        "redactor failed; its window is withheld"
                    );
                }
                if lane.settled < end {
                    self.hits.push(Found {
                        start: lane.settled,
                        end: std::cmp::Reverse(end),
                        rank,
                        label: WITHHELD.to_owned(),
                    });
                }
                lane.settled = end;
            }
        }
    }

    /// Puts out what every lane has decided.
    fn emit(&mut self, sink: &mut dyn FnMut(Piece<'_>)) {
        let limit = self.settled();
        let mut hits = std::mem::take(&mut self.hits).into_iter().peekable();
        while let Some(hit) = hits.next_if(|hit| hit.start < limit) {
            let (start, end) = (hit.start, hit.end.0);
            if start >= self.masked {
                self.put_out_to(start, sink);
                while let Some(piece) = self.next_removed(|at| at == start) {
                    sink(Piece::Keep(&piece.bytes));
                }
                sink(Piece::Mark(&hit.label));
            }
            self.masked = self.masked.max(end);
        }
        self.hits = hits.collect();
        self.put_out_to(limit, sink);
        self.forget();
    }

    /// Puts out what lies before `to`: masked text as gone, the rest as kept, removed pieces where they stood.
    fn put_out_to(&mut self, to: u64, sink: &mut dyn FnMut(Piece<'_>)) {
        while self.emitted < to {
            let gone = self.emitted < self.masked;
            let mut until = if gone { self.masked.min(to) } else { to };
            let stop = self
                .removed
                .front()
                .map(|piece| piece.at)
                .filter(|&at| at < until);
            if let Some(at) = stop {
                until = at;
            }
            let bytes = self
                .seen
                .get(self.at(self.emitted)..self.at(until))
                .unwrap_or_default();
            if !bytes.is_empty() {
                sink(if gone {
                    Piece::Gone(bytes)
                } else {
                    Piece::Keep(bytes)
                });
            }
            self.emitted = until;
            if stop.is_some() {
                while let Some(piece) = self.next_removed(|at| at == until) {
                    sink(if gone {
                        Piece::Gone(&piece.bytes)
                    } else {
                        Piece::Keep(&piece.bytes)
                    });
                }
            }
        }
    }

    fn next_removed(&mut self, wanted: impl Fn(u64) -> bool) -> Option<Removed> {
        self.removed.pop_front_if(|piece| wanted(piece.at))
    }

    /// Drops seen text that no lane needs any more.
    fn forget(&mut self) {
        let needed = self
            .lanes
            .iter()
            .map(|lane| lane.settled.saturating_sub(ScanNeeds::MAX_CONTEXT as u64))
            .fold(self.known_settled.min(self.emitted), u64::min);
        let count = self.at(needed);
        if count >= STEP {
            self.seen.drain(..count);
            self.base += count as u64;
        }
    }
}

/// The reason why a scanner's answer is not used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    /// It gave none.
    #[error(transparent)]
    Failed(#[from] ScanError),
    /// It settled more than it saw, or less than it must.
    #[error("settled {settled} of {length} bytes with a lookahead of {lookahead}")]
    Settled {
        settled: usize,
        length: usize,
        lookahead: usize,
    },
    /// It found something outside of its window.
    #[error("a hit from {start} to {end} in a window of {length} bytes")]
    Hit {
        start: usize,
        end: usize,
        length: usize,
    },
}

/// Shows `text` to a scanner: through the native prefilter where that pays, else as it is.
fn look(
    scanner: &mut dyn Scanner,
    slot: &Slot,
    text: &[u8],
    decided: usize,
    last: bool,
) -> Result<Verdicts, Unusable> {
    let lookahead = scanner.needs().lookahead.min(ScanNeeds::MAX_LOOKAHEAD);
    let windows = if text.len() - decided >= WORTH_A_PREFILTER && !slot.sees_most() {
        slot.windows(scanner.needs())
    } else {
        None
    };
    let Some(windows) = windows else {
        return ask(
            scanner,
            Window {
                bytes: text,
                decided,
                last,
            },
            lookahead,
        );
    };
    let mut all = Verdicts {
        hits: Vec::new(),
        settled: text.len(),
    };
    if !last {
        all.settled = text.len().saturating_sub(windows.reach_back()).max(decided);
    }
    let parts = windows.of(text);
    slot.note_shown(parts.iter().map(Range::len).sum(), text.len());
    for part in parts {
        if part.end <= decided {
            continue;
        }
        let open = part.end == text.len() && !last;
        let bytes = text.get(part.clone()).unwrap_or_default();
        let window = Window {
            bytes,
            decided: decided.saturating_sub(part.start),
            last: !open,
        };
        let answer = ask(scanner, window, lookahead)?;
        if open {
            all.settled = all.settled.min(answer.settled + part.start);
        }
        // What the scanner decided is final, also where the host itself must look at it again.
        all.hits
            .extend(answer.hits.into_iter().map(|hit| super::Hit {
                start: hit.start + part.start,
                end: hit.end + part.start,
                label: hit.label,
            }));
    }
    Ok(all)
}

/// One call, with the answer checked.
fn ask(
    scanner: &mut dyn Scanner,
    window: Window<'_>,
    lookahead: usize,
) -> Result<Verdicts, Unusable> {
    let mut verdicts = scanner.scan(window)?;
    let length = window.bytes.len();
    if verdicts.settled > length
        || verdicts.settled.saturating_add(lookahead) < length.max(window.decided)
    {
        return Err(Unusable::Settled {
            settled: verdicts.settled,
            length,
            lookahead,
        });
    }
    if let Some(hit) = verdicts
        .hits
        .iter()
        .find(|hit| hit.start >= hit.end || hit.end > length)
    {
        return Err(Unusable::Hit {
            start: hit.start,
            end: hit.end,
            length,
        });
    }
    verdicts.settled = if window.last {
        length
    } else {
        verdicts.settled.max(window.decided.min(length))
    };
    let settled = verdicts.settled;
    verdicts.hits.retain(|hit| hit.start < settled);
    Ok(verdicts)
}
