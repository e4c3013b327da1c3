//! Deleting folders that others have worked in.

use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Mode};

use crate::handles;

/// How often a folder is gone at that others delete at the same time.
const ATTEMPTS: u32 = 100;

/// Deletes a folder with all that is in it, whatever modes its folders were given, also when somebody else deletes it at the
/// same time. Links are not followed. That there is none is no error.
///
/// # Errors
/// Something in it cannot be deleted, or it is no folder.
pub fn remove(path: &Path) -> io::Result<()> {
    let mut opened_up = false;
    for _ in 0..ATTEMPTS {
        match fs::remove_dir_all(path) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                if path.symlink_metadata().is_err() {
                    return Ok(());
                }
                // Something in it was gone before we came to it.
            }
            // More folders in one another than handles may be open, or than a path may name.
            Err(fault) if too_deep(&fault) => match flatten(path) {
                Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
                _ => {}
            },
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

/// How many folders in one another are left as they are.
const DEEPEST: usize = 200;

fn too_deep(fault: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        Errno::from_io_error(fault),
        Some(Errno::MFILE | Errno::NFILE | Errno::NAMETOOLONG | Errno::LOOP)
    )
}

/// Moves every folder that lies deeper than [`DEEPEST`] up to the top, so that it can be deleted with a few open handles:
/// a job can nest 20,000 of them in a second. Names are resolved one by one beneath handles, through no link.
fn flatten(path: &Path) -> io::Result<()> {
    let top = handles::open_dir(path)?;
    let mut serial = 0_u64;
    let mut pending: Vec<CString> = folders(top.as_fd())?;
    while let Some(name) = pending.pop() {
        let first = opened(top.as_fd(), &name)?;
        let inside = folders(first.as_fd())?;
        let mut stack = vec![(first, inside)];
        while let Some((here, inside)) = stack.last_mut() {
            let Some(next) = inside.pop() else {
                stack.pop();
                continue;
            };
            let child = opened(here.as_fd(), &next)?;
            if stack.len() < DEEPEST {
                let inside = folders(child.as_fd())?;
                stack.push((child, inside));
                continue;
            }
            serial += 1;
            let moved = CString::new(format!(".worker-deep-{}-{serial}", std::process::id()))?;
            if let Some((here, _)) = stack.last() {
                rustix::fs::renameat(here, &next, &top, &moved)?;
            }
            pending.push(moved);
        }
    }
    Ok(())
}

fn opened(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    handles::open_child_dir(dir, name).or_else(|fault| {
        if fault.kind() != io::ErrorKind::PermissionDenied {
            return Err(fault);
        }
        rustix::fs::chmodat(dir, name, Mode::RWXU, AtFlags::empty())?;
        handles::open_child_dir(dir, name)
    })
}

fn folders(dir: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let mut buffer = [MaybeUninit::uninit(); 8192];
    let mut found = Vec::new();
    handles::list(dir, &mut buffer, |name, is_dir| {
        if is_dir {
            found.push(name.to_owned());
        }
    })?;
    Ok(found)
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
