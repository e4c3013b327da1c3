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

/// Staging, as it is in a main worktree; the user's index, configuration and links of the worktree stay as they are.
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
        let before = worker_test_support::checkout::files(Path::new(&own), true);
        let agent = StandIn::that(&format!(
            "echo two > src/a.txt; git add -A && git diff --cached --name-only > staged.txt; \
             git config core.hooksPath evil; echo '#' >> {own}/info/exclude"
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
        let after = worker_test_support::checkout::files(Path::new(&own), true);
        assert_eq!(after, before, "linked: {linked}");
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

/// Runs a job by the binary itself, started by `start` (a shell script that ends in `exec "$@"`), and gives what it printed.
#[cfg(target_os = "linux")]
fn run_started_by(start: &str, worker: &Worker, asked: &Value) -> Value {
    let file = worker.home().join("job.json");
    std::fs::write(&file, asked.to_string()).unwrap();
    let plain = worker.command(["run"]);
    let variables = plain.get_envs();
    let output = std::process::Command::new("sh")
        .args(["-c", start, "start", BINARY, "run", "--json", "--job"])
        .arg(&file)
        .current_dir(worker.home())
        .env_clear()
        .envs(variables.filter_map(|(name, value)| Some((name, value?))))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_json::from_str(&text).unwrap_or_else(|error| {
        panic!(
            "{error}: {text} {}",
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

/// A machine that gives less than it could: each thing falls to the next form by trying, and the result says which.
#[cfg(target_os = "linux")]
#[test]
fn what_a_machine_refuses_is_done_in_the_next_best_way_and_told() {
    if !rustix::process::geteuid().is_root() {
        return; // Nobody else can set such a machine up.
    }
    // (story, how the worker is started, what the notes say)
    let rows: [(&str, &str, &[&str]); 3] = [
        (
            "the state folder is on an overlay, as in a container without a volume",
            "unshare -m sh -c 'mkdir -p \"$WORKER_STATE_DIR\" /tmp/w-$$ && mount -t tmpfs none /tmp/w-$$ && cd /tmp/w-$$ && mkdir l u w \
             && mount -t overlay -o lowerdir=l,upperdir=u,workdir=w none \"$WORKER_STATE_DIR\" && chmod 700 \"$WORKER_STATE_DIR\" \
             && cd / && exec \"$@\"' start \"$@\"",
            &[
                "checks ran in copies of the tree: ",
                "git: 1 commit on main (",
            ],
        ),
        (
            "user namespaces are refused",
            "exec unshare -Ur sh -c 'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all \"$@\"' start \"$@\"",
            &["ran partial", "checks ran in the tree itself: "],
        ),
        (
            "the sandbox is off",
            "exec env WORKER_SANDBOX=off \"$@\"",
            &["ran unconfined", "checks ran in the tree itself: "],
        ),
    ];
    for (story, start, told) in rows {
        let repository = repository();
        let held = told[0].starts_with("checks ran in copies");
        let commits = "git -c user.name=x -c user.email=x@x commit -qam mine";
        let agent = StandIn::that(&format!("echo two > src/a.txt; {commits}"));
        let worker = Worker::with_stand_in(BINARY, &repository, &agent);
        let mut asked = job(&repository);
        asked["checks"] = json!([
            { "name": "first", "command": "grep -q two src/a.txt && echo x > notes.txt && echo x > src/new.txt" },
            { "name": "second", "command": "test ! -e src/new.txt && grep -q kept notes.txt && git status" },
        ]);
        asked["auto_revise"] = json!({ "max_passes": 0 });
        let result = run_started_by(start, &worker, &asked);
        let text = result.to_string();
        for words in told {
            assert!(text.contains(words), "{story}: {words}: {result}");
        }
        // Where the job had the user's git directory, a commit fails it as it always did.
        let wanted = if held { "completed" } else { "failed" };
        assert_eq!(result["job_status"], wanted, "{story}: {result}");
        assert_eq!(text.contains("git: failed"), !held, "{story}: {result}");
        assert!(text.contains("second: passed"), "{story}: {result}");
        assert_eq!(repository.read("notes.txt"), "kept\n", "{story}");
    }
}

/// `/tmp` of a task is its own; what it was given there is at its place all the same.
#[test]
fn a_repository_that_is_itself_an_entry_of_tmp_is_worked_in() {
    let folder = tempfile::Builder::new()
        .prefix("shop-")
        .tempdir_in("/tmp")
        .unwrap();
    let top = folder.path().canonicalize().unwrap();
    let git = |arguments: &[&str]| worker_test_support::checkout::git(&top, arguments);
    git(&["init", "-q", "-b", "main"]);
    std::fs::write(top.join("a.txt"), "one\n").unwrap();
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "Begin"]);
    let agent =
        StandIn::that("echo two > a.txt; git add -A; git commit -qm mine; ls /tmp > seen.txt");
    for isolation in ["none", "worktree"] {
        let worker = Worker::bare(BINARY)
            .set("SANDBOX_ROOT", top.display())
            .set("ONEAPI_BASE_URL", "http://127.0.0.1:9")
            .set("ONEAPI_API_KEY", "gateway-key-of-the-test")
            .set("CLAUDE_MODEL", "scripted")
            .set("WORKER_CLAUDE_BIN", agent.path().display());
        let asked = json!({
            "prompt": "Put two into a.txt.", "allowed_dirs": [top], "isolation": isolation,
            "checks": [{ "name": "content", "command": "grep -q two a.txt" }],
        });
        let result = run_job(&mut worker.serve(), asked);
        assert_eq!(result["job_status"], "completed", "{isolation}: {result}");
        let files = result["changed_files"].to_string();
        assert!(files.contains("a.txt"), "{isolation}: {result}");
        worker.assert_no_process_left();
        git(&["reset", "-q", "--hard"]);
        std::fs::write(top.join("a.txt"), "one\n").unwrap();
        git(&["commit", "-q", "--allow-empty", "-am", "Back"]);
    }
}
