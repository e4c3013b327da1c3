//! A session that started jobs is woken by a client's hook, once, and nobody else is.

use std::io::Write as _;
use std::process::{Child, Stdio};

use super::*;

/// A hook at work.
fn hooked(worker: &Worker, arguments: &[&str], payload: &str) -> Child {
    let mut command = worker.command([&["hook"], arguments].concat());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(payload.as_bytes()).unwrap();
    child
}

/// The answer of a hook; it never fails.
fn answer(hook: Child) -> Value {
    let output = hook.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&output.stdout)))
}

/// Waits until so many hooks wait for jobs.
fn wait_for_hooks(worker: &Worker, count: usize) {
    wait_for("the hooks wait", || {
        let locks = std::fs::read_dir(worker.state_dir().join("slots")).unwrap();
        let held = locks.flatten().filter(|lock| {
            lock.file_name().to_string_lossy().starts_with("waking-")
                && std::fs::File::open(lock.path()).is_ok_and(|lock| lock.try_lock().is_err())
        });
        held.count() == count
    });
}

fn stop(worker: &Worker, session: &str, more: &[&str]) -> Value {
    let payload = json!({ "session_id": session, "hook_event_name": "Stop" }).to_string();
    answer(hooked(worker, &[&["stop"], more].concat(), &payload))
}

/// The words that a session goes on with; none where it may end.
fn words(answer: &Value) -> &str {
    if *answer == json!({}) {
        return "";
    }
    assert_eq!(answer["decision"], "block", "{answer}");
    answer["reason"].as_str().unwrap()
}

/// Starts a job as Codex does, which says whose session it is.
fn started_by(front: &mut McpClient, session: &str, job: Value) -> String {
    let call = json!({
        "name": "start", "arguments": job,
        "_meta": { "x-codex-turn-metadata": { "session_id": session } },
    });
    let reply = front.request("tools/call", call, PATIENCE).unwrap();
    let reply = &reply["structuredContent"];
    reply["job_id"]
        .as_str()
        .unwrap_or_else(|| panic!("no job: {reply}"))
        .to_owned()
}

/// A job whose agent waits until its file is there.
fn gated(repository: &Repository, gate: &str) -> Value {
    let mut job = job(repository);
    job["prompt"] = format!("Wait for {gate}.").into();
    job["isolation"] = "worktree".into();
    job
}

/// An agent that waits for the file that its prompt names, in the gates' folder.
fn waiting(gates: &Path) -> StandIn {
    StandIn::that(&format!(
        "wait_for \"{}/$(sed -n 's/^Wait for \\([a-z]*\\)\\.$/\\1/p' \"$PROMPT\" | head -n 1)\"; echo two > src/a.txt",
        gates.display()
    ))
}

#[test]
fn each_session_is_told_its_own_jobs_once_and_none_is_lost_with_a_killed_hook() {
    let repository = repository();
    let gates = repository.root().join("gates");
    std::fs::create_dir(&gates).unwrap();
    let agent = waiting(&gates);
    let worker = Worker::with_stand_in(BINARY, &repository, &agent)
        .set("WORKER_SANDBOX_READ", gates.display());
    let mut front = worker.serve();
    let first = started_by(&mut front, "A", gated(&repository, "first"));
    let second = started_by(&mut front, "A", gated(&repository, "second"));
    let other = started_by(&mut front, "B", gated(&repository, "other"));

    // Time is up before they are over: the session is told so, and may go on waiting.
    let early = stop(&worker, "A", &["--wait", "0"]);
    assert!(words(&early).starts_with("Still running: "), "{early}");

    let payload = json!({ "session_id": "A" }).to_string();
    let mut killed = hooked(&worker, &["stop"], &payload);
    wait_for_hooks(&worker, 1);
    // One hook waits for a session; a second one does not tell the same.
    assert_eq!(stop(&worker, "A", &["--wait", "0"]), json!({}));
    std::fs::write(gates.join("other"), "").unwrap();
    let told = stop(&worker, "B", &[]);
    assert!(words(&told).contains(&other), "{told}");
    assert!(!words(&told).contains(&first), "{told}");

    killed.kill().unwrap();
    killed.wait().unwrap();
    std::fs::write(gates.join("first"), "").unwrap();
    std::fs::write(gates.join("second"), "").unwrap();
    let told = stop(&worker, "A", &[]);
    for id in [&first, &second] {
        assert!(words(&told).contains(id.as_str()), "{told}");
    }
    assert_eq!(
        words(&told).matches("\"job_status\":\"completed\"").count(),
        2
    );
    for session in ["A", "B", "C"] {
        assert_eq!(stop(&worker, session, &[]), json!({}), "{session}");
    }
    worker.assert_no_process_left();
}

#[test]
fn what_a_call_answers_while_a_hook_waits_is_not_told_by_the_hook() {
    let repository = repository();
    let gates = repository.root().join("gates");
    std::fs::create_dir(&gates).unwrap();
    let agent = waiting(&gates);
    let worker = Worker::with_stand_in(BINARY, &repository, &agent)
        .set("WORKER_SANDBOX_READ", gates.display());
    let mut front = worker.serve();
    let first = started_by(&mut front, "A", gated(&repository, "first"));
    let second = started_by(&mut front, "A", gated(&repository, "second"));
    let payload = json!({ "session_id": "A" }).to_string();
    let hook = hooked(&worker, &["stop"], &payload);
    wait_for_hooks(&worker, 1);

    std::fs::write(gates.join("first"), "").unwrap();
    assert_eq!(ended(&mut front, &first)["job_status"], "completed");
    // With its oldest job told, the session has still one hook that waits, and no second one beside it.
    assert_eq!(stop(&worker, "A", &["--wait", "0"]), json!({}));
    std::fs::write(gates.join("second"), "").unwrap();
    let told = answer(hook);
    assert!(words(&told).contains(&second), "{told}");
    assert!(!words(&told).contains(&first), "{told}");
    assert_eq!(stop(&worker, "A", &[]), json!({}));
    wait_for_hooks(&worker, 0);
}

#[test]
fn two_hooks_that_wait_for_the_same_jobs_tell_them_once() {
    let repository = repository();
    let gates = repository.root().join("gates");
    std::fs::create_dir(&gates).unwrap();
    let agent = waiting(&gates);
    let worker = Worker::with_stand_in(BINARY, &repository, &agent)
        .set("WORKER_SANDBOX_READ", gates.display());
    // Its client names no session: the job is of this process, and so is every hook below.
    let id = started(&mut worker.serve(), gated(&repository, "only"));
    let hooks: Vec<Child> = ["A", "B"]
        .map(|session| {
            hooked(
                &worker,
                &["stop"],
                &json!({ "session_id": session }).to_string(),
            )
        })
        .into();
    wait_for_hooks(&worker, 2);
    std::fs::write(gates.join("only"), "").unwrap();
    let told: Vec<Value> = hooks.into_iter().map(answer).collect();
    let with_words: Vec<&str> = told
        .iter()
        .map(words)
        .filter(|words| !words.is_empty())
        .collect();
    assert_eq!(with_words.len(), 1, "{told:?}");
    assert!(with_words[0].contains(&id), "{told:?}");
}

#[test]
fn a_client_that_names_no_session_is_known_by_its_process() {
    let repository = repository();
    let agent = StandIn::that("echo two > src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    // The server is this test's child, and so is the hook.
    let id = started(&mut worker.serve(), job(&repository));
    let told = stop(&worker, "whatever Claude Code calls it", &[]);
    assert!(words(&told).contains(&id), "{told}");
}

#[test]
fn a_failed_job_wakes_at_once_where_that_is_asked_for() {
    let repository = repository();
    let gates = repository.root().join("gates");
    std::fs::create_dir(&gates).unwrap();
    let agent = waiting(&gates);
    let worker = Worker::with_stand_in(BINARY, &repository, &agent)
        .set("WORKER_SANDBOX_READ", gates.display());
    let mut front = worker.serve();
    let mut failing = gated(&repository, "failing");
    failing["checks"] = json!(["false"]);
    failing["auto_revise"] = json!({ "max_passes": 0 });
    let failing = started_by(&mut front, "A", failing);
    let running = started_by(&mut front, "A", gated(&repository, "running"));
    std::fs::write(gates.join("failing"), "").unwrap();
    let told = stop(&worker, "A", &["--wake-on-failure"]);
    assert!(
        words(&told).contains(&format!("{{\"job_id\":\"{failing}\"")),
        "{told}"
    );
    assert!(
        words(&told).contains(&format!("Still running: {running}.")),
        "{told}"
    );
    std::fs::write(gates.join("running"), "").unwrap();
    assert!(words(&stop(&worker, "A", &[])).contains(&running));
}

#[test]
fn what_a_call_answered_is_not_told_again() {
    let repository = repository();
    let agent = StandIn::that("echo two >> src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut front = worker.serve();
    run_job(&mut front, job(&repository));
    let id = started_by(&mut front, "A", job(&repository));
    assert_eq!(ended(&mut front, &id)["job_status"], "completed");
    assert_eq!(stop(&worker, "A", &[]), json!({}));
}

#[test]
fn a_new_session_hears_of_what_ended_when_the_old_one_was_gone() {
    let repository = repository();
    let agent = StandIn::that("echo two > src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut serve = std::process::Command::new("sh");
    let program = worker.command(["serve"]);
    serve
        .args(["-c", "\"$0\" serve; exit 0"])
        .arg(program.get_program())
        .current_dir(repository.path())
        .env_clear()
        .envs(
            program
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    // A client of its own, which goes with its server.
    let mut front = McpClient::connect(serve, PATIENCE).unwrap();
    let id = started(&mut front, job(&repository));
    let mut later = worker.serve();
    // By another way to the same directory.
    let link = repository.root().join("link");
    std::os::unix::fs::symlink(repository.path(), &link).unwrap();
    let payload = json!({ "session_id": "new", "cwd": link, "source": "startup" });
    let hear = || answer(hooked(&worker, &["session-start"], &payload.to_string()));
    wait_for("the job is over", || {
        let store = job::Store::open(&worker.state_dir()).unwrap();
        store
            .job(&id.parse().unwrap())
            .unwrap()
            .unwrap()
            .state
            .is_terminal()
    });
    assert_eq!(hear(), json!({}), "its session is there and will be told");
    front.hang_up(PATIENCE);
    let mut heard = json!({});
    wait_for("its client is gone", || {
        heard = hear();
        heard != json!({})
    });
    let output = &heard["hookSpecificOutput"];
    assert_eq!(output["hookEventName"], "SessionStart", "{heard}");
    let words = output["additionalContext"].as_str().unwrap();
    assert!(
        words.contains(&format!("{id} completed: Change a line.")),
        "{words}"
    );
    assert_eq!(hear(), json!({}), "once");
    assert_eq!(get(&mut later, &id)["job_status"], "completed");
}

#[test]
fn a_hook_never_stands_in_the_way() {
    let worker = Worker::bare(BINARY);
    for payload in [
        "",
        "{",
        "[]",
        "{\"session_id\":7}",
        "{\"session_id\":\"A\"}",
    ] {
        for event in ["stop", "session-start"] {
            assert_eq!(
                answer(hooked(&worker, &[event], payload)),
                json!({}),
                "{payload}"
            );
        }
    }
    assert!(!worker.state_dir().exists(), "a hook makes no store");
    std::fs::create_dir(worker.state_dir()).unwrap();
    std::fs::write(worker.state_dir().join("jobs.db"), "no database").unwrap();
    assert_eq!(stop(&worker, "A", &[]), json!({}));
    let wrong = Worker::bare(BINARY).set("MAX_RUNNING_JOBS", "many");
    assert_eq!(stop(&wrong, "A", &[]), json!({}));
}
