//! A probe of what this machine offers.

use std::path::Path;

use serde::Serialize;
use settings::SandboxMode;

use crate::command::{Command, Confinement, Stdin};
use crate::error::ProcessError;
use crate::level::{Level, LevelWord};
use crate::places::Layer;
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

/// Tries a layer over a folder, in a new one below `place`, where the layers of jobs will be.
///
/// # Errors
/// None can be had there; the reason.
pub async fn probe_layer(place: &Path) -> Result<(), ProcessError> {
    let failed =
        |error: std::io::Error| ProcessError::Layer(format!("{}: {error}", place.display()));
    let scratch = tempfile::Builder::new()
        .prefix(".layer-")
        .tempdir_in(place)
        .map_err(failed)?;
    let [folder, upper, work] = ["folder", "upper", "work"].map(|name| scratch.path().join(name));
    for made in [&folder, &upper, &work] {
        std::fs::create_dir(made).map_err(failed)?;
    }
    probe_with(Confinement {
        mode: SandboxMode::Auto,
        write: vec![folder.clone()],
        layers: vec![Layer {
            folder,
            upper,
            work,
            cover: None,
        }],
        ..Confinement::off()
    })
    .await
    .map(drop)
}
