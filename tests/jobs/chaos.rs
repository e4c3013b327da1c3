//! `kill -9` of front and runner at random instants. WORKER_CHAOS_ROUNDS and WORKER_CHAOS_SEED change what is tried; CI
//! tries as many as the spread of the ends can be told from.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use job::{JobId, Store};

use super::*;

const ROUNDS: u64 = 40;

/// From so many kills on the ends must be of both kinds.
const SPREAD: u64 = 200;
const CANCELS: u64 = 40;
/// Stories that go on at the same time.
const LANES: u64 = 4;
const STEPS: usize = 12;

/// SplitMix64: all that is random here, so that a seed tells a whole run again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Front,
    Runner,
    Both,
    /// Nobody is killed: the job is cancelled, by two at the same time.
    Job,
}

fn number(name: &str, otherwise: impl FnOnce() -> u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text}")),
        Err(_) => otherwise(),
    }
}

#[test]
fn killed_at_any_instant_every_job_ends_once_and_leaves_nothing_behind() {
    let rounds = number("WORKER_CHAOS_ROUNDS", || ROUNDS);
    let ends = disturbed(
        rounds,
        &[Victim::Front, Victim::Both, Victim::Runner, Victim::Runner],
    );
    eprintln!("{rounds} kills: {ends:?}");
    assert_eq!(ends.cancelled, 0);
    if rounds >= SPREAD {
        assert!(
            ends.completed > 10 && ends.interrupted > 10,
            "the instants are spread over a job's life"
        );
    }
}

#[test]
fn cancelled_at_any_instant_every_job_ends_once_and_leaves_nothing_behind() {
    let ends = disturbed(CANCELS, &[Victim::Job]);
    eprintln!("{CANCELS} cancels: {ends:?}");
    assert_eq!((ends.interrupted, ends.none), (0, 0));
}

/// Disturbs so many jobs at random instants of their lives, and checks what becomes of each.
fn disturbed(rounds: u64, victims: &'static [Victim]) -> Ends {
    let seed = number("WORKER_CHAOS_SEED", || {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap();
        since.as_nanos() as u64
    });
    // Shown when the test fails.
    eprintln!("WORKER_CHAOS_SEED={seed}");
    let ends: Vec<Ends> = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES)
            .map(|lane| {
                let rounds = rounds / LANES + u64::from(lane < rounds % LANES);
                scope.spawn(move || Lane::open(seed ^ lane).run(rounds, victims))
            })
            .collect();
        lanes.into_iter().map(|lane| lane.join().unwrap()).collect()
    });
    let sum = |of: fn(&Ends) -> usize| ends.iter().map(of).sum::<usize>();
    let all = Ends {
        completed: sum(|ends| ends.completed),
        interrupted: sum(|ends| ends.interrupted),
        cancelled: sum(|ends| ends.cancelled),
        none: sum(|ends| ends.none),
    };
    let told = all.completed + all.interrupted + all.cancelled + all.none;
    assert_eq!(told as u64, rounds);
    all
}

#[derive(Debug, Default)]
struct Ends {
    completed: usize,
    interrupted: usize,
    cancelled: usize,
    /// Their front was killed before it had made a job.
    none: usize,
}

/// One worker with one store, and one round after the other in it.
struct Lane {
    random: Random,
    worker: Worker,
    repository: Repository,
    seen: HashSet<JobId>,
    results: Vec<(JobId, Value)>,
    /// The time that a job takes when nothing disturbs it.
    life: Duration,
    _agent: StandIn,
}

impl Lane {
    fn open(seed: u64) -> Self {
        let repository = repository();
        // The user's own work, staged, changed and new.
        repository.write("staged.txt", "staged\n");
        repository.stage();
        repository.write("notes.txt", "the user's own\n");
        repository.write("draft.txt", "untracked\n");
        let agent = StandIn::that(&format!(
            "echo run >> runs.txt; (setsid sleep 600 &); for n in $(seq {STEPS}); do say \"step $n.\"; sleep 0.02; done; printf 'two\n' > src/a.txt"
        ));
        let worker = Worker::with_stand_in(BINARY, &repository, &agent);
        let mut lane = Self {
            random: Random(seed),
            worker,
            repository,
            seen: HashSet::new(),
            results: Vec::new(),
            life: Duration::ZERO,
            _agent: agent,
        };
        // The first one compiles the plugins.
        for _ in 0..2 {
            let began = Instant::now();
            let mut front = lane.worker.serve();
            let result = run_job(&mut front, job(&lane.repository));
            assert_eq!(result["job_status"], "completed", "{result}");
            lane.life = began.elapsed();
            lane.settled(&mut front);
            lane.put_back();
        }
        lane
    }

    fn store(&self) -> Store {
        Store::open(&self.worker.state_dir()).unwrap()
    }

    fn run(mut self, rounds: u64, victims: &[Victim]) -> Ends {
        let mut ends = Ends::default();
        let mut observer = self.worker.serve();
        for round in 0..rounds {
            let victim = victims[self.random.below(victims.len() as u64) as usize];
            let isolated = self.random.below(4) == 0;
            let life = self.life.as_micros() as u64;
            let delay = Duration::from_micros(self.random.below(life + life / 8));
            let told = format!("round {round}: {victim:?} after {delay:?}, isolated {isolated}");
            self.disturb(victim, delay, isolated);
            match self.settled(&mut observer) {
                None => ends.none += 1,
                Some((id, result)) => {
                    match result["job_status"].as_str().unwrap() {
                        "completed" => ends.completed += 1,
                        "interrupted" => {
                            ends.interrupted += 1;
                            assert_ne!(result["error"]["cause"], Value::Null, "{told}: {result}");
                        }
                        "cancelled" => ends.cancelled += 1,
                        _ => panic!("{told}: {result}"),
                    }
                    let completed = result["job_status"] == "completed";
                    self.check(&mut observer, &id, completed, isolated, &told);
                }
            }
        }
        // What was told once is told for ever.
        let mut later = self.worker.serve();
        for (id, result) in &self.results {
            assert_eq!(get(&mut later, id.as_str()), *result);
        }
        let database = rusqlite::Connection::open(self.worker.state_dir().join("jobs.db")).unwrap();
        let verdict: String = database
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(verdict, "ok");
        ends
    }

    /// Starts a job and kills in the middle of it.
    fn disturb(&mut self, victim: Victim, delay: Duration, isolated: bool) {
        // Shakes hands first: what is killed is a front that has a job in hand.
        let mut front = self.worker.serve();
        let mut asked = job(&self.repository);
        if isolated {
            asked["isolation"] = json!("worktree");
        }
        if victim == Victim::Job {
            return self.cancel(&mut front, asked, delay);
        }
        front.send_call("start", &asked).unwrap();
        std::thread::sleep(delay);
        if victim != Victim::Front {
            for runner in self.worker.runners() {
                end(runner);
            }
        }
        if victim != Victim::Runner {
            end(front.pid() as i32);
        }
        // A front that lives hands the job over before it leaves.
        drop(front);
    }

    fn cancel(&self, front: &mut McpClient, asked: Value, delay: Duration) {
        let id = started(front, asked);
        std::thread::sleep(delay);
        let asked = json!({ "job_id": id });
        let calls = [(); 2].map(|()| front.send_call("cancel", &asked).unwrap());
        let told = calls.map(|call| {
            front
                .poll_call(call, "cancel", PATIENCE)
                .unwrap()
                .expect("an answer")
                .structured
        });
        assert_eq!(told[0], told[1], "both are told the same end");
    }

    /// The job that began since the last time, over, with its result.
    fn settled(&mut self, observer: &mut McpClient) -> Option<(JobId, Value)> {
        let new: Vec<JobId> = self
            .store()
            .jobs(usize::MAX)
            .unwrap()
            .into_iter()
            .map(|job| job.id)
            .filter(|id| !self.seen.contains(id))
            .collect();
        assert!(new.len() <= 1, "nothing is started twice");
        let id = new.into_iter().next()?;
        let result = ended(observer, id.as_str());
        self.seen.insert(id.clone());
        self.results.push((id.clone(), result.clone()));
        self.worker.assert_no_process_left();
        Some((id, result))
    }

    fn check(
        &self,
        observer: &mut McpClient,
        id: &JobId,
        completed: bool,
        isolated: bool,
        told: &str,
    ) {
        let steps = steps_of(observer, id);
        let expected: Vec<usize> = (1..=steps.len()).collect();
        assert_eq!(steps, expected, "{told}: no event is lost or doubled");
        let folder = self.store().job_folder(id);
        let tree = match isolated {
            true => folder.join("tree"),
            false => self.repository.path().to_owned(),
        };
        let runs = fs::read_to_string(tree.join("runs.txt")).unwrap_or_default();
        assert!(runs.lines().count() <= 1, "{told}: it ran twice: {runs}");
        if completed {
            assert_eq!(steps.len(), STEPS, "{told}");
            if isolated {
                // The tree of a job that is over is small: its result is in its objects, as the diff shows it.
                let asked = json!({ "job_id": id, "artifact": "diff" });
                let reply = call(observer, "get", asked).structured;
                let diff = reply["text"].as_str().unwrap_or_default();
                let added: Vec<&str> = diff
                    .lines()
                    .filter_map(|line| line.strip_prefix('+'))
                    .filter(|line| !line.starts_with("++"))
                    .collect();
                assert_eq!(added, ["run", "two"], "{told}: {diff}");
            } else {
                assert_eq!(runs, "run\n", "{told}");
                assert_eq!(read(&tree.join("src/a.txt")), "two\n", "{told}");
            }
        }
        for name in ["base", "tmp", "checks", "reserve"] {
            assert!(!folder.join(name).exists(), "{told}: {name} is left");
        }
        // The user's own is as it was.
        let own = |path: &str| self.repository.read(path);
        assert_eq!(own("notes.txt"), "the user's own\n", "{told}");
        assert_eq!(own("draft.txt"), "untracked\n", "{told}");
        assert_eq!(own("staged.txt"), "staged\n", "{told}");
        let mut expected = vec!["draft.txt", "notes.txt", "staged.txt"];
        if isolated {
            assert_eq!(own("src/a.txt"), "one\n", "{told}");
        } else {
            // Made, and perhaps not yet written: the shell opens it first.
            if tree.join("runs.txt").exists() {
                expected.push("runs.txt");
            }
            if own("src/a.txt") != "one\n" {
                expected.push("src/a.txt");
            }
        }
        expected.sort_unstable();
        assert_eq!(self.repository.dirty(), expected, "{told}");
        self.put_back();
    }

    fn put_back(&self) {
        let _ = fs::remove_file(self.repository.path().join("runs.txt"));
        self.repository.write("src/a.txt", "one\n");
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()))
}

/// The steps that the job's log tells of, in order.
fn steps_of(observer: &mut McpClient, id: &JobId) -> Vec<usize> {
    let log = call(
        observer,
        "tail",
        json!({ "job_id": id, "max_bytes": 24_000 }),
    )
    .structured;
    let lines = log["log"].as_str().unwrap().lines();
    lines
        .filter_map(|line| {
            line.split_once("says: step ")?
                .1
                .strip_suffix('.')?
                .parse()
                .ok()
        })
        .collect()
}

/// `kill -9` of what may be gone by now.
fn end(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    match rustix::process::kill_process(pid, rustix::process::Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(fault) => panic!("{fault}"),
    }
}
