//! The reason why the store cannot do what was asked, and what to do about it.

use std::io;
use std::path::PathBuf;

use crate::id::JobId;

/// The reasons for which the store fails.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder of the store.
    #[error("the job store at {} cannot be used: {source}; WORKER_STATE_DIR names another place", path.display())]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The folder is open to others.
    #[error("the job store at {} can be entered by other users (mode {mode:o}); `chmod 700` it", path.display())]
    Exposed {
        /// The folder.
        path: PathBuf,
        /// The permission bits.
        mode: u32,
    },
    /// A newer version of this tool made the database.
    #[error("the job store at {} is of schema {found}, newer than {known}, which this version knows; upgrade it, or set WORKER_STATE_DIR", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// The schema version.
        found: i64,
        /// The newest that this version knows.
        known: i64,
    },
    /// Another job went on in this one's session, and needs what lies in its folder.
    #[error("job {by} continues in the folder of job {id}; remove that one first")]
    LivedIn {
        /// The job that was to be removed.
        id: JobId,
        /// The job that needs it.
        by: JobId,
    },
    /// There is no room left.
    #[error(
        "the disk of the state folder is full; `mcp-codex-worker gc` makes room, or WORKER_STATE_DIR names another place"
    )]
    Full,
    /// The database cannot be written.
    #[error(
        "the job store cannot be written (its disk is read-only); WORKER_STATE_DIR names another place"
    )]
    ReadOnly,
    /// Another process keeps the database to itself for longer than is worth waiting.
    #[error(
        "another process keeps the job store locked; try again, or find out who: `fuser jobs.db` in the state folder"
    )]
    Busy,
    /// The database is no database any more.
    #[error(
        "the job store is damaged: {0}; move jobs.db, jobs.db-wal and jobs.db-shm of the state folder aside and a new one is made, without the jobs of this one"
    )]
    Damaged(rusqlite::Error),
    /// The database is somebody else's.
    #[error("{} is a database of something else; WORKER_STATE_DIR names another place", path.display())]
    Foreign {
        /// The database.
        path: PathBuf,
    },
    /// SQLite.
    #[error("the job store failed: {0}")]
    Database(rusqlite::Error),
    /// A row holds what this version never wrote.
    #[error("the job store holds a row that cannot be read: {0}")]
    Row(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(fault: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match fault.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::ReadOnly) => Self::ReadOnly,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Damaged(fault),
            _ => Self::Database(fault),
        }
    }
}
