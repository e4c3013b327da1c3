//! The runners that come with a platform: `dotnet test`, XCTest and Swift Testing, Bazel.

use super::body;
use crate::counts::counts;
use crate::lines::Rank;
use crate::output::Output;

pub(super) fn recognise(output: &mut Output<'_>) {
    dotnet(output);
    swift(output);
    bazel(output);
}

/// `  Failed Shop.Tests.CartTests.Total [12 ms]`, `Error Message:`, `Stack Trace:`.
fn dotnet(output: &mut Output<'_>) {
    let is_head = |text: &str| {
        text.trim_start()
            .strip_prefix("Failed ")
            .is_some_and(|rest| rest.ends_with(']') && rest.contains(" ["))
    };
    if !output.lines.iter().any(|line| is_head(&line.text)) {
        return;
    }
    let mut block = 0;
    for at in 0..output.lines.len() {
        let text = output.text(at).to_owned();
        let line = text.trim_start();
        let counted = counts(line.split(" - ").next().unwrap_or_default()).or_else(|| {
            counts(
                line.strip_prefix("Failed!  - ")?
                    .split(", Duration:")
                    .next()?,
            )
        });
        if is_head(&text) {
            block = output.block();
            output.claim(at, Rank::Name, block);
        } else if line.starts_with("[xUnit.net ") {
            // xUnit says everything once more while it runs.
            output.claim(at, Rank::Noise, 0);
        } else if line.starts_with("Failed!")
            || line.starts_with("Test Run Failed")
            || counted.is_some_and(|counts| counts.failed > 0) && line.starts_with("Failed:")
        {
            output.claim(at, Rank::Verdict, 0);
            block = 0;
        } else if is_dotnet_noise(line) {
            output.claim(at, Rank::Noise, 0);
            if !line.ends_with(':') {
                block = 0;
            }
        } else if block > 0 {
            output.claim(at, body::rank(&text), block);
        }
    }
}

fn is_dotnet_noise(line: &str) -> bool {
    [
        "Passed ",
        "Skipped ",
        "Determining projects to restore",
        "Restored ",
        "All projects are up-to-date",
        "Starting test execution",
        "A total of ",
        "Microsoft (R) ",
        "Copyright (c) ",
        "VSTest version",
        "Test run for ",
        "Total tests:",
        "Total time:",
        "Passed:",
        "Skipped:",
        "Results File:",
    ]
    .iter()
    .any(|start| line.starts_with(start))
}

/// `/src/CartTests.swift:12: error: CartTests.testTotal : XCTAssertEqual failed: ...`: test, place and reason on one line.
fn swift(output: &mut Output<'_>) {
    let is_xctest = |text: &str| {
        text.contains(".swift:") && text.contains(": error: ") && text.contains(" : ")
            || text.contains(": error: -[")
    };
    let is_issue = |text: &str| {
        let line = text.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        line.starts_with("Test ") && line.contains(" recorded an issue at ")
    };
    let is_there = output
        .lines
        .iter()
        .any(|line| is_xctest(&line.text) || is_issue(&line.text));
    if !is_there {
        return;
    }
    let mut block = 0;
    for at in 0..output.lines.len() {
        let text = output.text(at).to_owned();
        let line = text.trim_start();
        if is_xctest(&text) || is_issue(&text) {
            block = output.block();
            output.claim(at, Rank::Name, block);
        } else if counts(line).is_some_and(|counts| counts.failed > 0)
            && line.starts_with("Executed ")
            || line.contains("Test run with ") && line.contains(" failed after ")
        {
            output.claim(at, Rank::Verdict, 0);
            block = 0;
        } else if line.starts_with("Test Case ")
            || line.starts_with("Test Suite ")
            || is_swift_mark(line)
        {
            output.claim(at, Rank::Noise, 0);
            block = 0;
        } else if block > 0 && !line.is_empty() {
            output.claim(at, body::rank(&text), block);
        }
    }
}

fn is_swift_mark(line: &str) -> bool {
    let said = line.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    said.len() < line.len()
        && ["Test ", "Suite "]
            .iter()
            .any(|start| said.starts_with(start))
        || ["Building for debugging", "Build complete!", "[1/"]
            .iter()
            .any(|start| line.starts_with(start))
}

/// `==================== Test output for //shop:total_test:` up to the next rule, and `//shop:total_test FAILED in 0.3s`.
fn bazel(output: &mut Output<'_>) {
    let is_there = output.lines.iter().any(|line| {
        line.text.starts_with("FAIL: //")
            || line.text.starts_with("FAILED: Build did NOT complete")
            || line.text.starts_with("FAIL: @")
            || line.text.starts_with("//") && line.text.contains(" FAILED in ")
    });
    if !is_there {
        return;
    }
    let mut block = 0;
    let mut named = false;
    for at in 0..output.lines.len() {
        let text = output.text(at).to_owned();
        if text.starts_with("FAIL: //") || text.starts_with("FAIL: @") {
            output.claim(at, Rank::Index, 0);
            named = true;
        } else if text.starts_with("====") && text.contains("Test output for ") {
            block = output.block();
            output.claim(at, Rank::Name, block);
        } else if text.starts_with("====") && body::is_ornament(&text) {
            block = 0;
            output.claim(at, Rank::Noise, 0);
        } else if text.starts_with("Executed ") && text.contains(" test")
            || text.starts_with("FAILED: Build did NOT complete")
        {
            output.recognised = true;
            output.claim(at, Rank::Verdict, 0);
            block = 0;
        } else if text.starts_with("ERROR: /") || text.starts_with("ERROR: @") {
            block = output.block();
            output.claim(at, Rank::Explain, block);
            block = 0;
        } else if text.starts_with("//") && text.contains(" FAILED in ") {
            let rank = if named { Rank::Index } else { Rank::Name };
            output.claim(at, rank, 0);
            output.recognised = true;
        } else if is_bazel_noise(&text) {
            output.claim(at, Rank::Noise, 0);
        } else if block > 0 {
            output.claim(at, body::rank(&text), block);
        }
    }
}

fn is_bazel_noise(text: &str) -> bool {
    [
        "Loading: ",
        "Analyzing: ",
        "INFO: ",
        "DEBUG: ",
        "Computing main repo",
        "There were tests whose",
    ]
    .iter()
    .any(|start| text.starts_with(start))
        || text.starts_with("//") && text.contains(" PASSED in ")
        || text.starts_with('[') && text.contains(" / ") && text.contains("] ")
}
