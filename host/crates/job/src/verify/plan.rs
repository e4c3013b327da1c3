//! The plan of a verification, and the evidence that it starts from.

use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::place::Place;
use super::signals::AgentEvidence;
use crate::checks::{CheckSpec, ScopedPatch};
use workspace::{Base, Changes};

/// The plan of a verification, and its place.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    /// The checks, in the order in which they run and are shown.
    pub checks: &'a [CheckSpec],
    /// The part of the tree that the change must stay in.
    pub scoped_patch: Option<&'a ScopedPatch>,
    /// `Some(true)`: no change is a failure; `Some(false)`: a job that only reads; `None`: no change is a failure only where
    /// the job itself brought checks or a scope.
    pub expect_changes: Option<bool>,
    /// True if the job has a git directory of its own, in the place of the user's or with a tree of its own.
    pub own_git: bool,
    /// The checkout that the job's own tree was made from, where nothing made that tree ready: it may lack dependencies.
    pub bare_copy_of: Option<&'a Path>,
    /// The pass of the agent that is verified, counted from 1: later ones keep their own artifacts.
    pub pass: u32,
    /// The base that the tree is compared with once more after the last command.
    pub base: &'a Base,
    /// The place of the commands.
    pub place: Place,
    /// The end of the job's own time.
    pub deadline: tokio::time::Instant,
    /// Cancelled when the job is to end.
    pub stop: CancellationToken,
    /// The bytes of one check's digest (CHECK_OUTPUT_RESPONSE_MAX).
    pub digest_bytes: usize,
}

/// The evidence that the verdicts are made from.
#[derive(Debug, Clone)]
pub struct Evidence<'a> {
    /// The job, for check components.
    pub job_id: &'a str,
    /// The task of the job.
    pub task: &'a str,
    /// The differences from the base, taken before anything here runs.
    pub changes: Arc<Changes>,
    /// The end of the agent's pass.
    pub agent: AgentEvidence,
    /// The agent's last words, which check components may read: a claim.
    pub agent_message: &'a str,
    /// The cap of the job that was reached, in a sentence.
    pub budget: Option<String>,
}
