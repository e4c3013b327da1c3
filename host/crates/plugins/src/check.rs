//! The input and output of a check: a job, and the report about it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Limits;

/// The facts about one job that a check may read. Paths are relative to the job's working directory, with `/`; a change elsewhere
/// begins with `../`; bytes that are not UTF-8 appear escaped, and the same text reads the file.
pub trait Snapshot: Send + Sync {
    /// The job's id.
    fn id(&self) -> String;

    /// Returns the task of the job.
    fn task(&self) -> String;

    /// Every changed file, ordered by path.
    fn changed(&self) -> Vec<ChangedFile>;

    /// The command checks that ran before, in order.
    fn commands(&self) -> Vec<Command>;

    /// Lines of a changed file that are there at one moment only, those behind the line `after` (0: from the first one on).
    /// [`LinePage::of`] makes a page.
    ///
    /// # Errors
    /// [`ReadError::NotFound`] for a file that did not change, [`ReadError::Other`] when its content was not kept.
    fn changed_lines(
        &self,
        path: &str,
        moment: Moment,
        after: u64,
        max_bytes: u32,
    ) -> Result<LinePage, ReadError>;

    /// Unified diff of one file, or of all: whole, or not at all.
    ///
    /// # Errors
    /// [`ReadError::NotFound`] when the file did not change, [`ReadError::TooLarge`] when the diff has more than
    /// [`Limits::READ`](crate::Limits::READ) bytes.
    fn diff(&self, path: Option<&str>) -> Result<Vec<u8>, ReadError>;

    /// At most `len` bytes of a changed file at one moment, from `offset`; fewer at its end. A renamed file has its previous
    /// path before the job.
    ///
    /// # Errors
    /// [`ReadError::NotFound`] when there is no such file at that moment among the changed ones.
    fn read(&self, path: &str, moment: Moment, offset: u64, len: u32)
    -> Result<Vec<u8>, ReadError>;

    /// At most `len` bytes of what a command of [`Snapshot::commands`] printed, both of its streams as one.
    ///
    /// # Errors
    /// [`ReadError::NotFound`] when there is no such command.
    fn read_output(&self, command: usize, offset: u64, len: u32) -> Result<Vec<u8>, ReadError>;

    /// The agent's own last message.
    fn agent_message(&self) -> String {
        String::new()
    }

    /// Files of the tree that match a glob and that git does not ignore, sorted. The engine filters them by the plugin's grant
    /// and gives them by pages.
    ///
    /// # Errors
    /// [`ReadError::Other`] when the tree cannot be read.
    fn find(&self, glob: &str) -> Result<Vec<String>, ReadError> {
        let _ = glob;
        Err(ReadError::NotGranted)
    }

    /// At most `len` bytes of any file of the tree; symbolic links are not followed. The engine asked the plugin's grant
    /// already.
    ///
    /// # Errors
    /// [`ReadError::NotFound`] when there is no such file.
    fn read_tree(&self, path: &str, offset: u64, len: u32) -> Result<Vec<u8>, ReadError> {
        let _ = (path, offset, len);
        Err(ReadError::NotGranted)
    }
}

/// The kind of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileKind {
    /// A file that is not executable.
    Regular,
    /// A file that its owner may execute.
    Executable,
    /// A symbolic link; its content is its target.
    Symlink,
    /// A git repository within this one, at one commit.
    Submodule,
    /// Anything else: a word for it.
    Other(String),
}

/// A file at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileState {
    /// The kind.
    pub kind: FileKind,
    /// Permissions, without the type.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    /// It is no text.
    pub binary: bool,
    /// The id that git has for its content, or a submodule's commit; none where the content was not kept.
    pub object_id: Option<String>,
}

/// One changed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedFile {
    /// The path.
    pub path: String,
    /// The path before, for a renamed one.
    pub previous_path: Option<String>,
    /// The state before the job; none if the path did not exist.
    pub before: Option<FileState>,
    /// The state after the job; none if the path is gone.
    pub after: Option<FileState>,
    /// It is in one of the job's allowed directories.
    pub allowed: bool,
}

/// A command check that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The check's name.
    pub name: String,
    /// Program and arguments; a shell line as `sh -c LINE`.
    pub argv: Vec<String>,
    /// None: ended by a signal, or never started.
    pub exit_code: Option<i32>,
    /// Took too long.
    pub timed_out: bool,
    /// The time it took, in milliseconds.
    pub wall_ms: u64,
    /// Bytes of its output that can be read.
    pub output_size: u64,
}

/// A moment of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The state before the job.
    Before,
    /// The state that the job left.
    After,
}

/// A line of a changed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedLine {
    /// Counted from 1, in the file at that moment.
    pub number: u64,
    /// Without its end.
    pub text: Vec<u8>,
}

/// Some of the changed lines of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinePage {
    /// In the order of the file.
    pub lines: Vec<ChangedLine>,
    /// There are further ones.
    pub more: bool,
}

impl LinePage {
    /// The cost of a line of a page besides its text: the record, and what allocators add.
    const LINE: usize = 32;

    /// The first of these lines that together have about `max_bytes`, and at least one.
    ///
    /// # Errors
    /// [`ReadError::TooLarge`] when the first line alone is longer than one read may give.
    pub fn of<'a>(
        lines: impl Iterator<Item = (u64, &'a [u8])>,
        max_bytes: u32,
    ) -> Result<Self, ReadError> {
        let mut page = LinePage::default();
        let mut left = u64::from(max_bytes).min(Limits::READ);
        for (number, text) in lines {
            let cost = (text.len() + Self::LINE) as u64;
            if cost > left && !page.lines.is_empty() {
                page.more = true;
                break;
            }
            if text.len() as u64 > Limits::READ {
                return Err(ReadError::TooLarge(Limits::READ));
            }
            left = left.saturating_sub(cost);
            page.lines.push(ChangedLine {
                number,
                text: text.to_vec(),
            });
        }
        Ok(page)
    }
}

/// The reason why a check cannot read something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// It is not there.
    NotFound,
    /// The check may not see it.
    NotGranted,
    /// It is longer than one read may give; the limit in bytes.
    TooLarge(u64),
    /// It could not be read, or was not kept; a clause.
    Other(String),
}

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Should be looked at.
    Warning,
    /// Fails the check.
    Error,
}

/// Something that a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable id.
    pub rule: String,
    /// The severity.
    pub severity: Severity,
    /// The place.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub place: Option<Location>,
    /// The message.
    pub message: String,
    /// The remedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The fixes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fixes: Vec<Fix>,
    /// Further places that belong to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Location>,
    /// The description of the rule: a URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Anything else about it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
}

impl Finding {
    /// A finding of which no more is known.
    pub fn new(rule: String, severity: Severity, message: String) -> Self {
        Finding {
            rule,
            severity,
            place: None,
            message,
            hint: None,
            fixes: Vec::new(),
            related: Vec::new(),
            link: None,
            properties: BTreeMap::new(),
        }
    }

    /// The file that it is in.
    pub fn path(&self) -> Option<&str> {
        self.place.as_ref().map(|place| place.path.as_str())
    }

    /// The line that it begins on.
    pub fn line(&self) -> Option<u32> {
        self.place.as_ref()?.line
    }
}

/// A place in a file. Lines and columns are counted from 1, columns in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Location {
    /// The file.
    pub path: String,
    /// The first line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The first column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The last line, where it is not the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_line: Option<u32>,
    /// The last column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_column: Option<u32>,
}

/// The right text for a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fix {
    /// The place.
    pub place: Location,
    /// The text.
    pub text: String,
}

/// The verdict of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not hold.
    Failed,
    /// There is nothing for it to judge; why.
    NotApplicable(String),
}

/// The report of a check about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Failed also where a finding is an error.
    pub outcome: Outcome,
    /// A few words for the result line.
    pub summary: String,
    /// The first findings.
    pub findings: Vec<Finding>,
    /// The number of findings beyond those.
    pub more: u64,
    /// The number of findings that do not count, since the operator suppresses their rules.
    pub suppressed: u64,
}

impl Report {
    /// Returns true if the check did not fail.
    pub fn is_passed(&self) -> bool {
        self.outcome != Outcome::Failed
    }

    /// Leaves out the findings of these rules. A check that failed by them alone has passed; one that found more than is
    /// kept has not, because what is only counted may be of another rule.
    pub(crate) fn suppress(&mut self, rules: &[String]) {
        let errors = |findings: &[Finding]| {
            let mut severities = findings.iter().map(|finding| finding.severity);
            severities.any(|severity| severity == Severity::Error)
        };
        let (before, failed_by_findings) = (self.findings.len(), errors(&self.findings));
        self.findings
            .retain(|finding| !rules.contains(&finding.rule));
        self.suppressed = (before - self.findings.len()) as u64;
        if failed_by_findings && !errors(&self.findings) && self.more == 0 {
            self.outcome = Outcome::Passed;
            self.summary.clear();
        }
    }
}

/// The receiver of a check's findings while it runs. It keeps so many of them and so much text, and counts the rest.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    findings: Vec<Finding>,
    bytes: u64,
    more: u64,
    failing: bool,
}

impl Sink {
    /// Takes a finding, and answers its number, where it is kept.
    pub(crate) fn add(&mut self, finding: Finding) -> Option<usize> {
        self.failing |= finding.severity == Severity::Error;
        if self.findings.len() == Limits::FINDINGS {
            self.more += 1;
            return None;
        }
        self.bytes += (finding.rule.len() + finding.message.len()) as u64;
        self.findings.push(finding);
        Some(self.findings.len() - 1)
    }

    /// Adds something of so many bytes to a finding.
    pub(crate) fn with(&mut self, number: usize, bytes: usize, act: impl FnOnce(&mut Finding)) {
        self.bytes += bytes as u64;
        if let Some(finding) = self.findings.get_mut(number) {
            act(finding);
        }
    }

    /// Bytes of text that it was given.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Findings that it still keeps.
    pub(crate) fn remaining(&self) -> usize {
        Limits::FINDINGS - self.findings.len()
    }

    /// The report with this verdict, which a finding of severity error tightens.
    pub(crate) fn report(self, outcome: Outcome, summary: String) -> Report {
        Report {
            outcome: if self.failing {
                Outcome::Failed
            } else {
                outcome
            },
            summary,
            findings: self.findings,
            more: self.more,
            suppressed: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn suppressed_rules_do_not_fail_a_check_and_are_counted() {
        let finding =
            |rule: &str, severity| Finding::new(rule.to_owned(), severity, "words".to_owned());
        let todo = || finding("todo", Severity::Error);
        let print = || finding("print", Severity::Error);
        let note = || finding("note", Severity::Note);
        for (findings, more, outcome, passes, suppressed) in [
            (vec![todo(), note()], 0, Outcome::Failed, true, 1),
            (vec![todo(), print()], 0, Outcome::Failed, false, 1),
            // What is only counted may be anything.
            (vec![todo()], 1, Outcome::Failed, false, 1),
            // Failed for a reason that is no finding.
            (vec![note()], 0, Outcome::Failed, false, 0),
            (vec![note()], 0, Outcome::Passed, true, 0),
        ] {
            let mut sink = Sink::default();
            findings.clone().into_iter().for_each(|finding| {
                sink.add(finding);
            });
            let mut report = sink.report(outcome, "words".to_owned());
            report.more = more;
            report.suppress(&["todo".to_owned()]);
            assert_eq!(report.is_passed(), passes, "{findings:?}");
            assert_eq!(report.suppressed, suppressed, "{findings:?}");
        }
    }

    #[test]
    fn a_page_has_about_as_much_as_was_asked_for_and_at_least_a_line() {
        let texts: [&[u8]; 3] = [b"first", &[b'x'; 200], b"last"];
        let lines = || {
            let numbered = texts.iter().enumerate();
            numbered.map(|(at, text)| (at as u64 + 1, *text))
        };
        for (max_bytes, skip, numbers, more) in [
            (1000, 0, vec![1, 2, 3], false),
            (300, 0, vec![1, 2], true),
            (0, 0, vec![1], true),
            (0, 1, vec![2], true),
            (0, 2, vec![3], false),
            (0, 3, vec![], false),
            (u32::MAX, 0, vec![1, 2, 3], false),
        ] {
            let page = LinePage::of(lines().skip(skip), max_bytes).unwrap();
            let given: Vec<_> = page.lines.iter().map(|line| line.number).collect();
            assert_eq!((given, page.more), (numbers, more), "{max_bytes} {skip}");
        }
        let long = vec![b'x'; usize::try_from(Limits::READ).unwrap() + 1];
        let behind = [(1, b"short".as_slice()), (2, &long)];
        assert!(LinePage::of(behind.into_iter(), u32::MAX).unwrap().more);
        assert_eq!(
            LinePage::of(behind.into_iter().skip(1), u32::MAX),
            Err(ReadError::TooLarge(Limits::READ))
        );
    }
}
