//! Checks: what a job did, passed or failed.

use serde::de::DeserializeOwned;

pub use crate::bindings::check::exports::worker::plugin::check::{Finding, Report, Severity};
pub use crate::bindings::worker::plugin::job::{
    Change, ChangedFile, ChangedLine, Command, LinePage, Output, ReadError, Side,
};
use crate::settings::Fault;

/// The most bytes that the host gives in one read.
pub(crate) const READ: u32 = 1 << 20;

/// The most findings that the host takes in one report: a check that has so many looks no further.
pub const MOST_FINDINGS: usize = 1000;

/// A check. [`check!`](crate::check!) makes a component of it.
pub trait Check: Sized {
    /// What the operator and the job may set; [`NoSettings`](crate::NoSettings) for nothing. Use
    /// `#[serde(deny_unknown_fields)]`, so that a misspelled key is an error and not ignored.
    type Settings: DeserializeOwned;

    /// One line for `plugin list`.
    const SUMMARY: &'static str;

    /// JSON Schema of the settings, if there is one.
    const SCHEMA: Option<&'static str> = None;

    /// Makes the check, or says what is wrong with the settings.
    ///
    /// # Errors
    /// [`Fault::BadConfig`], naming the key.
    fn new(settings: Self::Settings) -> Result<Self, Fault>;

    /// Looks at the job.
    ///
    /// # Errors
    /// A fault means that the check could not be made; the job is then not verified.
    fn run(&self, job: &dyn Job) -> Result<Report, Fault>;
}

/// What a check may know about a job. The host's in a component, [`testing::FakeJob`](crate::testing::FakeJob) in a
/// native test. All paths are relative to the job's working directory, with `/`.
pub trait Job {
    /// The job's id.
    fn id(&self) -> String;
    /// What was asked for.
    fn task(&self) -> String;
    /// Every changed file, ordered by path.
    fn changed(&self) -> Vec<ChangedFile>;
    /// The commands that ran before this check.
    fn commands(&self) -> Vec<Command>;
    /// Bytes of the whole unified diff.
    fn diff_size(&self) -> u64;
    /// A page of the lines that the job added to a file or removed from it, those behind the line `after_line`;
    /// `job.added(path)` and `job.removed(path)` give all of them one by one.
    ///
    /// # Errors
    /// When the file is not among the changed ones, or cannot be seen.
    fn changed_lines(
        &self,
        path: &str,
        side: Side,
        after_line: u64,
        max_bytes: u32,
    ) -> Result<LinePage, ReadError>;
    /// Unified diff of one file, or of all, up to 16 MiB.
    ///
    /// # Errors
    /// When the file is not among the changed ones, or the diff is longer.
    fn diff(&self, path: Option<&str>) -> Result<String, ReadError>;
    /// At most `len` bytes of a changed file as it is now.
    ///
    /// # Errors
    /// When the file is not among the changed ones.
    fn read(&self, path: &str, offset: u64, len: u32) -> Result<Vec<u8>, ReadError>;
    /// At most `len` bytes of a changed file as it was before the job.
    ///
    /// # Errors
    /// When the file is not among the changed ones, or was not there before.
    fn read_base(&self, path: &str, offset: u64, len: u32) -> Result<Vec<u8>, ReadError>;
    /// At most `len` bytes of what a command printed.
    ///
    /// # Errors
    /// When there is no such command.
    fn read_output(
        &self,
        command: u32,
        which: Output,
        offset: u64,
        len: u32,
    ) -> Result<Vec<u8>, ReadError>;
    /// The agent's last message: a claim, never evidence.
    fn agent_message(&self) -> String;
    /// What stands behind it, for [`files`](crate::files).
    #[doc(hidden)]
    fn backing(&self) -> Backing<'_>;
}

/// What stands behind a [`Job`].
#[doc(hidden)]
pub enum Backing<'a> {
    /// The host's.
    Host(&'a crate::bindings::worker::plugin::job::Snapshot),
    /// One made up for a test.
    Fake(&'a crate::testing::FakeJob),
}

impl dyn Job + '_ {
    /// A changed file as it is now, whole.
    ///
    /// # Errors
    /// When the file is not among the changed ones.
    pub fn bytes(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        whole(|offset| self.read(path, offset, READ))
    }

    /// A changed file as it is now, as text; bytes that are not UTF-8 become `U+FFFD`.
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
        let bytes = whole(|offset| self.read_base(path, offset, READ))?;
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
            ReadError::Io(message) => message,
        })
    }
}

impl Report {
    /// Passed, with a few words for the result line.
    pub fn passed(summary: impl Into<String>) -> Self {
        Report {
            passed: true,
            summary: summary.into(),
            findings: Vec::new(),
        }
    }

    /// Failed, with a few words for the result line.
    pub fn failed(summary: impl Into<String>) -> Self {
        Report {
            passed: false,
            summary: summary.into(),
            findings: Vec::new(),
        }
    }

    /// What these findings make: failed where one of them is an error, with the places of the errors for the result line.
    pub fn of(findings: Vec<Finding>) -> Self {
        Report {
            passed: findings
                .iter()
                .all(|finding| finding.severity != Severity::Error),
            summary: places(&findings),
            findings,
        }
    }

    /// Adds a finding; an error fails the check.
    pub fn add(&mut self, finding: Finding) {
        if finding.severity == Severity::Error {
            self.passed = false;
        }
        self.findings.push(finding);
    }
}

impl Finding {
    /// A finding that fails the check.
    pub fn error(rule: impl Into<String>, message: impl Into<String>) -> Self {
        Self::of(Severity::Error, rule.into(), message.into())
    }

    /// A finding that should be looked at.
    pub fn warning(rule: impl Into<String>, message: impl Into<String>) -> Self {
        Self::of(Severity::Warning, rule.into(), message.into())
    }

    /// A finding that is worth knowing.
    pub fn note(rule: impl Into<String>, message: impl Into<String>) -> Self {
        Self::of(Severity::Note, rule.into(), message.into())
    }

    fn of(severity: Severity, rule: String, message: String) -> Self {
        Finding {
            rule,
            severity,
            path: None,
            line: None,
            message,
            hint: None,
        }
    }

    /// Where: a file and a line, counted from 1.
    #[must_use]
    pub fn at(mut self, path: &str, line: usize) -> Self {
        self.path = Some(path.to_owned());
        self.line = u32::try_from(line).ok();
        self
    }

    /// Where: a file as a whole.
    #[must_use]
    pub fn in_file(mut self, path: &str) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    /// What to do about it; shown to the model that repairs the job.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Makes a check component of a type that implements [`Check`](trait@crate::Check).
#[macro_export]
macro_rules! check {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            $crate::__plugin!($plugin, $crate::Check);
            $crate::__describe!($plugin, $crate::Check);
            impl $crate::bindings::check::exports::worker::plugin::check::Guest for Component {
                fn run(
                    job: &$crate::bindings::worker::plugin::job::Snapshot,
                ) -> Result<$crate::Report, $crate::Fault> {
                    with_plugin(|plugin| $crate::Check::run(plugin, &$crate::glue::HostJob(job)))
                }
            }
    $crate::bindings::check::export!(Component with_types_in $crate::bindings::check);
        };
    };
}

/// The places of findings for a result line, each once: `src/a.rs:2, src/b.rs, +3 more`.
pub fn places(findings: &[Finding]) -> String {
    const SHOWN: usize = 3;
    let mut places: Vec<String> = Vec::new();
    for finding in findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
    {
        let place = match (&finding.path, finding.line) {
            (Some(path), Some(line)) => format!("{path}:{line}"),
            (Some(path), None) => path.clone(),
            (None, _) => finding.message.clone(),
        };
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let more = places.len().saturating_sub(SHOWN);
    places.truncate(SHOWN);
    let shown = places.join(", ");
    if more == 0 {
        shown
    } else {
        format!("{shown}, +{more} more")
    }
}
