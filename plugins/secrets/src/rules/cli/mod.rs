//! Options of well-known commands that carry a secret under a short or unusual name.

mod commands;
mod input;
mod line;
mod options;
mod secret;

pub(crate) use commands::COMMANDS;
pub(crate) use options::rule;
