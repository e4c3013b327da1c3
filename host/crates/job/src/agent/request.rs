//! The request for one pass: everything it needs, its session, and the sign of life that it shares.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::claude::Claude;
use super::outcome::AgentError;
use super::permissions::AllowedTools;
use gateway::Issued;
use process::Confinement;
use settings::{PermissionMode, Profile, Secret};
use workspace::GitIdentity;

/// Everything one pass needs.
#[derive(Debug, Clone)]
pub struct AgentRun {
    /// The Claude Code to run.
    pub claude: Claude,
    /// The part of Claude Code's own apparatus that is loaded; falls back to slim where `--bare` is
    /// unknown.
    pub profile: Profile,
    /// The task, or in a resumed session what is to be done next.
    pub prompt: String,
    /// The beginning of a resumed session, where that is known: told again when its transcript has
    /// lost it.
    pub began_with: Option<String>,
    /// AGENTS.md / CLAUDE.md of the base, bounded by the caller. Given to the agent as data, where a session begins.
    pub instructions: Option<String>,
    /// The folder in which it works; a resumed session must have the same.
    pub work_dir: PathBuf,
    /// Further directories it may change.
    pub additional_dirs: Vec<PathBuf>,
    /// The HOME, of this job alone. Made when missing.
    pub home: PathBuf,
    /// True if the user's cargo packages are linked into HOME.
    pub cargo_packages: bool,
    /// The name under which git commits there.
    pub git_identity: GitIdentity,
    /// The folder for temporary files. Made when missing.
    pub temp: PathBuf,
    /// A new session, or one that goes on.
    pub session: Session,
    /// The job's adapter.
    pub adapter_url: String,
    /// The token that is good for this job and this adapter only.
    pub adapter_token: Secret,
    /// The name for `claude --model`, for its local validation only (CLAUDE_CODE_MODEL).
    pub model_name: String,
    /// The mode: things it may do without asking.
    pub permission_mode: PermissionMode,
    /// Permission rules, see [`allowed_tools`](super::allowed_tools).
    pub allowed_tools: AllowedTools,
    /// True if ALLOW_BYPASS_PERMISSIONS is set.
    pub allow_bypass: bool,
    /// At most so many model turns.
    pub max_turns: Option<u32>,
    /// The longest reply, in tokens, that the model is known to give.
    pub max_output: Option<u32>,
    /// The files and networks it may touch. Its HOME, its temporary folder, its own program and the
    /// toolchains found are added here.
    pub confinement: Confinement,
    /// Further variables (WORKER_CHECK_ENV); stronger than those found on the machine, weaker than the adapter's.
    pub extra_env: Vec<(OsString, OsString)>,
    /// No event of any kind, and no work of its commands, for this long ends the pass.
    pub stall: Duration,
    /// The end of the job's time.
    pub deadline: Option<Instant>,
    /// Told by whoever sees signs of life elsewhere: the adapter, while an answer streams.
    pub activity: Activity,
    /// What the model said, by the adapter's account.
    pub issued: Issued,
    /// Ends the pass when cancelled.
    pub cancel: CancellationToken,
    /// The file of the raw events: working material, never returned.
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
        let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
        Ok(Self::New(id.to_string()))
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

    /// Returns when that was.
    pub(super) fn last(&self) -> Instant {
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
