//! What differs from one operating system to the next, and nothing else.
//!
//! Linux has everything. Elsewhere a task is a session whose process group is ended; the level says so.

#[cfg(target_os = "linux")]
mod landlock;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(super) use linux::*;
#[cfg(target_os = "linux")]
mod temp;

#[cfg(not(target_os = "linux"))]
mod portable;
#[cfg(not(target_os = "linux"))]
pub(super) use portable::*;

/// One process, as far as its supervision goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process {
    pub(super) parent: u32,
    /// Clock ticks since boot.
    pub(super) start_time: u64,
    /// Dead, and only waiting to be reaped.
    pub(super) zombie: bool,
}

/// Namespaces that the helper got for itself.
#[derive(Debug, Default, Clone)]
pub(super) struct Namespaces {
    /// Children of the helper are in a PID and a mount namespace of their own.
    pub(super) pids: bool,
    /// The network is a loopback of its own.
    pub(super) network: bool,
    /// What could not be had, and why.
    pub(super) detail: Vec<String>,
}

/// Restrictions for the main process of a task.
#[derive(Debug)]
pub(super) struct Restrictions<'a> {
    pub(super) confine: bool,
    pub(super) read: &'a [std::ffi::OsString],
    pub(super) write: Vec<std::ffi::OsString>,
    /// `/dev/shm` is a private mount.
    pub(super) own_shared_memory: bool,
    /// The main process gets a parent-death signal: there is no namespace whose end would end it.
    pub(super) die_with_parent: bool,
}
