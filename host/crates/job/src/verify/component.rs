//! Check components: what they see of a job, and what their report means.
//!
//! A component can only tighten a verdict (D6): one that is missing, breaks down or overruns is `errored`, which never
//! passes, and no component can make another check pass.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde_json::Value;

use super::verdict::{Cause, CheckVerdict, Outcome};
use super::{Evidence, Place, made};
use crate::checks::{CommandCheck, CommandLine};
use plugins::check::{
    Change, ChangedFile, Command, Finding, LinePage, Output, ReadError, Report, Severity, Side,
    Snapshot,
};
use plugins::{Limits, PluginSet};
use process::Exit;
use redact::Redactor;
use redact::text;
use workspace::{ChangeKind, ChangedLines, Changes, FilePath, LineSide, Root, Selection};

/// The files that `find` gives, and those that it looks at.
const FOUND: usize = 10_000;
const VISITED: usize = 1_000_000;

/// The findings of a digest.
const FINDINGS: usize = 40;

/// A component to run.
pub(super) struct Component<'a> {
    /// Its name in the result.
    pub(super) name: &'a str,
    /// The plugin.
    pub(super) plugin: &'a str,
    /// Its settings for this job.
    pub(super) settings: Value,
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
) -> (CheckVerdict, Vec<Finding>) {
    let began = Instant::now();
    let view = View {
        id: evidence.job_id.to_owned(),
        task: evidence.task.to_owned(),
        agent_message: evidence.agent_message.to_owned(),
        changes: Arc::clone(&evidence.changes),
        root: place.root.clone(),
        work_dir: place.work_dir.clone(),
        commands: ran.commands.clone(),
        lines: Mutex::default(),
    };
    // Loading compiles the component when it is not cached: not on a thread that serves others.
    let (set, plugin, settings) = (
        plugins.clone(),
        check.plugin.to_owned(),
        check.settings.clone(),
    );
    let call =
        tokio::task::spawn_blocking(move || set.check(&plugin)?.run(Arc::new(view), &settings));
    let mut findings = Vec::new();
    let mut verdict = match call.await {
        Ok(Ok(report)) => {
            let verdict = reported(check.name, &report, redactor, digest_bytes);
            findings = report.findings;
            verdict
        }
        Ok(Err(error)) => broken(check.name, error.to_string(), redactor),
        Err(_) => broken(
            check.name,
            format!("check {} broke down in the host", check.plugin),
            redactor,
        ),
    };
    verdict.duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    (verdict, findings)
}

fn broken(name: &str, message: String, redactor: &Redactor) -> CheckVerdict {
    made(name, Cause::Plugin { message }, redactor)
}

/// A report's words are the plugin's own: made printable, cut, and redacted like everything else.
fn reported(name: &str, report: &Report, redactor: &Redactor, digest_bytes: usize) -> CheckVerdict {
    let mut summary = text::one_line(&text::printable(&report.summary), 200);
    let findings = listed(&report.findings, digest_bytes);
    let mut verdict = if report.passed {
        if let Some(more) = not_failing(&report.findings) {
            summary = match summary.as_str() {
                "" => more,
                summary => format!("{summary}; {more}"),
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
        }
    } else {
        let summary = if summary.is_empty() {
            counted(&report.findings)
        } else {
            summary
        };
        made(name, Cause::Findings { summary }, redactor)
    };
    if !report.passed {
        let faults = report
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error);
        verdict.found_in = faults.filter_map(|finding| finding.path.clone()).collect();
        verdict.digest = Some(redactor.text(&findings)).filter(|digest| !digest.is_empty());
    }
    verdict
}

/// What a check found and does not fail for, in a few words: `2 warnings, 1 note, first: src/a.rs:3: ...`.
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
    match (&finding.path, finding.line) {
        (Some(path), Some(number)) => format!("{path}:{number}: {}", finding.message),
        (Some(path), None) => format!("{path}: {}", finding.message),
        (None, _) => finding.message.clone(),
    }
}

fn counted(findings: &[Finding]) -> String {
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
        match (&finding.path, finding.line) {
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
}

impl Ran {
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
            stdout_size: output.len() as u64,
            stderr_size: 0,
        };
        self.commands.push((command, output.into()));
    }
}

/// The job as a component sees it: the changes as they were taken, whatever happened to the tree since.
struct View {
    id: String,
    task: String,
    agent_message: String,
    changes: Arc<Changes>,
    root: Root,
    work_dir: PathBuf,
    commands: Vec<(Command, Arc<str>)>,
    /// The lines that were asked for last: pages of one file come one after the other.
    lines: Mutex<Option<(FilePath, LineSide, Arc<ChangedLines>)>>,
}

/// Where git looks for the NUL byte of a binary file.
const BINARY_WITHIN: u64 = 8000;

impl View {
    /// Whether a file is no text. One that was too long to be kept is so where its beginning says it: the rest of it is
    /// for the checks to miss, and to fail for.
    fn is_binary(&self, file: &workspace::ChangedFile) -> bool {
        if !file.unreadable || file.kind == ChangeKind::Deleted {
            return file.binary;
        }
        let beginning = self.tree().and_then(|tree| {
            tree.read_at(file.path.as_path(), 0, BINARY_WITHIN)
                .map_err(|error| ReadError::Io(error.to_string()))
        });
        beginning.is_ok_and(|bytes| bytes.contains(&0))
    }

    fn lines_of(
        &self,
        file: &workspace::ChangedFile,
        side: LineSide,
    ) -> Result<Arc<ChangedLines>, ReadError> {
        let mut last = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, lines)) = last
            .as_ref()
            .filter(|(path, of, _)| *path == file.path && *of == side)
        {
            return Ok(Arc::clone(lines));
        }
        // Only one at a time: they may be long.
        *last = None;
        let lines = self.changes.changed_lines(file.path.as_bytes(), side);
        let lines = Arc::new(lines.map_err(|error| ReadError::Io(error.to_string()))?);
        *last = Some((file.path.clone(), side, Arc::clone(&lines)));
        Ok(lines)
    }

    fn file(&self, path: &str) -> Result<&workspace::ChangedFile, ReadError> {
        self.changes
            .files
            .iter()
            .find(|file| file.paths().any(|known| shown(known) == path))
            .ok_or(ReadError::NotGranted)
    }
}

impl Snapshot for View {
    fn id(&self) -> String {
        self.id.clone()
    }

    fn task(&self) -> String {
        self.task.clone()
    }

    fn changed(&self) -> Vec<ChangedFile> {
        self.changes
            .files
            .iter()
            .map(|file| ChangedFile {
                path: shown(&file.path),
                change: match file.kind {
                    ChangeKind::Added => Change::Added,
                    ChangeKind::Modified => Change::Modified,
                    ChangeKind::Deleted => Change::Deleted,
                    ChangeKind::Renamed => Change::Renamed,
                    ChangeKind::TypeChanged => Change::TypeChanged,
                    ChangeKind::ModeChanged => Change::ModeChanged,
                },
                previous_path: file.previous_path.as_ref().map(shown),
                size: file.size,
                binary: self.is_binary(file),
                allowed: file.allowed,
            })
            .collect()
    }

    fn commands(&self) -> Vec<Command> {
        self.commands
            .iter()
            .map(|(command, _)| command.clone())
            .collect()
    }

    fn diff_size(&self) -> u64 {
        self.changes.diff(Selection::All, u64::MAX).bytes.len() as u64
    }

    fn changed_lines(
        &self,
        path: &str,
        side: Side,
        after: u64,
        max_bytes: u32,
    ) -> Result<LinePage, ReadError> {
        let file = self.file(path)?;
        let side = match side {
            Side::Added => LineSide::Added,
            Side::Removed => LineSide::Removed,
        };
        LinePage::of(self.lines_of(file, side)?.after(after), max_bytes)
    }

    fn diff(&self, path: Option<&str>) -> Result<String, ReadError> {
        let selection = match path {
            None => Selection::All,
            Some(path) => Selection::Path(self.file(path)?.path.as_bytes()),
        };
        let diff = self.changes.diff(selection, Limits::READ);
        let omitted = diff.omitted.iter();
        let omitted = omitted.filter_map(|omitted| self.changes.find(omitted.path.as_bytes()));
        for file in omitted {
            if self.is_binary(file) || file.special || file.kind == ChangeKind::ModeChanged {
                // Without lines that the check would miss.
            } else if file.unreadable {
                return Err(ReadError::Io(format!(
                    "the content of {} was not kept: it is too long, or cannot be read",
                    file.path
                )));
            } else {
                return Err(ReadError::TooLarge(Limits::READ));
            }
        }
        Ok(diff.text().into_owned())
    }

    fn read(&self, path: &str, offset: u64, len: u32) -> Result<Vec<u8>, ReadError> {
        let file = self.file(path)?;
        // A renamed file's old name is not there any more.
        if file.kind == ChangeKind::Deleted || shown(&file.path) != path {
            return Err(ReadError::NotFound);
        }
        self.changes
            .read(file.path.as_bytes(), offset, u64::from(len))
            .map_err(|error| ReadError::Io(error.to_string()))
    }

    fn read_base(&self, path: &str, offset: u64, len: u32) -> Result<Vec<u8>, ReadError> {
        let file = self.file(path)?;
        if file.kind == ChangeKind::Added {
            return Err(ReadError::NotFound);
        }
        self.changes
            .read_before(file.path.as_bytes(), offset, u64::from(len))
            .map_err(|error| ReadError::Io(error.to_string()))
    }

    fn read_output(
        &self,
        command: usize,
        which: Output,
        offset: u64,
        len: u32,
    ) -> Result<Vec<u8>, ReadError> {
        let (_, output) = self.commands.get(command).ok_or(ReadError::NotFound)?;
        let bytes = match which {
            Output::Stdout => output.as_bytes(),
            Output::Stderr => &[],
        };
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let end = start.saturating_add(len as usize).min(bytes.len());
        Ok(bytes.get(start..end).unwrap_or_default().to_vec())
    }

    fn agent_message(&self) -> String {
        self.agent_message.clone()
    }

    fn find(&self, glob: &str) -> Result<Vec<String>, ReadError> {
        let unreadable = |error: &dyn std::fmt::Display| ReadError::Io(error.to_string());
        let matcher = globset::GlobBuilder::new(glob)
            .literal_separator(true)
            .build()
            .map_err(|error| unreadable(&error))?
            .compile_matcher();
        let tree = self.tree()?;
        let mut found = Vec::new();
        let walk = ignore::WalkBuilder::new(tree.path())
            .hidden(false)
            .follow_links(false)
            .filter_entry(|entry| entry.file_name() != ".git")
            .build();
        for entry in walk.flatten().take(VISITED) {
            let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
            let Some(path) = entry
                .path()
                .strip_prefix(tree.path())
                .ok()
                .filter(|_| is_file)
            else {
                continue;
            };
            if matcher.is_match(path) {
                found.extend(path.to_str().map(str::to_owned));
            }
            if found.len() == FOUND {
                break;
            }
        }
        found.sort();
        Ok(found)
    }

    fn read_tree(&self, path: &str, offset: u64, len: u32) -> Result<Vec<u8>, ReadError> {
        let path = Path::new(path);
        let inside = path
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
        if !inside {
            return Err(ReadError::NotGranted);
        }
        // A link on the way is as good as nothing: it could lead out of the globs that are granted.
        self.tree()?
            .read_at(path, offset, u64::from(len))
            .map_err(|_| ReadError::NotFound)
    }
}

impl View {
    /// The working directory, by a handle that no link can lead astray.
    fn tree(&self) -> Result<Root, ReadError> {
        let opened = self.root.within(&self.work_dir);
        opened.map_err(|error| ReadError::Io(error.to_string()))
    }
}

/// A path as components see it: `/` between parts, bytes that are not UTF-8 as `\xNN`, a backslash as `\\`.
fn shown(path: &FilePath) -> String {
    let mut out = String::new();
    for chunk in path.as_bytes().utf8_chunks() {
        out.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(severity: Severity, line: u32) -> Finding {
        Finding {
            rule: "todo".to_owned(),
            severity,
            path: Some("src/a.rs".to_owned()),
            line: Some(line),
            message: "look at this".to_owned(),
            hint: None,
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
