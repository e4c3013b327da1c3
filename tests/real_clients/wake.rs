//! The planner ends its turn, sleeps at no token, and is woken once with every result.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use worker_test_support::codex::Move;
use worker_test_support::gateway::{Script, ScriptedGateway, Turn};
use worker_test_support::worker::run_job;
use worker_test_support::{Codex, Repository, Worker, clients};

use super::{BINARY, broken_sum, mending, moves, ours, set_up};

pub(super) const SERVER: &str = "codex_async_worker";

/// A job of its own tree, so that several run side by side.
fn job() -> Move {
    Move::Call {
        server: SERVER.into(),
        tool: "start".into(),
        arguments: json!({"prompt": "Fix sum().", "checks": ["npm test"], "isolation": "worktree"}),
    }
}

/// Installs the plugin as a newcomer does who has Codex on PATH.
fn install(codex: &mut Codex, repository: &Repository, gateway: &ScriptedGateway) {
    let program = codex.program().to_owned();
    codex.set_up(|home| {
        let bin = home.join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(&program, bin.join("codex")).unwrap();
        let told = set_up(home, repository, gateway, &["--client", "codex"]);
        assert!(
            told.contains("plugin add codex-worker@mcp-codex-worker"),
            "{told}"
        );
    });
}

/// Every text of a conversation's last request that a hook brought.
pub(super) fn told(codex: &Codex) -> Vec<String> {
    let last = codex.seen().pop().expect("Codex asked its model").body;
    let input = last["input"].as_array().cloned().unwrap_or_default();
    let texts = input.iter().flat_map(|item| match &item["content"] {
        Value::Array(parts) => parts.clone(),
        _ => Vec::new(),
    });
    texts
        .filter_map(|part| part["text"].as_str().map(str::to_owned))
        .filter(|text| text.contains("<hook_prompt"))
        .collect()
}

#[test]
fn codex_sleeps_through_five_jobs_and_reads_five_verdicts_in_one_request() {
    let repository = broken_sum();
    let gateway = ScriptedGateway::start(Script::turns(mending())).unwrap();
    let mut codex = Codex::with_model(moves((0..5).map(|_| job())));
    install(&mut codex, &repository, &gateway);
    let mut findings = Vec::new();
    codex.set_up(|home| {
        let printed = ours(home, repository.path(), &["doctor", "--json"]);
        findings =
            serde_json::from_str::<Vec<Value>>(&printed).unwrap_or_else(|_| panic!("{printed}"));
    });
    for (what, verdict) in [
        ("Codex", "ok"),
        ("Codex skill", "ok"),
        ("Codex hook", "warn"),
    ] {
        let finding = findings.iter().find(|finding| finding["what"] == what);
        assert_eq!(
            finding.map(|found| &found["verdict"]),
            Some(&json!(verdict)),
            "{what}: {findings:#?}"
        );
    }
    codex.trust_hooks();

    let run = codex.exec(repository.path(), "Have sum() fixed, five times.");

    assert!(run.status.success(), "{run:?}");
    let told = told(&codex);
    let [told] = &told[..] else {
        panic!("told {} times: {told:?}", told.len())
    };
    assert_eq!(
        told.matches("\"job_status\":\"completed\"").count(),
        5,
        "{told}"
    );
    // Five calls, the end of the turn, and the one continuation.
    assert_eq!(codex.seen().len(), 7);
}

/// The lines that `adapter` prints for a Claude Code started by hand, as variables.
fn exports(adapter: &mut Child) -> Vec<(String, String)> {
    let lines = BufReader::new(adapter.stdout.take().unwrap()).lines();
    let assignment = |line: String| {
        let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    lines
        .take(2)
        .map(|line| assignment(line.unwrap()).unwrap())
        .collect()
}

/// Runs Claude Code as the planner of `scene`, whose gateway is its model; its result.
pub(super) fn plan_with_claude_code(
    scene: &Worker,
    repository: &Repository,
    arguments: &[&str],
    prompt: &str,
) -> Value {
    let mut adapter = scene
        .command(["adapter"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = Command::new(clients::claude_code())
        .args(["-p", "--output-format", "json", "--model", "sonnet"])
        .args(arguments)
        .args(["--", prompt])
        .env_clear()
        .env("HOME", scene.home())
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(exports(&mut adapter))
        .current_dir(repository.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    adapter.kill().unwrap();
    adapter.wait().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&said).unwrap_or_else(|_| panic!("{output:?}"))
}

/// Installs the plugin in Claude Code as a newcomer does who has it on PATH.
pub(super) fn install_in_claude_code(
    scene: &Worker,
    repository: &Repository,
    workers: &ScriptedGateway,
) {
    let home = scene.home();
    std::fs::create_dir(home.join("bin")).unwrap();
    std::os::unix::fs::symlink(clients::claude_code(), home.join("bin/claude")).unwrap();
    let told = set_up(home, repository, workers, &["--client", "claude-code"]);
    assert!(
        told.contains("plugin install codex-worker@mcp-codex-worker"),
        "{told}"
    );
}

#[test]
fn claude_code_as_the_planner_sleeps_and_is_woken_once() {
    const START: &str = "mcp__plugin_codex-worker_codex_async_worker__start";
    let repository = broken_sum();
    let workers = ScriptedGateway::start(Script::turns(mending())).unwrap();
    let job = json!({"prompt": "Fix sum().", "checks": ["npm test"], "isolation": "worktree"});
    let planner = ScriptedGateway::start(Script::turns([
        Turn::call(START, job.clone()),
        Turn::call(START, job),
        Turn::say("Delegated."),
        Turn::say("Both are done."),
    ]))
    .unwrap();
    let scene = Worker::new(BINARY, &repository, &planner);
    install_in_claude_code(&scene, &repository, &workers);
    let allowed = ["--allowedTools", START];
    let result = plan_with_claude_code(&scene, &repository, &allowed, "Have sum() fixed, twice.");
    assert_eq!(result["result"], "Both are done.", "{result}");
    let last = planner.requests().pop().unwrap();
    let told: Vec<String> = last
        .texts("user")
        .into_iter()
        .filter(|text| text.contains("Background jobs ended:"))
        .collect();
    let [told] = &told[..] else {
        panic!("told {} times", told.len())
    };
    // Claude Code 2.1.332 shows a hook's words twice in the one request, as feedback and as an error; 2.1.197 once.
    let jobs: std::collections::BTreeSet<&str> = told
        .lines()
        .filter(|line| line.contains("\"job_status\":\"completed\""))
        .collect();
    let ids = jobs
        .iter()
        .filter_map(|line| line.split("\"job_id\":\"").nth(1));
    let ids: std::collections::BTreeSet<&str> = ids.map(|rest| &rest[..26]).collect();
    assert_eq!(ids.len(), 2, "{told}");
    assert_eq!(planner.requests().len(), 4, "one continuation for both");
}

/// The facts under the length of our hook: Codex takes a day's time-out, and ends a hook that outlasts its own with the turn.
#[test]
fn codex_takes_a_day_for_a_hook_and_ends_one_that_outlasts_its_time() {
    let repository = broken_sum();
    let ran = repository.root().join("ran");
    let mut codex = Codex::with_model(moves([]));
    codex.configure(&format!(
        "[[hooks.Stop]]\n[[hooks.Stop.hooks]]\ntype = \"command\"\ntimeout = 86400\ncommand = \"touch {ran}; echo {{}}\"\n\
         [[hooks.Stop.hooks]]\ntype = \"command\"\ntimeout = 1\ncommand = \"touch {ran}-late; sleep 120; touch {ran}-never\"\n",
        ran = ran.display()
    ));
    codex.trust_hooks();
    let run = codex.exec(repository.path(), "Say something.");
    assert!(run.status.success(), "{run:?}");
    let late = repository.root().join("ran-late");
    assert!(ran.exists() && late.exists(), "both hooks ran: {run:?}");
    assert!(!repository.root().join("ran-never").exists());
    assert_eq!(codex.seen().len(), 1, "no request was made for either");
}

#[test]
fn a_worker_asks_and_its_answered_job_comes_into_the_checkout_by_itself() {
    let repository = broken_sum();
    repository.commit("Begin");
    let [read, edit, test, say] = mending();
    let gateway = ScriptedGateway::start(Script::turns([
        read,
        Turn::say("The test and the name disagree.\n\nNEEDS_INPUT: Is sum() meant to add (a) or to subtract (b)?"),
        edit,
        test,
        say,
    ]))
    .unwrap();
    let worker = Worker::new(BINARY, &repository, &gateway);
    let mut front = worker.serve();
    let asked = run_job(
        &mut front,
        json!({
            "prompt": "Make sum() right.", "allowed_dirs": [repository.path()], "isolation": "worktree",
            "checks": [{ "name": "tests", "command": "npm test" }],
        }),
    );
    assert_eq!(asked["job_status"], "needs_input", "{asked}");
    assert_eq!(
        asked["question"],
        "Is sum() meant to add (a) or to subtract (b)?"
    );
    let done = run_job(
        &mut front,
        json!({
            "prompt": "(a): it adds.", "resume_job_id": asked["job_id"], "apply": "squash",
            "checks": [{ "name": "tests", "command": "npm test" }],
        }),
    );
    assert_eq!(done["job_status"], "completed", "{done}");
    assert_eq!(done["applied"], "squash", "{done}");
    assert_eq!(
        repository.read("src/a.js"),
        "exports.sum = (a, b) => a + b;\n"
    );
    worker.assert_no_process_left();
}

/// The same facts for Claude Code: it takes a day, and goes on without a hook that outlasts its time.
#[test]
fn claude_code_takes_a_day_for_a_hook_and_ends_one_that_outlasts_its_time() {
    let repository = broken_sum();
    let ran = repository.root().join("ran");
    let planner = ScriptedGateway::start(Script::turns([Turn::say("Done.")])).unwrap();
    let scene = Worker::new(BINARY, &repository, &planner);
    let hook = |timeout: u64, command: String| json!({ "hooks": [{ "type": "command", "timeout": timeout, "command": command }] });
    let ran_by = ran.display();
    let settings = json!({ "hooks": { "Stop": [
        hook(86_400, format!("touch {ran_by}; echo '{{}}'")),
        hook(1, format!("touch {ran_by}-late; sleep 120; touch {ran_by}-never")),
    ] } });
    let file = scene.home().join("hooks.json");
    std::fs::write(&file, settings.to_string()).unwrap();
    let settings = ["--settings", file.to_str().unwrap()];
    let result = plan_with_claude_code(&scene, &repository, &settings, "Say something.");
    assert_eq!(result["result"], "Done.", "{result}");
    let late = repository.root().join("ran-late");
    assert!(ran.exists() && late.exists(), "both hooks ran: {result}");
    assert!(!repository.root().join("ran-never").exists());
}
