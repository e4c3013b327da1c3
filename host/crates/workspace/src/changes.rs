//! What a job changed: every file whose bytes, kind or permissions differ from the base, found by looking.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::CString;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use git2::Oid;
use serde::Serialize;
use sha2::Digest as _;

use super::base::{self, Base, Content, Entry, Site, Worker};
use super::contents::{Contents, blob_id};
use super::handles::{self, Kind, Stamp};
use super::path::{self, FilePath};
use super::tamper::{DotGit, DotGitChange, GitChange};
use super::walk::{Here, Listed, Visited, walk};
use super::{Workspace, WorkspaceError};

/// How a file differs from the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It was not there.
    Added,
    /// Its content differs.
    Modified,
    /// It is gone.
    Deleted,
    /// It was there under another name; its content may differ too.
    Renamed,
    /// It was a file and is a symbolic link, or the other way round, or something else entirely.
    TypeChanged,
    /// Only its permissions differ (execution, setuid, setgid, sticky).
    ModeChanged,
}

/// A submodule's commit before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Submodule {
    /// The commit it was at.
    pub from: Option<String>,
    /// The commit it is at.
    pub to: Option<String>,
}

/// One side of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileState {
    pub(crate) mode: u32,
    pub(crate) size: u64,
    pub(crate) links: u32,
    pub(crate) content: Content,
}

impl FileState {
    fn of(stamp: &Stamp, content: Content) -> Self {
        Self {
            mode: stamp.mode,
            size: stamp.size,
            links: stamp.links,
            content,
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        kind_of(self.mode)
    }

    /// The mode as git writes it.
    pub(crate) fn git_mode(&self) -> u32 {
        match self.kind() {
            Kind::Symlink => 0o120_000,
            _ if self.mode & 0o100 != 0 => 0o100_755,
            _ => 0o100_644,
        }
    }

    pub(crate) fn id(&self) -> Option<Oid> {
        match self.content {
            Content::Known(id) => Some(id),
            _ => None,
        }
    }

    /// Whether two states are the same for everybody who reads or runs the file.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.kind() == other.kind()
            && self.content == other.content
            && !mode_differs(self.mode, other.mode)
            && (self.content != Content::Unread || self.size == other.size)
    }
}

fn kind_of(mode: u32) -> Kind {
    match mode & 0o170_000 {
        0o100_000 => Kind::File,
        0o120_000 => Kind::Symlink,
        0o040_000 => Kind::Directory,
        _ => Kind::Special,
    }
}

/// Execution and the special bits count; whether a rewritten file is group-writable does not.
fn mode_differs(before: u32, now: u32) -> bool {
    const TELLING: u32 = 0o7100;
    kind_of(now) != Kind::Symlink && (before & TELLING) != (now & TELLING)
}

/// A file that differs from the base.
#[derive(Debug, Clone, Serialize)]
pub struct ChangedFile {
    /// Relative to the working directory; begins with `..` where it lies beside it.
    pub path: FilePath,
    /// Relative to the working tree's top.
    #[serde(skip)]
    pub top_path: FilePath,
    /// How it differs.
    pub kind: ChangeKind,
    /// What a renamed file was called, relative to the working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_path: Option<FilePath>,
    /// The same relative to the top.
    #[serde(skip)]
    pub previous_top_path: Option<FilePath>,
    /// Bytes now; 0 when it is gone.
    pub size: u64,
    /// Whether either side is no text (git's rule: a NUL in the first 8,000 bytes).
    pub binary: bool,
    /// Whether all its paths lie in the allowed directories.
    pub allowed: bool,
    /// Whether it is or was a symbolic link.
    pub symlink: bool,
    /// Whether it has further names (hard links), which may lie anywhere.
    pub hard_linked: bool,
    /// Whether it is a FIFO, a socket or a device.
    pub special: bool,
    /// Whether it could not be read (too long, or no permission): then it counts as changed when its stamp moved.
    pub unreadable: bool,
    /// The repository nested in the tree that it lies in, relative to the top.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nested_repository: Option<FilePath>,
    /// Set when this is not a file but a submodule that is at another commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submodule: Option<Submodule>,
    #[serde(skip)]
    pub(crate) before: Option<FileState>,
    #[serde(skip)]
    pub(crate) now: Option<FileState>,
}

impl ChangedFile {
    /// Every path that this change touches, relative to the working directory: two for a rename.
    pub fn paths(&self) -> impl Iterator<Item = &FilePath> {
        self.previous_path.iter().chain(std::iter::once(&self.path))
    }
}

/// Everything that differs from the base at one moment. Contents were copied when it was taken: what happens to the tree
/// afterwards changes nothing here.
#[derive(Debug, Clone)]
pub struct Changes {
    /// Sorted by path.
    pub files: Vec<ChangedFile>,
    /// How many files that the base's rules ignore were made, changed or deleted.
    pub ignored: u64,
    /// Their paths (relative to the working directory), the first 10,000 of them. Deletions inside ignored directories are
    /// not seen: those are only looked at afterwards.
    pub ignored_files: Vec<FilePath>,
    /// What was done to git itself.
    pub git: Vec<GitChange>,
    /// Directories that cannot be listed any more, relative to the working directory: what is in them is not known, so
    /// they count as changed.
    pub unreadable_dirs: Vec<FilePath>,
    pub(crate) contents: Arc<Contents>,
    pub(crate) work_prefix: Vec<u8>,
}

const MOST_IGNORED_PATHS: usize = 10_000;

impl Changes {
    /// Whether no file differs from the base.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.unreadable_dirs.is_empty()
    }

    /// The change at a path relative to the working directory, by its new or its previous name.
    pub fn find(&self, path: &[u8]) -> Option<&ChangedFile> {
        let by = |wanted: fn(&ChangedFile) -> Option<&FilePath>| {
            self.files
                .iter()
                .find(move |file| wanted(file).is_some_and(|known| known.as_bytes() == path))
        };
        by(|file| Some(&file.path)).or_else(|| by(|file| file.previous_path.as_ref()))
    }

    /// The changed files that lie outside the allowed directories.
    pub fn outside(&self) -> impl Iterator<Item = &ChangedFile> {
        self.files.iter().filter(|file| !file.allowed)
    }

    /// At most `len` bytes at `offset` of a changed file as the agent left it.
    ///
    /// # Errors
    /// When the file is not among the changes, is gone, or was not kept.
    pub fn read(&self, path: &[u8], offset: u64, len: u64) -> Result<Vec<u8>, WorkspaceError> {
        self.side(path, |file| file.now, offset, len)
    }

    /// The same of the file as it was before the job.
    ///
    /// # Errors
    /// As [`Changes::read`].
    pub fn read_before(
        &self,
        path: &[u8],
        offset: u64,
        len: u64,
    ) -> Result<Vec<u8>, WorkspaceError> {
        self.side(path, |file| file.before, offset, len)
    }

    fn side(
        &self,
        path: &[u8],
        side: fn(&ChangedFile) -> Option<FileState>,
        offset: u64,
        len: u64,
    ) -> Result<Vec<u8>, WorkspaceError> {
        let not_kept = |why| WorkspaceError::NotKept {
            path: FilePath::new(path),
            why,
        };
        let file = self
            .find(path)
            .ok_or_else(|| not_kept("it is not among the changed files"))?;
        let state =
            side(file).ok_or_else(|| not_kept("it is not there on this side of the change"))?;
        let id = state
            .id()
            .ok_or_else(|| not_kept("it is too long, or no file"))?;
        let bytes = self.contents.read(id)?;
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let end = start
            .saturating_add(usize::try_from(len).unwrap_or(usize::MAX))
            .min(bytes.len());
        Ok(bytes.get(start..end).unwrap_or_default().to_vec())
    }

    /// A fingerprint of what differs, the same for the same result: tells a revise pass that changed nothing.
    pub fn digest(&self) -> String {
        let mut hasher = sha2::Sha256::new();
        for file in &self.files {
            hasher.update(file.top_path.as_bytes());
            hasher.update([0]);
            for state in [&file.before, &file.now] {
                match state {
                    None => hasher.update([0]),
                    Some(state) => {
                        hasher.update([1]);
                        hasher.update(state.git_mode().to_be_bytes());
                        hasher.update(state.size.to_be_bytes());
                        if let Some(id) = state.id() {
                            hasher.update(id.as_bytes());
                        }
                    }
                }
            }
            if let Some(submodule) = &file.submodule {
                hasher.update(submodule.to.as_deref().unwrap_or_default());
            }
        }
        for dir in &self.unreadable_dirs {
            hasher.update(dir.as_bytes());
        }
        let digest: [u8; 32] = hasher.finalize().into();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What putting files back came to, paths relative to the working directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reverted {
    /// Put back as they were.
    pub files: Vec<FilePath>,
    /// Not put back, and why.
    pub failed: Vec<(FilePath, String)>,
}

/// What one directory's visit found.
#[derive(Default)]
struct Found {
    path: Vec<u8>,
    changed: Vec<(Vec<u8>, Option<FileState>, Option<FileState>)>,
    ignored: u64,
    ignored_files: Vec<Vec<u8>>,
    /// A repository stands here, and none did.
    new_repository: bool,
    unreadable: bool,
    visited: bool,
}

impl Found {
    fn ignored(&mut self, path: Vec<u8>) {
        self.ignored += 1;
        if self.ignored_files.len() < MOST_IGNORED_PATHS {
            self.ignored_files.push(path);
        }
    }
}

/// What a visit needs to know.
enum Task {
    /// Compare with the base's directory (if there was one) under the rules of the site.
    Compare(Option<usize>, Site),
    /// Count the ignored files that were touched since the base was complete.
    CountIgnored,
}

impl Base {
    /// Looks at the tree again and tells all that differs. Takes copies of what it finds, so that the answer stays true
    /// when checks write into the tree later.
    ///
    /// # Errors
    /// When the tree cannot be walked (too many files), or the job's own folder cannot be written.
    pub fn changes(&self) -> Result<Changes, WorkspaceError> {
        let (top, top_change) = self.top_now()?;
        let slack =
            i64::try_from(self.contents.limits().stamp_slack.as_nanos()).unwrap_or(i64::MAX);
        let look = Look {
            base: self,
            files: AtomicU64::new(0),
            racy_from: self.begun.saturating_sub(slack),
        };
        let looked = top
            .as_ref()
            .map(|top| top.try_clone())
            .transpose()
            .map_err(|source| WorkspaceError::Io {
                action: "open",
                path: self.workspace.top().to_path_buf(),
                source,
            })?;
        let found = match top {
            Some(top) => {
                let first = self
                    .directories
                    .first()
                    .filter(|directory| directory.path.is_empty());
                match first {
                    Some(first) => {
                        let task = Task::Compare(Some(0), first.site.clone());
                        walk(
                            top,
                            task,
                            base::threads(),
                            Worker::new,
                            |worker, here, task| look.visit(worker, here, task),
                        )?
                    }
                    None => Vec::new(),
                }
            }
            None => Vec::new(),
        };
        let mut raw: BTreeMap<Vec<u8>, (Option<FileState>, Option<FileState>)> = BTreeMap::new();
        let mut ignored = 0;
        let mut ignored_files = Vec::new();
        let mut unreadable = Vec::new();
        let mut git: Vec<GitChange> = top_change
            .map(|how| GitChange::Top { how })
            .into_iter()
            .collect();
        let mut visited: HashSet<Vec<u8>> = HashSet::with_capacity(found.len());
        for found in found {
            ignored += found.ignored;
            ignored_files.extend(found.ignored_files);
            raw.extend(
                found
                    .changed
                    .into_iter()
                    .map(|(path, before, now)| (path, (before, now))),
            );
            if found.new_repository {
                git.push(GitChange::NestedRepository {
                    repository: FilePath::new(found.path.as_slice()),
                });
            }
            if found.unreadable {
                unreadable.push(found.path.clone());
            }
            if found.visited {
                visited.insert(found.path);
            }
        }
        let hidden = |path: &[u8]| unreadable.iter().any(|dir| path::is_within(path, dir));
        for directory in &self.directories {
            if visited.contains(&directory.path) || directory.unreadable || hidden(&directory.path)
            {
                continue;
            }
            for entry in &directory.entries {
                let path = path::join(&directory.path, directory.name(entry));
                if entry.content == Content::Ignored {
                    ignored += 1;
                    ignored_files.push(path);
                } else {
                    raw.insert(
                        path,
                        (Some(FileState::of(&entry.stamp, entry.content)), None),
                    );
                }
            }
        }
        self.see_earlier(looked.as_ref().map(|top| top.as_fd()), &mut raw)?;
        self.leave_out_settled(&mut raw);
        let files = self.classify(raw);
        git.extend(self.git_changes(&files));
        let work_prefix = self.workspace.work_prefix().to_vec();
        let shown = |path: &[u8]| FilePath::new(path::relative_to(path, &work_prefix));
        ignored_files.sort_unstable();
        ignored_files.truncate(MOST_IGNORED_PATHS);
        unreadable.sort_unstable();
        let mut changes = Changes {
            files,
            ignored,
            ignored_files: ignored_files.iter().map(|path| shown(path)).collect(),
            git,
            unreadable_dirs: unreadable.iter().map(|path| shown(path)).collect(),
            contents: Arc::clone(&self.contents),
            work_prefix: work_prefix.clone(),
        };
        self.add_submodules(&mut changes);
        changes.files.sort_by(|a, b| a.top_path.cmp(&b.top_path));
        for file in &mut changes.files {
            file.binary = is_binary(&self.contents, file);
        }
        Ok(changes)
    }

    /// Takes what changed since `taken` for the doing of the checks that ran in between: no later look blames the agent
    /// for it. A file that the agent had changed as well stays the agent's.
    ///
    /// # Errors
    /// As [`Base::changes`].
    pub fn settle(&mut self, taken: &Changes) -> Result<(), WorkspaceError> {
        let now = self.changes()?;
        let agents: HashSet<&FilePath> = taken
            .files
            .iter()
            .flat_map(|file| std::iter::once(&file.top_path).chain(&file.previous_top_path))
            .collect();
        let mut settled = Vec::new();
        for file in &now.files {
            if file.submodule.is_some() {
                continue;
            }
            let sides = [
                (Some(&file.top_path), file.now),
                (file.previous_top_path.as_ref(), None),
            ];
            for (path, state) in sides {
                if let Some(path) = path.filter(|path| !agents.contains(path)) {
                    settled.push((path.as_bytes().to_vec(), state));
                }
            }
        }
        self.settled.extend(settled);
        Ok(())
    }

    fn leave_out_settled(
        &self,
        raw: &mut BTreeMap<Vec<u8>, (Option<FileState>, Option<FileState>)>,
    ) {
        for (path, settled) in &self.settled {
            let Some((before, now)) = raw.get_mut(path) else {
                continue;
            };
            let same = match (&settled, &now) {
                (None, None) => true,
                (Some(settled), Some(now)) => settled.same(now),
                _ => false,
            };
            if same {
                raw.remove(path);
            } else {
                *before = *settled;
            }
        }
    }

    /// The top as its path leads there now; without a handle when it is gone, and with what happened to it.
    fn top_now(
        &self,
    ) -> Result<(Option<std::os::fd::OwnedFd>, Option<DotGitChange>), WorkspaceError> {
        match self
            .workspace
            .root()
            .open_resolved_dir(self.workspace.top())
        {
            Ok(handle) => {
                let same = handles::identity(&handle).ok()
                    == handles::identity(self.workspace.handle()).ok();
                Ok((Some(handle), (!same).then_some(DotGitChange::Replaced)))
            }
            Err(WorkspaceError::Missing { .. }) => Ok((None, Some(DotGitChange::Removed))),
            // A symbolic link or a file in its place: nothing of the tree is there any more.
            Err(_) => Ok((None, Some(DotGitChange::Replaced))),
        }
    }

    fn nested_of(&self, path: &[u8]) -> Option<FilePath> {
        self.repositories
            .iter()
            .filter(|repository| {
                !repository.place.is_empty() && path::is_within(path, &repository.place)
            })
            .max_by_key(|repository| repository.place.len())
            .map(|repository| FilePath::new(repository.place.as_slice()))
    }

    /// Pairs what went with what came, and names each change.
    fn classify(
        &self,
        raw: BTreeMap<Vec<u8>, (Option<FileState>, Option<FileState>)>,
    ) -> Vec<ChangedFile> {
        let mut renames = renames(&raw, &self.contents);
        let sources: HashSet<Vec<u8>> = renames.values().cloned().collect();
        let mut files = Vec::with_capacity(raw.len());
        for (path, (before, now)) in &raw {
            if sources.contains(path) && now.is_none() {
                continue;
            }
            let previous = renames.remove(path);
            let before = match &previous {
                Some(previous) => raw.get(previous).and_then(|(before, _)| *before),
                None => *before,
            };
            let kind = match (&before, now) {
                _ if previous.is_some() => ChangeKind::Renamed,
                (None, _) => ChangeKind::Added,
                (Some(_), None) => ChangeKind::Deleted,
                (Some(before), Some(now)) if before.kind() != now.kind() => ChangeKind::TypeChanged,
                (Some(before), Some(now))
                    if before.content == now.content && before.content != Content::Unread =>
                {
                    ChangeKind::ModeChanged
                }
                _ => ChangeKind::Modified,
            };
            files.push(self.changed_file(path, previous.as_deref(), kind, before, *now));
        }
        files
    }

    fn changed_file(
        &self,
        path: &[u8],
        previous: Option<&[u8]>,
        kind: ChangeKind,
        before: Option<FileState>,
        now: Option<FileState>,
    ) -> ChangedFile {
        let work = self.workspace.work_prefix();
        let shown = |path: &[u8]| FilePath::new(path::relative_to(path, work));
        let either = |test: fn(&FileState) -> bool| before.iter().chain(now.iter()).any(test);
        ChangedFile {
            path: shown(path),
            top_path: FilePath::new(path),
            kind,
            previous_path: previous.map(shown),
            previous_top_path: previous.map(FilePath::new),
            size: now.map_or(0, |now| now.size),
            binary: false,
            allowed: std::iter::once(path)
                .chain(previous)
                .all(|path| self.workspace.is_allowed(path)),
            symlink: either(|state| state.kind() == Kind::Symlink),
            hard_linked: now.is_some_and(|now| now.links > 1 && now.kind() == Kind::File),
            special: either(|state| state.kind() == Kind::Special),
            unreadable: either(|state| state.content == Content::Unread),
            nested_repository: self.nested_of(path),
            submodule: None,
            before,
            now,
        }
    }

    fn git_changes(&self, files: &[ChangedFile]) -> Vec<GitChange> {
        let mut found = Vec::new();
        for repository in &self.repositories {
            let place = self
                .workspace
                .top()
                .join(FilePath::new(repository.place.as_slice()).as_path());
            let dot_git = match self.workspace.root().open_resolved_dir(&place) {
                Ok(tree) => DotGit::read(tree),
                Err(_) => DotGit::Missing,
            };
            if let Some(how) = repository.git_dir.dot_git.change(&dot_git) {
                found.push(GitChange::DotGit {
                    repository: repository.shown(),
                    how,
                });
            }
            // The git directory that was pinned at the start, not the one that `.git` names now.
            let now = repository.git_dir.state();
            found.extend(repository.state.changes(&now, &repository.shown()));
            if let (Some(from), Some(to)) = (repository.state.head_commit(), now.head_commit())
                && from != to
                && let Some(count) = self.commits_between(from, to)
            {
                found.push(GitChange::Commits {
                    repository: repository.shown(),
                    count,
                    head: to.to_string(),
                });
            }
        }
        for file in files {
            let name = |path: &FilePath| {
                path.as_bytes().rsplit(|byte| *byte == b'/').next() == Some(b".gitignore")
            };
            if name(&file.top_path) || file.previous_top_path.as_ref().is_some_and(name) {
                found.push(GitChange::IgnoreRules {
                    file: file.path.clone(),
                });
            }
        }
        found
    }

    fn commits_between(&self, from: Oid, to: Oid) -> Option<usize> {
        const MOST: usize = 1_000;
        let count = || -> Result<usize, WorkspaceError> {
            let repository = git2::Repository::from_odb(self.contents.open_odb()?)?;
            let mut walk = repository.revwalk()?;
            walk.push(to)?;
            walk.hide(from)?;
            Ok(walk.take(MOST).filter(|commit| commit.is_ok()).count())
        };
        count().ok().filter(|count| *count > 0)
    }

    /// A submodule that is at another commit shows as git shows it, beside the files that differ in it.
    fn add_submodules(&self, changes: &mut Changes) {
        let pinned: BTreeSet<Vec<u8>> = self
            .repositories
            .iter()
            .flat_map(|repository| {
                repository
                    .index
                    .gitlinks()
                    .map(|(below, _)| path::join(&repository.place, below))
            })
            .collect();
        for repository in self
            .repositories
            .iter()
            .filter(|repository| pinned.contains(&repository.place))
        {
            let (from, to) = (
                repository.state.head_commit(),
                repository.git_dir.state().head_commit(),
            );
            if from == to {
                continue;
            }
            let text = |oid: Option<Oid>| oid.map(|oid| oid.to_string());
            let mut file =
                self.changed_file(&repository.place, None, ChangeKind::Modified, None, None);
            file.submodule = Some(Submodule {
                from: text(from),
                to: text(to),
            });
            changes.files.push(file);
        }
    }
}

struct Look<'a> {
    base: &'a Base,
    files: AtomicU64,
    /// A file whose ctime is not older proves nothing by its stamp.
    racy_from: i64,
}

impl Look<'_> {
    fn visit(
        &self,
        worker: &mut Worker,
        here: Here<'_>,
        task: Task,
    ) -> Result<Visited<Task, Found>, WorkspaceError> {
        let mut found = Found {
            path: here.path.to_vec(),
            ..Found::default()
        };
        let before = match &task {
            Task::Compare(Some(at), _) => self.base.directories.get(*at),
            _ => None,
        };
        let mut fresh = None;
        let listed = here.dir.and_then(|dir| {
            // Names come and go only with the directory's own stamp.
            let same = match before.and_then(|before| before.stamp) {
                Some(stamp) => stamp.ctime < self.racy_from && stamp.same(&handles::stamp_of(dir)?),
                None => false,
            };
            if !same {
                fresh = Some(Listed::read(dir, &mut worker.buffer)?);
            }
            Ok(dir)
        });
        let dir = match listed {
            Ok(dir) => dir,
            Err(error) => {
                // Gone since its parent was listed, or replaced by something else: then it is not there.
                let gone = matches!(error.raw_os_error(), Some(code) if [
                    rustix::io::Errno::NOENT.raw_os_error(),
                    rustix::io::Errno::NOTDIR.raw_os_error(),
                    rustix::io::Errno::LOOP.raw_os_error(),
                ].contains(&code));
                let known = matches!(&task, Task::Compare(Some(at), _)
                    if self.base.directories.get(*at).is_some_and(|directory| directory.unreadable));
                found.unreadable = !gone && !known && matches!(task, Task::Compare(..));
                found.visited = known;
                return Ok(Visited {
                    result: found,
                    next: Vec::new(),
                });
            }
        };
        let nothing = Listed::default();
        let names = fresh
            .as_ref()
            .or_else(|| before.map(|before| &before.listed))
            .unwrap_or(&nothing);
        base::count(&self.files, names.len(), self.base.contents.limits())?;
        match task {
            Task::CountIgnored => {
                let mut next = Vec::new();
                for (_, name) in names.sorted() {
                    let Ok(Some(stamp)) = handles::stamp_at(dir, name) else {
                        continue;
                    };
                    if stamp.kind() == Kind::Directory {
                        next.push((CString::from(name), Task::CountIgnored));
                    } else if stamp.ctime >= self.base.complete {
                        found.ignored(path::join(here.path, name.to_bytes()));
                    }
                }
                Ok(Visited {
                    result: found,
                    next,
                })
            }
            Task::Compare(base, site) => {
                let next = self.compare(dir, here.path, names, base, &site, &mut found)?;
                found.visited = true;
                Ok(Visited {
                    result: found,
                    next,
                })
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn compare(
        &self,
        dir: BorrowedFd<'_>,
        dir_path: &[u8],
        names: &Listed,
        base: Option<usize>,
        site: &Site,
        found: &mut Found,
    ) -> Result<Vec<(CString, Task)>, WorkspaceError> {
        let directory = base.and_then(|at| self.base.directories.get(at));
        let mut before = directory
            .map(|directory| directory.entries.as_slice())
            .unwrap_or_default()
            .iter()
            .peekable();
        let name_of = |entry: &Entry| {
            directory
                .map(|directory| directory.name(entry))
                .unwrap_or_default()
        };
        found.new_repository = !dir_path.is_empty()
            && !directory.is_some_and(|directory| directory.nested)
            && names.has(b".git")
            && base::holds_repository(dir);
        let mut next = Vec::new();
        for (place, name) in names.sorted() {
            let bytes = name.to_bytes();
            if bytes == b".git" {
                continue;
            }
            while let Some(gone) = before.next_if(|entry| name_of(entry) < bytes) {
                self.gone(dir_path, name_of(gone), gone, found);
            }
            let was = before.next_if(|entry| name_of(entry) == bytes);
            // A listing that holds tells directories from files; another kind of file under a name is a new entry.
            let stamp = match place.is_dir() {
                true => None,
                false => match handles::stamp_at(dir, name) {
                    Ok(Some(stamp)) => Some(stamp),
                    _ => {
                        if let Some(was) = was {
                            self.gone(dir_path, bytes, was, found);
                        }
                        continue;
                    }
                },
            };
            let Some(stamp) = stamp.filter(|stamp| stamp.kind() != Kind::Directory) else {
                if let Some(was) = was {
                    self.gone(dir_path, bytes, was, found);
                }
                let path = path::join(dir_path, bytes);
                let task = match self.base.by_path.get(&path) {
                    Some(at) => {
                        let site = self
                            .base
                            .directories
                            .get(*at)
                            .map_or_else(|| site.clone(), |known| known.site.clone());
                        Task::Compare(Some(*at), site)
                    }
                    None => site
                        .child(dir_path, bytes)
                        .map_or(Task::CountIgnored, |site| Task::Compare(None, site)),
                };
                next.push((CString::from(name), task));
                continue;
            };
            self.compare_file(dir, dir_path, name, stamp, was, site, found)?;
        }
        for gone in before {
            self.gone(dir_path, name_of(gone), gone, found);
        }
        Ok(next)
    }

    fn gone(&self, dir_path: &[u8], name: &[u8], was: &Entry, found: &mut Found) {
        let path = path::join(dir_path, name);
        if was.content == Content::Ignored {
            found.ignored(path);
        } else {
            found
                .changed
                .push((path, Some(FileState::of(&was.stamp, was.content)), None));
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn compare_file(
        &self,
        dir: BorrowedFd<'_>,
        dir_path: &[u8],
        name: &std::ffi::CStr,
        stamp: Stamp,
        was: Option<&Entry>,
        site: &Site,
        found: &mut Found,
    ) -> Result<(), WorkspaceError> {
        let before = match was {
            Some(was) if was.content == Content::Ignored => {
                if !was.stamp.same(&stamp) {
                    found.ignored(path::join(dir_path, name.to_bytes()));
                }
                return Ok(());
            }
            Some(was) => {
                let racy = was.stamp.ctime >= self.racy_from;
                if was.stamp.same(&stamp) && !(racy && matches!(was.content, Content::Known(_))) {
                    return Ok(());
                }
                Some(FileState::of(&was.stamp, was.content))
            }
            None if site.ignores_file(dir_path, name.to_bytes()) => {
                found.ignored(path::join(dir_path, name.to_bytes()));
                return Ok(());
            }
            None => None,
        };
        let contents = &self.base.contents;
        let (content, stamp) = match stamp.kind() {
            Kind::Special => (Content::Special, stamp),
            _ => match base::read(dir, name, stamp, contents.limits().file_bytes) {
                None => (Content::Unread, stamp),
                Some((bytes, stamp)) => {
                    let id = blob_id(&bytes)?;
                    let unchanged =
                        before.is_some_and(|before| before.content == Content::Known(id));
                    if unchanged || contents.keep(id, &bytes)? {
                        (Content::Known(id), stamp)
                    } else {
                        (Content::Unread, stamp)
                    }
                }
            },
        };
        let now = FileState::of(&stamp, content);
        let unread_moved = before.is_some_and(|before| before.content == Content::Unread);
        if before.is_none_or(|before| unread_moved || !before.same(&now)) {
            found
                .changed
                .push((path::join(dir_path, name.to_bytes()), before, Some(now)));
        }
        Ok(())
    }
}

/// git's own rule.
pub(crate) fn looks_binary(bytes: &[u8]) -> bool {
    memchr::memchr(0, bytes.get(..8000).unwrap_or(bytes)).is_some()
}

fn is_binary(contents: &Contents, file: &ChangedFile) -> bool {
    [&file.now, &file.before]
        .into_iter()
        .flatten()
        .any(|state| match state.content {
            Content::Known(id) if state.kind() == Kind::File => {
                contents.read(id).is_ok_and(|bytes| looks_binary(&bytes))
            }
            Content::Unread => true,
            _ => false,
        })
}

/// Pairs deleted files with added ones: new path to old path. First by identical content, then, in small sets, by likeness
/// (git's measure: at least half of it is the same).
fn renames(
    raw: &BTreeMap<Vec<u8>, (Option<FileState>, Option<FileState>)>,
    contents: &Contents,
) -> HashMap<Vec<u8>, Vec<u8>> {
    const MOST_PAIRS: usize = 2_500;
    const LONGEST: u64 = 512 << 10;
    let base_name = |path: &[u8]| {
        path.rsplit(|byte| *byte == b'/')
            .next()
            .unwrap_or_default()
            .to_vec()
    };
    let mut gone: BTreeMap<&Vec<u8>, &FileState> = BTreeMap::new();
    let mut came: BTreeMap<&Vec<u8>, &FileState> = BTreeMap::new();
    for (path, sides) in raw {
        match sides {
            (Some(before), None) if before.size > 0 && before.id().is_some() => {
                gone.insert(path, before)
            }
            (None, Some(now)) if now.size > 0 && now.id().is_some() => came.insert(path, now),
            _ => None,
        };
    }
    let mut pairs = HashMap::new();
    let mut by_content: HashMap<(Oid, bool), Vec<&Vec<u8>>> = HashMap::new();
    for (path, state) in &gone {
        if let Some(id) = state.id() {
            by_content
                .entry((id, state.kind() == Kind::Symlink))
                .or_default()
                .push(path);
        }
    }
    for (path, state) in &came {
        let Some(id) = state.id() else { continue };
        let Some(sources) = by_content.get_mut(&(id, state.kind() == Kind::Symlink)) else {
            continue;
        };
        let at = sources
            .iter()
            .position(|source| base_name(source) == base_name(path))
            .unwrap_or(0);
        if at < sources.len() {
            let source = sources.remove(at);
            gone.remove(source);
            pairs.insert((*path).clone(), source.clone());
        }
    }
    came.retain(|path, _| !pairs.contains_key(*path));
    let small = |state: &FileState| state.size <= LONGEST && state.kind() == Kind::File;
    gone.retain(|_, state| small(state));
    came.retain(|_, state| small(state));
    if gone.is_empty() || came.is_empty() || gone.len() * came.len() > MOST_PAIRS {
        return pairs;
    }
    let load = |states: &BTreeMap<&Vec<u8>, &FileState>| -> Vec<(Vec<u8>, HashMap<u64, u64>, u64)> {
        states
            .iter()
            .filter_map(|(path, state)| {
                let bytes = contents.read(state.id()?).ok()?;
                let length = bytes.len() as u64;
                Some(((*path).clone(), line_weights(&bytes), length))
            })
            .collect()
    };
    let (gone, came) = (load(&gone), load(&came));
    let mut likely = Vec::new();
    for (to, (_, new_lines, new_length)) in came.iter().enumerate() {
        for (from, (_, old_lines, old_length)) in gone.iter().enumerate() {
            let shared: u64 = new_lines
                .iter()
                .map(|(line, weight)| (*weight).min(old_lines.get(line).copied().unwrap_or(0)))
                .sum();
            let longest = (*new_length).max(*old_length);
            if shared * 2 >= longest {
                likely.push((shared * 1000 / longest.max(1), to, from));
            }
        }
    }
    likely.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
    let (mut used_to, mut used_from) = (HashSet::new(), HashSet::new());
    for (_, to, from) in likely {
        if !used_to.contains(&to) && !used_from.contains(&from) {
            used_to.insert(to);
            used_from.insert(from);
            if let (Some((to, ..)), Some((from, ..))) = (came.get(to), gone.get(from)) {
                pairs.insert(to.clone(), from.clone());
            }
        }
    }
    pairs
}

/// How many bytes stand in each distinct line.
fn line_weights(bytes: &[u8]) -> HashMap<u64, u64> {
    use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut weights = HashMap::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        *weights.entry(hasher.hash_one(line)).or_insert(0) += line.len() as u64;
    }
    weights
}

impl Changes {
    /// The directory that paths are relative to, itself relative to the tree's top.
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.work_prefix
    }
}

/// Used by `Workspace`'s owners that want to know early whether a path is one of a job's.
impl Workspace {
    /// How a path (relative to the top) is told to the caller: relative to the working directory.
    pub fn shown(&self, top_path: &[u8]) -> FilePath {
        FilePath::new(path::relative_to(top_path, self.work_prefix()))
    }
}
