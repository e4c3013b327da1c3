//! Directory handles: everything the host reads or writes in a tree that an agent can reach goes through a handle of a
//! directory, never through a path that is resolved again. On Linux `openat2` does the resolving; where it is missing (old
//! kernels, seccomp profiles of some containers) a walk component by component does the same.

use std::ffi::{CStr, OsStr};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags};
use rustix::io::Errno;

/// The stamp that `stat` gives of a file: enough to know that it was not written since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) size: u64,
    /// Nanoseconds since the epoch.
    pub(crate) mtime: i64,
    /// Nanoseconds since the epoch; no call sets it, so it shows what a forged mtime hides.
    pub(crate) ctime: i64,
    pub(crate) inode: u64,
    pub(crate) mode: u32,
    pub(crate) links: u32,
}

/// The kind of a directory entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Symlink,
    Directory,
    /// A FIFO, a socket, a device.
    Special,
}

impl Stamp {
    fn new(stat: &rustix::fs::Stat) -> Self {
        let nanoseconds =
            |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Self {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: nanoseconds(stat.st_mtime, stat.st_mtime_nsec as i64),
            ctime: nanoseconds(stat.st_ctime, stat.st_ctime_nsec as i64),
            inode: stat.st_ino,
            mode: stat.st_mode,
            links: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match FileType::from_raw_mode(self.mode) {
            FileType::RegularFile => Kind::File,
            FileType::Symlink => Kind::Symlink,
            FileType::Directory => Kind::Directory,
            _ => Kind::Special,
        }
    }

    /// Returns true if nothing that `stat` shows has changed. Link counts are left out: a hard link
    /// made elsewhere is no change of the file (and moves its ctime anyway).
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.size == other.size
            && self.mtime == other.mtime
            && self.ctime == other.ctime
            && self.inode == other.inode
            && self.mode == other.mode
    }
}

/// Opens a directory by a trusted path (one that the operator gave or that was resolved before).
pub(crate) fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

/// Opens the directory `name` of `dir`, never through a symbolic link.
pub(crate) fn open_child_dir(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, name, flags, Mode::empty())?)
}

/// The symbolic links that a resolution may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// Those that stay beneath the root.
    Beneath,
    /// None.
    None,
}

/// Resolves `path` beneath `root` without ever leaving it, and gives a handle that names the file without opening it.
///
/// An absolute symbolic link is followed only where it leads to a place below `root_path`.
///
/// # Errors
/// `EXDEV` (as [`io::ErrorKind::CrossesDevices`]) when the path leads outside.
pub(crate) fn resolve_beneath(
    root: BorrowedFd<'_>,
    root_path: &Path,
    path: &Path,
    links: Links,
) -> io::Result<OwnedFd> {
    let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    if links == Links::None {
        resolve |= ResolveFlags::NO_SYMLINKS;
    }
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    // EAGAIN: a rename raced with a `..` in the path; the kernel asks to try again.
    for _ in 0..16 {
        return match rustix::fs::openat2(
            root,
            path,
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        ) {
            Ok(handle) => Ok(handle),
            Err(Errno::AGAIN) => continue,
            Err(Errno::NOSYS | Errno::PERM) => walk_beneath(root, root_path, path, links),
            Err(Errno::XDEV) if links == Links::Beneath => {
                walk_beneath(root, root_path, path, links)
            }
            Err(error) => Err(error.into()),
        };
    }
    walk_beneath(root, root_path, path, links)
}

/// The same resolution by hand: one component at a time, each opened without following links.
pub(crate) fn walk_beneath(
    root: BorrowedFd<'_>,
    root_path: &Path,
    path: &Path,
    links: Links,
) -> io::Result<OwnedFd> {
    const MOST_LINKS: u32 = 40;
    if path.is_absolute() {
        return Err(Errno::XDEV.into());
    }
    let dir_flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut stack: Vec<OwnedFd> = Vec::new();
    let mut pending: Vec<Vec<u8>> = Vec::new();
    let mut followed = 0;
    let push = |pending: &mut Vec<Vec<u8>>, path: &[u8]| {
        if path.ends_with(b"/") {
            // `file/` names a directory; `.` makes a plain file fail as it should.
            pending.push(b".".to_vec());
        }
        pending.extend(
            path.rsplit(|byte| *byte == b'/')
                .filter(|part| !part.is_empty())
                .map(<[u8]>::to_vec),
        );
    };
    push(&mut pending, path.as_os_str().as_bytes());
    while let Some(component) = pending.pop() {
        let here = stack.last().map_or(root, AsFd::as_fd);
        if matches!(component.as_slice(), b"." | b"..") {
            let stat = rustix::fs::fstat(here)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                return Err(Errno::NOTDIR.into());
            }
            if component == b".." && stack.pop().is_none() {
                return Err(Errno::XDEV.into());
            }
            continue;
        }
        let next = rustix::fs::openat(
            here,
            OsStr::from_bytes(&component),
            dir_flags,
            Mode::empty(),
        )?;
        let stat = rustix::fs::fstat(&next)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            stack.push(next);
            continue;
        }
        followed += 1;
        if links == Links::None || followed > MOST_LINKS {
            return Err(Errno::LOOP.into());
        }
        let target = rustix::fs::readlinkat(&next, "", Vec::new())?.into_bytes();
        if target.first() == Some(&b'/') {
            let inside = Path::new(OsStr::from_bytes(&target))
                .strip_prefix(root_path)
                .map_err(|_| Errno::XDEV)?;
            stack.clear();
            push(&mut pending, inside.as_os_str().as_bytes());
        } else {
            push(&mut pending, &target);
        }
    }
    match stack.pop() {
        Some(handle) => Ok(handle),
        None => Ok(rustix::fs::openat(
            root,
            ".",
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?),
    }
}

/// Makes a directory handle that can be listed out of one that only names it.
pub(crate) fn listable(handle: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(
        handle,
        ".",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

/// Opens for reading what a naming handle names; a FIFO does not block.
pub(crate) fn readable(handle: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
    Ok(rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

/// The place where a handle's file lies now.
pub(crate) fn path_of(handle: BorrowedFd<'_>) -> io::Result<PathBuf> {
    let target = rustix::fs::readlink(format!("/proc/self/fd/{}", handle.as_raw_fd()), Vec::new())?;
    Ok(PathBuf::from(std::ffi::OsString::from_vec(
        target.into_bytes(),
    )))
}

/// `fstat`.
pub(crate) fn stamp_of(handle: impl AsFd) -> io::Result<Stamp> {
    Ok(Stamp::new(&rustix::fs::fstat(handle)?))
}

/// `lstat` of `name` in `dir`; `None` when it is not there.
pub(crate) fn stamp_at(dir: impl AsFd, name: impl rustix::path::Arg) -> io::Result<Option<Stamp>> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(Stamp::new(&stat))),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The device and inode of a directory: what it is, wherever its name went.
pub(crate) fn identity(handle: impl AsFd) -> io::Result<(u64, u64)> {
    let stat = rustix::fs::fstat(handle)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Calls `each` with every entry's name, and whether the listing itself says that it is a directory (not every file system
/// does); `.` and `..` left out.
pub(crate) fn list(
    dir: BorrowedFd<'_>,
    buffer: &mut [MaybeUninit<u8>],
    mut each: impl FnMut(&CStr, bool),
) -> io::Result<()> {
    let mut entries = RawDir::new(dir, buffer);
    while let Some(entry) = entries.next() {
        match entry {
            Ok(entry) => {
                let name = entry.file_name();
                if !matches!(name.to_bytes(), b"." | b"..") {
                    each(name, entry.file_type() == FileType::Directory);
                }
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A symbolic link's target.
pub(crate) fn link_target(dir: impl AsFd, name: impl rustix::path::Arg) -> io::Result<Vec<u8>> {
    Ok(rustix::fs::readlinkat(dir, name, Vec::new())?.into_bytes())
}

/// The outcome of reading a file within a limit.
#[derive(Debug)]
pub(crate) enum Bytes {
    /// All of it, with the stamp of the very file that was read, taken before the first byte.
    Whole(Vec<u8>, Stamp),
    /// Longer than the limit.
    TooLong,
    /// Not a plain file.
    NotPlain,
}

/// Reads the plain file `name` of `dir`, never through a symbolic link and never blocking on a FIFO.
pub(crate) fn read_at(
    dir: impl AsFd,
    name: impl rustix::path::Arg,
    limit: u64,
) -> io::Result<Bytes> {
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    match rustix::fs::openat(dir, name, flags, Mode::empty()) {
        Ok(file) => read_plain(file, limit),
        // ELOOP: a symbolic link; ENXIO: a socket.
        Err(Errno::LOOP | Errno::NXIO) => Ok(Bytes::NotPlain),
        Err(error) => Err(error.into()),
    }
}

/// Reads an opened file within a limit.
pub(crate) fn read_plain(file: OwnedFd, limit: u64) -> io::Result<Bytes> {
    let stamp = stamp_of(&file)?;
    if stamp.kind() != Kind::File {
        return Ok(Bytes::NotPlain);
    }
    if stamp.size > limit || is_hollow(&file)? {
        return Ok(Bytes::TooLong);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(stamp.size).unwrap_or(0).saturating_add(1));
    let read = io::Read::read_to_end(
        &mut io::Read::take(std::fs::File::from(file), limit.saturating_add(1)),
        &mut bytes,
    )?;
    if read as u64 > limit {
        return Ok(Bytes::TooLong);
    }
    Ok(Bytes::Whole(bytes, stamp))
}

/// Returns true if most of a long file was never written: a job makes gigabytes of such in an instant, and reading them
/// takes as long as reading what is there.
fn is_hollow(file: &OwnedFd) -> io::Result<bool> {
    const SHORT: u64 = 1 << 20;
    let stat = rustix::fs::fstat(file)?;
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let held = u64::try_from(stat.st_blocks)
        .unwrap_or(0)
        .saturating_mul(512);
    if size <= SHORT || held >= size / 8 {
        return Ok(false);
    }
    // Some file systems count no blocks, and those that know no holes call the whole file data.
    let hole = rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(0));
    rustix::fs::seek(file, rustix::fs::SeekFrom::Start(0))?;
    Ok(hole.is_ok_and(|hole| hole < size))
}

/// Now, by the clock that stamps files, in nanoseconds since the epoch: a file changed after this call has a ctime that is
/// not smaller.
pub(crate) fn file_clock() -> i64 {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let clock = rustix::time::ClockId::RealtimeCoarse;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let clock = rustix::time::ClockId::Realtime;
    nanoseconds(rustix::time::clock_gettime(clock))
}

/// The next moment of that clock that lies past now, a few milliseconds on: whatever was changed before this call has a
/// smaller ctime, whatever is changed after it has not.
///
/// Another moment of the coarse clock alone would not do. Linux 6.13 and later stamp a file with the fine clock when
/// somebody looked at it lately, and the coarse clock follows only at ticks, which come late and are rounded down: such a
/// stamp can be ahead of the clock even right after its tick. A clock that somebody sets back is not waited for.
pub(crate) fn next_file_tick() -> i64 {
    const LONGEST: std::time::Duration = std::time::Duration::from_millis(100);
    let started = std::time::Instant::now();
    let begun = nanoseconds(rustix::time::clock_gettime(rustix::time::ClockId::Realtime));
    loop {
        let now = file_clock();
        if now > begun || started.elapsed() > LONGEST {
            return now;
        }
        std::thread::sleep(std::time::Duration::from_micros(500));
    }
}

#[allow(clippy::unnecessary_cast, reason = "of 32 bits on some systems")]
fn nanoseconds(time: rustix::time::Timespec) -> i64 {
    time.tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec as i64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn scene() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::create_dir_all(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/key"), "secret").unwrap();
        fs::write(root.join("a/b/file"), "x").unwrap();
        fs::write(root.join("key"), "harmless").unwrap();
        for (target, link) in [
            ("../outside", "out"),
            ("/etc", "etc"),
            ("/proc/self/root", "proc"),
            ("a/b", "in"),
            ("../../root/a", "a/out-and-in"),
            ("loop", "loop"),
            ("../a/./b/..", "a/dots"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        symlink(root.join("a"), root.join("absolute")).unwrap();
        (dir, root)
    }

    /// Files that somebody looks at are stamped by a finer clock than files are elsewhere.
    #[test]
    fn a_tick_parts_what_was_changed_before_from_what_is_changed_after() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for round in 0..200 {
            fs::write(&path, "before").unwrap();
            let looked_at = stat(&path);
            fs::write(&path, "again").unwrap();
            let before = stat(&path);
            let tick = next_file_tick();
            fs::write(&path, "after").unwrap();
            let after = stat(&path);
            assert!(
                looked_at <= before && before < tick && tick <= after,
                "round {round}: {before} {tick} {after}"
            );
        }
    }

    fn stat(path: &Path) -> i64 {
        Stamp::new(&rustix::fs::stat(path).unwrap()).ctime
    }

    /// Without `openat2` the walk by hand takes its place: it must say the same to every path.
    #[test]
    fn the_walk_by_hand_agrees_with_the_kernel() {
        let (_dir, root) = scene();
        let handle = open_dir(&root).unwrap();
        for (path, expected) in [
            (".", Some("")),
            ("a/b/file", Some("a/b/file")),
            ("a//b/./file", Some("a/b/file")),
            ("a/../a/b", Some("a/b")),
            ("in/file", Some("a/b/file")),
            ("a/dots/b", Some("a/b")),
            ("absolute/b", Some("a/b")),
            ("a/b/", Some("a/b")),
            ("in/", Some("a/b")),
            ("..", None),
            ("a/../..", None),
            ("out", None),
            ("out/key", None),
            ("etc/passwd", None),
            ("proc/etc/passwd", None),
            ("a/out-and-in", None),
            ("loop", None),
            ("a/b/file/", None),
            ("a/b/file/..", None),
            ("nowhere", None),
            ("/etc", None),
        ] {
            let by_hand = walk_beneath(handle.as_fd(), &root, Path::new(path), Links::Beneath);
            let by_kernel = resolve_beneath(handle.as_fd(), &root, Path::new(path), Links::Beneath);
            for (who, found) in [("by hand", by_hand), ("by kernel", by_kernel)] {
                let found = found.and_then(|found| path_of(found.as_fd())).ok();
                let expected = expected.map(|below| {
                    if below.is_empty() {
                        root.clone()
                    } else {
                        root.join(below)
                    }
                });
                assert_eq!(found, expected, "{path} {who}");
            }
        }
        for path in ["in/file", "absolute", "a/dots"] {
            assert!(
                walk_beneath(handle.as_fd(), &root, Path::new(path), Links::None).is_err(),
                "{path}"
            );
        }
    }

    #[test]
    fn the_walk_by_hand_wins_every_race() {
        let (_dir, root) = scene();
        let handle = open_dir(&root).unwrap();
        let (real, link, parked) = (
            root.join("swap"),
            root.join("swap-link"),
            root.join("parked"),
        );
        fs::create_dir(&real).unwrap();
        fs::write(real.join("key"), "harmless").unwrap();
        symlink("../outside", &link).unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let _ = fs::rename(&real, &parked);
                    let _ = fs::rename(&link, &real);
                    let _ = fs::rename(&real, &link);
                    let _ = fs::rename(&parked, &real);
                }
            });
            for _ in 0..10_000 {
                let found =
                    walk_beneath(handle.as_fd(), &root, Path::new("swap/key"), Links::Beneath);
                if let Ok(Bytes::Whole(bytes, _)) =
                    found.and_then(|found| read_plain(readable(found.as_fd())?, 100))
                {
                    assert_eq!(bytes, b"harmless");
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}
