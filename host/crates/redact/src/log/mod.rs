//! Diagnostics on stderr and in the log file, and the metrics file. stdout belongs to MCP and is never written to from
//! here.

mod file;
mod log;
mod metrics;

pub use file::moved_aside;
pub use log::{CONTEXT, Log, Mask, init};
pub use metrics::MetricsFile;
