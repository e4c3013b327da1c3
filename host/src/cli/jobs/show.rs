//! One job for people.

use serde_json::Value;

use crate::cli::terminal::{Terminal, Tone, age};
use job::{JobId, JobRow};
use redact::text::{escaped_line, printable};

/// Fields of a view that have lines of their own.
const PLACED: &[&str] = &[
    "job_id",
    "job_status",
    "changed_files",
    "checks",
    "diff",
    "error",
    "agent_report",
    "attempts",
];

/// The lines about a job: what was asked, the verdict, and whatever else its view holds.
pub(in crate::cli) fn lines(
    terminal: &Terminal,
    id: &JobId,
    job: Option<&JobRow>,
    view: &Value,
) -> Vec<String> {
    let mut lines = Vec::new();
    let state = job.map(|job| job.state);
    lines.push(format!(
        "{id}  {}",
        state.map_or_else(String::new, |state| terminal.state(state))
    ));
    if let Some(job) = job {
        let spec = |key: &str| job.spec.as_ref().and_then(|spec| spec.get(key));
        if let Some(prompt) = spec("prompt").and_then(Value::as_str) {
            lines.push(field(terminal, "task", &printable(prompt)));
        }
        for (label, key) in [("in", "allowed_dirs"), ("model", "model")] {
            if let Some(value) = spec(key).filter(|value| !value.is_null()) {
                lines.push(field(terminal, label, &plain(value)));
            }
        }
        if let (Some(started), Some(ended)) = (job.started_ms, job.ended_ms) {
            lines.push(field(terminal, "took", &age(ended - started)));
        }
    }
    let strings = |key: &str| {
        view.get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(item)
            .collect::<Vec<_>>()
    };
    for check in strings("checks") {
        // The host's own words, as in "unit tests: passed".
        let tone = if check.contains(": passed") {
            Tone::Good
        } else {
            Tone::Bad
        };
        lines.push(field(terminal, "check", &terminal.paint(&check, tone)));
    }
    for attempt in strings("attempts") {
        lines.push(field(terminal, "attempt", &attempt));
    }
    for file in strings("changed_files") {
        lines.push(field(terminal, "changed", &file));
    }
    if let Some(error) = view.get("error").filter(|error| !error.is_null()) {
        let message = ["cause", "message", "rule"]
            .iter()
            .filter_map(|key| error.get(key).map(plain))
            .collect::<Vec<_>>()
            .join(": ");
        let message = if message.is_empty() {
            plain(error)
        } else {
            message
        };
        lines.push(field(
            terminal,
            "error",
            &terminal.paint(&message, Tone::Bad),
        ));
    }
    if let Some(report) = view
        .get("agent_report")
        .map(plain)
        .filter(|report| !report.is_empty())
    {
        lines.push(field(terminal, "agent says", &report));
    }
    for (key, value) in view.as_object().into_iter().flatten() {
        if !PLACED.contains(&key.as_str()) && !value.is_null() {
            lines.push(field(terminal, key, &plain(value)));
        }
    }
    if let Some(diff) = view.get("diff").map(plain).filter(|diff| !diff.is_empty()) {
        lines.push(String::new());
        lines.push(diff);
    }
    lines
}

/// The lines about changes that were brought into the checkout.
pub(super) fn applied(terminal: &Terminal, reply: &Value) -> Vec<String> {
    let text = |key: &str| reply.get(key).map(plain).unwrap_or_default();
    let mut lines = vec![terminal.paint(
        &match text("applied").as_str() {
            "merge" => "merged".to_owned(),
            "squash" => "merged and staged, not committed".to_owned(),
            _ => "written into the files, nothing staged".to_owned(),
        },
        Tone::Good,
    )];
    for (key, label) in [
        ("files", "changed"),
        ("converted", "converted"),
        ("merged", "merged"),
        ("not_carried", "not carried"),
    ] {
        let list = reply.get(key).and_then(Value::as_array);
        for file in list.into_iter().flatten() {
            lines.push(field(terminal, label, &item(file)));
        }
    }
    for key in ["branch", "commit"] {
        if !text(key).is_empty() {
            lines.push(field(terminal, key, &text(key)));
        }
    }
    lines
}

/// A label and its text, further lines below the first.
fn field(terminal: &Terminal, label: &str, text: &str) -> String {
    let label = terminal.paint(&format!("{label:>12}"), Tone::Quiet);
    format!(
        "{label}  {}",
        text.trim_end().replace('\n', "\n              ")
    )
}

/// An item of a list, which is one line: a name must not make lines of its own.
fn item(value: &Value) -> String {
    match value {
        Value::String(text) => escaped_line(text).into_owned(),
        other => plain(other),
    }
}

fn plain(value: &Value) -> String {
    match value {
        // A report or a file name may hold what a terminal would obey.
        Value::String(text) => printable(text),
        Value::Array(items) => items.iter().map(item).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| format!("{key} {}", plain(value)))
            .collect::<Vec<_>>()
            .join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use job::State;

    fn shown(state: State, view: &Value) -> String {
        let id: JobId = "a".repeat(26).parse().unwrap();
        let job = JobRow {
            id: id.clone(),
            ticket: 1,
            state,
            created_ms: 0,
            started_ms: Some(1_000),
            ended_ms: state.is_terminal().then_some(201_000),
            cancel_requested: false,
            runner: None,
            lives_in: None,
            spec: Some(json!({
                "prompt": "Fix the tests.\nAll of them.", "allowed_dirs": ["/repos/shop", "/repos/lib"], "model": "cheap",
            })),
            progress: None,
            result: None,
        };
        lines(&Terminal::plain(), &id, Some(&job), view).join("\n")
    }

    #[test]
    fn no_name_makes_a_line_of_its_own() {
        let view = json!({
            "notes": ["HEAD moved to x\n     check  t: passed"],
            "changed_files": ["a\n     check  t: passed"],
            "checks": ["t: failed (a\n     check  t: passed)"],
        });
        let shown = shown(State::Failed, &view);
        let forged = |line: &str| line.trim_start().starts_with("check  t: passed");
        assert!(!shown.lines().any(forged), "{shown}");
        assert_eq!(
            shown.matches("\\n     check  t: passed").count(),
            3,
            "{shown}"
        );
    }

    #[test]
    fn a_job_is_told_to_people() {
        insta::assert_snapshot!(
            "failed",
            shown(
                State::Failed,
                &json!({
                    "job_id": "x", "job_status": "failed", "changed_files": ["src/a.ts", "evil\u{1b}[2Jname"],
                    "checks": ["scoped_patch: passed (src)", "unit tests: failed (exit code 1)"],
                    "failures": {"unit tests": "1 failed\n  adds: expected 4, got 0"},
                    "diff": "--- a/src/a.ts\n+++ b/src/a.ts\n",
                    "agent_report": "(unverified) All done.\u{1b}]0;title\u{7}",
                    "notes": ["ran partial; doctor says why"],
                })
            )
        );
        insta::assert_snapshot!(
            "running",
            shown(
                State::Running,
                &json!({
                    "job_id": "x", "job_status": "running", "turns": 3, "last": "Bash npm test", "elapsed_s": 12,
                })
            )
        );
        let reply = json!({
            "job_id": "x", "applied": "merge", "files": ["src/a.ts"], "branch": "worker/x", "commit": "0123abc",
        });
        insta::assert_snapshot!("applied", applied(&Terminal::plain(), &reply).join("\n"));
    }
}
