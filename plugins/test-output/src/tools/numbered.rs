//! Runners whose report is a numbered list, `1) the test`: RSpec, minitest, PHPUnit, ExUnit, Jasmine, Hspec, Playwright.

use super::{body, number};
use crate::counts::counts;
use crate::lines::Rank;
use crate::output::Output;

/// A runner of the family.
struct Runner {
    /// Tells its summary.
    summary: fn(&str) -> bool,
    /// The line from which on the list is read; empty for a list anywhere.
    opens: &'static str,
    /// Beginnings of lines that end a failure.
    closes: &'static [&'static str],
    /// Beginnings of lines that go by in a run.
    noise: &'static [&'static str],
}

const RUNNERS: &[Runner] = &[
    // RSpec and Hspec.
    Runner {
        summary: |line| line.contains(" example") && line.contains(" failure"),
        opens: "Failures:",
        closes: &[
            "Finished in ",
            "Failed examples:",
            "Pending:",
            "Randomized with seed",
            "Top ",
            "Coverage report",
        ],
        noise: &["Run options:", "Randomized with seed", "Finished in "],
    },
    // minitest.
    Runner {
        summary: |line| line.contains(" runs, ") && line.contains(" assertions, "),
        opens: "",
        closes: &["Finished in "],
        noise: &["Run options:", "# Running:", "Finished in "],
    },
    // PHPUnit.
    Runner {
        summary: |line| line.starts_with("Tests: ") && line.contains("Assertions: "),
        opens: "There w",
        closes: &["FAILURES!", "ERRORS!", "WARNINGS!", "There w", "--"],
        noise: &[
            "PHPUnit ",
            "Runtime: ",
            "Configuration: ",
            "Time: ",
            "Random Seed:",
            "--",
        ],
    },
    // ExUnit.
    Runner {
        summary: |line| {
            line.ends_with(" failures")
                || line.ends_with(" failure")
                || line.contains(" failures, ")
        },
        opens: "",
        closes: &["Finished in ", "  * test "],
        noise: &[
            "Finished in ",
            "Randomized with seed",
            "Compiling ",
            "Generated ",
            "Running ExUnit",
        ],
    },
    // Jasmine.
    Runner {
        summary: |line| line.contains(" spec") && line.contains(" failure"),
        opens: "Failures:",
        closes: &["Pending:", "Finished in ", "Incomplete:"],
        noise: &["Randomized with seed", "Started", "Finished in "],
    },
    // Playwright.
    Runner {
        summary: |line| {
            line.strip_suffix(" failed")
                .is_some_and(|count| count.trim().bytes().all(|byte| byte.is_ascii_digit()))
        },
        opens: "",
        closes: &[],
        noise: &["Running ", "  ✓ ", "  ok "],
    },
];

pub(super) fn recognise(output: &mut Output<'_>) {
    for runner in RUNNERS {
        let last = output
            .lines
            .iter()
            .rposition(|line| is_summary(runner, &line.text));
        let Some(last) = last else { continue };
        let opened = match runner.opens {
            "" => Some(0),
            opens => output
                .lines
                .iter()
                .position(|line| line.text.starts_with(opens)),
        };
        let Some(opened) = opened.filter(|opened| *opened < last) else {
            continue;
        };
        let listed = (opened..last).any(|at| title(output.text(at)).is_some());
        if listed {
            list(output, runner, opened, last);
        }
    }
}

fn is_summary(runner: &Runner, text: &str) -> bool {
    (runner.summary)(text) && counts(text).is_some_and(|counts| counts.failed > 0)
}

/// `  1) Cart#total multiplies by the count`: what stands behind the number.
fn title(text: &str) -> Option<&str> {
    let line = text.trim_start();
    let (_, rest) = number(line).filter(|_| text.len() - line.len() <= 4)?;
    rest.strip_prefix(") ").filter(|title| !title.is_empty())
}

fn list(output: &mut Output<'_>, runner: &Runner, opened: usize, last: usize) {
    for at in 0..opened {
        if runner
            .noise
            .iter()
            .any(|start| output.text(at).starts_with(start))
        {
            output.claim(at, Rank::Noise, 0);
        }
    }
    let mut block = 0;
    let mut titled = false;
    for at in opened..=last {
        let text = output.text(at).to_owned();
        let line = text.trim();
        if is_summary(runner, &text) {
            output.claim(at, Rank::Verdict, 0);
            block = 0;
        } else if let Some(title) = title(&text) {
            block = output.block();
            // minitest names the kind here, and the test on the next line.
            titled = !matches!(title, "Failure:" | "Error:");
            output.claim(at, if titled { Rank::Name } else { Rank::Noise }, block);
            // Hspec's place stands above.
            let above = at.saturating_sub(1);
            if runner.opens == "Failures:" && body::frame(output.text(above).trim()).is_some() {
                output.set(above, Rank::Place, block);
            }
        } else if runner.closes.iter().any(|start| text.starts_with(start)) {
            output.claim(at, Rank::Noise, 0);
            block = 0;
        } else if block == 0 {
            if is_passing(line)
                || runner.noise.iter().any(|start| text.starts_with(start))
                || text == runner.opens
            {
                output.claim(at, Rank::Noise, 0);
            }
        } else if !titled && !line.is_empty() {
            output.claim(at, Rank::Name, block);
            titled = true;
        } else {
            output.claim(at, body::rank(&text), block);
        }
    }
    // RSpec lists the failures once more, as commands.
    for at in last + 1..output.lines.len() {
        let text = output.text(at);
        if text.starts_with("rspec ./") || text.starts_with("rspec '") {
            output.claim(at, Rank::Index, 0);
        } else if text == "Failed examples:"
            || runner.noise.iter().any(|start| text.starts_with(start))
        {
            output.claim(at, Rank::Noise, 0);
        }
    }
}

/// Dots and marks of progress.
fn is_passing(line: &str) -> bool {
    !line.is_empty() && line.bytes().all(|byte| b".FESWRIPN*".contains(&byte))
        || line.starts_with(['✓', '✔', '·', '°', '±', '×', '✘'])
}
