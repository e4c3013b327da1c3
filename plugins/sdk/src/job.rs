//! The job that a check looks at: the types of the interface `job`, and the trait that is the host's job in a component and
//! a made-up one in a test. It is its own file, so that checks and their tests need each other in one direction only.

pub use crate::bindings::mcp_codex_worker::check::job::{
    ChangedFile, ChangedLine, Command, FileKind, FileState, LinePage, Moment, ReadError,
};
use crate::settings::Fault;

/// The most bytes that the SDK asks for in one read.
pub(crate) const READ: u32 = 1 << 20;

/// The facts about a job that a check may read. The host's in a component, [`testing::FakeJob`](crate::testing::FakeJob) in a
/// native test. All paths are relative to the job's working directory, with `/`.
pub trait Job {
    /// The job's id.
    fn id(&self) -> String;
    /// Returns the task of the job.
    fn task(&self) -> String;
    /// Every changed file, ordered by path.
    fn changed(&self) -> Vec<ChangedFile>;
    /// The commands that ran before this check.
    fn commands(&self) -> Vec<Command>;
    /// A page of the lines of a changed file that are there at one moment only, those behind the line `after_line`;
    /// `job.added(path)` and `job.removed(path)` give all of them one by one.
    ///
    /// # Errors
    /// When the file is not among the changed ones, or cannot be seen.
    fn changed_lines(
        &self,
        path: &str,
        moment: Moment,
        after_line: u64,
        max_bytes: u32,
    ) -> Result<LinePage, ReadError>;
    /// Unified diff of one file, or of all, up to 16 MiB.
    ///
    /// # Errors
    /// When the file is not among the changed ones, or the diff is longer.
    fn diff(&self, path: Option<&str>) -> Result<Vec<u8>, ReadError>;
    /// At most `max_bytes` of a changed file at one moment.
    ///
    /// # Errors
    /// When there is no such file at that moment among the changed ones.
    fn read(
        &self,
        path: &str,
        moment: Moment,
        offset: u64,
        max_bytes: u32,
    ) -> Result<Vec<u8>, ReadError>;
    /// At most `max_bytes` of what a command printed, standard output and standard error as one stream.
    ///
    /// # Errors
    /// When there is no such command.
    fn read_output(&self, command: u32, offset: u64, max_bytes: u32) -> Result<Vec<u8>, ReadError>;
    /// The agent's last message: a claim, never evidence.
    fn agent_message(&self) -> String;
    /// The tree behind a made-up job, for [`files`](crate::files); a component asks the host.
    #[doc(hidden)]
    fn tree(&self) -> Option<&dyn Tree> {
        None
    }
}

/// The files of a made-up job.
#[doc(hidden)]
pub trait Tree {
    /// Paths that match a glob, sorted.
    fn find(&self, glob: &str) -> Vec<String>;
    /// A piece of a file.
    ///
    /// # Errors
    /// When there is no such file.
    fn read(&self, path: &str, offset: u64, max_bytes: u32) -> Result<Vec<u8>, ReadError>;
}

impl dyn Job + '_ {
    /// A changed file as it is after the job, whole.
    ///
    /// # Errors
    /// When the file is not among the changed ones.
    pub fn bytes(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        whole(|offset| self.read(path, Moment::After, offset, READ))
    }

    /// A changed file as it is after the job, as text; bytes that are not UTF-8 become `U+FFFD`.
    ///
    /// # Errors
    /// When the file is not among the changed ones.
    pub fn text(&self, path: &str) -> Result<String, ReadError> {
        Ok(text_of(self.bytes(path)?))
    }

    /// A changed file as it was before the job, whole.
    ///
    /// # Errors
    /// When the file is not among the changed ones, or was not there before.
    pub fn base_text(&self, path: &str) -> Result<String, ReadError> {
        let bytes = whole(|offset| self.read(path, Moment::Before, offset, READ))?;
        Ok(text_of(bytes))
    }
}

/// Bytes as text; what is not UTF-8 becomes `U+FFFD`. Copies nothing where all is.
pub(crate) fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Reads piece by piece until a piece is short.
pub(crate) fn whole(
    mut read: impl FnMut(u64) -> Result<Vec<u8>, ReadError>,
) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    loop {
        let piece = read(bytes.len() as u64)?;
        let last = piece.len() < READ as usize;
        bytes.extend(piece);
        if last {
            return Ok(bytes);
        }
    }
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        Fault::Failed(match error {
            ReadError::NotFound => "a file that the check asked for is not there".to_owned(),
            ReadError::NotGranted => "the check asked for a file that it may not read".to_owned(),
            ReadError::TooLarge(limit) => format!("a read may give at most {limit} bytes"),
            ReadError::Other(message) => message,
        })
    }
}

/// The change of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was not there before.
    Added,
    /// The content is different.
    Modified,
    /// It is gone.
    Deleted,
    /// It has another path, and perhaps another content.
    Renamed,
    /// It was a file and is a link, or the other way round, or something else entirely.
    TypeChanged,
    /// Only its permissions are others.
    ModeChanged,
}

impl ChangedFile {
    /// Returns the change.
    pub fn change(&self) -> Change {
        match (&self.before, &self.after) {
            (None, _) => Change::Added,
            (Some(_), None) => Change::Deleted,
            _ if self.previous_path.is_some() => Change::Renamed,
            (Some(before), Some(after)) if before.is_file() != after.is_file() => {
                Change::TypeChanged
            }
            (Some(before), Some(after))
                if before.mode != after.mode
                    && before.object_id.is_some()
                    && before.object_id == after.object_id =>
            {
                Change::ModeChanged
            }
            _ => Change::Modified,
        }
    }

    /// Returns true if it was not there before.
    pub fn is_added(&self) -> bool {
        self.before.is_none()
    }

    /// Returns true if it is gone.
    pub fn is_deleted(&self) -> bool {
        self.after.is_none()
    }

    /// Returns true if it is no text, before or after the job.
    pub fn is_binary(&self) -> bool {
        let binary = |state: &Option<FileState>| state.as_ref().is_some_and(|state| state.binary);
        binary(&self.before) || binary(&self.after)
    }

    /// Bytes after the job; 0 when it is deleted.
    pub fn size(&self) -> u64 {
        self.after.as_ref().map_or(0, |state| state.size)
    }
}

impl FileState {
    /// Returns true if it is a file with content of its own, executable or not.
    pub fn is_file(&self) -> bool {
        matches!(self.kind, FileKind::Regular | FileKind::Executable)
    }
}
