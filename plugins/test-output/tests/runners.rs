//! Every runner's digest names the failing tests, their assertions and their places, whatever the application logged.

#[allow(
    dead_code,
    clippy::panic,
    unreachable_pub,
    reason = "the test and the table each use a part"
)]
mod corpus;

use corpus::{NOISES, Noise, ROWS, Row};

const BUDGET: usize = 2_000;

/// The words of a row that a digest lacks.
fn lacks<'a>(row: &'a Row, digest: &str) -> Vec<&'a str> {
    [row.names, row.says, row.places]
        .iter()
        .flat_map(|wanted| wanted.iter())
        .filter(|wanted| !digest.contains(**wanted))
        .copied()
        .collect()
}

#[test]
fn every_runners_failing_tests_are_in_the_digest_whatever_was_logged() {
    let mut faults = String::new();
    for row in ROWS {
        let quiet = row.text();
        for noise in NOISES {
            if row.is_report() && noise != Noise::Clean {
                continue;
            }
            for seed in 0..7 {
                let log = row.with(noise, seed);
                let digest = test_output::digest(&log, BUDGET);
                let lacks = lacks(row, &digest.text);
                let length = digest.text.len();
                let too_long = length > BUDGET || length > quiet.len();
                if !lacks.is_empty() || too_long {
                    faults.push_str(&format!(
                        "\n=== {} {noise:?} seed {seed}: lacks {lacks:?}, {length} bytes of a quiet {}\n{}",
                        row.file,
                        quiet.len(),
                        digest.text
                    ));
                    break;
                }
                if noise == Noise::Clean {
                    break;
                }
            }
        }
    }
    let count = faults.matches("\n=== ").count();
    assert!(faults.is_empty(), "{count} digests lack something:{faults}");
}

/// A CI, or the log of a container, puts a stamp in front of every line; the runner's report is the same behind it.
#[test]
fn a_stamp_on_every_line_is_the_transports() {
    for row in ROWS.iter().filter(|row| !row.is_report()) {
        let stamped: String = row
            .with(Noise::Mild, 1)
            .lines()
            .map(|line| format!("2026-01-01T10:00:00.1234567Z {line}\n"))
            .collect();
        let digest = test_output::digest(&stamped, BUDGET);
        let lacks = lacks(row, &digest.text);
        assert!(
            lacks.is_empty(),
            "{}: lacks {lacks:?}\n{}",
            row.file,
            digest.text
        );
    }
}

#[test]
fn every_fixture_has_a_row() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/test-output/runners");
    let files = std::fs::read_dir(folder).expect("the fixtures are there");
    for file in files {
        let name = file.expect("a fixture").file_name();
        let rows = ROWS.iter().filter(|row| *row.file == *name).count();
        assert_eq!(rows, 1, "{}", name.display());
    }
}

/// The processor time that this thread has had, in nanoseconds; what else the machine does is not in it.
fn processor_time() -> Option<u64> {
    let said = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    said.split(' ').next()?.parse().ok()
}

/// Quadratic time takes minutes here, not the seconds that a debug build may take. (The example
/// prints the times of ten megabytes:
/// `cargo run --release -p test-output --example runners -- speed`.)
#[test]
fn the_time_grows_with_the_log_and_no_faster() {
    let mut shapes: Vec<(String, String)> = Vec::new();
    for row in ROWS.iter().filter(|row| !row.is_report()).step_by(9) {
        shapes.push((row.file.to_owned(), row.text()));
    }
    for (name, piece) in [
        ("one line", "x"),
        ("blanks", "\n"),
        (
            "log",
            "ERROR payment 7 failed\nTraceback (most recent call last):\n  File \"a.py\", line 1, in a\nValueError: x\n",
        ),
        ("torn yaml", "not ok 1 - a\n  ---\n    message: x\n"),
        (
            "open blocks",
            "---- a::b stdout ----\nthread 'a' panicked at src/a.rs:1:1:\n",
        ),
        ("heads", "FAIL: a\nFAILED b\n✗ c\n  1) d\n● e › f\n"),
        ("rules", "====================\n--------------------\n"),
        (
            "scenarios",
            "Scenario: a\n  Given b\n    boom\n1 scenario passed, 1 failed\n",
        ),
    ] {
        shapes.push((name.to_owned(), piece.to_owned()));
    }
    for (name, piece) in shapes {
        let log = piece.repeat((1 << 17) / piece.len());
        let start = processor_time();
        let digest = test_output::digest(&log, BUDGET);
        let took = processor_time().zip(start).map(|(end, start)| end - start);
        assert!(digest.text.len() <= BUDGET, "{name}");
        assert!(
            took.unwrap_or(0) < 20_000_000_000,
            "{name} took {took:?} ns"
        );
    }
}
