//! The files that a job changed: every file whose bytes, kind or permissions differ from the base.

use std::sync::Arc;

use serde::Serialize;
use sha2::Digest as _;

use crate::contents::Contents;
use crate::error::WorkspaceError;
use crate::handles::Kind;
use crate::path::FilePath;
use crate::state::{Content, FileState};
use crate::tamper::GitChange;

/// The way a file differs from the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It was not there.
    Added,
    /// The content differs.
    Modified,
    /// It is gone.
    Deleted,
    /// It was there under another name; its content may differ too.
    Renamed,
    /// It was a file and is a symbolic link, or the other way round, or something else entirely.
    TypeChanged,
    /// Only its permissions differ (execution, setuid, setgid, sticky).
    ModeChanged,
}

/// Makes the error for content of `path` that cannot be given.
pub(crate) fn not_kept(path: &[u8]) -> impl Fn(&'static str) -> WorkspaceError {
    move |why| WorkspaceError::NotKept {
        path: FilePath::new(path),
        why,
    }
}

/// A submodule's commit before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Submodule {
    /// The commit it was at.
    pub from: Option<String>,
    /// The commit it is at.
    pub to: Option<String>,
}

/// A file that differs from the base.
#[derive(Debug, Clone, Serialize)]
pub struct ChangedFile {
    /// Relative to the working directory; begins with `..` where it lies beside it.
    pub path: FilePath,
    /// Relative to the working tree's top.
    #[serde(skip)]
    pub top_path: FilePath,
    /// The way it differs.
    pub kind: ChangeKind,
    /// The former path of a renamed file, relative to the working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_path: Option<FilePath>,
    /// The same relative to the top.
    #[serde(skip)]
    pub previous_top_path: Option<FilePath>,
    /// Bytes now; 0 when it is gone.
    pub size: u64,
    /// True if either side is no text (git's rule: a NUL in the first 8,000 bytes).
    pub binary: bool,
    /// True if all its paths lie in the allowed directories.
    pub allowed: bool,
    /// True if it is or was a symbolic link.
    pub symlink: bool,
    /// True if it has further names (hard links), which may lie anywhere.
    pub hard_linked: bool,
    /// True if it is a FIFO, a socket or a device.
    pub special: bool,
    /// True if it could not be read (too long, or no permission): then it counts as changed when its stamp moved.
    pub unreadable: bool,
    /// The repository nested in the tree that it lies in, relative to the top.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nested_repository: Option<FilePath>,
    /// Set when this is not a file but a submodule that is at another commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submodule: Option<Submodule>,
    #[serde(skip)]
    pub(crate) before: Option<FileState>,
    #[serde(skip)]
    pub(crate) now: Option<FileState>,
}

/// The type of a path at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileType {
    /// A file.
    File,
    /// A symbolic link; its content is its target.
    Symlink,
    /// A repository within this one, at one commit.
    Submodule,
    /// A FIFO, a socket, a device, a directory.
    Special,
}

/// One side of a change, as readers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// The type.
    pub kind: FileType,
    /// Permissions, without the type.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    /// The id that git has for its content, or a submodule's commit; none where the content was not kept.
    pub id: Option<String>,
}

impl Side {
    fn of(state: &FileState) -> Self {
        Side {
            kind: match state.kind() {
                Kind::File => FileType::File,
                Kind::Symlink => FileType::Symlink,
                _ => FileType::Special,
            },
            mode: state.mode & 0o7777,
            size: state.size,
            id: state.id().map(|id| id.to_string()),
        }
    }

    fn of_submodule(commit: &str) -> Self {
        Side {
            kind: FileType::Submodule,
            mode: 0,
            size: 0,
            id: Some(commit.to_owned()),
        }
    }
}

impl ChangedFile {
    /// Returns the state before the job; none if the path did not exist.
    pub fn before(&self) -> Option<Side> {
        match &self.submodule {
            Some(submodule) => submodule.from.as_deref().map(Side::of_submodule),
            None => self.before.as_ref().map(Side::of),
        }
    }

    /// Returns the state after the job; none if the path is gone.
    pub fn after(&self) -> Option<Side> {
        match &self.submodule {
            Some(submodule) => submodule.to.as_deref().map(Side::of_submodule),
            None => self.now.as_ref().map(Side::of),
        }
    }

    /// Returns its path, relative to the working tree's top.
    pub fn place(&self) -> &std::path::Path {
        self.top_path.as_path()
    }

    /// Every path that this change touches, relative to the working directory: two for a rename.
    pub fn paths(&self) -> impl Iterator<Item = &FilePath> {
        self.previous_path.iter().chain(std::iter::once(&self.path))
    }
}

/// Everything that differs from the base at one moment. Contents were copied when it was taken: what happens to the tree
/// afterwards changes nothing here.
#[derive(Debug, Clone)]
pub struct Changes {
    /// Sorted by path.
    pub files: Vec<ChangedFile>,
    /// The number of files ignored by the base's rules that were made, changed or deleted.
    pub ignored: u64,
    /// Their paths (relative to the working directory), the first 10,000 of them. Deletions inside ignored directories are
    /// not seen: those are only looked at afterwards.
    pub ignored_files: Vec<FilePath>,
    /// The changes of git itself.
    pub git: Vec<GitChange>,
    /// Directories that cannot be listed any more, relative to the working directory: what is in them is not known, so
    /// they count as changed.
    pub unreadable_dirs: Vec<FilePath>,
    /// Files and folders that their owner cannot read any more, by their permissions, relative to the working directory. A
    /// host that runs as root still can.
    pub locked: Vec<FilePath>,
    /// The same paths relative to the top.
    pub(crate) ignored_top_paths: Vec<FilePath>,
    /// All ignored files that were touched, relative to the top.
    pub(crate) touched: Arc<[FilePath]>,
    /// The files that were touched and have the content of before, relative to the top.
    pub(crate) restamped: Arc<[FilePath]>,
    pub(crate) contents: Arc<Contents>,
    pub(crate) work_prefix: Vec<u8>,
}

pub(crate) const MOST_IGNORED_PATHS: usize = 10_000;

impl Changes {
    /// The directory that paths are relative to, itself relative to the tree's top.
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.work_prefix
    }

    /// Returns true if no file differs from the base.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.unreadable_dirs.is_empty()
    }

    /// The change at a path relative to the working directory, by its new or its previous name.
    pub fn find(&self, path: &[u8]) -> Option<&ChangedFile> {
        let by = |wanted: fn(&ChangedFile) -> Option<&FilePath>| {
            self.files
                .iter()
                .find(move |file| wanted(file).is_some_and(|known| known.as_bytes() == path))
        };
        by(|file| Some(&file.path)).or_else(|| by(|file| file.previous_path.as_ref()))
    }

    /// The changed files that lie outside the allowed directories.
    pub fn outside(&self) -> impl Iterator<Item = &ChangedFile> {
        self.files.iter().filter(|file| !file.allowed)
    }

    /// At most `len` bytes at `offset` of a changed file as the agent left it.
    ///
    /// # Errors
    /// When the file is not among the changes, is gone, or was not kept.
    pub fn read(&self, path: &[u8], offset: u64, len: u64) -> Result<Vec<u8>, WorkspaceError> {
        self.side(path, |file| file.now, offset, len)
    }

    /// The same of the file as it was before the job.
    ///
    /// # Errors
    /// As [`Changes::read`].
    pub fn read_before(
        &self,
        path: &[u8],
        offset: u64,
        len: u64,
    ) -> Result<Vec<u8>, WorkspaceError> {
        self.side(path, |file| file.before, offset, len)
    }

    /// The changed file with this path.
    pub(crate) fn changed(&self, path: &[u8]) -> Result<&ChangedFile, WorkspaceError> {
        self.find(path)
            .ok_or_else(|| not_kept(path)("it is not among the changed files"))
    }

    /// Returns the target of a changed symbolic link; none for what is no link.
    pub fn link_target(&self, file: &ChangedFile) -> Option<std::path::PathBuf> {
        let now = file.now.filter(|now| now.kind() == Kind::Symlink)?;
        let target = self.contents.read(now.id()?).ok()?;
        Some(FilePath::new(target).as_path().to_owned())
    }

    fn side(
        &self,
        path: &[u8],
        side: fn(&ChangedFile) -> Option<FileState>,
        offset: u64,
        len: u64,
    ) -> Result<Vec<u8>, WorkspaceError> {
        let not_kept = not_kept(path);
        let file = self.changed(path)?;
        let state =
            side(file).ok_or_else(|| not_kept("it is not there on this side of the change"))?;
        let id = state
            .id()
            .ok_or_else(|| not_kept("it is too long, or no file"))?;
        let bytes = self.contents.read(id)?;
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let end = start
            .saturating_add(usize::try_from(len).unwrap_or(usize::MAX))
            .min(bytes.len());
        Ok(bytes.get(start..end).unwrap_or_default().to_vec())
    }

    /// A fingerprint of what differs, the same for the same result: tells a revise pass that changed nothing.
    pub fn digest(&self) -> String {
        let mut hasher = sha2::Sha256::new();
        for file in &self.files {
            hasher.update(file.top_path.as_bytes());
            hasher.update([0]);
            for state in [&file.before, &file.now] {
                match state {
                    None => hasher.update([0]),
                    Some(state) => {
                        hasher.update([1]);
                        hasher.update(state.git_mode().to_be_bytes());
                        hasher.update(state.size.to_be_bytes());
                        if let Some(id) = state.id() {
                            hasher.update(id.as_bytes());
                        }
                    }
                }
            }
            if let Some(submodule) = &file.submodule {
                hasher.update(submodule.to.as_deref().unwrap_or_default());
            }
        }
        for dir in &self.unreadable_dirs {
            hasher.update(dir.as_bytes());
        }
        let digest: [u8; 32] = hasher.finalize().into();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The result of putting files back, paths relative to the working directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reverted {
    /// Put back as they were.
    pub files: Vec<FilePath>,
    /// Not put back, and why.
    pub failed: Vec<(FilePath, String)>,
}

/// git's own rule.
pub(crate) fn looks_binary(bytes: &[u8]) -> bool {
    memchr::memchr(0, bytes.get(..8000).unwrap_or(bytes)).is_some()
}

pub(crate) fn is_binary(contents: &Contents, file: &ChangedFile) -> bool {
    [&file.now, &file.before]
        .into_iter()
        .flatten()
        .any(|state| match state.content {
            Content::Known(id) if state.kind() == Kind::File => {
                contents.read(id).is_ok_and(|bytes| looks_binary(&bytes))
            }
            Content::Unread => true,
            _ => false,
        })
}
