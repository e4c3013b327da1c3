//! The dispatcher: grants turns, and sleeps until something may have changed.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::mpsc;

use super::order::Shares;
use super::{Bell, QUEUE_BELL, Waiting, folder, ring_job};
use crate::id::JobId;
use crate::lock;
use crate::recovery;
use crate::store::{Store, StoreError};

/// What stands in the way of the jobs that wait.
pub(super) struct Look {
    waiting: Vec<Waiting>,
    /// The slots that are held, of the widest of the queue.
    held: Vec<bool>,
    shares: Shares,
}

impl Look {
    /// Looks at the queue. Only for who holds its lock.
    pub(super) fn at(store: &Store) -> Result<Self, StoreError> {
        let mut shares = Shares::default();
        for (id, front, repository) in store.at_work()? {
            if !recovery::settle(store, &id)? {
                shares.count(&front, &repository);
            }
        }
        let mut waiting = Vec::new();
        for job in store.waiting()? {
            // A turn of one that died before it began is free again.
            if job.granted && recovery::settle(store, &job.id)? {
                continue;
            }
            if job.granted {
                shares.count(&job.front, &job.repository);
            }
            waiting.push(job);
        }
        let fronts: HashSet<&String> = waiting.iter().map(|job| &job.front).collect();
        for front in fronts {
            for (repository, at_ms) in store.last_turns(front)? {
                shares.served(front, &repository, at_ms);
            }
        }
        let widest = waiting.iter().map(|job| job.slots).max().unwrap_or(0);
        let mut held = Vec::with_capacity(widest);
        for slot in 0..widest {
            held.push(is_held(&store.slot_path(slot))?);
        }
        Ok(Self {
            waiting,
            held,
            shares,
        })
    }

    /// The job that is to be granted a turn now.
    pub(super) fn next(&self, store: &Store) -> Result<Option<JobId>, StoreError> {
        let granted: Vec<&Waiting> = self.waiting.iter().filter(|job| job.granted).collect();
        let mut free: HashSet<&str> = HashSet::new();
        for tree in self.wanted() {
            let taken = granted.iter().any(|job| job.tree.as_deref() == Some(tree));
            if !taken && !is_held(&store.named_lock(tree))? {
                free.insert(tree);
            }
        }
        let can_begin = |job: &Waiting| {
            let slots = self.held.iter().take(job.slots);
            let open = slots.filter(|held| !**held).count();
            open > granted.len() && job.tree.as_deref().is_none_or(|tree| free.contains(tree))
        };
        let next = self.shares.next(&self.waiting, can_begin);
        Ok(next.map(|job| job.id.clone()))
    }

    /// The locks of trees that jobs wait for.
    fn wanted(&self) -> HashSet<&str> {
        let waiting = self.waiting.iter().filter(|job| !job.granted);
        waiting.filter_map(|job| job.tree.as_deref()).collect()
    }

    /// The locks whose end may let somebody begin: those of slots and of trees, and of those that were
    /// granted a turn and may die before they take it.
    fn in_the_way(&self, store: &Store) -> Result<Vec<PathBuf>, StoreError> {
        let slots = self.held.iter().enumerate().filter(|(_, held)| **held);
        let mut paths: Vec<PathBuf> = slots.map(|(slot, _)| store.slot_path(slot)).collect();
        for tree in self.wanted() {
            let path = store.named_lock(tree);
            if is_held(&path)? {
                paths.push(path);
            }
        }
        let granted = self.waiting.iter().filter(|job| job.granted);
        paths.extend(granted.map(|job| store.lock_path(&job.id)));
        Ok(paths)
    }
}

/// Grants the turns that can be granted now. Only for who holds the lock of the queue.
pub(super) fn grant_all(
    store: &Store,
    mut granted: impl FnMut(&JobId),
) -> Result<Look, StoreError> {
    loop {
        let look = Look::at(store)?;
        let Some(next) = look.next(store)? else {
            return Ok(look);
        };
        // One that died while it waited has no turn; nobody looked at it until now.
        if recovery::settle(store, &next)? {
            continue;
        }
        if store.grant(&next)? {
            granted(&next);
        }
    }
}

/// Something that may let a job begin.
enum Change {
    /// A job came, or began.
    Rung,
    /// Nobody holds this lock any more.
    Free(PathBuf),
}

/// Grants turns until this process ends: the place of the dispatcher goes with its lock. Returns when the store is gone, or
/// with a fault.
pub(super) fn run(store: &Store) -> Result<(), StoreError> {
    let path = store.named_lock(QUEUE_BELL);
    let bell = Bell::open(&path).map_err(|source| folder(&path, source))?;
    let (changes, changed) = mpsc::channel();
    let rung = changes.clone();
    std::thread::spawn(
        move || {
            while bell.wait().is_ok() && rung.send(Change::Rung).is_ok() {}
        },
    );
    let mut watched: HashSet<PathBuf> = HashSet::new();
    loop {
        let look = grant_all(store, |id| ring_job(store, id))?;
        for path in look.in_the_way(store)? {
            if watched.insert(path.clone()) {
                let freed = changes.clone();
                // A lock cannot be waited for together with others: a thread each, as many as there are slots and trees.
                std::thread::spawn(move || {
                    let _ = lock::wait_until_free(&path);
                    let _ = freed.send(Change::Free(path));
                });
            }
        }
        let mut change = changed.recv().ok();
        // All that changed meanwhile is one look.
        while let Some(now) = change {
            if let Change::Free(path) = now {
                watched.remove(&path);
            }
            change = changed.try_recv().ok();
        }
        // Deleted or moved aside: nobody who waits there gets a turn any more, and each finds that out as a runner.
        if !store.is_current() {
            return Ok(());
        }
    }
}

fn is_held(path: &std::path::Path) -> Result<bool, StoreError> {
    lock::is_held(path).map_err(|source| folder(path, source))
}
