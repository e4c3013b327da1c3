//! The numbers for people.

use std::collections::BTreeMap;

use super::models::{Ladder, Shown};
use super::summary::{BYTES_A_TOKEN, FURTHER_CALL_TOKENS, Group, Summary, Tokens};
use crate::cli::terminal::{Terminal, Tone};

/// Width of the chart's longest bar.
const BAR: u64 = 40;

/// The number of lost jobs that are named.
const LOST_SHOWN: usize = 5;

/// The lines of a summary.
pub(super) fn lines(terminal: &Terminal, summary: &Summary) -> Vec<String> {
    let mut lines = Vec::new();
    let states: Vec<String> = summary
        .states
        .iter()
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    let states = match states.as_slice() {
        [] => String::new(),
        states => format!(" ({})", states.join(", ")),
    };
    lines.push(format!("jobs        {}{states}", summary.jobs));
    lines.push(format!(
        "rates       passed {}, revised {}, fallback {} of the requests",
        percent(summary.pass_rate),
        percent(summary.revise_rate),
        percent(summary.fallback_rate)
    ));
    lines.push(format!("gateway     {}", tokens(&summary.gateway)));
    if let Some(words) = summary.trouble.words() {
        lines.push(format!("trouble     {words}"));
    }
    let width = summary
        .groups
        .keys()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or_default();
    for (name, group) in &summary.groups {
        lines.push(format!(
            "  {name:<width$}  {}{}",
            jobs(group),
            tokens(&group.tokens)
        ));
    }
    let planner = &summary.planner;
    lines.push(format!(
        "planner     {}, about {} tokens: arguments {}, replies {}, tools {}, {} {}",
        counted(planner.calls, "call"),
        count(planner.tokens),
        count(planner.argument_tokens),
        count(planner.reply_tokens),
        count(planner.tool_tokens),
        counted(planner.further_calls, "further call"),
        count(planner.further_call_tokens),
    ));
    delegation(terminal, summary, &mut lines);
    let questions = &summary.questions;
    if questions.count > 0 {
        lines.push(format!(
            "questions   {}: spared about {} tokens, paid {}",
            questions.count,
            count(questions.spared_tokens),
            count(questions.paid_tokens)
        ));
    }
    chart(summary, &mut lines);
    lines
}

/// A line a model: what it has shown.
pub(super) fn model_lines(shown: &BTreeMap<String, Shown>) -> Vec<String> {
    let width = name_width(shown.keys());
    let mut lines = Vec::new();
    if !shown.is_empty() {
        lines.push(
            "models      verified of tries (95 % interval), cost a verified one, time of a try"
                .to_owned(),
        );
    }
    for (model, shown) in shown {
        let (low, high) = shown.interval;
        let cost = match (shown.cost_usd_a_verified, shown.tokens_a_verified) {
            (Some(cost), _) => format!("{cost:.4} USD"),
            (None, Some(tokens)) => format!("{} tokens", count(tokens)),
            (None, None) => "-".to_owned(),
        };
        let rescued = match shown.rescued {
            0 => String::new(),
            times => format!(", rescued by the next {times} times"),
        };
        lines.push(format!(
            "  {model:<width$}  {} of {} ({:.0}-{:.0} %), {cost}, {:.0} s{rescued}",
            shown.verified,
            shown.tries,
            low * 100.0,
            high * 100.0,
            shown.seconds,
        ));
    }
    lines
}

/// The ladders that were worth it, and what that rests on.
pub(super) fn ladder_lines(shown: &BTreeMap<String, Shown>, ladders: &[Ladder]) -> Vec<String> {
    let mut lines = model_lines(shown);
    if ladders.is_empty() {
        lines.push("no ladder: no job of a known model is over".to_owned());
        return lines;
    }
    lines.push(
        "ladders     cheapest first, as if a failure of one model said nothing of the next"
            .to_owned(),
    );
    let priced = shown
        .values()
        .all(|shown| shown.verified == 0 || shown.cost_usd_a_verified.is_some());
    for ladder in ladders {
        let cost = match priced {
            true => format!("{:.4} USD", ladder.cost_a_task),
            false => format!("{:.0} tokens", ladder.cost_a_task),
        };
        let thin = match ladder.thin.as_slice() {
            [] => String::new(),
            thin => format!("  (thin evidence: {})", thin.join(", ")),
        };
        lines.push(format!(
            "  {:>3.0} %  {cost} a task  {}{thin}",
            ladder.pass_rate * 100.0,
            ladder.models.join(" > "),
        ));
    }
    lines
}

fn name_width<'a>(names: impl Iterator<Item = &'a String>) -> usize {
    names
        .map(|name| name.chars().count())
        .max()
        .unwrap_or_default()
}

fn delegation(terminal: &Terminal, summary: &Summary, lines: &mut Vec<String>) {
    let delegation = &summary.delegation;
    lines.push(format!(
        "delegation  {}: spared the planner about {} tokens, cost it {}: {} {}",
        counted(delegation.jobs, "job"),
        count(delegation.spared_tokens),
        count(delegation.paid_tokens),
        if delegation.net_tokens < 0 {
            "lost"
        } else {
            "gained"
        },
        count(delegation.net_tokens.unsigned_abs()),
    ));
    if !delegation.lost.is_empty() {
        let text = format!(
            "            {} cost more than spared:",
            counted(delegation.lost.len(), "job")
        );
        lines.push(terminal.paint(&text, Tone::Doubtful));
        for lost in delegation.lost.iter().take(LOST_SHOWN) {
            let id: String = lost.job_id.chars().take(8).collect();
            lines.push(format!(
                "              {id}  {:<11}  spared {}, cost {}",
                lost.job_status.as_str(),
                count(lost.spared_tokens),
                count(lost.paid_tokens)
            ));
        }
        if let Some(more) = delegation
            .lost
            .len()
            .checked_sub(LOST_SHOWN)
            .filter(|more| *more > 0)
        {
            lines.push(format!(
                "              and {more} more (--json has them all)"
            ));
        }
    }
    let method = [
        "method: spared is what a completed job read anew and wrote; the planner would have had to.".to_owned(),
        format!("cost is its arguments and replies at {BYTES_A_TOKEN} bytes a token, {} tokens for tools and instructions", summary.planner.surface_tokens),
        format!("once a job, and {FURTHER_CALL_TOKENS} for each further call, which sends the planner's context again."),
    ];
    for line in method {
        lines.push(terminal.paint(&format!("            {line}"), Tone::Quiet));
    }
}

fn chart(summary: &Summary, lines: &mut Vec<String>) {
    let all = |group: &Group| group.tokens.input + group.tokens.output;
    let largest = summary.days.values().map(all).max().unwrap_or_default();
    for (day, group) in &summary.days {
        let tokens = all(group);
        let width = (tokens * BAR).checked_div(largest).unwrap_or_default();
        let width = usize::try_from(width).unwrap_or_default();
        let bar = "█".repeat(width.max(usize::from(tokens > 0)));
        let bar = if bar.is_empty() { bar } else { bar + " " };
        lines.push(format!(
            "{day}  {bar}{} tokens, {}",
            count(tokens),
            counted(group.jobs, "job")
        ));
    }
}

fn jobs(group: &Group) -> String {
    if group.jobs == 0 {
        return String::new();
    }
    let rate = (group.over > 0).then(|| group.completed as f64 / group.over as f64);
    format!(
        "{}, {} passed | ",
        counted(group.jobs, "job"),
        percent(rate)
    )
}

fn tokens(tokens: &Tokens) -> String {
    let mut text = format!(
        "{}, {} in ({} cached), {} out",
        counted(
            usize::try_from(tokens.requests).unwrap_or(usize::MAX),
            "request"
        ),
        count(tokens.input),
        count(tokens.cached),
        count(tokens.output)
    );
    if tokens.cost_usd > 0.0 {
        text.push_str(&format!(", ${:.4}", tokens.cost_usd));
    }
    for (number, what) in [
        (tokens.failed, "failed"),
        (tokens.unpriced, "without a price"),
        (tokens.estimated, "estimated"),
    ] {
        if number > 0 {
            text.push_str(&format!(", {number} {what}"));
        }
    }
    text
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.0} %", share * 100.0))
}

fn counted(number: usize, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {what}{s}")
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
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::cli::stats::By;
    use crate::cli::stats::summary::{History, PastJob, PastRequest};
    use gateway::RequestRecord;
    use job::{CallRecord, JobRow, State};
    use settings::{Price, Prices};

    /// 2026-11-21, noon.
    const THEN: i64 = 1_795_262_400_000;
    const A_DAY: i64 = 86_400_000;

    fn job(id: &str, state: State, at_ms: i64, passes: usize) -> PastJob {
        PastJob {
            row: JobRow {
                id: id.repeat(26).parse().unwrap(),
                ticket: 1,
                state,
                created_ms: at_ms,
                started_ms: Some(at_ms),
                ended_ms: Some(at_ms),
                cancel_requested: false,
                runner: None,
                lives_in: None,
                spec: Some(json!({"model": "cheap", "allowed_dirs": ["/repos/shop"]})),
                progress: None,
                result: None,
            },
            passes,
            attempts: Vec::new(),
        }
    }

    fn request(id: Option<&str>, at_ms: i64, model: &str, tokens: [u64; 3]) -> PastRequest {
        let [input, cached, output] = tokens;
        PastRequest {
            job: id.map(|id| id.repeat(26)),
            at_ms,
            record: RequestRecord {
                route: if id.is_some() { "job" } else { "analyze" }.to_owned(),
                gateway: if model == "spare" {
                    "fallback"
                } else {
                    "primary"
                }
                .to_owned(),
                request_model: model.to_owned(),
                input_tokens: input,
                cache_read_tokens: cached,
                output_tokens: output,
                ..RequestRecord::default()
            },
        }
    }

    fn call(id: Option<&str>, tool: &str, bytes: [u64; 2]) -> CallRecord {
        let [argument_bytes, reply_bytes] = bytes;
        CallRecord {
            job: id.map(|id| id.repeat(26)),
            tool: tool.to_owned(),
            at_ms: THEN,
            argument_bytes,
            reply_bytes,
        }
    }

    /// Two days: a job that paid, one that was polled to death, one that failed, one from a shell, and a question.
    fn history() -> History {
        History {
            jobs: vec![
                job("a", State::Completed, THEN, 2),
                job("b", State::Completed, THEN, 1),
                job("c", State::Failed, THEN + A_DAY, 3),
                job("d", State::Completed, THEN + A_DAY, 1),
                job("e", State::Running, THEN + A_DAY, 1),
            ],
            requests: vec![
                request(Some("a"), THEN, "cheap", [90_000, 60_000, 4_000]),
                request(Some("a"), THEN, "spare", [9_000, 0, 500]),
                request(Some("b"), THEN, "cheap", [3_000, 1_000, 300]),
                request(Some("c"), THEN + A_DAY, "cheap", [40_000, 0, 2_000]),
                request(Some("d"), THEN + A_DAY, "cheap", [20_000, 0, 1_000]),
                request(None, THEN + A_DAY, "lite", [30_000, 0, 400]),
            ],
            calls: vec![
                call(Some("a"), "start", [800, 600]),
                call(Some("b"), "start", [400, 80]),
                call(Some("b"), "get", [60, 200]),
                call(Some("b"), "get", [60, 600]),
                call(Some("c"), "start", [400, 2_000]),
                call(None, "analyze", [300, 1_200]),
            ],
        }
    }

    fn prices() -> Prices {
        let price = |input, output| Price {
            input,
            output,
            cache: Some(input / 10.0),
        };
        Prices {
            default: None,
            models: [("cheap", price(0.3, 1.2)), ("spare", price(1.0, 4.0))]
                .map(|(model, price)| (model.to_owned(), price))
                .into(),
        }
    }

    /// The tokens of the tools, here.
    const SURFACE: u64 = 1_234;

    fn shown(history: &History, by: By) -> String {
        let summary = Summary::of(history, by, &prices(), SURFACE);
        lines(&Terminal::plain(), &summary).join("\n")
    }

    #[test]
    fn the_summary_is_told_to_people() {
        insta::assert_snapshot!("stats_by_model", shown(&history(), By::Model));
        insta::assert_snapshot!("stats_of_nothing", shown(&History::default(), By::Day));
    }

    #[test]
    fn what_was_not_completed_spares_nothing_and_what_no_planner_asked_for_costs_nothing() {
        let summary = Summary::of(&history(), By::Repo, &prices(), SURFACE);
        let delegation = &summary.delegation;
        assert_eq!(
            delegation.jobs, 3,
            "the one from a shell and the running one are no delegation"
        );
        assert_eq!(delegation.spared_tokens, 34_000 + 9_500 + 2_300);
        let lost: Vec<_> = delegation
            .lost
            .iter()
            .map(|lost| {
                (
                    lost.job_id.chars().next().unwrap(),
                    lost.spared_tokens,
                    lost.paid_tokens,
                )
            })
            .collect();
        assert_eq!(
            lost,
            [
                ('b', 2_300, SURFACE + 1_400 / 4 + 2 * FURTHER_CALL_TOKENS),
                ('c', 0, SURFACE + 2_400 / 4)
            ]
        );
        assert_eq!(summary.planner.further_calls, 2);
        assert_eq!(
            summary.planner.tokens,
            (800 + 400 + 60 + 60 + 400 + 300) / 4
                + (600 + 80 + 200 + 600 + 2_000 + 1_200) / 4
                + 4 * SURFACE
                + 2 * FURTHER_CALL_TOKENS
        );
        assert_eq!(summary.questions.spared_tokens, 30_400);
        assert_eq!(summary.questions.paid_tokens, SURFACE + 1_500 / 4);
        assert_eq!(summary.pass_rate, Some(0.75));
        assert_eq!(summary.revise_rate, Some(0.5));
        assert_eq!(summary.groups["/repos/shop"].jobs, 5);
        assert_eq!(summary.gateway.unpriced, 1, "the question has no price");
        let dollars = summary.groups["/repos/shop"].tokens.cost_usd;
        assert!((dollars - 0.049_19).abs() < 1e-9, "{dollars}");
    }
}
