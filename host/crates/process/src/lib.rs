//! Supervision and confinement of everything a job starts: the agent and the check commands.
//!
//! A task never runs as a direct child. [`spawn`] starts this program once more as a small helper (`__init`), which
//! owns the task's whole process tree: where the kernel lets it, as pid 1 of a PID namespace with a `/proc` of its own,
//! so that the end of the helper, or of the runner, is the end of every process in it, by the kernel's hand; elsewhere
//! as the subreaper of the tree, which it ends in bounded rounds. The helper and the runner talk over one socket, whose
//! end also tells the helper that the runner is gone. What the task may touch is a Landlock allowlist, see
//! [`Confinement`].
//!
//! The time when the main process of a task ends, everything else of it is ended too: exit is not EOF, and a daemon that keeps
//! the output open must not hold the job.

mod command;
mod ending;
mod error;
mod grants;
mod helper;
mod installations;
mod level;
mod lines;
mod output;
mod places;
mod probe;
mod protocol;
mod reach;
mod running;
mod shell;
mod sys;
mod toolchains;
mod tree;
mod watch;
mod workload;

pub use command::{Command, Confinement, Network, Stdin, TaskLimits};
pub use ending::{Ending, Exit};
pub use error::ProcessError;
pub use grants::{GrantError, Grants};
pub use helper::init_main;
pub use level::{Level, LevelWord};
pub use lines::{Line, Lines};
pub use output::Output;
pub use places::{Layer, StandIn};
pub use probe::{Capabilities, probe, probe_layer, probe_with};
pub use protocol::{INIT_SUBCOMMAND, MARK_VARIABLE};
pub use reach::{interpreter, out_of_reach};
pub use running::{Handle, Running, spawn};
pub use settings::SandboxMode;
pub use shell::shell_word;
pub use toolchains::{Toolchains, toolchains};
pub use tree::{
    ProcessIdentity, adopt_strays, ancestors, end_recorded, identity, parent, sweep,
    terminate_recorded,
};
pub use watch::machine_memory;
pub use workload::Workload;
