//! Making a repository of a job's own: objects by alternates, a branch, the files, the submodules.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use git2::{ObjectType, Oid, RepositoryInitOptions, TreeWalkMode, TreeWalkResult};
use rustix::io::Errno;

use crate::error::WorkspaceError;
use crate::handles;
use crate::index::Index;
use crate::index_entry::{entry, stamped};
use crate::interrupt::Interrupt;
use crate::path::{self, FilePath};
use crate::put::{self, Placer};
use crate::record::IsolatedRecord;
use crate::repository::{self, GitDir, Repository, UserRules};
use crate::root::Root;
use crate::tamper;
use crate::tree_rules::TreeRules;
use crate::workspace::Workspace;

/// Hard-links every object file of a repository into `keep`; `false` when the file system does not allow it.
pub(crate) fn keep_objects(
    objects: &Path,
    keep: &Path,
    stop: &Interrupt,
) -> Result<bool, WorkspaceError> {
    let failed = |source| WorkspaceError::Io {
        action: "link objects into",
        path: keep.to_path_buf(),
        source,
    };
    private::make_folder(&keep.join("pack")).map_err(failed)?;
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
            stop.check().map_err(io::Error::other)?;
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
            stop.check()?;
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

/// The repository that a tree is made from.
pub(crate) struct Origin {
    /// The common git directory.
    git_dir: PathBuf,
    /// The targets of its tags, branches and remote-tracking branches.
    refs: Vec<(Vec<u8>, Oid)>,
    /// The files that a sparse checkout leaves out.
    index: Option<Index>,
}

impl Origin {
    /// The user's checkout, with all names of commits.
    pub(crate) fn of(source: &Workspace) -> Self {
        Self {
            git_dir: source.git_dir().to_path_buf(),
            refs: source.git_state().named().collect(),
            index: source.index(),
        }
    }

    /// A submodule, whose names of commits stay its own.
    fn of_submodule(git_dir: &GitDir) -> Self {
        Self {
            git_dir: git_dir.common.clone(),
            refs: Vec::new(),
            index: tamper::read_index(git_dir.handle.as_fd()),
        }
    }

    fn leaves_out(&self, path: &[u8]) -> bool {
        let mut index = self.index.iter();
        index.any(|index| index.is_left_out(path))
    }

    /// Returns true if objects may be missing that git would fetch when it needs them (`git clone --filter`).
    pub(crate) fn is_partial(&self) -> bool {
        let packs = fs::read_dir(self.git_dir.join("objects/pack"));
        let mut names = packs.into_iter().flatten().flatten();
        names.any(|entry| entry.file_name().as_bytes().ends_with(b".promisor"))
    }
}

/// Makes a repository in `tree` on a branch at `commit`, its objects by alternates, and writes the commit's files. Where
/// the origin is a sparse checkout, the tree is the same part of it.
pub(crate) fn check_out(
    tree: &Path,
    stores: &[PathBuf],
    origin: &Origin,
    branch: &str,
    commit: Oid,
    stop: &Interrupt,
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
    for name in [
        "shallow",
        "info/exclude",
        "info/attributes",
        "info/sparse-checkout",
    ] {
        if let Ok(text) = fs::read(origin.git_dir.join(name)) {
            let path = own.join(name);
            let _ = fs::create_dir_all(own.join("info"));
            fs::write(&path, text).map_err(|error| failed(&path, error))?;
        }
    }
    let repository = git2::Repository::open(tree)?;
    if let Ok(source) = git2::Config::open(&origin.git_dir.join("config")) {
        let mut config = repository.config()?;
        for name in ["user.name", "user.email", "core.autocrlf", "core.eol"] {
            if let Ok(value) = source.get_string(name) {
                config.set_str(name, &value)?;
            }
        }
        // Names of remotes without their addresses, which may hold a password and lead nowhere from a job.
        for remote in remotes(&source) {
            let refs = format!("+refs/heads/*:refs/remotes/{remote}/*");
            config.set_str(&format!("remote.{remote}.fetch"), &refs)?;
        }
    }
    let full = format!("refs/heads/{branch}");
    let packed = own.join("packed-refs");
    fs::write(&packed, packed_refs(&origin.refs, full.as_bytes()))
        .map_err(|error| failed(&packed, error))?;
    repository.reference(&full, commit, true, "isolated job")?;
    repository.set_head(&full)?;
    let files = repository.find_commit(commit)?.tree()?;
    write_files(&repository, &files, tree, origin, stop)
}

fn remotes(config: &git2::Config) -> Vec<String> {
    let mut names = Vec::new();
    if let Ok(mut entries) = config.entries(Some(r"^remote\..*\.url$")) {
        while let Some(Ok(entry)) = entries.next() {
            let name = entry.name().ok().and_then(|name| {
                let name = name.strip_prefix("remote.")?.strip_suffix(".url")?;
                Some(name.to_owned())
            });
            names.extend(name);
        }
    }
    names
}

/// The file that names all commits of the origin, but for what is in the way of the branch `own`.
fn packed_refs(refs: &[(Vec<u8>, Oid)], own: &[u8]) -> Vec<u8> {
    let mut text = b"# pack-refs with: sorted \n".to_vec();
    for (name, id) in refs {
        if path::is_within(own, name) || path::is_within(name, own) {
            continue;
        }
        text.extend_from_slice(id.to_string().as_bytes());
        text.push(b' ');
        text.extend_from_slice(name);
        text.push(b'\n');
    }
    text
}

/// Writes the files of a commit into an empty tree, converted as git converts them, and the index that goes with them.
///
/// libgit2's own checkout resolves each path again (20 system calls a file, 400,000 for 20,000 files), knows no
/// `working-tree-encoding` and no sparse checkout; this takes five calls a file.
fn write_files(
    repository: &git2::Repository,
    files: &git2::Tree<'_>,
    tree: &Path,
    origin: &Origin,
    stop: &Interrupt,
) -> Result<(), WorkspaceError> {
    let failed = |path: &[u8], source: io::Error| WorkspaceError::Io {
        action: "write",
        path: tree.join(FilePath::new(path).as_path()),
        source,
    };
    let root = Root::open(tree)?;
    let top = handles::open_dir(tree).map_err(|source| failed(b"", source))?;
    let git_dir = repository::git_dir_of(&root, top.as_fd(), tree)?.ok_or_else(|| {
        WorkspaceError::Isolation {
            what: format!("{} has no git directory", tree.display()),
        }
    })?;
    let own = Repository::read(Vec::new(), git_dir, &UserRules::load());
    let mut rules = TreeRules::of_tree(&own, repository, files);
    let odb = repository.odb()?;
    let placer = Placer::new(top.as_fd());
    let mut entries = Vec::new();
    // Not by recursion: a commit may nest folders without end.
    let mut pending = vec![(Vec::new(), files.id())];
    while let Some((dir, id)) = pending.pop() {
        let mut folder = None;
        for item in repository.find_tree(id)?.iter() {
            stop.check()?;
            let path = path::join(&dir, item.name_bytes());
            let mode = item.filemode() as u32;
            match item.kind() {
                Some(ObjectType::Tree) => {
                    pending.push((path, item.id()));
                    continue;
                }
                Some(ObjectType::Commit) => {
                    placer
                        .make_dir(&path)
                        .map_err(|source| failed(&path, source))?;
                    let mut entry = entry(&path, mode, item.id());
                    entry.mode = GITLINK;
                    entries.push(entry);
                    continue;
                }
                _ => {}
            }
            let mut entry = entry(&path, mode, item.id());
            if origin.leaves_out(&path) {
                entry.flags = EXTENDED;
                entry.flags_extended = SKIP_WORKTREE;
                entries.push(entry);
                continue;
            }
            let object = odb
                .read(item.id())
                .map_err(|_| missing(origin, &path, item.id()))?;
            let converted = match mode & 0o170_000 {
                0o120_000 => Ok(Cow::Borrowed(object.data())),
                _ => rules.conversion(&path).to_worktree(object.data()),
            };
            // git itself leaves a file as it is committed when it cannot be converted, and says so.
            let bytes = converted.unwrap_or(Cow::Borrowed(object.data()));
            let folder = match &folder {
                Some(folder) => folder,
                None => folder.insert(
                    placer
                        .open_dir(&dir)
                        .map_err(|source| failed(&dir, source))?,
                ),
            };
            let stamp = put::create_as_git(folder.as_fd(), item.name_bytes(), mode, &bytes)
                .map_err(|source| failed(&path, source))?;
            stamped(&mut entry, &stamp);
            entries.push(entry);
        }
    }
    if entries.iter().any(|entry| entry.flags_extended != 0) {
        repository.config()?.set_bool("core.sparseCheckout", true)?;
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    // By its file, not of the repository: that one would refuse the entries of a partial clone whose objects are promised.
    let mut index = git2::Index::open(&own.git_dir.path.join("index"))?;
    for entry in &entries {
        index.add(entry)?;
    }
    index.write()?;
    Ok(())
}

const GITLINK: u32 = 0o160_000;
/// The flag of an index entry that has further flags.
const EXTENDED: u16 = 0x4000;
/// The further flag of a file that a sparse checkout leaves out.
const SKIP_WORKTREE: u16 = 0x4000;

fn missing(origin: &Origin, path: &[u8], id: Oid) -> WorkspaceError {
    if origin.is_partial() {
        return WorkspaceError::Isolation {
            what: format!(
                "the clone is partial (git clone --filter) and lacks the content of {}, which is not fetched for a job; \
                 run `git fetch --refetch --no-filter` in it, narrow it with `git sparse-checkout`, or work without isolation",
                FilePath::new(path)
            ),
        };
    }
    WorkspaceError::ObjectGone {
        object: id.to_string(),
    }
}

/// Checks out the submodules that the user has checked out, nested ones too, each as a repository of its own.
pub(crate) fn submodules(
    source: &Workspace,
    base: &git2::Tree<'_>,
    tree: &Path,
    record: &mut IsolatedRecord,
    stop: &Interrupt,
) -> Result<(), WorkspaceError> {
    let mut pending = gitlinks(base, b"")?;
    while let Some((place, commit)) = pending.pop() {
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
        let stores = git_dir.object_stores().to_vec();
        let here = tree.join(place.as_path());
        let origin = Origin::of_submodule(&git_dir);
        let done = check_out(&here, &stores, &origin, &record.branch, commit, stop);
        stop.check()?;
        record.stores.extend(stores);
        let nested = done.and_then(|()| {
            let repository = git2::Repository::open(&here)?;
            let files = repository.find_commit(commit)?.tree()?;
            gitlinks(&files, place.as_bytes())
        });
        match nested {
            Ok(nested) => pending.extend(nested),
            Err(error) => record.notes.push(format!(
                "the submodule {place} could not be checked out: {error}"
            )),
        }
    }
    Ok(())
}

/// The submodules that a tree pins, with their places below `top`.
pub(crate) fn gitlinks(
    files: &git2::Tree<'_>,
    top: &[u8],
) -> Result<Vec<(Vec<u8>, Oid)>, WorkspaceError> {
    let mut links = Vec::new();
    files.walk(TreeWalkMode::PreOrder, |dir, entry| {
        if entry.kind() == Some(ObjectType::Commit) {
            let below = path::join(dir.trim_end_matches('/').as_bytes(), entry.name_bytes());
            links.push((path::join(top, &below), entry.id()));
        }
        TreeWalkResult::Ok
    })?;
    Ok(links)
}
