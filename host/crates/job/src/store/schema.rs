//! The tables, and how a database of an older version comes to them.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::error::StoreError;

/// Version of the schema below, in SQLite's `user_version`.
pub(super) const SCHEMA_VERSION: i64 = 4;

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

/// The session that started a job, and whether it was told the end: part of the schema since 3.
const ASKERS: &str = "
    CREATE TABLE askers (
        job               TEXT    PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
        session           TEXT,
        process           TEXT,
        workspace         TEXT,
        told_ms           INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX askers_untold ON askers (job) WHERE told_ms IS NULL;
";

/// A job's place in the queue, and the room that it takes: part of the schema since 4.
const TURNS: &str = "
    CREATE TABLE turns (
        job               TEXT    PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
        front             TEXT    NOT NULL,
        repository        TEXT    NOT NULL,
        tree              TEXT,
        slots             INTEGER NOT NULL,
        granted_ms        INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE sizes (
        job               TEXT    PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
        bytes             INTEGER NOT NULL,
        inodes            INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX turns_by_share ON turns (front, repository, granted_ms);
";

/// Jobs that others started to have a task tried several times: part of the schema since 4. No reference to the job, whose
/// row is made after this one.
const ATTEMPTS: &str = "
    CREATE TABLE attempts (
        job               TEXT    PRIMARY KEY,
        of                TEXT    NOT NULL,
        number            INTEGER NOT NULL,
        model             TEXT    NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX attempts_of ON attempts (of, number);
";

/// From schema 1 to 2: a job may go on in another one's folder.
const TO_2: &str = "ALTER TABLE jobs ADD COLUMN lives_in TEXT;";

/// Indexes: they make questions fast and change no answer, so they need no version: who works in a
/// job's folder is found without a look at every job. Nothing is written where it is there already.
pub(super) const INDEXES: &str =
    "CREATE INDEX IF NOT EXISTS jobs_by_home ON jobs (lives_in) WHERE lives_in IS NOT NULL;
     CREATE INDEX IF NOT EXISTS askers_by_session ON askers (session)
        WHERE told_ms IS NULL AND session IS NOT NULL;
     CREATE INDEX IF NOT EXISTS askers_by_process ON askers (process)
        WHERE told_ms IS NULL AND session IS NULL;";

/// The schema's version: 0 of a database with nothing in it.
pub(super) fn version_of(database: &mut Connection, path: &Path) -> Result<i64, StoreError> {
    let path = path.to_owned();
    // One look at one state of the file: another process may be making it just now.
    let transaction = database.transaction_with_behavior(TransactionBehavior::Deferred)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > SCHEMA_VERSION {
        return Err(StoreError::Newer {
            path,
            found: version,
            known: SCHEMA_VERSION,
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

/// Brings an older schema, or none, to this one.
pub(super) fn migrate(database: &mut Connection) -> Result<(), StoreError> {
    // Immediate: of several processes that find an old schema, one migrates and the others then find a new one.
    let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        0 => transaction.execute_batch(SCHEMA)?,
        1 => transaction.execute_batch(TO_2)?,
        _ => {}
    }
    if version < 3 {
        transaction.execute_batch(ASKERS)?;
    }
    if version < 4 {
        transaction.execute_batch(TURNS)?;
        transaction.execute_batch(ATTEMPTS)?;
    }
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()?;
    Ok(())
}
