//! Check `scope`: every change lies within the given paths. A rename counts on both sides.

#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod paths;

use paths::Scopes;
use serde::Deserialize;
use worker_plugin::{Check, Fault, Finding, Job, Outcome, Report};

/// `scoped_patch` of a job.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Directories, files and globs, relative to the job's working directory.
    pub paths: Vec<String>,
    /// Caps the diff in the reply; taken here so that a job's whole `scoped_patch` can be given, never a verdict.
    #[serde(default)]
    pub max_diff_bytes: Option<u64>,
}

/// The check.
pub struct Scope {
    /// The patterns as written, for the result line.
    shown: String,
    scopes: Scopes,
}

/// More findings than these tell nobody more.
const MOST_FINDINGS: usize = 100;

impl Check for Scope {
    type Settings = Settings;
    const SUMMARY: &'static str = "every change lies within the given paths";
    const SCHEMA: Option<&'static str> = Some(include_str!("settings.schema.json"));

    fn new(settings: Settings) -> Result<Self, Fault> {
        if settings.paths.is_empty() {
            return Err(Fault::bad_settings(
                "paths: at least one directory, file or glob",
            ));
        }
        let scopes = Scopes::parse(&settings.paths)
            .map_err(|(at, rule)| Fault::bad_settings(format!("paths[{at}]: {rule}")))?;
        Ok(Scope {
            shown: settings.paths.join(", "),
            scopes,
        })
    }

    fn run(&self, job: &dyn Job) -> Result<Report, Fault> {
        let mut report = Report::passed(self.shown.clone());
        let mut outside: Vec<String> = Vec::new();
        for file in job.changed() {
            // The old name first: moving a file out of the scope and moving one into it both touch what lies outside.
            for path in file.previous_path.iter().chain(std::iter::once(&file.path)) {
                if !self.scopes.contain(path) && !outside.contains(path) {
                    outside.push(path.clone());
                }
            }
        }
        for path in outside.iter().take(MOST_FINDINGS) {
            let finding = Finding::error(
                "outside-scope",
                format!("{path} is outside the scope ({})", self.shown),
            );
            report.add(finding.in_file(path).hint("put it back as it was"));
        }
        if let Some((first, rest)) = outside.split_first() {
            let more = if rest.is_empty() {
                String::new()
            } else {
                format!(" and {} more", rest.len())
            };
            report.summary = format!("{first}{more} outside {}", self.shown);
            report.outcome = Outcome::Failed;
        }
        Ok(report)
    }
}

worker_plugin::check!(Scope);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use worker_plugin::testing::{FakeJob, configured};

    fn check(paths: &[&str]) -> Result<Scope, Fault> {
        let quoted: Vec<String> = paths.iter().map(|path| format!("{path:?}")).collect();
        configured(
            Scope::new,
            &format!(
                r#"{{"paths": [{}], "max_diff_bytes": 10}}"#,
                quoted.join(", ")
            ),
        )
    }

    #[test]
    fn a_change_outside_the_scope_fails_and_names_the_file() {
        let check = check(&["src", "tests/*.rs"]).unwrap();
        let inside = FakeJob::default()
            .added("src/deep/a.rs", "")
            .added("tests/b.rs", "");
        let report = check.run(&inside).unwrap();
        assert!(report.is_passed());
        assert_eq!(report.summary, "src, tests/*.rs");
        let report = check
            .run(&inside.added("srcs/c.rs", "").deleted("README.md", "x"))
            .unwrap();
        assert!(!report.is_passed());
        let named: Vec<_> = report
            .findings
            .iter()
            .filter_map(|finding| finding.path.as_deref())
            .collect();
        assert_eq!(named, ["README.md", "srcs/c.rs"]);
        assert_eq!(
            report.summary,
            "README.md and 1 more outside src, tests/*.rs"
        );
    }

    #[test]
    fn a_long_diff_is_no_violation() {
        let check = check(&["src"]).unwrap();
        let job = FakeJob::default().added("src/a.rs", &"x\n".repeat(1000));
        assert!(check.run(&job).unwrap().is_passed());
    }

    #[test]
    fn a_flood_of_files_is_told_briefly() {
        let check = check(&["src"]).unwrap();
        let job = (0..1000).fold(FakeJob::default(), |job, number| {
            job.added(&format!("out/{number}"), "")
        });
        let report = check.run(&job).unwrap();
        assert_eq!(report.findings.len(), MOST_FINDINGS);
        assert_eq!(report.summary, "out/0 and 999 more outside src");
    }

    #[test]
    fn settings_that_cannot_be_meant_are_refused() {
        for (paths, part) in [
            (&[][..], "at least one"),
            (&[""], "paths[0]: is empty"),
            (
                &["src", "../other"],
                "paths[1]: leads out of the working directory",
            ),
            (&["src/../../x"], "leads out"),
            (&["/etc"], "must be relative"),
            (&["src/[a"], "an opened [ is not closed"),
            (&["src/{a,b"], "an opened { is not closed"),
            (
                &["{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}"],
                "too many alternatives",
            ),
        ] {
            let fault = check(paths).err().unwrap();
            assert!(format!("{fault:?}").contains(part), "{paths:?}: {fault:?}");
        }
    }
}
