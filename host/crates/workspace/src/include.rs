//! The ignored files that `.worktreeinclude` names, copied from the checkout into an isolated tree.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Mode, OFlags};

use crate::error::WorkspaceError;
use crate::handles::{self, Bytes, Kind};
use crate::interrupt::Interrupt;
use crate::path;
use crate::put::Placer;
use crate::repository::{self, Repository, UserRules};
use crate::rules::{IgnoreRules, Scope};
use crate::site::Site;
use crate::walk::{Here, Listed, Visited, walk};
use crate::worker::{self, Worker};
use crate::workspace::Workspace;

/// The most bytes that `.worktreeinclude` may copy.
const MOST_INCLUDED: u64 = 4 << 30;

/// Copies the ignored files that the checkout's `.worktreeinclude` names (in the form of a `.gitignore`).
pub(crate) fn include(
    source: &Workspace,
    rules: &UserRules,
    tree: &Path,
    notes: &mut Vec<String>,
    stop: &Interrupt,
) -> Result<u64, WorkspaceError> {
    let Ok(Bytes::Whole(text, _)) = handles::read_at(source.handle(), ".worktreeinclude", 1 << 20)
    else {
        return Ok(0);
    };
    let Some(git_dir) = repository::git_dir_of(source.root(), source.handle(), source.top())?
    else {
        return Ok(0);
    };
    let repository = Repository::read(Vec::new(), git_dir, rules);
    let scope = Scope {
        dir: b"",
        case: repository.case,
    };
    let Some(wanted) = IgnoreRules::parse(&text, scope, None) else {
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
        stop,
        bytes: AtomicU64::new(0),
        skipped: AtomicU64::new(0),
    };
    let site = Site::of(Arc::new(repository));
    let first = IncludeTask {
        site: Some(site),
        named: false,
    };
    let counts = walk(
        source.open_top()?,
        first,
        worker::threads(),
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
    stop: &'a Interrupt,
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
            self.stop.check()?;
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
