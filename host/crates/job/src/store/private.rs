//! Files and folders that are the owner's alone.

use std::fs;
use std::path::Path;

use super::error::StoreError;

/// Makes a folder that only the owner can enter, or refuses one that others can.
#[cfg(unix)]
pub(super) fn make_private(folder: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let fault = |source| StoreError::Folder {
        path: folder.to_owned(),
        source,
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(fault)?;
    let mode = fs::metadata(folder).map_err(fault)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(StoreError::Exposed {
            path: folder.to_owned(),
            mode,
        });
    }
    Ok(())
}

#[cfg(not(unix))]
pub(super) fn make_private(folder: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(folder).map_err(|source| StoreError::Folder {
        path: folder.to_owned(),
        source,
    })
}

/// Keeps a file to the owner.
#[cfg(unix)]
pub(super) fn make_file_private(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(|source| {
        StoreError::Folder {
            path: path.to_owned(),
            source,
        }
    })
}

#[cfg(not(unix))]
pub(super) fn make_file_private(_: &Path) -> Result<(), StoreError> {
    Ok(())
}
