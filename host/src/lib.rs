//! `mcp-codex-worker`: delegate coding work from Codex to a background Claude Code job, and verify the result.
//!
//! This crate is the program's outside: commands, MCP and the smoke test. What they do is in the crates below `crates/`.

mod build;
pub mod cli;
pub mod mcp;
mod reason;
pub mod smoke;

pub use build::Build;
