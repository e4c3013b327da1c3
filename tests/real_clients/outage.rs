//! Outages in the middle of a real job: it outlasts them, and asks no more often than twice a second.
//! WORKER_OUTAGE_SECONDS=60 and WORKER_OUTAGE_JOBS=8 are the whole story.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use worker_test_support::Worker;
use worker_test_support::gateway::{End, Reply, Script, ScriptedGateway, Turn};
use worker_test_support::worker::run_job;

use super::{BINARY, broken_sum};

#[derive(Debug, Clone, Copy)]
enum Outage {
    /// Connections break before an answer.
    Down,
    /// 429 without a word on when.
    Busy,
    /// 429 with a Retry-After.
    BusyFor(&'static str),
    /// It begins to answer, and dies.
    Restarts,
}

impl Outage {
    fn reply(self) -> Reply {
        let turn = Turn::say("A sentence that is long enough to be sent in a good many pieces.");
        match self {
            Self::Down => Reply::Broken(turn, 0, End::Cut),
            Self::Busy => Reply::error(429, "rate_limit_exceeded", "Slow down."),
            Self::BusyFor(wait) => Reply::rate_limited(wait),
            Self::Restarts => Reply::Broken(turn, 3, End::Cut),
        }
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// A job whose gateway goes away when it has read its file.
fn outlasts(outage: Outage, lasts: Duration) {
    let repository = broken_sum();
    let began = Arc::new(Mutex::new(None));
    let since = Arc::clone(&began);
    let file = "{cwd}/src/a.js";
    let edit = json!({"file_path": file, "old_string": "a - b", "new_string": "a + b"});
    let script = Script::new(move |request| {
        let turn = match request.turn() {
            0 => return Reply::Turn(Turn::call("Read", json!({"file_path": file}))),
            1 => Turn::call("Edit", edit.clone()),
            _ => Turn::say("It adds now."),
        };
        let mut since = since.lock().unwrap();
        let since = *since.get_or_insert_with(Instant::now);
        match since.elapsed() < lasts {
            true => outage.reply(),
            false => Reply::Turn(turn),
        }
    });
    let gateway = ScriptedGateway::start(script).unwrap();
    let patience = lasts + Duration::from_secs(30);
    let worker = Worker::new(BINARY, &repository, &gateway)
        .set("WORKER_GATEWAY_PATIENCE_MS", patience.as_millis());
    let result = run_job(
        &mut worker.serve(),
        json!({
            "prompt": "Mend sum().",
            "allowed_dirs": [repository.path()],
            "checks": [{"name": "adds", "command": "grep -q 'a + b' src/a.js"}],
            "auto_revise": {"max_passes": 0},
        }),
    );
    assert_eq!(result["job_status"], "completed", "{outage:?}: {result}");
    let asked = gateway.requests().len();
    let whole = began.lock().unwrap().unwrap().elapsed();
    eprintln!(
        "{outage:?} for {} s: completed, {asked} requests in {} s",
        lasts.as_secs(),
        whole.as_secs()
    );
    let most = 8 + 2 * usize::try_from(whole.as_secs() + 1).unwrap();
    assert!(
        asked <= most,
        "{outage:?}: {asked} requests, at most {most}"
    );
}

#[test]
fn a_real_job_outlasts_every_kind_of_outage() {
    let lasts = Duration::from_secs(number("WORKER_OUTAGE_SECONDS", 4));
    let jobs = number("WORKER_OUTAGE_JOBS", 4);
    let kinds = [
        Outage::Down,
        Outage::Busy,
        Outage::BusyFor("2"),
        Outage::Restarts,
    ];
    std::thread::scope(|scope| {
        for (_, outage) in (0..jobs).zip(kinds.into_iter().cycle()) {
            scope.spawn(move || outlasts(outage, lasts));
        }
    });
}
