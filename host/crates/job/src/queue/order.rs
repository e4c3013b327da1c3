//! Whose turn is next: fronts have equal shares, within a front its repositories, within a repository
//! the first comes first.

use std::collections::HashMap;

use crate::id::JobId;

/// A job that waits for its turn, or was granted one and has not begun yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// The job.
    pub(crate) id: JobId,
    /// The front that started it.
    pub(crate) front: String,
    /// The repository.
    pub(crate) repository: String,
    /// The name of the lock of the tree that it must have alone.
    pub(crate) tree: Option<String>,
    /// MAX_RUNNING_JOBS of its front.
    pub(crate) slots: usize,
    /// True if it was granted a turn.
    pub(crate) granted: bool,
}

/// What a front, or one repository of it, had so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Had {
    /// The jobs at work now.
    at_work: usize,
    /// The last turn, in milliseconds since the epoch; 0 when there was none.
    last_ms: i64,
}

/// What fronts and their repositories had so far.
#[derive(Debug, Default)]
pub(super) struct Shares {
    fronts: HashMap<String, Had>,
    repositories: HashMap<(String, String), Had>,
}

impl Shares {
    /// Counts a job that is at work.
    pub(super) fn count(&mut self, front: &str, repository: &str) {
        self.of(front, repository, |had| had.at_work += 1);
    }

    /// Notes when a repository of a front had its last turn.
    pub(super) fn served(&mut self, front: &str, repository: &str, at_ms: i64) {
        self.of(front, repository, |had| {
            had.last_ms = had.last_ms.max(at_ms)
        });
    }

    fn of(&mut self, front: &str, repository: &str, change: impl Fn(&mut Had)) {
        change(self.fronts.entry(front.to_owned()).or_default());
        let key = (front.to_owned(), repository.to_owned());
        change(self.repositories.entry(key).or_default());
    }

    /// The job whose turn is next, of those that `can_begin`. `waiting` is in the order of the tickets.
    ///
    /// The share that has least at work is served, of equal ones the one whose last turn is longest ago.
    /// So a front with one job does not wait behind another one's forty, and nobody waits for ever: each
    /// turn moves a share behind the others.
    pub(super) fn next<'a>(
        &self,
        waiting: &'a [Waiting],
        can_begin: impl Fn(&Waiting) -> bool,
    ) -> Option<&'a Waiting> {
        let had = |job: &Waiting| {
            let key = (job.front.clone(), job.repository.clone());
            let front = self.fronts.get(&job.front).copied().unwrap_or_default();
            let repository = self.repositories.get(&key).copied().unwrap_or_default();
            (front, repository)
        };
        // Of equal ones `min_by_key` takes the first: the smallest ticket.
        waiting
            .iter()
            .filter(|job| !job.granted && can_begin(job))
            .min_by_key(|job| had(job))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Serves one slot until nobody waits: who had the turns, as `front/repository`.
    fn served(jobs: &[(&str, &str)]) -> Vec<String> {
        let mut waiting: Vec<Waiting> = jobs
            .iter()
            .map(|(front, repository)| Waiting {
                id: JobId::random().unwrap(),
                front: (*front).to_owned(),
                repository: (*repository).to_owned(),
                tree: None,
                slots: 1,
                granted: false,
            })
            .collect();
        let mut shares = Shares::default();
        let mut turns = Vec::new();
        while let Some(next) = shares.next(&waiting, |_| true).cloned() {
            turns.push(format!("{}/{}", next.front, next.repository));
            shares.served(&next.front, &next.repository, turns.len() as i64);
            waiting.retain(|job| job.id != next.id);
        }
        turns
    }

    #[test]
    fn one_job_does_not_wait_behind_another_fronts_forty() {
        let mut jobs = vec![("many", "a"); 40];
        jobs.push(("one", "a"));
        assert_eq!(served(&jobs)[..3], ["many/a", "one/a", "many/a"]);
    }

    #[test]
    fn a_fronts_repositories_share_its_turns_and_give_it_no_more_of_them() {
        let mut jobs = vec![("first", "a"); 3];
        jobs.extend([
            ("first", "b"),
            ("first", "b"),
            ("second", "a"),
            ("second", "a"),
        ]);
        assert_eq!(
            served(&jobs),
            [
                "first/a", "second/a", "first/b", "second/a", "first/a", "first/b", "first/a"
            ]
        );
    }

    #[test]
    fn who_has_least_at_work_is_next_whoever_came_first() {
        let jobs = [("busy", "a"), ("idle", "b")];
        let waiting: Vec<Waiting> = jobs
            .iter()
            .map(|(front, repository)| Waiting {
                id: JobId::random().unwrap(),
                front: (*front).to_owned(),
                repository: (*repository).to_owned(),
                tree: Some(format!("tree-{repository}")),
                slots: 1,
                granted: false,
            })
            .collect();
        let mut shares = Shares::default();
        shares.count("busy", "c");
        let next = shares.next(&waiting, |_| true).unwrap();
        assert_eq!(next.front, "idle");
        // Who cannot begin holds nobody up.
        let next = shares.next(&waiting, |job| job.tree.as_deref() != Some("tree-b"));
        assert_eq!(next.unwrap().front, "busy");
    }
}
