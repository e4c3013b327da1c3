//! The `mcp-codex-worker` binary.
fn main() {}
