//! What the program does, told through its binary and through the crates that it is made of.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod checks;
mod cli;
mod dialects;
mod jobs;
mod mcp_surface;
mod plugin_platform;
mod redaction;
