//! The causes that end a job other than a check: one stable word for each, which the README
//! explains.

use std::fmt;

use serde::{Deserialize, Serialize};

use gateway::FatalCause;

/// The cause in a result's `error`. The words are part of the result's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndCause {
    /// The gateway refused the key.
    GatewayAuth,
    /// The gateway's account is empty.
    GatewayCredit,
    /// The gateway failed for good, after every retry and the fallback.
    GatewayError,
    /// A cap of the job is reached.
    Budget,
    /// The model's context is full.
    PromptTooLong,
    /// Nothing happened for WORKER_STALL_MS.
    Stalled,
    /// `timeout_ms` is over.
    JobTimeout,
    /// WORKER_QUEUE_MS is over, and the job had no turn.
    QueueTimeout,
    /// The `run` that waited for the job is gone.
    RunGone,
    /// The agent used all its turns.
    MaxTurns,
    /// Claude Code ended without a usable result.
    AgentCrash,
    /// Claude Code gave a result that is an error.
    AgentError,
    /// Claude Code made no request.
    NoTurn,
    /// The earlier session cannot be continued.
    SessionLost,
    /// The disk of the state folder is full.
    Storage,
    /// No Claude Code was found.
    AgentMissing,
    /// Claude Code could not be started.
    AgentStart,
    /// A session could not be prepared.
    Agent,
    /// The tree cannot be used.
    Workspace,
    /// The command that makes an isolated tree ready failed.
    Setup,
    /// The runner's settings do not allow the job.
    Settings,
    /// The adapter could not be started.
    Adapter,
    /// The job store cannot be used.
    Store,
    /// This machine could not do it.
    Host,
    /// The runner is gone.
    Interrupted,
}

impl EndCause {
    /// Every cause.
    pub const ALL: [Self; 25] = [
        Self::GatewayAuth,
        Self::GatewayCredit,
        Self::GatewayError,
        Self::Budget,
        Self::PromptTooLong,
        Self::Stalled,
        Self::JobTimeout,
        Self::QueueTimeout,
        Self::RunGone,
        Self::MaxTurns,
        Self::AgentCrash,
        Self::AgentError,
        Self::NoTurn,
        Self::SessionLost,
        Self::Storage,
        Self::AgentMissing,
        Self::AgentStart,
        Self::Agent,
        Self::Workspace,
        Self::Setup,
        Self::Settings,
        Self::Adapter,
        Self::Store,
        Self::Host,
        Self::Interrupted,
    ];

    /// The word in results.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GatewayAuth => "gateway_auth",
            Self::GatewayCredit => "gateway_credit",
            Self::GatewayError => "gateway_error",
            Self::Budget => "budget",
            Self::PromptTooLong => "prompt_too_long",
            Self::Stalled => "stalled",
            Self::JobTimeout => "job_timeout",
            Self::QueueTimeout => "queue_timeout",
            Self::RunGone => "run_gone",
            Self::MaxTurns => "max_turns",
            Self::AgentCrash => "agent_crash",
            Self::AgentError => "agent_error",
            Self::NoTurn => "no_turn",
            Self::SessionLost => "session_lost",
            Self::Storage => "storage",
            Self::AgentMissing => "agent_missing",
            Self::AgentStart => "agent_start",
            Self::Agent => "agent",
            Self::Workspace => "workspace",
            Self::Setup => "setup",
            Self::Settings => "settings",
            Self::Adapter => "adapter",
            Self::Store => "store",
            Self::Host => "host",
            Self::Interrupted => "interrupted",
        }
    }
}

impl fmt::Display for EndCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<FatalCause> for EndCause {
    fn from(cause: FatalCause) -> Self {
        match cause {
            FatalCause::Auth => Self::GatewayAuth,
            FatalCause::Credit => Self::GatewayCredit,
            FatalCause::Budget => Self::Budget,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_and_results_use_the_same_words() {
        for cause in EndCause::ALL {
            assert_eq!(
                serde_json::to_value(cause).ok(),
                Some(cause.as_str().into()),
                "{cause:?}"
            );
        }
    }
}
