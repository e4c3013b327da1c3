//! The whole thing for a newcomer: a small repository with a failing test, a gateway that plays a script, the real
//! Claude Code, and the evidence that Codex would see. No key, no account.
//!
//! The tests drive the same pieces, so what the demo shows is what they prove.

pub mod gateway;
pub mod install;
pub mod loopback;
pub mod mcp_client;
