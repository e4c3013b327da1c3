//! The `mcp-codex-worker` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    mcp_codex_worker::cli::main()
}
