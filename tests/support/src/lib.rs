//! Gateway double, repository builder and client drivers for the host's tests.
//!
//! Everything here is for tests, so it panics with the reason where a test could not go on anyway.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod checkout;
pub mod clients;
pub mod codex;
pub mod registry;
pub mod repository;
pub mod stand_in;
pub mod wait;
pub mod worker;

/// The gateway double: the demo's scripted gateway with every fault it can play.
pub use demo::gateway;

pub use checkout::Checkout;
pub use codex::Codex;
pub use demo::mcp_client::McpClient;
pub use registry::Registry;
pub use repository::Repository;
pub use stand_in::StandIn;
pub use wait::{wait_for, wait_for_file};
pub use worker::Worker;
