//! What wit-bindgen makes of `wit/`, written by `host/crates/bindings`: the imports, and the exports in a module each.
#![allow(missing_docs, unreachable_pub, unused_imports, clippy::all)]

#[rustfmt::skip]
pub mod check;
#[rustfmt::skip]
pub mod dialect;
#[rustfmt::skip]
pub mod imports;
#[rustfmt::skip]
pub mod plugin;
#[rustfmt::skip]
pub mod redactor;
#[rustfmt::skip]
pub mod summarizer;

pub use imports::mcp_codex_worker;
