//! Checks: what a job did, passed or failed.

use serde::de::DeserializeOwned;

use crate::job::Job;
use crate::settings::Fault;

/// The most findings that the host keeps of one run: a check that has so many looks no further.
pub const MOST_FINDINGS: usize = 1000;

/// A check. [`check!`](crate::check!) makes a component of it.
pub trait Check: Sized {
    /// The settings of the operator and the job; [`NoSettings`](crate::NoSettings) for nothing. Use
    /// `#[serde(deny_unknown_fields)]`, so that a misspelled key is an error and not ignored.
    type Settings: DeserializeOwned;

    /// One line for `plugin list`.
    const SUMMARY: &'static str;

    /// JSON Schema of the settings, if there is one.
    const SCHEMA: Option<&'static str> = None;

    /// Makes the check, or says what is wrong with the settings.
    ///
    /// # Errors
    /// [`Fault::BadSettings`], naming the key.
    fn new(settings: Self::Settings) -> Result<Self, Fault>;

    /// Looks at the job.
    ///
    /// # Errors
    /// A fault means that the check could not be made; the job is then not verified.
    fn run(&self, job: &dyn Job) -> Result<Report, Fault>;
}

/// The verdict of a check.
pub use crate::bindings::check::exports::mcp_codex_worker::check::check::Outcome;
/// The severity of a finding.
pub use crate::bindings::mcp_codex_worker::check::findings::Severity;

/// The answer of a check: the verdict, a few words for the result line, and what it found.
#[derive(Debug, Clone)]
pub struct Report {
    /// The verdict; a finding of severity `error` makes it fail in any case.
    pub outcome: Outcome,
    /// A few words for the result line.
    pub summary: String,
    /// The findings; the host keeps the first 1,000.
    pub findings: Vec<Finding>,
}

/// Something that the check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Stable id such as `no-debug-print`, to count and to suppress by.
    pub rule: String,
    /// The severity.
    pub severity: Severity,
    /// The file, as in [`ChangedFile::path`](crate::ChangedFile).
    pub path: Option<String>,
    /// Counted from 1.
    pub line: Option<u32>,
    /// The last line, where it is another.
    pub end_line: Option<u32>,
    /// The first and the last column, counted from 1, in bytes.
    pub columns: Option<(u32, u32)>,
    /// The message, in one sentence for people and models.
    pub message: String,
    /// The remedy; shown to the model that repairs the job.
    pub hint: Option<String>,
    /// The text that belongs in the place.
    pub fix: Option<String>,
    /// The description of the rule: a URL.
    pub link: Option<String>,
    /// Anything else about it, for programs.
    pub properties: Vec<(String, String)>,
}

impl Report {
    /// Passed, with a few words for the result line.
    pub fn passed(summary: impl Into<String>) -> Self {
        Self::with(Outcome::Passed, summary)
    }

    /// Failed, with a few words for the result line.
    pub fn failed(summary: impl Into<String>) -> Self {
        Self::with(Outcome::Failed, summary)
    }

    /// There is nothing here for this check to judge; why, in a few words.
    pub fn not_applicable(reason: impl Into<String>) -> Self {
        Self::with(Outcome::NotApplicable(reason.into()), "")
    }

    fn with(outcome: Outcome, summary: impl Into<String>) -> Self {
        Report {
            outcome,
            summary: summary.into(),
            findings: Vec::new(),
        }
    }

    /// Returns the outcome of these findings: failed where one of them is an error, with the places of the errors for the result line.
    pub fn of(findings: Vec<Finding>) -> Self {
        let failed = findings
            .iter()
            .any(|finding| finding.severity == Severity::Error);
        Report {
            outcome: if failed {
                Outcome::Failed
            } else {
                Outcome::Passed
            },
            summary: places(&findings),
            findings,
        }
    }

    /// Adds a finding; an error fails the check.
    pub fn add(&mut self, finding: Finding) {
        if finding.severity == Severity::Error {
            self.outcome = Outcome::Failed;
        }
        self.findings.push(finding);
    }

    /// Returns true if the check did not fail.
    pub fn is_passed(&self) -> bool {
        !matches!(self.outcome, Outcome::Failed)
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
            end_line: None,
            columns: None,
            message,
            hint: None,
            fix: None,
            link: None,
            properties: Vec::new(),
        }
    }

    /// Sets the place: a file and a line, counted from 1.
    #[must_use]
    pub fn at(mut self, path: &str, line: usize) -> Self {
        self.path = Some(path.to_owned());
        self.line = u32::try_from(line).ok();
        self
    }

    /// Sets the place: a file as a whole.
    #[must_use]
    pub fn in_file(mut self, path: &str) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    /// To which line it goes, where it has several.
    #[must_use]
    pub fn to_line(mut self, line: usize) -> Self {
        self.end_line = u32::try_from(line).ok();
        self
    }

    /// Sets its columns, counted from 1, in bytes; the last one is within.
    #[must_use]
    pub fn columns(mut self, first: usize, last: usize) -> Self {
        let columns = u32::try_from(first).ok().zip(u32::try_from(last).ok());
        self.columns = columns;
        self
    }

    /// The text that belongs in the place.
    #[must_use]
    pub fn fix(mut self, text: impl Into<String>) -> Self {
        self.fix = Some(text.into());
        self
    }

    /// Sets the URL of the rule's description.
    #[must_use]
    pub fn link(mut self, url: impl Into<String>) -> Self {
        self.link = Some(url.into());
        self
    }

    /// Anything else about it, for programs.
    #[must_use]
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.properties.push((name.into(), value.into()));
        self
    }

    /// Sets the remedy; shown to the model that repairs the job.
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
            impl $crate::bindings::check::exports::mcp_codex_worker::check::check::Guest for Component {
                fn run() -> Result<$crate::glue::WireReport, $crate::Fault> {
                    with_plugin(|plugin| {
                        $crate::Check::run(plugin, &$crate::glue::HostJob).map($crate::glue::put)
                    })
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
