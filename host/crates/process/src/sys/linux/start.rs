//! The start of a task's main program: descriptors, sessions, privileges, restrictions.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::Signal;

use super::{landlock, privileges};
use crate::sys::types::{Lacking, Restrictions, StartError};

/// The place where this very program can be executed from, also after its file was replaced.
pub(crate) fn own_program() -> PathBuf {
    let link = PathBuf::from("/proc/self/exe");
    if link.exists() {
        link
    } else {
        std::env::current_exe().unwrap_or(link)
    }
}

/// Keeps descriptors that leaked into this process from going further.
pub(crate) fn close_stray_descriptors() {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return;
    };
    let numbers: Vec<i32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    for number in numbers {
        // SAFETY: the descriptor is only borrowed for one fcntl; if it is closed by now the call fails with EBADF.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        let _ = fcntl_setfd(fd, FdFlags::CLOEXEC);
    }
}

pub(crate) fn new_session() {
    let _ = rustix::process::setsid();
}

/// Makes the kernel end this process, and what it starts, before what the user works with, where the machine runs out of memory.
pub(crate) fn prefer_to_end() {
    let _ = std::fs::write("/proc/self/oom_score_adj", "500");
}

pub(crate) fn die_with_parent() {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
}

/// Restricts the calling thread for good and starts `command` from it. The thread must then live as long as the program
/// does. Returns the program's pid and the Landlock ABI in force; `allow` may still refuse what was had.
pub(crate) fn start_restricted(
    command: &mut Command,
    restrictions: &Restrictions<'_>,
    detail: &mut Vec<String>,
    allow: impl FnOnce(Option<u8>) -> Result<(), Lacking>,
) -> Result<(u32, Option<u8>), StartError> {
    let mut abi = None;
    if restrictions.confine {
        if let Err(error) = privileges::drop_capabilities(restrictions.grants) {
            detail.push(format!("capabilities are kept: {error}"));
        }
        if let Err(error) = privileges::join_own_keyring() {
            detail.push(format!("the session keyring is shared: {error}"));
        }
        match landlock::restrict(restrictions) {
            Ok(in_force) => {
                detail.push(format!("Landlock ABI {in_force}"));
                if in_force < landlock::SCOPES_SINCE {
                    detail.push(
                        "abstract sockets are open: Landlock has no scopes before ABI 6".into(),
                    );
                }
                abi = Some(in_force);
            }
            Err(fault) => detail.push(format!("no Landlock: {fault}")),
        }
        // Landlock sets it by itself; set-user-ID programs must not lead out without it either.
        let _ = rustix::thread::set_no_new_privs(true);
    }
    allow(abi).map_err(StartError::Refused)?;
    let die_with_parent = restrictions.die_with_parent;
    // SAFETY: between fork and exec only two system calls are made, without allocation.
    unsafe {
        command.pre_exec(move || {
            rustix::process::setsid()?;
            if die_with_parent {
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            }
            Ok(())
        });
    }
    let child = command.spawn().map_err(StartError::Exec)?;
    Ok((child.id(), abi))
}

/// The program's name for `exec`: looked up in the task's own PATH, since `execvp` would look in the helper's.
pub(crate) fn find_program(
    program: &OsStr,
    path: Option<&OsString>,
    cwd: &Path,
) -> Option<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return Some(cwd.join(program));
    }
    let path = path?;
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(program))
        .find(|file| {
            file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
        })
}

/// A duplicate of standard input, which in the helper is the socket to the runner.
pub(crate) fn control_socket() -> io::Result<std::os::unix::net::UnixStream> {
    Ok(io::stdin().as_fd().try_clone_to_owned()?.into())
}
