//! The job's tree beyond its changes, for checks. A plugin that uses this imports the interface `files`, so it must ask
//! for it (`wants = ["files:docs/**"]` in plugin.toml) and loads only where the operator grants it.

use crate::bindings::mcp_codex_worker::check::files as host;
use crate::job::{READ, text_of, whole};
use crate::{Job, ReadError};

/// Paths of files that match a glob (`*` within one part of a path, `**` across parts), sorted; none that git ignores, and
/// none outside the grant.
///
/// # Errors
/// When the tree cannot be read.
pub fn find(job: &dyn Job, glob: &str) -> Result<Vec<String>, ReadError> {
    if let Some(tree) = job.tree() {
        return Ok(tree.find(glob));
    }
    let mut found: Vec<String> = Vec::new();
    loop {
        let page = host::find(glob, found.last().map(String::as_str))?;
        found.extend(page.paths);
        if !page.more {
            return Ok(found);
        }
    }
}

/// At most `max_bytes` of a file as it is after the job, from `offset`; fewer at its end.
///
/// # Errors
/// When the file is not there or outside the grant.
pub fn read(job: &dyn Job, path: &str, offset: u64, max_bytes: u32) -> Result<Vec<u8>, ReadError> {
    match job.tree() {
        Some(tree) => tree.read(path, offset, max_bytes),
        None => host::read(path, offset, max_bytes),
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
