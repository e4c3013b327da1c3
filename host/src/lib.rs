//! `mcp-codex-worker`: delegate coding work from Codex to a background Claude Code job, and verify the result.
//!
//! Which module may know which, from the top down and never up: `cli`; `smoke`; `mcp`, `demo`; `job`; `agent`, `report`;
//! `verify`; `artifacts`, `workspace`, `gateway`; `plugins`, `process`; `redact`; `telemetry`; `settings`, `checks`, `text`,
//! `folder`.

pub mod agent;
pub mod artifacts;
pub mod checks;
pub mod cli;
pub mod demo;
pub(crate) mod folder;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod gateway;
pub mod job;
pub mod mcp;
pub mod plugins;
pub mod process;
pub mod redact;
pub mod report;
pub mod settings;
pub mod smoke;
pub mod telemetry;
pub mod text;
pub mod verify;
pub mod workspace;
