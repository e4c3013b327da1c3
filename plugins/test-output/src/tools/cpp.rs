//! GoogleTest, Catch2 and CTest, which runs either.

use super::{body, number};
use crate::counts::counts;
use crate::lines::Rank;
use crate::output::Output;

pub(super) fn recognise(output: &mut Output<'_>) {
    gtest(output);
    catch(output);
    ctest(output);
}

/// Finds the output of a test between `[ RUN      ]` and `[  FAILED  ]`.
fn gtest(output: &mut Output<'_>) {
    if !output.any_starts_with(&["[  FAILED  ] "]) {
        return;
    }
    let mut pending: Vec<usize> = Vec::new();
    let mut running = false;
    for at in 0..output.lines.len() {
        let text = output.text(at).to_owned();
        if text.starts_with("[ RUN      ]") {
            output.claim(at, Rank::Noise, 0);
            pending.clear();
            running = true;
        } else if text.starts_with("[  FAILED  ] ") {
            let listed = counts(
                text.trim_start_matches("[  FAILED  ]")
                    .trim_end_matches(", listed below:"),
            )
            .is_some();
            if listed || !running {
                let rank = if listed || text.contains(" listed below") {
                    Rank::Noise
                } else {
                    Rank::Index
                };
                output.claim(at, rank, 0);
            } else {
                let block = output.block();
                output.claim(at, Rank::Name, block);
                for line in pending.drain(..) {
                    let text = output.text(line).to_owned();
                    let rank = if text.ends_with(": Failure") {
                        Rank::Place
                    } else {
                        body::rank(&text)
                    };
                    output.claim(line, rank, block);
                }
            }
            running = false;
        } else if is_gtest_progress(&text) {
            for line in pending
                .drain(..)
                .filter(|_| text.starts_with("[       OK ]"))
            {
                output.claim(line, Rank::Noise, 0);
            }
            output.claim(at, Rank::Noise, 0);
            running =
                running && !text.starts_with("[       OK ]") && !text.starts_with("[  SKIPPED ]");
        } else if text.contains(" FAILED TEST") && counts(&text).is_some() {
            output.claim(at, Rank::Verdict, 0);
        } else if running {
            pending.push(at);
        }
    }
}

fn is_gtest_progress(text: &str) -> bool {
    [
        "[==========]",
        "[----------]",
        "[       OK ]",
        "[  PASSED  ]",
        "[  SKIPPED ]",
        "[ DISABLED ]",
        "Note: Google Test filter",
        "Running main() from",
    ]
    .iter()
    .any(|start| text.starts_with(start))
}

/// `file.cc:7: FAILED:`, the test's name between rules above it.
fn catch(output: &mut Output<'_>) {
    let is_failure = |text: &str| text.ends_with(": FAILED:") || text.ends_with(": FAILED");
    if !output.lines.iter().any(|line| is_failure(&line.text)) {
        return;
    }
    let rule = |text: &str, mark: u8| text.len() >= 40 && text.bytes().all(|byte| byte == mark);
    let mut names: Vec<usize> = Vec::new();
    let mut naming = false;
    let mut block = 0;
    for at in 0..output.lines.len() {
        let text = output.text(at).to_owned();
        if rule(&text, b'-') {
            if !naming {
                names.clear();
            }
            naming = !naming;
            block = 0;
            output.claim(at, Rank::Noise, 0);
        } else if rule(&text, b'.') || rule(&text, b'~') || rule(&text, b'=') {
            output.claim(at, Rank::Noise, 0);
            block = 0;
        } else if naming {
            names.push(at);
        } else if is_failure(&text) {
            block = output.block();
            output.claim(at, Rank::Place, block);
            for name in names.drain(..) {
                output.claim(name, Rank::Name, block);
            }
        } else if text.starts_with("test cases:")
            && counts(&text).is_some_and(|counts| counts.failed > 0)
        {
            output.claim(at, Rank::Verdict, 0);
            block = 0;
        } else if text.starts_with("assertions:")
            || text.contains("is a Catch")
            || text.starts_with("Run with -?")
        {
            output.claim(at, Rank::Noise, 0);
        } else if block > 0 {
            output.claim(at, body::rank(&text), block);
        }
    }
}

/// `2/7 Test #2: Cart.Total ........***Failed`, then what the test printed.
fn ctest(output: &mut Output<'_>) {
    let is_sum = |text: &str| text.contains("% tests passed, ");
    if !output.lines.iter().any(|line| is_sum(&line.text)) {
        return;
    }
    let mut failing: Option<usize> = None;
    let mut listing = false;
    let mut block = 0;
    for at in 0..output.lines.len() {
        let text = output.text(at).to_owned();
        let line = text.trim_start();
        let is_result = number(line)
            .and_then(|(_, rest)| number(rest.strip_prefix('/')?))
            .is_some_and(|(_, rest)| rest.starts_with(" Test "));
        if is_result {
            listing = false;
            if line.contains("***") {
                // What runs inside has claimed its lines already: then this only repeats the name.
                let inside = (at + 1..output.lines.len())
                    .take_while(|next| !output.text(*next).trim_start().starts_with("Start "))
                    .take(400)
                    .any(|next| {
                        output
                            .lines
                            .get(next)
                            .is_some_and(|line| line.rank == Rank::Name)
                    });
                if inside {
                    output.claim(at, Rank::Index, 0);
                    failing = None;
                } else {
                    block = output.block();
                    output.claim(at, Rank::Name, block);
                    failing = Some(at);
                }
            } else {
                output.claim(at, Rank::Noise, 0);
                failing = None;
            }
        } else if is_sum(&text) {
            failing = None;
            if counts(&text).is_some_and(|counts| counts.failed > 0) {
                output.recognised = true;
                output.claim(at, Rank::Verdict, 0);
            }
        } else if text.starts_with("The following tests FAILED") {
            output.claim(at, Rank::Noise, 0);
            listing = true;
            failing = None;
        } else if text.starts_with("Output from these tests are in:") {
            output.claim(at, Rank::Detail, 0);
        } else if listing && number(line).is_some_and(|(_, rest)| rest.starts_with(" - ")) {
            output.claim(at, Rank::Index, 0);
        } else if line.starts_with("Start ") && line.contains(": ")
            || text.starts_with("Test project ")
            || text.starts_with("Total Test time")
        {
            output.claim(at, Rank::Noise, 0);
            failing = None;
        } else if failing.is_some() {
            output.claim(at, body::rank(&text), block);
        }
    }
}
