//! A tree and a git directory of a job's own (WORKER_ISOLATION=worktree).
//!
//! Not a linked worktree: its `.git` would hand the agent the user's repository. Instead a small repository whose objects
//! come by alternates from hard links to the user's packs, which a `git gc` there cannot take away, and which lie where the
//! agent cannot write. The user's repository is only read.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use git2::build::CheckoutBuilder;
use git2::{ObjectType, Oid, RepositoryInitOptions, TreeWalkMode, TreeWalkResult};
use rustix::fs::{FlockOperation, Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::base::{self, Base, Content, Site, Worker};
use super::contents::Limits;
use super::handles::{self, Bytes, Kind};
use super::path::FilePath;
use super::put::Placer;
use super::repository::{self, Repository, UserRules};
use super::rules::IgnoreRules;
use super::walk::{Here, Listed, Visited, walk};
use super::{ApplyHow, Earlier, Root, Workspace, WorkspaceError, path};

/// What an isolated tree is to be made from.
#[derive(Debug, Clone, Copy)]
pub struct IsolatedRequest<'a> {
    /// The user's checkout, with the job's directories.
    pub source: &'a Workspace,
    /// The job's own folder; `tree`, `keep` and `result` are made in it.
    pub folder: &'a Path,
    /// The job; names the branch: `worker/<name>`.
    pub name: &'a str,
    /// A branch, tag or commit to start from; HEAD when absent.
    pub base: Option<&'a str>,
    /// Whether the checkout's uncommitted work is laid over the base.
    pub include_dirty: bool,
    /// As for [`Base::capture`].
    pub limits: Limits,
}

/// A job's own tree.
#[derive(Debug)]
pub struct Isolated {
    workspace: Workspace,
    record: IsolatedRecord,
    folder: PathBuf,
    /// The job that works in it.
    job: String,
}

/// What is known about an isolated tree, kept beside it for `apply`, `list` and a later job that goes on in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IsolatedRecord {
    /// `worker/<name>`.
    pub branch: String,
    /// The checkout that it was made from.
    pub source: PathBuf,
    /// SANDBOX_ROOT, as it was then.
    pub root: PathBuf,
    /// The job's directories in that checkout, relative to its top, the working directory first.
    pub dirs: Vec<PathBuf>,
    /// What was asked for: `HEAD`, a branch, a commit.
    pub base_name: String,
    /// The commit.
    pub base_commit: String,
    /// Whether uncommitted work was laid over it.
    pub dirty_included: bool,
    /// How many files of it.
    pub dirty_files: u64,
    /// How many ignored files were copied because `.worktreeinclude` names them.
    pub included_files: u64,
    /// What could not be done, a sentence each.
    pub notes: Vec<String>,
    /// What the jobs made that worked here, oldest first; each is set when its job is over.
    #[serde(default)]
    pub results: Vec<Sealed>,
    /// The commit that the results are to be compared with: the base, with the uncommitted work that was laid over it.
    #[serde(default)]
    pub compared_with: Option<String>,
    /// Whether a job made of the tree's `.git` what git would run or be led astray by: no other one goes on in it.
    #[serde(default)]
    pub tampered: bool,
}

/// The result of one job in a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The job.
    pub job: String,
    /// The commit that holds what it and those before it made.
    pub commit: String,
    /// How it was brought into the checkout, once it was.
    #[serde(default)]
    pub applied: Option<ApplyHow>,
}

const RECORD: &str = "isolated.json";
/// What `.worktreeinclude` may copy, bytes.
const MOST_INCLUDED: u64 = 4 << 30;

impl Isolated {
    /// Makes the tree.
    ///
    /// # Errors
    /// When the base names no commit, `include_dirty` is asked for another base than HEAD, the tree came out empty, or the
    /// job's directories are not in it.
    pub fn create(request: &IsolatedRequest<'_>) -> Result<Self, WorkspaceError> {
        let source = request.source;
        let refuse = |what: String| WorkspaceError::Isolation { what };
        let user = open_source(source.top())?;
        let base_name = request.base.unwrap_or("HEAD");
        let commit = user
            .revparse_single(base_name)
            .and_then(|object| object.peel_to_commit())
            .map_err(|_| {
                refuse(format!(
                    "base {base_name:?} names no commit of {}",
                    source.top().display()
                ))
            })?;
        let base_commit = commit.id();
        if request.include_dirty && base_commit.to_string() != source.head_commit() {
            return Err(refuse(
                "include_dirty needs the base to be HEAD: the uncommitted work belongs to it"
                    .to_owned(),
            ));
        }
        let tree = request.folder.join("tree");
        let made = |path: &Path, source| WorkspaceError::Io {
            action: "create",
            path: path.to_path_buf(),
            source,
        };
        for folder in [request.folder, &tree] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(|error| made(folder, error))?;
        }
        if fs::read_dir(&tree)
            .map_err(|error| made(&tree, error))?
            .next()
            .is_some()
        {
            return Err(refuse(format!("{} is not empty", tree.display())));
        }
        let mut record = IsolatedRecord {
            branch: format!("worker/{}", request.name),
            source: source.top().to_path_buf(),
            root: source.root().path().to_path_buf(),
            dirs: dirs_below_top(source),
            base_name: base_name.to_owned(),
            base_commit: base_commit.to_string(),
            dirty_included: request.include_dirty,
            dirty_files: 0,
            included_files: 0,
            notes: Vec::new(),
            results: Vec::new(),
            compared_with: None,
            tampered: false,
        };
        let objects = source.git_dir().join("objects");
        let kept = keep_objects(&objects, &request.folder.join("keep/objects"))?;
        if !kept {
            record.notes.push(
                "the base's objects could not be hard-linked (another file system): a gc in the repository may take them".to_owned(),
            );
        }
        let stores = if kept {
            vec![request.folder.join("keep/objects"), objects]
        } else {
            vec![objects]
        };
        check_out(
            &tree,
            &stores,
            source.git_dir(),
            &record.branch,
            base_commit,
        )?;
        let has_files = commit.tree()?.iter().next().is_some();
        let came_out = fs::read_dir(&tree)
            .map_err(|error| made(&tree, error))?
            .flatten()
            .any(|entry| entry.file_name() != ".git");
        if !has_files || !came_out {
            return Err(refuse(format!("the tree of {base_name} came out empty")));
        }
        if fs::read(tree.join(".gitattributes"))
            .is_ok_and(|text| String::from_utf8_lossy(&text).contains("filter=lfs"))
        {
            record
                .notes
                .push("files kept by git-lfs are pointers here, not their content".to_owned());
        }
        let storage = request.folder.join("source");
        let rules = UserRules::load();
        submodules(source, &commit.tree()?, &tree, &mut record)?;
        if request.include_dirty {
            let snapshot = Base::capture(source, &storage, request.limits)?;
            record.dirty_files =
                lay_over(&snapshot, &user, &commit.tree()?, &tree, &mut record.notes)?;
        }
        record.included_files = include(source, &rules, &tree, &mut record.notes)?;
        let isolated = Self {
            workspace: open_tree(&tree, &record)?,
            record,
            folder: request.folder.to_path_buf(),
            job: request.name.to_owned(),
        };
        isolated.save()?;
        Ok(isolated)
    }

    /// Opens a tree that was made before, for a job that goes on in it or whose result is to be applied.
    ///
    /// # Errors
    /// When there is none in `folder`.
    pub fn open(folder: &Path, job: &str) -> Result<Self, WorkspaceError> {
        let record = IsolatedRecord::load(folder)?;
        Ok(Self {
            workspace: open_tree(&folder.join("tree"), &record)?,
            record,
            folder: folder.to_path_buf(),
            job: job.to_owned(),
        })
    }

    /// A name for the tree in `folder` as [`Workspace::lock_name`] gives it, also while it is not whole.
    ///
    /// # Errors
    /// There is no tree.
    pub fn lock_name(folder: &Path) -> Result<String, WorkspaceError> {
        let tree = folder.join("tree");
        let handle = handles::open_dir(&tree).map_err(|source| WorkspaceError::Io {
            action: "open",
            path: tree,
            source,
        })?;
        Ok(super::lock_name(&handle))
    }

    /// The tree as a place to work in; SANDBOX_ROOT of the job is the tree itself.
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// What is known about it.
    pub fn record(&self) -> &IsolatedRecord {
        &self.record
    }

    /// Folders outside the tree that the agent's git must be able to read: the kept objects, and the repository's own,
    /// wherever they lie (the checkout may itself be a linked worktree).
    pub fn read_paths(&self) -> Vec<PathBuf> {
        vec![
            self.folder.join("keep"),
            super::apply::source_objects(&self.record.source),
        ]
    }

    /// What the jobs before this one changed here; none when it is the first.
    pub fn earlier(&self) -> Option<Earlier> {
        (!self.record.results.is_empty()).then(|| Earlier::at(self.folder.join("result")))
    }

    pub(crate) fn job(&self) -> &str {
        &self.job
    }

    /// Changes the record. Another process may do so at the same time (`apply` of a job that another one goes on from): each
    /// sees what the other wrote.
    pub(crate) fn update(
        &mut self,
        change: impl FnOnce(&mut IsolatedRecord),
    ) -> Result<(), WorkspaceError> {
        let path = self.folder.join("isolated.lock");
        let lock = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .and_then(|lock| {
                rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
                Ok(lock)
            })
            .map_err(|source| WorkspaceError::Io {
                action: "lock",
                path,
                source,
            })?;
        self.record = IsolatedRecord::load(&self.folder)?;
        change(&mut self.record);
        let saved = self.save();
        drop(lock);
        saved
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn save(&self) -> Result<(), WorkspaceError> {
        let path = self.folder.join(RECORD);
        let draft = self.folder.join(".isolated.draft");
        let text = serde_json::to_vec(&self.record).unwrap_or_default();
        fs::write(&draft, text)
            .and_then(|()| fs::rename(&draft, &path))
            .map_err(|source| WorkspaceError::Io {
                action: "write",
                path,
                source,
            })
    }

    /// The folders directly below `parent` that hold an isolated tree, with what is known about each.
    pub fn list(parent: &Path) -> Vec<(PathBuf, IsolatedRecord)> {
        let Ok(entries) = fs::read_dir(parent) else {
            return Vec::new();
        };
        let mut found: Vec<_> = entries
            .flatten()
            .filter_map(|entry| Some((entry.path(), IsolatedRecord::load(&entry.path()).ok()?)))
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }

    /// Removes a tree with all that was made for it, also one that was left half made. The user's repository is not
    /// touched; that there is nothing is no error.
    ///
    /// # Errors
    /// When something in the folder cannot be removed.
    pub fn remove(folder: &Path) -> Result<(), WorkspaceError> {
        for name in ["tree", "keep", "result", "source"] {
            let path = folder.join(name);
            crate::folder::remove(&path).map_err(|source| WorkspaceError::Io {
                action: "remove",
                path,
                source,
            })?;
        }
        match fs::remove_file(folder.join(RECORD)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(WorkspaceError::Io {
                action: "remove",
                path: folder.join(RECORD),
                source,
            }),
            _ => Ok(()),
        }
    }
}

impl IsolatedRecord {
    /// The job's directories in the checkout that the tree was made from.
    pub fn source_dirs(&self) -> Vec<PathBuf> {
        let dirs = self.dirs.iter();
        dirs.map(|dir| self.source.join(dir)).collect()
    }

    /// The record of the tree in `folder`.
    ///
    /// # Errors
    /// When there is none.
    pub fn load(folder: &Path) -> Result<Self, WorkspaceError> {
        let path = folder.join(RECORD);
        let text = fs::read(&path).map_err(|_| WorkspaceError::Isolation {
            what: format!("there is no isolated tree in {}", folder.display()),
        })?;
        serde_json::from_slice(&text).map_err(|error| WorkspaceError::Isolation {
            what: format!("{} cannot be read: {error}", path.display()),
        })
    }
}

/// Opens the user's repository for reading its refs and commits; libgit2 runs nothing of what it brings along.
pub(crate) fn open_source(top: &Path) -> Result<git2::Repository, WorkspaceError> {
    let flags = git2::RepositoryOpenFlags::NO_SEARCH;
    Ok(git2::Repository::open_ext(
        top,
        flags,
        std::iter::empty::<&std::ffi::OsStr>(),
    )?)
}

fn dirs_below_top(source: &Workspace) -> Vec<PathBuf> {
    let all = std::iter::once(source.work_dir())
        .chain(source.additional_dirs().iter().map(PathBuf::as_path));
    all.map(|dir| {
        dir.strip_prefix(source.top())
            .unwrap_or(Path::new(""))
            .to_path_buf()
    })
    .collect()
}

fn open_tree(tree: &Path, record: &IsolatedRecord) -> Result<Workspace, WorkspaceError> {
    let root = Root::open(tree)?;
    Workspace::open(&root, &record.dirs).map_err(|error| match error {
        WorkspaceError::Missing { path } => WorkspaceError::Isolation {
            what: format!(
                "{} is not in {} ({})",
                path.display(),
                record.base_name,
                short(&record.base_commit)
            ),
        },
        other => other,
    })
}

pub(crate) fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

/// Hard-links every object file of a repository into `keep`; `false` when the file system does not allow it.
fn keep_objects(objects: &Path, keep: &Path) -> Result<bool, WorkspaceError> {
    let failed = |source| WorkspaceError::Io {
        action: "link objects into",
        path: keep.to_path_buf(),
        source,
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(keep.join("pack"))
        .map_err(failed)?;
    let link_all = |folder: &Path, into: &Path| -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if !entry.file_type()?.is_file() || entry.file_name().as_bytes().starts_with(b"tmp_") {
                continue;
            }
            match fs::hard_link(entry.path(), into.join(entry.file_name())) {
                // A gc meanwhile replaced it; its objects are in the pack that took its place.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
                    ) => {}
                other => other?,
            }
        }
        Ok(())
    };
    // Loose objects first: what a repack moves meanwhile is then in one of the packs that are linked after them.
    let linked = (|| -> io::Result<()> {
        for fan in fs::read_dir(objects)? {
            let fan = fan?;
            if fan.file_name().len() == 2 {
                let into = keep.join(fan.file_name());
                fs::create_dir_all(&into)?;
                link_all(&fan.path(), &into)?;
            }
        }
        link_all(&objects.join("pack"), &keep.join("pack"))
    })();
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => {
            use rustix::io::Errno;
            let not_allowed = matches!(
                Errno::from_io_error(&error),
                Some(Errno::XDEV | Errno::PERM | Errno::MLINK | Errno::NOTSUP)
            );
            let _ = fs::remove_dir_all(keep);
            if not_allowed {
                Ok(false)
            } else {
                Err(failed(error))
            }
        }
    }
}

/// Makes a repository in `tree` on a branch at `commit`, its objects by alternates, and checks the commit out.
pub(super) fn check_out(
    tree: &Path,
    stores: &[PathBuf],
    git_dir: &Path,
    branch: &str,
    commit: Oid,
) -> Result<(), WorkspaceError> {
    let failed = |path: &Path, source| WorkspaceError::Io {
        action: "write",
        path: path.to_path_buf(),
        source,
    };
    let mut options = RepositoryInitOptions::new();
    options
        .no_reinit(true)
        .external_template(false)
        .initial_head(branch);
    drop(git2::Repository::init_opts(tree, &options)?);
    let own = tree.join(".git");
    let alternates = own.join("objects/info/alternates");
    let mut lines = Vec::new();
    for store in stores {
        lines.extend_from_slice(store.as_os_str().as_bytes());
        lines.push(b'\n');
    }
    fs::create_dir_all(own.join("objects/info"))
        .and_then(|()| fs::write(&alternates, lines))
        .map_err(|error| failed(&alternates, error))?;
    // What a shallow or partially ignored repository needs to be read as it is.
    for name in ["shallow", "info/exclude", "info/attributes"] {
        if let Ok(text) = fs::read(git_dir.join(name)) {
            let path = own.join(name);
            let _ = fs::create_dir_all(own.join("info"));
            fs::write(&path, text).map_err(|error| failed(&path, error))?;
        }
    }
    let repository = git2::Repository::open(tree)?;
    if let Ok(source) = git2::Config::open(&git_dir.join("config")) {
        let mut config = repository.config()?;
        for name in ["user.name", "user.email", "core.autocrlf", "core.eol"] {
            if let Ok(value) = source.get_string(name) {
                config.set_str(name, &value)?;
            }
        }
    }
    let full = format!("refs/heads/{branch}");
    repository.reference(&full, commit, true, "isolated job")?;
    repository.set_head(&full)?;
    repository.checkout_head(Some(CheckoutBuilder::new().force()))?;
    Ok(())
}

/// Checks out the submodules that the user has checked out, each as a repository of its own.
pub(super) fn submodules(
    source: &Workspace,
    base: &git2::Tree<'_>,
    tree: &Path,
    record: &mut IsolatedRecord,
) -> Result<(), WorkspaceError> {
    let mut links = Vec::new();
    base.walk(TreeWalkMode::PreOrder, |dir, entry| {
        if entry.kind() == Some(ObjectType::Commit) {
            links.push((
                path::join(dir.trim_end_matches('/').as_bytes(), entry.name_bytes()),
                entry.id(),
            ));
        }
        TreeWalkResult::Ok
    })?;
    for (place, commit) in links {
        let place = FilePath::new(place);
        let theirs = source.top().join(place.as_path());
        let opened = source
            .root()
            .open_resolved_dir(&theirs)
            .and_then(|dir| repository::git_dir_of(source.root(), dir.as_fd(), &theirs));
        let Ok(Some(git_dir)) = opened else {
            record.notes.push(format!(
                "the submodule {place} is not checked out, so it is empty here"
            ));
            continue;
        };
        let done = check_out(
            &tree.join(place.as_path()),
            &[git_dir.objects()],
            &git_dir.common,
            &record.branch,
            commit,
        );
        if let Err(error) = done {
            record.notes.push(format!(
                "the submodule {place} could not be checked out: {error}"
            ));
        }
    }
    Ok(())
}

/// A file whose state in a checkout is not the committed one.
pub(crate) struct Uncommitted {
    pub(crate) path: Vec<u8>,
    /// Its mode and content (none: too long to be read); `None` when it was deleted.
    pub(crate) now: Option<(u32, Option<Oid>)>,
}

/// What differs between a snapshot of the user's checkout and a commit's tree: the uncommitted work.
pub(crate) fn uncommitted(
    snapshot: &Base,
    repository: &git2::Repository,
    tree: &git2::Tree<'_>,
) -> Result<Vec<Uncommitted>, WorkspaceError> {
    let mut committed = std::collections::BTreeMap::new();
    tree.walk(TreeWalkMode::PreOrder, |dir, entry| {
        if entry.kind() == Some(ObjectType::Blob) {
            let path = path::join(dir.trim_end_matches('/').as_bytes(), entry.name_bytes());
            committed.insert(path, (entry.id(), entry.filemode() as u32));
        }
        TreeWalkResult::Ok
    })?;
    let sparse = |path: &[u8]| {
        snapshot
            .repositories
            .first()
            .is_some_and(|main| main.index.is_left_out(path))
    };
    let mut found = Vec::new();
    for directory in snapshot
        .directories
        .iter()
        .filter(|directory| directory.site.repository.place.is_empty())
    {
        for entry in &directory.entries {
            let path = path::join(&directory.path, directory.name(entry));
            let known = committed.remove(&path);
            let id = match entry.content {
                Content::Known(id) => Some(id),
                Content::Unread => None,
                Content::Ignored | Content::Special => continue,
            };
            let git_mode = match entry.stamp.kind() {
                Kind::Symlink => 0o120_000,
                _ if entry.stamp.mode & 0o100 != 0 => 0o100_755,
                _ => 0o100_644,
            };
            let same = match (known, id) {
                (Some((blob, mode)), Some(id)) => {
                    mode == git_mode
                        && (blob == id || only_line_ends(snapshot, repository, blob, id))
                }
                _ => false,
            };
            if !same {
                found.push(Uncommitted {
                    path,
                    now: Some((entry.stamp.mode, id)),
                });
            }
        }
    }
    found.extend(
        committed
            .into_keys()
            .filter(|path| !sparse(path))
            .map(|path| Uncommitted { path, now: None }),
    );
    Ok(found)
}

/// Whether a checked-out file differs from its blob by line ends alone, as git's conversion makes it.
fn only_line_ends(snapshot: &Base, repository: &git2::Repository, blob: Oid, id: Oid) -> bool {
    let plain = |bytes: &[u8]| -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        let mut rest = bytes.iter().peekable();
        while let Some(byte) = rest.next() {
            if !(*byte == b'\r' && rest.peek() == Some(&&b'\n')) {
                out.push(*byte);
            }
        }
        out
    };
    let (Ok(blob), Ok(bytes)) = (repository.find_blob(blob), snapshot.contents.read(id)) else {
        return false;
    };
    bytes.windows(2).any(|pair| pair == b"\r\n") && plain(&bytes) == plain(blob.content())
}

fn lay_over(
    snapshot: &Base,
    user: &git2::Repository,
    base: &git2::Tree<'_>,
    tree: &Path,
    notes: &mut Vec<String>,
) -> Result<u64, WorkspaceError> {
    let top = handles::open_dir(tree).map_err(|source| WorkspaceError::Io {
        action: "open",
        path: tree.to_path_buf(),
        source,
    })?;
    let placer = Placer::new(top.as_fd());
    let mut count = 0;
    let work = uncommitted(snapshot, user, base)?;
    // What is gone goes first: a folder may have taken a file's place.
    let (gone, here): (Vec<_>, Vec<_>) = work.into_iter().partition(|work| work.now.is_none());
    for Uncommitted { path, now } in gone.into_iter().chain(here) {
        let shown = FilePath::new(path.as_slice());
        let failed = |source| WorkspaceError::Io {
            action: "write",
            path: tree.join(shown.as_path()),
            source,
        };
        match now {
            None => {
                placer.remove(&path).map_err(failed)?;
                placer.prune(&path, |_| false);
            }
            Some((mode, Some(id))) => placer
                .put(&path, mode, &snapshot.contents.read(id)?)
                .map_err(failed)?,
            Some((_, None)) => {
                notes.push(format!("{shown} is too long to be copied into the tree"));
                continue;
            }
        }
        count += 1;
    }
    Ok(count)
}

/// Copies the ignored files that the checkout's `.worktreeinclude` names (in the form of a `.gitignore`).
fn include(
    source: &Workspace,
    rules: &UserRules,
    tree: &Path,
    notes: &mut Vec<String>,
) -> Result<u64, WorkspaceError> {
    let Ok(Bytes::Whole(text, _)) = handles::read_at(source.handle(), ".worktreeinclude", 1 << 20)
    else {
        return Ok(0);
    };
    let Some(wanted) = IgnoreRules::parse(&text, b"", None) else {
        return Ok(0);
    };
    let Some(git_dir) = repository::git_dir_of(source.root(), source.handle(), source.top())?
    else {
        return Ok(0);
    };
    let top = handles::open_dir(tree).map_err(|source| WorkspaceError::Io {
        action: "open",
        path: tree.to_path_buf(),
        source,
    })?;
    let copier = Include {
        wanted: &wanted,
        into: top.as_fd(),
        bytes: AtomicU64::new(0),
        skipped: AtomicU64::new(0),
    };
    let site = Site::of(Arc::new(Repository::read(Vec::new(), git_dir, rules)));
    let first = IncludeTask {
        site: Some(site),
        named: false,
    };
    let counts = walk(
        base::open_top(source)?,
        first,
        base::threads(),
        Worker::new,
        |worker, here, task| copier.visit(worker, here, task),
    )?;
    let skipped = copier.skipped.load(Ordering::Relaxed);
    if skipped > 0 {
        notes.push(format!("{skipped} files that .worktreeinclude names were not copied: more than {MOST_INCLUDED} bytes, or unreadable"));
    }
    Ok(counts.into_iter().sum())
}

struct Include<'a> {
    wanted: &'a IgnoreRules,
    into: BorrowedFd<'a>,
    bytes: AtomicU64,
    skipped: AtomicU64,
}

struct IncludeTask {
    /// `None` inside a directory that is ignored with all that is in it.
    site: Option<Site>,
    /// A directory above is named.
    named: bool,
}

impl Include<'_> {
    fn visit(
        &self,
        worker: &mut Worker,
        here: Here<'_>,
        task: IncludeTask,
    ) -> Result<Visited<IncludeTask, u64>, WorkspaceError> {
        let mut copied = 0;
        let mut next = Vec::new();
        let Some((dir, names)) = here
            .dir
            .ok()
            .and_then(|dir| Some((dir, Listed::read(dir, &mut worker.buffer).ok()?)))
        else {
            return Ok(Visited { result: 0, next });
        };
        // A nested repository's files are not this one's to ignore.
        if !here.path.is_empty() && names.has(b".git") {
            return Ok(Visited { result: 0, next });
        }
        let mut site = task.site;
        if let Some(site) = &mut site {
            site.enter(dir, here.path, &names);
        }
        for (_, name) in names.sorted() {
            let bytes = name.to_bytes();
            if bytes == b".git" {
                continue;
            }
            let Ok(Some(stamp)) = handles::stamp_at(dir, name) else {
                continue;
            };
            let full = path::join(here.path, bytes);
            let is_dir = stamp.kind() == Kind::Directory;
            let named = task.named || self.wanted.ignores(&full, is_dir);
            if is_dir {
                let site = site.as_ref().and_then(|site| site.child(here.path, bytes));
                next.push((CString::from(name), IncludeTask { site, named }));
                continue;
            }
            let ignored = site
                .as_ref()
                .is_none_or(|site| site.ignores_file(here.path, bytes));
            if named && ignored {
                if self.copy(dir, name, &full, &stamp).is_ok() {
                    copied += 1;
                } else {
                    self.skipped.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        Ok(Visited {
            result: copied,
            next,
        })
    }

    fn copy(
        &self,
        dir: BorrowedFd<'_>,
        name: &std::ffi::CStr,
        path: &[u8],
        stamp: &handles::Stamp,
    ) -> io::Result<()> {
        let placer = Placer::new(self.into);
        match stamp.kind() {
            Kind::Symlink => placer.put(path, stamp.mode, &handles::link_target(dir, name)?),
            Kind::File => {
                if self.bytes.fetch_add(stamp.size, Ordering::Relaxed) + stamp.size > MOST_INCLUDED
                {
                    return Err(io::Error::other("too much"));
                }
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let mut file = fs::File::from(rustix::fs::openat(dir, name, flags, Mode::empty())?);
                placer.copy(path, stamp.mode, &mut file)
            }
            Kind::Directory | Kind::Special => Ok(()),
        }
    }
}

/// A block of ports that is a job's own as long as this lives, for WORKER_PORT_BASE.
#[derive(Debug)]
pub struct PortBase {
    base: u16,
    _lock: fs::File,
}

impl PortBase {
    /// How many ports are in a block.
    pub const PORTS: u16 = 20;

    /// Reserves a block among the jobs of this user (by a lock in `folder`) whose ports nobody listens on just now.
    ///
    /// # Errors
    /// When the folder cannot be written, or no block is free.
    pub fn reserve(folder: &Path) -> Result<Self, WorkspaceError> {
        const FIRST: u16 = 20_000;
        const BLOCKS: u16 = 600;
        let failed = |source| WorkspaceError::Io {
            action: "write",
            path: folder.to_path_buf(),
            source,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed)?;
        for block in 0..BLOCKS {
            let base = FIRST + block * Self::PORTS;
            let path = folder.join(format!("{base}.lock"));
            let lock = fs::OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(path)
                .map_err(failed)?;
            if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            let free = (base..base + Self::PORTS)
                .all(|port| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok());
            if free {
                return Ok(Self { base, _lock: lock });
            }
        }
        Err(WorkspaceError::Isolation {
            what: "no block of ports is free".to_owned(),
        })
    }

    /// The first port of the block.
    pub fn base(&self) -> u16 {
        self.base
    }
}
