//! A job without an agent: results are brought together in a tree, and the whole is verified.

use serde_json::{Map, Value, json};

use super::metering::Metering;
use super::running_job::{EarlyExit, Job};
use crate::combine::{Combined, Conflict};
use crate::end_cause::EndCause;
use crate::id::JobId;
use crate::lock::LockGuard;
use crate::refusal::Refusal;
use crate::state::State;
use crate::store::{Store, StoreError};
use crate::verify;
use workspace::{ApplyError, Isolated};

/// The reasons for which nothing is brought together.
#[derive(Debug, thiserror::Error)]
enum CombineError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Tree(#[from] workspace::WorkspaceError),
    #[error("{0}")]
    Lock(#[from] std::io::Error),
    #[error("{0}")]
    Job(#[from] Refusal),
}

impl Job {
    /// The steps of a job that combines results, in order. `Ok` is a verdict.
    pub(super) async fn combine(&mut self) -> Result<(), EarlyExit> {
        let mut site = self.find_site().await?;
        self.set_up(&mut site).await?;
        let base = match site.take_base() {
            Some(base) => base,
            None => self.capture_base(&site).await?,
        };
        self.advance(State::Running)?;
        let combined = self.bring_together().await?;
        combined.keep(&self.folder());
        let conflict = combined.conflict.as_ref();
        if let Some(Conflict { job_id, reason, .. }) = conflict {
            self.journal()
                .line(&format!("stopped before job {job_id}: {reason}"));
            if combined.jobs.is_empty() {
                let message = format!("job {job_id} cannot be brought in: {reason}");
                return Err(EarlyExit::Fault(EndCause::Workspace, message));
            }
        }
        self.take_changes(&base).await?;
        self.advance(State::Verifying)?;
        let metering = Metering::begin(&self.settings, &self.journal, &self.stop);
        let verify::Verification {
            verdicts,
            stands,
            notes,
        } = self.verify(&site, &base, 1, &metering).await;
        if let Some(stands) = stands {
            self.findings.changes = Some(stands);
        }
        self.findings.notes.extend(notes);
        if self.stop.cause().is_some() {
            self.findings.verdicts = Some(verdicts);
            return Err(EarlyExit::Stopped);
        }
        self.record_pass(1, "", gateway::Usage::default(), &verdicts);
        self.seal(&mut site, &base)
    }

    /// Merges each result into the job's tree, in order; stops before the first that does not go in.
    async fn bring_together(&mut self) -> Result<Combined, EarlyExit> {
        let parts = self.spec.combines.clone();
        self.journal()
            .line(&format!("bringing {} results together", parts.len()));
        let (folder, state_dir) = (self.folder(), self.settings.state_dir.clone());
        let own = self.journal().id().clone();
        let brought = self.blocking(move || {
            let store = Store::open(&state_dir)?;
            let tree = Isolated::open(&folder, own.as_str())?;
            // An apply of one of them at the same time would use the same scratch folder.
            let lock = store.named_lock(&format!("apply-{}", tree.source_lock_name()?));
            let _turn = LockGuard::wait(&lock)?.removed_at_the_end(&lock);
            merge_all(&store, &tree, &parts)
        });
        brought
            .await?
            .map_err(|fault| EarlyExit::fault(EndCause::Workspace)(&fault))
    }
}

fn merge_all(store: &Store, tree: &Isolated, parts: &[JobId]) -> Result<Combined, CombineError> {
    let mut combined = Combined::default();
    for (at, id) in parts.iter().enumerate() {
        let row = store.job(id)?;
        let row = row.ok_or_else(|| Refusal::new("job_ids", format!("job {id} was removed")))?;
        let part = Isolated::open(&store.job_folder(row.home()), id.as_str())?;
        match part.apply_into(tree) {
            Ok(_) => combined.jobs.push(id.clone()),
            Err(ApplyError::NoResult(_)) => combined.unchanged.push(id.clone()),
            Err(reason) => {
                combined.conflict = Some(Conflict {
                    job_id: id.clone(),
                    reason: conflict(&reason),
                    not_tried: parts.iter().skip(at + 1).cloned().collect(),
                });
                break;
            }
        }
    }
    Ok(combined)
}

/// The reason in words that fit: the tree is not the user's checkout.
fn conflict(reason: &ApplyError) -> String {
    match reason {
        ApplyError::Conflicts { files, .. } => {
            let names: Vec<String> = files.iter().map(ToString::to_string).collect();
            format!(
                "it and what is combined or committed already changed the same lines of {}",
                names.join(", ")
            )
        }
        other => redact::text::one_line(&other.to_string(), 300),
    }
}

/// The fields of a combined job's result.
pub(super) fn fields(combined: &Combined) -> Map<String, Value> {
    let mut fields = Map::from_iter([("combined".to_owned(), json!(combined.jobs))]);
    if !combined.unchanged.is_empty() {
        fields.insert("unchanged".to_owned(), json!(combined.unchanged));
    }
    if let Some(conflict) = &combined.conflict {
        fields.insert("conflict".to_owned(), json!(conflict));
    }
    fields
}
