//! Starting runners: the seam between who starts one and what a runner does.
//!
//! A runner is this same program with the hidden subcommand `__runner`. It inherits the job's locked handle as its standard output, so
//! that the lock has an owner at every moment (D2), gets its assignment over a socket that is its standard input, and answers
//! there. A remote executor would start the same subcommand.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, io};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::analyze::AnalyzeSpec;
use super::id::JobId;
use super::lock::LockGuard;
use super::reading::Reading;
use super::refusal::Refusal;
use super::spec::JobSpec;
use settings::Settings;
use workspace::ApplyHow;

/// The subcommand under which a runner runs.
pub const RUNNER_SUBCOMMAND: &str = "__runner";

/// The time that a runner may take to say that it has its assignment. It compiles the plugins that
/// the job's checks name, where that was never done before.
const READY_TIMEOUT: Duration = Duration::from_secs(120);

/// The longest answer of a runner, in bytes.
const ANSWER_MAX: u64 = 4 << 20;

/// The task of a runner.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub(super) enum Assignment {
    /// Run a job to its end.
    Job {
        /// The job.
        id: JobId,
        /// The arguments.
        spec: Box<JobSpec>,
        /// True if the job ends with whoever started it, see [`AttachGuard`].
        attached: bool,
    },
    /// Answer one question about files.
    Analyze(AnalyzeSpec),
    /// Read a few lines of many files.
    Read(Reading),
    /// Bring the result of an isolated job into the user's checkout.
    Apply {
        /// The job.
        id: JobId,
        /// The way.
        how: ApplyHow,
    },
    /// Say what combining results would meet.
    Preview {
        /// The jobs.
        ids: Vec<JobId>,
    },
}

/// The answer of a short-lived runner. Redacted before it is sent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// The reply to the call.
    Answer(Value),
    /// The reason why it cannot be had.
    Refused(Refusal),
}

/// The reasons for which a runner does not start.
#[derive(Debug, thiserror::Error)]
pub(super) enum LaunchError {
    #[error("the runner could not be started: {0}")]
    Spawn(io::Error),
    #[error("the runner did not take its assignment: {0}")]
    Handover(io::Error),
    #[error(transparent)]
    Refused(Refusal),
}

/// The answer of a runner once it has its assignment, in one line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ready {
    /// The reason why it does not take the job.
    pub(super) error: Option<Refusal>,
}

/// The caller's hold on an attached job. When this is dropped, or its process is gone, however it
/// went, the runner cancels the job: nobody waits for what it would still spend.
#[derive(Debug)]
#[must_use = "dropping it cancels an attached job"]
pub struct AttachGuard {
    _channel: UnixStream,
}

/// Starts the runner of a job, which owns the job from here on. Returns when it has said so.
pub(super) fn start_job(
    settings: &Settings,
    id: JobId,
    spec: JobSpec,
    attached: bool,
    hold: LockGuard,
    log: &Path,
) -> Result<AttachGuard, LaunchError> {
    let lock = hold.file().try_clone().map_err(LaunchError::Spawn)?;
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .map_err(LaunchError::Spawn)?;
    let assignment = Assignment::Job {
        id,
        spec: Box::new(spec),
        attached,
    };
    let (mut child, channel) = spawn(settings, &assignment, Stdio::from(lock), Stdio::from(log))?;
    // Reaped whenever it ends; the job does not depend on this thread or process.
    std::thread::spawn(move || child.wait());
    channel
        .set_read_timeout(Some(READY_TIMEOUT))
        .map_err(LaunchError::Handover)?;
    // One line: the runner of an attached job keeps its end open.
    let mut ready = Vec::new();
    BufReader::new((&channel).take(ANSWER_MAX))
        .read_until(b'\n', &mut ready)
        .map_err(LaunchError::Handover)?;
    match parse_answer::<Ready>(&ready)?.error {
        None => Ok(AttachGuard { _channel: channel }),
        Some(error) => Err(LaunchError::Refused(error)),
    }
}

/// A short-lived runner that answers one question. Dropping it ends the runner, unless it is one that must not be cut
/// short.
pub(super) struct Question {
    child: Child,
    ends_with_caller: bool,
    channel: UnixStream,
}

impl Question {
    /// Starts the runner.
    pub(super) fn ask(settings: &Settings, question: &Assignment) -> Result<Self, LaunchError> {
        let (child, channel) = spawn(settings, question, Stdio::null(), Stdio::inherit())?;
        let ends_with_caller = !matches!(question, Assignment::Apply { .. });
        Ok(Self {
            child,
            ends_with_caller,
            channel,
        })
    }

    /// A handle that ends the runner from elsewhere.
    pub(super) fn hangup(&self) -> io::Result<UnixStream> {
        self.channel.try_clone()
    }

    /// Waits for the answer.
    pub(super) fn answer(mut self) -> Result<Value, Refusal> {
        let answer = read_answer(&mut self.channel).map_err(Refusal::internal)?;
        match serde_json::from_value(answer).map_err(Refusal::internal)? {
            Outcome::Answer(answer) => Ok(answer),
            Outcome::Refused(refusal) => Err(refusal),
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        // A runner whose front hangs up ends by itself; this makes sure.
        let _ = self.channel.shutdown(Shutdown::Both);
        if self.ends_with_caller {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

fn spawn(
    settings: &Settings,
    assignment: &Assignment,
    stdout: Stdio,
    stderr: Stdio,
) -> Result<(Child, UnixStream), LaunchError> {
    let (mut ours, theirs) = UnixStream::pair().map_err(LaunchError::Spawn)?;
    let program = env::current_exe().map_err(LaunchError::Spawn)?;
    let child = Command::new(program)
        .args(settings.sources.arguments())
        .arg(RUNNER_SUBCOMMAND)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(stdout)
        .stderr(stderr)
        // Never the repository: the runner must not hold a folder that the user may want to remove.
        .current_dir("/")
        .spawn()
        .map_err(LaunchError::Spawn)?;
    let assignment =
        serde_json::to_vec(assignment).map_err(|error| LaunchError::Handover(error.into()))?;
    ours.write_all(&assignment)
        .and_then(|()| ours.shutdown(Shutdown::Write))
        .map_err(LaunchError::Handover)?;
    Ok((child, ours))
}

fn read_answer(channel: &mut UnixStream) -> Result<Value, LaunchError> {
    let mut answer = Vec::new();
    channel
        .take(ANSWER_MAX)
        .read_to_end(&mut answer)
        .map_err(LaunchError::Handover)?;
    parse_answer(&answer)
}

fn parse_answer<T: DeserializeOwned>(answer: &[u8]) -> Result<T, LaunchError> {
    serde_json::from_slice(answer).map_err(|_| {
        let ended = io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "it ended before it answered; its log says why",
        );
        LaunchError::Handover(ended)
    })
}
