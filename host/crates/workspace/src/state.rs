//! The state of one file at one moment, as the base and every later look record it.

use std::collections::HashMap;

use git2::Oid;

use crate::handles::{Kind, Stamp};

/// The content of a file when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Bytes (or a link's target) that can be had again by this id.
    Known(Oid),
    /// Too long to be read, or not readable; only its stamp is known.
    Unread,
    /// Ignored by the base's rules; only its stamp is known.
    Ignored,
    /// A FIFO, a socket, a device.
    Special,
}

/// One side of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileState {
    pub(crate) mode: u32,
    pub(crate) size: u64,
    pub(crate) links: u32,
    pub(crate) content: Content,
}

impl FileState {
    pub(crate) fn of(stamp: &Stamp, content: Content) -> Self {
        Self {
            mode: stamp.mode,
            size: stamp.size,
            links: stamp.links,
            content,
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        kind_of(self.mode)
    }

    /// The mode as git writes it.
    pub(crate) fn git_mode(&self) -> u32 {
        match self.kind() {
            Kind::Symlink => 0o120_000,
            _ if self.mode & 0o100 != 0 => 0o100_755,
            _ => 0o100_644,
        }
    }

    pub(crate) fn id(&self) -> Option<Oid> {
        match self.content {
            Content::Known(id) => Some(id),
            _ => None,
        }
    }

    /// Returns true if two states are the same for everybody who reads or runs the file.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.kind() == other.kind()
            && self.content == other.content
            && !mode_differs(self.mode, other.mode)
            && (self.content != Content::Unread || self.size == other.size)
    }
}

fn kind_of(mode: u32) -> Kind {
    match mode & 0o170_000 {
        0o100_000 => Kind::File,
        0o120_000 => Kind::Symlink,
        0o040_000 => Kind::Directory,
        _ => Kind::Special,
    }
}

/// Execution and the special bits count; whether a rewritten file is group-writable does not.
fn mode_differs(before: u32, now: u32) -> bool {
    const TELLING: u32 = 0o7100;
    kind_of(now) != Kind::Symlink && (before & TELLING) != (now & TELLING)
}

/// States by path; none where there was no file.
pub(crate) type States = HashMap<Vec<u8>, Option<FileState>>;
