//! Codex -> `serve` -> Claude Code -> adapter -> gateway, all real but the two models.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use worker_test_support::codex::{Move, Seen};
use worker_test_support::gateway::{Gate, Script, ScriptedGateway, Turn};
use worker_test_support::worker::{PATIENCE, call, run_job};
use worker_test_support::{Codex, McpClient, Repository, Worker, clients, wait_for};

#[path = "real_clients/attempts.rs"]
mod attempts;
#[path = "real_clients/dialects.rs"]
mod dialects;
#[path = "real_clients/faults.rs"]
mod faults;
#[path = "real_clients/field.rs"]
mod field;
#[path = "real_clients/gateways.rs"]
mod gateways;
#[path = "real_clients/outage.rs"]
mod outage;
#[path = "real_clients/package.rs"]
mod package;
#[path = "real_clients/repobench.rs"]
mod repobench;
#[path = "real_clients/standalone.rs"]
mod standalone;
#[path = "real_clients/team.rs"]
mod team;
#[path = "real_clients/tokens.rs"]
mod tokens;
#[path = "real_clients/wake.rs"]
mod wake;

const BINARY: &str = env!("CARGO_BIN_EXE_mcp-codex-worker");

/// A repository whose one test fails, with the layout that `examples/job.json` speaks of.
fn broken_sum() -> Repository {
    Repository::with([
        (
            "package.json",
            r#"{"name": "sum", "private": true, "scripts": {"test": "node --test"}}"#,
        ),
        ("src/a.js", "exports.sum = (a, b) => a - b;\n"),
        (
            "tests/a.test.js",
            "const { test } = require('node:test');\nconst assert = require('node:assert');\n\
             const { sum } = require('../src/a.js');\ntest('adds', () => assert.equal(sum(2, 2), 4));\n",
        ),
    ])
}

/// A model that reads the fault, mends it, and says so.
fn mending() -> [Turn; 4] {
    [
        Turn::call("Read", json!({"file_path": "{cwd}/src/a.js"}))
            .saying("I will look at the code."),
        Turn::call(
            "Edit",
            json!({"file_path": "{cwd}/src/a.js", "old_string": "a - b", "new_string": "a + b"}),
        ),
        Turn::call(
            "Bash",
            json!({"command": "npm test", "description": "Run the tests"}),
        ),
        Turn::say("sum() subtracted; it adds now."),
    ]
}

/// `examples/job.json` with its directory replaced, as anyone would use it.
fn example_job(directory: &Path) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/job.json");
    let mut job: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    job["allowed_dirs"] = json!([directory]);
    job
}

/// A planner that makes these moves one after the other and then ends its turn.
fn moves(moves: impl IntoIterator<Item = Move>) -> impl Fn(&Seen) -> Move + Send + Sync {
    let moves: Vec<Move> = moves.into_iter().collect();
    move |seen| {
        moves
            .get(seen.step())
            .cloned()
            .unwrap_or_else(|| Move::Say("Done.".into()))
    }
}

/// Returns the output of our program to a newcomer whose HOME this is.
fn ours(home: &Path, directory: &Path, arguments: &[&str]) -> String {
    let mut path = home.join("bin").into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let output = Command::new(BINARY)
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .env("PATH", path)
        .env("NEWCOMERS_KEY", "key-of-the-newcomer")
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// `setup` as a newcomer calls it; answers what it printed.
fn set_up(
    home: &Path,
    repository: &Repository,
    gateway: &ScriptedGateway,
    more: &[&str],
) -> String {
    let root = repository.root().display().to_string();
    let url = gateway.base_url();
    let mut arguments = vec!["setup", "--yes", "--root", &root, "--gateway", &url];
    arguments.extend([
        "--key-from",
        "NEWCOMERS_KEY",
        "--model",
        "deepseek-v4-flash",
    ]);
    arguments.extend(more);
    let told = ours(home, repository.path(), &arguments);
    // What every newcomer has installed: here it lies elsewhere than on PATH.
    let settings = home.join(".config/mcp-codex-worker/.env");
    let mut text =
        std::fs::read_to_string(&settings).unwrap_or_else(|error| panic!("{error}: {told}"));
    text.push_str(&format!(
        "WORKER_CLAUDE_BIN={}\nWORKER_CACHE_DIR={}\n",
        clients::claude_code().display(),
        clients::shared_cache().display()
    ));
    std::fs::write(&settings, text).unwrap();
    told
}

/// Returns the last request of the planner's model.
fn read_in_the_end(codex: &Codex) -> Seen {
    codex.seen().pop().expect("Codex asked its model")
}

#[test]
fn a_newcomer_delegates_the_first_job_with_what_setup_wrote() {
    let repository = broken_sum();
    let gateway = ScriptedGateway::start(Script::turns(mending())).unwrap();
    let mut job = example_job(repository.path());
    job["wait_ms"] = json!(PATIENCE.as_millis() as u64);
    let mut codex = Codex::with_model(moves([
        Move::Search("run a coding job in the background".into()),
        Move::Call {
            server: "codex_async_worker".into(),
            tool: "start".into(),
            arguments: job,
        },
    ]));
    codex.set_up(|home| {
        set_up(home, &repository, &gateway, &[]);
        let findings = ours(home, repository.path(), &["doctor", "--json"]);
        let findings: Vec<Value> = serde_json::from_str(&findings).unwrap();
        assert!(
            findings.iter().all(|finding| finding["verdict"] != "fail"),
            "{findings:#?}"
        );
    });
    let listed = codex.print(&["mcp", "list"]);
    assert!(listed.contains("codex_async_worker"), "{listed}");

    let run = codex.exec(repository.path(), "Have the failing tests fixed.");
    assert!(run.status.success(), "{run:?}");
    let replies = read_in_the_end(&codex).replies();
    let reply = replies.last().unwrap();
    assert_eq!(reply["job_status"], "completed", "{reply}");
    assert_eq!(reply["changed_files"], json!(["src/a.js"]), "{reply}");
}

#[test]
fn codex_delegates_the_example_job_and_reads_the_typical_result() {
    let repository = broken_sum();
    let gateway = ScriptedGateway::start(Script::turns(mending())).unwrap();
    let worker = Worker::new(BINARY, &repository, &gateway);
    let mut job = example_job(repository.path());
    job["wait_ms"] = json!(PATIENCE.as_millis() as u64);
    let mut codex = Codex::with_model(moves([
        Move::Search("run a coding job in the background".into()),
        Move::call("start", job),
    ]));
    // No approval setting of any kind.
    codex.configure(&worker.codex_config());

    let run = codex.exec(repository.path(), "Have the failing tests fixed.");

    assert!(run.status.success(), "{run:?}");
    let read = read_in_the_end(&codex);
    let [result] = &read.replies()[..] else {
        panic!("{:?}", read.outputs())
    };
    assert_eq!(result["job_status"], "completed", "{result}");
    assert_eq!(result["changed_files"], json!(["src/a.js"]), "{result}");
    assert_eq!(
        result["checks"],
        json!(["scoped_patch: passed (src, tests)", "unit tests: passed"]),
        "{result}"
    );
    assert_eq!(result["diff"], "", "{result}");
    assert!(
        result.to_string().len() < 600,
        "{} bytes: {result}",
        result.to_string().len()
    );
    assert_eq!(
        repository.read("src/a.js"),
        "exports.sum = (a, b) => a + b;\n"
    );
    assert_eq!(
        repository.dirty(),
        ["src/a.js"],
        "nothing else in the tree changed"
    );

    let requests = gateway.requests();
    assert_eq!(requests.len(), mending().len(), "one request a turn");
    for request in &requests {
        assert_eq!(request.bearer(), Some("gateway-key-of-the-test"));
        assert_eq!(
            request.model(),
            "deepseek-v4-flash",
            "start.model overrides CLAUDE_MODEL"
        );
    }
    let tests_ran = requests[3].texts("tool").pop().unwrap_or_default();
    assert!(
        tests_ran.contains("pass 1"),
        "the agent ran the tests itself: {tests_ran}"
    );
    worker.assert_no_process_left();
}

#[test]
fn a_job_outlives_codex_killed_in_the_middle_of_it() {
    let repository = broken_sum();
    let gate = Gate::closed();
    let mut turns = mending();
    turns[1] = turns[1].clone().behind(&gate);
    let gateway = ScriptedGateway::start(Script::turns(turns)).unwrap();
    let worker = Worker::new(BINARY, &repository, &gateway);
    let mut job = example_job(repository.path());
    job["wait_ms"] = json!(0);
    let mut first = Codex::with_model(move |seen| match seen.replies().first() {
        None => Move::call("start", job.clone()),
        Some(started) => Move::call("wait", json!({"job_id": started["job_id"]})),
    });
    first.configure(&worker.codex_config());

    let running = first.spawn(repository.path(), "Have the failing tests fixed.");
    assert!(
        gateway.wait_for_requests(2, PATIENCE),
        "the agent has come to the closed gate"
    );
    running.kill();
    gate.open();

    let job_id = read_in_the_end(&first).replies()[0]["job_id"].clone();
    let mut second = Codex::with_model(moves([
        Move::call("wait", json!({"job_id": job_id, "timeout_ms": 240_000})),
        Move::call("get", json!({"job_id": job_id, "include_diff": true})),
    ]));
    second.configure(&worker.codex_config());
    let run = second.exec(repository.path(), "How is the job?");

    assert!(run.status.success(), "{run:?}");
    let read = read_in_the_end(&second);
    assert_eq!(read.replies()[0]["job_status"], "completed", "{read:?}");
    // As a text of its own, in which no line break is escaped.
    let diff = &read.outputs()[1];
    assert!(
        diff.contains("\n-exports.sum = (a, b) => a - b;\n+exports.sum = (a, b) => a + b;\n"),
        "{diff}"
    );
    worker.assert_no_process_left();
}

#[test]
fn codex_finds_and_reads_code_without_a_model_of_ours() {
    let repository = broken_sum();
    let gateway = ScriptedGateway::start(Script::turns([])).unwrap();
    let worker = Worker::new(BINARY, &repository, &gateway);
    let mut codex = Codex::with_model(moves([
        Move::Search("search code lines that match a regex".into()),
        Move::call(
            "search",
            json!({"pattern": "sum", "paths": [repository.path().join("src")]}),
        ),
        Move::call(
            "search",
            json!({"symbols": ["sum"], "paths": [repository.path()]}),
        ),
    ]));
    codex.configure(&worker.codex_config());

    let run = codex.exec(repository.path(), "Where is sum defined?");

    assert!(run.status.success(), "{run:?}");
    let read = read_in_the_end(&codex);
    let names = json!(read.found()).to_string();
    assert!(names.contains("\"search\""), "{names}");
    let replies = read.replies();
    let [found, pack] = &replies[..] else {
        panic!("{:?}", read.outputs())
    };
    assert_eq!(found["found"], "src/a.js\n1:exports.sum = (a, b) => a - b;");
    let pack = pack["pack"].as_str().unwrap();
    assert!(pack.starts_with("src/a.js:1-1"), "{pack}");
    assert!(pack.contains("tests/a.test.js:"), "{pack}");
    assert!(gateway.requests().is_empty());
    worker.assert_no_process_left();
}

#[test]
fn the_example_configuration_is_understood_by_codex_as_it_stands() {
    let repository = broken_sum();
    let gateway = ScriptedGateway::start(Script::turns(mending())).unwrap();
    let worker = Worker::new(BINARY, &repository, &gateway);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/codex-mcp.example.toml");
    let mut example: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    let servers = example["mcp_servers"].as_table_mut().unwrap();
    let (name, server) = servers.iter_mut().next().unwrap();
    let name = name.clone();
    let server = server.as_table_mut().unwrap();
    // What a user fills in: where the program is, and the settings of this machine. All else stays as it is.
    let ours: toml::Table = worker.codex_config().parse().unwrap();
    let ours = ours["mcp_servers"]["worker"].as_table().unwrap();
    server.insert("command".into(), ours["command"].clone());
    let environment = server
        .entry("env")
        .or_insert_with(|| toml::Table::new().into())
        .as_table_mut()
        .unwrap();
    environment.extend(ours["env"].as_table().unwrap().clone());
    let mut job = example_job(repository.path());
    job["wait_ms"] = json!(PATIENCE.as_millis() as u64);
    let start = Move::Call {
        server: name,
        tool: "start".into(),
        arguments: job,
    };
    let mut codex = Codex::with_model(moves([start]));
    codex.configure(&example.to_string());

    let run = codex.exec(repository.path(), "Have the failing tests fixed.");

    assert!(run.status.success(), "{run:?}");
    let replies = read_in_the_end(&codex).replies();
    assert_eq!(
        replies[0]["job_status"],
        "completed",
        "{:?}",
        read_in_the_end(&codex).outputs()
    );
    worker.assert_no_process_left();
}

#[test]
fn codex_is_told_which_argument_is_wrong_and_nothing_is_started() {
    let repository = broken_sum();
    let unborn = Repository::unborn();
    let gateway = ScriptedGateway::start(Script::turns(mending())).unwrap();
    let worker = Worker::new(BINARY, &repository, &gateway);
    let inside = repository.path().to_str().unwrap().to_owned();
    let outside = unborn.path().to_str().unwrap().to_owned();
    let bare_folder = repository.root().join("no-repository");
    std::fs::create_dir(&bare_folder).unwrap();
    let start = |job: Value, argument: &'static str| ("start", job, argument);
    // A job with nothing wrong in it but this.
    let with = |argument: &'static str, value: Value| {
        let mut job = json!({"prompt": "Fix it.", "allowed_dirs": [inside]});
        job[argument] = value;
        job
    };
    let wrong = |argument: &'static str, value: Value| start(with(argument, value), argument);
    let missing = format!("{inside}/missing");
    let rows: Vec<(&str, Value, &str)> = vec![
        wrong("promt", json!("x")),
        wrong("prompt", json!("")),
        wrong("prompt", json!("/clear")),
        wrong("prompt", json!("--help")),
        wrong("prompt", json!("x".repeat(250_000))),
        wrong("allowed_dirs", json!([outside])),
        wrong("allowed_dirs", json!([missing])),
        wrong("allowed_dirs", json!([bare_folder])),
        wrong("allowed_dirs", json!([])),
        wrong("allowed_dirs", json!(["../.."])),
        wrong("permission_mode", json!("yolo")),
        wrong("permission_mode", json!("bypassPermissions")),
        start(with("checks", json!([{"name": "x"}])), "checks[0]"),
        wrong("wait_ms", json!("soon")),
        ("get", json!({"job_id": "../../etc/passwd"}), "job_id"),
        ("get", json!({"job_id": "0".repeat(26)}), "job_id"),
        ("wait", json!({}), "job_id"),
        ("tail", json!({"job_id": 7}), "job_id"),
        ("cancel", json!({"job_id": ""}), "job_id"),
        (
            "analyze",
            json!({"question": "What is it?", "paths": [outside]}),
            "paths",
        ),
    ];
    let calls: Vec<Move> = rows
        .iter()
        .map(|(tool, arguments, _)| Move::call(tool, arguments.clone()))
        .collect();
    let mut codex = Codex::with_model(moves(calls));
    codex.configure(&worker.codex_config());

    let run = codex.exec(repository.path(), "Try everything.");

    assert!(run.status.success(), "{run:?}");
    let read = read_in_the_end(&codex);
    let replies = read.replies();
    assert_eq!(replies.len(), rows.len());
    for ((tool, arguments, argument), reply) in rows.iter().zip(&replies) {
        let shown: String = arguments.to_string().chars().take(120).collect();
        let named = reply["error"]["argument"].as_str().unwrap_or_default();
        assert!(named.starts_with(argument), "{tool} {shown}: {reply}");
        assert!(
            !reply["error"]["rule"]
                .as_str()
                .unwrap_or_default()
                .is_empty(),
            "{tool} {shown}: {reply}"
        );
        assert!(reply.to_string().len() < 600, "{tool} {shown}: {reply}");
    }
    assert!(gateway.requests().is_empty(), "nothing reached the gateway");
    assert_eq!(worker.processes(), Vec::<String>::new());
}

/// Prompts of which a shell, an option parser or Claude Code itself would make something else.
#[test]
fn any_prompt_reaches_the_model_as_it_was_written() {
    let prompts = [
        "Do not run -p --help, and not /clear either.",
        "@src/a.js\n/compact\n\u{1F980} \"quoted\" $HOME `date` %s",
    ];
    let repository = broken_sum();
    let gateway = ScriptedGateway::start(Script::turns([Turn::say("Looked at it.")])).unwrap();
    let worker = Worker::new(BINARY, &repository, &gateway);
    let mut front = worker.serve();
    for prompt in prompts {
        let before = gateway.requests().len();
        let job =
            json!({"prompt": prompt, "allowed_dirs": [repository.path()], "expect_changes": false});
        let result = run_job(&mut front, job);
        assert_eq!(result["job_status"], "completed", "{prompt:?}: {result}");
        let request = &gateway.requests()[before];
        assert!(
            request.texts("user").join("\n").contains(prompt),
            "{prompt:?}: {}",
            request.body
        );
    }
}

/// Failing evidence with a model that has its own mind.
mod repairs {
    use super::*;
    use worker_test_support::gateway::Usage;

    /// Claude Code edits only what it has read in this process.
    fn edit(from: &str, to: &str) -> Turn {
        Turn::call("Read", json!({"file_path": "{cwd}/src/a.js"})).and_call(
            "Edit",
            json!({"file_path": "{cwd}/src/a.js", "old_string": from, "new_string": to}),
        )
    }

    struct Repaired {
        repository: Repository,
        gateway: ScriptedGateway,
        worker: Worker,
        result: Value,
    }

    /// The example job with these further arguments and settings, on a model that makes these turns.
    fn run(
        turns: impl IntoIterator<Item = Turn>,
        further: &Value,
        settings: &[(&str, &str)],
    ) -> Repaired {
        let repository = broken_sum();
        let gateway = ScriptedGateway::start(Script::turns(turns)).unwrap();
        let mut worker = Worker::new(BINARY, &repository, &gateway);
        for (name, value) in settings {
            worker = worker.set(name, value);
        }
        let mut job = example_job(repository.path());
        for (name, value) in further.as_object().unwrap() {
            job[name] = value.clone();
        }
        let result = run_job(&mut worker.serve(), job);
        worker.assert_no_process_left();
        Repaired {
            repository,
            gateway,
            worker,
            result,
        }
    }

    impl Repaired {
        fn models(&self) -> Vec<String> {
            let requests = self.gateway.requests();
            requests
                .iter()
                .map(|request| request.model().to_owned())
                .collect()
        }

        /// Returns the records of the passes.
        fn passes(&self) -> Vec<Value> {
            let store = job::Store::open(&self.worker.state_dir()).unwrap();
            let id = self.result["job_id"].as_str().unwrap().parse().unwrap();
            store.passes(&id).unwrap()
        }

        /// Claude Code keeps a file a session.
        fn sessions(&self) -> usize {
            let id = self.result["job_id"].as_str().unwrap();
            let home = self.worker.state_dir().join("jobs").join(id).join("home");
            count_files(&home, ".jsonl")
        }
    }

    fn count_files(folder: &Path, suffix: &str) -> usize {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .map(|entry| match entry.file_type().unwrap().is_dir() {
                true => count_files(&entry.path(), suffix),
                false => usize::from(entry.file_name().to_string_lossy().ends_with(suffix)),
            })
            .sum()
    }

    #[test]
    fn a_check_that_fails_once_is_repaired_in_the_same_session() {
        let repaired = run(
            [
                edit("a - b", "b - a"),
                Turn::say("It should work now."),
                edit("b - a", "a + b"),
                Turn::say("Repaired."),
            ],
            &json!({}),
            &[],
        );
        let result = &repaired.result;
        assert_eq!(result["job_status"], "completed", "{result}");
        assert_eq!(result["passes"], 2, "{result}");
        assert_eq!(
            repaired.repository.read("src/a.js"),
            "exports.sum = (a, b) => a + b;\n"
        );
        let requests = repaired.gateway.requests();
        assert_eq!(requests.len(), 4, "{:?}", repaired.models());
        let first = requests[0].texts("user").join("\n");
        let told = requests[2].texts("user").join("\n");
        assert!(told.contains(&first), "the same conversation: {told}");
        assert!(
            told.contains("unit tests: failed (exit code 1)") && told.contains("adds"),
            "the evidence: {told}"
        );
        assert!(
            requests[2]
                .texts("assistant")
                .join("\n")
                .contains("It should work now."),
            "it knows what it said"
        );
        assert_eq!(repaired.sessions(), 1, "one session in one home");
    }

    #[test]
    fn one_that_never_passes_stops_at_the_limit_with_every_pass_on_record() {
        let use_of = |prompt, completion| Usage {
            prompt,
            completion,
            ..Usage::default()
        };
        let repaired = run(
            [
                edit("a - b", "b - a").using(use_of(100, 10)),
                Turn::say("First try.").using(use_of(200, 20)),
                edit("b - a", "a - b - 1").using(use_of(300, 30)),
                Turn::say("Second try.").using(use_of(400, 40)),
                edit("a - b - 1", "a + b"),
                Turn::say("Third try."),
            ],
            &json!({"auto_revise": {"max_passes": 1}}),
            &[],
        );
        let result = &repaired.result;
        assert_eq!(result["job_status"], "failed", "{result}");
        assert_eq!(result["passes"], 2, "{result}");
        assert_eq!(
            result["revise_stopped"], "all 1 revise passes are used",
            "{result}"
        );
        assert!(
            result["failures"]["unit tests"]
                .as_str()
                .unwrap_or_default()
                .contains("adds"),
            "{result}"
        );
        let passes = repaired.passes();
        assert_eq!(passes.len(), 2, "{passes:?}");
        for (pass, (number, input, output)) in passes.iter().zip([(1, 300, 30), (2, 700, 70)]) {
            assert_eq!(pass["pass"], number, "{pass}");
            assert_eq!(pass["model"], "deepseek-v4-flash", "{pass}");
            assert_eq!(pass["usage"]["turns"], 2, "{pass}");
            assert_eq!(pass["usage"]["tokens"]["input"], input, "{pass}");
            assert_eq!(pass["usage"]["tokens"]["output"], output, "{pass}");
            assert_eq!(
                pass["checks"],
                json!([
                    "scoped_patch: passed (src, tests)",
                    "unit tests: failed (exit code 1)"
                ]),
                "{pass}"
            );
            assert_eq!(pass["diff_digest"].as_str().unwrap().len(), 64, "{pass}");
        }
        assert_ne!(passes[0]["diff_digest"], passes[1]["diff_digest"]);
        assert_eq!(repaired.gateway.requests().len(), 4, "no third pass");
    }

    #[test]
    fn the_stronger_model_takes_over_after_a_failed_pass_and_not_before() {
        let repaired = run(
            [
                edit("a - b", "b - a"),
                Turn::say("First try."),
                edit("b - a", "a + b"),
                Turn::say("Repaired."),
            ],
            &json!({}),
            &[("WORKER_ESCALATE_MODEL", "strong")],
        );
        assert_eq!(
            repaired.result["job_status"], "completed",
            "{}",
            repaired.result
        );
        assert_eq!(
            repaired.models(),
            ["deepseek-v4-flash", "deepseek-v4-flash", "strong", "strong"]
        );
        let passes = repaired.passes();
        assert_eq!(passes[0]["model"], "deepseek-v4-flash");
        assert_eq!(passes[1]["model"], "strong");
        let log = call(
            &mut repaired.worker.serve(),
            "tail",
            json!({"job_id": repaired.result["job_id"]}),
        );
        let log = log.structured["log"].as_str().unwrap().to_owned();
        assert!(log.contains("with the model strong"), "{log}");
    }

    #[test]
    fn a_pass_that_changes_nothing_is_the_last() {
        let repaired = run(
            [
                edit("a - b", "b - a"),
                Turn::say("First try."),
                Turn::say("I do not know how to go on."),
                edit("b - a", "a + b"),
            ],
            &json!({"auto_revise": {"max_passes": 5}}),
            &[],
        );
        let result = &repaired.result;
        assert_eq!(result["job_status"], "failed", "{result}");
        assert_eq!(result["passes"], 2, "{result}");
        assert_eq!(
            result["revise_stopped"], "the last pass changed nothing",
            "{result}"
        );
        let passes = repaired.passes();
        assert_eq!(passes[0]["diff_digest"], passes[1]["diff_digest"]);
        assert_eq!(repaired.gateway.requests().len(), 3);
    }

    #[test]
    fn nothing_is_asked_once_the_budget_is_spent() {
        let much = Usage {
            prompt: 50_000,
            completion: 10,
            ..Usage::default()
        };
        let repaired = run(
            [
                edit("a - b", "b - a"),
                Turn::say("First try.").using(much),
                edit("b - a", "a + b"),
            ],
            &json!({"max_tokens_total": 40_000, "auto_revise": {"max_passes": 5}}),
            &[],
        );
        let result = &repaired.result;
        assert_eq!(result["job_status"], "failed", "{result}");
        assert_eq!(
            result["revise_stopped"], "the job's budget is spent",
            "{result}"
        );
        assert!(
            result["checks"]
                .to_string()
                .contains("unit tests: failed (exit code 1)"),
            "what it came to is told: {result}"
        );
        assert_eq!(repaired.gateway.requests().len(), 2);
        assert_eq!(repaired.passes().len(), 1);
    }

    #[test]
    fn a_finished_isolated_job_is_gone_on_with_in_its_session_and_its_tree() {
        let repository = broken_sum();
        let gateway = ScriptedGateway::start(Script::turns([
            edit("a - b", "a + b"),
            Turn::say("sum() adds now."),
            Turn::call(
                "Edit",
                json!({"file_path": "{cwd}/src/b.js", "old_string": "", "new_string": "exports.twice = (a) => 2 * a;\n"}),
            ),
            Turn::say("twice() is there too."),
        ]))
        .unwrap();
        let worker = Worker::new(BINARY, &repository, &gateway);
        let mut front = worker.serve();
        let mut job = example_job(repository.path());
        job["isolation"] = json!("worktree");
        let first = run_job(&mut front, job);
        assert_eq!(first["job_status"], "completed", "{first}");

        let second = run_job(
            &mut front,
            json!({
                "prompt": "Add twice() in src/b.js.",
                "resume_job_id": first["job_id"],
                "checks": [{"name": "unit tests", "command": "npm test"}],
            }),
        );
        assert_eq!(second["job_status"], "completed", "{second}");
        assert_eq!(
            second["changed_files"],
            json!(["src/a.js", "src/b.js"]),
            "counted from the first job's base"
        );
        let asked = gateway.requests().pop().unwrap().texts("user").join("\n");
        assert!(
            asked.contains("smallest safe code change") && asked.contains("Add twice()"),
            "one conversation: {asked}"
        );
        assert_eq!(repository.dirty(), [""; 0], "the checkout is as it was");

        let former = call(&mut front, "apply", json!({"job_id": first["job_id"]}));
        assert!(
            former.is_error && former.structured.to_string().contains("apply that one"),
            "{:?}",
            former.structured
        );
        let applied = call(&mut front, "apply", json!({"job_id": second["job_id"]}));
        assert_eq!(
            applied.structured["files"],
            json!(["src/a.js", "src/b.js"]),
            "{:?}",
            applied.structured
        );
        assert!(repository.read("src/a.js").contains("a + b"));
        assert!(repository.read("src/b.js").contains("twice"));
        worker.assert_no_process_left();
    }
}

/// However a job ends, the store says how, and none of its processes is left: neither the command that the agent runs
/// nor what that command put into a session of its own.
#[cfg(target_os = "linux")]
mod endings {
    use super::*;

    /// The first turn leaves a process behind and then does not come back.
    const STRAY: &str = "setsid sleep 86401 >/dev/null 2>&1 & sleep 86400";

    struct Hanging {
        repository: Repository,
        worker: Worker,
        _gateway: ScriptedGateway,
    }

    impl Hanging {
        fn new() -> Self {
            let repository = broken_sum();
            let hang = Turn::call(
                "Bash",
                json!({"command": STRAY, "description": "Hang", "timeout": 600_000}),
            );
            let gateway =
                ScriptedGateway::start(Script::turns([hang, Turn::say("Done.")])).unwrap();
            // Confined or not, the agent may run what this test is about.
            let worker =
                Worker::new(BINARY, &repository, &gateway).set("WORKER_ALLOWED_TOOLS", "Bash(*)");
            Self {
                repository,
                worker,
                _gateway: gateway,
            }
        }

        fn start(&self, front: &mut McpClient, mut job: Value) -> Value {
            job["prompt"] = json!("Wait for something.");
            job["allowed_dirs"] = json!([self.repository.path()]);
            let started = call(front, "start", job);
            assert!(!started.is_error, "{started:?}");
            started.structured["job_id"].clone()
        }

        /// Both processes run, so there is something to end.
        fn wait_for_the_command(&self) {
            wait_for("the run of the agent's command", || {
                let running = self.worker.processes().join("\n");
                running.contains("sleep 86400") && running.contains("sleep 86401")
            });
        }

        fn ended_as(&self, front: &mut McpClient, job: &Value, status: &str) -> Value {
            let ended = call(front, "wait", json!({"job_id": job, "timeout_ms": 60_000}));
            assert_eq!(ended.structured["job_status"], status, "{ended:?}");
            self.worker.assert_no_process_left();
            ended.structured
        }
    }

    #[test]
    fn cancelled() {
        let test = Hanging::new();
        let mut front = test.worker.serve();
        let job = test.start(&mut front, json!({}));
        test.wait_for_the_command();
        for _ in 0..2 {
            let reply = call(&mut front, "cancel", json!({"job_id": job}));
            assert_eq!(reply.structured["job_status"], "cancelled", "{reply:?}");
        }
        test.ended_as(&mut front, &job, "cancelled");
    }

    #[test]
    fn timed_out() {
        let test = Hanging::new();
        let mut front = test.worker.serve();
        let job = test.start(&mut front, json!({"timeout_ms": 12_000}));
        test.ended_as(&mut front, &job, "timed_out");
    }

    #[test]
    fn silent_for_too_long_and_its_last_step_is_named() {
        let mut test = Hanging::new();
        test.worker = test.worker.set("WORKER_STALL_MS", 10_000);
        let mut front = test.worker.serve();
        let job = test.start(&mut front, json!({}));
        let result = test.ended_as(&mut front, &job, "timed_out");
        assert!(
            result["error"]["message"]
                .as_str()
                .unwrap_or_default()
                .contains("Bash"),
            "{result}"
        );
    }

    #[test]
    fn its_runner_killed() {
        let test = Hanging::new();
        let mut front = test.worker.serve();
        let job = test.start(&mut front, json!({}));
        test.wait_for_the_command();
        let [runner] = test.worker.runners()[..] else {
            panic!("{:?}", test.worker.processes())
        };
        worker_test_support::worker::kill(runner);
        test.ended_as(&mut front, &job, "interrupted");
    }

    #[test]
    fn failed_by_a_check_with_a_stray_left_by_the_agent() {
        let repository = broken_sum();
        let stray = Turn::call(
            "Bash",
            json!({"command": "setsid sleep 86402 >/dev/null 2>&1 &", "description": "Stray"}),
        );
        let gateway =
            ScriptedGateway::start(Script::turns([stray, Turn::say("All tests pass now.")]))
                .unwrap();
        let worker =
            Worker::new(BINARY, &repository, &gateway).set("WORKER_ALLOWED_TOOLS", "Bash(*)");
        let mut front = worker.serve();
        let mut job = example_job(repository.path());
        job["auto_revise"] = json!({"max_passes": 0});
        let result = run_job(&mut front, job);
        assert_eq!(result["job_status"], "failed", "{result}");
        let checks = result["checks"].to_string();
        assert!(checks.contains("unit tests: failed"), "{result}");
        assert!(
            result["failures"]["unit tests"]
                .as_str()
                .unwrap_or_default()
                .contains("adds"),
            "{result}"
        );
        worker.assert_no_process_left();
    }
}

#[test]
fn a_front_whose_codex_is_gone_is_gone_too() {
    let worker = Worker::bare(BINARY);
    let mut front = worker.serve();
    assert!(
        front
            .hang_up(Duration::from_secs(10))
            .is_some_and(|status| status.success())
    );
}

/// A prompt of a megabyte fills the model's context, so Codex makes a summary of the conversation before it goes on.
#[test]
fn a_prompt_of_a_megabyte_is_refused_and_codex_goes_on() {
    let repository = broken_sum();
    let gateway = ScriptedGateway::start(Script::turns(mending())).unwrap();
    let worker = Worker::new(BINARY, &repository, &gateway);
    let mut job = example_job(repository.path());
    job["prompt"] = json!("a word ".repeat(150_000));
    let mut codex = Codex::with_model(moves([
        Move::Search("run a coding job in the background".into()),
        Move::call("start", job),
    ]));
    codex.configure(&worker.codex_config());

    let run = codex.exec(repository.path(), "Have the failing tests fixed.");

    assert!(run.status.success(), "{run:?}");
    let seen = codex.seen();
    assert!(seen.iter().any(Seen::asks_for_summary));
    let read: Vec<String> = seen.iter().flat_map(Seen::outputs).collect();
    assert!(
        read.iter()
            .any(|output| output.contains("must be at most 200000 bytes")),
        "{read:?}"
    );
    assert!(gateway.requests().is_empty());
}
