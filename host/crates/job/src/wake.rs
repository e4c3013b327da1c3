//! Waking the session that started jobs: it ends its turn, its client runs a hook, the hook waits here at no token, and the
//! session goes on with every result at once.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::Digest as _;

use super::front::find;
use super::id::JobId;
use super::lock::{self, LockGuard};
use super::recovery;
use super::refusal::Refusal;
use super::state::State;
use super::store::{Asker, Store, StoreError};
use super::view;

/// The most bytes of one continuation: with all that stands around it below 8k tokens.
const WORDS_MAX: usize = 24_000;

/// The time at which a session is woken.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The longest time to wait.
    pub at_most: Duration,
    /// True if the first job that does not complete ends the wait, and not only the last one of
    /// all.
    pub wake_on_failure: bool,
}

/// The reason why no session is woken.
#[derive(Debug, thiserror::Error)]
pub enum WakeError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A job's row.
    #[error("{0}")]
    Job(#[from] Refusal),
    /// The words could not be written.
    #[error("{0}")]
    Told(#[from] io::Error),
}

/// Waits for the jobs that this session started and has not been told the end of, and `tell`s it, once. Returns false where
/// there are none, or another hook of the same session is waiting already: nothing was told then.
///
/// `folder` is the state folder. What was told counts as told once `tell` has returned: a hook that is killed before has told
/// nothing, and the next one tells it.
///
/// # Errors
/// The store cannot be used, or `tell` fails.
pub fn on_stop(
    folder: &Path,
    asker: &Asker,
    patience: Patience,
    tell: impl FnOnce(&str) -> io::Result<()>,
) -> Result<bool, WakeError> {
    let Some(store) = existing(folder)? else {
        return Ok(false);
    };
    let jobs = store.untold(asker)?;
    if jobs.is_empty() {
        return Ok(false);
    }
    let path = store.named_lock(&format!("waking-{}", name_of(asker)));
    let Ok(Some(waiting)) = LockGuard::try_take(&path) else {
        return Ok(false);
    };
    let _waiting = waiting.removed_at_the_end(&path);
    await_ends(&store, &jobs, patience)?;
    // Two sessions of one process see the same jobs where the client names none: what the first is told, the second is not.
    let telling = store.named_lock("telling");
    let _telling = LockGuard::wait(&telling)?;
    let (mut over, mut running) = (Vec::new(), Vec::new());
    // Anew: a call may have answered some of them during the wait.
    for id in store.untold(asker)? {
        let row = find(&store, &id)?;
        if row.state.is_terminal() {
            let result = view::job(&store, &row, None);
            over.push((id, result));
        } else {
            running.push(id);
        }
    }
    if over.is_empty() && running.is_empty() {
        return Ok(false);
    }
    tell(&words(&over, &running))?;
    for (id, _) in &over {
        store.record_told(id)?;
    }
    Ok(true)
}

/// A name for the session, for a lock: by the name that its client gives it, else by the client's process.
fn name_of(asker: &Asker) -> String {
    let text = match (&asker.session, asker.processes.first()) {
        (Some(session), _) => session.clone(),
        (None, Some(process)) => format!("{} {}", process.pid, process.start_time),
        (None, None) => String::new(),
    };
    hex::encode(sha2::Sha256::digest(text).get(..16).unwrap_or_default())
}

/// The jobs of this directory that ended when their session was gone already, in words; nothing where there are none. They
/// count as told once `tell` has returned.
///
/// # Errors
/// The store cannot be used, or `tell` fails.
pub fn on_session_start(
    folder: &Path,
    workspace: &Path,
    tell: impl FnOnce(&str) -> io::Result<()>,
) -> Result<bool, WakeError> {
    let Some(store) = existing(folder)? else {
        return Ok(false);
    };
    recovery::settle_all(&store)?;
    let mut found = Vec::new();
    for orphan in store.orphans(workspace)? {
        let lives = orphan
            .process
            .is_some_and(|asker| process::identity(asker.pid).as_ref() == Some(&asker));
        if !lives {
            found.push(orphan.id);
        }
    }
    if found.is_empty() {
        return Ok(false);
    }
    let mut text =
        "Background jobs of an earlier session here have ended since (get {job_id} has each result):"
            .to_owned();
    for id in &found {
        let row = find(&store, id)?;
        let _ = write!(text, "\n{id} {}", row.state);
        if let Some(task) = row.spec.as_ref().and_then(|spec| spec["prompt"].as_str()) {
            let _ = write!(text, ": {}", redact::text::one_line(task, 100));
        }
    }
    tell(redact::text::prefix(&text, WORDS_MAX))?;
    for id in &found {
        store.record_told(id)?;
    }
    Ok(true)
}

/// The store, where there is one: a hook makes none.
fn existing(folder: &Path) -> Result<Option<Store>, StoreError> {
    if !folder.join("jobs.db").is_file() {
        return Ok(None);
    }
    Store::open(folder).map(Some)
}

/// Waits until all are over, or the first has failed where that counts, or patience ends.
fn await_ends(store: &Store, jobs: &[JobId], patience: Patience) -> Result<(), WakeError> {
    let deadline = Instant::now() + patience.at_most;
    let (sender, ended) = mpsc::channel();
    let mut left = 0usize;
    for id in jobs {
        if find(store, id)?.state.is_terminal() {
            continue;
        }
        left += 1;
        let (sender, id, path) = (sender.clone(), id.clone(), store.lock_path(id));
        // A thread a job blocks on its lock, which the kernel gives free however the runner ends.
        std::thread::spawn(move || {
            if let Err(fault) = lock::wait_until_free(&path) {
                tracing::warn!(%fault, "a job's lock cannot be waited for");
            }
            let _ = sender.send(id);
        });
    }
    let failed = |id: &JobId| -> Result<bool, WakeError> {
        let state = find(store, id)?.state;
        Ok(state.is_terminal() && state != State::Completed)
    };
    if patience.wake_on_failure {
        for id in jobs {
            if failed(id)? {
                return Ok(());
            }
        }
    }
    while left > 0 {
        match ended.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(id) => {
                left -= 1;
                if patience.wake_on_failure && failed(&id)? {
                    return Ok(());
                }
            }
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

/// The words that the session reads: a result a line, as `get` has them, and what still runs.
fn words(over: &[(JobId, Value)], running: &[JobId]) -> String {
    let mut text = String::new();
    if !over.is_empty() {
        text.push_str("Background jobs ended:");
        let results = view::fit_many(over.iter().map(|(_, result)| result.clone()).collect());
        for result in results["jobs"].as_array().into_iter().flatten() {
            let _ = write!(text, "\n{result}");
        }
    }
    if !running.is_empty() {
        if !text.is_empty() {
            text.push('\n');
        }
        let names: Vec<&str> = running.iter().map(JobId::as_str).collect();
        let _ = write!(
            text,
            "Still running: {}. End your turn to go on waiting for them.",
            names.join(", ")
        );
    }
    text
}
