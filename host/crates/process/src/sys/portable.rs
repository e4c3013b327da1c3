//! Other Unix systems: no namespaces, no Landlock, no `/proc`; a task is a session, and its process group is ended.
//! Best effort, not tested: the level of every task is `unconfined` here.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, WaitOptions};

use crate::sys::types::{
    Furnished, Lacking, Namespaces, OpenGrant, Process, Restrictions, StartError,
};

/// The process group that a pid leads.
#[derive(Debug)]
pub(crate) struct ProcessHandle(Option<Pid>);

impl ProcessHandle {
    pub(crate) fn open(pid: u32) -> Self {
        Self(i32::try_from(pid).ok().and_then(Pid::from_raw))
    }

    pub(crate) fn kill(&self) {
        self.send(Signal::KILL);
    }

    pub(crate) fn stop(&self) {
        self.send(Signal::STOP);
    }

    pub(crate) fn terminate(&self) {
        self.send(Signal::TERM);
    }

    fn send(&self, signal: Signal) {
        if let Some(pid) = self.0 {
            let _ = rustix::process::kill_process_group(pid, signal);
        }
    }
}

pub(crate) fn process(_pid: u32) -> Option<Process> {
    None
}

pub(crate) fn processes() -> BTreeMap<u32, Process> {
    BTreeMap::new()
}

pub(crate) fn environment_has(_pid: u32, _assignment: &str) -> bool {
    false
}

pub(crate) fn boot_id() -> Option<String> {
    None
}

pub(crate) fn become_subreaper() {}

pub(crate) fn reap(_pids: impl Iterator<Item = u32>) {}

pub(crate) fn own_program() -> PathBuf {
    std::env::current_exe().unwrap_or_default()
}

pub(crate) fn close_stray_descriptors() {}

pub(crate) fn new_session() {
    let _ = rustix::process::setsid();
}

pub(crate) fn prefer_to_end() {}

pub(crate) fn die_with_parent() {}

pub(crate) fn enter_namespaces(_want_pids: bool, _want_network: bool) -> Namespaces {
    Namespaces {
        detail: vec!["no namespaces on this system".into()],
        ..Namespaces::default()
    }
}

pub(crate) fn furnish(
    _grants: &[OpenGrant],
    _temp: Option<&Path>,
    _network: bool,
    _view: bool,
    _detail: &mut Vec<String>,
) -> io::Result<Furnished> {
    Ok(Furnished::default())
}

pub(crate) fn raise_loopback() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn start_restricted(
    command: &mut Command,
    restrictions: &Restrictions<'_>,
    detail: &mut Vec<String>,
    allow: impl FnOnce(Option<u8>) -> Result<(), Lacking>,
) -> Result<(u32, Option<u8>), StartError> {
    if restrictions.confine {
        detail.push("no Landlock on this system".into());
    }
    allow(None).map_err(StartError::Refused)?;
    // SAFETY: one system call between fork and exec, without allocation.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            Ok(())
        });
    }
    let child = command.spawn().map_err(StartError::Exec)?;
    Ok((child.id(), None))
}

pub(crate) fn wait_any() -> Option<(u32, Option<i32>, Option<i32>)> {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) => {
                let pid = u32::try_from(pid.as_raw_nonzero().get()).ok()?;
                return Some((pid, status.exit_status(), status.terminating_signal()));
            }
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

pub(crate) fn interrupt_group(leader: u32) {
    ProcessHandle::open(leader).send(Signal::INT);
}

pub(crate) fn terminate_group(leader: u32) {
    ProcessHandle::open(leader).terminate();
}

pub(crate) fn find_program(
    program: &OsStr,
    path: Option<&OsString>,
    cwd: &Path,
) -> Option<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return Some(cwd.join(program));
    }
    std::env::split_paths(path?)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

pub(crate) fn control_socket() -> io::Result<std::os::unix::net::UnixStream> {
    Ok(io::stdin().as_fd().try_clone_to_owned()?.into())
}
