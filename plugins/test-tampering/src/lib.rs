//! Check `test-tampering`: no test was deleted, skipped, emptied or weakened to make a job pass.
//!
//! Tests are compared by name over all changed files, so that a test may move; what it asserts is counted line by line.
//! That is a heuristic by intent: it asks for a person's look where tests got fewer or weaker, and never runs code.

mod assertions;
mod language;

use std::collections::BTreeMap;

use serde::Deserialize;
use worker_plugin::{
    Change, ChangedFile, Check, Fault, Finding, Job, Report, Severity, matches_any,
};

use language::{Language, Test};

/// What is looked at.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Further globs of files that hold tests.
    pub tests: Vec<String>,
    /// Globs of files that are not looked at.
    pub allow: Vec<String>,
    /// What only should be looked at fails the check too.
    pub strict: bool,
}

/// Files that decide which tests run.
const RUNNER_SETTINGS: &[&str] = &[
    "pytest.ini",
    "tox.ini",
    "setup.cfg",
    "pyproject.toml",
    "conftest.py",
    "jest.config.*",
    "vitest.config.*",
    "vite.config.*",
    ".mocharc*",
    "karma.conf.*",
    "nextest.toml",
    "phpunit.xml*",
    "playwright.config.*",
    "codecov.yml",
    ".coveragerc",
    "package.json",
];

/// Words with which such a file leaves tests out.
const LEAVES_OUT: &[&str] = &[
    "--ignore",
    "--deselect",
    "collect_ignore",
    "norecursedirs",
    "testPathIgnorePatterns",
    "modulePathIgnorePatterns",
    "passWithNoTests",
    "--passWithNoTests",
    "--exclude",
    "testIgnore",
    "grepInvert",
    "default-filter",
    "fail_under",
    "coverageThreshold",
    "pytest_collection_modifyitems",
    "pytest_runtest_makereport",
    "-p no:",
    "continue-on-error",
];

/// The check.
pub struct TestTampering {
    settings: Settings,
}

impl Check for TestTampering {
    type Settings = Settings;
    const SUMMARY: &'static str = "no test was deleted, skipped, emptied or weakened";
    const SCHEMA: Option<&'static str> = Some(include_str!("settings.schema.json"));

    fn new(settings: Settings) -> Result<Self, Fault> {
        Ok(TestTampering { settings })
    }

    fn run(&self, job: &dyn Job) -> Result<Report, Fault> {
        let mut before = Suite::default();
        let mut after = Suite::default();
        let mut report = Report::passed("");
        for file in job.changed() {
            if file.binary || matches_any(&self.settings.allow, &file.path) {
                continue;
            }
            if matches_any(RUNNER_SETTINGS, &file.path) {
                self.runner_settings(job, &file, &mut report)?;
            }
            if self.may_hold_tests(&file.path)
                || file
                    .previous_path
                    .as_deref()
                    .is_some_and(|path| self.may_hold_tests(path))
            {
                if file.change != Change::Added {
                    let old = file.previous_path.as_deref().unwrap_or(&file.path);
                    before.add(old, &job.base_text(old)?);
                }
                if file.change != Change::Deleted {
                    let text = job.text(&file.path)?;
                    after.add(&file.path, &text);
                    self.whole_file(job, &file, &mut report)?;
                }
            }
        }
        deleted(&before, &after, &mut report);
        for (name, (path, test)) in &after.tests {
            compare(
                name,
                path,
                before.tests.get(name).map(|(_, test)| test),
                test,
                &before,
                &after,
                &mut report,
            );
        }
        if self.settings.strict {
            for finding in report
                .findings
                .iter_mut()
                .filter(|finding| finding.severity == Severity::Warning)
            {
                finding.severity = Severity::Error;
            }
        }
        Ok(Report::of(report.findings))
    }
}

impl TestTampering {
    fn may_hold_tests(&self, path: &str) -> bool {
        language::is_test_path(path) || matches_any(&self.settings.tests, path)
    }

    /// Lines that take tests out or make an assertion say nothing, wherever in a test file they stand.
    fn whole_file(
        &self,
        job: &dyn Job,
        file: &ChangedFile,
        report: &mut Report,
    ) -> Result<(), Fault> {
        let language = Language::of(&file.path);
        for line in job.added_lines(&file.path)? {
            if language.is_comment(&line.text) {
                continue;
            }
            if let Some(what) = language.switches_off(&line.text) {
                let finding = Finding::error(
                    "tests-switched-off",
                    format!("{what} was added: tests no longer run"),
                )
                .at(&file.path, line.number);
                report.add(finding.hint("let the tests run, and repair the code instead"));
            } else if assertions::is_always_true(&line.text) {
                let finding =
                    Finding::error("always-true", "an assertion that is always true was added")
                        .at(&file.path, line.number);
                report.add(finding.hint("assert what the code has to do"));
            }
        }
        Ok(())
    }

    fn runner_settings(
        &self,
        job: &dyn Job,
        file: &ChangedFile,
        report: &mut Report,
    ) -> Result<(), Fault> {
        if file.change == Change::Deleted {
            report.add(
                Finding::warning(
                    "runner-settings",
                    "settings of the test runner were deleted",
                )
                .in_file(&file.path),
            );
            return Ok(());
        }
        for line in job.added_lines(&file.path)? {
            if let Some(word) = LEAVES_OUT.iter().find(|word| line.text.contains(**word)) {
                let finding = Finding::error(
                    "runner-settings",
                    format!("{word} was added to the test runner's settings"),
                )
                .at(&file.path, line.number);
                report.add(finding.hint("leave the choice of tests as it was"));
            }
        }
        Ok(())
    }
}

/// All tests of the changed files at one time.
#[derive(Default)]
struct Suite {
    /// By name; tests of one name are told apart by their order.
    tests: BTreeMap<String, (String, Test)>,
    assertions: usize,
}

impl Suite {
    fn add(&mut self, path: &str, text: &str) {
        for test in language::tests(path, text) {
            self.assertions += test.assertions;
            let mut name = test.name.clone();
            while self.tests.contains_key(&name) {
                name.push('\'');
            }
            self.tests.insert(name, (path.to_owned(), test));
        }
    }
}

fn deleted(before: &Suite, after: &Suite, report: &mut Report) {
    let gone: Vec<(&String, &String)> = before
        .tests
        .iter()
        .filter(|(name, _)| !after.tests.contains_key(*name))
        .map(|(name, (path, _))| (name, path))
        .collect();
    let Some((_, path)) = gone.first() else {
        return;
    };
    let shown = gone
        .iter()
        .take(5)
        .map(|(name, _)| name.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    let more = if gone.len() > 5 {
        format!(", +{} more", gone.len() - 5)
    } else {
        String::new()
    };
    if after.tests.len() < before.tests.len() {
        let fewer = before.tests.len() - after.tests.len();
        let message = format!(
            "{fewer} test{} fewer than before; gone: {shown}{more}",
            if fewer == 1 { "" } else { "s" }
        );
        report.add(
            Finding::error("test-deleted", message)
                .in_file(path)
                .hint("put the tests back"),
        );
    } else {
        let message = format!("replaced by tests of other names: {shown}{more}");
        report.add(Finding::warning("test-replaced", message).in_file(path));
    }
}

fn compare(
    name: &str,
    path: &str,
    was: Option<&Test>,
    is: &Test,
    before: &Suite,
    after: &Suite,
    report: &mut Report,
) {
    let at = |finding: Finding| finding.at(path, is.line);
    let Some(was) = was else {
        if is.skipped {
            report.add(at(Finding::warning(
                "new-test-skipped",
                format!("the new test {name} is skipped"),
            )));
        }
        return;
    };
    if is.skipped && !was.skipped {
        report.add(
            at(Finding::error(
                "test-skipped",
                format!("{name} is skipped now"),
            ))
            .hint("let it run, and repair the code instead"),
        );
    }
    if is.returns_early && !was.returns_early {
        report.add(
            at(Finding::error(
                "test-emptied",
                format!("{name} returns before it asserts anything"),
            ))
            .hint("put it back as it was"),
        );
    }
    if is.assertions < was.assertions {
        let counts = format!(
            "{} assertion{} instead of {}",
            is.assertions,
            if is.assertions == 1 { "" } else { "s" },
            was.assertions
        );
        let finding = if is.assertions == 0 {
            Finding::error("test-emptied", format!("{name} asserts nothing any more"))
        } else if after.assertions < before.assertions {
            Finding::error("test-weakened", format!("{name} has {counts}"))
        } else {
            // Moved into other tests, as it seems.
            Finding::warning("test-rewritten", format!("{name} has {counts}"))
        };
        report.add(at(finding).hint("keep every assertion"));
    } else if is.strength < was.strength {
        report.add(at(Finding::warning(
            "test-weakened",
            format!("{name} compares less exactly than before"),
        )));
    } else if is.assertions > 0 && is.expected != was.expected && is.assertions == was.assertions {
        report.add(at(Finding::note(
            "test-changed",
            format!("{name} expects something else than before"),
        )));
    }
}

worker_plugin::check!(TestTampering);

#[cfg(test)]
mod tests;
