//! The rows of gateway requests.

use rusqlite::params;
use serde::de::DeserializeOwned;

use super::clock::now_ms;
use super::database::Store;
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

    /// The gateway requests since a time (milliseconds since the epoch), with their jobs. A record of another version that
    /// is no `T` is left out.
    ///
    /// # Errors
    /// The database fails.
    pub fn requests_since<T: DeserializeOwned>(
        &self,
        since_ms: i64,
    ) -> Result<Vec<(Option<String>, i64, T)>, StoreError> {
        let mut statement = self.database.prepare_cached(
            "SELECT job, at_ms, record FROM requests WHERE at_ms >= ?1 ORDER BY number",
        )?;
        let mut rows = statement.query([since_ms])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            // Parsed where SQLite holds it: there are hundreds of thousands.
            let record = row.get_ref(2)?.as_bytes().map_err(rusqlite::Error::from)?;
            if let Ok(record) = serde_json::from_slice(record) {
                found.push((row.get(0)?, row.get(1)?, record));
            }
        }
        Ok(found)
    }
}
