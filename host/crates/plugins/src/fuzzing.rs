//! Properties that hold for any bytes that reach this crate from outside, each as one function of
//! those bytes.
//!
//! `tests/fuzz` runs them under libFuzzer; the tests below run them over its corpus and over small changes of it. The
//! functions panic where something does not hold.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a target's way to report is to panic"
)]

use std::path::Path;

use crate::PluginSettings;
use crate::manifest::Manifest;

/// A manifest, and the `[plugins]` table of a config file, are read or refused.
pub fn manifest(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Err(rule) = Manifest::parse(text) {
        assert!(!rule.to_string().is_empty());
    }
    if let Ok(table) = text.parse::<toml::Table>() {
        let table = match table.get("plugins") {
            Some(toml::Value::Table(plugins)) => plugins,
            _ => &table,
        };
        let _ = PluginSettings::from_table(table, Path::new("/config"));
    }
}

#[cfg(test)]
#[path = "../../../../tests/fuzz/short_run.rs"]
mod short_run;

#[cfg(test)]
mod tests {
    use super::short_run::short_run;

    #[test]
    fn any_manifest_is_read_or_refused() {
        short_run("manifest", 400, super::manifest);
    }
}
