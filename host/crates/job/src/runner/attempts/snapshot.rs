//! The one state of the checkout that every attempt starts from.

use std::path::{Path, PathBuf};

use crate::root;
use crate::spec::JobSpec;
use settings::Settings;
use workspace::{Isolated, IsolatedRequest, Limits, Workspace, WorkspaceError};

/// The folder of the copy in the job's own.
const COPY: &str = "snapshot";

/// The state of the checkout when the job began.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    /// The commit.
    pub(super) commit: String,
    /// The folder of a copy of the checkout with its uncommitted work, where the job takes that along.
    pub(super) copy: Option<PathBuf>,
}

/// Pins the commit that the base names; where uncommitted work is taken along, copies the checkout.
pub(super) fn pin(
    settings: &Settings,
    spec: &JobSpec,
    job_folder: &Path,
    limits: Limits,
) -> Result<Snapshot, WorkspaceError> {
    let missing = |what: String| WorkspaceError::Isolation { what };
    let root =
        root::open(settings).ok_or_else(|| missing("SANDBOX_ROOT is not set".to_owned()))??;
    let workspace = Workspace::open(&root, &spec.allowed_dirs)?;
    let commit = workspace::commit_of(workspace.top(), spec.base.as_deref()).ok_or_else(|| {
        missing(format!(
            "base {:?} names no commit of {}",
            spec.base.as_deref().unwrap_or("HEAD"),
            workspace.top().display()
        ))
    })?;
    if !spec.include_dirty {
        return Ok(Snapshot { commit, copy: None });
    }
    let folder = job_folder.join(COPY);
    Isolated::create(&IsolatedRequest {
        source: &workspace,
        folder: &folder,
        name: COPY,
        base: spec.base.as_deref(),
        include_dirty: true,
        limits,
    })?;
    Ok(Snapshot {
        commit,
        copy: Some(folder),
    })
}

/// The copy in a folder, as an attempt reads it.
pub(in crate::runner) fn open_copy(folder: &Path) -> Result<Workspace, WorkspaceError> {
    Ok(Isolated::open(folder, COPY)?.workspace().clone())
}
