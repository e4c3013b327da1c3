//! The state of one thread of a walk, and the work that every walk does with a file.

use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use git2::Odb;

use crate::contents::{Contents, Limits};
use crate::error::WorkspaceError;
use crate::handles::{self, Bytes, Kind, Stamp};

/// Two threads are enough: the kernel's directory locks and the memory bus give no more on small machines, and a job's
/// host shares the machine with the job.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get().min(2))
}

/// The state of one thread of a walk.
pub(crate) struct Worker {
    pub(crate) buffer: Box<[MaybeUninit<u8>]>,
    odb: Option<Odb<'static>>,
}

impl Worker {
    pub(crate) fn new() -> Self {
        Self {
            buffer: vec![MaybeUninit::uninit(); 64 << 10].into_boxed_slice(),
            odb: None,
        }
    }

    pub(crate) fn odb(&mut self, contents: &Contents) -> Option<&Odb<'static>> {
        if self.odb.is_none() {
            self.odb = contents.open_odb().ok();
        }
        self.odb.as_ref()
    }
}

/// A file's bytes or a link's target, with the stamp they belong to; `None` when it cannot be read or is too long.
pub(crate) fn read(
    dir: BorrowedFd<'_>,
    name: &std::ffi::CStr,
    stamp: Stamp,
    limit: u64,
) -> Option<(Vec<u8>, Stamp)> {
    match stamp.kind() {
        Kind::Symlink => Some((handles::link_target(dir, name).ok()?, stamp)),
        Kind::File => match handles::read_at(dir, name, limit) {
            Ok(Bytes::Whole(bytes, stamp)) => Some((bytes, stamp)),
            _ => None,
        },
        Kind::Directory | Kind::Special => None,
    }
}

/// Ends a walk that meets too many files.
pub(crate) fn count(
    counter: &AtomicU64,
    more: usize,
    limits: &Limits,
) -> Result<(), WorkspaceError> {
    let seen = counter.fetch_add(more as u64, Ordering::Relaxed) + more as u64;
    if seen > limits.files {
        Err(WorkspaceError::TooManyFiles {
            limit: limits.files,
        })
    } else {
        Ok(())
    }
}
