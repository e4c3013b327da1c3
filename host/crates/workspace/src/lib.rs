//! What a job may touch, and what it did touch: path confinement beneath SANDBOX_ROOT, the snapshot before the job, the
//! exact changes after it, diffs, and trees of a job's own.
//!
//! The order of use: [`Root::open`] once, [`Workspace::open`] for a job's directories, [`Base::capture`] before the agent
//! starts, [`Base::changes`] when it is done (and before any check runs).
//!
//! The host looks at the files themselves, through directory handles, and compares them with what it saw before the job.
//! It never runs git and never asks git's index what changed: assume-unchanged bits, exclude rules, filters, commits and a
//! rewritten `.git` hide a change from `git status`, not from here.

mod apply;
mod base;
mod changes;
mod contents;
mod diff;
mod earlier;
pub mod folder;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod handles;
mod identity;
mod ignored;
mod index;
mod isolated;
mod later;
mod path;
mod put;
mod renewed;
mod repository;
mod revert;
mod root;
mod rules;
mod tamper;
mod unapplied;
mod walk;

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use apply::{Applied, ApplyError, ApplyHow};
pub use base::Base;
pub use changes::{ChangeKind, ChangedFile, Changes, Reverted, Submodule};
pub use contents::Limits;
pub use diff::{Diff, FileStat, Omitted, Selection};
pub use earlier::Earlier;
pub use identity::GitIdentity;
pub use isolated::{Isolated, IsolatedRecord, IsolatedRequest, PortBase, Sealed};
pub use later::Later;
pub use path::FilePath;
pub use root::{FileText, Listing, Root};
pub use tamper::{DotGitChange, GitChange};
pub use unapplied::Unapplied;

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

/// The part of a repository's working tree that a job may change. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Workspace(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    root: Root,
    top: PathBuf,
    /// The top as it was when the job was accepted, wherever its name leads later.
    handle: OwnedFd,
    git_dir: repository::GitDir,
    head: tamper::GitState,
    /// Absolute, resolved, in the order given, each once.
    dirs: Vec<PathBuf>,
    /// The same relative to the top.
    allowed: Vec<Vec<u8>>,
}

impl Workspace {
    /// Finds the one repository that all `allowed_dirs` lie in, and judges whether a job can work in it.
    ///
    /// # Errors
    /// A directory that is missing or outside the root; no repository, several, a bare one, one without a commit, or one of
    /// a form that is not supported.
    pub fn open(root: &Root, allowed_dirs: &[PathBuf]) -> Result<Self, WorkspaceError> {
        let mut found: Option<(PathBuf, repository::GitDir)> = None;
        let mut dirs: Vec<PathBuf> = Vec::new();
        for dir in allowed_dirs {
            let (handle, real) = root.locate(dir)?;
            let stamp = handles::stamp_of(&handle).map_err(|source| WorkspaceError::Io {
                action: "look at",
                path: real.clone(),
                source,
            })?;
            if stamp.kind() != handles::Kind::Directory {
                return Err(WorkspaceError::NotADirectory { path: dir.clone() });
            }
            let (top, git_dir) = repository::find(root, &real)?;
            match &found {
                Some((first, _)) if *first != top => {
                    return Err(WorkspaceError::SeveralRepositories {
                        first: first.clone(),
                        second: top,
                    });
                }
                Some(_) => {}
                None => found = Some((top, git_dir)),
            }
            if !dirs.contains(&real) {
                dirs.push(real);
            }
        }
        let (top, git_dir) = found.ok_or(WorkspaceError::NoDirectory)?;
        let head = repository::judge(root, &top, &git_dir)?;
        let handle = root.open_resolved_dir(&top)?;
        let allowed = dirs
            .iter()
            .map(|dir| {
                dir.strip_prefix(&top)
                    .unwrap_or(Path::new(""))
                    .as_os_str()
                    .as_bytes()
                    .to_vec()
            })
            .collect();
        Ok(Self(Arc::new(Opened {
            root: root.clone(),
            top,
            handle,
            git_dir,
            head,
            dirs,
            allowed,
        })))
    }

    /// The working tree's top folder.
    pub fn top(&self) -> &Path {
        &self.0.top
    }

    /// The first allowed directory: the agent's working directory, which paths in results are relative to.
    pub fn work_dir(&self) -> &Path {
        self.0.dirs.first().map_or(&self.0.top, PathBuf::as_path)
    }

    /// The further allowed directories.
    pub fn additional_dirs(&self) -> &[PathBuf] {
        self.0.dirs.get(1..).unwrap_or_default()
    }

    /// The working directory relative to the top; empty when it is the top.
    pub fn work_prefix(&self) -> &[u8] {
        self.0.allowed.first().map_or(b"", Vec::as_slice)
    }

    /// Whether a path (relative to the top) lies in one of the allowed directories.
    pub fn is_allowed(&self, path: &[u8]) -> bool {
        self.0.allowed.iter().any(|dir| path::is_within(path, dir))
    }

    /// The git directory, for the sandbox and for `apply`; the common one of a linked worktree.
    pub fn git_dir(&self) -> &Path {
        &self.0.git_dir.common
    }

    /// The commit that HEAD was at when the workspace was opened.
    pub fn head_commit(&self) -> String {
        self.0
            .head
            .head_commit()
            .map(|oid| oid.to_string())
            .unwrap_or_default()
    }

    /// The branch that HEAD was on; `None` when it was detached.
    pub fn branch(&self) -> Option<String> {
        let branch = self.0.head.branch()?;
        let branch = branch.strip_prefix(b"refs/heads/").unwrap_or(branch);
        Some(path::quoted(branch))
    }

    /// A name for the working tree that two jobs in the same one share, for the lock between them: its device and inode.
    pub fn lock_name(&self) -> String {
        lock_name(&self.0.handle)
    }

    /// Whether the repository belongs to another user than the one that this process runs as.
    pub fn belongs_to_another(&self) -> bool {
        rustix::fs::fstat(&self.0.handle)
            .is_ok_and(|stat| stat.st_uid != rustix::process::geteuid().as_raw())
    }

    /// The root that the workspace was opened below.
    pub fn root(&self) -> &Root {
        &self.0.root
    }

    pub(crate) fn handle(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.handle.as_fd()
    }
}

/// See [`Workspace::lock_name`].
fn lock_name(top: &OwnedFd) -> String {
    let (device, inode) = handles::identity(top).unwrap_or_default();
    format!("tree-{device:x}-{inode:x}")
}
