//! Two looks at one tree: what changed between them.

use std::collections::BTreeMap;

use super::changes::{ChangedFile, Changes};
use super::path::FilePath;
use super::state::FileState;
use super::tamper::GitChange;

/// The differences between two looks at the same tree, taken against the same base.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Later {
    /// Files of the earlier look that are not as they were then, relative to the working directory.
    pub altered: Vec<FilePath>,
    /// Files that the earlier look did not find changed, relative to the working directory, and whether each lies in the
    /// allowed directories.
    pub further: Vec<(FilePath, bool)>,
    /// The changes of git since.
    pub git: Vec<GitChange>,
}

impl Later {
    /// Returns true if nothing differs.
    pub fn is_empty(&self) -> bool {
        self.altered.is_empty() && self.further.is_empty() && self.git.is_empty()
    }
}

/// A path's state in a look: what it is now, its name for people, and whether it is allowed.
struct Seen<'a> {
    now: Option<FileState>,
    commit: Option<&'a str>,
    shown: &'a FilePath,
    allowed: bool,
}

fn seen(changes: &Changes) -> BTreeMap<&[u8], Seen<'_>> {
    let mut all = BTreeMap::new();
    for file in &changes.files {
        let ChangedFile {
            top_path,
            previous_top_path,
            previous_path,
            ..
        } = file;
        let commit = file
            .submodule
            .as_ref()
            .and_then(|submodule| submodule.to.as_deref());
        all.insert(
            top_path.as_bytes(),
            Seen {
                now: file.now,
                commit,
                shown: &file.path,
                allowed: file.allowed,
            },
        );
        if let (Some(top_path), Some(shown)) = (previous_top_path, previous_path) {
            all.insert(
                top_path.as_bytes(),
                Seen {
                    now: None,
                    commit: None,
                    shown,
                    allowed: file.allowed,
                },
            );
        }
    }
    all
}

fn same(before: &Seen<'_>, now: &Seen<'_>) -> bool {
    let states = match (&before.now, &now.now) {
        (None, None) => true,
        (Some(before), Some(now)) => before.same(now),
        _ => false,
    };
    states && before.commit == now.commit
}

impl Changes {
    /// Returns what this look finds that `earlier`, an earlier one against the same base, did not. A rename that only
    /// one of the two looks sees as such makes no difference.
    pub fn since(&self, earlier: &Self) -> Later {
        let (before, now) = (seen(earlier), seen(self));
        let mut later = Later::default();
        for (path, old) in &before {
            if !now.get(path).is_some_and(|new| same(old, new)) {
                later.altered.push(old.shown.clone());
            }
        }
        for (path, new) in &now {
            if !before.contains_key(path) {
                later.further.push((new.shown.clone(), new.allowed));
            }
        }
        let dirs = self.unreadable_dirs.iter();
        later.further.extend(
            dirs.filter(|dir| !earlier.unreadable_dirs.contains(dir))
                .map(|dir| (dir.clone(), false)),
        );
        later.git = self
            .git
            .iter()
            .filter(|change| !earlier.git.contains(change))
            .cloned()
            .collect();
        later
    }
}
