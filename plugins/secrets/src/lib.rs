//! Redactor `secrets`: finds secrets that the host was not told: tokens of well-known issuers,
//! private keys in any wrapping, credentials in URLs, headers, command lines and connection
//! strings, and values whose names say that they are secrets, in env files, JSON, YAML, TOML, XML,
//! SQL and code.
//!
//! One pass over the text finds *anchors* (literals such as `ghp_`, `://` or `token`); each has a
//! rule, a small parser of the text around it. A rule's verdict is a function of a bounded
//! neighbourhood of its anchor, so it is the same for any cut of the text, and with and without the
//! host's prefilter.
//!
//! `rules/` has a file a notation, each with a list of its literals and the functions that judge
//! them; `cargo run -p secrets --example recall` prints precision and recall a label.

#![allow(
    clippy::nonminimal_bool,
    reason = "conditions are written as the notations define them"
)]

mod anchors;
mod boundary;
mod class;
mod codec;
mod custom;
mod encoded;
mod encoded_forms;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod lists;
mod marks;
mod memory;
mod names;
mod quoting;
mod redactor;
mod rule;
mod rules;
mod shape;
mod stand_in;
mod text;
mod value;

pub use custom::{CustomRule, Settings};
pub use redactor::Secrets;
pub use rule::Found;

#[cfg(test)]
mod tests;
