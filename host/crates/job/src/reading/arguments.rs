//! The arguments that all calls have.

use crate::arguments::Arguments;
use crate::refusal::Refusal;
use crate::view::SLICE_MAX;

/// Bytes of text in a reply when the caller does not say: about 2,000 tokens.
const BYTES_DEFAULT: u64 = 7_000;
/// The most paths and globs of one call.
const PATHS_MAX: usize = 64;

/// Reads `paths`.
pub(super) fn paths_of(arguments: &mut Arguments) -> Result<Vec<String>, Refusal> {
    let paths = arguments.strings("paths", PATHS_MAX)?.unwrap_or_default();
    if paths.is_empty() {
        return Err(arguments.refuse("paths", "must name at least one file, directory or glob"));
    }
    Ok(paths)
}

/// Reads `max_bytes`.
pub(super) fn max_bytes_of(arguments: &mut Arguments) -> Result<usize, Refusal> {
    let bytes = arguments.number("max_bytes", 200, SLICE_MAX)?;
    Ok(usize::try_from(bytes.unwrap_or(BYTES_DEFAULT)).unwrap_or(usize::MAX))
}
