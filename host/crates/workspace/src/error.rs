//! The reason why a path, a repository or a tree cannot be worked with.

use std::io;
use std::path::PathBuf;

use crate::path::FilePath;

/// The reason why a path, a repository or a tree cannot be worked with. Each message is one
/// sentence that names the rule.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkspaceError {
    /// SANDBOX_ROOT itself.
    #[error("SANDBOX_ROOT {} cannot be opened: {source}", root.display())]
    RootUnusable {
        /// The root as it was set.
        root: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The path leads out of SANDBOX_ROOT, by itself or through a symbolic link.
    #[error("{} is outside SANDBOX_ROOT ({})", path.display(), root.display())]
    Outside {
        /// The path as it was given.
        path: PathBuf,
        /// The root.
        root: PathBuf,
    },
    /// The path is not there.
    #[error("{} does not exist", path.display())]
    Missing {
        /// The path as it was given.
        path: PathBuf,
    },
    /// Something that must be a directory is none.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// The path as it was given.
        path: PathBuf,
    },
    /// Something that must be a plain file is none.
    #[error("{} is not a plain file", path.display())]
    NotAFile {
        /// The path as it was given.
        path: PathBuf,
    },
    /// A NUL byte, or longer than the system allows.
    #[error("{path:?} is not a path: it holds a NUL byte or is too long")]
    NotAPath {
        /// The path as it was given.
        path: PathBuf,
    },
    /// A glob that cannot be read.
    #[error("{} is not a glob: {reason}", glob.display())]
    BadGlob {
        /// The glob as it was given.
        glob: PathBuf,
        /// The reason.
        reason: String,
    },
    /// No directory was given.
    #[error("at least one directory is needed")]
    NoDirectory,
    /// There is no repository between the directory and SANDBOX_ROOT.
    #[error("{} is in no git repository inside SANDBOX_ROOT ({}); a job needs one, to tell what it changed", dir.display(), root.display())]
    NoRepository {
        /// The directory.
        dir: PathBuf,
        /// The root.
        root: PathBuf,
    },
    /// The directories lie in different repositories.
    #[error("all directories of a job must lie in one git repository: {} and {} are two", first.display(), second.display())]
    SeveralRepositories {
        /// The first directory's repository.
        first: PathBuf,
        /// Another one's.
        second: PathBuf,
    },
    /// A repository without a working tree.
    #[error("{} is a bare repository; a job needs a working tree", repository.display())]
    Bare {
        /// The repository.
        repository: PathBuf,
    },
    /// The directory is part of a git directory.
    #[error("{} is inside a .git directory", dir.display())]
    InsideGitDir {
        /// The directory.
        dir: PathBuf,
    },
    /// A linked worktree or a submodule whose repository lies elsewhere.
    #[error("the git directory of {} is outside SANDBOX_ROOT ({})", repository.display(), root.display())]
    GitDirOutside {
        /// The working tree.
        repository: PathBuf,
        /// The root.
        root: PathBuf,
    },
    /// Objects of the repository lie outside of the root, by its alternates or by a link.
    #[error(
        "{} reads objects in {}, which is outside SANDBOX_ROOT ({}); WORKER_SANDBOX_READ={} lets its jobs read them",
        repository.display(), store.display(), root.display(), store.display()
    )]
    ObjectsOutside {
        /// The repository.
        repository: PathBuf,
        /// The folder.
        store: PathBuf,
        /// The root.
        root: PathBuf,
    },
    /// HEAD names a branch without a commit.
    #[error("{} has no commit yet (HEAD is on the unborn branch {head}); make a first commit", repository.display())]
    Unborn {
        /// The repository.
        repository: PathBuf,
        /// The branch.
        head: String,
    },
    /// Something about the repository that is not supported.
    #[error("{} cannot be worked in: {what}", repository.display())]
    Unsupported {
        /// The repository.
        repository: PathBuf,
        /// The fault.
        what: String,
    },
    /// The repository is broken.
    #[error("the repository {} is damaged: {what}", repository.display())]
    Damaged {
        /// The repository.
        repository: PathBuf,
        /// The fault.
        what: String,
    },
    /// Somebody ended it.
    #[error("it was stopped before it was done")]
    Stopped,
    /// More files than are looked at.
    #[error("the working tree holds more than {limit} files")]
    TooManyFiles {
        /// The limit.
        limit: u64,
    },
    /// An object of the base is not at hand any more.
    #[error("the object {object} of the base is gone or damaged")]
    ObjectGone {
        /// The id.
        object: String,
    },
    /// The file's content was not kept.
    #[error("the content of {path} was not kept: {why}")]
    NotKept {
        /// The file.
        path: FilePath,
        /// The reason.
        why: &'static str,
    },
    /// An isolated tree cannot be made or opened.
    #[error("{what}")]
    Isolation {
        /// The reason, as a sentence.
        what: String,
    },
    /// libgit2 failed.
    #[error("git objects: {}", .0.message())]
    Git(#[from] git2::Error),
    /// The system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The action, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}
