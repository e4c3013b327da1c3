//! `update --check`: what is newer, and how the user gets it. It asks one address, and changes nothing.

mod installed;
mod release;

use std::process::ExitCode;

use clap::Args;
use semver::Version;
use serde_json::json;

use super::terminal::{Terminal, Tone, complain};
use super::{GlobalOptions, exit};
use crate::Build;
use installed::Installed;
use release::ReleaseError;
use settings::Settings;

/// The arguments of `update`.
#[derive(Debug, Args)]
#[command(after_help = "\
Asks WORKER_UPDATE_URL and nothing else, and sends nothing but the version in User-Agent.
Exit code: 0 it was answered, 1 it was not, 2 without --check.")]
pub(super) struct UpdateArguments {
    /// Say what is newer and how to get it
    #[arg(long)]
    check: bool,
    /// Ask this address: npm's registry (.../mcp-codex-worker/latest) or GitHub's (.../releases/latest)
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Asks and says.
pub(super) fn run(global: &GlobalOptions, arguments: &UpdateArguments, build: &Build) -> ExitCode {
    if !arguments.check {
        complain(format_args!(
            "mcp-codex-worker: it does not update itself: `mcp-codex-worker update --check` says what is newer and how to get it"
        ));
        return ExitCode::from(exit::USAGE);
    }
    let settings = match global.settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    match check(&settings, arguments, build) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(error) => {
            complain(format_args!("mcp-codex-worker: {error}"));
            ExitCode::from(exit::FAILED)
        }
    }
}

fn check(
    settings: &Settings,
    arguments: &UpdateArguments,
    build: &Build,
) -> Result<(), ReleaseError> {
    let mut terminal = Terminal::stdout();
    let installed = Installed::of_this_program();
    if !arguments.json {
        terminal.line(format!("mcp-codex-worker {}", build.line()));
        terminal.line(format!("installed by {installed}"));
    }
    let url = arguments.url.as_deref().unwrap_or(&settings.update_url);
    let newest = release::newest(url)?;
    let own = Version::parse(Build::VERSION).map_err(ReleaseError::Own)?;
    // Builds of one version are not told apart: what is behind a + has no order.
    let newer = newest.cmp_precedence(&own).is_gt();
    let how = installed.how_to_get(&newest);
    if arguments.json {
        let answer = json!({
            "version": Build::VERSION,
            "commit": build.commit,
            "target": build.target,
            "installed_by": installed.by.as_str(),
            "program": installed.program,
            "newest": newest.to_string(),
            "newer": newer,
            "how": newer.then_some(how),
        });
        terminal.line(answer.to_string());
    } else if newer {
        let word = terminal.paint(&format!("{newest} is newer."), Tone::Doubtful);
        terminal.line(format!("{word} To get it: {how}"));
    } else if newest.cmp_precedence(&own).is_lt() {
        terminal.line(format!(
            "The newest release is {newest}: this one is ahead of it."
        ));
    } else {
        terminal.line(terminal.paint("This is the newest release.", Tone::Good));
    }
    Ok(())
}
