//! The effects of real machines on a job: silent builds, long temporary paths, narrowed trees, tests that commit, many programs
//! behind one launcher.

use super::*;

#[test]
fn a_silent_build_is_no_stall_and_a_command_that_sleeps_is_one() {
    let rows = [
        (
            "end=$(($(date +%s) + 5)); while [ $(date +%s) -lt $end ]; do :; done",
            "completed",
        ),
        ("sleep 20", "timed_out"),
    ];
    for (command, wanted) in rows {
        let repository = repository();
        let agent = StandIn::that(&format!(
            "echo two > src/a.txt; sh -c '{command}' > /dev/null 2>&1"
        ));
        let worker =
            Worker::with_stand_in(BINARY, &repository, &agent).set("WORKER_STALL_MS", 2_000);
        let result = run_job(&mut worker.serve(), job(&repository));
        assert_eq!(result["job_status"], wanted, "{command}: {result}");
    }
}

#[test]
fn a_socket_below_tmpdir_has_room_for_its_name() {
    let repository = repository();
    // As multiprocessing names it: 33 bytes below TMPDIR, of 107.
    let look = "test $((${#TMPDIR} + 33)) -lt 107 && touch \"$TMPDIR/mine\" && test -w \"$TMPDIR\"";
    let agent = StandIn::that(&format!(
        "if {look}; then echo two > src/a.txt; else echo \"$TMPDIR\" > src/a.txt; fi"
    ));
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut asked = job(&repository);
    asked["checks"] = json!([{ "name": "room", "command": look }]);
    let result = run_job(&mut worker.serve(), asked);
    assert_eq!(result["job_status"], "completed", "{result}");
    assert_eq!(repository.read("src/a.txt"), "two\n");
}

#[test]
fn a_member_of_a_workspace_can_be_built_and_stays_the_only_thing_that_may_change() {
    let repository = Repository::with([
        ("Cargo.lock", "old\n"),
        (".gitignore", "target/\n"),
        ("member/a.txt", "one\n"),
        ("other/b.txt", "one\n"),
    ]);
    repository.commit("Begin");
    std::fs::create_dir(repository.path().join("target")).unwrap();
    let builds = "echo new > ../Cargo.lock; echo object > ../target/object";
    let rows = [
        (
            "echo object > ../target/agents || exit 1",
            builds,
            "completed",
        ),
        // In a view that is thrown away.
        ("true", "echo x > ../other/b.txt", "completed"),
        ("echo x > ../other/b.txt && exit 1", builds, "completed"),
    ];
    for (agents, check, wanted) in rows {
        let agent = StandIn::that(&format!("{agents}; echo two >> a.txt"));
        let worker = Worker::with_stand_in(BINARY, &repository, &agent);
        let result = run_job(
            &mut worker.serve(),
            json!({
                "prompt": "Change a line.",
                "allowed_dirs": [repository.path().join("member")],
                "checks": [{ "name": "builds", "command": check }],
            }),
        );
        assert_eq!(result["job_status"], wanted, "{check}: {result}");
        assert_eq!(repository.read("Cargo.lock"), "old\n", "{result}");
        assert_eq!(repository.read("other/b.txt"), "one\n", "{result}");
    }
}

/// Staging, as it is in a main worktree; configuration and the links of the worktree stay out of reach.
#[test]
fn git_stages_in_a_linked_worktree_as_in_a_main_one() {
    use worker_test_support::checkout::git;
    for linked in [false, true] {
        let repository = repository();
        let place = repository.path().parent().unwrap().join("linked");
        git(
            repository.path(),
            &[
                "worktree",
                "add",
                "-q",
                "-b",
                "side",
                place.to_str().unwrap(),
            ],
        );
        let top = if linked {
            place
        } else {
            repository.path().to_owned()
        };
        let own = git(&top, &["rev-parse", "--absolute-git-dir"]);
        let settings = if linked { "commondir gitdir" } else { "config" };
        let agent = StandIn::that(&format!(
            "echo two > src/a.txt; git add -A && git diff --cached --name-only > staged.txt; \
             for file in {settings}; do echo x >> {own}/$file && echo $file >> staged.txt; done"
        ));
        let worker = Worker::with_stand_in(BINARY, &repository, &agent);
        let result = run_job(
            &mut worker.serve(),
            json!({
                "prompt": "Change a line.",
                "allowed_dirs": [top],
                "checks": [{ "name": "stages", "command": "git add -A && git diff --cached --name-only | grep -q src/a.txt" }],
            }),
        );
        assert_eq!(
            result["job_status"], "completed",
            "linked: {linked}: {result}"
        );
        let staged = std::fs::read_to_string(top.join("staged.txt")).unwrap();
        assert_eq!(staged, "src/a.txt\n", "linked: {linked}");
    }
}

#[test]
fn git_commits_under_the_users_name_and_what_a_repository_says_is_stronger() {
    let repository = repository();
    let agent = StandIn::that("echo two > src/a.txt");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    std::fs::write(
        worker.home().join(".gitconfig"),
        "[user]\n\tname = Ada Lovelace\n\temail = ada@example.org\n",
    )
    .unwrap();
    let commits = "cd \"$TMPDIR\" && git init -q r && cd r && git commit -q --allow-empty -m x && git log -1 --format=%an";
    let mut asked = job(&repository);
    asked["checks"] = json!([
        { "name": "commits", "command": format!("test \"$({commits})\" = 'Ada Lovelace'") },
        { "name": "own", "command": "cd \"$TMPDIR\" && git init -q s && cd s && git config user.name Test && test \"$(git config user.name)\" = Test" },
    ]);
    let result = run_job(&mut worker.serve(), asked);
    assert_eq!(result["job_status"], "completed", "{result}");
}

#[cfg(unix)]
#[test]
fn claude_code_behind_a_launcher_is_run_under_its_own_name() {
    let repository = repository();
    let agent = StandIn::that("echo two > src/a.txt");
    // As mise and volta do: one program, which goes by the name that it is called under.
    let folder = tempfile::tempdir().unwrap();
    let launcher = folder.path().join("launcher");
    std::fs::write(
        &launcher,
        format!(
            "#!/bin/sh\ncase \"$0\" in */claude) exec {} \"$@\" ;; *) echo \"no program $0\" >&2; exit 9 ;; esac\n",
            agent.path().display()
        ),
    )
    .unwrap();
    std::fs::set_permissions(
        &launcher,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let link = folder.path().join("claude");
    std::os::unix::fs::symlink("launcher", &link).unwrap();
    let worker = Worker::with_stand_in(BINARY, &repository, &agent)
        .set("WORKER_CLAUDE_BIN", link.display())
        .set("WORKER_SANDBOX_READ", agent.folder().display());
    let result = run_job(&mut worker.serve(), job(&repository));
    assert_eq!(result["job_status"], "completed", "{result}");
}
