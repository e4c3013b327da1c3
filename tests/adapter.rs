//! The adapter over HTTP: what a caller and a gateway see of each other.
//!
//! The gateway is a double that writes raw bytes, so that every cut and every oddity of a real one can be played.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

extern crate mcp_codex_worker_gateway as gateway;

#[path = "adapter/double.rs"]
mod double;
#[path = "adapter/message.rs"]
mod message;

#[path = "adapter/errors.rs"]
mod errors;
#[path = "adapter/field.rs"]
mod field;
#[path = "adapter/hostile.rs"]
mod hostile;
#[path = "adapter/json_bodies.rs"]
mod json_bodies;
#[path = "adapter/lessons.rs"]
mod lessons;
#[path = "adapter/request.rs"]
mod request;
#[path = "adapter/routes.rs"]
mod routes;
#[path = "adapter/server.rs"]
mod server;
#[path = "adapter/stream.rs"]
mod stream;
