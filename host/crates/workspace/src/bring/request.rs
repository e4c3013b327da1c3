//! What is to be brought, and what is known of it.

use std::path::Path;

use crate::base::Base;
use crate::changes::Changes;

/// A job that is over, whose commits are to be brought.
#[derive(Debug)]
pub struct BringRequest<'a> {
    /// The tree as the job found it.
    pub base: &'a Base,
    /// The differences now, as they were verified; none where every check did not pass.
    pub verified: Option<&'a Changes>,
    /// The job's name.
    pub job: &'a str,
    /// The job's folder.
    pub folder: &'a Path,
}

/// What the checks saw, for which they passed.
#[derive(Clone, Copy)]
pub(super) struct Verified<'a> {
    pub(super) base: &'a Base,
    pub(super) changes: &'a Changes,
}
