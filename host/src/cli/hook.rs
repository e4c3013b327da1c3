//! `hook`: what a client runs at the end of a turn and at the start of a session, so that nobody polls.
//!
//! A hook never stands in the way: whatever is wrong, it answers `{}` and ends with 0, and the client goes on.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{GlobalOptions, exit};
use job::{Asker, wake};
use settings::Settings;

/// The longest payload of a hook that is read, in bytes.
const PAYLOAD_MAX: u64 = 4 << 20;

/// The arguments of `hook`.
#[derive(Debug, Args)]
pub(super) struct HookArguments {
    #[command(subcommand)]
    event: Event,
}

#[derive(Debug, Subcommand)]
enum Event {
    /// At the end of a turn: wait for the jobs that this session started, then go on with all results at once
    #[command(after_help = "\
Reads the client's JSON on stdin (session_id) and answers {} or {\"decision\": \"block\", \"reason\": TEXT}; the client then
makes one request with TEXT. Waiting costs no token. `setup` installs it.")]
    Stop {
        /// Longest wait, in seconds; less than the client's own time-out for the hook
        #[arg(long, value_name = "SECONDS", default_value_t = WAIT_S)]
        wait: u64,
        /// Go on as soon as one job has failed, not only when all are over
        #[arg(long)]
        wake_on_failure: bool,
    },
    /// At the start of a session: tell which jobs of an earlier one have ended here since
    SessionStart,
}

/// Half an hour less a minute: the installed hooks may last half an hour.
const WAIT_S: u64 = 1_740;

/// The message of a client to a hook, as far as it matters here; Codex and Claude Code use the same
/// names.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Payload {
    session_id: Option<String>,
    cwd: Option<PathBuf>,
}

/// Answers the client.
pub(super) fn run(global: &GlobalOptions, arguments: &HookArguments) -> ExitCode {
    let mut text = Vec::new();
    let payload = io::stdin()
        .take(PAYLOAD_MAX)
        .read_to_end(&mut text)
        .ok()
        .and_then(|_| serde_json::from_slice::<Payload>(&text).ok())
        .unwrap_or_default();
    let told = answer(global, &arguments.event, payload);
    if !matches!(told, Ok(true)) {
        if let Err(reason) = &told {
            tracing::warn!(%reason, "no job is told");
        }
        let _ = say(&json!({}));
    }
    ExitCode::from(exit::OK)
}

fn answer(
    global: &GlobalOptions,
    event: &Event,
    payload: Payload,
) -> Result<bool, wake::WakeError> {
    // A mistake in the settings is the server's to tell, where somebody asked for something.
    let Ok(settings) = Settings::load(&global.sources()) else {
        return Ok(false);
    };
    match event {
        Event::Stop {
            wait,
            wake_on_failure,
        } => {
            let asker = Asker {
                session: payload.session_id,
                processes: process::ancestors(),
                workspace: payload.cwd,
            };
            let patience = wake::Patience {
                at_most: Duration::from_secs(*wait),
                wake_on_failure: *wake_on_failure,
            };
            wake::on_stop(&settings.state_dir, &asker, patience, |words| {
                say(&json!({ "decision": "block", "reason": words }))
            })
        }
        Event::SessionStart => {
            let Some(workspace) = payload.cwd else {
                return Ok(false);
            };
            wake::on_session_start(&settings.state_dir, &workspace, |words| {
                say(&json!({ "hookSpecificOutput": {
                    "hookEventName": "SessionStart", "additionalContext": words,
                } }))
            })
        }
    }
}

fn say(answer: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{answer}")?;
    out.flush()
}
