//! Statements: what the host proved of a job, as a document that can be checked elsewhere and later.
//!
//! An in-toto Statement about the diff and each changed file, in a DSSE envelope that the operator's key signs. It is an artifact
//! of every job that is over. The redacted text is what is signed, so a statement can be shown wherever a result can.

mod check;
mod compose;
mod host;

pub use check::{Claim, Comparison, StatementError, compare, read};
pub(crate) use compose::{AttemptLine, Course, compose, of_attempts, sign, unsigned};

/// The media type of the envelope's payload.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// The form of in-toto's document.
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// The form of what is said in it.
pub const PREDICATE_TYPE: &str = "urn:mcp-codex-worker:job:v1";
