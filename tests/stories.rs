//! The behaviour of the program, through its binary and through the crates that it is made of.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod checks;
mod cli;
mod dialects;
mod jobs;
mod mcp_http;
mod mcp_surface;
mod mcp_tasks;
mod plugin_platform;
mod redaction;
