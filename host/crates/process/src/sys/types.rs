//! The terms in which every operating system answers.

/// One process, as far as its supervision goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process {
    pub(crate) parent: u32,
    /// Clock ticks since boot.
    pub(crate) start_time: u64,
    /// Dead, and only waiting to be reaped.
    pub(crate) zombie: bool,
}

/// Namespaces that the helper got for itself.
#[derive(Debug, Default, Clone)]
pub(crate) struct Namespaces {
    /// Children of the helper are in a PID and a mount namespace of their own.
    pub(crate) pids: bool,
    /// The network is a loopback of its own.
    pub(crate) network: bool,
    /// What could not be had, and why.
    pub(crate) detail: Vec<String>,
}

/// Restrictions for the main process of a task.
#[derive(Debug)]
pub(crate) struct Restrictions<'a> {
    pub(crate) confine: bool,
    pub(crate) read: &'a [std::ffi::OsString],
    pub(crate) write: Vec<std::ffi::OsString>,
    /// `/dev/shm` is a private mount.
    pub(crate) own_shared_memory: bool,
    /// The main process gets a parent-death signal: there is no namespace whose end would end it.
    pub(crate) die_with_parent: bool,
}

/// A reason for which a program was not started.
#[derive(Debug)]
pub(crate) enum StartError {
    /// The confinement that is required cannot be had.
    Refused(String),
    /// The program cannot be executed.
    Exec(std::io::Error),
}
