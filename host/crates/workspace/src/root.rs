//! SANDBOX_ROOT: the one place that a caller's paths may lead to.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::WorkspaceError;
use crate::handles::{self, Links};

/// SANDBOX_ROOT, opened once as a directory handle. Every path a caller names is resolved beneath that handle, so that
/// neither `..`, nor a symbolic link, nor a race between looking and using leads out of it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Root(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    handle: OwnedFd,
    /// The path that the operator wrote, made absolute.
    given: PathBuf,
    /// Without symbolic links.
    real: PathBuf,
    /// Folders elsewhere whose objects the repositories beneath it may read, without symbolic links.
    stores: Vec<PathBuf>,
}

/// A file's bytes, read within a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileText {
    /// At most as many as the limit.
    pub bytes: Vec<u8>,
    /// The length of the file.
    pub size: u64,
}

/// The files that paths and globs name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Resolved and sorted, each once.
    pub files: Vec<PathBuf>,
    /// True if there were more than asked for.
    pub truncated: bool,
}

/// Lets libgit2 read repositories that belong to other users, as every folder of the host does that a container sees. git
/// refuses them because it would run what their configuration says; libgit2 runs nothing, and the host does not start git.
fn read_for_any_owner() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    // SAFETY: the option is a plain number in libgit2, written once, before this process opens its first repository:
    // there is no way to one but through a root.
    ONCE.call_once(|| unsafe {
        if let Err(error) = git2::opts::set_verify_owner_validation(false) {
            tracing::debug!("libgit2 keeps its rule on owners: {error}");
        }
        // The trees of a partial clone name objects that it lacks.
        git2::opts::strict_object_creation(false);
    });
}

impl Root {
    /// Opens the root. A symbolic link is resolved once, here; what it points to later does not matter.
    ///
    /// # Errors
    /// When the folder is missing, no folder, or cannot be opened.
    pub fn open(path: &Path) -> Result<Self, WorkspaceError> {
        let refuse = |source: io::Error| WorkspaceError::RootUnusable {
            root: path.to_path_buf(),
            source,
        };
        read_for_any_owner();
        let given = std::path::absolute(path).map_err(refuse)?;
        let handle = handles::open_dir(&given).map_err(refuse)?;
        let real = handles::path_of(handle.as_fd())
            .or_else(|_| given.canonicalize())
            .map_err(refuse)?;
        Ok(Self(Arc::new(Opened {
            handle,
            given,
            real,
            stores: Vec::new(),
        })))
    }

    /// The same root, whose repositories may also read objects in these folders: by the operator's word
    /// (WORKER_SANDBOX_READ), or because the host itself made a tree of them. A repository's own word, its alternates, opens
    /// nothing: whoever wrote it could name any folder of the user's.
    ///
    /// # Errors
    /// The root cannot be opened once more.
    pub fn with_stores(
        &self,
        stores: impl IntoIterator<Item = PathBuf>,
    ) -> Result<Self, WorkspaceError> {
        let handle = self.0.handle.try_clone();
        let handle = handle.map_err(|source| WorkspaceError::RootUnusable {
            root: self.0.real.clone(),
            source,
        })?;
        let stores = stores
            .into_iter()
            .filter_map(|store| store.canonicalize().ok());
        Ok(Self(Arc::new(Opened {
            handle,
            given: self.0.given.clone(),
            real: self.0.real.clone(),
            stores: stores.collect(),
        })))
    }

    /// The folder at `path` without links, where the repositories beneath this root may read objects in it.
    pub(crate) fn object_store(&self, path: &Path) -> Option<PathBuf> {
        let real = path.canonicalize().ok()?;
        let mut allowed = std::iter::once(&self.0.real).chain(&self.0.stores);
        allowed
            .any(|folder| real.starts_with(folder))
            .then_some(real)
    }

    /// The folders elsewhere whose objects may be read.
    pub(crate) fn stores(&self) -> &[PathBuf] {
        &self.0.stores
    }

    /// A directory below, resolved before, as a root of its own. No symbolic link is followed any more: one that has taken
    /// its place since is refused.
    ///
    /// # Errors
    /// As [`Root::resolve`].
    pub fn within(&self, dir: &Path) -> Result<Self, WorkspaceError> {
        let handle = self.open_resolved_dir(dir)?;
        let real = handles::path_of(handle.as_fd()).map_err(|error| self.refusal(dir, error))?;
        Ok(Self(Arc::new(Opened {
            handle,
            given: real.clone(),
            real,
            stores: self.0.stores.clone(),
        })))
    }

    /// The root's own path, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.0.real
    }

    /// The part of `path` below the root, by its letters alone.
    fn below<'a>(&self, path: &'a Path) -> Result<&'a Path, WorkspaceError> {
        if path.as_os_str().as_bytes().contains(&0) {
            return Err(WorkspaceError::NotAPath {
                path: path.to_path_buf(),
            });
        }
        if path.is_relative() {
            return Ok(path);
        }
        path.strip_prefix(&self.0.real)
            .or_else(|_| path.strip_prefix(&self.0.given))
            .map_err(|_| self.outside(path))
    }

    fn outside(&self, path: &Path) -> WorkspaceError {
        WorkspaceError::Outside {
            path: path.to_path_buf(),
            root: self.0.real.clone(),
        }
    }

    fn refusal(&self, path: &Path, error: io::Error) -> WorkspaceError {
        use rustix::io::Errno;
        match Errno::from_io_error(&error) {
            Some(Errno::XDEV) => self.outside(path),
            Some(Errno::NOENT) => WorkspaceError::Missing {
                path: path.to_path_buf(),
            },
            Some(Errno::NOTDIR) => WorkspaceError::NotADirectory {
                path: path.to_path_buf(),
            },
            Some(Errno::INVAL | Errno::NAMETOOLONG) => WorkspaceError::NotAPath {
                path: path.to_path_buf(),
            },
            _ => WorkspaceError::Io {
                action: "resolve",
                path: path.to_path_buf(),
                source: error,
            },
        }
    }

    /// A handle that names what `path` leads to, and where that lies.
    pub(crate) fn locate(&self, path: &Path) -> Result<(OwnedFd, PathBuf), WorkspaceError> {
        let below = self.below(path)?;
        let handle =
            handles::resolve_beneath(self.0.handle.as_fd(), &self.0.real, below, Links::Beneath)
                .map_err(|error| self.refusal(path, error))?;
        let real = handles::path_of(handle.as_fd()).map_err(|error| self.refusal(path, error))?;
        // The kernel resolved beneath the handle; this only fails when the file was moved away or deleted meanwhile.
        if !real.starts_with(&self.0.real) {
            return Err(self.outside(path));
        }
        Ok((handle, real))
    }

    /// Opens a directory below the root that was resolved before; no symbolic link is followed any more.
    pub(crate) fn open_resolved_dir(&self, path: &Path) -> Result<OwnedFd, WorkspaceError> {
        let below = self.below(path)?;
        handles::resolve_beneath(self.0.handle.as_fd(), &self.0.real, below, Links::None)
            .and_then(|handle| handles::listable(handle.as_fd()))
            .map_err(|error| self.refusal(path, error))
    }

    /// The target of `path`, as an absolute path without symbolic links below the root. A relative
    /// path counts from the root.
    ///
    /// # Errors
    /// When it leads outside, is missing, or is no path at all.
    pub fn resolve(&self, path: &Path) -> Result<PathBuf, WorkspaceError> {
        Ok(self.locate(path)?.1)
    }

    /// Reads at most `limit` bytes of a plain file below the root.
    ///
    /// # Errors
    /// As [`Root::resolve`], and when it is no plain file.
    pub fn read(&self, path: &Path, limit: u64) -> Result<FileText, WorkspaceError> {
        let failed = |source| WorkspaceError::Io {
            action: "read",
            path: path.to_path_buf(),
            source,
        };
        let (handle, _) = self.locate(path)?;
        let stamp = handles::stamp_of(&handle).map_err(failed)?;
        if stamp.kind() != handles::Kind::File {
            return Err(WorkspaceError::NotAFile {
                path: path.to_path_buf(),
            });
        }
        let file = handles::readable(handle.as_fd()).map_err(failed)?;
        let mut bytes = Vec::new();
        io::Read::read_to_end(
            &mut io::Read::take(std::fs::File::from(file), limit),
            &mut bytes,
        )
        .map_err(failed)?;
        Ok(FileText {
            bytes,
            size: stamp.size,
        })
    }

    /// At most `len` bytes from `offset` of a plain file below the root, by a path without any symbolic link.
    ///
    /// # Errors
    /// As [`Root::resolve`], and when it is no plain file, or a link is on the way.
    pub fn read_at(&self, path: &Path, offset: u64, len: u64) -> Result<Vec<u8>, WorkspaceError> {
        let below = self.below(path)?;
        let handle =
            handles::resolve_beneath(self.0.handle.as_fd(), &self.0.real, below, Links::None)
                .map_err(|error| self.refusal(path, error))?;
        let failed = |source| WorkspaceError::Io {
            action: "read",
            path: path.to_path_buf(),
            source,
        };
        let stamp = handles::stamp_of(&handle).map_err(failed)?;
        if stamp.kind() != handles::Kind::File {
            return Err(WorkspaceError::NotAFile {
                path: path.to_path_buf(),
            });
        }
        let file = handles::readable(handle.as_fd()).map_err(failed)?;
        let mut file = std::fs::File::from(file);
        io::Seek::seek(&mut file, io::SeekFrom::Start(offset)).map_err(failed)?;
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(file, len), &mut bytes).map_err(failed)?;
        Ok(bytes)
    }
}
