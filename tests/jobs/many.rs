//! Many jobs of one call, and results that come into the checkout by themselves.

use super::*;

/// An agent that keeps what it was asked in a file.
fn writing() -> StandIn {
    StandIn::that("cp \"$PROMPT\" asked.txt")
}

#[test]
fn one_call_starts_a_job_for_each_item_and_answers_one_table() {
    let repository = repository();
    let agent = writing();
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut front = worker.serve();
    let items = ["src/a.txt", "it's\n\"odd\" $(touch pwned)"];
    let mut asked = job(&repository);
    asked["prompt"] = "Look at <{item}>.".into();
    asked["each"] = json!(items);
    asked["checks"] = json!([{ "name": "asked", "command": "grep -qF -- {item} asked.txt" }]);
    asked["auto_revise"] = json!({ "max_passes": 0 });
    asked["wait_ms"] = json!(PATIENCE.as_millis() as u64);
    let table = call(&mut front, "start", asked.clone()).structured;
    let rows = table["jobs"].as_array().unwrap();
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row["item"].as_str().unwrap(),
                row["job_status"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(told, items.map(|item| (item, "completed")), "{table}");
    for row in rows {
        assert_eq!(row["changed_files"], json!(["asked.txt"]), "{table}");
    }
    assert_eq!(repository.dirty(), [""; 0], "each in a tree of its own");

    // Without a wait the names come at once; one wrong item starts nothing.
    asked["wait_ms"] = Value::Null;
    let table = call(&mut front, "start", asked.clone()).structured;
    for row in table["jobs"].as_array().unwrap() {
        assert_eq!(row["job_status"], "queued", "{table}");
        ended(&mut front, row["job_id"].as_str().unwrap());
    }
    let known = std::fs::read_dir(worker.state_dir().join("jobs"))
        .unwrap()
        .count();
    asked["each"] = json!(["good", 7]);
    let refused = call(&mut front, "start", asked);
    assert_eq!(refused.structured["error"]["argument"], "each");
    let still = std::fs::read_dir(worker.state_dir().join("jobs"))
        .unwrap()
        .count();
    assert_eq!(still, known, "nothing was started");
    worker.assert_no_process_left();
}

#[test]
fn a_completed_result_comes_into_the_checkout_by_itself_where_that_was_asked() {
    for how in ["merge", "squash", "patch"] {
        let repository = repository();
        let agent = StandIn::that("printf 'two\\n' > src/a.txt");
        let worker = Worker::with_stand_in(BINARY, &repository, &agent);
        let mut asked = job(&repository);
        asked["isolation"] = "worktree".into();
        asked["apply"] = how.into();
        let result = run_job(&mut worker.serve(), asked);
        assert_eq!(result["job_status"], "completed", "{result}");
        assert_eq!(result["applied"], how, "{result}");
        assert_eq!(repository.read("src/a.txt"), "two\n");
    }
}

#[test]
fn what_stands_in_the_way_of_a_result_is_told_and_loses_nothing() {
    let repository = repository();
    let agent = StandIn::that("printf 'two\\n' > src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut front = worker.serve();
    let mut asked = job(&repository);
    asked["isolation"] = "worktree".into();
    asked["apply"] = "squash".into();
    std::fs::write(repository.path().join("src/a.txt"), "mine\n").unwrap();
    let result = run_job(&mut front, asked.clone());
    assert_eq!(result["job_status"], "completed", "{result}");
    assert!(
        result["not_applied"]
            .as_str()
            .unwrap()
            .contains("src/a.txt"),
        "{result}"
    );
    assert_eq!(repository.read("src/a.txt"), "mine\n");
    std::fs::write(repository.path().join("src/a.txt"), "one\n").unwrap();
    let applied = call(&mut front, "apply", json!({ "job_id": result["job_id"] })).structured;
    assert_eq!(applied["applied"], "merge", "{applied}");
    assert_eq!(repository.read("src/a.txt"), "two\n");

    // A job that fails brings nothing.
    asked["checks"] = json!([{ "name": "never", "command": "false" }]);
    asked["auto_revise"] = json!({ "max_passes": 0 });
    let failed = run_job(&mut front, asked.clone());
    assert_eq!(
        (&failed["applied"], &failed["not_applied"]),
        (&Value::Null, &Value::Null)
    );

    asked["isolation"] = Value::Null;
    let refused = call(&mut front, "start", asked);
    assert_eq!(refused.structured["error"]["argument"], "apply");
}

/// An agent that does what a prompt like "Put word into file." says.
fn obedient() -> StandIn {
    StandIn::that(
        "set -- $(sed -n 's/^Put \\([a-z]*\\) into \\([a-z]*\\)\\.$/\\1 \\2/p' \"$PROMPT\" | head -n 1); echo \"$1\" > \"src/$2.txt\"",
    )
}

/// A completed job in a tree of its own.
fn made(
    front: &mut McpClient,
    repository: &Repository,
    word: &str,
    file: &str,
    check: &str,
) -> String {
    let mut asked = job(repository);
    asked["prompt"] = format!("Put {word} into {file}.").into();
    asked["isolation"] = "worktree".into();
    asked["auto_revise"] = json!({ "max_passes": 0 });
    asked["checks"] = json!([check]);
    let result = run_job(front, asked);
    assert_eq!(result["job_status"], "completed", "{result}");
    result["job_id"].as_str().unwrap().to_owned()
}

#[test]
fn several_results_come_in_as_one_that_was_verified_as_a_whole() {
    for how in ["merge", "squash", "patch"] {
        let repository = repository();
        let agent = obedient();
        let worker = Worker::with_stand_in(BINARY, &repository, &agent);
        let mut front = worker.serve();
        let ids: Vec<String> = ["b", "c", "d"]
            .map(|file| {
                made(
                    &mut front,
                    &repository,
                    "new",
                    file,
                    &format!("test -e src/{file}.txt"),
                )
            })
            .into();
        // What the checkout came to meanwhile is part of the whole.
        std::fs::write(repository.path().join("notes.txt"), "moved on\n").unwrap();
        repository.commit("Move on");
        let whole = call(&mut front, "apply", json!({ "job_ids": ids, "how": how })).structured;
        assert_eq!(whole["job_status"], "completed", "{whole}");
        assert_eq!(whole["applied"], how, "{whole}");
        assert_eq!(whole["combined"], json!(ids), "{whole}");
        assert_eq!(
            whole["checks"],
            json!(["b", "c", "d"].map(|file| format!("test -e src/{file}.txt: passed"))),
            "every check of every job, on the whole"
        );
        for file in ["b", "c", "d"] {
            assert_eq!(repository.read(format!("src/{file}.txt")), "new\n", "{how}");
        }
        assert_eq!(repository.read("notes.txt"), "moved on\n");
        assert_eq!(repository.dirty().is_empty(), how == "merge", "{how}");
        // They count as applied, each of them.
        let again = call(&mut front, "apply", json!({ "job_ids": ids })).structured;
        assert!(
            again["error"]["rule"]
                .as_str()
                .unwrap()
                .contains("is applied already"),
            "{again}"
        );
        worker.assert_no_process_left();
    }
}

#[test]
fn what_holds_for_each_and_not_for_all_is_not_brought_in() {
    let repository = repository();
    let agent = obedient();
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut front = worker.serve();
    let check = "test $(ls src | wc -l) -le 2";
    let ids = ["b", "c"].map(|file| made(&mut front, &repository, "new", file, check));
    let whole = call(&mut front, "apply", json!({ "job_ids": ids })).structured;
    assert_eq!(whole["job_status"], "failed", "{whole}");
    assert_eq!(
        whole["checks"],
        json!([format!("{check}: failed (exit code 1)")])
    );
    assert_eq!(whole["applied"], Value::Null, "{whole}");
    assert_eq!(repository.dirty(), [""; 0]);
    // Each is still there to be had.
    let one = call(&mut front, "apply", json!({ "job_id": ids[0] })).structured;
    assert_eq!(one["applied"], "merge", "{one}");
}

#[test]
fn a_combination_stops_before_the_first_conflict_and_keeps_both_sides() {
    let repository = repository();
    let agent = obedient();
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut front = worker.serve();
    let [first, second, apart] = [("mine", "a"), ("yours", "a"), ("new", "b")]
        .map(|(word, file)| made(&mut front, &repository, word, file, "true"));
    let ids = json!([first, second, apart]);
    let preview = call(
        &mut front,
        "apply",
        json!({ "job_ids": ids, "preview": true }),
    )
    .structured;
    assert_eq!(preview["order"], json!([apart, first, second]), "{preview}");
    assert_eq!(
        preview["overlaps"],
        json!([{ "file": "src/a.txt", "job_ids": [first, second] }])
    );
    assert_eq!(repository.dirty(), [""; 0], "a preview does nothing");

    let whole = call(
        &mut front,
        "apply",
        json!({ "job_ids": ids, "how": "squash" }),
    )
    .structured;
    assert_eq!(whole["job_status"], "completed", "{whole}");
    assert_eq!(whole["combined"], json!([apart, first]), "{whole}");
    assert_eq!(whole["conflict"]["job_id"], json!(second), "{whole}");
    assert!(
        whole["conflict"]["reason"]
            .as_str()
            .unwrap()
            .contains("src/a.txt"),
        "{whole}"
    );
    assert_eq!(repository.read("src/a.txt"), "mine\n");
    assert_eq!(repository.read("src/b.txt"), "new\n");
    // The other side is kept, as its result.
    let kept = call(
        &mut front,
        "get",
        json!({ "job_id": second, "include_diff": true }),
    )
    .structured;
    assert!(kept["diff"].as_str().unwrap().contains("+yours"), "{kept}");
    repository.commit("Take what came");
    let alone = call(&mut front, "apply", json!({ "job_ids": [second] })).structured;
    assert_eq!(alone["job_status"], "failed", "{alone}");
    assert!(alone.to_string().contains("src/a.txt"), "{alone}");
}

#[test]
fn what_cannot_be_combined_is_refused_by_name_and_starts_nothing() {
    let repository = repository();
    let agent = obedient();
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut front = worker.serve();
    let good = made(&mut front, &repository, "new", "b", "true");
    let mut asked = job(&repository);
    asked["prompt"] = "Put two into a.".into();
    let shared = run_job(&mut front, asked.clone())["job_id"].clone();
    asked["isolation"] = "worktree".into();
    asked["checks"] = json!(["false"]);
    asked["auto_revise"] = json!({ "max_passes": 0 });
    let failed = run_job(&mut front, asked)["job_id"].clone();
    for (arguments, argument, says) in [
        (json!({}), "job_id", "either"),
        (
            json!({ "job_id": good, "job_ids": [good] }),
            "job_id",
            "either",
        ),
        (json!({ "job_ids": [] }), "job_ids", "at least one"),
        (json!({ "job_ids": [good, good] }), "job_ids", "twice"),
        (
            json!({ "job_ids": [good, shared] }),
            "job_ids",
            "no tree of its own",
        ),
        (json!({ "job_ids": [good, failed] }), "job_ids", "is failed"),
        (
            json!({ "job_ids": [good], "how": "rebase" }),
            "how",
            "merge",
        ),
        (
            json!({ "job_id": good, "preview": true }),
            "preview",
            "job_ids",
        ),
        (
            json!({ "job_id": good, "wait_ms": 1 }),
            "wait_ms",
            "job_ids",
        ),
    ] {
        let refused = call(&mut front, "apply", arguments.clone()).structured;
        assert_eq!(
            refused["error"]["argument"], argument,
            "{arguments}: {refused}"
        );
        assert!(
            refused["error"]["rule"].as_str().unwrap().contains(says),
            "{arguments}: {refused}"
        );
    }
    assert_eq!(
        std::fs::read_dir(worker.state_dir().join("jobs"))
            .unwrap()
            .count(),
        3
    );
}

#[test]
fn people_combine_by_the_command_line_and_read_the_verdict_in_its_exit_code() {
    let repository = repository();
    let agent = obedient();
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut front = worker.serve();
    let ids = ["b", "c"].map(|file| made(&mut front, &repository, "new", file, "true"));
    let apply = || {
        let mut command = worker.command(["jobs", "apply", "--how", "squash"]);
        command.args(&ids).output().unwrap()
    };
    let output = apply();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("completed"),
        "{output:?}"
    );
    assert_eq!(repository.read("src/c.txt"), "new\n");
    let again = apply();
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert!(
        String::from_utf8_lossy(&again.stderr).contains("applied already"),
        "{again:?}"
    );
}
