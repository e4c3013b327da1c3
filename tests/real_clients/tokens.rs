//! What a planner pays for delegating, in tokens of o200k, as the real Codex shows it to its model. The table goes to
//! `planner-tokens.md` in the tests' scratch folder; `.ci/run` prints it.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use worker_test_support::codex::{Move, Seen};
use worker_test_support::worker::{PATIENCE, call};
use worker_test_support::{Codex, Repository, StandIn, Worker};

use super::{BINARY, moves, read_in_the_end};

/// What a planner might search for.
const QUERIES: [&str; 30] = [
    "run coding job in background",
    "fix failing tests",
    "implement a feature and run the tests",
    "edit many files",
    "delegate coding task to worker",
    "refactor code with verification",
    "ask a question about many files",
    "job status result",
    "cancel job",
    "run test suite until it passes",
    "hand a task to an agent",
    "cheap model",
    "use another model for implementation",
    "background agent",
    "save tokens on a big task",
    "worker",
    "wait for job",
    "run tests in a loop",
    "code search",
    "apply changes from worktree",
    "migrate code base",
    "start job",
    "long running task",
    "bug fix with checks",
    "review many files cheaply",
    "parallel jobs",
    "verified result",
    "log of background job",
    "large refactoring across files",
    "write tests",
];

/// The most tokens of one search, and of all tools and the instructions.
const QUERY_GOAL: usize = 900;
const SURFACE_GOAL: usize = 1_300;

fn tokens(text: &str) -> usize {
    tiktoken_rs::o200k_base_singleton()
        .encode_ordinary(text)
        .len()
}

/// Appends to the table that CI prints.
fn report(section: &str, rows: &[(String, String)]) {
    let mut text = format!("\n{section}\n\n");
    for (what, figure) in rows {
        let _ = writeln!(text, "| {what} | {figure} |");
    }
    eprintln!("{text}");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("planner-tokens");
    std::fs::create_dir_all(&folder).unwrap();
    let name: String = section
        .chars()
        .map(|letter| {
            if letter.is_alphanumeric() {
                letter
            } else {
                '-'
            }
        })
        .collect();
    std::fs::write(folder.join(format!("{name}.md")), text).unwrap();
}

fn row(what: &str, figure: impl ToString) -> (String, String) {
    (what.to_owned(), figure.to_string())
}

/// A planner finds the tools by searching for what it wants done, and pays for no foreign one.
#[test]
fn codex_finds_start_and_no_other_agent_by_what_a_planner_would_search_for() {
    let worker = Worker::bare(BINARY);
    let mut codex = Codex::with_model(moves(QUERIES.map(|query| Move::Search(query.into()))));
    codex.configure(&worker.codex_config());

    let run = codex.exec(worker.home(), "Look for tools.");

    assert!(run.status.success(), "{run:?}");
    let found = read_in_the_end(&codex).found();
    assert_eq!(found.len(), QUERIES.len());
    let mut complaints = Vec::new();
    let mut rows = Vec::new();
    let mut sum = 0;
    for (query, namespaces) in QUERIES.iter().zip(&found) {
        let names: Vec<&str> = namespaces
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|space| space["name"].as_str())
            .collect();
        let text = namespaces.to_string();
        let tokens = tokens(&text);
        sum += tokens;
        rows.push((format!("search: {query}"), tokens.to_string()));
        // A query for one of the other tools brings that one alone.
        let starts = text.contains("\"start\"") || *query == "apply changes from worktree";
        if names != ["mcp__worker"] || !starts || tokens > QUERY_GOAL {
            complaints.push(format!("{query}: {tokens} tokens, {}", names.join(", ")));
        }
    }
    rows.push(row("search: mean", sum / QUERIES.len()));
    report("Discovery, tokens (goal: at most 900 a query)", &rows);
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// The jobs of the table: one that is done, one that fails as a test run of node fails, one with a change in five files.
fn recorded() -> [(&'static str, &'static str, Value); 3] {
    const FAILURE: &str = "for i in $(seq 1 40); do echo \"ok $i - works\"; done; printf 'not ok 41 - adds\\n  ---\\n  failureType: testCodeFailure\\n  error: |-\\n    Expected values to be strictly equal:\\n    \\n    3 !== 4\\n  stack: |-\\n    TestContext.<anonymous> (file:///work/tests/sum.test.js:5:10)\\n  ...\\n'; exit 1";
    [
        (
            "completed",
            "printf 'two\\n' > src/a.txt",
            json!({ "checks": ["grep -q two src/a.txt"], "scoped_patch": { "paths": ["src"] } }),
        ),
        (
            "failed",
            "printf 'two\\n' > src/a.txt",
            json!({ "checks": [{ "name": "unit tests", "command": FAILURE }], "auto_revise": { "max_passes": 0 } }),
        ),
        (
            "completed, with a diff of five files",
            "for n in 1 2 3 4; do seq 1 9 | sed \"s/5/changed in $n/\" > src/$n.txt; done; seq 1 400 > package-lock.json",
            json!({ "checks": ["true"], "include_diff": true }),
        ),
    ]
}

#[test]
fn what_a_planner_reads_of_a_job_is_counted() {
    let mut rows = Vec::new();
    for (what, work, more) in recorded() {
        let repository = Repository::with([
            ("src/a.txt", "one\n"),
            ("src/1.txt", "1\n2\n3\n4\n5\n6\n7\n8\n9\n"),
            ("package-lock.json", "{}\n"),
        ]);
        repository.commit("Begin");
        let agent = StandIn::that(&format!("wait_for go; rm go; {work}"));
        let worker = Worker::with_stand_in(BINARY, &repository, &agent);
        let mut front = worker.serve();
        let mut job = json!({ "prompt": "Fix the failing tests with the smallest safe code change.", "allowed_dirs": [repository.path()] });
        job.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        if rows.is_empty() {
            let shaken = front.handshake();
            let visible: Vec<Value> = shaken
                .tools
                .iter()
                .map(|tool| json!({ "name": tool["name"], "description": tool["description"], "parameters": tool["inputSchema"] }))
                .collect();
            let words = shaken.initialize["instructions"].as_str().unwrap();
            let surface = tokens(&json!(visible).to_string()) + tokens(words);
            rows.push(row("surface: eight tools and the instructions", surface));
            assert!(surface <= SURFACE_GOAL, "{surface}");
        }
        let meta = json!({ "x-codex-turn-metadata": { "session_id": "s" } });
        let asked = json!({ "name": "start", "arguments": job, "_meta": meta });
        let started = front.request("tools/call", asked, PATIENCE).unwrap();
        let id = started["structuredContent"]["job_id"].clone();
        if rows.len() == 1 {
            rows.push(row("start: arguments", tokens(&job.to_string())));
            rows.push(row(
                "start: reply",
                tokens(&started["structuredContent"].to_string()),
            ));
            let early = json!({ "job_id": id, "timeout_ms": 300 });
            let running = call(&mut front, "wait", early).structured;
            rows.push(row("running", tokens(&running.to_string())));
        }
        std::fs::write(repository.path().join("go"), "").unwrap();
        let wait = json!({ "name": "wait", "arguments": { "job_id": id, "timeout_ms": PATIENCE.as_millis() as u64 }, "_meta": meta });
        let ended = front.request("tools/call", wait, PATIENCE).unwrap();
        // As Codex's model reads it: the structure, or the texts where there is none.
        let read = match &ended["structuredContent"] {
            Value::Null => ended["content"]
                .as_array()
                .unwrap()
                .iter()
                .map(|part| part["text"].as_str().unwrap())
                .collect::<Vec<_>>()
                .join("\n"),
            structure => structure.to_string(),
        };
        let (status, _) = what.split_once(',').unwrap_or((what, ""));
        assert!(
            read.contains(&format!("\"job_status\":\"{status}\"")),
            "{read}"
        );
        rows.push(row(what, tokens(&read)));
    }
    report("A job, tokens", &rows);
}

/// The seconds that each of the five jobs takes.
const SECONDS: &str = "WORKER_TEST_JOB_SECONDS";

/// Five jobs from one turn, and how the planner comes to their results: by the hook, by one wait for all, or by asking every
/// ten seconds (every half in a quick run). WORKER_TEST_JOB_SECONDS=60 makes the table of the README.
#[test]
fn being_woken_costs_no_more_requests_than_one_wait_and_fewer_than_polling() {
    let seconds: u64 = std::env::var(SECONDS).map_or(2, |text| text.parse().unwrap());
    let poll_ms = if seconds >= 60 { 10_000 } else { 500 };
    let mut rows = Vec::new();
    let mut requests = Vec::new();
    for way in ["wake-up", "wait", "polling"] {
        let repository = Repository::with([("src/a.txt", "one\n")]);
        repository.commit("Begin");
        let agent = StandIn::that(&format!("sleep {seconds}; echo two > src/a.txt"));
        let worker = Worker::with_stand_in(BINARY, &repository, &agent).set("MAX_RUNNING_JOBS", 5);
        let mut codex = Codex::with_model(move |seen: &Seen| plan(way, poll_ms, seen));
        codex.configure(&worker.codex_config());
        if way == "wake-up" {
            let settings: Vec<String> = worker
                .command(["hook", "stop"])
                .get_envs()
                .filter_map(|(name, value)| {
                    Some(format!(
                        "{}={}",
                        name.to_str()?,
                        process::shell_word(value?.to_str()?)
                    ))
                })
                .collect();
            codex.configure(&format!(
                "[[hooks.Stop]]\n[[hooks.Stop.hooks]]\ntype = \"command\"\ntimeout = 1800\ncommand = {}\n",
                json!(format!("env {} {BINARY} hook stop", settings.join(" ")))
            ));
            codex.trust_hooks();
        }
        let run = codex.exec(repository.path(), "Change a line, five times.");
        assert!(run.status.success(), "{way}: {run:?}");
        let seen = codex.seen();
        let last = seen.last().unwrap().body.to_string();
        // A result a job, in whichever form it came.
        let done = last.matches("completed").count();
        assert!(done >= 5, "{way}: {last}");
        let read: usize = seen.iter().map(|seen| tokens(&seen.body.to_string())).sum();
        rows.push(row(
            way,
            format!("{} requests, {read} tokens sent", seen.len()),
        ));
        requests.push(seen.len());
    }
    report(
        &format!("Five jobs of {seconds} s from one turn, the planner's requests"),
        &rows,
    );
    let [woken, waited, polled] = requests[..] else {
        unreachable!()
    };
    // Five starts, the end of the turn or the wait, and the answer.
    assert_eq!((woken, waited), (7, 7));
    assert!(polled > waited, "{polled}");
}

/// The next move of a planner that delegates five jobs and then comes to their results in its way.
fn plan(way: &str, poll_ms: u64, seen: &Seen) -> Move {
    const JOBS: usize = 5;
    if seen.step() < JOBS {
        return Move::call(
            "start",
            json!({ "prompt": "Change a line.", "checks": ["grep -q two src/a.txt"], "isolation": "worktree" }),
        );
    }
    let replies = seen.replies();
    let ids: Vec<&Value> = replies
        .iter()
        .take(JOBS)
        .map(|reply| &reply["job_id"])
        .collect();
    let is_done = replies.last().is_some_and(|reply| {
        reply["jobs"]
            .as_array()
            .is_some_and(|jobs| jobs.iter().all(|job| job["job_status"] == "completed"))
    });
    match way {
        "wait" if !is_done => Move::call(
            "wait",
            json!({ "job_ids": ids, "all": true, "timeout_ms": 300_000 }),
        ),
        "polling" if !is_done => Move::call(
            "wait",
            json!({ "job_ids": ids, "all": true, "timeout_ms": poll_ms }),
        ),
        _ => Move::Say("Done.".into()),
    }
}
