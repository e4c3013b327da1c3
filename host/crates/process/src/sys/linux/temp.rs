//! The task's own `/tmp`, also where its tree, its HOME or its programs lie below the machine's.
//!
//! What the task needs from there is taken hold of first, and put back at its own path into the folder that then covers
//! `/tmp`. The folders on the way to it are empty otherwise and cannot be written: the task finds its own files and their
//! parents, and nothing of its neighbours.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType};
use rustix::io;
use rustix::mount::{MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags};

use super::remount::remount_read_only;

/// The folders that programs use for temporary files without asking any variable.
const SHARED: [&str; 2] = ["/tmp", "/var/tmp"];

/// Puts `temp` over `/tmp` and `/var/tmp` in this mount namespace, and what the task needs of them on top of it: `write`
/// as it is, `read` read-only, since the allowlist of files lets the task write everything below its own `/tmp`.
///
/// # Errors
/// Why it cannot be had; nothing is covered then.
pub(super) fn cover(temp: &Path, read: &[&Path], write: &[&Path]) -> Result<(), String> {
    let shared: BTreeSet<PathBuf> = SHARED
        .iter()
        .filter_map(|path| Path::new(path).canonicalize().ok())
        .filter(|path| path.is_dir())
        .collect();
    let say = |path: &Path| {
        let path = path.display().to_string();
        move |error: io::Errno| format!("{path}: {error}")
    };
    let mut held = Vec::new();
    for (real, needs) in needed(temp, read, write, &shared)? {
        let tree = hold(&real, needs.write).map_err(say(&real))?;
        held.push((real, needs, tree));
    }
    // Parents first.
    held.sort_by_key(|(real, ..)| real.components().count());
    let covers = shared
        .iter()
        .map(|shared| Ok((shared, hold(temp, false).map_err(say(temp))?)))
        .collect::<Result<Vec<_>, String>>()?;

    let mut covered = Vec::new();
    let furnish = || -> Result<(), String> {
        for (shared, tree) in covers {
            place(&tree, shared).map_err(say(shared))?;
            covered.push(shared);
        }
        let mut view = View {
            shared: &shared,
            placed: Vec::new(),
            ways: BTreeSet::new(),
        };
        let mut links = BTreeMap::new();
        for (real, needs, tree) in held {
            view.place(&tree, &real, needs.write).map_err(say(&real))?;
            links.extend(
                needs
                    .names
                    .into_iter()
                    .map(|name| (name, (real.clone(), needs.write))),
            );
        }
        for (name, (real, write)) in links {
            // A link that lies in what was put back leads there already.
            if name.canonicalize().is_ok_and(|found| found == real) {
                continue;
            }
            let tree = hold(&real, write).map_err(say(&real))?;
            view.place(&tree, &name, write).map_err(say(&name))?;
        }
        view.ways
            .iter()
            .try_for_each(|way| remount_read_only(way).map_err(say(way)))
    };
    let outcome = furnish();
    if outcome.is_err() {
        for shared in covered.into_iter().rev() {
            let _ = rustix::mount::unmount(shared, UnmountFlags::DETACH);
        }
    }
    outcome
}

/// How the task needs a path.
#[derive(Debug, Default)]
struct Needs {
    write: bool,
    /// Paths below a covered folder that lead to it through a link.
    names: BTreeSet<PathBuf>,
}

/// What lies below the covered folders, or is named by a path below them, by its real path.
fn needed(
    temp: &Path,
    read: &[&Path],
    write: &[&Path],
    shared: &BTreeSet<PathBuf>,
) -> Result<BTreeMap<PathBuf, Needs>, String> {
    let below = |path: &Path| {
        let mut folders = SHARED
            .iter()
            .map(Path::new)
            .chain(shared.iter().map(PathBuf::as_path));
        folders.any(|folder| path.starts_with(folder))
    };
    let mut needed = BTreeMap::<PathBuf, Needs>::new();
    let writable = write.iter().map(|path| (*path, true)).chain([(temp, true)]);
    for (path, write) in writable.chain(read.iter().map(|path| (*path, false))) {
        // What is not there needs no place.
        let Ok(real) = path.canonicalize() else {
            continue;
        };
        if shared.contains(&real) {
            return Err(format!("the task is given {} itself", path.display()));
        }
        let linked = path.is_absolute()
            && path != real
            && below(path)
            && !path.components().any(|part| part == Component::ParentDir);
        if below(&real) || linked {
            let needs = needed.entry(real).or_default();
            needs.write |= write;
            needs.names.extend(linked.then(|| path.to_owned()));
        }
    }
    Ok(needed)
}

/// Takes hold of a file or a folder, wherever mounts go from now on. With what is mounted below it where the task may
/// write: git's configuration is held in there.
fn hold(path: &Path, recursive: bool) -> io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    rustix::mount::open_tree(CWD, path, flags)
}

fn place(tree: &OwnedFd, at: &Path) -> io::Result<()> {
    rustix::mount::move_mount(tree, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// The covered folders, as they are being furnished.
struct View<'a> {
    shared: &'a BTreeSet<PathBuf>,
    placed: Vec<PathBuf>,
    /// First folders on the way to something deeper: memory of their own, read-only in the end.
    ways: BTreeSet<PathBuf>,
}

impl View<'_> {
    fn place(&mut self, tree: &OwnedFd, at: &Path, write: bool) -> io::Result<()> {
        let folder = FileType::from_raw_mode(rustix::fs::fstat(tree)?.st_mode).is_dir();
        // Outside of the covered folders, and in what was put back already, everything is in its place.
        let inside = |folder: &PathBuf| at.starts_with(folder);
        if !self.placed.iter().any(inside)
            && let Some(shared) = self.shared.iter().find(|shared| inside(shared))
        {
            self.make_room(shared, at, folder)
                .map_err(|error| io::Errno::from_io_error(&error).unwrap_or(io::Errno::INVAL))?;
        }
        place(tree, at)?;
        if !write {
            remount_read_only(at)?;
        }
        self.placed.push(at.to_owned());
        Ok(())
    }

    /// Makes something to mount on.
    fn make_room(&mut self, shared: &Path, at: &Path, folder: bool) -> std::io::Result<()> {
        let parts: Vec<Component<'_>> = at
            .strip_prefix(shared)
            .into_iter()
            .flat_map(Path::components)
            .collect();
        let Some((first, deeper)) = parts.split_first() else {
            return Err(std::io::ErrorKind::InvalidInput.into());
        };
        let first = shared.join(first);
        if deeper.is_empty() {
            return make_first(&first, folder);
        }
        if !self.ways.contains(&first) {
            make_first(&first, true)?;
            let flags = MountFlags::NOSUID | MountFlags::NODEV;
            rustix::mount::mount("tmpfs", &first, "tmpfs", flags, Some(c"mode=0755"))?;
            self.ways.insert(first.clone());
        }
        if folder {
            return fs::create_dir_all(at);
        }
        if let Some(parent) = at.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::File::create(at).map(drop)
    }
}

/// Makes an entry of the task's temporary folder that something is mounted on. The task writes that folder: what an
/// earlier one left under this name, a link above all, must not lead the mount elsewhere.
fn make_first(path: &Path, folder: bool) -> std::io::Result<()> {
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() && folder || found.is_file() && !folder => return Ok(()),
        Ok(found) if found.is_dir() => fs::remove_dir(path)?,
        Ok(_) => fs::remove_file(path)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if folder {
        fs::create_dir(path)
    } else {
        fs::File::create_new(path).map(drop)
    }
}
