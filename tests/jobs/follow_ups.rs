//! Jobs that go on from another one: in its session, in its tree, and after it was interrupted.

use super::*;

#[test]
fn a_follow_up_goes_on_in_the_finished_jobs_session() {
    let repository = repository();
    let agent = StandIn::that(
        "printf '%s\\n' \"$*\" > src/a.txt; ls \"$HOME\" >> src/a.txt; touch \"$HOME/was-here\"",
    );
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut front = worker.serve();
    let first = run_job(&mut front, job(&repository));
    let before = repository.read("src/a.txt");
    let session = before
        .split("--session-id ")
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();

    let second = run_job(
        &mut front,
        json!({ "prompt": "And now?", "resume_job_id": first["job_id"] }),
    );
    assert_eq!(second["job_status"], "completed", "{second}");
    let after = repository.read("src/a.txt");
    assert!(after.contains(&format!("--resume {session}")), "{after}");
    assert!(after.contains("was-here"), "the same home: {after}");
}

/// A forbidden change of one job is not forgotten by the next one: it counts until somebody takes it over.
#[test]
fn a_follow_up_in_the_users_tree_is_held_against_the_first_base() {
    let rows: [(&str, &str, &str, &[&str]); 5] = [
        ("nothing", "true", "failed", &["notes.txt", "src/a.txt"]),
        (
            "the agent puts it back",
            "printf 'kept\\n' > notes.txt",
            "completed",
            &["src/a.txt"],
        ),
        ("the user puts it back", "", "completed", &["src/a.txt"]),
        ("the user commits it", "", "completed", &["src/a.txt"]),
        ("the user writes on", "", "completed", &["src/a.txt"]),
    ];
    for (story, work, status, changed) in rows {
        let repository = Repository::with([
            ("src/a.txt", "one\n"),
            ("notes.txt", "kept\n"),
            (".gitignore", "*.local\n"),
        ]);
        repository.commit("Begin");
        repository.write("tool.local", "as it was");
        let agent = StandIn::that("sh -c \"$(tail -n 1 \"$PROMPT\")\"");
        let worker = Worker::with_stand_in(BINARY, &repository, &agent);
        let mut front = worker.serve();
        let scope = json!({ "paths": ["src"] });
        let mut asked = job(&repository);
        asked["prompt"] =
            json!("echo two > src/a.txt; echo spoilt > notes.txt; echo evil > tool.local");
        asked["scoped_patch"] = scope.clone();
        asked["auto_revise"] = json!({ "max_passes": 0 });
        let first = run_job(&mut front, asked);
        assert_eq!(first["job_status"], "failed", "{first}");
        match story {
            "the user puts it back" => repository.write("notes.txt", "kept\n"),
            "the user commits it" => {
                repository.commit("Take it over");
            }
            "the user writes on" => repository.write("notes.txt", "my own\n"),
            _ => {}
        }
        let second = run_job(
            &mut front,
            json!({
                "prompt": format!("echo three > src/a.txt; {work}"),
                "resume_job_id": first["job_id"],
                "scoped_patch": scope,
                "auto_revise": { "max_passes": 0 },
                "checks": [{ "name": "sees no tool", "command": "test ! -e tool.local" }],
            }),
        );
        assert_eq!(second["job_status"], status, "{story}: {second}");
        assert_eq!(second["changed_files"], json!(changed), "{story}: {second}");
        assert!(
            second["checks"]
                .to_string()
                .contains("sees no tool: passed"),
            "{story}: {second}"
        );
    }
}

/// An isolated job that writes `one` and then goes on; the agent does what its prompt says.
fn isolated_and_gone_on(prompts: &[&str]) -> (Repository, Worker, McpClient, Vec<Value>) {
    let repository = repository();
    let agent = StandIn::that("sh -c \"$(tail -n 1 \"$PROMPT\")\"");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    // The script is needed for as long as the worker is.
    std::mem::forget(agent);
    let mut front = worker.serve();
    let mut results: Vec<Value> = Vec::new();
    for prompt in prompts {
        let asked = match results.last() {
            None => {
                json!({ "prompt": prompt, "allowed_dirs": [repository.path()], "isolation": "worktree" })
            }
            Some(earlier) => json!({ "prompt": prompt, "resume_job_id": earlier["job_id"] }),
        };
        let result = run_job(&mut front, asked);
        assert_eq!(result["job_status"], "completed", "{result}");
        results.push(result);
    }
    (repository, worker, front, results)
}

#[test]
fn a_follow_up_of_an_isolated_job_counts_from_the_first_ones_base() {
    let (repository, worker, mut front, results) = isolated_and_gone_on(&[
        "printf 'two\\n' > src/a.txt; printf 'x\\n' > gone.txt; mv notes.txt moved.txt",
        "printf 'three\\n' >> src/a.txt; rm gone.txt; mv moved.txt notes.txt; printf 'y\\n' > new.txt",
    ]);
    let [first, second] = &results[..] else {
        unreachable!()
    };
    assert_eq!(
        first["changed_files"],
        json!(["gone.txt", "moved.txt", "src/a.txt"]),
        "{first}"
    );
    assert_eq!(
        second["changed_files"],
        json!(["new.txt", "src/a.txt"]),
        "what was taken back is no change: {second}"
    );
    assert!(
        second["notes"][0]
            .as_str()
            .unwrap()
            .contains(first["job_id"].as_str().unwrap()),
        "{second}"
    );
    let diff = call(
        &mut front,
        "get",
        json!({ "job_id": second["job_id"], "include_diff": true }),
    )
    .structured;
    assert!(
        diff["diff"]
            .as_str()
            .unwrap()
            .contains("-one\n+two\n+three\n"),
        "{diff}"
    );

    // The former one lies below it: neither people nor gc take it away.
    let removed = worker
        .command(["jobs", "rm", "--force", first["job_id"].as_str().unwrap()])
        .output()
        .unwrap();
    assert!(
        !removed.status.success()
            && String::from_utf8_lossy(&removed.stderr).contains("remove that one first"),
        "{removed:?}"
    );
    let gone_on = call(
        &mut front,
        "start",
        json!({ "prompt": "true", "resume_job_id": first["job_id"] }),
    );
    assert!(
        gone_on
            .structured
            .to_string()
            .contains("go on from that one"),
        "{:?}",
        gone_on.structured
    );

    let former = call(
        &mut front,
        "apply",
        json!({ "job_id": first["job_id"], "how": "patch" }),
    );
    assert!(
        former.is_error && former.structured.to_string().contains("apply that one"),
        "{:?}",
        former.structured
    );
    let applied = call(
        &mut front,
        "apply",
        json!({ "job_id": second["job_id"], "how": "patch" }),
    )
    .structured;
    assert_eq!(
        applied["files"],
        json!(["new.txt", "src/a.txt"]),
        "{applied}"
    );
    assert_eq!(repository.read("src/a.txt"), "two\nthree\n");
    assert_eq!(repository.dirty(), ["new.txt", "src/a.txt"]);

    // In any order given, the one that lives in the other's folder goes first.
    let ids = results
        .iter()
        .map(|result| result["job_id"].as_str().unwrap());
    let removed = worker
        .command(["jobs", "rm"].into_iter().chain(ids))
        .output()
        .unwrap();
    assert!(removed.status.success(), "{removed:?}");
}

#[test]
fn a_follow_up_after_apply_brings_what_came_after() {
    for how in ["merge", "squash", "patch"] {
        let (repository, worker, mut front, results) =
            isolated_and_gone_on(&["printf 'two\\n' > src/a.txt; printf 'x\\n' > x.txt"]);
        let first = &results[0];
        let applied = call(
            &mut front,
            "apply",
            json!({ "job_id": first["job_id"], "how": how }),
        );
        assert!(!applied.is_error, "{how}: {:?}", applied.structured);
        if how != "merge" {
            repository.commit("Take it");
        }
        let second = run_job(
            &mut front,
            json!({ "prompt": "printf 'three\\n' > src/a.txt", "resume_job_id": first["job_id"] }),
        );
        assert_eq!(
            second["changed_files"],
            json!(["src/a.txt", "x.txt"]),
            "{how}: {second}"
        );
        let applied = call(
            &mut front,
            "apply",
            json!({ "job_id": second["job_id"], "how": how }),
        );
        assert_eq!(
            applied.structured["files"],
            json!(["src/a.txt"]),
            "{how}: {:?}",
            applied.structured
        );
        assert_eq!(repository.read("src/a.txt"), "three\n", "{how}");
        drop(front);
        worker.assert_no_process_left();
    }
}

#[test]
fn a_failed_follow_up_leaves_the_former_result_to_be_applied() {
    let (repository, _worker, mut front, results) =
        isolated_and_gone_on(&["printf 'two\\n' > src/a.txt"]);
    let second = run_job(
        &mut front,
        json!({
            "prompt": "printf 'spoilt\\n' > src/a.txt",
            "resume_job_id": results[0]["job_id"],
            "checks": [{ "name": "content", "command": "grep -q two src/a.txt" }],
            "auto_revise": { "max_passes": 0 },
        }),
    );
    assert_eq!(second["job_status"], "failed", "{second}");
    let applied = call(
        &mut front,
        "apply",
        json!({ "job_id": results[0]["job_id"] }),
    );
    assert!(!applied.is_error, "{:?}", applied.structured);
    assert_eq!(repository.read("src/a.txt"), "two\n");
}

#[test]
fn a_job_that_tampered_with_its_tree_is_not_gone_on_with() {
    let repository = repository();
    let agent = StandIn::that(
        "printf 'two\\n' > src/a.txt; printf '[core]\\n\\tfsmonitor = evil\\n' >> .git/config",
    );
    let worker = Worker::with_stand_in(BINARY, &repository, &agent).set("WORKER_SANDBOX", "off");
    let mut front = worker.serve();
    let mut asked = job(&repository);
    asked["isolation"] = json!("worktree");
    let first = run_job(&mut front, asked);
    assert_eq!(first["job_status"], "failed", "{first}");
    assert!(
        first["notes"].to_string().contains("ran unconfined"),
        "and it is said: {first}"
    );
    let refused = call(
        &mut front,
        "start",
        json!({ "prompt": "Go on.", "resume_job_id": first["job_id"] }),
    );
    assert!(
        refused.is_error && refused.structured.to_string().contains("tampered"),
        "{:?}",
        refused.structured
    );
}

/// A job whose runner is killed once its agent has done `work`, and has more to do.
#[cfg(target_os = "linux")]
fn killed_at_work(worker: &Worker, front: &mut McpClient, mut asked: Value, work: &str) -> String {
    asked["prompt"] = json!(format!("{work}; touch \"$HOME/ready\"; sleep 1000"));
    let jobs = worker.state_dir().join("jobs");
    let ready = |id: &str| jobs.join(id).join("home/ready");
    // A job that goes on from another one has that one's HOME.
    let home = asked["resume_job_id"].as_str().map(str::to_owned);
    if let Some(home) = &home {
        std::fs::remove_file(ready(home)).unwrap();
    }
    let id = started(front, asked);
    wait_for_file(&ready(home.as_ref().unwrap_or(&id)));
    kill(runner_of(worker, &id));
    assert_eq!(ended(front, &id)["job_status"], "interrupted");
    id
}

#[cfg(target_os = "linux")]
fn isolated_job(repository: &Repository) -> Value {
    let mut asked = job(repository);
    asked["isolation"] = json!("worktree");
    asked
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_job_in_a_tree_of_its_own_is_gone_on_with_and_nothing_of_it_is_lost() {
    let repository = repository();
    let agent = StandIn::that("sh -c \"$(tail -n 1 \"$PROMPT\")\"");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut front = worker.serve();
    let first = killed_at_work(
        &worker,
        &mut front,
        isolated_job(&repository),
        "printf 'two\\n' > src/a.txt; git -c user.name=x -c user.email=x@x commit -qam own; printf 'x\\n' > new.txt; rm notes.txt",
    );
    // Once more, in the middle: what both did is still there, and told as one.
    let work = "test -e new.txt && printf 'three\\n' >> src/a.txt";
    let second = killed_at_work(&worker, &mut front, json!({ "resume_job_id": first }), work);
    let refused = call(
        &mut front,
        "start",
        json!({ "prompt": "true", "resume_job_id": first }),
    );
    assert!(
        refused
            .structured
            .to_string()
            .contains("go on from that one"),
        "{refused:?}"
    );
    // As if a third one had been killed while it made the tree anew: some of the files lie aside, `.git` among them.
    let folder = worker.state_dir().join("jobs").join(&first);
    let aside = folder.join("aside/files");
    std::fs::create_dir_all(&aside).unwrap();
    for name in [".git", "new.txt"] {
        std::fs::rename(folder.join("tree").join(name), aside.join(name)).unwrap();
    }

    let third = run_job(
        &mut front,
        json!({ "prompt": "printf 'four\\n' >> src/a.txt; git status --short > status.txt", "resume_job_id": second }),
    );
    assert_eq!(third["job_status"], "completed", "{third}");
    assert_eq!(
        third["changed_files"],
        json!(["new.txt", "notes.txt", "src/a.txt", "status.txt"]),
        "{third}"
    );
    let applied = call(
        &mut front,
        "apply",
        json!({ "job_id": third["job_id"], "how": "patch" }),
    );
    assert!(!applied.is_error, "{:?}", applied.structured);
    assert_eq!(repository.read("src/a.txt"), "two\nthree\nfour\n");
    assert_eq!(repository.read("new.txt"), "x\n");
    assert!(!repository.path().join("notes.txt").exists());
    // Git in the tree sees the same: what the agent had committed is work that is not committed.
    assert_eq!(
        repository.read("status.txt"),
        " D notes.txt\n M src/a.txt\n?? new.txt\n?? status.txt\n"
    );
    drop(front);
    worker.assert_no_process_left();
}

/// Making the tree anew goes on for a while, and no thread can be stopped in it.
#[cfg(target_os = "linux")]
#[test]
fn a_follow_up_that_is_cancelled_while_it_renews_the_tree_leaves_it_whole_to_the_next() {
    let repository = repository();
    for file in 0..1_000 {
        repository.write(
            format!("many/{}/{file}.txt", file % 50),
            format!("{file}\n"),
        );
    }
    repository.commit("Many files");
    let agent = StandIn::that("sh -c \"$(tail -n 1 \"$PROMPT\")\"");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut front = worker.serve();
    let work = "rm -r many/1; echo x > new.txt";
    let first = killed_at_work(&worker, &mut front, isolated_job(&repository), work);
    let aside = worker.state_dir().join("jobs").join(&first).join("aside");
    let cancelled = started(
        &mut front,
        json!({ "prompt": "sleep 600", "resume_job_id": first }),
    );
    let deadline = Instant::now() + PATIENCE;
    while !aside.exists() {
        assert!(Instant::now() < deadline, "the tree is made anew");
        std::thread::yield_now();
    }
    call(&mut front, "cancel", json!({ "job_id": cancelled }));
    let told = ended(&mut front, &cancelled);
    assert_eq!(told["job_status"], "cancelled", "{told}");
    let asked = json!({ "prompt": "find . -name '*.txt' | wc -l > count", "resume_job_id": first });
    let next = run_job(&mut front, asked);
    assert_eq!(next["job_status"], "completed", "{next}");
    assert!(!aside.exists());
    // The repository's own two, all but one of the fifty folders, and the new one.
    let count = aside.with_file_name("tree").join("count");
    assert_eq!(std::fs::read_to_string(count).unwrap(), "983\n");
    worker.assert_no_process_left();
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_job_on_uncommitted_work_is_not_gone_on_with_and_says_why() {
    let repository = repository();
    repository.write("notes.txt", "changed by the user\n");
    let agent = StandIn::that("sh -c \"$(tail -n 1 \"$PROMPT\")\"");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut front = worker.serve();
    let mut asked = isolated_job(&repository);
    asked["include_dirty"] = json!(true);
    let id = killed_at_work(&worker, &mut front, asked, "true");
    let refused = call(
        &mut front,
        "start",
        json!({ "prompt": "true", "resume_job_id": id }),
    );
    let said = refused.structured.to_string();
    assert!(
        said.contains("with uncommitted work of yours") && said.contains("start a new one"),
        "{said}"
    );
}

/// The former job is old enough, but what the later one works with lies in its folder.
#[test]
fn gc_leaves_a_folder_that_another_job_lives_in() {
    let repository = repository();
    let agent = StandIn::that("sh -c \"$(tail -n 1 \"$PROMPT\")\"");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent).with_lessons_of_its_own();
    let mut front = worker.serve();
    let mut asked = job(&repository);
    asked["prompt"] = json!("printf 'two\\n' > src/a.txt");
    asked["isolation"] = json!("worktree");
    let first = run_job(&mut front, asked)["job_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let second = started(
        &mut front,
        json!({
            "prompt": "touch \"$HOME/ready\"; while [ ! -e \"$HOME/go\" ]; do sleep 0.02; done; printf 'three\\n' >> src/a.txt",
            "resume_job_id": first,
        }),
    );
    let folder = worker.state_dir().join("jobs").join(&first);
    wait_for_file(&folder.join("home/ready"));
    let gc = || {
        let done = worker
            .command(["gc", "--older-than", "0s", "--force"])
            .output()
            .unwrap();
        String::from_utf8(done.stdout).unwrap()
    };
    let said = gc();
    assert!(said.contains("0 jobs deleted"), "{said}");
    assert!(folder.join("tree/src/a.txt").exists(), "{said}");
    std::fs::write(folder.join("home/go"), "").unwrap();
    let result = ended(&mut front, &second);
    assert_eq!(result["job_status"], "completed", "{result}");
    assert_eq!(result["changed_files"], json!(["src/a.txt"]), "{result}");
    // Once nobody lives there any more both go, whichever of them is looked at first.
    let said = gc();
    assert!(said.contains("2 jobs deleted"), "{said}");
    assert!(!folder.exists());
}

/// An agent that always ends with a question.
fn asking() -> StandIn {
    StandIn::ending(
        "echo more >> src/a.txt",
        r#"{"type":"result","subtype":"success","is_error":false,"num_turns":2,"result":"I looked.\n\nNEEDS_INPUT: Keep the old name? (a) yes (b) no","session_id":"s","usage":{"input_tokens":1,"output_tokens":1},"permission_denials":[],"terminal_reason":"completed"}"#,
        0,
    )
}

#[test]
fn a_job_that_needs_a_decision_ends_with_its_question_and_goes_on_with_the_answer() {
    let repository = repository();
    let agent = asking();
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut front = worker.serve();
    let mut asked = job(&repository);
    asked["checks"] = json!([{ "name": "never looked at", "command": "false" }]);
    asked["auto_revise"] = json!({ "max_passes": 0 });
    let mut result = run_job(&mut front, asked.clone());
    for _ in 0..3 {
        assert_eq!(result["job_status"], "needs_input", "{result}");
        assert_eq!(
            result["question"], "Keep the old name? (a) yes (b) no",
            "{result}"
        );
        // No verdict, and what was changed so far is kept.
        assert_eq!(result["checks"], json!([]), "{result}");
        assert_eq!(result["changed_files"], json!(["src/a.txt"]), "{result}");
        let answer = json!({
            "prompt": "Keep it: (a).", "resume_job_id": result["job_id"],
            "checks": asked["checks"], "auto_revise": { "max_passes": 0 },
        });
        result = run_job(&mut front, answer);
    }
    // One that only asks is held to what it has.
    assert_eq!(result["job_status"], "failed", "{result}");
    assert_eq!(
        result["checks"],
        json!(["never looked at: failed (exit code 1)"]),
        "{result}"
    );
    assert_eq!(
        repository.read("src/a.txt"),
        "one\nmore\nmore\nmore\nmore\n"
    );
    worker.assert_no_process_left();
}
