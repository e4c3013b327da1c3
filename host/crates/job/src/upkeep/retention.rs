//! Retention: which jobs go by themselves, and when. It says so before it does so.
//!
//! A job is *due* when it is older than WORKER_KEEP_DAYS, or when the younger ones together take
//! WORKER_KEEP_MB. One that is due is announced first, in `jobs` and in `doctor`, and goes a day later.
//! One whose changes were never applied goes a week after somebody has read so, and never before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Sizes, UpkeepError, make_small};
use crate::id::JobId;
use crate::lock::LockGuard;
use crate::recovery;
use crate::store::{JobRow, Store, now_ms};
use settings::Settings;
use workspace::Unapplied;

/// The announcement of what is due.
const RECORD: &str = "retention.json";

/// The lock of retention: one looks at a time.
const LOCK: &str = "retention";

/// The time between the announcement and the deletion.
const NOTICE_MS: i64 = 24 * 60 * 60 * 1000;

/// The time between somebody reading the announcement and the deletion of work that was never applied.
const NOTICE_OF_WORK_MS: i64 = 7 * NOTICE_MS;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The reason why a job is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It is older than WORKER_KEEP_DAYS.
    Age,
    /// The younger ones take all of WORKER_KEEP_MB.
    Size,
}

/// A job that retention will delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// The reason.
    pub reason: Reason,
    /// Since when, in milliseconds since the epoch.
    pub since_ms: i64,
    /// Its changes that were never applied, in words.
    #[serde(default)]
    pub unapplied: Option<String>,
    /// When somebody was shown this first.
    #[serde(default)]
    pub told_ms: Option<i64>,
}

impl Due {
    /// When it goes; none while nobody has read that work goes with it.
    pub fn goes_ms(&self) -> Option<i64> {
        match self.unapplied {
            None => Some(self.since_ms.saturating_add(NOTICE_MS)),
            Some(_) => self
                .told_ms
                .map(|told| told.saturating_add(NOTICE_OF_WORK_MS)),
        }
    }
}

/// What was announced, as the file has it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    looked_ms: i64,
    due: BTreeMap<JobId, Due>,
}

/// What is kept, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// WORKER_KEEP_DAYS; none keeps jobs of any age.
    keep_ms: Option<i64>,
    /// WORKER_KEEP_MB in bytes; none keeps any number.
    keep_bytes: Option<u64>,
}

impl Retention {
    /// As the settings say.
    pub fn of(settings: &Settings) -> Self {
        let days = i64::try_from(settings.keep_days).unwrap_or(i64::MAX);
        Self {
            keep_ms: (days > 0).then(|| days.saturating_mul(DAY_MS)),
            keep_bytes: (settings.keep_mb > 0).then(|| settings.keep_mb.saturating_mul(1_000_000)),
        }
    }

    /// Deletes what was announced long enough ago, then announces what is due now; nothing, where that was done less than
    /// `every` ago, or is being done.
    pub(crate) fn run(&self, store: &Store, every: Duration) -> Result<(), UpkeepError> {
        let record = load(store)?;
        let every = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
        let since = now_ms().saturating_sub(record.looked_ms);
        // A clock that was set back makes no pause of years.
        if (0..every).contains(&since) {
            return Ok(());
        }
        let path = store.named_lock(LOCK);
        let Some(_alone) = LockGuard::try_take(&path).map_err(UpkeepError::Lock)? else {
            return Ok(());
        };
        recovery::settle_all(store)?;
        self.look(store, now_ms())
    }

    /// One look, at a time that tests give.
    fn look(&self, store: &Store, now_ms: i64) -> Result<(), UpkeepError> {
        let mut record = load(store)?;
        let due = self.due(store, now_ms)?;
        record
            .due
            .retain(|id, _| due.iter().any(|(job, ..)| job.id == *id));
        let mut gone = 0;
        for (job, reason, unapplied) in due {
            // Announced anew when work came to it since.
            let known = record
                .due
                .get(&job.id)
                .filter(|known| known.unapplied.is_some() || unapplied.is_none());
            match known {
                Some(known) if known.goes_ms().is_some_and(|goes| goes <= now_ms) => {
                    // One that somebody goes on in meanwhile stays.
                    match store.remove(&job.id) {
                        Ok(()) => {
                            record.due.remove(&job.id);
                            gone += 1;
                        }
                        Err(fault) => tracing::warn!(%fault, job = %job.id, "a job stays"),
                    }
                }
                Some(_) => {}
                None => {
                    let announced = Due {
                        reason,
                        since_ms: now_ms,
                        unapplied,
                        told_ms: None,
                    };
                    record.due.insert(job.id.clone(), announced);
                }
            }
        }
        if gone > 0 {
            tracing::info!(gone, "jobs that were announced as due are deleted");
        }
        record.looked_ms = now_ms;
        save(store, &record)
    }

    /// The jobs that are due now, newest first, each with its unapplied work.
    fn due(
        &self,
        store: &Store,
        now_ms: i64,
    ) -> Result<Vec<(JobRow, Reason, Option<String>)>, UpkeepError> {
        let jobs = store.outlines()?;
        let mut stays: BTreeSet<JobId> = jobs
            .iter()
            .filter(|job| !job.state.is_terminal())
            .filter_map(|job| store.owner_of_home(job).transpose())
            .collect::<Result<_, _>>()?;
        let mut kept = 0u64;
        let mut sizes = Sizes::of(store);
        let mut due = Vec::new();
        for job in jobs.into_iter().filter(|job| job.state.is_terminal()) {
            let age = now_ms.saturating_sub(job.ended_ms.unwrap_or(job.created_ms));
            let size = match store.known_size(&job.id)? {
                Some(size) => size,
                None => {
                    // A record of an earlier version has its whole tree still.
                    if let Err(fault) = make_small(store, &job) {
                        tracing::warn!(%fault, job = %job.id, "its tree stays whole");
                    }
                    sizes.get(&job)?
                }
            };
            kept = kept.saturating_add(size.bytes);
            let reason = if self.keep_ms.is_some_and(|most| age > most) {
                Some(Reason::Age)
            } else if self.keep_bytes.is_some_and(|most| kept > most) {
                Some(Reason::Size)
            } else {
                None
            };
            match reason.filter(|_| !stays.contains(&job.id)) {
                None => stays.extend(store.owner_of_home(&job)?),
                Some(reason) => {
                    // What goes takes no room from those that stay.
                    kept = kept.saturating_sub(size.bytes);
                    let folder = store.job_folder(job.home());
                    let unapplied = Unapplied::of(&folder, job.id.as_str());
                    due.push((job, reason, unapplied.map(|work| work.to_string())));
                }
            }
        }
        sizes.note()?;
        Ok(due)
    }

    /// What was announced, oldest first by the time it goes.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn announced(store: &Store) -> Result<Vec<(JobId, Due)>, UpkeepError> {
        let mut due: Vec<_> = load(store)?.due.into_iter().collect();
        due.sort_by_key(|(_, due)| due.goes_ms().unwrap_or(i64::MAX));
        Ok(due)
    }

    /// Notes that a person was shown what was announced.
    ///
    /// # Errors
    /// The record cannot be written.
    pub fn told(store: &Store) -> Result<(), UpkeepError> {
        let path = store.named_lock(LOCK);
        // Retention is at work: the next look at the list notes it.
        let Some(_alone) = LockGuard::try_take(&path).map_err(UpkeepError::Lock)? else {
            return Ok(());
        };
        let mut record = load(store)?;
        let untold: Vec<_> = record
            .due
            .values_mut()
            .filter(|due| due.told_ms.is_none())
            .collect();
        if untold.is_empty() {
            return Ok(());
        }
        for due in untold {
            due.told_ms = Some(now_ms());
        }
        save(store, &record)
    }
}

fn path(store: &Store) -> PathBuf {
    store.folder().join(RECORD)
}

fn load(store: &Store) -> Result<Record, UpkeepError> {
    let path = path(store);
    match fs::read(&path) {
        // One that cannot be understood announces everything anew.
        Ok(text) => Ok(serde_json::from_slice(&text).unwrap_or_default()),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(Record::default()),
        Err(source) => Err(UpkeepError::Record { path, source }),
    }
}

fn save(store: &Store, record: &Record) -> Result<(), UpkeepError> {
    let path = path(store);
    let draft = path.with_extension("draft");
    let text = serde_json::to_vec(record).unwrap_or_default();
    let mut options = private::file();
    options.create(true).truncate(true).write(true);
    options
        .open(&draft)
        .and_then(|mut file| io::Write::write_all(&mut file, &text))
        .and_then(|()| fs::rename(&draft, &path))
        .map_err(|source| UpkeepError::Record { path, source })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::report;
    use crate::state::State;
    use crate::upkeep::Size;

    /// A store with so many jobs that are over, oldest first.
    fn store(jobs: usize) -> (tempfile::TempDir, Store, Vec<JobId>) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state")).unwrap();
        let ids: Vec<JobId> = (0..jobs).map(|_| JobId::random().unwrap()).collect();
        for id in &ids {
            drop(store.add(id).unwrap());
            let result = report::without_evidence(
                id,
                State::Cancelled,
                crate::EndCause::Host,
                redact::Redacted::default(),
            );
            store.finish(id, State::Cancelled, &result).unwrap();
        }
        (folder, store, ids)
    }

    /// A write for each of them would leave running jobs no room for their own.
    #[test]
    fn the_sizes_of_an_old_store_are_noted_many_at_a_time() {
        let (_folder, store, ids) = store(600);
        let jobs = store.outlines().unwrap();
        let mut sizes = Sizes::of(&store);
        let noted = || {
            let known = |id: &&JobId| store.known_size(id).unwrap().is_some();
            ids.iter().filter(known).count()
        };
        for job in &jobs {
            assert!(sizes.get(job).unwrap().inodes > 0);
            assert!(matches!(noted(), 0 | 500));
        }
        // One that is removed before its size is noted is no reason to note no other.
        store.remove(&jobs.last().unwrap().id).unwrap();
        sizes.note().unwrap();
        assert_eq!(noted(), 599);
    }

    fn left(store: &Store) -> Vec<JobId> {
        let jobs = store.jobs(usize::MAX).unwrap();
        jobs.into_iter().rev().map(|job| job.id).collect()
    }

    const AGE: Retention = Retention {
        keep_ms: Some(30 * DAY_MS),
        keep_bytes: None,
    };

    #[test]
    fn what_is_due_is_announced_a_day_before_it_goes() {
        let (_folder, store, ids) = store(2);
        let now = now_ms();
        AGE.look(&store, now).unwrap();
        assert_eq!(Retention::announced(&store).unwrap(), []);
        let old = now + 31 * DAY_MS;
        AGE.look(&store, old).unwrap();
        let announced = Retention::announced(&store).unwrap();
        assert_eq!(announced.len(), 2);
        assert_eq!(announced[0].1.reason, Reason::Age);
        assert_eq!(left(&store), ids, "said, not done");
        AGE.look(&store, old + NOTICE_MS - 1).unwrap();
        assert_eq!(left(&store), ids);
        AGE.look(&store, old + NOTICE_MS).unwrap();
        assert_eq!(left(&store), []);
        assert_eq!(Retention::announced(&store).unwrap(), []);
    }

    #[test]
    fn the_oldest_go_where_all_take_too_much() {
        let (_folder, store, ids) = store(3);
        let of = |bytes| Size { bytes, inodes: 1 };
        for id in &ids {
            store.record_sizes(&[(id.clone(), of(40))]).unwrap();
        }
        let size = Retention {
            keep_ms: None,
            keep_bytes: Some(100),
        };
        let now = now_ms();
        size.look(&store, now).unwrap();
        let announced = Retention::announced(&store).unwrap();
        assert_eq!(announced.len(), 1);
        assert_eq!(
            (&announced[0].0, announced[0].1.reason),
            (&ids[0], Reason::Size)
        );
        // Somebody makes room: what is not due any more is forgotten, and stays.
        store.remove(&ids[2]).unwrap();
        size.look(&store, now + 2 * NOTICE_MS).unwrap();
        assert_eq!(left(&store), ids[..2]);
        assert_eq!(Retention::announced(&store).unwrap(), []);
    }

    #[test]
    fn work_that_was_never_applied_goes_only_after_somebody_read_so() {
        let (_folder, store, ids) = store(1);
        let tree = store.job_folder(&ids[0]).join("tree");
        fs::create_dir(&tree).unwrap();
        // What a killed job left: nobody knows what it is.
        let record = serde_json::json!({
            "branch": "worker/x", "source": "/nowhere", "root": "/", "dirs": [""],
            "base_name": "HEAD", "base_commit": "0000000000000000000000000000000000000000",
            "dirty_included": false, "dirty_files": 0, "included_files": 0, "notes": [],
        });
        fs::write(
            store.job_folder(&ids[0]).join("isolated.json"),
            record.to_string(),
        )
        .unwrap();
        fs::write(
            store.job_folder(&ids[0]).join("continuation.json"),
            serde_json::json!({ "session": "s", "home": "/h", "allowed_dirs": [], "isolated": true })
                .to_string(),
        )
        .unwrap();
        let old = now_ms() + 31 * DAY_MS;
        AGE.look(&store, old).unwrap();
        for years in 1..4 {
            AGE.look(&store, old + years * 365 * DAY_MS).unwrap();
        }
        assert_eq!(left(&store), ids, "nobody has read it");
        Retention::told(&store).unwrap();
        AGE.look(&store, now_ms() + NOTICE_OF_WORK_MS - DAY_MS)
            .unwrap();
        let announced = Retention::announced(&store).unwrap();
        assert!(announced.is_empty() || left(&store) == ids);
        AGE.look(&store, old + NOTICE_OF_WORK_MS).unwrap();
        AGE.look(&store, old + 3 * NOTICE_OF_WORK_MS).unwrap();
        // It was not due for a while, so it was announced anew, and stays until somebody reads that.
        assert_eq!(left(&store), ids);
        Retention::told(&store).unwrap();
        AGE.look(&store, now_ms() + 40 * DAY_MS).unwrap();
        assert_eq!(left(&store), []);
        assert!(!tree.exists());
    }

    #[test]
    fn a_record_that_cannot_be_understood_announces_anew() {
        let (_folder, store, ids) = store(1);
        let old = now_ms() + 31 * DAY_MS;
        AGE.look(&store, old).unwrap();
        fs::write(path(&store), "{").unwrap();
        AGE.look(&store, old + 2 * NOTICE_MS).unwrap();
        assert_eq!(left(&store), ids);
        assert_eq!(Retention::announced(&store).unwrap().len(), 1);
    }
}
