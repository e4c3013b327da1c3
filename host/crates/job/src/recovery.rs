//! Jobs whose runner is gone without a word.

use super::id::JobId;
use super::report;
use super::state::State;
use super::store::{JobRow, Store, StoreError};
use crate::end_cause::EndCause;
use process::end_recorded;

/// Says whether a job is over, after ending it as `interrupted` where its runner is gone: whatever the runner left behind
/// is ended first, and of several callers one does it.
pub(super) fn settle(store: &Store, id: &JobId) -> Result<bool, StoreError> {
    if store.is_live(id)? {
        return Ok(false);
    }
    // Only now: a runner writes its job's end before it lets go of the lock.
    match store.job(id)? {
        Some(job) if !job.state.is_terminal() => interrupt(store, &job)?,
        _ => {}
    }
    Ok(true)
}

/// Ends every job whose runner is gone as `interrupted`.
pub fn settle_all(store: &Store) -> Result<(), StoreError> {
    for id in store.unfinished()? {
        settle(store, &id)?;
    }
    Ok(())
}

fn interrupt(store: &Store, job: &JobRow) -> Result<(), StoreError> {
    for process in store.processes(&job.id)? {
        end_recorded(&process);
    }
    workspace::release_git_locks(&store.job_folder(&job.id));
    let message = [
        "the runner ended without a word while the job was ",
        job.state.as_str(),
        "; the tree may hold a part of its changes, and `tail` has its log",
    ];
    let result = report::without_evidence(
        &job.id,
        State::Interrupted,
        EndCause::Interrupted,
        message.into_iter().collect(),
    );
    // Before the end is told, as the runner would have done.
    store.drop_working_material(&job.id);
    store.finish(&job.id, State::Interrupted, &result)?;
    Ok(())
}
