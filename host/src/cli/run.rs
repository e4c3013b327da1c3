//! `run`: the runner, one process a job.

use std::process::ExitCode;

use super::GlobalOptions;
use crate::job::runner;

/// Runs what the front assigned, to its end.
pub(super) fn run(global: &GlobalOptions) -> ExitCode {
    match global.settings() {
        Ok(settings) => runner::main(settings),
        Err(code) => code,
    }
}
