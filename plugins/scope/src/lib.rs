//! Check `scope`: every change lies within the given paths, and the diff within the given size.

use serde::Deserialize;
use worker_plugin::{Check, Fault, Finding, Job, Report};

/// `scoped_patch` of a job.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Directories, files and globs, relative to the job's working directory.
    pub paths: Vec<String>,
    /// The most bytes of the whole diff.
    #[serde(default)]
    pub max_diff_bytes: Option<u64>,
}

/// The check.
pub struct Scope {
    settings: Settings,
}

impl Check for Scope {
    type Settings = Settings;
    const SUMMARY: &'static str = "every change lies within the given paths";
    const SCHEMA: Option<&'static str> = Some(include_str!("settings.schema.json"));

    fn new(settings: Settings) -> Result<Self, Fault> {
        if settings.paths.is_empty() {
            return Err(Fault::bad_config(
                "paths: at least one directory, file or glob",
            ));
        }
        Ok(Scope { settings })
    }

    fn run(&self, job: &dyn Job) -> Result<Report, Fault> {
        let mut report = Report::passed(self.settings.paths.join(", "));
        for file in job.changed() {
            let names = std::iter::once(&file.path).chain(&file.previous_path);
            for path in
                names.filter(|path| !self.settings.paths.iter().any(|scope| within(scope, path)))
            {
                let finding =
                    Finding::error("outside-scope", format!("{path} is outside the scope"))
                        .in_file(path);
                report.add(finding.hint("undo this change"));
            }
        }
        let size = job.diff_size();
        if let Some(most) = self.settings.max_diff_bytes.filter(|most| size > *most) {
            let message = format!("the diff has {size} bytes, at most {most} are allowed");
            report.add(Finding::error("diff-too-large", message).hint("make a smaller change"));
        }
        Ok(report)
    }
}

/// Whether `path` is `scope`, lies in the directory `scope`, or matches the glob `scope`.
fn within(scope: &str, path: &str) -> bool {
    let scope = scope.trim_start_matches("./").trim_end_matches('/');
    let below = path
        .strip_prefix(scope)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    below || scope == "." && !path.starts_with("../") || glob(scope.as_bytes(), path.as_bytes())
}

/// `*` within one part of a path, `**` across parts, `?` one character.
fn glob(pattern: &[u8], path: &[u8]) -> bool {
    match pattern {
        [] => path.is_empty(),
        [b'*', b'*', b'/', rest @ ..] => {
            let mut starts = std::iter::once(0).chain(
                path.iter()
                    .enumerate()
                    .filter(|(_, b)| **b == b'/')
                    .map(|(at, _)| at + 1),
            );
            starts.any(|at| glob(rest, &path[at..]))
        }
        [b'*', b'*', rest @ ..] => (0..=path.len()).any(|at| glob(rest, &path[at..])),
        [b'*', rest @ ..] => {
            let part = path
                .iter()
                .position(|byte| *byte == b'/')
                .unwrap_or(path.len());
            (0..=part).any(|at| glob(rest, &path[at..]))
        }
        [b'?', rest @ ..] => {
            path.first().is_some_and(|byte| *byte != b'/') && glob(rest, &path[1..])
        }
        [byte, rest @ ..] => path.first() == Some(byte) && glob(rest, &path[1..]),
    }
}

worker_plugin::check!(Scope);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use worker_plugin::testing::{FakeJob, configured};

    #[test]
    fn a_change_outside_the_scope_fails_and_names_the_file() {
        let check = configured(Scope::new, r#"{"paths": ["src", "tests/*.rs"]}"#).unwrap();
        let inside = FakeJob::default()
            .added("src/deep/a.rs", "")
            .added("tests/b.rs", "");
        assert!(check.run(&inside).unwrap().passed);
        let report = check.run(&inside.added("srcs/c.rs", "")).unwrap();
        assert!(!report.passed);
        assert_eq!(report.findings[0].path.as_deref(), Some("srcs/c.rs"));
    }
}
