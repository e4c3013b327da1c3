//! A tree that an earlier job worked in: what its files were before that one, so that a job that goes on there is held
//! against the base that the first one began with.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::PathBuf;

use git2::{Oid, Repository};
use serde::{Deserialize, Serialize};

use super::WorkspaceError;
use super::base::{Base, Content};
use super::changes::{Changes, FileState};
use super::contents::blob_id;
use super::put::Placer;

/// The record, in the folder of the repository that keeps an isolated job's result.
const RECORD: &str = "before.json";

/// What the jobs that worked in a tree before had changed there.
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
    /// What it was before; none when it was not there.
    state: Option<State>,
}

#[derive(Serialize, Deserialize)]
struct State {
    mode: u32,
    size: u64,
    links: u32,
    /// The id of its bytes; none when they were not kept.
    blob: Option<String>,
}

impl Earlier {
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
                    Some(State {
                        mode: before.mode,
                        size: before.size,
                        links: before.links,
                        blob: before.id().map(|id| id.to_string()),
                    })
                }
            };
            all.push(Was {
                path: place.as_bytes().to_vec(),
                state,
            });
            all.extend(here.map(|path| Was {
                path: path.as_bytes().to_vec(),
                state: None,
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

    /// What was kept in this repository.
    pub(crate) fn at(store: PathBuf) -> Self {
        Self { store }
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

impl Base {
    /// Makes this snapshot, taken after the earlier jobs, one of the time before them: what they changed counts as
    /// changed since.
    ///
    /// # Errors
    /// When the record of what they changed is gone.
    pub fn before(mut self, earlier: &Earlier) -> Result<Self, WorkspaceError> {
        self.contents.add_store(&earlier.store.join("objects"));
        for was in earlier.load()? {
            let state = was.state.map(|state| FileState {
                mode: state.mode,
                size: state.size,
                links: state.links,
                content: state
                    .blob
                    .and_then(|id| Oid::from_str(&id).ok())
                    .map_or(Content::Unread, Content::Known),
            });
            self.earlier.insert(was.path, state);
        }
        Ok(self)
    }

    /// Lays what the files were before the earlier jobs over what differs from the snapshot itself.
    pub(crate) fn see_earlier(
        &self,
        top: Option<BorrowedFd<'_>>,
        raw: &mut BTreeMap<Vec<u8>, (Option<FileState>, Option<FileState>)>,
    ) -> Result<(), WorkspaceError> {
        for (path, before) in &self.earlier {
            let now = match (raw.get(path), top) {
                (Some((_, now)), _) => *now,
                (None, Some(top)) => self.state_at(top, path)?,
                (None, None) => None,
            };
            let same = match (before, &now) {
                (None, None) => true,
                (Some(before), Some(now)) => before.same(now),
                _ => false,
            };
            if same {
                raw.remove(path);
            } else {
                raw.insert(path.clone(), (*before, now));
            }
        }
        Ok(())
    }

    /// A file as it is now, its bytes kept.
    fn state_at(
        &self,
        top: BorrowedFd<'_>,
        path: &[u8],
    ) -> Result<Option<FileState>, WorkspaceError> {
        let limit = self.contents.limits().file_bytes;
        let state = |mode, size, content| FileState {
            mode,
            size,
            links: 1,
            content,
        };
        match Placer::new(top.as_fd()).look(path, limit) {
            Ok(None) => Ok(None),
            Ok(Some((mode, bytes))) => {
                let id = blob_id(&bytes)?;
                let content = match self.contents.keep(id, &bytes)? {
                    true => Content::Known(id),
                    false => Content::Unread,
                };
                Ok(Some(state(mode, bytes.len() as u64, content)))
            }
            // Something else has taken its place: there, and not to be read.
            Err(_) => Ok(Some(state(0o100_000, 0, Content::Unread))),
        }
    }
}

/// What an earlier job left of each file, by path; the snapshot of a tree that nobody worked in has none.
pub(crate) type EarlierStates = HashMap<Vec<u8>, Option<FileState>>;
