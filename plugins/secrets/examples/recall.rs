//! Prints precision and recall a label over the sample rows, as a table: `cargo run --example
//! recall` here, `cargo run -p secrets --example recall` elsewhere in the repository. Ends with 1
//! where a label is below its floor, which `tests/recall.rs` holds as well.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

#[allow(dead_code, unreachable_pub)]
#[path = "../tests/samples/mod.rs"]
mod samples;
#[allow(dead_code, unreachable_pub)]
#[path = "../tests/samples/score.rs"]
mod score;

fn main() -> ExitCode {
    let scores = match score::Scores::measure() {
        Ok(scores) => scores,
        Err(fault) => {
            eprintln!("The rules refuse their default settings: {fault:?}");
            return ExitCode::FAILURE;
        }
    };
    print!("{scores}");
    let faults = scores.faults();
    for fault in &faults {
        eprintln!("Below its floor: {fault}.");
    }
    if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
