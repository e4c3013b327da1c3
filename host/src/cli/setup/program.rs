//! This program as clients start it.

use std::ffi::OsString;
use std::path::Path;

/// The facts of this program that clients need.
pub(super) struct Program<'a> {
    pub(super) path: &'a Path,
    pub(super) arguments: Vec<OsString>,
    pub(super) variables: &'a [&'static str],
}
