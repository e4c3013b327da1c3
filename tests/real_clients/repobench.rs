//! RepoBench, which judges by hidden tests that no check of ours sees, ranks models of known skill rightly.

use std::process::{Command, Stdio};

use super::*;

#[test]
fn repobench_ranks_two_models_of_known_skill_rightly() {
    let home = tempfile::tempdir().unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/repobench/rank.sh");
    let ranked = Command::new("bash")
        .arg(script)
        .env("HOME", home.path())
        .env("TMPDIR", home.path())
        .env("MCP_CODEX_WORKER", BINARY)
        .env("WORKER_CLAUDE_BIN", clients::claude_code())
        .env("PYTHON", clients::repobench_python())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ranked.stdout);
    let complained = String::from_utf8_lossy(&ranked.stderr);
    assert!(ranked.status.success(), "{said}\n{complained}");
    // Each task is a job of its own, and the worker tells what it cost.
    let line = said.lines().find(|line| line.starts_with("solve rates:"));
    let line = line.expect("the report");
    assert!(line.contains("'steady': 1.0"), "{line}");
    assert!(line.contains("tasks run: 12"), "{line}");
    assert!(!line.ends_with("USD: 0"), "{line}");
}
