//! The adapter with the components that speak gateways' dialects, and the adapter as a program of its own.

#[path = "adapter/double.rs"]
#[allow(dead_code, reason = "the gateway's own suite uses the rest")]
mod double;
#[path = "adapter/message.rs"]
#[allow(dead_code, reason = "the gateway's own suite uses the rest")]
mod message;

#[path = "adapter/alone.rs"]
mod alone;
#[path = "adapter/dialects.rs"]
mod components;
#[path = "adapter/plugins.rs"]
mod plugins;

use crate::plugin_platform::guests;
