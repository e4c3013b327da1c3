//! Verification as a whole: real commands in real process trees, the bundled check components, the evidence that comes
//! of it, and what an agent can try to fool it with.
#![allow(
    clippy::type_complexity,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use job::EndCause;
use job::artifacts::Artifacts;
use job::checks::{
    CheckSpec, CommandCheck, CommandLine, OnViolation, Origin, PluginCheck, ScopedPatch,
};
use job::report::{self, Ended};
use job::verify::revise::{self, Decision};
use job::verify::{
    self, AgentEvidence, Cause, CheckVerdict, Evidence, Outcome, Place, Plan, Rooms, Tree, Verdicts,
};
use plugins::{Engine, PluginSet, PluginSettings};
use process::{Confinement, SandboxMode};
use redact::{KnownValues, Redactor};
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use worker_test_support::Repository;
use workspace::{Base, Changes, GitIdentity, Limits, Root, Workspace};

/// A secret that no output may show.
const SECRET: &str = "correct-horse-battery-staple-42";

/// A job whose agent has done its work.
struct Job {
    repository: Repository,
    base: Base,
    storage: tempfile::TempDir,
    workspace: Workspace,
    checks: Vec<CheckSpec>,
    scope: Option<ScopedPatch>,
    expect_changes: Option<bool>,
    agent: AgentEvidence,
    stop: CancellationToken,
    time: Duration,
    rooms: Arc<Rooms>,
    /// The machine gives no view, so checks run in the tree itself.
    in_the_tree: bool,
}

impl Job {
    fn in_repository<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::on(Repository::with(files))
    }

    fn on(repository: Repository) -> Self {
        let storage = tempfile::tempdir().unwrap();
        let root = Root::open(&repository.root()).unwrap();
        let workspace = Workspace::open(&root, &[repository.path().to_owned()]).unwrap();
        let base =
            Base::capture(&workspace, &storage.path().join("base"), Limits::default()).unwrap();
        Self {
            rooms: Arc::new(Rooms::below(storage.path().join("checks"))),
            in_the_tree: false,
            repository,
            base,
            storage,
            workspace,
            checks: Vec::new(),
            scope: None,
            expect_changes: None,
            agent: AgentEvidence::default(),
            stop: CancellationToken::new(),
            time: Duration::from_secs(120),
        }
    }

    fn check(mut self, check: CheckSpec) -> Self {
        self.checks.push(check);
        self
    }

    fn scope(mut self, paths: &[&str]) -> Self {
        self.scope = Some(ScopedPatch {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            max_diff_bytes: None,
            on_violation: OnViolation::Fail,
        });
        self
    }

    fn changes(&self) -> Arc<Changes> {
        Arc::new(self.base.changes().unwrap())
    }

    async fn verify(&self) -> Verdicts {
        let plan = Plan {
            checks: &self.checks,
            scoped_patch: self.scope.as_ref(),
            expect_changes: self.expect_changes,
            own_git: false,
            bare_copy_of: None,
            pass: 1,
            base: &self.base,
            place: Place {
                tree: Tree {
                    root: self.workspace.root().clone(),
                    work_dir: self.workspace.work_dir().to_owned(),
                    top: self.workspace.top().to_owned(),
                    is_own: true,
                    git_writes: Vec::new(),
                    cargo_packages: false,
                    git_identity: GitIdentity::default(),
                    confinement: Confinement {
                        mode: SandboxMode::Auto,
                        write: vec![self.workspace.top().to_owned(), self.marks()],
                        landlock_only: self.in_the_tree,
                        ..Confinement::off()
                    },
                },
                rooms: Arc::clone(&self.rooms),
                extra_env: vec![("MARKS".into(), self.marks().into())],
            },
            deadline: Instant::now() + self.time,
            stop: self.stop.clone(),
            digest_bytes: 2_000,
        };
        let evidence = Evidence {
            job_id: "0123456789abcdef0123456789abcdef",
            task: "Repair it.",
            changes: self.changes(),
            agent: self.agent.clone(),
            agent_message: "All checks pass.",
            budget: None,
        };
        verify::run(
            &plan,
            &evidence,
            &plugins(),
            &redactor(),
            &self.artifacts(),
            |_| {},
        )
        .await
        .verdicts
    }

    /// A folder that the operator lets every job write (WORKER_SANDBOX_WRITE): what is there outlives a check.
    fn marks(&self) -> std::path::PathBuf {
        let marks = self.storage.path().join("marks");
        std::fs::create_dir_all(&marks).unwrap();
        marks
    }

    fn artifacts(&self) -> Artifacts {
        Artifacts::in_job(self.storage.path())
    }
}

fn plugins() -> PluginSet {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin-cache");
    PluginSet::load(&Engine::shared(&cache).unwrap(), &PluginSettings::default())
}

fn redactor() -> Redactor {
    let mut known = KnownValues::new();
    known.add("secret", SECRET);
    Redactor::new(known, Vec::new())
}

fn command(command: CommandLine) -> CommandCheck {
    CommandCheck::new("unit tests", command, 60_000)
}

fn shell(script: &str) -> CheckSpec {
    CheckSpec::Command(command(CommandLine::Shell(script.into())))
}

fn argv(words: &[&str]) -> CheckSpec {
    CheckSpec::Command(command(CommandLine::Argv(
        words.iter().map(|word| (*word).to_owned()).collect(),
    )))
}

fn within(ms: u64, check: CheckSpec) -> CheckSpec {
    match check {
        CheckSpec::Command(check) => CheckSpec::Command(CommandCheck {
            timeout_ms: ms,
            ..check
        }),
        other => other,
    }
}

fn component(plugin: &str, settings: serde_json::Value) -> CheckSpec {
    CheckSpec::Plugin(PluginCheck {
        name: plugin.into(),
        plugin: plugin.into(),
        settings,
        origin: Origin::Job,
    })
}

fn only(verdicts: &Verdicts) -> &CheckVerdict {
    let [verdict] = verdicts.checks.as_slice() else {
        panic!("one verdict: {:?}", verdicts.lines())
    };
    verdict
}

/// A check that hangs, floods, forks, reads, wants a terminal, or is not there: each has a verdict of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_command_does_has_a_verdict_of_its_own() {
    let rows: Vec<(&str, CheckSpec, &str)> = vec![
        ("passes", shell("true"), "unit tests: passed"),
        ("fails", shell("exit 3"), "unit tests: failed (exit code 3)"),
        (
            "says 124 itself",
            shell("exit 124"),
            "unit tests: failed (exit code 124)",
        ),
        (
            "reads its input",
            shell("cat; read line || exit 5"),
            "unit tests: failed (exit code 5)",
        ),
        (
            "wants a terminal",
            shell("exec </dev/tty || exit 6"),
            "unit tests: failed (exit code",
        ),
        (
            "hangs",
            within(300, shell("sleep 600")),
            "unit tests: timed out (after 300 ms)",
        ),
        (
            "hangs and ignores signals",
            within(300, shell("trap '' INT TERM; while :; do sleep 1; done")),
            "unit tests: timed out (after 300 ms)",
        ),
        (
            "closes its output and hangs",
            within(300, shell("exec >/dev/null 2>&1; sleep 600")),
            "unit tests: timed out (after 300 ms)",
        ),
        (
            "leaves a daemon that keeps the output",
            shell("(setsid sleep 600 &) ; echo done"),
            "unit tests: passed",
        ),
        (
            "prints 73 MB",
            shell("yes 0123456789012345678901234567890123456789 | head -c 76546048"),
            "unit tests: passed",
        ),
        (
            "prints 73 MB and fails",
            shell("yes 0123456789012345678901234567890123456789 | head -c 76546048; exit 3"),
            "unit tests: failed (exit code 3)",
        ),
        (
            "prints for ever",
            within(3_000, shell("exec yes")),
            "unit tests: timed out (after 3 s)",
        ),
        (
            "is bash",
            shell("set -o pipefail; [[ -e data.txt ]] && ! false | true"),
            "unit tests: passed",
        ),
        (
            "fails the first time",
            shell("test -e $MARKS/was-here || { touch $MARKS/was-here; exit 4; }"),
            "unit tests: flaky (1 of 2 runs on the same files failed)",
        ),
        (
            "is ended by a signal",
            argv(&["sh", "-c", "kill -9 $$"]),
            "unit tests: failed (killed by signal 9 (SIGKILL, often: out of memory))",
        ),
        (
            "a child of its shell is",
            shell("sh -c 'kill -11 $$'; exit $?"),
            "unit tests: failed (exit code 139: killed by signal 11 (SIGSEGV))",
        ),
        (
            "is not there",
            argv(&["no-such-program", "x"]),
            "unit tests: errored (program not found: no-such-program)",
        ),
        (
            "is not there, in a shell",
            shell("no-such-program x"),
            "unit tests: failed (exit code 127: command not found)",
        ),
        (
            "may not be run",
            argv(&["./data.txt"]),
            "unit tests: errored (not executable: ./data.txt)",
        ),
        (
            "may not be run, in a shell",
            shell("./data.txt"),
            "unit tests: failed (exit code 126: found but not executable)",
        ),
        ("has no words", argv(&[]), "unit tests: errored"),
    ];
    for (story, check, wanted) in rows {
        let job = Job::in_repository([("data.txt", "data\n")]).check(check);
        job.repository.write("new.txt", "a change\n");
        let line = only(&job.verify().await).line();
        assert!(line.starts_with(wanted), "{story}: {line}");
    }
}

/// Evidence is what stands at the end: a check runs what the agent wrote, and can do what the agent could not. Where it has
/// a view of the tree, that is thrown away; where it has none, what it wrote is told and put back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_check_writes_is_never_the_jobs_result() {
    const ALTERED: &str = "verification: failed (the checks changed src/new.txt, so what they proved is not what the agent left)";
    const OUTSIDE: &str =
        "check_writes: failed (the checks wrote outside the scope: docs/readme.md)";
    const MOVED: &str =
        "check_writes: failed (the checks wrote outside the scope: docs/b.md, docs/readme.md)";
    let rows: [(&str, &[&str], &[&str]); 16] = [
        ("echo fine", &[], &[]),
        ("echo other > src/new.txt", &[ALTERED], &[ALTERED]),
        ("rm src/new.txt", &[ALTERED], &[ALTERED]),
        ("chmod +x src/new.txt", &[ALTERED], &[ALTERED]),
        ("mv src/new.txt src/moved.txt", &[ALTERED], &[ALTERED]),
        (
            "rm src/new.txt; ln -s a.txt src/new.txt",
            &[ALTERED],
            &[ALTERED],
        ),
        (
            "rm -r src; mkdir src; cp docs/readme.md src/",
            &[ALTERED],
            &[ALTERED],
        ),
        (
            "mv src elsewhere; ln -s elsewhere src",
            &[ALTERED],
            &[ALTERED, "check_writes: failed"],
        ),
        ("touch src/new.txt; cat src/new.txt >/dev/null", &[], &[]),
        ("cp src/new.txt x; mv x src/new.txt", &[], &[]),
        ("echo other > docs/readme.md", &[], &[OUTSIDE]),
        ("rm docs/readme.md", &[], &[OUTSIDE]),
        ("mv docs/readme.md docs/b.md", &[], &[MOVED]),
        ("echo log > src/report.xml", &[], &[]),
        ("echo lock > Cargo.lock", &[], &[]),
        ("mkdir -p target && echo o > target/out", &[], &[]),
    ];
    for (script, in_a_view, in_the_tree) in rows {
        for (form, wanted) in [
            ("layer", in_a_view),
            ("copy", in_a_view),
            ("tree", in_the_tree),
        ] {
            let mut job = Job::in_repository([
                ("src/a.txt", "a\n"),
                ("docs/readme.md", "d\n"),
                (".gitignore", "target/\n"),
            ])
            .scope(&["src"])
            .check(shell(script));
            job.in_the_tree = form == "tree";
            if form == "copy" {
                job.rooms = Arc::new(Rooms::in_copies(job.storage.path().join("copies")));
            }
            job.repository.write("src/new.txt", "a change\n");
            let taken = job.changes().digest();
            let lines = job.verify().await.lines();
            assert_eq!(lines[1], "unit tests: passed", "{script} {form}");
            let lines = &lines[2..];
            assert!(
                lines.len() == wanted.len()
                    && lines
                        .iter()
                        .zip(wanted)
                        .all(|(line, wanted)| line.starts_with(wanted)),
                "{script} {form}: {lines:?}"
            );
            assert_eq!(
                job.changes().digest(),
                taken,
                "{script} {form}: what stands"
            );
            let told = job.rooms.note().unwrap_or_default();
            let wanted = match form {
                "layer" => "",
                "copy" => "checks ran in copies of the tree: ",
                _ => "checks ran in the tree itself: ",
            };
            assert!(
                told.starts_with(wanted) && (form != "layer" || told.is_empty()),
                "{form}: {told}"
            );
        }
    }
}

/// The agent marks a folder and an empty file in it as a layer's own, which changes neither.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marks_of_layers_hide_no_file_from_a_check() {
    let job = Job::in_repository([("src/a.txt", "a\n"), ("src/empty.txt", ""), ("b/c.txt", "")])
        .check(shell(
            "test -e src/empty.txt && test -e new/empty.txt && test -e b/c.txt",
        ));
    let top = job.repository.path();
    job.repository.write("new/empty.txt", "");
    let flags = rustix::fs::XattrFlags::empty();
    for (folder, file) in [("src", "empty.txt"), ("new", "empty.txt")] {
        for (path, name, value) in [
            (top.join(folder), "user.overlay.opaque", "x"),
            (top.join(folder).join(file), "user.overlay.whiteout", "y"),
        ] {
            rustix::fs::setxattr(&path, name, value.as_bytes(), flags).unwrap();
        }
    }
    let verdicts = job.verify().await;
    assert!(verdicts.passed(), "{:?}", verdicts.lines());
}

/// Looks for traces of the check before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_check_prepares_the_next() {
    let rows = [
        (
            "repairs the source",
            "echo right > src/a.txt",
            "grep -q right src/a.txt",
            true,
        ),
        (
            "adds a module",
            "echo x > src/conftest.py",
            "test -e src/conftest.py",
            true,
        ),
        (
            "commits",
            "git add -A; git -c user.name=x -c user.email=x commit -qm x",
            "test \"$(git log --oneline | wc -l)\" = 2",
            false,
        ),
        (
            "poisons a dependency",
            "echo x > node_modules/.bin/mocha",
            "grep -q x node_modules/.bin/mocha",
            false,
        ),
        (
            "leaves bytecode",
            "mkdir -p src/__pycache__; touch src/__pycache__/a.pyc",
            "test -e src/__pycache__/a.pyc",
            false,
        ),
        (
            "settles in HOME",
            "echo x > ~/.npmrc; mkdir -p ~/.local/lib; touch ~/.local/lib/usercustomize.py",
            "test -e ~/.npmrc -o -e ~/.local/lib/usercustomize.py",
            true,
        ),
        (
            "fills a cache in HOME",
            "mkdir -p ~/.cache/pip; touch ~/.cache/pip/x",
            "test -e ~/.cache/pip/x",
            true,
        ),
        (
            "names git's editor",
            "git config --global core.fsmonitor evil",
            "git config --global core.fsmonitor",
            true,
        ),
        (
            "leaves a file in TMPDIR",
            "touch $TMPDIR/x",
            "test -e $TMPDIR/x",
            true,
        ),
        (
            "leaves a file in /tmp",
            "touch /tmp/left-by-a-check",
            "test -e /tmp/left-by-a-check",
            false,
        ),
        (
            "leaves a file in /dev/shm",
            "touch /dev/shm/left-by-a-check",
            "test -e /dev/shm/left-by-a-check",
            true,
        ),
    ];
    for (story, first, second, held_in_the_tree) in rows {
        for in_the_tree in [false, true] {
            if in_the_tree && !held_in_the_tree {
                continue;
            }
            let mut job = Job::in_repository([
                ("src/a.txt", "wrong\n"),
                (".gitignore", "node_modules/\n__pycache__/\n"),
            ])
            .check(shell(first))
            .check(shell(&format!("! ( {second} )")));
            job.in_the_tree = in_the_tree;
            job.repository
                .write("node_modules/.bin/mocha", "#!/bin/sh\n");
            let job = Job {
                base: Base::capture(
                    &job.workspace,
                    &job.storage.path().join("again"),
                    Limits::default(),
                )
                .unwrap(),
                ..job
            };
            job.repository.write("new.txt", "a change\n");
            let lines = job.verify().await.lines();
            assert_eq!(
                lines[..2],
                ["unit tests: passed", "unit tests: passed"],
                "{story} {in_the_tree}: {lines:?}"
            );
        }
    }
}

/// Ignored files are in no diff. What the agent made of them does not decide a check.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ignored_files_that_the_agent_touched_decide_no_check() {
    let rows: [(&str, &str, &str); 8] = [
        (
            "node_modules/.bin/mocha",
            "node_modules/.bin/mocha",
            "check_scripts: failed (the job changed node_modules/.bin/mocha)|unit tests: failed (exit code 127: command not found; hidden from it, since the agent changed ignored files: node_modules/.bin/mocha)",
        ),
        (
            ".venv/bin/check",
            "PATH=.venv/bin:$PATH check",
            "unit tests: failed (exit code 127: command not found; hidden from it, since the agent changed ignored files: .venv/bin/check)",
        ),
        (
            "src/__pycache__/a.pyc",
            "! test -e src/__pycache__/a.pyc",
            "unit tests: passed",
        ),
        (
            "target/debug/tests",
            "! test -e target/debug/tests",
            "unit tests: passed",
        ),
        (
            "target/deep/er/x",
            "test ! -e target/deep/er/x -a -e target/kept",
            "unit tests: passed",
        ),
        (
            ".env",
            "grep -q changed .env",
            "unit tests: failed (exit code 2; hidden from it, since the agent changed ignored files: .env)",
        ),
        (
            "local.cfg",
            "echo mine > local.cfg && grep -q mine local.cfg",
            "unit tests: passed",
        ),
        (
            "dist/new.js",
            "test ! -e dist/new.js && mkdir -p dist && echo x > dist/new.js",
            "unit tests: passed",
        ),
    ];
    for (file, check, wanted) in rows {
        let job = Job::in_repository([
            ("src/a.txt", "a\n"),
            (
                ".gitignore",
                "node_modules/\n.venv/\n__pycache__/\ntarget/\n.env\n*.cfg\ndist/\n",
            ),
        ])
        .check(shell(check));
        for before in [
            "node_modules/.bin/mocha",
            ".venv/bin/check",
            "target/kept",
            ".env",
        ] {
            job.repository.write(before, "#!/bin/sh\nexit 1\n");
        }
        let job = Job {
            base: Base::capture(
                &job.workspace,
                &job.storage.path().join("again"),
                Limits::default(),
            )
            .unwrap(),
            ..job
        };
        job.repository.write("src/a.txt", "b\n");
        job.repository.write(file, "#!/bin/sh\nexit 0 # changed\n");
        let path = job.repository.path().join(file);
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        let lines = job.verify().await.lines();
        assert_eq!(lines, wanted.split('|').collect::<Vec<_>>(), "{file}");
        assert!(
            job.repository.read(file).contains("changed"),
            "the tree is as the agent left it"
        );
    }
}

/// A folder of another's making in the place of a dependency is no dependency, whenever its files were written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_was_swapped_decides_no_check() {
    let rows = [
        (
            "mv node_modules/.bin node_modules/x; mv node_modules/evil node_modules/.bin",
            true,
        ),
        (
            "mv node_modules/evil node_modules/.bin2; rm -r node_modules/.bin; mv node_modules/.bin2 node_modules/.bin; touch node_modules/.bin/y; rm node_modules/.bin/y",
            true,
        ),
        ("mv dist build; mv other dist", true),
        (
            "mkdir -p node_modules/.cache; touch node_modules/.cache/x",
            false,
        ),
    ];
    for (swap, hidden) in rows {
        let job = Job::in_repository([
            ("src/a.txt", "a\n"),
            (".gitignore", "node_modules/\ndist/\nother/\nbuild/\n"),
        ])
        .check(shell("cat node_modules/.bin/mocha dist/i.js"));
        for file in [
            "node_modules/.bin/mocha",
            "node_modules/evil/mocha",
            "dist/i.js",
            "other/i.js",
        ] {
            job.repository.write(file, "exit 1\n");
        }
        let job = Job {
            base: Base::capture(
                &job.workspace,
                &job.storage.path().join("again"),
                Limits::default(),
            )
            .unwrap(),
            ..job
        };
        job.repository.write("src/a.txt", "b\n");
        let swapped = std::process::Command::new("sh")
            .args(["-c", swap])
            .current_dir(job.repository.path())
            .status()
            .unwrap();
        assert!(swapped.success());
        let verdicts = job.verify().await;
        assert_eq!(verdicts.passed(), !hidden, "{swap}: {:?}", verdicts.lines());
    }
}

/// A later pass of the same check builds on what it built, and on nothing else that it wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn build_output_lives_from_pass_to_pass_of_a_check_and_nothing_else() {
    let write = "mkdir -p target/debug node_modules/x .venv/bin src/__pycache__ ~/.cache/go-build ~/.config; \
         touch target/debug/built node_modules/x/i.js .venv/bin/tool src/__pycache__/a.pyc src/stray ~/.cache/go-build/b ~/.npmrc ~/.config/c; rm -f docs/readme.md";
    let look = "for f in target/debug/built node_modules/x/i.js .venv/bin/tool src/__pycache__/a.pyc src/stray ~/.cache/go-build/b ~/.npmrc ~/.config/c; do test ! -e $f || echo found $f; done; test -e docs/readme.md || echo gone";
    for (origin, wanted) in [
        (
            Origin::Job,
            "found target/debug/built\nfound HOME/.cache/go-build/b\n",
        ),
        (Origin::Required, ""),
    ] {
        let check = CommandCheck {
            origin,
            ..command(CommandLine::Shell(format!("{look}; {write}; exit 0")))
        };
        let job = Job::in_repository([
            ("src/a.txt", "a\n"),
            ("docs/readme.md", "d\n"),
            (
                ".gitignore",
                "node_modules/\n.venv/\n__pycache__/\ntarget/\n",
            ),
        ])
        .check(CheckSpec::Command(check))
        .check(shell("test ! -e target -a ! -e ~/.cache"));
        job.repository.write("src/a.txt", "b\n");
        let home = job.storage.path().join("checks/home").display().to_string();
        for (pass, wanted) in [(1, ""), (2, wanted), (3, wanted)] {
            let verdicts = job.verify().await;
            assert!(verdicts.passed(), "{:?}", verdicts.lines());
            let output = job.artifacts().text("check-unit-tests").unwrap_or_default();
            assert_eq!(
                output.replace(&home, "HOME"),
                wanted,
                "{origin:?} pass {pass}"
            );
            job.artifacts().list().iter().for_each(|artifact| {
                drop(std::fs::remove_file(job.artifacts().path(&artifact.name)))
            });
        }
        assert!(!job.repository.path().join("target").exists());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_check_speaks_with_the_hosts_voice() {
    for name in ["git", "verification", "scoped_patch", "check_writes"] {
        let check = CommandCheck {
            name: name.into(),
            ..command(CommandLine::Shell("true".into()))
        };
        let job = Job::in_repository([("a.txt", "a\n")]).check(CheckSpec::Command(check));
        job.repository.write("new.txt", "a change\n");
        let line = only(&job.verify().await).line();
        assert_eq!(line, format!("{name} (the job's): passed"));
    }
}

/// A long output is kept at both ends, and a secret over the cut does not come through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_middle_of_a_long_output_is_left_out() {
    let job = Job::in_repository([("a.txt", "a\n")]).check(shell(&format!(
        "echo first; yes 'noise {SECRET} noise' | head -c 40000000; echo; echo last"
    )));
    job.repository.write("new.txt", "a change\n");
    assert_eq!(only(&job.verify().await).line(), "unit tests: passed");
    let whole = job.artifacts().text("check-unit-tests").unwrap();
    assert!(whole.starts_with("first\n") && whole.ends_with("\nlast\n"));
    assert_eq!(whole.matches("bytes left out").count(), 1);
    assert!(!whole.contains(SECRET));
    for part in ["correct-horse", "staple-42"] {
        assert!(!whole.contains(part), "a half of the secret came through");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_runs_where_and_as_it_was_told() {
    let mut check = command(CommandLine::Shell(
        "pwd; echo \"$CI $MODE $HOME\"; test ! -t 0".into(),
    ));
    check.cwd = Some("web".into());
    check.env.insert("MODE".into(), "strict".into());
    let job = Job::in_repository([("web/a.txt", "a\n")]).check(CheckSpec::Command(check.clone()));
    job.repository.write("web/b.txt", "b\n");
    let verdicts = job.verify().await;
    assert!(verdicts.passed(), "{:?}", verdicts.lines());
    let output = job
        .artifacts()
        .read("check-unit-tests", 0, 10_000)
        .unwrap()
        .text;
    let home = job.storage.path().join("checks/home");
    assert!(
        output.ends_with(&format!("/web\ntrue strict {}\n", home.display())),
        "{output}"
    );

    for (cwd, why) in [
        ("nowhere", "missing"),
        ("../..", "outside"),
        ("web/a.txt", "a file"),
    ] {
        check.cwd = Some(cwd.into());
        let job =
            Job::in_repository([("web/a.txt", "a\n")]).check(CheckSpec::Command(check.clone()));
        job.repository.write("web/b.txt", "b\n");
        let verdicts = job.verify().await;
        assert_eq!(
            only(&verdicts).outcome,
            Outcome::Errored,
            "{why}: {:?}",
            verdicts.lines()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_digested_and_kept_whole_and_shows_no_secret() {
    let script = format!(
        "for n in $(seq 1 500); do echo \"test case_$n ... ok\"; done; echo '---- adds stdout ----'; \
         echo \"thread 'adds' panicked at src/lib.rs:7:5:\"; echo 'assertion failed: {SECRET}'; \
         echo 'test result: FAILED. 500 passed; 1 failed' >&2; exit 101"
    );
    let job = Job::in_repository([("a.txt", "a\n")]).check(shell(&script));
    job.repository.write("a.txt", "b\n");
    let verdicts = job.verify().await;
    let verdict = only(&verdicts);
    let digest = verdict.digest.as_deref().unwrap();
    assert!(
        digest.contains("src/lib.rs:7:5") && digest.contains("500 passed; 1 failed"),
        "{digest}"
    );
    assert!(
        digest.contains("assertion failed: [redacted:secret]"),
        "{digest}"
    );
    assert!(!digest.contains("case_1 "), "{digest}");
    let whole = job
        .artifacts()
        .read(verdict.artifact.as_deref().unwrap(), 0, 1 << 20)
        .unwrap()
        .text;
    assert!(whole.contains("case_500") && !whole.contains(SECRET));
}

/// The cost of one failing check of each tool to the planner, and the facts it must find there. The fixture is what the tool said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_result_says_which_test_which_line_and_why_for_every_tool() {
    let rows: &[(&str, &str, &[&str])] = &[
        (
            "cargo-test",
            "cargo test",
            &["tests::adds", "src/lib.rs:11:45", "left: -1", "right: 5"],
        ),
        (
            "pytest",
            "pytest",
            &["test_adds", "test_calc.py:8", "assert -1 == 5"],
        ),
        (
            "jest",
            "npx jest",
            &[
                "calc › adds two numbers",
                "calc.test.js:4:85",
                "Expected: 5",
                "Received: -1",
            ],
        ),
        (
            "vitest",
            "npx vitest run",
            &[
                "calc > adds two numbers",
                "calc.test.mjs:4:85",
                "expected -1 to be 5",
            ],
        ),
        (
            "go-test",
            "go test ./...",
            &["TestAdd", "calc_test.go:9", "Add(2, 3) = -1; want 5"],
        ),
        (
            "tsc",
            "npx tsc --noEmit",
            &["a.ts(2,42)", "TS2322", "Cannot find name 'missing'"],
        ),
        (
            "eslint",
            "npx eslint .",
            &["lint.js", "'undefinedThing' is not defined", "no-undef"],
        ),
        (
            "clippy",
            "cargo clippy -- -D warnings",
            &["src/lib.rs:3:18", "unused variable: `unused`"],
        ),
        (
            "rustc",
            "cargo build",
            &["src/lib.rs:3:33", "expected `u32`, found `&str`"],
        ),
        (
            "unknown-tool",
            "./integration.sh",
            &["relation \"orders\" does not exist"],
        ),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/test-output");
    let o200k = tiktoken_rs::o200k_base().unwrap();
    let changed = ["a.txt".to_owned()];
    let mut table = String::new();
    for (name, tool, says) in rows {
        let log = std::fs::read_to_string(folder.join(format!("{name}.txt"))).unwrap();
        let job = Job::in_repository([("a.txt", "a\n"), ("said.txt", &log)])
            .check(shell(&format!("cat said.txt; exit 1; {tool}")));
        job.repository.write("a.txt", "b\n");
        let verdicts = job.verify().await;
        let digest = only(&verdicts).digest.as_deref().unwrap();
        assert!(digest.len() <= log.trim_end().len(), "{name}: {digest}");
        let result = report::compose(&Ended {
            job_id: "0123456789abcdef0123456789",
            status: "failed",
            changed_files: &changed,
            verdicts: Some(&verdicts),
            passes: 1,
            ..Ended::default()
        });
        assert_eq!(
            result["checks"],
            json!(["unit tests: failed (exit code 1)"])
        );
        let told = result["failures"]["unit tests"].as_str().unwrap();
        for line in *says {
            assert!(told.contains(line), "{name} lost {line:?}:\n{told}");
        }
        let result = result.to_string();
        let tokens = o200k.encode_ordinary(&result).len();
        assert!(tokens <= 2_000, "{name}: {tokens} tokens");
        writeln!(
            table,
            "{name:<14}{:>6} bytes said {:>5} bytes told {tokens:>4} tokens",
            log.len(),
            result.len()
        )
        .unwrap();
    }
    // The digests themselves are the summarizer's snapshots; this is what they cost.
    insta::assert_snapshot!(table);
}

/// A secret of which each stream carries a half is whole in neither record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_split_over_both_streams_is_not_put_together() {
    let (first, second) = SECRET.split_at(14);
    for script in [
        format!("printf '{first}'; printf '{second}\\n' >&2; exit 1"),
        format!("printf '{first}' >&2; printf '{second}\\n'; exit 1"),
        format!(
            "for n in 1 2 3; do printf '{first}'; sleep 0.01; printf '{second}' >&2; done; exit 1"
        ),
        format!("exec 2>&1; printf '{first}'; sleep 0.01; printf '{second}\\n' >&2; exit 1"),
    ] {
        let job = Job::in_repository([("a.txt", "a\n")]).check(shell(&script));
        job.repository.write("a.txt", "b\n");
        let verdicts = job.verify().await;
        let verdict = only(&verdicts);
        let digest = verdict.digest.as_deref().unwrap_or_default();
        let artifact = verdict.artifact.as_deref().unwrap();
        let whole = job.artifacts().read(artifact, 0, 1 << 20).unwrap().text;
        for text in [digest, &whole] {
            assert!(!text.contains(SECRET), "{script}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_held_against_its_scope() {
    let job =
        Job::in_repository([("src/a.rs", "a\n"), ("docs/x.md", "x\n")]).scope(&["src", "tests"]);
    job.repository.write("src/a.rs", "b\n");
    assert_eq!(
        job.verify().await.lines(),
        ["scoped_patch: passed (src, tests)"]
    );

    job.repository.write("docs/x.md", "y\n");
    let verdicts = job.verify().await;
    let verdict = only(&verdicts);
    assert_eq!(verdict.outcome, Outcome::Failed, "{}", verdict.line());
    let told = format!(
        "{} {}",
        verdict.line(),
        verdict.digest.as_deref().unwrap_or_default()
    );
    assert!(told.contains("docs/x.md"), "{told}");
    assert!(!told.contains("src/a.rs"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_components_see_the_change_and_can_only_tighten() {
    let tests = "def test_adds():\n    assert add(2, 3) == 5\n";
    let job = Job::in_repository([
        ("tests/test_a.py", tests),
        ("a.py", "x = 1\n"),
        ("Cargo.lock", "1\n"),
    ])
    .check(component("test-tampering", json!({})))
    .check(component("conflict-markers", json!(null)))
    .check(component("leftovers", json!({ "todo": false })))
    .check(component("forbidden-paths", json!({})))
    .check(component("secrets-in-diff", json!({})))
    .check(component("diff-size", json!({ "max_files": 1 })))
    .check(component("no-such-plugin", json!({})))
    .check(component("diff-size", json!({ "max_file": 1 })));
    job.repository
        .write("a.py", "x = 2  # TODO\nbreakpoint()\n<<<<<<< HEAD\n");
    job.repository.delete("tests/test_a.py");
    job.repository.write("Cargo.lock", "2\n");
    job.repository.write(
        "key.py",
        format!("t = 'ghp_{}'\n", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"),
    );
    let verdicts = job.verify().await;
    let lines = verdicts.lines();
    let digests: Vec<_> = verdicts
        .failing()
        .map(|check| check.digest.as_deref().unwrap_or_default().to_owned())
        .collect();
    insta::assert_snapshot!(format!("{}\n\n{}", lines.join("\n"), digests.join("\n")));
    assert!(verdicts.checks.iter().all(|check| !check.passed()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_says_passed_saves_nothing() {
    let job = Job::in_repository([("a.txt", "a\n")])
        .check(component("diff-size", json!({})))
        .check(shell("exit 1"));
    job.repository.write("a.txt", "b\n");
    let verdicts = job.verify().await;
    assert_eq!(
        verdicts.lines(),
        [
            "diff-size: passed (2 lines in 1 file)",
            "unit tests: failed (exit code 1)"
        ]
    );
    assert!(!verdicts.passed());
}

/// The course of the job is evidence of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_fail_a_job_that_its_checks_would_let_pass() {
    let job = Job::in_repository([("a.txt", "a\n")]).check(shell("true"));
    assert_eq!(
        job.verify().await.lines(),
        ["changes: failed (no change was made)", "unit tests: passed"]
    );

    let mut reading = Job::in_repository([("a.txt", "a\n")]);
    assert!(reading.verify().await.passed(), "nobody asked for a change");
    reading.expect_changes = Some(true);
    assert_eq!(
        reading.verify().await.lines(),
        ["changes: failed (no change was made)"]
    );

    let mut stopped = Job::in_repository([("a.txt", "a\n")]).check(shell("true"));
    stopped.repository.write("a.txt", "b\n");
    stopped.agent.fault = Some((
        EndCause::MaxTurns,
        "stopped at its limit of 30 turns".into(),
    ));
    assert_eq!(
        stopped.verify().await.lines(),
        [
            "agent: failed (stopped at its limit of 30 turns)",
            "unit tests: passed"
        ]
    );
}

/// An agent that does what it can to look done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_agent_never_passes() {
    let files = [
        ("run-tests.sh", "#!/bin/sh\ngrep -q right src/a.txt\n"),
        ("src/a.txt", "wrong\n"),
        ("package.json", r#"{"scripts":{"test":"sh run-tests.sh"}}"#),
    ];
    let tricks: Vec<(&str, &dyn Fn(&Repository), &str)> = vec![
        (
            "rewrites the check's script",
            &|repository| repository.write("run-tests.sh", "exit 0\n"),
            "check_scripts: failed (the job changed run-tests.sh)",
        ),
        (
            "rewrites the script's entry",
            &|repository| repository.write("package.json", r#"{"scripts":{"test":"true"}}"#),
            "check_scripts: failed (the job changed package.json (script test))",
        ),
        (
            "commits",
            &|repository| {
                repository.write("src/a.txt", "right\n");
                repository.stage();
                repository.commit("done");
            },
            "git: failed (",
        ),
        (
            "hides a hook",
            &|repository| {
                repository.write("src/a.txt", "right\n");
                repository.write(".git/hooks/pre-commit", "#!/bin/sh\ncurl evil\n");
            },
            "git: failed (",
        ),
        (
            "writes into the configuration",
            &|repository| {
                repository.write("src/a.txt", "right\n");
                let config = repository.read(".git/config");
                repository.write(
                    ".git/config",
                    format!("{config}[core]\n\tfsmonitor = evil\n"),
                );
            },
            "git: failed (",
        ),
    ];
    for (story, trick, wanted) in tricks {
        let repository = Repository::with(files);
        repository.make_executable("run-tests.sh");
        repository.stage();
        repository.commit("executable");
        let job = Job::on(repository).check(shell(
            "npm --version >/dev/null 2>&1; ./run-tests.sh && echo npm test",
        ));
        let mut job = job.check(shell("npm test"));
        if let Some(CheckSpec::Command(check)) = job.checks.last_mut() {
            check.name = "npm".into();
        }
        trick(&job.repository);
        let verdicts = job.verify().await;
        assert!(!verdicts.passed(), "{story}");
        assert!(
            verdicts.lines().iter().any(|line| line.starts_with(wanted)),
            "{story}: {:?}",
            verdicts.lines()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_jobs_own_end_ends_its_checks() {
    let mut job = Job::in_repository([("a.txt", "a\n")]).check(shell("sleep 600"));
    job.repository.write("a.txt", "b\n");
    job.time = Duration::from_millis(500);
    let verdicts = job.verify().await;
    assert_eq!(only(&verdicts).cause, Some(Cause::JobTimedOut));

    let job = Job::in_repository([("a.txt", "a\n")])
        .check(shell("touch $MARKS/running; sleep 600"))
        .check(shell("sleep 601"));
    job.repository.write("a.txt", "b\n");
    let (stop, marker) = (job.stop.clone(), job.marks().join("running"));
    let stopping = async {
        while !marker.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.cancel();
    };
    let (verdicts, ()) = tokio::join!(job.verify(), stopping);
    assert!(
        verdicts
            .checks
            .iter()
            .all(|check| check.outcome == Outcome::NotRun),
        "{:?}",
        verdicts.lines()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_evidence_goes_back_to_the_agent_once() {
    let job = Job::in_repository([("src/a.txt", "wrong\n")]).check(shell(
        "grep -q right src/a.txt || { echo 'AssertionError: expected right, got wrong'; exit 1; }",
    ));
    job.repository.write("src/a.txt", "still wrong\n");
    let first = revise::Pass {
        diff_digest: job.changes().digest(),
        verdicts: job.verify().await,
    };
    let policy = revise::Policy {
        max_passes: 1,
        can_escalate: false,
        time_left_ms: 600_000,
        budget_spent: false,
    };
    let Decision::Revise { prompt, .. } = revise::decide(&policy, std::slice::from_ref(&first))
    else {
        panic!("revises")
    };
    assert!(
        prompt.contains("AssertionError: expected right, got wrong"),
        "{prompt}"
    );

    job.repository.write("src/a.txt", "right\n");
    let second = revise::Pass {
        diff_digest: job.changes().digest(),
        verdicts: job.verify().await,
    };
    assert_ne!(first.diff_digest, second.diff_digest);
    assert_eq!(
        revise::decide(&policy, &[first, second]),
        Decision::Stop(revise::Reason::Passed)
    );
}
