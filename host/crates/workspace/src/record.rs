//! What is known about an isolated tree, kept beside it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::WorkspaceError;

/// What is known about an isolated tree, kept beside it for `apply`, `list` and a later job that goes on in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IsolatedRecord {
    /// `worker/<name>`.
    pub branch: String,
    /// The checkout that it was made from.
    pub source: PathBuf,
    /// SANDBOX_ROOT, as it was then.
    pub root: PathBuf,
    /// The job's directories in that checkout, relative to its top, the working directory first.
    pub dirs: Vec<PathBuf>,
    /// What was asked for: `HEAD`, a branch, a commit.
    pub base_name: String,
    /// The commit.
    pub base_commit: String,
    /// Whether uncommitted work was laid over it.
    pub dirty_included: bool,
    /// How many files of it.
    pub dirty_files: u64,
    /// How many ignored files were copied because `.worktreeinclude` names them.
    pub included_files: u64,
    /// What could not be done, a sentence each.
    pub notes: Vec<String>,
    /// What the jobs made that worked here, oldest first; each is set when its job is over.
    #[serde(default)]
    pub results: Vec<Sealed>,
    /// The commit that the results are to be compared with: the base, with the uncommitted work that was laid over it.
    #[serde(default)]
    pub compared_with: Option<String>,
    /// Whether a job made of the tree's `.git` what git would run or be led astray by: no other one goes on in it.
    #[serde(default)]
    pub tampered: bool,
}

/// The result of one job in a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The job.
    pub job: String,
    /// The commit that holds what it and those before it made.
    pub commit: String,
    /// How it was brought into the checkout, once it was.
    #[serde(default)]
    pub applied: Option<ApplyHow>,
}

/// How the result comes into the checkout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApplyHow {
    /// As a branch `worker/<job>` that is merged into the current one.
    Merge,
    /// Merged into the files and staged, not committed.
    Squash,
    /// Written into the files, nothing staged.
    Patch,
}

/// The record, in the folder of the tree.
pub(crate) const RECORD: &str = "isolated.json";

impl IsolatedRecord {
    /// The job's directories in the checkout that the tree was made from.
    pub fn source_dirs(&self) -> Vec<PathBuf> {
        let dirs = self.dirs.iter();
        dirs.map(|dir| self.source.join(dir)).collect()
    }

    /// The record of the tree in `folder`.
    ///
    /// # Errors
    /// When there is none.
    pub fn load(folder: &Path) -> Result<Self, WorkspaceError> {
        let path = folder.join(RECORD);
        let text = fs::read(&path).map_err(|_| WorkspaceError::Isolation {
            what: format!("there is no isolated tree in {}", folder.display()),
        })?;
        serde_json::from_slice(&text).map_err(|error| WorkspaceError::Isolation {
            what: format!("{} cannot be read: {error}", path.display()),
        })
    }
}
