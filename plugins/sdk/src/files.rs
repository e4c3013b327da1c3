//! The job's tree beyond its changes, for checks. A plugin that uses this imports the interface `files`, so it must ask
//! for it (`wants = ["files:docs/**"]` in plugin.toml) and loads only where the operator grants it.

use crate::bindings::worker::plugin::files as host;
use crate::check::{Backing, READ, text_of, whole};
use crate::{Job, ReadError};

/// Paths of files that match a glob (`*` within one part of a path, `**` across parts), sorted, at most 10,000; none that
/// git ignores, and none outside the grant.
///
/// # Errors
/// When the tree cannot be read.
pub fn find(job: &dyn Job, glob: &str) -> Result<Vec<String>, ReadError> {
    match job.backing() {
        Backing::Host(job) => host::find(job, glob),
        Backing::Fake(job) => Ok(job.find(glob)),
    }
}

/// At most `len` bytes of a file as it is now, from `offset`; fewer at its end.
///
/// # Errors
/// When the file is not there or outside the grant.
pub fn read(job: &dyn Job, path: &str, offset: u64, len: u32) -> Result<Vec<u8>, ReadError> {
    match job.backing() {
        Backing::Host(job) => host::read(job, path, offset, len),
        Backing::Fake(job) => job.read_tree(path, offset, len),
    }
}

/// A whole file, as text; bytes that are not UTF-8 become `U+FFFD`.
///
/// # Errors
/// When the file is not there or outside the grant.
pub fn text(job: &dyn Job, path: &str) -> Result<String, ReadError> {
    let bytes = whole(|offset| read(job, path, offset, READ))?;
    Ok(text_of(bytes))
}
