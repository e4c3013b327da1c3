//! A scanner of a redactor, with what is worth keeping between its streams.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::prefilter::Windows;
use crate::scanner::{ScanError, ScanNeeds, Scanner, ScannerSource};

/// A scanner's source with what is worth keeping between streams.
pub(crate) struct Slot {
    pub(crate) source: Arc<dyn ScannerSource>,
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

    pub(crate) fn new(source: Arc<dyn ScannerSource>) -> Self {
        Self {
            source,
            windows: OnceLock::new(),
            dense: AtomicU32::new(0),
            idle: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn take(&self) -> Result<Box<dyn Scanner>, ScanError> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        idle.map_or_else(|| self.source.start(), Ok)
    }

    pub(crate) fn give_back(&self, scanner: Box<dyn Scanner>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < Self::MAX_IDLE {
            idle.push(scanner);
        }
    }

    /// Returns true if the text is of a kind of which the prefilter would leave out little: then
    /// searching it natively first costs more than it saves. What is found is the same.
    pub(crate) fn sees_most(&self) -> bool {
        let left = self.dense.load(Ordering::Relaxed);
        if left > 0 {
            self.dense.store(left - 1, Ordering::Relaxed);
        }
        left > 0
    }

    /// Notes how much of a text the prefilter showed.
    pub(crate) fn note_shown(&self, shown: usize, of: usize) {
        if shown > of / 2 {
            self.dense.store(Self::DENSE, Ordering::Relaxed);
        }
    }

    pub(crate) fn windows(&self, needs: &ScanNeeds) -> Option<&Windows> {
        self.windows
            .get_or_init(|| Windows::compile(needs))
            .as_ref()
    }
}
