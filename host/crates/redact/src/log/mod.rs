//! Diagnostics on stderr and in the log file, and the metrics file. stdout belongs to MCP and is never written to from
//! here.

mod file;
mod metrics;
mod subscriber;

pub use file::moved_aside;
pub use metrics::MetricsFile;
pub use subscriber::{CONTEXT, Log, Mask, init};
