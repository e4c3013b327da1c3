//! The mask of a process's own log, from which secrets are taken out like from any other record.

use std::cell::Cell;
use std::sync::{Arc, OnceLock};

use super::Redactor;

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
    /// Whether this thread is masking a line: a scanner that logs while it scans must not be asked about that.
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

    /// One line without its secrets.
    pub fn line(&self, line: &str) -> String {
        let outer = MASKING.replace(true);
        let redactor = if outer {
            &self.0.held
        } else {
            self.0.whole.get().unwrap_or(&self.0.held)
        };
        let masked = redactor.text(line).into_string();
        MASKING.set(outer);
        masked
    }
}
