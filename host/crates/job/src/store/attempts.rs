//! Attempts: jobs that another job started to have its task tried several times.
//!
//! An attempt is a job like any other, with a row, a folder and a runner; only nobody lists it beside the others, and it goes
//! with the job that it belongs to.

use std::collections::HashMap;
use std::path::PathBuf;

use rusqlite::{OptionalExtension, params};

use super::database::Store;
use super::error::StoreError;
use super::jobs::{JobRow, parse_id, raw_row};
use crate::id::JobId;
use crate::lock::LockGuard;

/// One attempt of a job.
#[derive(Debug, Clone)]
pub struct AttemptRow {
    /// Its number, counted from 1 in the order of the list.
    pub number: u32,
    /// The gateway's model that it was asked to use.
    pub model: String,
    /// The attempt as a job.
    pub job: JobRow,
}

/// What a job has spent so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spent {
    /// Requests to a gateway.
    pub requests: u64,
    /// Tokens of prompts and replies.
    pub tokens: u64,
    /// US dollars; none as long as no price is known.
    pub cost_usd: Option<f64>,
}

impl Spent {
    /// Both together.
    pub fn and(self, other: Self) -> Self {
        let cost_usd = match (self.cost_usd, other.cost_usd) {
            (None, None) => None,
            (one, two) => Some(one.unwrap_or_default() + two.unwrap_or_default()),
        };
        Self {
            requests: self.requests + other.requests,
            tokens: self.tokens + other.tokens,
            cost_usd,
        }
    }
}

impl Store {
    /// Adds a job as an attempt of another one, as [`Store::add`] does.
    ///
    /// # Errors
    /// As [`Store::add`].
    pub fn add_attempt(
        &self,
        id: &JobId,
        of: &JobId,
        number: u32,
        model: &str,
    ) -> Result<LockGuard, StoreError> {
        // Before the job has a row: nobody ever sees it as one of its own.
        self.database.execute(
            "INSERT INTO attempts (job, of, number, model) VALUES (?1, ?2, ?3, ?4)",
            params![id.as_str(), of.as_str(), number, model],
        )?;
        self.add(id)
    }

    /// The attempts of a job, by number.
    ///
    /// # Errors
    /// The database fails or holds what cannot be read.
    pub fn attempts(&self, of: &JobId) -> Result<Vec<AttemptRow>, StoreError> {
        let mut statement = self.database.prepare_cached(
            "SELECT job, number, model FROM attempts WHERE of = ?1 ORDER BY number",
        )?;
        let rows = statement.query_map([of.as_str()], |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?))
        })?;
        let mut attempts = Vec::new();
        for row in rows {
            let (id, number, model) = row?;
            // One whose job has no row was never begun.
            if let Some(job) = self.job(&parse_id(id)?)? {
                attempts.push(AttemptRow { number, model, job });
            }
        }
        Ok(attempts)
    }

    /// The attempts of the jobs since a time (milliseconds since the epoch), by number; results and progress stay in the
    /// database.
    ///
    /// # Errors
    /// The database fails or holds what cannot be read.
    pub fn attempts_since(
        &self,
        since_ms: i64,
    ) -> Result<HashMap<JobId, Vec<AttemptRow>>, StoreError> {
        let mut statement = self.database.prepare_cached(
            "SELECT id, ticket, state, created_ms, started_ms, ended_ms, cancel_requested, NULL, spec, NULL, NULL, lives_in,
                    of, number, model
             FROM attempts JOIN jobs ON id = job
             WHERE of IN (SELECT id FROM jobs WHERE created_ms >= ?1) ORDER BY number",
        )?;
        let rows = statement.query_map([since_ms], |row| {
            let of: String = row.get(12)?;
            Ok((raw_row(row)?, of, row.get(13)?, row.get(14)?))
        })?;
        let mut attempts: HashMap<JobId, Vec<AttemptRow>> = HashMap::new();
        for row in rows {
            let (job, of, number, model) = row?;
            let job = JobRow::try_from(job)?;
            let attempt = AttemptRow { number, model, job };
            attempts.entry(parse_id(of)?).or_default().push(attempt);
        }
        Ok(attempts)
    }

    /// The job that this one is an attempt of, or this one itself.
    ///
    /// # Errors
    /// The database fails or holds what cannot be read.
    pub fn owner(&self, id: &JobId) -> Result<JobId, StoreError> {
        let of = self
            .database
            .prepare_cached("SELECT of FROM attempts WHERE job = ?1")?
            .query_row([id.as_str()], |row| row.get::<_, String>(0))
            .optional()?;
        of.map_or_else(|| Ok(id.clone()), parse_id)
    }

    /// The job that goes with the folder that this one works in, where that is another one's.
    ///
    /// # Errors
    /// The database fails or holds what cannot be read.
    pub fn owner_of_home(&self, job: &JobRow) -> Result<Option<JobId>, StoreError> {
        job.lives_in
            .as_ref()
            .map(|home| self.owner(home))
            .transpose()
    }

    /// Gives the tree and the session of one of its attempts to a job: what is applied or gone on with is there from now on.
    ///
    /// # Errors
    /// The database fails.
    pub fn choose_attempt(&self, id: &JobId, chosen: &JobId) -> Result<(), StoreError> {
        self.live_in(id, chosen).map(drop)
    }

    /// The folder whose artifacts are a job's: its own, or that of the attempt that counts.
    ///
    /// # Errors
    /// The database fails or holds what cannot be read.
    pub fn evidence_folder(&self, job: &JobRow) -> Result<PathBuf, StoreError> {
        let own = self.job_folder(&job.id);
        let Some(home) = job.lives_in.as_ref() else {
            return Ok(own);
        };
        Ok(match self.owner(home)? == job.id {
            true => self.job_folder(home),
            false => own,
        })
    }

    /// What a job has spent, its attempts among it.
    ///
    /// # Errors
    /// The database fails or holds what cannot be read.
    pub fn spent_in_all(&self, id: &JobId) -> Result<Spent, StoreError> {
        let mut spent = self.spent(id)?;
        for attempt in self.attempt_ids(id)? {
            spent = spent.and(self.spent(&attempt)?);
        }
        Ok(spent)
    }

    /// What a job has spent by itself.
    ///
    /// # Errors
    /// The database fails.
    pub fn spent(&self, id: &JobId) -> Result<Spent, StoreError> {
        let sums = "SELECT count(*),
                coalesce(sum(coalesce(record ->> 'input_tokens', 0) + coalesce(record ->> 'output_tokens', 0)), 0),
                sum(record ->> 'cost_usd')
             FROM requests WHERE job = ?1";
        let spent = self
            .database
            .prepare_cached(sums)?
            .query_row([id.as_str()], |row| {
                let count = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
                Ok(Spent {
                    requests: count(0)?,
                    tokens: count(1)?,
                    cost_usd: row.get(2)?,
                })
            })?;
        Ok(spent)
    }

    /// The ids of a job's attempts, also of those that never began.
    pub(crate) fn attempt_ids(&self, of: &JobId) -> Result<Vec<JobId>, StoreError> {
        let mut statement = self
            .database
            .prepare_cached("SELECT job FROM attempts WHERE of = ?1")?;
        let ids = statement.query_map([of.as_str()], |row| row.get::<_, String>(0))?;
        ids.map(|id| parse_id(id?)).collect()
    }
}
