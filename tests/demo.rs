//! `mcp-codex-worker demo`, as a newcomer runs it: an empty HOME, no settings, no terminal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use worker_test_support::clients;

fn demo(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-codex-worker"));
    fs::create_dir_all(home.join("tmp")).unwrap();
    command
        .arg("demo")
        .args(arguments)
        .current_dir(home)
        .env_clear()
        .env("HOME", home)
        .env("TMPDIR", home.join("tmp"))
        .env("PATH", std::env::var_os("PATH").unwrap())
        // The installation itself is what the real-client tests go through; here it must not be repeated.
        .env("WORKER_CACHE_DIR", clients::shared_cache())
        .env("WORKER_CLAUDE_BIN", clients::claude_code());
    command
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_newcomer_sees_a_whole_job_and_keeps_nothing() {
    let home = tempfile::tempdir().unwrap();
    let output = demo(home.path(), &[]).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}\n{complaints}");
    for part in [
        "A repository with a failing test",
        "Codex calls `start`",
        "| ",
        "\"job_status\": \"completed\"",
        "\"scoped_patch: passed (src)\"",
        "\"unit tests: passed (failed before)\"",
        "+  for (let i = 0; i < items.length; i++) {",
        "Codex's model",
        "requests to the gateway",
        "The demo passed in",
    ] {
        assert!(shown.contains(part), "{part:?} is missing in\n{shown}");
    }
    assert!(
        !shown.contains('\x1b'),
        "plain text where there is no terminal"
    );
    assert_eq!(complaints, "");
    assert_eq!(
        names_in(home.path()),
        ["tmp"],
        "nothing is written beside the temporary folder and the cache"
    );
    assert_eq!(names_in(&home.path().join("tmp")), Vec::<String>::new());
}

#[test]
fn the_folder_stays_where_it_is_asked_for() {
    let home = tempfile::tempdir().unwrap();
    let output = demo(home.path(), &["--keep"]).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{shown}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let kept = shown
        .lines()
        .find_map(|line| line.strip_prefix("Kept: "))
        .expect("says where");
    let mended = fs::read_to_string(Path::new(kept).join("work/cart/src/cart.js")).unwrap();
    assert!(mended.contains("i < items.length;"));
}

/// Ctrl-C at the terminal reaches the demo, which cancels its job first.
#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_cancels_the_job_and_leaves_nothing() {
    use std::io::{BufRead, BufReader};

    let home = tempfile::tempdir().unwrap();
    let mut demo = demo(home.path(), &[])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    assert!(lines.any(|line| line.contains("Codex calls `start`")));
    let pid = demo.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let rest: Vec<String> = lines.collect();
    assert_eq!(
        demo.wait().unwrap().code(),
        Some(130),
        "{}",
        rest.join("\n")
    );
    assert_eq!(names_in(&home.path().join("tmp")), Vec::<String>::new());
}

#[test]
fn live_without_a_gateway_is_a_wrong_call() {
    let home = tempfile::tempdir().unwrap();
    let output = demo(home.path(), &["--live"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("ONEAPI_BASE_URL"), "{complaint}");
}

/// A PATH with node and what else a test wants, but no claude.
#[cfg(unix)]
fn path_with(folder: &Path, programs: &[&str]) -> std::path::PathBuf {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    for program in programs {
        let path = std::env::var_os("PATH").unwrap();
        let found = std::env::split_paths(&path)
            .map(|folder| folder.join(program))
            .find(|path| path.is_file());
        std::os::unix::fs::symlink(found.expect(program), bin.join(program)).unwrap();
    }
    bin
}

#[cfg(unix)]
#[test]
fn what_keeps_claude_code_from_being_installed_is_said_with_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let cache = home.path().join("cache");
    let mut without_npm = demo(home.path(), &[]);
    without_npm
        .env_remove("WORKER_CLAUDE_BIN")
        .env("WORKER_CACHE_DIR", &cache)
        .env("PATH", path_with(home.path(), &["node"]));
    let output = without_npm.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8(output.stderr).unwrap();
    for part in [
        "npm could not be started",
        "Install Node.js",
        "WORKER_CLAUDE_BIN",
    ] {
        assert!(
            complaint.contains(part),
            "{part:?} is missing in {complaint}"
        );
    }

    let mut without_network = demo(home.path(), &[]);
    without_network
        .env_remove("WORKER_CLAUDE_BIN")
        .env("WORKER_CACHE_DIR", &cache)
        .env("npm_config_cache", home.path().join("npm"))
        // Nobody listens there.
        .env("npm_config_registry", "http://127.0.0.1:1/")
        .env(
            "PATH",
            path_with(&home.path().join("npm-too"), &["node", "npm", "sh"]),
        );
    let output = without_network.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8(output.stderr).unwrap();
    for part in [
        "could not reach its registry",
        "ECONNREFUSED",
        "Check the network",
    ] {
        assert!(
            complaint.contains(part),
            "{part:?} is missing in {complaint}"
        );
    }
    let left: Vec<String> = names_in(&cache.join("clients"))
        .into_iter()
        .filter(|name| !name.ends_with(".lock"))
        .collect();
    assert_eq!(left, Vec::<String>::new(), "nothing half-installed is left");
}
