//! The small program that a job becomes while it waits: `sleeper/main.rs` of this crate, carried in this program.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::FdFlags;
use sha2::{Digest as _, Sha256};

use super::handover::Handles;
use crate::lock::LockGuard;

/// The program; empty for a system that has none.
static PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sleeper"));

/// The beginning of its file's name, below the store.
const NAME: &str = "sleeper-";

/// Becomes it, with these handles, the job's lock and these arguments: those of the program's own waiter up to `--of`, then
/// the handles' numbers, the file of the dispatcher's lock and the global options. Returns only with a fault; the caller
/// then goes on as it was.
pub(super) fn become_sleeper(
    handles: &Handles,
    lock: &LockGuard,
    state_dir: &Path,
    queue_lock: &Path,
    arguments: Vec<OsString>,
    globals: Vec<OsString>,
) -> io::Error {
    let become_it = || {
        let sleeper = program(state_dir)?;
        let own = rustix::fs::open(
            "/proc/self/exe",
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let (inbox, lock) = handles.in_flight(lock)?;
        let number = |fd: BorrowedFd<'_>| OsString::from(fd.as_raw_fd().to_string());
        let caller = handles.channel.as_ref().map(|channel| channel.as_fd());
        let inherited = [Some(own.as_fd()), Some(handles.bell.as_fd()), caller];
        let inherited: Vec<RawFd> = inherited
            .iter()
            .flatten()
            .map(|fd| fd.as_raw_fd())
            .collect();
        let mut command = Command::new(sleeper);
        command
            .arg0(std::env::args_os().next().unwrap_or_default())
            .args(arguments)
            .arg("--of")
            .arg(number(own.as_fd()))
            .arg(number(handles.bell.as_fd()))
            .arg(caller.map_or_else(|| OsString::from("-"), number))
            .arg(queue_lock)
            .args(globals)
            .stdin(OwnedFd::from(inbox))
            .stdout(lock);
        let keep = inherited.clone();
        // SAFETY: fcntl alone is called, which may be called at any moment.
        unsafe { command.pre_exec(move || close_on_exec(&keep, false)) };
        let fault = command.exec();
        close_on_exec(&inherited, true)?;
        Err(fault)
    };
    let outcome: io::Result<std::convert::Infallible> = become_it();
    match outcome {
        Ok(never) => match never {},
        Err(fault) => fault,
    }
}

/// Sets whether handles that are open end with the program.
fn close_on_exec(handles: &[RawFd], close: bool) -> io::Result<()> {
    let flags = if close {
        FdFlags::CLOEXEC
    } else {
        FdFlags::empty()
    };
    for handle in handles {
        // SAFETY: the caller holds each of them open.
        let handle = unsafe { BorrowedFd::borrow_raw(*handle) };
        rustix::io::fcntl_setfd(handle, flags)?;
    }
    Ok(())
}

/// The program's file, written where it is not there as it should be. Those of other versions go: who is one of them has it.
fn program(state_dir: &Path) -> io::Result<PathBuf> {
    if PROGRAM.is_empty() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let folder = state_dir.join("bin");
    let digest = hex::encode(Sha256::digest(PROGRAM));
    let path = folder.join(format!("{NAME}{}", digest.get(..16).unwrap_or(&digest)));
    let whole = fs::read(&path).is_ok_and(|there| there == PROGRAM);
    let runs = || {
        rustix::fs::accessat(
            CWD,
            &path,
            rustix::fs::Access::EXEC_OK,
            rustix::fs::AtFlags::empty(),
        )
    };
    if whole && runs().is_ok() {
        return Ok(path);
    }
    private::make_folder(&folder)?;
    let mut file = tempfile::NamedTempFile::new_in(&folder)?;
    file.write_all(PROGRAM)?;
    file.as_file()
        .set_permissions(fs::Permissions::from_mode(0o700))?;
    // A program that is open for writing is not run.
    let file = file.into_temp_path();
    file.persist(&path)?;
    for entry in fs::read_dir(&folder)?.flatten() {
        if entry.path() != path && entry.file_name().to_string_lossy().starts_with(NAME) {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn its_file_is_whole_private_and_the_only_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = program(folder.path()).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert_eq!(program(folder.path()).unwrap(), path);
        // One that was cut off by a full disk, and one of an earlier version.
        fs::write(&path, b"half").unwrap();
        let earlier = path.with_file_name("sleeper-0000");
        fs::write(&earlier, b"earlier").unwrap();
        assert_eq!(program(folder.path()).unwrap(), path);
        assert_eq!(fs::read(&path).unwrap(), PROGRAM);
        assert!(!earlier.exists());
        // Started by somebody else it says so and does nothing.
        let output = Command::new(&path).output().unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("it was not started by this program"),
            "{said}"
        );
    }
}
