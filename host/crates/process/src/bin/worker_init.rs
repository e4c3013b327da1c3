//! The helper of supervised processes as a program of its own, for the tests of this crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    mcp_codex_worker_process::init_main(std::env::args_os().skip(1)).unwrap_or(ExitCode::from(64))
}
