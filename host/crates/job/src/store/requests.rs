//! The rows of gateway requests.

use rusqlite::params;
use serde_json::Value;

use super::clock::now_ms;
use super::database::{Store, parse_json};
use super::error::StoreError;
use crate::id::JobId;
use redact::RedactedJson;

impl Store {
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
}
