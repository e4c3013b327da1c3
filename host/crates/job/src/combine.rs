//! Several results as one: the order in which they are brought together, what overlaps, and the job that does it.
//!
//! A combined apply is a job without an agent. It makes an isolated tree of the checkout, merges each result into it, runs
//! every check that the results passed with, once more, on the whole, and brings that into the checkout.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::front::find;
use super::id::JobId;
use super::refusal::Refusal;
use super::runner::Continuation;
use super::spec::JobSpec;
use super::state::State;
use super::store::{JobRow, Store};
use crate::checks::{CheckSpec, Origin};
use settings::{Isolation, Settings};
use workspace::{ApplyHow, IsolatedRecord};

/// The most results of one call.
pub(super) const PARTS_MAX: usize = 100;

/// The record of what a combined result holds, in its job's folder.
const RECORD: &str = "combined.json";

/// The results that are combined, in the order in which they are brought together.
pub(crate) struct Parts {
    parts: Vec<Part>,
    /// The checkout that all of them were made from.
    source: PathBuf,
}

/// One result.
struct Part {
    id: JobId,
    ticket: i64,
    /// The working directory in the checkout, relative to its top.
    work_dir: PathBuf,
    checks: Vec<CheckSpec>,
    /// The files that it changed, relative to the checkout's top.
    files: BTreeSet<Vec<u8>>,
}

/// A file that several of the results changed.
pub(crate) struct Overlap {
    /// Relative to the checkout's top; names may hold any bytes.
    pub(crate) file: Vec<u8>,
    pub(crate) jobs: Vec<JobId>,
}

impl Parts {
    /// Looks at the jobs' results. First come those that share no file with another one, then those that do, as they were
    /// started: what stops a combination is at its end.
    ///
    /// # Errors
    /// A job that has no result to bring along, or one of another checkout.
    pub(crate) fn of(store: &Store, ids: &[JobId]) -> Result<Self, Refusal> {
        let refuse =
            |id: &JobId, why: &str| Err(Refusal::new("job_ids", format!("job {id} {why}")));
        let mut parts: Vec<Part> = Vec::with_capacity(ids.len());
        let mut source: Option<PathBuf> = None;
        let mut seen = HashSet::new();
        for id in ids {
            if !seen.insert(id) {
                return refuse(id, "is named twice");
            }
            let job = find(store, id).map_err(|refusal| Refusal::new("job_ids", refusal.rule))?;
            if job.state != State::Completed {
                return refuse(
                    id,
                    &format!("is {}; only completed ones are combined", job.state),
                );
            }
            if let Some(later) = went_on(store, &job)? {
                return refuse(
                    id,
                    &format!("was gone on from by job {}; name that one", later.id),
                );
            }
            let Ok(record) = IsolatedRecord::load(&store.job_folder(job.home())) else {
                return refuse(
                    id,
                    "has no tree of its own: its changes are in the checkout already",
                );
            };
            let Some(sealed) = record
                .results
                .iter()
                .find(|sealed| sealed.job == id.as_str())
            else {
                return refuse(id, "has no result");
            };
            if sealed.applied.is_some() {
                return refuse(id, "is applied already; leave it out");
            }
            let continuation = Continuation::load(&store.job_folder(id));
            let Some(checks) = continuation.and_then(|continuation| continuation.checks) else {
                return refuse(
                    id,
                    "has checks that were not kept (a secret is in them, or an earlier version ran it); apply it alone",
                );
            };
            if source.get_or_insert_with(|| record.source.clone()) != &record.source {
                return refuse(id, "was made from another checkout than the first one");
            }
            parts.push(Part {
                id: id.clone(),
                ticket: job.ticket,
                work_dir: record.dirs.first().cloned().unwrap_or_default(),
                checks,
                files: sealed.files.iter().map(|file| file.path.clone()).collect(),
            });
        }
        let source = source.ok_or_else(|| Refusal::new("job_ids", "must name at least one job"))?;
        let shared: BTreeSet<Vec<u8>> = overlaps(&parts)
            .into_iter()
            .map(|overlap| overlap.file)
            .collect();
        parts.sort_by_key(|part| (!part.files.is_disjoint(&shared), part.ticket));
        Ok(Self { parts, source })
    }

    /// The jobs, in order.
    pub(crate) fn order(&self) -> Vec<JobId> {
        self.parts.iter().map(|part| part.id.clone()).collect()
    }

    /// The files that several of them changed.
    pub(crate) fn overlaps(&self) -> Vec<Overlap> {
        overlaps(&self.parts)
    }

    /// The checkout's top.
    pub(crate) fn source(&self) -> &Path {
        &self.source
    }

    /// The job that combines them and brings the whole into the checkout.
    pub(crate) fn into_spec(self, how: ApplyHow, settings: &Settings) -> JobSpec {
        let order = self.order();
        let names: Vec<&str> = order.iter().map(JobId::as_str).collect();
        let prompt = format!(
            "Combine the results of {} jobs: {}",
            names.len(),
            names.join(", ")
        );
        JobSpec {
            checks: self.checks(),
            expect_changes: Some(true),
            isolation: Isolation::Worktree,
            apply: Some(how),
            combines: order,
            ..JobSpec::without_agent(prompt, vec![self.source], settings)
        }
    }

    /// Every check of the results, from the top of the checkout; the same one of several results once. What the operator
    /// requires comes with the new job.
    fn checks(&self) -> Vec<CheckSpec> {
        let mut all: Vec<CheckSpec> = Vec::new();
        let mut seen = HashSet::new();
        let mut names: BTreeMap<String, u32> = BTreeMap::new();
        for part in &self.parts {
            for check in &part.checks {
                if check.origin() == Origin::Required {
                    continue;
                }
                let mut check = check.clone();
                if let CheckSpec::Command(command) = &mut check {
                    let cwd = part
                        .work_dir
                        .join(command.cwd.as_deref().unwrap_or(Path::new("")));
                    command.cwd = Some(cwd).filter(|cwd| !cwd.as_os_str().is_empty());
                }
                if !seen.insert(serde_json::to_string(&check).unwrap_or_default()) {
                    continue;
                }
                let count = names.entry(check.name().to_owned()).or_default();
                *count += 1;
                if *count > 1 {
                    let name = format!("{} ({count})", check.name());
                    check.set_name(name);
                }
                all.push(check);
            }
        }
        all
    }
}

fn overlaps(parts: &[Part]) -> Vec<Overlap> {
    let mut by_file: BTreeMap<&Vec<u8>, Vec<JobId>> = BTreeMap::new();
    for part in parts {
        for file in &part.files {
            by_file.entry(file).or_default().push(part.id.clone());
        }
    }
    let several = by_file.into_iter().filter(|(_, jobs)| jobs.len() > 1);
    several
        .map(|(file, jobs)| Overlap {
            file: file.clone(),
            jobs,
        })
        .collect()
}

/// The completed job that went on from this one, if one did: its result holds the changes of both.
pub(crate) fn went_on(store: &Store, job: &JobRow) -> Result<Option<JobRow>, Refusal> {
    let later = store.lodgers(job.home())?.into_iter();
    Ok(later
        .filter(|later| later.ticket > job.ticket)
        .find(|later| later.state == State::Completed))
}

/// The outcome of bringing results together.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Combined {
    /// Those that are in.
    pub(crate) jobs: Vec<JobId>,
    /// Those that were in already.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unchanged: Vec<JobId>,
    /// The first one that could not be brought in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) conflict: Option<Conflict>,
}

/// A result that could not be brought in; its tree and what was combined before are as they were.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Conflict {
    /// The job.
    pub(crate) job_id: JobId,
    /// The reason, with the files.
    pub(crate) reason: String,
    /// The jobs that were not tried after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) not_tried: Vec<JobId>,
}

impl Combined {
    /// Keeps the outcome in the folder of the job that combined.
    pub(crate) fn keep(&self, job_folder: &Path) {
        let text = serde_json::to_vec(self).unwrap_or_default();
        if let Err(fault) = fs::write(job_folder.join(RECORD), text) {
            tracing::warn!(%fault, "the combined jobs will still count as not applied");
        }
    }

    /// The outcome of a job that combined; none of any other job.
    pub(crate) fn load(job_folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(job_folder.join(RECORD)).ok()?).ok()
    }
}
