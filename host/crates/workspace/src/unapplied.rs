//! The changes that would be lost with an isolated tree: changes that no `apply` brought anywhere
//! else.

use std::fmt;
use std::path::{Path, PathBuf};

use git2::{Oid, Repository};

use crate::error::WorkspaceError;
use crate::isolated::Isolated;
use crate::record::{ApplyHow, IsolatedRecord, NotCarried};
use crate::seal::changed_paths;

/// Work that stands in a job's own tree and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unapplied {
    /// The place that they are in: the tree, or the job's folder where the tree has become small.
    pub tree: PathBuf,
    /// The number of files the result changes; none when the job ended without taking one, so that
    /// nobody knows.
    pub files: Option<usize>,
    /// The changes that no `apply` carries.
    pub not_carried: Vec<NotCarried>,
}

impl Unapplied {
    /// Looks into the folder where a job's tree is. None where there is none, where the job changed nothing there, or where
    /// its result was applied, by itself or with that of a job that went on from it.
    pub fn of(folder: &Path, job: &str) -> Option<Self> {
        let record = IsolatedRecord::load(folder).ok()?;
        let tree = match record.small {
            true => folder.to_path_buf(),
            false => folder.join("tree"),
        };
        if !tree.is_dir() {
            return None;
        }
        let at = record.results.iter().position(|sealed| sealed.job == job);
        let Some((at, before)) = at.zip(record.compared_with.as_ref()) else {
            return Some(Self {
                tree,
                files: None,
                not_carried: Vec::new(),
            });
        };
        let (earlier, from) = record.results.split_at_checked(at)?;
        let own = from.first()?;
        let not_carried: Vec<_> = own
            .not_carried
            .iter()
            .filter(|left| left.is_work())
            .cloned()
            .collect();
        let before = earlier.last().map_or(before, |sealed| &sealed.commit);
        let files = match from.iter().any(|sealed| sealed.applied.is_some()) {
            true => Some(0),
            false => count(folder, before, &own.commit),
        };
        (files != Some(0) || !not_carried.is_empty()).then_some(Self {
            tree,
            files,
            not_carried,
        })
    }
}

impl fmt::Display for Unapplied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tree = self.tree.display();
        let left = || {
            const MOST: usize = 5;
            let mut names: Vec<_> = self.not_carried.iter().map(ToString::to_string).collect();
            let more = names.len().saturating_sub(MOST);
            names.truncate(MOST);
            let mut text = names.join(", ");
            if more > 0 {
                text.push_str(&format!(" and {more} more"));
            }
            text
        };
        match self.files {
            Some(0) => {
                return write!(f, "what `apply` cannot carry is only in {tree}: {}", left());
            }
            Some(1) => write!(
                f,
                "its change to one file was not applied and is only in {tree}"
            ),
            Some(files) => {
                write!(
                    f,
                    "its changes to {files} files were not applied and stand only in {tree}"
                )
            }
            None => write!(
                f,
                "it ended without a result; what it did is only in {tree}"
            ),
        }?;
        if self.not_carried.is_empty() {
            return Ok(());
        }
        write!(f, "; `apply` cannot carry {}", left())
    }
}

impl Isolated {
    /// Notes that the result was brought into the checkout.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn record_applied(&mut self, how: ApplyHow) -> Result<(), WorkspaceError> {
        let job = self.job().to_owned();
        self.update(|record| {
            let sealed = record.results.iter_mut().find(|sealed| sealed.job == job);
            if let Some(sealed) = sealed {
                sealed.applied = Some(how);
            }
        })
    }
}

fn count(folder: &Path, before: &str, result: &str) -> Option<usize> {
    let sealed = Repository::open_bare(folder.join("result")).ok()?;
    let (before, result) = (Oid::from_str(before).ok()?, Oid::from_str(result).ok()?);
    Some(changed_paths(&sealed, before, result).ok()?.len())
}
