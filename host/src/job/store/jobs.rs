//! The job store: one SQLite database and a folder a job.
//!
//! Rows and artifacts are *records*: redacted before they are written, and all that is ever returned. What a job needs raw
//! (its home, its base) lies in the job's folder, which only the owner can enter (D3).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use serde_json::Value;

use super::id::JobId;
use super::lock::{self, Hold};
use super::state::State;
use crate::process::ProcessIdentity;
use crate::redact::RedactedJson;

/// Version of the schema below, in SQLite's `user_version`.
const SCHEMA_VERSION: i64 = 2;

/// How long a statement waits for another process's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Folders of a job that nothing goes on from once it is over: neither a follow-up, which needs the agent's HOME, nor
/// `apply`. The last ones are caches in that HOME, which are made again.
const WORKING_MATERIAL: &[&str] = &[
    "base",
    "tmp",
    "check-home",
    "check-tmp",
    "home/.cargo",
    "home/.cache",
    "home/.npm",
    "home/go",
];

/// Room for the end of a job, in its folder while it runs.
const RESERVE: &str = "reserve";
const RESERVED: usize = 128 << 10;

/// A folder of a job that never began is left alone for so long: its front may be about to begin it.
const STRAY_AGE: Duration = Duration::from_secs(60);

/// Bytes of the write-ahead log that are kept for reuse.
const WAL_MAX: i64 = 8 << 20;

const SCHEMA: &str = "
    CREATE TABLE jobs (
        ticket            INTEGER PRIMARY KEY AUTOINCREMENT,
        id                TEXT    NOT NULL UNIQUE,
        state             TEXT    NOT NULL,
        created_ms        INTEGER NOT NULL,
        started_ms        INTEGER,
        ended_ms          INTEGER,
        cancel_requested  INTEGER NOT NULL DEFAULT 0,
        runner            TEXT,
        spec              TEXT,
        progress          TEXT,
        result            TEXT,
        lives_in          TEXT
    ) STRICT;
    CREATE INDEX jobs_by_state ON jobs (state, ticket);
    CREATE TABLE processes (
        job               TEXT    NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        identity          TEXT    NOT NULL,
        PRIMARY KEY (job, identity)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE passes (
        job               TEXT    NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        pass              INTEGER NOT NULL,
        record            TEXT    NOT NULL,
        PRIMARY KEY (job, pass)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE requests (
        number            INTEGER PRIMARY KEY AUTOINCREMENT,
        job               TEXT,
        at_ms             INTEGER NOT NULL,
        record            TEXT    NOT NULL
    ) STRICT;
    CREATE INDEX requests_by_job ON requests (job);
    CREATE TABLE calls (
        number            INTEGER PRIMARY KEY AUTOINCREMENT,
        job               TEXT,
        tool              TEXT    NOT NULL,
        at_ms             INTEGER NOT NULL,
        argument_bytes    INTEGER NOT NULL,
        reply_bytes       INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX calls_by_job ON calls (job);
";

/// From schema 1 to 2: a job may go on in another one's folder.
const TO_2: &str = "ALTER TABLE jobs ADD COLUMN lives_in TEXT;";

/// What keeps the store from doing what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder of the store.
    #[error("the job store at {} cannot be used: {source}; WORKER_STATE_DIR names another place", path.display())]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder is open to others.
    #[error("the job store at {} can be entered by other users (mode {mode:o}); `chmod 700` it", path.display())]
    Exposed {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A newer version of this tool made the database.
    #[error("the job store at {} is of schema {found}, newer than {SCHEMA_VERSION}, which this version knows; upgrade it, or set WORKER_STATE_DIR", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema version.
        found: i64,
    },
    /// Another job went on in this one's session, and needs what lies in its folder.
    #[error("job {by} goes on in the folder of job {id}; remove that one first")]
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

/// One job's row.
#[derive(Debug, Clone)]
pub struct JobRow {
    /// The job.
    pub id: JobId,
    /// Its place in the queue; earlier jobs have smaller ones.
    pub ticket: i64,
    /// Where it stands.
    pub state: State,
    /// When `start` was called, milliseconds since the epoch.
    pub created_ms: i64,
    /// When its slot was free.
    pub started_ms: Option<i64>,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// Whether somebody wants it ended.
    pub cancel_requested: bool,
    /// The runner's process.
    pub runner: Option<ProcessIdentity>,
    /// What was asked, redacted and short.
    pub spec: Option<Value>,
    /// Live progress.
    pub progress: Option<Value>,
    /// The compact result.
    pub result: Option<Value>,
    /// The job in whose folder this one works, when it goes on in an earlier one's session.
    pub lives_in: Option<JobId>,
}

impl JobRow {
    /// The job in whose folder the session lies, and the tree where there is one: this one, or the first of those that it
    /// goes on from.
    pub fn home(&self) -> &JobId {
        self.lives_in.as_ref().unwrap_or(&self.id)
    }
}

/// What one tool call cost the planner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRecord {
    /// The job it was about.
    pub job: Option<String>,
    /// The tool.
    pub tool: String,
    /// When, milliseconds since the epoch.
    pub at_ms: i64,
    /// Bytes of arguments that the planner wrote.
    pub argument_bytes: u64,
    /// Bytes of the reply that it read.
    pub reply_bytes: u64,
}

impl CallRecord {
    /// All of it, in bytes.
    pub fn bytes(&self) -> u64 {
        self.argument_bytes + self.reply_bytes
    }
}

/// The open store. Cheap to open; each process and thread opens its own.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// Which file the database is, whatever lies at its path by now.
    file: (u64, u64),
    database: Connection,
}

impl Store {
    /// Opens the store, making or migrating it where needed.
    ///
    /// # Errors
    /// The folder or the database cannot be used, is open to other users, or is of a newer schema.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        make_private(folder)?;
        make_private(&folder.join("jobs"))?;
        make_private(&folder.join("slots"))?;
        let path = folder.join("jobs.db");
        let mut database = Connection::open(&path)?;
        make_file_private(&path)?;
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
        let file = fs::metadata(&path).map_err(|source| StoreError::Folder { path, source })?;
        Ok(Self {
            folder: folder.to_owned(),
            file: identity_of(&file),
            database,
        })
    }

    /// Whether this is still the store at its path: it may have been deleted or moved aside since.
    pub fn is_current(&self) -> bool {
        fs::metadata(self.folder.join("jobs.db")).is_ok_and(|file| identity_of(&file) == self.file)
    }

    /// The folder of one job.
    pub fn job_folder(&self, id: &JobId) -> PathBuf {
        self.folder.join("jobs").join(id.as_str())
    }

    /// The lock file whose lock means that the job's runner lives.
    pub fn lock_path(&self, id: &JobId) -> PathBuf {
        self.job_folder(id).join("lock")
    }

    /// The lock file whose lock means that the job stands in the queue.
    pub fn place_path(&self, id: &JobId) -> PathBuf {
        self.job_folder(id).join("queue")
    }

    /// The lock files of the slots behind MAX_RUNNING_JOBS.
    pub fn slot_path(&self, slot: usize) -> PathBuf {
        self.folder.join("slots").join(slot.to_string())
    }

    /// The lock file of something that only one job may have at a time, by the host's own name for it.
    pub fn named_lock(&self, name: &str) -> PathBuf {
        self.folder.join("slots").join(name)
    }

    /// Adds a job in the state `queued`, with its folder and the hold on its lock. The row carries nothing of the
    /// caller's words: those are recorded by the runner, redacted.
    ///
    /// # Errors
    /// The folder, the lock or the row cannot be made.
    pub fn add(&self, id: &JobId) -> Result<Hold, StoreError> {
        make_private(&self.job_folder(id))?;
        // Locked before the row is seen, or a queue behind it would take the job for dead.
        let path = self.lock_path(id);
        let hold = Hold::take(&path).map_err(|source| StoreError::Folder { path, source })?;
        let added = self.database.execute(
            "INSERT INTO jobs (id, state, created_ms) VALUES (?1, ?2, ?3)",
            params![id.as_str(), State::Queued.as_str(), now_ms()],
        );
        if let Err(fault) = added {
            let _ = fs::remove_dir_all(self.job_folder(id));
            return Err(fault.into());
        }
        Ok(hold)
    }

    /// Notes that a new job works in the folder of an earlier one, which stays as long as this one does. False when that
    /// one is gone.
    ///
    /// # Errors
    /// The database fails.
    pub fn live_in(&self, id: &JobId, home: &JobId) -> Result<bool, StoreError> {
        let changed = self.database.execute(
            "UPDATE jobs SET lives_in = ?2 WHERE id = ?1 AND EXISTS (SELECT 1 FROM jobs WHERE id = ?2)",
            params![id.as_str(), home.as_str()],
        )?;
        Ok(changed == 1)
    }

    /// The jobs that work in this one's folder, oldest first.
    ///
    /// # Errors
    /// The database fails or holds what cannot be read.
    pub fn lodgers(&self, id: &JobId) -> Result<Vec<JobRow>, StoreError> {
        let mut statement = self
            .database
            .prepare_cached(&format!("{SELECT_JOB} WHERE lives_in = ?1 ORDER BY ticket"))?;
        statement
            .query_map([id.as_str()], raw_row)?
            .map(|row| JobRow::try_from(row?))
            .collect()
    }

    /// Removes a job with everything that was kept of it; also one whose runner could not be started.
    ///
    /// # Errors
    /// Another job works in its folder; or the row or the folder cannot be removed.
    pub fn remove(&self, id: &JobId) -> Result<(), StoreError> {
        // The look and the removal are one step: no other process can begin to go on in the job in between.
        let removed = self.database.execute(
            "DELETE FROM jobs WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM jobs WHERE lives_in = ?1)",
            [id.as_str()],
        )?;
        if let (0, Some(lodger)) = (removed, self.lodgers(id)?.pop()) {
            return Err(StoreError::LivedIn {
                id: id.clone(),
                by: lodger.id,
            });
        }
        self.database
            .execute("DELETE FROM requests WHERE job = ?1", [id.as_str()])?;
        self.database
            .execute("DELETE FROM calls WHERE job = ?1", [id.as_str()])?;
        let folder = self.job_folder(id);
        match fs::remove_dir_all(&folder) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(StoreError::Folder {
                path: folder,
                source,
            }),
            _ => Ok(()),
        }
    }

    /// Takes room on the disk that the end of the job can be written into, should there be no other by then. Given back
    /// with the working material.
    pub fn reserve(&self, id: &JobId) {
        let path = self.job_folder(id).join(RESERVE);
        if let Err(fault) = fs::write(&path, vec![b'.'; RESERVED]) {
            tracing::warn!(%fault, path = %path.display(), "no room is kept for the end of the job");
        }
    }

    /// Whether the disk of the store has no room left to speak of.
    pub fn is_full(&self) -> bool {
        #[cfg(unix)]
        if let Ok(disk) = rustix::fs::statvfs(&self.folder) {
            return disk.f_bavail.saturating_mul(disk.f_frsize) < RESERVED as u64 / 2;
        }
        false
    }

    /// Deletes the working material of a job that is over: what nothing goes on from, neither a follow-up nor `apply`.
    pub fn drop_working_material(&self, id: &JobId) {
        let _ = fs::remove_file(self.job_folder(id).join(RESERVE));
        for name in WORKING_MATERIAL {
            let path = self.job_folder(id).join(name);
            match fs::remove_dir_all(&path) {
                // A name that the agent gave to something else is not ours to follow or to delete.
                Err(fault)
                    if !matches!(
                        fault.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                    ) =>
                {
                    tracing::warn!(%fault, path = %path.display(), "working material was not deleted");
                }
                _ => {}
            }
        }
    }

    /// Folders without a job, older than `before`: a front was killed after it made one, or a removal half way.
    ///
    /// # Errors
    /// The database or the folder cannot be read.
    pub fn strays(&self, before: SystemTime) -> Result<Vec<PathBuf>, StoreError> {
        let folder = self.folder.join("jobs");
        let fault = |source| StoreError::Folder {
            path: folder.clone(),
            source,
        };
        let before = before.min(SystemTime::now() - STRAY_AGE);
        let mut strays = Vec::new();
        for entry in fs::read_dir(&folder).map_err(fault)?.flatten() {
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let old = modified.is_ok_and(|modified| modified < before);
            let name = entry.file_name().into_string().unwrap_or_default();
            // What is not named as a job is not ours.
            let Ok(id) = name.parse::<JobId>() else {
                continue;
            };
            // Between its folder and its row a new job is held by its front.
            if old && self.job(&id)?.is_none() && !self.is_live(&id)? {
                strays.push(entry.path());
            }
        }
        strays.sort();
        Ok(strays)
    }

    /// Forgets requests and calls from before a time (milliseconds since the epoch) that belong to no job of this store.
    ///
    /// # Errors
    /// The database fails.
    pub fn forget_history(&self, before_ms: i64) -> Result<(), StoreError> {
        for table in ["requests", "calls"] {
            self.database.execute(
                &format!(
                    "DELETE FROM {table} WHERE at_ms < ?1 AND (job IS NULL OR job NOT IN (SELECT id FROM jobs))"
                ),
                [before_ms],
            )?;
        }
        Ok(())
    }

    /// Gives back the room of deleted rows, where that is worth it and nobody is in the way.
    ///
    /// # Errors
    /// The database fails.
    pub fn compact(&self) -> Result<(), StoreError> {
        let pragma = |name: &str| {
            self.database
                .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
        };
        let unused = pragma("freelist_count")?;
        let busy = |fault: &rusqlite::Error| {
            matches!(
                fault.sqlite_error_code(),
                Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
            )
        };
        if unused > 1_000 && unused * 4 > pragma("page_count")? && self.unfinished()?.is_empty() {
            match self.database.execute_batch("VACUUM") {
                Err(fault) if !busy(&fault) => return Err(fault.into()),
                _ => {}
            }
        }
        let truncated = self
            .database
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        match truncated {
            Err(fault) if !busy(&fault) => Err(fault.into()),
            _ => Ok(()),
        }
    }

    /// One job, if there is one of that id.
    ///
    /// # Errors
    /// The database fails or holds what cannot be read.
    pub fn job(&self, id: &JobId) -> Result<Option<JobRow>, StoreError> {
        let mut statement = self
            .database
            .prepare_cached(&format!("{SELECT_JOB} WHERE id = ?1"))?;
        statement
            .query_row([id.as_str()], raw_row)
            .optional()?
            .map(JobRow::try_from)
            .transpose()
    }

    /// The newest jobs, newest first.
    ///
    /// # Errors
    /// The database fails or holds what cannot be read.
    pub fn jobs(&self, limit: usize) -> Result<Vec<JobRow>, StoreError> {
        let mut statement = self
            .database
            .prepare_cached(&format!("{SELECT_JOB} ORDER BY ticket DESC LIMIT ?1"))?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        statement
            .query_map([limit], raw_row)?
            .map(|row| JobRow::try_from(row?))
            .collect()
    }

    /// The jobs that wait before this one.
    ///
    /// # Errors
    /// The database fails or holds what cannot be read.
    pub fn queued_before(&self, id: &JobId) -> Result<Vec<JobId>, StoreError> {
        let mut statement = self.database.prepare_cached(
            "SELECT id FROM jobs WHERE state = 'queued' AND ticket < (SELECT ticket FROM jobs WHERE id = ?1) ORDER BY ticket",
        )?;
        let ids = statement.query_map([id.as_str()], |row| row.get::<_, String>(0))?;
        ids.map(|id| parse_id(id?)).collect()
    }

    /// Jobs that are not over, oldest first.
    ///
    /// # Errors
    /// The database fails or holds what cannot be read.
    pub fn unfinished(&self) -> Result<Vec<JobId>, StoreError> {
        let mut statement = self.database.prepare_cached(
            "SELECT id FROM jobs WHERE state IN ('queued', 'preparing', 'running', 'verifying', 'revising') ORDER BY ticket",
        )?;
        let ids = statement.query_map([], |row| row.get::<_, String>(0))?;
        ids.map(|id| parse_id(id?)).collect()
    }

    /// Moves a job on, if it still stands where `from` says and the step is allowed.
    ///
    /// # Errors
    /// The database fails.
    pub fn advance(&self, id: &JobId, from: State, to: State) -> Result<bool, StoreError> {
        if !from.may_become(to) || to.is_terminal() {
            return Ok(false);
        }
        let started = (to == State::Preparing).then(now_ms);
        let changed = self.database.execute(
            "UPDATE jobs SET state = ?3, started_ms = coalesce(started_ms, ?4) WHERE id = ?1 AND state = ?2",
            params![id.as_str(), from.as_str(), to.as_str(), started],
        )?;
        Ok(changed == 1)
    }

    /// Ends a job, unless it has ended: says whether this call did.
    ///
    /// # Errors
    /// The database fails.
    pub fn finish(
        &self,
        id: &JobId,
        state: State,
        result: &RedactedJson,
    ) -> Result<bool, StoreError> {
        debug_assert!(state.is_terminal());
        let changed = self.database.execute(
            "UPDATE jobs SET state = ?2, ended_ms = ?3, result = ?4, progress = NULL
             WHERE id = ?1 AND state IN ('queued', 'preparing', 'running', 'verifying', 'revising')",
            params![id.as_str(), state.as_str(), now_ms(), result.to_text().as_str()],
        )?;
        Ok(changed == 1)
    }

    /// Notes that somebody wants the job ended.
    ///
    /// # Errors
    /// The database fails.
    pub fn request_cancel(&self, id: &JobId) -> Result<(), StoreError> {
        self.database.execute(
            "UPDATE jobs SET cancel_requested = 1 WHERE id = ?1",
            [id.as_str()],
        )?;
        Ok(())
    }

    /// Whether somebody wants the job ended.
    ///
    /// # Errors
    /// The database fails.
    pub fn cancel_requested(&self, id: &JobId) -> Result<bool, StoreError> {
        let mut statement = self
            .database
            .prepare_cached("SELECT cancel_requested FROM jobs WHERE id = ?1")?;
        Ok(statement
            .query_row([id.as_str()], |row| row.get(0))
            .optional()?
            .unwrap_or(false))
    }

    /// Records who runs the job.
    ///
    /// # Errors
    /// The database fails.
    pub fn record_runner(&self, id: &JobId, runner: &ProcessIdentity) -> Result<(), StoreError> {
        self.database.execute(
            "UPDATE jobs SET runner = ?2 WHERE id = ?1",
            params![id.as_str(), identity_text(runner)],
        )?;
        Ok(())
    }

    /// Records what was asked.
    ///
    /// # Errors
    /// The database fails.
    pub fn record_spec(&self, id: &JobId, spec: &RedactedJson) -> Result<(), StoreError> {
        self.database.execute(
            "UPDATE jobs SET spec = ?2 WHERE id = ?1",
            params![id.as_str(), spec.to_text().as_str()],
        )?;
        Ok(())
    }

    /// Records live progress.
    ///
    /// # Errors
    /// The database fails.
    pub fn record_progress(&self, id: &JobId, progress: &RedactedJson) -> Result<(), StoreError> {
        self.database.execute(
            "UPDATE jobs SET progress = ?2 WHERE id = ?1",
            params![id.as_str(), progress.to_text().as_str()],
        )?;
        Ok(())
    }

    /// Records a process that must not outlive the job.
    ///
    /// # Errors
    /// The database fails.
    pub fn record_process(&self, id: &JobId, process: &ProcessIdentity) -> Result<(), StoreError> {
        self.database.execute(
            "INSERT OR IGNORE INTO processes (job, identity) VALUES (?1, ?2)",
            params![id.as_str(), identity_text(process)],
        )?;
        Ok(())
    }

    /// The processes recorded for a job.
    ///
    /// # Errors
    /// The database fails.
    pub fn processes(&self, id: &JobId) -> Result<Vec<ProcessIdentity>, StoreError> {
        let mut statement = self
            .database
            .prepare_cached("SELECT identity FROM processes WHERE job = ?1")?;
        let identities = statement.query_map([id.as_str()], |row| row.get::<_, String>(0))?;
        identities
            .map(|identity| parse_identity(&identity?))
            .collect()
    }

    /// Records one pass of the agent: model, tokens, checks, digest of the diff.
    ///
    /// # Errors
    /// The database fails.
    pub fn record_pass(
        &self,
        id: &JobId,
        pass: u32,
        record: &RedactedJson,
    ) -> Result<(), StoreError> {
        self.database.execute(
            "INSERT OR REPLACE INTO passes (job, pass, record) VALUES (?1, ?2, ?3)",
            params![id.as_str(), pass, record.to_text().as_str()],
        )?;
        Ok(())
    }

    /// The passes of a job, first to last.
    ///
    /// # Errors
    /// The database fails or holds what cannot be read.
    pub fn passes(&self, id: &JobId) -> Result<Vec<Value>, StoreError> {
        let mut statement = self
            .database
            .prepare_cached("SELECT record FROM passes WHERE job = ?1 ORDER BY pass")?;
        let records = statement.query_map([id.as_str()], |row| row.get::<_, String>(0))?;
        records.map(|record| parse_json(&record?)).collect()
    }

    /// Records one gateway request; `job` is absent for `analyze`.
    ///
    /// # Errors
    /// The database fails.
    pub fn record_request(
        &self,
        job: Option<&JobId>,
        record: &RedactedJson,
    ) -> Result<(), StoreError> {
        self.database.execute(
            "INSERT INTO requests (job, at_ms, record) VALUES (?1, ?2, ?3)",
            params![job.map(JobId::as_str), now_ms(), record.to_text().as_str()],
        )?;
        Ok(())
    }

    /// The gateway requests since a time (milliseconds since the epoch), with their jobs.
    ///
    /// # Errors
    /// The database fails or holds what cannot be read.
    pub fn requests_since(
        &self,
        since_ms: i64,
    ) -> Result<Vec<(Option<String>, i64, Value)>, StoreError> {
        let mut statement = self.database.prepare_cached(
            "SELECT job, at_ms, record FROM requests WHERE at_ms >= ?1 ORDER BY number",
        )?;
        let rows = statement.query_map([since_ms], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?))
        })?;
        rows.map(|row| {
            let (job, at_ms, record) = row?;
            Ok((job, at_ms, parse_json(&record)?))
        })
        .collect()
    }

    /// Records what one tool call cost the planner, in bytes of arguments and reply.
    ///
    /// # Errors
    /// The database fails.
    pub fn record_call(
        &self,
        job: Option<&JobId>,
        tool: &str,
        argument_bytes: usize,
        reply_bytes: usize,
    ) -> Result<(), StoreError> {
        let size = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.database.execute(
            "INSERT INTO calls (job, tool, at_ms, argument_bytes, reply_bytes) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![job.map(JobId::as_str), tool, now_ms(), size(argument_bytes), size(reply_bytes)],
        )?;
        Ok(())
    }

    /// The tool calls since a time (milliseconds since the epoch).
    ///
    /// # Errors
    /// The database fails.
    pub fn calls_since(&self, since_ms: i64) -> Result<Vec<CallRecord>, StoreError> {
        let mut statement = self.database.prepare_cached(
            "SELECT job, tool, at_ms, argument_bytes, reply_bytes FROM calls WHERE at_ms >= ?1 ORDER BY number",
        )?;
        let rows = statement.query_map([since_ms], |row| {
            Ok(CallRecord {
                job: row.get(0)?,
                tool: row.get(1)?,
                at_ms: row.get(2)?,
                argument_bytes: row.get::<_, i64>(3)?.unsigned_abs(),
                reply_bytes: row.get::<_, i64>(4)?.unsigned_abs(),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether the job's runner lives.
    ///
    /// # Errors
    /// The lock file cannot be probed.
    pub fn is_live(&self, id: &JobId) -> Result<bool, StoreError> {
        let path = self.lock_path(id);
        lock::is_held(&path).map_err(|source| StoreError::Folder { path, source })
    }
}

const SELECT_JOB: &str = "SELECT id, ticket, state, created_ms, started_ms, ended_ms, cancel_requested, runner, spec, progress, result, lives_in FROM jobs";

/// A row as SQLite holds it.
struct RawRow {
    id: String,
    ticket: i64,
    state: String,
    created_ms: i64,
    started_ms: Option<i64>,
    ended_ms: Option<i64>,
    cancel_requested: bool,
    runner: Option<String>,
    spec: Option<String>,
    progress: Option<String>,
    result: Option<String>,
    lives_in: Option<String>,
}

fn raw_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<RawRow> {
    Ok(RawRow {
        id: row.get(0)?,
        ticket: row.get(1)?,
        state: row.get(2)?,
        created_ms: row.get(3)?,
        started_ms: row.get(4)?,
        ended_ms: row.get(5)?,
        cancel_requested: row.get(6)?,
        runner: row.get(7)?,
        spec: row.get(8)?,
        progress: row.get(9)?,
        result: row.get(10)?,
        lives_in: row.get(11)?,
    })
}

impl TryFrom<RawRow> for JobRow {
    type Error = StoreError;

    fn try_from(raw: RawRow) -> Result<Self, StoreError> {
        let json = |text: Option<String>| text.as_deref().map(parse_json).transpose();
        Ok(Self {
            id: parse_id(raw.id)?,
            ticket: raw.ticket,
            state: raw
                .state
                .parse()
                .map_err(|error| StoreError::Row(format!("`{}` {error}", raw.state)))?,
            created_ms: raw.created_ms,
            started_ms: raw.started_ms,
            ended_ms: raw.ended_ms,
            cancel_requested: raw.cancel_requested,
            runner: raw.runner.as_deref().map(parse_identity).transpose()?,
            spec: json(raw.spec)?,
            progress: json(raw.progress)?,
            result: json(raw.result)?,
            lives_in: raw.lives_in.map(parse_id).transpose()?,
        })
    }
}

fn parse_id(text: String) -> Result<JobId, StoreError> {
    JobId::try_from(text).map_err(|error| StoreError::Row(error.to_string()))
}

fn parse_json(text: &str) -> Result<Value, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Row(error.to_string()))
}

fn identity_text(identity: &ProcessIdentity) -> String {
    serde_json::to_string(identity).unwrap_or_default()
}

fn parse_identity(text: &str) -> Result<ProcessIdentity, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Row(error.to_string()))
}

/// The schema's version: 0 of a database with nothing in it.
fn version_of(database: &mut Connection, path: &Path) -> Result<i64, StoreError> {
    let path = path.to_owned();
    // One look at one state of the file: another process may be making it just now.
    let transaction = database.transaction_with_behavior(TransactionBehavior::Deferred)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > SCHEMA_VERSION {
        return Err(StoreError::Newer {
            path,
            found: version,
        });
    }
    let tables = |named: &str| {
        transaction.query_row(
            "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name LIKE ?1",
            [named],
            |row| row.get::<_, i64>(0),
        )
    };
    let ours = match version {
        0 => tables("%")? == 0,
        _ => tables("jobs")? == 1,
    };
    if ours {
        Ok(version)
    } else {
        Err(StoreError::Foreign { path })
    }
}

fn migrate(database: &mut Connection) -> Result<(), StoreError> {
    // Immediate: of several processes that find an old schema, one migrates and the others then find a new one.
    let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        0 => transaction.execute_batch(SCHEMA)?,
        1 => transaction.execute_batch(TO_2)?,
        _ => {}
    }
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()?;
    Ok(())
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

/// Milliseconds since the epoch, by the wall clock.
pub(crate) fn now_ms() -> i64 {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(unix)]
fn make_private(folder: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let fault = |source| StoreError::Folder {
        path: folder.to_owned(),
        source,
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(fault)?;
    let mode = fs::metadata(folder).map_err(fault)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(StoreError::Exposed {
            path: folder.to_owned(),
            mode,
        });
    }
    Ok(())
}

#[cfg(not(unix))]
fn make_private(folder: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(folder).map_err(|source| StoreError::Folder {
        path: folder.to_owned(),
        source,
    })
}

#[cfg(unix)]
fn make_file_private(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(|source| {
        StoreError::Folder {
            path: path.to_owned(),
            source,
        }
    })
}

#[cfg(not(unix))]
fn make_file_private(_: &Path) -> Result<(), StoreError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state")).unwrap();
        (folder, store)
    }

    fn result(word: &str) -> RedactedJson {
        RedactedJson::from_record(json!({ "word": word }))
    }

    #[test]
    fn a_job_ends_exactly_once() {
        let (_folder, store) = store();
        let id = JobId::random().unwrap();
        let _hold = store.add(&id).unwrap();
        assert!(store.advance(&id, State::Queued, State::Preparing).unwrap());
        assert!(
            !store.advance(&id, State::Queued, State::Preparing).unwrap(),
            "it stands elsewhere by now"
        );
        assert!(
            store
                .finish(&id, State::Cancelled, &result("first"))
                .unwrap()
        );
        assert!(!store.finish(&id, State::Failed, &result("second")).unwrap());
        assert!(
            !store
                .advance(&id, State::Preparing, State::Running)
                .unwrap()
        );

        let job = store.job(&id).unwrap().unwrap();
        assert_eq!(
            (job.state, job.result.unwrap()["word"].clone()),
            (State::Cancelled, json!("first"))
        );
        assert!(job.started_ms.is_some() && job.ended_ms.is_some());
    }

    #[test]
    fn the_queue_is_in_the_order_of_the_calls() {
        let (_folder, store) = store();
        let ids: Vec<_> = (0..3).map(|_| JobId::random().unwrap()).collect();
        let _holds: Vec<_> = ids.iter().map(|id| store.add(id).unwrap()).collect();
        assert_eq!(store.queued_before(&ids[2]).unwrap(), ids[..2]);
        store
            .advance(&ids[0], State::Queued, State::Preparing)
            .unwrap();
        assert_eq!(store.queued_before(&ids[2]).unwrap(), ids[1..2]);
        assert_eq!(store.unfinished().unwrap(), ids);
    }

    #[test]
    fn a_job_lives_as_long_as_its_lock() {
        let (_folder, store) = store();
        let id = JobId::random().unwrap();
        let hold = store.add(&id).unwrap();
        assert!(store.is_live(&id).unwrap());
        drop(hold);
        assert!(!store.is_live(&id).unwrap());
    }

    #[test]
    fn a_job_stays_as_long_as_another_one_goes_on_in_it() {
        let (_folder, store) = store();
        let ids: Vec<_> = (0..3).map(|_| JobId::random().unwrap()).collect();
        let _holds: Vec<_> = ids.iter().map(|id| store.add(id).unwrap()).collect();
        assert!(store.live_in(&ids[1], &ids[0]).unwrap());
        assert!(store.live_in(&ids[2], &ids[0]).unwrap());
        let lodgers = store.lodgers(&ids[0]).unwrap();
        assert_eq!(
            lodgers.iter().map(|job| &job.id).collect::<Vec<_>>(),
            [&ids[1], &ids[2]]
        );
        assert_eq!(lodgers[0].home(), &ids[0]);
        for lodger in &ids[1..] {
            let refused = store.remove(&ids[0]).unwrap_err().to_string();
            assert!(refused.contains("remove that one first"), "{refused}");
            assert!(store.job_folder(&ids[0]).exists());
            store.remove(lodger).unwrap();
        }
        store.remove(&ids[0]).unwrap();
        assert!(!store.live_in(&ids[1], &ids[0]).unwrap(), "it is gone");
    }

    #[test]
    fn a_store_of_the_first_schema_is_migrated_with_its_jobs() {
        let (folder, store) = store();
        let id = JobId::random().unwrap();
        let _hold = store.add(&id).unwrap();
        store
            .database
            .execute_batch("ALTER TABLE jobs DROP COLUMN lives_in; PRAGMA user_version = 1;")
            .unwrap();
        drop(store);
        let store = Store::open(&folder.path().join("state")).unwrap();
        let job = store.job(&id).unwrap().unwrap();
        assert_eq!(job.home(), &id);
    }

    #[test]
    fn a_newer_schema_is_refused_and_left_alone() {
        let (folder, store) = store();
        store
            .database
            .pragma_update(None, "user_version", 99)
            .unwrap();
        drop(store);
        let refusal = Store::open(&folder.path().join("state"))
            .unwrap_err()
            .to_string();
        assert!(refusal.contains("newer"), "{refusal}");
        let kept = Connection::open(folder.path().join("state/jobs.db")).unwrap();
        assert_eq!(
            kept.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))
                .unwrap(),
            99
        );
    }

    #[test]
    fn what_was_reported_survives_a_power_cut_and_the_log_stays_small() {
        let (folder, store) = store();
        let pragma = |name: &str| -> String {
            store
                .database
                .query_row(
                    &format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}"),
                    [],
                    |row| row.get(0),
                )
                .unwrap()
        };
        assert_eq!(
            (pragma("journal_mode"), pragma("synchronous")),
            ("wal".into(), "2".into())
        );

        let id = JobId::random().unwrap();
        let _hold = store.add(&id).unwrap();
        let progress = RedactedJson::from_record(json!({ "text": "x".repeat(100_000) }));
        let written = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (path, id, written) = (folder.path().join("state"), &id, &written);
            scope.spawn(move || {
                let reader = Store::open(&path).unwrap();
                while !written.load(std::sync::atomic::Ordering::Relaxed) {
                    assert!(reader.job(id).unwrap().is_some());
                }
            });
            for _ in 0..200 {
                store.record_progress(id, &progress).unwrap();
            }
            written.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let log = fs::metadata(folder.path().join("state/jobs.db-wal")).unwrap();
        assert!(
            log.len() < 3 * WAL_MAX.unsigned_abs(),
            "{} bytes",
            log.len()
        );
    }

    #[test]
    fn a_store_that_was_moved_aside_is_not_taken_for_the_one_at_its_path() {
        let (folder, store) = store();
        assert!(store.is_current());
        fs::rename(folder.path().join("state"), folder.path().join("aside")).unwrap();
        assert!(!store.is_current());
        let other = Store::open(&folder.path().join("state")).unwrap();
        assert!(other.is_current() && !store.is_current());
    }

    /// Whoever changes this makes a new version of it, with a migration from this one.
    #[test]
    fn the_schema_is_as_it_was_released_in_version_2() {
        assert_eq!(SCHEMA_VERSION, 2);
        let (_folder, store) = store();
        let mut statement = store
            .database
            .prepare("SELECT name || ': ' || group_concat(column, ' ') FROM (SELECT m.name, c.name || ' ' || c.type AS column FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, c.cid) GROUP BY name ORDER BY name")
            .unwrap();
        let tables: Vec<String> = statement
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        insta::assert_snapshot!(tables.join("\n"), @r"
        calls: number INTEGER job TEXT tool TEXT at_ms INTEGER argument_bytes INTEGER reply_bytes INTEGER
        jobs: ticket INTEGER id TEXT state TEXT created_ms INTEGER started_ms INTEGER ended_ms INTEGER cancel_requested INTEGER runner TEXT spec TEXT progress TEXT result TEXT lives_in TEXT
        passes: job TEXT pass INTEGER record TEXT
        processes: job TEXT identity TEXT
        requests: number INTEGER job TEXT at_ms INTEGER record TEXT
        ");
    }

    #[test]
    fn what_lies_in_its_place_is_refused_and_left_as_it_is() {
        let database = |sql: &str| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x.db");
            Connection::open(&path).unwrap().execute_batch(sql).unwrap();
            fs::read(path).unwrap()
        };
        let foreign = database("CREATE TABLE songs (name TEXT)");
        let foreign_versioned = database("CREATE TABLE songs (name TEXT); PRAGMA user_version = 1");
        for (what, bytes, words) in [
            ("text", b"hello".repeat(2_000), "damaged"),
            (
                "noise",
                (0..=255u8).cycle().take(50_000).collect(),
                "damaged",
            ),
            ("another's", foreign, "something else"),
            (
                "another's with a version",
                foreign_versioned,
                "something else",
            ),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let state = folder.path().join("state");
            drop(Store::open(&state).unwrap());
            fs::write(state.join("jobs.db"), &bytes).unwrap();
            for _ in 0..2 {
                let refusal = Store::open(&state).unwrap_err().to_string();
                assert!(refusal.contains(words), "{what}: {refusal}");
            }
            assert!(
                fs::read(state.join("jobs.db")).unwrap() == bytes,
                "{what} was written to"
            );
        }
    }

    #[test]
    fn every_cut_of_the_database_is_refused_or_a_store() {
        let folder = tempfile::tempdir().unwrap();
        let whole = {
            let store = Store::open(&folder.path().join("whole")).unwrap();
            for _ in 0..50 {
                let id = JobId::random().unwrap();
                let _hold = store.add(&id).unwrap();
            }
            store.compact().unwrap();
            fs::read(folder.path().join("whole/jobs.db")).unwrap()
        };
        for cut in (0..whole.len()).step_by(1_000) {
            let state = folder.path().join(cut.to_string());
            drop(Store::open(&state).unwrap());
            fs::write(state.join("jobs.db"), &whole[..cut]).unwrap();
            match Store::open(&state).and_then(|store| store.jobs(99)) {
                // Nothing at all is a new store; a page that holds no job may be missed later.
                Ok(jobs) if cut > 0 => assert_eq!(jobs.len(), 50, "{cut} of {}", whole.len()),
                Ok(jobs) => assert!(jobs.is_empty()),
                Err(fault) => assert!(matches!(fault, StoreError::Damaged(_)), "{cut}: {fault}"),
            }
        }
    }

    #[test]
    fn folders_that_no_job_came_to_are_found_and_no_others() {
        let (_folder, store) = store();
        let old = SystemTime::now() - 2 * STRAY_AGE;
        let age = |id: &JobId| {
            let folder = fs::File::open(store.job_folder(id)).unwrap();
            folder.set_modified(old).unwrap();
        };
        let ids: Vec<_> = (0..4).map(|_| JobId::random().unwrap()).collect();
        let _job = store.add(&ids[0]).unwrap();
        for id in &ids[1..] {
            make_private(&store.job_folder(id)).unwrap();
        }
        let _beginning = Hold::take(&store.lock_path(&ids[1])).unwrap();
        fs::create_dir(store.folder.join("jobs/not-ours")).unwrap();
        for id in &ids[..3] {
            age(id);
        }
        let now = SystemTime::now();
        assert_eq!(store.strays(now).unwrap(), [store.job_folder(&ids[2])]);
        assert!(store.strays(old - STRAY_AGE).unwrap().is_empty());
    }

    #[test]
    fn history_that_belongs_to_no_job_is_forgotten_by_age() {
        let (_folder, store) = store();
        let id = JobId::random().unwrap();
        let _hold = store.add(&id).unwrap();
        let gone = JobId::random().unwrap();
        for job in [Some(&id), Some(&gone), None] {
            store.record_call(job, "search", 1, 1).unwrap();
            store.record_request(job, &result("x")).unwrap();
        }
        store.forget_history(0).unwrap();
        assert_eq!(store.calls_since(0).unwrap().len(), 3);
        store.forget_history(i64::MAX).unwrap();
        assert_eq!(store.calls_since(0).unwrap().len(), 1);
        assert_eq!(store.requests_since(0).unwrap().len(), 1);
        store.compact().unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_store_that_others_can_enter_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, store) = store();
        drop(store);
        let path = folder.path().join("state");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(
            Store::open(&path),
            Err(StoreError::Exposed { mode: 0o755, .. })
        ));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_store() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, store) = store();
        let id = JobId::random().unwrap();
        let _hold = store.add(&id).unwrap();
        for path in [
            "state",
            "state/jobs",
            "state/jobs.db",
            &format!("state/jobs/{id}"),
            &format!("state/jobs/{id}/lock"),
        ] {
            let mode = fs::metadata(folder.path().join(path))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o077, 0, "{path}");
        }
    }
}
