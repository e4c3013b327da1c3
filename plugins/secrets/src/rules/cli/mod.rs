//! Options of well-known commands that carry a secret under a short or unusual name.

mod commands;
mod input;
mod line;
pub(super) mod options;
mod secret;

#[cfg(test)]
mod tests;
