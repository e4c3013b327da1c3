//! The queue behind MAX_RUNNING_JOBS: its order is the ticket in the store, its width a number of lock files (D2).

use std::io;
use std::time::Duration;

use super::id::JobId;
use super::lock::Hold;
use super::recovery;
use super::state::State;
use super::store::{Store, StoreError};

/// How often a waiting runner looks whether it is its turn.
const TURN_POLL: Duration = Duration::from_millis(50);

/// What came of waiting in the queue.
#[derive(Debug)]
pub(super) enum Turn {
    /// The job is `preparing`, and holds a slot until this is dropped.
    Slot(Hold),
    /// The job was cancelled, or ended otherwise, while it waited.
    Gone,
}

/// Waits until it is this job's turn, then moves it on to `preparing`.
pub(super) async fn wait_for_turn(
    store: &Store,
    id: &JobId,
    slots: usize,
) -> Result<Turn, StoreError> {
    loop {
        if store.cancel_requested(id)? {
            return Ok(Turn::Gone);
        }
        if is_first(store, id)?
            && let Some(slot) = free_slot(store, slots)?
        {
            let moved = store.advance(id, State::Queued, State::Preparing)?;
            return Ok(if moved { Turn::Slot(slot) } else { Turn::Gone });
        }
        tokio::time::sleep(TURN_POLL).await;
    }
}

fn is_first(store: &Store, id: &JobId) -> Result<bool, StoreError> {
    for earlier in store.queued_before(id)? {
        if !recovery::settle(store, &earlier)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn free_slot(store: &Store, slots: usize) -> Result<Option<Hold>, StoreError> {
    for slot in 0..slots {
        let path = store.slot_path(slot);
        match Hold::try_take(&path) {
            Ok(Some(hold)) => return Ok(Some(hold)),
            Ok(None) => {}
            // The folder is made with the store: something is wrong that waiting does not mend.
            Err(source) if source.kind() != io::ErrorKind::Interrupted => {
                return Err(StoreError::Folder { path, source });
            }
            Err(_) => {}
        }
    }
    Ok(None)
}
