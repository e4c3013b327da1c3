//! The room of a check: a HOME, a folder for temporary files, and a view of the tree that is thrown away (D21).
//!
//! The view is a layer over the tree: what the check writes goes there and is gone with it, so that it neither prepares the
//! next check nor becomes part of the result. Where the machine gives no layer, checks run in the tree itself, one after
//! the other, and what each wrote is looked for and put back; the result says so.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::command::Place;
use crate::private_home::make_home;
use process::{Layer, Toolchains};
use workspace::{Base, Changes, folder, layer};

/// Caches in a HOME: what is downloaded again, or built again, where it is missing. Nothing in them is settings.
const CACHES: [&str; 12] = [
    ".cache",
    ".cargo/registry",
    ".cargo/git",
    "go/pkg",
    ".npm/_cacache",
    ".gradle/caches",
    ".gradle/wrapper",
    ".m2/repository",
    ".nuget/packages",
    ".local/share/pnpm/store",
    ".bun/install/cache",
    ".pub-cache/hosted",
];

/// The room of the set-up of a tree.
pub(super) const SETUP: &str = "setup";

/// The rooms of one job's checks, over all of its passes.
#[derive(Debug)]
pub struct Rooms {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The reason why no layer can be had.
    refused: Option<String>,
    /// Lies between the tree and what a check writes: hides the ignored files that the agent touched.
    cover: Option<PathBuf>,
    passes: u32,
    /// The HOME beneath the layers, with what toolchains need in it.
    home: Option<Toolchains>,
    /// The user's cargo packages are in it.
    has_packages: bool,
}

/// The room of one check, for one run.
#[derive(Debug)]
pub(super) struct Room {
    folder: PathBuf,
    pub(super) home: PathBuf,
    pub(super) temp: PathBuf,
    pub(super) toolchains: Toolchains,
    /// Over the tree, over HOME, and over what git writes elsewhere; none where there are no layers.
    pub(super) layers: Vec<Layer>,
}

impl Room {
    /// Returns the layer with what the check wrote; none if it wrote into the tree itself.
    pub(super) fn tree(&self) -> Option<&Path> {
        self.layers.first().map(|layer| layer.upper.as_path())
    }
}

impl Rooms {
    /// Rooms in a folder of the job's own, outside of the tree. It is made when the first check runs.
    pub fn below(folder: PathBuf) -> Self {
        Self {
            folder,
            state: Mutex::default(),
        }
    }

    /// Rooms of commands that work in the tree itself: what they write there is to stay.
    pub fn in_the_tree(folder: PathBuf) -> Self {
        let rooms = Self::below(folder);
        rooms.refuse(&"it prepares the tree");
        rooms
    }

    /// The HOME of a set-up, while it runs in the tree.
    pub fn setup_home(&self) -> PathBuf {
        self.folder.join(SETUP).join("home")
    }

    /// Returns the reason why checks run in the tree itself; none as long as they do not.
    pub fn refused(&self) -> Option<String> {
        self.state().refused.clone()
    }

    /// From now on there are no layers.
    pub(super) fn refuse(&self, reason: &dyn std::fmt::Display) {
        self.state()
            .refused
            .get_or_insert_with(|| reason.to_string());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a pass: what the agent touched of the ignored files is hidden from its checks.
    pub(super) fn begin_pass(&self, base: &Base, changes: &Changes) {
        let mut state = self.state();
        state.passes += 1;
        let cover = self.folder.join(format!("cover-{}", state.passes));
        if let Some(earlier) = state.cover.take() {
            let _ = folder::remove(&earlier);
        }
        if state.refused.is_some() || !changes.touched_ignored() {
            return;
        }
        let made = private::make_folder(&cover)
            .map_err(|error| error.to_string())
            .and_then(|()| {
                let covered = base.cover_ignored(changes, &cover);
                covered.map_err(|error| error.to_string())
            });
        match made {
            Ok(_) => state.cover = Some(cover),
            Err(reason) => state.refused = Some(reason),
        }
    }

    /// Makes a room for the check that goes by `key`. Where `kept`, it finds the build output that it left in its last one.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn make(&self, place: &Place, key: &str, kept: bool) -> io::Result<Room> {
        let folder = self.folder.join(key);
        folder::remove(&folder)?;
        let temp = folder.join("tmp");
        private::make_folder(&temp)?;
        let mut state = self.state();
        if state.refused.is_some() {
            let home = folder.join("home");
            make_home(&home, &place.git_identity)?;
            if kept {
                take_caches(&self.kept(key).join("home"), &home);
            }
            let toolchains = place.toolchains(&home);
            return Ok(Room {
                folder,
                home,
                temp,
                toolchains,
                layers: Vec::new(),
            });
        }
        let home = self.folder.join("home");
        let toolchains = match &state.home {
            Some(toolchains) => {
                // The agent began a project of cargo's in a later pass.
                if place.cargo_packages && !state.has_packages {
                    toolchains.link_packages();
                }
                toolchains.clone()
            }
            None => {
                make_home(&home, &place.git_identity)?;
                state.home.insert(place.toolchains(&home)).clone()
            }
        };
        state.has_packages |= place.cargo_packages;
        let layer_over = |over: &Path, name: &str, cover: Option<PathBuf>| -> io::Result<Layer> {
            let [upper, work] = ["upper", "work"].map(|part| folder.join(name).join(part));
            private::make_folder(&work)?;
            let before = self.kept(key).join(name);
            if !(kept && fs::rename(before, &upper).is_ok()) {
                private::make_folder(&upper)?;
            }
            layer::stand_in_for(over, &upper)?;
            Ok(Layer {
                folder: over.to_owned(),
                upper,
                work,
                cover,
            })
        };
        let mut layers = vec![
            layer_over(&place.top, "tree", state.cover.clone())?,
            layer_over(&home, "home", None)?,
        ];
        for (at, over) in place.git_writes.iter().enumerate() {
            layers.push(layer_over(over, &format!("git-{at}"), None)?);
        }
        Ok(Room {
            folder,
            home,
            temp,
            toolchains,
            layers,
        })
    }

    /// Ends a room. With a base, the check's build output and caches wait for its next pass.
    pub(super) fn end(&self, room: Room, place: &Place, key: &str, keep_for: Option<&Base>) {
        let grants = &place.confinement.grants;
        for own in [&room.temp, &room.home] {
            if own.starts_with(&room.folder) {
                grants.release(own);
            }
        }
        let kept = self.kept(key);
        let ended = || -> io::Result<()> {
            folder::remove(&kept)?;
            if let Some(base) = keep_for {
                let [tree, home] = ["tree", "home"].map(|name| kept.join(name));
                private::make_folder(&tree)?;
                private::make_folder(&home)?;
                match room.layers.as_slice() {
                    [over_tree, over_home, ..] => {
                        base.keep_build_output(&over_tree.upper, &tree)?;
                        take_caches(&over_home.upper, &home);
                    }
                    _ => take_caches(&room.home, &home),
                }
            }
            folder::remove(&room.folder)
        };
        if let Err(fault) = ended() {
            tracing::warn!(%fault, "what a check wrote is left over");
        }
    }

    fn kept(&self, key: &str) -> PathBuf {
        self.folder.join("kept").join(key)
    }
}

/// Moves the caches of one HOME, or of a layer over one, to another.
fn take_caches(from: &Path, to: &Path) {
    let is_folder = |path: &Path| path.symlink_metadata().is_ok_and(|found| found.is_dir());
    for cache in CACHES {
        let (source, target) = (from.join(cache), to.join(cache));
        // Never by a link that a check made on the way.
        let mut way = source.ancestors().take_while(|place| *place != from);
        if !way.all(is_folder) {
            continue;
        }
        let Some(parent) = target.parent() else {
            continue;
        };
        // A cache that is not kept costs time.
        let _ = private::make_folder(parent).and_then(|()| fs::rename(&source, &target));
    }
}
