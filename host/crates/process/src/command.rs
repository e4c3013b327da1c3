//! A program to run and what it may touch: the input of [`spawn`](crate::spawn).

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use settings::SandboxMode;

use crate::grants::Grants;
use crate::places::{Layer, StandIn};

/// A program to run: nothing of the caller's environment is passed on but what stands here.
#[derive(Debug, Clone)]
pub struct Command {
    /// A path, or a name that is looked up in the `PATH` of `env`.
    pub program: OsString,
    /// The arguments, without the program's own name.
    pub args: Vec<OsString>,
    /// The directory it runs in.
    pub cwd: PathBuf,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// The standard input.
    pub stdin: Stdin,
    /// The files and network that it may use.
    pub confinement: Confinement,
}

/// The standard input of a task.
#[derive(Debug, Clone, Default)]
pub enum Stdin {
    /// `/dev/null`.
    #[default]
    Null,
    /// These bytes, then the end.
    Bytes(Vec<u8>),
}

/// The files and network that a task may use, beyond the system's folders (which it may always read).
#[derive(Debug, Clone)]
pub struct Confinement {
    /// The confinement that must be had.
    pub mode: SandboxMode,
    /// Files and folders it may read and execute.
    pub read: Vec<PathBuf>,
    /// Files and folders it may also change. Where one is the top of a repository, git's configuration and hooks in it
    /// stay read-only: the user's own git would run what they say.
    pub write: Vec<PathBuf>,
    /// A folder of the task's own for temporary files; writable, and it stands in for `/tmp` and `/var/tmp` where mount
    /// namespaces can be had. What is named above and lies beneath those stays where it is, and is all that is seen of them.
    pub temp: Option<PathBuf>,
    /// True if it may use the network.
    pub network: Network,
    /// Folders that the task finds in the place of others.
    pub stand_ins: Vec<StandIn>,
    /// Folders of `write`, or places of stand-ins, whose contents stay as they are: what the task writes there goes into a
    /// layer over them.
    pub layers: Vec<Layer>,
    /// The grants of the job that the task belongs to. All tasks of a job share them: a path then means to each of them
    /// what it meant to the first.
    pub grants: Grants,
    /// The most that it may take of the machine.
    pub limits: TaskLimits,
    /// Leaves the view out, as if mount namespaces were refused: for tests of what Landlock holds alone.
    pub landlock_only: bool,
}

impl Confinement {
    /// No confinement at all, with the network on.
    pub fn off() -> Self {
        Self {
            mode: SandboxMode::Off,
            read: Vec::new(),
            write: Vec::new(),
            temp: None,
            network: Network::On,
            stand_ins: Vec::new(),
            layers: Vec::new(),
            grants: Grants::default(),
            limits: TaskLimits::default(),
            landlock_only: false,
        }
    }
}

/// The most that a task may take of the machine, all its processes together; none is no limit. A task that takes more is ended, and
/// the last line of its errors says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TaskLimits {
    /// Bytes of memory at once.
    pub memory: Option<u64>,
    /// Bytes written to disk that are still there.
    pub disk: Option<u64>,
}

/// True if a task may use the network. `Off` is a network namespace with nothing but a loopback of its own; where that
/// cannot be had the task is refused, whatever the sandbox mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// The machine's network.
    #[default]
    On,
    /// A loopback of its own only.
    Off,
}
