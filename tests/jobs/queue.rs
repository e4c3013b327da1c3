//! Many jobs from many fronts.

use std::collections::HashMap;
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

/// A repository with one file, which isolated jobs need.
fn small_repository(top: PathBuf) -> PathBuf {
    let git = git2::Repository::init(&top).unwrap();
    fs::write(top.join("a.txt"), "one\n").unwrap();
    let mut index = git.index().unwrap();
    index.add_path(Path::new("a.txt")).unwrap();
    index.write().unwrap();
    let tree = git.find_tree(index.write_tree().unwrap()).unwrap();
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
    for front in 0..FRONTS {
        let own = rows.iter().skip(front).step_by(FRONTS);
        let begun: Vec<i64> = own.map(|row| row.started_ms.unwrap()).collect();
        assert!(
            begun.is_sorted(),
            "of one front, first come, first served: {begun:?}"
        );
    }
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

/// A root with so many repositories, and a worker whose agent waits for a file `go` in the one it works in.
struct Yard {
    _root: tempfile::TempDir,
    _agent: StandIn,
    places: Vec<PathBuf>,
    worker: Worker,
    store: Store,
}

impl Yard {
    fn with(places: usize, slots: usize) -> Self {
        let root = tempfile::tempdir().unwrap();
        let top = root.path().canonicalize().unwrap();
        let places: Vec<PathBuf> = (0..places)
            .map(|n| empty_repository(top.join(n.to_string())))
            .collect();
        let agent = StandIn::that("wait_for go; echo done >> done.txt");
        let worker = Worker::bare(BINARY)
            .set("SANDBOX_ROOT", top.display())
            .set("ONEAPI_BASE_URL", "http://127.0.0.1:9")
            .set("ONEAPI_API_KEY", "gateway-key-of-the-test")
            .set("CLAUDE_MODEL", "scripted")
            .set("WORKER_CLAUDE_BIN", agent.path().display())
            .set("MAX_RUNNING_JOBS", slots);
        let store = Store::open(&worker.state_dir()).unwrap();
        Self {
            _root: root,
            _agent: agent,
            places,
            worker,
            store,
        }
    }

    fn start(&self, front: &mut McpClient, place: usize) -> String {
        started(
            front,
            json!({ "prompt": "Wait for it.", "allowed_dirs": [self.places[place]] }),
        )
    }

    fn open(&self, place: usize) {
        fs::write(self.places[place].join("go"), "").unwrap();
    }

    fn row(&self, id: &str) -> job::JobRow {
        self.store.job(&id.parse().unwrap()).unwrap().unwrap()
    }

    fn runs(&self, id: &str) {
        wait_for("the job runs", || self.row(id).state == State::Running);
    }

    /// Waits until the job's process is the small one.
    fn waits(&self, id: &str) -> i32 {
        let mut waiter = 0;
        wait_for("the job waits", || {
            let Some(runner) = self.row(id).runner else {
                return false;
            };
            waiter = runner.pid as i32;
            arguments(waiter).contains("__waiter")
        });
        waiter
    }
}

fn arguments(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

fn completes(front: &mut McpClient, id: &str) -> Value {
    let result = ended(front, id);
    assert_eq!(result["job_status"], "completed", "{result}");
    result
}

#[test]
fn a_job_that_waits_for_its_checkout_keeps_nobody_from_a_slot_and_says_whom_it_waits_for() {
    let yard = Yard::with(2, 2);
    let mut front = yard.worker.serve();
    let first = yard.start(&mut front, 0);
    yard.runs(&first);
    let same: Vec<String> = (0..3).map(|_| yard.start(&mut front, 0)).collect();
    for id in &same {
        yard.waits(id);
        let view = get(&mut front, id);
        assert_eq!(
            (&view["job_status"], &view["waiting_for"]),
            (
                &json!("queued"),
                &json!(format!("job {first}, which works in the same checkout"))
            ),
            "{view}"
        );
    }
    // Three wait for the checkout; a slot is free, and another repository's job has it.
    let other = yard.start(&mut front, 1);
    yard.runs(&other);
    yard.open(1);
    completes(&mut front, &other);
    for id in &same {
        assert_eq!(yard.row(id).state, State::Queued);
        assert_eq!(yard.row(id).started_ms, None, "its clock does not run");
    }

    yard.open(0);
    for id in std::iter::once(&first).chain(&same) {
        completes(&mut front, id);
    }
    // One after the other, in the order of the calls.
    let rows: Vec<_> = std::iter::once(&first)
        .chain(&same)
        .map(|id| yard.row(id))
        .collect();
    for two in rows.windows(2) {
        assert!(two[1].started_ms >= two[0].started_ms);
    }
    yard.worker.assert_no_process_left();
}

#[test]
fn a_checkout_that_is_never_free_ends_the_wait_by_name() {
    let yard = Yard::with(1, 2);
    let mut front = yard.worker.serve();
    let first = yard.start(&mut front, 0);
    yard.runs(&first);
    let mut hurried = McpClient::connect(
        {
            let mut command = yard.worker.command(["serve"]);
            command.env("WORKER_QUEUE_MS", "1200");
            command
        },
        PATIENCE,
    )
    .unwrap();
    let id = yard.start(&mut hurried, 0);
    let result = ended(&mut hurried, &id);
    assert_eq!(result["job_status"], "timed_out", "{result}");
    assert_eq!(result["error"]["cause"], "queue_timeout", "{result}");
    let message = result["error"]["message"].as_str().unwrap();
    assert!(
        message.contains(&format!("job {first}, which works in the same checkout")),
        "{message}"
    );
    assert_eq!(yard.row(&id).started_ms, None);
    yard.open(0);
    completes(&mut front, &first);
}

#[test]
fn a_front_with_one_job_does_not_wait_behind_another_fronts_many() {
    let yard = Yard::with(8, 1);
    let (mut many, mut one) = (yard.worker.serve(), yard.worker.serve());
    let first = yard.start(&mut many, 0);
    yard.runs(&first);
    let behind: Vec<String> = (1..7).map(|place| yard.start(&mut many, place)).collect();
    let single = yard.start(&mut one, 7);
    yard.waits(&single);
    for place in 0..8 {
        yard.open(place);
    }
    completes(&mut one, &single);
    let single = yard.row(&single).started_ms.unwrap();
    for id in &behind {
        completes(&mut many, id);
        let begun = yard.row(id).started_ms.unwrap();
        assert!(
            begun >= single,
            "the other front's turn comes after its own"
        );
    }
}

#[test]
fn whoever_is_killed_the_queue_goes_on() {
    let yard = Yard::with(7, 1);
    let mut front = yard.worker.serve();
    let first = yard.start(&mut front, 0);
    yard.runs(&first);
    let ids: Vec<String> = (1..7).map(|place| yard.start(&mut front, place)).collect();
    let waiters: Vec<i32> = ids.iter().map(|id| yard.waits(id)).collect();
    // The one that serves the queue, whichever it is, is among the first two; and one that just waits.
    let dead = [0, 1, 4];
    for victim in dead {
        kill(waiters[victim]);
    }
    // The one at work too: its slot is free by its death alone.
    kill(yard.row(&first).runner.unwrap().pid as i32);
    for place in 1..7 {
        yard.open(place);
    }
    for (n, id) in ids.iter().enumerate() {
        let result = ended(&mut front, id);
        let wanted = match dead.contains(&n) {
            true => "interrupted",
            false => "completed",
        };
        assert_eq!(result["job_status"], wanted, "{n}: {result}");
    }
    assert_eq!(get(&mut front, &first)["job_status"], "interrupted");
    yard.worker.assert_no_process_left();
}

fn kill(pid: i32) {
    assert!(is_killed(pid), "{pid} is gone already");
}

/// Kills a process; false when it is gone already.
fn is_killed(pid: i32) -> bool {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).is_ok()
}

#[test]
fn a_job_that_waits_is_cancelled_at_once_and_by_the_end_of_its_run() {
    let yard = Yard::with(3, 1);
    let mut front = yard.worker.serve();
    let first = yard.start(&mut front, 0);
    yard.runs(&first);
    let waiting = yard.start(&mut front, 1);
    yard.waits(&waiting);
    let cancelled = call(&mut front, "cancel", json!({ "job_id": waiting })).structured;
    assert_eq!(cancelled["job_status"], "cancelled", "{cancelled}");
    let left: Vec<_> = fs::read_dir(yard.store.job_folder(&waiting.parse().unwrap()))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| matches!(name.as_str(), "bell" | "reserve" | "base" | "tmp"))
        .collect();
    assert_eq!(left, [""; 0]);

    // A signal to the waiter is a cancel; so is the end of the `run` that waits for it.
    let waiting = yard.start(&mut front, 1);
    let waiter = yard.waits(&waiting);
    wait_for("it listens for signals", || hears_signals(waiter));
    let waiter = rustix::process::Pid::from_raw(waiter).unwrap();
    rustix::process::kill_process(waiter, rustix::process::Signal::TERM).unwrap();
    assert_eq!(ended(&mut front, &waiting)["job_status"], "cancelled");

    let asked = json!({ "prompt": "Wait.", "allowed_dirs": [yard.places[2]] });
    let asked_in = yard.worker.home().join("job.json");
    fs::write(&asked_in, asked.to_string()).unwrap();
    let mut run = yard
        .worker
        .command(["run", "--quiet", "--job"])
        .arg(&asked_in)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the run's job is there", || {
        yard.store.jobs(1).unwrap()[0].state == State::Queued
    });
    let of_run = yard.store.jobs(1).unwrap()[0].id.to_string();
    yard.waits(&of_run);
    run.kill().unwrap();
    run.wait().unwrap();
    let result = ended(&mut front, &of_run);
    assert_eq!(result["error"]["cause"], "run_gone", "{result}");
    yard.open(0);
    completes(&mut front, &first);
    yard.worker.assert_no_process_left();
}

/// Returns true if the process does something of its own when it is told to end.
fn hears_signals(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let terminate = 1u64 << (rustix::process::Signal::TERM.as_raw() - 1);
    caught.is_some_and(|mask| mask & terminate != 0)
}

/// The sums over a process's threads: how often it gave up the processor by itself.
fn switches(pid: i32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    threads
        .map(|thread| {
            let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            line.unwrap().trim().parse::<u64>().unwrap()
        })
        .sum()
}

/// The share of memory that is this process's alone or its part of what several use, in KiB.
pub(super) fn share_of_memory(pid: i32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or_default()
}

#[test]
fn who_waits_in_a_store_that_is_moved_away_ends() {
    let yard = Yard::with(1, 1);
    let mut front = yard.worker.serve();
    let first = yard.start(&mut front, 0);
    yard.runs(&first);
    let waiters: Vec<i32> = (0..3)
        .map(|_| yard.start(&mut front, 0))
        .map(|id| yard.waits(&id))
        .collect();
    let state = yard.worker.state_dir();
    fs::rename(&state, state.with_extension("aside")).unwrap();
    yard.open(0);
    for waiter in waiters {
        wait_for("nobody waits for ever", || arguments(waiter).is_empty());
    }
}

/// How many jobs wait in the next story: WORKER_QUEUE_JOBS=1000 is the whole one.
fn crowd() -> usize {
    std::env::var("WORKER_QUEUE_JOBS").map_or(24, |jobs| jobs.parse().unwrap())
}

#[test]
fn jobs_that_wait_are_small_and_look_at_nothing() {
    let jobs = crowd();
    let yard = Yard::with(3, 1);
    let mut front = yard.worker.serve();
    let first = yard.start(&mut front, 0);
    yard.runs(&first);
    let ids: Vec<String> = (0..jobs)
        .map(|n| yard.start(&mut front, n % yard.places.len()))
        .collect();
    let waiters: Vec<i32> = ids.iter().map(|id| yard.waits(id)).collect();
    let memory: u64 = waiters.iter().map(|pid| share_of_memory(*pid)).sum();
    eprintln!(
        "{jobs} jobs wait with {} KiB each (PSS)",
        memory / jobs as u64
    );
    assert!(
        memory / (jobs as u64) < 1_024,
        "a job that waits has {} KiB",
        memory / jobs as u64
    );
    // All threads of all of them sleep, but for the one that serves the queue: a job that ends and one that comes
    // wakes no other.
    let mut before = Vec::new();
    wait_for("all have fallen asleep", || {
        let last = std::mem::take(&mut before);
        before = waiters.iter().map(|pid| switches(*pid)).collect();
        last == before
    });
    let late = yard.start(&mut front, 1);
    yard.waits(&late);
    call(&mut front, "cancel", json!({ "job_id": late }));
    let awake = waiters
        .iter()
        .zip(&before)
        .filter(|(pid, before)| switches(**pid) > **before)
        .count();
    assert!(awake <= 1, "{awake} of {jobs} looked at something");

    for id in &ids {
        call(&mut front, "cancel", json!({ "job_id": id }));
    }
    for place in 0..yard.places.len() {
        yard.open(place);
    }
    completes(&mut front, &first);
    yard.worker.assert_no_process_left();
}

/// A turn of the queue's, as the store has it.
struct QueueTurn {
    front: String,
    repository: String,
    /// It makes a tree of its own, so that only slots can be in its way.
    isolated: bool,
    created_ms: i64,
    granted_ms: Option<i64>,
    ended_ms: i64,
}

/// All turns, in the order of the calls.
fn turns(state: &Path) -> Vec<QueueTurn> {
    let database = rusqlite::Connection::open(state.join("jobs.db")).unwrap();
    let mut statement = database
        .prepare(
            "SELECT front, repository, tree IS NULL, created_ms, granted_ms, ended_ms
             FROM jobs JOIN turns ON job = id ORDER BY ticket",
        )
        .unwrap();
    let rows = statement.query_map([], |row| {
        Ok(QueueTurn {
            front: row.get(0)?,
            repository: row.get(1)?,
            isolated: row.get(2)?,
            created_ms: row.get(3)?,
            granted_ms: row.get(4)?,
            ended_ms: row.get(5)?,
        })
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// Holds the turns against what is written: within a front's repository the first comes first, and no front has a second turn
/// while another one, with nothing at work, waits for its own. Returns the most turns that one front had in such a wait.
fn assert_fair(turns: &[QueueTurn]) -> usize {
    for (n, turn) in turns.iter().enumerate() {
        let alike = |other: &&QueueTurn| {
            (&other.front, &other.repository, other.isolated)
                == (&turn.front, &turn.repository, turn.isolated)
        };
        let (Some(next), Some(granted)) = (
            turns[n + 1..]
                .iter()
                .filter(alike)
                .find_map(|turn| turn.granted_ms),
            turn.granted_ms,
        ) else {
            continue;
        };
        assert!(granted <= next, "first come, first served: job {n}");
    }
    let mut most = 0;
    for turn in turns.iter().filter(|turn| turn.isolated) {
        let Some(granted) = turn.granted_ms else {
            continue;
        };
        let own = turns.iter().filter(|own| own.front == turn.front);
        let before = own.filter(|own| own.granted_ms.is_some_and(|at| at < granted));
        let since = before
            .map(|own| own.ended_ms)
            .fold(turn.created_ms, i64::max);
        let mut others: HashMap<&str, usize> = HashMap::new();
        for other in turns.iter().filter(|other| other.front != turn.front) {
            let at = other.granted_ms.unwrap_or_default();
            if since < at && at < granted {
                *others.entry(&other.front).or_default() += 1;
            }
        }
        most = most.max(others.into_values().max().unwrap_or(0));
    }
    most
}

/// The processor time that processes have had so far, in ticks of the clock.
fn ticks(pids: &[i32]) -> u64 {
    let of = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let (_, after_name) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
    };
    pids.iter().filter_map(of).sum()
}

/// The whole of a crowded day in one run. WORKER_QUEUE_JOBS=1000 has 20 fronts, and kills ten of them and ten runners.
#[test]
fn a_crowd_of_fronts_is_served_fairly_while_runners_and_fronts_are_killed() {
    let jobs = crowd();
    let long = jobs >= 1_000;
    let (fronts, kills) = if long { (20, 10) } else { (6, 3) };
    let agent = StandIn::that(
        r#"wait_for "${0%/*}/go"; tail -n 1 "$PROMPT" >> "work-$(tail -n 1 "$PROMPT" | tr -dc 0-9).txt""#,
    );
    let root = tempfile::tempdir().unwrap();
    let top = root.path().canonicalize().unwrap();
    let places: Vec<PathBuf> = (0..3)
        .map(|n| small_repository(top.join(n.to_string())))
        .collect();
    let worker = Worker::bare(BINARY)
        .set("SANDBOX_ROOT", top.display())
        .set("ONEAPI_BASE_URL", "http://127.0.0.1:9")
        .set("ONEAPI_API_KEY", "gateway-key-of-the-test")
        .set("CLAUDE_MODEL", "scripted")
        .set("WORKER_CLAUDE_BIN", agent.path().display())
        .set("MAX_RUNNING_JOBS", SLOTS);
    let store = Store::open(&worker.state_dir()).unwrap();
    let row = |id: &String| store.job(&id.parse().unwrap()).unwrap().unwrap();
    let mut clients: Vec<Option<McpClient>> = (0..fronts).map(|_| Some(worker.serve())).collect();
    let began = Instant::now();
    // Each front has plain jobs, which must have their checkout alone, and isolated ones, in each repository.
    let place = |n: usize| n / fronts % places.len();
    let isolated = |n: usize| n / fronts % 2 == 1;
    let ids: Vec<String> = (0..jobs)
        .map(|n| {
            let mut asked =
                json!({ "prompt": format!("Job {n}"), "allowed_dirs": [places[place(n)]] });
            if isolated(n) {
                asked["isolation"] = "worktree".into();
            }
            started(clients[n % fronts].as_mut().unwrap(), asked)
        })
        .collect();
    let state = |id: &String| row(id).state;
    let mut at_work = 0;
    wait_for("all slots are taken", || {
        at_work = ids.iter().filter(|id| state(id) == State::Running).count();
        at_work == SLOTS
    });
    let waiting: Vec<i32> = ids
        .iter()
        .filter(|id| state(id) == State::Queued)
        .map(|id| {
            let pid = row(id).runner.unwrap().pid as i32;
            wait_for("the job waits", || arguments(pid).contains("__waiter"));
            pid
        })
        .collect();
    assert_eq!(waiting.len(), jobs - SLOTS);
    let queued = began.elapsed();
    let memory: u64 = waiting.iter().map(|pid| share_of_memory(*pid)).sum();
    assert!(memory < 1_024 * jobs as u64, "{memory} KiB");
    let mut idle = None;
    if long {
        let (before, since) = (ticks(&waiting), Instant::now());
        std::thread::sleep(Duration::from_secs(20));
        let share = (ticks(&waiting) - before) as f64 / since.elapsed().as_secs_f64();
        idle = Some(share);
        assert!(share < 2.0, "{share} % of a core");
    }

    // One at work, one that waits, the one that serves the queue, in turn, where there is such a one; and a front each time.
    let mut victims: Vec<String> = Vec::new();
    let strike = |victims: &mut Vec<String>, clients: &mut Vec<Option<McpClient>>| {
        let rows: Vec<_> = ids.iter().map(row).collect();
        let alive = rows.iter().filter(|row| {
            let at_stake = matches!(row.state, State::Running | State::Queued);
            at_stake && row.runner.is_some() && !victims.contains(&row.id.to_string())
        });
        let alive: Vec<_> = alive.collect();
        let kind = |pid: u32, state: State| {
            let threads = fs::read_dir(format!("/proc/{pid}/task"));
            match state {
                State::Running => 0,
                _ => 1 + usize::from(threads.is_ok_and(|threads| threads.count() > 1)),
            }
        };
        let wanted = alive.iter().find(|row| {
            let pid = row.runner.as_ref().unwrap().pid;
            kind(pid, row.state) == victims.len() % 3
        });
        let Some(victim) = wanted.or(alive.first()) else {
            return;
        };
        if is_killed(victim.runner.as_ref().unwrap().pid as i32) {
            let front = clients[victims.len() * 2 % fronts].take().unwrap();
            kill(front.pid() as i32);
            victims.push(victim.id.to_string());
        }
    };
    // Three while all stand, so that each kind is met in the short form, too; the others spread over the day.
    wait_for("three are killed", || {
        strike(&mut victims, &mut clients);
        victims.len() == 3
    });
    fs::write(agent.folder().join("go"), "").unwrap();
    loop {
        let rows: Vec<_> = ids.iter().map(row).collect();
        let over = rows.iter().filter(|row| row.state.is_terminal()).count();
        if over == jobs {
            break;
        }
        if victims.len() < kills && over > victims.len() * jobs / (kills + 2) {
            strike(&mut victims, &mut clients);
        }
        // Whoever's runner is gone is told so by who asks.
        for row in rows.iter().filter(|row| !row.state.is_terminal()) {
            if !store.is_live(&row.id).unwrap() {
                get(clients[1].as_mut().unwrap(), row.id.as_str());
            }
        }
        std::thread::sleep(Duration::from_millis(if long { 500 } else { 20 }));
    }
    let whole = began.elapsed();
    assert_eq!(victims.len(), kills);

    let mut ends: HashMap<&str, usize> = HashMap::new();
    for (n, id) in ids.iter().enumerate() {
        let row = row(id);
        *ends.entry(row.state.as_str()).or_default() += 1;
        let result = row.result.unwrap();
        match row.state {
            State::Completed => {}
            State::Interrupted if victims.contains(id) => continue,
            other => panic!("job {n}: {other}: {result}"),
        }
        // Its work is there, once.
        let file = format!("work-{n}.txt");
        assert_eq!(result["changed_files"], json!([file]), "job {n}: {result}");
        if !isolated(n) {
            let text = fs::read_to_string(places[place(n)].join(&file)).unwrap();
            assert_eq!(text, format!("Job {n}\n"));
        }
    }
    let ahead = assert_fair(&turns(&worker.state_dir()));
    eprintln!(
        "{jobs} jobs, {fronts} fronts, {SLOTS} slots, 3 repositories: queued in {:.0?}, over after {:.0?}; {ends:?}, {kills} runners and {kills} fronts killed",
        queued, whole
    );
    eprintln!(
        "waiting  {} KiB each (PSS), {} MiB together",
        memory / waiting.len() as u64,
        memory >> 10
    );
    if let Some(idle) = idle {
        eprintln!("         {idle:.2} % of a core together");
    }
    eprintln!("turns    at most {ahead} of one front while another waits for its own");
    // One, and one more at the moment when the other's job ends.
    assert!(ahead <= 2, "{ahead} turns");
    drop(clients);
    worker.assert_no_process_left();
}
