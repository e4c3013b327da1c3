//! The session that started a job, and whether it was told the job's result.

use std::path::{Path, PathBuf};

use rusqlite::{OptionalExtension, params};

use super::clock::now_ms;
use super::database::Store;
use super::error::StoreError;
use super::jobs::{identity_text, parse_id};
use crate::id::JobId;
use process::ProcessIdentity;

/// The untold jobs of a session's name, and of processes whose client gave no name; each half has its index.
const UNTOLD: &str = "
    SELECT job FROM (
        SELECT job FROM askers WHERE told_ms IS NULL AND session = ?1
        UNION ALL
        SELECT job FROM askers WHERE told_ms IS NULL AND session IS NULL
            AND process IN (SELECT value FROM json_each(?2))
    ) JOIN jobs ON jobs.id = job ORDER BY ticket";

/// A session of a client, as far as it can be told: by the name that the client gives it, and by its process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asker {
    /// The session's name: `session_id` in a call's `_meta` (Codex) and on a hook's stdin (Codex, Claude Code).
    pub session: Option<String>,
    /// The client's process: the server's parent. Of a hook, the processes above it, the nearest first.
    pub processes: Vec<ProcessIdentity>,
    /// The directory that it works in.
    pub workspace: Option<PathBuf>,
}

impl Asker {
    /// Returns true if there is anything to know it again by.
    pub fn is_known(&self) -> bool {
        self.session.is_some() || !self.processes.is_empty()
    }
}

/// A job that ended, and whose asker may be gone.
#[derive(Debug, Clone)]
pub(crate) struct Orphan {
    /// The job.
    pub(crate) id: JobId,
    /// The client's process, where it was known.
    pub(crate) process: Option<ProcessIdentity>,
}

impl Store {
    /// Notes who started a job.
    ///
    /// # Errors
    /// The database fails.
    pub fn record_asker(&self, id: &JobId, asker: &Asker) -> Result<(), StoreError> {
        let workspace = asker.workspace.as_deref().map(without_links);
        self.database.execute(
            "INSERT OR REPLACE INTO askers (job, session, process, workspace) VALUES (?1, ?2, ?3, ?4)",
            params![
                id.as_str(),
                asker.session,
                asker.processes.first().map(identity_text),
                workspace
            ],
        )?;
        Ok(())
    }

    /// Notes that whoever started the job has read what came of it.
    ///
    /// # Errors
    /// The database fails.
    pub fn record_told(&self, id: &JobId) -> Result<(), StoreError> {
        // Mostly there is nothing to note: no write then, and no wait for the disk.
        let open: Option<i64> = self
            .database
            .prepare_cached("SELECT 1 FROM askers WHERE job = ?1 AND told_ms IS NULL")?
            .query_row([id.as_str()], |row| row.get(0))
            .optional()?;
        if open.is_some() {
            self.database.execute(
                "UPDATE askers SET told_ms = ?2 WHERE job = ?1",
                params![id.as_str(), now_ms()],
            )?;
        }
        Ok(())
    }

    /// The jobs that this session started and was told no end of, oldest first. A session with a name owns the jobs of
    /// that name; the process decides for jobs whose client gave no name.
    ///
    /// # Errors
    /// The database fails or holds what cannot be read.
    pub fn untold(&self, asker: &Asker) -> Result<Vec<JobId>, StoreError> {
        let processes: Vec<String> = asker.processes.iter().map(identity_text).collect();
        let mut statement = self.database.prepare_cached(UNTOLD)?;
        let rows = statement.query_map(
            params![
                asker.session,
                serde_json::to_string(&processes).unwrap_or_default()
            ],
            |row| row.get::<_, String>(0),
        )?;
        rows.map(|id| parse_id(id?)).collect()
    }

    /// Jobs of this directory that are over and that nobody was told the end of, oldest first.
    ///
    /// # Errors
    /// The database fails or holds what cannot be read.
    pub(crate) fn orphans(&self, workspace: &Path) -> Result<Vec<Orphan>, StoreError> {
        let mut statement = self.database.prepare_cached(
            "SELECT job, process FROM askers JOIN jobs ON jobs.id = askers.job
             WHERE told_ms IS NULL AND workspace = ?1 AND ended_ms IS NOT NULL ORDER BY ticket",
        )?;
        let rows = statement.query_map([without_links(workspace)], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?))
        })?;
        rows.map(|row| {
            let (job, process) = row?;
            Ok(Orphan {
                id: parse_id(job)?,
                process: process
                    .map(|text| super::jobs::parse_identity(&text))
                    .transpose()?,
            })
        })
        .collect()
    }
}

/// The directory by the one name that it has however it was reached.
fn without_links(directory: &Path) -> String {
    let directory = std::fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    directory.display().to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_sessions_jobs_are_found_without_a_look_at_those_of_others() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state")).unwrap();
        let mut statement = store
            .database
            .prepare(&format!("EXPLAIN QUERY PLAN {UNTOLD}"))
            .unwrap();
        let steps: Vec<String> = statement
            .query_map(params!["A", "[]"], |row| row.get(3))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        for index in [
            "askers_by_session (session=?)",
            "askers_by_process (process=?)",
        ] {
            assert!(steps.iter().any(|step| step.contains(index)), "{steps:?}");
        }
        assert!(
            !steps.iter().any(|step| step.contains("SCAN askers")),
            "{steps:?}"
        );
    }
}
