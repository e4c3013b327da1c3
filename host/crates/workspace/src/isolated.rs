//! A tree and a git directory of a job's own (WORKER_ISOLATION=worktree).
//!
//! Not a linked worktree: its `.git` would hand the agent the user's repository. Instead a small repository whose objects
//! come by alternates from hard links to the user's packs, which a `git gc` there cannot take away, and which lie where the
//! agent cannot write. The user's repository is only read.

use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::base::Base;
use crate::checkout::{Origin, check_out, keep_objects, submodules};
use crate::contents::Limits;
use crate::earlier::Earlier;
use crate::error::WorkspaceError;
use crate::handles;
use crate::include::include;
use crate::path::FilePath;
use crate::put::Placer;
use crate::record::{IsolatedRecord, RECORD};
use crate::repository::UserRules;
use crate::root::Root;
use crate::source::{self, Uncommitted, open_source, short, uncommitted};
use crate::workspace::{self, Workspace};

/// The request for an isolated tree.
#[derive(Debug, Clone)]
pub struct IsolatedRequest<'a> {
    /// The user's checkout, with the job's directories.
    pub source: &'a Workspace,
    /// The job's own folder; `tree`, `keep` and `result` are made in it.
    pub folder: &'a Path,
    /// The job; names the branch: `worker/<name>`.
    pub name: &'a str,
    /// A branch, tag or commit to start from; HEAD when absent.
    pub base: Option<&'a str>,
    /// True if the checkout's uncommitted work is laid over the base.
    pub include_dirty: bool,
    /// The limits, as for [`Base::capture`].
    pub limits: Limits,
}

/// The state of a checkout at an earlier moment, from which several trees start alike.
#[derive(Debug, Clone)]
pub struct Pinned<'a> {
    /// The commit that the base named then.
    pub commit: &'a str,
    /// A copy of the checkout whose uncommitted work is taken in place of the checkout's.
    pub copy: Option<&'a Workspace>,
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

impl Isolated {
    /// Makes the tree.
    ///
    /// # Errors
    /// When the base names no commit, `include_dirty` is asked for another base than HEAD, the tree came out empty, or the
    /// job's directories are not in it.
    pub fn create(request: &IsolatedRequest<'_>) -> Result<Self, WorkspaceError> {
        Self::create_at(request, None)
    }

    /// Makes the tree from a state of the checkout that was pinned before.
    ///
    /// # Errors
    /// As [`Isolated::create`].
    pub fn create_at(
        request: &IsolatedRequest<'_>,
        pinned: Option<&Pinned<'_>>,
    ) -> Result<Self, WorkspaceError> {
        let source = request.source;
        let refuse = |what: String| WorkspaceError::Isolation { what };
        let user = open_source(source.top())?;
        let base_name = request.base.unwrap_or("HEAD");
        let named = pinned.map_or(base_name, |pinned| pinned.commit);
        let commit = user
            .revparse_single(named)
            .and_then(|object| object.peel_to_commit())
            .map_err(|_| {
                refuse(format!(
                    "base {named:?} names no commit of {}",
                    source.top().display()
                ))
            })?;
        let base_commit = commit.id();
        let dirty = pinned.and_then(|pinned| pinned.copy).unwrap_or(source);
        if request.include_dirty && base_commit.to_string() != dirty.head_commit() {
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
            private::make_folder(folder).map_err(|error| made(folder, error))?;
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
            set_up_files: 0,
            notes: Vec::new(),
            results: Vec::new(),
            compared_with: None,
            small: false,
            tampered: false,
            stores: Vec::new(),
        };
        let objects = source.git_dir().join("objects");
        let stop = &request.limits.interrupt;
        let kept = keep_objects(&objects, &request.folder.join("keep/objects"), stop)?;
        if !kept {
            record.notes.push(
                "the base's objects could not be hard-linked (another file system): a gc in the repository may take them".to_owned(),
            );
        }
        let origin = Origin::of(source);
        let own = source.own_object_stores();
        let kept = kept.then(|| request.folder.join("keep/objects"));
        let stores: Vec<_> = kept.into_iter().chain(own.iter().cloned()).collect();
        record.stores = own;
        check_out(&tree, &stores, &origin, &record.branch, base_commit, stop)?;
        if let Some((form, way)) = source.unwritable_index() {
            record.notes.push(format!(
                "the checkout has {form}: apply with how: patch, or run `{way}` before another apply"
            ));
        }
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
        submodules(source, &commit.tree()?, &tree, &mut record, stop)?;
        if request.include_dirty {
            let snapshot = Base::capture(dirty, &storage, request.limits.clone())?;
            record.dirty_files =
                lay_over(&snapshot, &user, &commit.tree()?, &tree, &mut record.notes)?;
        }
        record.included_files = include(source, &rules, &tree, &mut record.notes, stop)?;
        let isolated = Self {
            workspace: open_tree(request.folder, &tree, &record)?,
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
            workspace: open_tree(folder, &folder.join("tree"), &record)?,
            record,
            folder: folder.to_path_buf(),
            job: job.to_owned(),
        })
    }

    /// The name of a lock for the checkout that the tree was made from.
    ///
    /// # Errors
    /// The checkout is gone.
    pub fn source_lock_name(&self) -> Result<String, WorkspaceError> {
        let source = &self.record.source;
        let handle = handles::open_dir(source).map_err(|error| WorkspaceError::Io {
            action: "open",
            path: source.clone(),
            source: error,
        })?;
        Ok(workspace::lock_name(&handle))
    }

    /// The tree as a place to work in; SANDBOX_ROOT of the job is the tree itself.
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// The record of it.
    pub fn record(&self) -> &IsolatedRecord {
        &self.record
    }

    /// Folders outside the tree that the agent's git must be able to read: the kept objects, and the repository's own,
    /// wherever they lie (the checkout may itself be a linked worktree).
    pub fn read_paths(&self) -> Vec<PathBuf> {
        stores_of(&self.folder, &self.record)
    }

    /// The changes of the jobs before this one; none when it is the first.
    pub fn earlier(&self) -> Option<Earlier> {
        (!self.record.results.is_empty()).then(|| Earlier::at(self.folder.join("result")))
    }

    /// Notes how many files that the rules do not ignore a set-up changed.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub fn record_setup(&mut self, files: u64) -> Result<(), WorkspaceError> {
        self.update(|record| record.set_up_files = files)
    }

    /// The same result, as if its tree had been made from this one; its record on disk stays as it is.
    pub(crate) fn with_source(&self, source: &Self) -> Self {
        let top = source.workspace.top();
        let stores = source.read_paths().into_iter().chain(self.read_paths());
        Self {
            workspace: self.workspace.clone(),
            record: IsolatedRecord {
                source: top.to_owned(),
                root: top.to_owned(),
                stores: stores.collect(),
                ..self.record.clone()
            },
            folder: self.folder.clone(),
            job: self.job.clone(),
        }
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
        for name in ["tree", "keep", "result", "source", "left"] {
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

/// The folders of objects outside the tree in `folder` that its git reads, as the host chose them: what the tree's own
/// alternates say now is the agent's word.
fn stores_of(folder: &Path, record: &IsolatedRecord) -> Vec<PathBuf> {
    let mut paths = vec![folder.join("keep"), folder.join("result/objects")];
    paths.retain(|path| path.is_dir());
    match record.stores.is_empty() {
        // Recorded by an earlier version.
        true => paths.push(source::source_objects(&record.source)),
        false => paths.extend(record.stores.iter().cloned()),
    }
    paths
}

fn open_tree(
    folder: &Path,
    tree: &Path,
    record: &IsolatedRecord,
) -> Result<Workspace, WorkspaceError> {
    let root = Root::open(tree)?.with_stores(stores_of(folder, record))?;
    Workspace::open_as_it_is(&root, &record.dirs).map_err(|error| match error {
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
