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
