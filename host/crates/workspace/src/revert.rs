//! Putting files back as the base had them.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::AsFd as _;

use crate::base::Base;
use crate::changes::{ChangedFile, Changes, Reverted};
use crate::error::WorkspaceError;
use crate::path::FilePath;
use crate::put::Placer;
use crate::state::FileState;

/// The wanted states of paths, with the names for reports.
type Wanted = BTreeMap<Vec<u8>, (Option<FileState>, FilePath)>;

impl Base {
    /// Puts exactly these changed files back: what was added goes, what was changed or deleted is as before, a renamed file
    /// has its old name again. Nothing else is touched; folders that the job made and that are empty now go too.
    ///
    /// # Errors
    /// Only when the tree itself cannot be opened; what fails for one file is told in the answer.
    pub fn revert<'a>(
        &self,
        files: impl IntoIterator<Item = &'a ChangedFile>,
    ) -> Result<Reverted, WorkspaceError> {
        let mut reverted = Reverted::default();
        let mut wanted = Wanted::new();
        for file in files {
            if file.submodule.is_some() {
                let why = "a submodule's commit is not moved back; its files are";
                reverted.failed.push((file.path.clone(), why.to_owned()));
                continue;
            }
            let (top_path, path) = (file.top_path.as_bytes().to_vec(), file.path.clone());
            match (&file.previous_top_path, file.before) {
                (Some(previous), Some(before)) => {
                    wanted.insert(previous.as_bytes().to_vec(), (Some(before), path.clone()));
                    wanted.insert(top_path, (None, path));
                }
                (_, before) => {
                    wanted.insert(top_path, (before, path));
                }
            }
        }
        self.restore(&wanted, &mut reverted)?;
        Ok(reverted)
    }

    /// Puts back what changed between two looks at the tree: every file is again as it was when `taken` was taken.
    ///
    /// # Errors
    /// As [`Base::revert`].
    pub fn put_back(&self, taken: &Changes, now: &Changes) -> Result<Reverted, WorkspaceError> {
        let mut wanted = Wanted::new();
        let mut found = HashMap::new();
        let own = |changes: &Changes| -> Vec<ChangedFile> {
            let files = changes.files.iter();
            files
                .filter(|file| file.submodule.is_none())
                .cloned()
                .collect()
        };
        for (look, is_now) in [(own(now), true), (own(taken), false)] {
            for file in look {
                let sides = [
                    Some((
                        &file.top_path,
                        file.now,
                        file.before.filter(|_| file.previous_top_path.is_none()),
                    )),
                    file.previous_top_path
                        .as_ref()
                        .map(|path| (path, None, file.before)),
                ];
                for (path, state, before) in sides.into_iter().flatten() {
                    let key = path.as_bytes().to_vec();
                    if is_now {
                        found.insert(key.clone(), state);
                        wanted.insert(key, (before, file.path.clone()));
                    } else {
                        // What only the earlier look saw changed is now as in the base.
                        found.entry(key.clone()).or_insert(before);
                        wanted.insert(key, (state, file.path.clone()));
                    }
                }
            }
        }
        wanted.retain(
            |path, (state, _)| match (state, found.get(path).copied().flatten()) {
                (None, None) => false,
                (Some(wanted), Some(found)) => !wanted.same(&found),
                _ => true,
            },
        );
        let mut reverted = Reverted::default();
        self.restore(&wanted, &mut reverted)?;
        Ok(reverted)
    }

    fn restore(&self, wanted: &Wanted, reverted: &mut Reverted) -> Result<(), WorkspaceError> {
        let top = self.workspace.open_top()?;
        let placer = Placer::new(top.as_fd());
        // What is in a folder goes before what may take the folder's place.
        for (path, (state, shown)) in wanted.iter().rev() {
            if state.is_none() {
                match placer.remove(path) {
                    Ok(()) => {
                        placer.prune(path, |dir| self.by_path.contains_key(dir));
                    }
                    Err(error) => reverted.failed.push((shown.clone(), error.to_string())),
                }
            }
        }
        for (path, (state, shown)) in wanted {
            let Some(state) = state else {
                continue;
            };
            let put = match state.id() {
                None => Err("its content was not kept".to_owned()),
                Some(id) => self
                    .contents
                    .read(id)
                    .map_err(|error| error.to_string())
                    .and_then(|bytes| {
                        placer
                            .put(path, state.mode, &bytes)
                            .map_err(|error| error.to_string())
                    }),
            };
            if let Err(why) = put {
                reverted.failed.push((shown.clone(), why));
            }
        }
        let failed = |path: &FilePath| reverted.failed.iter().any(|(failed, _)| failed == path);
        let mut files: Vec<FilePath> = wanted
            .values()
            .map(|(_, shown)| shown.clone())
            .filter(|path| !failed(path))
            .collect();
        files.sort();
        files.dedup();
        reverted.files = files;
        Ok(())
    }
}
