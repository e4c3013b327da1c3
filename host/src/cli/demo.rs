//! `mcp-codex-worker demo`.

use std::process::ExitCode;

use clap::Args;

use super::terminal::complain;
use super::{GlobalOptions, exit};
use demo::console::Console;
use demo::{self, DemoError, Options};

/// The arguments of `demo`.
#[derive(Debug, Clone, Args)]
pub(super) struct DemoArguments {
    /// Use the configured gateway, and spend its tokens, instead of the scripted one
    #[arg(long)]
    live: bool,
    /// Keep the demo's folder: the repository, the job store, the metrics
    #[arg(long)]
    keep: bool,
}

/// Shows the demo; 0 when the job was completed as it should be.
pub(super) fn run(global: &GlobalOptions, arguments: &DemoArguments) -> ExitCode {
    let settings = match global.settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let options = Options {
        live: arguments.live,
        keep: arguments.keep,
    };
    match demo::run(options, &settings, &mut Console::stdout()) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(error) => {
            complain(format_args!("mcp-codex-worker: {error}"));
            ExitCode::from(match error {
                DemoError::NoGateway(_) => exit::USAGE,
                DemoError::Interrupted => exit::LEFT,
                _ => exit::FAILED,
            })
        }
    }
}
