//! Stories with the real Claude Code, the real Codex and Anthropic's own SDKs. Each suite fails where its client is missing.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod agent;
mod demo;
#[path = "adapter/double.rs"]
#[allow(dead_code, reason = "the gateway's own suite uses the rest")]
mod double;
mod judges;
mod mcp_judges;
mod real_clients;
mod sdks;
