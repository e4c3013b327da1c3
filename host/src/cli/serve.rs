//! `serve`: MCP over stdin and stdout.

use std::process::ExitCode;

use super::{GlobalOptions, exit};
use crate::mcp;
use crate::telemetry::{self, Style};

/// Serves until the client is gone.
pub(super) fn run(global: &GlobalOptions) -> ExitCode {
    let served = mcp::claim().and_then(|streams| {
        let filter = std::env::var("WORKER_LOG").unwrap_or_default();
        telemetry::init(&filter, Style::Text, None);
        mcp::serve(streams, global.sources())
    });
    match served {
        Ok(()) => ExitCode::from(exit::OK),
        Err(fault) => {
            eprintln!("mcp-codex-worker: cannot serve: {fault}");
            ExitCode::from(exit::FAILED)
        }
    }
}
