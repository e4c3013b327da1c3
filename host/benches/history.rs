//! What a long history costs: `stats`, `jobs`, `jobs show last` and `gc` over a store of many jobs.
//!
//! `cargo bench --bench history [-- JOBS]`: makes a store of JOBS jobs that are over (20,000), each with a folder, three
//! requests to a gateway and three calls of the planner's, and times the commands, the best of three each, the store warm; `gc`
//! once, over all of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    missing_docs
)]

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use gateway::RequestRecord;
use job::{JobId, State, Store};
use redact::{KnownValues, Redactor};
use serde_json::json;

use store::BenchStore;

mod store;

const EACH: usize = 3;

fn main() {
    let jobs = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(20_000);
    let store = BenchStore::new();
    let began = Instant::now();
    fill(store.state(), jobs);
    println!(
        "{jobs} jobs, {} requests, made in {:.1?}",
        jobs * EACH,
        began.elapsed()
    );
    for command in [
        &["stats"][..],
        &["stats", "--by", "model"],
        &["jobs"],
        &["jobs", "show", "last"],
    ] {
        let best = (0..3).map(|_| time(&store, command)).min();
        println!("{:22} {:.1?}", command.join(" "), best.unwrap());
    }
    let took = time(&store, &["gc", "--older-than", "0s"]);
    let rate = jobs as f64 / took.as_secs_f64();
    println!("{:22} {took:.1?}, {rate:.0} jobs/s", "gc --older-than 0s");
    assert!(
        Store::open(store.state())
            .unwrap()
            .jobs(1)
            .unwrap()
            .is_empty()
    );
}

fn time(store: &BenchStore, arguments: &[&str]) -> Duration {
    let began = Instant::now();
    let status = store.program(arguments).stdout(Stdio::null()).status();
    assert!(status.unwrap().success(), "{arguments:?}");
    began.elapsed()
}

fn fill(state: &Path, jobs: usize) {
    let redactor = Redactor::new(KnownValues::new(), Vec::new());
    let store = Store::open(state).unwrap();
    store.hasten().unwrap();
    let result = redactor.json(json!({
        "job_status": "completed", "changed_files": ["src/a.js", "src/b.js"],
        "checks": ["unit tests: passed (failed before)"], "agent_report": "It adds now. ".repeat(20),
    }));
    for number in 0..jobs {
        let id = JobId::random().unwrap();
        let hold = store.add(&id).unwrap();
        fs::write(store.job_folder(&id).join("log.txt"), "began\nended\n").unwrap();
        let model = if number % 3 == 0 { "good" } else { "cheap" };
        let spec = json!({ "prompt": "Fix the failing tests.", "allowed_dirs": ["/w/shop"], "model": model });
        store.record_spec(&id, &redactor.json(spec)).unwrap();
        for _ in 0..EACH {
            let record = RequestRecord {
                request_model: model.to_owned(),
                input_tokens: 12_000,
                output_tokens: 700,
                ..RequestRecord::default()
            };
            let record = redactor.json(serde_json::to_value(record).unwrap());
            store.record_request(Some(&id), &record).unwrap();
            store.record_call(Some(&id), "wait", 60, 400).unwrap();
        }
        store.advance(&id, State::Queued, State::Preparing).unwrap();
        store.finish(&id, State::Completed, &result).unwrap();
        drop(hold);
    }
}
