//! Everything that can be tried in seconds without a network, a key or Claude Code: the MCP server over real stdio, every
//! bundled plugin, the adapter against a scripted gateway, and one whole job with a stand-in for the agent.
//!
//! Nothing here is a double of what it tries: the server is this program's `serve`, the job has a runner, a confined agent
//! and checks; only the model and Claude Code are played.

mod plugins;
mod stand_in;
mod trial;

pub(crate) use stand_in::main as stand_in_main;
pub use trial::{Step, run};
