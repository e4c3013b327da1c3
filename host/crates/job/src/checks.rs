//! The conditions that hold when the agent is done, as they were asked for: checks and the scope,
//! after every rule was checked.
//!
//! Their source (a job's arguments, the operator's configuration) is for `job` to say; what they come to is for
//! `verify`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The part of the tree that a change must stay in.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopedPatch {
    /// Files, directories and globs, relative to the working directory.
    pub paths: Vec<String>,
    /// Caps the returned diff, in bytes; never a verdict.
    pub max_diff_bytes: Option<u64>,
    /// The treatment of files changed outside `paths`.
    #[serde(default)]
    pub on_violation: OnViolation,
}

/// The treatment of files changed outside the scope.
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

/// The party that wants a check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The job itself.
    #[default]
    Job,
    /// The operator, for jobs that bring no list of their own.
    Default,
    /// The operator, of every job.
    Required,
}

impl CheckSpec {
    /// The party that wants it.
    pub fn origin(&self) -> Origin {
        match self {
            Self::Command(check) => check.origin,
            Self::Plugin(check) => check.origin,
        }
    }

    /// Says who wants it.
    pub fn set_origin(&mut self, origin: Origin) {
        match self {
            Self::Command(check) => check.origin = origin,
            Self::Plugin(check) => check.origin = origin,
        }
    }

    /// Gives it another name.
    pub fn set_name(&mut self, name: String) {
        match self {
            Self::Command(check) => check.name = name,
            Self::Plugin(check) => check.name = name,
        }
    }

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
    /// The command.
    pub command: CommandLine,
    /// Milliseconds until its process tree is ended.
    pub timeout_ms: u64,
    /// Relative to the working directory; the working directory itself when absent.
    #[serde(default)]
    pub cwd: Option<PathBuf>,
    /// Further variables.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// True if it may use the network.
    #[serde(default = "on")]
    pub network: bool,
    /// The number of times that a failed command is run again, on the same tree. Two different
    /// outcomes are flaky, never a pass.
    #[serde(default = "once")]
    pub retries: u32,
    /// A file that the command leaves with what it found (JUnit XML, TAP, JSON), relative to where it runs: explains a
    /// failure instead of the output.
    #[serde(default)]
    pub report: Option<PathBuf>,
    /// True if it must fail on the base, so that it proves the change.
    #[serde(default)]
    pub fails_without_change: bool,
    /// The party that wants it.
    #[serde(default)]
    pub origin: Origin,
}

fn on() -> bool {
    true
}

fn once() -> u32 {
    CommandCheck::RETRIES
}

impl CommandCheck {
    /// A check of a job that says no more than what runs.
    pub fn new(name: &str, command: CommandLine, timeout_ms: u64) -> Self {
        Self {
            name: name.to_owned(),
            command,
            timeout_ms,
            cwd: None,
            env: BTreeMap::new(),
            network: true,
            retries: Self::RETRIES,
            report: None,
            fails_without_change: false,
            origin: Origin::Job,
        }
    }

    /// The number of times that a failed command is run again where the check does not say.
    pub const RETRIES: u32 = 1;
    /// The most that a check can say.
    pub const MOST_RETRIES: u32 = 3;
}

/// A shell string, or a program with its arguments.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CommandLine {
    /// Run by `bash -c`, or by `sh -c` where there is no bash.
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
    /// The settings for this job.
    #[serde(default)]
    pub settings: Value,
    /// The party that wants it.
    #[serde(default)]
    pub origin: Origin,
}
