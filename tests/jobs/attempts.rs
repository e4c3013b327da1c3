//! Several attempts at one task: ladders and races, what becomes of the others, and what is refused.

use std::fs;
use std::path::PathBuf;

use job::{State, Store};
use worker_test_support::gateway::{Reply, Usage};
use worker_test_support::worker::kill;

use super::*;

/// A gateway whose models each order an agent that obeys to do something else.
fn models(orders: &'static [(&'static str, &'static str)]) -> ScriptedGateway {
    let script = Script::new(move |request| {
        let known = orders.iter().find(|(model, _)| *model == request.model());
        let (_, order) = known.unwrap_or(&("", "exit 1"));
        let usage = Usage {
            prompt: 900,
            completion: 100,
            ..Usage::default()
        };
        Reply::Turn(Turn::say(StandIn::orders(order)).using(usage))
    });
    ScriptedGateway::start(script).unwrap()
}

fn worker(repository: &Repository, agent: &StandIn, gateway: &ScriptedGateway) -> Worker {
    Worker::with_stand_in(BINARY, repository, agent)
        .set("ONEAPI_BASE_URL", gateway.base_url())
        .set(
            "WORKER_PRICE_TABLE",
            r#"{"cheap":{"input":1,"output":1},"good":{"input":10,"output":10},"slow":{"input":1,"output":1},"quick":{"input":1,"output":1}}"#,
        )
}

fn asked(repository: &Repository, attempts: Value) -> Value {
    let mut asked = job(repository);
    asked["isolation"] = "worktree".into();
    asked["attempts"] = attempts;
    asked["auto_revise"] = json!({ "max_passes": 0 });
    asked["checks"] = json!([{ "name": "content", "command": "grep -q two src/a.txt" }]);
    asked
}

/// The trees of jobs that are there.
fn trees(worker: &Worker) -> Vec<PathBuf> {
    let jobs = fs::read_dir(worker.state_dir().join("jobs")).unwrap();
    let trees = jobs.flatten().map(|job| job.path().join("tree"));
    trees.filter(|tree| tree.exists()).collect()
}

fn lines(result: &Value) -> Vec<String> {
    let lines = result["attempts"]
        .as_array()
        .unwrap_or_else(|| panic!("{result}"));
    lines
        .iter()
        .map(|line| line.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_ladder_goes_on_until_one_is_verified_and_then_speaks_of_it() {
    let repository = repository();
    let agent = StandIn::that_obeys();
    let gateway = models(&[
        ("cheap", "echo three > src/a.txt"),
        ("good", "echo two > src/a.txt"),
    ]);
    let worker = worker(&repository, &agent, &gateway);
    let mut front = worker.serve();
    let ladder = json!({ "models": ["cheap", "good", "slow"] });
    let result = run_job(&mut front, asked(&repository, ladder));
    assert_eq!(result["job_status"], "completed", "{result}");
    assert_eq!(result["checks"], json!(["content: passed"]), "{result}");
    assert_eq!(
        lines(&result),
        [
            "1 cheap: failed (content), 0.001 USD",
            "2 good: completed, 0.01 USD"
        ]
    );
    assert_eq!(result["spent"], "0.011 USD", "{result}");
    assert!(result.to_string().len() < 600, "{result}");
    assert_eq!(
        repository.read("src/a.txt"),
        "one\n",
        "the checkout is as it was"
    );

    // What failed goes along, and nothing but that: the second began on a clean tree.
    let tasks: Vec<String> = gateway
        .requests()
        .iter()
        .map(|request| StandIn::task_of(&request.texts("user").concat()))
        .collect();
    assert_eq!(tasks.len(), 2);
    assert!(!tasks[0].contains("earlier attempt"), "{}", tasks[0]);
    assert!(
        tasks[1].contains("content: failed (exit code 1)"),
        "{}",
        tasks[1]
    );

    let id = result["job_id"].as_str().unwrap();
    let artifact = |front: &mut McpClient, name: &str| {
        let reply = call(front, "get", json!({ "job_id": id, "artifact": name })).structured;
        reply["text"]
            .as_str()
            .unwrap_or_else(|| panic!("{name}: {reply}"))
            .to_owned()
    };
    assert!(artifact(&mut front, "diff").contains("+two"));
    assert!(artifact(&mut front, "attempt-1/diff").contains("+three"));
    assert!(artifact(&mut front, "attempt-1/log").contains("content: failed"));
    let log = call(&mut front, "tail", json!({ "job_id": id })).structured["log"].to_string();
    assert!(log.contains("[2 good] "), "{log}");
    assert_eq!(trees(&worker).len(), 1, "that of the one that counts");
    let listed = worker.command(["jobs", "--json"]).output().unwrap();
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    let shown = worker.command(["jobs", "show", id]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("attempt  1 cheap: failed"), "{shown}");

    // A follow-up goes on where the second one stopped.
    let again = json!({ "prompt": "Again.", "resume_job_id": id, "model": "good", "checks": [{ "name": "content", "command": "grep -q two src/a.txt" }] });
    let second = run_job(&mut front, again);
    assert_eq!(second["job_status"], "completed", "{second}");
    let applied = call(
        &mut front,
        "apply",
        json!({ "job_id": second["job_id"], "how": "patch" }),
    );
    assert_eq!(
        applied.structured["files"],
        json!(["src/a.txt"]),
        "{applied:?}"
    );
    assert_eq!(repository.read("src/a.txt"), "two\n");
    let refused = worker
        .command(["jobs", "rm", "--force", id])
        .output()
        .unwrap();
    assert!(!refused.status.success(), "its follow-up works in its tree");

    let told = worker.command(["stats", "--json"]).output().unwrap();
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told["models"]["cheap"]["tries"], 1, "{told}");
    assert_eq!(told["models"]["cheap"]["rescued"], 1, "{told}");
    assert_eq!(told["models"]["good"]["verified"], 2, "{told}");
    let told = worker.command(["stats", "--ladder"]).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains("thin evidence"), "{told}");
    worker.assert_no_process_left();
}

#[test]
fn the_winner_of_attempts_is_applied_by_the_jobs_own_name() {
    let repository = repository();
    let agent = StandIn::that_obeys();
    let gateway = models(&[
        ("cheap", "echo three > src/a.txt"),
        ("good", "echo two > src/a.txt"),
    ]);
    let worker = worker(&repository, &agent, &gateway);
    let mut front = worker.serve();
    let ladder = json!({ "models": ["cheap", "good"] });
    let result = run_job(&mut front, asked(&repository, ladder.clone()));
    let id = result["job_id"].as_str().unwrap().to_owned();
    let applied = call(&mut front, "apply", json!({ "job_id": id }));
    assert_eq!(
        applied.structured["branch"],
        format!("worker/{id}"),
        "{applied:?}"
    );
    assert_eq!(repository.read("src/a.txt"), "two\n");
    let removed = worker.command(["jobs", "rm", &id]).output().unwrap();
    assert!(removed.status.success(), "{removed:?}");
    let left = fs::read_dir(worker.state_dir().join("jobs"))
        .unwrap()
        .count();
    assert_eq!(left, 0, "its attempts go with it");

    // And at once, where the job says so.
    repository.write("src/a.txt", "one\n");
    repository.commit("Again");
    let mut at_once = asked(&repository, ladder);
    at_once["apply"] = "squash".into();
    let result = run_job(&mut front, at_once);
    assert_eq!(result["applied"], "squash", "{result}");
    assert_eq!(repository.read("src/a.txt"), "two\n");
}

#[test]
fn every_attempt_starts_from_the_checkout_as_it_was_uncommitted_work_too() {
    let repository = repository();
    repository.write("notes.txt", "mine\n");
    let agent = StandIn::that_obeys();
    let gateway = models(&[
        (
            "cheap",
            "cp notes.txt src/a.txt; while [ -e src ] && [ ! -e /nowhere ]; do sleep 0.05; done",
        ),
        ("good", "cp notes.txt src/a.txt"),
    ]);
    let worker = worker(&repository, &agent, &gateway);
    let mut front = worker.serve();
    let mut asked = asked(&repository, json!({ "models": ["cheap", "good"] }));
    asked["include_dirty"] = true.into();
    asked["checks"] = json!([{ "name": "content", "command": "grep -q mine src/a.txt" }]);
    let id = started(&mut front, asked);
    let first = wait_for_attempt(&worker, &id, 0, State::Running);
    // The user goes on, and the first attempt comes to nothing.
    repository.write("notes.txt", "other\n");
    repository.commit("Go on");
    kill(first);
    let result = ended(&mut front, &id);
    assert_eq!(result["job_status"], "completed", "{result}");
    assert!(
        lines(&result)[0].starts_with("1 cheap: interrupted"),
        "{result}"
    );
    assert!(
        !worker
            .state_dir()
            .join("jobs")
            .join(&id)
            .join("snapshot")
            .exists()
    );
}

/// Waits until an attempt is in a state; gives its runner.
fn wait_for_attempt(worker: &Worker, id: &str, at: usize, state: State) -> i32 {
    let store = Store::open(&worker.state_dir()).unwrap();
    let id = id.parse().unwrap();
    let mut runner = None;
    wait_for("the attempt", || {
        let attempts = store.attempts(&id).unwrap();
        let attempt = attempts
            .get(at)
            .filter(|attempt| attempt.job.state == state);
        runner = attempt.and_then(|attempt| attempt.job.runner.clone());
        runner.is_some()
    });
    i32::try_from(runner.unwrap().pid).unwrap()
}

#[test]
fn a_race_is_won_by_the_first_that_is_verified_and_the_others_are_gone() {
    let repository = repository();
    let agent = StandIn::that_obeys();
    let gateway = models(&[("slow", "sleep 600"), ("quick", "echo two > src/a.txt")]);
    let worker = worker(&repository, &agent, &gateway);
    let mut front = worker.serve();
    let race = json!({ "models": ["slow", "quick", "slow"], "mode": "race" });
    let result = run_job(&mut front, asked(&repository, race));
    assert_eq!(result["job_status"], "completed", "{result}");
    let told = lines(&result);
    assert!(told[0].starts_with("1 slow: cancelled"), "{result}");
    assert!(told[1].starts_with("2 quick: completed"), "{result}");
    assert!(told[2].starts_with("3 slow: cancelled"), "{result}");
    worker.assert_no_process_left();
    assert_eq!(trees(&worker).len(), 1);
}

#[test]
fn the_best_of_a_race_is_picked_by_what_it_changed() {
    let repository = repository();
    let agent = StandIn::that_obeys();
    let gateway = models(&[
        ("quick", "seq 9 > src/a.txt; echo two >> src/a.txt"),
        ("good", "echo two > src/a.txt"),
    ]);
    let worker = worker(&repository, &agent, &gateway);
    let race = json!({ "models": ["quick", "good"], "mode": "race", "pick": "best" });
    let mut asked = asked(&repository, race);
    asked["include_diff"] = true.into();
    let result = run_job(&mut worker.serve(), asked);
    assert_eq!(result["job_status"], "completed", "{result}");
    assert!(
        lines(&result)
            .iter()
            .all(|line| line.contains(": completed")),
        "{result}"
    );
    assert!(!result["diff"].as_str().unwrap().contains("+9"), "{result}");
}

#[test]
fn attempts_that_cannot_be_are_refused_by_name_and_nothing_is_started() {
    let repository = repository();
    let agent = StandIn::that_obeys();
    let gateway = models(&[]);
    let worker = worker(&repository, &agent, &gateway).set("MAX_RUNNING_JOBS", 2);
    let mut front = worker.serve();
    let rows = [
        (json!({ "models": ["cheap", "good"] }), "none", "attempts"),
        (
            json!({ "models": ["cheap", "good", "slow"], "mode": "race" }),
            "worktree",
            "attempts.models",
        ),
        (json!(3), "worktree", "attempts"),
        (
            json!({ "models": ["cheap", "nobody"] }),
            "worktree",
            "attempts.models[1]",
        ),
        (json!({ "models": [] }), "worktree", "attempts.models"),
    ];
    for (attempts, isolation, argument) in rows {
        let mut asked = asked(&repository, attempts.clone());
        asked["isolation"] = isolation.into();
        let reply = call(&mut front, "start", asked);
        assert_eq!(
            reply.structured["error"]["argument"], argument,
            "{attempts}: {reply:?}"
        );
    }
    let jobs = fs::read_dir(worker.state_dir().join("jobs"));
    assert_eq!(jobs.map_or(0, Iterator::count), 0);
    assert!(gateway.requests().is_empty());
}

#[test]
fn the_caps_hold_for_all_attempts_together() {
    let repository = repository();
    let agent = StandIn::that_obeys();
    let gateway = models(&[
        ("cheap", "echo three > src/a.txt"),
        ("good", "echo two > src/a.txt"),
    ]);
    let worker = worker(&repository, &agent, &gateway);
    let mut asked = asked(&repository, json!({ "models": ["cheap", "good"] }));
    asked["max_tokens_total"] = 1_010.into();
    let result = run_job(&mut worker.serve(), asked);
    assert_eq!(result["job_status"], "failed", "{result}");
    let told = lines(&result);
    assert!(told[0].starts_with("1 cheap: failed (content)"), "{result}");
    assert!(told[1].contains("budget"), "{result}");
    assert_eq!(gateway.requests().len(), 1);
}

#[test]
fn a_job_whose_runner_is_killed_in_a_race_ends_once_and_leaves_nothing() {
    let repository = repository();
    let agent = StandIn::that_obeys();
    let gateway = models(&[("slow", "echo two > src/a.txt; sleep 600")]);
    let worker = worker(&repository, &agent, &gateway);
    let mut front = worker.serve();
    let race = json!({ "models": ["slow", "slow", "slow"], "mode": "race" });
    let id = started(&mut front, asked(&repository, race));
    for at in 0..3 {
        wait_for_attempt(&worker, &id, at, State::Running);
    }
    wait_for("a line an attempt", || {
        let running = get(&mut front, &id);
        let told = running["attempts"].as_array().map_or(0, Vec::len);
        running["job_status"] == "running" && told == 3
    });
    let store = Store::open(&worker.state_dir()).unwrap();
    let row = store.job(&id.parse().unwrap()).unwrap().unwrap();
    kill(i32::try_from(row.runner.unwrap().pid).unwrap());
    let result = ended(&mut front, &id);
    assert_eq!(result["job_status"], "interrupted", "{result}");
    worker.assert_no_process_left();
    assert_eq!(
        trees(&worker),
        Vec::<PathBuf>::new(),
        "no tree that nobody owns"
    );
    for attempt in store.attempts(&id.parse().unwrap()).unwrap() {
        assert_eq!(attempt.job.state, State::Cancelled);
    }
    assert_eq!(repository.read("src/a.txt"), "one\n");
}

#[test]
fn a_cancelled_job_ends_with_all_its_attempts() {
    let repository = repository();
    let agent = StandIn::that_obeys();
    let gateway = models(&[("slow", "sleep 600")]);
    let worker = worker(&repository, &agent, &gateway).set("MAX_RUNNING_JOBS", 2);
    let mut front = worker.serve();
    let mut asked = asked(&repository, json!(2));
    asked["model"] = "slow".into();
    let id = started(&mut front, asked);
    wait_for_attempt(&worker, &id, 1, State::Running);
    let result = call(&mut front, "cancel", json!({ "job_id": id })).structured;
    assert_eq!(result["job_status"], "cancelled", "{result}");
    worker.assert_no_process_left();
}

/// With one slot the attempts of a race would stand in each other's way: a ladder needs no more than one.
#[test]
fn a_ladder_needs_one_slot() {
    let repository = repository();
    let agent = StandIn::that_obeys();
    let gateway = models(&[
        ("cheap", "echo three > src/a.txt"),
        ("good", "echo two > src/a.txt"),
    ]);
    let worker = worker(&repository, &agent, &gateway).set("MAX_RUNNING_JOBS", 1);
    let mut front = worker.serve();
    let ladder = json!({ "models": ["cheap", "good"] });
    let first = started(&mut front, asked(&repository, ladder.clone()));
    let second = started(&mut front, asked(&repository, ladder));
    for id in [first, second] {
        let result = ended(&mut front, &id);
        assert_eq!(result["job_status"], "completed", "{result}");
    }
}

#[test]
fn the_attempt_that_counts_is_what_a_combined_apply_brings_in() {
    let repository = repository();
    let agent = StandIn::that_obeys();
    let gateway = models(&[
        (
            "cheap",
            "echo three > src/a.txt; echo cheap > src/cheap.txt",
        ),
        ("good", "echo two > src/a.txt; echo good > src/good.txt"),
        ("quick", "echo quick > src/quick.txt"),
    ]);
    let worker = worker(&repository, &agent, &gateway);
    let mut front = worker.serve();
    let ladder = json!({ "models": ["cheap", "good"] });
    let climbed = run_job(&mut front, asked(&repository, ladder));
    assert_eq!(climbed["job_status"], "completed", "{climbed}");
    let mut other = job(&repository);
    other["isolation"] = "worktree".into();
    other["model"] = "quick".into();
    other["checks"] = json!([{ "name": "quick", "command": "test -e src/quick.txt" }]);
    let other = run_job(&mut front, other);
    assert_eq!(other["job_status"], "completed", "{other}");

    let ids = [&climbed["job_id"], &other["job_id"]];
    let whole = call(
        &mut front,
        "apply",
        json!({ "job_ids": ids, "how": "patch" }),
    )
    .structured;
    assert_eq!(whole["job_status"], "completed", "{whole}");
    assert_eq!(
        whole["checks"],
        json!(["content: passed", "quick: passed"]),
        "{whole}"
    );
    assert_eq!(repository.read("src/a.txt"), "two\n");
    assert_eq!(repository.read("src/good.txt"), "good\n");
    assert_eq!(repository.read("src/quick.txt"), "quick\n");
    assert!(!repository.path().join("src/cheap.txt").exists());
    worker.assert_no_process_left();
}
