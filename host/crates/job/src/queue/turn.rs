//! The runner's side of the queue: it takes its turn, or finds that it must wait.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Bell, QUEUE_BELL, QUEUE_LOCK, dispatch, folder, ring, ring_job};
use crate::id::JobId;
use crate::lock::{self, LockGuard};
use crate::state::State;
use crate::store::{JobRow, Store, StoreError};

/// How long a job that comes waits for its turn as a runner, where there is a dispatcher: most turns
/// that can be granted are granted within it, and it becomes no waiter.
const AT_ONCE: Duration = Duration::from_millis(60);

/// How long a lock that is free is tried for. Those who look at it hold it for microseconds.
const LOOKED_AT: Duration = Duration::from_millis(500);

/// What a job has while it works.
#[derive(Debug)]
pub(crate) struct Holdings {
    /// One of the slots.
    pub(crate) slot: LockGuard,
    /// The tree that it must have alone; none where it makes one.
    pub(crate) tree: Option<LockGuard>,
}

/// The outcome of a look at the queue.
#[derive(Debug)]
pub(crate) enum Turn {
    /// The job is `preparing`.
    Has(Holdings),
    /// It must wait; the bell rings when it has its turn or is cancelled.
    Waits(Bell),
    /// It was cancelled, or ended otherwise.
    Gone,
}

/// Takes the job's turn if it has one, or can have one now.
pub(crate) fn take(store: &Store, id: &JobId) -> Result<Turn, StoreError> {
    // Made first: what happens from here on is heard.
    let bell_path = store.bell_path(id);
    let bell = Bell::open(&bell_path).map_err(|source| folder(&bell_path, source))?;
    let deadline = Instant::now() + AT_ONCE;
    loop {
        let Some(row) = store.job(id)? else {
            return Ok(Turn::Gone);
        };
        if row.cancel_requested || row.state != State::Queued {
            return Ok(Turn::Gone);
        }
        if store.is_granted(id)? {
            let taken = begin(store, id)?;
            // The dispatcher looks again: there is a free turn, or a lock to wait for.
            ring(store);
            match taken {
                Some(turn) => return Ok(turn),
                // Somebody who asks no dispatcher was faster: a job of an earlier version.
                None => return Ok(Turn::Waits(bell)),
            }
        }
        let path = store.named_lock(QUEUE_LOCK);
        if let Some(_turns) = LockGuard::try_take(&path).map_err(|source| folder(&path, source))? {
            let mut own = false;
            dispatch::grant_all(store, |granted| match granted == id {
                true => own = true,
                false => ring_job(store, granted),
            })?;
            if !own {
                return Ok(Turn::Waits(bell));
            }
            return Ok(begin(store, id)?.unwrap_or(Turn::Waits(bell)));
        }
        let dispatched = Bell::has_owner(&store.named_lock(QUEUE_BELL));
        if dispatched {
            ring(store);
        }
        if Instant::now() > deadline {
            return Ok(Turn::Waits(bell));
        }
        // Whoever has the lock without being the dispatcher has it for a moment.
        std::thread::sleep(Duration::from_millis(if dispatched { 5 } else { 1 }));
    }
}

/// Takes what was granted. None, when it is not to be had.
fn begin(store: &Store, id: &JobId) -> Result<Option<Turn>, StoreError> {
    let Some(place) = store.place(id)? else {
        return Ok(Some(Turn::Gone));
    };
    let deadline = Instant::now() + LOOKED_AT;
    let slot = loop {
        if let Some(slot) = free_slot(store, place.slots)? {
            break slot;
        }
        if Instant::now() > deadline {
            store.withdraw(id)?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let tree = match &place.tree {
        None => None,
        Some(name) => {
            let path = store.named_lock(name);
            let Some(guard) = try_for(&path, deadline).map_err(|source| folder(&path, source))?
            else {
                store.withdraw(id)?;
                return Ok(None);
            };
            Some(guard.removed_at_the_end(&path))
        }
    };
    let _ = std::fs::remove_file(store.bell_path(id));
    let moved = store.advance(id, State::Queued, State::Preparing)?;
    Ok(Some(if moved {
        Turn::Has(Holdings { slot, tree })
    } else {
        Turn::Gone
    }))
}

fn try_for(path: &Path, deadline: Instant) -> io::Result<Option<LockGuard>> {
    loop {
        if let Some(guard) = LockGuard::try_take(path)? {
            return Ok(Some(guard));
        }
        if Instant::now() > deadline {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn free_slot(store: &Store, slots: usize) -> Result<Option<LockGuard>, StoreError> {
    for slot in 0..slots {
        let path = store.slot_path(slot);
        match LockGuard::try_take(&path) {
            Ok(Some(guard)) => return Ok(Some(guard)),
            Ok(None) => {}
            // The folder is made with the store: something is wrong that waiting does not mend.
            Err(source) => return Err(folder(&path, source)),
        }
    }
    Ok(None)
}

/// What a job waits for, in words: the one that works in its checkout, or a slot.
pub(crate) fn waiting_for(store: &Store, job: &JobRow) -> Result<String, StoreError> {
    let place = store.place(&job.id)?;
    if let Some(tree) = place.and_then(|place| place.tree) {
        if let Some(holder) = store.works_in(&tree)? {
            return Ok(format!("job {holder}, which works in the same checkout"));
        }
        let path = store.named_lock(&tree);
        if lock::is_held(&path).map_err(|source| folder(&path, source))? {
            return Ok("another job in the same checkout".to_owned());
        }
    }
    Ok("one of the slots (MAX_RUNNING_JOBS)".to_owned())
}
