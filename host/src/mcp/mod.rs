//! MCP over stdio and HTTP: the tools as a planner sees them, and the glue to `job`.
//!
//! This is the front (D1): it forwards. It compiles no plugin, calls no gateway and holds no job, so any number of copies
//! may run at the same time and each may be killed at any time.

mod caller;
mod frame;
mod help;
pub mod http;
mod least_call;
mod message;
mod parent;
mod reply;
mod server;
mod stdio;
pub mod tasks;
mod tools;

pub use frame::{ARRAY_MAX, DEPTH_MAX, FRAME_MAX};
pub use server::{Ready, ServeError, serve, serve_http};
pub use stdio::{Streams, claim};
pub use tools::{INSTRUCTIONS, SURFACE_TOKENS, tools};
