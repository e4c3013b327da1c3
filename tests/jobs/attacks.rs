//! What a hostile agent or repository names opens nothing, hides nothing and leaves nothing that runs as somebody else.
#![cfg(target_os = "linux")]

use super::*;
use std::os::unix::fs::{PermissionsExt as _, symlink};

/// A folder of the user's that no job was given, with a secret in it.
fn private() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("id_x"), "PLANTED-SECRET\n").unwrap();
    folder
}

fn new() -> Repository {
    let repository = Repository::with([
        ("src/a.txt", "one\n"),
        (".gitignore", "*.local\nign/\nprobe.txt\n"),
    ]);
    repository.commit("Begin");
    repository
}

fn asked(repository: &Repository, isolation: &str, command: &str) -> Value {
    let mut asked = job(repository);
    asked["isolation"] = isolation.into();
    asked["auto_revise"] = json!({ "max_passes": 0 });
    asked["checks"] = json!([{ "name": "probe", "command": command }]);
    asked
}

/// The agent appends a folder to the alternates of its own tree; the next thing that runs there is a check.
#[test]
fn what_an_agent_writes_into_alternates_opens_nothing_to_its_checks() {
    for isolation in ["none", "worktree"] {
        let repository = new();
        let secret = private();
        let file = secret.path().join("id_x");
        let agent = StandIn::that(&format!(
            "echo {} >> .git/objects/info/alternates; echo two > src/a.txt",
            secret.path().display()
        ));
        let worker = Worker::with_stand_in(BINARY, &repository, &agent);
        let probe = format!("! cat {}", file.display());
        let result = run_job(&mut worker.serve(), asked(&repository, isolation, &probe));
        let line = result["checks"].to_string();
        assert!(line.contains("probe: passed"), "{isolation}: {result}");
        worker.assert_no_process_left();
    }
}

/// The same words of a repository that somebody else made are refused by name, until the operator says otherwise.
#[test]
fn objects_outside_the_root_need_the_operators_word() {
    let secret = private();
    let other = Repository::with([("of-another.txt", "x\n")]);
    other.commit("Begin");
    let objects = other.path().join(".git/objects");
    for (name, store) in [("a folder", secret.path()), ("objects", objects.as_path())] {
        let repository = new();
        let alternates = repository.path().join(".git/objects/info/alternates");
        std::fs::write(&alternates, format!("{}\n", store.display())).unwrap();
        let agent = StandIn::that(&format!(
            "ls {} > seen.txt; echo two > src/a.txt",
            store.display()
        ));
        let worker = Worker::with_stand_in(BINARY, &repository, &agent);
        let mut front = worker.serve();
        for isolation in ["none", "worktree"] {
            let refused = call(&mut front, "start", asked(&repository, isolation, "true"));
            let rule = refused.structured["error"]["rule"]
                .as_str()
                .unwrap_or_default();
            let remedy = format!(
                "WORKER_SANDBOX_READ={}",
                store.canonicalize().unwrap().display()
            );
            assert!(
                rule.contains("outside SANDBOX_ROOT") && rule.contains("WORKER_SANDBOX_READ="),
                "{name}: {remedy} {:?}",
                refused.structured
            );
        }
        drop(front);
        let worker = Worker::with_stand_in(BINARY, &repository, &agent)
            .set("WORKER_SANDBOX_READ", store.display());
        let result = run_job(&mut worker.serve(), asked(&repository, "none", "true"));
        assert_eq!(result["job_status"], "completed", "{name}: {result}");
    }
}

#[test]
fn a_link_in_the_git_directory_opens_nothing() {
    let secret = private();
    let file = secret.path().join("id_x");
    let repository = new();
    symlink(secret.path(), repository.path().join(".git/lfs")).unwrap();
    let agent = StandIn::that(
        "cat .git/base/lfs/id_x .git/lfs/id_x > probe.txt 2>&1; echo two > src/a.txt",
    );
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let probe = format!(
        "! cat {} && ! cat .git/base/lfs/id_x && ! cat .git/lfs/id_x",
        file.display()
    );
    let result = run_job(&mut worker.serve(), asked(&repository, "none", &probe));
    assert_eq!(result["checks"], json!(["probe: passed"]), "{result}");
    assert!(!repository.read("probe.txt").contains("PLANTED"));
}

/// An attribute of the kernel's overlay file system makes a file unreadable in a layer over it.
#[test]
fn no_file_is_hidden_from_a_check_by_marks_of_layers() {
    for isolation in ["none", "worktree"] {
        let repository = new();
        let agent = StandIn::that(
            "echo 'FORBIDDEN()' > src/new.txt; mkdir shut; echo 'FORBIDDEN()' > shut/new.txt; \
             python3 -c 'import os; os.setxattr(\"src/new.txt\", \"user.overlay.metacopy\", b\"\"); \
             os.setxattr(\"src/a.txt\", \"user.overlay.metacopy\", b\"\"); os.setxattr(\"shut\", \"user.overlay.opaque\", b\"y\")'; \
             chmod 555 shut",
        );
        let worker = Worker::with_stand_in(BINARY, &repository, &agent);
        let probe =
            "cat src/a.txt && grep -q FORBIDDEN src/new.txt && grep -q FORBIDDEN shut/new.txt";
        let result = run_job(&mut worker.serve(), asked(&repository, isolation, probe));
        assert!(
            result["checks"].to_string().contains("probe: passed"),
            "{result}"
        );
        let notes = result["notes"].to_string();
        for name in ["src/a.txt", "src/new.txt", "shut"] {
            assert!(notes.contains(name), "{isolation} {name}: {result}");
        }
        let shut = repository.path().join("shut");
        if isolation == "none" {
            let mode = std::fs::metadata(&shut).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o555, "as the agent left it");
            std::fs::set_permissions(&shut, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
}

#[test]
fn a_job_leaves_no_file_that_runs_as_its_owner() {
    let repository = new();
    let agent = StandIn::that(
        "cp /bin/sh tool; cp /bin/sh hidden.local; chmod 6755 tool hidden.local; echo two > src/a.txt",
    );
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let result = run_job(&mut worker.serve(), asked(&repository, "none", "true"));
    let notes = result["notes"].to_string();
    for name in ["tool", "hidden.local"] {
        let file = repository.path().join(name);
        let mode = std::fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755, "{name}");
        assert!(notes.contains(name), "{result}");
    }
}

/// A check that needs `.env` would fail on a base without it, and a change that does nothing would read as proof.
#[test]
fn the_base_has_the_ignored_files_that_a_check_needs() {
    let repository = new();
    repository.write("settings.local", "A=1\n");
    repository.write("ign/deep/conf", "setting\n");
    let agent = StandIn::that("echo '# nothing' >> src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent).set("WORKER_CHECK_BEFORE", 1);
    let probe = ". ./settings.local && test $A = 1 && grep -q setting ign/deep/conf";
    let result = run_job(&mut worker.serve(), asked(&repository, "none", probe));
    assert_eq!(
        result["checks"],
        json!(["probe: passed (passed before too)"]),
        "{result}"
    );
}

#[test]
fn a_follow_up_does_not_forget_the_repository_that_its_job_made() {
    for isolation in ["none", "worktree"] {
        let repository = new();
        let agent = StandIn::that(
            "echo two >> src/a.txt; test -e nest || { mkdir nest; git init -q nest; touch nest/f; git -C nest add f; \
             git -C nest -c user.name=x -c user.email=x@x commit -qm x; }",
        );
        let worker = Worker::with_stand_in(BINARY, &repository, &agent);
        let mut front = worker.serve();
        let first = run_job(&mut front, asked(&repository, isolation, "true"));
        let told = |result: &Value| result.to_string().contains("a repository was made in nest");
        assert!(told(&first), "{first}");
        let second = run_job(
            &mut front,
            json!({ "prompt": "Go on.", "resume_job_id": first["job_id"], "checks": [] }),
        );
        assert!(told(&second), "{isolation}: {second}");
    }
}

#[test]
fn nobody_is_blamed_for_a_repository_that_was_broken_before() {
    let repository = new();
    repository.write("broken/.git", "gitdir: /nowhere/at/all\n");
    repository.write("empty/.git/HEAD", "nonsense\n");
    let agent = StandIn::that("echo two > src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let result = run_job(&mut worker.serve(), asked(&repository, "none", "true"));
    assert_eq!(result["job_status"], "completed", "{result}");
    // Made whole by the job, it is one of its own.
    repository.write("src/a.txt", "one\n");
    let agent = StandIn::that("rm -rf empty/.git; git init -q empty; echo two > src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let result = run_job(&mut worker.serve(), asked(&repository, "none", "true"));
    assert!(
        result["checks"]
            .to_string()
            .contains("a repository was made"),
        "{result}"
    );
}

/// What nobody can read, no check looks at: `grep` and a test runner pass it over.
#[test]
fn what_was_made_unreadable_fails_the_job_by_name() {
    let rows = [
        ("chmod 000 notes.txt", "notes.txt"),
        ("chmod u-r notes.txt; echo two > src/a.txt", "notes.txt"),
        ("echo new > src/new.txt; chmod 0 src/new.txt", "src/new.txt"),
        ("chmod 0 src", "src"),
        (
            "chmod 600 notes.txt; chmod 700 src; echo two > src/a.txt",
            "",
        ),
    ];
    for (work, named) in rows {
        let repository = repository();
        let agent = StandIn::that(work);
        let worker = Worker::with_stand_in(BINARY, &repository, &agent);
        let mut asked = job(&repository);
        asked["auto_revise"] = json!({ "max_passes": 0 });
        asked["checks"] = json!([{ "name": "no faults", "command": "! grep -rq FAULT ." }]);
        let result = run_job(&mut worker.serve(), asked);
        let line = format!("readable: failed (made unreadable: {named})");
        let checks = result["checks"].to_string();
        assert_eq!(
            checks.contains(&line),
            !named.is_empty(),
            "{work}: {result}"
        );
        let status = match named {
            "" => "completed",
            _ => "failed",
        };
        assert_eq!(result["job_status"], status, "{work}: {result}");
        // Else the test could not remove it.
        let opened = std::process::Command::new("chmod")
            .args(["-R", "u+rwX"])
            .arg(repository.path())
            .status();
        assert!(opened.unwrap().success());
    }
}
