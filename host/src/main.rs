//! The `mcp-codex-worker` binary.

use std::process::ExitCode;

use mcp_codex_worker::Build;

/// Named here and not in the library, since the crate that names the commit is compiled again at each.
const BUILD: Build = Build {
    // A packager's word, for a build of a tree without .git, or of one with changes.
    commit: match option_env!("WORKER_COMMIT") {
        Some(commit) if !commit.is_empty() => commit,
        _ => commit::commit!(),
    },
    target: env!("WORKER_TARGET"),
};

fn main() -> ExitCode {
    mcp_codex_worker::cli::main(BUILD)
}
