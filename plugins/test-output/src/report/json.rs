//! Reports in JSON: jest and vitest, mocha, Playwright, pytest-json-report, RSpec; ESLint, Ruff, pylint, pyright; and the
//! streams of `go test -json`, `cargo --message-format=json` and mypy.

use serde_json::Value;

use super::{Failure, Read, Report};

/// A longer report is read as lines: its tree would not fit into a plugin's memory.
const BYTES: usize = 8 << 20;

pub(super) fn read(text: &str) -> Option<Read> {
    if text.len() > BYTES {
        return None;
    }
    match serde_json::from_str::<Value>(text) {
        Ok(value) => of_value(&value).map(Read::Report),
        Err(_) => of_stream(text),
    }
}

fn of_value(value: &Value) -> Option<Report> {
    if value.get("testResults").is_some() {
        return jest(value);
    }
    if value.get("stats").is_some() && value.get("failures").is_some_and(Value::is_array) {
        return mocha(value);
    }
    if value.get("suites").is_some() && value.get("stats").is_some() {
        let mut report = Report::default();
        for suite in list(value, "suites") {
            playwright(suite, "", &mut report);
        }
        return Some(report);
    }
    if value.get("tests").is_some() && value.get("exitcode").is_some() {
        return pytest(value);
    }
    if value.get("examples").is_some() && value.get("summary").is_some() {
        return rspec(value);
    }
    if value.get("generalDiagnostics").is_some() {
        return findings(&list(value, "generalDiagnostics").collect::<Vec<_>>());
    }
    let items = value.as_array()?;
    if items.iter().any(|item| item.get("messages").is_some()) {
        let flat: Vec<Value> = items
            .iter()
            .flat_map(|file| {
                let path = text_of(file, "filePath").to_owned();
                list(file, "messages").map(move |message| {
                    let mut message = message.clone();
                    if let Some(fields) = message.as_object_mut() {
                        fields.insert("path".to_owned(), Value::from(path.clone()));
                    }
                    message
                })
            })
            .collect();
        return findings(&flat.iter().collect::<Vec<_>>());
    }
    findings(&items.iter().collect::<Vec<_>>())
}

/// A field's text, empty where there is none.
fn text_of<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// A field's list, empty where there is none.
fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value
        .get(field)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// `path:line`, or the path alone.
fn place(path: &str, line: Option<u64>) -> String {
    match line {
        Some(line) if !path.is_empty() => format!("{path}:{line}"),
        _ => path.to_owned(),
    }
}

fn jest(value: &Value) -> Option<Report> {
    let mut report = Report {
        tests: value
            .get("numTotalTests")
            .and_then(Value::as_u64)
            .unwrap_or(0),
        ..Report::default()
    };
    for file in list(value, "testResults") {
        let path = text_of(file, "name");
        let before = report.failures.len();
        for test in
            list(file, "assertionResults").filter(|test| text_of(test, "status") == "failed")
        {
            let line = test.pointer("/location/line").and_then(Value::as_u64);
            let messages: Vec<&str> = list(test, "failureMessages")
                .filter_map(Value::as_str)
                .collect();
            report.failures.push(Failure {
                name: text_of(test, "fullName").to_owned(),
                place: place(path, line),
                body: messages.join("\n"),
                ..Failure::default()
            });
        }
        // A file that could not be loaded has no tests.
        if report.failures.len() == before && text_of(file, "status") == "failed" {
            report.failures.push(Failure {
                name: path.to_owned(),
                body: text_of(file, "message").to_owned(),
                ..Failure::default()
            });
        }
    }
    Some(report)
}

fn mocha(value: &Value) -> Option<Report> {
    let mut report = Report {
        tests: value
            .pointer("/stats/tests")
            .and_then(Value::as_u64)
            .unwrap_or(0),
        ..Report::default()
    };
    for test in list(value, "failures") {
        let error = test.get("err").unwrap_or(&Value::Null);
        report.failures.push(Failure {
            name: text_of(test, "fullTitle").to_owned(),
            place: text_of(test, "file").to_owned(),
            message: text_of(error, "message").to_owned(),
            body: text_of(error, "stack").to_owned(),
            ..Failure::default()
        });
    }
    Some(report)
}

fn playwright(suite: &Value, path: &str, report: &mut Report) {
    let title = text_of(suite, "title");
    let path = if path.is_empty() {
        title.to_owned()
    } else {
        format!("{path} › {title}")
    };
    for spec in list(suite, "specs") {
        report.tests += 1;
        if spec.get("ok").and_then(Value::as_bool) != Some(false) {
            continue;
        }
        let line = spec.get("line").and_then(Value::as_u64);
        let mut failure = Failure {
            name: format!("{path} › {}", text_of(spec, "title")),
            place: place(text_of(spec, "file"), line),
            ..Failure::default()
        };
        for result in list(spec, "tests").flat_map(|test| list(test, "results")) {
            let first = list(result, "errors").next();
            if let Some(error) = first.filter(|_| failure.body.is_empty()) {
                failure.body = text_of(error, "message").to_owned();
                let at = error.get("location").unwrap_or(&Value::Null);
                let line = at.get("line").and_then(Value::as_u64);
                if line.is_some() {
                    failure.place = place(text_of(at, "file"), line);
                }
            }
        }
        report.failures.push(failure);
    }
    for inner in list(suite, "suites") {
        playwright(inner, &path, report);
    }
}

fn pytest(value: &Value) -> Option<Report> {
    let mut report = Report {
        tests: value
            .pointer("/summary/total")
            .and_then(Value::as_u64)
            .unwrap_or(0),
        ..Report::default()
    };
    let broken = |stage: &&Value| matches!(text_of(stage, "outcome"), "failed" | "error");
    for test in list(value, "tests").filter(broken) {
        let stage = ["setup", "call", "teardown"]
            .iter()
            .filter_map(|stage| test.get(stage))
            .find(broken)
            .unwrap_or(&Value::Null);
        let crash = stage.get("crash").unwrap_or(&Value::Null);
        report.failures.push(Failure {
            name: text_of(test, "nodeid").to_owned(),
            place: place(
                text_of(crash, "path"),
                crash.get("lineno").and_then(Value::as_u64),
            ),
            message: text_of(crash, "message").to_owned(),
            printed: text_of(stage, "stdout").to_owned(),
            ..Failure::default()
        });
    }
    for collector in list(value, "collectors").filter(broken) {
        report.failures.push(Failure {
            name: text_of(collector, "nodeid").to_owned(),
            body: text_of(collector, "longrepr").to_owned(),
            ..Failure::default()
        });
    }
    Some(report)
}

fn rspec(value: &Value) -> Option<Report> {
    let mut report = Report {
        tests: value
            .pointer("/summary/example_count")
            .and_then(Value::as_u64)
            .unwrap_or(0),
        ..Report::default()
    };
    for example in list(value, "examples").filter(|example| text_of(example, "status") == "failed")
    {
        let exception = example.get("exception").unwrap_or(&Value::Null);
        report.failures.push(Failure {
            name: text_of(example, "full_description").to_owned(),
            place: place(
                text_of(example, "file_path"),
                example.get("line_number").and_then(Value::as_u64),
            ),
            message: text_of(exception, "message").to_owned(),
            body: list(exception, "backtrace")
                .filter_map(Value::as_str)
                .take(20)
                .collect::<Vec<_>>()
                .join("\n"),
            ..Failure::default()
        });
    }
    Some(report)
}

/// The findings of linters: a message, a rule, a place, each under one of few names.
fn findings(items: &[&Value]) -> Option<Report> {
    let first = |item: &Value, names: &[&str]| -> String {
        names
            .iter()
            .filter_map(|name| item.get(name))
            .find_map(|value| match value {
                Value::String(text) if !text.is_empty() => Some(text.clone()),
                _ => None,
            })
            .unwrap_or_default()
    };
    let mut report = Report::default();
    for item in items {
        let message = first(item, &["message"]);
        let path = first(item, &["path", "filename", "file", "filePath"]);
        let line = item
            .get("line")
            .and_then(Value::as_u64)
            .or_else(|| item.pointer("/location/row").and_then(Value::as_u64))
            .or_else(|| {
                item.pointer("/range/start/line")
                    .and_then(Value::as_u64)
                    .map(|line| line + 1)
            });
        if message.is_empty() || path.is_empty() {
            continue;
        }
        report.tests += 1;
        let mild = matches!(
            text_of(item, "severity").to_ascii_lowercase().as_str(),
            "warning" | "note" | "information" | "info" | "hint"
        ) || item.get("severity").and_then(Value::as_u64) == Some(1)
            || matches!(
                text_of(item, "type"),
                "convention" | "refactor" | "info" | "warning"
            );
        if !mild {
            report.failures.push(Failure {
                name: first(item, &["ruleId", "code", "symbol", "rule"]),
                place: place(&path, line),
                message,
                ..Failure::default()
            });
        }
    }
    (report.tests > 0).then_some(report)
}

/// A record a line.
fn of_stream(text: &str) -> Option<Read> {
    let mut printed = String::new();
    let mut found: Vec<Value> = Vec::new();
    let (mut records, mut known) = (0, 0);
    for line in text.lines() {
        let Ok(record) = serde_json::from_str::<Value>(line) else {
            if records == 0 {
                return None;
            }
            // What a tool says besides, a compiler's error for one.
            printed.push_str(line);
            printed.push('\n');
            continue;
        };
        records += 1;
        // An application that logs in JSON is no runner that reports in it.
        let is_finding = record.get("severity").is_some() && record.get("file").is_some();
        known += usize::from(
            is_finding || record.get("Action").is_some() || record.get("reason").is_some(),
        );
        if let Some(output) = record.get("Output").and_then(Value::as_str) {
            printed.push_str(output);
        } else if let Some(rendered) = record.pointer("/message/rendered").and_then(Value::as_str) {
            printed.push_str(rendered);
            printed.push('\n');
        } else if is_finding {
            found.push(record);
        }
    }
    if known * 2 <= records {
        return None;
    }
    if !found.is_empty() {
        return findings(&found.iter().collect::<Vec<_>>()).map(Read::Report);
    }
    (!printed.trim().is_empty()).then_some(Read::Printed(printed))
}
