//! Which attempt counts: by what the host proved, never by what an agent said.

use std::cmp::Ordering;

use serde_json::Value;

use crate::artifacts::{self, Artifacts};
use crate::state::State;
use crate::store::{AttemptRow, Spent};
use signing::Envelope;

/// What is held against the other attempts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Evidence {
    pub(super) state: State,
    /// Checks that did not pass.
    pub(super) failing: usize,
    /// What check components found.
    pub(super) findings: usize,
    /// Lines added and removed.
    pub(super) lines: u64,
    pub(super) spent: Spent,
}

impl Evidence {
    /// The evidence in an attempt's own statement.
    pub(super) fn of(attempt: &AttemptRow, statement: Option<&Value>, spent: Spent) -> Self {
        let part = |pointer: &str| statement.and_then(|statement| statement.pointer(pointer));
        let checks = part("/predicate/checks").and_then(Value::as_array);
        let checks = || checks.into_iter().flatten();
        let count = |pointer: &str| part(pointer).and_then(Value::as_u64).unwrap_or_default();
        let findings: u64 = checks()
            .filter_map(|check| check.get("findings")?.as_u64())
            .sum();
        Self {
            state: attempt.job.state,
            failing: checks()
                .filter(|check| {
                    check
                        .get("outcome")
                        .is_none_or(|outcome| outcome != "passed")
                })
                .count(),
            findings: usize::try_from(findings).unwrap_or(usize::MAX),
            lines: count("/predicate/result/lines_added")
                + count("/predicate/result/lines_removed"),
            spent,
        }
    }

    /// Less is better.
    fn rank(&self) -> (u8, usize, usize, u64) {
        let state = match self.state {
            State::Completed => 0,
            State::Failed => 1,
            State::NeedsInput => 2,
            State::TimedOut => 3,
            _ => 4,
        };
        // An attempt that never came to its checks has none that fail.
        let failing = match (self.state, self.failing) {
            (State::Failed, 0) => usize::MAX,
            (_, failing) => failing,
        };
        (state, failing, self.findings, self.lines)
    }

    fn cost(&self) -> f64 {
        self.spent.cost_usd.unwrap_or(self.spent.tokens as f64)
    }
}

/// The place of the best attempt: every check passed, then fewer findings, then fewer changed lines, then cost. Of equals the
/// first.
pub(super) fn best(attempts: &[Evidence]) -> Option<usize> {
    let order = |one: &Evidence, other: &Evidence| match one.rank().cmp(&other.rank()) {
        Ordering::Equal => one.cost().total_cmp(&other.cost()),
        differs => differs,
    };
    let places = attempts.iter().enumerate();
    places
        .min_by(|(at, one), (other_at, other)| order(one, other).then(at.cmp(other_at)))
        .map(|(at, _)| at)
}

/// An attempt's statement, as its runner kept it.
pub(super) fn statement(artifacts: &Artifacts) -> Option<Value> {
    let text = std::fs::read(artifacts.path(artifacts::STATEMENT)).ok()?;
    let envelope: Envelope = serde_json::from_slice(&text).ok()?;
    serde_json::from_slice(&envelope.payload().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(state: State, failing: usize, findings: usize, lines: u64, cost: f64) -> Evidence {
        Evidence {
            state,
            failing,
            findings,
            lines,
            spent: Spent {
                cost_usd: Some(cost),
                ..Spent::default()
            },
        }
    }

    #[test]
    fn the_best_is_the_one_with_the_best_evidence() {
        use State::{Cancelled, Completed, Failed, Interrupted, TimedOut};
        let rows = [
            // A verified one counts before every other, whatever it cost.
            (
                vec![
                    evidence(Failed, 1, 0, 1, 0.1),
                    evidence(Completed, 0, 9, 900, 9.0),
                ],
                1,
            ),
            (
                vec![
                    evidence(Completed, 0, 1, 5, 0.1),
                    evidence(Completed, 0, 0, 50, 0.2),
                ],
                1,
            ),
            (
                vec![
                    evidence(Completed, 0, 0, 50, 0.1),
                    evidence(Completed, 0, 0, 5, 0.2),
                ],
                1,
            ),
            (
                vec![
                    evidence(Completed, 0, 0, 5, 0.2),
                    evidence(Completed, 0, 0, 5, 0.1),
                ],
                1,
            ),
            (
                vec![
                    evidence(Completed, 0, 0, 5, 0.1),
                    evidence(Completed, 0, 0, 5, 0.1),
                ],
                0,
            ),
            // Of failed ones the one that came furthest; one without any verdict came nowhere.
            (
                vec![
                    evidence(Failed, 0, 0, 0, 0.1),
                    evidence(Failed, 2, 0, 5, 0.1),
                    evidence(Failed, 1, 0, 5, 0.1),
                ],
                2,
            ),
            (
                vec![
                    evidence(Interrupted, 0, 0, 0, 0.1),
                    evidence(Cancelled, 0, 0, 0, 0.2),
                    evidence(TimedOut, 0, 0, 0, 0.3),
                ],
                2,
            ),
        ];
        for (attempts, wanted) in rows {
            assert_eq!(best(&attempts), Some(wanted), "{attempts:?}");
        }
        assert_eq!(best(&[]), None);
    }
}
