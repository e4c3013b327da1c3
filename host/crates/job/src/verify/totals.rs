//! Whether an output tells how many tests ran, as the runners' summaries do.
//!
//! A source file that ends the program when it is loaded (`os._exit(0)`) makes a test command pass without a test: its exit code
//! is 0, and the runner never came to its summary.

use std::sync::LazyLock;

use regex::RegexSet;

/// Lines that runners print at the end of every run, passed or failed. Not what is printed for failures alone: a script of
/// that kind is silent when all is well.
const TOTALS: &[&str] = &[
    // pytest, also with -q.
    r"(?m)^=* ?(?:\d+ \w+, )*\d+ (?:passed|failed|errors?|skipped|xfailed)\b.* in \d",
    // unittest.
    r"(?m)^Ran \d+ tests? in ",
    // cargo test, cargo nextest.
    r"(?m)^test result: ",
    r"(?m)^ +Summary \[",
    // node --test, as TAP and as spec; TAP of others.
    r"(?m)^(?:#|ℹ) tests \d",
    r"(?m)^\d+\.\.\d+",
    // jest, vitest, mocha, ava, playwright.
    r"(?m)^Tests: +.*\d+ total",
    r"(?m)^ +Tests  \d",
    r"(?m)^ +\d+ (?:passing|failing)\b",
    r"(?m)^ +\d+ tests? (?:passed|failed)",
    r"(?m)^ +\d+ (?:passed|failed)\b",
    // bun, deno.
    r"(?m)^ *\d+ pass$",
    r"(?m)^(?:ok|FAILED) \| \d+ passed",
    // go test.
    r"(?m)^(?:ok|FAIL)\s+\S+\s+(?:\d|\(cached\)|\[)",
    // rspec, minitest, phpunit.
    r"(?m)^\d+ examples?, \d+ failures?",
    r"(?m)^\d+ runs, \d+ assertions",
    r"(?m)^(?:OK \(\d+ tests?|Tests: \d+, Assertions)",
    // Maven, ctest, dotnet.
    r"Tests run: \d+, Failures",
    r"(?m)^\d+% tests passed",
    r"(?m)^(?:Passed|Failed)! +- Failed:",
];

static SET: LazyLock<Option<RegexSet>> = LazyLock::new(|| RegexSet::new(TOTALS).ok());

/// True if the output tells how many tests ran.
pub(super) fn are_told(output: &str) -> bool {
    let plain = redact::text::printable(output);
    SET.as_ref().is_some_and(|set| set.is_match(&plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runners_summaries_are_known_whether_they_passed_or_failed() {
        assert!(SET.is_some(), "every pattern is one");
        for output in [
            "F.\n=== short test summary info ===\nFAILED a.py::t\n==== 1 failed, 3 passed in 0.12s ====",
            "....\n4 passed in 0.01s",
            "----\nRan 3 tests in 0.001s\n\nOK",
            "running 1 test\ntest t ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored",
            "# tests 3\n# pass 3",
            "ℹ tests 1\nℹ pass 0\nℹ fail 1",
            "Test Suites: 1 passed, 1 total\nTests:       2 passed, 2 total",
            " Test Files  1 passed (1)\n      Tests  2 passed (2)",
            "  sum\n    ✔ adds\n\n  1 passing (3ms)",
            "ok  \texample.org/shop\t0.003s",
            "FAIL\texample.org/shop\t0.003s\nFAIL",
            "ok  \texample.org/shop\t(cached)",
            "Finished in 0.1 seconds\n2 examples, 0 failures",
            "3 runs, 4 assertions, 0 failures, 0 errors, 0 skips",
            "OK (3 tests, 5 assertions)",
            "Tests run: 4, Failures: 1, Errors: 0",
            "100% tests passed, 0 tests failed out of 3",
            "1..2\nok 1\nok 2",
            "ok | 2 passed | 0 failed (5ms)",
            "\u{1b}[32m 3 pass\u{1b}[0m\n 0 fail",
        ] {
            assert!(are_told(output), "{output}");
        }
    }

    #[test]
    fn other_output_tells_of_none() {
        for output in [
            "",
            "collected 3 items",
            "FAILED: the sum is wrong",
            "PASS",
            "error[E0425]: cannot find value `x` in this scope",
            "2 files changed, 3 tests to go",
            "   Compiling shop v0.1.0\n    Finished `test` profile",
        ] {
            assert!(!are_told(output), "{output}");
        }
    }
}
