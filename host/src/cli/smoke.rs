//! `smoke`: what can be tried in seconds without a network, a key or Claude Code.

use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::terminal::{Terminal, Tone, complain};
use super::{GlobalOptions, exit};
use crate::smoke::{self, Step};
use settings::Settings;

/// The arguments of `smoke`.
#[derive(Debug, Args)]
#[command(after_help = "\
The test uses none of your settings but WORKER_CACHE_DIR (compiled plugins), and leaves nothing behind.
Exit code: 0 everything works, 1 something does not.")]
pub(super) struct SmokeArguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Tries everything; 0 when all of it works.
pub(super) fn run(global: &GlobalOptions, arguments: &SmokeArguments) -> ExitCode {
    let began = Instant::now();
    let mut terminal = Terminal::stdout();
    // A mistake in the settings must not keep this from telling whether the program works.
    let cache_dir = Settings::load(&global.sources()).map_or_else(
        |_| std::env::temp_dir().join("mcp-codex-worker-cache"),
        |settings| settings.cache_dir,
    );
    let steps = smoke::run(&cache_dir, |step| {
        if !arguments.json {
            show(&mut terminal, step);
        }
    });
    let steps = match steps {
        Ok(steps) => steps,
        Err(error) => {
            complain(format_args!("mcp-codex-worker: {error}"));
            return ExitCode::from(exit::FAILED);
        }
    };
    let passed = steps.iter().all(|step| step.ok);
    if arguments.json {
        terminal.line(json!({ "passed": passed, "steps": steps }).to_string());
    } else {
        let failed = steps.iter().filter(|step| !step.ok).count();
        terminal.line(match failed {
            0 => format!(
                "All {} work; {:.1} s.",
                steps.len(),
                began.elapsed().as_secs_f32()
            ),
            failed => format!("{failed} of {} do not work.", steps.len()),
        });
    }
    ExitCode::from(if passed { exit::OK } else { exit::FAILED })
}

fn show(terminal: &mut Terminal, step: &Step) {
    let mark = if step.ok {
        terminal.paint("ok  ", Tone::Good)
    } else {
        terminal.paint("fail", Tone::Bad)
    };
    terminal.line(format!(
        "{mark}  {:<12}  {:>6} ms  {}",
        step.what, step.ms, step.detail
    ));
}
