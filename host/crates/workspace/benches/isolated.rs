//! The cost of an isolated tree, against `git clone -l` and `git worktree add` of the same repository.
//!
//! `cargo bench -p mcp-codex-worker-workspace --bench isolated [-- FILES [once]]`: makes a repository of FILES files (20,000) in
//! one pack, then times each of the three, warm, the best of five. With `once` it makes one isolated tree and ends: `strace -fc`
//! counts its system calls.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

extern crate mcp_codex_worker_workspace as workspace;

use worker_test_support::checkout::git;
use workspace::{Isolated, IsolatedRequest, Limits, Root, Workspace};

const ROUNDS: usize = 5;

fn best(mut run: impl FnMut(usize)) -> Duration {
    let times = (0..ROUNDS).map(|round| {
        let start = Instant::now();
        run(round);
        start.elapsed()
    });
    times.min().unwrap()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let files = arguments
        .iter()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(20_000);
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().join("project");
    fill(&top, files);
    let root = Root::open(dir.path()).unwrap();
    let isolate = |name: &str| {
        let source = Workspace::open(&root, std::slice::from_ref(&top)).unwrap();
        Isolated::create(&IsolatedRequest {
            source: &source,
            folder: &dir.path().join(name),
            name,
            base: None,
            include_dirty: false,
            limits: Limits::default(),
        })
        .unwrap();
    };
    if arguments.iter().any(|argument| argument == "once") {
        isolate("once");
        return;
    }
    let isolated = best(|round| isolate(&format!("job{round}")));
    let cloned = best(|round| {
        let name = format!("../clone{round}");
        git(&top, &["clone", "-q", "-l", ".", &name]);
    });
    let added = best(|round| {
        let name = format!("../worktree{round}");
        git(&top, &["worktree", "add", "-q", &name]);
    });
    println!("{files} files; best of {ROUNDS}, seconds");
    for (what, time) in [
        ("isolated tree", isolated),
        ("git clone -l", cloned),
        ("git worktree add", added),
    ] {
        let times = isolated.as_secs_f64() / time.as_secs_f64();
        println!(
            "  {what:18} {:6.2}   (the isolated tree takes {times:.2} times as long)",
            time.as_secs_f64()
        );
    }
}

fn fill(top: &Path, files: usize) {
    fs::create_dir(top).unwrap();
    git(top, &["init", "-q", "-b", "main"]);
    for file in 0..files {
        let dir = top.join(format!("pkg{}/mod{}", file / 2000, file / 20 % 100));
        if file % 20 == 0 {
            fs::create_dir_all(&dir).unwrap();
        }
        let text = format!("// file {file}\nfn f{file}() {{}}\n").repeat(40);
        fs::write(dir.join(format!("file{file}.rs")), text).unwrap();
    }
    git(top, &["add", "-A"]);
    git(top, &["commit", "-q", "-m", "start"]);
    git(top, &["gc", "-q"]);
}
