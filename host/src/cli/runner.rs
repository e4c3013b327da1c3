//! `__runner`: the runner, one process a job. Hidden: the front starts it and hands it its job over inherited handles.

use std::process::ExitCode;

use clap::Args;

use super::GlobalOptions;
use job::runner::{self, Origin};

/// The arguments of `__runner`.
#[derive(Debug, Args)]
pub(super) struct RunnerArguments {
    /// Take up a job that waited for its turn
    #[arg(long)]
    waited: bool,
    /// End it: that was asked while it waited
    #[arg(long, requires = "waited")]
    ended: bool,
}

/// Runs what the front assigned, to its end.
pub(super) fn run(global: &GlobalOptions, arguments: &RunnerArguments) -> ExitCode {
    let origin = match arguments.waited {
        true => Origin::Queue {
            ended: arguments.ended,
        },
        false => Origin::Front,
    };
    match global.settings() {
        Ok(settings) => runner::main(settings, origin),
        Err(code) => code,
    }
}
