//! Prints the table of runners: what of a failing test is in a digest of 2,000 bytes, clean, with mild and with heavy noise.
//!
//! `cargo run -p test-output --example runners`; with `-- speed` the time that ten megabytes of each output take, for which
//! `--release` is right.

#![allow(clippy::print_stdout, reason = "the table is what it is for")]

#[allow(
    dead_code,
    clippy::panic,
    unreachable_pub,
    reason = "the test and the table each use a part"
)]
#[path = "../tests/corpus/mod.rs"]
mod corpus;

use corpus::{NOISES, Noise, Origin, ROWS};

fn main() {
    if std::env::args().any(|word| word == "speed") {
        return speed();
    }
    println!("| runner | clean | bytes | mild | bytes | heavy | bytes |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for row in ROWS {
        let written = if row.origin == Origin::Written {
            " (written)"
        } else {
            ""
        };
        let mut cells = format!("| {}{written} |", row.file);
        for noise in NOISES {
            if row.is_report() && noise != Noise::Clean {
                cells.push_str(" - | - |");
                continue;
            }
            let digest = test_output::digest(&row.with(noise, 1), 2_000).text;
            let has = |wanted: &[&str]| wanted.iter().all(|wanted| digest.contains(wanted));
            let mark = |there: bool, word: &str| {
                if there {
                    word.to_owned()
                } else {
                    format!("NO {word}")
                }
            };
            cells.push_str(&format!(
                " {} {} {} | {} |",
                mark(has(row.names), "name"),
                mark(has(row.says), "assertion"),
                mark(has(row.places), "place"),
                digest.len()
            ));
        }
        println!("{cells}");
    }
}

fn speed() {
    println!("| output, 10 MiB of it | ms |");
    println!("| --- | --- |");
    for row in ROWS.iter().filter(|row| !row.is_report()) {
        let piece = row.with(Noise::Heavy, 1);
        let log = piece.repeat((10 << 20) / piece.len());
        let start = std::time::Instant::now();
        let digest = test_output::digest(&log, 2_000);
        println!("| {} | {} |", row.file, start.elapsed().as_millis());
        assert!(digest.text.len() <= 2_000);
    }
}
