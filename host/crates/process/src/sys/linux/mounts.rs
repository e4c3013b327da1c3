//! What pid 1 of a mount namespace of its own mounts there before the task starts.

use std::io;
use std::path::Path;

use rustix::mount::{MountFlags, MountPropagationFlags};

use super::remount::remount_read_only;
use super::temp;

/// Tasks (threads included) that may live in one PID namespace at a time: room for a parallel build on a big machine,
/// but an end for a fork bomb.
const PID_LIMIT: usize = 16_384;

/// What pid 1 of the new namespaces does first. Returns whether `/dev/shm` and `/tmp` are private now.
pub(crate) fn furnish(
    temp: Option<&Path>,
    read: &[&Path],
    write: &[&Path],
    detail: &mut Vec<String>,
) -> (bool, bool) {
    if let Err(error) = rustix::mount::mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    ) {
        detail.push(format!("mounts are shared: {error}"));
        return (false, false);
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    match rustix::mount::mount("proc", "/proc", "proc", flags, None) {
        Ok(()) => {
            detail.push("own /proc".into());
            // Per PID namespace since Linux 6.14; before that the write would be to everybody's limit.
            if kernel_at_least(6, 14)
                && std::fs::write("/proc/sys/kernel/pid_max", PID_LIMIT.to_string()).is_ok()
            {
                detail.push(format!("at most {PID_LIMIT} processes"));
            }
        }
        Err(error) => detail.push(format!("no own /proc: {error}")),
    }
    let shm = MountFlags::NOSUID | MountFlags::NODEV;
    let own_shared_memory = Path::new("/dev/shm").is_dir()
        && rustix::mount::mount("shm", "/dev/shm", "tmpfs", shm, Some(c"mode=1777")).is_ok();
    for tree in write {
        if let Err(error) = hold_git_config(&tree.join(".git")) {
            detail.push(format!("git configuration is writable: {error}"));
        }
    }
    let own_temp = temp.is_some_and(|temp| match temp::cover(temp, read, write) {
        Ok(()) => {
            detail.push("own /tmp".into());
            true
        }
        Err(reason) => {
            detail.push(format!("no own /tmp: {reason}"));
            false
        }
    });
    (own_shared_memory, own_temp)
}

/// Holds what git would run for the user later, outside of any confinement: configuration and hooks of a repository
/// whose top the task may write to become read-only for it. It can still commit. `.git` itself cannot be moved away.
fn hold_git_config(git: &Path) -> io::Result<()> {
    let Ok(found) = git.symlink_metadata() else {
        return Ok(());
    };
    if found.is_dir() {
        rustix::mount::mount_bind(git, git)?;
        for part in ["config", "config.worktree", "hooks", "modules"] {
            let part = git.join(part);
            if part
                .symlink_metadata()
                .is_ok_and(|found| found.is_dir() || found.is_file())
            {
                mount_read_only(&part)?;
            }
        }
    } else if found.is_file() {
        // It names the repository that the tree belongs to.
        mount_read_only(git)?;
    }
    Ok(())
}

fn mount_read_only(path: &Path) -> io::Result<()> {
    rustix::mount::mount_bind(path, path)?;
    Ok(remount_read_only(path)?)
}

fn kernel_at_least(major: u32, minor: u32) -> bool {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse::<u32>().ok());
    numbers
        .next()
        .zip(numbers.next())
        .is_some_and(|version| version >= (major, minor))
}
