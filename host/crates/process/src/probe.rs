//! A probe of what this machine offers.

use serde::Serialize;
use settings::SandboxMode;

use crate::command::{Command, Confinement, Stdin};
use crate::error::ProcessError;
use crate::level::{Level, LevelWord};
use crate::running::spawn;

/// The confinement that this machine offers, found out by running something under it.
#[derive(Debug, Clone, Serialize)]
pub struct Capabilities {
    /// The confinement of a task here with `WORKER_SANDBOX=auto`.
    pub level: Level,
    /// The reason, when a probe itself failed.
    pub problem: Option<String>,
}

/// Finds out what this machine offers, by running `true` confined.
pub async fn probe() -> Capabilities {
    let confinement = Confinement {
        mode: SandboxMode::Auto,
        ..Confinement::off()
    };
    match probe_with(confinement).await {
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

/// Finds out how a task with this confinement runs, by running `true` under it.
///
/// # Errors
/// It would not be started.
pub async fn probe_with(confinement: Confinement) -> Result<Level, ProcessError> {
    let task = spawn(Command {
        program: "true".into(),
        args: Vec::new(),
        cwd: "/".into(),
        env: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
        stdin: Stdin::Null,
        confinement,
    })
    .await?;
    let level = task.level().clone();
    task.wait().await;
    Ok(level)
}
