//! The states a job goes through: one direction, and a terminal one is entered exactly once.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits for a slot behind MAX_RUNNING_JOBS.
    Queued,
    /// The runner looks at the tree and records its base.
    Preparing,
    /// Claude Code works.
    Running,
    /// The host looks at what changed and runs the checks.
    Verifying,
    /// Claude Code works again, on the evidence of a failed verification.
    Revising,
    /// Every check passed.
    Completed,
    /// A check or a fault failed the job; the record names it.
    Failed,
    /// The agent needs a decision and asked for it; a follow-up answers.
    NeedsInput,
    /// Somebody cancelled it.
    Cancelled,
    /// The time was up, or it went silent.
    TimedOut,
    /// The runner is gone without a word: killed, or the machine went down.
    Interrupted,
}

impl State {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 11] = [
        Self::Queued,
        Self::Preparing,
        Self::Running,
        Self::Verifying,
        Self::Revising,
        Self::Completed,
        Self::Failed,
        Self::NeedsInput,
        Self::Cancelled,
        Self::TimedOut,
        Self::Interrupted,
    ];

    /// The word in records and replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Preparing => "preparing",
            Self::Running => "running",
            Self::Verifying => "verifying",
            Self::Revising => "revising",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::NeedsInput => "needs_input",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::Interrupted => "interrupted",
        }
    }

    /// Returns true if the job is over.
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::Completed
                | Self::Failed
                | Self::NeedsInput
                | Self::Cancelled
                | Self::TimedOut
                | Self::Interrupted
        )
    }

    /// Returns true if a job may go from here to `next`.
    pub fn may_become(self, next: Self) -> bool {
        let early = next.is_terminal() && next != Self::Completed;
        match self {
            Self::Queued => next == Self::Preparing || early && next != Self::NeedsInput,
            Self::Preparing => next == Self::Running || early && next != Self::NeedsInput,
            Self::Running | Self::Revising => next == Self::Verifying || early,
            Self::Verifying => {
                next == Self::Revising || next.is_terminal() && next != Self::NeedsInput
            }
            _ => false,
        }
    }
}

/// The text names no state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a job state")]
pub struct UnknownState;

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(word: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or(UnknownState)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_state_is_never_left() {
        for from in State::ALL.into_iter().filter(|state| state.is_terminal()) {
            for to in State::ALL {
                assert!(!from.may_become(to), "{from} -> {to}");
            }
        }
    }

    #[test]
    fn only_a_verified_job_is_completed() {
        for from in State::ALL {
            assert_eq!(
                from.may_become(State::Completed),
                from == State::Verifying,
                "{from}"
            );
        }
    }

    #[test]
    fn every_state_can_be_cut_short() {
        for from in State::ALL.into_iter().filter(|state| !state.is_terminal()) {
            for to in [
                State::Failed,
                State::Cancelled,
                State::TimedOut,
                State::Interrupted,
            ] {
                assert!(from.may_become(to), "{from} -> {to}");
            }
        }
    }

    #[test]
    fn only_an_agent_at_work_asks() {
        for from in State::ALL {
            assert_eq!(
                from.may_become(State::NeedsInput),
                matches!(from, State::Running | State::Revising),
                "{from}"
            );
        }
    }

    #[test]
    fn words_and_states_agree() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert_eq!("done".parse::<State>(), Err(UnknownState));
    }
}
