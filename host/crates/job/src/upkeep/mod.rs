//! Upkeep of the store: what a job keeps once it is over becomes small, and old jobs go by themselves,
//! announced before.

mod retention;
mod size;

pub use retention::{Due, Reason, Retention};
pub use size::{Size, Sizes};

use std::io;
use std::time::Duration;

use crate::id::JobId;
use crate::lock::LockGuard;
use crate::queue;
use crate::runner::Continuation;
use crate::store::{JobRow, Store, StoreError};
use settings::Settings;
use workspace::{Interrupt, Isolated, IsolatedRecord, WorkspaceError};

/// How often retention looks by itself.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// The reasons for which upkeep cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A tree.
    #[error(transparent)]
    Tree(#[from] WorkspaceError),
    /// A lock.
    #[error("a lock cannot be taken: {0}")]
    Lock(io::Error),
    /// The record of what was announced.
    #[error("{path} cannot be used: {source}")]
    Record {
        /// The file.
        path: std::path::PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// Makes the tree small in which this job worked, if nobody works in it now and all that was done there is in a result.
/// Returns true if there is a small tree, or none, now.
///
/// # Errors
/// The store fails, or files cannot be read or written; nothing is lost then.
pub fn make_small(store: &Store, job: &JobRow) -> Result<bool, UpkeepError> {
    let home = job.home();
    let folder = store.job_folder(home);
    if !folder.join("tree").exists() {
        return Ok(true);
    }
    let path = store.named_lock(&queue::own_tree_lock(home));
    let Some(alone) = LockGuard::try_take(&path).map_err(UpkeepError::Lock)? else {
        return Ok(false);
    };
    let _alone = alone.removed_at_the_end(&path);
    let path = store.named_lock(&queue::result_lock(home));
    let Some(result) = LockGuard::try_take(&path).map_err(UpkeepError::Lock)? else {
        return Ok(false);
    };
    let _result = result.removed_at_the_end(&path);
    let mut jobs: Vec<JobRow> = store.job(home)?.into_iter().collect();
    jobs.extend(store.lodgers(home)?);
    if jobs.iter().any(|job| !job.state.is_terminal()) {
        return Ok(false);
    }
    let worked = jobs
        .iter()
        .rev()
        .find(|job| Continuation::load(&store.job_folder(&job.id)).is_some());
    let small = match worked {
        // No agent came to it: there is nothing in it that somebody made, and no job can go on there.
        None => {
            Isolated::remove(&folder)?;
            true
        }
        Some(last) => {
            let record = IsolatedRecord::load(&folder)?;
            let sealed = record.results.last();
            // What a killed job left is only in its tree.
            let is_sealed = sealed.is_some_and(|sealed| sealed.job == last.id.as_str());
            is_sealed && Isolated::shrink(&folder, &Interrupt::default())?
        }
    };
    store.forget_size(home)?;
    Ok(small)
}

/// What a runner does when its job is over and told: whatever fails here, the next one does.
pub(crate) fn after(settings: &Settings, id: &JobId) {
    let kept_up = Store::open(&settings.state_dir)
        .map_err(UpkeepError::from)
        .and_then(|store| {
            store.keep_room();
            if let Some(job) = store.job(id)? {
                make_small(&store, &job)?;
            }
            Retention::of(settings).run(&store, EVERY)
        });
    if let Err(fault) = kept_up {
        tracing::warn!(%fault, "the store is not kept up; `mcp-codex-worker gc` tries again");
    }
}
