//! Runners that frame a failure in rules or headings: test-unit, Robot Framework, behave and Cucumber, EUnit, busted.

use super::body;
use crate::counts::counts;
use crate::lines::Rank;
use crate::output::Output;

pub(super) fn recognise(output: &mut Output<'_>) {
    test_unit(output);
    robot(output);
    scenarios(output);
    eunit(output);
    busted(output);
}

/// Claims a summary of this form that counts failures; false where there is none.
fn summed_up(output: &mut Output<'_>, form: fn(&str) -> bool) -> bool {
    let mut found = false;
    for at in 0..output.lines.len() {
        let text = output.text(at);
        if form(text) && counts(text).is_some_and(|counts| counts.failed > 0) {
            output.claim(at, Rank::Verdict, 0);
            found = true;
        }
    }
    found
}

/// `Failure: test_total(CartTest)` between two rules.
fn test_unit(output: &mut Output<'_>) {
    if !summed_up(output, |line| {
        line.contains(" assertions, ") && line.contains(" omissions")
    }) {
        return;
    }
    let mut block = 0;
    for at in 1..output.lines.len() {
        let text = output.text(at).to_owned();
        let is_rule = text.len() >= 40 && text.bytes().all(|byte| byte == b'=');
        let above = output.text(at - 1);
        let below_rule = above.len() >= 40 && above.bytes().all(|byte| byte == b'=');
        let heading = ["Failure: ", "Error: "]
            .iter()
            .any(|start| text.starts_with(start));
        if heading && below_rule {
            block = output.block();
            output.claim(at, Rank::Name, block);
        } else if is_rule || text.starts_with("Finished in ") {
            output.claim(at, Rank::Noise, 0);
            block = 0;
        } else if block > 0 {
            output.claim(at, body::rank(&text), block);
        } else if text.starts_with("Loaded suite") || text == "Started" {
            output.claim(at, Rank::Noise, 0);
        }
    }
}

/// `Multiplies By The Count      | FAIL |`, then the message, then a rule.
fn robot(output: &mut Output<'_>) {
    let form = |line: &str| {
        line.contains(" tests, ") || line.contains(" test, ") || line.contains(" task")
    };
    let is_there = output
        .lines
        .iter()
        .any(|line| line.text.ends_with("| FAIL |"));
    if !is_there || !summed_up(output, form) {
        return;
    }
    let mut block = 0;
    for at in 0..output.lines.len() {
        let text = output.text(at).to_owned();
        if text.ends_with("| FAIL |") {
            // A suite's own line is followed by its count.
            if output
                .lines
                .get(at + 1)
                .is_some_and(|next| next.rank == Rank::Verdict)
            {
                output.claim(at, Rank::Detail, 0);
                block = 0;
            } else {
                block = output.block();
                output.claim(at, Rank::Name, block);
            }
        } else if text.ends_with("| PASS |")
            || text.ends_with("| SKIP |")
            || body::is_ornament(&text)
        {
            output.claim(at, Rank::Noise, 0);
            block = 0;
        } else if block > 0 {
            output.claim(at, body::rank(&text), block);
        } else if ["Output:  ", "Log:     ", "Report:  "]
            .iter()
            .any(|start| text.starts_with(start))
        {
            output.claim(at, Rank::Noise, 0);
        }
    }
}

/// behave and Cucumber: a scenario, its steps, and below the failing step what went wrong.
fn scenarios(output: &mut Output<'_>) {
    let form = |line: &str| line.contains("scenario");
    if !summed_up(output, form) {
        return;
    }
    let mut scenario: Option<usize> = None;
    let mut step: Option<usize> = None;
    let mut block = 0;
    for at in 0..output.lines.len() {
        let text = output.text(at).to_owned();
        let line = text.trim_start();
        // Cucumber numbers the failing ones.
        let line = super::number(line)
            .and_then(|(_, rest)| rest.strip_prefix(") "))
            .unwrap_or(line);
        let is_step = ["Given ", "When ", "Then ", "And ", "But ", "* "]
            .iter()
            .any(|start| {
                line.strip_prefix("✖ ")
                    .or(line.strip_prefix("✔ "))
                    .unwrap_or(line)
                    .starts_with(start)
            });
        if line.starts_with("Scenario") && line.contains(':') {
            scenario = Some(at);
            step = None;
            block = 0;
        } else if line.starts_with("Failing scenarios:") || line.starts_with("Errored scenarios:") {
            output.claim(at, Rank::Noise, 0);
            scenario = None;
            step = None;
            block = 0;
        } else if is_step && scenario.is_some() {
            step = Some(at);
            block = 0;
        } else if line.starts_with("Feature:")
            || line.starts_with("Took ")
            || line.starts_with("USING RUNNER")
        {
            output.claim(at, Rank::Noise, 0);
        } else if (line.starts_with("features/") || line.contains(".feature:"))
            && scenario.is_none()
        {
            // The list at the end, with places; behind the blocks it repeats them.
            let known = output.recognised;
            if known {
                output.claim(at, Rank::Index, 0);
            } else if line.contains(".feature:") {
                let block = output.block();
                output.recognised = false;
                output.claim(at, Rank::Name, block);
            }
        } else if let (Some(named), Some(step), false) = (scenario, step, line.is_empty()) {
            if line.contains(" steps passed")
                || line.contains(" scenario")
                || line.contains(" feature")
            {
                continue;
            }
            if block == 0 {
                block = output.block();
                output.claim(named, Rank::Name, block);
                output.claim(step, Rank::Place, block);
            }
            output.claim(at, body::rank(&text), block);
        }
    }
    output.recognised = true;
}

/// `cart_tests: total_test...*failed*`, up to an empty line.
fn eunit(output: &mut Output<'_>) {
    if !summed_up(output, |line| {
        line.contains("Failed: ") && line.contains("Passed: ")
    }) {
        return;
    }
    let mut block = 0;
    for at in 0..output.lines.len() {
        let text = output.text(at).to_owned();
        if text.ends_with("*failed*") {
            block = output.block();
            output.claim(at, Rank::Name, block);
        } else if text.trim().is_empty() {
            block = 0;
        } else if text.ends_with("...ok") || body::is_ornament(text.trim()) {
            output.claim(at, Rank::Noise, 0);
        } else if block > 0 {
            let rank = if text.trim_start().starts_with("output:<<\"\">>") {
                Rank::Noise
            } else {
                body::rank(&text)
            };
            output.claim(at, rank, block);
        }
    }
}

/// `Failure -> spec/cart_spec.lua @ 3`, then the test's name.
fn busted(output: &mut Output<'_>) {
    if !summed_up(output, |line| {
        line.contains(" / ") && line.contains("success")
    }) {
        return;
    }
    let mut block = 0;
    let mut titled = false;
    for at in 0..output.lines.len() {
        let text = output.text(at).to_owned();
        if text.contains(" -> ") && text.contains(" @ ") {
            block = output.block();
            titled = false;
            output.claim(at, Rank::Place, block);
        } else if block > 0 && !titled && !text.is_empty() {
            output.claim(at, Rank::Name, block);
            titled = true;
        } else if block > 0 {
            output.claim(at, body::rank(&text), block);
        }
    }
}
