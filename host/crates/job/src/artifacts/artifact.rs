//! An artifact's name and size, and what can go wrong with one.

use std::io;

use serde::{Deserialize, Serialize};

/// The failures of artifacts.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// There is none of this name.
    #[error("no artifact `{name}`; there {}", present(.known))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// The disk refused.
    #[error("artifact `{name}`: {source}")]
    Io {
        /// The artifact.
        name: String,
        /// The system's error.
        source: io::Error,
    },
}

fn present(known: &[String]) -> String {
    match known {
        [] => "are none".to_owned(),
        [one] => format!("is `{one}`"),
        many => {
            let names: Vec<_> = many
                .iter()
                .take(20)
                .map(|name| format!("`{name}`"))
                .collect();
            let more = if many.len() > 20 { ", ..." } else { "" };
            format!("are {}{more}", names.join(", "))
        }
    }
}

/// Name and size of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// The name that `get` takes as `artifact`.
    pub name: String,
    /// Length in bytes.
    pub size: u64,
}
