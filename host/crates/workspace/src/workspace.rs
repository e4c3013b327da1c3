//! The part of a repository's working tree that a job may change.

use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::WorkspaceError;
use crate::index::Index;
use crate::path::{self, FilePath};
use crate::repository::GitDir;
use crate::root::Root;
use crate::{handles, repository, tamper};

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
        let workspace = Self::open_as_it_is(root, allowed_dirs)?;
        match workspace.0.git_dir.stores.refused.first() {
            None => Ok(workspace),
            Some(store) => Err(WorkspaceError::ObjectsOutside {
                repository: workspace.top().to_path_buf(),
                store: store.clone(),
                root: root.path().to_path_buf(),
            }),
        }
    }

    /// The same for a tree that an agent may have worked in: objects that it named elsewhere are not read, and nothing more.
    pub(crate) fn open_as_it_is(
        root: &Root,
        allowed_dirs: &[PathBuf],
    ) -> Result<Self, WorkspaceError> {
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

    /// Returns true if a path (relative to the top) lies in one of the allowed directories.
    pub fn is_allowed(&self, path: &[u8]) -> bool {
        self.0.allowed.iter().any(|dir| path::is_within(path, dir))
    }

    /// The git directory, for the sandbox and for `apply`; the common one of a linked worktree.
    pub fn git_dir(&self) -> &Path {
        &self.0.git_dir.common
    }

    /// The folders that git in a linked worktree writes, which are outside of its tree: its own git directory, and the
    /// objects, refs and logs of the main one. None of a tree whose `.git` is a folder.
    pub fn git_writes(&self) -> Vec<PathBuf> {
        let GitDir { path, common, .. } = &self.0.git_dir;
        if path == common {
            return Vec::new();
        }
        let shared = ["objects", "refs", "logs"].map(|part| common.join(part));
        let shared = shared.into_iter().filter(|part| part.is_dir());
        std::iter::once(path.clone()).chain(shared).collect()
    }

    /// The folders that git in this tree reads objects from: the repository's own, those that alternates name (clones
    /// made with `--shared` or `--reference`), and those of the submodules that are checked out.
    pub fn object_stores(&self) -> Vec<PathBuf> {
        let mut stores = self.0.git_dir.object_stores().to_vec();
        let index = self.index();
        for (place, _) in index.iter().flat_map(Index::gitlinks) {
            let place = self.top().join(FilePath::new(place).as_path());
            let opened = self
                .root()
                .open_resolved_dir(&place)
                .and_then(|dir| repository::git_dir_of(self.root(), dir.as_fd(), &place));
            if let Ok(Some(git_dir)) = opened {
                stores.extend(git_dir.stores.folders);
            }
        }
        stores.sort();
        stores.dedup();
        stores
    }

    /// The folders that git reads this repository's own objects from.
    pub(crate) fn own_object_stores(&self) -> Vec<PathBuf> {
        self.0.git_dir.object_stores().to_vec()
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

    /// Returns true if the repository belongs to another user than the one that this process runs
    /// as.
    pub fn belongs_to_another(&self) -> bool {
        rustix::fs::fstat(&self.0.handle)
            .is_ok_and(|stat| stat.st_uid != rustix::process::geteuid().as_raw())
    }

    /// The root that the workspace was opened below.
    pub fn root(&self) -> &Root {
        &self.0.root
    }

    /// A fresh handle of the top, for listing.
    pub(crate) fn open_top(&self) -> Result<OwnedFd, WorkspaceError> {
        handles::listable(self.handle()).map_err(|source| WorkspaceError::Io {
            action: "open",
            path: self.top().to_path_buf(),
            source,
        })
    }

    /// The git directory as it was when the workspace was opened.
    pub(crate) fn git_state(&self) -> &tamper::GitState {
        &self.0.head
    }

    /// The index as it is now; none where it is not understood.
    pub(crate) fn index(&self) -> Option<Index> {
        tamper::read_index(self.0.git_dir.handle.as_fd())
    }

    /// The state that keeps `apply` from writing the index, and the command that mends it.
    pub(crate) fn unwritable_index(&self) -> Option<(&'static str, &'static str)> {
        tamper::unwritable(self.0.git_dir.handle.as_fd())
    }

    pub(crate) fn handle(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.handle.as_fd()
    }

    /// A path (relative to the top) as the caller is shown it: relative to the working directory.
    pub fn shown(&self, top_path: &[u8]) -> FilePath {
        FilePath::new(path::relative_to(top_path, self.work_prefix()))
    }
}

/// See [`Workspace::lock_name`].
pub(crate) fn lock_name(top: &OwnedFd) -> String {
    let (device, inode) = handles::identity(top).unwrap_or_default();
    format!("tree-{device:x}-{inode:x}")
}
