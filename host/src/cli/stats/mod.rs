//! `stats`: what jobs did, what they cost, and whether delegating paid.

mod models;
mod summary;
mod text;
pub(super) mod trouble;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::gc::milliseconds;
use super::terminal::{Terminal, complain};
use super::{GlobalOptions, exit};
use gateway::rfc3339;
use job::{JobRow, State, Store, StoreError, now_ms, settle_all};
use models::Try;
use settings::Prices;
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
    /// Show instead which ladders of the models seen would have cost least, and how much they would have passed
    #[arg(long)]
    ladder: bool,
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
        Ok(history) if arguments.ladder => {
            let shown = models::shown(&tries(&history, &settings.prices));
            let ladders = models::ladders(&shown);
            let mut terminal = Terminal::stdout();
            if arguments.json {
                let told = serde_json::json!({ "models": shown, "ladders": ladders });
                terminal.line(serde_json::to_string_pretty(&told).unwrap_or_default());
            } else {
                for line in text::ladder_lines(&shown, &ladders) {
                    terminal.line(line);
                }
            }
            ExitCode::from(exit::OK)
        }
        Ok(history) => {
            let summary = Summary::of(
                &history,
                arguments.by,
                &settings.prices,
                surface_tokens(&settings.toolsets),
            );
            let shown = match arguments.by {
                By::Model => models::shown(&tries(&history, &settings.prices)),
                _ => BTreeMap::new(),
            };
            let mut terminal = Terminal::stdout();
            if arguments.json {
                let mut told = serde_json::json!(summary);
                if let Some(fields) = told.as_object_mut().filter(|_| !shown.is_empty()) {
                    fields.insert("models".to_owned(), serde_json::json!(shown));
                }
                terminal.line(serde_json::to_string_pretty(&told).unwrap_or_default());
            } else {
                for line in text::lines(&terminal, &summary) {
                    terminal.line(line);
                }
                for line in text::model_lines(&shown) {
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

/// Each try of a model: jobs, and the attempts of those that had several.
fn tries(history: &History, prices: &Prices) -> Vec<Try> {
    let nothing = || (0, Some(0.0));
    let mut spent: HashMap<&str, (u64, Option<f64>)> = HashMap::new();
    for PastRequest { job, record, .. } in &history.requests {
        let Some(job) = job else { continue };
        let (tokens, cost) = spent.entry(job).or_insert_with(nothing);
        *tokens += record.input_tokens + record.output_tokens;
        *cost = cost
            .zip(summary::cost(record, prices))
            .map(|(sum, one)| sum + one);
    }
    let one = |row: &JobRow, model: String, rescued: bool| {
        let spent = spent.get(row.id.as_str()).copied();
        let (tokens, cost_usd) = spent.unwrap_or_else(nothing);
        let took = row.started_ms.zip(row.ended_ms);
        Try {
            model,
            state: row.state,
            seconds: took.map_or(0.0, |(from, to)| (to - from) as f64 / 1_000.0),
            cost_usd,
            tokens,
            rescued,
        }
    };
    let mut tries = Vec::new();
    for job in &history.jobs {
        if job.attempts.is_empty() {
            tries.push(one(&job.row, summary::model(&job.row), false));
        }
        for (at, attempt) in job.attempts.iter().enumerate() {
            let failed = attempt.job.state != State::Completed;
            let next = job.attempts.get(at + 1);
            let rescued = failed && next.is_some_and(|next| next.job.state == State::Completed);
            tries.push(one(&attempt.job, attempt.model.clone(), rescued));
        }
    }
    tries
}

/// Reads the store's history since a time.
fn read(state_dir: &Path, since_ms: i64) -> Result<History, StoreError> {
    let store = Store::open(state_dir)?;
    settle_all(&store)?;
    let mut attempts = store.attempts_since(since_ms)?;
    let jobs = store
        .jobs_since(since_ms)?
        .into_iter()
        .map(|(row, passes)| PastJob {
            attempts: attempts.remove(&row.id).unwrap_or_default(),
            row,
            passes,
        })
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
