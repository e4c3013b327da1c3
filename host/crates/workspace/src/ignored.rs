//! The folders of a base that its rules ignore as a whole: build outputs, dependencies, caches.

use std::path::PathBuf;

use super::base::Base;
use super::path::{self, FilePath};

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

impl Base {
    /// Returns the folders that were there when the base was taken and that its rules ignore, the first 256 of them by
    /// path. A build of a part of the tree writes there (`target`, `node_modules`). Folders from which other programs run
    /// something are left out.
    pub fn ignored_dirs(&self) -> Vec<PathBuf> {
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
                if found.len() == MOST {
                    return found;
                }
            }
        }
        found
    }
}
