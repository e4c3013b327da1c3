//! The before of a check: what its command said of the tree as it was when the agent began.
//!
//! A check that passes proves something only where it failed before. So the command checks run once on the base, in a tree
//! that is thrown away, and each line says which it was.

use std::collections::BTreeMap;
use std::path::Path;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::command;
use super::command_check::{explaining, origin, report_of};
use super::digest;
use super::likeness::Likeness;
use super::origin::told_apart;
use super::place::Place;
use super::test_files;
use super::totals;
use super::verdict::Cause;
use super::verdict::{CheckVerdict, Outcome, Verdicts, made};
use crate::artifacts::Artifacts;
use crate::checks::{CheckSpec, CommandCheck};
use plugins::PluginSet;
use redact::Redactor;
use workspace::{ChangedFile, Changes, FilePath};

/// The outcome of a check on the base.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BeforeOutcome {
    /// It passed before as well.
    Passed {
        /// Its output told how many tests ran.
        told: bool,
    },
    /// It ran and failed.
    Failed {
        /// In which way, where its output says so.
        failures: Option<Likeness>,
        /// Its output told how many tests ran.
        told: bool,
    },
}

impl BeforeOutcome {
    /// True if the output told how many tests ran.
    pub fn told(&self) -> bool {
        match self {
            Self::Passed { told } | Self::Failed { told, .. } => *told,
        }
    }
}

/// The outcomes on the base by the checks' names. A check that could not be tried there is not among them.
pub type Before = BTreeMap<String, BeforeOutcome>;

/// The trial of checks on a base, in a tree of its own.
pub struct Trial {
    /// The tree.
    pub place: Place,
    /// The end of the job's own time.
    pub deadline: Instant,
    /// Ends what runs.
    pub stop: CancellationToken,
    /// The most bytes of a check's digest.
    pub digest_bytes: usize,
    /// The summarizers among them make the digests, as after the agent.
    pub plugins: PluginSet,
    /// Cuts secrets out of the output.
    pub redactor: Redactor,
    /// Receive the output.
    pub artifacts: Artifacts,
}

impl Trial {
    /// Runs one check. None where that says nothing: the command is not there, did not end, or was ended.
    pub async fn run(&self, check: &CommandCheck) -> Option<BeforeOutcome> {
        let limits = command::Limits {
            deadline: self.deadline,
            stop: self.stop.clone(),
        };
        let name = crate::artifacts::check_name(&check.name, 1);
        let key = command::Key {
            name: "before",
            kept: false,
        };
        let place = &self.place;
        let started = std::time::SystemTime::now();
        let (run, room) = command::run(
            check,
            place,
            &key,
            &limits,
            &self.redactor,
            &self.artifacts,
            &name,
        )
        .await;
        let report = report_of(check, place, room.as_ref(), started);
        if let Some(room) = room {
            place.rooms.end(room, &place.tree, key.name, None);
        }
        let output = run.artifact.and_then(|name| self.artifacts.text(&name));
        let output = output.unwrap_or_default();
        let told = totals::are_told(&output);
        match run.cause {
            None => Some(BeforeOutcome::Passed { told }),
            Some(Cause::ExitCode { code }) if !matches!(code, 126 | 127) => {
                let explains = explaining(report, output, &self.redactor);
                let origin = digest::Origin {
                    command: origin(check),
                    exit_code: Some(code),
                };
                let (plugins, redactor) = (&self.plugins, &self.redactor);
                let digest =
                    digest::digest(&explains, &origin, self.digest_bytes, plugins, redactor).await;
                Some(BeforeOutcome::Failed {
                    failures: Likeness::of(&digest, &place.tree.top),
                    told,
                })
            }
            Some(_) => None,
        }
    }
}

/// The test files among the changes.
pub fn changed_tests(changes: &Changes) -> impl Iterator<Item = &ChangedFile> {
    let is_test = |path: &FilePath| test_files::is_test_file(&path.to_string());
    let files = changes.files.iter();
    files.filter(move |file| file.paths().any(is_test))
}

/// Says in each line what the check said before, and makes `fails_without_change` a verdict. Returns true if nothing
/// shows that the task was done: every command check passed before too, and no test file changed.
///
/// A check that fails with the failures that it had before is not the agent's fault where something else shows its work: a
/// changed test file, or another check that failed before and passes now. Where nothing does, the failure may be the task.
pub fn compare(
    verdicts: &mut Verdicts,
    checks: &[CheckSpec],
    before: &Before,
    changes: &Changes,
    top: &Path,
    redactor: &Redactor,
) -> bool {
    let tests_changed = changed_tests(changes).next().is_some();
    let commands: Vec<(&CommandCheck, Option<usize>, Option<&BeforeOutcome>)> = checks
        .iter()
        .filter_map(|spec| {
            let CheckSpec::Command(check) = spec else {
                return None;
            };
            // The last one: a line of the host's own comes first.
            let names = [told_apart(spec), check.name.clone()];
            let named = |name: &String| verdicts.checks.iter().rposition(|made| made.name == *name);
            let at = names.iter().find_map(named);
            Some((check, at, before.get(&check.name)))
        })
        .collect();
    let passed_before =
        |outcome: Option<&BeforeOutcome>| matches!(outcome, Some(BeforeOutcome::Passed { .. }));
    let turned = commands.iter().any(|(_, at, before)| {
        let verdict = at.and_then(|at| verdicts.checks.get(at));
        matches!(before, Some(BeforeOutcome::Failed { .. }))
            && verdict.is_some_and(CheckVerdict::passed)
    });
    let moment = Moment {
        work_shown: tests_changed || turned,
        top,
        redactor,
    };
    for (check, at, before) in &commands {
        if let Some(verdict) = at.and_then(|at| verdicts.checks.get_mut(at)) {
            compare_one(verdict, check, *before, &moment);
        }
    }
    let all_passed = commands.iter().all(|(_, _, before)| passed_before(*before));
    !commands.is_empty() && all_passed && !tests_changed && verdicts.passed()
}

/// What holds for all checks of a pass.
struct Moment<'a> {
    /// Something besides a check shows that the agent did what it was to do.
    work_shown: bool,
    top: &'a Path,
    redactor: &'a Redactor,
}

fn compare_one(
    verdict: &mut CheckVerdict,
    check: &CommandCheck,
    before: Option<&BeforeOutcome>,
    moment: &Moment<'_>,
) {
    let redactor = moment.redactor;
    let passed = verdict.outcome == Outcome::Passed;
    let failed_before = matches!(before, Some(BeforeOutcome::Failed { .. }));
    if check.fails_without_change && passed && !failed_before {
        let cause = match before {
            Some(_) => Cause::ProvesNothing,
            None => Cause::NoBefore,
        };
        let failed = made(&check.name, cause, redactor);
        verdict.outcome = failed.outcome;
        verdict.summary = failed.summary;
        verdict.cause = failed.cause;
        return;
    }
    // The runner never came to its summary: a file that is loaded may have ended it.
    if passed && before.is_some_and(BeforeOutcome::told) && !verdict.told_totals {
        let failed = made(&check.name, Cause::NoTestTold, redactor);
        verdict.outcome = failed.outcome;
        verdict.summary = failed.summary;
        verdict.cause = failed.cause;
        return;
    }
    let words = match (passed, before) {
        (_, None) => return,
        (true, Some(BeforeOutcome::Passed { .. })) => "passed before too",
        (true, Some(BeforeOutcome::Failed { .. })) if check.fails_without_change => {
            "failed without the change"
        }
        (true, Some(BeforeOutcome::Failed { .. })) => "failed before",
        (false, Some(BeforeOutcome::Failed { failures, .. }))
            if verdict.outcome == Outcome::Failed =>
        {
            let now = verdict.digest.as_ref();
            let now = now.and_then(|digest| Likeness::of(digest, moment.top));
            if failures.is_none() || *failures != now {
                "failed before too"
            } else {
                // One that is to turn is the task.
                if let Some(Cause::ExitCode { code }) = verdict.cause
                    && moment.work_shown
                    && !check.fails_without_change
                {
                    verdict.cause = Some(Cause::AsBefore { code });
                }
                "failed before too, with the same failures"
            }
        }
        (false, _) => return,
    };
    verdict.summary = match verdict.summary.trim() {
        "" => redactor.text(words),
        summary => redactor.text(&format!("{summary}; {words}")),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::CommandLine;
    use redact::{KnownValues, Redacted};

    fn check(fails_without_change: bool) -> CommandCheck {
        CommandCheck {
            fails_without_change,
            ..CommandCheck::new("unit tests", CommandLine::Shell("make test".into()), 1_000)
        }
    }

    #[test]
    fn every_line_says_what_was_before() {
        let redactor = Redactor::new(KnownValues::new(), Vec::new());
        let passed = CheckVerdict {
            name: "unit tests".into(),
            outcome: Outcome::Passed,
            summary: Redacted::default(),
            cause: None,
            digest: None,
            artifact: None,
            duration_ms: 1,
            found_in: Vec::new(),
            told_totals: false,
        };
        let failed = made("unit tests", Cause::ExitCode { code: 1 }, &redactor);
        let with_digest = |digest: &str| CheckVerdict {
            digest: Some(redactor.text(digest)),
            ..failed.clone()
        };
        let broken = "FAILED test_old at /w/a.py:3";
        let other = with_digest("FAILED test_new at /w/a.py:3");
        let (same, as_before) = (
            with_digest(broken),
            "exit code 1; failed before too, with the same failures",
        );
        let passed_before = BeforeOutcome::Passed { told: false };
        let failed_before = BeforeOutcome::Failed {
            failures: Likeness::of("FAILED test_old at /base/a.py:12", Path::new("/base")),
            told: false,
        };
        let (no, yes) = (false, true);
        let told_before = BeforeOutcome::Passed { told: true };
        let tells = CheckVerdict {
            told_totals: true,
            ..passed.clone()
        };
        // The check, whether it is to turn, whether something else shows the work; whether the agent is to repair it.
        let rows = [
            (&passed, no, no, None, "passed".to_owned(), no),
            (&tells, no, no, Some(&told_before), "passed (passed before too)".into(), no),
            (
                &passed,
                no,
                yes,
                Some(&told_before),
                "failed (exit code 0, but it tells of no test that ran, as it did before the change)".into(),
                yes,
            ),
            (
                &passed,
                no,
                no,
                Some(&failed_before),
                "passed (failed before)".into(),
                no,
            ),
            (
                &passed,
                no,
                no,
                Some(&passed_before),
                "passed (passed before too)".into(),
                no,
            ),
            (
                &passed,
                yes,
                no,
                Some(&failed_before),
                "passed (failed without the change)".into(),
                no,
            ),
            (
                &passed,
                yes,
                no,
                Some(&passed_before),
                "failed (it passes without the change too, so it proves nothing)".into(),
                yes,
            ),
            (
                &passed,
                yes,
                no,
                None,
                "errored (it could not be run without the change)".into(),
                no,
            ),
            (
                &failed,
                no,
                yes,
                Some(&failed_before),
                "failed (exit code 1; failed before too)".into(),
                yes,
            ),
            (
                &other,
                no,
                yes,
                Some(&failed_before),
                "failed (exit code 1; failed before too)".into(),
                yes,
            ),
            (
                &same,
                no,
                no,
                Some(&failed_before),
                format!("failed ({as_before})"),
                yes,
            ),
            (
                &same,
                no,
                yes,
                Some(&failed_before),
                format!("failed ({as_before})"),
                no,
            ),
            (
                &same,
                yes,
                yes,
                Some(&failed_before),
                format!("failed ({as_before})"),
                yes,
            ),
            (
                &failed,
                no,
                yes,
                Some(&passed_before),
                "failed (exit code 1)".into(),
                yes,
            ),
        ];
        for (verdict, fails_without_change, work_shown, before, wanted, repaired) in rows {
            let mut verdict = verdict.clone();
            let moment = Moment {
                work_shown,
                top: Path::new("/w"),
                redactor: &redactor,
            };
            compare_one(&mut verdict, &check(fails_without_change), before, &moment);
            assert_eq!(verdict.line(), format!("unit tests: {wanted}"));
            let repairs = verdict.cause.as_ref().is_some_and(Cause::is_for_the_agent);
            assert_eq!(repairs, repaired, "{wanted}");
        }
    }
}
