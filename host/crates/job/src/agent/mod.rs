//! One pass of Claude Code over a job's tree: found, started, watched, ended and judged.
//!
//! The facts about Claude Code's command line, events and endings that this module relies on were measured with
//! 2.1.197; what other versions lack is found by asking them once, see [`Claude::locate`].

mod claude;
pub(crate) mod events;
mod invocation;
mod judgement;
mod permissions;
mod transcript;

use crate::end_cause::EndCause;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::private_home;
use process::{
    self, Command, Confinement, Exit, Level, Line, Lines, ProcessError, Running, Stdin, Workload,
};
use settings::{PermissionMode, Profile, Secret};
use workspace::GitIdentity;

pub use claude::Claude;
pub use events::{AgentEvent, Denial};
pub(crate) use invocation::question;
pub use permissions::{AllowedTools, allowed_tools};

use events::{Interpreter, ResultEvent};

/// A line of stream-json can hold a whole file (`tool_use_result.originalFile`); beyond this it is read over.
const LINE_LIMIT: usize = 64 << 20;
/// How much of the raw events is kept in a file.
const RAW_LOG_LIMIT: u64 = 64 << 20;
/// How much of the end of standard error is kept for a message.
const STDERR_TAIL: usize = 4 << 10;
/// How long Claude Code may take to exit once it has closed its output.
const EXIT_LIMIT: Duration = Duration::from_secs(15);

/// Everything one pass needs.
#[derive(Debug, Clone)]
pub struct AgentRun {
    /// The Claude Code to run.
    pub claude: Claude,
    /// How much of its own apparatus is loaded; falls back to slim where `--bare` is unknown.
    pub profile: Profile,
    /// The task, or in a resumed session what is to be done next.
    pub prompt: String,
    /// What a resumed session began with, where that is known: told again when its transcript has lost it.
    pub began_with: Option<String>,
    /// AGENTS.md / CLAUDE.md of the base, bounded by the caller. Given to the agent as data, where a session begins.
    pub instructions: Option<String>,
    /// Where it works; a resumed session must have the same.
    pub work_dir: PathBuf,
    /// Further directories it may change.
    pub additional_dirs: Vec<PathBuf>,
    /// Its HOME, of this job alone. Made when missing.
    pub home: PathBuf,
    /// Whether the user's cargo packages are linked into HOME.
    pub cargo_packages: bool,
    /// The name under which git commits there.
    pub git_identity: GitIdentity,
    /// Its folder for temporary files. Made when missing.
    pub temp: PathBuf,
    /// A new session, or one that goes on.
    pub session: Session,
    /// The job's adapter.
    pub adapter_url: String,
    /// The token that is good for this job and this adapter only.
    pub adapter_token: Secret,
    /// The name for `claude --model`, for its local validation only (CLAUDE_CODE_MODEL).
    pub model_name: String,
    /// What it may do without asking.
    pub permission_mode: PermissionMode,
    /// Permission rules, see [`allowed_tools`].
    pub allowed_tools: AllowedTools,
    /// Whether ALLOW_BYPASS_PERMISSIONS is set.
    pub allow_bypass: bool,
    /// At most so many model turns.
    pub max_turns: Option<u32>,
    /// The longest reply, in tokens, that the model is known to give.
    pub max_output: Option<u32>,
    /// What it may touch. Its HOME, its temporary folder, its own program and the toolchains found are added here.
    pub confinement: Confinement,
    /// Further variables (WORKER_CHECK_ENV); stronger than those found on the machine, weaker than the adapter's.
    pub extra_env: Vec<(OsString, OsString)>,
    /// No event of any kind, and no work of its commands, for this long ends the pass.
    pub stall: Duration,
    /// When the job's time is over.
    pub deadline: Option<Instant>,
    /// Told by whoever sees signs of life elsewhere: the adapter, while an answer streams.
    pub activity: Activity,
    /// Ends the pass when cancelled.
    pub cancel: CancellationToken,
    /// Where the raw events go: working material, never returned.
    pub raw_log: Option<PathBuf>,
}

/// A Claude Code session, by its id (a UUID).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Session {
    /// The first pass of a job.
    New(String),
    /// A later pass: the same HOME and the same working directory are needed.
    Resume(String),
}

impl Session {
    /// A session with a fresh random (version 4) UUID.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn fresh() -> Result<Self, AgentError> {
        let mut bytes = [0u8; 16];
        getrandom::fill(&mut bytes).map_err(|error| AgentError::Setup(error.to_string()))?;
        let mut number = u128::from_be_bytes(bytes);
        number = number & !(0xf << 76) | 0x4 << 76;
        number = number & !(0x3 << 62) | 0x2 << 62;
        let hex = format!("{number:032x}");
        let parts = [0..8, 8..12, 12..16, 16..20, 20..32]
            .map(|range| hex.get(range).unwrap_or_default().to_owned());
        Ok(Self::New(parts.join("-")))
    }

    /// The session's id.
    pub fn id(&self) -> &str {
        match self {
            Self::New(id) | Self::Resume(id) => id,
        }
    }
}

/// The last sign of life of a pass; clones share it.
#[derive(Debug, Clone)]
pub struct Activity(Arc<Mutex<Instant>>);

impl Activity {
    /// Notes a sign of life.
    pub fn touch(&self) {
        if let Ok(mut last) = self.0.lock() {
            *last = Instant::now();
        }
    }

    fn last(&self) -> Instant {
        self.0
            .lock()
            .map_or_else(|poisoned| *poisoned.into_inner(), |last| *last)
    }
}

impl Default for Activity {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

/// What came of a pass.
#[derive(Debug, Clone)]
pub struct AgentOutcome {
    /// How it ended.
    pub ending: Ending,
    /// Model turns.
    pub turns: u32,
    /// The agent's own last words: a claim, never evidence.
    pub last_message: Option<String>,
    /// What it wanted to do and was not allowed to.
    pub denials: Vec<Denial>,
    /// How its process ended.
    pub exit: Exit,
    /// How it was confined.
    pub level: Level,
    /// The session, for a later pass.
    pub session: String,
    /// What the result should say about how it ran: a fallen-back profile, a restricted shell.
    pub notes: Vec<String>,
}

/// How a pass ended. `Success` says that Claude Code is done, not that the task is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Exit code 0, a result event without error, and at least one turn.
    Success,
    /// It failed by itself.
    Failed {
        /// The cause.
        cause: EndCause,
        /// What it said, in a sentence or two.
        message: String,
    },
    /// The cap on turns was hit.
    MaxTurns,
    /// No sign of life for too long.
    Stalled {
        /// The last thing it was seen doing.
        last_step: String,
    },
    /// Cancelled from outside.
    Cancelled,
    /// The job's time was over.
    TimedOut {
        /// The last thing it was seen doing.
        last_step: String,
    },
}

/// Why there was no pass.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// No Claude Code to run.
    #[error(
        "Claude Code was not found ({0}); install it (npm install -g @anthropic-ai/claude-code) or set WORKER_CLAUDE_BIN to its binary"
    )]
    NotFound(String),
    /// It does not answer as Claude Code does.
    #[error("{path} does not work as Claude Code: {reason}")]
    Unusable {
        /// The binary.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The folders of the pass cannot be made.
    #[error("cannot prepare the agent: {0}")]
    Setup(String),
    /// bypassPermissions was asked for without leave.
    #[error("bypassPermissions needs ALLOW_BYPASS_PERMISSIONS=1")]
    BypassForbidden,
    /// The process could not be started.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

/// Runs one pass to its end and tells what happens meanwhile. When this returns nothing of the agent is left running.
///
/// # Errors
/// The pass could not begin. Whatever happens after that is an [`Ending`].
pub async fn run(
    run: AgentRun,
    mut tell: impl FnMut(AgentEvent),
) -> Result<AgentOutcome, AgentError> {
    if run.permission_mode == PermissionMode::BypassPermissions && !run.allow_bypass {
        return Err(AgentError::BypassForbidden);
    }
    let setup = |folder: &std::path::Path, error: std::io::Error| {
        AgentError::Setup(format!("{}: {error}", folder.display()))
    };
    private_home::make_home(&run.home, &run.git_identity)
        .map_err(|error| setup(&run.home, error))?;
    private::make_folder(&run.temp).map_err(|error| setup(&run.temp, error))?;
    let mut raw_log = RawLog::open(run.raw_log.as_deref()).await?;
    let (args, mut notes) = invocation::arguments(&run);
    notes.extend(run.allowed_tools.note.clone());
    let toolchains = process::toolchains(&run.home);
    if run.cargo_packages {
        toolchains.link_packages();
    }
    let mut confinement = run.confinement.clone();
    confinement.read.extend(run.claude.read_paths());
    confinement.read.extend(toolchains.read.iter().cloned());
    confinement.write.push(run.home.clone());
    confinement.temp = Some(run.temp.clone());
    let task = process::spawn(Command {
        program: run.claude.program().into(),
        args,
        cwd: run.work_dir.clone(),
        env: invocation::environment(&run, &toolchains),
        stdin: Stdin::Bytes(invocation::input(&run).into_bytes()),
        confinement,
    })
    .await?;
    run.activity.touch();

    let handle = task.handle();
    let mut work = WorkWatch::of(task.pid(), run.stall);
    let Running { stdout, stderr, .. } = task;
    let stderr = tokio::spawn(tail(stderr));
    let mut lines = Lines::new(stdout, LINE_LIMIT);
    let mut interpreter = Interpreter::new(&run.work_dir);
    let mut watch = Watch {
        stop: None,
        last_step: "starting".into(),
    };
    let mut closed: Option<Instant> = None;
    let exit = loop {
        let stalled_at = run.activity.last() + run.stall;
        let overdue_at = closed.map(|closed| closed + EXIT_LIMIT);
        tokio::select! {
            line = lines.next(), if closed.is_none() => {
                run.activity.touch();
                match line {
                    Ok(Some(line)) => {
                        raw_log.append(&line).await;
                        for event in interpreter.read(&line) {
                            // What it says once it is told to end is not what it was at.
                            if let Some(step) = event.step()
                                && watch.stop.is_none()
                            {
                                watch.last_step = step;
                            }
                            tell(event);
                        }
                    }
                    Ok(None) | Err(_) => closed = Some(Instant::now()),
                }
            }
            exit = handle.wait(), if closed.is_some() => break exit,
            () = run.cancel.cancelled(), if watch.stop.is_none() => watch.end(&handle, Stop::Cancelled),
            () = at(run.deadline), if watch.stop.is_none() => watch.end(&handle, Stop::TimedOut),
            () = tokio::time::sleep_until(stalled_at), if watch.stop.is_none() && closed.is_none() => {
                // The adapter may have seen life in the meantime.
                if run.activity.last() + run.stall <= Instant::now() {
                    watch.end(&handle, Stop::Stalled);
                }
            }
            () = tokio::time::sleep_until(work.next), if watch.stop.is_none() && closed.is_none() => {
                if work.goes_on().await {
                    run.activity.touch();
                }
            }
            () = at(overdue_at), if watch.stop.is_none() => watch.end(&handle, Stop::Lingering),
        }
    };
    let level = handle.level().clone();
    let stderr = stderr.await.unwrap_or_default();
    let result = interpreter.result();
    let ending = judge(watch, exit, result, &stderr);
    Ok(AgentOutcome {
        ending,
        turns: result
            .map_or(0, |result| result.num_turns)
            .max(interpreter.turns()),
        last_message: result
            .and_then(ResultEvent::text)
            .or_else(|| interpreter.last_text()),
        denials: result
            .map(|result| result.denials(&run.work_dir))
            .unwrap_or_default(),
        exit,
        level,
        session: run.session.id().to_owned(),
        notes,
    })
}

/// Looks whether the agent's commands work while nothing is heard of them: a cold build is silent for minutes.
struct WorkWatch {
    helper: u32,
    /// None before the first look: what came before it is the start.
    seen: Option<Workload>,
    seen_at: Instant,
    every: Duration,
    next: Instant,
}

impl WorkWatch {
    /// Four looks within the time after which an agent counts as stalled, so that work that has ended is not taken for
    /// work that goes on much longer than that.
    fn of(helper: u32, stall: Duration) -> Self {
        let every = (stall / 4).clamp(Duration::from_millis(50), Duration::from_secs(15));
        let now = Instant::now();
        Self {
            helper,
            seen: None,
            seen_at: now,
            every,
            next: now + every,
        }
    }

    async fn goes_on(&mut self) -> bool {
        let helper = self.helper;
        let now = tokio::task::spawn_blocking(move || Workload::of(helper))
            .await
            .unwrap_or_default();
        let elapsed = self.seen_at.elapsed();
        let worked = match self.seen.replace(now.clone()) {
            Some(before) => now.has_worked_since(&before, elapsed),
            None => false,
        };
        self.seen_at = Instant::now();
        self.next = self.seen_at + self.every;
        worked
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Cancelled,
    TimedOut,
    Stalled,
    /// It closed its output and stays: what it said still counts.
    Lingering,
}

struct Watch {
    stop: Option<Stop>,
    last_step: String,
}

impl Watch {
    /// Ends the agent while its output is still read: on SIGINT it writes a result event.
    fn end(&mut self, task: &process::Handle, stop: Stop) {
        self.stop = Some(stop);
        let handle = task.clone();
        tokio::spawn(async move { handle.end(process::Ending::AGENT).await });
    }
}

fn judge(watch: Watch, exit: Exit, result: Option<&ResultEvent>, stderr: &str) -> Ending {
    match watch.stop {
        Some(Stop::Cancelled) => Ending::Cancelled,
        Some(Stop::TimedOut) => Ending::TimedOut {
            last_step: watch.last_step,
        },
        Some(Stop::Stalled) => Ending::Stalled {
            last_step: watch.last_step,
        },
        Some(Stop::Lingering) if result.is_some() => judgement::ending(
            Exit {
                code: Some(0),
                signal: None,
            },
            result,
            stderr,
        ),
        Some(Stop::Lingering) | None => judgement::ending(exit, result, stderr),
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn tail(mut output: process::Output) -> String {
    let mut kept = Vec::new();
    let mut chunk = vec![0; 16 << 10];
    while let Ok(read) = output.read(&mut chunk).await {
        if read == 0 {
            break;
        }
        kept.extend_from_slice(chunk.get(..read).unwrap_or_default());
        if kept.len() > STDERR_TAIL {
            kept.drain(..kept.len() - STDERR_TAIL);
        }
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

/// The events as they came, for whoever has to find out what went wrong.
struct RawLog {
    file: Option<tokio::fs::File>,
    left: u64,
}

impl RawLog {
    async fn open(path: Option<&std::path::Path>) -> Result<Self, AgentError> {
        let Some(path) = path else {
            return Ok(Self {
                file: None,
                left: 0,
            });
        };
        let mut options = private::file();
        options.create(true).append(true);
        let file = tokio::fs::OpenOptions::from(options)
            .open(path)
            .await
            .map_err(|error| AgentError::Setup(format!("{}: {error}", path.display())))?;
        Ok(Self {
            file: Some(file),
            left: RAW_LOG_LIMIT,
        })
    }

    async fn append(&mut self, line: &Line) {
        let (Some(file), Line::Whole(bytes)) = (&mut self.file, line) else {
            return;
        };
        let size = bytes.len() as u64 + 1;
        if size > self.left {
            return;
        }
        self.left -= size;
        let mut line = bytes.clone();
        line.push(b'\n');
        // A full disk must not end the pass: the log is a help, not a record.
        if file.write_all(&line).await.is_err() {
            self.left = 0;
        }
    }
}
