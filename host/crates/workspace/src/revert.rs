//! Putting files back as the base had them.

use std::os::fd::AsFd as _;

use crate::base::Base;
use crate::changes::{ChangedFile, Reverted};
use crate::error::WorkspaceError;
use crate::put::Placer;
use crate::state::FileState;

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
        let top = self.workspace.open_top()?;
        let placer = Placer::new(top.as_fd());
        let mut reverted = Reverted::default();
        let mut gone: Vec<(&[u8], &ChangedFile)> = Vec::new();
        let mut back: Vec<(&[u8], FileState, &ChangedFile)> = Vec::new();
        for file in files {
            if file.submodule.is_some() {
                let why = "a submodule's commit is not moved back; its files are";
                reverted.failed.push((file.path.clone(), why.to_owned()));
                continue;
            }
            let source = file.previous_top_path.as_ref().unwrap_or(&file.top_path);
            match file.before {
                Some(before) => back.push((source.as_bytes(), before, file)),
                None => gone.push((file.top_path.as_bytes(), file)),
            }
            if file.previous_top_path.is_some() {
                gone.push((file.top_path.as_bytes(), file));
            }
        }
        // What is in a folder goes before what may take the folder's place.
        gone.sort_by(|a, b| b.0.cmp(a.0));
        back.sort_by(|a, b| a.0.cmp(b.0));
        let mut fail =
            |file: &ChangedFile, why: String| reverted.failed.push((file.path.clone(), why));
        for (path, file) in &gone {
            match placer.remove(path) {
                Ok(()) => placer.prune(path, |dir| self.by_path.contains_key(dir)),
                Err(error) => fail(file, error.to_string()),
            }
        }
        for (path, before, file) in &back {
            let put = match before.id() {
                None => Err("its content was not kept".to_owned()),
                Some(id) => self
                    .contents
                    .read(id)
                    .map_err(|error| error.to_string())
                    .and_then(|bytes| {
                        placer
                            .put(path, before.mode, &bytes)
                            .map_err(|error| error.to_string())
                    }),
            };
            if let Err(why) = put {
                fail(file, why);
            }
        }
        let failed: Vec<_> = reverted
            .failed
            .iter()
            .map(|(path, _)| path.clone())
            .collect();
        let all = gone
            .iter()
            .map(|(_, file)| *file)
            .chain(back.iter().map(|(_, _, file)| *file));
        let mut files: Vec<_> = all
            .map(|file| file.path.clone())
            .filter(|path| !failed.contains(path))
            .collect();
        files.sort();
        files.dedup();
        reverted.files = files;
        Ok(reverted)
    }
}
