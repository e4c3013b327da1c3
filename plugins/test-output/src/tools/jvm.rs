//! Maven's Surefire, Gradle, JUnit's console, ScalaTest and MUnit.

use super::body;
use crate::counts::counts;
use crate::lines::Rank;
use crate::output::Output;

pub(super) fn recognise(output: &mut Output<'_>) {
    maven(output);
    gradle(output);
    junit_console(output);
    scalatest(output);
}

/// `[ERROR] takesSixtyPercentOff(shop.CartTest)  Time elapsed: 0.087 s  <<< ERROR!`, then the exception and its frames.
fn maven(output: &mut Output<'_>) {
    let is_there = output.any_starts_with(&["[ERROR] ", "[INFO] BUILD "])
        && output.lines.iter().any(|line| {
            line.text.starts_with("[INFO] BUILD FAILURE")
                || line.text.starts_with("[ERROR] Tests run:")
                || line.text.contains("<<< FAILURE!")
                || line.text.contains("<<< ERROR!")
        });
    if !is_there {
        return;
    }
    let mut block = 0;
    let mut blocks = 0;
    let mut results = false;
    for at in 0..output.lines.len() {
        let text = output.text(at).to_owned();
        let said = text
            .strip_prefix("[ERROR] ")
            .or_else(|| text.strip_prefix("[ERROR]"));
        let fails = text.contains("<<< FAILURE!") || text.contains("<<< ERROR!");
        if fails && !text.contains("Tests run:") {
            block = output.block();
            blocks += 1;
            output.claim(at, Rank::Name, block);
        } else if let Some(said) = said {
            block = 0;
            let line = said.trim_start();
            if line.starts_with("Tests run:") {
                let rank = if said.contains("Time elapsed") {
                    Rank::Noise
                } else {
                    Rank::Verdict
                };
                output.claim(at, rank, 0);
            } else if matches!(line, "Failures:" | "Errors:" | "Failures: " | "Errors: ") {
                results = true;
                output.claim(at, Rank::Noise, 0);
            } else if results && said.starts_with("  ") {
                // Test, line and message on one line; where the blocks are there it repeats them.
                if blocks > 0 {
                    output.claim(at, Rank::Index, 0);
                } else {
                    let block = output.block();
                    output.claim(at, Rank::Name, block);
                }
            } else if line.starts_with("Failed to execute goal") {
                results = false;
                output.claim(at, Rank::Detail, 0);
            } else if is_compile_error(line) {
                let block = output.block();
                output.claim(at, Rank::Explain, block);
            } else {
                output.claim(at, Rank::Noise, 0);
            }
        } else if text.starts_with("[INFO] BUILD FAILURE") {
            output.recognised = true;
            output.claim(at, Rank::Verdict, 0);
            block = 0;
        } else if text.starts_with("[INFO]") || text.starts_with("[WARNING]") {
            output.claim(at, Rank::Noise, 0);
            block = 0;
        } else if block > 0 {
            output.claim(at, body::rank(&text), block);
        }
    }
}

/// `/src/Cart.java:[5,8] cannot find symbol`.
fn is_compile_error(line: &str) -> bool {
    line.split_once(":[").is_some_and(|(path, rest)| {
        path.contains('/') && rest.starts_with(|c: char| c.is_ascii_digit())
    })
}

/// `shop.CartTest > takesSixtyPercentOff FAILED`, then indented lines.
fn gradle(output: &mut Output<'_>) {
    let is_head = |text: &str| {
        text.ends_with(" FAILED") && text.contains(" > ") && !text.starts_with([' ', '>', ':'])
    };
    let wrong = "* What went wrong:";
    if !output.lines.iter().any(|line| is_head(&line.text)) && !output.any_starts_with(&[wrong]) {
        return;
    }
    let mut block = 0;
    let mut explaining = false;
    let mut tests = false;
    for at in 0..output.lines.len() {
        let text = output.text(at).to_owned();
        if is_head(&text) {
            block = output.block();
            tests = true;
            output.claim(at, Rank::Name, block);
        } else if text == wrong {
            explaining = true;
            block = if tests { 0 } else { output.block() };
            output.claim(at, Rank::Noise, 0);
        } else if text.starts_with("* ") {
            explaining = false;
            block = 0;
            output.claim(at, Rank::Noise, 0);
        } else if explaining && !text.is_empty() {
            output.recognised = true;
            let rank = if tests { Rank::Detail } else { Rank::Explain };
            output.claim(at, rank, block);
        } else if text.contains(" tests completed, ") && counts(&text).is_some()
            || text.starts_with("BUILD FAILED")
        {
            output.claim(at, Rank::Verdict, 0);
            block = 0;
        } else if is_gradle_noise(&text) {
            output.claim(at, Rank::Noise, 0);
        } else if block > 0 && text.starts_with([' ', '\t']) {
            output.claim(at, body::rank(&text), block);
        } else if !text.is_empty() {
            block = 0;
        }
    }
}

fn is_gradle_noise(text: &str) -> bool {
    text.starts_with("> Task ")
        || text.starts_with("Run with --stacktrace")
        || text.starts_with("> Run with --")
        || text.starts_with("FAILURE: Build failed with")
        || text.contains(" actionable task")
        || text.starts_with(':') && !text.contains(' ')
        || [
            " UP-TO-DATE",
            " NO-SOURCE",
            " FROM-CACHE",
            " SKIPPED",
            " PASSED",
        ]
        .iter()
        .any(|end| text.ends_with(end))
}

/// `Failures (2):`, then a test's path through the engine, `=>` and the exception.
fn junit_console(output: &mut Output<'_>) {
    let Some(start) = output.lines.iter().position(|line| {
        line.text
            .strip_prefix("Failures (")
            .is_some_and(|rest| rest.ends_with("):"))
    }) else {
        return;
    };
    let mut block = 0;
    for at in start..output.lines.len() {
        let text = output.text(at).to_owned();
        let line = text.trim_start();
        if at == start {
            output.claim(at, Rank::Noise, 0);
        } else if text.starts_with("  ") && !text.starts_with("   ") && line.contains(':') {
            block = output.block();
            output.claim(at, Rank::Name, block);
        } else if text.starts_with("Test run finished") {
            block = 0;
            output.claim(at, Rank::Noise, 0);
        } else if line.starts_with('[') && line.ends_with(']') {
            let failing =
                line.ends_with("tests failed          ]") || line.contains(" tests failed ");
            let rank = if failing { Rank::Verdict } else { Rank::Noise };
            output.claim(at, rank, 0);
        } else if block > 0 {
            output.claim(at, body::rank(&text), block);
        }
    }
    for at in 0..start {
        if output
            .text(at)
            .trim_start()
            .starts_with(['├', '└', '│', '╷'])
        {
            output.claim(at, Rank::Noise, 0);
        }
    }
}

/// `- should multiply *** FAILED ***`, behind sbt's `[info] ` or bare; MUnit's `==> X shop.CartSuite.total`.
fn scalatest(output: &mut Output<'_>) {
    let bare = |text: &str| -> usize {
        ["[info] ", "[error] "]
            .iter()
            .find(|prefix| text.starts_with(**prefix))
            .map_or(0, |prefix| prefix.len())
    };
    let is_there = output
        .lines
        .iter()
        .any(|line| line.text.contains("*** FAILED ***") || line.text.contains("==> X "));
    if !is_there {
        return;
    }
    let mut block = 0;
    let mut suite: Option<usize> = None;
    for at in 0..output.lines.len() {
        let text = output.text(at).to_owned();
        let said = text.get(bare(&text)..).unwrap_or_default().to_owned();
        let line = said.trim_start();
        if line.contains("*** FAILED ***") && line.starts_with('-') || line.starts_with("==> X ") {
            block = output.block();
            if let Some(suite) = suite.take() {
                output.claim(suite, Rank::Name, block);
            }
            output.claim(at, Rank::Name, block);
        } else if line.starts_with("*** ") && line.contains("FAILED")
            || line.starts_with("Tests: succeeded")
        {
            output.claim(at, Rank::Verdict, 0);
            block = 0;
        } else if said.ends_with("Spec:")
            || said.ends_with("Test:")
            || said.ends_with("Suite:")
            || said.ends_with("Tests:")
        {
            suite = Some(at);
            block = 0;
        } else if line.starts_with("- ") || line.starts_with("+ ") || is_scala_noise(line) {
            output.claim(at, Rank::Noise, 0);
            block = 0;
        } else if block > 0 {
            let scala_place =
                line.ends_with(')') && line.contains(".scala:") && !line.starts_with("at ");
            let rank = if scala_place {
                Rank::Explain
            } else {
                body::rank(line)
            };
            output.claim(at, rank, block);
        }
    }
}

fn is_scala_noise(line: &str) -> bool {
    [
        "Run completed in",
        "Total number of tests run",
        "Suites: completed",
        "Run starting",
        "Discovery ",
    ]
    .iter()
    .any(|start| line.starts_with(start))
}
