//! The contents of files: by object id, out of the repository's objects where they have it, else out of a file of the job's own.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use git2::{ObjectType, Odb, Oid};

use crate::error::WorkspaceError;
use crate::interrupt::Interrupt;
use crate::root::Root;

/// The bounds on copies of the user's and the agent's files.
#[derive(Debug, Clone)]
pub struct Limits {
    /// A longer file is compared by `stat` alone and can be neither shown nor put back; bytes.
    pub file_bytes: u64,
    /// Copies of one job together; beyond it files are treated as longer than `file_bytes`; bytes.
    pub kept_bytes: u64,
    /// More files than these in the tree end the walk with an error.
    pub files: u64,
    /// A file that changed this shortly before the snapshot is read again afterwards whatever its stamp says: coarse file
    /// systems (two seconds on the coarsest) give a later write the same stamp.
    pub stamp_slack: Duration,
    /// Ends a walk before it is done.
    pub interrupt: Interrupt,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 64 << 20,
            kept_bytes: 1 << 30,
            files: 2_000_000,
            stamp_slack: Duration::from_secs(2),
            interrupt: Interrupt::default(),
        }
    }
}

/// The contents a job may need again: working material, raw.
///
/// One file without a name for all of them, which ends with the process: a file each took 13 s for 200,000 small files, and
/// was left over where a runner was killed.
pub(crate) struct Contents {
    /// The folder of the file, without a name in it.
    folder: PathBuf,
    file: File,
    limits: Limits,
    kept: Mutex<Kept>,
    stores: Mutex<Stores>,
}

/// The range of the file that is taken.
#[derive(Default)]
struct Kept {
    places: HashMap<Oid, (u64, u64)>,
    end: u64,
}

#[derive(Default)]
struct Stores {
    folders: Vec<PathBuf>,
    odb: Option<Odb<'static>>,
}

impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contents")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// The id that git gives to these bytes as a blob.
pub(crate) fn blob_id(bytes: &[u8]) -> Result<Oid, WorkspaceError> {
    Oid::hash_object(ObjectType::Blob, bytes).map_err(WorkspaceError::from)
}

impl Contents {
    pub(crate) fn create(folder: PathBuf, limits: Limits) -> Result<Self, WorkspaceError> {
        private::make_folder(&folder).map_err(|source| WorkspaceError::Io {
            action: "create",
            path: folder.clone(),
            source,
        })?;
        let file = tempfile::tempfile_in(&folder).map_err(|source| WorkspaceError::Io {
            action: "create a file in",
            path: folder.clone(),
            source,
        })?;
        Ok(Self {
            folder,
            file,
            limits,
            kept: Mutex::default(),
            stores: Mutex::new(Stores::default()),
        })
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Adds folders of objects.
    pub(crate) fn add_stores(&self, folders: impl IntoIterator<Item = PathBuf>) {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        for folder in folders {
            if !stores.folders.contains(&folder) {
                stores.folders.push(folder);
            }
        }
        stores.odb = None;
    }

    /// A reader of its own over the repositories' objects.
    pub(crate) fn open_odb(&self) -> Result<Odb<'static>, WorkspaceError> {
        let stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        open(&stores.folders)
    }

    /// Keeps a copy; `false` when the job's share is used up.
    pub(crate) fn keep(&self, oid: Oid, bytes: &[u8]) -> Result<bool, WorkspaceError> {
        let length = bytes.len() as u64;
        let at = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.places.contains_key(&oid) {
                return Ok(true);
            }
            if kept.end.saturating_add(length) > self.limits.kept_bytes {
                return Ok(false);
            }
            let at = kept.end;
            kept.end += length;
            at
        };
        let written = self.file.write_all_at(bytes, at);
        written.map_err(|source| self.failed("write", source))?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.places.insert(oid, (at, length));
        Ok(true)
    }

    /// Returns the number of kept contents, and their bytes.
    pub(crate) fn kept(&self) -> (u64, u64) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.places.len() as u64, kept.end)
    }

    fn failed(&self, action: &'static str, source: io::Error) -> WorkspaceError {
        WorkspaceError::Io {
            action,
            path: self.folder.clone(),
            source,
        }
    }

    /// The bytes of a blob.
    pub(crate) fn read(&self, oid: Oid) -> Result<Vec<u8>, WorkspaceError> {
        let place = {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.places.get(&oid).copied()
        };
        if let Some((at, length)) = place {
            let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
            let read = self.file.read_exact_at(&mut bytes, at);
            return read
                .map(|()| bytes)
                .map_err(|source| self.failed("read", source));
        }
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if stores.odb.is_none() {
            stores.odb = Some(open(&stores.folders)?);
        }
        let lost = || WorkspaceError::ObjectGone {
            object: oid.to_string(),
        };
        let odb = stores.odb.as_ref().ok_or_else(lost)?;
        let object = odb.read(oid).map_err(|_| lost())?;
        if object.kind() == ObjectType::Blob {
            Ok(object.data().to_vec())
        } else {
            Err(lost())
        }
    }
}

/// A reader over folders of objects, their alternates left out.
pub(crate) fn open(folders: &[PathBuf]) -> Result<Odb<'static>, WorkspaceError> {
    let odb = Odb::new()?;
    for folder in folders {
        let Some(path) = folder.to_str() else {
            continue;
        };
        odb.add_disk_alternate(path)?;
    }
    Ok(odb)
}

/// The folders that a repository reads objects from.
#[derive(Debug, Clone, Default)]
pub(crate) struct ObjectStores {
    /// A folder of objects, and all that its `info/alternates` name, in the order that git asks them.
    pub(crate) folders: Vec<PathBuf>,
    /// Folders that are named and lie where nobody has allowed it.
    pub(crate) refused: Vec<PathBuf>,
}

/// git's own depth for alternates of alternates.
const DEEPEST_ALTERNATE: u32 = 5;

impl ObjectStores {
    /// Those of the repository beneath `root` whose objects are in `objects`.
    pub(crate) fn of(root: &Root, objects: &Path) -> Self {
        let mut stores = Self::default();
        stores.add(root, objects, 0);
        stores
    }

    fn add(&mut self, root: &Root, objects: &Path, depth: u32) {
        if depth > DEEPEST_ALTERNATE || !objects.is_dir() {
            return;
        }
        let Some(objects) = root.object_store(objects) else {
            self.refused.push(objects.to_path_buf());
            return;
        };
        if self.folders.contains(&objects) {
            return;
        }
        let handle = crate::handles::open_dir(&objects);
        self.folders.push(objects.clone());
        let Ok(handle) = handle else {
            return;
        };
        let Ok(crate::handles::Bytes::Whole(list, _)) =
            crate::handles::read_at(&handle, "info/alternates", 1 << 20)
        else {
            return;
        };
        for line in list.split(|byte| *byte == b'\n') {
            if !line.is_empty() && !line.starts_with(b"#") {
                // `join` takes an absolute path as it is.
                let next = objects.join(std::ffi::OsStr::from_bytes(line));
                self.add(root, &next, depth + 1);
            }
        }
    }
}
