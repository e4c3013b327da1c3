//! The rows of tool calls: what the planner paid.

use rusqlite::params;

use super::clock::now_ms;
use super::database::Store;
use super::error::StoreError;
use crate::id::JobId;

/// The cost of one tool call to the planner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRecord {
    /// The job it was about.
    pub job: Option<String>,
    /// The tool.
    pub tool: String,
    /// The time of the call, milliseconds since the epoch.
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

impl Store {
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
}
