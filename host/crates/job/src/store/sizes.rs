//! The room that jobs take, measured once each.

use rusqlite::{OptionalExtension, params};

use super::database::Store;
use super::error::StoreError;
use crate::id::JobId;
use crate::upkeep::Size;

impl Store {
    /// The size that was measured; none where none was.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) fn known_size(&self, id: &JobId) -> Result<Option<Size>, StoreError> {
        let mut statement = self
            .database
            .prepare_cached("SELECT bytes, inodes FROM sizes WHERE job = ?1")?;
        let size = statement.query_row([id.as_str()], |row| {
            Ok(Size {
                bytes: unsigned(row.get(0)?),
                inodes: unsigned(row.get(1)?),
            })
        });
        Ok(size.optional()?)
    }

    /// Notes sizes, all at once. A job that was removed meanwhile has none.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) fn record_sizes(&self, sizes: &[(JobId, Size)]) -> Result<(), StoreError> {
        let transaction = self.database.unchecked_transaction()?;
        for (id, size) in sizes {
            transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO sizes (job, bytes, inodes) SELECT id, ?2, ?3 FROM jobs WHERE id = ?1",
                )?
                .execute(params![id.as_str(), signed(size.bytes), signed(size.inodes)])?;
        }
        Ok(transaction.commit()?)
    }

    /// Forgets a size that is not what it was.
    ///
    /// # Errors
    /// The database fails.
    pub(crate) fn forget_size(&self, id: &JobId) -> Result<(), StoreError> {
        self.database
            .execute("DELETE FROM sizes WHERE job = ?1", [id.as_str()])?;
        Ok(())
    }

    /// The directories whose jobs take most, largest first, with the number of jobs.
    ///
    /// # Errors
    /// The database fails.
    pub fn largest(&self, limit: usize) -> Result<Vec<(String, usize, Size)>, StoreError> {
        let mut statement = self.database.prepare_cached(
            "SELECT coalesce(json_extract(spec, '$.allowed_dirs[0]'), '-'), count(*), sum(bytes), sum(inodes)
             FROM sizes JOIN jobs ON id = job GROUP BY 1 ORDER BY 3 DESC LIMIT ?1",
        )?;
        let rows = statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
            Ok((
                row.get::<_, String>(0)?,
                usize::try_from(row.get::<_, i64>(1)?).unwrap_or(0),
                Size {
                    bytes: unsigned(row.get(2)?),
                    inodes: unsigned(row.get(3)?),
                },
            ))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn unsigned(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
