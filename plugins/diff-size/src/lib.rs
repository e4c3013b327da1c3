//! Check `diff-size`: the change is no bigger than agreed. A small task that comes back as a big change was
//! misunderstood, or does more than it was asked to.

use serde::Deserialize;
use worker_plugin::{Check, Fault, Finding, Job, Report, matches_any};

/// The agreed limits.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Changed files.
    pub max_files: usize,
    /// Added and removed lines together.
    pub max_lines: usize,
    /// Globs of files that do not count.
    pub except: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_files: 50,
            max_lines: 1_000,
            except: vec!["*.lock".into(), "package-lock.json".into(), "*.snap".into()],
        }
    }
}

/// The check.
pub struct DiffSize {
    settings: Settings,
}

impl Check for DiffSize {
    type Settings = Settings;
    const SUMMARY: &'static str = "the change is no bigger than agreed";
    const SCHEMA: Option<&'static str> = Some(include_str!("settings.schema.json"));

    fn new(settings: Settings) -> Result<Self, Fault> {
        if settings.max_files == 0 || settings.max_lines == 0 {
            return Err(Fault::bad_settings("max_files and max_lines: at least 1"));
        }
        Ok(DiffSize { settings })
    }

    fn run(&self, job: &dyn Job) -> Result<Report, Fault> {
        let (mut files, mut lines) = (0, 0);
        let mut biggest: Vec<(usize, String)> = Vec::new();
        for file in job.changed() {
            if matches_any(&self.settings.except, &file.path) {
                continue;
            }
            files += 1;
            if !file.is_binary() {
                let mut count = 0;
                for line in job.added(&file.path).chain(job.removed(&file.path)) {
                    line?;
                    count += 1;
                }
                lines += count;
                biggest.push((count, file.path));
            }
        }
        let mut report = Report::passed(format!(
            "{} in {}",
            counted(lines, "line"),
            counted(files, "file")
        ));
        if files > self.settings.max_files {
            let message = format!(
                "{files} files changed, at most {} are agreed",
                self.settings.max_files
            );
            report.add(
                Finding::error("too-many-files", message).hint("change only what the task needs"),
            );
        }
        if lines > self.settings.max_lines {
            biggest.sort_by(|a, b| b.cmp(a));
            let most = biggest
                .iter()
                .take(3)
                .map(|(count, path)| format!("{path} {count}"))
                .collect::<Vec<_>>();
            let message = format!(
                "{lines} lines changed, at most {} are agreed; most in {}",
                self.settings.max_lines,
                most.join(", ")
            );
            report.add(
                Finding::error("too-many-lines", message)
                    .hint("make a smaller change, without reformatting"),
            );
        }
        Ok(report)
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 {
        format!("1 {what}")
    } else {
        format!("{count} {what}s")
    }
}

worker_plugin::check!(DiffSize);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use worker_plugin::testing::{FakeJob, configured};

    #[test]
    fn files_and_lines_are_counted_without_the_excepted() {
        let check = configured(DiffSize::new, r#"{"max_files": 2, "max_lines": 4}"#).unwrap();
        let job = FakeJob::default()
            .added("a", "1\n2\n")
            .added("b", "1\n")
            .added("Cargo.lock", &"x\n".repeat(500));
        let report = check.run(&job).unwrap();
        assert!(report.is_passed());
        assert_eq!(report.summary, "3 lines in 2 files");
        let report = check.run(&job.added("c", "1\n2\n3\n")).unwrap();
        let rules: Vec<_> = report
            .findings
            .iter()
            .map(|finding| finding.rule.as_str())
            .collect();
        assert_eq!(rules, ["too-many-files", "too-many-lines"]);
        assert!(
            report.findings[1].message.contains("most in c 3, a 2, b 1"),
            "{}",
            report.findings[1].message
        );
    }

    #[test]
    fn wrong_settings_are_refused() {
        assert!(configured(DiffSize::new, r#"{"max_file": 2}"#).is_err());
        assert!(configured(DiffSize::new, r#"{"max_files": 0}"#).is_err());
    }
}
