//! A job's changes are seen as they are, whatever was done to hide it, and nothing of the user's is blamed on it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use worker_test_support::{Checkout, checkout};
use workspace::{
    Base, ChangeKind, Changes, GitChange, Limits, Root, Selection, Workspace, WorkspaceError,
};

/// A checkout, and what agents do in it.
struct Scene {
    checkout: Checkout,
}

impl Deref for Scene {
    type Target = Checkout;

    fn deref(&self) -> &Checkout {
        &self.checkout
    }
}

impl Scene {
    fn new() -> Self {
        let checkout = Checkout::with([
            ("src/a.rs", "fn a() {\n    1\n}\n"),
            ("src/b.rs", "fn b() {}\n"),
            (
                "docs/guide.md",
                "# Guide\n\none\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\n",
            ),
            ("other/keep.txt", "keep\n"),
            ("run.sh", "#!/bin/sh\n"),
            (".gitignore", "target/\n*.log\n.env\n"),
        ]);
        Self { checkout }
    }

    fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::create_dir_all(self.path(to).parent().unwrap()).unwrap();
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn git(&self, arguments: &[&str]) {
        self.checkout.git(arguments);
    }

    /// Makes every file old in git's index, so that the snapshot takes the index's word for it.
    fn settle_index(&self) {
        let files = Command::new("git")
            .args(["ls-files", "-z"])
            .current_dir(self.top())
            .output()
            .unwrap()
            .stdout;
        for file in files
            .split(|byte| *byte == 0)
            .filter(|file| !file.is_empty())
        {
            let path = self.path(OsStr::from_bytes(file));
            if path.symlink_metadata().is_ok_and(|found| found.is_file()) {
                let file = fs::File::open(path).unwrap();
                file.set_modified(
                    std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000),
                )
                .unwrap();
            }
        }
        let _ = Command::new("git")
            .args(["update-index", "-q", "--refresh"])
            .current_dir(self.top())
            .output();
    }

    fn open(&self, dirs: &[&str]) -> Result<Workspace, WorkspaceError> {
        let dirs: Vec<_> = dirs.iter().map(|dir| self.path(dir)).collect();
        Workspace::open(&Root::open(&self.root())?, &dirs)
    }

    fn capture(&self, dirs: &[&str], slack: Duration) -> Base {
        let limits = Limits {
            stamp_slack: slack,
            ..Limits::default()
        };
        Base::capture(
            &self.open(dirs).unwrap(),
            &self.folder().join("storage"),
            limits,
        )
        .unwrap()
    }

    /// Every file's kind, mode and bytes, `.git` left out.
    fn files(&self) -> BTreeMap<PathBuf, checkout::File> {
        checkout::files(&self.top(), false)
    }
}

fn git(dir: &Path, arguments: &[&str]) {
    checkout::git(dir, arguments);
}

fn letter(kind: ChangeKind) -> char {
    match kind {
        ChangeKind::Added => 'A',
        ChangeKind::Modified => 'M',
        ChangeKind::Deleted => 'D',
        ChangeKind::Renamed => 'R',
        ChangeKind::TypeChanged => 'T',
        ChangeKind::ModeChanged => 'X',
    }
}

fn seen(changes: &Changes) -> Vec<String> {
    let line = |file: &workspace::ChangedFile| match &file.previous_path {
        Some(previous) => format!("{} {previous} -> {}", letter(file.kind), file.path),
        None => format!("{} {}", letter(file.kind), file.path),
    };
    changes.files.iter().map(line).collect()
}

fn told(changes: &Changes) -> Vec<String> {
    changes.git.iter().map(ToString::to_string).collect()
}

/// One trick: what the agent does, which changes must be seen, and what must be said about git (a part of each sentence).
struct Trick {
    name: &'static str,
    before: fn(&Scene),
    agent: fn(&Scene),
    files: &'static [&'static str],
    git: &'static [&'static str],
}

const NOTHING: fn(&Scene) = |_| {};

/// A trick after which nothing must be seen and nothing told; where it is otherwise, the row says so.
const fn trick(name: &'static str, agent: fn(&Scene)) -> Trick {
    Trick {
        name,
        before: NOTHING,
        agent,
        files: &[],
        git: &[],
    }
}

impl Trick {
    /// Sets the step before the job.
    const fn after(mut self, before: fn(&Scene)) -> Self {
        self.before = before;
        self
    }

    const fn seen(mut self, files: &'static [&'static str]) -> Self {
        self.files = files;
        self
    }

    const fn told(mut self, git: &'static [&'static str]) -> Self {
        self.git = git;
        self
    }
}

const WHOLE_TREE_DELETED: &[&str] = &[
    "D .gitignore",
    "D docs/guide.md",
    "D link",
    "D other/keep.txt",
    "D run.sh",
    "D src/a.rs",
    "D src/b.rs",
];

/// A name of the greatest length.
const LONG_NAME: &str = "A dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd\
     dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd\
     dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd\
     dddddddddd/\
     ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\
     ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\
     ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\
     fffffffffffffff";

const TRICKS: &[Trick] = &[
    trick("a plain edit", |scene| {
        scene.write("src/a.rs", "fn a() {\n    2\n}\n")
    })
    .seen(&["M src/a.rs"]),
    trick("nothing at all", NOTHING),
    trick("a rewrite with the same bytes is no change", |scene| {
        let bytes = fs::read(scene.path("src/a.rs")).unwrap();
        scene.remove("src/a.rs");
        scene.write("src/a.rs", bytes);
    }),
    trick("assume-unchanged hides an edit from git", |scene| {
        scene.git(&["update-index", "--assume-unchanged", "other/keep.txt"]);
        scene.write("other/keep.txt", "changed\n");
    })
    .seen(&["M other/keep.txt"])
    .told(&["what is staged"]),
    trick("skip-worktree hides an edit from git", |scene| {
        scene.git(&["update-index", "--skip-worktree", "other/keep.txt"]);
        scene.write("other/keep.txt", "changed\n");
    })
    .seen(&["M other/keep.txt"])
    .told(&["what is staged"]),
    trick("info/exclude hides a new file from git", |scene| {
        scene.write(".git/info/exclude", "hidden.txt\n");
        scene.write("hidden.txt", "x\n");
    })
    .seen(&["A hidden.txt"])
    .told(&[".git/info/exclude was changed"]),
    trick("a new ignore rule hides a new file from git", |scene| {
        scene.write(".gitignore", "target/\n*.log\n.env\nhidden/\n");
        scene.write("hidden/x.txt", "x\n");
    })
    .seen(&["M .gitignore", "A hidden/x.txt"])
    .told(&["the ignore rules in .gitignore were changed"]),
    trick(
        "a nested .gitignore of the agent's own hides a folder from git",
        |scene| {
            scene.write("fresh/.gitignore", "*\n");
            scene.write("fresh/x.txt", "x\n");
        },
    )
    .seen(&["A fresh/.gitignore", "A fresh/x.txt"])
    .told(&["the ignore rules in fresh/.gitignore were changed"]),
    trick("a clean filter hands git the old bytes", |scene| {
        scene.write(".git/info/attributes", "*.txt filter=old\n");
        scene.git(&["config", "filter.old.clean", "echo keep"]);
        scene.write("other/keep.txt", "changed\n");
    })
    .seen(&["M other/keep.txt"])
    .told(&[
        ".git/config was changed",
        ".git/info/attributes was changed",
    ]),
    trick("commits by the agent", |scene| {
        scene.write("src/a.rs", "committed\n");
        scene.commit("agent 1");
        scene.write("new.txt", "committed\n");
        scene.commit("agent 2");
    })
    .seen(&["A new.txt", "M src/a.rs"])
    .told(&["refs/heads/main was moved", "2 commits made"]),
    trick("another branch", |scene| {
        scene.git(&["checkout", "-q", "-b", "elsewhere"])
    })
    .told(&[
        "HEAD moved from ref: refs/heads/main to ref: refs/heads/elsewhere",
        "refs/heads/elsewhere was made",
    ]),
    trick("a HEAD that would write lines of its own", |scene| {
        scene.write(".git/HEAD", "ref: refs/heads/\u{1b}[31mx\n     check  t: passed\u{202e}\n")
    })
    .told(&[
        r#"HEAD moved from ref: refs/heads/main to "ref: refs/heads/\033[31mx\n     check  t: passed\342\200\256""#,
    ]),
    trick("refs packed and a tag deleted", |scene| {
        scene.git(&["pack-refs", "--all"]);
        scene.git(&["tag", "-d", "v1"]);
    })
    .after(|scene| scene.git(&["tag", "v1"]))
    .told(&["refs/tags/v1 was deleted"]),
    trick("a hook", |scene| {
        scene.write(".git/hooks/post-checkout", "#!/bin/sh\ntouch /tmp/pwned\n")
    })
    .told(&[".git/hooks/post-checkout was changed"]),
    trick(".git deleted", |scene| {
        fs::remove_dir_all(scene.path(".git")).unwrap();
        scene.write("src/b.rs", "changed\n");
    })
    .seen(&["M src/b.rs"])
    .told(&[".git was removed"]),
    trick(".git replaced by a file that leads elsewhere", |scene| {
        fs::rename(scene.path(".git"), scene.root().join("moved")).unwrap();
        scene.write(".git", "gitdir: ../moved\n");
        scene.write("src/b.rs", "changed\n");
    })
    .seen(&["M src/b.rs"])
    .told(&[".git was replaced"]),
    trick(".git replaced by a link", |scene| {
        fs::rename(scene.path(".git"), scene.root().join("moved")).unwrap();
        symlink("../moved", scene.path(".git")).unwrap();
    })
    .told(&[".git was replaced"]),
    trick(".git replaced by another folder", |scene| {
        fs::rename(scene.path(".git"), scene.root().join("moved")).unwrap();
        scene.git(&["init", "-q"]);
    })
    .told(&[".git was replaced"]),
    trick("a repository nested in the tree", |scene| {
        scene.write("vendor/lib/x.c", "int x;\n");
        git(&scene.path("vendor/lib"), &["init", "-q"]);
        git(&scene.path("vendor/lib"), &["add", "-A"]);
        git(&scene.path("vendor/lib"), &["commit", "-q", "-m", "x"]);
    })
    .seen(&["A vendor/lib/x.c"])
    .told(&["a repository was made in vendor/lib"]),
    trick(
        "an edit and a commit in a repository that was nested before",
        |scene| {
            scene.write("vendor/lib/x.c", "int y;\n");
            git(
                &scene.path("vendor/lib"),
                &["commit", "-q", "-a", "-m", "y"],
            );
        },
    )
    .after(|scene| {
        scene.write("vendor/lib/x.c", "int x;\n");
        git(&scene.path("vendor/lib"), &["init", "-q", "-b", "main"]);
        git(&scene.path("vendor/lib"), &["add", "-A"]);
        git(&scene.path("vendor/lib"), &["commit", "-q", "-m", "x"]);
    })
    .seen(&["M vendor/lib/x.c"])
    .told(&[
        "refs/heads/main was moved in vendor/lib",
        "1 commit made in vendor/lib",
    ]),
    trick("permissions only", |scene| {
        fs::set_permissions(scene.path("run.sh"), fs::Permissions::from_mode(0o755)).unwrap()
    })
    .seen(&["X run.sh"]),
    trick("setuid", |scene| {
        fs::set_permissions(scene.path("run.sh"), fs::Permissions::from_mode(0o4644)).unwrap()
    })
    .seen(&["X run.sh"]),
    trick("the same size and a forged mtime", |scene| {
        let was = fs::metadata(scene.path("other/keep.txt"))
            .unwrap()
            .modified()
            .unwrap();
        scene.write("other/keep.txt", "KEEP\n");
        fs::File::open(scene.path("other/keep.txt"))
            .unwrap()
            .set_modified(was)
            .unwrap();
    })
    .seen(&["M other/keep.txt"]),
    trick("a link that points elsewhere", |scene| {
        scene.remove("link");
        symlink("/etc/passwd", scene.path("link")).unwrap();
    })
    .seen(&["M link"]),
    trick(
        "a file that becomes a link, and a link that becomes a file",
        |scene| {
            scene.remove("other/keep.txt");
            symlink("keep\n", scene.path("other/keep.txt")).unwrap();
            scene.remove("link");
            scene.write("link", "src/a.rs");
        },
    )
    .seen(&["T link", "T other/keep.txt"]),
    trick(
        "a file that becomes a folder, and a folder that becomes a file",
        |scene| {
            scene.remove("run.sh");
            scene.write("run.sh/inner.txt", "x\n");
            fs::remove_dir_all(scene.path("other")).unwrap();
            scene.write("other", "a file\n");
        },
    )
    .seen(&[
        "A other",
        "D other/keep.txt",
        "D run.sh",
        "A run.sh/inner.txt",
    ]),
    trick(
        "a folder that becomes a link to a copy of itself",
        |scene| {
            scene.rename("other", "target/other");
            symlink("target/other", scene.path("other")).unwrap();
        },
    )
    .seen(&["A other", "D other/keep.txt"]),
    trick("a rename, and one with an edit", |scene| {
        scene.rename("src/a.rs", "lib/a.rs");
        scene.rename("docs/guide.md", "docs/manual.md");
        let text = fs::read_to_string(scene.path("docs/manual.md")).unwrap();
        scene.write("docs/manual.md", text.replace("five", "5"));
    })
    .seen(&[
        "R docs/guide.md -> docs/manual.md",
        "R src/a.rs -> lib/a.rs",
    ]),
    trick("a rename of case only", |scene| {
        scene.rename("docs/guide.md", "docs/Guide.md")
    })
    .seen(&["R docs/guide.md -> docs/Guide.md"]),
    trick("a copy is a new file", |scene| {
        fs::copy(scene.path("docs/guide.md"), scene.path("copy.md")).unwrap();
    })
    .seen(&["A copy.md"]),
    trick("a folder deleted", |scene| {
        fs::remove_dir_all(scene.path("src")).unwrap()
    })
    .seen(&["D src/a.rs", "D src/b.rs"]),
    trick("the whole tree deleted", |scene| {
        fs::remove_dir_all(scene.top()).unwrap()
    })
    .seen(WHOLE_TREE_DELETED)
    .told(&[
        "the working tree's top folder was removed",
        ".git was removed",
    ]),
    trick("the whole tree moved away and made anew", |scene| {
        fs::rename(scene.top(), scene.root().join("away")).unwrap();
        fs::create_dir(scene.top()).unwrap();
        scene.write("src/b.rs", "fn b() {}\n");
    })
    .seen(&[
        "D .gitignore",
        "D docs/guide.md",
        "D link",
        "D other/keep.txt",
        "D run.sh",
        "D src/a.rs",
    ])
    .told(&[
        "the working tree's top folder was replaced",
        ".git was removed",
    ]),
    trick("the tree replaced by a link to elsewhere", |scene| {
        fs::rename(scene.top(), scene.root().join("away")).unwrap();
        symlink("away", scene.top()).unwrap();
    })
    .seen(WHOLE_TREE_DELETED)
    .told(&["the working tree's top folder was replaced"]),
    trick("odd names and empty files", |scene| {
        scene.write("line\nbreak", "x\n");
        scene.write("tab\tand \"quote\"", "x\n");
        scene.write(OsStr::from_bytes(b"latin\xe9"), "x\n");
        scene.write("grün", "x\n");
        scene.write("empty", "");
        scene.write(format!("{}/{}", "d".repeat(250), "f".repeat(255)), "x\n");
    })
    .seen(&[
        LONG_NAME,
        "A empty",
        "A grün",
        "A \"latin\\351\"",
        "A \"line\\nbreak\"",
        "A \"tab\\tand \\\"quote\\\"\"",
    ]),
    trick(
        "ignored folders are looked at by stat and counted apart",
        |scene| {
            scene.write("target/debug/new.o", "o");
            scene.write("target/debug/old.o", "oo");
            scene.write("build.log", "x");
            scene.write(".env", "KEY=2\n");
        },
    )
    .after(|scene| {
        scene.write("target/debug/old.o", "o");
        scene.write(".env", "KEY=1\n");
    }),
    trick("a tracked file in an ignored folder counts", |scene| {
        scene.write("target/kept.txt", "changed\n");
        scene.write("target/other.txt", "ignored\n");
    })
    .after(|scene| {
        scene.write("target/kept.txt", "kept\n");
        scene.git(&["add", "-f", "target/kept.txt"]);
        scene.git(&["commit", "-q", "-m", "kept"]);
    })
    .seen(&["M target/kept.txt"]),
    trick(
        "a file that the user had deleted, made again where it is ignored but tracked",
        |scene| scene.write("target/kept.txt", "back\n"),
    )
    .after(|scene| {
        scene.write("target/kept.txt", "kept\n");
        scene.git(&["add", "-f", "target/kept.txt"]);
        scene.git(&["commit", "-q", "-m", "kept"]);
        fs::remove_dir_all(scene.path("target")).unwrap();
    })
    .seen(&["A target/kept.txt"]),
    trick("a FIFO", |scene| {
        assert!(
            Command::new("mkfifo")
                .arg(scene.path("pipe"))
                .status()
                .unwrap()
                .success()
        );
    })
    .seen(&["A pipe"]),
    trick(
        "what the user had assumed unchanged and edited is the base",
        |scene| scene.write("other/keep.txt", "the user's\nand the agent's\n"),
    )
    .after(|scene| {
        scene.git(&["update-index", "--assume-unchanged", "other/keep.txt"]);
        scene.write("other/keep.txt", "the user's\n");
    })
    .seen(&["M other/keep.txt"]),
    trick("staged but not edited", |scene| {
        scene.git(&["add", "src/a.rs"])
    })
    .after(|scene| scene.write("src/a.rs", "the user's\n"))
    .told(&["what is staged was changed"]),
    trick("a look by git alone changes nothing", |scene| {
        scene.write("src/a.rs", "fn a() {\n    1\n}\n");
        scene.git(&["status"]);
    }),
];

#[test]
fn every_trick_is_seen_as_what_it_is() {
    let mut wrong = Vec::new();
    for trick in TRICKS {
        for (index, slack) in [
            ("fresh index", Duration::from_secs(2)),
            ("old index", Duration::ZERO),
        ] {
            let scene = Scene::new();
            (trick.before)(&scene);
            if index == "old index" {
                scene.settle_index();
            }
            let base = scene.capture(&["."], slack);
            (trick.agent)(&scene);
            let changes = base.changes().unwrap();
            let (files, git) = (seen(&changes), told(&changes));
            let all_told = trick
                .git
                .iter()
                .all(|part| git.iter().any(|line| line.contains(part)));
            if files != trick.files || !all_told || (trick.git.is_empty() && !git.is_empty()) {
                wrong.push(format!(
                    "{} ({index}):\n  files {files:?}\n  git {git:?}",
                    trick.name
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn whole_diffs_apply_with_git() {
    for trick in TRICKS {
        // A patch cannot carry these: git's own limits, or nothing of the tree left to apply it to.
        let odd = [
            "a copy of itself",
            "a FIFO",
            "setuid",
            "the whole tree",
            "the tree replaced",
            ".git",
            "nested",
            "folder that becomes a file",
        ];
        if odd.iter().any(|part| trick.name.contains(part)) {
            continue;
        }
        let scene = Scene::new();
        (trick.before)(&scene);
        let before = scene.folder().join("before");
        assert!(
            Command::new("cp")
                .arg("-a")
                .arg(scene.top())
                .arg(&before)
                .status()
                .unwrap()
                .success()
        );
        let base = scene.capture(&["."], Duration::from_secs(2));
        (trick.agent)(&scene);
        let changes = base.changes().unwrap();
        let diff = changes.diff(Selection::All, u64::MAX);
        assert!(diff.is_whole(), "{}: {:?}", trick.name, diff.omitted);
        if changes.ignored > 0 {
            continue;
        }
        let after = scene.files();
        let patch = scene.folder().join("patch");
        fs::write(&patch, &diff.bytes).unwrap();
        if !diff.bytes.is_empty() {
            git(&before, &["apply", patch.to_str().unwrap()]);
        }
        fs::remove_dir_all(scene.top()).unwrap();
        fs::rename(&before, scene.top()).unwrap();
        assert_eq!(scene.files(), after, "{}\n{}", trick.name, diff.text());
    }
}

#[test]
fn ignored_files_are_counted_and_named() {
    let scene = Scene::new();
    scene.write("target/debug/old.o", "o");
    scene.write("target/debug/quiet.o", "o");
    scene.write(".env", "KEY=1\n");
    let base = scene.capture(&["."], Duration::from_secs(2));
    scene.write("target/debug/new.o", "o");
    scene.write("target/debug/old.o", "oo");
    scene.remove(".env");
    let changes = base.changes().unwrap();
    let names: Vec<_> = changes
        .ignored_files
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(names, [".env", "target/debug/new.o", "target/debug/old.o"]);
    assert_eq!(changes.ignored, 3);
    assert!(changes.is_empty());
}

/// Puts a tree into every state that git knows for a file.
fn dirty(scene: &Scene) {
    scene.write("conflict.txt", "base\n");
    scene.commit("conflict base");
    scene.git(&["checkout", "-q", "-b", "theirs"]);
    scene.write("conflict.txt", "theirs\n");
    scene.commit("theirs");
    scene.git(&["checkout", "-q", "main"]);
    scene.write("conflict.txt", "ours\n");
    scene.commit("ours");
    let merge = Command::new("git")
        .args([
            "-c",
            "user.name=A",
            "-c",
            "user.email=a@example.org",
            "merge",
            "-q",
            "theirs",
        ])
        .current_dir(scene.top())
        .output()
        .unwrap();
    assert!(
        !merge.status.success(),
        "the merge must stop at the conflict"
    );
    scene.write("src/a.rs", "staged\n");
    scene.git(&["add", "src/a.rs"]);
    scene.write("src/a.rs", "staged and then edited\n");
    scene.write("src/b.rs", "unstaged\n");
    scene.write("untracked/deep/u.txt", "untracked\n");
    scene.write("intended.txt", "intended\n");
    scene.git(&["add", "-N", "intended.txt"]);
    scene.write("app.log", "ignored\n");
    scene.remove("run.sh");
}

#[test]
fn a_dirty_tree_is_neither_blamed_nor_touched() {
    let scene = Scene::new();
    dirty(&scene);
    let (files, index) = (scene.files(), fs::read(scene.path(".git/index")).unwrap());
    let base = scene.capture(&["."], Duration::from_secs(2));
    let changes = base.changes().unwrap();
    assert_eq!(seen(&changes), Vec::<String>::new());
    assert!(changes.git.is_empty(), "{:?}", changes.git);
    assert_eq!(scene.files(), files);
    assert_eq!(fs::read(scene.path(".git/index")).unwrap(), index);
}

#[test]
fn the_diff_of_a_dirty_file_shows_only_what_the_agent_did() {
    let scene = Scene::new();
    dirty(&scene);
    let base = scene.capture(&["."], Duration::from_secs(2));
    scene.write("src/b.rs", "unstaged\nagent\n");
    scene.write("untracked/deep/u.txt", "agent\n");
    scene.write("run.sh", "#!/bin/sh\n");
    scene.remove("intended.txt");
    let changes = base.changes().unwrap();
    assert_eq!(
        seen(&changes),
        [
            "D intended.txt",
            "A run.sh",
            "M src/b.rs",
            "M untracked/deep/u.txt"
        ]
    );
    let diff = changes.diff(Selection::All, u64::MAX);
    insta::assert_snapshot!("dirty_tree_diff", diff.text());
    assert_eq!(
        changes
            .read_before(b"untracked/deep/u.txt", 0, 100)
            .unwrap(),
        b"untracked\n"
    );
}

#[test]
fn paths_are_told_from_the_working_directory() {
    let scene = Scene::new();
    let base = scene.capture(&["src", "docs"], Duration::from_secs(2));
    scene.write("src/a.rs", "1\n");
    scene.write("docs/guide.md", "2\n");
    scene.write("other/keep.txt", "3\n");
    let changes = base.changes().unwrap();
    assert_eq!(
        seen(&changes),
        ["M ../docs/guide.md", "M ../other/keep.txt", "M a.rs"]
    );
    let outside: Vec<_> = changes
        .outside()
        .map(|file| file.path.to_string())
        .collect();
    assert_eq!(outside, ["../other/keep.txt"]);
    let diff = changes.diff(Selection::All, u64::MAX);
    assert!(
        diff.text().contains("--- a/src/a.rs\n"),
        "a diff that reaches outside counts from the top: {}",
        diff.text()
    );
}

#[test]
fn a_submodule_is_walked_and_its_bump_is_shown() {
    let scene = Scene::new();
    let other = scene.root().join("library");
    fs::create_dir(&other).unwrap();
    git(&other, &["init", "-q", "-b", "main"]);
    fs::write(other.join("lib.c"), "int x;\n").unwrap();
    git(&other, &["add", "-A"]);
    git(&other, &["commit", "-q", "-m", "x"]);
    scene.git(&["submodule", "add", "-q", "../library", "sub"]);
    scene.commit("submodule");
    let base = scene.capture(&["."], Duration::from_secs(2));
    scene.write("sub/lib.c", "int y;\n");
    git(&scene.path("sub"), &["commit", "-q", "-a", "-m", "y"]);
    let changes = base.changes().unwrap();
    assert_eq!(seen(&changes), ["M sub", "M sub/lib.c"]);
    assert!(
        changes.files[0]
            .submodule
            .as_ref()
            .is_some_and(|bump| bump.from != bump.to)
    );
    assert_eq!(
        changes.files[1]
            .nested_repository
            .as_ref()
            .map(ToString::to_string)
            .as_deref(),
        Some("sub")
    );
    assert!(
        changes
            .diff(Selection::Path(b"sub"), 10_000)
            .text()
            .contains("+Subproject commit ")
    );
    // A job may also work inside the submodule alone.
    assert_eq!(scene.open(&["sub"]).unwrap().top(), scene.path("sub"));
}

#[test]
fn line_ends_and_filters_do_not_deceive() {
    for attributes in [
        "* text=auto\n",
        "*.txt text eol=crlf\n",
        "*.txt filter=lfs diff=lfs merge=lfs -text\n",
        "*.txt ident\n",
    ] {
        let scene = Scene::new();
        scene.write(".gitattributes", attributes);
        scene.write("crlf.txt", "one\r\ntwo\r\n");
        scene.write("mixed.txt", "one\r\ntwo\n");
        scene.commit("attributes");
        scene.settle_index();
        let base = scene.capture(&["."], Duration::ZERO);
        scene.write("crlf.txt", "one\r\n2\r\n");
        scene.write("mixed.txt", "one\r\n2\n");
        let changes = base.changes().unwrap();
        assert_eq!(
            seen(&changes),
            ["M crlf.txt", "M mixed.txt"],
            "{attributes}"
        );
        assert_eq!(
            changes.read_before(b"crlf.txt", 0, 100).unwrap(),
            b"one\r\ntwo\r\n",
            "{attributes}"
        );
        assert_eq!(
            changes.read_before(b"mixed.txt", 0, 100).unwrap(),
            b"one\r\ntwo\n",
            "{attributes}"
        );
    }
}

#[test]
fn hard_links_are_flagged() {
    let scene = Scene::new();
    let outside = scene.folder().join("outside.txt");
    fs::write(&outside, "secret\n").unwrap();
    let base = scene.capture(&["."], Duration::from_secs(2));
    fs::hard_link(&outside, scene.path("src/in.txt")).unwrap();
    let changes = base.changes().unwrap();
    assert_eq!(seen(&changes), ["A src/in.txt"]);
    assert!(changes.files[0].hard_linked);
}

#[test]
fn changes_stay_what_they_were_when_the_tree_goes_on() {
    let scene = Scene::new();
    let base = scene.capture(&["."], Duration::from_secs(2));
    scene.write("src/a.rs", "agent\n");
    let changes = base.changes().unwrap();
    let diff = changes.diff(Selection::All, u64::MAX);
    scene.write("src/a.rs", "agent, reformatted by a check\n");
    scene.write("coverage.txt", "a check wrote this\n");
    assert_eq!(changes.diff(Selection::All, u64::MAX), diff);
    assert_eq!(changes.read(b"src/a.rs", 0, 100).unwrap(), b"agent\n");
}

#[test]
fn what_came_between_two_looks_is_put_back() {
    let scene = Scene::new();
    for name in ["kept.txt", "deleted.txt", "moved.txt", "agents.txt"] {
        scene.write(name, format!("{name}\n"));
    }
    scene.commit("more");
    let base = scene.capture(&["."], Duration::from_secs(2));
    scene.write("src/a.rs", "agent\n");
    scene.write("new.txt", "agent\n");
    fs::remove_file(scene.path("deleted.txt")).unwrap();
    fs::rename(scene.path("agents.txt"), scene.path("renamed.txt")).unwrap();
    let taken = base.changes().unwrap();

    scene.write("src/a.rs", "check\n");
    fs::remove_file(scene.path("new.txt")).unwrap();
    scene.write("deleted.txt", "deleted.txt\n");
    scene.write("kept.txt", "check\n");
    scene.write("deep/er/stray.txt", "check\n");
    fs::rename(scene.path("moved.txt"), scene.path("elsewhere.txt")).unwrap();
    fs::rename(scene.path("renamed.txt"), scene.path("agents.txt")).unwrap();
    let now = base.changes().unwrap();
    let back = base.put_back(&taken, &now).unwrap();
    assert!(back.failed.is_empty(), "{back:?}");
    let then = base.changes().unwrap();
    assert_eq!(then.digest(), taken.digest(), "{:?}", seen(&then));
    assert!(!scene.path("deep").exists());
}

#[test]
fn the_same_result_has_the_same_digest() {
    let scene = Scene::new();
    let base = scene.capture(&["."], Duration::from_secs(2));
    scene.write("src/a.rs", "agent\n");
    let first = base.changes().unwrap().digest();
    scene.write("src/a.rs", "other\n");
    assert_ne!(base.changes().unwrap().digest(), first);
    scene.write("src/a.rs", "agent\n");
    assert_eq!(base.changes().unwrap().digest(), first);
}

#[test]
fn long_diffs_are_cut_between_hunks_and_say_so() {
    let scene = Scene::new();
    let lines: Vec<String> = (0..200).map(|line| format!("line {line}")).collect();
    scene.write("long.txt", lines.join("\n") + "\n");
    scene.commit("long");
    let base = scene.capture(&["."], Duration::from_secs(2));
    let edited: Vec<String> = lines
        .iter()
        .enumerate()
        .map(|(at, line)| {
            if at % 40 == 5 {
                format!("edited {at}")
            } else {
                line.clone()
            }
        })
        .collect();
    scene.write("long.txt", edited.join("\n") + "\n");
    scene.write("z.bin", b"\0\x01\x02");
    let changes = base.changes().unwrap();
    let whole = changes.diff(Selection::All, u64::MAX);
    assert_eq!((whole.shown_files, whole.totals()), (2, (5, 5)));
    let cut = changes.diff(Selection::Path(b"long.txt"), 400);
    assert!(cut.bytes.len() <= 400);
    assert!(
        whole.bytes.starts_with(&cut.bytes),
        "what is shown is shown as it is"
    );
    insta::assert_snapshot!("cut_diff", format!("{}{}", cut.text(), cut.note()));
    assert_eq!(changes.diff(Selection::All, 0).bytes, b"");
}

#[test]
fn files_too_long_to_keep_are_still_seen() {
    let scene = Scene::new();
    scene.write("big.bin", vec![7; 5000]);
    scene.write("same.bin", vec![8; 5000]);
    let limits = Limits {
        file_bytes: 1000,
        ..Limits::default()
    };
    let base = Base::capture(
        &scene.open(&["."]).unwrap(),
        &scene.folder().join("storage"),
        limits,
    )
    .unwrap();
    assert_eq!(base.unread(), 2);
    scene.write("big.bin", vec![7; 5001]);
    let changes = base.changes().unwrap();
    assert_eq!(seen(&changes), ["M big.bin"]);
    assert!(changes.files[0].unreadable);
    let diff = changes.diff(Selection::All, u64::MAX);
    assert!(!diff.is_whole());
    insta::assert_snapshot!("unkept_diff", format!("{}{}", diff.text(), diff.note()));
}

#[test]
fn a_tree_with_too_many_files_is_refused_not_swallowed() {
    let scene = Scene::new();
    let base = scene.capture(&["."], Duration::from_secs(2));
    drop(base);
    let limits = Limits {
        files: 5,
        ..Limits::default()
    };
    let refused = Base::capture(
        &scene.open(&["."]).unwrap(),
        &scene.folder().join("storage"),
        limits,
    );
    assert!(matches!(
        refused,
        Err(WorkspaceError::TooManyFiles { limit: 5 })
    ));
}

#[test]
fn tampering_is_told_from_honest_git_work() {
    let scene = Scene::new();
    let base = scene.capture(&["."], Duration::from_secs(2));
    scene.write("src/a.rs", "agent\n");
    scene.commit("honest");
    assert!(
        !base
            .changes()
            .unwrap()
            .git
            .iter()
            .any(GitChange::is_tampering)
    );
    scene.git(&["config", "core.fsmonitor", "touch /tmp/pwned"]);
    assert!(
        base.changes()
            .unwrap()
            .git
            .iter()
            .any(GitChange::is_tampering)
    );
}

#[test]
fn reverting_puts_exactly_those_files_back() {
    for trick in TRICKS {
        let scene = Scene::new();
        (trick.before)(&scene);
        let before = scene.files();
        let base = scene.capture(&["."], Duration::from_secs(2));
        (trick.agent)(&scene);
        let changes = base.changes().unwrap();
        let reverted = match base.revert(&changes.files) {
            Ok(reverted) => reverted,
            // With the tree itself gone there is nothing to put anything into.
            Err(error) => {
                assert!(trick.name.contains("tree"), "{}: {error}", trick.name);
                continue;
            }
        };
        // With the tree or its objects gone there is not everything to put back from.
        if ["the whole tree", "the tree replaced", ".git"]
            .iter()
            .any(|part| trick.name.contains(part))
        {
            continue;
        }
        assert_eq!(reverted.failed, [], "{}", trick.name);
        let mut after = scene.files();
        after.retain(|path, _| {
            !(path.starts_with("target")
                || path.extension() == Some(OsStr::new("log"))
                || path == Path::new(".env"))
        });
        let mut expected = before;
        expected.retain(|path, _| !(path.starts_with("target") || path == Path::new(".env")));
        assert_eq!(after, expected, "{}", trick.name);
        assert!(base.changes().unwrap().is_empty(), "{}", trick.name);
    }
}

#[test]
fn reverting_a_part_leaves_the_rest() {
    let scene = Scene::new();
    scene.write("other/user.txt", "the user's uncommitted work\n");
    let base = scene.capture(&["src"], Duration::from_secs(2));
    scene.write("src/a.rs", "in scope\n");
    scene.write("other/keep.txt", "out of scope\n");
    scene.write("other/user.txt", "spoilt\n");
    scene.write("new/deep/x.txt", "out of scope\n");
    let changes = base.changes().unwrap();
    let reverted = base.revert(changes.outside()).unwrap();
    let files: Vec<_> = reverted.files.iter().map(ToString::to_string).collect();
    assert_eq!(
        files,
        [
            "../new/deep/x.txt",
            "../other/keep.txt",
            "../other/user.txt"
        ]
    );
    assert_eq!(seen(&base.changes().unwrap()), ["M a.rs"]);
    assert_eq!(
        fs::read(scene.path("other/user.txt")).unwrap(),
        b"the user's uncommitted work\n"
    );
    assert!(
        !scene.path("new").exists(),
        "folders that the job made go with their last file"
    );
}

/// One shape of a repository, and whether a job can work in it (else a part of the refusal).
struct Shape {
    name: &'static str,
    make: fn(&Scene),
    dirs: &'static [&'static str],
    refused: Option<&'static str>,
}

const SHAPES: &[Shape] = &[
    Shape {
        name: "plain",
        make: NOTHING,
        dirs: &["."],
        refused: None,
    },
    Shape {
        name: "two directories",
        make: NOTHING,
        dirs: &["src", "docs"],
        refused: None,
    },
    Shape {
        name: "unborn",
        make: |scene| {
            fs::remove_dir_all(scene.path(".git")).unwrap();
            scene.git(&["init", "-q", "-b", "main"]);
        },
        dirs: &["."],
        refused: Some("has no commit yet (HEAD is on the unborn branch refs/heads/main)"),
    },
    Shape {
        name: "no repository",
        make: |scene| fs::remove_dir_all(scene.path(".git")).unwrap(),
        dirs: &["src"],
        refused: Some("is in no git repository inside SANDBOX_ROOT"),
    },
    Shape {
        name: "bare",
        make: |scene| git(&scene.top(), &["clone", "-q", "--bare", ".", "../bare"]),
        dirs: &["../bare"],
        refused: Some("is a bare repository"),
    },
    Shape {
        name: "bare by its config",
        make: |scene| scene.git(&["config", "core.bare", "true"]),
        dirs: &["."],
        refused: Some("is a bare repository"),
    },
    Shape {
        name: "inside .git",
        make: NOTHING,
        dirs: &[".git/refs"],
        refused: Some("is inside a .git directory"),
    },
    Shape {
        name: "two repositories",
        make: |scene| git(&scene.top(), &["clone", "-q", ".", "../second"]),
        dirs: &[".", "../second"],
        refused: Some("must lie in one git repository"),
    },
    Shape {
        name: "a missing directory",
        make: NOTHING,
        dirs: &["nowhere"],
        refused: Some("does not exist"),
    },
    Shape {
        name: "a file",
        make: NOTHING,
        dirs: &["run.sh"],
        refused: Some("is not a directory"),
    },
    Shape {
        name: "no directory",
        make: NOTHING,
        dirs: &[],
        refused: Some("at least one directory"),
    },
    Shape {
        name: "detached",
        make: |scene| scene.git(&["checkout", "-q", "--detach"]),
        dirs: &["."],
        refused: None,
    },
    Shape {
        name: "packed refs",
        make: |scene| scene.git(&["pack-refs", "--all"]),
        dirs: &["."],
        refused: None,
    },
    Shape {
        name: "shallow",
        make: |scene| {
            scene.write("more", "x");
            scene.commit("more");
            let url = format!("file://{}", scene.top().display());
            git(
                &scene.top(),
                &["clone", "-q", "--depth", "1", &url, "../shallow"],
            );
        },
        dirs: &["../shallow"],
        refused: None,
    },
    Shape {
        name: "sparse",
        make: |scene| scene.git(&["sparse-checkout", "set", "src"]),
        dirs: &["."],
        refused: None,
    },
    Shape {
        name: "a linked worktree",
        make: |scene| scene.git(&["worktree", "add", "-q", "../linked"]),
        dirs: &["../linked"],
        refused: None,
    },
    Shape {
        name: "a linked worktree of a repository outside the root",
        make: |scene| {
            let outside = scene.folder().join("outside");
            fs::create_dir(&outside).unwrap();
            git(
                &outside,
                &["clone", "-q", scene.top().to_str().unwrap(), "main"],
            );
            git(
                &outside.join("main"),
                &[
                    "worktree",
                    "add",
                    "-q",
                    scene.root().join("linked").to_str().unwrap(),
                ],
            );
        },
        dirs: &["../linked"],
        refused: Some("is outside SANDBOX_ROOT"),
    },
    Shape {
        name: "a .git file that leads nowhere",
        make: |scene| {
            fs::remove_dir_all(scene.path(".git")).unwrap();
            scene.write(".git", "gitdir: ../gone\n");
        },
        dirs: &["."],
        refused: Some("is missing"),
    },
    Shape {
        name: "a .git file with anything in it",
        make: |scene| {
            fs::remove_dir_all(scene.path(".git")).unwrap();
            scene.write(".git", "hello\n");
        },
        dirs: &["."],
        refused: Some("does not say `gitdir: ...`"),
    },
    Shape {
        name: "SHA-256",
        make: |scene| {
            fs::remove_dir_all(scene.path(".git")).unwrap();
            scene.git(&["init", "-q", "--object-format=sha256"]);
            scene.commit("start");
        },
        dirs: &["."],
        refused: Some("SHA-256"),
    },
    Shape {
        name: "reftable",
        make: |scene| {
            fs::remove_dir_all(scene.path(".git")).unwrap();
            scene.git(&["init", "-q", "--ref-format=reftable"]);
            scene.commit("start");
        },
        dirs: &["."],
        refused: Some("reftable"),
    },
    Shape {
        name: "core.worktree elsewhere",
        make: |scene| scene.git(&["config", "core.worktree", "/tmp"]),
        dirs: &["."],
        refused: Some("core.worktree"),
    },
    Shape {
        name: "a broken config",
        make: |scene| scene.write(".git/config", "[core\n\0"),
        dirs: &["."],
        refused: Some("config cannot be read"),
    },
    Shape {
        name: "an index of version 4",
        make: |scene| scene.git(&["update-index", "--index-version", "4"]),
        dirs: &["."],
        refused: None,
    },
    Shape {
        name: "a split index",
        make: |scene| scene.git(&["update-index", "--split-index"]),
        dirs: &["."],
        refused: None,
    },
    Shape {
        name: "a sparse index",
        make: |scene| scene.git(&["sparse-checkout", "set", "--cone", "--sparse-index", "src"]),
        dirs: &["."],
        refused: None,
    },
    Shape {
        name: "no index",
        make: |scene| scene.remove(".git/index"),
        dirs: &["."],
        refused: None,
    },
    Shape {
        name: "a broken index",
        make: |scene| scene.write(".git/index", "DIRC\0\0"),
        dirs: &["."],
        refused: None,
    },
    Shape {
        name: "a held index lock",
        make: |scene| scene.write(".git/index.lock", ""),
        dirs: &["."],
        refused: None,
    },
    Shape {
        name: "a partial clone",
        make: |scene| {
            scene.git(&["config", "uploadpack.allowFilter", "true"]);
            let url = format!("file://{}", scene.top().display());
            git(
                &scene.top(),
                &["clone", "-q", "--filter=blob:none", &url, "../partial"],
            );
        },
        dirs: &["../partial"],
        refused: None,
    },
    Shape {
        name: "objects by alternates",
        make: |scene| git(&scene.top(), &["clone", "-q", "--shared", ".", "../shared"]),
        dirs: &["../shared"],
        refused: None,
    },
];

#[test]
fn every_shape_of_repository_works_or_is_refused_in_a_sentence() {
    for shape in SHAPES {
        let scene = Scene::new();
        (shape.make)(&scene);
        match (scene.open(shape.dirs), shape.refused) {
            (Err(error), Some(part)) => {
                assert!(error.to_string().contains(part), "{}: {error}", shape.name);
                assert!(
                    !error.to_string().contains('\n'),
                    "{}: one sentence: {error}",
                    shape.name
                );
            }
            (Err(error), None) => panic!("{}: {error}", shape.name),
            (Ok(_), Some(_)) => panic!("{}: should be refused", shape.name),
            (Ok(workspace), None) => {
                for slack in [Duration::from_secs(2), Duration::ZERO] {
                    let limits = Limits {
                        stamp_slack: slack,
                        ..Limits::default()
                    };
                    let base =
                        Base::capture(&workspace, &scene.folder().join("storage"), limits).unwrap();
                    assert_eq!(
                        seen(&base.changes().unwrap()),
                        Vec::<String>::new(),
                        "{}",
                        shape.name
                    );
                    let file = workspace.top().join("src/a.rs");
                    fs::write(&file, "changed\n").unwrap();
                    let changes = base.changes().unwrap();
                    let name = changes
                        .files
                        .iter()
                        .map(|file| file.path.to_string())
                        .collect::<Vec<_>>();
                    assert!(
                        matches!(name.as_slice(), [one] if one.ends_with("a.rs")),
                        "{}: {name:?}",
                        shape.name
                    );
                    assert!(
                        changes
                            .diff(Selection::All, 10_000)
                            .text()
                            .contains("-fn a() {\n"),
                        "{}",
                        shape.name
                    );
                    fs::write(&file, "fn a() {\n    1\n}\n").unwrap();
                    assert!(base.changes().unwrap().is_empty(), "{}", shape.name);
                }
            }
        }
    }
}

#[test]
fn instructions_of_the_base_are_given_from_the_top_down() {
    let scene = Scene::new();
    scene.write("AGENTS.md", "top\n");
    symlink("AGENTS.md", scene.path("CLAUDE.md")).unwrap();
    scene.write("src/CLAUDE.md", "src\n");
    symlink("/etc/passwd", scene.path("src/AGENTS.md")).unwrap();
    let base = scene.capture(&["src"], Duration::from_secs(2));
    let shown: Vec<_> = base
        .instructions()
        .iter()
        .map(|(path, text)| format!("{path}: {}", text.trim()))
        .collect();
    assert_eq!(shown, ["AGENTS.md: top", "src/CLAUDE.md: src"]);
}

mod any_edit {
    use proptest::prelude::*;

    use super::*;

    /// Lines that are alike, so that hunks fall in odd places; with and without an end of line at the end.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            "[ab]{0,2}",
            Just("\r".to_owned()),
            Just("\u{e9}\\ \t".to_owned()),
            Just("-- x".to_owned())
        ];
        (proptest::collection::vec(line, 0..40), any::<bool>()).prop_map(|(lines, end)| {
            let mut text = lines.join("\n").into_bytes();
            if end {
                text.push(b'\n');
            }
            text
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// Whatever a file was and becomes, its diff applied by git to the one gives the other.
        #[test]
        fn diffs_apply_with_git(pairs in proptest::collection::vec((text(), text()), 8)) {
            let scene = Scene::new();
            for (number, (old, _)) in pairs.iter().enumerate() {
                scene.write(format!("f {number}"), old);
            }
            let base = scene.capture(&["."], Duration::from_secs(2));
            for (number, (_, new)) in pairs.iter().enumerate() {
                scene.write(format!("f {number}"), new);
            }
            let changes = base.changes().unwrap();
            let diff = changes.diff(Selection::All, u64::MAX);
            prop_assert!(diff.is_whole());
            base.revert(&changes.files).unwrap();
            if !diff.bytes.is_empty() {
                let patch = scene.folder().join("patch");
                fs::write(&patch, &diff.bytes).unwrap();
                scene.git(&["apply", "--whitespace=nowarn", patch.to_str().unwrap()]);
            }
            for (number, (_, new)) in pairs.iter().enumerate() {
                prop_assert_eq!(&fs::read(scene.path(format!("f {number}"))).unwrap(), new);
            }
        }
    }
}
