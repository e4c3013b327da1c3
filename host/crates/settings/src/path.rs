//! Paths as settings hold them.

use std::path::Path;

/// Absolute here, or a Windows drive path, which a config file shared between systems may hold.
pub(super) fn is_absolute(path: &Path) -> bool {
    path.is_absolute() || is_drive_path(path)
}

fn is_drive_path(path: &Path) -> bool {
    let mut bytes = path.to_str().unwrap_or_default().bytes();
    matches!(
        (bytes.next(), bytes.next(), bytes.next()),
        (Some(letter), Some(b':'), Some(b'\\' | b'/')) if letter.is_ascii_alphabetic()
    )
}
