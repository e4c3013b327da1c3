//! The before of a check: what its command said of the tree as it was when the agent began.
//!
//! A check that passes proves something only where it failed before. So the command checks run once on the base, in a tree
//! that is thrown away, and each line says which it was.

use std::collections::BTreeMap;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::command::{self, Place};
use super::origin::told_apart;
use super::test_files;
use super::verdict::Cause;
use super::verdict::{CheckVerdict, Outcome, Verdicts, made};
use crate::artifacts::Artifacts;
use crate::checks::{CheckSpec, CommandCheck};
use redact::Redactor;
use workspace::{ChangedFile, Changes, FilePath};

/// The outcome of a check on the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BeforeOutcome {
    /// It passed before as well.
    Passed,
    /// It ran and failed.
    Failed,
}

/// The outcomes on the base by the checks' names. A check that could not be tried there is not among them.
pub type Before = BTreeMap<String, BeforeOutcome>;

/// Runs one check on a base in a tree of its own. None where that says nothing: the command is not there, did not end,
/// or was ended.
pub async fn try_before(
    check: &CommandCheck,
    place: &Place,
    deadline: Instant,
    stop: &CancellationToken,
    redactor: &Redactor,
    artifacts: &Artifacts,
) -> Option<BeforeOutcome> {
    let limits = command::Limits {
        deadline,
        stop: stop.clone(),
    };
    let name = crate::artifacts::check_name(&check.name, 1);
    let key = command::Key {
        name: "before",
        kept: false,
    };
    let (run, room) = command::run(check, place, &key, &limits, redactor, artifacts, &name).await;
    if let Some(room) = room {
        place.rooms.end(room, place, key.name, None);
    }
    match run.cause {
        None => Some(BeforeOutcome::Passed),
        Some(Cause::ExitCode { code }) if !matches!(code, 126 | 127) => Some(BeforeOutcome::Failed),
        Some(_) => None,
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
pub fn compare(
    verdicts: &mut Verdicts,
    checks: &[CheckSpec],
    before: &Before,
    changes: &Changes,
    redactor: &Redactor,
) -> bool {
    let tests_changed = changed_tests(changes).next().is_some();
    let mut passed_before = 0;
    let mut commands = 0;
    for spec in checks {
        let CheckSpec::Command(check) = spec else {
            continue;
        };
        commands += 1;
        let outcome = before.get(&check.name).copied();
        passed_before += usize::from(outcome == Some(BeforeOutcome::Passed));
        // The last one: a line of the host's own comes first.
        let names = [told_apart(spec), check.name.clone()];
        let named = |name: &String| verdicts.checks.iter().rposition(|made| made.name == *name);
        let Some(verdict) = names
            .iter()
            .find_map(named)
            .and_then(|at| verdicts.checks.get_mut(at))
        else {
            continue;
        };
        compare_one(verdict, check, outcome, redactor);
    }
    commands > 0 && passed_before == commands && !tests_changed && verdicts.passed()
}

fn compare_one(
    verdict: &mut CheckVerdict,
    check: &CommandCheck,
    before: Option<BeforeOutcome>,
    redactor: &Redactor,
) {
    let passed = verdict.outcome == Outcome::Passed;
    if check.fails_without_change && passed && before != Some(BeforeOutcome::Failed) {
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
    let words = match (passed, before, check.fails_without_change) {
        (true, Some(BeforeOutcome::Failed), true) => "failed without the change",
        (true, Some(BeforeOutcome::Failed), false) => "failed before",
        (true, Some(BeforeOutcome::Passed), _) => "passed before too",
        (false, Some(BeforeOutcome::Failed), _) if verdict.outcome == Outcome::Failed => {
            "failed before too"
        }
        _ => return,
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
        };
        let failed = made("unit tests", Cause::ExitCode { code: 1 }, &redactor);
        use BeforeOutcome::{Failed, Passed};
        let rows = [
            (&passed, false, None, "unit tests: passed"),
            (
                &passed,
                false,
                Some(Failed),
                "unit tests: passed (failed before)",
            ),
            (
                &passed,
                false,
                Some(Passed),
                "unit tests: passed (passed before too)",
            ),
            (
                &passed,
                true,
                Some(Failed),
                "unit tests: passed (failed without the change)",
            ),
            (
                &passed,
                true,
                Some(Passed),
                "unit tests: failed (it passes without the change too, so it proves nothing)",
            ),
            (
                &passed,
                true,
                None,
                "unit tests: errored (it could not be run without the change)",
            ),
            (
                &failed,
                false,
                Some(Failed),
                "unit tests: failed (exit code 1; failed before too)",
            ),
            (
                &failed,
                false,
                Some(Passed),
                "unit tests: failed (exit code 1)",
            ),
        ];
        for (verdict, fails_without_change, before, wanted) in rows {
            let mut verdict = verdict.clone();
            compare_one(
                &mut verdict,
                &check(fails_without_change),
                before,
                &redactor,
            );
            assert_eq!(verdict.line(), wanted);
        }
    }
}
