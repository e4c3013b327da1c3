//! A later look at the tree: every file is held against the base.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::CString;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use git2::Oid;

use crate::base::Base;
use crate::changes::{ChangeKind, ChangedFile, Changes, MOST_IGNORED_PATHS, Submodule, is_binary};
use crate::contents::blob_id;
use crate::directory::Entry;
use crate::error::WorkspaceError;
use crate::handles::{self, Kind, Stamp};
use crate::layer::NEVER_KEPT;
use crate::own_git::OwnRepository;
use crate::path::{self, FilePath};
use crate::put::Placer;
use crate::renames::renames;
use crate::repository::Repository;
use crate::site::Site;
use crate::state::{Content, FileState};
use crate::tamper::{DotGit, DotGitChange, GitChange, GitState};
use crate::tree_rules::IgnoreTree;
use crate::walk::{Here, Listed, Visited, walk};
use crate::worker::{self, Worker};

/// A longer file of rules is not read.
const LONGEST_RULES: u64 = 4 << 20;

/// The permissions without which the owner of a file cannot read it, or of a directory not look into it.
const READS: u32 = 0o400;
const LISTS: u32 = 0o500;

/// Returns true if these permissions are not there any more; of what is new, where they are not there.
fn is_locked(was: Option<u32>, now: u32, needed: u32) -> bool {
    now & needed != needed && was.is_none_or(|was| was & needed == needed)
}

/// The findings of one directory's visit.
#[derive(Default)]
struct Found {
    path: Vec<u8>,
    changed: Vec<(Vec<u8>, Option<FileState>, Option<FileState>)>,
    ignored: u64,
    ignored_files: Vec<Vec<u8>>,
    /// Files with the content of before and another stamp.
    restamped: Vec<Vec<u8>>,
    /// Files, or this directory, that their owner could read and cannot any more.
    locked: Vec<Vec<u8>>,
    /// A repository stands here, and none did.
    new_repository: bool,
    unreadable: bool,
    visited: bool,
}

impl Found {
    fn ignored(&mut self, path: Vec<u8>) {
        self.ignored += 1;
        self.ignored_files.push(path);
    }
}

/// The input of a visit.
enum Task {
    /// Compare with the base's directory (if there was one) under the rules of the site.
    Compare(Option<usize>, Site),
    /// Count the ignored files that were touched since the base was complete.
    CountIgnored(InIgnored),
}

/// The place of a directory of ignored files.
#[derive(Debug, Clone, Copy)]
struct InIgnored {
    /// A directory above was moved: all that is in it counts as touched, whenever it was written.
    moved: bool,
    /// The listing of the directory above changed.
    parent_changed: bool,
    /// It is part of what decides what is run.
    decides: bool,
}

impl InIgnored {
    fn below(name: &[u8]) -> Self {
        Self {
            moved: false,
            parent_changed: false,
            decides: NEVER_KEPT.contains(&name),
        }
    }
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
                            worker::threads(),
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
        let mut restamped = Vec::new();
        let mut unreadable = Vec::new();
        let mut locked = Vec::new();
        let mut git: Vec<GitChange> = top_change
            .map(|how| GitChange::Top { how })
            .into_iter()
            .collect();
        let mut visited: HashSet<Vec<u8>> = HashSet::with_capacity(found.len());
        for found in found {
            ignored += found.ignored;
            ignored_files.extend(found.ignored_files);
            restamped.extend(found.restamped.into_iter().map(FilePath::new));
            locked.extend(found.locked);
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
        if let Some(top) = &looked {
            let unhidden = self.take_unignored(top.as_fd(), &mut raw, &mut ignored_files)?;
            ignored -= unhidden;
        }
        let files = self.classify(raw);
        git.extend(self.git_changes(&files));
        for repository in &self.made_earlier {
            let change = GitChange::NestedRepository {
                repository: repository.clone(),
            };
            if !git.contains(&change) {
                git.push(change);
            }
        }
        let work_prefix = self.workspace.work_prefix().to_vec();
        let shown = |path: &[u8]| FilePath::new(path::relative_to(path, &work_prefix));
        ignored_files.sort_unstable();
        let touched = ignored_files
            .iter()
            .map(|path| FilePath::new(path.as_slice()));
        let touched: BTreeSet<FilePath> = touched
            .chain(self.touched_earlier.iter().cloned())
            .collect();
        let touched = touched.into_iter().collect();
        ignored_files.truncate(MOST_IGNORED_PATHS);
        unreadable.sort_unstable();
        locked.sort_unstable();
        let mut changes = Changes {
            files,
            ignored,
            ignored_files: ignored_files.iter().map(|path| shown(path)).collect(),
            ignored_top_paths: ignored_files
                .iter()
                .map(|path| FilePath::new(path.as_slice()))
                .collect(),
            touched,
            restamped: restamped.into(),
            git,
            unreadable_dirs: unreadable.iter().map(|path| shown(path)).collect(),
            locked: locked.iter().map(|path| shown(path)).collect(),
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

    /// The top as its path leads there now; without a handle when it is gone, and with what happened to it.
    fn top_now(&self) -> Result<(Option<OwnedFd>, Option<DotGitChange>), WorkspaceError> {
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

    fn own_git_of(&self, repository: &Repository) -> Option<&OwnRepository> {
        self.own_git.as_ref()?.at(&repository.place)
    }

    /// The git directory that the job worked in, as it is now.
    fn git_state_now(&self, repository: &Repository) -> GitState {
        match self.own_git_of(repository) {
            Some(own) => own.state(),
            None => repository.git_dir.state(),
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
            let now = self.git_state_now(repository);
            match self.own_git_of(repository) {
                Some(own) => found.extend(own.changes(&now)),
                None => found.extend(repository.state.changes(&now, &repository.shown())),
            }
            // What it committed in a git directory of its own, the host tells when it brings it.
            if self.own_git_of(repository).is_none()
                && let (Some(from), Some(to)) = (repository.state.head_commit(), now.head_commit())
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

    /// The places that a repository pins a submodule at, relative to the top.
    pub(crate) fn submodules(&self) -> BTreeSet<Vec<u8>> {
        let places = self.repositories.iter().flat_map(|repository| {
            let links = repository.index.gitlinks();
            links.map(|(below, _)| path::join(&repository.place, below))
        });
        places.collect()
    }

    /// Takes in the files that were touched, that the base's rules ignore and that the rules of now do not: a job that
    /// takes a folder out of `.gitignore` and fills it made them. Returns how many.
    fn take_unignored(
        &self,
        top: BorrowedFd<'_>,
        raw: &mut BTreeMap<Vec<u8>, (Option<FileState>, Option<FileState>)>,
        ignored: &mut Vec<Vec<u8>>,
    ) -> Result<u64, WorkspaceError> {
        let moved = raw.keys().any(|path| path::split(path).1 == b".gitignore");
        let Some(main) = self.repositories.first().filter(|_| moved) else {
            return Ok(0);
        };
        let placer = Placer::new(top);
        let mut rules = IgnoreTree::new(main, |path| match placer.look(path, LONGEST_RULES) {
            Ok(Some((mode, text))) if mode & 0o170_000 == 0o100_000 => Some(text),
            _ => None,
        });
        let mut unhidden = Vec::new();
        ignored.retain(|path| {
            let hidden = self.nested_of(path).is_some() || rules.ignores(path);
            if !hidden {
                unhidden.push(path.clone());
            }
            hidden
        });
        let mut count = 0;
        for path in unhidden {
            count += 1;
            if let Some(now) = self.state_at(top, &path)? {
                raw.insert(path, (None, Some(now)));
            }
        }
        Ok(count)
    }

    /// A submodule that is at another commit shows as git shows it, beside the files that differ in it.
    fn add_submodules(&self, changes: &mut Changes) {
        let pinned = self.submodules();
        for repository in self
            .repositories
            .iter()
            .filter(|repository| pinned.contains(&repository.place))
        {
            let (from, to) = (
                repository.state.head_commit(),
                self.git_state_now(repository).head_commit(),
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

    /// Lays what the files were before the earlier jobs over what differs from the snapshot itself.
    pub(crate) fn see_earlier(
        &self,
        top: Option<BorrowedFd<'_>>,
        raw: &mut BTreeMap<Vec<u8>, (Option<FileState>, Option<FileState>)>,
    ) -> Result<(), WorkspaceError> {
        for (path, before) in &self.earlier {
            let now = match (raw.get(path), top) {
                (Some((_, now)), _) => *now,
                (None, Some(top)) => self.state_at(top, path)?,
                (None, None) => None,
            };
            let same = match (before, &now) {
                (None, None) => true,
                (Some(before), Some(now)) => before.same(now),
                _ => false,
            };
            if same {
                raw.remove(path);
            } else {
                raw.insert(path.clone(), (*before, now));
            }
        }
        Ok(())
    }

    /// A file as it is now, its bytes kept.
    fn state_at(
        &self,
        top: BorrowedFd<'_>,
        path: &[u8],
    ) -> Result<Option<FileState>, WorkspaceError> {
        let limit = self.contents.limits().file_bytes;
        let state = |mode, size, content| FileState {
            mode,
            size,
            links: 1,
            content,
        };
        match Placer::new(top.as_fd()).look(path, limit) {
            Ok(None) => Ok(None),
            Ok(Some((mode, bytes))) => {
                let id = blob_id(&bytes)?;
                let content = match self.contents.keep(id, &bytes)? {
                    true => Content::Known(id),
                    false => Content::Unread,
                };
                Ok(Some(state(mode, bytes.len() as u64, content)))
            }
            // Something else has taken its place: there, and not to be read.
            Err(_) => Ok(Some(state(0o100_000, 0, Content::Unread))),
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
                Some(stamp) => {
                    let now = handles::stamp_of(dir)?;
                    if is_locked(Some(stamp.mode), now.mode, LISTS) {
                        found.locked.push(here.path.to_vec());
                    }
                    stamp.ctime < self.racy_from && stamp.same(&now)
                }
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
                if found.unreadable {
                    found.locked.push(here.path.to_vec());
                }
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
        worker::count(&self.files, names.len(), self.base.contents.limits())?;
        match task {
            Task::CountIgnored(place) => {
                // A rename moves the change time of a directory and not its other one, unless something was then written in it.
                let own = handles::stamp_of(dir).ok();
                let since = self.base.complete;
                let changed = own.is_some_and(|own| own.ctime >= since);
                let renamed = own.is_some_and(|own| own.mtime < since);
                let moved = place.moved
                    || (changed && (renamed || (place.decides && place.parent_changed)));
                let mut next = Vec::new();
                for (_, name) in names.sorted() {
                    self.base.contents.limits().interrupt.check_late()?;
                    let Ok(Some(stamp)) = handles::stamp_at(dir, name) else {
                        continue;
                    };
                    if stamp.kind() == Kind::Directory {
                        let below = InIgnored {
                            moved,
                            parent_changed: changed,
                            decides: place.decides || NEVER_KEPT.contains(&name.to_bytes()),
                        };
                        next.push((CString::from(name), Task::CountIgnored(below)));
                    } else if moved || stamp.ctime >= since {
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
            && DotGit::read(dir) != DotGit::Missing
            // One that was there and could not be worked in is none of the job's making, until it can be.
            && (!directory.is_some_and(|directory| directory.unopened_git)
                || self.base.opens_repository(dir, dir_path));
        let mut next = Vec::new();
        for (place, name) in names.sorted() {
            self.base.contents.limits().interrupt.check_late()?;
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
                        .map_or(Task::CountIgnored(InIgnored::below(bytes)), |site| {
                            Task::Compare(None, site)
                        }),
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
        if stamp.kind() == Kind::File && is_locked(was.map(|was| was.stamp.mode), stamp.mode, READS)
        {
            found.locked.push(path::join(dir_path, name.to_bytes()));
        }
        let contents = &self.base.contents;
        let (content, stamp) = match stamp.kind() {
            Kind::Special => (Content::Special, stamp),
            _ => match worker::read(dir, name, stamp, contents.limits().file_bytes) {
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
        } else if was.is_some_and(|was| !was.stamp.same(&stamp)) {
            found.restamped.push(path::join(dir_path, name.to_bytes()));
        }
        Ok(())
    }
}
