//! What a check works on: a job, and the report about it.

use serde::Serialize;

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

    /// Unified diff of one file, or of all. The host cuts it at 16 MiB.
    ///
    /// # Errors
    /// [`ReadError::NotFound`] when the file did not change.
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

/// Why a check cannot read something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// It is not there.
    NotFound,
    /// The check may not see it.
    NotGranted,
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
