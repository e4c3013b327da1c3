//! Deleting folders that others have worked in.

use std::fs;
use std::io;
use std::path::Path;

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
