//! The two ends of a task: the exit it came to, and the steps in which it is ended from outside.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The end of the main process of a task. Exactly one of the two is set, and neither when the
/// helper itself was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The exit code.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl Exit {
    /// Returns true if it ended by itself with code 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exit code {code}"),
            (None, Some(signal)) => write!(f, "signal {signal}"),
            (None, None) => f.write_str("killed together with its supervisor"),
        }
    }
}

/// The steps that end a task: SIGINT to the main process group, then SIGTERM to the whole tree,
/// then SIGKILL.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    /// The time after SIGINT; zero leaves SIGINT out.
    pub interrupt: Duration,
    /// The time after SIGTERM; zero leaves SIGTERM out.
    pub terminate: Duration,
}

impl Ending {
    /// The graces for an agent: Claude Code cleans up its own children on SIGINT within 0.2 s and prints a result.
    pub const AGENT: Self = Self {
        interrupt: Duration::from_secs(5),
        terminate: Duration::from_secs(2),
    };
    /// The graces for a check that ran out of time.
    pub const CHECK: Self = Self {
        interrupt: Duration::from_millis(500),
        terminate: Duration::from_secs(2),
    };
    /// At once.
    pub const NOW: Self = Self {
        interrupt: Duration::ZERO,
        terminate: Duration::ZERO,
    };
}
