//! Jobs whose runner is gone without a word.

use std::time::{Duration, Instant};

use super::id::JobId;
use super::lock::LockGuard;
use super::report;
use super::runner::OWN_GIT;
use super::state::State;
use super::store::{JobRow, Store, StoreError};
use super::{runner, statement};
use crate::artifacts::{self, Artifacts};
use crate::end_cause::EndCause;
use process::{end_recorded, terminate_recorded};
use redact::Redacted;

/// How long the attempts of a job whose runner was killed may take to end.
const ATTEMPTS_PATIENCE: Duration = Duration::from_secs(10);

/// The lock of who ends a job whose runner is gone, in the job's folder.
const ENDING: &str = "ending";

/// The interval at which they are looked at.
const ATTEMPTS_POLL: Duration = Duration::from_millis(10);

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
    let folder = store.job_folder(&job.id);
    // Its commits are kept once. A lock that cannot be had (a full disk) only means that two may try.
    let lock = folder.join(ENDING);
    let _lock = LockGuard::wait(&lock).map(|guard| guard.removed_at_the_end(&lock));
    let settled = store.job(&job.id)?;
    if settled.is_none_or(|job| job.state.is_terminal()) {
        return Ok(());
    }
    for process in store.processes(&job.id)? {
        end_recorded(&process);
    }
    workspace::release_git_locks(&folder);
    end_attempts(store, &job.id)?;
    let rescued = workspace::rescue_commits(job.id.as_str(), &folder, &folder.join(OWN_GIT));
    let message = [
        "the runner ended without a word while the job was ",
        job.state.as_str(),
        "; the tree may hold a part of its changes, and `tail` has its log",
    ];
    let mut message: Redacted = message.into_iter().collect();
    if rescued.kept > 0 {
        message.push_static("; what it committed is kept as worker/");
        message.push(&job.id.redacted());
        message.push_static("/NAME");
    }
    if rescued.lost > 0 {
        message.push_static("; not all that it committed could be kept");
    }
    let result =
        report::without_evidence(&job.id, State::Interrupted, EndCause::Interrupted, message);
    // Before the end is told, as the runner would have done.
    store.drop_working_material(&job.id);
    keep_statement(store, &job.id);
    store.finish(&job.id, State::Interrupted, &result)?;
    Ok(())
}

/// The attempts of a job whose runner is gone end by themselves, since they hang on it. Nothing of them may be left when the
/// job's end is told: their trees are nobody's.
fn end_attempts(store: &Store, id: &JobId) -> Result<(), StoreError> {
    let attempts = store.attempts(id)?;
    let deadline = Instant::now() + ATTEMPTS_PATIENCE;
    for attempt in &attempts {
        let id = &attempt.job.id;
        store.request_cancel(id)?;
        if let Some(runner) = &attempt.job.runner {
            terminate_recorded(runner);
        }
        while store.is_live(id)? && Instant::now() < deadline {
            std::thread::sleep(ATTEMPTS_POLL);
        }
        if settle(store, id)? {
            runner::discard_tree(&store.job_folder(id));
        }
    }
    Ok(())
}

/// Says of a job without evidence that it has none. Nobody signs it: the key is its runner's.
fn keep_statement(store: &Store, id: &JobId) {
    let statement = statement::of_attempts(
        None,
        id.as_str(),
        State::Interrupted,
        Some(EndCause::Interrupted),
        &[],
    );
    let envelope = statement::unsigned(&statement);
    let artifacts = Artifacts::in_job(&store.job_folder(id));
    if let Err(fault) = artifacts.write_encoded(artifacts::STATEMENT, &envelope) {
        tracing::warn!(%fault, "the statement was not kept");
    }
}
