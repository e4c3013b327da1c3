//! The terms in which every operating system answers.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

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
    /// The parts that could not be had, and the reasons.
    pub(crate) detail: Vec<String>,
}

/// A grant that was opened, and is what it was when the job first used it.
#[derive(Debug)]
pub(crate) struct OpenGrant {
    /// The real path.
    pub(crate) path: PathBuf,
    /// Links on the way to it, with their targets.
    pub(crate) links: Vec<(PathBuf, PathBuf)>,
    pub(crate) file: OwnedFd,
    pub(crate) folder: bool,
    pub(crate) write: bool,
    /// The file is another than the one that the machine has at this path.
    pub(crate) stands_in: bool,
    pub(crate) layer: Option<OpenLayer>,
}

/// The folders of a layer over a grant.
#[derive(Debug)]
pub(crate) struct OpenLayer {
    pub(crate) upper: OwnedFd,
    pub(crate) work: OwnedFd,
    pub(crate) cover: Option<OwnedFd>,
}

/// The mounts that a task has for itself.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Furnished {
    /// The root holds nothing but its grants.
    pub(crate) view: bool,
    /// `/dev/shm` is a private mount.
    pub(crate) own_shared_memory: bool,
}

/// Restrictions for the main process of a task.
#[derive(Debug)]
pub(crate) struct Restrictions<'a> {
    pub(crate) confine: bool,
    pub(crate) grants: &'a [OpenGrant],
    pub(crate) furnished: Furnished,
    /// The main process gets a parent-death signal: there is no namespace whose end would end it.
    pub(crate) die_with_parent: bool,
}

/// A part of the confinement that is required and not in force.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub(crate) enum Lacking {
    #[error("no Landlock")]
    Landlock,
    #[error("no PID namespace")]
    PidNamespace,
    #[error("no view")]
    View,
}

/// A reason for which a program was not started.
#[derive(Debug)]
pub(crate) enum StartError {
    /// The confinement that is required is not in force.
    Refused(Lacking),
    /// The program cannot be executed.
    Exec(std::io::Error),
}
