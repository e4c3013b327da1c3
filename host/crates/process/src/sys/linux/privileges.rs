//! The privileges that a confined task gives up: capabilities, and the keys of the user's session.

use std::io;

use rustix::thread::CapabilitySet;

use crate::sys::types::OpenGrant;

/// Capabilities that a task of root keeps: what test suites use on own processes. What reaches the kernel, devices, other
/// users' files or their processes is gone.
const KEPT: CapabilitySet = CapabilitySet::KILL
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT);

/// The capabilities that are kept where a folder that it is to write belongs to another user, as a
/// container sees the machine's.
const KEPT_FOR_ANOTHER_USERS_TREE: CapabilitySet =
    CapabilitySet::DAC_OVERRIDE.union(CapabilitySet::FOWNER);

/// Takes from the calling thread, and from all that it starts, every capability but a few.
pub(super) fn drop_capabilities(grants: &[OpenGrant]) -> io::Result<()> {
    rustix::thread::clear_ambient_capability_set()?;
    let user = rustix::process::geteuid().as_raw();
    let of_another = |grant: &&OpenGrant| {
        grant.write
            && grant.folder
            && rustix::fs::fstat(&grant.file).is_ok_and(|found| found.st_uid != user)
    };
    let mut kept = KEPT;
    if grants.iter().any(|grant| of_another(&grant)) {
        kept |= KEPT_FOR_ANOTHER_USERS_TREE;
    }
    let own = rustix::thread::capabilities(None)?;
    if own.effective.contains(CapabilitySet::SETPCAP) {
        for bit in 0..64 {
            let capability = CapabilitySet::from_bits_retain(1 << bit);
            if !kept.contains(capability) {
                // Beyond the kernel's last capability this fails, and nothing is lost.
                let _ = rustix::thread::remove_capability_from_bounding_set(capability);
            }
        }
    }
    Ok(())
}

/// Leaves the session keyring of the user for an empty one.
pub(super) fn join_own_keyring() -> io::Result<()> {
    let unnamed = std::ptr::null::<libc::c_char>();
    // SAFETY: keyctl(2) takes no name here, and reads no memory of ours.
    let joined =
        unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, unnamed) };
    if joined >= 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // A kernel without keys, or a container whose filter keeps the task from them as well.
        Some(libc::ENOSYS | libc::EPERM) => Ok(()),
        _ => Err(error),
    }
}
