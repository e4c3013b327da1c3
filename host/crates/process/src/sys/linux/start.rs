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
use rustix::thread::CapabilitySet;

use super::landlock;
use crate::sys::types::{Restrictions, StartError};

/// Where this very program can be executed from, also after its file was replaced.
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

pub(crate) fn die_with_parent() {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
}

/// Capabilities that a task of root keeps: what package managers and test suites use on files and own processes. What
/// reaches the kernel, devices, or other users' processes is gone.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT);

fn drop_capabilities() -> io::Result<()> {
    rustix::thread::clear_ambient_capability_set()?;
    let own = rustix::thread::capabilities(None)?;
    if own.effective.contains(CapabilitySet::SETPCAP) {
        for bit in 0..64 {
            let capability = CapabilitySet::from_bits_retain(1 << bit);
            if !KEPT.contains(capability) {
                // Beyond the kernel's last capability this fails, and nothing is lost.
                let _ = rustix::thread::remove_capability_from_bounding_set(capability);
            }
        }
    }
    Ok(())
}

/// Restricts the calling thread for good and starts `command` from it. The thread must then live as long as the program
/// does. Returns the program's pid and the Landlock ABI in force; `allow` may still refuse what was had.
pub(crate) fn start_restricted(
    command: &mut Command,
    restrictions: &Restrictions<'_>,
    detail: &mut Vec<String>,
    allow: impl FnOnce(Option<u8>) -> Result<(), String>,
) -> Result<(u32, Option<u8>), StartError> {
    let mut abi = None;
    if restrictions.confine {
        if let Err(error) = drop_capabilities() {
            detail.push(format!("capabilities are kept: {error}"));
        }
        match landlock::restrict(restrictions) {
            Ok(in_force) => {
                detail.push(format!("Landlock ABI {in_force}"));
                abi = Some(in_force);
            }
            Err(reason) => detail.push(format!("no Landlock: {reason}")),
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
