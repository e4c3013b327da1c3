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
