//! Folders and files that are their owner's alone: whatever this program keeps (jobs, logs, lessons, compiled plugins, trees)
//! may hold what a gateway or a repository said, and no other user of the machine is to read it.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

/// Makes a folder, and those above it, that only the owner can enter. What is there already stays as it is.
///
/// # Errors
/// When it cannot be made, or something else has its name.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Returns the permission bits of a folder or file that others than its owner may use in some way; nothing where they may not,
/// or where the system has no such bits.
///
/// # Errors
/// When it cannot be looked at.
pub fn exposed(path: &Path) -> io::Result<Option<u32>> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(path)?.permissions().mode() & 0o777;
        Ok((mode & 0o077 != 0).then_some(mode))
    }
    #[cfg(not(unix))]
    fs::metadata(path).map(|_| None)
}

/// Options that open a file; one that they make is the owner's alone.
pub fn file() -> OpenOptions {
    #[cfg_attr(not(unix), allow(unused_mut, reason = "there are no modes"))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Keeps a file that is there to its owner.
///
/// # Errors
/// When its permissions cannot be changed.
pub fn close_file(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))
    }
    #[cfg(not(unix))]
    fs::metadata(path).map(|_| ())
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_is_made_is_the_owners_alone_and_what_is_open_is_told() {
        let scratch = tempfile::tempdir().unwrap();
        let inner = scratch.path().join("outer/inner");
        make_folder(&inner).unwrap();
        make_folder(&inner).unwrap();
        assert_eq!(exposed(&inner).unwrap(), None);
        assert_eq!(exposed(inner.parent().unwrap()).unwrap(), None);

        let path = inner.join("file");
        file().write(true).create_new(true).open(&path).unwrap();
        assert_eq!(exposed(&path).unwrap(), None);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(exposed(&path).unwrap(), Some(0o640));
        close_file(&path).unwrap();
        assert_eq!(exposed(&path).unwrap(), None);
        assert!(make_folder(&path).is_err(), "a file has the name");
        assert!(exposed(&inner.join("absent")).is_err());
    }
}
