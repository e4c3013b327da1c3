//! The times of a tree's files, kept while it is small.
//!
//! Who has read a file and finds it younger than that look takes it for changed: Claude Code refuses to edit it, and make
//! builds it again. So a file that is made again has the time that it had.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use git2::Oid;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT};

use crate::contents::blob_id;
use crate::path::FilePath;
use crate::seal::is_rebuilt;

/// The file of the times, in the folder of the tree: a line each with nanoseconds since 1970, a space and the digest of a path
/// (a name may be a secret). The first has no digest: it is of every file that is not named.
const TIMES: &str = "times";

/// When files were last written.
#[derive(Debug)]
pub(crate) struct Times {
    /// Of the files of the base: the oldest time among them, which is that of the check-out.
    base: SystemTime,
    /// Of the files that the result changed, by the digests of their paths.
    changed: HashMap<Oid, SystemTime>,
}

impl Times {
    /// Looks at the files below `tree`, of which the result changed `changed`. Those that are `kept` as they are have no say.
    ///
    /// # Errors
    /// The tree cannot be read.
    pub(crate) fn of(tree: &Path, changed: &[FilePath], kept: &[PathBuf]) -> io::Result<Self> {
        let mut times = Self {
            base: SystemTime::now(),
            changed: HashMap::new(),
        };
        let changed: HashSet<&Path> = changed.iter().map(FilePath::as_path).collect();
        let kept: HashSet<&Path> = kept.iter().map(PathBuf::as_path).collect();
        each_file(tree, &mut |path, entry| {
            let written = entry.metadata()?.modified()?;
            match changed.contains(path) {
                true => drop(times.changed.insert(digest(path)?, written)),
                false if kept.contains(path) => {}
                false => times.base = times.base.min(written),
            }
            Ok(())
        })?;
        Ok(times)
    }

    /// Writes them beside the tree.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) fn save(&self, folder: &Path) -> io::Result<()> {
        let since = |time: SystemTime| {
            let since = time.duration_since(SystemTime::UNIX_EPOCH);
            since.unwrap_or_default().as_nanos()
        };
        let mut bytes = format!("{} \n", since(self.base));
        for (path, time) in &self.changed {
            bytes.push_str(&format!("{} {path}\n", since(*time)));
        }
        fs::write(folder.join(TIMES), bytes)
    }

    /// Reads them; none where the tree became small before they were kept, or the file cannot be read.
    pub(crate) fn load(folder: &Path) -> Option<Self> {
        let text = fs::read_to_string(folder.join(TIMES)).ok()?;
        let mut lines = text.lines().filter_map(|line| {
            let (since, path) = line.split_once(' ')?;
            let since = Duration::from_nanos(since.parse().ok()?);
            Some((path, SystemTime::UNIX_EPOCH.checked_add(since)?))
        });
        let (_, base) = lines.next().filter(|(path, _)| path.is_empty())?;
        let changed = lines.filter_map(|(path, time)| Some((Oid::from_str(path).ok()?, time)));
        Some(Self {
            base,
            changed: changed.collect(),
        })
    }

    /// Gives the files below `tree` these times.
    ///
    /// # Errors
    /// The tree cannot be read, or a time not be set.
    pub(crate) fn set(&self, tree: &Path) -> io::Result<()> {
        each_file(tree, &mut |path, entry| {
            let time = self.changed.get(&digest(path)?).unwrap_or(&self.base);
            set(&entry.path(), *time)
        })
    }
}

fn digest(path: &Path) -> io::Result<Oid> {
    blob_id(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

/// Gives a file, or a link itself, the time of its last change.
pub(crate) fn set(path: &Path, time: SystemTime) -> io::Result<()> {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let last_modification = Timespec {
        tv_sec: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: since.subsec_nanos().into(),
    };
    let last_access = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_OMIT,
    };
    let times = Timestamps {
        last_access,
        last_modification,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

/// Calls for each file and link below `tree`, with its path relative to it. What is git's own is not looked at, nor what
/// tools make again.
fn each_file(
    tree: &Path,
    visit: &mut dyn FnMut(&Path, &fs::DirEntry) -> io::Result<()>,
) -> io::Result<()> {
    let mut pending = vec![PathBuf::new()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(tree.join(&dir))? {
            let entry = entry?;
            let path = dir.join(entry.file_name());
            if entry.file_name() == ".git" || is_rebuilt(path.as_os_str().as_bytes()) {
                continue;
            }
            let kind = entry.file_type()?;
            if kind.is_dir() {
                pending.push(path);
            } else if kind.is_file() || kind.is_symlink() {
                visit(&path, &entry)?;
            }
        }
    }
    Ok(())
}
