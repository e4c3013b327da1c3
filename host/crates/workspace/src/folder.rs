//! Deleting and copying folders that others have worked in.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps};

use crate::handles;
use crate::interrupt::Interrupt;

/// The number of attempts to delete a folder that others delete at the same time.
const ATTEMPTS: u32 = 100;

/// Deletes a folder with all that is in it, whatever modes its folders were given, also when somebody else deletes it at the
/// same time. Links are not followed. That there is none is no error.
///
/// # Errors
/// Something in it cannot be deleted, or it is no folder.
pub fn remove(path: &Path) -> io::Result<()> {
    flatten(path)?;
    let mut opened_up = false;
    for _ in 0..ATTEMPTS {
        match fs::remove_dir_all(path) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                if path.symlink_metadata().is_err() {
                    return Ok(());
                }
                // Something in it was gone before we came to it.
            }
            // Somebody else has begun to delete what we did not see any more.
            Err(fault) if fault.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            Err(fault) if fault.kind() == io::ErrorKind::PermissionDenied && !opened_up => {
                open_up(path)?;
                opened_up = true;
            }
            result => return result,
        }
    }
    fs::remove_dir_all(path)
}

/// The number of nested folders that are left as they are.
const DEEPEST: usize = 200;

/// Moves every folder that lies deeper than [`DEEPEST`] up to the top: a job nests 20,000 of them in a second, and the
/// standard library deletes by recursion, with a handle open for each. Names are resolved one by one beneath handles,
/// through no link.
fn flatten(path: &Path) -> io::Result<()> {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let path = std::path::absolute(path)?;
    let top = path
        .parent()
        .zip(path.file_name())
        .and_then(|(parent, name)| {
            let parent = handles::open_dir(parent).ok()?;
            opened(parent.as_fd(), &CString::new(name.as_bytes()).ok()?)
        });
    // What is no folder, or is gone, is for the deletion itself to tell.
    let Some(top) = top else {
        return Ok(());
    };
    let mut pending: Vec<CString> = folders(top.as_fd());
    while let Some(name) = pending.pop() {
        let Some(first) = opened(top.as_fd(), &name) else {
            continue;
        };
        let inside = folders(first.as_fd());
        let mut stack = vec![(first, inside)];
        while let Some((here, inside)) = stack.last_mut() {
            let Some(next) = inside.pop() else {
                stack.pop();
                continue;
            };
            let Some(child) = opened(here.as_fd(), &next) else {
                continue;
            };
            let below = folders(child.as_fd());
            if stack.len() < DEEPEST {
                stack.push((child, below));
                continue;
            }
            let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
            let moved = CString::new(format!(".worker-deep-{}-{serial}", std::process::id()))?;
            if let Some((here, _)) = stack.last()
                && rustix::fs::renameat(here, &next, &top, &moved).is_ok()
            {
                pending.push(moved);
            }
        }
    }
    Ok(())
}

/// Opens a folder in another one, whatever its mode; none when it is gone.
fn opened(dir: BorrowedFd<'_>, name: &CStr) -> Option<OwnedFd> {
    use std::os::unix::fs::PermissionsExt as _;
    match handles::open_child_dir(dir, name) {
        Err(fault) if fault.kind() == io::ErrorKind::PermissionDenied => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let named = rustix::fs::openat(dir, name, flags, Mode::empty()).ok()?;
            // Through the handle: a link that takes the name's place meanwhile is not followed.
            let path = format!("/proc/self/fd/{}", named.as_raw_fd());
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).ok()?;
            handles::open_child_dir(dir, name).ok()
        }
        result => result.ok(),
    }
}

/// The folders in an open one, as far as it can be listed.
fn folders(dir: BorrowedFd<'_>) -> Vec<CString> {
    let mut buffer = [MaybeUninit::uninit(); 8192];
    let mut found = Vec::new();
    let _ = handles::list(dir, &mut buffer, |name, is_dir| {
        if is_dir {
            found.push(name.to_owned());
        }
    });
    found
}

/// Makes every folder writable for its owner: build tools leave read-only ones (Go's module cache), agents anything.
fn open_up(folder: &Path) -> io::Result<()> {
    if !folder.symlink_metadata()?.is_dir() {
        return Ok(());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    }
    for entry in fs::read_dir(folder)?.flatten() {
        // What cannot be opened up is said by the attempt to delete it.
        let _ = open_up(&entry.path());
    }
    Ok(())
}

/// The most files that are copied, and the most bytes where blocks cannot be shared: more takes longer than most checks.
pub(crate) const MOST_FILES: u64 = 200_000;
pub(crate) const MOST_BYTES: u64 = 2 << 30;

/// Copies a folder with all that is in it but what `left_out` says, by its path in the folder: plain files (sharing their
/// blocks where the file system can), folders and links, with their modes and times. Links are not followed; what is
/// none of these is left out. Nobody may write in the folder meanwhile.
///
/// # Errors
/// Something cannot be read or written, there is more than is worth a copy, or the job was stopped.
pub fn copy(
    from: &Path,
    to: &Path,
    left_out: &dyn Fn(&Path) -> bool,
    stop: &Interrupt,
) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    private::make_folder(to)?;
    let (mut bytes, mut files) = (0, 0);
    let mut folders = vec![std::path::PathBuf::new()];
    let mut next = 0;
    while let Some(here) = folders.get(next).cloned() {
        next += 1;
        for entry in fs::read_dir(from.join(&here))? {
            stop.check().map_err(io::Error::other)?;
            let entry = entry?;
            let path = here.join(entry.file_name());
            if left_out(&path) {
                continue;
            }
            let kind = entry.file_type()?;
            let target = to.join(&path);
            if kind.is_dir() {
                fs::create_dir(&target)?;
                folders.push(path);
            } else if kind.is_symlink() {
                std::os::unix::fs::symlink(fs::read_link(entry.path())?, &target)?;
                take_times(&entry.metadata()?, &target)?;
            } else if kind.is_file() {
                let found = entry.metadata()?;
                files += 1;
                let mut source = fs::File::open(entry.path())?;
                let mut file = fs::File::create_new(&target)?;
                #[cfg(target_os = "linux")]
                let shared = rustix::fs::ioctl_ficlone(&file, &source).is_ok();
                #[cfg(not(target_os = "linux"))]
                let shared = false;
                if !shared {
                    bytes += found.len();
                }
                if bytes > MOST_BYTES || files > MOST_FILES {
                    let most = format!("more than {MOST_FILES} files or {} MB", MOST_BYTES >> 20);
                    return Err(io::Error::other(most));
                }
                if !shared {
                    io::copy(&mut source, &mut file)?;
                }
                let mode = found.mode() & 0o7777;
                fs::set_permissions(&target, fs::Permissions::from_mode(mode))?;
                take_times(&found, &target)?;
            }
        }
    }
    // Deepest first: what is made in a folder moves its time, and a mode may keep others out.
    for here in folders.iter().rev() {
        let found = fs::symlink_metadata(from.join(here))?;
        let target = to.join(here);
        let mode = found.mode() & 0o7777 | 0o700;
        fs::set_permissions(&target, fs::Permissions::from_mode(mode))?;
        take_times(&found, &target)?;
    }
    Ok(())
}

fn take_times(found: &fs::Metadata, target: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let time = |seconds, rest| Timespec {
        tv_sec: seconds,
        tv_nsec: rest as _,
    };
    let times = Timestamps {
        last_access: time(found.atime(), found.atime_nsec()),
        last_modification: time(found.mtime(), found.mtime_nsec()),
    };
    Ok(rustix::fs::utimensat(
        CWD,
        target,
        &times,
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_goes_whatever_was_made_of_it_and_nothing_beside_it() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};

        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name);
        let beside = at("beside");
        fs::create_dir(&beside).unwrap();
        fs::write(beside.join("kept"), "").unwrap();
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir_all(at("folder/a/b")).unwrap();
        fs::write(at("folder/a/b/file"), "").unwrap();
        symlink(&beside, at("folder/a/link")).unwrap();
        for (name, mode) in [("folder/a/b", 0o000), ("folder/a", 0o500)] {
            fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        remove(&at("folder")).unwrap();
        assert!(!at("folder").exists());
        remove(&at("folder")).unwrap();

        symlink(&beside, at("folder")).unwrap();
        open_up(&at("folder")).unwrap();
        remove(&at("folder")).unwrap();
        assert!(at("folder").symlink_metadata().is_err());
        assert!(beside.join("kept").exists());
        let mode = fs::metadata(&beside).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
    }

    #[test]
    fn folders_nested_deeper_than_handles_may_be_open_go_too() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("folder");
        fs::create_dir(&folder).unwrap();
        let mut here = handles::open_dir(&folder).unwrap();
        for _ in 0..20_000 {
            rustix::fs::mkdirat(&here, "d", Mode::RWXU).unwrap();
            here = handles::open_child_dir(here.as_fd(), c"d").unwrap();
        }
        drop(here);
        remove(&folder).unwrap();
        assert!(!folder.exists());
    }

    #[test]
    fn a_folder_that_several_delete_at_once_is_gone_for_each_of_them() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("folder");
        for _ in 0..20 {
            for name in 0..200 {
                fs::create_dir_all(folder.join(format!("{}/{name}", name % 7))).unwrap();
            }
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        remove(&folder).unwrap();
                        assert!(!folder.exists());
                    });
                }
            });
        }
    }
}
