//! The record of an isolated tree, kept beside it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::WorkspaceError;
use crate::root::Root;

/// The record of an isolated tree, kept beside it for `apply`, `list` and a later job that
/// continues in it.
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
    /// The base as it was named: `HEAD`, a branch, a commit.
    pub base_name: String,
    /// The commit.
    pub base_commit: String,
    /// True if uncommitted work was laid over it.
    pub dirty_included: bool,
    /// The number of files of it.
    pub dirty_files: u64,
    /// The number of ignored files that were copied because `.worktreeinclude` names them.
    pub included_files: u64,
    /// The number of files that the rules do not ignore and a set-up changed: they cannot be told
    /// from a job's changes.
    #[serde(default)]
    pub set_up_files: u64,
    /// The things that could not be done, a sentence each.
    pub notes: Vec<String>,
    /// Folders of objects that git in the tree reads: those of the checkout and of its submodules, with all that their
    /// `objects/info/alternates` name.
    #[serde(default)]
    pub stores: Vec<PathBuf>,
    /// The results of the jobs that worked here, oldest first; each is set when its job is over.
    #[serde(default)]
    pub results: Vec<Sealed>,
    /// The commit that the results are to be compared with: the base, with the uncommitted work that was laid over it.
    #[serde(default)]
    pub compared_with: Option<String>,
    /// True if the tree was made small: its files are made again when a job goes on in it.
    #[serde(default)]
    pub small: bool,
    /// True if a job made of the tree's `.git` what git would run or be led astray by: no other one
    /// goes on in it.
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
    /// The way it was brought into the checkout, once it was.
    #[serde(default)]
    pub applied: Option<ApplyHow>,
    /// The state of each file that differs from the base when it was verified.
    #[serde(default)]
    pub files: Vec<SealedFile>,
    /// The changes of the job that the commit does not hold.
    #[serde(default)]
    pub not_carried: Vec<NotCarried>,
}

/// One file of a result, as it was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedFile {
    /// Relative to the tree's top; names may hold any bytes.
    pub path: Vec<u8>,
    /// The SHA-256 of the bytes that the checks saw (a link's target); none when the file is gone.
    pub sha256: Option<String>,
    /// The id of the object that git makes of those bytes.
    #[serde(default)]
    pub object: Option<String>,
}

/// A change that a result cannot hold, and that is only in the job's tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotCarried {
    /// Relative to the tree's top, readable; of many files in one ignored directory, the directory.
    pub path: String,
    /// The number of files.
    pub files: u64,
    /// The reason.
    pub reason: NotCarriedReason,
}

/// The reason why a result cannot hold a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotCarriedReason {
    /// A file of a submodule, or the commit it is at.
    Submodule,
    /// A file of another repository inside the tree.
    OtherRepository,
    /// The repository's rules ignore it.
    Ignored,
    /// Ignored as `Ignored`, in a folder that tools make again (`target`, `node_modules`).
    Rebuilt,
    /// A FIFO, a socket, a device.
    Special,
    /// It is too long to be kept.
    TooLong,
    /// git refuses to convert it.
    Unconvertible,
}

impl NotCarried {
    /// Returns true if deleting the job's tree loses work with it.
    pub fn is_work(&self) -> bool {
        self.reason != NotCarriedReason::Rebuilt
    }
}

impl std::fmt::Display for NotCarried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let why = match self.reason {
            NotCarriedReason::Submodule => "in a submodule",
            NotCarriedReason::OtherRepository => "in another repository",
            NotCarriedReason::Ignored => "ignored",
            NotCarriedReason::Rebuilt => "ignored build output",
            NotCarriedReason::Special => "no plain file",
            NotCarriedReason::TooLong => "too long",
            NotCarriedReason::Unconvertible => "not convertible by its attributes",
        };
        match self.files {
            1 => write!(f, "{} ({why})", self.path),
            files => write!(f, "{} ({files} files, {why})", self.path),
        }
    }
}

/// The way the result comes into the checkout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApplyHow {
    /// A branch `worker/<job>` that is merged into the current one.
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

    /// The root that the tree was made beneath; its repositories may read objects where the checkout's were then.
    pub(crate) fn open_root(&self) -> Result<Root, WorkspaceError> {
        Root::open(&self.root)?.with_stores(self.stores.iter().cloned())
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
