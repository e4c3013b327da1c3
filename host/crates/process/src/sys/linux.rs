//! Linux: namespaces, `/proc`, pidfds, subreapers.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};
use rustix::thread::{CapabilitySet, UnshareFlags};

use super::{Namespaces, Process, Restrictions, landlock, temp};

/// Tasks (threads included) that may live in one PID namespace at a time: room for a parallel build on a big machine,
/// but an end for a fork bomb.
const PID_LIMIT: usize = 16_384;

/// A process that can be signalled without hitting a later owner of its pid.
#[derive(Debug)]
pub(crate) struct ProcessHandle(Option<OwnedFd>);

impl ProcessHandle {
    pub(crate) fn open(pid: u32) -> Self {
        Self(to_pid(pid).and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()))
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
        if let Some(fd) = &self.0 {
            // The only failure that is left is that it is gone already.
            let _ = rustix::process::pidfd_send_signal(fd, signal);
        }
    }
}

fn to_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

pub(crate) fn process(pid: u32) -> Option<Process> {
    parse_stat(&std::fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// `PID (NAME) STATE PPID ...`, where the name may hold anything, parentheses included: see proc_pid_stat(5).
fn parse_stat(stat: &[u8]) -> Option<Process> {
    let close = memchr::memrchr(b')', stat)?;
    let rest = std::str::from_utf8(stat.get(close + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    // State is field 3, start time field 22.
    let start_time = fields.nth(17)?.parse().ok()?;
    Some(Process {
        parent,
        start_time,
        zombie: matches!(state, "Z" | "X"),
    })
}

pub(crate) fn processes() -> BTreeMap<u32, Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return BTreeMap::new();
    };
    entries
        .filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Some((pid, process(pid)?))
        })
        .collect()
}

pub(crate) fn environment_has(pid: u32, assignment: &str) -> bool {
    std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| {
        environ
            .split(|byte| *byte == 0)
            .any(|entry| entry == assignment.as_bytes())
    })
}

pub(crate) fn boot_id() -> Option<String> {
    Some(
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .ok()?
            .trim()
            .to_owned(),
    )
}

pub(crate) fn become_subreaper() {
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// Reaps those of `pids` that are zombies of this process. Others are left to whoever started and waits for them.
pub(crate) fn reap(pids: impl Iterator<Item = u32>) {
    for pid in pids.filter_map(to_pid) {
        let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
    }
}

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

/// Moves this (single-threaded) process towards namespaces of its own; its next child is pid 1 in them.
pub(crate) fn enter_namespaces(want_pids: bool, want_network: bool) -> Namespaces {
    let mut got = Namespaces::default();
    let mut flags = UnshareFlags::empty();
    if want_pids {
        flags |= UnshareFlags::NEWPID | UnshareFlags::NEWNS | UnshareFlags::NEWIPC;
    }
    if want_network {
        flags |= UnshareFlags::NEWNET;
    }
    if flags.is_empty() {
        return got;
    }
    let root = rustix::process::geteuid().is_root();
    let mut attempts = vec![flags | UnshareFlags::NEWUSER];
    if root {
        attempts.insert(0, flags);
    }
    if want_pids && want_network {
        // Without the one the other may still be had.
        attempts.push(UnshareFlags::NEWNET | UnshareFlags::NEWUSER);
    }
    let (uid, gid) = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    for attempt in attempts {
        // SAFETY: no descriptor table is unshared, and this process has one thread.
        match unsafe { rustix::thread::unshare_unsafe(attempt) } {
            Ok(()) => {
                got.pids = attempt.contains(UnshareFlags::NEWPID);
                got.network = attempt.contains(UnshareFlags::NEWNET);
                if attempt.contains(UnshareFlags::NEWUSER) {
                    match map_own_user(uid, gid) {
                        Ok(()) => got.detail.push("user namespace".into()),
                        Err(error) => got
                            .detail
                            .push(format!("user namespace without own ids: {error}")),
                    }
                }
                return got;
            }
            Err(error) => got.detail.push(format!("no {}: {error}", names(attempt))),
        }
    }
    got
}

fn names(flags: UnshareFlags) -> String {
    [
        (UnshareFlags::NEWUSER, "user"),
        (UnshareFlags::NEWPID, "pid"),
        (UnshareFlags::NEWNET, "network"),
    ]
    .iter()
    .filter(|(flag, _)| flags.contains(*flag))
    .map(|(_, name)| *name)
    .collect::<Vec<_>>()
    .join("+")
        + " namespace"
}

/// In its user namespace this process stays who it is, so files keep their owners; what it needs to set up mounts and the
/// loopback goes over the next exec as ambient capabilities.
fn map_own_user(uid: u32, gid: u32) -> io::Result<()> {
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))?;
    let needed = CapabilitySet::SYS_ADMIN
        | CapabilitySet::NET_ADMIN
        | CapabilitySet::KILL
        | CapabilitySet::SETPCAP;
    let mut sets = rustix::thread::capabilities(None)?;
    sets.inheritable |= needed;
    rustix::thread::set_capabilities(None, sets)?;
    for capability in needed.iter() {
        rustix::thread::configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(())
}

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

/// Makes the mount at `path` read-only, for this mount namespace.
pub(super) fn remount_read_only(path: &Path) -> rustix::io::Result<()> {
    // In a user namespace flags that the mount below has may not be dropped.
    let usual = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount_remount(path, usual, "")
        .or_else(|_| rustix::mount::mount_remount(path, usual | MountFlags::NOEXEC, ""))
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

/// Brings the loopback of a new network namespace up: an RTM_NEWLINK for interface 1 with IFF_UP, see rtnetlink(7).
pub(crate) fn raise_loopback() -> io::Result<()> {
    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};
    const RTM_NEWLINK: u16 = 16;
    const NLM_F_REQUEST_ACK: u16 = 1 | 4;
    const NLMSG_ERROR: u16 = 2;
    const IFF_UP: u32 = 1;
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?;
    // struct nlmsghdr, then struct ifinfomsg {family, pad, type, index, flags, change}.
    let mut message = Vec::with_capacity(32);
    message.extend_from_slice(&32u32.to_ne_bytes());
    message.extend_from_slice(&RTM_NEWLINK.to_ne_bytes());
    message.extend_from_slice(&NLM_F_REQUEST_ACK.to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(&1i32.to_ne_bytes());
    message.extend_from_slice(&IFF_UP.to_ne_bytes());
    message.extend_from_slice(&IFF_UP.to_ne_bytes());
    rustix::net::sendto(
        &socket,
        &message,
        SendFlags::empty(),
        &netlink::SocketAddrNetlink::new(0, 0),
    )?;
    let mut answer = [0u8; 256];
    let (received, _) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty())?;
    let field = |at: usize| answer.get(..received)?.get(at..at + 4)?.try_into().ok();
    let kind = field(4).map(|bytes: [u8; 4]| u16::from_ne_bytes([bytes[0], bytes[1]]));
    let error = field(16).map(i32::from_ne_bytes);
    match (kind, error) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(error)) => Err(io::Error::from_raw_os_error(-error)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
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

/// Why a program was not started.
#[derive(Debug)]
pub(crate) enum StartError {
    Refused(String),
    Exec(io::Error),
}

/// Waits for any child to end: its pid, exit code or signal. `None` when there is no child left.
pub(crate) fn wait_any() -> Option<(u32, Option<i32>, Option<i32>)> {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) => {
                return Some((
                    u32::try_from(pid.as_raw_nonzero().get()).ok()?,
                    status.exit_status(),
                    status.terminating_signal(),
                ));
            }
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

pub(crate) fn interrupt_group(leader: u32) {
    if let Some(pid) = to_pid(leader) {
        let _ = rustix::process::kill_process_group(pid, Signal::INT);
    }
}

pub(crate) fn terminate_group(leader: u32) {
    if let Some(pid) = to_pid(leader) {
        let _ = rustix::process::kill_process_group(pid, Signal::TERM);
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_process_name_cannot_fake_the_fields_after_it() {
        let tail = "S 7 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1000 1";
        for name in ["sh", "a b", ") S 1 ", "x) Z 9 9", "\u{fffd}\n)"] {
            let stat = format!("12 ({name}) {tail}");
            let process = parse_stat(stat.as_bytes()).unwrap();
            assert_eq!(
                (process.parent, process.start_time, process.zombie),
                (7, 4242, false),
                "{name:?}"
            );
        }
        assert!(parse_stat(b"12 (sh) S 7").is_none());
        assert!(parse_stat(b"").is_none());
        assert!(super::process(std::process::id()).is_some());
    }
}
