//! The numbers, and how they come about.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use super::trouble::Trouble;
use super::{By, day};
use crate::mcp;
use gateway::RequestRecord;
use job::{AttemptRow, CallRecord, JobRow, State};
use settings::{Prices, Toolset};

/// Bytes of JSON and of English that make a token, about.
pub(super) const BYTES_A_TOKEN: u64 = 4;

/// The cost of a further call about a job to the planner besides its own bytes: it sends its
/// context once more, about 12,000 tokens (measured with Codex 0.169), which come from its cache at
/// about a tenth of their price.
pub(super) const FURTHER_CALL_TOKENS: u64 = 1_200;

/// The route of requests that no job made, and the tool that makes them.
const ANALYZE: &str = "analyze";

/// The history of a stretch of time.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) jobs: Vec<PastJob>,
    pub(super) requests: Vec<PastRequest>,
    pub(super) calls: Vec<CallRecord>,
}

/// A job, and how often its agent went to work.
#[derive(Debug)]
pub(super) struct PastJob {
    pub(super) row: JobRow,
    pub(super) passes: usize,
    pub(super) attempts: Vec<AttemptRow>,
}

/// A request to a gateway.
#[derive(Debug)]
pub(super) struct PastRequest {
    pub(super) job: Option<String>,
    pub(super) at_ms: i64,
    pub(super) record: RequestRecord,
}

/// Everything that `stats` tells.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) jobs: usize,
    pub(super) states: BTreeMap<&'static str, usize>,
    /// Of the jobs that are over: completed.
    pub(super) pass_rate: Option<f64>,
    /// Of the jobs that are over: those whose evidence went back to the agent.
    pub(super) revise_rate: Option<f64>,
    /// Of the requests: answered by the second gateway.
    pub(super) fallback_rate: Option<f64>,
    pub(super) gateway: Tokens,
    pub(super) trouble: Trouble,
    pub(super) by: By,
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) days: BTreeMap<String, Group>,
    pub(super) planner: Planner,
    pub(super) delegation: Delegation,
    pub(super) questions: Questions,
}

/// Jobs and tokens that belong together.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub(super) struct Group {
    pub(super) jobs: usize,
    pub(super) over: usize,
    pub(super) completed: usize,
    #[serde(flatten)]
    pub(super) tokens: Tokens,
}

/// The tokens that went over the gateway.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub(super) struct Tokens {
    pub(super) requests: u64,
    pub(super) fallback: u64,
    pub(super) failed: u64,
    pub(super) input: u64,
    pub(super) cached: u64,
    pub(super) output: u64,
    pub(super) cost_usd: f64,
    /// Requests that used tokens and have no price.
    pub(super) unpriced: u64,
    /// Requests whose counts are estimates, since the gateway gave none.
    pub(super) estimated: u64,
}

impl Tokens {
    fn add(&mut self, record: &RequestRecord, prices: &Prices) {
        self.requests += 1;
        self.fallback += u64::from(record.gateway == "fallback");
        self.failed += u64::from(record.error_type.is_some());
        self.input += record.input_tokens;
        self.cached += record.cache_read_tokens;
        self.output += record.output_tokens;
        self.estimated += u64::from(record.estimated);
        match cost(record, prices) {
            Some(dollars) => self.cost_usd += dollars,
            None => self.unpriced += u64::from(record.input_tokens + record.output_tokens > 0),
        }
    }
}

/// The cost as recorded; prices that were set later count too.
pub(super) fn cost(record: &RequestRecord, prices: &Prices) -> Option<f64> {
    record.cost_usd.or_else(|| {
        let price = prices.of(&record.request_model)?;
        let read_anew = record.input_tokens.saturating_sub(record.cache_read_tokens);
        Some(price.cost(read_anew, record.cache_read_tokens, record.output_tokens))
    })
}

/// The planner's costs of this server, in tokens.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Planner {
    pub(super) calls: usize,
    /// Calls about a job after its first one: polls and re-fetches.
    pub(super) further_calls: usize,
    pub(super) tokens: u64,
    pub(super) argument_tokens: u64,
    pub(super) reply_tokens: u64,
    /// Tools and instructions, once for each job and each question.
    pub(super) tool_tokens: u64,
    pub(super) further_call_tokens: u64,
    /// Tools and instructions, once.
    pub(super) surface_tokens: u64,
}

/// True if delegating paid, over all jobs that a planner started and that are over.
#[derive(Debug, Default, Serialize)]
pub(super) struct Delegation {
    pub(super) jobs: usize,
    pub(super) spared_tokens: u64,
    pub(super) paid_tokens: u64,
    pub(super) net_tokens: i64,
    /// Those that cost the planner more than they spared it.
    pub(super) lost: Vec<Lost>,
}

/// A job that was not worth its calls.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Lost {
    pub(super) job_id: String,
    pub(super) job_status: State,
    pub(super) spared_tokens: u64,
    pub(super) paid_tokens: u64,
}

/// The same for `analyze`.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Questions {
    pub(super) count: usize,
    pub(super) spared_tokens: u64,
    pub(super) paid_tokens: u64,
}

impl Summary {
    /// Adds up; `surface` is what the tools cost a planner's context, see [`surface_tokens`].
    pub(super) fn of(history: &History, by: By, prices: &Prices, surface: u64) -> Self {
        let rows = || history.jobs.iter().map(|job| &job.row);
        let over: Vec<&PastJob> = history
            .jobs
            .iter()
            .filter(|job| job.row.state.is_terminal())
            .collect();
        let completed = |jobs: &[&PastJob]| {
            jobs.iter()
                .filter(|job| job.row.state == State::Completed)
                .count()
        };
        let revised = over.iter().filter(|job| job.passes > 1).count();
        let mut states = BTreeMap::new();
        for job in rows() {
            *states.entry(job.state.as_str()).or_default() += 1;
        }

        // What an attempt spends its job spends.
        let mut owners: HashMap<&str, &JobRow> = HashMap::new();
        for job in &history.jobs {
            owners.insert(job.row.id.as_str(), &job.row);
            let attempts = job.attempts.iter();
            owners.extend(attempts.map(|attempt| (attempt.job.id.as_str(), &job.row)));
        }
        let mut gateway = Tokens::default();
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        let mut days: BTreeMap<String, Group> = BTreeMap::new();
        let mut spared: HashMap<&str, u64> = HashMap::new();
        for PastJob {
            row: job, attempts, ..
        } in &history.jobs
        {
            let group = match by {
                By::Route => "job".to_owned(),
                By::Model if !attempts.is_empty() => {
                    let models: Vec<&str> = attempts.iter().map(|one| one.model.as_str()).collect();
                    models.join(", ")
                }
                By::Model => model(job),
                By::Repo => repository(job),
                By::Day => day(job.created_ms),
            };
            for group in [
                groups.entry(group).or_default(),
                days.entry(day(job.created_ms)).or_default(),
            ] {
                group.jobs += 1;
                group.over += usize::from(job.state.is_terminal());
                group.completed += usize::from(job.state == State::Completed);
            }
        }
        for PastRequest { job, at_ms, record } in &history.requests {
            let group = match by {
                By::Route => record.route.clone(),
                By::Model => record.request_model.clone(),
                By::Repo => job
                    .as_deref()
                    .and_then(|job| owners.get(job).copied().map(repository))
                    .unwrap_or_else(|| "-".to_owned()),
                By::Day => day(*at_ms),
            };
            gateway.add(record, prices);
            groups.entry(group).or_default().tokens.add(record, prices);
            days.entry(day(*at_ms))
                .or_default()
                .tokens
                .add(record, prices);
            if let Some(job) = job {
                let owner = owners
                    .get(job.as_str())
                    .map_or(job.as_str(), |job| job.id.as_str());
                *spared.entry(owner).or_default() += read_anew(record);
            }
        }

        Self {
            jobs: history.jobs.len(),
            states,
            pass_rate: share(completed(&over), over.len()),
            revise_rate: share(revised, over.len()),
            fallback_rate: share(
                usize::try_from(gateway.fallback).unwrap_or(usize::MAX),
                history.requests.len(),
            ),
            gateway,
            trouble: trouble(history),
            by,
            groups,
            days,
            planner: planner(&history.calls, surface),
            delegation: delegation(&over, &history.calls, &spared, surface),
            questions: questions(history, surface),
        }
    }
}

fn trouble(history: &History) -> Trouble {
    let completed: HashSet<&str> = history
        .jobs
        .iter()
        .filter(|job| job.row.state == State::Completed)
        .map(|job| job.row.id.as_str())
        .collect();
    let records = history.requests.iter().map(|request| &request.record);
    Trouble::of(records, |job| completed.contains(job))
}

fn planner(calls: &[CallRecord], surface: u64) -> Planner {
    let tokens = |of: fn(&CallRecord) -> u64| calls.iter().map(of).sum::<u64>() / BYTES_A_TOKEN;
    let mut of_jobs: HashMap<&str, usize> = HashMap::new();
    for job in calls.iter().filter_map(|call| call.job.as_deref()) {
        *of_jobs.entry(job).or_default() += 1;
    }
    let further: usize = of_jobs.values().map(|calls| calls - 1).sum();
    let tasks = of_jobs.len() + calls.iter().filter(|call| call.tool == ANALYZE).count();
    let (arguments, replies) = (
        tokens(|call| call.argument_bytes),
        tokens(|call| call.reply_bytes),
    );
    let tools = surface * tasks as u64;
    let again = FURTHER_CALL_TOKENS * further as u64;
    Planner {
        calls: calls.len(),
        further_calls: further,
        tokens: arguments + replies + tools + again,
        argument_tokens: arguments,
        reply_tokens: replies,
        tool_tokens: tools,
        further_call_tokens: again,
        surface_tokens: surface,
    }
}

fn delegation(
    over: &[&PastJob],
    calls: &[CallRecord],
    spared: &HashMap<&str, u64>,
    surface: u64,
) -> Delegation {
    let mut total = Delegation::default();
    let mut of_jobs: HashMap<&str, (u64, u64)> = HashMap::new();
    for call in calls {
        if let Some(job) = call.job.as_deref() {
            let (count, bytes) = of_jobs.entry(job).or_default();
            *count += 1;
            *bytes += call.bytes();
        }
    }
    for job in over {
        let id = job.row.id.as_str();
        let (count, bytes) = of_jobs.get(id).copied().unwrap_or_default();
        // Nobody's planner paid for a job that was started from a shell.
        if count == 0 {
            continue;
        }
        let paid = surface + bytes / BYTES_A_TOKEN + FURTHER_CALL_TOKENS * (count - 1);
        // What was not completed is still to be done by the planner.
        let spared = match job.row.state {
            State::Completed => spared.get(id).copied().unwrap_or_default(),
            _ => 0,
        };
        total.jobs += 1;
        total.paid_tokens += paid;
        total.spared_tokens += spared;
        if spared <= paid {
            total.lost.push(Lost {
                job_id: id.to_owned(),
                job_status: job.row.state,
                spared_tokens: spared,
                paid_tokens: paid,
            });
        }
    }
    let signed = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
    total.net_tokens = signed(total.spared_tokens) - signed(total.paid_tokens);
    total
}

fn questions(history: &History, surface: u64) -> Questions {
    let asked = history.calls.iter().filter(|call| call.tool == ANALYZE);
    let count = asked.clone().count();
    if count == 0 {
        return Questions::default();
    }
    Questions {
        count,
        spared_tokens: history
            .requests
            .iter()
            .filter(|request| request.record.route == ANALYZE)
            .map(|request| read_anew(&request.record))
            .sum(),
        paid_tokens: surface * count as u64
            + asked.map(CallRecord::bytes).sum::<u64>() / BYTES_A_TOKEN,
    }
}

/// Tokens that somebody had to read or write anew: what a planner that worked itself would have had in its context too.
fn read_anew(record: &RequestRecord) -> u64 {
    record.input_tokens.saturating_sub(record.cache_read_tokens) + record.output_tokens
}

/// The cost of the tools of these sets and of the instructions to a planner that has them in its
/// context.
pub(super) fn surface_tokens(sets: &[Toolset]) -> u64 {
    let bytes = |sets: &[Toolset]| {
        let tools = mcp::tools(sets);
        let text = serde_json::to_string(&tools).unwrap_or_default();
        (text.len() + mcp::INSTRUCTIONS.len()) as u64
    };
    // All of them are counted with the planner's own tokens; a part of them costs its part.
    (mcp::SURFACE_TOKENS * bytes(sets))
        .checked_div(bytes(Toolset::ALL))
        .unwrap_or_default()
}

fn repository(job: &JobRow) -> String {
    spec_text(job, |spec| spec.get("allowed_dirs")?.get(0)?.as_str())
}

pub(super) fn model(job: &JobRow) -> String {
    spec_text(job, |spec| spec.get("model")?.as_str())
}

fn spec_text(job: &JobRow, of: fn(&serde_json::Value) -> Option<&str>) -> String {
    let text = job
        .spec
        .as_ref()
        .and_then(of)
        .filter(|text| !text.is_empty());
    text.unwrap_or("-").to_owned()
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use settings::Price;

    #[test]
    fn only_what_was_read_anew_counts() {
        let record = RequestRecord {
            input_tokens: 1_000,
            cache_read_tokens: 900,
            output_tokens: 50,
            ..RequestRecord::default()
        };
        assert_eq!(read_anew(&record), 150);
    }

    #[test]
    fn a_price_that_was_set_later_counts_and_what_was_billed_stays() {
        let prices = Prices {
            default: Some(Price {
                input: 1.0,
                output: 2.0,
                cache: Some(0.1),
            }),
            ..Prices::default()
        };
        let mut record = RequestRecord {
            input_tokens: 1_000_000,
            cache_read_tokens: 500_000,
            output_tokens: 1_000_000,
            ..RequestRecord::default()
        };
        assert_eq!(cost(&record, &prices), Some(0.5 + 0.05 + 2.0));
        assert_eq!(cost(&record, &Prices::default()), None);
        record.cost_usd = Some(7.0);
        assert_eq!(cost(&record, &prices), Some(7.0));
    }

    #[test]
    fn tools_that_are_not_offered_cost_nothing() {
        let all = surface_tokens(Toolset::ALL);
        let jobs = surface_tokens(&[Toolset::Jobs]);
        assert_eq!(all, mcp::SURFACE_TOKENS);
        assert!(jobs > all / 2 && jobs < all, "{jobs} of {all}");
    }
}
