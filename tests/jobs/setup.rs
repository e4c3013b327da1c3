//! The set-up of an isolated tree: what no commit holds is made before the agent starts, once for each state of the lock
//! files, and its failure is a cause of its own.

use super::*;

/// A repository with a package of npm's that has a program from a dependency, a tarball beside it: no registry is asked.
fn npm_repository() -> Repository {
    let repository = Repository::with([
        (".gitignore", "node_modules/\n"),
        ("src/a.txt", "one\n"),
        (
            "package.json",
            r#"{"name":"app","version":"1.0.0","scripts":{"test":"greet"},"dependencies":{"greet":"file:greet-1.0.0.tgz"}}"#,
        ),
    ]);
    let package = tempfile::tempdir().unwrap();
    std::fs::write(
        package.path().join("package.json"),
        r#"{"name":"greet","version":"1.0.0","bin":"greet.js"}"#,
    )
    .unwrap();
    std::fs::write(
        package.path().join("greet.js"),
        "#!/usr/bin/env node\nconsole.log('hello from greet');\n",
    )
    .unwrap();
    npm(
        repository.path(),
        &["pack", "--silent", package.path().to_str().unwrap()],
    );
    npm(
        repository.path(),
        &["install", "--package-lock-only", "--offline", "--no-audit"],
    );
    repository.commit("Depend on a tarball");
    repository
}

fn npm(dir: &Path, arguments: &[&str]) {
    let output = std::process::Command::new("npm")
        .args(arguments)
        .current_dir(dir)
        .output()
        .expect("npm is installed");
    assert!(output.status.success(), "{output:?}");
}

fn isolated(repository: &Repository, check: &str) -> Value {
    json!({
        "prompt": "Change a line.",
        "allowed_dirs": [repository.path()],
        "isolation": "worktree",
        "auto_revise": { "max_passes": 0 },
        "checks": [{ "name": "tests", "command": check, "retries": 0 }],
    })
}

fn log_of(front: &mut McpClient, result: &Value) -> String {
    let tail = call(
        front,
        "tail",
        json!({ "job_id": result["job_id"], "cursor": 0, "max_bytes": 20_000 }),
    );
    tail.structured.to_string()
}

#[test]
fn npm_ci_runs_once_for_a_state_of_the_lock_file_and_every_tree_has_what_it_made() {
    let repository = npm_repository();
    let agent = StandIn::that("test -x node_modules/.bin/greet && echo two > src/a.txt");
    let worker = with_checks(
        &repository,
        &agent,
        r#"
        [repositories."{top}"]
        setup = { command = "npm ci --offline --no-audit --no-fund", lock_files = ["package-lock.json"] }
        "#,
    );
    let mut front = worker.serve();
    for (round, says) in [
        (1, "kept for the next tree"),
        (2, "as made for an earlier tree"),
    ] {
        let result = run_job(&mut front, isolated(&repository, "npm test"));
        assert_eq!(result["job_status"], "completed", "{round}: {result}");
        assert_eq!(result["changed_files"], json!(["src/a.txt"]), "{round}");
        let log = log_of(&mut front, &result);
        assert!(log.contains(says), "{round}: {log}");
        let applied = call(
            &mut front,
            "apply",
            json!({ "job_id": result["job_id"], "how": "patch" }),
        );
        assert_eq!(
            applied.structured["files"],
            json!(["src/a.txt"]),
            "{applied:?}"
        );
        repository.write("src/a.txt", "one\n");
    }
    assert!(
        !repository.path().join("node_modules").exists(),
        "the checkout is the user's to set up"
    );
    repository.write(
        "package-lock.json",
        repository.read("package-lock.json") + "\n",
    );
    repository.commit("Touch the lock file");
    let result = run_job(&mut front, isolated(&repository, "npm test"));
    let log = log_of(&mut front, &result);
    assert!(log.contains("kept for the next tree"), "{log}");
}

#[test]
fn the_base_that_a_check_is_compared_with_has_its_dependencies_too() {
    let repository = npm_repository();
    let agent = StandIn::that("echo two > src/a.txt");
    let worker = with_checks(
        &repository,
        &agent,
        r#"
        [repositories."{top}"]
        setup = { command = "npm ci --offline --no-audit --no-fund", lock_files = ["package-lock.json"] }
        "#,
    )
    .set("WORKER_CHECK_BEFORE", 1);
    let check = "npm test && grep -q two src/a.txt";
    let result = run_job(&mut worker.serve(), isolated(&repository, check));
    assert_eq!(
        result["checks"],
        json!(["tests: passed (failed before)"]),
        "the failure is the base's and not that of a tree without its dependencies: {result}"
    );
}

#[test]
fn a_failed_setup_ends_the_job_under_its_own_name_before_the_agent_starts() {
    let repository = repository();
    let agent = StandIn::that("echo two > src/a.txt");
    let worker = with_checks(
        &repository,
        &agent,
        "[repositories.\"{top}\"]\nsetup = \"echo 'npm error code EUSAGE'; exit 3\"\n",
    );
    let mut front = worker.serve();
    let result = run_job(&mut front, isolated(&repository, "true"));
    assert_eq!(result["job_status"], "failed", "{result}");
    assert_eq!(result["error"]["cause"], "setup", "{result}");
    assert_eq!(result["checks"], json!(["setup: failed (exit code 3)"]));
    let message = result["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("the agent was not started") && message.contains("EUSAGE"),
        "{message}"
    );
    assert_eq!(result["changed_files"], json!([]));
    let kept = call(
        &mut front,
        "get",
        json!({ "job_id": result["job_id"], "artifact": "check-setup" }),
    );
    assert!(kept.structured.to_string().contains("EUSAGE"), "{kept:?}");
    let plain = run_job(&mut front, job(&repository));
    assert_eq!(
        plain["job_status"], "completed",
        "a checkout is not set up: {plain}"
    );
}

#[test]
fn what_names_its_own_tree_names_the_next_ones_in_the_copy() {
    let repository = Repository::with([
        (".gitignore", "env/\nobject\n"),
        ("src/a.txt", "one\n"),
        ("lock", "1\n"),
    ]);
    repository.commit("Begin");
    let agent = StandIn::that("echo two > src/a.txt");
    // As a virtual environment does it: scripts, links, and the path in the middle of a binary file.
    let worker = with_checks(
        &repository,
        &agent,
        r##"
        [repositories."{top}"]
        setup = { command = "mkdir -p env/bin env/empty && printf '#!/bin/sh\necho %s\n' \"$PWD\" > env/bin/where && chmod +x env/bin/where && ln -s \"$PWD/src\" env/src && printf 'a\\0%s\\0z' \"$PWD\" > object", lock_files = ["lock"] }
        "##,
    );
    let mut front = worker.serve();
    let check = "test \"$(env/bin/where)\" = \"$PWD\" && test \"$(readlink env/src)\" = \"$PWD/src\" && test -d env/empty \
                 && grep -q two env/src/a.txt && test \"$(tr -d '\\0' < object)\" = \"a${PWD}z\"";
    for says in ["kept for the next tree", "as made for an earlier tree"] {
        let result = run_job(&mut front, isolated(&repository, check));
        let log = log_of(&mut front, &result);
        assert_eq!(result["job_status"], "completed", "{result} {log}");
        assert!(log.contains(says), "{log}");
    }
}

#[test]
fn what_a_setup_changes_of_tracked_files_is_told_and_is_no_part_of_the_result() {
    let repository = Repository::with([
        (".gitignore", "deps/\n"),
        ("src/a.txt", "one\n"),
        ("lock", "1\n"),
    ]);
    repository.commit("Begin");
    let agent = StandIn::that("echo two > src/a.txt");
    let worker = with_checks(
        &repository,
        &agent,
        r#"
        [repositories."{top}"]
        setup = { command = "mkdir -p deps; echo x > deps/x; echo 2 > lock; echo y > made.txt", lock_files = ["lock"] }
        "#,
    );
    let mut front = worker.serve();
    for _ in 0..2 {
        let result = run_job(&mut front, isolated(&repository, "test -f made.txt"));
        assert_eq!(result["job_status"], "completed", "{result}");
        assert_eq!(result["changed_files"], json!(["src/a.txt"]));
        assert!(
            result["notes"]
                .to_string()
                .contains("setup changed lock, made.txt"),
            "{result}"
        );
        let log = log_of(&mut front, &result);
        assert!(log.contains("runs again for the next tree"), "{log}");
    }
}

#[test]
fn a_job_brings_its_own_setup_where_the_operator_allows_it() {
    let repository = repository();
    let agent = StandIn::that("echo two > src/a.txt");
    let mut asked = isolated(&repository, "test -f made.txt");
    asked["setup"] = json!("touch made.txt");
    for (config, allowed) in [
        (
            "[repositories.\"{top}\"]\njob_setup = true\nsetup = 'false'\n",
            true,
        ),
        ("[repositories.\"{top}\"]\nsetup = 'true'\n", false),
    ] {
        let worker = with_checks(&repository, &agent, config);
        let mut front = worker.serve();
        if allowed {
            let result = run_job(&mut front, asked.clone());
            assert_eq!(result["job_status"], "completed", "{result}");
        } else {
            let refused = call(&mut front, "start", asked.clone()).structured;
            assert_eq!(refused["error"]["argument"], "setup", "{refused}");
        }
    }
}

#[test]
fn a_tree_without_its_dependencies_says_how_it_gets_them() {
    let repository = npm_repository();
    let agent = StandIn::that("echo two > src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut front = worker.serve();
    let result = run_job(&mut front, isolated(&repository, "npm test"));
    assert_eq!(result["job_status"], "failed", "{result}");
    assert_eq!(
        result["checks"],
        json!(["tests: failed (exit code 127: command not found)"])
    );
    let notes = result["notes"].to_string();
    assert!(
        notes.contains("node_modules is not in this isolated tree") && notes.contains("npm ci"),
        "{notes}"
    );
    let result = run_job(&mut front, isolated(&repository, "false"));
    assert!(
        !result.to_string().contains("node_modules"),
        "another failure is another failure: {result}"
    );
}
