//! Check `test-tampering`: no test was deleted, skipped, emptied or weakened to make a job pass.
//!
//! Tests are compared by name over all changed files, so that a test may move; what it asserts is counted line by line.
//! That is a heuristic by intent: it asks for a person's look where tests got fewer or weaker, and never runs code.

mod assertions;
mod conventions;
mod language;

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;
use worker_plugin::{ChangedFile, Check, Fault, Finding, Job, Report, Severity, matches_any};

use language::{Language, Test};

/// The scope of the check.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Further globs of files that hold tests.
    pub tests: Vec<String>,
    /// Globs of files that are not looked at.
    pub allow: Vec<String>,
    /// Findings of things to look at fail the check too.
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
        let mut files = Vec::new();
        let mut report = Report::passed("");
        for file in job.changed() {
            if file.is_binary() || matches_any(&self.settings.allow, &file.path) {
                continue;
            }
            if matches_any(RUNNER_SETTINGS, &file.path) {
                self.runner_settings(job, &file, &mut report)?;
            }
            let mut looked = Looked::default();
            if !file.is_added() {
                let old = file.previous_path.as_deref().unwrap_or(&file.path);
                if self.may_hold_tests(old) {
                    let text = job.base_text(old)?;
                    before.add(old, &text);
                    looked.before = Some(Side::new(old, text));
                }
            }
            if !file.is_deleted() && self.may_hold_tests(&file.path) {
                self.whole_file(job, &file, &mut report)?;
                if !is_out_of_sight(&file) {
                    let text = job.text(&file.path)?;
                    after.add(&file.path, &text);
                    looked.after = Some(Side::new(&file.path, text));
                }
            }
            if looked.before.is_some() || looked.after.is_some() {
                files.push(looked);
            }
        }
        let told = lost_files(&files, &self.settings, &mut report);
        deleted(&before, &after, &told, &mut report);
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
            if language::is_comment_line(&file.path, &line.text) {
                continue;
            }
            let read = language != Language::Other;
            if !read && language::skips(&file.path, &line.text) {
                let finding = Finding::error("test-skipped", "a test is skipped now")
                    .at(&file.path, line.number);
                report.add(finding.hint("let it run, and repair the code instead"));
            } else if let Some(what) = language.switches_off(&line.text) {
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
        if file.is_deleted() {
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

/// A file at one time.
struct Side {
    path: String,
    /// The code without blanks, line by line.
    code: Vec<String>,
    /// The lines of it that assert.
    asserting: Vec<String>,
    tests: usize,
}

impl Side {
    fn new(path: &str, text: String) -> Self {
        let tests = language::tests(path, &text);
        Self {
            path: path.to_owned(),
            code: language::code_lines(path, &text)
                .iter()
                .map(|(_, line)| line.chars().filter(|c| !c.is_whitespace()).collect())
                .collect(),
            asserting: tests
                .iter()
                .flat_map(|test| test.expected.clone())
                .collect(),
            tests: tests.len(),
        }
    }
}

/// A changed file that holds tests before, after, or at both times.
#[derive(Default)]
struct Looked {
    before: Option<Side>,
    after: Option<Side>,
}

/// Languages whose runners go by a file's name alone.
const BY_NAME: &[&str] = &["py", "go", "rb", "exs", "php", "dart", "bats", "t"];

/// Finds the test files that are gone or hold nothing any more, unless what they held stands elsewhere; the answer names
/// them, so that their tests are not reported once more.
fn lost_files(files: &[Looked], settings: &Settings, report: &mut Report) -> HashSet<String> {
    // How often each line of code is there before and after, over all files.
    let mut balance: HashMap<&str, i64> = HashMap::new();
    for file in files {
        for line in file.before.iter().flat_map(|side| &side.code) {
            *balance.entry(line).or_default() -= 1;
        }
        for line in file.after.iter().flat_map(|side| &side.code) {
            *balance.entry(line).or_default() += 1;
        }
    }
    let mut told = HashSet::new();
    for file in files {
        let Some(before) = &file.before else { continue };
        let named = conventions::is_named_as_test(&before.path)
            || matches_any(&settings.tests, &before.path);
        let held = before.tests > 0 || !before.asserting.is_empty();
        // Rust's tests are compared one by one; a source file without any is none of ours.
        let is_ours = held || named && !before.path.ends_with(".rs");
        if !is_ours || before.code.is_empty() {
            continue;
        }
        let lines = if before.asserting.is_empty() {
            &before.code
        } else {
            &before.asserting
        };
        let kept = lines
            .iter()
            .filter(|line| balance.get(line.as_str()).is_some_and(|count| *count >= 0))
            .count();
        let moved = kept * 10 >= lines.len() * 9;
        let tests = match before.tests {
            0 => String::new(),
            1 => ", and 1 test with it".to_owned(),
            count => format!(", and {count} tests with it"),
        };
        let message = match &file.after {
            None if !moved => format!(
                "the test file {} was deleted, or renamed so that no runner finds it{tests}",
                before.path
            ),
            Some(after) if after.code.is_empty() && !moved => {
                format!("the test file {} was emptied{tests}", before.path)
            }
            Some(after) if held && after.tests == 0 && after.asserting.is_empty() && !moved => {
                format!("the test file {} tests nothing any more", before.path)
            }
            _ => continue,
        };
        let rule = if file
            .after
            .as_ref()
            .is_some_and(|after| after.path == before.path)
        {
            "test-emptied"
        } else {
            "test-deleted"
        };
        report.add(
            Finding::error(rule, message)
                .in_file(
                    file.after
                        .as_ref()
                        .map_or(&before.path, |after| &after.path),
                )
                .hint("put the tests back"),
        );
        told.insert(before.path.clone());
    }
    told
}

/// True for a file that has come and that its language's runners do not look into, whatever it holds: a new one, or a test
/// under another name.
fn is_out_of_sight(file: &ChangedFile) -> bool {
    let extension = file.path.rsplit('.').next().unwrap_or_default();
    let came = match &file.previous_path {
        Some(before) => conventions::is_named_as_test(before),
        None => file.is_added(),
    };
    came && BY_NAME.contains(&extension) && !conventions::is_named_as_test(&file.path)
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

    /// Returns the number of each asserting line.
    fn expected(&self) -> HashMap<&str, usize> {
        let mut lines = HashMap::new();
        for line in self.tests.values().flat_map(|(_, test)| &test.expected) {
            *lines.entry(line.as_str()).or_default() += 1;
        }
        lines
    }
}

fn deleted(before: &Suite, after: &Suite, told: &HashSet<String>, report: &mut Report) {
    let (had, has) = (before.expected(), after.expected());
    // Renamed or moved with all that it asserts: nothing is lost.
    let moved = |test: &Test| {
        !test.expected.is_empty()
            && test.expected.iter().all(|line| {
                let count =
                    |lines: &HashMap<&str, usize>| lines.get(line.as_str()).copied().unwrap_or(0);
                count(&has) >= count(&had)
            })
    };
    let mut renamed = 0;
    let mut gone: Vec<(&String, &String)> = Vec::new();
    for (name, (path, test)) in &before.tests {
        if after.tests.contains_key(name) {
            continue;
        }
        if told.contains(path) || moved(test) {
            renamed += 1;
        } else {
            gone.push((name, path));
        }
    }
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
    let stayed = before.tests.len() - gone.len() - renamed;
    let new = after.tests.len().saturating_sub(stayed);
    // What took over from a test that moved is no replacement of another.
    let replaced = new.saturating_sub(renamed);
    if replaced < gone.len() {
        let fewer = gone.len() - replaced;
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
