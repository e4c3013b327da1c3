//! A HOME and a job store of a benchmark's own, and the program on them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_mcp-codex-worker");

/// The folders, which are removed with it.
pub(crate) struct BenchStore {
    home: tempfile::TempDir,
    state: PathBuf,
}

impl BenchStore {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().join("state");
        Self { home, state }
    }

    /// The store's folder.
    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// The program with these arguments, and nothing else in its environment.
    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .env("WORKER_STATE_DIR", &self.state)
            .stderr(Stdio::null());
        command
    }
}
