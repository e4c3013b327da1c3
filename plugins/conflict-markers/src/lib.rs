//! Check `conflict-markers`: no merge conflict is left in the change.

use worker_plugin::{Check, Fault, Finding, Job, MOST_FINDINGS, NoSettings, Report};

/// The check.
pub struct ConflictMarkers;

impl Check for ConflictMarkers {
    type Settings = NoSettings;
    const SUMMARY: &'static str = "no merge conflict is left in the change";

    fn new(_: NoSettings) -> Result<Self, Fault> {
        Ok(ConflictMarkers)
    }

    fn run(&self, job: &dyn Job) -> Result<Report, Fault> {
        let mut findings = Vec::new();
        for file in job.changed() {
            if file.is_binary() || file.is_deleted() {
                continue;
            }
            // `=======` alone is a heading in many texts; git's other markers carry a name behind a blank.
            let marked = |line: &str| {
                ["<<<<<<<", "|||||||", ">>>>>>>"].iter().any(|marker| {
                    line.strip_prefix(marker)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
                })
            };
            for line in job.added(&file.path) {
                let line = line?;
                if findings.len() == MOST_FINDINGS {
                    return Ok(Report::of(findings));
                }
                if !marked(&line.text) {
                    continue;
                }
                let finding = Finding::error("conflict-marker", "a merge conflict is left")
                    .at(&file.path, line.number);
                findings.push(finding.hint("resolve the conflict and remove the markers"));
            }
        }
        Ok(Report::of(findings))
    }
}

worker_plugin::check!(ConflictMarkers);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use worker_plugin::testing::FakeJob;

    #[test]
    fn a_left_conflict_is_found_and_a_heading_is_not() {
        let conflict = "a\n<<<<<<< HEAD\nb\n=======\nc\n>>>>>>> topic\n";
        let report = ConflictMarkers
            .run(&FakeJob::default().added("src/a.rs", conflict))
            .unwrap();
        let lines: Vec<_> = report
            .findings
            .iter()
            .filter_map(|finding| finding.line)
            .collect();
        assert!(!report.is_passed());
        assert_eq!(lines, [2, 6]);
        assert_eq!(report.summary, "src/a.rs:2, src/a.rs:6");
        let heading = "Title\n=======\n\n<<<<<<<<<< not a marker\n>>>>>>>x\n";
        assert!(
            ConflictMarkers
                .run(&FakeJob::default().added("README.rst", heading))
                .unwrap()
                .is_passed()
        );
    }

    #[test]
    fn resolving_a_conflict_is_fine() {
        let job = FakeJob::default().deleted("a", "<<<<<<< HEAD\n");
        assert!(ConflictMarkers.run(&job).unwrap().is_passed());
    }
}
