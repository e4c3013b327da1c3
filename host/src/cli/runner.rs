//! `__runner`: the runner, one process a job. Hidden: the front starts it and hands it its job over inherited handles.

use std::process::ExitCode;

use super::GlobalOptions;
use job::runner;

/// Runs what the front assigned, to its end.
pub(super) fn run(global: &GlobalOptions) -> ExitCode {
    match global.settings() {
        Ok(settings) => runner::main(settings),
        Err(code) => code,
    }
}
