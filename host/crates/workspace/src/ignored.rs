//! The folders of a base that its rules ignore as a whole: build outputs, dependencies, caches.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::base::Base;
use super::folder;
use super::layer::ONLY_OUTPUT;
use super::path::{self, FilePath};
use super::state::Content;

/// The most folders that are told; a tree with more is not built by hand.
const MOST: usize = 256;

/// Ignored folders that git, an editor or a shell acts on by itself.
pub(crate) const ACTED_ON: [&[u8]; 6] = [
    b".git",
    b".vscode",
    b".idea",
    b".husky",
    b".direnv",
    b".githooks",
];

/// The most ignored files that are copied for a run on the base, and the most bytes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyBounds {
    files: u64,
    bytes: u64,
}

impl CopyBounds {
    /// So few that no job notices.
    pub const FEW: Self = Self {
        files: 2_000,
        bytes: 64 << 20,
    };
    /// As many as any folder may have that is copied.
    pub const MANY: Self = Self {
        files: folder::MOST_FILES,
        bytes: folder::MOST_BYTES,
    };
}

impl Base {
    /// Returns the folders that were there when the base was taken and that its rules ignore, the first 256 of them by
    /// path. A build of a part of the tree writes there (`target`, `node_modules`). Folders from which other programs run
    /// something are left out.
    pub fn ignored_dirs(&self) -> Vec<PathBuf> {
        self.first_ignored_dirs(MOST)
    }

    fn first_ignored_dirs(&self, most: usize) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for directory in &self.directories {
            for (place, name) in directory.listed.sorted() {
                let name = name.to_bytes();
                if !place.is_dir() || ACTED_ON.contains(&name) {
                    continue;
                }
                let full = path::join(&directory.path, name);
                if self.by_path.contains_key(&full)
                    || directory.site.child(&directory.path, name).is_some()
                {
                    continue;
                }
                found.push(self.workspace.top().join(FilePath::new(full).as_path()));
                if found.len() == most {
                    return found;
                }
            }
        }
        found
    }

    /// Copies the ignored files of the base into a tree that was made of its commit, so that a command there finds what it
    /// would find here (`.env`, a local configuration). Folders of output, and those that `left_out` names, are not copied;
    /// what is there already stays. Returns how many there are; none where they are more than `most`.
    ///
    /// # Errors
    /// Something cannot be read or written, or the job was stopped.
    pub fn copy_ignored(
        &self,
        to: &Path,
        left_out: &dyn Fn(&str) -> bool,
        most: CopyBounds,
    ) -> io::Result<Option<u64>> {
        let top = self.workspace.top();
        let (mut files, mut bytes) = (0, 0);
        let mut copied = Vec::new();
        for directory in &self.directories {
            let ignored = directory.entries.iter();
            for entry in ignored.filter(|entry| entry.content == Content::Ignored) {
                files += 1;
                bytes += entry.stamp.size;
                copied.push(FilePath::new(path::join(
                    &directory.path,
                    directory.name(entry),
                )));
            }
        }
        let is_output = |dir: &Path| {
            let name = dir.file_name().unwrap_or_default();
            ONLY_OUTPUT.contains(&name.as_bytes()) || name.to_str().is_some_and(left_out)
        };
        let mut dirs = self.first_ignored_dirs(usize::MAX);
        dirs.retain(|dir| !is_output(dir));
        let stop = &self.contents.limits().interrupt;
        let mut pending = dirs.clone();
        while let Some(dir) = pending.pop() {
            stop.check().map_err(io::Error::other)?;
            for entry in fs::read_dir(&dir)? {
                let entry = entry?;
                let metadata = entry.metadata()?;
                if metadata.is_dir() {
                    pending.push(entry.path());
                } else {
                    files += 1;
                    bytes += metadata.len();
                }
            }
            if files > most.files || bytes > most.bytes {
                return Ok(None);
            }
        }
        if files > most.files || bytes > most.bytes {
            return Ok(None);
        }
        for file in copied {
            let (from, place) = (top.join(file.as_path()), to.join(file.as_path()));
            let metadata = from.symlink_metadata()?;
            if place.symlink_metadata().is_ok() || !(metadata.is_file() || metadata.is_symlink()) {
                continue;
            }
            place.parent().map_or(Ok(()), fs::create_dir_all)?;
            match metadata.is_symlink() {
                true => std::os::unix::fs::symlink(fs::read_link(&from)?, &place)?,
                false => drop(fs::copy(&from, &place)?),
            }
        }
        for dir in dirs {
            let place = to.join(dir.strip_prefix(top).unwrap_or(&dir));
            if place.symlink_metadata().is_ok() {
                continue;
            }
            place.parent().map_or(Ok(()), fs::create_dir_all)?;
            folder::copy(&dir, &place, &|_| false, stop)?;
        }
        Ok(Some(files))
    }
}
