//! The queue behind MAX_RUNNING_JOBS: its order is the ticket in the store, its width a number of lock files (D2).
//!
//! Each waiting runner holds a lock on its own place in the queue and sleeps until the place before it is free, whatever
//! became of who held it. Only the first in the queue looks for a slot, so a hundred waiting jobs cost no more than one.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::id::JobId;
use super::lock::{self, LockGuard};
use super::recovery;
use super::state::State;
use super::store::{Store, StoreError};

/// The interval at which the first in the queue looks whether a slot is free. Several locks cannot
/// be waited for at once.
const SLOT_POLL: Duration = Duration::from_millis(5);

/// The time that a runner gives the one before it to take its place, which it does as soon as it
/// runs.
const PLACE_POLL: Duration = Duration::from_millis(10);

/// The outcome of waiting in the queue.
#[derive(Debug)]
pub(super) enum Turn {
    /// The job is `preparing`, and holds a slot until this is dropped.
    Slot(LockGuard),
    /// The job was cancelled, or ended otherwise, while it waited.
    Gone,
}

/// Waits until it is this job's turn, then moves it on to `preparing`.
pub(super) async fn wait_for_turn(
    store: &Store,
    id: &JobId,
    slots: usize,
) -> Result<Turn, StoreError> {
    // Held until this job has moved on, or is dead.
    let _place = take_place(store.place_path(id)).await?;
    while let Some(before) = next_before(store, id)? {
        wait_for_place(store.place_path(&before)).await?;
    }
    loop {
        if store.cancel_requested(id)? {
            return Ok(Turn::Gone);
        }
        let slot = wait_for_slot(store, slots).await?;
        // Somebody before this one may have been slow to begin: never overtake.
        if let Some(before) = next_before(store, id)? {
            drop(slot);
            wait_for_place(store.place_path(&before)).await?;
            continue;
        }
        let moved = store.advance(id, State::Queued, State::Preparing)?;
        return Ok(if moved { Turn::Slot(slot) } else { Turn::Gone });
    }
}

/// Nobody else takes this place, but whoever waits behind may be looking at it just now.
async fn take_place(path: PathBuf) -> Result<LockGuard, StoreError> {
    loop {
        match LockGuard::try_take(&path) {
            Ok(Some(hold)) => return Ok(hold),
            Ok(None) => tokio::time::sleep(Duration::from_millis(1)).await,
            Err(source) => return Err(folder(&path, source)),
        }
    }
}

/// The job that waits right before this one, dead ones settled.
fn next_before(store: &Store, id: &JobId) -> Result<Option<JobId>, StoreError> {
    for before in store.queued_before(id)?.into_iter().rev() {
        if !recovery::settle(store, &before)? {
            return Ok(Some(before));
        }
    }
    Ok(None)
}

/// Sleeps until the place is free: its job has moved on or died, or has not come to take it yet.
async fn wait_for_place(path: PathBuf) -> Result<(), StoreError> {
    if !lock::is_held(&path).map_err(|source| folder(&path, source))? {
        tokio::time::sleep(PLACE_POLL).await;
        return Ok(());
    }
    let waited = path.clone();
    let freed = tokio::task::spawn_blocking(move || lock::wait_until_free(&waited)).await;
    match freed {
        Ok(freed) => freed.map_err(|source| folder(&path, source)),
        Err(fault) => Err(folder(&path, io::Error::other(fault))),
    }
}

async fn wait_for_slot(store: &Store, slots: usize) -> Result<LockGuard, StoreError> {
    loop {
        if let Some(slot) = free_slot(store, slots)? {
            return Ok(slot);
        }
        tokio::time::sleep(SLOT_POLL).await;
    }
}

fn free_slot(store: &Store, slots: usize) -> Result<Option<LockGuard>, StoreError> {
    for slot in 0..slots {
        let path = store.slot_path(slot);
        match LockGuard::try_take(&path) {
            Ok(Some(hold)) => return Ok(Some(hold)),
            Ok(None) => {}
            // The folder is made with the store: something is wrong that waiting does not mend.
            Err(source) if source.kind() != io::ErrorKind::Interrupted => {
                return Err(folder(&path, source));
            }
            Err(_) => {}
        }
    }
    Ok(None)
}

fn folder(path: &std::path::Path, source: io::Error) -> StoreError {
    StoreError::Folder {
        path: path.to_owned(),
        source,
    }
}
