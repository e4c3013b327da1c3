//! The mounts that pid 1 of a mount namespace makes before the task starts: a view, or what can be
//! had without.

use std::io;
use std::path::Path;

use rustix::mount::{MountFlags, MountPropagationFlags};

use super::namespaces::limit_processes;
use super::view;
use crate::sys::types::{Furnished, OpenGrant};

/// Furnishes the mount namespace of this process. `view` is false where none is wanted.
///
/// # Errors
/// The root is neither the old one nor the new one: nothing may run.
pub(crate) fn furnish(
    grants: &[OpenGrant],
    temp: Option<&Path>,
    network: bool,
    view: bool,
    detail: &mut Vec<String>,
) -> io::Result<Furnished> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    if let Err(error) = rustix::mount::mount_change("/", private) {
        detail.push(format!("no view: mounts are shared: {error}"));
        return Ok(Furnished::default());
    }
    if !view {
        detail.push("no view: it was not wanted".into());
        return Ok(mount_without_view(grants, detail));
    }
    match view::enter(grants, temp, network, detail) {
        Ok(()) => {
            detail.push("view of the grants".into());
            Ok(Furnished {
                view: true,
                own_shared_memory: true,
            })
        }
        Err(fault) if fault.fatal => Err(io::Error::other(fault)),
        Err(fault) => {
            detail.push(format!("no view: {fault}"));
            Ok(mount_without_view(grants, detail))
        }
    }
}

fn mount_without_view(grants: &[OpenGrant], detail: &mut Vec<String>) -> Furnished {
    if grants
        .iter()
        .any(|grant| grant.write && grant.path.join(".git").exists())
    {
        detail.push("git configuration is writable".into());
    }
    let nothing = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    match rustix::mount::mount("proc", "/proc", "proc", nothing, None) {
        Ok(()) => limit_processes(Path::new("/proc")),
        Err(error) => detail.push(format!("no own /proc: {error}")),
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    let memory = Some(view::MEMORY);
    let shared = rustix::mount::mount("shm", "/dev/shm", "tmpfs", flags, memory);
    Furnished {
        view: false,
        own_shared_memory: shared.is_ok(),
    }
}
