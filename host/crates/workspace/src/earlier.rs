//! A tree that an earlier job worked in: what its files were before that one, so that a job that goes on there is held
//! against the base that the first one began with.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use git2::{Oid, Repository, RepositoryInitOptions};
use serde::{Deserialize, Serialize};

use crate::changes::Changes;
use crate::error::WorkspaceError;
use crate::path::FilePath;
use crate::state::{Content, FileState, States};
use crate::tamper::GitChange;

/// The record, in the folder of the repository that keeps an isolated job's result.
const RECORD: &str = "before.json";

/// The repositories that the job made in the tree, in its folder.
const MADE: &str = "made.json";

/// The touched ignored files, beside it.
const TOUCHED: &str = "touched.json";

/// The changes of the jobs that worked in a tree before.
#[derive(Debug, Clone)]
pub struct Earlier {
    /// The bare repository with the contents.
    store: PathBuf,
}

/// One file that an earlier job changed.
#[derive(Serialize, Deserialize)]
struct Was {
    /// Relative to the tree's top.
    path: Vec<u8>,
    /// The state before; none if the path did not exist.
    state: Option<State>,
    /// The state that the job left.
    #[serde(default)]
    left: Option<State>,
}

/// An ignored file that an earlier job touched, and the stamp that it left on it.
#[derive(Serialize, Deserialize)]
struct Touched {
    path: Vec<u8>,
    ctime: i64,
    inode: u64,
}

#[derive(Serialize, Deserialize, Clone)]
struct State {
    mode: u32,
    size: u64,
    links: u32,
    /// The id of its bytes; none when they were not kept.
    blob: Option<String>,
}

impl State {
    fn of(state: &FileState) -> Self {
        Self {
            mode: state.mode,
            size: state.size,
            links: state.links,
            blob: state.id().map(|id| id.to_string()),
        }
    }

    fn state(&self) -> FileState {
        let blob = self.blob.as_ref().and_then(|id| Oid::from_str(id).ok());
        FileState {
            mode: self.mode,
            size: self.size,
            links: self.links,
            content: blob.map_or(Content::Unread, Content::Known),
        }
    }
}

impl Earlier {
    /// Keeps what a job in the tree at `top`, which is the user's, found and left, in a folder of that job's, for one that
    /// continues from it.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn keep_for_follow_up(
        top: &Path,
        changes: &Changes,
        folder: &Path,
    ) -> Result<(), WorkspaceError> {
        let mut options = RepositoryInitOptions::new();
        options.bare(true).external_template(false);
        let store = Repository::init_opts(folder, &options)?;
        Self::keep(changes, &store)?;
        Self::keep_touched(top, changes, &store)
    }

    /// Finds what [`Earlier::keep_for_follow_up`] kept; none where nothing was.
    pub fn find(folder: &Path) -> Option<Self> {
        folder
            .join(RECORD)
            .is_file()
            .then(|| Self::at(folder.to_path_buf()))
    }

    /// Keeps which ignored files were touched: a later job's checks must not see them either.
    pub(crate) fn keep_touched(
        top: &Path,
        changes: &Changes,
        store: &Repository,
    ) -> Result<(), WorkspaceError> {
        let touched = changes.touched.iter().filter_map(|path| {
            let (ctime, inode) = stamp(&top.join(path.as_path()))?;
            let path = path.as_bytes().to_vec();
            Some(Touched { path, ctime, inode })
        });
        let touched: Vec<Touched> = touched.collect();
        let made = changes.git.iter().filter_map(|change| match change {
            GitChange::NestedRepository { repository } => Some(repository.as_bytes()),
            _ => None,
        });
        let made: Vec<&[u8]> = made.collect();
        for (name, text) in [
            (TOUCHED, serde_json::to_vec(&touched)),
            (MADE, serde_json::to_vec(&made)),
        ] {
            let path = store.path().join(name);
            fs::write(&path, text.unwrap_or_default()).map_err(|source| WorkspaceError::Io {
                action: "write",
                path,
                source,
            })?;
        }
        Ok(())
    }

    /// The repositories that the earlier jobs made in the tree and that still stand there: of a job that goes on they are
    /// as much as of the one that made them.
    pub(crate) fn made_repositories(&self, top: &Path) -> Vec<FilePath> {
        let text = fs::read(self.store.join(MADE)).unwrap_or_default();
        let made: Vec<Vec<u8>> = serde_json::from_slice(&text).unwrap_or_default();
        let made = made.into_iter().map(FilePath::new);
        made.filter(|place| {
            top.join(place.as_path())
                .join(".git")
                .symlink_metadata()
                .is_ok()
        })
        .collect()
    }

    /// Notes the stamps that touched files have now, after the tree was made again.
    ///
    /// # Errors
    /// The record cannot be written.
    pub(crate) fn stamp_anew(&self, top: &Path) -> Result<(), WorkspaceError> {
        let path = self.store.join(TOUCHED);
        let Ok(text) = fs::read(&path) else {
            return Ok(());
        };
        let touched: Vec<Touched> = serde_json::from_slice(&text).unwrap_or_default();
        let touched = touched.into_iter().filter_map(|touched| {
            let place = FilePath::new(touched.path.as_slice());
            let (ctime, inode) = stamp(&top.join(place.as_path()))?;
            Some(Touched {
                path: touched.path,
                ctime,
                inode,
            })
        });
        let touched: Vec<Touched> = touched.collect();
        fs::write(&path, serde_json::to_vec(&touched).unwrap_or_default()).map_err(|source| {
            WorkspaceError::Io {
                action: "write",
                path,
                source,
            }
        })
    }

    /// The ignored files that were touched and that nobody has written since.
    pub(crate) fn still_touched(&self, top: &Path) -> Vec<FilePath> {
        let text = fs::read(self.store.join(TOUCHED)).unwrap_or_default();
        let touched: Vec<Touched> = serde_json::from_slice(&text).unwrap_or_default();
        let same = touched.into_iter().filter_map(|touched| {
            let path = FilePath::new(touched.path);
            let now = stamp(&top.join(path.as_path()))?;
            (now == (touched.ctime, touched.inode)).then_some(path)
        });
        same.collect()
    }

    /// Returns the former states of the files that are still as the job left them: what somebody changed since is not the
    /// job's any more.
    pub(crate) fn states_still_left(
        &self,
        now: impl Fn(&[u8]) -> Option<FileState>,
    ) -> Result<States, WorkspaceError> {
        let still = self.load()?.into_iter().filter(|was| {
            let left = was.left.as_ref().map(State::state);
            match (left, now(&was.path)) {
                (None, None) => true,
                (Some(left), Some(now)) => left.same(&now),
                _ => false,
            }
        });
        Ok(still
            .map(|was| (was.path, was.state.as_ref().map(State::state)))
            .collect())
    }

    /// Keeps what the files of `changes` were before, with their bytes, in a bare repository.
    pub(crate) fn keep(changes: &Changes, store: &Repository) -> Result<(), WorkspaceError> {
        let mut all = Vec::new();
        for file in changes.files.iter().filter(|file| file.submodule.is_none()) {
            // A renamed file was there under its other name, and nothing under this one.
            let (place, here) = match &file.previous_top_path {
                Some(previous) => (previous, Some(&file.top_path)),
                None => (&file.top_path, None),
            };
            let state = match &file.before {
                None => None,
                Some(before) => {
                    if let Some(id) = before.id() {
                        store.blob(&changes.contents.read(id)?)?;
                    }
                    Some(State::of(before))
                }
            };
            all.push(Was {
                path: place.as_bytes().to_vec(),
                state,
                left: file.now.filter(|_| here.is_none()).as_ref().map(State::of),
            });
            all.extend(here.map(|path| Was {
                path: path.as_bytes().to_vec(),
                state: None,
                left: file.now.as_ref().map(State::of),
            }));
        }
        let path = store.path().join(RECORD);
        fs::write(&path, serde_json::to_vec(&all).unwrap_or_default()).map_err(|source| {
            WorkspaceError::Io {
                action: "write",
                path,
                source,
            }
        })
    }

    /// Reads the states kept in this repository.
    pub(crate) fn at(store: PathBuf) -> Self {
        Self { store }
    }

    /// The objects of what was kept.
    pub(crate) fn objects(&self) -> PathBuf {
        self.store.join("objects")
    }

    /// The same, and the folders that the host named beside it.
    pub(crate) fn stores(&self) -> Vec<PathBuf> {
        let objects = self.objects();
        let named = fs::read(objects.join("info/alternates")).unwrap_or_default();
        let named = named.split(|byte| *byte == b'\n');
        let named = named.filter(|line| !line.is_empty());
        let named: Vec<PathBuf> = named
            .map(|line| PathBuf::from(std::ffi::OsStr::from_bytes(line)))
            .collect();
        std::iter::once(objects).chain(named).collect()
    }

    /// Returns the states of the files before.
    pub(crate) fn states(&self) -> Result<States, WorkspaceError> {
        let states = self.load()?.into_iter();
        Ok(states
            .map(|was| (was.path, was.state.as_ref().map(State::state)))
            .collect())
    }

    fn load(&self) -> Result<Vec<Was>, WorkspaceError> {
        let path = self.store.join(RECORD);
        let lost = |why: &dyn std::fmt::Display| WorkspaceError::Isolation {
            what: format!(
                "what the earlier job changed is not known any more: {}: {why}",
                path.display()
            ),
        };
        let text = fs::read(&path).map_err(|error| lost(&error))?;
        serde_json::from_slice(&text).map_err(|error| lost(&error))
    }
}

/// Change time in nanoseconds, and inode, of what is not a folder.
fn stamp(path: &Path) -> Option<(i64, u64)> {
    let found = path.symlink_metadata().ok()?;
    let ctime = found.ctime().saturating_mul(1_000_000_000);
    (!found.is_dir()).then(|| (ctime.saturating_add(found.ctime_nsec()), found.ino()))
}
