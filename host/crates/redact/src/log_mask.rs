//! The mask of a process's own log, from which secrets are taken out like from any other record.

use std::cell::Cell;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::Redactor;
use crate::log::Mask;

/// Takes secrets out of log lines. Until every rule is there, and for what a scanner itself logs while it scans, the values
/// that the process holds are taken out. Clones share their state.
#[derive(Debug, Clone)]
pub struct LogMask(Arc<Redactors>);

#[derive(Debug)]
struct Redactors {
    held: Redactor,
    whole: OnceLock<Redactor>,
}

thread_local! {
    /// True if this thread is masking a line: a scanner that logs while it scans must not be asked
    /// about that.
    static MASKING: Cell<bool> = const { Cell::new(false) };
}

impl LogMask {
    /// A mask for the values that the process holds.
    pub fn new(held: Redactor) -> Self {
        Self(Arc::new(Redactors {
            held,
            whole: OnceLock::new(),
        }))
    }

    /// From here on lines go through `redactor`. Only the first call has an effect.
    pub fn set(&self, redactor: Redactor) {
        let _ = self.0.whole.set(redactor);
    }

    fn with<T>(&self, mask: impl FnOnce(&Redactor) -> T) -> T {
        let outer = MASKING.replace(true);
        let redactor = if outer {
            &self.0.held
        } else {
            self.0.whole.get().unwrap_or(&self.0.held)
        };
        let masked = mask(redactor);
        MASKING.set(outer);
        masked
    }
}

impl Mask for LogMask {
    fn line(&self, line: &str) -> String {
        self.with(|redactor| redactor.text(line).into_string())
    }

    fn json(&self, value: Value) -> Value {
        self.with(|redactor| redactor.json(value).into_value())
    }
}
