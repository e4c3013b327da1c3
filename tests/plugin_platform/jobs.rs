//! Plugins in whole jobs: what they log, and what a change of the operator's configuration means for jobs that run and for
//! those that come after.

use std::path::PathBuf;

use demo::mcp_client::McpClient;
use serde_json::{Value, json};
use worker_test_support::worker::{PATIENCE, call, run_job};
use worker_test_support::{Repository, StandIn, Worker, wait_for_file};

use super::guests::{guest, sha256};
use super::operators::renamed;

const BINARY: &str = env!("CARGO_BIN_EXE_mcp-codex-worker");

/// An operator with one plugin, `mine`, that every job must pass.
struct Operator {
    repository: Repository,
    worker: Worker,
    component: PathBuf,
    _agent: StandIn,
}

impl Operator {
    fn with(agent: StandIn) -> Self {
        let repository = Repository::with([("src/a.txt", "one\n")]);
        repository.commit("Begin");
        let worker = Worker::with_stand_in(BINARY, &repository, &agent);
        let component = worker.home().join("mine.wasm");
        std::fs::copy(guest("hostile-check"), &component).unwrap();
        let operator = Operator {
            repository,
            worker,
            component,
            _agent: agent,
        };
        operator.configure("");
        operator
    }

    /// Writes the config file anew, with further tables.
    fn configure(&self, more: &str) {
        let folder = self.worker.home().join(".config/mcp-codex-worker");
        std::fs::create_dir_all(&folder).unwrap();
        let text = format!(
            "[plugins]\nchecks = ['mine']\n[plugins.mine]\nkind = 'check'\npath = {:?}\nsha256 = '{}'\n{more}",
            self.component,
            sha256(&self.component)
        );
        std::fs::write(folder.join("config.toml"), text).unwrap();
    }

    fn job(&self) -> Value {
        json!({ "prompt": "Change a line.", "allowed_dirs": [self.repository.path()] })
    }
}

fn log(front: &mut McpClient, result: &Value) -> String {
    let id = &result["job_id"];
    let reply = call(front, "tail", json!({ "job_id": id, "max_bytes": 7000 }));
    reply.structured["log"].as_str().unwrap().to_owned()
}

/// A secret by its form alone.
const TOKEN: &str = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";

#[test]
fn a_case_that_is_made_of_a_finished_job_is_played_again_without_its_secrets() {
    let agent = StandIn::that(&format!(
        "printf 'fn a() {{}}\n// TODO: later {TOKEN}\n' > src/a.rs; printf '#!/bin/sh\n' > run.sh; chmod +x run.sh; \
         ln -s a.rs src/link; printf 'a\\0b' > image.bin; git mv src/old.txt src/new.txt"
    ));
    let repository = Repository::with([
        ("src/a.rs", "fn a() {}\n"),
        ("src/old.txt", "the old one\n"),
    ]);
    repository.commit("Begin");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut front = worker.serve();
    let result = run_job(
        &mut front,
        json!({
            "prompt": "Change a line.",
            "allowed_dirs": [repository.path()],
            "auto_revise": { "max_passes": 0 },
            "checks": [
                { "name": "before", "command": "echo ran; echo badly >&2; echo again" },
                { "name": "nothing left", "plugin": "leftovers", "settings": { "prints": false } },
            ],
        }),
    );
    assert_eq!(result["job_status"], "failed", "{result}");

    let folder = worker.home().join("leftovers");
    std::fs::create_dir_all(&folder).unwrap();
    let mut bundled = plugins::BUNDLED.iter();
    let leftovers = bundled.find(|plugin| plugin.name == "leftovers").unwrap();
    std::fs::write(folder.join("leftovers.wasm"), leftovers.component()).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let manifest = format!(
        "id = 'leftovers'\nversion = '{version}'\nkind = 'check'\napi = '1.0'\ncomponent = 'leftovers.wasm'\n"
    );
    std::fs::write(folder.join("plugin.toml"), manifest).unwrap();
    let plugin = |arguments: &[&str]| {
        let all = ["plugin"].iter().chain(arguments);
        let output = worker.command(all).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    };
    let place = folder.to_str().unwrap();
    let (made, said) = plugin(&["case", "last", "--dir", place, "--name", "went-wrong"]);
    assert!(made && said.contains("image.bin"), "{said}");
    let file = folder.join("cases/went-wrong/case.json");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains(TOKEN), "{text}");
    let case: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(case["expect"]["passed"], json!(false), "{case}");
    assert_eq!(case["settings"]["prints"], json!(false), "{case}");
    // Both streams as one, in the order in which the host saw their lines.
    let output = case["commands"][0]["output"].as_str().unwrap();
    let mut lines: Vec<&str> = output.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["again", "badly", "ran"], "{case}");
    assert_eq!(
        case["changed"]["src/link"]["after"]["symlink"], "a.rs",
        "{case}"
    );
    assert_eq!(
        case["changed"]["run.sh"]["after"]["executable"],
        json!(true),
        "{case}"
    );
    assert_eq!(
        case["changed"]["src/old.txt"]["before"], "the old one\n",
        "{case}"
    );
    let (passed, said) = plugin(&["test", place]);
    assert!(passed && said.contains("1 of 1 cases passed"), "{said}");
    // It is played, and not only read.
    std::fs::write(&file, text.replace("\"passed\": false", "\"passed\": true")).unwrap();
    let (passed, said) = plugin(&["test", place]);
    assert!(!passed && said.contains("passed: expected true"), "{said}");

    let (made, said) = plugin(&["case", "last", "--dir", place, "--check", "another"]);
    assert!(
        !made && said.contains("leftovers (the check \"nothing left\")"),
        "{said}"
    );
}

#[test]
fn findings_are_sarif_in_the_artifacts_and_a_suppressed_rule_fails_nothing() {
    let agent = StandIn::that("printf 'fn a() {}\\n// TODO: later\\n' > src/a.rs");
    let repository = Repository::with([("src/a.rs", "fn a() {}\n")]);
    repository.commit("Begin");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut front = worker.serve();
    let job = json!({
        "prompt": "Change a line.",
        "allowed_dirs": [repository.path()],
        "auto_revise": { "max_passes": 0 },
        "checks": [{ "name": "nothing left", "plugin": "leftovers" }],
    });
    let result = run_job(&mut front, job.clone());
    assert_eq!(result["job_status"], "failed", "{result}");
    assert!(result.to_string().contains("src/a.rs:2"), "{result}");
    let artifact = |front: &mut McpClient, result: &Value, name: &str| -> Value {
        let arguments = json!({ "job_id": result["job_id"], "artifact": name });
        let reply = call(front, "get", arguments);
        serde_json::from_str(reply.structured["text"].as_str().unwrap()).unwrap()
    };
    let sarif = artifact(&mut front, &result, "findings.sarif");
    assert_eq!(sarif["version"], "2.1.0", "{sarif}");
    let run = &sarif["runs"][0];
    let found = &run["results"][0];
    assert_eq!(
        (&found["ruleId"], &found["level"]),
        (&json!("todo"), &json!("error")),
        "{run}"
    );
    let place = &found["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "src/a.rs", "{place}");
    assert_eq!(place["region"]["startLine"], 2, "{place}");
    let driver = &run["tool"]["driver"];
    assert!(driver["properties"]["sha256"].is_string(), "{driver}");
    let used = artifact(&mut front, &result, "plugins").to_string();
    assert!(
        used.contains("leftovers") && used.contains("sha256"),
        "{used}"
    );

    let folder = worker.home().join(".config/mcp-codex-worker");
    std::fs::create_dir_all(&folder).unwrap();
    let text = "[plugins.leftovers]\nsuppress = ['todo']\n";
    std::fs::write(folder.join("config.toml"), text).unwrap();
    repository.write("src/a.rs", "fn a() {}\n");
    let result = run_job(&mut front, job);
    assert_eq!(result["job_status"], "completed", "{result}");
    assert!(result.to_string().contains("1 suppressed"), "{result}");
}

/// Nothing is paid for what could not be used in the end: `start` names it, whatever is wrong with it.
#[test]
fn what_cannot_be_used_is_refused_by_name_before_an_agent_is_paid() {
    let operator = Operator::with(StandIn::that("touch began"));
    let folder = operator.worker.home().to_owned();
    let config = folder.join(".config/mcp-codex-worker/config.toml");
    let whole = std::fs::read(guest("hostile-check")).unwrap();
    let keep = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let half = keep("half.wasm", &whole[..whole.len() / 2]);
    let mut large = whole.clone();
    large.resize(64 << 20, 0);
    let large = keep("large.wasm", &large);
    let later = renamed(
        &whole,
        "mcp-codex-worker:check/check@1.0.0",
        "mcp-codex-worker:check/check@2.0.0",
    );
    let later = keep("later.wasm", &later);
    let greedy = renamed(
        &whole,
        "mcp-codex-worker:types/settings@",
        "xcp-codex-worker:types/settings@",
    );
    let greedy = keep("greedy.wasm", &greedy);
    let (clock, picky) = (guest("clock-check"), guest("picky-check"));
    let (summarizer, redactor) = (guest("hostile-summarizer"), guest("hostile-redactor"));
    let entry = |path: &PathBuf, more: &str| {
        format!(
            "[plugins.mine]\npath = {path:?}\nsha256 = '{}'\n{more}",
            sha256(path)
        )
    };
    let check =
        |path: &PathBuf, more: &str| format!("[plugins]\nchecks = ['mine']\n{}", entry(path, more));
    let none = "0".repeat(64);
    let rows = [
        (check(&half, ""), "is no valid component"),
        (
            check(&large, ""),
            "is larger than the 32 MiB that are taken",
        ),
        (
            check(&later, ""),
            "was made for mcp-codex-worker:check 2.0.0",
        ),
        (check(&greedy, ""), "which this host gives to no check"),
        (check(&clock, ""), "needs the grant \"clock\""),
        (
            check(&summarizer, "kind = 'check'\n"),
            "is a summarizer, not a check",
        ),
        (
            check(&operator.component, "config = { count = 'many' }\n"),
            "count must be integer, not string",
        ),
        (
            check(&operator.component, "config = { do = 'refuse settings' }\n"),
            "do: not this",
        ),
        // Everything that the plugin finds wrong, as the user's.
        (
            check(&picky, "config = { from = 9 }\n"),
            "from: is later than to; team: is nobody's",
        ),
        (
            format!(
                "[plugins]\nchecks = ['mine']\n[plugins.mine]\npath = '/nowhere/a.wasm'\nsha256 = '{none}'\n"
            ),
            "/nowhere/a.wasm",
        ),
        (
            format!(
                "[plugins]\nchecks = ['mine']\n[plugins.mine]\npath = {:?}\nsha256 = '{none}'\n",
                operator.component
            ),
            "was expected",
        ),
        // A redactor that does not load: else the job would run, and its text would be withheld.
        (
            format!(
                "[plugins]\nredact = ['mine']\n[plugins.mine]\nkind = 'redactor'\npath = '/nowhere/r.wasm'\nsha256 = '{none}'\n"
            ),
            "/nowhere/r.wasm",
        ),
        (
            format!(
                "[plugins]\nredact = ['mine']\n{}",
                entry(&redactor, "config = { nonsense = 1 }\n")
            ),
            "nonsense",
        ),
    ];
    for (text, says) in rows {
        std::fs::write(&config, &text).unwrap();
        let mut front = operator.worker.serve();
        let refused = call(&mut front, "start", operator.job()).structured;
        let rule = refused["error"]["rule"].as_str();
        let rule = rule.unwrap_or_else(|| panic!("started: {refused} with\n{text}"));
        assert!(
            rule.contains(says) && rule.contains("mine"),
            "{says}: {refused}"
        );
    }
    assert!(!operator.repository.path().join("began").exists());
    // A job's own check is looked at in the same way.
    operator.configure("");
    let mut job = operator.job();
    job["checks"] = json!([{ "plugin": "mine", "settings": { "count": "many" } }]);
    let refused = call(&mut operator.worker.serve(), "start", job).structured;
    let rule = refused["error"]["rule"].as_str().unwrap();
    assert!(rule.contains("count must be integer"), "{refused}");
    assert!(!operator.repository.path().join("began").exists());
}

#[test]
fn what_a_plugin_logs_is_in_the_jobs_log_under_its_name_and_without_secrets() {
    let operator = Operator::with(StandIn::that("printf 'two\\n' > src/a.txt"));
    operator.configure("config = { do = 'tell' }\ngrants = ['clock']\n");
    let mut front = operator.worker.serve();
    let result = run_job(&mut front, operator.job());
    assert_eq!(result["job_status"], "completed", "{result}");
    let log = log(&mut front, &result);
    let lines: Vec<&str> = log
        .lines()
        .filter_map(|line| Some(line.split_once("plugin mine: ")?.1))
        .collect();
    assert!(log.contains("plugin mine was granted clock"), "{log}");
    assert_eq!(lines.first(), Some(&"looked at 1 files"), "{log}");
    assert!(lines[1].starts_with("warning: found [redacted"), "{log}");
    assert_eq!(lines[2..], ["[2Jcompleted"], "{log}");
    assert!(
        !log.contains("gateway-key") && !log.contains('\u{1b}'),
        "{log}"
    );
}

/// What does not fail the job is not lost either.
#[test]
fn notes_of_a_check_that_passes_are_counted_in_the_result_and_whole_in_an_artifact() {
    let operator = Operator::with(StandIn::that("printf 'two\\n' > src/a.txt"));
    operator.configure("config = { do = 'find much', count = 3 }\n");
    let mut front = operator.worker.serve();
    let result = run_job(&mut front, operator.job());
    assert_eq!(result["job_status"], "completed", "{result}");
    let said = result["checks"].to_string();
    assert!(said.contains("3 notes, first: b"), "{result}");
    let arguments = json!({ "job_id": result["job_id"], "artifact": "check-mine" });
    let whole = call(&mut front, "get", arguments).structured;
    let whole = whole["text"].as_str().unwrap();
    assert_eq!(whole.matches("\"rule\"").count(), 3, "{whole}");
}

#[test]
fn what_a_plugin_prints_with_the_sdks_macros_is_in_the_jobs_log() {
    let operator = Operator::with(StandIn::that("printf 'two\\n' > src/a.txt"));
    operator.configure("config = { do = 'print' }\n");
    let mut front = operator.worker.serve();
    let result = run_job(&mut front, operator.job());
    assert_eq!(result["job_status"], "completed", "{result}");
    let log = log(&mut front, &result);
    assert!(
        log.contains("plugin mine: printed 1 files")
            && log.contains("plugin mine: warning: complained"),
        "{log}"
    );
}

#[test]
fn a_panic_is_in_the_jobs_log_and_in_the_verdict() {
    let operator = Operator::with(StandIn::that("printf 'two\\n' > src/a.txt"));
    operator.configure("config = { do = 'panic' }\n");
    let mut front = operator.worker.serve();
    let mut job = operator.job();
    job["auto_revise"] = json!({ "max_passes": 0 });
    let result = run_job(&mut front, job);
    assert_eq!(result["job_status"], "failed", "{result}");
    let said = result["checks"].to_string();
    let short = &sha256(&operator.component)[..12];
    assert!(
        said.contains("the moon is full") && said.contains(&format!("check mine 0.1.0 ({short})")),
        "{result}"
    );
    let log = log(&mut front, &result);
    assert!(
        log.contains("plugin mine: error: ") && log.contains("the moon is full"),
        "{log}"
    );
}

#[test]
fn a_running_job_keeps_its_plugins_and_the_next_one_takes_what_changed() {
    let operator = Operator::with(StandIn::that(
        "echo two >> src/a.txt; touch begun; wait_for go",
    ));
    let place = operator.repository.path();
    let mut front = operator.worker.serve();
    let started = call(&mut front, "start", operator.job()).structured;
    wait_for_file(&place.join("begun"));
    // Another component and other settings, while the job runs.
    std::fs::copy(guest("files-check"), &operator.component).unwrap();
    operator.configure("enabled = false\n");
    std::fs::write(place.join("go"), "").unwrap();
    let wait = json!({ "job_id": started["job_id"], "timeout_ms": PATIENCE.as_millis() as u64 });
    let result = call(&mut front, "wait", wait).structured;
    assert_eq!(
        result["checks"],
        json!(["mine: passed (required; done)"]),
        "{result}"
    );

    // The same front: nothing was restarted.
    let result = run_job(&mut front, operator.job());
    assert_eq!(result["checks"], json!([]), "{result}");

    // Bytes that nobody pinned are not run, and a check that cannot be run is not passed.
    operator.configure("");
    let mut bytes = std::fs::read(&operator.component).unwrap();
    bytes.push(0);
    std::fs::write(&operator.component, bytes).unwrap();
    let mut job = operator.job();
    job["auto_revise"] = json!({ "max_passes": 0 });
    let refused = call(&mut front, "start", job);
    assert!(refused.is_error, "{:?}", refused.structured);
    let said = refused.structured["error"]["rule"].to_string();
    assert!(
        said.contains("has the sha256") && said.contains("was expected"),
        "{said}"
    );
}

#[test]
fn a_repository_has_settings_of_its_own() {
    let operator = Operator::with(StandIn::that("printf 'two\\n' > src/a.txt"));
    let top = operator.repository.path();
    operator.configure(&format!(
        "config = {{ do = 'pass with an error' }}\n[repositories.{top:?}.plugins.mine]\nconfig = {{ do = 'nothing' }}\n"
    ));
    let result = run_job(&mut operator.worker.serve(), operator.job());
    assert_eq!(
        result["checks"],
        json!(["mine: passed (required; done)"]),
        "{result}"
    );
}

#[test]
fn a_teams_summarizer_is_asked_first_and_what_it_refuses_goes_to_the_bundled_one() {
    let operator = Operator::with(StandIn::that("printf 'two\\n' > src/a.txt"));
    let summarizer = guest("hostile-summarizer");
    operator.configure(&format!(
        "[plugins.forge]\nkind = 'summarizer'\npath = {summarizer:?}\nsha256 = '{}'\n",
        sha256(&summarizer)
    ));
    let file = operator
        .worker
        .home()
        .join(".config/mcp-codex-worker/config.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(
        &file,
        text.replace("[plugins]\n", "[plugins]\nsummarize = ['forge']\n"),
    )
    .unwrap();
    let mut job = operator.job();
    job["auto_revise"] = json!({ "max_passes": 0 });
    let check = |name: &str, word: &str| json!({ "name": name, "command": format!("echo '{word} says: error: nothing fits'; exit 1") });
    job["checks"] = json!([
        check("own", "forge"),
        check("refused", "refuse"),
        check("broken", "panic")
    ]);
    let result = run_job(&mut operator.worker.serve(), job);
    let failures = &result["failures"];
    let own = failures["own"].as_str().unwrap();
    assert!(own.starts_with("forge: one step failed\n"), "{result}");
    for name in ["refused", "broken"] {
        let digest = failures[name].as_str().unwrap();
        assert!(digest.contains("says: error: nothing fits"), "{result}");
    }
}
