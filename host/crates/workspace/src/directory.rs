//! One directory of the base: its files as they were, and the rules it lies under.

use crate::handles::Stamp;
use crate::site::Site;
use crate::state::Content;
use crate::walk::{Listed, Name};

/// One file of the base.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) name: Name,
    pub(crate) stamp: Stamp,
    pub(crate) content: Content,
}

/// One directory of the base, its files sorted by name.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) path: Vec<u8>,
    pub(crate) site: Site,
    /// True if a repository was nested here.
    pub(crate) nested: bool,
    /// True if there is a `.git` here that is none that can be worked in.
    pub(crate) unopened_git: bool,
    /// It could not be listed.
    pub(crate) unreadable: bool,
    /// The directory's own stamp, taken before it was listed: as long as it stays, so do the names.
    pub(crate) stamp: Option<Stamp>,
    /// Everything in it, subdirectories and `.git` included.
    pub(crate) listed: Listed,
    pub(crate) entries: Vec<Entry>,
}

impl Directory {
    pub(crate) fn name(&self, entry: &Entry) -> &[u8] {
        self.listed.bytes(entry.name)
    }
}
