//! The queue as the store has it: who waits for what, who was granted a turn, and what each share had.

use rusqlite::{OptionalExtension, params};

use super::clock::now_ms;
use super::database::Store;
use super::error::StoreError;
use super::jobs::parse_id;
use crate::id::JobId;
use crate::queue::{Place, Waiting};

/// The states of a job that has had its turn and is not over.
const AT_WORK: &str = "state IN ('preparing', 'running', 'verifying', 'revising')";

impl Store {
    /// Gives a new job its place in the queue.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) fn enter_queue(&self, id: &JobId, place: &Place) -> Result<(), StoreError> {
        self.database.execute(
            "INSERT INTO turns (job, front, repository, tree, slots) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                id.as_str(),
                place.front,
                place.repository,
                place.tree,
                i64::try_from(place.slots).unwrap_or(i64::MAX)
            ],
        )?;
        Ok(())
    }

    /// A job's place; none of a job of an earlier version.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) fn place(&self, id: &JobId) -> Result<Option<Place>, StoreError> {
        let mut statement = self
            .database
            .prepare_cached("SELECT front, repository, tree, slots FROM turns WHERE job = ?1")?;
        let place = statement.query_row([id.as_str()], |row| {
            Ok(Place {
                front: row.get(0)?,
                repository: row.get(1)?,
                tree: row.get(2)?,
                slots: slots(row.get(3)?),
            })
        });
        Ok(place.optional()?)
    }

    /// Notes that the tree which a job must have alone is another one: the checkout was replaced while it waited.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) fn move_place(&self, id: &JobId, tree: &str) -> Result<(), StoreError> {
        self.database.execute(
            "UPDATE turns SET tree = ?2, granted_ms = NULL WHERE job = ?1",
            params![id.as_str(), tree],
        )?;
        Ok(())
    }

    /// The queue, first to last.
    ///
    /// # Errors
    /// The database fails or holds what cannot be read.
    pub(crate) fn waiting(&self) -> Result<Vec<Waiting>, StoreError> {
        let mut statement = self.database.prepare_cached(
            "SELECT id, front, repository, tree, slots, granted_ms IS NOT NULL
             FROM jobs JOIN turns ON job = id WHERE state = 'queued' ORDER BY ticket",
        )?;
        let rows = statement.query_map([], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
            ))
        })?;
        rows.map(|row| {
            let (id, front, repository, tree, width, granted) = row?;
            Ok(Waiting {
                id: parse_id(id)?,
                front,
                repository,
                tree,
                slots: slots(width),
                granted,
            })
        })
        .collect()
    }

    /// The jobs at work, with their front and repository.
    ///
    /// # Errors
    /// The database fails or holds what cannot be read.
    pub(crate) fn at_work(&self) -> Result<Vec<(JobId, String, String)>, StoreError> {
        let mut statement = self.database.prepare_cached(&format!(
            "SELECT id, front, repository FROM jobs JOIN turns ON job = id WHERE {AT_WORK}"
        ))?;
        let rows = statement.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?))
        })?;
        rows.map(|row| {
            let (id, front, repository) = row?;
            Ok((parse_id(id)?, front, repository))
        })
        .collect()
    }

    /// The job that works in this tree.
    ///
    /// # Errors
    /// The database fails or holds what cannot be read.
    pub(crate) fn works_in(&self, tree: &str) -> Result<Option<JobId>, StoreError> {
        let mut statement = self.database.prepare_cached(&format!(
            "SELECT id FROM jobs JOIN turns ON job = id WHERE {AT_WORK} AND tree = ?1"
        ))?;
        let id = statement.query_row([tree], |row| row.get::<_, String>(0));
        id.optional()?.map(parse_id).transpose()
    }

    /// When each repository of a front had its last turn.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) fn last_turns(&self, front: &str) -> Result<Vec<(String, i64)>, StoreError> {
        let mut statement = self.database.prepare_cached(
            "SELECT repository, max(granted_ms) FROM turns WHERE front = ?1 AND granted_ms IS NOT NULL GROUP BY repository",
        )?;
        let rows = statement.query_map([front], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Grants a job that waits its turn. False, when it does not wait any more.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) fn grant(&self, id: &JobId) -> Result<bool, StoreError> {
        let changed = self.database.execute(
            "UPDATE turns SET granted_ms = ?2 WHERE job = ?1 AND granted_ms IS NULL
             AND EXISTS (SELECT 1 FROM jobs WHERE id = ?1 AND state = 'queued')",
            params![id.as_str(), now_ms()],
        )?;
        Ok(changed == 1)
    }

    /// Returns true if the job was granted its turn.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) fn is_granted(&self, id: &JobId) -> Result<bool, StoreError> {
        let mut statement = self
            .database
            .prepare_cached("SELECT 1 FROM turns WHERE job = ?1 AND granted_ms IS NOT NULL")?;
        Ok(statement.exists([id.as_str()])?)
    }

    /// Takes a turn back that could not be used.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) fn withdraw(&self, id: &JobId) -> Result<(), StoreError> {
        self.database.execute(
            "UPDATE turns SET granted_ms = NULL WHERE job = ?1",
            [id.as_str()],
        )?;
        Ok(())
    }
}

fn slots(stored: i64) -> usize {
    usize::try_from(stored).unwrap_or(0)
}
