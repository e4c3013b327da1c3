//! SDK for plugins of `mcp-codex-worker`.
//!
//! A plugin is a WebAssembly component of one of four kinds, each a trait and a macro of the same name here:
//!
//! | kind | trait | what it does |
//! | --- | --- | --- |
//! | check | [`Check`] | looks at what a job changed, and passes or fails it |
//! | summarizer | [`Summarizer`] | shortens long output to what a reader needs |
//! | redactor | [`Redactor`] | finds secrets, as ranges of bytes |
//! | dialect | [`Dialect`] | maps canonical chat completions to one gateway's form, and back |
//!
//! ```
//! use worker_plugin::{Check, Fault, Finding, Job, Report};
//!
//! /// Fails a job that leaves `dbg!` behind.
//! struct NoDebug;
//!
//! impl Check for NoDebug {
//!     type Settings = worker_plugin::NoSettings;
//!     const SUMMARY: &'static str = "no dbg! in changed Rust files";
//!
//!     fn new(_: Self::Settings) -> Result<Self, Fault> {
//!         Ok(NoDebug)
//!     }
//!
//!     fn run(&self, job: &dyn Job) -> Result<Report, Fault> {
//!         let mut report = Report::passed("");
//!         for file in job.changed().iter().filter(|file| file.path.ends_with(".rs")) {
//!             for (number, line) in job.text(&file.path)?.lines().enumerate() {
//!                 if line.contains("dbg!(") {
//!                     let finding = Finding::error("no-debug", "dbg! left behind").at(&file.path, number + 1);
//!                     report.add(finding.hint("remove it"));
//!                 }
//!             }
//!         }
//!         Ok(report)
//!     }
//! }
//!
//! worker_plugin::check!(NoDebug);
//! ```
//!
//! The host gives a plugin nothing but its settings and a [`log`]. What it does natively in a unit test ([`testing`]) it
//! does in the host.

#[doc(hidden)]
pub mod bindings;
mod check;
pub mod clock;
mod dialect;
pub mod files;
mod job;
mod lines;
pub mod log;
#[cfg(any(test, all(target_arch = "wasm32", feature = "allocator")))]
mod memory;
mod paths;
mod redactor;
mod settings;
mod summarizer;
pub mod testing;

pub use check::{Check, Finding, MOST_FINDINGS, Outcome, Report, Severity, places};
pub use dialect::{
    Canonical, Dialect, Failure, Header, Outbound, Reply, Sse, Translation, Verdict,
};
pub use job::{
    Change, ChangedFile, ChangedLine, Command, FileKind, FileState, Job, LinePage, Moment,
    ReadError,
};
pub use lines::{DiffLine, Lines};
pub use paths::{matches, matches_any};
pub use redactor::{Hit, Prefilter, Redactor, ScanNeeds, Verdicts, Window};
pub use settings::{Fault, NoSettings, settings_from};
pub use summarizer::{Content, Request, Summarizer, Summary};

/// A JSON value, written as JSON: for a dialect's facts.
pub use serde_json::{Value, json};

/// A half-open range of bytes.
pub use bindings::mcp_codex_worker::types::types::Span;

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod glue;
