//! The redactor: known values and scanners. The ways in are beside what they give: `stream`, `json`, `marked`.

use std::sync::Arc;

use crate::known::{KnownPatterns, KnownValues};
use crate::scanner::ScannerSource;
use crate::slot::Slot;

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
