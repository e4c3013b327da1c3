//! The one way out for text: everything that is logged, recorded, or sent to a client goes through a [`Redactor`] and
//! leaves it as [`Redacted`].
//!
//! A redactor unites two sources of hits. [`KnownValues`] are secrets that the host itself holds; they are searched for
//! natively, in every common encoding, and also when no plugin loads. [`Scanner`]s, which the module `plugins`
//! implements, recognise what nobody told us about. Scanners answer with ranges and the core cuts, so no scanner can write
//! into a log, and several of them compose in any order.
//!
//! There is a single streaming core. The batch call is a stream with one chunk; for a scanner that keeps the contract
//! of [`Scanner::scan`], any chunking of a text gives the batch result.

#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod invisible;
mod json;
mod known;
mod label;
pub mod log;
mod log_mask;
mod marked;
mod prefilter;
mod redacted;
mod redactor;
mod scanner;
mod shown;
mod slot;
mod stream;
mod strip;
pub mod text;

pub use json::RedactedJson;
pub use known::KnownValues;
pub use log_mask::LogMask;
pub use marked::Marked;
pub use redacted::Redacted;
pub use redactor::Redactor;
pub use scanner::{Hit, Prefilter, ScanError, ScanNeeds, Scanner, ScannerSource, Verdicts, Window};
pub use stream::RedactStream;

/// The most bytes of undecided text that a stream keeps back, as seen by whoever reads its output.
pub const MAX_HELD_BACK: usize = 64 * 1024;
