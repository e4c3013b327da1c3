//! The verdicts of the checks, and their causes.

use crate::end_cause::EndCause;
use std::fmt;

use serde::Serialize;

use redact::{Redacted, Redactor, text};

/// The name of the scope's line in the result.
pub const SCOPE_LINE: &str = "scoped_patch";

/// The outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It was tried and does not hold.
    Failed,
    /// It could not be tried. Never a pass.
    Errored,
    /// It did not end in its time, and was ended.
    TimedOut,
    /// It failed and passed on the same tree. Never a pass.
    Flaky,
    /// It was left out because something before it made it pointless. Never a pass.
    NotRun,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Errored => "errored",
            Self::TimedOut => "timed out",
            Self::Flaky => "flaky",
            Self::NotRun => "not run",
        })
    }
}

/// The reason why a check did not pass. Its text is what stands in the result line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cause {
    /// The command ended by itself, with this code.
    #[error("exit code {code}{}", exit_code_note(*.code))]
    ExitCode {
        /// 1 to 255.
        code: i32,
    },
    /// The command ended by itself, with this code and with the failures that it had before the agent began.
    #[error("exit code {code}; failed before too, with the same failures")]
    AsBefore {
        /// 1 to 255.
        code: i32,
    },
    /// The command passed, and its output does not tell how many tests ran, which it told before the change.
    #[error("exit code 0, but it tells of no test that ran, as it did before the change")]
    NoTestTold,
    /// Something ended the command from outside.
    #[error("killed by signal {signal}{}", signal_note(*.signal))]
    Signal {
        /// The signal's number.
        signal: i32,
    },
    /// The command did not end in time; its whole process tree was ended.
    #[error("after {}", seconds(*.after_ms))]
    TimedOut {
        /// The limit.
        after_ms: u64,
    },
    /// The job's own time ended while the command ran.
    #[error("the job's time was up")]
    JobTimedOut,
    /// There is no such program.
    #[error("program not found: {program}")]
    NotFound {
        /// The program as given.
        program: String,
    },
    /// There is such a file, but it may not be run.
    #[error("not executable: {program}")]
    NotExecutable {
        /// The program as given.
        program: String,
    },
    /// The directory to run in is not there (any more), or not in the tree.
    #[error("no directory {cwd} to run in")]
    NoDirectory {
        /// The directory as given.
        cwd: String,
    },
    /// It failed, and passed when it was run again on the same tree.
    #[error("{failed} of {runs} runs on the same files failed")]
    Flaky {
        /// The number of runs.
        runs: u32,
        /// The number of failures.
        failed: u32,
    },
    /// It was to fail without the change, and passes there too.
    #[error("it passes without the change too, so it proves nothing")]
    ProvesNothing,
    /// It was to fail without the change, and could not be run there.
    #[error("it could not be run without the change")]
    NoBefore,
    /// The system did not start it.
    #[error("could not be started: {message}")]
    NotStarted {
        /// The system's message.
        message: String,
    },
    /// A check component found something.
    #[error("{summary}")]
    Findings {
        /// The component's few words.
        summary: String,
    },
    /// A check component is missing, broke down, or ran over a limit.
    #[error("{message}")]
    Plugin {
        /// One sentence: which plugin, what happened, what to do.
        message: String,
    },
    /// The job ran, and nothing is changed where a change was asked for.
    #[error("no change was made")]
    NoChange,
    /// Files outside the allowed directories were changed.
    #[error("{}", listed(.paths))]
    OutsideAllowedDirs {
        /// Those files.
        paths: Vec<String>,
    },
    /// Files were made unreadable: a check that cannot read what it is about may pass.
    #[error("made unreadable: {}", listed(.paths))]
    MadeUnreadable {
        /// Those files and folders.
        paths: Vec<String>,
    },
    /// The repository's own state was changed: commits, branches, `.git`, hooks, configuration.
    #[error("{}", listed(.what))]
    GitChanged {
        /// The parts, in words.
        what: Vec<String>,
    },
    /// A file that a check runs was changed by the job, so that the check no longer says what it was asked to say.
    #[error("the job changed {}", listed(.paths))]
    CheckScriptChanged {
        /// Those files.
        paths: Vec<String>,
    },
    /// The checks changed what the agent had left, so that they proved something else than what was shown.
    #[error("the checks changed {}, so what they proved is not what the agent left", listed(.paths))]
    ChecksChangedTheWork {
        /// Those files.
        paths: Vec<String>,
    },
    /// Somebody else changed what the agent had left while the checks ran.
    #[error("{} changed while the checks ran, so what they proved is not what is there", listed(.paths))]
    WorkChangedMeanwhile {
        /// Those files.
        paths: Vec<String>,
    },
    /// The checks wrote where the job may not.
    #[error("the checks wrote outside the scope: {}", listed(.paths))]
    ChecksWroteOutside {
        /// Those files.
        paths: Vec<String>,
    },
    /// The agent stopped without success.
    #[error("{message}")]
    Agent {
        /// The cause.
        cause: EndCause,
        /// One sentence.
        message: String,
    },
    /// The agent was refused what it asked for, and nothing else vouches for its work.
    #[error("refused: {}", listed(.tools))]
    Denied {
        /// The tools, with their targets.
        tools: Vec<String>,
    },
    /// A cap of the job was reached.
    #[error("{message}")]
    Budget {
        /// The message.
        message: String,
    },
    /// It was left out.
    #[error("{reason}")]
    NotRun {
        /// The reason.
        reason: String,
    },
}

fn exit_code_note(code: i32) -> String {
    match code {
        126 => ": found but not executable".to_owned(),
        127 => ": command not found".to_owned(),
        // A shell reports its child's signal this way. 124 is what timeout(1) says: the command's own limit, not ours.
        129..=165 => format!(
            ": killed by signal {}{}",
            code - 128,
            signal_note(code - 128)
        ),
        _ => String::new(),
    }
}

fn signal_note(signal: i32) -> &'static str {
    match signal {
        1 => " (SIGHUP)",
        2 => " (SIGINT)",
        3 => " (SIGQUIT)",
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL, often: out of memory)",
        11 => " (SIGSEGV)",
        13 => " (SIGPIPE)",
        15 => " (SIGTERM)",
        24 => " (SIGXCPU)",
        25 => " (SIGXFSZ)",
        31 => " (SIGSYS)",
        _ => "",
    }
}

fn seconds(ms: u64) -> String {
    if ms.is_multiple_of(1000) {
        format!("{} s", ms / 1000)
    } else {
        format!("{ms} ms")
    }
}

/// A few of many, so that a result line stays a line.
pub fn listed<T: fmt::Display>(items: &[T]) -> String {
    const SHOWN: usize = 5;
    let shown = items
        .iter()
        .take(SHOWN)
        .map(T::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    match items.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown}, +{more} more"),
    }
}

impl Cause {
    /// Returns the outcome of a check with this cause.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::TimedOut { .. } | Self::JobTimedOut => Outcome::TimedOut,
            Self::NotFound { .. }
            | Self::NotExecutable { .. }
            | Self::NoDirectory { .. }
            | Self::NotStarted { .. }
            | Self::NoBefore
            | Self::Plugin { .. } => Outcome::Errored,
            Self::NotRun { .. } => Outcome::NotRun,
            Self::Flaky { .. } => Outcome::Flaky,
            _ => Outcome::Failed,
        }
    }

    /// Returns true if another run on the same tree may end otherwise. What ran out of time has had its time.
    pub(super) fn is_worth_a_retry(&self) -> bool {
        match self {
            Self::ExitCode { code } => !matches!(code, 126 | 127),
            Self::Signal { .. } => true,
            _ => false,
        }
    }

    /// Returns true if the agent could do something about it in another pass. Not where the host or the caller must act, and
    /// not where the evidence itself was tampered with.
    pub fn is_for_the_agent(&self) -> bool {
        match self {
            Self::ExitCode { code } => !matches!(code, 126 | 127),
            Self::Signal { .. }
            | Self::TimedOut { .. }
            | Self::Findings { .. }
            | Self::ProvesNothing
            | Self::NoTestTold
            | Self::NoChange
            | Self::OutsideAllowedDirs { .. }
            | Self::MadeUnreadable { .. }
            | Self::CheckScriptChanged { .. }
            | Self::Denied { .. } => true,
            Self::Agent { cause, .. } => *cause == EndCause::MaxTurns,
            Self::JobTimedOut
            | Self::NotFound { .. }
            | Self::NotExecutable { .. }
            | Self::NoDirectory { .. }
            | Self::NotStarted { .. }
            | Self::Plugin { .. }
            | Self::GitChanged { .. }
            | Self::Flaky { .. }
            | Self::NoBefore
            | Self::AsBefore { .. }
            | Self::ChecksChangedTheWork { .. }
            | Self::WorkChangedMeanwhile { .. }
            | Self::ChecksWroteOutside { .. }
            | Self::Budget { .. }
            | Self::NotRun { .. } => false,
        }
    }
}

/// One check, after it was tried.
#[derive(Debug, Clone, Serialize)]
pub struct CheckVerdict {
    /// The check's name.
    pub name: String,
    /// The outcome.
    pub outcome: Outcome,
    /// A few words for the result line; empty where the outcome says all.
    pub summary: Redacted,
    /// The reason why it did not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// The digest that explains a failure, cut to the budget of a reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Redacted>,
    /// The name of the artifact that holds its whole output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact: Option<String>,
    /// Milliseconds that it took.
    pub duration_ms: u64,
    /// The files that a check component found fault with, relative to the working directory.
    #[serde(skip)]
    pub found_in: Vec<String>,
    /// The output of its command told how many tests ran.
    #[serde(skip)]
    pub told_totals: bool,
}

impl CheckVerdict {
    /// The line in the result: `unit tests: failed (exit code 1)`.
    pub fn line(&self) -> String {
        match self.summary.trim() {
            "" => self.bare_line(),
            summary => format!("{} ({})", self.bare_line(), text::escaped_line(summary)),
        }
    }

    /// The line where its reason stands elsewhere: `agent: failed`.
    pub fn bare_line(&self) -> String {
        format!("{}: {}", text::escaped_line(&self.name), self.outcome)
    }

    /// Returns true if it holds.
    pub fn passed(&self) -> bool {
        self.outcome == Outcome::Passed
    }
}

/// The verdicts of one verification, in the order in which the checks were given.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub struct Verdicts {
    /// One for each check, and one for each result signal that says something.
    pub checks: Vec<CheckVerdict>,
}

impl Verdicts {
    /// Returns true if every single one passed. Nothing checked at all counts as passed: the result then shows no check.
    pub fn passed(&self) -> bool {
        self.checks.iter().all(CheckVerdict::passed)
    }

    /// Those that did not pass.
    pub fn failing(&self) -> impl Iterator<Item = &CheckVerdict> {
        self.checks.iter().filter(|check| !check.passed())
    }

    /// The lines of the result.
    pub fn lines(&self) -> Vec<String> {
        self.checks.iter().map(CheckVerdict::line).collect()
    }
}

/// A verdict that needed no run.
pub(super) fn made(name: &str, cause: Cause, redactor: &Redactor) -> CheckVerdict {
    CheckVerdict {
        name: name.to_owned(),
        outcome: cause.outcome(),
        summary: redactor.text(&text::escaped_line(&text::one_line(
            &cause.to_string(),
            300,
        ))),
        cause: Some(cause),
        digest: None,
        artifact: None,
        duration_ms: 0,
        found_in: Vec::new(),
        told_totals: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_words_of_its_own() {
        let paths = |count: usize| (0..count).map(|n| format!("f{n}")).collect::<Vec<_>>();
        let rows = [
            Cause::ExitCode { code: 1 },
            Cause::ExitCode { code: 124 },
            Cause::ExitCode { code: 126 },
            Cause::ExitCode { code: 127 },
            Cause::ExitCode { code: 137 },
            Cause::AsBefore { code: 1 },
            Cause::NoTestTold,
            Cause::Signal { signal: 11 },
            Cause::Signal { signal: 40 },
            Cause::TimedOut { after_ms: 600_000 },
            Cause::TimedOut { after_ms: 1500 },
            Cause::JobTimedOut,
            Cause::NotFound {
                program: "npm".into(),
            },
            Cause::NotExecutable {
                program: "./run".into(),
            },
            Cause::NoDirectory { cwd: "web".into() },
            Cause::NotStarted {
                message: "out of processes".into(),
            },
            Cause::Findings {
                summary: "2 files outside: a, b".into(),
            },
            Cause::NoChange,
            Cause::OutsideAllowedDirs { paths: paths(7) },
            Cause::MadeUnreadable {
                paths: vec!["src/a.py".into()],
            },
            Cause::GitChanged {
                what: vec!["HEAD moved".into()],
            },
            Cause::CheckScriptChanged {
                paths: vec!["run-tests.sh".into()],
            },
            Cause::ChecksChangedTheWork {
                paths: vec!["src/a.py".into()],
            },
            Cause::ChecksWroteOutside {
                paths: vec!["docs/x.md".into()],
            },
            Cause::Denied {
                tools: vec!["Bash (curl)".into()],
            },
        ];
        let shown: Vec<_> = rows
            .iter()
            .map(|cause| {
                let revise = if cause.is_for_the_agent() {
                    "agent"
                } else {
                    "-"
                };
                format!("{} ({cause}) {revise}", cause.outcome())
            })
            .collect();
        insta::assert_snapshot!(shown.join("\n"));
    }
}
