//! The errors of `setup`.

use std::path::{Path, PathBuf};

use super::{codex_config, json_config};

/// The reason why nothing, or not everything, was written.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetupError {
    #[error("{path}: {source}")]
    File {
        path: String,
        source: std::io::Error,
    },
    #[error("{0} is no valid TOML; correct it first: {1}")]
    Config(String, codex_config::ConfigError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Key(#[from] signing::KeyError),
    #[error(transparent)]
    Settings(#[from] settings::SettingsError),
    #[error("there is no terminal to ask on: give --yes to write it, or --print to only look")]
    NobodyAgrees,
    #[error("{0} cannot be read as JSON; correct it first: {1}")]
    Json(String, json_config::JsonConfigError),
    #[error("{command}: {reason}")]
    Client { command: String, reason: String },
    #[error("HOME is not set; name the files with --client-config and --env-file")]
    NoHome,
    #[error(
        "npx started this program from a folder that npm empties now and then, and clients would be told to start it there: \
         run `npm install --global mcp-codex-worker`, then `mcp-codex-worker setup`"
    )]
    Npx,
    #[error("the variable {0} (--key-from) is not set")]
    NoKey(String),
}

impl SetupError {
    pub(super) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::File { path, source }
    }
}

/// The reason why an answer names no directory to work in.
#[derive(Debug, thiserror::Error)]
pub(super) enum FolderError {
    #[error("{0}: {1}")]
    Path(String, std::io::Error),
    #[error("{} is no directory: make it first, or name another", .0.display())]
    Missing(PathBuf),
}
