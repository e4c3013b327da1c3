//! For those who write and install plugins: templates, the build, test cases, and the operator's configuration.

pub mod build;
pub mod cases;
pub mod operator;
pub mod template;

/// What `plugin new` copies into a new plugin: the WIT and the SDK of this host, by path.
pub(crate) static VENDORED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/vendored.rs"));
