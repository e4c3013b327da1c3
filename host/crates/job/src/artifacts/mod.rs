//! Everything long that a job leaves behind, as redacted files in its folder, read in slices.

mod artifact;
pub mod diff;
mod folder;
mod names;
mod slice;
mod writer;

pub use artifact::{Artifact, ArtifactError};
pub use folder::Artifacts;
pub(crate) use folder::read_file;
pub use names::{
    AGENT_REPORT, CASE, DIFF, IGNORED, PLUGINS, STATEMENT, TRANSCRIPT, check_name, findings_name,
};
pub use slice::Slice;
pub use writer::{ArtifactWriter, MAX_BYTES};
