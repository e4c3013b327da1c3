//! The reasons for which a task is not started.

use crate::grants::GrantError;

/// The reason why a task could not be started. Nothing of it runs then.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The helper could not be started or did not answer.
    #[error("cannot start the process helper: {0}")]
    Helper(String),
    /// The program does not exist, or is not executable.
    #[error("cannot run {program}: {reason}")]
    Exec {
        /// The program as it was asked for.
        program: String,
        /// The system's reason.
        reason: String,
        /// True if there is no such program (else it cannot be executed).
        not_found: bool,
    },
    /// WORKER_SANDBOX=required, and the kernel does not offer it.
    #[error("WORKER_SANDBOX=required, but this machine cannot confine a job: {0}")]
    Confinement(String),
    /// A folder of the job cannot be granted.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// A folder of the job was replaced while the task was being started.
    #[error("a folder of the job is no longer what it was: {0}")]
    Replaced(String),
    /// A layer was asked for over a folder, and that cannot be had.
    #[error("no layer over a folder can be had: {0}")]
    Layer(String),
    /// A folder was to be found in the place of another, and that cannot be had.
    #[error("no folder can stand in for another: {0}")]
    StandIn(String),
    /// The network was to be off, and that cannot be had.
    #[error("`network: off` cannot be had on this machine: {0}")]
    Network(String),
}
