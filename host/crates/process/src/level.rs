//! The confinement that a task really had, and a probe of what this machine offers.

use serde::{Deserialize, Serialize};
use settings::SandboxMode;

use crate::command::{Command, Confinement, Stdin};
use crate::error::ProcessError;
use crate::running::spawn;

/// How a task really ran: one word for the result, and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// The word in the result.
    pub word: LevelWord,
    /// What was had and what was not, and why not.
    pub detail: Vec<String>,
    /// Whether file access was held, by the view or by Landlock.
    pub files_confined: bool,
    /// Whether the task saw a root of its own, in which nothing is but its grants.
    #[serde(default)]
    pub view: bool,
    /// Whether the processes had a PID namespace of their own.
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

/// What this machine offers, found out by running something under it.
#[derive(Debug, Clone, Serialize)]
pub struct Capabilities {
    /// How a task runs here with `WORKER_SANDBOX=auto`.
    pub level: Level,
    /// Why not, when a probe itself failed.
    pub problem: Option<String>,
}

/// Finds out what this machine offers, by running `true` confined.
pub async fn probe() -> Capabilities {
    let run = async {
        let task = spawn(Command {
            program: "true".into(),
            args: Vec::new(),
            cwd: "/".into(),
            env: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
            stdin: Stdin::Null,
            confinement: Confinement {
                mode: SandboxMode::Auto,
                ..Confinement::off()
            },
        })
        .await?;
        let level = task.level().clone();
        task.wait().await;
        Ok::<_, ProcessError>(level)
    };
    match run.await {
        Ok(level) => Capabilities {
            level,
            problem: None,
        },
        Err(error) => Capabilities {
            level: Level {
                word: LevelWord::Unconfined,
                detail: Vec::new(),
                files_confined: false,
                view: false,
                own_pids: false,
            },
            problem: Some(error.to_string()),
        },
    }
}
