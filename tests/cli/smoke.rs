//! `smoke`: what works without a network, a key or Claude Code.

use std::process::Command;

use serde_json::Value;
use worker_test_support::{Worker, clients};

use super::{User, stderr, stdout};

const BINARY: &str = env!("CARGO_BIN_EXE_mcp-codex-worker");

#[test]
fn everything_works_without_a_network_a_key_or_claude_code() {
    let worker = Worker::bare(BINARY);
    let smoke = worker.command(["smoke", "--json"]);
    // Without a network where the machine lets us have none of it: a loopback of its own, and nothing else.
    let offline = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "sh", "-c"])
        .args(["ip link set lo up 2>/dev/null", "sh"])
        .status()
        .is_ok_and(|status| status.success());
    let output = if offline {
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "--net", "sh", "-c"])
            .args([r#"ip link set lo up && exec "$@""#, "sh"])
            .arg(smoke.get_program())
            .args(smoke.get_args())
            .env_clear()
            .envs(
                smoke
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
        command.output().unwrap()
    } else {
        worker.command(["smoke", "--json"]).output().unwrap()
    };
    if offline {
        // Not even a loopback: then that is said, and not that nothing works.
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "--net", BINARY, "smoke"])
            .env_clear()
            .envs(
                smoke
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(
            stderr(&output).contains("ip link set lo up"),
            "{}",
            stderr(&output)
        );
    }
    let told: Value = serde_json::from_str(stdout(&output).trim())
        .unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)));
    assert_eq!(told["passed"], true, "{told:#}");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let steps = told["steps"].as_array().unwrap();
    let names: Vec<&str> = steps
        .iter()
        .map(|step| step["what"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "MCP server",
            "tools",
            "checks",
            "summarizers",
            "redactors",
            "dialects",
            "adapter",
            "job"
        ]
    );
    // Every bundled plugin was called.
    let details = told.to_string();
    let listed = stdout(&worker.command(["plugin", "list"]).output().unwrap());
    let listed: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(listed.len() >= 10, "{listed:?}");
    for name in listed {
        assert!(details.contains(name), "{name} was not tried");
    }
}

#[test]
fn a_mistake_in_the_settings_does_not_keep_smoke_from_its_work_and_nothing_is_left() {
    let cache = clients::shared_cache().display().to_string();
    let user = User::new().with("MAX_RUNNING_JOBS", "many");
    let temp = user.path("tmp");
    std::fs::create_dir(&temp).unwrap();
    // The settings cannot be loaded, so the cache is a temporary one: brought along here, to compile nothing twice.
    std::os::unix::fs::symlink(&cache, temp.join("mcp-codex-worker-cache")).unwrap();
    let user = user.with("TMPDIR", &temp.display().to_string());
    let output = user.run(&["smoke"]);
    assert!(output.status.success(), "{}", stdout(&output));
    assert!(
        stdout(&output).contains("All 8 work"),
        "{}",
        stdout(&output)
    );
    let left: Vec<_> = std::fs::read_dir(&temp)
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .filter(|name| name != "mcp-codex-worker-cache")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
