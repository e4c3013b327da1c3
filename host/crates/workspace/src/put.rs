//! Writing into a working tree: by directory handles, through no symbolic link, each file complete or not at all.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::handles::{self, Kind, Stamp};
use crate::path;

/// The room that one reading of a directory has.
const LISTING: usize = 8192;

/// A directory below the top, and its permissions.
pub(crate) type Folder = (Vec<u8>, u32);

/// The content of a directory.
#[derive(Debug, Default)]
pub(crate) struct Inside {
    /// The directory itself and those in it, each before what it holds.
    pub(crate) folders: Vec<Folder>,
    /// Everything else, and directories that cannot be read.
    pub(crate) others: Vec<Vec<u8>>,
}

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
        let ignored: &mut dyn FnMut(&[u8]) = &mut |_| {};
        self.descend(path, create.then_some(ignored))
    }

    /// The directory that holds `path`, and the name in it; directories on the way are made where `made` is there to be told.
    fn descend<'p>(
        &self,
        path: &'p [u8],
        mut made: Option<&mut dyn FnMut(&[u8])>,
    ) -> io::Result<(OwnedFd, &'p OsStr)> {
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
        let mut end = 0;
        for component in components {
            end += component.len();
            let component = OsStr::from_bytes(component);
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let next = match (
                rustix::fs::openat(&dir, component, flags, Mode::empty()),
                &mut made,
            ) {
                (Err(Errno::NOENT), Some(made)) => {
                    match rustix::fs::mkdirat(&dir, component, Mode::from_raw_mode(0o777)) {
                        Ok(()) => made(path.get(..end).unwrap_or_default()),
                        Err(Errno::EXIST) => {}
                        Err(error) => return Err(error.into()),
                    }
                    rustix::fs::openat(&dir, component, flags, Mode::empty())?
                }
                (opened, _) => opened?,
            };
            dir = next;
            // The slash.
            end += 1;
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

    /// Makes the directories above `path` that are missing, and tells `made` each one, the outermost first.
    pub(crate) fn make_parents(&self, path: &[u8], mut made: impl FnMut(&[u8])) -> io::Result<()> {
        self.descend(path, Some(&mut made)).map(drop)
    }

    /// Makes the directory at `path` with these permissions.
    pub(crate) fn make_dir_as(&self, path: &[u8], mode: u32) -> io::Result<()> {
        let handle = self.open_dir(path)?;
        Ok(rustix::fs::fchmod(
            &handle,
            Mode::from_raw_mode(mode & 0o7777),
        )?)
    }

    /// Removes the empty directory at `path`; that it is gone or filled is no error.
    pub(crate) fn remove_empty_dir(&self, path: &[u8]) -> io::Result<()> {
        let found = self
            .parent(path, false)
            .and_then(|(dir, name)| Ok(rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?));
        match found {
            Err(error)
                if matches!(
                    Errno::from_io_error(&error),
                    Some(Errno::NOENT | Errno::NOTDIR | Errno::NOTEMPTY | Errno::EXIST)
                ) =>
            {
                Ok(())
            }
            other => other,
        }
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

    /// Removes the folders above `path` as long as they are empty and not to be kept. Returns them, the innermost first.
    pub(crate) fn prune(&self, path: &[u8], keep: impl Fn(&[u8]) -> bool) -> Vec<Folder> {
        let mut gone = Vec::new();
        let mut dir = path;
        while let Some(slash) = dir.iter().rposition(|byte| *byte == b'/') {
            dir = dir.get(..slash).unwrap_or_default();
            if keep(dir) {
                break;
            }
            let removed = self.parent(dir, false).and_then(|(parent, name)| {
                let stamp = handles::stamp_at(&parent, name)?;
                rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?;
                Ok(stamp)
            });
            match removed {
                Ok(stamp) => gone.push((dir.to_vec(), stamp.map_or(0o777, |stamp| stamp.mode))),
                Err(_) => break,
            }
        }
        gone
    }

    /// Removes the directory at `path` with the directories in it, if they hold nothing else, and tells `removed` each one, the
    /// innermost first. Where no directory is, nothing is done.
    pub(crate) fn remove_hollow(
        &self,
        path: &[u8],
        mut removed: impl FnMut(Folder),
    ) -> io::Result<()> {
        let Some(inside) = self.inside(path, 1, |_| false)? else {
            return Ok(());
        };
        if !inside.others.is_empty() {
            return Err(Errno::NOTEMPTY.into());
        }
        for folder in inside.folders.into_iter().rev() {
            let (dir, name) = self.parent(&folder.0, false)?;
            rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)?;
            removed(folder);
        }
        Ok(())
    }

    /// The content of the directory at `path`; none where there is no directory. Leaves out what `but` says, and ends early
    /// once it has found `most` things that are no directories.
    pub(crate) fn inside(
        &self,
        path: &[u8],
        most: usize,
        but: impl Fn(&[u8]) -> bool,
    ) -> io::Result<Option<Inside>> {
        let Some(stamp) = self.stamp(path)? else {
            return Ok(None);
        };
        if stamp.kind() != Kind::Directory {
            return Ok(None);
        }
        let mut found = Inside::default();
        let mut pending = vec![(path.to_vec(), stamp.mode)];
        let mut buffer = [MaybeUninit::uninit(); LISTING];
        while let Some(folder) = pending.pop() {
            if found.others.len() >= most {
                break;
            }
            let mut names: Vec<Vec<u8>> = Vec::new();
            let probe = path::join(&folder.0, b"entry");
            let listed = self.parent(&probe, false).and_then(|(dir, _)| {
                handles::list(dir.as_fd(), &mut buffer, |name, _| {
                    names.push(name.to_bytes().to_vec());
                })?;
                Ok(dir)
            });
            let Ok(dir) = listed else {
                found.others.push(folder.0);
                continue;
            };
            for name in names {
                let entry = path::join(&folder.0, &name);
                match handles::stamp_at(&dir, OsStr::from_bytes(&name))? {
                    Some(stamp) if stamp.kind() == Kind::Directory => {
                        pending.push((entry, stamp.mode));
                    }
                    Some(_) if !but(&entry) => found.others.push(entry),
                    Some(_) | None => {}
                }
            }
            found.folders.push(folder);
        }
        Ok(Some(found))
    }

    /// The stamp of what is at `path`; none when nothing is, or a link or a file is on the way.
    pub(crate) fn stamp(&self, path: &[u8]) -> io::Result<Option<Stamp>> {
        match self.parent(path, false) {
            Err(error)
                if matches!(
                    Errno::from_io_error(&error),
                    Some(Errno::NOENT | Errno::NOTDIR)
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
            Ok((dir, name)) => handles::stamp_at(&dir, name),
        }
    }

    /// The file at `path` now: its mode and bytes (a link's target). `None` when nothing does.
    ///
    /// # Errors
    /// A directory is [`io::ErrorKind::IsADirectory`].
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
        let no_file = |kind| {
            let what = format!("{} is neither a file nor a link", path::quoted(path));
            Err(io::Error::new(kind, what))
        };
        match stamp.kind() {
            Kind::Symlink => Ok(Some((stamp.mode, handles::link_target(&dir, name)?))),
            Kind::File => match handles::read_at(&dir, name, limit)? {
                handles::Bytes::Whole(bytes, stamp) => Ok(Some((stamp.mode, bytes))),
                _ => Err(io::Error::other("too long to be read")),
            },
            Kind::Directory => no_file(io::ErrorKind::IsADirectory),
            Kind::Special => no_file(io::ErrorKind::Other),
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
