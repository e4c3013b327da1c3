//! What a branch says against what the checks saw.

use std::collections::HashMap;

use git2::{ObjectType, Oid};

use super::carrier::{Carrier, Wish};
use super::objects::New;
use super::refused::Refused;
use super::request::Verified;
use crate::base::Base;
use crate::contents;
use crate::handles::Kind;
use crate::path::{self, FilePath};
use crate::state::FileState;
use crate::tree_rules::TreeRules;

impl Carrier<'_> {
    /// Holds a branch against what the checks saw: each file that it changes is there as the tree has it, and no commit on
    /// the way touches another one.
    pub(super) fn judge_content(
        &self,
        wish: &Wish,
        new: &New,
        Verified { base, changes }: Verified<'_>,
    ) -> Result<(), Refused> {
        let before = match self.own.begun.head_commit() {
            Some(head) => Some(self.objects.find_commit(head)?.tree_id()),
            None => None,
        };
        let after = self.objects.find_commit(wish.to)?.tree()?;
        let files = &changes.files;
        let moved = files
            .iter()
            .filter_map(|file| file.previous_top_path.as_ref());
        let mut changed: HashMap<&[u8], Option<FileState>> =
            moved.map(|previous| (previous.as_bytes(), None)).collect();
        // What came to the place of a file that moved away is there.
        changed.extend(
            files
                .iter()
                .map(|file| (file.top_path.as_bytes(), file.now)),
        );
        let now = |path: &[u8]| -> Option<FileState> {
            let full = path::join(&self.own.place, path);
            match changed.get(full.as_slice()) {
                Some(now) => *now,
                None => base.state_of(&full),
            }
        };
        let bytes = |state: FileState| base.contents.read(state.id()?).ok();
        let mut rules = TreeRules::new(self.repository, |path: &[u8]| bytes(now(path)?));
        self.walked.begin_paths();
        let differing = self.differing(before, after.id())?;
        let mut otherwise = Vec::new();
        for path in &differing {
            self.walked.interrupt.check_late()?;
            let shown = FilePath::new(path.as_slice());
            let entry = after.get_path(shown.as_path()).ok();
            let same = match (&entry, now(path)) {
                (None, None) => true,
                (Some(entry), None) if entry.kind() == Some(ObjectType::Commit) => {
                    changes.files.iter().any(|file| {
                        let to = file.submodule.as_ref().and_then(|it| it.to.as_deref());
                        file.top_path.as_bytes() == path::join(&self.own.place, path)
                            && to == Some(entry.id().to_string().as_str())
                    })
                }
                (Some(entry), Some(state)) => {
                    let mode = entry.filemode() as u32;
                    let modes = mode == state.git_mode()
                        || (!self.repository.file_mode && state.kind() == Kind::File);
                    modes && self.is_made_of(base, entry.id(), path, state, &mut rules)
                }
                _ => false,
            };
            if !same {
                otherwise.push(shown);
            }
        }
        if !otherwise.is_empty() {
            return Err(Refused::Differs(otherwise));
        }
        let further = new.touched.difference(&differing);
        let further: Vec<FilePath> = further.map(|path| FilePath::new(path.as_slice())).collect();
        if !further.is_empty() {
            return Err(Refused::Touches(further));
        }
        Ok(())
    }

    /// Returns true if git makes this object of the file.
    fn is_made_of(
        &self,
        base: &Base,
        object: Oid,
        path: &[u8],
        state: FileState,
        rules: &mut TreeRules<'_>,
    ) -> bool {
        let Some(id) = state.id() else {
            return false;
        };
        if id == object {
            return true;
        }
        let Ok(bytes) = base.contents.read(id) else {
            return false;
        };
        let committed = || {
            let blob = self.objects.find_blob(object).ok()?;
            Some(blob.content().to_vec())
        };
        let made = rules.conversion(path).to_git(&bytes, committed);
        made.is_ok_and(|made| contents::blob_id(&made).ok() == Some(object))
    }
}
