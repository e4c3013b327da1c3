//! The plugin platform: what a plugin may cost and may do, how the operator's entries stand beside the bundled ones, and
//! the way of an author from `plugin new` to an installed plugin.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "plugin_platform/authors.rs"]
mod authors;
#[path = "plugin_platform/canary.rs"]
mod canary;
#[path = "plugin_platform/guests.rs"]
pub(crate) mod guests;
#[path = "plugin_platform/job.rs"]
mod job;
#[path = "plugin_platform/jobs.rs"]
mod jobs;
#[path = "plugin_platform/limits.rs"]
mod limits;
#[path = "plugin_platform/operators.rs"]
mod operators;
#[path = "plugin_platform/teams.rs"]
mod teams;
