//! The planner ends its turn, sleeps at no token, and is woken once with every result.

use serde_json::{Value, json};
use worker_test_support::codex::Move;
use worker_test_support::gateway::{Script, ScriptedGateway};
use worker_test_support::{Codex, Repository};

use super::{broken_sum, mending, moves, set_up};

const SERVER: &str = "codex_async_worker";

/// A job of its own tree, so that several run side by side.
fn job() -> Move {
    Move::Call {
        server: SERVER.into(),
        tool: "start".into(),
        arguments: json!({"prompt": "Fix sum().", "checks": ["npm test"], "isolation": "worktree"}),
    }
}

/// Installs the plugin as a newcomer does who has Codex on PATH.
fn install(codex: &mut Codex, repository: &Repository, gateway: &ScriptedGateway) {
    let program = codex.program().to_owned();
    codex.set_up(|home| {
        let bin = home.join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(&program, bin.join("codex")).unwrap();
        let told = set_up(home, repository, gateway, &["--client", "codex"]);
        assert!(
            told.contains("plugin add codex-worker@mcp-codex-worker"),
            "{told}"
        );
    });
}

/// Every text of a conversation's last request that a hook brought.
fn told(codex: &Codex) -> Vec<String> {
    let last = codex.seen().pop().expect("Codex asked its model").body;
    let input = last["input"].as_array().cloned().unwrap_or_default();
    let texts = input.iter().flat_map(|item| match &item["content"] {
        Value::Array(parts) => parts.clone(),
        _ => Vec::new(),
    });
    texts
        .filter_map(|part| part["text"].as_str().map(str::to_owned))
        .filter(|text| text.contains("<hook_prompt"))
        .collect()
}

#[test]
fn codex_sleeps_through_five_jobs_and_reads_five_verdicts_in_one_request() {
    let repository = broken_sum();
    let gateway = ScriptedGateway::start(Script::turns(mending())).unwrap();
    let mut codex = Codex::with_model(moves((0..5).map(|_| job())));
    install(&mut codex, &repository, &gateway);
    codex.trust_hooks();

    let run = codex.exec(repository.path(), "Have sum() fixed, five times.");

    assert!(run.status.success(), "{run:?}");
    let told = told(&codex);
    let [told] = &told[..] else {
        panic!("told {} times: {told:?}", told.len())
    };
    assert_eq!(
        told.matches("\"job_status\":\"completed\"").count(),
        5,
        "{told}"
    );
    // Five calls, the end of the turn, and the one continuation.
    assert_eq!(codex.seen().len(), 7);
}
