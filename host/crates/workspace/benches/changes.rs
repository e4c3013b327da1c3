//! The cost of a job's two looks at a working tree, against `git status` on the same tree.
//!
//! `cargo bench --bench changes [-- FILES [CHANGED [IGNORED [UNTRACKED]]]]`: makes a repository of FILES tracked files
//! (100,000) with IGNORED files in an ignored folder (0) and UNTRACKED ones that no rule ignores (0), then times snapshot and
//! changes (with CHANGED changed files, 50) and `git status`, all warm, the best of five each.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

use std::fs;
use std::time::{Duration, Instant};

extern crate mcp_codex_worker_workspace as workspace;

use worker_test_support::checkout::git;
use workspace::{Base, Limits, Root, Selection, Workspace};

fn best<T>(mut run: impl FnMut() -> T) -> Duration {
    (0..5)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .min()
        .unwrap()
}

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse::<usize>().ok());
    let files = numbers.next().unwrap_or(100_000);
    let changed = numbers.next().unwrap_or(50);
    let ignored = numbers.next().unwrap_or(0);
    let untracked = numbers.next().unwrap_or(0);
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("project");
    fs::create_dir(&top).unwrap();
    git(&top, &["init", "-q", "-b", "main"]);
    let path = |file: usize| {
        top.join(format!(
            "pkg{}/mod{}/file{file}.rs",
            file / 2000,
            file / 20 % 100
        ))
    };
    for file in 0..files {
        let path = path(file);
        if file % 20 == 0 {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        fs::write(path, format!("// file {file}\nfn f{file}() {{}}\n")).unwrap();
    }
    fs::write(top.join(".gitignore"), "node_modules/\n*.log\n").unwrap();
    for file in 0..ignored {
        let path = top.join(format!("node_modules/m{}/lib/f{file}.js", file / 20));
        if file % 20 == 0 {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        fs::write(path, "x").unwrap();
    }
    git(&top, &["add", "-A"]);
    git(&top, &["commit", "-q", "-m", "start"]);
    for file in 0..untracked {
        let path = top.join(format!("made/m{}/f{file}.txt", file / 20));
        if file % 20 == 0 {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        fs::write(path, format!("made {file}\n")).unwrap();
    }
    // Past the two seconds in which stamps prove nothing, as in any tree that was not written just now.
    std::thread::sleep(Duration::from_millis(2500));
    git(&top, &["update-index", "-q", "--refresh"]);

    let root = Root::open(dir.path()).unwrap();
    let capture = || {
        let workspace = Workspace::open(&root, std::slice::from_ref(&top)).unwrap();
        Base::capture(&workspace, &dir.path().join("storage"), Limits::default()).unwrap()
    };
    let status_clean = best(|| git(&top, &["status", "--porcelain"]));
    let captured = best(|| {
        capture();
    });
    let base = capture();
    assert_eq!(base.unread(), 0);
    for file in 0..changed {
        let path = path(file * (files / changed.max(1)));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}// changed\n")).unwrap();
    }
    let mut found = 0;
    let looked = best(|| found = base.changes().unwrap().files.len());
    assert_eq!(found, changed);
    let changes = base.changes().unwrap();
    let shown = best(|| {
        changes.diff(Selection::All, u64::MAX);
    });
    let status_changed = best(|| git(&top, &["status", "--porcelain"]));
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    println!(
        "{files} tracked files, {changed} changed, {ignored} ignored, {untracked} untracked; best of five, milliseconds"
    );
    println!(
        "  git status, clean          {:8.1}",
        milliseconds(status_clean)
    );
    println!(
        "  git status, changed        {:8.1}",
        milliseconds(status_changed)
    );
    println!(
        "  snapshot before the job    {:8.1}",
        milliseconds(captured)
    );
    println!("  changes after the job      {:8.1}", milliseconds(looked));
    println!("  their diff                 {:8.1}", milliseconds(shown));
    println!(
        "  both looks / git status    {:8.2}",
        milliseconds(captured + looked) / milliseconds(status_clean.min(status_changed))
    );
}
