//! Diagnostics on stderr and the metrics file. stdout belongs to MCP and is never written to from here.

mod log;
mod metrics;

pub use log::{Mask, Style, init};
pub use metrics::MetricsFile;
