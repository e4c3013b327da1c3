//! The garbage that `gc` collects, and the way the database becomes small again.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::database::Store;
use super::error::StoreError;
use crate::id::JobId;

/// A folder of a job that never began is left alone for so long: its front may be about to begin it.
pub(super) const STRAY_AGE: Duration = Duration::from_secs(60);

impl Store {
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
            if old && !self.knows(&id)? && !self.is_live(&id)? {
                strays.push(entry.path());
            }
        }
        strays.sort();
        Ok(strays)
    }

    /// Lets this connection's writes become durable a little later: what is forgotten may come back after a power cut, and
    /// is forgotten again.
    ///
    /// # Errors
    /// The database fails.
    pub fn hasten(&self) -> Result<(), StoreError> {
        Ok(self.database.pragma_update(None, "synchronous", "NORMAL")?)
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
}
