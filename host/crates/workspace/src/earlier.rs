//! A tree that an earlier job worked in: what its files were before that one, so that a job that goes on there is held
//! against the base that the first one began with.

use std::fs;
use std::path::PathBuf;

use git2::{Oid, Repository};
use serde::{Deserialize, Serialize};

use crate::changes::Changes;
use crate::error::WorkspaceError;
use crate::state::{Content, FileState, States};

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

    /// The objects of what was kept.
    pub(crate) fn objects(&self) -> PathBuf {
        self.store.join("objects")
    }

    /// What each file was before.
    pub(crate) fn states(&self) -> Result<States, WorkspaceError> {
        let states = self.load()?.into_iter().map(|was| {
            let state = was.state.map(|state| FileState {
                mode: state.mode,
                size: state.size,
                links: state.links,
                content: state
                    .blob
                    .and_then(|id| Oid::from_str(&id).ok())
                    .map_or(Content::Unread, Content::Known),
            });
            (was.path, state)
        });
        Ok(states.collect())
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
