//! The namespaces of a task, and what has to be done in each of them before they are of use.

use std::io;
use std::path::Path;

use rustix::thread::{CapabilitySet, UnshareFlags};

use crate::sys::types::Namespaces;

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
    // The kernel's own folder beneath a layer has mode 0, so that whoever mounts the layer has to pass over modes.
    let needed = CapabilitySet::SYS_ADMIN
        | CapabilitySet::DAC_OVERRIDE
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

/// Tasks (threads included) that may live in one PID namespace at a time: room for a parallel build on a big machine,
/// but an end for a fork bomb.
const PID_LIMIT: usize = 16_384;

/// Bounds the processes of this PID namespace, whose `/proc` is at `proc`.
pub(super) fn limit_processes(proc: &Path) {
    // Per PID namespace since Linux 6.14; before that the write would be to everybody's limit.
    if kernel_at_least(6, 14) {
        // The count of processes by the helper holds without it.
        let _ = std::fs::write(proc.join("sys/kernel/pid_max"), PID_LIMIT.to_string());
    }
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
