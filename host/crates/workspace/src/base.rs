//! The snapshot before the job: what every file was, fast enough to take each time.

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use git2::Oid;

use crate::contents::{Contents, Limits, blob_id};
use crate::conversion::Effect;
use crate::directory::{Directory, Entry};
use crate::earlier::Earlier;
use crate::error::WorkspaceError;
use crate::handles::{self, Kind, Stamp};
use crate::index::IndexEntry;
use crate::instructions::instructions;
use crate::own_git::OwnGit;
use crate::path;
use crate::repository::{self, Repository, UserRules};
use crate::site::Site;
use crate::state::{Content, FileState, States};
use crate::walk::{Here, Listed, Visited, walk};
use crate::worker::{Worker, count, read, threads};
use crate::workspace::Workspace;

/// The state of a whole working tree at one moment. It keeps what it needs to tell, show and undo any later change:
/// stamps in memory, and in the job's own folder copies of those contents that the repository's objects do not have.
#[derive(Debug)]
pub struct Base {
    pub(crate) workspace: Workspace,
    pub(crate) contents: Arc<Contents>,
    pub(crate) directories: Vec<Directory>,
    pub(crate) by_path: HashMap<Vec<u8>, usize>,
    /// The job's own repository first.
    pub(crate) repositories: Vec<Arc<Repository>>,
    /// The moment at which the snapshot began, by the file system's clock.
    pub(crate) begun: i64,
    /// The moment at which it was complete.
    pub(crate) complete: i64,
    /// The states of files before the jobs that worked here earlier; see [`Base::before`].
    pub(crate) earlier: States,
    /// Ignored files that those jobs touched and that are as they left them.
    pub(crate) touched_earlier: Vec<path::FilePath>,
    /// The repositories that earlier jobs made in the tree.
    pub(crate) made_earlier: Vec<path::FilePath>,
    /// The job's own git directories, where its tasks find these in the place of the user's.
    pub(crate) own_git: Option<Arc<OwnGit>>,
    instructions: Vec<(path::FilePath, String)>,
    unread: u64,
}

impl Base {
    /// Takes the snapshot. `storage` is a folder of the job's own, outside the tree; it is made if needed.
    ///
    /// # Errors
    /// When the tree or the folder cannot be read or written, or holds more files than `limits` allow.
    pub fn capture(
        workspace: &Workspace,
        storage: &Path,
        limits: Limits,
    ) -> Result<Self, WorkspaceError> {
        let begun = handles::file_clock();
        let contents = Arc::new(Contents::create(storage.join("objects"), limits)?);
        let user = UserRules::load();
        let git_dir =
            repository::git_dir_of(workspace.root(), workspace.handle(), workspace.top())?
                .ok_or_else(|| WorkspaceError::Damaged {
                    repository: workspace.top().to_path_buf(),
                    what: "its .git is gone".to_owned(),
                })?;
        let main = Arc::new(Repository::read(Vec::new(), git_dir, &user));
        contents.add_stores(main.git_dir.object_stores().to_vec());
        let capture = Capture {
            workspace,
            contents: &contents,
            user: &user,
            nested: Mutex::new(Vec::new()),
            files: AtomicU64::new(0),
        };
        let top = workspace.open_top()?;
        let site = Site::of(Arc::clone(&main));
        let mut directories = walk(top, site, threads(), Worker::new, |worker, here, site| {
            capture.visit(worker, here, site)
        })?;
        directories.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let by_path = directories
            .iter()
            .enumerate()
            .map(|(at, directory)| (directory.path.clone(), at))
            .collect();
        let mut repositories = vec![main];
        let mut nested = capture
            .nested
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        nested.sort_by(|a, b| a.place.cmp(&b.place));
        repositories.extend(nested);
        let unread = directories
            .iter()
            .flat_map(|directory| &directory.entries)
            .filter(|entry| entry.content == Content::Unread)
            .count() as u64;
        let instructions = instructions(workspace);
        // What is ignored is told by its ctime alone.
        let complete = handles::next_file_tick();
        Ok(Self {
            workspace: workspace.clone(),
            contents,
            directories,
            by_path,
            repositories,
            begun,
            complete,
            earlier: HashMap::new(),
            touched_earlier: Vec::new(),
            made_earlier: Vec::new(),
            own_git: None,
            instructions,
            unread,
        })
    }

    /// Returns true if a repository that a job can work in stands in a folder now.
    pub(crate) fn opens_repository(&self, dir: BorrowedFd<'_>, place: &[u8]) -> bool {
        let full = self
            .workspace
            .top()
            .join(path::FilePath::new(place).as_path());
        let opened = repository::git_dir_of(self.workspace.root(), dir, &full);
        matches!(opened, Ok(Some(_)))
    }

    /// Makes this snapshot, taken after the earlier jobs, one of the time before them: what they changed counts as
    /// changed since.
    ///
    /// # Errors
    /// When the record of what they changed is gone.
    pub fn before(mut self, earlier: &Earlier) -> Result<Self, WorkspaceError> {
        self.contents.add_stores(earlier.stores());
        self.earlier.extend(earlier.states()?);
        self.touched_earlier = earlier.still_touched(self.workspace.top());
        self.made_earlier = earlier.made_repositories(self.workspace.top());
        Ok(self)
    }

    /// The same where the earlier job worked in the user's own tree, who may have taken over or changed since what it left:
    /// only what is still as the job left it, and was not committed since, counts as changed.
    ///
    /// # Errors
    /// As [`Base::before`].
    pub fn before_in_users_tree(mut self, earlier: &Earlier) -> Result<Self, WorkspaceError> {
        self.contents.add_stores(earlier.stores());
        let mut states = earlier.states_still_left(|path| self.state_of(path))?;
        states.retain(|path, was| {
            let committed = self.committed(path);
            // What HEAD has now and the job's base had not, the user took over.
            committed.is_none()
                || committed == was.as_ref().and_then(FileState::id)
                || committed != self.state_of(path).and_then(|now| now.id())
        });
        self.earlier.extend(states);
        self.touched_earlier = earlier.still_touched(self.workspace.top());
        self.made_earlier = earlier.made_repositories(self.workspace.top());
        Ok(self)
    }

    /// A file of the base.
    pub(crate) fn state_of(&self, path: &[u8]) -> Option<FileState> {
        let (dir, name) = path::split(path);
        let directory = self.directories.get(*self.by_path.get(dir)?)?;
        let mut entries = directory.entries.iter();
        let entry = entries.find(|entry| directory.name(entry) == name)?;
        Some(FileState::of(&entry.stamp, entry.content))
    }

    /// The blob that HEAD has at a path.
    fn committed(&self, path: &[u8]) -> Option<Oid> {
        let head = self.repositories.first()?.state.head_commit()?;
        let repository = git2::Repository::from_odb(self.contents.open_odb().ok()?).ok()?;
        let tree = repository.find_commit(head).ok()?.tree().ok()?;
        let entry = tree.get_path(path::FilePath::new(path).as_path()).ok()?;
        Some(entry.id())
    }

    /// Says that the job works in git directories of its own: what the user's hold is not its doing.
    pub fn with_own_git(mut self, own: Arc<OwnGit>) -> Self {
        self.own_git = Some(own);
        self
    }

    /// The same without: the job works in the user's.
    pub fn without_own_git(mut self) -> Self {
        self.own_git = None;
        self
    }

    /// The job's own git directories, where it has some in the user's tree.
    pub fn own_git(&self) -> Option<&Arc<OwnGit>> {
        self.own_git.as_ref()
    }

    /// The workspace that was captured.
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// The rules that a path of the job's own repository lies under.
    pub(crate) fn site_of(&self, path: &[u8]) -> Option<&Site> {
        let mut dir = path::split(path).0;
        loop {
            if let Some(known) = self
                .by_path
                .get(dir)
                .and_then(|at| self.directories.get(*at))
            {
                return Some(&known.site);
            }
            if dir.is_empty() {
                return None;
            }
            dir = path::split(dir).0;
        }
    }

    /// Returns the number of files in the base, without ignored ones in directories of their own.
    pub fn files(&self) -> u64 {
        self.directories
            .iter()
            .map(|directory| directory.entries.len() as u64)
            .sum()
    }

    /// Returns the number of files that were too long to be kept: a change of theirs is seen, but can be neither shown nor put back.
    pub fn unread(&self) -> u64 {
        self.unread
    }

    /// Returns the folder at the top (or the top itself) with the most bytes that git neither tracks nor ignores, its files
    /// and their bytes, where they are so many that each job notices: all of them are read and copied before it starts.
    pub fn untracked_bulk(&self) -> Option<(path::FilePath, u64, u64)> {
        const MANY_FILES: u64 = 20_000;
        const MANY_BYTES: u64 = 64 << 20;
        let is_bulk = |files: u64, bytes: u64| files >= MANY_FILES || bytes >= MANY_BYTES;
        let (files, bytes) = self.contents.kept();
        if !is_bulk(files, bytes) {
            return None;
        }
        let mut folders: HashMap<&[u8], (u64, u64)> = HashMap::new();
        for directory in &self.directories {
            let top = directory.path.split(|byte| *byte == b'/').next();
            for entry in &directory.entries {
                let name = directory.name(entry);
                if matches!(entry.content, Content::Known(_))
                    && directory.site.tracked(&directory.path, name).is_none()
                {
                    let (files, bytes) = folders.entry(top.unwrap_or_default()).or_default();
                    *files += 1;
                    *bytes += entry.stamp.size;
                }
            }
        }
        let most = folders.into_iter().max_by_key(|(_, (_, bytes))| *bytes);
        let (folder, (files, bytes)) =
            most.filter(|(_, (files, bytes))| is_bulk(*files, *bytes))?;
        let folder = match folder {
            b"" => b".".as_slice(),
            folder => folder,
        };
        Some((path::FilePath::new(folder), files, bytes))
    }

    /// Returns the FIFOs, sockets and devices in the base, relative to the working directory, ignored directories left out.
    pub fn special_files(&self) -> Vec<path::FilePath> {
        let mut found = Vec::new();
        for directory in &self.directories {
            let special = directory.entries.iter();
            let special = special.filter(|entry| entry.content == Content::Special);
            found.extend(special.map(|entry| {
                let path = path::join(&directory.path, directory.name(entry));
                self.workspace.shown(&path)
            }));
        }
        found
    }

    /// Returns true if the tree has a file of this name anywhere.
    pub fn has_file_named(&self, name: &str) -> bool {
        let mut directories = self.directories.iter();
        directories.any(|directory| directory.listed.has(name.as_bytes()))
    }

    /// The instructions for agents that the base holds (AGENTS.md, CLAUDE.md), from the top down to the working directory,
    /// path and text each, 32 KiB together. They are data from the repository: to be passed on as such.
    pub fn instructions(&self) -> &[(path::FilePath, String)] {
        &self.instructions
    }
}

struct Capture<'a> {
    workspace: &'a Workspace,
    contents: &'a Contents,
    user: &'a UserRules,
    nested: Mutex<Vec<Arc<Repository>>>,
    files: AtomicU64,
}

impl Capture<'_> {
    fn visit(
        &self,
        worker: &mut Worker,
        here: Here<'_>,
        mut site: Site,
    ) -> Result<Visited<Site, Directory>, WorkspaceError> {
        let mut directory = Directory {
            path: here.path.to_vec(),
            site: site.clone(),
            nested: false,
            unopened_git: false,
            unreadable: false,
            stamp: None,
            listed: Listed::default(),
            entries: Vec::new(),
        };
        let Some((dir, stamp, names)) = here.dir.ok().and_then(|dir| {
            let stamp = handles::stamp_of(dir).ok()?;
            Some((dir, stamp, Listed::read(dir, &mut worker.buffer).ok()?))
        }) else {
            directory.unreadable = true;
            return Ok(Visited {
                result: directory,
                next: Vec::new(),
            });
        };
        if !here.path.is_empty() && names.has(b".git") {
            match self.nested(dir, here.path) {
                Some(repository) => {
                    directory.nested = true;
                    site = Site::of(repository);
                }
                None => directory.unopened_git = true,
            }
        }
        if let Some(rules) = repository::RULES
            .iter()
            .find(|rules| names.has(rules.as_bytes()) && repository::is_special(dir, rules))
        {
            let path = path::join(here.path, rules.as_bytes());
            return Err(WorkspaceError::Unsupported {
                repository: self.workspace.top().to_path_buf(),
                what: repository::special_rule(&path::quoted(&path)),
            });
        }
        site.enter(dir, here.path, &names);
        let mut next = Vec::new();
        directory.entries.reserve_exact(names.len());
        let mut cursor = site.tracked.start;
        for (place, name) in names.sorted() {
            self.contents.limits().interrupt.check()?;
            if name.to_bytes() == b".git" {
                continue;
            }
            let stamp = match place.is_dir() {
                true => None,
                false => match handles::stamp_at(dir, name) {
                    Ok(Some(stamp)) => Some(stamp),
                    _ => continue,
                },
            };
            let Some(stamp) = stamp.filter(|stamp| stamp.kind() != Kind::Directory) else {
                if let Some(child) = site.child(here.path, name.to_bytes()) {
                    next.push((CString::from(name), child));
                }
                continue;
            };
            let tracked = site.tracked_next(here.path, name.to_bytes(), &mut cursor);
            let (content, stamp) =
                self.look(worker, dir, here.path, name, stamp, &site, tracked)?;
            directory.entries.push(Entry {
                name: place,
                stamp,
                content,
            });
        }
        count(&self.files, directory.entries.len(), self.contents.limits())?;
        directory.stamp = Some(stamp);
        directory.listed = names;
        directory.site = site;
        Ok(Visited {
            result: directory,
            next,
        })
    }

    fn nested(&self, dir: BorrowedFd<'_>, place: &[u8]) -> Option<Arc<Repository>> {
        let full = self
            .workspace
            .top()
            .join(path::FilePath::new(place).as_path());
        let git_dir = repository::git_dir_of(self.workspace.root(), dir, &full).ok()??;
        let repository = Arc::new(Repository::read(place.to_vec(), git_dir, self.user));
        self.contents
            .add_stores(repository.git_dir.object_stores().to_vec());
        self.nested
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(Arc::clone(&repository));
        Some(repository)
    }

    #[allow(clippy::too_many_arguments)]
    /// Finds the content of a file: from the index if that proves it, otherwise by reading.
    fn look(
        &self,
        worker: &mut Worker,
        dir: BorrowedFd<'_>,
        dir_path: &[u8],
        name: &std::ffi::CStr,
        stamp: Stamp,
        site: &Site,
        tracked: Option<&IndexEntry>,
    ) -> Result<(Content, Stamp), WorkspaceError> {
        if stamp.kind() == Kind::Special {
            return Ok((Content::Special, stamp));
        }
        if tracked.is_none() && site.ignores(&path::join(dir_path, name.to_bytes()), false) {
            return Ok((Content::Ignored, stamp));
        }
        let blob = tracked.and_then(|entry| Oid::from_bytes(&entry.oid).ok());
        if let (Some(entry), Some(blob)) = (tracked, blob)
            && site.repository.index.proves(entry, &stamp)
        {
            let effect = match stamp.kind() {
                Kind::File => site.effect(dir_path, name.to_bytes()),
                _ => Effect::None,
            };
            let proven = match effect {
                Effect::None => true,
                Effect::LineEnds => {
                    let header = worker
                        .odb(self.contents)
                        .and_then(|odb| odb.read_header(blob).ok());
                    header.is_some_and(|(size, _)| size as u64 == stamp.size)
                }
                Effect::Anything => false,
            };
            if proven {
                return Ok((Content::Known(blob), stamp));
            }
        }
        let Some((bytes, stamp)) = read(dir, name, stamp, self.contents.limits().file_bytes) else {
            return Ok((Content::Unread, stamp));
        };
        let id = blob_id(&bytes)?;
        let in_repository =
            blob == Some(id) && worker.odb(self.contents).is_some_and(|odb| odb.exists(id));
        if in_repository || self.contents.keep(id, &bytes)? {
            Ok((Content::Known(id), stamp))
        } else {
            Ok((Content::Unread, stamp))
        }
    }
}
