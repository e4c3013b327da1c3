//! Git in the user's own tree: a job works in a git directory of its own, and what it committed there comes into the
//! user's when it is over. The git program is the judge.
#![cfg(target_os = "linux")]

use super::*;
use std::collections::BTreeMap;
use std::path::PathBuf;
use worker_test_support::checkout::{self, File, git};

const AS_AGENT: &str =
    "export GIT_AUTHOR_NAME=x GIT_AUTHOR_EMAIL=x@x GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x@x;";

fn new() -> Repository {
    Repository::with([
        ("src/a.txt", "one\n"),
        ("src/b.txt", "one\n"),
        ("notes.txt", "kept\n"),
        (".gitignore", "target/\n"),
    ])
}

fn agent(work: &str) -> StandIn {
    StandIn::that(&format!("{AS_AGENT} {work}"))
}

/// The files of a git directory.
fn git_files(top: &Path) -> BTreeMap<PathBuf, File> {
    checkout::files(&top.join(".git"), true)
}

fn notes(result: &Value) -> String {
    let notes = result["notes"].as_array().into_iter().flatten();
    let lines: Vec<&str> = notes.filter_map(Value::as_str).collect();
    lines.join("\n")
}

/// Nothing in it is broken, whatever a job did.
fn assert_sound(top: &Path) {
    let judged = git(top, &["fsck", "--strict", "--no-dangling"]);
    assert_eq!(judged, "", "{judged}");
    let locks = git_files(top).into_keys().filter(|path| {
        path.extension()
            .is_some_and(|extension| extension == "lock")
    });
    assert_eq!(locks.collect::<Vec<_>>(), Vec::<PathBuf>::new());
}

#[test]
fn nothing_in_the_users_git_directory_changes_while_a_job_runs() {
    let repository = new();
    let top = repository.path();
    git(top, &["tag", "v1"]);
    git(top, &["branch", "other"]);
    repository.write("src/b.txt", "staged\n");
    git(top, &["add", "src/b.txt"]);
    let agent = agent(
        "echo two > src/a.txt; git add -A; git commit -qm mine; git tag mine; git branch -D other; git tag -d v1; \
         git stash; echo x >> src/a.txt; git stash; git config core.fsmonitor ./evil; \
         echo 'exit 0' > .git/hooks/post-checkout; git update-ref refs/notes/x HEAD; \
         git worktree add -q \"$TMPDIR/elsewhere\"; git reflog expire --expire=now --all; git gc -q --prune=now; \
         rm -rf .git/logs .git/base/objects/*; echo broken > .git/index; touch .git/HEAD.lock; \
         echo done > target/done; wait_for target/go",
    );
    std::fs::create_dir(top.join("target")).unwrap();
    let before = git_files(top);
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut front = worker.serve();
    let id = started(&mut front, job(&repository));
    wait_for_file(&top.join("target/done"));
    assert_eq!(git_files(top), before);
    assert_eq!(git(top, &["log", "--format=%s"]), "start");
    std::fs::write(top.join("target/go"), "").unwrap();
    let result = ended(&mut front, &id);
    let told = notes(&result);
    for word in [
        ".git/config",
        ".git/hooks/post-checkout",
        "a stash",
        "refs/tags/v1 was deleted",
    ] {
        assert!(told.contains(word), "{word}: {result}");
    }
    // The commit has come, and branches of the job's own; nothing else moved, and nothing is gone.
    let moved = [
        "refs/heads/main",
        "index",
        "logs/HEAD",
        "logs/refs/heads/main",
    ];
    let after = git_files(top);
    for (path, file) in before
        .iter()
        .filter(|(path, _)| !moved.iter().any(|it| path.ends_with(it)))
    {
        assert_eq!(after.get(path), Some(file), "{}: {result}", path.display());
    }
    let further = after.keys().filter(|path| !before.contains_key(*path));
    for path in further {
        let place = path.to_string_lossy();
        let own = [
            "objects/",
            "refs/heads/worker/",
            "refs/tags/",
            "logs/refs/heads/worker/",
        ];
        assert!(
            own.iter().any(|own| place.starts_with(own)),
            "{place}: {result}"
        );
    }
    assert_sound(top);
}

/// A job that committed, and what git says afterwards.
struct Row {
    story: &'static str,
    /// The user's, before the job.
    prepared: &'static [&'static str],
    does: &'static str,
    /// `git log --format=%s`, newest first.
    log: &'static str,
    branch: &'static str,
    status: &'static str,
    told: &'static str,
}

#[test]
fn what_a_job_commits_comes_into_the_users_repository() {
    let rows = [
        Row {
            story: "a commit",
            prepared: &[],
            does: "echo two > src/a.txt; git commit -qam mine",
            log: "mine\nstart",
            branch: "main",
            status: "",
            told: "git: 1 commit on main (",
        },
        Row {
            story: "two commits, files made, moved and deleted",
            prepared: &[],
            does: "echo n > src/new.txt; git add -A; git commit -qm one; git mv src/a.txt src/c.txt; git rm -q src/b.txt; git commit -qm two",
            log: "two\none\nstart",
            branch: "main",
            status: "",
            told: "git: 2 commits on main (",
        },
        Row {
            story: "a part of its work",
            prepared: &[],
            does: "echo two > src/a.txt; git commit -qam mine; echo two > src/b.txt; echo n > src/new.txt; git add -A",
            log: "mine\nstart",
            branch: "main",
            status: " M src/b.txt\n?? src/new.txt",
            told: "1 commit on main",
        },
        Row {
            story: "a branch of its own",
            prepared: &[],
            does: "git checkout -qb feature/x; echo two > src/a.txt; git commit -qam mine",
            log: "mine\nstart",
            branch: "feature/x",
            status: "",
            told: "new branch feature/x, 1 commit (",
        },
        Row {
            story: "beside the user's uncommitted work",
            prepared: &[
                "echo mine > notes.txt",
                "echo staged > src/b.txt; git add src/b.txt",
            ],
            does: "echo two > src/a.txt; git commit -qm mine src/a.txt",
            log: "mine\nstart",
            branch: "main",
            status: " M notes.txt\nM  src/b.txt",
            told: "1 commit on main",
        },
        Row {
            story: "files that are converted",
            prepared: &[
                "printf '* text=auto\\n*.txt eol=crlf\\n' > .gitattributes; git add -A; git commit -qm rules; rm src/a.txt; git checkout src/a.txt",
            ],
            does: "printf 'two\\r\\n' > src/a.txt; git commit -qam mine",
            log: "mine\nrules\nstart",
            branch: "main",
            status: "",
            told: "1 commit on main",
        },
        Row {
            story: "a mode and a link",
            prepared: &[],
            does: "chmod +x src/a.txt; ln -s a.txt src/link; git add -A; git commit -qm mine",
            log: "mine\nstart",
            branch: "main",
            status: "",
            told: "1 commit on main",
        },
        Row {
            story: "refs that are packed",
            prepared: &["git tag v1; git pack-refs --all; git gc -q"],
            does: "git describe --tags > src/a.txt; git commit -qam mine; git tag -am new v2",
            log: "mine\nstart",
            branch: "main",
            status: "",
            told: "tag v2 (",
        },
        Row {
            story: "a branch of the user's",
            prepared: &["git branch other"],
            does: "git checkout -q other; echo two > src/a.txt; git commit -qam mine",
            log: "mine\nstart",
            branch: "other",
            status: "",
            told: "1 commit on other",
        },
    ];
    for row in rows {
        let Row { story, told, .. } = row;
        let repository = new();
        let top = repository.path();
        prepare(top, row.prepared);
        let agent = agent(row.does);
        let worker = Worker::with_stand_in(BINARY, &repository, &agent);
        let mut asked = job(&repository);
        // The checks see git as the agent left it.
        asked["checks"] = json!([{
            "name": "log",
            "command": format!("test \"$(git log --format=%s)\" = \"{}\" && git status >/dev/null && git -c user.name=x -c user.email=x@x commit -q --allow-empty -m check", row.log),
        }]);
        let result = run_job(&mut worker.serve(), asked);
        assert_eq!(result["job_status"], "completed", "{story}: {result}");
        assert_eq!(
            git(top, &["log", "--format=%s"]),
            row.log,
            "{story}: {result}"
        );
        assert_eq!(
            git(top, &["branch", "--show-current"]),
            row.branch,
            "{story}"
        );
        assert_eq!(
            git(top, &["status", "--short"]),
            row.status,
            "{story}: {result}"
        );
        assert!(notes(&result).contains(told), "{story}: {result}");
        let reflog = git(top, &["reflog", "-1", "--format=%gs"]);
        assert!(reflog.starts_with("worker: job "), "{story}: {reflog}");
        assert_sound(top);
    }
}

fn prepare(top: &Path, commands: &[&str]) {
    for command in commands {
        let done = std::process::Command::new("sh")
            .args(["-c", &format!("{AS_AGENT} {command}")])
            .current_dir(top)
            .status();
        assert!(done.unwrap().success(), "{command}");
    }
}

#[test]
fn what_was_not_verified_is_kept_aside_and_says_why() {
    // (story, what the agent does, what the user does before it ends, the reason)
    let rows = [
        (
            "another text than the checks saw",
            "echo evil > src/a.txt; git commit -qam mine; echo two > src/a.txt",
            "",
            "it holds src/a.txt otherwise than the checks saw it",
        ),
        (
            "a commit on the way",
            "echo evil > notes.txt; git commit -qam one; git checkout -q HEAD~ notes.txt; echo two > src/a.txt; git commit -qam two",
            "",
            "a commit touches notes.txt, which the result does not hold",
        ),
        (
            "history made anew",
            "echo two > src/a.txt; git commit -qa --amend -m mine",
            "",
            "it does not go on from where the job found it",
        ),
        (
            "a branch that is not checked out",
            "git checkout -qb aside; echo evil > src/a.txt; git commit -qam mine; git checkout -q main; echo two > src/a.txt",
            "",
            "it was not checked out when the checks ran",
        ),
        (
            "no branch",
            "git checkout -q --detach; echo two > src/a.txt; git commit -qam mine",
            "",
            "kept as worker/",
        ),
        (
            "the user committed meanwhile",
            "echo two > src/a.txt; git commit -qam mine",
            "git commit -qm users --allow-empty",
            "it moved in the repository meanwhile",
        ),
        (
            "a lock of the user's",
            "echo two > src/a.txt; git commit -qam mine",
            "touch .git/index.lock",
            "is locked by another git",
        ),
        (
            "a merge of the user's",
            "echo two > src/a.txt; git commit -qam mine",
            "git rev-parse HEAD > .git/MERGE_HEAD",
            "a merge is in progress in the checkout",
        ),
        (
            "a check failed",
            "echo wrong > src/a.txt; git commit -qam mine",
            "",
            "the job did not complete",
        ),
    ];
    for (story, does, meanwhile, reason) in rows {
        let repository = new();
        let top = repository.path();
        std::fs::create_dir(top.join("target")).unwrap();
        let agent = agent(&format!("{does}; echo x > target/done; wait_for target/go"));
        let worker = Worker::with_stand_in(BINARY, &repository, &agent);
        let mut front = worker.serve();
        let mut asked = job(&repository);
        asked["checks"] = json!([{ "name": "content", "command": "grep -q two src/a.txt" }]);
        asked["auto_revise"] = json!({ "max_passes": 0 });
        let id = started(&mut front, asked);
        wait_for_file(&top.join("target/done"));
        if !meanwhile.is_empty() {
            prepare(top, &[meanwhile]);
        }
        let head = repository.head();
        let index = std::fs::read(top.join(".git/index")).unwrap();
        std::fs::write(top.join("target/go"), "").unwrap();
        let result = ended(&mut front, &id);
        let wanted = if story == "a check failed" {
            "failed"
        } else {
            "completed"
        };
        assert_eq!(result["job_status"], wanted, "{story}: {result}");
        let told = notes(&result);
        assert!(
            told.contains(reason) && told.contains("kept as worker/"),
            "{story}: {result}"
        );
        assert_eq!(repository.head(), head, "{story}");
        assert_eq!(
            std::fs::read(top.join(".git/index")).unwrap(),
            index,
            "{story}"
        );
        assert_eq!(git(top, &["branch", "--show-current"]), "main", "{story}");
        let kept = git(
            top,
            &[
                "for-each-ref",
                "--format=%(refname:short)",
                "refs/heads/worker/",
            ],
        );
        assert!(
            kept.starts_with(&format!("worker/{id}/")),
            "{story}: {kept}"
        );
        let _ = std::fs::remove_file(top.join(".git/index.lock"));
        assert_sound(top);
    }
}

#[test]
fn commits_in_a_linked_worktree_and_in_a_submodule_come_too() {
    let repository = new();
    let top = repository.path();
    let beside = |name: &str| top.parent().unwrap().join(name);
    // A bare clone with a worktree, as many keep them.
    let (bare, linked) = (beside("bare"), beside("linked"));
    git(top, &["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    git(
        &bare,
        &[
            "worktree",
            "add",
            "-q",
            linked.to_str().unwrap(),
            "-b",
            "side",
        ],
    );
    let library = beside("library");
    git(top, &["clone", "-q", ".", library.to_str().unwrap()]);
    let outer = beside("outer");
    git(top, &["clone", "-q", ".", outer.to_str().unwrap()]);
    git(
        &outer,
        &["submodule", "add", "-q", library.to_str().unwrap(), "lib"],
    );
    git(&outer, &["commit", "-qm", "with a library"]);

    for (story, allowed, where_) in [
        ("a linked worktree", &linked, "."),
        ("a submodule", &outer, "lib"),
    ] {
        let agent = agent(&format!(
            "cd {where_} && echo two > src/a.txt && git commit -qam mine; git log --format=%s -1 > src/b.txt; git commit -qam told"
        ));
        let worker = Worker::with_stand_in(BINARY, &repository, &agent);
        let result = run_job(
            &mut worker.serve(),
            json!({ "prompt": "Change a line.", "allowed_dirs": [allowed] }),
        );
        assert_eq!(result["job_status"], "completed", "{story}: {result}");
        let place = allowed.join(where_);
        assert_eq!(
            git(&place, &["log", "--format=%s", "-3"]),
            "told\nmine\nstart",
            "{story}: {result}"
        );
        assert_eq!(git(&place, &["status", "--short"]), "", "{story}: {result}");
        assert_eq!(
            std::fs::read_to_string(place.join("src/b.txt")).unwrap(),
            "mine\n"
        );
        assert_eq!(
            git(&place, &["fsck", "--strict", "--no-dangling"]),
            "",
            "{story}"
        );
    }
    // A branch that another worktree has checked out stays where it is.
    git(
        &bare,
        &[
            "worktree",
            "add",
            "-q",
            beside("second").to_str().unwrap(),
            "-b",
            "second",
        ],
    );
    let agent = agent("git checkout -q second && echo three > src/a.txt && git commit -qam other");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let result = run_job(
        &mut worker.serve(),
        json!({ "prompt": "Change a line.", "allowed_dirs": [linked] }),
    );
    assert!(notes(&result).contains("it is checked out in "), "{result}");
    assert_eq!(git(&linked, &["branch", "--show-current"]), "side");
    assert_eq!(git(&beside("second"), &["status", "--short"]), "");
}

/// The first commit of such a clone names parents that are not there.
#[test]
fn commits_in_a_shallow_clone_come_too() {
    let repository = new();
    repository.write("notes.txt", "more\n");
    repository.commit("more");
    let clone = repository.path().parent().unwrap().join("shallow");
    let source = format!("file://{}", repository.path().display());
    let arguments = ["clone", "-q", "--depth=1", &source, clone.to_str().unwrap()];
    git(repository.path(), &arguments);
    let agent =
        agent("echo two > src/a.txt; git commit -qam mine; git tag mine; git tag old HEAD~1");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let result = run_job(
        &mut worker.serve(),
        json!({ "prompt": "Change a line.", "allowed_dirs": [clone] }),
    );
    assert_eq!(result["job_status"], "completed", "{result}");
    assert_eq!(
        git(&clone, &["log", "--format=%s"]),
        "mine\nmore",
        "{result}"
    );
    assert_eq!(git(&clone, &["tag"]), "mine\nold", "{result}");
    assert_eq!(git(&clone, &["status", "--short"]), "", "{result}");
    assert_sound(&clone);
}

/// The runner is killed again and again while it brings commits: git works, and nothing of the user's is gone.
#[test]
fn a_runner_that_is_killed_while_it_brings_commits_leaves_a_working_repository() {
    let repository = new();
    let top = repository.path();
    for number in 0..300 {
        repository.write(format!("many/{number}.txt"), format!("{number}\n"));
    }
    repository.commit("Many");
    let agent = agent("for f in many/*; do echo x >> $f; done; git commit -qam mine");
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut front = worker.serve();
    for round in 0..12u64 {
        let before = git(top, &["rev-list", "--count", "HEAD"])
            .parse::<u32>()
            .unwrap();
        let id = started(&mut front, job(&repository));
        let own = worker.state_dir().join("jobs").join(&id).join("git");
        let log = own.join("0/logs/refs/heads/main");
        wait_for("the agent's commit", || {
            std::fs::read_to_string(&log).is_ok_and(|log| log.ends_with("commit: mine\n"))
                || get(&mut front, &id)["job_status"] == "completed"
        });
        // Places the kill somewhere between that and the end.
        std::thread::sleep(Duration::from_millis(round * 8));
        for runner in worker.runners() {
            worker_test_support::worker::kill(runner);
        }
        let result = ended(&mut front, &id);
        assert_sound(top);
        let after = git(top, &["rev-list", "--count", "HEAD"])
            .parse::<u32>()
            .unwrap();
        assert!(after == before || after == before + 1, "{result}");
        // Whatever is staged or not, it is the job's work, and a commit can be made.
        git(top, &["add", "-A"]);
        git(top, &["commit", "-q", "--allow-empty", "-m", "mine again"]);
        assert_eq!(git(top, &["status", "--short"]), "");
    }
}

/// Nobody verified what such a job committed, and nobody else has it.
#[test]
fn what_a_job_committed_that_was_cut_short_is_kept_aside() {
    let commits = "echo two > src/a.txt; git commit -qam mine; git tag -am x v2; git checkout -qb more; \
        echo three > src/b.txt; git commit -qam more; echo x > target/done;";
    for (story, status) in [
        ("cancelled", "cancelled"),
        ("out of time", "timed_out"),
        ("its agent failed", "failed"),
        ("its runner is killed", "interrupted"),
        ("its runner is killed, and many look", "interrupted"),
    ] {
        let repository = new();
        let top = repository.path();
        std::fs::create_dir(top.join("target")).unwrap();
        let last = match status {
            "failed" => "exit 3",
            _ => "wait_for target/never",
        };
        let agent = agent(&format!("{commits} {last}"));
        let worker = Worker::with_stand_in(BINARY, &repository, &agent);
        let mut front = worker.serve();
        let mut asked = job(&repository);
        if status == "timed_out" {
            asked["timeout_ms"] = 10_000.into();
        }
        asked["auto_revise"] = json!({ "max_passes": 0 });
        let before = git_files(top);
        let id = started(&mut front, asked);
        wait_for_file(&top.join("target/done"));
        match status {
            "cancelled" => drop(call(&mut front, "cancel", json!({ "job_id": id }))),
            "interrupted" => {
                for runner in worker.runners() {
                    worker_test_support::worker::kill(runner);
                }
                if story.ends_with("look") {
                    let shows = (0..4).map(|_| {
                        let mut show = worker.command(["jobs", "show", &id]);
                        show.stdout(std::process::Stdio::null()).spawn().unwrap()
                    });
                    for mut show in shows.collect::<Vec<_>>() {
                        show.wait().unwrap();
                    }
                }
            }
            _ => {}
        }
        let result = ended(&mut front, &id);
        assert_eq!(result["job_status"], status, "{story}: {result}");
        let kept = git(top, &["for-each-ref", "--format=%(refname)"]);
        assert_eq!(
            kept,
            format!(
                "refs/heads/main\nrefs/heads/worker/{id}/main\nrefs/heads/worker/{id}/more\nrefs/tags/worker/{id}/v2"
            ),
            "{story}: {result}"
        );
        let more = format!("worker/{id}/more");
        assert_eq!(
            git(top, &["log", "--format=%s", &more]),
            "more\nmine\nstart",
            "{story}"
        );
        let told = match status {
            "interrupted" => result["error"]["message"].as_str().unwrap().to_owned(),
            _ => notes(&result),
        };
        assert!(
            told.contains(&format!("kept as worker/{id}/")),
            "{story}: {result}"
        );
        // The user's checkout is where it was; the job's files are in the tree.
        for name in ["HEAD", "index", "refs/heads/main"] {
            let name = PathBuf::from(name);
            let place = before.keys().find(|path| path.ends_with(&name)).unwrap();
            assert_eq!(git_files(top).get(place), before.get(place), "{story}");
        }
        assert_eq!(
            git(top, &["status", "--short"]),
            " M src/a.txt\n M src/b.txt"
        );
        assert_sound(top);
    }
}

/// A repository that is another one by then, or none, takes nothing; the result says that something is lost.
#[test]
fn nothing_is_kept_in_a_repository_that_took_the_place_of_another() {
    let repository = new();
    let top = repository.path();
    std::fs::create_dir(top.join("target")).unwrap();
    let agent = agent(
        "echo two > src/a.txt; git commit -qam mine; echo x > target/done; wait_for target/never",
    );
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut front = worker.serve();
    let id = started(&mut front, job(&repository));
    wait_for_file(&top.join("target/done"));
    for runner in worker.runners() {
        worker_test_support::worker::kill(runner);
    }
    let aside = top.parent().unwrap().join("aside");
    std::fs::rename(top.join(".git"), &aside).unwrap();
    git(top, &["init", "-q"]);
    let result = ended(&mut front, &id);
    assert_eq!(result["job_status"], "interrupted", "{result}");
    let told = result["error"]["message"].as_str().unwrap();
    assert!(
        told.contains("not all that it committed could be kept"),
        "{result}"
    );
    assert_eq!(git(top, &["for-each-ref"]), "");
}

/// Most people are no root, and their overlays and user namespaces are another thing.
#[test]
fn an_ordinary_users_job_commits_too() {
    if !rustix::process::geteuid().is_root() {
        return; // Then every other story here is one of an ordinary user.
    }
    let repository = new();
    let top = repository.path();
    let agent = agent(
        "echo two > src/a.txt; git commit -qam mine; git stash list > src/b.txt; git commit -qam two",
    );
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let cache = worker.home().join("cache");
    let worker = worker.set("WORKER_CACHE_DIR", cache.display());
    for folder in [top.parent().unwrap(), worker.home(), agent.folder()] {
        let given = std::process::Command::new("chown")
            .args(["-R", "65534:65534"])
            .arg(folder)
            .status();
        assert!(given.unwrap().success());
    }
    let mut asked = job(&repository);
    asked["checks"] = json!([{ "name": "log", "command": "test $(git log --oneline | wc -l) = 3 && git gc -q && echo x > src/new.txt" }]);
    let file = worker.home().join("job.json");
    std::fs::write(&file, asked.to_string()).unwrap();
    let plain = worker.command(["run", "--job"]);
    let output = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(BINARY)
        .args(["run", "--job"])
        .arg(&file)
        .env_clear()
        .envs(
            plain
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .current_dir(worker.home())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("2 commits on main"),
        "{text} {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let as_user = |arguments: &[&str]| {
        let output = std::process::Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "git"])
            .args(arguments)
            .current_dir(top)
            .env("HOME", "/nonexistent")
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned()
    };
    assert_eq!(as_user(&["log", "--format=%s"]), "two\nmine\nstart");
    assert_eq!(as_user(&["status", "--short"]), "");
    assert_eq!(as_user(&["fsck", "--strict"]), "");
}

/// The host reads what the job committed with its own rights, so nothing that the job wrote may lead it elsewhere.
#[test]
fn no_object_of_another_repository_is_brought() {
    let other = Repository::with([("secret.txt", "of another repository\n")]);
    let objects = other.path().join(".git/objects");
    let blob = git(other.path(), &["rev-parse", "HEAD:secret.txt"]);
    let (fan, rest) = blob.split_at(2);
    let tree = format!("printf '100644 blob {blob}\\tsrc/a.txt\\n'");
    let commit = format!(
        "T=$({tree} | sed 's|src/||' | git mktree --missing); R=$(printf \"040000 tree $T\\tsrc\\n\" | git mktree --missing); \
         C=$(git commit-tree -p HEAD -m mine $R); git update-ref refs/heads/main $C"
    );
    let ways = [
        format!("echo {} >> .git/objects/info/alternates", objects.display()),
        format!(
            "mkdir -p .git/objects/{fan}; ln -s {}/{fan}/{rest} .git/objects/{fan}/{rest}",
            objects.display()
        ),
        format!(
            "rm -rf .git/objects/{fan}; ln -s {}/{fan} .git/objects/{fan}",
            objects.display()
        ),
        format!(
            "mv .git/objects .git/old; ln -s {} .git/objects",
            objects.display()
        ),
    ];
    for way in ways {
        let repository = new();
        let agent = agent(&format!("echo two > src/a.txt; {commit}; {way}"));
        let worker = Worker::with_stand_in(BINARY, &repository, &agent);
        let result = run_job(&mut worker.serve(), job(&repository));
        assert!(notes(&result).contains("not taken over"), "{way}: {result}");
        assert_eq!(
            git(repository.path(), &["log", "--format=%s", "--all"]),
            "start",
            "{way}"
        );
        let there = repository
            .git()
            .odb()
            .unwrap()
            .exists(blob.parse().unwrap());
        assert!(!there, "{way}: {result}");
    }
}

/// A name that git takes for something else would lead the user's next command astray.
#[test]
fn no_name_that_misleads_is_taken() {
    let repository = new();
    let top = repository.path();
    git(top, &["update-ref", "refs/remotes/origin/main", "HEAD"]);
    let short = git(top, &["rev-parse", "--short", "HEAD"]);
    let agent = agent(&format!(
        "echo two > src/a.txt; git commit -qam mine; git tag main; git tag {short}; git tag origin/main; git tag stash; \
         git update-ref refs/tags/-f HEAD; git update-ref refs/tags/HEAD HEAD; git tag v2"
    ));
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let result = run_job(&mut worker.serve(), job(&repository));
    assert_eq!(result["job_status"], "completed", "{result}");
    let id = result["job_id"].as_str().unwrap();
    let tags = git(top, &["tag"]);
    let (own, others): (Vec<&str>, Vec<&str>) = tags
        .lines()
        .partition(|tag| tag.starts_with(&format!("worker/{id}/")));
    assert_eq!(others, ["v2"], "{tags}");
    assert_eq!(own.len(), 6, "{tags}");
    assert!(
        notes(&result).contains("git would take its name for something else"),
        "{result}"
    );
    assert_eq!(
        git(top, &["rev-parse", "main"]),
        git(top, &["rev-parse", "HEAD"])
    );
}

/// Objects that git itself would not make, in a folder that no rule of changes looks at; the agent takes them into its git.
fn plant(repository: &Repository, objects: &[(git2::ObjectType, Vec<u8>)]) -> Vec<git2::Oid> {
    let scratch = tempfile::tempdir().unwrap();
    let made = git2::Repository::init_bare(scratch.path()).unwrap();
    let odb = made.odb().unwrap();
    let write = |(kind, bytes): &(git2::ObjectType, Vec<u8>)| odb.write(*kind, bytes).unwrap();
    let ids = objects.iter().map(write).collect();
    let target = repository.path().join("target");
    std::fs::create_dir_all(&target).unwrap();
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .args([scratch.path().join("objects"), target])
        .status();
    assert!(copied.unwrap().success());
    ids
}

fn tree_entry(mode: &str, name: &[u8], id: git2::Oid) -> Vec<u8> {
    [mode.as_bytes(), b" ", name, b"\0", id.as_bytes()].concat()
}

fn commit_of(tree: git2::Oid, parent: impl std::fmt::Display) -> Vec<u8> {
    let who = "x <x@x> 1 +0000";
    format!("tree {tree}\nparent {parent}\nauthor {who}\ncommitter {who}\n\nodd\n").into_bytes()
}

fn tag_of(target: impl std::fmt::Display, kind: &str) -> Vec<u8> {
    format!("object {target}\ntype {kind}\ntag odd\ntagger x <x@x> 1 +0000\n\nodd\n").into_bytes()
}

/// A dozen objects can name any number of files: git's own programs end for want of memory where they list them.
#[test]
fn a_tree_that_holds_itself_again_and_again_is_refused_by_name() {
    let hash = |kind, bytes: &[u8]| git2::Oid::hash_object(kind, bytes).unwrap();
    let repository = new();
    let top = repository.path();
    let mut objects = vec![(git2::ObjectType::Blob, b"x\n".to_vec())];
    let mut below = ("100644", hash(git2::ObjectType::Blob, b"x\n"));
    // 10^12 files.
    for _ in 0..12 {
        let entry = |name: u8| tree_entry(below.0, &[b'0' + name], below.1);
        let tree: Vec<u8> = (0..10).flat_map(entry).collect();
        below = ("40000", hash(git2::ObjectType::Tree, &tree));
        objects.push((git2::ObjectType::Tree, tree));
    }
    let commit = commit_of(below.1, repository.head());
    let commit_id = hash(git2::ObjectType::Commit, &commit);
    objects.push((git2::ObjectType::Commit, commit));
    plant(&repository, &objects);
    for (story, does, told) in [
        (
            "the branch that is checked out",
            format!("git update-ref refs/heads/main {commit_id}"),
            "main is not taken over: more than",
        ),
        (
            "a branch beside it, its end made good",
            format!(
                "git update-ref refs/heads/other $(git commit-tree -p {commit_id} -m good HEAD^{{tree}})"
            ),
            "other is not taken over: more than",
        ),
        (
            "a tag of the tree alone",
            format!("git update-ref refs/tags/tree {}", below.1),
            "tree is not taken over: more than",
        ),
    ] {
        let agent = agent(&format!(
            "cp -r target/objects .git/; echo two > src/a.txt; {does}"
        ));
        let worker = Worker::with_stand_in(BINARY, &repository, &agent);
        let result = run_job(&mut worker.serve(), job(&repository));
        assert_eq!(result["job_status"], "completed", "{story}: {result}");
        assert!(notes(&result).contains(told), "{story}: {result}");
        let refs = git(top, &["for-each-ref", "--format=%(refname)"]);
        assert_eq!(refs, "refs/heads/main", "{story}");
        assert!(
            !repository.git().odb().unwrap().exists(below.1),
            "{story}: {result}"
        );
        git(top, &["checkout", "-q", "src/a.txt"]);
        assert_sound(top);
    }
}

/// One object that contradicts itself, and git works in the repository no more.
#[test]
fn no_object_comes_that_git_takes_for_broken() {
    use git2::ObjectType::{Commit, Tag, Tree};
    let repository = new();
    let top = repository.path();
    let id = |name: &str| -> git2::Oid { git(top, &["rev-parse", name]).parse().unwrap() };
    let (head, tree, blob) = (id("HEAD"), id("HEAD^{tree}"), id("HEAD:src/a.txt"));
    let modules = "\u{200c}.gitmodules".as_bytes();
    let rows = [
        ("a tag that lies of its kind", Tag, tag_of(head, "blob")),
        (
            "a tag of what is not there",
            Tag,
            tag_of("ab".repeat(20), "commit"),
        ),
        (
            "a file that is a folder",
            Tree,
            tree_entry("100644", b"a", tree),
        ),
        (
            "a folder that is a file",
            Tree,
            tree_entry("40000", b"a", blob),
        ),
        (
            "one object as a file and as a folder",
            Tree,
            [
                tree_entry("100644", b"a", blob),
                tree_entry("40000", b"b", blob),
            ]
            .concat(),
        ),
        ("a commit on a folder", Commit, commit_of(tree, tree)),
        ("a commit of a file", Commit, commit_of(blob, head)),
        (
            "a name for HFS+",
            Tree,
            tree_entry("100644", ".g\u{200c}it".as_bytes(), blob),
        ),
        (
            "a name for NTFS",
            Tree,
            tree_entry("100644", b"GIT~1 .", blob),
        ),
        (
            "a stream of NTFS",
            Tree,
            tree_entry("100644", b".git::$DATA", blob),
        ),
        (
            "modules that lead elsewhere",
            Tree,
            tree_entry("120000", modules, blob),
        ),
        (
            "an author of no time",
            Commit,
            [
                b"tree ",
                tree.to_string().as_bytes(),
                b"\nauthor x <x@x>\ncommitter x <x@x>\n\nodd\n",
            ]
            .concat(),
        ),
    ];
    let objects: Vec<_> = rows.iter().map(|row| (row.1, row.2.clone())).collect();
    let ids = plant(&repository, &objects);
    let refs: String = ids
        .iter()
        .enumerate()
        .map(|(number, id)| format!("echo {id} > .git/refs/tags/odd{number}; "))
        .collect();
    let agent = agent(&format!(
        "echo two > src/a.txt; git commit -qam mine; cp -r target/objects .git/; {refs} \
         git tag -am x good; git rev-parse good > .git/refs/heads/tag"
    ));
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let mut asked = job(&repository);
    asked["checks"] = json!([{ "name": "content", "command": "grep -q two src/a.txt" }]);
    let result = run_job(&mut worker.serve(), asked);
    assert_eq!(result["job_status"], "completed", "{result}");
    let found = git(top, &["for-each-ref", "--format=%(refname)"]);
    assert_eq!(found, "refs/heads/main\nrefs/tags/good", "{result}");
    let told = notes(&result);
    for (number, (story, ..)) in rows.iter().enumerate() {
        let refused = format!("odd{number} is not taken over: ");
        assert!(told.contains(&refused), "{story}: {result}");
    }
    assert!(told.contains("tag is not taken over: "), "{result}");
    assert_sound(top);
    git(top, &["gc", "-q"]);
}

/// `v2` says to whoever sees it that this is what was verified.
#[test]
fn a_tag_has_its_own_name_only_where_it_names_what_was_verified() {
    let repository = new();
    let top = repository.path();
    repository.write("notes.txt", "more\n");
    repository.commit("more");
    let make = "git tag plain; git tag -am x noted; git tag old HEAD~2; git tag way HEAD~1; \
        git tag tree HEAD~1^{tree}; git tag file HEAD:src/a.txt; git tag -am x noted-file HEAD:src/a.txt; git tag nested noted";
    // The rest of a job that was refused lies in the user's objects; to a later job that is no proof.
    let rows = [
        (
            "the branch came",
            "echo one > src/b.txt; git commit -qam one --allow-empty; echo two > src/a.txt; git commit -qam two",
            "nested noted old plain",
            "file noted-file tree way",
        ),
        (
            "a commit on the way was hidden",
            "echo evil > evil.txt; git add -A; git commit -qm one; git rm -q evil.txt; echo three > src/a.txt; git add -A; git commit -qm two",
            "old",
            "file nested noted noted-file plain tree way",
        ),
    ];
    for (story, does, own, aside) in rows {
        let agent = agent(&format!("{does}; {make}"));
        let worker = Worker::with_stand_in(BINARY, &repository, &agent);
        let result = run_job(&mut worker.serve(), job(&repository));
        assert_eq!(result["job_status"], "completed", "{story}: {result}");
        let id = result["job_id"].as_str().unwrap();
        let (kept, plain): (Vec<String>, Vec<String>) = git(top, &["tag"])
            .lines()
            .map(str::to_owned)
            .partition(|tag| tag.starts_with("worker/"));
        assert_eq!(plain.join(" "), own, "{story}: {result}");
        let wanted: Vec<String> = aside
            .split(' ')
            .map(|it| format!("worker/{id}/{it}"))
            .collect();
        assert_eq!(kept, wanted, "{story}: {result}");
        assert!(
            notes(&result).contains("it names what was not verified"),
            "{story}: {result}"
        );
        assert_sound(top);
        git(top, &["tag", "-d", "old"]);
        for tag in plain.iter().chain(&kept).filter(|tag| *tag != "old") {
            git(top, &["tag", "-d", tag]);
        }
    }
    // What the second job left aside is known to the repository, and was verified no more than before.
    let left = git(
        top,
        &[
            "for-each-ref",
            "--format=%(objectname)",
            "refs/heads/worker/",
        ],
    );
    let agent = agent(&format!("echo four > src/a.txt; git tag again {left}"));
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let result = run_job(&mut worker.serve(), job(&repository));
    let id = result["job_id"].as_str().unwrap();
    assert_eq!(git(top, &["tag"]), format!("worker/{id}/again"), "{result}");
}

/// Each ref is a file in the user's git directory and a line of the answer.
#[test]
fn only_so_many_refs_come_and_the_note_stays_short() {
    let repository = new();
    let top = repository.path();
    let long = "x".repeat(200);
    git(top, &["branch", "one"]);
    let agent = agent(&format!(
        "echo two > src/a.txt; git commit -qam mine; C=$(git rev-parse HEAD); i=0; \
         while [ $i -lt 700 ]; do i=$((i+1)); echo \"$C refs/heads/{long}/$i\"; done >> .git/packed-refs; \
         i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo exit > .git/hooks/h$i; done"
    ));
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let result = run_job(&mut worker.serve(), job(&repository));
    assert_eq!(result["job_status"], "completed", "{result}");
    let told = notes(&result);
    assert!(
        told.contains("637 more refs are not taken over"),
        "{result}"
    );
    assert!(told.contains("git: 1 commit on main"), "{result}");
    assert!(told.contains(".git/hooks/h1, "), "{result}");
    assert!(told.len() < 4_000, "{}: {told}", told.len());
    assert_eq!(git(top, &["for-each-ref"]).lines().count(), 65, "{result}");
    assert_sound(top);
}

/// A note is read in a terminal, and by a model.
#[test]
fn no_note_shows_the_name_of_a_ref_raw() {
    let repository = new();
    let top = repository.path();
    let odd = "b\u{202e}x";
    let agent = agent(&format!(
        "git checkout -qb '{odd}'; echo two > src/a.txt; git commit -qam mine; \
         printf '%s refs/heads/c\\033[31m\\n' $(git rev-parse HEAD) >> .git/packed-refs"
    ));
    let worker = Worker::with_stand_in(BINARY, &repository, &agent);
    let result = run_job(&mut worker.serve(), job(&repository));
    let told = notes(&result);
    let raw = |text: &str| {
        let odd = |it: char| it == '\u{202e}' || (it.is_control() && it != '\n');
        text.chars().any(odd)
    };
    assert!(!raw(&told) && told.contains("\\342\\200\\256"), "{result}");
    let id = result["job_id"].as_str().unwrap();
    let log = worker.command(["jobs", "show", id]).output().unwrap();
    let log = String::from_utf8(log.stdout).unwrap();
    assert!(!raw(&log), "{log}");
    // It looks like another, so it does not stand among the user's.
    assert_eq!(git(top, &["branch", "--show-current"]), "main", "{result}");
}
