//! Working trees: what a job changed in one, trees of a job's own, and paths that must not lead out of a root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

extern crate mcp_codex_worker_workspace as workspace;

mod changes;
mod confinement_paths;
mod field;
mod isolated;
