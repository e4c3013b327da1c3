//! The times of a tree's files, kept while it is small.
//!
//! Who has read a file and finds it younger than that look takes it for changed: Claude Code refuses to edit it, and make
//! builds it again. So a file that is made again has the time that it had.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT};

use crate::path::FilePath;
use crate::seal::is_rebuilt;

/// The file of the times, in the folder of the tree: for each file its nanoseconds since 1970, a space, its path and a NUL. The
/// first has no path: it is of every file that is not named.
const TIMES: &str = "times";

/// When files were last written.
#[derive(Debug)]
pub(crate) struct Times {
    /// Of the files of the base: the oldest time among them, which is that of the check-out.
    base: SystemTime,
    /// Of the files that the result changed.
    changed: HashMap<PathBuf, SystemTime>,
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
                true => drop(times.changed.insert(path.to_path_buf(), written)),
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
        let mut bytes = Vec::new();
        let all = std::iter::once((Path::new(""), self.base));
        let changed = self.changed.iter();
        for (path, time) in all.chain(changed.map(|(path, time)| (path.as_path(), *time))) {
            let since = time.duration_since(SystemTime::UNIX_EPOCH);
            let since = since.unwrap_or_default().as_nanos();
            bytes.extend_from_slice(format!("{since} ").as_bytes());
            bytes.extend_from_slice(path.as_os_str().as_bytes());
            bytes.push(0);
        }
        fs::write(folder.join(TIMES), bytes)
    }

    /// Reads them; none where the tree became small before they were kept, or the file cannot be read.
    pub(crate) fn load(folder: &Path) -> Option<Self> {
        let bytes = fs::read(folder.join(TIMES)).ok()?;
        let mut lines = bytes.split(|byte| *byte == 0).filter_map(|line| {
            let at = line.iter().position(|byte| *byte == b' ')?;
            let (since, path) = line.split_at_checked(at)?;
            let since: u64 = std::str::from_utf8(since).ok()?.parse().ok()?;
            let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(since))?;
            Some((PathBuf::from(OsStr::from_bytes(path.get(1..)?)), time))
        });
        let (_, base) = lines
            .next()
            .filter(|(path, _)| path.as_os_str().is_empty())?;
        Some(Self {
            base,
            changed: lines.collect(),
        })
    }

    /// Gives the files below `tree` these times.
    ///
    /// # Errors
    /// The tree cannot be read, or a time not be set.
    pub(crate) fn set(&self, tree: &Path) -> io::Result<()> {
        each_file(tree, &mut |path, entry| {
            let time = self.changed.get(path).unwrap_or(&self.base);
            set(&entry.path(), *time)
        })
    }
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

/// Calls for each file and link below `tree`, with its path relative to it. What is git's own is not looked at, nor what tools make again.
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
