//! Grants: the files and folders that a job's tasks are given.
//!
//! A path means what it meant when the job first used it. It is walked once, link by link, and what
//! it led to is opened without following links and kept open, so that no other file can get its
//! identity. A task is given the identity, and its helper binds only what still has it: a link that
//! an earlier task put in place of a folder leads nowhere.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FileType, Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::places::{Layer, StandIn};

/// The most links on the way to one path; the kernel's own limit.
const LINK_LIMIT: usize = 40;

/// The grants of one job, shared by all its tasks. Clones are the same grants.
#[derive(Debug, Clone, Default)]
pub struct Grants {
    /// Folders that any job may write.
    shared: Vec<PathBuf>,
    held: Arc<Mutex<BTreeMap<PathBuf, Option<Arc<Held>>>>>,
}

/// A path as it was when the job first used it.
#[derive(Debug)]
struct Held {
    found: Walk,
    identity: Identity,
    /// Keeps the identity from being used again.
    _file: OwnedFd,
}

/// The identity of a file or folder on this machine, for as long as somebody holds it open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    pub(crate) folder: bool,
}

/// A grant as the helper is told it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Grant {
    /// The real path, without links.
    pub(crate) path: OsString,
    /// The real path of what is to be found there, where that is something else.
    pub(crate) source: Option<OsString>,
    /// Links on the way from the path as it was named, with their targets.
    pub(crate) links: Vec<(OsString, OsString)>,
    pub(crate) identity: Identity,
    pub(crate) write: bool,
    pub(crate) layer: Option<LayerPaths>,
}

/// The folders of a layer over a grant, by their real paths: no task can reach them but through the layer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LayerPaths {
    pub(crate) upper: OsString,
    pub(crate) work: OsString,
    pub(crate) cover: Option<OsString>,
}

impl LayerPaths {
    fn of(layer: &Layer) -> Result<Self, GrantError> {
        let real = |path: &PathBuf| match walk(path) {
            Ok(found) => Ok(OsString::from(found.real)),
            Err(source) => {
                let path = path.clone();
                Err(GrantError::Unusable { path, source })
            }
        };
        Ok(Self {
            upper: real(&layer.upper)?,
            work: real(&layer.work)?,
            cover: layer.cover.as_ref().map(real).transpose()?,
        })
    }
}

/// A reason for which a grant cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// The folder was moved, or replaced by another or by a link.
    #[error(
        "{} is no longer the folder that it was when the job began; start a new job for the new one",
        .0.display()
    )]
    Changed(PathBuf),
    /// It cannot be opened.
    #[error("{}: {source}", .path.display())]
    Unusable {
        /// The path as it was named.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// The grants of one task, and the notes on those that it does not get.
#[derive(Debug, Default)]
pub(crate) struct TaskGrants {
    pub(crate) grants: Vec<Grant>,
    pub(crate) notes: Vec<String>,
}

impl Grants {
    /// Grants of a job, where any job may write below `shared`: a link in there leads no grant out of it.
    pub fn beside(shared: Vec<PathBuf>) -> Self {
        let real = |path: PathBuf| walk(&path).map_or(path, |found| found.real);
        Self {
            shared: shared.into_iter().map(real).collect(),
            ..Self::default()
        }
    }

    /// Opens `path`, so that it means from now on what it means at this moment.
    ///
    /// # Errors
    /// It exists and cannot be opened.
    pub fn hold(&self, path: &Path) -> Result<(), GrantError> {
        self.held(path).map(drop)
    }

    /// Forgets a path of the host's own that it has deleted: a later folder of this name is another.
    pub fn release(&self, path: &Path) {
        let mut known = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(path);
    }

    /// Returns what `path` was when it was first used; none if there was nothing then.
    fn held(&self, path: &Path) -> Result<Option<Arc<Held>>, GrantError> {
        let mut known = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = known.get(path) {
            return Ok(held.clone());
        }
        let held = match open(path) {
            Ok(held) => Some(Arc::new(held)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => {
                let path = path.to_owned();
                return Err(GrantError::Unusable { path, source });
            }
        };
        known.insert(path.to_owned(), held.clone());
        Ok(held)
    }

    /// Returns the grants of a task: the outermost ones, each compared with what it was.
    ///
    /// # Errors
    /// A folder to be written is no longer the one it was, or cannot be opened.
    pub(crate) fn task(&self, wanted: &Wanted<'_>) -> Result<TaskGrants, GrantError> {
        let mut task = TaskGrants::default();
        let layer_over = |path: &Path| {
            let layer = wanted.layers.iter().find(|layer| layer.folder == *path);
            layer.map(LayerPaths::of).transpose()
        };
        let mut found: Vec<Candidate> = Vec::new();
        for path in wanted.write {
            let layer = layer_over(path)?;
            found.extend(
                self.held(path)?
                    .map(|held| Candidate::of(held, true, layer)),
            );
        }
        let writable = found.iter().map(|found| found.at.clone());
        let writable: Vec<PathBuf> = writable.chain(self.shared.iter().cloned()).collect();
        for path in wanted.read {
            match self.held(path) {
                // A link that a task can put in place must not lead a later one out of its folders.
                Ok(Some(held)) if held.found.passes_a_link_in(&writable) => {
                    task.notes.push(format!(
                        "not granted: {} is reached by a link that a job can make",
                        path.display()
                    ))
                }
                Ok(held) => found.extend(held.map(|held| Candidate::of(held, false, None))),
                Err(fault) => task.notes.push(format!("not granted: {fault}")),
            }
        }
        // What the machine has in the place of a stand-in is not seen, also where it is granted.
        found.retain(|found| {
            let mut places = wanted.stand_ins.iter();
            !places.any(|place| found.at.starts_with(&place.at))
        });
        for stand_in in wanted.stand_ins {
            let Some(held) = self.held(&stand_in.folder)? else {
                return Err(GrantError::Changed(stand_in.folder.clone()));
            };
            found.push(Candidate {
                at: stand_in.at.clone(),
                stands_in: true,
                ..Candidate::of(held, stand_in.write, layer_over(&stand_in.at)?)
            });
        }
        found.sort_by_key(|found| {
            let plain = found.layer.is_none();
            (found.at.components().count(), plain, !found.write)
        });
        let mut given: Vec<(PathBuf, bool)> = Vec::new();
        for Candidate {
            held,
            at,
            write,
            stands_in,
            layer,
        } in found
        {
            let apart = layer.is_some() || stands_in;
            let covered = |(outer, outer_write): &(PathBuf, bool)| {
                !apart && at.starts_with(outer) && (*outer_write || !write)
            };
            let links = held.found.links.iter().filter(|_| !stands_in);
            let links: Vec<(OsString, OsString)> =
                links.map(|(at, to)| (at.into(), to.into())).collect();
            if let Some((outer, _)) = given.iter().find(|outer| covered(outer)) {
                // Named through a link: the name has to be there as well.
                let outer = outer.as_os_str();
                if let Some(grant) = task.grants.iter_mut().find(|grant| grant.path == outer) {
                    grant.links.extend(links);
                }
                continue;
            }
            if open_real(held.real()).and_then(|file| identity(&file)).ok() != Some(held.identity) {
                if write || stands_in {
                    return Err(GrantError::Changed(held.real().to_owned()));
                }
                let path = held.real().display();
                task.notes.push(format!(
                    "not granted: {path} was replaced since the job began"
                ));
                continue;
            }
            given.push((at.clone(), write));
            task.grants.push(Grant {
                path: at.into(),
                source: stands_in.then(|| held.real().into()),
                links,
                identity: held.identity,
                write,
                layer,
            });
        }
        Ok(task)
    }
}

/// The paths that a task is to be given.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) read: &'a [PathBuf],
    pub(crate) write: &'a [PathBuf],
    pub(crate) stand_ins: &'a [StandIn],
    pub(crate) layers: &'a [Layer],
}

/// A grant before it is known whether another one covers it.
struct Candidate {
    held: Arc<Held>,
    /// The path at which the task finds it.
    at: PathBuf,
    write: bool,
    stands_in: bool,
    layer: Option<LayerPaths>,
}

impl Candidate {
    fn of(held: Arc<Held>, write: bool, layer: Option<LayerPaths>) -> Self {
        Self {
            at: held.real().to_owned(),
            held,
            write,
            stands_in: false,
            layer,
        }
    }
}

impl Held {
    fn real(&self) -> &Path {
        &self.found.real
    }
}

/// A path walked to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Walk {
    /// The path without links.
    pub(crate) real: PathBuf,
    /// The links on the way, each by its own real path, with its target.
    pub(crate) links: Vec<(PathBuf, PathBuf)>,
}

impl Walk {
    fn passes_a_link_in(&self, folders: &[PathBuf]) -> bool {
        let inside = |path: &Path| folders.iter().any(|folder| path.starts_with(folder));
        !inside(&self.real) && self.links.iter().any(|(at, _)| inside(at))
    }
}

/// Walks an absolute path link by link.
///
/// # Errors
/// Something on the way does not exist, or cannot be looked at.
pub(crate) fn walk(path: &Path) -> io::Result<Walk> {
    if !path.is_absolute() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut ahead: VecDeque<PathBuf> = parts(path).collect();
    let mut found = Walk {
        real: "/".into(),
        links: Vec::new(),
    };
    while let Some(part) = ahead.pop_front() {
        if part.as_os_str() == ".." {
            found.real.pop();
            continue;
        }
        let next = found.real.join(&part);
        if !next.symlink_metadata()?.is_symlink() {
            found.real = next;
            continue;
        }
        if found.links.len() >= LINK_LIMIT {
            return Err(io::Error::from(rustix::io::Errno::LOOP));
        }
        let target = std::fs::read_link(&next)?;
        if target.is_absolute() {
            found.real = "/".into();
        }
        for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
            ahead.push_front(part);
        }
        found.links.push((next, target));
    }
    Ok(found)
}

fn parts(path: &Path) -> impl Iterator<Item = PathBuf> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.into()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    })
}

fn open(path: &Path) -> io::Result<Held> {
    let found = walk(path)?;
    let file = open_real(&found.real)?;
    Ok(Held {
        found,
        identity: identity(&file)?,
        _file: file,
    })
}

/// Opens a path that has no links in it; one that has is an error.
pub(crate) fn open_real(path: &Path) -> io::Result<OwnedFd> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, ResolveFlags, openat2};
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat2(
            CWD,
            path,
            flags,
            Mode::empty(),
            ResolveFlags::NO_SYMLINKS,
        )?)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::open(path, flags, Mode::empty())?)
    }
}

/// Returns the identity of an open file.
// The types of the two numbers differ between systems.
#[allow(clippy::unnecessary_cast)]
pub(crate) fn identity(file: impl AsFd) -> io::Result<Identity> {
    let found = rustix::fs::fstat(file)?;
    Ok(Identity {
        device: found.st_dev as u64,
        inode: found.st_ino as u64,
        folder: FileType::from_raw_mode(found.st_mode).is_dir(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn real(folder: &tempfile::TempDir) -> PathBuf {
        folder.path().canonicalize().unwrap()
    }

    fn wanted<'a>(read: &'a [PathBuf], write: &'a [PathBuf]) -> Wanted<'a> {
        Wanted {
            read,
            write,
            ..Wanted::default()
        }
    }

    #[test]
    fn a_path_is_walked_as_the_kernel_walks_it() {
        let folder = tempfile::tempdir().unwrap();
        let top = real(&folder);
        fs::create_dir_all(top.join("a/b")).unwrap();
        symlink("a/b", top.join("relative")).unwrap();
        symlink(top.join("relative"), top.join("absolute")).unwrap();
        symlink("../relative/..", top.join("a/up")).unwrap();
        symlink("loop", top.join("loop")).unwrap();
        for path in [
            "a/b",
            "relative",
            "absolute",
            "a/up",
            "a/up/b",
            "a/../a/./b",
            "absolute/../up",
        ] {
            let path = top.join(path);
            assert_eq!(
                walk(&path).unwrap().real,
                path.canonicalize().unwrap(),
                "{path:?}"
            );
        }
        assert_eq!(walk(&top.join("absolute")).unwrap().links.len(), 2);
        for path in ["loop", "nothing", "a/b/nothing/.."] {
            assert!(walk(&top.join(path)).is_err(), "{path}");
        }
        assert!(walk(Path::new("relative")).is_err());
    }

    #[test]
    fn a_grant_stays_what_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let top = real(&folder);
        let other = tempfile::tempdir().unwrap();
        for name in ["tree/nested", "tools", "late"] {
            fs::create_dir_all(top.join(name)).unwrap();
        }
        symlink("tools", top.join("named")).unwrap();
        let grants = Grants::default();
        let read = [top.join("named"), top.join("tree"), top.join("missing")];
        let write = [top.join("tree/nested"), top.join("tree")];
        let paths = |task: &TaskGrants| -> Vec<(PathBuf, bool)> {
            let grants = task.grants.iter();
            grants
                .map(|grant| (PathBuf::from(&grant.path), grant.write))
                .collect()
        };
        let both = vec![(top.join("tree"), true), (top.join("tools"), false)];
        let first = grants.task(&wanted(&read, &write)).unwrap();
        assert_eq!(
            paths(&first),
            both,
            "the nested one is part of the outer one"
        );

        // A nested folder that a task made a link is part of the tree still, and leads nowhere.
        fs::remove_dir(top.join("tree/nested")).unwrap();
        symlink(other.path(), top.join("tree/nested")).unwrap();
        // So is a name that was not there at first.
        symlink(other.path(), top.join("missing")).unwrap();
        assert_eq!(paths(&grants.task(&wanted(&read, &write)).unwrap()), both);
        // A link in what can be written grants nothing, not even at first sight.
        symlink(other.path(), top.join("tree/fresh")).unwrap();
        let by_link = grants
            .task(&wanted(&[top.join("tree/fresh")], &write))
            .unwrap();
        assert_eq!(paths(&by_link), vec![(top.join("tree"), true)]);
        assert!(
            by_link.notes[0].contains("by a link that a job can make"),
            "{:?}",
            by_link.notes
        );

        // A replaced toolchain is not granted, a replaced tree refuses the task.
        fs::rename(top.join("tools"), top.join("old")).unwrap();
        symlink(other.path(), top.join("tools")).unwrap();
        assert_eq!(
            paths(&grants.task(&wanted(&read, &write)).unwrap()),
            vec![(top.join("tree"), true)]
        );
        fs::rename(top.join("tree"), top.join("moved")).unwrap();
        for replaced in [false, true] {
            if replaced {
                fs::create_dir(top.join("tree")).unwrap();
            }
            assert!(matches!(
                grants.task(&wanted(&read, &write)),
                Err(GrantError::Changed(_))
            ));
        }
    }

    #[test]
    fn what_stands_in_for_a_folder_is_all_that_is_seen_there() {
        let folder = tempfile::tempdir().unwrap();
        let top = real(&folder);
        for name in ["tree/.git/objects", "own", "shared"] {
            fs::create_dir_all(top.join(name)).unwrap();
        }
        let grants = Grants::default();
        let stand_in = |at: &str, folder: &str, write| StandIn {
            at: top.join(at),
            folder: top.join(folder),
            write,
        };
        let stand_ins = [
            stand_in("tree/.git", "own", true),
            stand_in("tree/.git/base", "shared", false),
        ];
        let read = [top.join("tree/.git/objects")];
        let write = [top.join("tree")];
        let wanted = Wanted {
            stand_ins: &stand_ins,
            ..wanted(&read, &write)
        };
        let given = |task: TaskGrants| -> Vec<(PathBuf, Option<PathBuf>, bool)> {
            let grants = task.grants.into_iter();
            let rows = grants.map(|grant| {
                let source = grant.source.map(PathBuf::from);
                (PathBuf::from(grant.path), source, grant.write)
            });
            rows.collect()
        };
        assert_eq!(
            given(grants.task(&wanted).unwrap()),
            [
                (top.join("tree"), None, true),
                (top.join("tree/.git"), Some(top.join("own")), true),
                (top.join("tree/.git/base"), Some(top.join("shared")), false),
            ]
        );
        // It is compared like any other.
        fs::rename(top.join("own"), top.join("moved")).unwrap();
        fs::create_dir(top.join("own")).unwrap();
        assert!(
            matches!(grants.task(&wanted), Err(GrantError::Changed(path)) if path == top.join("own"))
        );
    }
}
