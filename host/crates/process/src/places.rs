//! What a task finds in the place of a folder of the machine's.

use std::path::PathBuf;

/// A layer over a folder, for one task at a time. It needs a view: where none can be had, or the file system takes no
/// layer, the task is not started ([`ProcessError::Layer`](crate::ProcessError::Layer)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The folder, one of those that may be written, or the place of a stand-in; the task sees it at this path.
    pub folder: PathBuf,
    /// Receives what the task writes, in the kernel's form (overlayfs with `userxattr`).
    pub upper: PathBuf,
    /// An empty folder on the same file system, for the kernel.
    pub work: PathBuf,
    /// Lies between the two: what is a whiteout in it, the task does not see.
    pub cover: Option<PathBuf>,
}

/// A folder that a task finds at the path of another, which it does not see. It needs a view: where none can be had, the
/// task is not started ([`ProcessError::StandIn`](crate::ProcessError::StandIn)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandIn {
    /// The path, without links.
    pub at: PathBuf,
    /// The folder that is found there.
    pub folder: PathBuf,
    /// True if the task may write it.
    pub write: bool,
}
