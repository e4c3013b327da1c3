//! What a check works on: a job, and the report about it.

use serde::Serialize;

use crate::Limits;

/// What a check may know about one job. Paths are relative to the job's working directory, with `/`; a change elsewhere
/// begins with `../`; bytes that are not UTF-8 appear escaped, and the same text reads the file.
pub trait Snapshot: Send + Sync {
    /// The job's id.
    fn id(&self) -> String;

    /// What was asked for.
    fn task(&self) -> String;

    /// Every changed file, ordered by path.
    fn changed(&self) -> Vec<ChangedFile>;

    /// The command checks that ran before, in order.
    fn commands(&self) -> Vec<Command>;

    /// Bytes of the whole unified diff.
    fn diff_size(&self) -> u64;

    /// Lines of a changed file that the job added or removed, those behind the line `after` (0: from the first one on).
    /// [`LinePage::of`] makes a page.
    ///
    /// # Errors
    /// [`ReadError::NotGranted`] for a file that did not change, [`ReadError::Io`] when its content was not kept.
    fn changed_lines(
        &self,
        path: &str,
        side: Side,
        after: u64,
        max_bytes: u32,
    ) -> Result<LinePage, ReadError>;

    /// Unified diff of one file, or of all: whole, or not at all.
    ///
    /// # Errors
    /// [`ReadError::NotFound`] when the file did not change, [`ReadError::TooLarge`] when the diff has more than
    /// [`Limits::READ`](crate::Limits::READ) bytes.
    fn diff(&self, path: Option<&str>) -> Result<String, ReadError>;

    /// At most `len` bytes of a changed file as it is now, from `offset`; fewer at its end.
    ///
    /// # Errors
    /// [`ReadError::NotGranted`] for a file that did not change.
    fn read(&self, path: &str, offset: u64, len: u32) -> Result<Vec<u8>, ReadError>;

    /// The same of the file as it was before the job; a renamed file under either name.
    ///
    /// # Errors
    /// [`ReadError::NotFound`] when it was not there before.
    fn read_base(&self, path: &str, offset: u64, len: u32) -> Result<Vec<u8>, ReadError>;

    /// At most `len` bytes of what a command of [`Snapshot::commands`] printed.
    ///
    /// # Errors
    /// [`ReadError::NotFound`] when there is no such command.
    fn read_output(
        &self,
        command: usize,
        which: Output,
        offset: u64,
        len: u32,
    ) -> Result<Vec<u8>, ReadError>;

    /// The agent's own last message.
    fn agent_message(&self) -> String {
        String::new()
    }

    /// Files of the tree that match a glob and that git does not ignore, sorted, at most 10,000. The engine filters them
    /// by the plugin's grant.
    ///
    /// # Errors
    /// [`ReadError::Io`] when the tree cannot be read.
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

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It is new.
    Added,
    /// Its bytes changed.
    Modified,
    /// It is gone.
    Deleted,
    /// It has another name, and perhaps other bytes.
    Renamed,
    /// It was a file and is a link, or so.
    TypeChanged,
    /// Only its mode changed.
    ModeChanged,
}

/// One changed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedFile {
    /// Its path.
    pub path: String,
    /// What happened.
    pub change: Change,
    /// Its name before, for a renamed one.
    pub previous_path: Option<String>,
    /// Bytes now; 0 when it is gone.
    pub size: u64,
    /// Has no text diff.
    pub binary: bool,
    /// Lies in one of the job's allowed directories.
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
    /// How long it took.
    pub wall_ms: u64,
    /// Bytes of standard output that can be read.
    pub stdout_size: u64,
    /// Bytes of standard error that can be read.
    pub stderr_size: u64,
}

/// Which of a command's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A side of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Lines that were not there before the job.
    Added,
    /// Lines that are not there any more.
    Removed,
}

/// A line of a changed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedLine {
    /// Counted from 1, in the file after the job for an added line, before it for a removed one.
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
    /// What a line of a page costs besides its text: the record, and what allocators add.
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

/// Why a check cannot read something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// It is not there.
    NotFound,
    /// The check may not see it.
    NotGranted,
    /// It is longer than one read may give; the limit in bytes.
    TooLarge(u64),
    /// It could not be read; a clause.
    Io(String),
}

/// How bad a finding is.
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
    /// How bad it is.
    pub severity: Severity,
    /// In which file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// On which line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// What it is.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What a check says about a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// False also where a finding is an error.
    pub passed: bool,
    /// A few words for the result line.
    pub summary: String,
    /// What it found.
    pub findings: Vec<Finding>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

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
