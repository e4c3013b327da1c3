//! Git directories of a job in the user's own tree: its tasks find them in the place of the user's (D22).
//!
//! Each is made from the user's when the job begins, and is whole: HEAD, refs, index, configuration, hooks, what git keeps
//! of an operation in progress. Only the objects are the user's, by alternates, read-only, at a path inside of it. So an
//! agent can do in git what it likes, and nothing of it is in the user's `.git` before the host has looked at it, see
//! [`OwnGit::bring`]. What the user does there meanwhile is not seen and not touched.
//!
//! It is a copy and no layer: a layer over a folder that others write at the same time shows a mixture of both, and cannot
//! be had everywhere. What is copied is small; the index is the largest part.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

use crate::base::Base;
use crate::bring::Begun;
use crate::error::WorkspaceError;
use crate::handles::{self, Bytes, Kind};
use crate::interrupt::Interrupt;
use crate::path::{self, FilePath};
use crate::repository::{GitDir, Repository};
use crate::tamper::{self, GitChange, GitState};

/// The folder of a job's git directory at which its tasks find what is the user's.
const SHARED: &str = "base";

/// Files of a git directory that say where another one is, and what no job has a use for.
const NOT_COPIED: [&str; 7] = [
    "commondir",
    "gitdir",
    "config",
    "packed-refs",
    "gc.pid",
    "gc.log",
    "locked",
];

/// Folders of a git directory, with what is in them: what git keeps of an operation in progress.
const FOLDERS: [&str; 3] = ["rebase-merge", "rebase-apply", "sequencer"];

/// The longest file of a git directory that is copied, but for the index.
const LONGEST: u64 = 16 << 20;
/// The longest index.
const LONGEST_INDEX: u64 = 2 << 30;
/// The longest hook, and the longest log of a ref.
const LONGEST_PART: u64 = 4 << 20;
/// The most files that are copied of one folder.
const MOST_FILES: usize = 1_000;

/// The git directories of one job, one for each repository of its tree.
#[derive(Debug)]
pub struct OwnGit {
    pub(crate) repositories: Vec<OwnRepository>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct OwnRepository {
    /// Relative to the tree's top; empty for the job's own repository.
    pub(crate) place: Vec<u8>,
    /// The user's git directory, where tasks find this one.
    at: PathBuf,
    pub(crate) folder: PathBuf,
    handle: OwnedFd,
    /// The state when the job began.
    pub(crate) begun: GitState,
    /// The user's folders that are found below `base`, by their names there.
    shared: Vec<(&'static str, PathBuf)>,
}

/// A folder that a task finds at the path of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitMount {
    /// The path, without links.
    pub at: PathBuf,
    /// The folder that is found there.
    pub folder: PathBuf,
    /// True if the task may write it.
    pub write: bool,
}

impl OwnGit {
    /// Makes a git directory for each repository of the tree, below `folder`, an empty folder of the job's own.
    ///
    /// # Errors
    /// A file of the user's git directory cannot be read, or the folder not be written.
    pub fn create(base: &Base, folder: &Path) -> Result<Self, WorkspaceError> {
        let mut repositories = Vec::new();
        for (number, repository) in base.repositories.iter().enumerate() {
            base.contents.limits().interrupt.check()?;
            let folder = folder.join(number.to_string());
            let made = make(repository, &folder);
            let own = made.map_err(|source| WorkspaceError::Io {
                action: "make a git directory of the job's own in",
                path: folder,
                source,
            })?;
            repositories.push(own);
        }
        let (root, top) = (base.workspace.root(), base.workspace.top());
        let recorded = Begun::write(root, top, &base.repositories, folder);
        recorded.map_err(|source| WorkspaceError::Io {
            action: "record the git directories in",
            path: folder.to_path_buf(),
            source,
        })?;
        Ok(Self { repositories })
    }

    /// The folders that tasks find at other places: each git directory in the place of the user's, and the user's objects in it.
    pub fn mounts(&self) -> Vec<GitMount> {
        let mut mounts = Vec::new();
        for own in &self.repositories {
            mounts.push(GitMount {
                at: own.at.clone(),
                folder: own.folder.clone(),
                write: true,
            });
            mounts.extend(own.shared.iter().map(|(name, folder)| GitMount {
                at: own.at.join(SHARED).join(name),
                folder: folder.clone(),
                write: false,
            }));
        }
        mounts
    }

    pub(crate) fn at(&self, place: &[u8]) -> Option<&OwnRepository> {
        self.repositories.iter().find(|own| own.place == place)
    }
}

impl OwnRepository {
    /// One that was made before, for who looks at it when its job is gone.
    pub(crate) fn again(
        place: Vec<u8>,
        at: PathBuf,
        folder: PathBuf,
        handle: OwnedFd,
        begun: GitState,
    ) -> Self {
        let shared = Vec::new();
        Self {
            place,
            at,
            folder,
            handle,
            begun,
            shared,
        }
    }

    /// Reads the state now.
    pub(crate) fn state(&self) -> GitState {
        GitState::read(self.handle.as_fd(), self.handle.as_fd())
    }

    /// The objects that the job made, in a folder beside it, which is made anew. The host reads nothing else: alternates and
    /// links that the job wrote would lead it to objects of other repositories.
    pub(crate) fn objects(&self, interrupt: &Interrupt) -> io::Result<PathBuf> {
        let to = self.folder.with_extension("objects");
        crate::folder::remove(&to)?;
        let objects = self.folder.join("objects");
        let is_folder = |path: &Path| path.symlink_metadata().is_ok_and(|it| it.is_dir());
        private::make_folder(&to.join("pack"))?;
        if !is_folder(&objects) {
            return Ok(to);
        }
        for fan in fs::read_dir(&objects)? {
            let name = fan?.file_name();
            let hex = name.len() == 2 && name.as_bytes().iter().all(u8::is_ascii_hexdigit);
            if !(hex || name == "pack") || !is_folder(&objects.join(&name)) {
                continue;
            }
            private::make_folder(&to.join(&name))?;
            for file in fs::read_dir(objects.join(&name))? {
                interrupt.check_late().map_err(io::Error::other)?;
                let file = file?;
                if file.file_type()?.is_file() {
                    let target = to.join(&name).join(file.file_name());
                    if fs::hard_link(file.path(), &target).is_err() {
                        fs::copy(file.path(), &target)?;
                    }
                }
            }
        }
        Ok(to)
    }

    /// Returns the changes in it that others may want to know: commits, and where branches and tags are. Nothing of the rest
    /// leaves it.
    pub(crate) fn changes(&self, now: &GitState) -> Vec<GitChange> {
        let shown = FilePath::new(match self.place.as_slice() {
            b"" => b".",
            place => place,
        });
        let changes = self.begun.changes(now, &shown).into_iter();
        changes
            .filter(|change| match change {
                GitChange::Head { .. } => true,
                GitChange::Ref { name, .. } => [&b"refs/heads/"[..], b"refs/tags/"]
                    .iter()
                    .any(|space| name.as_bytes().starts_with(space)),
                _ => false,
            })
            .collect()
    }

    /// Returns the changes in it that stay with the job: configuration, hooks, stashes, further refs.
    pub(crate) fn left_behind(&self, now: &GitState) -> Vec<String> {
        let changes = self.begun.changes(now, &FilePath::from("."));
        let names = changes.into_iter().filter_map(|change| match change {
            GitChange::Setting { file, .. } => Some(format!(".git/{file}")),
            GitChange::Ref { name, .. } if name == *"refs/stash" => Some("a stash".to_owned()),
            GitChange::Ref { name, .. } if name.as_bytes().starts_with(b"refs/notes/") => {
                Some(name.to_string())
            }
            _ => None,
        });
        names.collect()
    }
}

fn make(repository: &Repository, folder: &Path) -> io::Result<OwnRepository> {
    let GitDir {
        path,
        common,
        handle,
        common_handle,
        ..
    } = &repository.git_dir;
    let (git, common_handle) = (handle.as_fd(), common_handle.as_fd());
    let linked = path != common;
    for part in [
        "objects/info",
        "objects/pack",
        "refs/heads",
        "refs/tags",
        "info",
        "hooks",
        SHARED,
    ] {
        private::make_folder(&folder.join(part))?;
    }
    copy_files(git, folder, LONGEST, |name| {
        !NOT_COPIED.contains(&name) && !name.ends_with(".lock")
    })?;
    if linked {
        // Shallow clones name what they lack in the common one.
        copy_files(common_handle, folder, LONGEST, |name| name == "shallow")?;
    }
    copy_configuration(common, linked, folder)?;
    for dir in [common_handle, git] {
        copy_folder(dir, "info", &folder.join("info"), LONGEST, |_| true)?;
    }
    let is_hook = |name: &str| !name.ends_with(".sample");
    let hooks = folder.join("hooks");
    copy_folder(common_handle, "hooks", &hooks, LONGEST_PART, is_hook)?;
    for part in FOLDERS {
        copy_folder(git, part, &folder.join(part), LONGEST_PART, |_| true)?;
    }
    write_refs(&repository.state, folder)?;
    copy_logs(git, common_handle, repository.state.branch(), folder)?;

    let mut shared = vec![("objects", common.join("objects"))];
    // Where git-lfs looks for files that the objects of an alternate are about. Not through a link: it would open what it
    // leads to.
    let lfs = common.join("lfs");
    if fs::symlink_metadata(&lfs).is_ok_and(|lfs| lfs.is_dir()) {
        shared.push(("lfs", lfs));
    }
    for (name, _) in &shared {
        private::make_folder(&folder.join(SHARED).join(name))?;
    }
    let mut alternates = format!("../{SHARED}/objects\n").into_bytes();
    // git follows what these name themselves only where it is absolute.
    for store in repository.git_dir.object_stores().iter().skip(1) {
        alternates.extend_from_slice(store.as_os_str().as_bytes());
        alternates.push(b'\n');
    }
    fs::write(folder.join("objects/info/alternates"), alternates)?;
    let handle = handles::open_dir(folder)?;
    let begun = GitState::read(handle.as_fd(), handle.as_fd());
    Ok(OwnRepository {
        place: repository.place.clone(),
        at: path.clone(),
        folder: folder.to_path_buf(),
        handle,
        begun,
        shared,
    })
}

/// Copies the plain files of a git directory, the folders below it left out.
fn copy_files(
    dir: BorrowedFd<'_>,
    to: &Path,
    longest: u64,
    wanted: impl Fn(&str) -> bool,
) -> io::Result<()> {
    let mut buffer = [std::mem::MaybeUninit::uninit(); 8192];
    let mut names = Vec::new();
    handles::list(handles::listable(dir)?.as_fd(), &mut buffer, |name, _| {
        if names.len() < MOST_FILES {
            names.push(name.to_owned());
        }
    })?;
    for name in names {
        let text = name.to_string_lossy();
        if !wanted(&text) {
            continue;
        }
        let longest = match text.starts_with("index") || text.starts_with("sharedindex.") {
            true => LONGEST_INDEX,
            false => longest,
        };
        let Ok(Bytes::Whole(bytes, stamp)) = handles::read_at(dir, &*name, longest) else {
            continue;
        };
        let target = to.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
        fs::write(&target, bytes)?;
        if stamp.mode & 0o100 != 0 {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            fs::set_permissions(&target, mode)?;
        }
        // The index proves a file only where the file is older than the index.
        let time = Timespec {
            tv_sec: stamp.mtime.div_euclid(1_000_000_000),
            tv_nsec: stamp.mtime.rem_euclid(1_000_000_000) as _,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::utimensat(CWD, &target, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

fn copy_folder(
    dir: BorrowedFd<'_>,
    name: &str,
    to: &Path,
    longest: u64,
    wanted: impl Fn(&str) -> bool,
) -> io::Result<()> {
    let is_folder = handles::stamp_at(dir, name)?.is_some_and(|it| it.kind() == Kind::Directory);
    if !is_folder {
        return Ok(());
    }
    let folder = tamper::open_dir_at(dir, name)?;
    private::make_folder(to)?;
    copy_files(folder.as_fd(), to, longest, wanted)
}

/// Copies the configuration. That of a linked worktree's repository says of the main one whether it is bare and where its
/// files are.
fn copy_configuration(common: &Path, linked: bool, folder: &Path) -> io::Result<()> {
    let target = folder.join("config");
    let handle = handles::open_dir(common)?;
    let text = match handles::read_at(&handle, "config", LONGEST) {
        Ok(Bytes::Whole(bytes, _)) => bytes,
        _ => Vec::new(),
    };
    fs::write(&target, text)?;
    if !linked {
        return Ok(());
    }
    let told = || -> Result<(), git2::Error> {
        let mut config = git2::Config::open(&target)?;
        for name in ["core.bare", "core.worktree"] {
            // What is not there cannot be removed.
            let _ = config.remove(name);
        }
        config.set_bool("core.bare", false)
    };
    told().map_err(io::Error::other)
}

fn write_refs(state: &GitState, folder: &Path) -> io::Result<()> {
    let mut packed = b"# pack-refs with: sorted \n".to_vec();
    for (name, value) in state.all_refs() {
        let plain = value.len() == 40 && value.iter().all(u8::is_ascii_hexdigit);
        if plain {
            packed.extend_from_slice(&value);
            packed.push(b' ');
            packed.extend_from_slice(&name);
            packed.push(b'\n');
            continue;
        }
        let symbolic = value.starts_with(b"ref:");
        let safe = name
            .split(|byte| *byte == b'/')
            .all(|part| !matches!(part, b"" | b"." | b".."));
        if symbolic && safe {
            let target = folder.join(FilePath::new(name).as_path());
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(target, [value.as_slice(), b"\n"].concat())?;
        }
    }
    fs::write(folder.join("packed-refs"), packed)
}

/// Copies the logs of HEAD, of the branch that it is on, and of stashes: `HEAD@{1}` and `git stash` mean what they did.
fn copy_logs(
    git: BorrowedFd<'_>,
    common: BorrowedFd<'_>,
    branch: Option<&[u8]>,
    folder: &Path,
) -> io::Result<()> {
    let logs = [
        (git, b"HEAD".as_slice()),
        (common, b"refs/stash"),
        (common, branch.unwrap_or(b"refs/heads/main")),
    ];
    for (dir, name) in logs {
        let name = path::join(b"logs", name);
        let name = FilePath::new(name);
        let Ok(Bytes::Whole(bytes, _)) = handles::read_at(dir, name.as_path(), LONGEST_PART) else {
            continue;
        };
        let target = folder.join(name.as_path());
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(target, bytes)?;
    }
    Ok(())
}
