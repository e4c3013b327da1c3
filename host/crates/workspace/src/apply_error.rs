//! The reasons for which nothing is applied; `apply` and the delivery share them.

use std::path::PathBuf;

use crate::error::WorkspaceError;
use crate::path::FilePath;

/// The reason why nothing was applied; the checkout and the job's tree are as they were.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The job has no result to apply.
    #[error("the job's tree holds no result to apply: {0}")]
    NoResult(String),
    /// Uncommitted work is in the way.
    #[error("the checkout has uncommitted work in the way: {}; commit or stash it first", list(.0))]
    Dirty(Vec<FilePath>),
    /// Both sides changed the same lines.
    #[error("the checkout moved since the job began (now at {head}), and both sides changed {}", list(.files))]
    Conflicts {
        /// The commit it is at.
        head: String,
        /// The files.
        files: Vec<FilePath>,
    },
    /// The files that a patch would change are not as they were.
    #[error("the checkout moved since the job began: {} differ from what the job started with", list(.0))]
    Moved(Vec<FilePath>),
    /// Something that the job did not find is where the result has a file or a folder.
    #[error("the checkout has {} in the place of a file or a folder of the result; move it away first", list(.0))]
    InTheWay(Vec<FilePath>),
    /// A merge, a rebase or the like is under way.
    #[error("the checkout is in the middle of a {0}; finish or abort it first")]
    Busy(&'static str),
    /// Another git holds the index.
    #[error("the repository is locked ({}); another git is at work in it, or was killed", .0.display())]
    Locked(PathBuf),
    /// The user's branch has this name already, with other commits.
    #[error("the branch {0} exists already and holds something else")]
    BranchTaken(String),
    /// Files that an external filter keeps would be committed without it.
    #[error("{} are kept by a required filter (filter=...), which the host does not run; apply with how: patch, then `git add` them", list(.0))]
    Filtered(Vec<FilePath>),
    /// The checkout's index has a form that cannot be written.
    #[error(
        "the checkout has {form}, which cannot be written here; apply with how: patch, or run `{way}` first"
    )]
    IndexForm {
        /// The form.
        form: &'static str,
        /// The command that changes it.
        way: &'static str,
    },
    /// The checkout is not what was verified; the files are as they were before.
    #[error("{} could not be delivered as verified, and nothing was applied: the tree of the job still holds them", list(.0))]
    Undelivered(Vec<FilePath>),
    /// The tree or the repository cannot be worked with.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
}

impl From<git2::Error> for ApplyError {
    fn from(error: git2::Error) -> Self {
        Self::Workspace(error.into())
    }
}

fn list(files: &[FilePath]) -> String {
    const MOST: usize = 10;
    let mut text = files
        .iter()
        .take(MOST)
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    if let Some(more) = files.len().checked_sub(MOST).filter(|more| *more > 0) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}
