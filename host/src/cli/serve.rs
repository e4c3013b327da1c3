//! `serve`: MCP over stdin and stdout.

use std::process::ExitCode;

use super::GlobalOptions;

/// Serves until the client is gone.
pub(super) fn run(_global: &GlobalOptions) -> ExitCode {
    ExitCode::SUCCESS
}
