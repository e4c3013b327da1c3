//! The price of confinement: a view for each task, and checks in a layer over the tree.
//!
//! `cargo bench -p mcp-codex-worker-process --bench view` on a quiet machine. Sections: `view`, `layer`; without a name both.
//! Goals: a view at most 15 ms for a task (the difference of the first two rows), a build in a layer at most 5 % slower
//! than in the tree. The build is that of this workspace's own crate `settings`, cold, in a clone of the repository.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mcp_codex_worker_process as process;
use process::{Command, Confinement, Grants, Layer, SandboxMode, Stdin};

/// The tasks of each kind, one of each after the other, so that a noise of the machine is in all of them.
const ROUNDS: usize = 200;
/// The builds of each kind.
const BUILDS: usize = 5;

fn main() {
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let runs = |section: &str| wanted.as_deref().is_none_or(|wanted| wanted == section);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    if runs("view") {
        runtime.block_on(view());
    }
    if runs("layer") {
        runtime.block_on(layer());
    }
}

/// The middle one, and the one that nine of ten stay below.
fn told(name: &str, mut times: Vec<Duration>) -> Duration {
    times.sort();
    let at = |share: usize| times[(times.len() * share / 10).min(times.len() - 1)];
    println!("{name:<24} p50 {:>9.2?}   p90 {:>9.2?}", at(5), at(9));
    at(5)
}

fn command(tree: &Path, home: &Path, program: &str, args: &[&str]) -> Command {
    let toolchains = process::toolchains(home);
    let mut env = toolchains.env;
    env.push(("HOME".into(), home.into()));
    Command {
        program: program.into(),
        args: args.iter().map(Into::into).collect(),
        cwd: tree.to_path_buf(),
        env,
        stdin: Stdin::Null,
        confinement: Confinement {
            mode: SandboxMode::Auto,
            read: toolchains.read,
            write: vec![tree.to_path_buf(), home.to_path_buf()],
            ..Confinement::off()
        },
    }
}

async fn took(command: Command) -> Duration {
    let began = Instant::now();
    let mut task = process::spawn(command).await.expect("a task");
    let (mut out, mut err) = (tokio::io::sink(), tokio::io::sink());
    let (stdout, stderr) = (&mut task.stdout, &mut task.stderr);
    let read = tokio::try_join!(
        tokio::io::copy(stdout, &mut out),
        tokio::io::copy(stderr, &mut err)
    );
    read.expect("its output");
    assert!(task.wait().await.success(), "it failed");
    began.elapsed()
}

async fn view() {
    let folder = tempfile::tempdir().expect("a folder");
    let [tree, home] = ["tree", "home"].map(|name| folder.path().join(name));
    for made in [&tree, &home] {
        std::fs::create_dir(made).expect("a folder");
    }
    let grants = Grants::default();
    let (mut in_view, mut without, mut unconfined) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut seen = command(&tree, &home, "true", &[]);
        seen.confinement.grants = grants.clone();
        let mut landlock = seen.clone();
        landlock.confinement.landlock_only = true;
        let mut off = seen.clone();
        off.confinement = Confinement::off();
        in_view.push(took(seen).await);
        without.push(took(landlock).await);
        unconfined.push(took(off).await);
    }
    let seen = told("in a view", in_view);
    let landlock = told("namespaces, Landlock", without);
    told("unconfined", unconfined);
    println!(
        "a view costs {:.2?} (goal: 15 ms)",
        seen.saturating_sub(landlock)
    );
}

async fn layer() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let (tree, home) = (at("tree"), at("home"));
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let cloned = std::process::Command::new("git")
        .args(["clone", "-q"])
        .args([&repository, &tree])
        .status();
    assert!(cloned.expect("git").success(), "a clone of the repository");
    std::fs::create_dir(&home).expect("a folder");
    process::toolchains(&home).link_packages();
    let args = [
        "build",
        "-q",
        "--offline",
        "-p",
        "mcp-codex-worker-settings",
    ];
    let fresh = |name: &str| -> PathBuf {
        let made = at(name);
        let _ = std::fs::remove_dir_all(&made);
        std::fs::create_dir(&made).expect("a folder");
        made
    };
    let (mut in_tree, mut in_layer) = (Vec::new(), Vec::new());
    for _ in 0..BUILDS {
        in_tree.push(took(command(&tree, &home, "cargo", &args)).await);
        std::fs::remove_dir_all(tree.join("target")).expect("the build's output");
        let mut layered = command(&tree, &home, "cargo", &args);
        layered.confinement.layers = vec![Layer {
            folder: tree.clone(),
            upper: fresh("upper"),
            work: fresh("work"),
            cover: None,
        }];
        in_layer.push(took(layered).await);
    }
    let (plain, layered) = (
        told("built in the tree", in_tree),
        told("built in a layer", in_layer),
    );
    let ratio = layered.as_secs_f64() / plain.as_secs_f64();
    println!("a layer costs {:+.1} % (goal: 5 %)", (ratio - 1.0) * 100.0);
}
