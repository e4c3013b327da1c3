//! `completions`: a script that lets a shell complete this program's commands.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, exit};

/// The arguments of `completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArguments {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub(super) fn run(arguments: &CompletionsArguments) -> ExitCode {
    let all = Cli::command();
    // The generators offer hidden subcommands too.
    let mut shown = clap::Command::new("mcp-codex-worker")
        .args(all.get_arguments().cloned())
        .subcommands(
            all.get_subcommands()
                .filter(|command| !command.is_hide_set())
                .cloned(),
        );
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut shown, "mcp-codex-worker", &mut script);
    // Who stops reading wants no more of it.
    let _ = std::io::stdout().write_all(&script);
    ExitCode::from(exit::OK)
}
