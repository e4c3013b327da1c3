//! The redactor: known values, scanners, and the ways in.

use std::sync::Arc;

use crate::json::{self, RedactedJson};
use crate::known::{KnownPatterns, KnownValues};
use crate::marked::Marked;
use crate::redacted::Redacted;
use crate::scanner::ScannerSource;
use crate::slot::Slot;
use crate::stream::{Core, Piece, RedactStream};

/// Finds and cuts secrets. Cheap to clone; clones share compiled patterns and idle scanner instances.
#[derive(Clone)]
pub struct Redactor {
    pub(crate) known: Arc<KnownPatterns>,
    pub(crate) scanners: Arc<Vec<Slot>>,
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
    pub(crate) fn without_scanners(&self) -> Self {
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
