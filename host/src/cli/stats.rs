//! `stats`: what jobs did, what they cost, and whether delegating paid.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::gc::milliseconds;
use super::terminal::{Terminal, Tone};
use super::{GlobalOptions, exit};
use crate::gateway::RequestRecord;
use crate::job::{CallRecord, JobRow, State, Store, StoreError, settle_all};
use crate::mcp::SURFACE_TOKENS;

/// Bytes of JSON that make a token, about.
const BYTES_A_TOKEN: u64 = 4;

/// Width of the chart's longest bar.
const BAR: u64 = 40;

/// What `stats` takes.
#[derive(Debug, Args)]
pub(super) struct StatsArguments {
    /// Look back this far, as in 12h, 7d, 4w
    #[arg(long, value_name = "AGE", default_value = "30d", value_parser = milliseconds)]
    since: i64,
    /// Split the gateway's tokens
    #[arg(long, value_enum, default_value_t = By::Model)]
    by: By,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// What the request was for: a job, analyze, the adapter
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
    let now_ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        });
    match History::read(&settings.state_dir, now_ms - arguments.since) {
        Ok(history) => {
            let summary = history.summary(arguments.by);
            let mut terminal = Terminal::stdout();
            if arguments.json {
                terminal.line(serde_json::to_string_pretty(&summary).unwrap_or_default());
            } else {
                summary.print(&mut terminal);
            }
            ExitCode::from(exit::OK)
        }
        Err(error) => {
            eprintln!("mcp-codex-worker: {error}");
            ExitCode::from(exit::FAILED)
        }
    }
}

/// What the store knows about a stretch of time.
struct History {
    jobs: Vec<(JobRow, usize)>,
    requests: Vec<(Option<String>, i64, RequestRecord)>,
    calls: Vec<CallRecord>,
}

impl History {
    fn read(state_dir: &std::path::Path, since_ms: i64) -> Result<Self, StoreError> {
        let store = Store::open(state_dir)?;
        settle_all(&store)?;
        let jobs = store
            .jobs(usize::MAX)?
            .into_iter()
            .filter(|job| job.created_ms >= since_ms)
            .map(|job| {
                let passes = store.passes(&job.id)?.len();
                Ok((job, passes))
            })
            .collect::<Result<_, StoreError>>()?;
        let requests = store
            .requests_since(since_ms)?
            .into_iter()
            // A record of another version may lack what is counted here.
            .filter_map(|(job, at, record)| Some((job, at, serde_json::from_value(record).ok()?)))
            .collect();
        Ok(Self {
            jobs,
            requests,
            calls: store.calls_since(since_ms)?,
        })
    }

    fn summary(&self, by: By) -> Summary {
        let over = self.jobs.iter().filter(|(job, _)| job.state.is_terminal());
        let completed = over
            .clone()
            .filter(|(job, _)| job.state == State::Completed);
        let mut states = BTreeMap::new();
        for (job, _) in &self.jobs {
            *states.entry(job.state.as_str()).or_default() += 1;
        }
        let over_count = over.clone().count();
        let repo: BTreeMap<&str, String> = self
            .jobs
            .iter()
            .map(|(job, _)| (job.id.as_str(), repository(job)))
            .collect();

        let mut gateway = Tokens::default();
        let mut groups: BTreeMap<String, Tokens> = BTreeMap::new();
        let mut days: BTreeMap<String, Tokens> = BTreeMap::new();
        let mut by_job: BTreeMap<&str, u64> = BTreeMap::new();
        for (job, at_ms, record) in &self.requests {
            let group = match by {
                By::Route => record.route.clone(),
                By::Model => record
                    .response_model
                    .clone()
                    .unwrap_or_else(|| record.request_model.clone()),
                By::Repo => job
                    .as_deref()
                    .and_then(|job| repo.get(job).cloned())
                    .unwrap_or_else(|| "-".to_owned()),
                By::Day => day(*at_ms),
            };
            gateway.add(record);
            groups.entry(group).or_default().add(record);
            days.entry(day(*at_ms)).or_default().add(record);
            if let Some(job) = job {
                *by_job.entry(job).or_default() += fresh(record);
            }
        }

        let planner_bytes: u64 = self.calls.iter().map(CallRecord::bytes).sum();
        let mut delegation = Delegation::default();
        for (job, _) in over {
            let bytes: u64 = self
                .calls
                .iter()
                .filter(|call| call.job.as_deref() == Some(job.id.as_str()))
                .map(CallRecord::bytes)
                .sum();
            let paid = SURFACE_TOKENS + bytes / BYTES_A_TOKEN;
            let done = by_job.get(job.id.as_str()).copied().unwrap_or_default();
            delegation.jobs += 1;
            if done > paid {
                delegation.avoided_tokens += done - paid;
            } else {
                delegation.lost.push(job.id.as_str().to_owned());
            }
        }

        Summary {
            jobs: self.jobs.len(),
            states,
            pass_rate: share(completed.count(), over_count),
            revise_rate: share(
                self.jobs.iter().filter(|(_, passes)| *passes > 1).count(),
                over_count,
            ),
            fallback_rate: share(
                usize::try_from(gateway.fallback).unwrap_or(usize::MAX),
                self.requests.len(),
            ),
            gateway,
            groups,
            days,
            planner: Planner {
                calls: self.calls.len(),
                tokens: planner_bytes / BYTES_A_TOKEN,
                surface_tokens: SURFACE_TOKENS,
            },
            delegation,
        }
    }
}

/// Tokens that somebody had to read or write anew: what a planner that worked itself would have had in its context too.
fn fresh(record: &RequestRecord) -> u64 {
    record.input_tokens.saturating_sub(record.cache_read_tokens) + record.output_tokens
}

fn repository(job: &JobRow) -> String {
    job.spec
        .as_ref()
        .and_then(|spec| spec.get("allowed_dirs")?.get(0)?.as_str())
        .unwrap_or("-")
        .to_owned()
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The day of a time, as in 2026-11-22, in UTC (Howard Hinnant's `civil_from_days`).
fn day(at_ms: i64) -> String {
    let days = at_ms.div_euclid(86_400_000) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// What went over the gateway.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
struct Tokens {
    requests: u64,
    fallback: u64,
    failed: u64,
    input: u64,
    cached: u64,
    output: u64,
    cost_usd: f64,
}

impl Tokens {
    fn add(&mut self, record: &RequestRecord) {
        self.requests += 1;
        self.fallback += u64::from(record.gateway == "fallback");
        self.failed += u64::from(record.error_type.is_some());
        self.input += record.input_tokens;
        self.cached += record.cache_read_tokens;
        self.output += record.output_tokens;
        self.cost_usd += record.cost_usd.unwrap_or_default();
    }

    fn line(&self) -> String {
        let cost = if self.cost_usd > 0.0 {
            format!(", ${:.4}", self.cost_usd)
        } else {
            String::new()
        };
        format!(
            "{} requests, {} in ({} cached), {} out{cost}",
            self.requests,
            count(self.input),
            count(self.cached),
            count(self.output)
        )
    }
}

/// What the planner paid for this server.
#[derive(Debug, Serialize)]
struct Planner {
    calls: usize,
    tokens: u64,
    surface_tokens: u64,
}

/// Whether delegating paid, job by job.
#[derive(Debug, Default, Serialize)]
struct Delegation {
    jobs: usize,
    avoided_tokens: u64,
    lost: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Summary {
    jobs: usize,
    states: BTreeMap<&'static str, usize>,
    pass_rate: Option<f64>,
    revise_rate: Option<f64>,
    fallback_rate: Option<f64>,
    gateway: Tokens,
    groups: BTreeMap<String, Tokens>,
    days: BTreeMap<String, Tokens>,
    planner: Planner,
    delegation: Delegation,
}

impl Summary {
    fn print(&self, terminal: &mut Terminal) {
        let percent = |share: Option<f64>| match share {
            Some(share) => format!("{:.0} %", share * 100.0),
            None => "-".to_owned(),
        };
        let states: Vec<String> = self
            .states
            .iter()
            .map(|(state, count)| format!("{count} {state}"))
            .collect();
        terminal.line(format!("jobs        {} ({})", self.jobs, states.join(", ")));
        terminal.line(format!(
            "rates       passed {}, revised {}, fallback {}",
            percent(self.pass_rate),
            percent(self.revise_rate),
            percent(self.fallback_rate)
        ));
        terminal.line(format!("gateway     {}", self.gateway.line()));
        for (group, tokens) in &self.groups {
            terminal.line(format!("  {group:<28}  {}", tokens.line()));
        }
        terminal.line(format!(
            "planner     {} calls, about {} tokens of arguments and replies",
            self.planner.calls,
            count(self.planner.tokens)
        ));
        terminal.line(format!(
            "delegation  about {} tokens kept from the planner in {} jobs; {} jobs cost it more than they saved",
            count(self.delegation.avoided_tokens),
            self.delegation.jobs,
            self.delegation.lost.len()
        ));
        let method = format!(
            "            method: a job's uncached input and its output, less the planner's arguments and replies at {BYTES_A_TOKEN} bytes a token and {SURFACE_TOKENS} tokens for tools and instructions; the planner's context that each call sends again is not counted"
        );
        let method = terminal.paint(&method, Tone::Quiet);
        terminal.line(method);
        let largest = self
            .days
            .values()
            .map(|tokens| tokens.input + tokens.output)
            .max()
            .unwrap_or_default();
        for (day, tokens) in &self.days {
            let all = tokens.input + tokens.output;
            let width = (all * BAR).checked_div(largest).unwrap_or_default().max(1);
            let bar = "█".repeat(usize::try_from(width).unwrap_or(1));
            terminal.line(format!("{day}  {bar} {}", count(all)));
        }
    }
}

/// A count that is read at a glance.
fn count(number: u64) -> String {
    match number {
        0..10_000 => number.to_string(),
        10_000..10_000_000 => format!("{}k", number / 1_000),
        _ => format!("{}M", number / 1_000_000),
    }
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
            (-1, "1969-12-31"),
        ] {
            assert_eq!(day(at_ms), expected);
        }
    }

    #[test]
    fn only_what_was_read_anew_counts() {
        let record = RequestRecord {
            input_tokens: 1_000,
            cache_read_tokens: 900,
            output_tokens: 50,
            ..RequestRecord::default()
        };
        assert_eq!(fresh(&record), 150);
    }
}
