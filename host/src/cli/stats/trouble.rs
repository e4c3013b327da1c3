//! What the gateway's trouble cost: for `stats` and `doctor`.

use std::collections::BTreeSet;

use serde::Serialize;

use gateway::RequestRecord;

/// The outages as requests had them.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(in crate::cli) struct Trouble {
    /// Attempts after the first of a request.
    pub(in crate::cli) retries: u64,
    /// Seconds between attempts, of all requests.
    pub(in crate::cli) waited_s: u64,
    /// Requests that left the first gateway alone, because it kept failing.
    pub(in crate::cli) rested: u64,
    /// Completed jobs with a request that outlasted its short retries (WORKER_GATEWAY_PATIENCE_MS).
    pub(in crate::cli) saved_jobs: u64,
    /// Requests that failed for good after waiting.
    pub(in crate::cli) lost: u64,
}

impl Trouble {
    /// Adds up; `completed` says whether a job is.
    pub(in crate::cli) fn of<'a>(
        requests: impl IntoIterator<Item = &'a RequestRecord>,
        completed: impl Fn(&str) -> bool,
    ) -> Self {
        let mut all = Self::default();
        let mut waited_ms = 0u64;
        let mut saved = BTreeSet::new();
        for record in requests {
            all.retries += u64::from(record.attempts.saturating_sub(1));
            waited_ms = waited_ms.saturating_add(record.waited_ms);
            all.rested += u64::from(record.rested);
            all.lost += u64::from(record.waited_ms > 0 && record.error_type.is_some());
            if let (true, None, Some(job)) = (record.patient, &record.error_type, &record.job)
                && completed(job)
            {
                saved.insert(job.as_str());
            }
        }
        all.saved_jobs = saved.len() as u64;
        all.waited_s = waited_ms / 1_000;
        all
    }

    /// In words; none where there was no trouble.
    pub(in crate::cli) fn words(&self) -> Option<String> {
        if *self == Self::default() {
            return None;
        }
        Some(format!(
            "{} retries, {} s waited, {} requests past a resting gateway, {} jobs saved by patience, {} requests lost",
            self.retries, self.waited_s, self.rested, self.saved_jobs, self.lost
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_saved_by_patience_when_it_waited_longer_than_retries_do_and_was_completed() {
        let record = |job: &str, patient, error: Option<&str>| RequestRecord {
            job: Some(job.to_owned()),
            attempts: 4,
            waited_ms: 20_500,
            patient,
            error_type: error.map(str::to_owned),
            ..RequestRecord::default()
        };
        let records = [
            record("done", true, None),
            record("done", true, None),
            record("quick", false, None),
            record("failed", true, None),
            record("lost", true, Some("overloaded_error")),
        ];
        let trouble = Trouble::of(&records, |job| matches!(job, "done" | "quick"));
        assert_eq!(
            trouble,
            Trouble {
                retries: 15,
                waited_s: 102,
                rested: 0,
                saved_jobs: 1,
                lost: 1,
            }
        );
        assert_eq!(Trouble::of([], |_| true).words(), None);
    }
}
