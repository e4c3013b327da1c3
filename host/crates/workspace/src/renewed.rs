//! A tree whose job ended before anybody recorded what it had changed: its runner was killed, or the machine went down.
//!
//! The snapshot from before the job is gone with the runner, but what it showed can be had again: the tree is made once
//! more from the same commit, looked at, and given the files back that stood in it. So a job that goes on there is held
//! against the same base as the one before, and what both changed is one result. `.git` stays as it was made, whatever the
//! job before did to it: commits of the agent's own are files that differ from the base, no more.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use git2::Oid;

use crate::base::Base;
use crate::checkout::{Origin, check_out, submodules};
use crate::contents::Limits;
use crate::error::WorkspaceError;
use crate::folder;
use crate::isolated::Isolated;
use crate::record::IsolatedRecord;
use crate::source::open_source;
use crate::workspace::Workspace;

/// The folder, in that of the tree, that holds the files meanwhile.
const ASIDE: &str = "aside";
/// In it: every file is there, and what stands in the tree was made from the commit.
const TAKEN: &str = "taken";
/// In it: what stands in the tree came back from there.
const RETURNING: &str = "returning";
/// In it: the files.
const FILES: &str = "files";

impl Isolated {
    /// Opens the tree in `folder` as [`Isolated::open`] does, and gives the snapshot of what stood in it when it was made.
    /// May be called again after having been killed at any moment.
    ///
    /// # Errors
    /// When the commit is gone, or files cannot be moved. Uncommitted work that was laid over the base cannot be told from
    /// what the job did, so such a tree is refused.
    pub fn renew(
        folder: &Path,
        job: &str,
        storage: &Path,
        limits: Limits,
    ) -> Result<(Self, Base), WorkspaceError> {
        // The tree is not opened before it is whole again: an attempt that was killed may have left it without its `.git`.
        let record = IsolatedRecord::load(folder)?;
        let refuse = |what: &str| WorkspaceError::Isolation {
            what: what.to_owned(),
        };
        if record.dirty_included {
            return Err(refuse(
                "it was made with uncommitted work, and what that was is not known any more",
            ));
        }
        if record.set_up_files > 0 {
            return Err(refuse(
                "its set-up changed files that are not ignored, and what they were is not known any more",
            ));
        }
        let commit = Oid::from_str(&record.base_commit)?;
        let source = Workspace::open(&record.open_root()?, &record.source_dirs())?;
        let aside = Aside {
            tree: folder.join("tree"),
            place: folder.join(ASIDE),
        };
        let failed = |source| WorkspaceError::Io {
            action: "take the files aside in",
            path: aside.tree.clone(),
            source,
        };
        aside.take().map_err(failed)?;
        let kept = folder.join("keep/objects");
        let stores: Vec<PathBuf> = std::iter::once(kept)
            .chain(source.own_object_stores())
            .filter(|store| store.is_dir())
            .collect();
        check_out(
            &aside.tree,
            &stores,
            &Origin::of(&source),
            &record.branch,
            commit,
            &limits.interrupt,
        )?;
        {
            let user = open_source(source.top())?;
            let tree = user.find_commit(commit)?.tree()?;
            // What could not be done was told when the tree was made.
            submodules(
                &source,
                &tree,
                &aside.tree,
                &mut record.clone(),
                &limits.interrupt,
            )?;
        }
        let isolated = Self::open(folder, job)?;
        let base = Base::capture(isolated.workspace(), storage, limits)?;
        aside.give_back().map_err(failed)?;
        Ok((isolated, base))
    }
}

/// The files of a tree, on their way out of it and back. The tree's own folder stays: locks and handles hang on it.
struct Aside {
    tree: PathBuf,
    place: PathBuf,
}

impl Aside {
    /// Empties the tree.
    fn take(&self) -> io::Result<()> {
        let files = self.place.join(FILES);
        if self.place.join(RETURNING).exists() {
            self.give_back()?;
        }
        fs::create_dir_all(&files)?;
        if !self.place.join(TAKEN).exists() {
            move_all(&self.tree, &files, |_| true)?;
            mark(&self.place.join(TAKEN))?;
        }
        // Of an attempt before, that did not come to its end.
        clear(&self.tree, |_| true)
    }

    /// Puts every file back, but not `.git`: that is the new one.
    fn give_back(&self) -> io::Result<()> {
        let work = |name: &OsString| name != ".git";
        if !self.place.join(RETURNING).exists() {
            clear(&self.tree, work)?;
            mark(&self.place.join(RETURNING))?;
        }
        let files = self.place.join(FILES);
        if files.exists() {
            move_all(&files, &self.tree, work)?;
            folder::remove(&files)?;
        }
        // The marks go last: without them what is here would be taken for all there is.
        folder::remove(&self.place)
    }
}

fn mark(path: &Path) -> io::Result<()> {
    fs::File::create(path)?.sync_all()
}

fn names(folder: &Path, of: impl Fn(&OsString) -> bool) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name());
    }
    names.retain(of);
    Ok(names)
}

fn move_all(from: &Path, to: &Path, of: impl Fn(&OsString) -> bool) -> io::Result<()> {
    for name in names(from, of)? {
        fs::rename(from.join(&name), to.join(&name))?;
    }
    Ok(())
}

fn clear(folder: &Path, of: impl Fn(&OsString) -> bool) -> io::Result<()> {
    for name in names(folder, of)? {
        let path = folder.join(name);
        if path.symlink_metadata()?.is_dir() {
            folder::remove(&path)?;
        } else {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
