//! The rows of jobs, with their passes and processes.

use rusqlite::{OptionalExtension, params};
use serde_json::Value;

use super::clock::now_ms;
use super::database::own_folder;
use super::database::{Store, parse_json};
use super::error::StoreError;
use crate::id::JobId;
use crate::lock::LockGuard;
use crate::state::State;
use process::ProcessIdentity;
use redact::RedactedJson;
use workspace::folder;

/// One job's row.
#[derive(Debug, Clone)]
pub struct JobRow {
    /// The job.
    pub id: JobId,
    /// The place in the queue; earlier jobs have smaller ones.
    pub ticket: i64,
    /// The state.
    pub state: State,
    /// The time of `start`, milliseconds since the epoch.
    pub created_ms: i64,
    /// The start, when a slot was free.
    pub started_ms: Option<i64>,
    /// The end.
    pub ended_ms: Option<i64>,
    /// True if somebody wants it ended.
    pub cancel_requested: bool,
    /// The runner's process.
    pub runner: Option<ProcessIdentity>,
    /// The arguments, redacted and short.
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

impl Store {
    /// Adds a job in the state `queued`, with its folder and the hold on its lock. The row carries nothing of the
    /// caller's words: those are recorded by the runner, redacted.
    ///
    /// # Errors
    /// The folder, the lock or the row cannot be made.
    pub fn add(&self, id: &JobId) -> Result<LockGuard, StoreError> {
        own_folder(&self.job_folder(id))?;
        // Locked before the row is seen, or a queue behind it would take the job for dead.
        let path = self.lock_path(id);
        let hold = LockGuard::take(&path).map_err(|source| StoreError::Folder { path, source })?;
        let added = self.database.execute(
            "INSERT INTO jobs (id, state, created_ms) VALUES (?1, ?2, ?3)",
            params![id.as_str(), State::Queued.as_str(), now_ms()],
        );
        if let Err(fault) = added {
            let _ = folder::remove(&self.job_folder(id));
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
        // The look and the removal are one step: no other process can begin to go on in the job in between. All of it is
        // one transaction, since `gc` removes thousands.
        let transaction = self.database.unchecked_transaction()?;
        let removed = transaction
            .prepare_cached(
                "DELETE FROM jobs WHERE id = ?1 AND NOT EXISTS (
                    SELECT 1 FROM jobs WHERE id <> ?1
                    AND (lives_in = ?1 OR lives_in IN (SELECT job FROM attempts WHERE of = ?1)))",
            )?
            .execute([id.as_str()])?;
        let attempts = self.attempt_ids(id)?;
        if removed == 0 {
            for home in std::iter::once(id).chain(&attempts) {
                let lodger = self.lodgers(home)?.into_iter().rfind(|job| job.id != *id);
                if let Some(lodger) = lodger {
                    return Err(StoreError::LivedIn {
                        id: id.clone(),
                        by: lodger.id,
                    });
                }
            }
        }
        // What it tried goes with it.
        let gone: Vec<&JobId> = std::iter::once(id).chain(&attempts).collect();
        for id in &gone {
            for forget in [
                "DELETE FROM jobs WHERE id = ?1",
                "DELETE FROM attempts WHERE job = ?1",
                "DELETE FROM requests WHERE job = ?1",
                "DELETE FROM calls WHERE job = ?1",
            ] {
                transaction.prepare_cached(forget)?.execute([id.as_str()])?;
            }
        }
        transaction.commit()?;
        for id in gone {
            let path = self.job_folder(id);
            folder::remove(&path).map_err(|source| StoreError::Folder { path, source })?;
        }
        Ok(())
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

    /// The newest jobs, newest first; attempts are not among them.
    ///
    /// # Errors
    /// The database fails or holds what cannot be read.
    pub fn jobs(&self, limit: usize) -> Result<Vec<JobRow>, StoreError> {
        let mut statement = self.database.prepare_cached(&format!(
            "{SELECT_JOB} WHERE id NOT IN (SELECT job FROM attempts) ORDER BY ticket DESC LIMIT ?1"
        ))?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        statement
            .query_map([limit], raw_row)?
            .map(|row| JobRow::try_from(row?))
            .collect()
    }

    /// The jobs since a time (milliseconds since the epoch), newest first, each with its number of passes; results and
    /// progress stay in the database. Attempts are not among them.
    ///
    /// # Errors
    /// The database fails or holds what cannot be read.
    pub fn jobs_since(&self, since_ms: i64) -> Result<Vec<(JobRow, usize)>, StoreError> {
        let mut statement = self.database.prepare_cached(
            "SELECT id, ticket, state, created_ms, started_ms, ended_ms, cancel_requested, NULL, spec, NULL, NULL, lives_in,
                    (SELECT count(*) FROM passes WHERE job = id)
             FROM jobs WHERE created_ms >= ?1 AND id NOT IN (SELECT job FROM attempts) ORDER BY ticket DESC",
        )?;
        let rows = statement.query_map([since_ms], |row| {
            Ok((raw_row(row)?, row.get::<_, i64>(12)?))
        })?;
        rows.map(|row| {
            let (raw, passes) = row?;
            Ok((JobRow::try_from(raw)?, usize::try_from(passes).unwrap_or(0)))
        })
        .collect()
    }

    /// Every job without its words, newest first: what it was asked and what came of it stay in the database. Attempts are
    /// not among them: they go with their job.
    ///
    /// # Errors
    /// The database fails or holds what cannot be read.
    pub fn outlines(&self) -> Result<Vec<JobRow>, StoreError> {
        let mut statement = self.database.prepare_cached(
            "SELECT id, ticket, state, created_ms, started_ms, ended_ms, cancel_requested, NULL, NULL, NULL, NULL, lives_in
             FROM jobs WHERE id NOT IN (SELECT job FROM attempts) ORDER BY ticket DESC",
        )?;
        statement
            .query_map([], raw_row)?
            .map(|row| JobRow::try_from(row?))
            .collect()
    }

    /// Returns true if there is a job of that id.
    ///
    /// # Errors
    /// The database fails.
    pub fn knows(&self, id: &JobId) -> Result<bool, StoreError> {
        let mut statement = self
            .database
            .prepare_cached("SELECT 1 FROM jobs WHERE id = ?1")?;
        Ok(statement.exists([id.as_str()])?)
    }

    /// The ids that begin with these characters, at most `limit` of them.
    ///
    /// # Errors
    /// The database fails or holds what cannot be read.
    pub fn ids_beginning_with(&self, start: &str, limit: usize) -> Result<Vec<JobId>, StoreError> {
        // A range and not a pattern: the index on the ids answers it, and no character has a meaning.
        let mut statement = self.database.prepare_cached(
            "SELECT id FROM jobs WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3",
        )?;
        let end = format!("{start}{}", char::MAX);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let ids = statement.query_map(params![start, end, limit], |row| row.get::<_, String>(0))?;
        ids.map(|id| parse_id(id?)).collect()
    }

    /// The jobs that wait before this one. A job with attempts is not among them: those wait, and it does not.
    ///
    /// # Errors
    /// The database fails or holds what cannot be read.
    pub fn queued_before(&self, id: &JobId) -> Result<Vec<JobId>, StoreError> {
        let mut statement = self.database.prepare_cached(
            "SELECT id FROM jobs WHERE state = 'queued' AND ticket < (SELECT ticket FROM jobs WHERE id = ?1)
             AND id NOT IN (SELECT of FROM attempts) ORDER BY ticket",
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

    /// Returns true if somebody wants the job ended.
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
}

const SELECT_JOB: &str = "SELECT id, ticket, state, created_ms, started_ms, ended_ms, cancel_requested, runner, spec, progress, result, lives_in FROM jobs";

/// A row as SQLite holds it.
pub(super) struct RawRow {
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

pub(super) fn raw_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<RawRow> {
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

pub(super) fn parse_id(text: String) -> Result<JobId, StoreError> {
    JobId::try_from(text).map_err(|error| StoreError::Row(error.to_string()))
}

pub(super) fn identity_text(identity: &ProcessIdentity) -> String {
    serde_json::to_string(identity).unwrap_or_default()
}

pub(super) fn parse_identity(text: &str) -> Result<ProcessIdentity, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Row(error.to_string()))
}
