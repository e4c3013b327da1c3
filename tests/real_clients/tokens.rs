//! What a planner pays for delegating, in tokens of o200k, as the real Codex shows it to its model. The table goes to
//! `planner-tokens.md` in the tests' scratch folder; `.ci/run` prints it.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use worker_test_support::codex::{Move, Seen};
use worker_test_support::gateway::{Reply, Request, Script, ScriptedGateway, Turn};
use worker_test_support::worker::{PATIENCE, call};
use worker_test_support::{Codex, Repository, StandIn, Worker};

use super::wake::{SERVER, install_in_claude_code, plan_with_claude_code};
use super::{BINARY, moves, read_in_the_end};

/// What a planner might search for.
const QUERIES: [&str; 31] = [
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
    "run in parallel",
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
    // By the name that `setup` gives the server: it counts in the search as every other word.
    let table = worker.codex_config();
    codex.configure(&table.replace("mcp_servers.worker", &format!("mcp_servers.{SERVER}")));

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
        if names != [format!("mcp__{SERVER}")] || !starts || tokens > QUERY_GOAL {
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

/// The jobs of a table.
const JOBS: usize = 5;

/// The ways in which a planner comes to the results of its jobs: by the hook, by one wait for all, or by asking again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    WokenUp,
    Wait,
    Polling,
}

impl Way {
    const ALL: [Self; 3] = [Self::WokenUp, Self::Wait, Self::Polling];

    fn name(self) -> &'static str {
        match self {
            Self::WokenUp => "wake-up",
            Self::Wait => "wait",
            Self::Polling => "polling",
        }
    }

    /// The arguments of the next `wait`, if there is to be one. WORKER_TEST_JOB_SECONDS=60 makes the table of the README: it
    /// asks every ten seconds, a quick run every half.
    fn wait(self, ids: &[Value]) -> Option<Value> {
        let timeout_ms = match self {
            Self::WokenUp => return None,
            Self::Wait => 300_000,
            Self::Polling if seconds() >= 60 => 10_000,
            Self::Polling => 500,
        };
        Some(json!({ "job_ids": ids, "all": true, "timeout_ms": timeout_ms }))
    }
}

fn seconds() -> u64 {
    std::env::var(SECONDS).map_or(2, |text| text.parse().unwrap())
}

/// An agent whose job takes its time.
fn slow_agent() -> StandIn {
    StandIn::that(&format!("sleep {}; echo two > src/a.txt", seconds()))
}

fn slow_job() -> Value {
    json!({ "prompt": "Change a line.", "checks": ["grep -q two src/a.txt"], "isolation": "worktree" })
}

/// Returns true if this reply names jobs and all of them are done.
fn says_all_done(reply: &Value) -> bool {
    reply["jobs"]
        .as_array()
        .is_some_and(|jobs| jobs.iter().all(|job| job["job_status"] == "completed"))
}

/// What one way cost: the requests to the planner's model and their tokens.
struct Cost {
    requests: usize,
    tokens: usize,
}

/// Writes the table of the three ways, and holds what must be true of it.
fn compare(planner: &str, costs: &[Cost]) {
    let row = |(way, cost): (Way, &Cost)| {
        let Cost { requests, tokens } = cost;
        row(
            way.name(),
            format!("{requests} requests, {tokens} tokens sent"),
        )
    };
    let rows: Vec<_> = Way::ALL.into_iter().zip(costs).map(row).collect();
    let seconds = seconds();
    report(
        &format!("Five jobs of {seconds} s from one turn of {planner}, the planner's requests"),
        &rows,
    );
    let [woken, waited, polled] = costs else {
        unreachable!()
    };
    // Five starts, the end of the turn or the wait, and the answer.
    assert_eq!((woken.requests, waited.requests), (7, 7));
    assert!(polled.requests > waited.requests, "{}", polled.requests);
}

#[test]
fn being_woken_costs_no_more_requests_than_one_wait_and_fewer_than_polling() {
    let mut version = String::new();
    let mut costs = Vec::new();
    for way in Way::ALL {
        let repository = Repository::with([("src/a.txt", "one\n")]);
        repository.commit("Begin");
        let agent = slow_agent();
        let worker =
            Worker::with_stand_in(BINARY, &repository, &agent).set("MAX_RUNNING_JOBS", JOBS);
        let mut codex = Codex::with_model(move |seen: &Seen| next_move(way, seen));
        codex.configure(&worker.codex_config());
        if way == Way::WokenUp {
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
        assert!(run.status.success(), "{way:?}: {run:?}");
        let seen = codex.seen();
        let last = seen.last().unwrap().body.to_string();
        // A result a job, in whichever form it came.
        assert!(last.matches("completed").count() >= JOBS, "{way:?}: {last}");
        costs.push(Cost {
            requests: seen.len(),
            tokens: seen.iter().map(|seen| tokens(&seen.body.to_string())).sum(),
        });
        version = codex.print(&["--version"]);
    }
    compare(version.trim(), &costs);
}

/// The next move of a planner that delegates five jobs and then comes to their results in its way.
fn next_move(way: Way, seen: &Seen) -> Move {
    if seen.step() < JOBS {
        return Move::call("start", slow_job());
    }
    let replies = seen.replies();
    let of = |reply: &Value| reply["job_id"].clone();
    let ids: Vec<Value> = replies.iter().take(JOBS).map(of).collect();
    match way.wait(&ids) {
        Some(wait) if !replies.last().is_some_and(says_all_done) => Move::call("wait", wait),
        _ => Move::Say("Done.".into()),
    }
}

#[test]
fn being_woken_costs_claude_code_no_more_requests_than_one_wait_and_fewer_than_polling() {
    let mut costs = Vec::new();
    for way in Way::ALL {
        let repository = Repository::with([("src/a.txt", "one\n")]);
        repository.commit("Begin");
        let agent = slow_agent();
        let planner =
            ScriptedGateway::start(Script::new(move |request| next_turn(way, request))).unwrap();
        // Nobody asks it: the agent needs no model.
        let workers = ScriptedGateway::start(Script::turns([])).unwrap();
        let scene = Worker::new(BINARY, &repository, &planner);
        install_in_claude_code(&scene, &repository, &workers);
        let settings = scene.home().join(".config/mcp-codex-worker/.env");
        let mut text = std::fs::read_to_string(&settings).unwrap();
        let ours = text
            .lines()
            .filter(|line| !line.starts_with("WORKER_CLAUDE_BIN"));
        text = ours.collect::<Vec<_>>().join("\n");
        let agent = agent.path().display().to_string();
        let _ = write!(
            text,
            "\nWORKER_CLAUDE_BIN={agent}\nMAX_RUNNING_JOBS={JOBS}\n"
        );
        std::fs::write(&settings, text).unwrap();

        let allowed = format!("{TOOL}start,{TOOL}wait");
        let allowed = ["--allowedTools", allowed.as_str()];
        let result =
            plan_with_claude_code(&scene, &repository, &allowed, "Change a line, five times.");
        assert_eq!(result["result"], "Done.", "{way:?}: {result}");
        let asked = planner.requests();
        let last = asked.last().unwrap().body.to_string();
        assert!(last.matches("completed").count() >= JOBS, "{way:?}: {last}");
        // A title that it asks for is no move of the planner.
        let moves = asked
            .iter()
            .filter(|request| request.tools().next().is_some());
        let sent: Vec<usize> = moves
            .map(|request| tokens(&request.body.to_string()))
            .collect();
        costs.push(Cost {
            requests: sent.len(),
            tokens: sent.iter().sum(),
        });
    }
    compare("Claude Code", &costs);
}

/// A tool of ours, as Claude Code names those of a plugin's server.
const TOOL: &str = "mcp__plugin_codex-worker_codex_async_worker__";

/// The same planner as Claude Code's model.
fn next_turn(way: Way, request: &Request) -> Reply {
    let replies: Vec<Value> = request
        .texts("tool")
        .iter()
        .map(|text| serde_json::from_str(text).unwrap_or(Value::Null))
        .collect();
    let of = |reply: &Value| reply["job_id"].clone();
    let ids: Vec<Value> = replies.iter().take(JOBS).map(of).collect();
    Reply::Turn(match way.wait(&ids) {
        _ if request.tools().next().is_none() => Turn::say("Five lines"),
        _ if request.turn() < JOBS => Turn::call(format!("{TOOL}start"), slow_job()),
        Some(wait) if !replies.last().is_some_and(says_all_done) => {
            Turn::call(format!("{TOOL}wait"), wait)
        }
        _ => Turn::say("Done."),
    })
}
