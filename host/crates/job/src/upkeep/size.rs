//! The room that a job's folder takes on the disk.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::UpkeepError;
use crate::id::JobId;
use crate::store::{JobRow, Store};

/// Blocks on the disk, in bytes, and inodes. Not lengths: a small file takes a whole block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// The bytes of its blocks.
    pub bytes: u64,
    /// The number of files and folders.
    pub inodes: u64,
}

/// The bytes that `st_blocks` counts in.
const BLOCK: u64 = 512;

impl Size {
    /// Measures a file, or a folder with all that is in it; links are not followed. A file with several names (a pack that
    /// the user's repository has too) counts by its part in them.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn of(path: &Path) -> io::Result<Self> {
        let mut size = Self::default();
        let mut seen = HashSet::new();
        let mut pending: Vec<PathBuf> = vec![path.to_owned()];
        while let Some(path) = pending.pop() {
            let found = match path.symlink_metadata() {
                // Somebody deletes it just now.
                Err(fault) if fault.kind() == io::ErrorKind::NotFound => continue,
                found => found?,
            };
            let names = if found.is_dir() {
                1
            } else {
                found.nlink().max(1)
            };
            if names > 1 && !seen.insert((found.dev(), found.ino())) {
                continue;
            }
            size.bytes += found.blocks() * BLOCK / names;
            size.inodes += u64::from(names == 1);
            if found.is_dir() {
                match fs::read_dir(&path) {
                    Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
                    entries => {
                        for entry in entries? {
                            pending.push(entry?.path());
                        }
                    }
                }
            }
        }
        Ok(size)
    }
}

impl std::ops::AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.inodes = self.inodes.saturating_add(other.inodes);
    }
}

impl std::iter::Sum for Size {
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        let mut all = Self::default();
        for size in sizes {
            all += size;
        }
        all
    }
}

impl Store {
    /// The room that a job which is over takes, its attempts among it; measured once.
    ///
    /// # Errors
    /// The database fails, or its folder cannot be read.
    pub fn size_of(&self, job: &JobRow) -> Result<Size, UpkeepError> {
        if let Some(size) = self.known_size(&job.id)? {
            return Ok(size);
        }
        let size = self.measure(job)?;
        if job.state.is_terminal() {
            self.record_sizes(&[(job.id.clone(), size)])?;
        }
        Ok(size)
    }

    fn measure(&self, job: &JobRow) -> Result<Size, UpkeepError> {
        let mut size = Size::default();
        for id in std::iter::once(job.id.clone()).chain(self.attempt_ids(&job.id)?) {
            let path = self.job_folder(&id);
            size += Size::of(&path).map_err(|source| UpkeepError::Record { path, source })?;
        }
        Ok(size)
    }
}

/// The sizes that are noted at a time.
const NOTED_AT_ONCE: usize = 500;

/// The sizes of many jobs, measured where they are not known, and noted many at a time.
///
/// A write for each would leave other processes so little of the database that their own writes fail: with the 100,000 jobs of
/// an earlier version, of which no size is known, one look of retention had running jobs end as `store`.
#[derive(Debug)]
pub struct Sizes<'a> {
    store: &'a Store,
    unnoted: Vec<(JobId, Size)>,
}

impl<'a> Sizes<'a> {
    /// Of the jobs of a store.
    pub fn of(store: &'a Store) -> Self {
        Self {
            store,
            unnoted: Vec::new(),
        }
    }

    /// The room that a job which is over takes, as [`Store::size_of`].
    ///
    /// # Errors
    /// As [`Store::size_of`].
    pub fn get(&mut self, job: &JobRow) -> Result<Size, UpkeepError> {
        if let Some(size) = self.store.known_size(&job.id)? {
            return Ok(size);
        }
        let size = self.store.measure(job)?;
        if job.state.is_terminal() {
            self.unnoted.push((job.id.clone(), size));
        }
        if self.unnoted.len() >= NOTED_AT_ONCE {
            self.note()?;
        }
        Ok(size)
    }

    /// Notes what was measured and is not noted yet.
    ///
    /// # Errors
    /// The database fails.
    pub fn note(&mut self) -> Result<(), UpkeepError> {
        self.store.record_sizes(&self.unnoted)?;
        self.unnoted.clear();
        Ok(())
    }
}
