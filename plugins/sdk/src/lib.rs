//! SDK for plugins of `mcp-codex-worker`.
