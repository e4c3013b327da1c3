//! `setup`: makes this server known to Codex, and writes the settings it needs.
//!
//! Nothing is written before it was shown, and what is written can be taken back with `--undo`.

mod arguments;
mod client_config;
mod codex_config;
mod command;
mod env_file;
mod error;
mod install;
mod json_config;
mod package;
mod program;
mod questions;

/// The names by which clients know us.
pub(super) mod client {
    pub(in crate::cli) use super::codex_config::SERVER;
    pub(in crate::cli) use super::package::{MARKETPLACE, PLUGIN, qualified};
}

pub(super) use arguments::SetupArguments;
pub(super) use command::run;
