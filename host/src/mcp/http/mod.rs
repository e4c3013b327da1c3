//! MCP over HTTP: one process, many clients (streamable HTTP, by rmcp, behind a gate of our own).
//!
//! What rmcp does not know stands before it: who the caller is ([`Tokens`]), what a frame may be (the same rules as over
//! stdio), whose a session is, and how many connections there may be.

mod gate;
mod listener;
mod sessions;
mod tls;
mod tokens;

pub use listener::{HttpError, HttpOptions, HttpServer, PATH};
pub use tls::TlsError;
pub use tokens::{TokenError, Tokens};
