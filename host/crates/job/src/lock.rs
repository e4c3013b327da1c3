//! Liveness is a lock, not a pid (D2).
//!
//! The front creates a job's lock file and takes the lock; the runner inherits the locked handle, so there is no moment
//! without an owner, and the kernel ends the lock with the last handle. Whoever wants to know whether a runner lives asks
//! for a shared lock.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// The exclusive hold on a lock file. Dropping the last handle (here or in a child that inherited it) ends it.
#[derive(Debug)]
pub struct LockGuard {
    file: File,
    /// The file, where it goes with the guard.
    path: Option<PathBuf>,
}

impl LockGuard {
    /// Creates the lock file and takes the lock.
    ///
    /// # Errors
    /// The file cannot be created, or somebody holds it already (`WouldBlock`).
    pub fn take(path: &Path) -> io::Result<Self> {
        Self::lock(path, FlockOperation::NonBlockingLockExclusive)
    }

    /// Takes the lock if nobody has it.
    ///
    /// # Errors
    /// The file cannot be created or locked for another reason than that it is held.
    pub fn try_take(path: &Path) -> io::Result<Option<Self>> {
        match Self::take(path) {
            Ok(guard) => Ok(Some(guard)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes the lock, blocking this thread until nobody else has it.
    ///
    /// # Errors
    /// The file cannot be created or locked.
    pub fn wait(path: &Path) -> io::Result<Self> {
        Self::lock(path, FlockOperation::LockExclusive)
    }

    fn lock(path: &Path, how: FlockOperation) -> io::Result<Self> {
        loop {
            let file = open(path)?;
            match flock(&file, how) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                // Whoever held it before may have taken the file away: then it locks nothing for others.
                Ok(()) if is_at(&file, path)? => return Ok(Self { file, path: None }),
                Ok(()) => {}
            }
        }
    }

    /// The same guard, with which the file goes too: for locks that are named after something, and would stay for ever.
    #[must_use]
    pub fn removed_at_the_end(mut self, path: &Path) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    /// The hold on a handle that was inherited already locked.
    pub fn inherited(file: File) -> Self {
        Self { file, path: None }
    }

    /// The locked handle, to be inherited by a runner.
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        // While it is still locked: a file that somebody else made and locked meanwhile stays.
        if let Some(path) = self.path.take()
            && is_at(&self.file, &path).unwrap_or(false)
        {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Returns true if the path still leads to this very file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let own = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(there) => Ok((own.dev(), own.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns true if somebody holds the lock. A missing file is a lock that nobody holds.
///
/// # Errors
/// The file cannot be opened or locked.
pub(super) fn is_held(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Blocks this thread until nobody holds the lock.
///
/// # Errors
/// The file cannot be opened or locked.
pub(super) fn wait_until_free(path: &Path) -> io::Result<()> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    loop {
        match flock(&file, FlockOperation::LockShared) {
            Err(Errno::INTR) => {}
            result => return result.map_err(io::Error::from),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = private::file();
    options.create(true).truncate(false).read(true).write(true);
    options.open(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_lock_is_held_until_its_last_handle_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert!(!is_held(&path).unwrap());

        let hold = LockGuard::take(&path).unwrap();
        let inherited = LockGuard::inherited(hold.file().try_clone().unwrap());
        assert!(is_held(&path).unwrap());
        assert!(LockGuard::try_take(&path).unwrap().is_none());

        drop(hold);
        assert!(is_held(&path).unwrap(), "the heir still holds it");
        drop(inherited);
        assert!(!is_held(&path).unwrap());
        wait_until_free(&path).unwrap();
    }

    #[test]
    fn a_named_lock_leaves_no_file_and_is_still_one_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tree-a");
        let first = LockGuard::take(&path).unwrap().removed_at_the_end(&path);
        let waiting = {
            let path = path.clone();
            std::thread::spawn(move || LockGuard::wait(&path).unwrap().removed_at_the_end(&path))
        };
        assert!(LockGuard::try_take(&path).unwrap().is_none());
        drop(first);
        let second = waiting.join().unwrap();
        assert!(
            LockGuard::try_take(&path).unwrap().is_none(),
            "the second holds a file that is gone"
        );
        drop(second);
        assert!(!path.exists());
    }
}
