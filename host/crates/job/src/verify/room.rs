//! The room of a check: a HOME, a folder for temporary files, and a view of the tree that is thrown away (D21).
//!
//! The view is a layer over the tree: what the check writes goes there and is gone with it, so that it neither prepares the
//! next check nor becomes part of the result. Where the machine gives no layer, each check has a copy of the tree, which
//! it finds in the tree's place. Where that cannot be had either, or the tree is too large to be copied for each check,
//! checks run in the tree itself, one after the other, and what each wrote is looked for and put back. Which it was is
//! found out by trying, and the result says so.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::tree::Tree;
use crate::private_home::make_home;
use process::{Layer, StandIn, Toolchains};
use workspace::{Base, Changes, FilePath, Interrupt, folder, layer};

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

/// The place that a check works in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Form {
    /// A layer over the tree.
    #[default]
    Layer,
    /// A copy of the tree, in its place.
    Copy,
    /// The tree itself.
    Tree,
}

impl Form {
    /// The form to be tried where this one cannot be had.
    fn next(self) -> Self {
        match self {
            Self::Layer => Self::Copy,
            Self::Copy | Self::Tree => Self::Tree,
        }
    }
}

#[derive(Debug, Default)]
struct State {
    /// The best form that was not refused yet.
    form: Form,
    /// The reasons why the better ones cannot be had.
    refused: Vec<String>,
    /// The ignored files that the agent touched, relative to the tree's top: no copy holds them.
    hidden: HashSet<PathBuf>,
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
    /// The folders that it finds in the place of the user's git directories, and of the tree; copies of its own where there are no
    /// layers.
    pub(super) stand_ins: Vec<StandIn>,
    pub(super) form: Form,
}

impl Room {
    /// The folder with what the check wrote into the tree: all that is in a layer, or the copy. None where it wrote into the
    /// tree itself.
    pub(super) fn tree(&self) -> Option<&Path> {
        match self.form {
            Form::Layer => self.layers.first().map(|layer| layer.upper.as_path()),
            Form::Copy => self.stand_ins.first().map(|copy| copy.folder.as_path()),
            Form::Tree => None,
        }
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

    /// Rooms as where layers are refused, for tests of what is done there.
    pub fn in_copies(folder: PathBuf) -> Self {
        let rooms = Self::below(folder);
        rooms.refuse(Form::Layer, &"none were wanted");
        rooms
    }

    /// Rooms of commands that work in the tree itself: what they write there is to stay.
    pub fn in_the_tree(folder: PathBuf) -> Self {
        let rooms = Self::below(folder);
        rooms.state().form = Form::Tree;
        rooms
    }

    /// The HOME of a set-up, while it runs in the tree.
    pub fn setup_home(&self) -> PathBuf {
        self.folder.join(SETUP).join("home")
    }

    /// The note on where checks run; none as long as they have layers.
    pub fn note(&self) -> Option<String> {
        let state = self.state();
        let what = match state.form {
            Form::Layer => return None,
            Form::Copy => "copies of the tree",
            Form::Tree => "the tree itself",
        };
        Some(format!(
            "checks ran in {what}: {}",
            state.refused.join("; ")
        ))
    }

    /// Returns true if checks run in the tree itself.
    pub(super) fn are_in_the_tree(&self) -> bool {
        self.state().form == Form::Tree
    }

    /// From now on no check is given this form.
    pub(super) fn refuse(&self, form: Form, reason: &dyn std::fmt::Display) {
        let mut state = self.state();
        if state.form == form && form != Form::Tree {
            state.form = form.next();
            state.refused.push(reason.to_string());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a pass: what the agent touched of the ignored files is hidden from its checks. Returns the folders that it had
    /// marked as parts of a layer.
    pub(super) fn begin_pass(&self, base: &Base, changes: &Changes) -> Vec<FilePath> {
        let mut state = self.state();
        state.passes += 1;
        let cover = self.folder.join(format!("cover-{}", state.passes));
        if let Some(earlier) = state.cover.take() {
            let _ = folder::remove(&earlier);
        }
        state.hidden = changes.touched_ignored().map(Path::to_path_buf).collect();
        if state.form != Form::Layer {
            return Vec::new();
        }
        let marked = base.remove_layer_marks(changes);
        if state.hidden.is_empty() {
            return marked;
        }
        let made = private::make_folder(&cover)
            .map_err(|error| error.to_string())
            .and_then(|()| {
                let covered = base.cover_ignored(changes, &cover);
                covered.map_err(|error| error.to_string())
            });
        match made {
            Ok(_) => state.cover = Some(cover),
            Err(reason) => {
                state.form = Form::Copy;
                state.refused.push(reason);
            }
        }
        marked
    }

    /// Makes a room for the check that goes by `key`. Where `kept`, it finds the build output that it left in its last one.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn make(&self, tree: &Tree, key: &str, kept: bool) -> io::Result<Room> {
        let folder = self.folder.join(key);
        folder::remove(&folder)?;
        let temp = folder.join("tmp");
        private::make_folder(&temp)?;
        let mut state = self.state();
        // One that is found in the tree's place is copied with what else is: the tree itself may be the agent's.
        if state.form != Form::Layer && tree.is_a_stand_in() {
            drop(state);
            return self.plain(tree, key, kept, folder, Form::Copy, None);
        }
        if state.form == Form::Copy {
            match copy_of_tree(tree, &state.hidden, &folder) {
                Ok(copy) => {
                    drop(state);
                    return self.plain(tree, key, kept, folder, Form::Copy, Some(copy));
                }
                Err(reason) => {
                    state.form = Form::Tree;
                    state.refused.push(reason.to_string());
                    folder::remove(&folder.join("tree"))?;
                }
            }
        }
        if state.form == Form::Tree {
            drop(state);
            return self.plain(tree, key, kept, folder, Form::Tree, None);
        }
        let home = self.folder.join("home");
        let toolchains = match &state.home {
            Some(toolchains) => {
                // The agent began a project of cargo's in a later pass.
                if tree.cargo_packages && !state.has_packages {
                    toolchains.link_packages();
                }
                toolchains.clone()
            }
            None => {
                make_home(&home, &tree.git_identity)?;
                state.home.insert(tree.toolchains(&home)).clone()
            }
        };
        state.has_packages |= tree.cargo_packages;
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
            layer_over(&tree.top, "tree", state.cover.clone())?,
            layer_over(&home, "home", None)?,
        ];
        for (at, over) in tree.git_writes.iter().enumerate() {
            layers.push(layer_over(over, &format!("git-{at}"), None)?);
        }
        Ok(Room {
            folder,
            home,
            temp,
            toolchains,
            layers,
            stand_ins: tree.confinement.stand_ins.clone(),
            form: Form::Layer,
        })
    }

    /// Makes a room without layers: in a copy of the tree, or in the tree itself.
    fn plain(
        &self,
        tree: &Tree,
        key: &str,
        kept: bool,
        folder: PathBuf,
        form: Form,
        copy: Option<StandIn>,
    ) -> io::Result<Room> {
        let home = folder.join("home");
        make_home(&home, &tree.git_identity)?;
        if kept {
            take_caches(&self.kept(key).join("home"), &home);
        }
        let toolchains = tree.toolchains(&home);
        let own = copied(&tree.confinement.stand_ins, &folder)?;
        Ok(Room {
            temp: folder.join("tmp"),
            home,
            toolchains,
            layers: Vec::new(),
            stand_ins: copy.into_iter().chain(own).collect(),
            form,
            folder,
        })
    }

    /// Ends a room. With a base, the check's build output and caches wait for its next pass.
    pub(super) fn end(&self, room: Room, tree: &Tree, key: &str, keep_for: Option<&Base>) {
        let grants = &tree.confinement.grants;
        let own = room.stand_ins.iter().map(|stand_in| &stand_in.folder);
        for own in own.chain([&room.temp, &room.home]) {
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
                    // The output in a copy is thrown away: the next one begins with that of the tree.
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

/// A tree that is not copied for each check.
#[derive(Debug, thiserror::Error)]
enum NotCopied {
    #[error("the sandbox is off")]
    NoView,
    #[error("its git directory is part of it, and is the user's")]
    Git,
    #[error("no copy of it for each check: {0}")]
    System(#[from] io::Error),
}

/// Copies the tree into a room, without what the agent touched of the ignored files.
fn copy_of_tree(tree: &Tree, hidden: &HashSet<PathBuf>, room: &Path) -> Result<StandIn, NotCopied> {
    if tree.confinement.mode == process::SandboxMode::Off {
        return Err(NotCopied::NoView);
    }
    let git = tree.top.join(".git");
    let own = tree.confinement.stand_ins.iter().any(|it| it.at == git);
    // Of a tree of the job's own it is a small one.
    if !own && git.is_dir() && !tree.is_own {
        return Err(NotCopied::Git);
    }
    let copy = room.join("tree");
    let left_out = |path: &Path| hidden.contains(path) || own && path == Path::new(".git");
    folder::copy(&tree.top, &copy, &left_out, &Interrupt::default())?;
    if own {
        private::make_folder(&copy.join(".git"))?;
    }
    Ok(StandIn {
        at: tree.top.clone(),
        folder: copy,
        write: true,
    })
}

/// Copies the folders that a check finds in the place of others and may write.
fn copied(stand_ins: &[StandIn], room: &Path) -> io::Result<Vec<StandIn>> {
    let copies = stand_ins.iter().enumerate().map(|(at, stand_in)| {
        if !stand_in.write {
            return Ok(stand_in.clone());
        }
        let copy = room.join(format!("git-{at}"));
        folder::copy(&stand_in.folder, &copy, &|_| false, &Interrupt::default())?;
        Ok(StandIn {
            folder: copy,
            ..stand_in.clone()
        })
    });
    copies.collect()
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
