//! The view: a root folder of the task's own, in which nothing exists but what was granted.
//!
//! Everything that the task is to see is cloned first, from descriptors: the system's folders, the
//! devices, the grants. Then an empty file system in memory is mounted, the clones are placed in it
//! parents first, each with its own rights, and it becomes the root. The old root is detached, so no
//! path and no descriptor of the task leads to it. On any failure before that moment nothing has
//! changed, and the caller goes on without a view.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
};

use super::namespaces::limit_processes;
use super::system;
use crate::grants::{open_real, walk};
use crate::sys::types::{OpenGrant, OpenLayer};

/// The most that a task may keep in `/dev/shm`, and in a `/tmp` that is not a folder of its own.
pub(super) const MEMORY: &CStr = c"mode=1777,size=1g";
/// The root itself holds mount points and links only.
const ROOT: &CStr = c"mode=0755,size=16m";
/// Folders on the way to a grant below `/tmp`.
const WAY: &CStr = c"mode=0755,size=1m";

/// Folders for the new root to be mounted on while it is built; which one makes no difference.
const STAGES: &[&str] = &["/tmp", "/run", "/mnt", "/var", "/proc"];

/// The folders that programs use for temporary files without asking any variable.
const TEMPORARY: [&str; 2] = ["tmp", "var/tmp"];

/// The files that git would run something from later, outside of any confinement.
const GIT_CONFIGURATION: [&str; 4] = ["config", "config.worktree", "hooks", "modules"];

const READ: u64 = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
const WRITE: u64 = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
const DEVICE: u64 = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID;

/// The step of building a view that failed.
#[derive(Debug, thiserror::Error)]
#[error("{step} {}: {source}", .path.display())]
pub(super) struct ViewError {
    /// The old root is not whole any more: nothing may run.
    pub(super) fatal: bool,
    step: &'static str,
    path: PathBuf,
    source: io::Error,
}

fn at<E: Into<io::Error>>(
    step: &'static str,
    path: impl AsRef<Path>,
) -> impl FnOnce(E) -> ViewError {
    let path = path.as_ref().to_owned();
    move |source| ViewError {
        fatal: false,
        step,
        path,
        source: source.into(),
    }
}

/// A clone that is to be placed.
struct Piece {
    at: PathBuf,
    tree: OwnedFd,
    folder: bool,
    write: bool,
    /// It is shown whatever is around it.
    apart: bool,
}

/// Makes a view of `grants` the root of this mount namespace. `temp` stands in for `/tmp`.
///
/// # Errors
/// The step that failed; the root is the old one then.
pub(super) fn enter(
    grants: &[OpenGrant],
    temp: Option<&Path>,
    network: bool,
    notes: &mut Vec<String>,
) -> Result<(), ViewError> {
    let (mut pieces, links) = gather(grants, network, notes)?;
    let own_temp = match temp {
        Some(temp) => {
            let real = walk(temp).map(|found| found.real);
            let granted = grants
                .iter()
                .find(|grant| real.as_ref().is_ok_and(|real| grant.path == *real));
            let file = match granted {
                Some(grant) => grant.file.try_clone(),
                // Part of another grant: a task could have put a link there.
                None => open_real(temp),
            };
            Some((temp, file.map_err(at("cannot open", temp))?))
        }
        None => None,
    };
    let mut temporary = Vec::new();
    for folder in TEMPORARY {
        let place = Path::new("/").join(folder);
        // A machine's /tmp that was granted by name is given.
        if pieces.iter().any(|piece| piece.at == place) {
            continue;
        }
        let tree = match &own_temp {
            Some((temp, file)) => {
                let tree = clone(file).map_err(at("cannot clone", temp))?;
                set(&tree, WRITE).map_err(at("cannot restrict", temp))?;
                Some(tree)
            }
            None => None,
        };
        temporary.push((place, tree));
    }
    pieces.sort_by_key(|piece| (piece.at.components().count(), piece.write));
    let stage = STAGES
        .iter()
        .map(Path::new)
        .find(|stage| stage.is_dir())
        .unwrap_or(Path::new("/proc"));
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount("tmpfs", stage, "tmpfs", flags, Some(ROOT))
        .map_err(at("cannot mount a file system in memory at", stage))?;
    let own = temporary.iter().map(|(place, _)| inside(place)).collect();
    let entered = Builder::new(stage, own).and_then(|builder| {
        builder.build(pieces, temporary, links, grants, notes)?;
        builder.pivot()
    });
    if entered.as_ref().is_err_and(|fault| !fault.fatal) {
        let _ = rustix::process::chdir("/");
        let _ = rustix::mount::unmount(stage, UnmountFlags::DETACH);
    }
    entered
}

type Links = Vec<(PathBuf, PathBuf)>;

/// Clones everything that the task is to see, before anything is covered.
fn gather(
    grants: &[OpenGrant],
    network: bool,
    notes: &mut Vec<String>,
) -> Result<(Vec<Piece>, Links), ViewError> {
    let mut pieces = Vec::<Piece>::new();
    let mut links = Links::new();
    let mut add = |at: PathBuf, file: &OwnedFd, attributes: u64| -> Result<(), ViewError> {
        if pieces.iter().any(|piece| piece.at == at) {
            return Ok(());
        }
        let kind = rustix::fs::fstat(file)
            .map_err(self::at("cannot look at", &at))?
            .st_mode;
        let kind = FileType::from_raw_mode(kind);
        let mut attributes = attributes;
        if matches!(kind, FileType::CharacterDevice | FileType::BlockDevice) {
            attributes &= !libc::MOUNT_ATTR_NODEV;
        }
        let tree = clone(file).map_err(self::at("cannot clone", &at))?;
        set(&tree, attributes).map_err(self::at("cannot restrict", &at))?;
        let write = attributes & libc::MOUNT_ATTR_RDONLY == 0;
        pieces.push(Piece {
            at,
            tree,
            folder: kind.is_dir(),
            write,
            apart: false,
        });
        Ok(())
    };
    let mut apart = Vec::new();
    for grant in grants {
        links.extend(grant.links.iter().cloned());
        if let Some(layer) = &grant.layer {
            let tree = overlay(&grant.file, layer)
                .and_then(|tree| set(&tree, WRITE).map(|()| tree))
                .map_err(self::at("cannot lay a layer over", &grant.path))?;
            apart.push(Piece {
                at: grant.path.clone(),
                tree,
                folder: true,
                write: true,
                apart: true,
            });
            continue;
        }
        if grant.stands_in {
            let attributes = if grant.write { WRITE } else { READ };
            let tree = clone(&grant.file)
                .map_err(io::Error::from)
                .and_then(|tree| set(&tree, attributes).map(|()| tree))
                .map_err(self::at("cannot show another folder at", &grant.path))?;
            apart.push(Piece {
                at: grant.path.clone(),
                tree,
                folder: grant.folder,
                write: grant.write,
                apart: true,
            });
            continue;
        }
        let attributes = if grant.write { WRITE } else { READ };
        if grant.path == Path::new("/") {
            // Its folders one by one: those that are the task's own stay so.
            for folder in folders_of_the_root() {
                if let Ok(file) = open_real(&folder) {
                    add(folder, &file, attributes)?;
                }
            }
        } else if let Err(fault) = add(grant.path.clone(), &grant.file, attributes) {
            if grant.write {
                return Err(fault);
            }
            notes.push(fault.to_string());
        }
    }
    let resolver = network.then_some(system::RESOLV_CONF);
    for path in system::FOLDERS
        .iter()
        .chain(&["/etc"])
        .copied()
        .chain(resolver)
    {
        let Ok(found) = walk(Path::new(path)) else {
            continue;
        };
        links.extend(found.links);
        if let Ok(file) = open_real(&found.real) {
            add(found.real, &file, READ)?;
        }
    }
    for device in system::DEVICES {
        if let Ok(file) = open_real(Path::new(device)) {
            add((*device).into(), &file, DEVICE)?;
        }
    }
    pieces.retain(|piece| !apart.iter().any(|other: &Piece| other.at == piece.at));
    pieces.extend(apart);
    Ok((pieces, links))
}

/// Makes a file system of a folder and a layer over it. Its parts are named by descriptors: their paths may hold what
/// separates them here, and may lead elsewhere by now.
fn overlay(folder: &OwnedFd, layer: &OpenLayer) -> io::Result<OwnedFd> {
    let name = |file: &OwnedFd| format!("/proc/self/fd/{}", file.as_raw_fd());
    let lower: Vec<String> = layer.cover.iter().chain([folder]).map(name).collect();
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "lowerdir", lower.join(":"))?;
    fsconfig_set_string(&context, "upperdir", name(&layer.upper))?;
    fsconfig_set_string(&context, "workdir", name(&layer.work))?;
    fsconfig_set_flag(&context, "userxattr")?;
    // What is thrown away need not be on the disk: without this, each end of a task waits for it.
    fsconfig_set_flag(&context, "volatile")?;
    fsconfig_create(&context)?;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    Ok(fsmount(&context, flags, MountAttrFlags::empty())?)
}

/// Returns the folders that a grant of `/` means.
fn folders_of_the_root() -> Vec<PathBuf> {
    const OWN: [&str; 4] = ["proc", "dev", "run", "tmp"];
    let entries = fs::read_dir("/")
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    entries
        .filter(|entry| !OWN.iter().any(|own| entry.file_name() == *own))
        .map(|entry| entry.path())
        .collect()
}

/// The new root, as it is being built.
struct Builder {
    root: OwnedFd,
    stage: PathBuf,
    /// The folders for temporary files that are the task's own.
    temporary: Vec<PathBuf>,
    /// Folders on the way to a grant below `/tmp`: memory of their own, read-only in the end.
    ways: std::cell::RefCell<BTreeSet<PathBuf>>,
    /// The places of what was mounted, without the leading slash.
    placed: std::cell::RefCell<BTreeSet<PathBuf>>,
}

impl Builder {
    fn new(stage: &Path, temporary: Vec<PathBuf>) -> Result<Self, ViewError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root =
            rustix::fs::open(stage, flags, Mode::empty()).map_err(at("cannot open", stage))?;
        Ok(Self {
            root,
            stage: stage.to_owned(),
            temporary,
            ways: Default::default(),
            placed: Default::default(),
        })
    }

    fn build(
        &self,
        pieces: Vec<Piece>,
        temporary: Vec<(PathBuf, Option<OwnedFd>)>,
        links: Links,
        grants: &[OpenGrant],
        notes: &mut Vec<String>,
    ) -> Result<(), ViewError> {
        self.mount_own(temporary)?;
        let mut placed: Vec<(PathBuf, bool)> = Vec::new();
        for piece in pieces {
            let outer = placed
                .iter()
                .rev()
                .find(|(outer, _)| piece.at.starts_with(outer));
            // Part of what is there already, with the same rights.
            if !piece.apart && outer.is_some_and(|(_, write)| *write == piece.write) {
                continue;
            }
            self.place(&piece.tree, &piece.at, piece.folder)?;
            placed.push((piece.at, piece.write));
        }
        self.hide_secrets(grants)?;
        // What is written into a layer or a stand-in, the user's git does not see.
        let own: Vec<&Path> = grants
            .iter()
            .filter(|grant| grant.layer.is_some() || grant.stands_in)
            .map(|grant| grant.path.as_path())
            .collect();
        let written = |grant: &&OpenGrant| grant.write && !own.contains(&grant.path.as_path());
        for grant in grants.iter().filter(written) {
            if let Err(error) = self.hold_git_configuration(&grant.path, &own) {
                notes.push(format!("git configuration is writable: {error}"));
            }
        }
        for (link, target) in links {
            // In what was placed, a link is there already, or was taken away.
            let lies_in_one = placed.iter().any(|(outer, _)| link.starts_with(outer));
            if !lies_in_one {
                self.link(&link, &target);
            }
        }
        for way in self.ways.borrow().iter() {
            let way = self.open(way).map_err(at("cannot open", way))?;
            set_one(&way, READ).map_err(at("cannot restrict", "/tmp"))?;
        }
        set_one(&self.root, READ).map_err(at("cannot restrict", "/"))
    }

    /// Mounts what is the task's own: processes, devices, shared memory, temporary files.
    fn mount_own(&self, temporary: Vec<(PathBuf, Option<OwnedFd>)>) -> Result<(), ViewError> {
        for folder in ["proc", "dev/pts", "dev/shm", "run", "tmp", "var/tmp"] {
            self.make_folder(Path::new(folder))
                .map_err(at("cannot make", folder))?;
        }
        let nothing = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        self.mount("proc", "proc", nothing, None)?;
        limit_processes(&self.stage.join("proc"));
        let proc = self
            .open(Path::new("proc"))
            .map_err(at("cannot open", "/proc"))?;
        // What is in it of the machine is root's to write, also of a root without capabilities.
        set_one(&proc, READ).map_err(at("cannot restrict", "/proc"))?;
        let terminals = MountFlags::NOSUID | MountFlags::NOEXEC;
        let own = Some(c"newinstance,ptmxmode=0666,mode=0620");
        self.mount("devpts", "dev/pts", terminals, own)?;
        self.mount(
            "tmpfs",
            "dev/shm",
            MountFlags::NOSUID | MountFlags::NODEV,
            Some(MEMORY),
        )?;
        for (name, target) in [
            ("dev/ptmx", "pts/ptmx"),
            ("dev/fd", "/proc/self/fd"),
            ("dev/stdin", "/proc/self/fd/0"),
            ("dev/stdout", "/proc/self/fd/1"),
            ("dev/stderr", "/proc/self/fd/2"),
            ("var/run", "/run"),
        ] {
            self.link(Path::new(name), Path::new(target));
        }
        for (place, tree) in temporary {
            match tree {
                Some(tree) => self.place(&tree, &place, true)?,
                None => {
                    let place = inside(&place);
                    let flags = MountFlags::NOSUID | MountFlags::NODEV;
                    rustix::mount::mount(
                        "tmpfs",
                        self.stage.join(&place),
                        "tmpfs",
                        flags,
                        Some(MEMORY),
                    )
                    .map_err(at("cannot mount", place))?;
                }
            }
        }
        Ok(())
    }

    fn mount(
        &self,
        kind: &str,
        place: &str,
        flags: MountFlags,
        data: Option<&CStr>,
    ) -> Result<(), ViewError> {
        rustix::mount::mount(kind, self.stage.join(place), kind, flags, data)
            .map_err(at("cannot mount", place))
    }

    fn place(&self, tree: &OwnedFd, path: &Path, folder: bool) -> Result<(), ViewError> {
        let target = self
            .make_room(path, folder)
            .map_err(at("cannot make", path))?;
        let flags =
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        rustix::mount::move_mount(tree, "", &target, "", flags)
            .map_err(at("cannot place", path))?;
        self.placed.borrow_mut().insert(inside(path));
        Ok(())
    }

    /// Returns something to mount on: what is there under this path, or what is made there.
    fn make_room(&self, path: &Path, folder: bool) -> io::Result<OwnedFd> {
        let path = inside(path);
        self.make_way(&path)?;
        if folder {
            return self.make_folder(&path);
        }
        let parent = self.make_folder(path.parent().unwrap_or(Path::new("")))?;
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        match open_in(&parent, Path::new(name)) {
            Err(Errno::NOENT) => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o644))?;
                Ok(open_in(&parent, Path::new(name))?)
            }
            found => Ok(found?),
        }
    }

    /// Makes the first folder on the way to something below the task's own `/tmp` a file system in
    /// memory: what the task is not given of it is not there, and it can write nothing beside.
    fn make_way(&self, path: &Path) -> io::Result<()> {
        let Some(way) = self.temporary.iter().find_map(|own| {
            let mut parts = path.strip_prefix(own).ok()?.components();
            let first = parts.next()?;
            parts.next().map(|_| own.join(first))
        }) else {
            return Ok(());
        };
        // A repository that is itself an entry of /tmp is there already, and stays to be seen.
        if self.ways.borrow().contains(&way) || self.placed.borrow().contains(&way) {
            return Ok(());
        }
        self.make_folder(&way)?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        rustix::mount::mount("tmpfs", self.stage.join(&way), "tmpfs", flags, Some(WAY))?;
        self.ways.borrow_mut().insert(way);
        Ok(())
    }

    /// Opens a folder, and makes what is missing of the way to it. Links are never followed; one
    /// that an earlier task left in its `/tmp` makes room.
    fn make_folder(&self, path: &Path) -> io::Result<OwnedFd> {
        let mut folder = self.root.try_clone()?;
        let mut walked = PathBuf::new();
        for part in path.components() {
            let Component::Normal(name) = part else {
                continue;
            };
            walked.push(name);
            let name = Path::new(name);
            let found = open_in(&folder, name);
            let is_folder = |file: &OwnedFd| {
                rustix::fs::fstat(file)
                    .is_ok_and(|found| FileType::from_raw_mode(found.st_mode).is_dir())
            };
            folder = match found {
                Ok(file) if is_folder(&file) => file,
                Ok(_) if self.temporary.iter().any(|own| walked.starts_with(own)) => {
                    rustix::fs::unlinkat(&folder, name, AtFlags::empty())?;
                    make_folder_in(&folder, name)?
                }
                Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
                Err(Errno::NOENT) => make_folder_in(&folder, name)?,
                Err(error) => return Err(error.into()),
            };
        }
        Ok(folder)
    }

    fn open(&self, path: &Path) -> io::Result<OwnedFd> {
        Ok(open_in(&self.root, &inside(path))?)
    }

    /// Makes a link, unless something is there already or its folder cannot be written.
    fn link(&self, path: &Path, target: &Path) {
        let path = inside(path);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return;
        };
        let parent = self.make_way(&path).and_then(|()| self.make_folder(parent));
        if let Ok(parent) = parent {
            let _ = rustix::fs::symlinkat(target, &parent, name);
        }
    }

    /// Covers the secrets in `/etc` by something empty, but those that the operator granted by name.
    fn hide_secrets(&self, grants: &[OpenGrant]) -> Result<(), ViewError> {
        const EMPTY: [&str; 2] = [".empty", ".empty-folder"];
        let [file, folder] = EMPTY.map(|name| self.stage.join(name));
        let prepare = || -> io::Result<()> {
            fs::write(&file, "")?;
            fs::create_dir(&folder)?;
            for path in [&file, &folder] {
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o0);
                fs::set_permissions(path, mode)?;
            }
            Ok(())
        };
        prepare().map_err(at("cannot make", "/.empty"))?;
        let open = |name: &str| self.open(Path::new(name)).map_err(at("cannot open", name));
        let (file, folder) = (open(EMPTY[0])?, open(EMPTY[1])?);
        for secret in system::SECRET_ETC {
            let path = Path::new("/etc").join(secret);
            if grants.iter().any(|grant| grant.path.starts_with(&path)) {
                continue;
            }
            let Ok(found) = self.open(&path) else {
                continue;
            };
            let kind = rustix::fs::fstat(&found)
                .map_err(at("cannot look at", &path))?
                .st_mode;
            let cover = match FileType::from_raw_mode(kind) {
                FileType::Directory => &folder,
                FileType::RegularFile => &file,
                // A link leads to what is granted, or nowhere.
                _ => continue,
            };
            let tree = clone(cover).map_err(at("cannot clone", &path))?;
            set(&tree, READ).map_err(at("cannot restrict", &path))?;
            move_onto(&tree, &found).map_err(at("cannot hide", &path))?;
        }
        for (name, flags) in [(EMPTY[0], AtFlags::empty()), (EMPTY[1], AtFlags::REMOVEDIR)] {
            rustix::fs::unlinkat(&self.root, name, flags).map_err(at("cannot remove", name))?;
        }
        Ok(())
    }

    /// Holds what git would run for the user later, outside of any confinement: configuration and hooks of a repository
    /// whose top the task may write become read-only for it. It can still commit. `.git` itself cannot be moved away. Not
    /// so where it is the task's own.
    fn hold_git_configuration(&self, tree: &Path, own: &[&Path]) -> io::Result<()> {
        let git = tree.join(".git");
        if own.contains(&git.as_path()) {
            return Ok(());
        }
        let hold = |path: &Path, attributes: u64, folder: bool| -> io::Result<bool> {
            let found = match self.open(path) {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error),
            };
            let kind = FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode);
            if !(kind.is_dir() || kind == FileType::RegularFile && !folder) {
                return Ok(false);
            }
            let tree = clone(&found)?;
            set(&tree, attributes)?;
            move_onto(&tree, &found)?;
            Ok(true)
        };
        // The tree may itself be the git directory of a linked worktree.
        if hold(&tree.join("commondir"), READ, false)? {
            for part in ["gitdir", "config.worktree"] {
                hold(&tree.join(part), READ, false)?;
            }
        }
        if !hold(&git, WRITE, true)? {
            // A file names the repository that the tree belongs to.
            return hold(&git, READ, false).map(drop);
        }
        for part in GIT_CONFIGURATION {
            hold(&git.join(part), READ, false)?;
        }
        Ok(())
    }

    /// Makes the new root the root, and lets go of the old one.
    fn pivot(&self) -> Result<(), ViewError> {
        rustix::process::fchdir(&self.root).map_err(at("cannot enter", "/"))?;
        rustix::process::pivot_root(".", ".").map_err(at("cannot change the root to", "/"))?;
        // The old root lies on top of the new one now, in the same place.
        let let_go = || -> Result<(), ViewError> {
            rustix::mount::unmount(".", UnmountFlags::DETACH)
                .map_err(at("cannot detach the old", "/"))?;
            rustix::process::chdir("/").map_err(at("cannot enter the new", "/"))
        };
        let_go().map_err(|fault| ViewError {
            fatal: true,
            ..fault
        })
    }
}

/// The path below the new root.
fn inside(path: &Path) -> PathBuf {
    path.strip_prefix("/").unwrap_or(path).to_owned()
}

fn open_in(folder: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
    rustix::fs::openat2(folder, path, flags, Mode::empty(), resolve)
}

fn make_folder_in(folder: &OwnedFd, name: &Path) -> Result<OwnedFd, Errno> {
    match rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => open_in(folder, name),
        Err(error) => Err(error),
    }
}

/// Clones the mount that a descriptor lies in, from there on, with what is mounted below.
fn clone(file: &OwnedFd) -> Result<OwnedFd, Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(file, "", flags)
}

fn move_onto(tree: &OwnedFd, target: &OwnedFd) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree, "", target, "", flags)
}

/// Sets attributes of a mount and of all that are mounted below it.
fn set(tree: &OwnedFd, attributes: u64) -> io::Result<()> {
    set_attributes(tree.as_fd(), libc::AT_RECURSIVE, attributes)
}

/// Sets attributes of one mount.
fn set_one(mount: &OwnedFd, attributes: u64) -> io::Result<()> {
    set_attributes(mount.as_fd(), 0, attributes)
}

fn set_attributes(mount: BorrowedFd<'_>, flags: libc::c_int, set: u64) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: set,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: mount_setattr(2) reads an empty path and a struct of the length given with it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
