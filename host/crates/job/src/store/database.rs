//! The open store: its database, and the rules by which several processes use it at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value;

use super::error::StoreError;
use super::schema::{INDEXES, SCHEMA_VERSION, migrate, version_of};

/// The time that a statement waits for another process's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of the write-ahead log that are kept for reuse.
pub(super) const WAL_MAX: i64 = 8 << 20;

/// The open store. Cheap to open; each process and thread opens its own.
#[derive(Debug)]
pub struct Store {
    pub(super) folder: PathBuf,
    /// The identity of the database's file, whatever is at its path by now.
    file: (u64, u64),
    pub(super) database: Connection,
}

/// Makes a folder of the store, or refuses one that others can enter.
pub(super) fn own_folder(folder: &Path) -> Result<(), StoreError> {
    let made = private::make_folder(folder).and_then(|()| private::exposed(folder));
    match made {
        Ok(None) => Ok(()),
        Ok(Some(mode)) => Err(StoreError::Exposed {
            path: folder.to_owned(),
            mode,
        }),
        Err(source) => Err(StoreError::Folder {
            path: folder.to_owned(),
            source,
        }),
    }
}

impl Store {
    /// Opens the store, making or migrating it where needed.
    ///
    /// # Errors
    /// The folder or the database cannot be used, is open to other users, or is of a newer schema.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        own_folder(folder)?;
        own_folder(&folder.join("jobs"))?;
        own_folder(&folder.join("slots"))?;
        let path = folder.join("jobs.db");
        let mut database = Connection::open(&path)?;
        private::close_file(&path).map_err(|source| StoreError::Folder {
            path: path.clone(),
            source,
        })?;
        database.busy_timeout(BUSY_TIMEOUT)?;
        // Before anything is written: it may be somebody else's.
        let version = version_of(&mut database, &path)?;
        database.pragma_update(None, "journal_mode", "WAL")?;
        // A state that was reported must survive a power cut.
        database.pragma_update(None, "synchronous", "FULL")?;
        database.pragma_update(None, "foreign_keys", true)?;
        // After a checkpoint the log is cut down to this, whatever it had grown to while a reader was in the way.
        database.pragma_update(None, "journal_size_limit", WAL_MAX)?;
        if version < SCHEMA_VERSION {
            migrate(&mut database)?;
        }
        if let Err(fault) = database.execute_batch(INDEXES) {
            // On a full disk for example, where reading still has to work.
            tracing::warn!(%fault, "the job store has no index and is slow");
        }
        let file = fs::metadata(&path).map_err(|source| StoreError::Folder { path, source })?;
        Ok(Self {
            folder: folder.to_owned(),
            file: identity_of(&file),
            database,
        })
    }

    /// Returns true if this is still the store at its path: it may have been deleted or moved aside
    /// since.
    pub fn is_current(&self) -> bool {
        fs::metadata(self.folder.join("jobs.db")).is_ok_and(|file| identity_of(&file) == self.file)
    }
}

/// JSON in a row.
pub(super) fn parse_json(text: &str) -> Result<Value, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Row(error.to_string()))
}

#[cfg(unix)]
fn identity_of(file: &fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (file.dev(), file.ino())
}

#[cfg(not(unix))]
fn identity_of(_: &fs::Metadata) -> (u64, u64) {
    (0, 0)
}
