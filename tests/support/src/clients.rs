//! The pinned real clients, installed once for all tests of a target folder.

use std::path::PathBuf;

use mcp_codex_worker::demo::install::{CLAUDE_CODE, Client, Progress};

/// The Codex that the tests run. Only tests need it, so it is not part of the product.
const CODEX: Client = Client {
    title: "Codex 0.169.0",
    name: "codex",
    manifest: include_str!("../../clients/codex/package.json"),
    lockfile: include_str!("../../clients/codex/package-lock.json"),
    program: &["@openai", "codex-*", "vendor", "*", "bin", "codex"],
    size: 422_000_000,
};

/// The pinned Claude Code.
pub fn claude_code() -> PathBuf {
    install(&CLAUDE_CODE)
}

/// The pinned Codex.
pub fn codex() -> PathBuf {
    install(&CODEX)
}

/// A cache folder that all tests of this target folder share, whatever their HOME: clients and compiled plugins.
pub fn shared_cache() -> PathBuf {
    let test = std::env::current_exe().expect("the path of the test");
    // Cargo marks every target folder with this file.
    let target = test
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file());
    target
        .map_or_else(std::env::temp_dir, PathBuf::from)
        .join("test-cache")
}

fn install(client: &Client) -> PathBuf {
    let mut told = false;
    let mut progress = |progress: Progress| {
        // Straight to stderr, past the test harness: an installation takes a while, and silence looks like a hang.
        if let (false, Progress::Installing { .. } | Progress::Waiting) = (told, progress) {
            eprintln!("installing {} for the tests (once) ...", client.title);
            told = true;
        }
    };
    client
        .install(&shared_cache(), &mut progress)
        .unwrap_or_else(|error| panic!("{error}"))
}
