//! Supervision and confinement of everything a job starts: the agent and the check commands.
//!
//! A task never runs as a direct child. [`spawn`] starts this program once more as a small helper (`__init`), which
//! owns the task's whole process tree: where the kernel lets it, as pid 1 of a PID namespace with a `/proc` of its own,
//! so that the end of the helper, or of the runner, is the end of every process in it, by the kernel's hand; elsewhere
//! as the subreaper of the tree, which it ends in bounded rounds. The helper and the runner talk over one socket, whose
//! end also tells the helper that the runner is gone. What the task may touch is a Landlock allowlist, see
//! [`Confinement`].
//!
//! When the main process of a task ends, everything else of it is ended too: exit is not EOF, and a daemon that keeps
//! the output open must not hold the job.

mod helper;
mod lines;
mod output;
mod protocol;
mod running;
mod sys;
mod toolchains;
mod tree;
mod workload;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use helper::init_main;
pub use lines::{Line, Lines};
pub use output::Output;
pub use running::{Handle, Running, spawn};
pub use settings::SandboxMode;
pub use toolchains::{Toolchains, toolchains};
pub use tree::{ProcessIdentity, adopt_strays, end_recorded, identity, sweep, terminate_recorded};
pub use workload::Workload;

/// The hidden subcommand under which the helper runs.
pub const INIT_SUBCOMMAND: &str = "__init";

/// The variable that marks every process of a task, for sweeps where the kernel has no PID namespaces for us.
pub const MARK_VARIABLE: &str = "WORKER_PROCESS_MARK";

/// A program to run: nothing of the caller's environment is passed on but what stands here.
#[derive(Debug, Clone)]
pub struct Command {
    /// A path, or a name that is looked up in the `PATH` of `env`.
    pub program: OsString,
    /// Its arguments, without the program's own name.
    pub args: Vec<OsString>,
    /// Where it runs.
    pub cwd: PathBuf,
    /// Its whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// What it reads.
    pub stdin: Stdin,
    /// What it may touch.
    pub confinement: Confinement,
}

/// What a task reads from its standard input.
#[derive(Debug, Clone, Default)]
pub enum Stdin {
    /// `/dev/null`.
    #[default]
    Null,
    /// These bytes, then the end.
    Bytes(Vec<u8>),
}

/// What a task may touch, beyond the system's own folders (which it may always read).
#[derive(Debug, Clone)]
pub struct Confinement {
    /// How much of it must be had.
    pub mode: SandboxMode,
    /// Files and folders it may read and execute.
    pub read: Vec<PathBuf>,
    /// Files and folders it may also change. Where one is the top of a repository, git's configuration and hooks in it
    /// stay read-only: the user's own git would run what they say.
    pub write: Vec<PathBuf>,
    /// A folder of the task's own for temporary files; writable, and it stands in for `/tmp` and `/var/tmp` where mount
    /// namespaces can be had. What is named above and lies beneath those stays where it is, and is all that is seen of them.
    pub temp: Option<PathBuf>,
    /// Whether it may use the network.
    pub network: Network,
}

impl Confinement {
    /// No confinement at all, with the network on.
    pub fn off() -> Self {
        Self {
            mode: SandboxMode::Off,
            read: Vec::new(),
            write: Vec::new(),
            temp: None,
            network: Network::On,
        }
    }
}

/// Whether a task may use the network. `Off` is a network namespace with nothing but a loopback of its own; where that
/// cannot be had the task is refused, whatever the sandbox mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// The machine's network.
    #[default]
    On,
    /// A loopback of its own only.
    Off,
}

/// How the main process of a task ended. Exactly one of the two is set, and neither when the helper itself was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The exit code.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl Exit {
    /// Whether it ended by itself with code 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exit code {code}"),
            (None, Some(signal)) => write!(f, "signal {signal}"),
            (None, None) => f.write_str("killed together with its supervisor"),
        }
    }
}

/// How politely a task is ended: SIGINT to the main process group, then SIGTERM to the whole tree, then SIGKILL.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    /// How long after SIGINT; zero leaves SIGINT out.
    pub interrupt: Duration,
    /// How long after SIGTERM; zero leaves SIGTERM out.
    pub terminate: Duration,
}

impl Ending {
    /// The graces for an agent: Claude Code cleans up its own children on SIGINT within 0.2 s and prints a result.
    pub const AGENT: Self = Self {
        interrupt: Duration::from_secs(5),
        terminate: Duration::from_secs(2),
    };
    /// The graces for a check that ran out of time.
    pub const CHECK: Self = Self {
        interrupt: Duration::from_millis(500),
        terminate: Duration::from_secs(2),
    };
    /// At once.
    pub const NOW: Self = Self {
        interrupt: Duration::ZERO,
        terminate: Duration::ZERO,
    };
}

/// How a task really ran: one word for the result, and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// The word in the result.
    pub word: LevelWord,
    /// What was had and what was not, and why not.
    pub detail: Vec<String>,
    /// Whether file access was held by Landlock.
    pub files_confined: bool,
    /// Whether the processes had a PID namespace of their own.
    pub own_pids: bool,
}

/// One word for how a task ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LevelWord {
    /// Neither.
    Unconfined,
    /// One of the two.
    Partial,
    /// A PID namespace of its own and a Landlock allowlist.
    Confined,
}

impl LevelWord {
    /// The word in the result.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confined => "confined",
            Self::Partial => "partial",
            Self::Unconfined => "unconfined",
        }
    }
}

impl std::fmt::Display for LevelWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What this machine offers, found out by running something under it.
#[derive(Debug, Clone, Serialize)]
pub struct Capabilities {
    /// How a task runs here with `WORKER_SANDBOX=auto`.
    pub level: Level,
    /// Why not, when a probe itself failed.
    pub problem: Option<String>,
}

/// Finds out what this machine offers, by running `true` confined.
pub async fn probe() -> Capabilities {
    let run = async {
        let task = spawn(Command {
            program: "true".into(),
            args: Vec::new(),
            cwd: "/".into(),
            env: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
            stdin: Stdin::Null,
            confinement: Confinement {
                mode: SandboxMode::Auto,
                ..Confinement::off()
            },
        })
        .await?;
        let level = task.level().clone();
        task.wait().await;
        Ok::<_, ProcessError>(level)
    };
    match run.await {
        Ok(level) => Capabilities {
            level,
            problem: None,
        },
        Err(error) => Capabilities {
            level: Level {
                word: LevelWord::Unconfined,
                detail: Vec::new(),
                files_confined: false,
                own_pids: false,
            },
            problem: Some(error.to_string()),
        },
    }
}

/// Why a task could not be started. Nothing of it runs then.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The helper could not be started or did not answer.
    #[error("cannot start the process helper: {0}")]
    Helper(String),
    /// The program does not exist, or is not executable.
    #[error("cannot run {program}: {reason}")]
    Exec {
        /// The program as it was asked for.
        program: String,
        /// The system's reason.
        reason: String,
        /// Whether there is no such program (else it cannot be executed).
        not_found: bool,
    },
    /// WORKER_SANDBOX=required, and the kernel does not offer it.
    #[error("WORKER_SANDBOX=required, but this machine cannot confine a job: {0}")]
    Confinement(String),
    /// The network was to be off, and that cannot be had.
    #[error("`network: off` cannot be had on this machine: {0}")]
    Network(String),
}
