//! Summaries of runners: the line at the end that counts what passed and what failed.
//!
//! Each runner words it in its own way, and all of them consist of figures and of few words. So a line counts as a summary
//! when nothing else is in it: `payment 7 failed` has a word that no runner's summary has.

/// The counts of a summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Tests, files or findings that failed.
    pub(crate) failed: u64,
}

/// Words that count failures.
const FAILED: [&str; 13] = [
    "failed",
    "failures",
    "failure",
    "failing",
    "fail",
    "fails",
    "errors",
    "error",
    "errored",
    "broken",
    "unexpected",
    "unsuccessful",
    "problems",
];

/// Words that count something else.
const OTHER: [&str; 60] = [
    "passed",
    "passing",
    "pass",
    "passes",
    "tests",
    "test",
    "specs",
    "spec",
    "examples",
    "example",
    "runs",
    "run",
    "ran",
    "assertions",
    "assertion",
    "assertion(s)",
    "skipped",
    "skips",
    "skip",
    "pending",
    "ignored",
    "success",
    "successes",
    "succeeded",
    "successful",
    "scenario",
    "scenarios",
    "step",
    "steps",
    "features",
    "feature",
    "cases",
    "suites",
    "suite",
    "files",
    "file",
    "total",
    "todo",
    "cancelled",
    "canceled",
    "aborted",
    "completed",
    "warnings",
    "warning",
    "warned",
    "informations",
    "pendings",
    "omissions",
    "omitted",
    "notifications",
    "undefined",
    "doctests",
    "doctest",
    "properties",
    "property",
    "expectations",
    "flaky",
    "excluded",
    "incomplete",
    "risky",
];

/// Words between the figures.
const BETWEEN: [&str; 25] = [
    "with", "out", "of", "in", "and", "found", "executed", "result", "results", "seconds",
    "second", "secs", "sec", "s", "ms", "m", "for", "across", "locally", "duration", "time",
    "checked", "source", "not", "did",
];

/// Reads a summary, or nothing when the line is none.
pub(crate) fn counts(text: &str) -> Option<Counts> {
    let line = text.trim();
    // A figure is the least; summaries are short.
    if line.len() > 160 || !line.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut words: Vec<Word> = Vec::new();
    for token in line.split(|c: char| c.is_whitespace() || "|,;:=()[]{}*!/·•✖✔✘✗─═-".contains(c))
    {
        let token = token.trim_matches(['.', '%', '#', '"', '\'']);
        if token.is_empty() {
            continue;
        }
        words.push(word(token)?);
    }
    // The figure stands in front of its word (`2 failed`) or behind it (`Failures: 2`).
    let mut ends = words.iter().filter(|word| **word != Word::Between);
    let behind = !matches!(ends.next(), Some(Word::Figure(_)))
        && matches!(ends.next_back(), Some(Word::Figure(_)));
    let figure = |at: Option<usize>| match words.get(at?) {
        Some(Word::Figure(count)) => Some(*count),
        _ => None,
    };
    let mut failed: Option<u64> = None;
    let mut others = 0;
    for (at, word) in words.iter().enumerate() {
        match word {
            Word::Failed => {
                let count = if behind {
                    figure(Some(at + 1))
                } else if at > 0 && words.get(at - 1) == Some(&Word::Other) {
                    // `3 tests failed`, `3 FAILED TESTS`.
                    figure(at.checked_sub(2))
                } else {
                    figure(at.checked_sub(1))
                };
                if let Some(count) = count {
                    failed = Some(failed.unwrap_or(0).saturating_add(count));
                }
            }
            Word::Other => others += 1,
            Word::Figure(_) | Word::Between => {}
        }
    }
    let failed = failed?;
    // `2 failed` alone is playwright's; `1 error` alone might be anything.
    let alone = others > 0
        || words.len() <= 3 && line.contains("fail")
        || words.first() == Some(&Word::Between);
    alone.then_some(Counts { failed })
}

#[derive(Debug, PartialEq, Eq)]
enum Word {
    Figure(u64),
    Failed,
    Other,
    Between,
}

fn word(token: &str) -> Option<Word> {
    let digits = token.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0 {
        let (figure, rest) = token.split_at_checked(digits)?;
        // `0.02s`, `12ms`, `50%`, `0.1234`.
        let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let known = matches!(
            unit,
            "" | "s" | "ms" | "µs" | "us" | "ns" | "m" | "min" | "%" | "h"
        );
        if !known {
            return None;
        }
        return Some(if rest.is_empty() {
            Word::Figure(figure.parse().ok()?)
        } else {
            Word::Between
        });
    }
    let is = |known: &&str| token.eq_ignore_ascii_case(known);
    if FAILED.iter().any(is) {
        Some(Word::Failed)
    } else if OTHER.iter().any(is) {
        Some(Word::Other)
    } else if BETWEEN.iter().any(is) {
        Some(Word::Between)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runner_counts_in_its_own_words() {
        let rows = [
            ("5 examples, 2 failures", 2),
            ("4 runs, 3 assertions, 1 failures, 1 errors, 0 skips", 2),
            ("Tests: 6, Assertions: 5, Errors: 1, Failures: 2.", 3),
            ("3 specs, 2 failures", 2),
            (
                "4 tests, 3 assertions, 1 failures, 1 errors, 0 pendings, 0 omissions, 0 notifications",
                2,
            ),
            ("2 failed", 2),
            ("  3 tests failed", 3),
            (" 3 fail", 3),
            ("FAILED | 1 passed | 3 failed (1 step) (69ms)", 3),
            ("3 tests, 1 passed, 2 failed", 2),
            ("1 scenario passed, 1 failed, 1 error, 0 skipped", 2),
            ("3 scenarios (2 failed, 1 passed)", 2),
            ("29% tests passed, 5 tests failed out of 7", 5),
            (" 3 FAILED TESTS", 3),
            ("test cases: 3 | 1 passed | 2 failed", 2),
            ("  Failed: 2.  Skipped: 0.  Passed: 1.", 2),
            ("3 tests completed, 2 failed", 2),
            (
                "Executed 3 tests, with 2 failures (0 unexpected) in 0.012 (0.013) seconds",
                2,
            ),
            ("*** 2 TESTS FAILED ***", 2),
            (
                "Tests: succeeded 1, failed 2, canceled 0, ignored 0, pending 0",
                2,
            ),
            (
                "1 success / 1 failure / 1 error / 0 pending : 0.001236 seconds",
                2,
            ),
            ("✖ 4 problems (3 errors, 1 warning)", 7),
            ("4 errors, 0 warnings, 0 informations", 4),
            ("Found 3 errors.", 3),
            ("3 tests, 0 failures", 0),
            ("Passed 10, Failed 3, Skipped 0", 3),
        ];
        for (text, failed) in rows {
            assert_eq!(counts(text), Some(Counts { failed }), "{text}");
        }
        let none = [
            "payment 7 failed",
            "ERROR payment 7 failed",
            "7 payments failed",
            "test 7",
            "line 12: error",
            "expected 6, got 2",
            "error 404",
            "  1) Failure:",
            "[  FAILED  ] Cart.Total (0 ms)",
            "",
        ];
        for text in none {
            assert_eq!(counts(text), None, "{text}");
        }
    }
}
