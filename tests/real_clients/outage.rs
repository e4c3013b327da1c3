//! Outages in the middle of a real job: it outlasts them, and asks no more often than twice a second.
//! WORKER_OUTAGE_SECONDS=60 and WORKER_OUTAGE_JOBS=8 are the whole story.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use worker_test_support::Worker;
use worker_test_support::gateway::{End, Reply, Script, ScriptedGateway, Turn};
use worker_test_support::worker::run_job;

use super::{BINARY, broken_sum};

/// The outage that jobs outlast with the settings as they come.
const BY_DEFAULT: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
enum Outage {
    /// Connections break before an answer.
    Down,
    /// 429 without a word on when.
    Busy,
    /// 429 with a Retry-After.
    BusyFor(&'static str),
    /// It begins to answer, and dies.
    Dies,
    /// It is up for the longer part of a sixth of the time, and takes the answers with it that it has begun.
    Restarts,
}

impl Outage {
    /// The answer at this moment; none where the gateway is well.
    fn reply(self, since: Duration, lasts: Duration) -> Option<Reply> {
        let turn = Turn::say("A sentence that is long enough to be sent in a good many pieces.");
        let down = |pieces| Some(Reply::Broken(turn.clone(), pieces, End::Cut));
        match self {
            Self::Down => down(0),
            Self::Busy => Some(Reply::error(429, "rate_limit_exceeded", "Slow down.")),
            Self::BusyFor(wait) => Some(Reply::rate_limited(wait)),
            Self::Dies => down(3),
            Self::Restarts => {
                let period = lasts / 6;
                let part = since.as_secs_f64() / period.as_secs_f64() % 1.0;
                match part {
                    0.0..0.3 => down(0),
                    0.3..0.8 => None,
                    _ => down(3),
                }
            }
        }
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// A job whose gateway goes away when it has read its file, and that reads on where the gateway comes back meanwhile.
fn outlasts(outage: Outage, lasts: Duration) {
    let repository = broken_sum();
    let began = Arc::new(Mutex::new(None));
    let since = Arc::clone(&began);
    // The times of the requests that the outage answered.
    let refused = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&refused);
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reads);
    let file = "{cwd}/src/a.js";
    let edit = json!({"file_path": file, "old_string": "a - b", "new_string": "a + b"});
    let script = Script::new(move |request| {
        let read = || Reply::Turn(Turn::call("Read", json!({"file_path": file})));
        if request.turn() == 0 {
            return read();
        }
        let mut since = since.lock().unwrap();
        let since = *since.get_or_insert_with(Instant::now);
        let elapsed = since.elapsed();
        if elapsed < lasts {
            return match outage.reply(elapsed, lasts) {
                Some(reply) => {
                    told.lock().unwrap().push(elapsed);
                    reply
                }
                None => {
                    // A model takes its time.
                    std::thread::sleep(lasts / 60);
                    counted.fetch_add(1, Ordering::Relaxed);
                    read()
                }
            };
        }
        let mut calls = request.messages().iter().map(|said| &said["tool_calls"]);
        match calls.any(|calls| calls.to_string().contains("\"Edit\"")) {
            false => Reply::Turn(Turn::call("Edit", edit.clone())),
            true => Reply::Turn(Turn::say("It adds now.")),
        }
    });
    let gateway = ScriptedGateway::start(script).unwrap();
    let worker = Worker::new(BINARY, &repository, &gateway);
    let worker = match lasts == BY_DEFAULT {
        true => worker.unset("WORKER_GATEWAY_PATIENCE_MS"),
        false => {
            let patience = lasts + Duration::from_secs(30);
            worker.set("WORKER_GATEWAY_PATIENCE_MS", patience.as_millis())
        }
    };
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
    let whole = began.lock().unwrap().unwrap().elapsed();
    let refused = refused.lock().unwrap();
    let a_second = Duration::from_secs(1);
    let windows = refused.iter().enumerate().map(|(first, at)| {
        let later = &refused[first..];
        later
            .iter()
            .take_while(|other| **other < *at + a_second)
            .count()
    });
    let densest = windows.max().unwrap_or(0);
    eprintln!(
        "{outage:?} for {} s: completed in {} s, {} requests in vain, at most {densest} within a second, {} answered meanwhile",
        lasts.as_secs(),
        whole.as_secs(),
        refused.len(),
        reads.load(Ordering::Relaxed),
    );
    let most = 8 + 2 * usize::try_from(lasts.as_secs() + 1).unwrap();
    assert!(
        refused.len() <= most,
        "{outage:?}: {} requests, at most {most}",
        refused.len()
    );
}

#[test]
fn a_real_job_outlasts_every_kind_of_outage() {
    let lasts = Duration::from_secs(number("WORKER_OUTAGE_SECONDS", 4));
    let jobs = number("WORKER_OUTAGE_JOBS", 5);
    let kinds = [
        Outage::Down,
        Outage::Busy,
        Outage::BusyFor("2"),
        Outage::Dies,
        Outage::Restarts,
    ];
    std::thread::scope(|scope| {
        for (_, outage) in (0..jobs).zip(kinds.into_iter().cycle()) {
            scope.spawn(move || outlasts(outage, lasts));
        }
    });
}
