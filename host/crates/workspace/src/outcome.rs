//! The result of a set-up in an isolated tree (dependencies, build output: files that the rules ignore), kept for the next one.
//!
//! Tools write the tree's own path into what they make: a virtual environment into its scripts, a native build into its
//! makefiles, an editable install into a link to the sources. The trees of one store have paths of one length, since a job's
//! id has one, so in the copy the path is replaced where it stands, in binary files too: no offset moves. A path of another
//! length (the store was moved) makes the copy unusable, and the set-up runs again.

use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, CString, OsStr};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use memchr::memmem;
use rustix::fs::{Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::error::WorkspaceError;
use crate::handles::{self, Kind, Stamp};
use crate::interrupt::Interrupt;
use crate::isolated::Isolated;
use crate::path::{self, FilePath};
use crate::put::Placer;
use crate::repository::{self, Repository, UserRules};
use crate::site::Site;
use crate::walk::{Listed, Visited, walk};
use crate::worker::{self, Worker};

/// In a kept outcome: the files.
const FILES: &str = "files";
/// In a kept outcome: what is known about them.
const MANIFEST: &str = "manifest.json";
/// The most bytes of a file that are in memory at once.
const CHUNK: usize = 1 << 20;

/// The ignored files of a tree at one moment.
#[derive(Debug)]
pub struct Hidden(HashMap<Vec<u8>, Stamp>);

/// The outcome of a set-up that is kept, or the reason why it is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is kept.
    Kept {
        /// Files and links.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// A copy would not be what was made: why, in a few words.
    NotKept(String),
}

/// The record of the files of a kept outcome.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Manifest {
    /// The path of the tree that they were made in.
    tree: Vec<u8>,
    /// The files and links that hold it, relative to the top.
    naming: HashSet<Vec<u8>>,
    files: u64,
}

impl Isolated {
    /// Returns the ignored files that are in the tree now.
    ///
    /// # Errors
    /// When the tree cannot be walked.
    pub fn hidden(&self, stop: &Interrupt) -> Result<Hidden, WorkspaceError> {
        let found = Mutex::new(HashMap::new());
        self.walk_hidden(stop, &|_, file| {
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, stamp)) = file.entry {
                found.insert(file.path, stamp);
            }
            Ok(())
        })?;
        Ok(Hidden(
            found.into_inner().unwrap_or_else(PoisonError::into_inner),
        ))
    }

    /// Copies the ignored files that were made since `before` into the folder `place`, which must be empty or missing.
    /// Nothing is kept where a copy would not do the same: a nested repository, a special file, a file that names `home`
    /// (which is not there for the next tree), or more than `most` bytes.
    ///
    /// # Errors
    /// When the tree cannot be read, or the copy cannot be written.
    pub fn keep_outcome(
        &self,
        before: &Hidden,
        place: &Path,
        home: &Path,
        most: u64,
        stop: &Interrupt,
    ) -> Result<Outcome, WorkspaceError> {
        let files = place.join(FILES);
        let failed = |path: &Path, source| WorkspaceError::Io {
            action: "write",
            path: path.to_path_buf(),
            source,
        };
        fs::create_dir_all(&files).map_err(|error| failed(&files, error))?;
        let into = handles::open_dir(&files).map_err(|error| failed(&files, error))?;
        let tree = self.workspace().top().as_os_str().as_bytes();
        let keep = Keep {
            into: Placer::new(into.as_fd()),
            tree: memmem::Finder::new(tree),
            home: memmem::Finder::new(home.as_os_str().as_bytes()),
            naming: Mutex::default(),
            count: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            most,
            why_not: Mutex::default(),
        };
        self.walk_hidden(stop, &|dir, file| {
            let Some((name, stamp)) = &file.entry else {
                if keep.is_going_on() {
                    keep.into
                        .make_dir(&file.path)
                        .map_err(|error| failed(&files, error))?;
                }
                return Ok(());
            };
            match before.0.get(&file.path) {
                Some(was) if was.same(stamp) => Ok(()),
                Some(_) => {
                    keep.give_up(&file.path, "was there before and changed");
                    Ok(())
                }
                None if !keep.is_going_on() => Ok(()),
                None => keep
                    .copy(dir, name, &file.path, stamp)
                    .map_err(|error| failed(&files, error)),
            }
        })?;
        for path in before.0.keys() {
            let gone = fs::symlink_metadata(
                self.workspace()
                    .top()
                    .join(FilePath::new(path.as_slice()).as_path()),
            );
            if gone.is_err() {
                keep.give_up(path, "was there before and is gone");
            }
        }
        let why_not = keep.why_not.into_inner();
        if let Some(why) = why_not.unwrap_or_else(PoisonError::into_inner) {
            return Ok(Outcome::NotKept(why));
        }
        let (count, bytes) = (keep.count.into_inner(), keep.bytes.into_inner());
        let naming = keep.naming.into_inner();
        let manifest = Manifest {
            tree: tree.to_vec(),
            naming: naming.unwrap_or_else(PoisonError::into_inner),
            files: count,
        };
        let path = place.join(MANIFEST);
        fs::write(&path, serde_json::to_vec(&manifest).unwrap_or_default())
            .map_err(|error| failed(&path, error))?;
        Ok(Outcome::Kept {
            files: count,
            bytes,
        })
    }

    /// Copies a kept outcome into the tree. Files that are there already stay. Returns how many files it has; none where
    /// there is no outcome that fits this tree.
    ///
    /// # Errors
    /// When the copy cannot be read, or the tree cannot be written.
    pub fn lay_outcome(
        &self,
        place: &Path,
        stop: &Interrupt,
    ) -> Result<Option<u64>, WorkspaceError> {
        let Ok(text) = fs::read(place.join(MANIFEST)) else {
            return Ok(None);
        };
        let Ok(manifest) = serde_json::from_slice::<Manifest>(&text) else {
            return Ok(None);
        };
        let tree = self.workspace().top().as_os_str().as_bytes();
        if !manifest.naming.is_empty() && manifest.tree.len() != tree.len() {
            return Ok(None);
        }
        let files = place.join(FILES);
        let failed = |source| WorkspaceError::Io {
            action: "copy into the tree",
            path: files.clone(),
            source,
        };
        let from = handles::open_dir(&files).map_err(failed)?;
        let into = Placer::new(self.workspace().handle());
        let replaced = |bytes: Vec<u8>| renamed(bytes, &manifest.tree, tree);
        walk(
            from,
            (),
            worker::threads(),
            Worker::new,
            |worker, here, ()| {
                let dir = here.dir.map_err(failed)?;
                let names = Listed::read(dir, &mut worker.buffer).map_err(failed)?;
                let target = into.open_dir(here.path).map_err(failed)?;
                let mut next = Vec::new();
                for (_, name) in names.sorted() {
                    stop.check()?;
                    let Some(stamp) = handles::stamp_at(dir, name).map_err(failed)? else {
                        continue;
                    };
                    let naming = manifest
                        .naming
                        .contains(&path::join(here.path, name.to_bytes()));
                    match stamp.kind() {
                        Kind::Directory => next.push((CString::from(name), ())),
                        Kind::Special => {}
                        _ => lay(
                            dir,
                            target.as_fd(),
                            name,
                            &stamp,
                            naming.then_some(&replaced),
                        )
                        .map_err(failed)?,
                    }
                }
                Ok::<_, WorkspaceError>(Visited { result: (), next })
            },
        )?;
        Ok(Some(manifest.files))
    }

    /// Visits every ignored file, and every ignored directory before what is in it.
    fn walk_hidden(
        &self,
        stop: &Interrupt,
        visit: &(impl Fn(BorrowedFd<'_>, HiddenFile<'_>) -> Result<(), WorkspaceError> + Sync),
    ) -> Result<(), WorkspaceError> {
        let workspace = self.workspace();
        let rules = UserRules::load();
        let own = repository::git_dir_of(workspace.root(), workspace.handle(), workspace.top())?;
        let Some(own) = own else {
            return Ok(());
        };
        let site = Site::of(Arc::new(Repository::read(Vec::new(), own, &rules)));
        walk(
            workspace.open_top()?,
            Some(site),
            worker::threads(),
            Worker::new,
            |worker, here, site: Option<Site>| {
                let dir = here.dir.map_err(|source| WorkspaceError::Io {
                    action: "list",
                    path: workspace.top().join(FilePath::new(here.path).as_path()),
                    source,
                })?;
                let names =
                    Listed::read(dir, &mut worker.buffer).map_err(|source| WorkspaceError::Io {
                        action: "list",
                        path: workspace.top().join(FilePath::new(here.path).as_path()),
                        source,
                    })?;
                let mut site = site;
                if site.is_none() {
                    visit(
                        dir,
                        HiddenFile {
                            path: here.path.to_vec(),
                            entry: None,
                        },
                    )?;
                } else if !here.path.is_empty() && names.has(b".git") {
                    let place = workspace.top().join(FilePath::new(here.path).as_path());
                    let nested = repository::git_dir_of(workspace.root(), dir, &place);
                    if let Ok(Some(nested)) = nested {
                        let nested = Repository::read(here.path.to_vec(), nested, &rules);
                        site = Some(Site::of(Arc::new(nested)));
                    }
                }
                if let Some(site) = &mut site {
                    site.enter(dir, here.path, &names);
                }
                let mut next = Vec::new();
                for (_, name) in names.sorted() {
                    stop.check()?;
                    let bytes = name.to_bytes();
                    if bytes == b".git" && site.is_some() {
                        continue;
                    }
                    let Ok(Some(stamp)) = handles::stamp_at(dir, name) else {
                        continue;
                    };
                    if stamp.kind() == Kind::Directory {
                        let site = site.as_ref().and_then(|site| site.child(here.path, bytes));
                        next.push((CString::from(name), site));
                        continue;
                    }
                    let ignored = site
                        .as_ref()
                        .is_none_or(|site| site.ignores_file(here.path, bytes));
                    if ignored {
                        let path = path::join(here.path, bytes);
                        let entry = Some((name, stamp));
                        visit(dir, HiddenFile { path, entry })?;
                    }
                }
                Ok::<_, WorkspaceError>(Visited { result: (), next })
            },
        )?;
        Ok(())
    }
}

/// An ignored file of a tree, or an ignored directory.
struct HiddenFile<'a> {
    path: Vec<u8>,
    /// None for a directory.
    entry: Option<(&'a CStr, Stamp)>,
}

struct Keep<'a> {
    into: Placer<'a>,
    tree: memmem::Finder<'a>,
    home: memmem::Finder<'a>,
    naming: Mutex<HashSet<Vec<u8>>>,
    count: AtomicU64,
    bytes: AtomicU64,
    most: u64,
    why_not: Mutex<Option<String>>,
}

impl Keep<'_> {
    fn is_going_on(&self) -> bool {
        let why_not = self.why_not.lock().unwrap_or_else(PoisonError::into_inner);
        why_not.is_none()
    }

    fn give_up(&self, path: &[u8], why: &str) {
        let mut why_not = self.why_not.lock().unwrap_or_else(PoisonError::into_inner);
        why_not.get_or_insert_with(|| format!("{} {why}", path::quoted(path)));
    }

    fn copy(&self, dir: BorrowedFd<'_>, name: &CStr, path: &[u8], stamp: &Stamp) -> io::Result<()> {
        if path.split(|byte| *byte == b'/').any(|part| part == b".git") {
            self.give_up(path, "belongs to a repository");
            return Ok(());
        }
        if stamp.kind() == Kind::Special {
            self.give_up(path, "is no plain file");
            return Ok(());
        }
        let total = self.bytes.fetch_add(stamp.size, Ordering::Relaxed) + stamp.size;
        if total > self.most {
            self.give_up(
                path,
                &format!("and the rest are more than {} bytes", self.most),
            );
            return Ok(());
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        let (parent, _) = path::split(path);
        let into = self.into.open_dir(parent)?;
        if stamp.kind() == Kind::Symlink {
            let target = handles::link_target(dir, name)?;
            self.look(path, &target);
            return Ok(rustix::fs::symlinkat(
                OsStr::from_bytes(&target),
                &into,
                name,
            )?);
        }
        let mut from = open_file(dir, name)?;
        let mut file = create(into.as_fd(), name)?;
        // Each look covers the end of the one before: a path may lie across.
        let overlap = self.tree.needle().len().max(self.home.needle().len());
        let mut buffer = vec![0; CHUNK + overlap];
        let mut held = 0;
        loop {
            let room = buffer.get_mut(held..).unwrap_or_default();
            let read = from.read(room)?;
            if read == 0 {
                break;
            }
            let (before, whole) = (held, held + read);
            self.look(path, buffer.get(..whole).unwrap_or_default());
            file.write_all(buffer.get(before..whole).unwrap_or_default())?;
            held = whole.min(overlap);
            buffer.copy_within(whole - held..whole, 0);
        }
        finish(&file, stamp)
    }

    fn look(&self, path: &[u8], bytes: &[u8]) {
        if self.home.find(bytes).is_some() {
            self.give_up(
                path,
                "names the HOME of the set-up, which goes with its job",
            );
        }
        if self.tree.find(bytes).is_some() {
            let mut naming = self.naming.lock().unwrap_or_else(PoisonError::into_inner);
            naming.insert(path.to_vec());
        }
    }
}

/// Copies one file or link of a kept outcome.
fn lay(
    from: BorrowedFd<'_>,
    into: BorrowedFd<'_>,
    name: &CStr,
    stamp: &Stamp,
    replaced: Option<&impl Fn(Vec<u8>) -> Vec<u8>>,
) -> io::Result<()> {
    let there = |error: &io::Error| error.kind() == io::ErrorKind::AlreadyExists;
    if stamp.kind() == Kind::Symlink {
        let target = handles::link_target(from, name)?;
        let target = match replaced {
            Some(replaced) => replaced(target),
            None => target,
        };
        return match rustix::fs::symlinkat(OsStr::from_bytes(&target), into, name) {
            Err(Errno::EXIST) => Ok(()),
            made => Ok(made?),
        };
    }
    let mut source = open_file(from, name)?;
    let mut file = match create(into, name) {
        Err(error) if there(&error) => return Ok(()),
        made => made?,
    };
    match replaced {
        Some(replaced) => {
            let mut bytes = Vec::new();
            source.read_to_end(&mut bytes)?;
            file.write_all(&replaced(bytes))?;
        }
        None => {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            let shared = rustix::fs::ioctl_ficlone(&file, &source).is_ok();
            #[cfg(not(any(target_os = "linux", target_os = "android")))]
            let shared = false;
            if !shared {
                io::copy(&mut source, &mut file)?;
            }
        }
    }
    finish(&file, stamp)
}

/// Replaces a path by another of the same length.
fn renamed(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    debug_assert_eq!(from.len(), to.len());
    let found: Vec<usize> = memmem::find_iter(&bytes, from).collect();
    for at in found {
        if let Some(place) = bytes.get_mut(at..at + from.len()) {
            place.copy_from_slice(to);
        }
    }
    bytes
}

fn open_file(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    Ok(File::from(file))
}

fn create(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(0o600);
    Ok(File::from(rustix::fs::openat(dir, name, flags, mode)?))
}

/// Gives a copy the permissions and the time of what it is a copy of: a compiled Python file holds the time of its source.
fn finish(file: &File, stamp: &Stamp) -> io::Result<()> {
    rustix::fs::fchmod(file, Mode::from_raw_mode(stamp.mode & 0o777))?;
    let time = Timespec {
        tv_sec: stamp.mtime.div_euclid(1_000_000_000),
        tv_nsec: stamp.mtime.rem_euclid(1_000_000_000) as _,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(rustix::fs::futimens(file, &times)?)
}
