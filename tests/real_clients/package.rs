//! The plugin as it is packaged: Codex installs it from its folder with no network, shows its model the skill, and one call that
//! names nothing but the task and its check brings the verified result.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
use worker_test_support::Codex;
use worker_test_support::codex::Move;
use worker_test_support::gateway::{Script, ScriptedGateway};

use super::wake::{SERVER, told};
use super::{BINARY, broken_sum, mending, moves, set_up};

/// The skill, as the package has it.
const SKILL: &str = include_str!("../../host/src/cli/setup/package/SKILL.md");

/// Puts a `codex` on PATH that has no network, where the machine can take it away.
fn offline_codex(bin: &Path, program: &Path) {
    let alone = ["unshare", "--user", "--map-root-user", "--net", "--"];
    let can = Command::new(alone[0])
        .args(&alone[1..])
        .arg("true")
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !can {
        assert!(std::env::var_os("CI").is_none(), "no network namespace");
        eprintln!("there is no network namespace: Codex keeps its network");
    }
    let before = if can { alone.join(" ") } else { String::new() };
    let path = bin.join("codex");
    let text = format!("#!/bin/sh\nexec {before} '{}' \"$@\"\n", program.display());
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

/// Every file of this name below a folder.
fn files_named(folder: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_named(&path, name));
        } else if path.ends_with(name) {
            found.push(path);
        }
    }
    found
}

#[test]
fn codex_installs_the_package_offline_finds_the_skill_and_delegates_by_the_least_call() {
    let repository = broken_sum();
    let gateway = ScriptedGateway::start(Script::turns(mending())).unwrap();
    let mut codex = Codex::with_model(moves([
        Move::Search("delegate coding task to worker".into()),
        Move::Call {
            server: SERVER.into(),
            tool: "start".into(),
            arguments: json!({ "prompt": "Fix sum().", "checks": ["npm test"] }),
        },
    ]));
    let program = codex.program().to_owned();
    let mut installed = Vec::new();
    codex.set_up(|home| {
        let bin = home.join("bin");
        std::fs::create_dir(&bin).unwrap();
        offline_codex(&bin, &program);
        let said = set_up(home, &repository, &gateway, &["--client", "codex"]);
        assert!(
            said.contains("plugin add codex-worker@mcp-codex-worker"),
            "{said}"
        );
        // Codex has a copy of its own: the package may go.
        let package = home.join(".config/mcp-codex-worker/client-plugin");
        assert!(package.join(".agents/plugins/marketplace.json").is_file());
        std::fs::remove_dir_all(package.join("plugins")).unwrap();
        installed = files_named(&home.join(".codex/plugins"), "SKILL.md")
            .into_iter()
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect();
    });
    assert!(
        installed.iter().any(|text| text == SKILL),
        "{BINARY}: the skill is not among {installed:?}"
    );
    codex.trust_hooks();

    let run = codex.exec(repository.path(), "Have sum() fixed.");

    assert!(run.status.success(), "{run:?}");
    let seen = codex.seen();
    let first = seen[0].body.to_string();
    let description = SKILL
        .lines()
        .find_map(|line| line.strip_prefix("description: "));
    assert!(
        first.contains(&format!(
            "delegate-coding-work: {}",
            description.expect("a description")
        )),
        "the model is not told of the skill: {first}"
    );
    let found = seen[1].found();
    assert_eq!(found[0][0]["name"], format!("mcp__{SERVER}"), "{found:?}");
    let [started] = &seen[2].replies()[..] else {
        panic!("{:?}", seen[2].outputs())
    };
    assert!(started["job_id"].is_string(), "{started}");
    let told = told(&codex);
    let [told] = &told[..] else {
        panic!("told {} times: {told:?}", told.len())
    };
    assert!(told.contains("\"job_status\":\"completed\""), "{told}");
    assert_eq!(
        repository.read("src/a.js"),
        "exports.sum = (a, b) => a + b;\n"
    );
    // The search, the call, the end of the turn, the continuation.
    assert_eq!(seen.len(), 4);
}
