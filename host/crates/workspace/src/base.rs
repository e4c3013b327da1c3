//! The snapshot before the job: what every file was, fast enough to take each time.

use std::collections::HashMap;
use std::ffi::CString;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use git2::{Odb, Oid};

use super::contents::{Contents, Limits, blob_id};
use super::handles::{self, Bytes, Kind, Stamp};
use super::index::IndexEntry;
use super::repository::{self, Repository, UserRules};
use super::rules::{Attributes, Conversion, IgnoreRules};
use super::tamper::DotGit;
use super::walk::{Here, Listed, Name, Visited, walk};
use super::{Workspace, WorkspaceError, path};

/// What a file held when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Bytes (or a link's target) that can be had again by this id.
    Known(Oid),
    /// Too long to be read, or not readable; only its stamp is known.
    Unread,
    /// Ignored by the base's rules; only its stamp is known.
    Ignored,
    /// A FIFO, a socket, a device.
    Special,
}

/// One file of the base.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    name: Name,
    pub(crate) stamp: Stamp,
    pub(crate) content: Content,
}

/// One directory of the base, its files sorted by name.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) path: Vec<u8>,
    pub(crate) site: Site,
    /// Whether a repository was nested here.
    pub(crate) nested: bool,
    /// It could not be listed.
    pub(crate) unreadable: bool,
    /// The directory's own stamp, taken before it was listed: as long as it stays, so do the names.
    pub(crate) stamp: Option<Stamp>,
    /// Everything in it, subdirectories and `.git` included.
    pub(crate) listed: Listed,
    pub(crate) entries: Vec<Entry>,
}

impl Directory {
    pub(crate) fn name(&self, entry: &Entry) -> &[u8] {
        self.listed.bytes(entry.name)
    }
}

/// Where a directory stands: in which repository, and under which rules.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    pub(crate) repository: Arc<Repository>,
    ignore: Option<Arc<IgnoreRules>>,
    attributes: Option<Arc<Attributes>>,
    /// The entries of the repository's index that lie below.
    tracked: Range<usize>,
    /// A directory above is ignored: then only what is tracked counts.
    ignored: bool,
}

impl Site {
    pub(crate) fn of(repository: Arc<Repository>) -> Self {
        let (ignore, attributes) = (repository.ignore.clone(), repository.attributes.clone());
        let tracked = repository.index.all();
        Self {
            repository,
            ignore,
            attributes,
            tracked,
            ignored: false,
        }
    }

    /// Takes in the rules that stand in the directory itself.
    pub(crate) fn enter(&mut self, dir: BorrowedFd<'_>, path: &[u8], names: &Listed) {
        const LONGEST: u64 = 4 << 20;
        if self.ignored {
            return;
        }
        if names.has(b".gitignore")
            && let Ok(Bytes::Whole(text, _)) = handles::read_at(dir, ".gitignore", LONGEST)
        {
            self.ignore = IgnoreRules::parse(&text, path, self.ignore.take());
        }
        if names.has(b".gitattributes")
            && let Ok(Bytes::Whole(text, _)) = handles::read_at(dir, ".gitattributes", LONGEST)
        {
            self.attributes = Attributes::parse(&text, path, self.attributes.take());
        }
    }

    /// What the index says about the file `name` in the directory `dir`.
    fn tracked(&self, dir: &[u8], name: &[u8]) -> Option<&IndexEntry> {
        let below = self.repository.below(dir);
        let prefix = if below.is_empty() { 0 } else { below.len() + 1 };
        self.repository
            .index
            .find(name, prefix, self.tracked.clone())
    }

    /// The same for names asked in order, for which the entry is mostly the next one.
    fn tracked_next(&self, dir: &[u8], name: &[u8], cursor: &mut usize) -> Option<&IndexEntry> {
        let index = &self.repository.index;
        let below = self.repository.below(dir);
        let prefix = if below.is_empty() { 0 } else { below.len() + 1 };
        if let Some(entry) = index.at(*cursor).filter(|_| self.tracked.contains(cursor))
            && index.path(entry).get(prefix..) == Some(name)
        {
            *cursor += 1;
            return Some(entry);
        }
        let at = index.position(name, prefix, self.tracked.clone())?;
        *cursor = at + 1;
        index.at(at)
    }

    fn ignores(&self, path: &[u8], is_dir: bool) -> bool {
        self.ignored
            || self
                .ignore
                .as_ref()
                .is_some_and(|rules| rules.ignores(path, is_dir))
    }

    /// Whether the base's rules ignore the file `name` in `dir`, and nobody tracks it.
    pub(crate) fn ignores_file(&self, dir: &[u8], name: &[u8]) -> bool {
        self.tracked(dir, name).is_none() && self.ignores(&path::join(dir, name), false)
    }

    /// The subdirectory `name` of `dir`; `None` when it is ignored with all that is in it.
    pub(crate) fn child(&self, dir: &[u8], name: &[u8]) -> Option<Self> {
        let full = path::join(dir, name);
        let tracked = self
            .repository
            .index
            .below(self.repository.below(&full), self.tracked.clone());
        // A submodule is tracked by a single entry of the directory's own name.
        let ignored = self.ignores(&full, true) && self.tracked(dir, name).is_none();
        if ignored && tracked.is_empty() {
            return None;
        }
        Some(Self {
            repository: Arc::clone(&self.repository),
            ignore: self.ignore.clone(),
            attributes: self.attributes.clone(),
            tracked,
            ignored,
        })
    }
}

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
    /// When the snapshot began, by the file system's clock.
    pub(crate) begun: i64,
    /// When it was complete.
    pub(crate) complete: i64,
    /// What checks wrote, which later looks must not take for the agent's: the state that replaces the one captured.
    pub(crate) settled: HashMap<Vec<u8>, Option<super::changes::FileState>>,
    /// What files were before the jobs that worked here earlier; see [`Base::before`].
    pub(crate) earlier: super::earlier::EarlierStates,
    instructions: Vec<(path::FilePath, String)>,
    unread: u64,
}

/// Two threads are enough: the kernel's directory locks and the memory bus give no more on small machines, and a job's
/// host shares the machine with the job.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get().min(2))
}

/// What one thread of a walk has for itself.
pub(crate) struct Worker {
    pub(crate) buffer: Box<[MaybeUninit<u8>]>,
    odb: Option<Odb<'static>>,
}

impl Worker {
    pub(crate) fn new() -> Self {
        Self {
            buffer: vec![MaybeUninit::uninit(); 64 << 10].into_boxed_slice(),
            odb: None,
        }
    }

    fn odb(&mut self, contents: &Contents) -> Option<&Odb<'static>> {
        if self.odb.is_none() {
            self.odb = contents.open_odb().ok();
        }
        self.odb.as_ref()
    }
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
        contents.add_store(&main.git_dir.objects());
        let capture = Capture {
            workspace,
            contents: &contents,
            user: &user,
            nested: Mutex::new(Vec::new()),
            files: AtomicU64::new(0),
        };
        let top = open_top(workspace)?;
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
            settled: HashMap::new(),
            earlier: HashMap::new(),
            instructions,
            unread,
        })
    }

    /// The workspace that was captured.
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// How many files are in the base, ignored ones in directories of their own left out.
    pub fn files(&self) -> u64 {
        self.directories
            .iter()
            .map(|directory| directory.entries.len() as u64)
            .sum()
    }

    /// How many files were too long to be kept: a change of theirs is seen, but can be neither shown nor put back.
    pub fn unread(&self) -> u64 {
        self.unread
    }

    /// Whether a file of this name stands anywhere in the tree.
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

/// A fresh handle of the top, for listing.
pub(crate) fn open_top(workspace: &Workspace) -> Result<std::os::fd::OwnedFd, WorkspaceError> {
    handles::listable(workspace.handle()).map_err(|source| WorkspaceError::Io {
        action: "open",
        path: workspace.top().to_path_buf(),
        source,
    })
}

const INSTRUCTION_FILES: [&str; 2] = ["AGENTS.md", "CLAUDE.md"];
const MOST_INSTRUCTIONS: usize = 32 << 10;

fn instructions(workspace: &Workspace) -> Vec<(path::FilePath, String)> {
    let mut found: Vec<(path::FilePath, String)> = Vec::new();
    let mut left = MOST_INSTRUCTIONS;
    let mut places: Vec<&Path> = workspace
        .work_dir()
        .ancestors()
        .take_while(|dir| dir.starts_with(workspace.top()))
        .collect();
    places.reverse();
    for place in places {
        for name in INSTRUCTION_FILES {
            let file = place.join(name);
            // A link out of the root is refused there; one that stays inside is what people use to share the two.
            let Ok(text) = workspace.root().read(&file, left as u64) else {
                continue;
            };
            let text = String::from_utf8_lossy(&text.bytes).into_owned();
            if text.trim().is_empty() || found.iter().any(|(_, known)| *known == text) {
                continue;
            }
            left = left.saturating_sub(text.len());
            let shown = file.strip_prefix(workspace.top()).unwrap_or(&file);
            found.push((
                path::FilePath::new(std::os::unix::ffi::OsStrExt::as_bytes(shown.as_os_str())),
                text,
            ));
            if left == 0 {
                return found;
            }
        }
    }
    found
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
        if !here.path.is_empty()
            && names.has(b".git")
            && let Some(repository) = self.nested(dir, here.path)
        {
            directory.nested = true;
            site = Site::of(repository);
        }
        site.enter(dir, here.path, &names);
        let mut next = Vec::new();
        directory.entries.reserve_exact(names.len());
        let mut cursor = site.tracked.start;
        for (place, name) in names.sorted() {
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
        self.contents.add_store(&repository.git_dir.objects());
        self.nested
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(Arc::clone(&repository));
        Some(repository)
    }

    #[allow(clippy::too_many_arguments)]
    /// What a file holds: by the index where that proves it, else by reading.
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
            let conversion = match (stamp.kind(), &site.attributes) {
                (Kind::File, Some(attributes)) => {
                    attributes.conversion(&path::join(dir_path, name.to_bytes()))
                }
                _ => Conversion::None,
            };
            let proven = match conversion {
                Conversion::None => true,
                Conversion::LineEnds => {
                    let header = worker
                        .odb(self.contents)
                        .and_then(|odb| odb.read_header(blob).ok());
                    header.is_some_and(|(size, _)| size as u64 == stamp.size)
                }
                Conversion::Anything => false,
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

/// A file's bytes or a link's target, with the stamp they belong to; `None` when it cannot be read or is too long.
pub(crate) fn read(
    dir: BorrowedFd<'_>,
    name: &std::ffi::CStr,
    stamp: Stamp,
    limit: u64,
) -> Option<(Vec<u8>, Stamp)> {
    match stamp.kind() {
        Kind::Symlink => Some((handles::link_target(dir, name).ok()?, stamp)),
        Kind::File => match handles::read_at(dir, name, limit) {
            Ok(Bytes::Whole(bytes, stamp)) => Some((bytes, stamp)),
            _ => None,
        },
        Kind::Directory | Kind::Special => None,
    }
}

/// Ends a walk that meets too many files.
pub(crate) fn count(
    counter: &AtomicU64,
    more: usize,
    limits: &Limits,
) -> Result<(), WorkspaceError> {
    let seen = counter.fetch_add(more as u64, Ordering::Relaxed) + more as u64;
    if seen > limits.files {
        Err(WorkspaceError::TooManyFiles {
            limit: limits.files,
        })
    } else {
        Ok(())
    }
}

/// Whether a repository stands in `dir`.
pub(crate) fn holds_repository(dir: BorrowedFd<'_>) -> bool {
    DotGit::read(dir.as_fd()) != DotGit::Missing
}
