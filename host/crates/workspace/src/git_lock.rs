//! Files of the user's git directory, replaced under git's own locks (`NAME.lock`) in one step each.
//!
//! A lock that outlives its process keeps git from working, so each is noted in the job's folder before it is taken, with
//! the identity and the content of the file that becomes it. Whoever ends the job of a runner that was killed removes what
//! is still there: a file of that identity and content is nobody else's. The identity alone does not say so, since a file
//! system gives the number of a removed file to the next one.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// The note, in the job's folder.
const NOTE: &str = "git-locks.json";

/// The locks of one job.
#[derive(Debug)]
pub(crate) struct Locks {
    note: PathBuf,
    noted: Vec<Noted>,
    /// User and group, where they are not this process's.
    owner: Option<(u32, u32)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Noted {
    draft: PathBuf,
    lock: PathBuf,
    /// Device and inode; none before the draft is there.
    identity: Option<(u64, u64)>,
    /// The object id that the content would have as a blob.
    content: String,
}

fn blob_id(content: &[u8]) -> io::Result<String> {
    let id = git2::Oid::hash_object(git2::ObjectType::Blob, content);
    id.map(|id| id.to_string()).map_err(io::Error::other)
}

/// Returns true if the lock is the one that was noted. One that is still empty was not written yet.
fn is_the_noted(noted: &Noted) -> bool {
    let there = noted.lock.symlink_metadata().ok();
    let there = there.filter(fs::Metadata::is_file);
    if noted.identity.is_none() || there.map(|it| (it.dev(), it.ino())) != noted.identity {
        return false;
    }
    let content = fs::read(&noted.lock).unwrap_or_default();
    content.is_empty() || blob_id(&content).is_ok_and(|id| id == noted.content)
}

/// A lock that is held. Dropping it lets go and changes nothing.
#[derive(Debug)]
pub(crate) struct Locked {
    target: PathBuf,
    lock: PathBuf,
    held: bool,
}

impl Locks {
    /// Locks of a job on the git directory `common`, noted in the job's `folder`.
    pub(crate) fn new(folder: &Path, common: &Path) -> Self {
        let owner = common.metadata().ok().map(|it| (it.uid(), it.gid()));
        let root = rustix::process::geteuid().is_root();
        Self {
            note: folder.join(NOTE),
            noted: Vec::new(),
            owner: owner.filter(|(user, _)| root && *user != 0),
        }
    }

    /// Gives a file that was made here to whom the repository belongs.
    pub(crate) fn give(&self, path: &Path) {
        if let Some((user, group)) = self.owner {
            // A file of root's is still better than none.
            let _ = std::os::unix::fs::lchown(path, Some(user), Some(group));
        }
    }

    /// Makes the folders of a path that are missing, below `top`.
    pub(crate) fn make_folders(&self, top: &Path, path: &Path) -> io::Result<()> {
        let mut missing: Vec<&Path> = path
            .ancestors()
            .take_while(|folder| *folder != top && !folder.exists())
            .collect();
        while let Some(folder) = missing.pop() {
            match fs::create_dir(folder) {
                Ok(()) => self.give(folder),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes git's lock on `target`, and writes into it what is to replace that.
    ///
    /// # Errors
    /// Another process holds it, or the disk refuses.
    pub(crate) fn take(&mut self, target: &Path, content: &[u8]) -> io::Result<Locked> {
        let beside = |name: &str| -> io::Result<PathBuf> {
            let mut file = target
                .file_name()
                .ok_or(io::ErrorKind::InvalidInput)?
                .to_owned();
            file.push(name);
            Ok(target.with_file_name(file))
        };
        let lock = beside(".lock")?;
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        // Such a name is no ref's: git takes none that ends so.
        let draft = beside(&format!(".worker-{}-{serial}.lock", std::process::id()))?;
        self.noted.push(Noted {
            draft: draft.clone(),
            lock: lock.clone(),
            identity: None,
            content: blob_id(content)?,
        });
        self.write_note()?;
        let made = self.write_draft(&draft, target, content);
        let taken = made.and_then(|identity| {
            if let Some(noted) = self.noted.last_mut() {
                noted.identity = Some(identity);
            }
            self.write_note()?;
            // Fails where the lock is there, as `O_EXCL` does.
            fs::hard_link(&draft, &lock)
        });
        let removed = fs::remove_file(&draft);
        match taken {
            Ok(()) => removed?,
            Err(error) if is_without_links(&error) => {
                let mut file = fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .open(&lock)?;
                let found = file.metadata()?;
                if let Some(noted) = self.noted.last_mut() {
                    noted.identity = Some((found.dev(), found.ino()));
                }
                self.write_note()?;
                file.write_all(content)?;
                self.give(&lock);
            }
            Err(error) => return Err(error),
        }
        Ok(Locked {
            target: target.to_path_buf(),
            lock,
            held: true,
        })
    }

    fn write_draft(&self, draft: &Path, target: &Path, content: &[u8]) -> io::Result<(u64, u64)> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(draft)?;
        file.write_all(content)?;
        if let Ok(found) = target.symlink_metadata()
            && found.is_file()
        {
            fs::set_permissions(draft, fs::Permissions::from_mode(found.mode() & 0o7777))?;
        }
        file.sync_all()?;
        self.give(draft);
        let found = file.metadata()?;
        Ok((found.dev(), found.ino()))
    }

    fn write_note(&self) -> io::Result<()> {
        let text = serde_json::to_vec(&self.noted).map_err(io::Error::other)?;
        let draft = self.note.with_extension("draft");
        fs::write(&draft, text)?;
        fs::rename(draft, &self.note)
    }

    /// Forgets the locks: none is held any more.
    pub(crate) fn forget(self) {
        let _ = fs::remove_file(&self.note);
    }
}

/// File systems without hard links.
fn is_without_links(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        Errno::from_io_error(error),
        Some(Errno::PERM | Errno::NOTSUP | Errno::NOSYS | Errno::MLINK)
    )
}

impl Locked {
    /// Puts what was written in the place of the file, which lets go of the lock.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) fn replace(mut self) -> io::Result<()> {
        fs::rename(&self.lock, &self.target)?;
        self.held = false;
        Ok(())
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        if self.held {
            let _ = fs::remove_file(&self.lock);
        }
    }
}

/// Removes the locks that the runner of a job left in the user's git directory when it was killed. `folder` is the job's.
pub fn release_git_locks(folder: &Path) {
    let note = folder.join(NOTE);
    let Ok(text) = fs::read(&note) else {
        return;
    };
    let noted: Vec<Noted> = serde_json::from_slice(&text).unwrap_or_default();
    for noted in noted {
        let _ = fs::remove_file(&noted.draft);
        if is_the_noted(&noted) {
            let _ = fs::remove_file(&noted.lock);
        }
    }
    let _ = fs::remove_file(note);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_lock_is_gits_own_and_a_dead_runners_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (job, git) = (folder.path().join("job"), folder.path().join("git"));
        fs::create_dir_all(&job).unwrap();
        fs::create_dir_all(git.join("refs/heads")).unwrap();
        let target = git.join("refs/heads/main");
        fs::write(&target, "old\n").unwrap();
        let names = || {
            let entries = fs::read_dir(target.parent().unwrap()).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };

        let mut locks = Locks::new(&job, &git);
        let held = locks.take(&target, b"new\n").unwrap();
        assert_eq!(names(), ["main", "main.lock"]);
        let refused = Locks::new(&job, &git)
            .take(&target, b"other\n")
            .unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        held.replace().unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "new\n");
        drop(locks.take(&target, b"never\n").unwrap());
        assert_eq!(names(), ["main"]);

        // Killed while it held one.
        std::mem::forget(locks.take(&target, b"late\n").unwrap());
        assert_eq!(names(), ["main", "main.lock"]);
        release_git_locks(&job);
        assert_eq!(names(), ["main"]);
        // Somebody else's stays.
        std::mem::forget(locks.take(&target, b"late\n").unwrap());
        fs::remove_file(git.join("refs/heads/main.lock")).unwrap();
        fs::write(git.join("refs/heads/taken"), "").unwrap();
        fs::write(git.join("refs/heads/main.lock"), "a user's").unwrap();
        release_git_locks(&job);
        assert_eq!(names(), ["main", "main.lock", "taken"]);
        assert_eq!(fs::read_to_string(&target).unwrap(), "new\n");
    }
}
