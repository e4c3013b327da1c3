//! The rules without WebAssembly around them, on the texts of the host's bench `redaction`: `cargo
//! bench -p secrets`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs
)]

use std::hint::black_box;
use std::time::Instant;

use secrets::{Secrets, Settings};
use worker_plugin::Redactor as _;

#[path = "../../../host/benches/corpus/mod.rs"]
#[allow(dead_code)]
mod corpus;

fn main() {
    const SIZE: usize = 8 << 20;
    let secrets = Secrets::new(Settings::default()).expect("no settings");
    println!("| text | native, every byte, MB/s |\n|---|---|");
    for sample in corpus::ordinary(SIZE) {
        let fastest = (0..5)
            .map(|_| {
                let began = Instant::now();
                for window in sample.text.as_bytes().chunks(64 << 10) {
                    black_box(secrets.find(window, 0, true));
                }
                began.elapsed()
            })
            .min()
            .unwrap();
        println!(
            "| {} | {:.0} |",
            sample.name,
            SIZE as f64 / fastest.as_secs_f64() / 1e6
        );
    }
    println!(
        "\n| line of 256 KiB made to hurt, the worst ten | native, in one piece, ms |\n|---|---|"
    );
    let mut hostile: Vec<(f64, &str)> = corpus::hostile(256 << 10)
        .into_iter()
        .map(|sample| {
            let began = Instant::now();
            black_box(secrets.find(sample.text.as_bytes(), 0, true));
            (began.elapsed().as_secs_f64() * 1e3, sample.name)
        })
        .collect();
    hostile.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (took, name) in hostile.iter().take(10) {
        println!("| {name} | {took:.0} |");
    }
}
