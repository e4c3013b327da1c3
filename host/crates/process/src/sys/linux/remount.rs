//! Mounts that become read-only.

use std::path::Path;

use rustix::mount::MountFlags;

/// Makes the mount at `path` read-only, for this mount namespace.
pub(super) fn remount_read_only(path: &Path) -> rustix::io::Result<()> {
    // In a user namespace flags that the mount below has may not be dropped.
    let usual = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount_remount(path, usual, "")
        .or_else(|_| rustix::mount::mount_remount(path, usual | MountFlags::NOEXEC, ""))
}
