//! The proof in a check: its before, what it must fail without, what is flaky, and what it wrote.

use super::*;

fn asked(repository: &Repository, check: Value) -> Value {
    let mut asked = job(repository);
    asked["auto_revise"] = json!({ "max_passes": 0 });
    asked["checks"] = json!([check]);
    asked
}

#[test]
fn each_check_says_what_it_said_before_the_job() {
    let rows = [
        (
            "echo two > src/a.txt",
            "grep -q two src/a.txt",
            "unit tests: passed (failed before)",
            Value::Null,
        ),
        (
            "echo more >> notes.txt",
            "grep -q one src/a.txt",
            "unit tests: passed (passed before too)",
            json!("nothing here shows that the task was done"),
        ),
        (
            "mkdir tests; echo more > tests/new.txt",
            "grep -q one src/a.txt",
            "unit tests: passed (passed before too)",
            Value::Null,
        ),
        (
            "echo three > src/a.txt",
            "grep -q two src/a.txt",
            "unit tests: failed (exit code 1; failed before too)",
            Value::Null,
        ),
    ];
    for (work, check, line, warning) in rows {
        let repository = repository();
        let agent = StandIn::that(work);
        let worker =
            Worker::with_stand_in(BINARY, &repository, &agent).set("WORKER_CHECK_BEFORE", 1);
        let check = json!({ "name": "unit tests", "command": check });
        let result = run_job(&mut worker.serve(), asked(&repository, check));
        assert_eq!(result["checks"], json!([line]), "{work}: {result}");
        assert_eq!(result["warning"], warning, "{work}: {result}");
        if !warning.is_null() {
            assert_eq!(
                result.as_object().unwrap().keys().next().unwrap(),
                "warning"
            );
        }
        worker.assert_no_process_left();
        let left = worker.state_dir().join("jobs");
        for job in std::fs::read_dir(left).unwrap().flatten() {
            assert!(!job.path().join("before").exists(), "the tree is left over");
        }
    }
}

/// The failure that was there before is nobody's task where something else shows the work; else it may be the task itself.
#[test]
fn the_same_failing_tests_as_before_cost_no_repair_pass() {
    let rows = [
        // A new test file shows the work: the old failure is not the agent's.
        ("mkdir -p tests; echo true > tests/new.sh", "", Value::Null),
        // So does another check that turned.
        ("echo two > src/a.txt", "grep -q two src/a.txt", Value::Null),
        // Nothing else does: repairing what fails may be what the job is for.
        ("echo two > src/a.txt", "", json!(2)),
        // It fails in another way now.
        (
            "mkdir -p tests; echo 'echo FAILED new; false' > tests/new.sh",
            "",
            json!(2),
        ),
    ];
    let suite = "r=0; for t in old tests/*.sh; do case $t in old) echo \"FAILED old in $(date +%N) ns at $PWD\"; r=1;; \
                 *) test ! -e $t || sh $t || r=1;; esac; done; exit $r";
    for (work, other, passes) in rows {
        let repository = repository();
        // A second pass that changes something, so that the loop would go on.
        let agent = StandIn::that(&format!("{work}; date +%N >> notes.txt"));
        let worker =
            Worker::with_stand_in(BINARY, &repository, &agent).set("WORKER_CHECK_BEFORE", 1);
        let mut asked = job(&repository);
        asked["auto_revise"] = json!({ "max_passes": 1 });
        asked["checks"] = json!([{ "name": "unit tests", "command": suite }]);
        if !other.is_empty() {
            let checks = asked["checks"].as_array_mut().unwrap();
            checks.push(json!({ "name": "other", "command": other }));
        }
        let result = run_job(&mut worker.serve(), asked);
        assert_eq!(result["passes"], passes, "{work}: {result}");
        assert_eq!(result["job_status"], "failed", "{result}");
        let line = result["checks"][0].as_str().unwrap();
        let same = line.contains("exit code 1; failed before too, with the same failures");
        assert_eq!(same, !work.contains("FAILED"), "{result}");
    }
}

#[test]
fn a_file_that_ends_the_runner_when_it_is_loaded_passes_nothing() {
    let rows = [
        ("import os; os._exit(0)", "failed"),
        ("def double(x): return 2 * x", "completed"),
    ];
    for (text, status) in rows {
        let repository = Repository::with([
            ("shop.py", "def double(x): return x\n"),
            (
                "test_shop.py",
                "import unittest\nfrom shop import double\n\nclass Shop(unittest.TestCase):\n    def test_double(self): \
                 self.assertEqual(double(2), 4)\n",
            ),
        ]);
        repository.commit("Begin");
        let agent = StandIn::that(&format!("printf '%s\\n' '{text}' > shop.py"));
        let worker =
            Worker::with_stand_in(BINARY, &repository, &agent).set("WORKER_CHECK_BEFORE", 1);
        let check = json!({ "name": "unit tests", "command": "python3 -m unittest" });
        let result = run_job(&mut worker.serve(), asked(&repository, check));
        assert_eq!(result["job_status"], status, "{text}: {result}");
        let line = result["checks"][0].as_str().unwrap();
        let caught = line.contains("it tells of no test that ran, as it did before the change");
        assert_eq!(caught, status == "failed", "{result}");
    }
}

#[test]
fn a_new_test_that_proves_nothing_is_caught() {
    let rows = [
        (
            "echo two > src/a.txt; mkdir tests; echo 'grep -q two src/a.txt' > tests/a.sh",
            "completed",
            "unit tests: passed (failed without the change)",
        ),
        (
            "echo two > src/a.txt; mkdir tests; echo 'true' > tests/a.sh",
            "failed",
            "unit tests: failed (it passes without the change too, so it proves nothing)",
        ),
    ];
    for (work, status, line) in rows {
        let repository = repository();
        let agent = StandIn::that(work);
        let worker = Worker::with_stand_in(BINARY, &repository, &agent);
        let check = json!({
            "name": "unit tests",
            "command": "for t in tests/*.sh; do test ! -e $t || sh $t || exit 1; done",
            "fails_without_change": true,
        });
        let result = run_job(&mut worker.serve(), asked(&repository, check));
        assert_eq!(result["job_status"], status, "{result}");
        assert_eq!(result["checks"], json!([line]), "{work}: {result}");
    }
}

/// On the base the check finds what it needs and no commit holds, at the paths that it was made for: more ignored files than
/// are copied for a note, dependencies, a virtual environment.
#[test]
fn a_check_that_must_fail_without_the_change_has_what_no_commit_holds() {
    let rows = [
        (
            "grep -q two src/a.txt",
            "completed",
            "unit tests: passed (failed without the change)",
        ),
        (
            "true",
            "failed",
            "unit tests: failed (it passes without the change too, so it proves nothing)",
        ),
    ];
    for (test, status, line) in rows {
        let repository = Repository::with([
            ("src/a.txt", "one\n"),
            (".gitignore", "node_modules/\n.venv/\ndata/\n"),
        ]);
        repository.commit("Begin");
        let top = repository.path();
        for number in 0..2_500 {
            repository.write(format!("data/{number}"), "x");
        }
        repository.write("node_modules/dep/index.sh", "exit 0\n");
        let interpreter = top.join(".venv/bin/python");
        std::fs::create_dir_all(interpreter.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink("/bin/sh", &interpreter).unwrap();
        let runner = top.join(".venv/bin/runner");
        let script = format!(
            "#!{}\nset -e\ntest -e data/2499\n. node_modules/dep/index.sh &\nwait $!\n\
             for t in tests/*.sh; do test ! -e $t || sh $t; done\necho x > data/written\n",
            interpreter.display()
        );
        std::fs::write(&runner, script).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&runner, executable).unwrap();
        let agent = StandIn::that(&format!(
            "mkdir tests; echo '{test}' > tests/a.sh; echo two > src/a.txt"
        ));
        let worker = Worker::with_stand_in(BINARY, &repository, &agent);
        let check = json!({
            "name": "unit tests",
            "command": ".venv/bin/runner",
            "fails_without_change": true,
        });
        let result = run_job(&mut worker.serve(), asked(&repository, check));
        assert_eq!(result["job_status"], status, "{result}");
        assert_eq!(result["checks"], json!([line]), "{test}: {result}");
    }
}

#[test]
fn a_check_that_rewrites_the_work_voids_the_verification_and_no_pass_absorbs_it() {
    let repository = repository();
    let agent = StandIn::that("echo two > src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut asked = job(&repository);
    asked["include_diff"] = true.into();
    asked["checks"] = json!([{ "name": "unit tests", "command": "echo evil > src/a.txt" }]);
    let result = run_job(&mut worker.serve(), asked);
    assert_eq!(result["job_status"], "failed", "{result}");
    let checks = result["checks"].to_string();
    assert!(
        checks.contains("verification: failed (the checks changed src/a.txt"),
        "{result}"
    );
    assert!(
        result["diff"].as_str().unwrap().contains("+two"),
        "what stands: {result}"
    );
    assert_eq!(repository.read("src/a.txt"), "two\n");
    assert_eq!(result["passes"], Value::Null, "no repair pass: {result}");
}

#[test]
fn a_report_explains_a_failure_in_place_of_the_output() {
    let repository = repository();
    let agent = StandIn::that("echo two > src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let check = json!({
        "name": "unit tests",
        "command": "mkdir -p target; echo noise; echo 'not ok 1 - adds up' > target/report.tap; exit 1",
        "report": "target/report.tap",
    });
    let result = run_job(&mut worker.serve(), asked(&repository, check));
    let digest = result["failures"]["unit tests"].as_str().unwrap();
    assert!(
        digest.contains("adds up") && !digest.contains("noise"),
        "{result}"
    );
}

/// Ignored files that run by themselves are named, though no diff shows them.
#[test]
fn ignored_files_that_run_by_themselves_are_named() {
    let repository = Repository::with([
        ("src/a.txt", "one\n"),
        (".gitignore", ".vscode/\n.envrc\nhooks/\ntarget/\n.venv/\n"),
    ]);
    repository.commit("Begin");
    let mut config = repository.git().config().unwrap();
    config.set_str("core.hooksPath", "./hooks").unwrap();
    let agent = StandIn::that(
        "echo two > src/a.txt; mkdir -p .vscode hooks target .venv/bin; for f in .vscode/tasks.json .envrc hooks/post-commit target/x .venv/bin/activate; do echo x > $f; done",
    );
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut front = worker.serve();
    let result = run_job(&mut front, job(&repository));
    assert_eq!(result["job_status"], "completed", "{result}");
    assert_eq!(
        result["notes"],
        json!([
            "5 ignored files changed too",
            "look at these before git, a shell or an editor runs them: .envrc, .venv/bin/activate, .vscode/tasks.json, hooks/post-commit",
        ])
    );
    let asked = json!({ "job_id": result["job_id"], "artifact": "ignored" });
    let listed = call(&mut front, "get", asked).structured.to_string();
    assert!(listed.contains("target/x"), "{listed}");
}

/// In a view what was not granted does not exist; the host knows that it does, and says which setting grants it.
#[test]
fn a_failure_that_comes_of_the_sandbox_says_so() {
    let repository = repository();
    let agent = StandIn::that("echo two > src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let tool = worker.home().join(".tool/lib");
    std::fs::create_dir_all(&tool).unwrap();
    std::fs::write(tool.join("part"), "x").unwrap();
    let named = format!(
        "sandbox: {0}/part is not readable; WORKER_SANDBOX_READ={0}",
        tool.display()
    );
    let rows = [
        (format!("cat {}/part", tool.display()), Some(named.clone())),
        ("cat ~/.tool/lib/part".to_owned(), Some(named)),
        (format!("cat {}/nothing", tool.display()), None),
        ("cat /usr/share/no-such-file; exit 1".to_owned(), None),
        ("cat src/missing.txt".to_owned(), None),
    ];
    for (command, wanted) in rows {
        let check = json!({ "name": "unit tests", "command": command });
        let result = run_job(&mut worker.serve(), asked(&repository, check));
        assert_eq!(result["job_status"], "failed", "{result}");
        let notes = wanted.map_or(Value::Null, |wanted| json!([wanted]));
        assert_eq!(result["notes"], notes, "{command}: {result}");
    }
    // With the grant it works.
    let worker = worker.set("WORKER_SANDBOX_READ", tool.display());
    let command = format!("cat {}/part", tool.display());
    let check = json!({ "name": "unit tests", "command": command });
    repository.write("src/a.txt", "one\n");
    let result = run_job(&mut worker.serve(), asked(&repository, check));
    assert_eq!(result["job_status"], "completed", "{result}");
}

/// A command of the agent's, told of as Claude Code tells: the call, and what came of it.
fn runs(command: &str) -> String {
    let call = r#"{"type":"assistant","message":{"id":"m1","role":"assistant","model":"m","content":[{"type":"tool_use","id":"t1","name":"Bash","input":{"command":"x"}}],"usage":{}},"session_id":"s"}"#;
    let result = r#"{"type":"user","message":{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","is_error":%s,"content":"%s"}]},"session_id":"s"}"#;
    format!(
        "printf '%s\\n' '{call}'; failed=false; said=$({{ {command}; }} 2>&1) || failed=true; printf '{result}\\n' $failed \"$said\";"
    )
}

/// The agent's commands are no checks, and fail by the sandbox as these do: the result says which setting grants it.
#[test]
fn a_command_of_the_agents_that_fails_by_the_sandbox_says_so() {
    let home = tempfile::tempdir().unwrap();
    let part = home.path().join(".x/lib/part");
    let lib = part.parent().unwrap();
    std::fs::create_dir_all(lib).unwrap();
    std::fs::write(&part, "x").unwrap();
    let unreadable = format!(
        "a command of the agent's: sandbox: {} is not readable; WORKER_SANDBOX_READ={}",
        part.display(),
        lib.display()
    );
    let unwritable = format!(
        "a command of the agent's: sandbox: {0}/new is not writable; WORKER_SANDBOX_WRITE={0}",
        lib.display()
    );
    let by_path = format!("cat {}", part.display());
    let writes = format!("mkdir {}/new", lib.display());
    let rows = [
        (by_path.clone(), "", Some(&unreadable)),
        ("cat ~/.x/lib/part".to_owned(), "", Some(&unreadable)),
        (format!("{by_path}-of-nothing"), "", None),
        // One that did what it was to do is no failure, whatever it said.
        (format!("{by_path} || true"), "", None),
        ("cat src/missing.txt".to_owned(), "", None),
        (by_path, "read", None),
        (writes, "read", Some(&unwritable)),
    ];
    for (command, granted, wanted) in rows {
        let repository = repository();
        let agent = StandIn::that(&format!("echo two > src/a.txt; {}", runs(&command)));
        let mut worker =
            Worker::with_stand_in(BINARY, &repository, &agent).set("HOME", home.path().display());
        if granted == "read" {
            worker = worker.set("WORKER_SANDBOX_READ", lib.display());
        }
        let result = run_job(&mut worker.serve(), job(&repository));
        assert_eq!(result["job_status"], "completed", "{command}: {result}");
        let notes = wanted.map_or(Value::Null, |wanted| json!([wanted]));
        assert_eq!(result["notes"], notes, "{command}: {result}");
    }
}

/// Text that would read otherwise than it is, is shown as it is.
#[test]
fn a_diff_shows_directions_and_links_that_lead_out() {
    let repository = repository();
    let agent = StandIn::that(
        "printf 'one\\342\\200\\256two\\342\\201\\246\\n' > src/a.txt; ln -s /etc/passwd src/out; ln -s ../../x src/up; ln -s ../notes.txt src/in; ln -s b/../../c src/also-in",
    );
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut asked = job(&repository);
    asked["include_diff"] = true.into();
    let result = run_job(&mut worker.serve(), asked);
    let diff = result["diff"].as_str().unwrap();
    assert!(diff.contains("+one\\u{202e}two\\u{2066}\n"), "{diff}");
    assert_eq!(
        result["notes"],
        json!(["links that lead out of the tree: src/out -> /etc/passwd, src/up -> ../../x"]),
        "{result}"
    );
}
