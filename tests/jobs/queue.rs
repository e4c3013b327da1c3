//! Many jobs from many fronts.

use std::fs;
use std::path::PathBuf;

use job::{JobId, State, Store};

use super::*;

const JOBS: usize = 100;
const FRONTS: usize = 4;
const SLOTS: usize = 4;

/// A repository with one commit and nothing in it.
fn empty_repository(top: PathBuf) -> PathBuf {
    let git = git2::Repository::init(&top).unwrap();
    let tree = git.index().unwrap().write_tree().unwrap();
    let tree = git.find_tree(tree).unwrap();
    let someone = git2::Signature::now("Someone", "someone@example.org").unwrap();
    git.commit(Some("HEAD"), &someone, &someone, "Begin", &tree, &[])
        .unwrap();
    top
}

/// The memory of a process's own, in KiB.
fn own_memory(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or_default()
}

#[test]
fn a_hundred_jobs_of_four_fronts_are_served_in_order_and_all_end() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    let places: Vec<PathBuf> = (0..JOBS)
        .map(|n| empty_repository(root.join(n.to_string())))
        .collect();
    let agent = StandIn::that("wait_for go; echo done > done.txt");
    let worker = Worker::bare(BINARY)
        .set("SANDBOX_ROOT", root.display())
        .set("ONEAPI_BASE_URL", "http://127.0.0.1:9")
        .set("ONEAPI_API_KEY", "gateway-key-of-the-test")
        .set("CLAUDE_MODEL", "scripted")
        .set("WORKER_CLAUDE_BIN", agent.path().display())
        .set("MAX_RUNNING_JOBS", SLOTS);
    let mut fronts: Vec<McpClient> = (0..FRONTS).map(|_| worker.serve()).collect();
    let ids: Vec<String> = places
        .iter()
        .enumerate()
        .map(|(n, place)| {
            let asked = json!({ "prompt": format!("Job {n}"), "allowed_dirs": [place] });
            started(&mut fronts[n % FRONTS], asked)
        })
        .collect();

    // As many as there are slots run, and stay at the gate; all others queue for as long as it is shut.
    let store = Store::open(&worker.state_dir()).unwrap();
    let row = |id: &String| store.job(&id.parse().unwrap()).unwrap().unwrap();
    wait_for("the first jobs run", || {
        ids[..SLOTS]
            .iter()
            .all(|id| row(id).state == State::Running)
    });
    for (n, id) in ids.iter().enumerate().skip(SLOTS) {
        let reply = get(&mut fronts[(n + 1) % FRONTS], id);
        assert_eq!(reply["job_status"], "queued", "{reply}");
    }
    let memory: Vec<u64> = worker.runners().into_iter().map(own_memory).collect();
    assert_eq!(memory.len(), JOBS, "one runner a job");
    let most = memory.iter().max().unwrap();
    let front = fronts
        .iter()
        .map(|front| own_memory(front.pid() as i32))
        .max()
        .unwrap();
    eprintln!(
        "memory of their own: {JOBS} runners {} MiB, the largest {} MiB; the largest front {} MiB",
        memory.iter().sum::<u64>() >> 10,
        most >> 10,
        front >> 10
    );
    assert!(*most < 64 << 10, "a runner holds {most} KiB");
    assert!(front < 64 << 10, "a front holds {front} KiB");

    for place in &places {
        fs::write(place.join("go"), "").unwrap();
    }
    for id in &ids {
        let result = ended(&mut fronts[0], id);
        assert_eq!(result["job_status"], "completed", "{result}");
    }
    let rows: Vec<_> = ids.iter().map(row).collect();
    assert!(
        rows.is_sorted_by_key(|row| row.ticket),
        "tickets are given in the order of the calls"
    );
    let begun: Vec<i64> = rows.iter().map(|row| row.started_ms.unwrap()).collect();
    assert!(begun.is_sorted(), "first come, first served: {begun:?}");
    assert!(places.iter().all(|place| place.join("done.txt").exists()));
    worker.assert_no_process_left();
}

#[test]
fn a_full_queue_takes_nothing_more_and_keeps_nothing_of_what_it_refused() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    let place = empty_repository(root.join("place"));
    let worker = Worker::bare(BINARY)
        .set("SANDBOX_ROOT", root.display())
        .set("ONEAPI_BASE_URL", "http://127.0.0.1:9")
        .set("ONEAPI_API_KEY", "gateway-key-of-the-test")
        .set("CLAUDE_MODEL", "scripted")
        .set("MAX_RUNNING_JOBS", 1);
    let mut front = worker.serve();
    let store = Store::open(&worker.state_dir()).unwrap();
    // Each hold is what a living runner has: a handle of its own.
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit {
            current: files.maximum,
            ..files
        },
    )
    .unwrap();
    let mut holds: Vec<_> = (0..1_001)
        .map(|_| store.add(&JobId::random().unwrap()).unwrap())
        .collect();

    let asked = json!({ "prompt": "One more", "allowed_dirs": [place] });
    let refused = call(&mut front, "start", asked.clone()).structured;
    assert_eq!(refused["error"]["argument"], "start", "{refused}");
    let rule = refused["error"]["rule"].as_str().unwrap();
    assert!(rule.starts_with("1001 jobs are waiting"), "{refused}");
    assert_eq!(store.jobs(usize::MAX).unwrap().len(), 1_001);

    // Whoever's runner is gone waits no more.
    holds.truncate(1_000);
    let taken = call(&mut front, "start", asked).structured;
    let id = taken["job_id"].as_str().expect("there is room again");
    call(&mut front, "cancel", json!({ "job_id": id }));
    worker.assert_no_process_left();
}
