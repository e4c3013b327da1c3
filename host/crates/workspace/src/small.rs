//! A tree that nobody works in any more becomes small, and whole again when a job goes on in it.
//!
//! Of a tree whose result is sealed nearly everything can be had again: the commit's files from the
//! repository, the changes from the result. So they are deleted, and the objects of the result go into
//! one pack. What cannot be had again, because no result can carry it, is kept in the folder `left`,
//! under its own name.
//!
//! ```text
//!   tree   whole --------------> whole -------------> a bare frame
//!   left   -       keep what     files  small = true   files
//!                  is only here
//! ```
//!
//! Each step may be cut off by a kill at any moment; the next one to come finds out by `left` and by the
//! record where it was.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use git2::{ObjectType, Oid, Repository, RepositoryInitOptions};

use crate::checkout::{Origin, check_out, gitlinks, submodules};
use crate::contents::Limits;
use crate::earlier::Earlier;
use crate::error::WorkspaceError;
use crate::folder;
use crate::handles;
use crate::include::include;
use crate::interrupt::Interrupt;
use crate::isolated::Isolated;
use crate::path::FilePath;
use crate::put::Placer;
use crate::record::IsolatedRecord;
use crate::repository::{self, Repository as OwnRepository, UserRules};
use crate::root::Root;
use crate::seal::{changed_paths, is_rebuilt};
use crate::times::{self, Times};
use crate::tree_rules::TreeRules;
use crate::workspace::Workspace;

/// The folder of what no result can carry.
pub(crate) const LEFT: &str = "left";

/// A longer file is not compared, and so kept.
const LONGEST: u64 = 256 << 20;

impl Isolated {
    /// Makes the tree in `folder` small. Nobody may work in it. False where it has to stay whole: it has no result, or its
    /// set-up changed files that only it has.
    ///
    /// # Errors
    /// Something cannot be read or written. What was in the tree is then in it, or in `left`.
    pub fn shrink(folder: &Path, stop: &Interrupt) -> Result<bool, WorkspaceError> {
        let place = Place::of(folder);
        let record = IsolatedRecord::load(folder)?;
        if record.small {
            place.clear(&record)?;
            return Ok(true);
        }
        if record.results.is_empty() || record.set_up_files > 0 {
            return Ok(false);
        }
        place.undo()?;
        let mut isolated = Self::open(folder, "")?;
        let made = Made::load(&isolated)?;
        let kept = made.what_is_only_in(&place.tree, stop)?;
        // Before the first of them is moved: a tree that is whole again by then has them on its files.
        Times::of(&place.tree, &made.changed, &kept)
            .and_then(|times| times.save(folder))
            .map_err(|source| failed("keep the times of", &place.tree, source))?;
        place.take_out(&kept)?;
        isolated.update(|record| record.small = true)?;
        place.clear(&record)?;
        pack(folder, &record, stop)?;
        Ok(true)
    }

    /// Makes the tree in `folder` whole, where it is small: the base, with the result over it, and what was left aside.
    /// Returns true if it was small.
    ///
    /// # Errors
    /// The commit or the checkout is gone, or files cannot be written.
    pub fn make_whole(folder: &Path, limits: &Limits) -> Result<bool, WorkspaceError> {
        let place = Place::of(folder);
        let record = IsolatedRecord::load(folder)?;
        if !record.small {
            place.undo()?;
            return Ok(false);
        }
        let stop = &limits.interrupt;
        let base = Oid::from_str(&record.base_commit)?;
        let source = Workspace::open(&record.open_root()?, &record.source_dirs())?;
        place.empty()?;
        let stores: Vec<PathBuf> = [folder.join("keep/objects"), folder.join(PACKED)]
            .into_iter()
            .chain(source.own_object_stores())
            .chain(record.stores.iter().cloned())
            .filter(|store| store.is_dir())
            .collect();
        let origin = Origin::of(&source);
        check_out(&place.tree, &stores, &origin, &record.branch, base, stop)?;
        // What could not be done was told when the tree was made.
        let mut told = record.clone();
        {
            let repository = Repository::open(&place.tree)?;
            let commit = repository.find_commit(base)?;
            submodules(&source, &commit.tree()?, &place.tree, &mut told, stop)?;
            cut_history(&repository, &commit)?;
        }
        let mut isolated = Self::open(folder, "")?;
        Made::load(&isolated)?.lay(&place.tree)?;
        include(
            &source,
            &UserRules::load(),
            &place.tree,
            &mut told.notes,
            stop,
        )?;
        if let Some(times) = Times::load(folder) {
            times
                .set(&place.tree)
                .map_err(|source| failed("set the times of", &place.tree, source))?;
        }
        place.lay_left()?;
        for dir in &record.dirs {
            let dir = place.tree.join(dir);
            fs::create_dir_all(&dir).map_err(|source| failed("create", &dir, source))?;
        }
        Earlier::at(folder.join("result")).stamp_anew(&place.tree)?;
        isolated.update(|record| record.small = false)?;
        place.undo()?;
        Ok(true)
    }
}

/// Lets the history begin with the base, where the user's repository has lost what was before it.
fn cut_history(repository: &Repository, base: &git2::Commit<'_>) -> Result<(), WorkspaceError> {
    let odb = repository.odb()?;
    if base.parent_ids().all(|parent| odb.exists(parent)) {
        return Ok(());
    }
    let path = repository.path().join("shallow");
    let mut lines = fs::read(&path).unwrap_or_default();
    lines.extend_from_slice(format!("{}\n", base.id()).as_bytes());
    fs::write(&path, lines).map_err(|source| failed("write", &path, source))
}

/// The objects of the result, in its folder.
const PACKED: &str = "result/objects";

/// What can be made again: the files of the base, and over them those that the result changed.
struct Made {
    objects: Repository,
    own: OwnRepository,
    base: Oid,
    last: Oid,
    changed: Vec<FilePath>,
    /// The checkout that ignored files were copied from, where any were.
    included_from: Option<PathBuf>,
}

impl Made {
    fn load(isolated: &Isolated) -> Result<Self, WorkspaceError> {
        let record = isolated.record();
        let last = record
            .results
            .last()
            .ok_or_else(|| WorkspaceError::Isolation {
                what: "the tree has no result".to_owned(),
            })?;
        let (base, last) = (
            Oid::from_str(&record.base_commit)?,
            Oid::from_str(&last.commit)?,
        );
        let objects = Repository::open_bare(isolated.folder().join("result"))?;
        let top = isolated.workspace().top();
        let handle = handles::open_dir(top).map_err(|source| failed("open", top, source))?;
        let git_dir = repository::git_dir_of(&Root::open(top)?, handle.as_fd(), top)?;
        let git_dir = git_dir.ok_or_else(|| WorkspaceError::Isolation {
            what: format!("{} has no git directory", top.display()),
        })?;
        Ok(Self {
            changed: changed_paths(&objects, base, last)?,
            own: OwnRepository::read(Vec::new(), git_dir, &UserRules::load()),
            objects,
            base,
            last,
            included_from: (record.included_files > 0).then(|| record.source.clone()),
        })
    }

    /// Writes what the result changed over the files of the base.
    fn lay(&self, tree: &Path) -> Result<(), WorkspaceError> {
        let files = self.objects.find_commit(self.last)?.tree()?;
        let mut rules = TreeRules::of_tree(&self.own, &self.objects, &files);
        let top = handles::open_dir(tree).map_err(|source| failed("open", tree, source))?;
        let placer = Placer::new(top.as_fd());
        let write = |path: &FilePath| tree.join(path.as_path());
        let entry = |path: &FilePath| {
            let entry = files.get_path(path.as_path()).ok()?;
            (entry.kind() != Some(ObjectType::Tree)).then_some(entry)
        };
        // What is gone goes first: a folder may have taken a file's place.
        let (here, gone): (Vec<_>, Vec<_>) = self
            .changed
            .iter()
            .map(|path| (path, entry(path)))
            .partition(|(_, entry)| entry.is_some());
        for (path, _) in gone {
            placer
                .remove(path.as_bytes())
                .map_err(|source| failed("write", &write(path), source))?;
            placer.prune(path.as_bytes(), |_| false);
        }
        for (path, entry) in here {
            let Some(entry) = entry.filter(|entry| entry.kind() == Some(ObjectType::Blob)) else {
                continue;
            };
            let mode = entry.filemode() as u32;
            let blob = self.objects.find_blob(entry.id())?;
            let bytes = as_written(&mut rules, path.as_bytes(), mode, blob.content());
            placer
                .put_as_git(path.as_bytes(), mode, &bytes)
                .map_err(|source| failed("write", &write(path), source))?;
        }
        Ok(())
    }

    /// The files below `tree` that would be lost with it, relative to it; of a repository inside it, its folder.
    fn what_is_only_in(
        &self,
        tree: &Path,
        stop: &Interrupt,
    ) -> Result<Vec<PathBuf>, WorkspaceError> {
        let base = self.objects.find_commit(self.base)?.tree()?;
        let last = self.objects.find_commit(self.last)?.tree()?;
        let mut of_base = TreeRules::of_tree(&self.own, &self.objects, &base);
        let mut of_last = TreeRules::of_tree(&self.own, &self.objects, &last);
        let changed: std::collections::HashSet<&[u8]> =
            self.changed.iter().map(FilePath::as_bytes).collect();
        let pinned: HashMap<PathBuf, Oid> = gitlinks(&base, b"")?
            .into_iter()
            .map(|(place, commit)| (PathBuf::from(OsStr::from_bytes(&place)), commit))
            .collect();
        let mut kept = Vec::new();
        // The submodule that a folder is in, with the commit's files.
        let mut pending: Vec<(PathBuf, Option<Submodule>)> = vec![(PathBuf::new(), None)];
        while let Some((dir, module)) = pending.pop() {
            stop.check()?;
            let here = tree.join(&dir);
            let entries = fs::read_dir(&here).map_err(|source| failed("read", &here, source))?;
            for entry in entries {
                let entry = entry.map_err(|source| failed("read", &here, source))?;
                let path = dir.join(entry.file_name());
                let is_top_of_own = dir.as_os_str().is_empty()
                    || module.as_ref().is_some_and(|module| module.place == dir);
                if entry.file_name() == ".git" && is_top_of_own {
                    continue;
                }
                let metadata = entry
                    .metadata()
                    .map_err(|source| failed("read", &entry.path(), source))?;
                if metadata.is_dir() {
                    match pinned.get(&path) {
                        Some(commit) => {
                            match Submodule::open(&entry.path(), path.clone(), *commit) {
                                Some(module) => pending.push((path, Some(module))),
                                // It has not been checked out: an empty folder, or what the job made there.
                                None => pending.push((path, None)),
                            }
                        }
                        None if is_rebuilt(path.as_os_str().as_bytes())
                            || entry.path().join(".git").symlink_metadata().is_err() =>
                        {
                            pending.push((path, module.clone()));
                        }
                        None => kept.push(path),
                    }
                    continue;
                }
                let name = path.as_os_str().as_bytes();
                let made_again = match &module {
                    Some(module) => module.has(&path, &entry.path(), &metadata),
                    None => {
                        let (files, rules) = match changed.contains(name) {
                            true => (&last, &mut of_last),
                            false => (&base, &mut of_base),
                        };
                        self.makes(files, rules, &path, &entry.path(), &metadata)
                    }
                };
                if !made_again && !is_rebuilt(name) {
                    kept.push(path);
                }
            }
        }
        Ok(kept)
    }

    /// Returns true if making the tree again gives this file as it is.
    fn makes(
        &self,
        files: &git2::Tree<'_>,
        rules: &mut TreeRules<'_>,
        path: &Path,
        place: &Path,
        metadata: &fs::Metadata,
    ) -> bool {
        let committed = files.get_path(path).ok();
        let Some(entry) = committed.filter(|entry| entry.kind() == Some(ObjectType::Blob)) else {
            let source = self.included_from.as_ref().map(|top| top.join(path));
            return source.is_some_and(|source| same_bytes(&source, place, metadata));
        };
        let mode = entry.filemode() as u32;
        let Some(now) = content(place, metadata, mode) else {
            return false;
        };
        let Ok(blob) = self.objects.find_blob(entry.id()) else {
            return false;
        };
        let made = as_written(rules, path.as_os_str().as_bytes(), mode, blob.content());
        *made == *now
    }
}

/// A submodule of the tree, and the files of the commit that the base pins.
#[derive(Clone)]
struct Submodule {
    place: PathBuf,
    objects: std::rc::Rc<Repository>,
    files: Oid,
}

impl Submodule {
    fn open(path: &Path, place: PathBuf, commit: Oid) -> Option<Self> {
        let objects = Repository::open(path).ok()?;
        let files = objects.find_commit(commit).ok()?.tree_id();
        Some(Self {
            place,
            objects: std::rc::Rc::new(objects),
            files,
        })
    }

    /// Returns true if the commit has this file with these bytes. Where git converts, it does not: then the file is kept.
    fn has(&self, path: &Path, place: &Path, metadata: &fs::Metadata) -> bool {
        let look = || {
            let below = path.strip_prefix(&self.place).ok()?;
            let entry = self.objects.find_tree(self.files).ok()?;
            let entry = entry.get_path(below).ok()?;
            let now = content(place, metadata, entry.filemode() as u32)?;
            let blob = self.objects.find_blob(entry.id()).ok()?;
            Some(blob.content() == now)
        };
        look().unwrap_or(false)
    }
}

/// The bytes of a file, or the target of a link, where it is of the kind that `mode` says.
fn content(place: &Path, metadata: &fs::Metadata, mode: u32) -> Option<Vec<u8>> {
    let link = mode & 0o170_000 == 0o120_000;
    if metadata.is_symlink() && link {
        return Some(fs::read_link(place).ok()?.into_os_string().into_vec());
    }
    let plain = metadata.is_file() && !link && metadata.len() <= LONGEST;
    plain.then(|| fs::read(place).ok())?
}

fn same_bytes(source: &Path, place: &Path, metadata: &fs::Metadata) -> bool {
    let of_source = source.symlink_metadata();
    let alike = of_source.is_ok_and(|of_source| {
        of_source.is_file() && metadata.is_file() && of_source.len() == metadata.len()
    });
    alike
        && metadata.len() <= LONGEST
        && matches!((fs::read(source), fs::read(place)), (Ok(a), Ok(b)) if a == b)
}

/// The bytes that a checkout writes for a committed file.
fn as_written<'b>(
    rules: &mut TreeRules<'_>,
    path: &[u8],
    mode: u32,
    bytes: &'b [u8],
) -> std::borrow::Cow<'b, [u8]> {
    let plain = std::borrow::Cow::Borrowed(bytes);
    match mode & 0o170_000 {
        0o120_000 => plain,
        _ => rules.conversion(path).to_worktree(bytes).unwrap_or(plain),
    }
}

/// The tree, and what is taken out of it.
struct Place {
    tree: PathBuf,
    left: PathBuf,
}

impl Place {
    fn of(folder: &Path) -> Self {
        Self {
            tree: folder.join("tree"),
            left: folder.join(LEFT),
        }
    }

    /// Moves files out of the tree.
    fn take_out(&self, kept: &[PathBuf]) -> Result<(), WorkspaceError> {
        for path in kept {
            let to = self.left.join(path);
            let moved = to
                .parent()
                .map_or(Ok(()), fs::create_dir_all)
                .and_then(|()| fs::rename(self.tree.join(path), &to));
            moved.map_err(|source| failed("move", &self.tree.join(path), source))?;
        }
        Ok(())
    }

    /// Puts everything back that is in `left` and not in the tree, which is whole.
    fn undo(&self) -> Result<(), WorkspaceError> {
        self.each_left(|path, from| {
            let to = self.tree.join(path);
            if to.symlink_metadata().is_ok() {
                return Ok(());
            }
            to.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::rename(from, &to)
        })?;
        folder::remove(&self.left).map_err(|source| failed("remove", &self.left, source))
    }

    /// Copies what is in `left` into the tree, over what is there.
    fn lay_left(&self) -> Result<(), WorkspaceError> {
        let top =
            handles::open_dir(&self.tree).map_err(|source| failed("open", &self.tree, source))?;
        let placer = Placer::new(top.as_fd());
        self.each_left(|path, from| {
            use std::os::unix::fs::PermissionsExt as _;
            let metadata = from.symlink_metadata()?;
            let name = path.as_os_str().as_bytes();
            if metadata.is_symlink() {
                let target = fs::read_link(from)?;
                return placer.put(name, 0o120_000, target.as_os_str().as_bytes());
            }
            if !metadata.is_file() {
                return copy_special(&self.tree.join(path), &metadata);
            }
            let mode = metadata.permissions().mode();
            // A folder of the git directory of a repository inside the tree is none that the placer writes.
            match name.split(|byte| *byte == b'/').any(|part| part == b".git") {
                true => {
                    let to = self.tree.join(path);
                    to.parent().map_or(Ok(()), fs::create_dir_all)?;
                    fs::copy(from, to)?;
                }
                false => placer.copy(name, mode, &mut fs::File::open(from)?)?,
            }
            times::set(&self.tree.join(path), metadata.modified()?)
        })
    }

    /// Calls for each file below `left`, with its path relative to it.
    fn each_left(
        &self,
        mut visit: impl FnMut(&Path, &Path) -> io::Result<()>,
    ) -> Result<(), WorkspaceError> {
        let mut pending = vec![PathBuf::new()];
        while let Some(dir) = pending.pop() {
            let here = self.left.join(&dir);
            let entries = match fs::read_dir(&here) {
                Err(fault) if fault.kind() == io::ErrorKind::NotFound => continue,
                entries => entries.map_err(|source| failed("read", &here, source))?,
            };
            for entry in entries {
                let entry = entry.map_err(|source| failed("read", &here, source))?;
                let path = dir.join(entry.file_name());
                let kind = entry
                    .file_type()
                    .map_err(|source| failed("read", &entry.path(), source))?;
                match kind.is_dir() {
                    true => pending.push(path),
                    false => visit(&path, &entry.path())
                        .map_err(|source| failed("move", &entry.path(), source))?,
                }
            }
        }
        Ok(())
    }

    /// Deletes all that is in the tree, which stays: locks and handles hang on it.
    fn empty(&self) -> Result<(), WorkspaceError> {
        let removed = (|| {
            for entry in fs::read_dir(&self.tree)? {
                let entry = entry?;
                match entry.file_type()?.is_dir() {
                    true => folder::remove(&entry.path())?,
                    false => fs::remove_file(entry.path())?,
                }
            }
            Ok(())
        })();
        removed.map_err(|source| failed("remove", &self.tree, source))
    }

    /// Leaves a bare frame of the tree: a git directory without objects, and the job's folders.
    fn clear(&self, record: &IsolatedRecord) -> Result<(), WorkspaceError> {
        if self.tree.join(".git").join(FRAME).is_file() {
            return Ok(());
        }
        self.empty()?;
        let mut options = RepositoryInitOptions::new();
        options
            .external_template(false)
            .initial_head(&record.branch);
        drop(Repository::init_opts(&self.tree, &options)?);
        // A repository without a commit is none that is opened. The commit itself is in the user's.
        let branch = self.tree.join(".git/refs/heads").join(&record.branch);
        branch
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&branch, format!("{}\n", record.base_commit)))
            .map_err(|source| failed("write", &branch, source))?;
        for dir in &record.dirs {
            let dir = self.tree.join(dir);
            fs::create_dir_all(&dir).map_err(|source| failed("create", &dir, source))?;
        }
        let mark = self.tree.join(".git").join(FRAME);
        fs::write(&mark, []).map_err(|source| failed("write", &mark, source))
    }
}

/// The mark of a tree that has become small, in its git directory.
const FRAME: &str = "worker-small";

/// Makes a special file again where the tree had one; one that this user cannot make is left out.
fn copy_special(to: &Path, metadata: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt as _;
    if metadata.file_type().is_fifo() {
        to.parent().map_or(Ok(()), fs::create_dir_all)?;
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, to, rustix::fs::FileType::Fifo, mode, 0)?;
    }
    Ok(())
}

/// Puts the objects of the result into one pack, with those of the base that only loose files hold: a repack of the user's
/// may delete them there. The user's packs stay linked, which costs no room as long as the user has them.
fn pack(folder: &Path, record: &IsolatedRecord, stop: &Interrupt) -> Result<(), WorkspaceError> {
    let objects = folder.join(PACKED);
    let keep = folder.join("keep/objects");
    let repository = Repository::open_bare(folder.join("result"))?;
    let mut wanted = loose(&objects).map_err(|source| failed("read", &objects, source))?;
    let base = repository.find_commit(Oid::from_str(&record.base_commit)?)?;
    let is_loose = |id: Oid| {
        let name = id.to_string();
        name.split_at_checked(2)
            .is_some_and(|(fan, rest)| keep.join(fan).join(rest).is_file())
    };
    wanted.extend([base.id()].into_iter().filter(|id| is_loose(*id)));
    let mut pending = vec![base.tree_id()];
    while let Some(id) = pending.pop() {
        stop.check()?;
        wanted.extend(is_loose(id).then_some(id));
        for item in repository.find_tree(id)?.iter() {
            match item.kind() {
                Some(ObjectType::Tree) => pending.push(item.id()),
                Some(ObjectType::Blob) if is_loose(item.id()) => wanted.push(item.id()),
                _ => {}
            }
        }
    }
    if !wanted.is_empty() {
        let mut builder = repository.packbuilder()?;
        builder.set_threads(1);
        for id in wanted {
            builder.insert_object(id, None)?;
        }
        let packs = objects.join("pack");
        fs::create_dir_all(&packs).map_err(|source| failed("create", &packs, source))?;
        builder.write(&packs, 0o400)?;
    }
    for store in [&objects, &keep] {
        for fan in fans(store).map_err(|source| failed("read", store, source))? {
            folder::remove(&fan).map_err(|source| failed("remove", &fan, source))?;
        }
    }
    let snapshot = folder.join("source");
    folder::remove(&snapshot).map_err(|source| failed("remove", &snapshot, source))
}

/// The folders of loose objects.
fn fans(store: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(store) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_name().len() == 2 {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn loose(store: &Path) -> io::Result<Vec<Oid>> {
    let mut found = Vec::new();
    for fan in fans(store)? {
        for entry in fs::read_dir(&fan)? {
            let name = [
                fan.file_name().unwrap_or_default().as_bytes(),
                entry?.file_name().as_bytes(),
            ]
            .concat();
            found.extend(
                std::str::from_utf8(&name)
                    .ok()
                    .and_then(|name| Oid::from_str(name).ok()),
            );
        }
    }
    Ok(found)
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> WorkspaceError {
    WorkspaceError::Io {
        action,
        path: path.to_path_buf(),
        source,
    }
}
