//! The session that started a job, and whether it was told the job's result.

use std::path::{Path, PathBuf};

use rusqlite::{OptionalExtension, params};

use super::clock::now_ms;
use super::database::Store;
use super::error::StoreError;
use super::jobs::{identity_text, parse_id};
use crate::id::JobId;
use process::ProcessIdentity;

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
        let workspace = asker
            .workspace
            .as_ref()
            .map(|path| path.display().to_string());
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
        let mut statement = self.database.prepare_cached(
            "SELECT job, session, process FROM askers JOIN jobs ON jobs.id = askers.job
             WHERE told_ms IS NULL ORDER BY ticket",
        )?;
        let processes: Vec<String> = asker.processes.iter().map(identity_text).collect();
        let rows = statement.query_map([], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, Option<String>>(1)?,
                row.get::<_, Option<String>>(2)?,
            ))
        })?;
        let mut found = Vec::new();
        for row in rows {
            let (job, session, process) = row?;
            let is_theirs = match session {
                Some(session) => asker.session.as_ref() == Some(&session),
                None => process.is_some_and(|process| processes.contains(&process)),
            };
            if is_theirs {
                found.push(parse_id(job)?);
            }
        }
        Ok(found)
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
        let rows = statement.query_map([workspace.display().to_string()], |row| {
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
