//! `run` and `jobs apply`: one job in the foreground, its verdict as the exit code, and what becomes of its changes.

use std::io::Write as _;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use worker_test_support::{Repository, StandIn, Worker, wait_for};

use super::{stderr, stdout};

const BINARY: &str = env!("CARGO_BIN_EXE_mcp-codex-worker");

fn repository() -> Repository {
    Repository::with([("src/a.txt", "one\n")])
}

/// Runs a job that comes over stdin.
fn run(worker: &Worker, job: &Value, further: &[&str]) -> Output {
    let mut child = start(worker, job, further);
    drop(child.stdin.take());
    child.wait_with_output().unwrap()
}

fn start(worker: &Worker, job: &Value, further: &[&str]) -> Child {
    let mut child = command(worker, further).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(job.to_string().as_bytes()).unwrap();
    drop(stdin);
    child
}

fn command(worker: &Worker, further: &[&str]) -> Command {
    let mut command = worker.command([&["run", "--job", "-"], further].concat());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn interrupt(child: &Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

#[test]
fn a_job_in_the_foreground_shows_what_happens_and_exits_with_its_verdict() {
    let repository = repository();
    let agent = StandIn::that("say 'changing a line'; printf 'two\\n' > src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    // As from a script in the repository: the file names its directory relative to where it is called.
    let file = worker.home().join("job.json");
    let job = json!({
        "prompt": "Change a line.", "allowed_dirs": ["."], "wait_ms": 5,
        "checks": [{"name": "content", "command": "grep -q two src/a.txt"}],
    });
    std::fs::write(&file, format!("\u{feff}{job}")).unwrap();
    let output = worker
        .command(["run", "--json", "--job"])
        .arg(&file)
        .current_dir(repository.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let result: Value = serde_json::from_str(stdout(&output).trim()).unwrap();
    assert_eq!(result["job_status"], "completed", "{result}");
    assert_eq!(result["checks"], json!(["content: passed"]));
    let told = stderr(&output);
    assert!(told.contains("says: changing a line"), "{told}");
    assert!(!told.contains('\u{1b}'), "no colours into a pipe: {told:?}");

    // For people, and without a word on the way.
    let output = run(
        &worker,
        &json!({"prompt": "Change a line.", "allowed_dirs": [repository.path()]}),
        &["--quiet"],
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
    assert!(stdout(&output).contains("completed"), "{}", stdout(&output));
}

#[test]
fn the_exit_code_tells_a_failed_job_from_a_wrong_one() {
    let repository = repository();
    let agent = StandIn::that("printf 'two\\n' > src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let job = json!({
        "prompt": "Change a line.", "allowed_dirs": [repository.path()], "auto_revise": {"max_passes": 0},
        "checks": [{"name": "content", "command": "grep three src/a.txt"}],
    });
    let failed = run(&worker, &job, &[]);
    assert_eq!(failed.status.code(), Some(1), "{}", stderr(&failed));
    assert!(stdout(&failed).contains("content: failed"));

    for (text, says) in [
        ("{", "is no job"),
        ("[1]", "must be a JSON object"),
        ("{}", "prompt"),
        (
            r#"{"prompt": "x", "promt": 1, "allowed_dirs": ["/"]}"#,
            "promt",
        ),
        (
            r#"{"prompt": "x", "allowed_dirs": ["/nowhere"]}"#,
            "allowed_dirs",
        ),
        (
            r#"{"prompt": "{item}", "each": ["a"], "allowed_dirs": ["/"]}"#,
            "each: starts many jobs in the background",
        ),
    ] {
        let mut child = command(&worker, &[]).spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}: {}", stderr(&output));
        assert!(
            stderr(&output).contains(says),
            "{text}: {}",
            stderr(&output)
        );
    }
    let missing = worker
        .command(["run", "--job", "no-such-file.json"])
        .output()
        .unwrap();
    assert_eq!(missing.status.code(), Some(2));
    let rootless = run(&worker.unset("SANDBOX_ROOT"), &job, &[]);
    assert_eq!(rootless.status.code(), Some(2), "{}", stderr(&rootless));
    assert!(stderr(&rootless).contains("SANDBOX_ROOT"));
}

#[test]
fn ctrl_c_cancels_the_job_and_still_tells_what_it_did() {
    let repository = repository();
    let agent =
        StandIn::that("printf 'two\\n' > src/a.txt; touch begun; while :; do sleep 1; done");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let job = json!({"prompt": "Change a line.", "allowed_dirs": [repository.path()]});
    let child = start(&worker, &job, &["--json"]);
    wait_for("the agent begins", || {
        repository.path().join("begun").exists()
    });
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let result: Value = serde_json::from_str(stdout(&output).trim()).unwrap();
    assert_eq!(result["job_status"], "cancelled", "{result}");
    assert_eq!(result["changed_files"], json!(["begun", "src/a.txt"]));
    worker.assert_no_process_left();

    let waited = worker.command(["jobs", "wait", "last"]).output().unwrap();
    assert_eq!(waited.status.code(), Some(3), "{}", stderr(&waited));
}

/// A CI runner kills what takes too long, and asks nobody.
#[test]
fn a_run_that_is_killed_leaves_no_agent_at_work() {
    let repository = repository();
    let agent =
        StandIn::that("printf 'two\\n' > src/a.txt; touch begun; while :; do sleep 1; done");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent).set("MAX_RUNNING_JOBS", 1);
    let job = json!({"prompt": "Change a line.", "allowed_dirs": [repository.path()]});
    let mut first = start(&worker, &job, &["-q"]);
    wait_for("the agent begins", || {
        repository.path().join("begun").exists()
    });
    let mut queued = start(&worker, &job, &["-q"]);
    let listed = || {
        let output = worker.command(["jobs", "ls", "--json"]).output().unwrap();
        serde_json::from_slice::<Vec<Value>>(&output.stdout).unwrap()
    };
    wait_for("the second job is queued", || listed().len() == 2);
    for run in [&mut queued, &mut first] {
        run.kill().unwrap();
        run.wait().unwrap();
    }
    wait_for("both jobs end", || {
        listed().iter().all(|job| job["job_status"] == "cancelled")
    });
    worker.assert_no_process_left();
    for (at, changed) in [(0, json!([])), (1, json!(["begun", "src/a.txt"]))] {
        let id = listed()[at]["job_id"].as_str().unwrap().to_owned();
        let shown = worker
            .command(["jobs", "show", "--json", &id])
            .output()
            .unwrap();
        let result: Value = serde_json::from_slice(&shown.stdout).unwrap();
        assert_eq!(result["error"]["cause"], "run_gone", "{result}");
        assert_eq!(result["changed_files"], changed, "{result}");
    }
}

#[test]
fn a_job_in_the_foreground_takes_its_place_in_the_queue() {
    let repository = repository();
    let agent = StandIn::that("touch begun; wait_for go");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent).set("MAX_RUNNING_JOBS", 1);
    let job = json!({"prompt": "Wait.", "allowed_dirs": [repository.path()]});
    let first = start(&worker, &job, &[]);
    wait_for("the first job begins", || {
        repository.path().join("begun").exists()
    });
    let second = start(&worker, &job, &["--json"]);
    let listed = || {
        let output = worker.command(["jobs", "ls", "--json"]).output().unwrap();
        serde_json::from_slice::<Vec<Value>>(&output.stdout).unwrap()
    };
    wait_for("the second job is queued", || {
        listed()
            .first()
            .is_some_and(|job| job["job_status"] == "queued")
    });
    repository.write("go", "");
    let (first, second) = (
        first.wait_with_output().unwrap(),
        second.wait_with_output().unwrap(),
    );
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    assert_eq!(second.status.code(), Some(0), "{}", stderr(&second));
    assert!(stderr(&second).contains("-- queued"), "{}", stderr(&second));
}

#[test]
fn changes_in_a_tree_of_their_own_are_applied_before_they_are_forgotten() {
    let repository = repository();
    let agent = StandIn::that("printf 'two\\n' > src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let job = json!({
        "prompt": "Change a line.", "allowed_dirs": [repository.path()], "isolation": "worktree",
    });
    let ran = run(&worker, &job, &["--json"]);
    assert_eq!(ran.status.code(), Some(0), "{}", stderr(&ran));
    assert!(stderr(&ran).contains("jobs apply"), "{}", stderr(&ran));
    assert_eq!(repository.read("src/a.txt"), "one\n");

    let jobs = |arguments: &[&str]| {
        worker
            .command([&["jobs"], arguments].concat())
            .output()
            .unwrap()
    };
    let refused = jobs(&["rm", "last"]);
    assert_eq!(refused.status.code(), Some(1));
    let told = stderr(&refused);
    assert!(
        told.contains("one file") && told.contains("--force"),
        "{told}"
    );

    let applied = jobs(&["apply", "last", "--how", "patch", "--json"]);
    assert_eq!(applied.status.code(), Some(0), "{}", stderr(&applied));
    let reply: Value = serde_json::from_slice(&applied.stdout).unwrap();
    assert_eq!(reply["files"], json!(["src/a.txt"]), "{reply}");
    assert_eq!(repository.read("src/a.txt"), "two\n");
    // Twice is once too often, and says so.
    let again = jobs(&["apply", "last"]);
    assert_eq!(again.status.code(), Some(1), "{}", stdout(&again));
    assert!(!stderr(&again).is_empty());
    let removed = jobs(&["rm", "last", "--json"]);
    assert_eq!(removed.status.code(), Some(0), "{}", stderr(&removed));
    assert!(stdout(&removed).contains("removed"));

    // What nobody wants any more goes with --force.
    repository.commit("taken");
    let second = StandIn::that("printf 'three\\n' > src/a.txt");
    let worker = worker.set("WORKER_CLAUDE_BIN", second.path().display());
    assert_eq!(run(&worker, &job, &["-q"]).status.code(), Some(0));
    let forced = worker
        .command(["jobs", "rm", "--force", "last"])
        .output()
        .unwrap();
    assert!(forced.status.success(), "{}", stderr(&forced));
    assert_eq!(repository.read("src/a.txt"), "two\n");
}

#[test]
fn a_display_that_nobody_reads_any_more_ends() {
    let repository = repository();
    let agent = StandIn::that("wait_for go");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let job = json!({"prompt": "Wait.", "allowed_dirs": [repository.path()]});
    let job = start(&worker, &job, &["-q"]);
    let mut watch = worker
        .command(["jobs", "ls", "--watch"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(watch.stdout.take());
    wait_for("the display ends", || watch.try_wait().unwrap().is_some());
    repository.write("go", "");
    assert!(job.wait_with_output().unwrap().status.success());
}
