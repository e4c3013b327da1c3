//! The outcome of a pass: its end, or the reason why there was none.

use super::events::Denial;
use crate::end_cause::EndCause;
use process::{Exit, Level, ProcessError};

/// The outcome of a pass.
#[derive(Debug, Clone)]
pub struct AgentOutcome {
    /// The end.
    pub ending: Ending,
    /// Model turns.
    pub turns: u32,
    /// The agent's own last words: a claim, never evidence.
    pub last_message: Option<String>,
    /// The actions that were denied to it.
    pub denials: Vec<Denial>,
    /// The end of what its commands said that failed: raw.
    pub failures: String,
    /// The end of its process.
    pub exit: Exit,
    /// The confinement that it had.
    pub level: Level,
    /// The session, for a later pass.
    pub session: String,
    /// Sentences for the result on how it ran: a fallen-back profile, a restricted shell.
    pub notes: Vec<String>,
}

/// The end of a pass. `Success` says that Claude Code is done, not that the task is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Exit code 0, a result event without error, and at least one turn.
    Success,
    /// It failed by itself.
    Failed {
        /// The cause.
        cause: EndCause,
        /// The message, in a sentence or two.
        message: String,
    },
    /// The cap on turns was hit.
    MaxTurns,
    /// No sign of life for too long.
    Stalled {
        /// The last thing it was seen doing.
        last_step: String,
    },
    /// Cancelled from outside.
    Cancelled,
    /// The job's time was over.
    TimedOut {
        /// The last thing it was seen doing.
        last_step: String,
    },
}

/// The reason why there was no pass.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No Claude Code to run.
    #[error(
        "Claude Code was not found ({0}); install it (npm install -g @anthropic-ai/claude-code) or set WORKER_CLAUDE_BIN to its binary"
    )]
    NotFound(String),
    /// It does not answer as Claude Code does.
    #[error("{path} does not work as Claude Code: {reason}")]
    Unusable {
        /// The binary.
        path: String,
        /// The fault.
        reason: String,
    },
    /// The folders of the pass cannot be made.
    #[error("cannot prepare the agent: {0}")]
    Setup(String),
    /// bypassPermissions was asked for without leave.
    #[error("bypassPermissions needs ALLOW_BYPASS_PERMISSIONS=1")]
    BypassForbidden,
    /// The process could not be started.
    #[error(transparent)]
    Process(#[from] ProcessError),
}
