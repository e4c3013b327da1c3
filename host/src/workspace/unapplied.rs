//! What would be lost with an isolated tree: changes that no `apply` brought anywhere else.

use std::fmt;
use std::path::{Path, PathBuf};

use git2::{Oid, Repository};

use super::apply::changed_paths;
use super::{ApplyHow, Isolated, IsolatedRecord, WorkspaceError};

/// Work that stands in a job's own tree and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unapplied {
    /// The tree.
    pub tree: PathBuf,
    /// How many files the result changes; none when the job ended without taking one, so that nobody knows.
    pub files: Option<usize>,
}

impl Unapplied {
    /// Looks into a job's folder. None where the job had no tree of its own, changed nothing, or was applied.
    pub fn of(folder: &Path) -> Option<Self> {
        let record = IsolatedRecord::load(folder).ok()?;
        let tree = folder.join("tree");
        if record.applied.is_some() || !tree.is_dir() {
            return None;
        }
        let files = match (&record.result, &record.compared_with) {
            (Some(result), Some(before)) => match count(folder, before, result) {
                Some(0) => return None,
                count => count,
            },
            _ => None,
        };
        Some(Self { tree, files })
    }
}

impl fmt::Display for Unapplied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tree = self.tree.display();
        match self.files {
            Some(1) => write!(
                f,
                "its change to one file was not applied and stands only in {tree}"
            ),
            Some(files) => {
                write!(
                    f,
                    "its changes to {files} files were not applied and stand only in {tree}"
                )
            }
            None => write!(
                f,
                "it ended without a result; what it did stands only in {tree}"
            ),
        }
    }
}

impl Isolated {
    /// Notes that the result was brought into the checkout.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn record_applied(&mut self, how: ApplyHow) -> Result<(), WorkspaceError> {
        self.record_mut().applied = Some(how);
        self.save()
    }
}

fn count(folder: &Path, before: &str, result: &str) -> Option<usize> {
    let sealed = Repository::open_bare(folder.join("result")).ok()?;
    let (before, result) = (Oid::from_str(before).ok()?, Oid::from_str(result).ok()?);
    Some(changed_paths(&sealed, before, result).ok()?.len())
}
