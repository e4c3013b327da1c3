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

#[path = "adapter/double.rs"]
mod double;
#[path = "adapter/message.rs"]
mod message;

#[path = "adapter/alone.rs"]
mod alone;
#[path = "adapter/dialects.rs"]
mod dialects;
#[path = "adapter/errors.rs"]
mod errors;
#[path = "plugin_platform/guests.rs"]
mod guests;
#[path = "adapter/hostile.rs"]
mod hostile;
#[path = "adapter/plugins.rs"]
mod plugins;
#[path = "adapter/request.rs"]
mod request;
#[path = "adapter/routes.rs"]
mod routes;
#[path = "adapter/sdks.rs"]
mod sdks;
#[path = "adapter/server.rs"]
mod server;
#[path = "adapter/stream.rs"]
mod stream;
