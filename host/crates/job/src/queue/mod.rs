//! The queue behind MAX_RUNNING_JOBS. Its order is in the store, its width a number of lock files (D2).
//!
//! A job that waits holds nothing but its own lock: no slot, no checkout, and its clock does not run.
//! Its runner looks once whether it can begin at once; else it becomes a small waiter by `exec`
//! ([`waiter`], [`sleeper`]), the same process with the same locked handle, and becomes a runner again by `exec`
//! when it has its turn.
//!
//! ```text
//!             takes slot and checkout
//!   runner ------------------------------------> preparing ...
//!     |  ^
//!     |  | its bell rings: it was granted a turn, or cancelled
//!     v  |
//!   waiter ---- holds `slots/queue`: one of them ----> dispatcher
//! ```
//!
//! One waiter is the dispatcher ([`dispatch`]): it holds the lock `slots/queue`, sleeps until a slot or a
//! checkout is free or a job comes, and grants turns in the order of [`order`]. When it goes, however it
//! goes, the kernel gives the lock to the next waiter. Turns are granted only under that lock.

mod bell;
mod dispatch;
pub(super) mod handover;
mod order;
mod sleeper;
mod turn;
pub(super) mod waiter;

pub(super) use bell::Bell;
pub(super) use order::Waiting;
pub(super) use turn::{Holdings, Turn, take, waiting_for};

use std::io;
use std::path::{Path, PathBuf};

use crate::id::JobId;
use crate::spec::JobSpec;
use crate::store::{Store, StoreError};
use settings::{Isolation, Settings};

/// The lock of the dispatcher.
const QUEUE_LOCK: &str = "queue";

/// The bell of the dispatcher.
const QUEUE_BELL: &str = "bell";

/// The part of a job's row that decides about its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The front that started the job: fronts have equal shares.
    pub(super) front: String,
    /// The repository: within a front's share, repositories have equal shares.
    pub(super) repository: String,
    /// The name of the lock of the tree that the job must have alone; none where it makes one.
    pub(super) tree: Option<String>,
    /// MAX_RUNNING_JOBS of the front that started it.
    pub(super) slots: usize,
}

impl Place {
    /// The place of a job, in a repository named by its lock, that works in the folder of `home` where it goes on in one.
    pub(super) fn of(
        spec: &JobSpec,
        repository: &str,
        home: Option<&JobId>,
        settings: &Settings,
        attached: bool,
    ) -> Self {
        let tree = match (spec.isolation, home) {
            (Isolation::None, _) => Some(repository.to_owned()),
            (Isolation::Worktree, Some(home)) => Some(own_tree_lock(home)),
            (Isolation::Worktree, None) => None,
        };
        // Each `run` is a process of its own: the shell that starts many of them is one front.
        let front = match attached {
            true => std::os::unix::process::parent_id(),
            false => std::process::id(),
        };
        let started = process::identity(front).map_or(0, |identity| identity.start_time);
        Self {
            front: format!("{front}-{started}"),
            repository: repository.to_owned(),
            tree,
            slots: settings.max_running_jobs,
        }
    }
}

/// The lock of the tree that lies in a job's folder.
pub(super) fn own_tree_lock(home: &JobId) -> String {
    format!("tree-of-{home}")
}

/// The lock of the result that lies in a job's folder: nobody applies it while it is packed.
pub(super) fn result_lock(home: &JobId) -> String {
    format!("result-of-{home}")
}

/// Wakes the dispatcher, where there is one: something changed that no lock tells.
pub(super) fn ring(store: &Store) {
    Bell::ring(&store.named_lock(QUEUE_BELL));
}

/// Wakes a job that waits for its turn.
pub(super) fn ring_job(store: &Store, id: &JobId) {
    Bell::ring(&store.bell_path(id));
}

fn folder(path: &Path, source: io::Error) -> StoreError {
    StoreError::Folder {
        path: PathBuf::from(path),
        source,
    }
}
