#![allow(clippy::unwrap_used, clippy::panic)]
use std::path::Path;

use super::digest;

fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/test-output");
    std::fs::read_to_string(folder.join(format!("{name}.txt"))).unwrap()
}

/// Every fixture under the default budget of a check, as Codex gets to read it.
#[test]
fn what_each_tool_said_in_a_glance() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/test-output");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_str()?
                .strip_suffix(".txt")
                .map(str::to_owned)
        })
        .collect();
    names.sort();
    assert!(names.len() >= 15, "{names:?}");
    for name in names {
        let output = fixture(&name);
        let digest = digest(&output, 2_000);
        assert!(
            digest.text.len() <= 2_000 && digest.text.len() <= output.len(),
            "{name}: {} bytes",
            digest.text.len()
        );
        let shown = format!(
            "{} bytes of {}\n\n{}",
            digest.text.len(),
            output.len(),
            digest.text
        );
        insta::with_settings!({ snapshot_path => "snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, shown);
        });
    }
}

/// The lines that a reader must find of each fixture; the first two lines explain the first
/// failure.
const EXPLAINING: &[(&str, &[&str])] = &[
    (
        "cargo-test",
        &[
            "tests::adds",
            "left: -1",
            "right: 5",
            "src/lib.rs:11:45",
            "ParseIntError",
            "\"overflow\"",
            "bad result",
            "1 passed; 6 failed",
        ],
    ),
    (
        "nextest",
        &[
            "calc tests::adds",
            "left: -1",
            "src/lib.rs:11:45",
            "1 failed",
        ],
    ),
    (
        "rustc",
        &[
            "no field `b`",
            "src/lib.rs:3:33",
            "expected `u32`, found `&str`",
            "borrow of moved value",
            "could not compile",
        ],
    ),
    (
        "clippy",
        &[
            "unused variable: `unused`",
            "src/lib.rs:3:18",
            "length comparison to zero",
            "4 previous errors",
        ],
    ),
    (
        "pytest",
        &[
            "test_adds",
            "assert -1 == 5",
            "test_calc.py:8",
            "no database",
            "ZeroDivisionError",
            "4 failed",
        ],
    ),
    (
        "pytest-collect",
        &["test_import.py", "No module named 'nothing_here'"],
    ),
    ("unittest", &["test_add", "-1 != 5", "line 4", "failures=1"]),
    (
        "jest",
        &[
            "calc › adds two numbers",
            "Expected: 5",
            "Received: -1",
            "calc.test.js:4:85",
            "Cannot find module",
            "3 failed",
        ],
    ),
    (
        "vitest",
        &[
            "calc > adds two numbers",
            "expected -1 to be 5",
            "calc.test.mjs:4:85",
            "timed out in 100ms",
            "4 failed",
        ],
    ),
    (
        "mocha",
        &[
            "adds two numbers",
            "-1 !== 5",
            "mocha.spec.mjs:4:41",
            "division by zero",
            "3 failing",
        ],
    ),
    (
        "node-test-tap",
        &[
            "adds two numbers",
            "-1 !== 5",
            "calc.test.mjs:4:3",
            "+   age: 41",
            "division by zero",
            "fail 3",
        ],
    ),
    (
        "node-test-spec",
        &[
            "adds two numbers",
            "-1 !== 5",
            "calc.test.mjs:4:3",
            "division by zero",
            "fail 3",
        ],
    ),
    (
        "go-test",
        &[
            "TestAdd",
            "calc_test.go:9: Add(2, 3) = -1; want 5",
            "expected: 5",
            "division by zero",
            "FAIL\texample.com",
        ],
    ),
    (
        "go-test-v-panic",
        &["want 5", "integer divide by zero", "calc/calc.go:8"],
    ),
    (
        "go-build",
        &["calc/calc.go:12:2: undefined: missing", "build failed"],
    ),
    (
        "tsc",
        &["a.ts(2,42)", "TS2322", "Cannot find name 'missing'"],
    ),
    (
        "tsc-pretty",
        &[
            "a.ts:2:42",
            "TS2322",
            "Cannot find name 'missing'",
            "4 errors",
        ],
    ),
    (
        "eslint",
        &["lint.js", "'undefinedThing' is not defined", "5 errors"],
    ),
    ("npm-script", &["TS2322", "Property 'age' is missing"]),
    (
        "mypy",
        &["app/models.py:14", "Incompatible types", "app/views.py:3"],
    ),
    ("make-gcc", &["src/module_17.c:88:12: error", "Error 1"]),
    ("unknown-tool", &["relation \"orders\" does not exist"]),
];

/// A reader finds the line, whatever the budget: the check's default, and a sixth of it for one
/// failure at least.
#[test]
fn the_line_that_explains_a_failure_is_never_cut_away() {
    for (name, wanted) in EXPLAINING {
        let output = fixture(name);
        let whole = digest(&output, 2_000).text;
        for line in *wanted {
            assert!(whole.contains(line), "{name} lost {line:?}:\n{whole}");
        }
        let tight = digest(&output, 330).text;
        assert!(tight.len() <= 330);
        let kept = wanted.iter().filter(|line| tight.contains(**line)).count();
        assert!(
            kept >= 1,
            "{name} in 330 bytes keeps nothing that explains:\n{tight}"
        );
    }
}

/// Noise in one place never drowns another: 30 KB of passing tests and progress around a failure.
#[test]
fn a_failure_in_a_long_log_is_found() {
    let failure = fixture("pytest");
    let (before, after) = failure.split_at(failure.find("====").unwrap());
    let log = format!(
        "{}{before}{after}{}",
        "downloading wheel 42%\n".repeat(700),
        "post-run hook ok\n".repeat(700)
    );
    let text = digest(&log, 2_000).text;
    assert!(
        text.contains("assert -1 == 5") && text.contains("test_calc.py:8"),
        "{text}"
    );
}

/// The application's own complaints before a report: one line with a count, and the failing test in full.
#[test]
fn what_the_application_logs_again_and_again_is_one_line() {
    for name in [
        "pytest",
        "jest",
        "mocha",
        "go-test",
        "cargo-test",
        "unittest",
    ] {
        let log = format!("{}{}", "ERROR payment 7 failed\n".repeat(28), fixture(name));
        let text = digest(&log, 2_000).text;
        assert!(
            text.matches("payment 7 failed").count() <= 1,
            "{name}:\n{text}"
        );
        let (_, wanted) = EXPLAINING.iter().find(|(row, _)| *row == name).unwrap();
        for line in *wanted {
            assert!(text.contains(line), "{name} lost {line:?}:\n{text}");
        }
    }
    let text = digest(
        &format!(
            "{}{}",
            "ERROR payment 7 failed\n".repeat(28),
            fixture("jest")
        ),
        2_000,
    )
    .text;
    assert!(
        text.contains("ERROR payment 7 failed [28 such lines]"),
        "{text}"
    );
}

/// Nothing but an application's log: what it complains about is folded, what it says once is not.
#[test]
fn a_log_without_a_runner_is_folded() {
    let mut log = String::new();
    for n in 0..400 {
        log.push_str(&format!("2026-01-01T10:00:00Z INFO request {n} handled\n"));
        log.push_str(&format!("2026-01-01T10:00:00Z ERROR payment {n} failed\n"));
    }
    log.push_str("2026-01-01T10:00:00Z ERROR cannot open orders.db: disk is full\n");
    let text = digest(&log, 2_000).text;
    assert!(
        text.contains("cannot open orders.db: disk is full"),
        "{text}"
    );
    assert!(text.contains("[400 such lines]"), "{text}");
    assert!(text.matches("payment").count() <= 4, "{text}");
}

/// An output of more bytes or lines than a plugin can hold is read from both ends.
#[test]
fn a_huge_output_is_read_from_its_ends() {
    let rows = [
        ("bytes", format!("{}\n", "x".repeat(100_000)).repeat(140)),
        ("lines", "\n".repeat(700_000)),
        ("one line", "x".repeat(14 << 20)),
    ];
    for (story, middle) in rows {
        let log = format!("{}\n{middle}\n{}", fixture("rustc"), fixture("pytest"));
        let digest = digest(&log, 2_000);
        assert!(
            digest.text.contains("assert -1 == 5"),
            "{story}: {}",
            digest.text
        );
        assert!(digest.text.len() <= 2_000, "{story}");
        for span in &digest.kept {
            assert!(log.get(span.clone()).is_some(), "{story}");
        }
    }
}

#[test]
fn many_failures_share_the_budget() {
    let mut log = String::from("running 200 tests\n\nfailures:\n\n");
    for n in 0..200 {
        log.push_str(&format!("---- tests::case_{n} stdout ----\n\nthread 'tests::case_{n}' panicked at src/lib.rs:{n}:5:\nassertion `left == right` failed\n  left: {n}\n right: 0\n\n"));
    }
    log.push_str("\ntest result: FAILED. 0 passed; 200 failed; 0 ignored\n");
    let text = digest(&log, 2_000).text;
    assert!(text.len() <= 2_000);
    assert!(
        text.contains("tests::case_0 ") && text.contains("left: 0") && text.contains("200 failed"),
        "{text}"
    );
    assert!(text.matches("---- tests::case_").count() >= 10, "{text}");
    assert!(
        text.contains("more lines about failures left out"),
        "{text}"
    );
}

#[test]
fn an_endless_line_does_not_hide_the_rest() {
    let log = format!(
        "---- a stdout ----\nthread 'a' panicked at x.rs:1:1:\n{}\nright after\n\ntest result: FAILED. 1 failed\n",
        "x".repeat(100_000)
    );
    let text = digest(&log, 2_000).text;
    assert!(
        text.len() <= 2_000 && text.contains("x.rs:1:1") && text.contains("right after"),
        "{text}"
    );
}

#[test]
fn odd_inputs_are_no_problem() {
    for (text, max) in [
        ("", 100),
        ("\n\n\n", 100),
        ("x", 0),
        ("error: y", 3),
        ("\u{1b}[", 10),
        ("a\0b", 10),
        ("not ok 1\n  ---", 50),
        ("✖ failing tests:\nℹ fail 1", 50),
        ("error: x\n --> a", 200),
    ] {
        let digest = digest(text, max);
        assert!(digest.text.len() <= max.max(text.len()), "{text:?}");
    }
}

proptest::proptest! {
    /// Any mixture of lines that tools print, cut anywhere, stays within its bytes and within the input.
    #[test]
    fn a_digest_is_never_longer_than_asked_or_than_the_log(
        pieces in proptest::collection::vec((0usize..60, 0usize..40), 1..8),
        max in 0usize..3_000,
    ) {
        let fixtures = ["cargo-test", "pytest", "jest", "vitest-color", "mocha", "node-test-tap", "node-test-spec", "go-test-v-panic", "tsc-pretty", "eslint", "rustc", "unittest"];
        let mut log = String::new();
        for (at, (skip, take)) in pieces.iter().enumerate() {
            let name = fixtures[(skip + at * 7) % fixtures.len()];
            for line in fixture(name).lines().skip(*skip).take(*take) {
                log.push_str(line);
                log.push('\n');
            }
        }
        let digest = digest(&log, max);
        proptest::prop_assert!(digest.text.len() <= max.max(40) && digest.text.len() <= log.len());
        let kept: usize = digest.kept.iter().map(|span| log[span.clone()].lines().count()).sum();
        proptest::prop_assert!(kept + digest.elided <= log.lines().count() + 1);
    }

    /// Noise of any kind and length around a failure costs neither the line that names it nor the one that explains it.
    #[test]
    fn noise_around_a_failure_never_hides_it(
        row in 0..EXPLAINING.len(),
        before in proptest::collection::vec((0usize..NOISE.len(), 1usize..400), 0..4),
        after in proptest::collection::vec((0usize..NOISE.len(), 1usize..400), 0..4),
    ) {
        let (name, wanted) = EXPLAINING[row];
        let noise = |kinds: &[(usize, usize)]| {
            let mut text = String::new();
            for (kind, count) in kinds {
                for n in 0..*count {
                    text.push_str(&NOISE[*kind].replace("{n}", &n.to_string()));
                    text.push('\n');
                }
            }
            text
        };
        let log = format!("{}{}\n{}", noise(&before), fixture(name), noise(&after));
        let digest = digest(&log, 2_000);
        proptest::prop_assert!(digest.text.len() <= 2_000);
        for line in wanted.iter().take(2) {
            proptest::prop_assert!(
                digest.text.contains(line),
                "{} lost {:?} in the noise:\n{}", name, line, digest.text
            );
        }
    }
}

proptest::proptest! {
    /// No text whatsoever makes it panic, spend more than it may, or say more than the text.
    #[test]
    fn any_text_is_survived(text in "\\PC*|(?s:.{0,400})", max in 0usize..3_000) {
        let digest = digest(&text, max);
        proptest::prop_assert!(digest.text.len() <= max.max(40) && digest.text.len() <= text.len());
        for span in &digest.kept {
            proptest::prop_assert!(text.get(span.clone()).is_some());
        }
    }

    /// Nor do the beginnings and ends that recognisers look for, in any order and wherever they are torn.
    #[test]
    fn any_order_of_what_runners_print_is_survived(
        picks in proptest::collection::vec((0..WORDS.len(), 0usize..40, 0usize..6), 0..120),
        max in 0usize..3_000,
    ) {
        let mut text = String::new();
        for (word, cut, indent) in picks {
            let word = WORDS[word];
            let end = (0..=cut.min(word.len())).rev().find(|end| word.is_char_boundary(*end)).unwrap_or(0);
            let torn = if cut > 30 { word } else { &word[..end] };
            text.push_str(&" ".repeat(indent));
            text.push_str(torn);
            text.push('\n');
        }
        let digest = digest(&text, max);
        proptest::prop_assert!(digest.text.len() <= max.max(40) && digest.text.len() <= text.len());
    }

    /// Any bytes that a process printed, made text as the host makes them.
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2_000)) {
        let text = String::from_utf8_lossy(&bytes);
        let digest = digest(&text, 500);
        proptest::prop_assert!(digest.text.len() <= 500 && digest.text.len() <= text.len());
    }
}

/// The words that recognisers look for.
const WORDS: &[&str] = &[
    "<?xml version=\"1.0\"?>",
    "<testsuite name=\"a\">",
    "<testcase name=\"a\" classname=\"b\">",
    "<failure message=\"x&#10;y\">",
    "]]></failure>",
    "</testcase>",
    "{\"numFailedTests\":1,\"testResults\":[",
    "{\"Action\":\"output\",\"Output\":\"--- FAIL: A\\n\"}",
    "Failures:",
    "1) Cart#total",
    "5 examples, 2 failures",
    "  1) Failure:",
    "4 runs, 3 assertions, 1 failures, 1 errors, 0 skips",
    "There was 1 error:",
    "Tests: 6, Assertions: 5, Errors: 1, Failures: 2.",
    "2 failed",
    "not ok 1 - a",
    "---",
    "...",
    "ok 2 - b",
    "#   Failed test 'a'",
    "#   at t/a.t line 3.",
    "[ RUN      ] A.B",
    "[  FAILED  ] A.B",
    "a.cc:7: FAILED:",
    "2/7 Test #2: A ....***Failed",
    "29% tests passed, 5 tests failed out of 7",
    "[ERROR] Tests run: 3, Failures: 1",
    "[ERROR] a(B)  Time elapsed: 0.1 s  <<< FAILURE!",
    "[INFO] BUILD FAILURE",
    "a.B > c FAILED",
    "* What went wrong:",
    "Failures (2):",
    "- a *** FAILED ***",
    "*** 2 TESTS FAILED ***",
    "  Failed A.B [5 ms]",
    "a.swift:1: error: A.b : x",
    "FAIL: //a:b (see x)",
    "==================== Test output for //a:b:",
    "(fail) a",
    "bun test v1",
    "ERRORS",
    "a => ./b.ts:1:2",
    "FAILURES",
    "  ✘ [fail]: a",
    "A | FAIL |",
    "Scenario: a",
    "Given b",
    "1 scenario passed, 1 failed",
    "a: b...*failed*",
    "Failed: 2.  Skipped: 0.  Passed: 1.",
    "Failure -> a @ 3",
    "1 success / 1 failure / 0 error / 0 pending : 0.1 seconds",
    "=== FAILURES ===",
    "____ test_a ____",
    "E   assert 1 == 2",
    "1 failed, 2 passed in 0.1s",
    "● a › b",
    "Tests: 1 failed",
    "---- a stdout ----",
    "thread 'a' panicked at a.rs:1:1:",
    "--- FAIL: TestA (0.00s)",
    "FAIL\tx\t0.1s",
    "a.py:1:2: F401 x",
    "F401 x",
    " --> a.py:1:2",
    "a.js:1:2 lint/a/b ━━━",
    "  × x",
    "  a.py:1:2 - error: x (y)",
    "a.ts(1,2): error TS1: x",
    "ERROR payment 7 failed",
    "2026-01-01T10:00:00Z ERROR x",
    "Traceback (most recent call last):",
    "  File \"a.py\", line 1, in b",
    "ValueError: x",
    "\u{1b}[31m\u{1b}[1Gx",
    "====================",
    "--------------------",
    "",
    "é",
];

/// Other lines of a log: progress, passing tests, servers, hooks.
const NOISE: &[&str] = &[
    "downloading wheel {n}%",
    "test case_{n} ... ok",
    "ok {n} - case {n}",
    "  ✓ works in case {n} (3 ms)",
    "[12:00:{n}] INFO server: request {n} handled",
    "   Compiling crate_{n} v0.1.{n}",
    "",
    "PASS src/case_{n}.test.ts",
    "2026-01-01T00:00:00Z DEBUG pool size {n}",
];
