//! Processes under control: started, watched, ended, and kept from what they were not given.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

extern crate mcp_codex_worker_process as process;

mod confinement;
mod processes;
