//! The place of a check: the tree, and its room.

use std::ffi::OsString;
use std::sync::Arc;

use super::room::Rooms;
use super::tree::Tree;

/// The place that commands of the host's run in: checks, and the set-up.
#[derive(Debug, Clone)]
pub struct Place {
    /// The tree that they work in.
    pub tree: Tree,
    /// The room of each check, its HOME among it. Not the agent's: what it writes there (`.npmrc`, `.gitconfig`)
    /// would decide what a check runs.
    pub rooms: Arc<Rooms>,
    /// Further variables (WORKER_CHECK_ENV); a check's own win.
    pub extra_env: Vec<(OsString, OsString)>,
}
