//! A request to read: one for each tool.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::pack::PackSpec;
use super::search::SearchSpec;
use crate::refusal::Refusal;
use redact::Redactor;
use workspace::Root;

/// A request to read.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reading {
    /// Lines that match.
    Search(SearchSpec),
    /// Lines around symbols.
    Pack(PackSpec),
}

impl Reading {
    /// Reads. Nothing that takes long is begun after `deadline`.
    pub(crate) fn run(
        &self,
        root: &Root,
        redactor: &Redactor,
        deadline: Instant,
    ) -> Result<Value, Refusal> {
        match self {
            Self::Search(spec) => spec.run(root, redactor, deadline),
            Self::Pack(spec) => spec.run(root, redactor, deadline),
        }
    }

    /// The place where it reads, relative to the root.
    pub(crate) fn paths(&self) -> &[String] {
        match self {
            Self::Search(spec) => &spec.paths,
            Self::Pack(spec) => &spec.paths,
        }
    }

    /// The tool that reads.
    pub(crate) fn tool(&self) -> &'static str {
        match self {
            Self::Search(_) => "search",
            Self::Pack(_) => "read_pack",
        }
    }

    /// The argument to change when the reading takes too long.
    pub(crate) fn slow_argument(&self) -> &'static str {
        match self {
            Self::Search(_) => "pattern",
            Self::Pack(_) => "paths",
        }
    }
}
