//! The arguments of `setup`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// The arguments of `setup`.
#[derive(Debug, Args)]
pub(in crate::cli) struct SetupArguments {
    /// The client to set up
    #[arg(long, value_enum, default_value_t = Client::Codex)]
    pub(super) client: Client,
    /// Directory that holds your repositories (SANDBOX_ROOT)
    #[arg(long, value_name = "DIR")]
    pub(super) root: Option<PathBuf>,
    /// Gateway URL (ONEAPI_BASE_URL)
    #[arg(long, value_name = "URL")]
    pub(super) gateway: Option<String>,
    /// Name of the variable that holds the gateway's key; the key itself is never an argument
    #[arg(long, value_name = "NAME")]
    pub(super) key_from: Option<String>,
    /// The gateway's model (CLAUDE_MODEL)
    #[arg(long)]
    pub(super) model: Option<String>,
    /// The client's config file instead of the user's own; Codex then gets a table there and no plugin
    #[arg(long, alias = "codex-config", value_name = "FILE")]
    pub(super) client_config: Option<PathBuf>,
    /// Only print what would be written
    #[arg(long, conflicts_with = "undo")]
    pub(super) print: bool,
    /// Remove this server from the client's config; the settings stay
    #[arg(long)]
    pub(super) undo: bool,
    /// Do not ask
    #[arg(short, long)]
    pub(super) yes: bool,
    /// Print a text for AGENTS.md on when to delegate, and nothing else
    #[arg(long)]
    pub(super) agents_md: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Client {
    /// Codex: installs a plugin (server, skill, hooks that wake a session); a table in config.toml where it knows no plugins
    Codex,
    /// Claude Code: installs the same plugin
    ClaudeCode,
    /// VS Code: writes its mcp.json
    Vscode,
    /// Cursor: writes its mcp.json
    Cursor,
    /// Gemini CLI: writes its settings.json
    Gemini,
}
