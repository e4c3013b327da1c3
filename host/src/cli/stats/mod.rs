//! `stats`: what jobs did, what they cost, and whether delegating paid.

mod summary;
mod text;
pub(super) mod trouble;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::gc::milliseconds;
use super::terminal::{Terminal, complain};
use super::{GlobalOptions, exit};
use gateway::rfc3339;
use job::{Store, StoreError, now_ms, settle_all};
use summary::{History, PastJob, PastRequest, Summary, surface_tokens};

/// The arguments of `stats`.
#[derive(Debug, Args)]
pub(super) struct StatsArguments {
    /// Look back this far, as in 12h, 7d, 4w
    #[arg(long, value_name = "AGE", default_value = "30d", value_parser = milliseconds)]
    since: i64,
    /// Split jobs and the gateway's tokens
    #[arg(long, value_enum, default_value_t = By::Model)]
    by: By,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum By {
    /// The purpose of the request: a job, analyze, the adapter
    Route,
    /// The gateway's model
    Model,
    /// The job's first directory
    Repo,
    /// The day, in UTC
    Day,
}

/// Prints them.
pub(super) fn run(global: &GlobalOptions, arguments: &StatsArguments) -> ExitCode {
    let settings = match global.settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let since_ms = now_ms().saturating_sub(arguments.since);
    match read(&settings.state_dir, since_ms) {
        Ok(history) => {
            let summary = Summary::of(
                &history,
                arguments.by,
                &settings.prices,
                surface_tokens(&settings.toolsets),
            );
            let mut terminal = Terminal::stdout();
            if arguments.json {
                terminal.line(serde_json::to_string_pretty(&summary).unwrap_or_default());
            } else {
                for line in text::lines(&terminal, &summary) {
                    terminal.line(line);
                }
            }
            ExitCode::from(exit::OK)
        }
        Err(error) => {
            complain(format_args!("mcp-codex-worker: {error}"));
            ExitCode::from(exit::FAILED)
        }
    }
}

/// Reads the store's history since a time.
fn read(state_dir: &Path, since_ms: i64) -> Result<History, StoreError> {
    let store = Store::open(state_dir)?;
    settle_all(&store)?;
    let jobs = store
        .jobs_since(since_ms)?
        .into_iter()
        .map(|(row, passes)| PastJob { row, passes })
        .collect();
    let requests = store
        .requests_since(since_ms)?
        .into_iter()
        .map(|(job, at_ms, record)| PastRequest { job, at_ms, record })
        .collect();
    Ok(History {
        jobs,
        requests,
        calls: store.calls_since(since_ms)?,
    })
}

/// The day of a time in milliseconds since the epoch, as in 2026-11-22, in UTC.
fn day(at_ms: i64) -> String {
    let since = Duration::from_millis(u64::try_from(at_ms).unwrap_or_default());
    rfc3339(UNIX_EPOCH + since).chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (at_ms, expected) in [
            (0, "1970-01-01"),
            (951_782_400_000, "2000-02-29"),
            (1_795_305_600_000, "2026-11-22"),
            (-1, "1970-01-01"),
        ] {
            assert_eq!(day(at_ms), expected);
        }
    }
}
