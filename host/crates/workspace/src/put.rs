//! Writing into a working tree: by directory handles, through no symbolic link, each file complete or not at all.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::handles::{self, Kind};
use crate::path;

/// Puts files into the tree below a directory.
pub(crate) struct Placer<'a> {
    top: BorrowedFd<'a>,
}

static SERIAL: AtomicU64 = AtomicU64::new(0);

impl<'a> Placer<'a> {
    pub(crate) fn new(top: BorrowedFd<'a>) -> Self {
        Self { top }
    }

    /// The directory that holds `path`, and the name in it.
    fn parent<'p>(&self, path: &'p [u8], create: bool) -> io::Result<(OwnedFd, &'p OsStr)> {
        let mut components: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        if components
            .iter()
            .any(|part| matches!(*part, b"" | b"." | b".." | b".git"))
        {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "no path of a file in the tree",
            ));
        }
        let name = OsStr::from_bytes(components.pop().unwrap_or_default());
        let mut dir = handles::listable(self.top)?;
        for component in components {
            let component = OsStr::from_bytes(component);
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let next = match rustix::fs::openat(&dir, component, flags, Mode::empty()) {
                Err(Errno::NOENT) if create => {
                    match rustix::fs::mkdirat(&dir, component, Mode::from_raw_mode(0o777)) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(error) => return Err(error.into()),
                    }
                    rustix::fs::openat(&dir, component, flags, Mode::empty())?
                }
                opened => opened?,
            };
            dir = next;
        }
        Ok((dir, name))
    }

    /// Writes a file, or makes a symbolic link where `mode` says so; what stood there is replaced in one step.
    pub(crate) fn put(&self, path: &[u8], mode: u32, bytes: &[u8]) -> io::Result<()> {
        if mode & 0o170_000 == 0o120_000 {
            return self.place(path, |dir, draft| {
                Ok(rustix::fs::symlinkat(OsStr::from_bytes(bytes), dir, draft)?)
            });
        }
        self.place(path, |dir, draft| {
            let mut file = create(dir, draft)?;
            file.write_all(bytes)?;
            Ok(rustix::fs::fchmod(
                &file,
                Mode::from_raw_mode(mode & 0o7777),
            )?)
        })
    }

    /// Puts a file as [`Placer::put`] does, with the permissions that git gives a new file: the
    /// umask decides, and whether it is executable.
    pub(crate) fn put_as_git(&self, path: &[u8], mode: u32, bytes: &[u8]) -> io::Result<()> {
        if mode & 0o170_000 == 0o120_000 {
            return self.put(path, mode, bytes);
        }
        let mode = if mode & 0o100 == 0 { 0o666 } else { 0o777 };
        self.place(path, |dir, draft| {
            create_with(dir, draft, mode)?.write_all(bytes)
        })
    }

    /// Opens the directory at `path`, made where it is missing.
    pub(crate) fn open_dir(&self, path: &[u8]) -> io::Result<OwnedFd> {
        Ok(self.parent(&path::join(path, b"entry"), true)?.0)
    }

    /// Makes the directory at `path`, and those above it.
    pub(crate) fn make_dir(&self, path: &[u8]) -> io::Result<()> {
        self.open_dir(path).map(drop)
    }

    /// Copies an open file, sharing its blocks where the file system can.
    pub(crate) fn copy(&self, path: &[u8], mode: u32, source: &mut File) -> io::Result<()> {
        self.place(path, |dir, draft| {
            let mut file = create(dir, draft)?;
            #[cfg(any(target_os = "linux", target_os = "android"))]
            let shared = rustix::fs::ioctl_ficlone(&file, &*source).is_ok();
            #[cfg(not(any(target_os = "linux", target_os = "android")))]
            let shared = false;
            if !shared {
                io::copy(source, &mut file)?;
            }
            Ok(rustix::fs::fchmod(
                &file,
                Mode::from_raw_mode(mode & 0o7777),
            )?)
        })
    }

    fn place(
        &self,
        path: &[u8],
        make: impl FnOnce(BorrowedFd<'_>, &OsStr) -> io::Result<()>,
    ) -> io::Result<()> {
        let (dir, name) = self.parent(path, true)?;
        let draft = format!(
            ".worker-{}-{}",
            std::process::id(),
            SERIAL.fetch_add(1, Ordering::Relaxed)
        );
        let draft = OsStr::new(&draft);
        let done = make(dir.as_fd(), draft).and_then(|()| {
            // An empty folder may have been left where the file belongs; a filled one makes the rename fail.
            let _ = rustix::fs::unlinkat(&dir, name, AtFlags::REMOVEDIR);
            Ok(rustix::fs::renameat(&dir, draft, &dir, name)?)
        });
        if done.is_err() {
            let _ = rustix::fs::unlinkat(&dir, draft, AtFlags::empty());
        }
        done
    }

    /// Removes a file; that it is gone already is no error.
    pub(crate) fn remove(&self, path: &[u8]) -> io::Result<()> {
        let found = self
            .parent(path, false)
            .and_then(|(dir, name)| Ok(rustix::fs::unlinkat(dir, name, AtFlags::empty())?));
        match found {
            Err(error)
                if matches!(
                    Errno::from_io_error(&error),
                    Some(Errno::NOENT | Errno::NOTDIR)
                ) =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// Removes the folders above `path` as long as they are empty and not to be kept.
    pub(crate) fn prune(&self, path: &[u8], keep: impl Fn(&[u8]) -> bool) {
        let mut dir = path;
        while let Some(slash) = dir.iter().rposition(|byte| *byte == b'/') {
            dir = dir.get(..slash).unwrap_or_default();
            if keep(dir) {
                return;
            }
            let removed = self.parent(dir, false).and_then(|(parent, name)| {
                Ok(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?)
            });
            if removed.is_err() {
                return;
            }
        }
    }

    /// The file at `path` now: its mode and bytes (a link's target). `None` when nothing does.
    pub(crate) fn look(&self, path: &[u8], limit: u64) -> io::Result<Option<(u32, Vec<u8>)>> {
        let (dir, name) = match self.parent(path, false) {
            Err(error)
                if matches!(
                    Errno::from_io_error(&error),
                    Some(Errno::NOENT | Errno::NOTDIR)
                ) =>
            {
                return Ok(None);
            }
            other => other?,
        };
        let Some(stamp) = handles::stamp_at(&dir, name)? else {
            return Ok(None);
        };
        match stamp.kind() {
            Kind::Symlink => Ok(Some((stamp.mode, handles::link_target(&dir, name)?))),
            Kind::File => match handles::read_at(&dir, name, limit)? {
                handles::Bytes::Whole(bytes, stamp) => Ok(Some((stamp.mode, bytes))),
                _ => Err(io::Error::other("too long to be read")),
            },
            Kind::Directory | Kind::Special => Err(io::Error::other(format!(
                "{} is neither a file nor a link",
                path::quoted(path)
            ))),
        }
    }
}

/// Makes the file `name` in an open directory, as git makes one: by the umask. Returns its stamp. Nothing may be there.
pub(crate) fn create_as_git(
    dir: BorrowedFd<'_>,
    name: &[u8],
    mode: u32,
    bytes: &[u8],
) -> io::Result<handles::Stamp> {
    if matches!(name, b"" | b"." | b"..")
        || name.eq_ignore_ascii_case(b".git")
        || name.contains(&b'/')
    {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "no name of a file in a tree",
        ));
    }
    let name = OsStr::from_bytes(name);
    if mode & 0o170_000 == 0o120_000 {
        rustix::fs::symlinkat(OsStr::from_bytes(bytes), dir, name)?;
        return handles::stamp_at(dir, name)?.ok_or_else(|| io::ErrorKind::NotFound.into());
    }
    let mode = if mode & 0o100 == 0 { 0o666 } else { 0o777 };
    let mut file = create_with(dir, name, mode)?;
    file.write_all(bytes)?;
    handles::stamp_of(&file)
}

fn create(dir: BorrowedFd<'_>, name: &OsStr) -> io::Result<File> {
    create_with(dir, name, 0o600)
}

fn create_with(dir: BorrowedFd<'_>, name: &OsStr, mode: u32) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(
        dir,
        name,
        flags,
        Mode::from_raw_mode(mode),
    )?))
}
