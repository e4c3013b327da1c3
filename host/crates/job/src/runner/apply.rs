//! `apply` in its runner: bring what an isolated job made into the user's checkout, or say why not.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::resources::JobResources;
use crate::combine::{self, Combined, Parts};
use crate::id::JobId;
use crate::launch::Outcome;
use crate::lock::LockGuard;
use crate::queue;
use crate::refusal::Refusal;
use crate::store::{JobRow, Store};
use redact::{LogMask, Redactor};
use settings::Settings;
use workspace::{ApplyHow, FilePath, Isolated};

/// How long a tree that cannot be opened is tried for: it may just be made small, or whole again.
const BEING_MADE: Duration = Duration::from_secs(30);

/// Applies one job's result. File names come from the repository, so the answer is redacted like a result.
pub(super) fn apply(settings: Settings, id: &JobId, how: ApplyHow, mask: &LogMask) -> Outcome {
    match bring(Arc::new(settings), id, how, mask) {
        Ok(reply) => Outcome::Answer(reply),
        Err(refusal) => Outcome::Refused(refusal),
    }
}

fn bring(
    settings: Arc<Settings>,
    id: &JobId,
    how: ApplyHow,
    mask: &LogMask,
) -> Result<Value, Refusal> {
    let store = Store::open(&settings.state_dir)?;
    let Some(job) = store.job(id)? else {
        return Err(Refusal::new("job_id", "names no job of this store"));
    };
    let tree = open(&store, &job)?;
    let source = [tree.record().source.clone()];
    let resources = JobResources::load(settings, &source).map_err(Refusal::internal)?;
    mask.set(resources.redactor.clone());
    let reply = deliver(&store, &job, how, &resources.redactor)?;
    Ok(resources.redactor.json(reply).into_value())
}

fn open(store: &Store, job: &JobRow) -> Result<Isolated, Refusal> {
    let folder = store.job_folder(job.home());
    let deadline = Instant::now() + BEING_MADE;
    loop {
        match Isolated::open(&folder, job.id.as_str()) {
            Ok(tree) => return Ok(tree),
            Err(_) if folder.join("tree").is_dir() && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(_) => {
                return Err(Refusal::new(
                    "job_id",
                    "names a job without a tree of its own: its changes are in the checkout already",
                ));
            }
        }
    }
}

/// Opens the result of a job, with the lock that keeps it from being packed meanwhile.
pub(super) fn open_alone(store: &Store, job: &JobRow) -> Result<(LockGuard, Isolated), Refusal> {
    let path = store.named_lock(&queue::result_lock(job.home()));
    // It is packed within moments, where it is.
    let alone = LockGuard::wait(&path)
        .map_err(Refusal::internal)?
        .removed_at_the_end(&path);
    Ok((alone, open(store, job)?))
}

/// Brings a completed result into the checkout where its job was to do so at its end: the fields that tell it in the result.
/// What stands in the way is told, and loses nothing: the result waits for `apply`.
pub(super) async fn deliver_at_end(
    state_dir: PathBuf,
    id: JobId,
    how: ApplyHow,
    redactor: Redactor,
) -> Option<Map<String, Value>> {
    let brought = tokio::task::spawn_blocking(move || {
        let store = Store::open(&state_dir)?;
        let row = store.job(&id)?;
        row.map(|row| deliver(&store, &row, how, &redactor))
            .transpose()
    });
    Some(match brought.await {
        Ok(Ok(None)) => return None,
        Ok(Ok(Some(Value::Object(reply)))) => {
            // The files are those of the result.
            let told = reply
                .into_iter()
                .filter(|(name, _)| !matches!(name.as_str(), "job_id" | "files"));
            told.collect()
        }
        Ok(Err(refusal)) => {
            let reason = redact::text::one_line(&refusal.rule, 300);
            Map::from_iter([("not_applied".to_owned(), reason.into())])
        }
        Ok(Ok(Some(_))) | Err(_) => {
            Map::from_iter([("not_applied".to_owned(), "apply {job_id} tells why".into())])
        }
    })
}

/// Brings the result into the checkout, one job at a time; answers what was done, not redacted yet.
pub(super) fn deliver(
    store: &Store,
    job: &JobRow,
    how: ApplyHow,
    redactor: &Redactor,
) -> Result<Value, Refusal> {
    let lock = open(store, job)?
        .source_lock_name()
        .map_err(|fault| Refusal::new("apply", redactor.text(&fault.to_string())))?;
    // Jobs that end together come into one checkout one after the other.
    let path = store.named_lock(&format!("apply-{lock}"));
    let _turn = LockGuard::wait(&path)
        .map_err(Refusal::internal)?
        .removed_at_the_end(&path);
    // After that lock, as in a combined apply.
    let (_result, mut tree) = open_alone(store, job)?;
    // What went on from this job holds its changes too; brought one after the other they would be in each other's way.
    if let Some(later) = combine::went_on(store, job)? {
        return Err(Refusal::new(
            "job_id",
            format!(
                "names a job that job {} went on from, whose result holds the changes of both; apply that one",
                later.id
            ),
        ));
    }
    let applied = tree
        .apply(how)
        .map_err(|fault| Refusal::new("apply", redactor.text(&fault.to_string())))?;
    if let Err(fault) = tree.record_applied(how) {
        tracing::warn!(%fault, "the job will still count as not applied");
    }
    if let Err(fault) = store.forget_size(job.home()) {
        tracing::debug!(%fault, "the job's size is measured again later");
    }
    for part in combined_in(store, &job.id) {
        let recorded = store.job(&part).map(|row| row.map(|row| open(store, &row)));
        if let Ok(Some(Ok(mut part))) = recorded
            && let Err(fault) = part.record_applied(how)
        {
            tracing::warn!(%fault, "a combined job will still count as not applied");
        }
    }
    let files: Vec<String> = applied.files.iter().map(ToString::to_string).collect();
    let mut reply = json!({ "job_id": job.id, "applied": how, "files": files });
    let names = |files: &[workspace::FilePath]| -> Vec<String> {
        files.iter().map(ToString::to_string).collect()
    };
    let not_carried = applied
        .not_carried
        .iter()
        .map(ToString::to_string)
        .collect();
    for (name, list) in [
        ("converted", names(&applied.converted)),
        ("merged", names(&applied.merged)),
        ("not_carried", not_carried),
    ] {
        if let (false, Some(fields)) = (list.is_empty(), reply.as_object_mut()) {
            fields.insert(name.to_owned(), json!(list));
        }
    }
    for (name, value) in [("branch", applied.branch), ("commit", applied.commit)] {
        if let (Some(value), Some(fields)) = (value, reply.as_object_mut()) {
            fields.insert(name.to_owned(), value.into());
        }
    }
    Ok(reply)
}

/// The jobs whose results the result of this one holds.
fn combined_in(store: &Store, job: &JobId) -> Vec<JobId> {
    Combined::load(&store.job_folder(job)).map_or_else(Vec::new, |combined| combined.jobs)
}

/// Answers in which order results would be combined, and which of their files overlap; does nothing.
pub(super) fn preview(settings: Settings, ids: &[JobId], mask: &LogMask) -> Outcome {
    match look_ahead(Arc::new(settings), ids, mask) {
        Ok(reply) => Outcome::Answer(reply),
        Err(refusal) => Outcome::Refused(refusal),
    }
}

/// The most overlapping files that a preview names.
const OVERLAPS_MAX: usize = 50;

fn look_ahead(settings: Arc<Settings>, ids: &[JobId], mask: &LogMask) -> Result<Value, Refusal> {
    let store = Store::open(&settings.state_dir)?;
    let parts = Parts::of(&store, ids)?;
    let source = [parts.source().to_owned()];
    let resources = JobResources::load(settings, &source).map_err(Refusal::internal)?;
    mask.set(resources.redactor.clone());
    let overlaps = parts.overlaps();
    let named = overlaps.iter().take(OVERLAPS_MAX).map(|overlap| {
        let file = FilePath::new(overlap.file.as_slice()).to_string();
        json!({ "file": file, "job_ids": overlap.jobs })
    });
    let mut reply = json!({ "order": parts.order(), "overlaps": named.collect::<Vec<_>>() });
    if overlaps.len() > OVERLAPS_MAX {
        reply["more_overlaps"] = (overlaps.len() - OVERLAPS_MAX).into();
    }
    Ok(resources.redactor.json(reply).into_value())
}
