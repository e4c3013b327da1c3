//! The source of a setting's value.

use std::fmt;

/// The source of a value, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// `--set NAME=VALUE`.
    Flag,
    /// The process environment.
    Environment,
    /// `.env` in the config folder, or `--env-file`.
    EnvFile,
    /// `config.toml` in the config folder, or `--config`.
    ConfigFile,
    /// The table in code.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::EnvFile => ".env",
            Self::ConfigFile => "config file",
            Self::Default => "default",
        })
    }
}
