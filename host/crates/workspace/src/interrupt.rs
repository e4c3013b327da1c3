//! The word to a long walk that it is to end: a thread cannot be stopped from outside.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::error::WorkspaceError;

/// The time that a look at what a job did may still take once the job is to end.
const GRACE: Duration = Duration::from_secs(10);

/// The word to a walk that it is to end. Cheap to clone; the clones are one.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<OnceLock<Instant>>);

impl Interrupt {
    /// Ends what is under way.
    pub fn set(&self) {
        let _ = self.0.set(Instant::now());
    }

    /// Lets go on what is not to end.
    pub(crate) fn check(&self) -> Result<(), WorkspaceError> {
        match self.0.get() {
            Some(_) => Err(WorkspaceError::Stopped),
            None => Ok(()),
        }
    }

    /// The same for a look at what a job did: that is part of its evidence, and gets a while longer.
    pub(crate) fn check_late(&self) -> Result<(), WorkspaceError> {
        match self.0.get() {
            Some(since) if since.elapsed() > GRACE => Err(WorkspaceError::Stopped),
            _ => Ok(()),
        }
    }
}
