//! What files held: by object id, out of the repository's objects where they have it, else out of the job's own folder.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use git2::{ObjectType, Odb, Oid};

use crate::error::WorkspaceError;

/// How much of the user's and the agent's files the host keeps copies of.
#[derive(Debug, Clone, Copy)]
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
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 64 << 20,
            kept_bytes: 1 << 30,
            files: 2_000_000,
            stamp_slack: Duration::from_secs(2),
        }
    }
}

/// The contents a job may need again: working material, raw, in a folder of mode 0700.
pub(crate) struct Contents {
    folder: PathBuf,
    limits: Limits,
    kept: AtomicU64,
    serial: AtomicU64,
    stores: Mutex<Stores>,
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
        Ok(Self {
            folder,
            limits,
            kept: AtomicU64::new(0),
            serial: AtomicU64::new(0),
            stores: Mutex::new(Stores::default()),
        })
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Adds a repository's `objects` folder, and those that its `info/alternates` name.
    pub(crate) fn add_store(&self, objects: &Path) {
        let mut stores = self
            .stores
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        add_with_alternates(&mut stores.folders, objects, 0);
        stores.odb = None;
    }

    /// A reader of its own over the repositories' objects.
    pub(crate) fn open_odb(&self) -> Result<Odb<'static>, WorkspaceError> {
        let stores = self
            .stores
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        open(&stores.folders)
    }

    fn place(&self, oid: Oid) -> PathBuf {
        let name = oid.to_string();
        let (fan, rest) = name.split_at_checked(2).unwrap_or(("00", &name));
        self.folder.join(fan).join(rest)
    }

    /// Keeps a copy; `false` when the job's share is used up.
    pub(crate) fn keep(&self, oid: Oid, bytes: &[u8]) -> Result<bool, WorkspaceError> {
        let place = self.place(oid);
        if place.exists() {
            return Ok(true);
        }
        let length = bytes.len() as u64;
        if self
            .kept
            .fetch_add(length, Ordering::Relaxed)
            .saturating_add(length)
            > self.limits.kept_bytes
        {
            self.kept.fetch_sub(length, Ordering::Relaxed);
            return Ok(false);
        }
        let write = || -> io::Result<()> {
            if let Some(folder) = place.parent() {
                private::make_folder(folder)?;
            }
            let serial = self.serial.fetch_add(1, Ordering::Relaxed);
            let draft = self
                .folder
                .join(format!(".draft-{}-{serial}", std::process::id()));
            let mut file = private::file().write(true).create_new(true).open(&draft)?;
            file.write_all(bytes)?;
            drop(file);
            fs::rename(&draft, &place)
        };
        write().map_err(|source| WorkspaceError::Io {
            action: "write",
            path: place.clone(),
            source,
        })?;
        Ok(true)
    }

    /// The bytes of a blob.
    pub(crate) fn read(&self, oid: Oid) -> Result<Vec<u8>, WorkspaceError> {
        let place = self.place(oid);
        match fs::read(&place) {
            Ok(bytes) => return Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(WorkspaceError::Io {
                    action: "read",
                    path: place,
                    source,
                });
            }
        }
        let mut stores = self
            .stores
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
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

fn open(folders: &[PathBuf]) -> Result<Odb<'static>, WorkspaceError> {
    let odb = Odb::new()?;
    for folder in folders {
        let Some(path) = folder.to_str() else {
            continue;
        };
        odb.add_disk_alternate(path)?;
    }
    Ok(odb)
}

/// A folder of objects, and all that its `info/alternates` name, in the order that git asks them.
pub(crate) fn with_alternates(objects: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    add_with_alternates(&mut folders, objects, 0);
    folders
}

/// git's own depth for alternates of alternates.
const DEEPEST_ALTERNATE: u32 = 5;

fn add_with_alternates(folders: &mut Vec<PathBuf>, objects: &Path, depth: u32) {
    if depth > DEEPEST_ALTERNATE
        || folders.iter().any(|known| known == objects)
        || !objects.is_dir()
    {
        return;
    }
    folders.push(objects.to_path_buf());
    let Ok(handle) = crate::handles::open_dir(objects) else {
        return;
    };
    let Ok(crate::handles::Bytes::Whole(list, _)) =
        crate::handles::read_at(&handle, "info/alternates", 1 << 20)
    else {
        return;
    };
    for line in String::from_utf8_lossy(&list).lines() {
        if !line.is_empty() && !line.starts_with('#') {
            // `join` takes an absolute path as it is.
            add_with_alternates(folders, &objects.join(line), depth + 1);
        }
    }
}
