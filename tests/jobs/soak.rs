//! A working day in short: mixed jobs from several fronts, a gateway in trouble by the clock, killed
//! processes, `gc` meanwhile. WORKER_SOAK_JOBS=1000 is the long one, in which every tenth job is one of the real Claude
//! Code; it prints what a day is measured by:
//!
//! ```sh
//! WORKER_SOAK_JOBS=1000 cargo test --release --test stories soak -- --nocapture
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use job::{State, Store};
use worker_test_support::clients;
use worker_test_support::gateway::{Reply, Request};

use super::*;

const SHORT: usize = 18;
const SLOTS: usize = 4;
const REPOSITORIES: usize = 3;

/// What the gateway does, one kind of trouble after the other, with good weather between.
#[derive(Debug, Clone, Copy)]
enum Weather {
    Good,
    Down,
    Busy,
    BusyFor(&'static str),
}

const DAY: &[Weather] = &[
    Weather::Good,
    Weather::Down,
    Weather::Good,
    Weather::Busy,
    Weather::Good,
    Weather::BusyFor("1"),
    Weather::Good,
    Weather::BusyFor("yesterday, or so"),
];

fn gateway(began: Instant, phase: Duration) -> ScriptedGateway {
    let script = Script::new(move |request| {
        let phase = began.elapsed().as_millis() / phase.as_millis().max(1);
        let weather = DAY[usize::try_from(phase).unwrap() % DAY.len()];
        match weather {
            Weather::Good => Reply::Turn(answer(request)),
            Weather::Down => Reply::html(502),
            Weather::Busy => Reply::error(429, "rate_limit_exceeded", "Slow down."),
            Weather::BusyFor(wait) => Reply::rate_limited(wait),
        }
    });
    ScriptedGateway::start(script).unwrap()
}

/// The real Claude Code is told to write its file; the stand-in writes it when it is answered.
fn answer(request: &Request) -> Turn {
    let prompts = request.texts("user");
    let mut lines = prompts.iter().flat_map(|text| text.lines());
    let job = lines.find_map(|line| line.strip_prefix("Job ")?.trim().parse::<usize>().ok());
    match job {
        Some(job) if request.turn() == 0 && request.tools().next().is_some() => Turn::call(
            "Write",
            json!({ "file_path": format!("{{cwd}}/work-{job}.txt"), "content": "written\n" }),
        ),
        _ => Turn::say("Done."),
    }
}

/// An agent that asks the gateway a few things, and changes a file if it was answered.
fn agent() -> StandIn {
    let ask = r#"curl -sS -m 120 -o "$HOME/answer" -w '%{http_code}' -H "authorization: Bearer $ANTHROPIC_AUTH_TOKEN" -H 'content-type: application/json' "$ANTHROPIC_BASE_URL/v1/messages" -d "{\"model\":\"sonnet\",\"max_tokens\":100,\"messages\":[{\"role\":\"user\",\"content\":\"$(tail -n 1 "$PROMPT") $n\"}]}""#;
    StandIn::that(&format!(
        r#"for n in 1 2 3; do code="$({ask})"; say "request $n: $code"; [ "$code" = 200 ] || exit 7; done; tail -n 1 "$PROMPT" >> "work-$(tail -n 1 "$PROMPT" | tr -dc 0-9).txt""#
    ))
}

/// A repository with some files.
fn place(top: PathBuf) -> PathBuf {
    let git = git2::Repository::init(&top).unwrap();
    for n in 0..200 {
        fs::create_dir_all(top.join(format!("src/{}", n % 10))).unwrap();
        fs::write(
            top.join(format!("src/{}/{n}.txt", n % 10)),
            format!("{n}\n"),
        )
        .unwrap();
    }
    let mut index = git.index().unwrap();
    index
        .add_all(["."], git2::IndexAddOption::DEFAULT, None)
        .unwrap();
    index.write().unwrap();
    let tree = git.find_tree(index.write_tree().unwrap()).unwrap();
    let someone = git2::Signature::now("Someone", "someone@example.org").unwrap();
    git.commit(Some("HEAD"), &someone, &someone, "Begin", &tree, &[])
        .unwrap();
    drop(tree);
    top
}

fn kill(pid: u32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid as i32) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

fn room(folder: &Path) -> job::upkeep::Size {
    job::upkeep::Size::of(folder).unwrap()
}

#[test]
fn a_working_day_loses_nothing() {
    let jobs = std::env::var("WORKER_SOAK_JOBS").map_or(SHORT, |jobs| jobs.parse().unwrap());
    let long = jobs > SHORT;
    let fronts = if long { 20 } else { 3 };
    let kills = if long { 10 } else { 1 };
    let began = Instant::now();
    let gateway = gateway(began, Duration::from_secs(if long { 20 } else { 2 }));
    let root = tempfile::tempdir().unwrap();
    let top = root.path().canonicalize().unwrap();
    let places: Vec<PathBuf> = (0..REPOSITORIES)
        .map(|n| place(top.join(n.to_string())))
        .collect();
    let agent = agent();
    let worker = Worker::bare(BINARY)
        .set("SANDBOX_ROOT", top.display())
        .set("ONEAPI_BASE_URL", gateway.base_url())
        .set("ONEAPI_API_KEY", "gateway-key-of-the-test")
        .set("CLAUDE_MODEL", "scripted")
        .set("WORKER_CLAUDE_BIN", agent.path().display())
        .set("WORKER_GATEWAY_PATIENCE_MS", 60_000)
        .set("MAX_RUNNING_JOBS", SLOTS);
    let serve = |front: usize| {
        let mut command = worker.command(["serve"]);
        if long && front % 10 == 9 {
            command.env("WORKER_CLAUDE_BIN", clients::claude_code());
        }
        McpClient::connect(command, PATIENCE).unwrap()
    };
    let mut clients: Vec<McpClient> = (0..fronts).map(serve).collect();
    let store = Store::open(&worker.state_dir()).unwrap();
    let ids: Vec<String> = (0..jobs)
        .map(|n| {
            let mut asked = json!({
                "prompt": format!("Job {n}"),
                "allowed_dirs": [places[n % REPOSITORIES]],
            });
            // Two of three work side by side; the others wait for their checkout.
            if n % 3 != 0 {
                asked["isolation"] = "worktree".into();
            }
            started(&mut clients[n % fronts], asked)
        })
        .collect();

    // Meanwhile somebody cleans up, again and again.
    let over = Arc::new(AtomicBool::new(false));
    let cleaner = {
        let over = Arc::clone(&over);
        let mut gc = worker.command(["gc", "--older-than", "30d"]);
        std::thread::spawn(move || {
            let mut rounds = 0;
            while !over.load(Ordering::Relaxed) {
                let done = gc.output().unwrap();
                assert!(done.status.success(), "{done:?}");
                rounds += 1;
                std::thread::sleep(Duration::from_secs(1));
            }
            rounds
        })
    };
    let row = |id: &String| store.job(&id.parse().unwrap()).unwrap().unwrap();
    let mut killed = 0;
    let mut memory = 0;
    let mut ended = 0;
    while ended < jobs {
        let rows: Vec<_> = ids.iter().map(row).collect();
        ended = rows.iter().filter(|row| row.state.is_terminal()).count();
        if memory == 0 && rows.iter().all(|row| row.runner.is_some()) {
            memory = waiting_memory(&worker);
        }
        // Spread over the day: a runner at work, and a front.
        if killed < kills
            && ended > (killed + 1) * jobs / (kills + 2)
            && let Some(victim) = rows.iter().find(|row| row.state == State::Running)
        {
            kill(victim.runner.as_ref().unwrap().pid);
            let front = killed % fronts;
            kill(clients[front].pid());
            clients[front] = serve(front);
            killed += 1;
        }
        // Whoever's runner is gone is told so by who asks.
        for row in rows.iter().filter(|row| !row.state.is_terminal()) {
            if killed > 0 && !store.is_live(&row.id).unwrap() {
                get(&mut clients[0], row.id.as_str());
            }
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    over.store(true, Ordering::Relaxed);
    let rounds = cleaner.join().unwrap();
    let took = began.elapsed();

    let rows: Vec<_> = ids.iter().map(row).collect();
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &rows {
        *ends.entry(row.state.as_str()).or_default() += 1;
        let result = row.result.as_ref().unwrap();
        match row.state {
            State::Completed => {}
            State::Interrupted => assert!(killed > 0, "{result}"),
            state => panic!("{state}: {result}"),
        }
    }
    assert!(
        ends.get("interrupted").copied().unwrap_or(0) <= killed,
        "{ends:?}"
    );
    drop(clients);
    worker.assert_no_process_left();
    // What a plain job made is there; what an isolated one made is kept, and little else.
    let mut kept = job::upkeep::Size::default();
    let mut isolated = 0;
    for (n, row) in rows.iter().enumerate() {
        if n % 3 == 0 && row.state == State::Completed {
            assert!(
                places[n % REPOSITORIES]
                    .join(format!("work-{n}.txt"))
                    .exists()
            );
        } else if row.state == State::Completed {
            let size = room(&store.job_folder(&row.id));
            assert!(size.inodes < 250 && size.bytes < 2 << 20, "{size:?}");
            kept += size;
            isolated += 1;
        }
    }
    let stats = worker.command(["stats"]).output().unwrap();
    let stats = String::from_utf8_lossy(&stats.stdout).into_owned();
    let trouble = stats.lines().find(|line| line.starts_with("trouble"));
    assert!(trouble.is_some(), "{stats}");
    eprintln!(
        "{jobs} jobs, {fronts} fronts, {SLOTS} slots, {REPOSITORIES} repositories: {} s, {ends:?}, {killed} runners and fronts killed",
        took.as_secs()
    );
    eprintln!("waiting     {memory} KiB (PSS) a queued job");
    eprintln!(
        "kept        {} KiB and {} inodes an isolated job",
        (kept.bytes >> 10) / isolated.max(1),
        kept.inodes / isolated.max(1)
    );
    eprintln!("gc          {rounds} times meanwhile");
    eprintln!("{}", trouble.unwrap_or_default());
}

/// The share of memory of the jobs that wait, in KiB each.
fn waiting_memory(worker: &Worker) -> u64 {
    let waiting: Vec<u64> = worker
        .runners()
        .into_iter()
        .filter(|pid| {
            let arguments = fs::read_to_string(format!("/proc/{pid}/cmdline"));
            arguments.is_ok_and(|arguments| arguments.contains("__waiter"))
        })
        .map(super::queue::share_of_memory)
        .collect();
    waiting.iter().sum::<u64>() / (waiting.len() as u64).max(1)
}
