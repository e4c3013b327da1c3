//! What a long history costs: `stats`, `jobs`, `jobs show last`, `start` and `gc` over a store of many jobs.
//!
//! `cargo bench --bench history [-- JOBS]`: makes a store of JOBS jobs that are over (20,000), each with a folder, three
//! requests to a gateway and three calls of the planner's, and times the commands, the best of three each, the store warm; the
//! reply to a `start`, the median of twenty; `gc` once, over all of them.
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
use worker_test_support::worker::{PATIENCE, call};
use worker_test_support::{Repository, StandIn, Worker};

const BINARY: &str = env!("CARGO_BIN_EXE_mcp-codex-worker");

const EACH: usize = 3;
const STARTS: usize = 20;

fn main() {
    let jobs = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(20_000);
    let repository = Repository::with([("a.txt", "one\n")]);
    repository.commit("Begin");
    let agent = StandIn::that("echo more >> a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let began = Instant::now();
    fill(&worker.state_dir(), jobs);
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
        let best = (0..3).map(|_| time(&worker, command)).min();
        println!("{:22} {:.1?}", command.join(" "), best.unwrap());
    }
    println!("{:22} {:.1?}", "start", starts(&worker, &repository));
    let took = time(&worker, &["gc", "--older-than", "0s"]);
    let rate = jobs as f64 / took.as_secs_f64();
    println!("{:22} {took:.1?}, {rate:.0} jobs/s", "gc --older-than 0s");
    let store = Store::open(&worker.state_dir()).unwrap();
    assert!(store.jobs(1).unwrap().is_empty());
}

fn time(worker: &Worker, arguments: &[&str]) -> Duration {
    let mut command = worker.command(arguments);
    let began = Instant::now();
    let status = command.stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{arguments:?}");
    began.elapsed()
}

/// The time from a call of `start` to its reply, each job's end awaited before the next one: the median.
fn starts(worker: &Worker, repository: &Repository) -> Duration {
    let mut front = worker.serve();
    let times = (0..STARTS).map(|_| {
        let asked = json!({ "prompt": "Write more.", "allowed_dirs": [repository.path()] });
        let began = Instant::now();
        let reply = call(&mut front, "start", asked).structured;
        let took = began.elapsed();
        let id = reply["job_id"].clone();
        let patience = PATIENCE.as_millis() as u64;
        let asked = json!({ "job_id": id, "timeout_ms": patience });
        let ended = call(&mut front, "wait", asked).structured;
        assert_eq!(ended["job_status"], "completed", "{ended}");
        took
    });
    let mut times: Vec<Duration> = times.collect();
    times.sort();
    times[STARTS / 2]
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
