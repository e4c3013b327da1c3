//! The confinement that a task really had.

use serde::{Deserialize, Serialize};

/// The confinement that a task really had: one word for the result, and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// The word in the result.
    pub word: LevelWord,
    /// The parts of the confinement that were in force and that were not, and why not.
    pub detail: Vec<String>,
    /// True if file access was held, by the view or by Landlock.
    pub files_confined: bool,
    /// True if the task saw a root of its own, in which nothing is but its grants.
    #[serde(default)]
    pub view: bool,
    /// True if the processes had a PID namespace of their own.
    pub own_pids: bool,
}

/// One word for how a task ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LevelWord {
    /// None of the three.
    Unconfined,
    /// Not all of the three; the detail says which is missing, and why.
    Partial,
    /// A view of its own, a PID namespace of its own, and a Landlock allowlist.
    Confined,
}

impl LevelWord {
    /// The word in the result.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confined => "confined",
            Self::Partial => "partial",
            Self::Unconfined => "unconfined",
        }
    }
}

impl std::fmt::Display for LevelWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
