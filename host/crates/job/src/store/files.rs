//! The files beside the database: a folder a job, the lock files, and the room that a job's end is sure of.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::database::Store;
use super::error::StoreError;
use crate::id::JobId;
use crate::lock;
use workspace::folder;

/// Folders of a job that nothing goes on from once it is over: neither a follow-up, which needs the agent's HOME, nor
/// `apply`. The last ones are caches in that HOME, which are made again.
const WORKING_MATERIAL: &[&str] = &[
    "base",
    "tmp",
    "checks",
    "before",
    "git",
    "snapshot",
    "pool",
    "home/.cargo",
    "home/.cache",
    "home/.npm",
    "home/go",
];

/// The bell of a job that waits for its turn.
const BELL: &str = "bell";

/// Room for `gc` on a disk that is full: the database cannot forget a job without writing.
const ROOM: &str = "room-for-gc";
const ROOM_BYTES: usize = 2 << 20;

/// Room for the end of a job, in its folder while it runs.
const RESERVE: &str = "reserve";
const RESERVED: usize = 128 << 10;

impl Store {
    /// The folder of the store.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of one job.
    pub fn job_folder(&self, id: &JobId) -> PathBuf {
        self.folder.join("jobs").join(id.as_str())
    }

    /// The lock file whose lock means that the job's runner lives.
    pub fn lock_path(&self, id: &JobId) -> PathBuf {
        self.job_folder(id).join("lock")
    }

    /// The bell of a job that waits for its turn.
    pub(crate) fn bell_path(&self, id: &JobId) -> PathBuf {
        self.job_folder(id).join(BELL)
    }

    /// The lock files of the slots behind MAX_RUNNING_JOBS.
    pub fn slot_path(&self, slot: usize) -> PathBuf {
        self.folder.join("slots").join(slot.to_string())
    }

    /// The lock file of something that only one job may have at a time, by the host's own name for it.
    pub fn named_lock(&self, name: &str) -> PathBuf {
        Self::lock_file(&self.folder, name)
    }

    /// The same, for who does not open the store at `folder` yet.
    pub(crate) fn lock_file(folder: &Path, name: &str) -> PathBuf {
        folder.join("slots").join(name)
    }

    /// Returns true if the job's runner lives.
    ///
    /// # Errors
    /// The lock file cannot be probed.
    pub fn is_live(&self, id: &JobId) -> Result<bool, StoreError> {
        let path = self.lock_path(id);
        lock::is_held(&path).map_err(|source| StoreError::Folder { path, source })
    }

    /// Takes room on the disk that the end of the job can be written into, should there be no other by then. Given back
    /// with the working material.
    pub fn reserve(&self, id: &JobId) {
        let path = self.job_folder(id).join(RESERVE);
        if let Err(fault) = fs::write(&path, vec![b'.'; RESERVED]) {
            tracing::warn!(%fault, path = %path.display(), "no room is kept for the end of the job");
        }
    }

    /// Keeps room for a `gc` on a disk that is full, where none is kept.
    pub(crate) fn keep_room(&self) {
        let path = self.folder.join(ROOM);
        let kept = fs::metadata(&path).is_ok_and(|there| there.len() == ROOM_BYTES as u64);
        if !kept && let Err(fault) = fs::write(&path, vec![b'.'; ROOM_BYTES]) {
            tracing::debug!(%fault, "no room is kept for gc");
            // Half of it would be in the way.
            let _ = fs::remove_file(&path);
        }
    }

    /// Gives that room back, for who is about to make more of it in the store at `folder`.
    pub fn give_room(folder: &Path) {
        let _ = fs::remove_file(folder.join(ROOM));
    }

    /// Returns true if the disk of the store has no room left to speak of.
    pub fn is_full(&self) -> bool {
        #[cfg(unix)]
        if let Ok(disk) = rustix::fs::statvfs(&self.folder) {
            return disk.f_bavail.saturating_mul(disk.f_frsize) < RESERVED as u64 / 2;
        }
        false
    }

    /// Deletes the working material of a job that is over: what nothing goes on from, neither a follow-up nor `apply`.
    pub fn drop_working_material(&self, id: &JobId) {
        for name in [RESERVE, BELL] {
            let _ = fs::remove_file(self.job_folder(id).join(name));
        }
        for name in WORKING_MATERIAL {
            let path = self.job_folder(id).join(name);
            match folder::remove(&path) {
                // The agent gave the name to something else.
                Err(fault) if fault.kind() != io::ErrorKind::NotADirectory => {
                    tracing::warn!(%fault, path = %path.display(), "working material was not deleted");
                }
                _ => {}
            }
        }
    }
}
