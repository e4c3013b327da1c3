//! Check components: what they see of a job, and what their report means.
//!
//! A component can only tighten a verdict (D6): one that is missing, breaks down or overruns is `errored`, which never
//! passes, and no component can make another check pass.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use serde_json::Value;

use super::place::Place;
use super::plan::Evidence;
use super::verdict::made;
use super::verdict::{Cause, CheckVerdict, Outcome};
use crate::checks::{CommandCheck, CommandLine};
use check_input::{JobView, Record, Recorder, Run};
use plugins::check::{Command, Finding, Report, Severity, Snapshot};
use plugins::{PluginError, PluginSet};
use process::Exit;
use redact::Redactor;
use redact::text;

/// The findings of a digest.
const FINDINGS: usize = 40;

/// A component to run.
pub(super) struct Component<'a> {
    /// The name in the result.
    pub(super) name: &'a str,
    /// The plugin.
    pub(super) plugin: &'a str,
    /// The settings for this job.
    pub(super) settings: Value,
}

/// The answer of a component.
pub(super) struct Answered {
    pub(super) verdict: CheckVerdict,
    pub(super) findings: Vec<Finding>,
    seen: Option<Seen>,
}

/// A run of a component, for the record.
struct Seen {
    job: Arc<Recorder>,
    settings: Value,
    answer: Result<Report, PluginError>,
}

/// Runs one, and answers what it found. Never fails: what goes wrong is a verdict that is no pass.
pub(super) async fn run(
    check: &Component<'_>,
    evidence: &Evidence<'_>,
    place: &Place,
    ran: &Ran,
    plugins: &PluginSet,
    redactor: &Redactor,
    digest_bytes: usize,
) -> Answered {
    let began = Instant::now();
    let view = JobView {
        id: evidence.job_id.to_owned(),
        task: evidence.task.to_owned(),
        agent_message: evidence.agent_message.to_owned(),
        changes: Arc::clone(&evidence.changes),
        root: place.tree.root.clone(),
        work_dir: place.tree.work_dir.clone(),
        commands: ran.commands.clone(),
        lines: Mutex::default(),
        index: OnceLock::new(),
        folder: None,
    };
    // Loading compiles the component when it is not cached: not on a thread that serves others.
    let (set, plugin, settings) = (
        plugins.clone(),
        check.plugin.to_owned(),
        check.settings.clone(),
    );
    let call = tokio::task::spawn_blocking(move || {
        let job = Arc::new(Recorder::new(Arc::new(view)));
        let check = set.check(&plugin);
        let seen: Arc<dyn Snapshot> = Arc::clone(&job) as _;
        let answer = check.as_ref().map_err(Clone::clone);
        let answer = answer.and_then(|check| check.run(seen, &settings));
        let whole = check.map(|check| check.settings(&settings));
        Seen {
            job,
            settings: whole.unwrap_or(settings),
            answer,
        }
    });
    let seen = call.await.ok();
    let mut findings = Vec::new();
    let mut verdict = match seen.as_ref().map(|seen| &seen.answer) {
        Some(Ok(report)) => {
            findings.clone_from(&report.findings);
            reported(check.name, report, redactor, digest_bytes)
        }
        Some(Err(error)) => broken(check.name, error.to_string(), redactor),
        None => broken(
            check.name,
            format!("check {} broke down in the host", check.plugin),
            redactor,
        ),
    };
    verdict.duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Answered {
        verdict,
        findings,
        seen,
    }
}

fn broken(name: &str, message: String, redactor: &Redactor) -> CheckVerdict {
    made(name, Cause::Plugin { message }, redactor)
}

/// A report's words are the plugin's own: made printable, cut, and redacted like everything else.
fn reported(name: &str, report: &Report, redactor: &Redactor, digest_bytes: usize) -> CheckVerdict {
    let mut summary = text::one_line(&text::printable(&report.summary), 200);
    let findings = listed(&report.findings, digest_bytes);
    let mut verdict = if report.is_passed() {
        let mut notes = Vec::new();
        if let plugins::check::Outcome::NotApplicable(reason) = &report.outcome {
            let reason = text::one_line(&text::printable(reason), 200);
            notes.push(match reason.as_str() {
                "" => "not applicable".to_owned(),
                reason => format!("not applicable: {reason}"),
            });
        }
        notes.extend(not_failing(&report.findings));
        if report.suppressed > 0 {
            notes.push(format!("{} suppressed", report.suppressed));
        }
        for note in notes {
            summary = match summary.as_str() {
                "" => note,
                summary => format!("{summary}; {note}"),
            };
        }
        CheckVerdict {
            name: name.to_owned(),
            outcome: Outcome::Passed,
            summary: redactor.text(&summary),
            cause: None,
            digest: None,
            artifact: None,
            duration_ms: 0,
            found_in: Vec::new(),
            told_totals: false,
        }
    } else {
        let summary = if summary.is_empty() {
            counted(&report.findings, report.more)
        } else {
            summary
        };
        made(name, Cause::Findings { summary }, redactor)
    };
    if !report.is_passed() {
        let faults = report
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error);
        verdict.found_in = faults
            .filter_map(|finding| Some(finding.path()?.to_owned()))
            .collect();
        verdict.digest = Some(redactor.text(&findings)).filter(|digest| !digest.is_empty());
    }
    verdict
}

/// Returns the findings that do not fail a check, in a few words: `2 warnings, 1 note, first: src/a.rs:3: ...`.
fn not_failing(findings: &[Finding]) -> Option<String> {
    let mut counts = Vec::new();
    for (severity, word) in [(Severity::Warning, "warning"), (Severity::Note, "note")] {
        let of_it = findings
            .iter()
            .filter(|finding| finding.severity == severity);
        match of_it.count() {
            0 => {}
            1 => counts.push(format!("1 {word}")),
            many => counts.push(format!("{many} {word}s")),
        }
    }
    // Of equal ones `min_by_key` takes the first.
    let first = findings
        .iter()
        .min_by_key(|finding| std::cmp::Reverse(finding.severity))?;
    let first = text::one_line(&text::printable(&line(first)), 120);
    Some(format!("{}, first: {first}", counts.join(", ")))
}

/// `src/a.rs:12: message`.
fn line(finding: &Finding) -> String {
    match (finding.path(), finding.line()) {
        (Some(path), Some(number)) => format!("{path}:{number}: {}", finding.message),
        (Some(path), None) => format!("{path}: {}", finding.message),
        (None, _) => finding.message.clone(),
    }
}

fn counted(findings: &[Finding], more: u64) -> String {
    if more > 0 {
        return format!("{} findings and {more} more", findings.len());
    }
    match findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .count()
    {
        1 => "1 finding".to_owned(),
        many => format!("{many} findings"),
    }
}

/// `src/a.rs:12: message (hint)`, errors first.
fn listed(findings: &[Finding], max_bytes: usize) -> String {
    let mut order: Vec<&Finding> = findings.iter().collect();
    order.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let mut out = String::new();
    for (at, finding) in order.iter().enumerate() {
        let mut line = String::new();
        match (finding.path(), finding.line()) {
            (Some(path), Some(number)) => {
                let _ = write!(line, "{path}:{number}: ");
            }
            (Some(path), None) => {
                let _ = write!(line, "{path}: ");
            }
            (None, _) => {}
        }
        if finding.severity != Severity::Error {
            line.push_str("(not failing) ");
        }
        line.push_str(&finding.message);
        if let Some(hint) = &finding.hint {
            let _ = write!(line, " ({hint})");
        }
        let line = text::one_line(&text::printable(&line), 400);
        if at == FINDINGS || out.len() + line.len() + 40 > max_bytes {
            let _ = writeln!(out, "[... {} more findings ...]", order.len() - at);
            break;
        }
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// The command checks that ran before, and the names of artifacts that are taken.
#[derive(Debug, Default)]
pub(super) struct Ran {
    commands: Vec<(Command, Arc<str>)>,
    names: BTreeSet<String>,
    /// The findings of components, for the record.
    pub(super) found: Vec<super::sarif::Found>,
    /// The input and the answers of components, for `plugin case`.
    pub(super) record: Record,
}

impl Ran {
    /// Keeps the input and the answer of a component, and gives its verdict and findings.
    pub(super) fn keep(
        &mut self,
        check: &Component<'_>,
        answered: Answered,
    ) -> (CheckVerdict, Vec<Finding>) {
        if let Some(seen) = answered.seen {
            let run = Run {
                name: check.name,
                plugin: check.plugin,
                settings: seen.settings,
                answer: &seen.answer,
            };
            self.record.add(&run, &seen.job);
        }
        (answered.verdict, answered.findings)
    }

    /// A name for an artifact that no check before has taken.
    pub(super) fn unused(&mut self, name: String) -> String {
        let mut unused = name.clone();
        let mut number = 2;
        while !self.names.insert(unused.clone()) {
            unused = format!("{name}-{number}");
            number += 1;
        }
        unused
    }

    /// Returns true if any command ran.
    pub(super) fn any(&self) -> bool {
        !self.commands.is_empty()
    }

    /// Keeps what a command said for the components that come after it. Both of its streams are one, in the order in
    /// which lines came.
    pub(super) fn add(
        &mut self,
        check: &CommandCheck,
        exit: Option<Exit>,
        timed_out: bool,
        wall_ms: u64,
        output: String,
    ) {
        let argv = match &check.command {
            CommandLine::Shell(script) => vec!["sh".to_owned(), "-c".to_owned(), script.clone()],
            CommandLine::Argv(words) => words.clone(),
        };
        let command = Command {
            name: check.name.clone(),
            argv,
            exit_code: exit.and_then(|exit| exit.code),
            timed_out,
            wall_ms,
            output_size: output.len() as u64,
        };
        self.commands.push((command, output.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(severity: Severity, line: u32) -> Finding {
        let message = "look at this".to_owned();
        Finding {
            place: Some(plugins::check::Location {
                path: "src/a.rs".to_owned(),
                line: Some(line),
                column: None,
                end_line: None,
                end_column: None,
            }),
            ..Finding::new("todo".to_owned(), severity, message)
        }
    }

    #[test]
    fn what_does_not_fail_is_counted_and_the_first_of_the_worst_is_told() {
        use Severity::{Note, Warning};
        for (findings, expected) in [
            (vec![], None),
            (
                vec![finding(Note, 1), finding(Warning, 2), finding(Warning, 3)],
                Some("2 warnings, 1 note, first: src/a.rs:2: look at this"),
            ),
            (
                vec![finding(Note, 4)],
                Some("1 note, first: src/a.rs:4: look at this"),
            ),
        ] {
            assert_eq!(not_failing(&findings).as_deref(), expected);
        }
    }
}
