//! Files that run with their owner's rights, whoever runs them: a job leaves none.

use std::os::fd::AsFd as _;

use rustix::fs::{FileType, Mode};

use crate::base::Base;
use crate::changes::Changes;
use crate::handles;
use crate::path::FilePath;

impl Base {
    /// Takes the set-user-ID and set-group-ID bits away from what the job touched, ignored files among it. Returns what had
    /// one.
    pub fn remove_set_ids(&self, changes: &Changes) -> Vec<FilePath> {
        let bits = Mode::SUID | Mode::SGID;
        let changed = changes.files.iter().map(|file| &file.top_path);
        let touched = changed
            .chain(changes.restamped.iter())
            .chain(changes.touched.iter());
        let root = self.workspace.root();
        let mut found = Vec::new();
        for file in touched {
            let place = self.workspace.top().join(file.as_path());
            // A folder's bit only says which group new files have.
            let Ok(metadata) = place.symlink_metadata() else {
                continue;
            };
            let mode = Mode::from_raw_mode(std::os::unix::fs::MetadataExt::mode(&metadata));
            if !metadata.is_file() || !mode.intersects(bits) {
                continue;
            }
            let removed = root.locate(&place).ok().and_then(|(handle, _)| {
                let handle = handles::readable(handle.as_fd()).ok()?;
                let now = rustix::fs::fstat(&handle).ok()?;
                if FileType::from_raw_mode(now.st_mode) != FileType::RegularFile {
                    return None;
                }
                rustix::fs::fchmod(&handle, Mode::from_raw_mode(now.st_mode) - bits).ok()
            });
            if removed.is_some() {
                found.push(file.clone());
            }
        }
        found
    }
}
