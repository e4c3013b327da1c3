//! Layers over a tree (overlayfs): what is hidden beneath one, what was written into one, and what of that is kept.
//!
//! No process writes into these folders while the host looks at them, so they are walked by path; links are never followed.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::fs::{self, Metadata};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

use crate::base::Base;
use crate::changes::Changes;
use crate::contents::blob_id;
use crate::error::WorkspaceError;
use crate::folder;
use crate::handles::{self, Kind};
use crate::ignored::ACTED_ON;
use crate::path::{self, FilePath};
use crate::state::{Content, FileState};

/// Folders that decide what is run, and not only how fast: nothing that a check wrote there is kept.
pub(crate) const NEVER_KEPT: [&[u8]; 10] = [
    b"node_modules",
    b".venv",
    b"venv",
    b"vendor",
    b"deps",
    b".tox",
    b".nox",
    b"bower_components",
    b"Pods",
    b"__pycache__",
];

/// Folders of output and caches alone. What is in them is built again where it is hidden.
pub(crate) const ONLY_OUTPUT: [&[u8]; 12] = [
    b"target",
    b"__pycache__",
    b".pytest_cache",
    b".mypy_cache",
    b".ruff_cache",
    b".gradle",
    b".next",
    b".turbo",
    b".cache",
    b".vite",
    b".nyc_output",
    b"coverage",
];

/// The depth below the top to which a folder of caches is looked for.
const DEEPEST: usize = 32;

/// The bytes of the longest path that the kernel takes.
const LONGEST_PATH: usize = 4_096;

/// A longer file in a layer counts as altered without being read.
const LONGEST: u64 = 256 << 20;

impl Base {
    /// Fills `cover`, an empty folder, with a whiteout for each ignored file that the job touched: what lies beneath it in
    /// a layer is the tree without them. Returns how many there are.
    ///
    /// # Errors
    /// The file system of `cover` takes no whiteouts.
    pub fn cover_ignored(&self, changes: &Changes, cover: &Path) -> Result<u64, WorkspaceError> {
        let top = self.workspace.top();
        let failed = |path: &Path, source| WorkspaceError::Io {
            action: "hide an ignored file by",
            path: path.to_path_buf(),
            source,
        };
        copy_attributes(top, cover).map_err(|error| failed(cover, error))?;
        let mut made: Vec<(PathBuf, PathBuf)> = Vec::new();
        let mut whiteout: Option<PathBuf> = None;
        let mut hidden = 0;
        for file in changes.touched.iter() {
            let relative = file.as_path();
            let there = top.join(relative).symlink_metadata();
            if !there.is_ok_and(|found| !found.is_dir()) {
                continue;
            }
            let place = cover.join(relative);
            // What no absolute path can name is not worth the whole cover.
            if place.as_os_str().len() >= LONGEST_PATH {
                continue;
            }
            if let Some(folder) = relative.parent() {
                make_folders(top, cover, folder, &mut made)
                    .map_err(|error| failed(&place, error))?;
            }
            // One whiteout under all names, as far as the file system counts.
            let linked = whiteout
                .as_ref()
                .is_some_and(|first| fs::hard_link(first, &place).is_ok());
            if !linked {
                make_whiteout(&place).map_err(|error| failed(&place, error))?;
                whiteout = Some(place);
            }
            hidden += 1;
        }
        // Deepest first: making something in a folder moves its time.
        for (from, to) in made.iter().rev() {
            copy_attributes(from, to).map_err(|error| failed(to, error))?;
        }
        Ok(hidden)
    }

    /// Takes the marks of layers away from the tree: in a layer over it they hide folders' contents and files, so that a
    /// check sees another tree than is reported. Every attribute of the kernel's overlay file system is one. Returns what had
    /// some.
    pub fn remove_layer_marks(&self, changes: &Changes) -> Vec<FilePath> {
        let mut suspects: BTreeSet<Vec<u8>> = BTreeSet::new();
        for directory in &self.directories {
            suspects.insert(directory.path.clone());
            let empty = directory
                .entries
                .iter()
                .filter(|entry| entry.stamp.size == 0);
            suspects.extend(empty.map(|entry| path::join(&directory.path, directory.name(entry))));
        }
        // Setting one changes a file's stamp.
        let touched = changes.files.iter().map(|file| &file.top_path);
        for file in touched.chain(changes.restamped.iter()) {
            let mut path = file.as_bytes();
            suspects.insert(path.to_vec());
            while !path.is_empty() {
                path = path::split(path).0;
                suspects.insert(path.to_vec());
            }
        }
        let mut marked = Vec::new();
        for path in suspects {
            let shown = FilePath::new(path);
            let place = self.workspace.top().join(shown.as_path());
            let marks = marks_of(&place);
            if !marks.is_empty() && self.remove_marks(&place, &marks).is_ok() {
                marked.push(shown);
            }
        }
        marked
    }

    /// By handle: a link on the way is not followed.
    fn remove_marks(&self, place: &Path, marks: &[CString]) -> Result<(), WorkspaceError> {
        let (handle, _) = self.workspace.root().locate(place)?;
        let failed = |source| WorkspaceError::Io {
            action: "open",
            path: place.to_path_buf(),
            source,
        };
        let handle = handles::readable(handle.as_fd()).map_err(failed)?;
        let remove = || -> io::Result<()> {
            for mark in marks {
                rustix::fs::fremovexattr(&handle, mark)?;
            }
            Ok(())
        };
        if remove().is_ok() {
            return Ok(());
        }
        // What nobody may write keeps its attributes, too.
        let mode = rustix::fs::fstat(&handle).map_err(|error| failed(error.into()))?;
        let mode = rustix::fs::Mode::from_raw_mode(mode.st_mode);
        let writable = mode | rustix::fs::Mode::WUSR;
        rustix::fs::fchmod(&handle, writable).map_err(|error| failed(error.into()))?;
        let removed = remove();
        rustix::fs::fchmod(&handle, mode).map_err(|error| failed(error.into()))?;
        removed.map_err(failed)
    }

    /// Moves what was written in `upper` into folders of build output (those that the base's rules ignore) to `kept`, an
    /// empty folder, and removes the rest. Nothing is kept from which something else is run, see `NEVER_KEPT`.
    ///
    /// # Errors
    /// `upper` cannot be removed, or `kept` not be written.
    pub fn keep_build_output(&self, upper: &Path, kept: &Path) -> io::Result<()> {
        let mut pending = vec![(Vec::new(), 0)];
        while let Some((dir, depth)) = pending.pop() {
            let Ok(entries) = fs::read_dir(upper.join(FilePath::new(dir.as_slice()).as_path()))
            else {
                continue;
            };
            for entry in entries.filter_map(Result::ok) {
                let name = entry.file_name();
                let name = name.as_bytes();
                let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if !is_dir || NEVER_KEPT.contains(&name) || ACTED_ON.contains(&name) {
                    continue;
                }
                let full = path::join(&dir, name);
                let known = self.by_path.contains_key(&full);
                let ignored = !known
                    && self
                        .site_of(&full)
                        .is_some_and(|site| site.child(&dir, name).is_none());
                if ignored {
                    let to = kept.join(FilePath::new(full.as_slice()).as_path());
                    let parent = FilePath::new(dir.as_slice());
                    let top = self.workspace.top();
                    make_folders(top, kept, parent.as_path(), &mut Vec::new())?;
                    fs::rename(entry.path(), to)?;
                } else if depth < DEEPEST && !is_opaque(&entry.path()) {
                    pending.push((full, depth + 1));
                }
            }
        }
        folder::remove(upper)
    }
}

/// Gives the top of a layer the attributes of the folder that it lies over: it shows in that one's place.
///
/// # Errors
/// They cannot be set.
pub fn stand_in_for(folder: &Path, upper: &Path) -> io::Result<()> {
    copy_attributes(folder, upper)
}

#[cfg(target_os = "linux")]
fn make_whiteout(place: &Path) -> io::Result<()> {
    use rustix::fs::{FileType, Mode};
    let kind = FileType::CharacterDevice;
    Ok(rustix::fs::mknodat(CWD, place, kind, Mode::empty(), 0)?)
}

#[cfg(not(target_os = "linux"))]
fn make_whiteout(_place: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Changes {
    /// The files that the base's rules ignore and the job touched, relative to the tree's top.
    pub fn touched_ignored(&self) -> impl Iterator<Item = &Path> {
        self.touched.iter().map(FilePath::as_path)
    }

    /// Returns the touched ignored files that can decide what a command does, relative to the working directory: all but
    /// those in folders that only hold what was built or cached.
    pub fn touched_that_decide(&self) -> Vec<FilePath> {
        let decides = |path: &&FilePath| {
            let mut parts = path.as_bytes().split(|byte| *byte == b'/');
            !parts.any(|part| ONLY_OUTPUT.contains(&part))
        };
        let shown =
            |path: &FilePath| FilePath::new(path::relative_to(path.as_bytes(), &self.work_prefix));
        self.touched.iter().filter(decides).map(shown).collect()
    }

    /// Returns the changed files that `upper`, a layer over the tree, shows otherwise than they were taken, relative to the
    /// working directory.
    pub fn altered_in(&self, upper: &Path) -> Vec<FilePath> {
        self.altered(|file, taken| shows(upper, file, taken))
    }

    /// The same of `copy`, a copy of the tree.
    pub fn altered_in_copy(&self, copy: &Path) -> Vec<FilePath> {
        self.altered(|file, taken| holds(copy, file, taken))
    }

    fn altered(&self, is_as: impl Fn(&Path, Option<&FileState>) -> bool) -> Vec<FilePath> {
        let mut altered = Vec::new();
        for file in self.files.iter().filter(|file| file.submodule.is_none()) {
            let moved_away = file.previous_top_path.as_ref().map(|path| (path, None));
            let sides = moved_away.into_iter().chain([(&file.top_path, file.now)]);
            for (path, taken) in sides {
                if !is_as(path.as_path(), taken.as_ref()) {
                    altered.push(file.path.clone());
                    break;
                }
            }
        }
        altered
    }
}

/// Returns true if a copy of the tree holds the file as it was taken. What was too long to be kept is not compared.
fn holds(copy: &Path, file: &Path, taken: Option<&FileState>) -> bool {
    let mut place = copy.to_path_buf();
    let mut parts = file.components().peekable();
    while let Some(part) = parts.next() {
        place.push(part);
        // Never by a link that a check put in a folder's place.
        let way = || place.symlink_metadata().is_ok_and(|found| found.is_dir());
        if parts.peek().is_some() && !way() {
            return taken.is_none();
        }
    }
    match (taken, place.symlink_metadata()) {
        (None, found) => found.is_err(),
        (Some(taken), _) if taken.id().is_none() => true,
        (Some(taken), Ok(found)) => same(&place, &found, taken),
        (Some(_), Err(_)) => false,
    }
}

/// Returns true if a layer leaves the file beneath it as it was taken, or holds the same.
fn shows(upper: &Path, file: &Path, taken: Option<&FileState>) -> bool {
    let mut place = upper.to_path_buf();
    let mut parts = file.components().peekable();
    while let Some(part) = parts.next() {
        let opaque = is_opaque(&place);
        place.push(part);
        let Ok(found) = place.symlink_metadata() else {
            // Not in the layer: what is beneath it shows, unless the folder was made anew.
            return !opaque || taken.is_none();
        };
        if parts.peek().is_some() {
            if found.is_dir() {
                continue;
            }
            // A whiteout, or something else in the folder's place.
            return taken.is_none();
        }
        return match taken {
            None => is_whiteout(&found),
            Some(taken) => same(&place, &found, taken),
        };
    }
    true
}

fn same(place: &Path, found: &Metadata, taken: &FileState) -> bool {
    if is_whiteout(found) {
        return false;
    }
    let bytes = match taken.kind() {
        Kind::File if found.is_file() && found.len() <= LONGEST => fs::read(place).ok(),
        Kind::Symlink if found.is_symlink() => {
            let target = fs::read_link(place).ok();
            target.map(|target| target.into_os_string().as_bytes().to_vec())
        }
        _ => None,
    };
    let Some(id) = bytes.and_then(|bytes| blob_id(&bytes).ok()) else {
        return false;
    };
    let now = FileState {
        mode: found.mode(),
        size: found.len(),
        links: 1,
        content: Content::Known(id),
    };
    taken.same(&now)
}

fn is_whiteout(found: &Metadata) -> bool {
    found.file_type().is_char_device() && found.rdev() == 0
}

/// Returns true if nothing beneath this folder of a layer shows through.
fn is_opaque(folder: &Path) -> bool {
    mark_of(folder, OPAQUE) == Some(*b"y")
}

/// The mark of a folder beneath which nothing shows, or in which empty files are whiteouts.
const OPAQUE: &CStr = c"user.overlay.opaque";

/// The beginning of all marks.
const MARKS: &[u8] = b"user.overlay.";

/// The names of all marks of a file or folder itself.
fn marks_of(path: &Path) -> Vec<CString> {
    let mut names = [0; 4096];
    let Ok(length) = rustix::fs::llistxattr(path, &mut names) else {
        return Vec::new();
    };
    let names = names.get(..length).unwrap_or_default();
    let names = names.split(|byte| *byte == 0);
    names
        .filter(|name| name.starts_with(MARKS))
        .filter_map(|name| CString::new(name).ok())
        .collect()
}

/// The first byte of a mark; none where there is no such mark.
fn mark_of(path: &Path, mark: &CStr) -> Option<[u8; 1]> {
    let mut value = [0; 16];
    let length = rustix::fs::lgetxattr(path, mark, &mut value).ok()?;
    let first = value.first().copied().filter(|_| length > 0);
    Some([first.unwrap_or_default()])
}

/// Makes the folders of a path in `to` as they are in `from`; notes those that were made.
fn make_folders(
    from: &Path,
    to: &Path,
    relative: &Path,
    made: &mut Vec<(PathBuf, PathBuf)>,
) -> io::Result<()> {
    let mut here = PathBuf::new();
    for part in relative.components() {
        here.push(part);
        let (from, to) = (from.join(&here), to.join(&here));
        match fs::create_dir(&to) {
            Ok(()) => {
                copy_attributes(&from, &to)?;
                made.push((from, to));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Gives a folder the mode, the owner and the times of another: in a layer it shows in that one's place.
fn copy_attributes(from: &Path, to: &Path) -> io::Result<()> {
    let Ok(found) = from.symlink_metadata() else {
        // Made by the task itself.
        return Ok(());
    };
    if !found.is_dir() {
        return Ok(());
    }
    fs::set_permissions(
        to,
        fs::Permissions::from_mode(found.mode() & 0o7777 | 0o700),
    )?;
    // Only root can, and only root works in a tree of somebody else's.
    let _ = std::os::unix::fs::lchown(to, Some(found.uid()), Some(found.gid()));
    let time = |seconds, rest| Timespec {
        tv_sec: seconds,
        tv_nsec: rest as _,
    };
    let times = Timestamps {
        last_access: time(found.atime(), found.atime_nsec()),
        last_modification: time(found.mtime(), found.mtime_nsec()),
    };
    rustix::fs::utimensat(CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_layer_shows_what_is_beneath_it_unless_it_says_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let upper = folder.path();
        let state = |text: &str| FileState {
            mode: 0o100_644,
            size: text.len() as u64,
            links: 1,
            content: Content::Known(blob_id(text.as_bytes()).unwrap()),
        };
        fs::create_dir_all(upper.join("src/deep")).unwrap();
        fs::write(upper.join("src/same"), "text").unwrap();
        fs::write(upper.join("src/other"), "else").unwrap();
        fs::write(upper.join("folder"), "now a file").unwrap();
        std::os::unix::fs::symlink("/etc", upper.join("linked")).unwrap();
        let gone = upper.join("src/gone");
        make_whiteout(&gone).unwrap();
        let text = state("text");
        for (path, taken, shown) in [
            ("src/same", Some(&text), true),
            ("src/untouched", Some(&text), true),
            ("src/deep/untouched", Some(&text), true),
            ("elsewhere/file", Some(&text), true),
            ("src/other", Some(&text), false),
            ("src/gone", Some(&text), false),
            ("src/gone", None, true),
            ("src/same", None, false),
            ("src/untouched", None, true),
            ("folder/file", Some(&text), false),
            ("folder/file", None, true),
            ("linked/passwd", Some(&text), false),
        ] {
            assert_eq!(
                shows(upper, Path::new(path), taken),
                shown,
                "{path} {taken:?}"
            );
        }
        let made_anew = rustix::fs::lsetxattr(
            upper.join("src/deep"),
            c"user.overlay.opaque",
            b"y",
            rustix::fs::XattrFlags::empty(),
        );
        if made_anew.is_ok() {
            assert!(!shows(upper, Path::new("src/deep/untouched"), Some(&text)));
        }
    }
}
