//! Waking a process that sleeps: a FIFO that its owner holds open.
//!
//! Not a signal: a FIFO keeps a ring that came while its owner was between two programs (`exec`), it
//! needs no pid (D2), and its name says whose it is.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

/// The owner's end. Rings are kept as long as it, or a handle that was made of it, is open.
#[derive(Debug)]
pub(crate) struct Bell {
    fifo: OwnedFd,
}

impl Bell {
    /// Makes the FIFO where there is none, and opens it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mode = Mode::RUSR | Mode::WUSR;
        match rustix::fs::mknodat(CWD, path, FileType::Fifo, mode, 0) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(fault) => return Err(fault.into()),
        }
        // For writing too: it never reads an end when the last one that rang has closed it.
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fifo = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self { fifo })
    }

    /// The owner's end, inherited.
    pub(super) fn inherited(fifo: OwnedFd) -> Self {
        Self { fifo }
    }

    /// Rings, if somebody holds the bell. A bell that is full has been rung.
    pub(super) fn ring(path: &Path) {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let Ok(fifo) = rustix::fs::open(path, flags, Mode::empty()) else {
            return;
        };
        let _ = rustix::io::write(&fifo, b"!");
    }

    /// Returns true if somebody holds it.
    pub(super) fn has_owner(path: &Path) -> bool {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        rustix::fs::open(path, flags, Mode::empty()).is_ok()
    }

    /// Sleeps until it rings; forgets all rings so far.
    pub(super) fn wait(&self) -> io::Result<()> {
        use rustix::event::{PollFd, PollFlags, poll};
        loop {
            let mut rung = [PollFd::new(&self.fifo, PollFlags::IN)];
            match poll(&mut rung, None) {
                Err(Errno::INTR) => {}
                Err(fault) => return Err(fault.into()),
                Ok(_) => {
                    self.forget()?;
                    return Ok(());
                }
            }
        }
    }

    fn forget(&self) -> io::Result<()> {
        let mut rings = [0; 512];
        loop {
            match rustix::io::read(&self.fifo, &mut rings) {
                Ok(read) if read == rings.len() => {}
                Ok(_) | Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(fault) => return Err(fault.into()),
            }
        }
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fifo.as_fd()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_ring_is_kept_until_its_owner_looks_and_lost_where_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bell");
        Bell::ring(&path);
        assert!(!Bell::has_owner(&path), "no bell, no owner");
        let bell = Bell::open(&path).unwrap();
        for _ in 0..100_000 {
            Bell::ring(&path);
        }
        bell.wait().unwrap();
        // What it forgot was every ring so far: the next one is heard by itself.
        let heir = Bell::inherited(bell.as_fd().try_clone_to_owned().unwrap());
        drop(bell);
        assert!(Bell::has_owner(&path));
        Bell::ring(&path);
        heir.wait().unwrap();
        drop(heir);
        assert!(
            !Bell::has_owner(&path),
            "the FIFO is there, its owner is not"
        );
    }
}
