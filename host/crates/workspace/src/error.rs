//! Why a path, a repository or a tree cannot be worked with.

use std::io;
use std::path::PathBuf;

use crate::path::FilePath;

/// Why a path, a repository or a tree cannot be worked with. Each message is one sentence that names the rule.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkspaceError {
    /// SANDBOX_ROOT itself.
    #[error("SANDBOX_ROOT {} cannot be opened: {source}", root.display())]
    RootUnusable {
        /// As it was set.
        root: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The path leads out of SANDBOX_ROOT, by itself or through a symbolic link.
    #[error("{} is outside SANDBOX_ROOT ({})", path.display(), root.display())]
    Outside {
        /// As it was given.
        path: PathBuf,
        /// The root.
        root: PathBuf,
    },
    /// The path is not there.
    #[error("{} does not exist", path.display())]
    Missing {
        /// As it was given.
        path: PathBuf,
    },
    /// Something that must be a directory is none.
    #[error("{} is not a directory", path.display())]
    NotADirectory {
        /// As it was given.
        path: PathBuf,
    },
    /// Something that must be a plain file is none.
    #[error("{} is not a plain file", path.display())]
    NotAFile {
        /// As it was given.
        path: PathBuf,
    },
    /// A NUL byte, or longer than the system allows.
    #[error("{path:?} is not a path: it holds a NUL byte or is too long")]
    NotAPath {
        /// As it was given.
        path: PathBuf,
    },
    /// A glob that cannot be read.
    #[error("{} is not a glob: {reason}", glob.display())]
    BadGlob {
        /// As it was given.
        glob: PathBuf,
        /// Why.
        reason: String,
    },
    /// No directory was given.
    #[error("at least one directory is needed")]
    NoDirectory,
    /// There is no repository between the directory and SANDBOX_ROOT.
    #[error("{} lies in no git repository inside SANDBOX_ROOT ({}); a job needs one, to tell what it changed", dir.display(), root.display())]
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
    #[error("{} lies inside a .git directory", dir.display())]
    InsideGitDir {
        /// The directory.
        dir: PathBuf,
    },
    /// A linked worktree or a submodule whose repository lies elsewhere.
    #[error("the git directory of {} lies outside SANDBOX_ROOT ({})", repository.display(), root.display())]
    GitDirOutside {
        /// The working tree.
        repository: PathBuf,
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
        /// What.
        what: String,
    },
    /// The repository is broken.
    #[error("the repository {} is damaged: {what}", repository.display())]
    Damaged {
        /// The repository.
        repository: PathBuf,
        /// How.
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
        /// Its id.
        object: String,
    },
    /// The file's content was not kept.
    #[error("the content of {path} was not kept: {why}")]
    NotKept {
        /// The file.
        path: FilePath,
        /// Why.
        why: &'static str,
    },
    /// An isolated tree cannot be made or opened.
    #[error("{what}")]
    Isolation {
        /// Why, as a sentence.
        what: String,
    },
    /// libgit2 failed.
    #[error("git objects: {}", .0.message())]
    Git(#[from] git2::Error),
    /// The system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}
