//! What a job is asked to do, after every argument was checked.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::settings::{Isolation, PermissionMode};

/// A checked job, as the front hands it to the runner over a pipe. Raw working material: it is never stored as it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// The task in the planner's words.
    pub prompt: String,
    /// Directories the agent may change, resolved beneath SANDBOX_ROOT; the first one is the working directory.
    pub allowed_dirs: Vec<PathBuf>,
    /// The gateway's model for this job.
    pub model: Option<String>,
    /// What Claude Code may do without asking.
    pub permission_mode: PermissionMode,
    /// Whether the result carries the diff.
    pub include_diff: bool,
    /// The part of the tree that the change must stay in.
    pub scoped_patch: Option<ScopedPatch>,
    /// What must pass for the job to be `completed`.
    pub checks: Vec<CheckSpec>,
    /// `Some(true)`: no change is a failure; `Some(false)`: a reading job; `None`: no change is a failure only where
    /// checks or a scope were given.
    pub expect_changes: Option<bool>,
    /// The whole job from `preparing` to the end of verification, in milliseconds.
    pub timeout_ms: u64,
    /// How often failing evidence goes back to the agent.
    pub auto_revise: AutoRevise,
    /// Where the job works.
    pub isolation: Isolation,
    /// The commit an isolated job starts from; HEAD when absent.
    pub base: Option<String>,
    /// Whether an isolated job starts with the checkout's uncommitted work in it.
    pub include_dirty: bool,
    /// The finished job whose session and tree this one goes on in.
    pub resume_job_id: Option<String>,
    /// Caps that the adapter enforces.
    pub budget: Budget,
}

/// The part of the tree that a change must stay in.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopedPatch {
    /// Files, directories and globs, relative to the working directory.
    pub paths: Vec<String>,
    /// Caps the returned diff, in bytes; never a verdict.
    pub max_diff_bytes: Option<u64>,
    /// What happens to files changed outside `paths`.
    #[serde(default)]
    pub on_violation: OnViolation,
}

/// What happens to files changed outside the scope.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnViolation {
    /// The job fails and the files stay as the agent left them.
    #[default]
    Fail,
    /// The job fails and exactly those files are put back.
    Revert,
}

/// One thing that must hold when the agent is done.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CheckSpec {
    /// A command that must exit with 0.
    Command(CommandCheck),
    /// A check component.
    Plugin(PluginCheck),
}

impl CheckSpec {
    /// The name in the result line.
    pub fn name(&self) -> &str {
        match self {
            Self::Command(check) => &check.name,
            Self::Plugin(check) => &check.name,
        }
    }
}

/// A command that must exit with 0.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandCheck {
    /// The name in the result line; unique in a job.
    pub name: String,
    /// What runs.
    pub command: CommandLine,
    /// Milliseconds until its process tree is ended.
    pub timeout_ms: u64,
    /// Relative to the working directory; the working directory itself when absent.
    #[serde(default)]
    pub cwd: Option<PathBuf>,
    /// Further variables.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Whether it may use the network.
    #[serde(default = "on")]
    pub network: bool,
}

fn on() -> bool {
    true
}

/// A shell string, or a program with its arguments.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CommandLine {
    /// Run by `sh -c`.
    Shell(String),
    /// Run as it is.
    Argv(Vec<String>),
}

/// A check component with its settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginCheck {
    /// The name in the result line; the plugin's own name when none was given.
    pub name: String,
    /// The plugin's name.
    pub plugin: String,
    /// Its settings for this job.
    #[serde(default)]
    pub settings: Value,
}

/// How often failing evidence goes back to the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoRevise {
    /// 0 to 5.
    pub max_passes: u32,
}

/// Caps that the adapter enforces for one job.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Input and output tokens together.
    pub max_tokens_total: Option<u64>,
    /// US dollars by the prices in the settings.
    pub max_cost_usd: Option<f64>,
    /// Model turns of one agent pass.
    pub max_turns: Option<u32>,
}
