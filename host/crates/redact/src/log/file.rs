//! A log file that several processes append to, and that is moved aside before it grows too large.
//!
//! Libraries rotate by the clock and by one process; here the total size is what must be bounded, whoever writes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A file of this size is moved aside.
const FILE_MAX: u64 = 4 << 20;
/// The number of files that are kept, the one that is written to included.
const KEPT: usize = 4;
/// The longest line; what is longer is cut.
const LINE_MAX: usize = 64 << 10;

/// An append-only log. Each line is one write, so lines of several processes do not tear each other.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file_max: u64,
    file: Mutex<Option<File>>,
}

impl LogFile {
    /// Opens the file; makes it, and its folder, for its owner only where they are not there.
    ///
    /// # Errors
    /// It cannot be opened for appending.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::with_limit(path, FILE_MAX)
    }

    fn with_limit(path: &Path, file_max: u64) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            private::make_folder(folder)?;
        }
        Ok(Self {
            path: path.to_owned(),
            file_max,
            file: Mutex::new(Some(append_to(path)?)),
        })
    }

    /// Appends one line, which ends with a line break.
    ///
    /// # Errors
    /// The disk does not take it. The next line is tried again.
    pub(super) fn append(&self, line: &str) -> io::Result<()> {
        let mut line = line.as_bytes();
        if line.len() > LINE_MAX {
            line = line.get(..LINE_MAX - 1).unwrap_or_default();
        }
        let mut slot = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let current = match slot.take() {
            Some(file) => self.current(file)?,
            None => append_to(&self.path)?,
        };
        let file = slot.insert(current);
        file.write_all(line)?;
        if !line.ends_with(b"\n") {
            file.write_all(b"\n")?;
        }
        Ok(())
    }

    /// The file to write to: this one, or a new one where this is full or was moved aside by another process.
    fn current(&self, file: File) -> io::Result<File> {
        let held = file.metadata()?;
        let moved = !fs::metadata(&self.path).is_ok_and(|named| same(&held, &named));
        if moved {
            return append_to(&self.path);
        }
        if held.len() < self.file_max {
            return Ok(file);
        }
        // One process moves the files; the others then find a new one.
        let _turn = Turn::take(&self.path)?;
        if fs::metadata(&self.path).is_ok_and(|named| same(&held, &named)) {
            for number in (1..KEPT - 1).rev() {
                let _ = fs::rename(aside(&self.path, number), aside(&self.path, number + 1));
            }
            fs::rename(&self.path, aside(&self.path, 1))?;
        }
        append_to(&self.path)
    }
}

/// The files that were moved aside, newest first, as far as they are there.
pub fn moved_aside(path: &Path) -> Vec<PathBuf> {
    let all = (1..KEPT).map(|number| aside(path, number));
    all.filter(|file| file.is_file()).collect()
}

/// `worker.log` as `worker.log.1`.
fn aside(path: &Path, number: usize) -> PathBuf {
    with_suffix(path, &number.to_string())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// The right to move files, given back when it is dropped.
struct Turn(#[allow(dead_code, reason = "held, not read")] File);

impl Turn {
    fn take(path: &Path) -> io::Result<Self> {
        let file = append_to(&with_suffix(path, "lock"))?;
        #[cfg(unix)]
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)?;
        Ok(Self(file))
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    let mut options = private::file();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        // A FIFO without a reader must not hold the program up.
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    }
    options.open(path)
}

#[cfg(unix)]
fn same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn same(_: &fs::Metadata, _: &fs::Metadata) -> bool {
    true
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    /// Two handles in one process stand for two processes: they share nothing but the file's name.
    #[test]
    fn several_writers_stay_within_the_bound_and_tear_no_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/worker.log");
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let path = &path;
                scope.spawn(move || {
                    let log = LogFile::with_limit(path, 20_000).unwrap();
                    for n in 0..400 {
                        log.append(&format!("{writer} {n} {}\n", "x".repeat(100)))
                            .unwrap();
                    }
                });
            }
        });
        let files = [vec![path.clone()], moved_aside(&path)].concat();
        assert_eq!(files.len(), KEPT, "older ones are gone");
        let mut newest = 0;
        for file in &files {
            let text = fs::read_to_string(file).unwrap();
            assert!(text.len() < 21_000, "{}", text.len());
            for line in text.lines() {
                assert!(
                    line.ends_with(&"x".repeat(100)) && line.len() < 110,
                    "{line}"
                );
                newest = newest.max(line.split(' ').nth(1).unwrap().parse::<usize>().unwrap());
            }
        }
        assert_eq!(newest, 399, "the newest lines are kept");
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/worker.log");
        let log = LogFile::with_limit(&path, 10).unwrap();
        for _ in 0..5 {
            log.append("a line of the log\n").unwrap();
        }
        for entry in fs::read_dir(path.parent().unwrap()).unwrap().flatten() {
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}", entry.path().display());
        }
    }

    #[test]
    fn a_file_that_somebody_deletes_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worker.log");
        let log = LogFile::open(&path).unwrap();
        log.append("first\n").unwrap();
        fs::remove_file(&path).unwrap();
        log.append(&"y".repeat(LINE_MAX * 2)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!((text.len(), text.lines().count()), (LINE_MAX, 1));
    }
}
