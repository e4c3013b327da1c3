//! The one way out for text: everything that is logged, recorded, or sent to a client goes through a [`Redactor`] and
//! leaves it as [`Redacted`].
//!
//! A redactor unites two sources of hits. [`KnownValues`] are secrets that the host itself holds; they are searched for
//! natively, in every common encoding, and also when no plugin loads. [`Scanner`]s, which the module `plugins`
//! implements, recognise what nobody told us about. Scanners answer with ranges and the core cuts, so no scanner can write
//! into a log, and several of them compose in any order.
//!
//! There is a single streaming core. The batch call is a stream with one chunk; for a scanner that keeps the contract
//! of [`Scanner::scan`], any chunking of a text gives the batch result.

#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod json;
mod known;
pub mod log;
mod log_mask;
mod marked;
mod prefilter;
mod redacted;
mod scanner;
mod stream;
mod strip;
pub mod text;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

pub use json::RedactedJson;
pub use known::KnownValues;
pub use log_mask::LogMask;
pub use marked::Marked;
pub use redacted::Redacted;
pub use scanner::{Hit, Prefilter, ScanError, ScanNeeds, Scanner, ScannerSource, Verdicts, Window};
pub use stream::RedactStream;

use known::KnownPatterns;
use prefilter::Windows;
use stream::{Core, Piece};

/// The most bytes of undecided text that a stream keeps back, as seen by whoever reads its output.
pub const MAX_HELD_BACK: usize = 64 * 1024;

/// Finds and cuts secrets. Cheap to clone; clones share compiled patterns and idle scanner instances.
#[derive(Clone)]
pub struct Redactor {
    known: Arc<KnownPatterns>,
    scanners: Arc<Vec<Slot>>,
}

impl Redactor {
    /// A redactor for the values that the host holds and the given scanners.
    ///
    /// A scanner that does not start, or fails at work, never lets text through: what it should have seen is masked.
    pub fn new(known: KnownValues, scanners: Vec<Arc<dyn ScannerSource>>) -> Self {
        Self {
            known: Arc::new(KnownPatterns::compile(&known)),
            scanners: Arc::new(scanners.into_iter().map(Slot::new).collect()),
        }
    }

    /// The same scanners with further known values, for a job that holds more than the process does.
    pub fn and_known(&self, known: &KnownValues) -> Self {
        let mut all = self.known.values().clone();
        all.extend(known);
        Self {
            known: Arc::new(KnownPatterns::compile(&all)),
            scanners: Arc::clone(&self.scanners),
        }
    }

    /// The known values alone.
    fn without_scanners(&self) -> Self {
        Self {
            known: Arc::clone(&self.known),
            scanners: Arc::default(),
        }
    }

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

    /// Redacts the strings, keys and secret-looking numbers of a JSON value. A member's name counts for its value, so
    /// that `{"password": "..."}` is recognised as in text.
    pub fn json(&self, value: serde_json::Value) -> RedactedJson {
        json::redact(self, value)
    }

    /// Judges a whole text of which only parts will be shown.
    pub fn mark<'a>(&self, bytes: &'a [u8]) -> Marked<'a> {
        Marked::new(self, bytes)
    }

    /// Starts a stream. Feed it with [`RedactStream::push`] and end it with [`RedactStream::finish`].
    pub fn stream(&self) -> RedactStream {
        RedactStream::new(self)
    }

    /// The ranges of `bytes` that are to go, with their labels, sorted and without overlap.
    fn ranges(&self, bytes: &[u8]) -> Vec<(std::ops::Range<usize>, String)> {
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

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self
            .scanners
            .iter()
            .map(|slot| slot.source.name())
            .collect();
        f.debug_struct("Redactor")
            .field("scanners", &names)
            .finish_non_exhaustive()
    }
}

/// A scanner's source with what is worth keeping between streams.
struct Slot {
    source: Arc<dyn ScannerSource>,
    /// The compiled prefilter, known once the first instance has told its needs.
    windows: OnceLock<Option<Windows>>,
    /// For so many windows the prefilter is left out.
    dense: AtomicU32,
    /// Instances whose last stream ended well. Scanners keep nothing between windows, so they can be used again.
    idle: Mutex<Vec<Box<dyn Scanner>>>,
}

impl Slot {
    const MAX_IDLE: usize = 4;
    /// Windows that a scanner sees whole before the prefilter is tried again.
    const DENSE: u32 = 15;

    fn new(source: Arc<dyn ScannerSource>) -> Self {
        Self {
            source,
            windows: OnceLock::new(),
            dense: AtomicU32::new(0),
            idle: Mutex::new(Vec::new()),
        }
    }

    fn take(&self) -> Result<Box<dyn Scanner>, ScanError> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        idle.map_or_else(|| self.source.start(), Ok)
    }

    fn give_back(&self, scanner: Box<dyn Scanner>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < Self::MAX_IDLE {
            idle.push(scanner);
        }
    }

    /// Returns true if the text is of a kind of which the prefilter would leave out little: then
    /// searching it natively first costs more than it saves. What is found is the same.
    fn sees_most(&self) -> bool {
        let left = self.dense.load(Ordering::Relaxed);
        if left > 0 {
            self.dense.store(left - 1, Ordering::Relaxed);
        }
        left > 0
    }

    /// Notes how much of a text the prefilter showed.
    fn note_shown(&self, shown: usize, of: usize) {
        if shown > of / 2 {
            self.dense.store(Self::DENSE, Ordering::Relaxed);
        }
    }

    fn windows(&self, needs: &ScanNeeds) -> Option<&Windows> {
        self.windows
            .get_or_init(|| Windows::compile(needs))
            .as_ref()
    }
}
