//! Attempts and what checks prove, with the real Claude Code.

use worker_test_support::gateway::Reply;

use super::*;

/// A gateway whose models each have turns of their own.
fn skills(models: Vec<(&'static str, Vec<Turn>)>) -> ScriptedGateway {
    let scripts: Vec<(&str, Script)> = models
        .into_iter()
        .map(|(model, turns)| (model, Script::turns(turns)))
        .collect();
    ScriptedGateway::start(Script::new(move |request| {
        let known = scripts.iter().find(|(model, _)| *model == request.model());
        known.map_or_else(
            || Reply::error(404, "not_found", "no such model"),
            |(_, script)| script.answer(request),
        )
    }))
    .unwrap()
}

/// Breaks the test: it reads the code and edits it so that it still fails.
fn failing() -> Vec<Turn> {
    vec![
        Turn::call("Read", json!({"file_path": "{cwd}/src/a.js"})),
        Turn::call(
            "Edit",
            json!({"file_path": "{cwd}/src/a.js", "old_string": "a - b", "new_string": "a * b * 2"}),
        ),
        Turn::say("It should pass now."),
    ]
}

fn asked(repository: &Repository, attempts: Value) -> Value {
    let mut job = example_job(repository.path());
    job.as_object_mut().unwrap().remove("model");
    job["isolation"] = "worktree".into();
    job["auto_revise"] = json!({ "max_passes": 0 });
    job["attempts"] = attempts;
    job
}

fn worker(repository: &Repository, gateway: &ScriptedGateway) -> Worker {
    Worker::new(BINARY, repository, gateway).set(
        "WORKER_PRICE_TABLE",
        r#"{"cheap":{"input":1,"output":1},"good":{"input":10,"output":10}}"#,
    )
}

#[test]
fn a_ladder_whose_first_model_fails_is_climbed_to_the_second() {
    let repository = broken_sum();
    repository.commit("Begin");
    let gateway = skills(vec![("cheap", failing()), ("good", mending().to_vec())]);
    let worker = worker(&repository, &gateway);
    let mut front = worker.serve();
    let ladder = json!({ "models": ["cheap", "good"] });
    let result = run_job(&mut front, asked(&repository, ladder));
    assert_eq!(result["job_status"], "completed", "{result}");
    let attempts = result["attempts"].to_string();
    assert!(
        attempts.contains("1 cheap: failed (unit tests)"),
        "{result}"
    );
    assert!(attempts.contains("2 good: completed"), "{result}");
    let hinted = gateway
        .requests()
        .iter()
        .filter(|request| request.model() == "good")
        .any(|request| {
            request
                .texts("user")
                .concat()
                .contains("An earlier attempt")
        });
    assert!(hinted, "the second model knows what failed");
    call(
        &mut front,
        "apply",
        json!({ "job_id": result["job_id"], "how": "patch" }),
    );
    assert!(repository.read("src/a.js").contains("a + b"));
    worker.assert_no_process_left();
}

#[test]
fn a_flaky_check_is_called_flaky_and_costs_no_pass() {
    let repository = broken_sum();
    repository.commit("Begin");
    let marks = tempfile::tempdir().unwrap();
    let gateway = ScriptedGateway::start(Script::turns(mending().to_vec())).unwrap();
    let worker = worker(&repository, &gateway)
        .set("WORKER_SANDBOX_WRITE", marks.path().display())
        .set("WORKER_CHECK_BEFORE", 0);
    let mut asked = example_job(repository.path());
    asked["auto_revise"] = json!({ "max_passes": 2 });
    let mark = marks.path().join("seen").display().to_string();
    asked["checks"] = json!([{
        "name": "unit tests",
        "command": format!("node --test && {{ test -e {mark} || {{ touch {mark}; exit 1; }}; }}"),
    }]);
    let result = run_job(&mut worker.serve(), asked);
    assert_eq!(result["job_status"], "failed", "{result}");
    assert_eq!(
        result["checks"],
        json!([
            "unit tests: flaky (1 of 2 runs on the same files failed)",
            "scoped_patch: passed (src, tests)"
        ]),
        "{result}"
    );
    assert_eq!(result["passes"], Value::Null, "no repair pass: {result}");
    worker.assert_no_process_left();
}

#[test]
fn a_race_of_three_ends_with_the_first_that_is_verified() {
    let repository = broken_sum();
    repository.commit("Begin");
    let gate = Gate::closed();
    let stuck = vec![Turn::say("Never said.").behind(&gate)];
    let gateway = skills(vec![("cheap", stuck), ("good", mending().to_vec())]);
    let worker = worker(&repository, &gateway);
    let mut front = worker.serve();
    let race = json!({ "models": ["cheap", "good", "cheap"], "mode": "race" });
    let result = run_job(&mut front, asked(&repository, race));
    assert_eq!(result["job_status"], "completed", "{result}");
    let attempts: Vec<&str> = result["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap())
        .collect();
    assert!(attempts[0].starts_with("1 cheap: cancelled"), "{result}");
    assert!(attempts[1].starts_with("2 good: completed"), "{result}");
    assert!(attempts[2].starts_with("3 cheap: cancelled"), "{result}");
    worker.assert_no_process_left();
    // How long that took is told by the log, and judged by nobody here.
    let log = call(&mut front, "tail", json!({ "job_id": result["job_id"] }));
    eprintln!("{}", log.structured["log"].as_str().unwrap_or_default());
}

#[test]
fn a_new_test_that_proves_nothing_is_caught() {
    let repository = broken_sum();
    repository.commit("Begin");
    let vain = vec![
        Turn::call(
            "Edit",
            json!({"file_path": "{cwd}/tests/b.test.js", "old_string": "", "new_string": "const { test } = require('node:test');\ntest('adds', () => {});\n"}),
        ),
        Turn::call("Read", json!({"file_path": "{cwd}/src/a.js"})),
        Turn::call(
            "Edit",
            json!({"file_path": "{cwd}/src/a.js", "old_string": "a - b", "new_string": "a + b"}),
        ),
        Turn::say("There is a test for it."),
    ];
    let gateway = skills(vec![("good", vain)]);
    let worker = worker(&repository, &gateway);
    let mut job = example_job(repository.path());
    job["model"] = "good".into();
    job["auto_revise"] = json!({ "max_passes": 0 });
    job["checks"] = json!([
        { "name": "new test", "command": "node --test tests/b.test.js", "fails_without_change": true },
    ]);
    let result = run_job(&mut worker.serve(), job);
    assert_eq!(result["job_status"], "failed", "{result}");
    assert!(
        result["checks"]
            .to_string()
            .contains("new test: failed (it passes without the change too"),
        "{result}"
    );
}
