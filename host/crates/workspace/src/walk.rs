//! Visiting every directory of a tree through directory handles, on a few threads.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex};

use crate::{handles, path};

/// Deeper directories are not opened (each level costs an open handle); the visitor is told so.
const DEEPEST: usize = 400;

/// A directory to look at.
pub(crate) struct Here<'a> {
    /// Relative to the top, empty for the top itself.
    pub(crate) path: &'a [u8],
    /// The open directory, or why it could not be opened.
    pub(crate) dir: io::Result<BorrowedFd<'a>>,
}

/// The outcome of a visit.
pub(crate) struct Visited<T, R> {
    pub(crate) result: R,
    /// The subdirectories to visit, with what their visits need to know.
    pub(crate) next: Vec<(CString, T)>,
}

struct Job<T> {
    parent: Arc<OwnedFd>,
    /// `None` for the top: `parent` itself is to be looked at.
    name: Option<CString>,
    path: Vec<u8>,
    depth: usize,
    context: T,
}

struct Queue<T, E> {
    jobs: Vec<Job<T>>,
    busy: usize,
    error: Option<E>,
}

/// Visits `top` and whatever the visits ask for. Results come in no particular order; the first error ends the walk.
pub(crate) fn walk<T, R, W, E>(
    top: OwnedFd,
    context: T,
    threads: usize,
    worker: impl Fn() -> W + Sync,
    visit: impl Fn(&mut W, Here<'_>, T) -> Result<Visited<T, R>, E> + Sync,
) -> Result<Vec<R>, E>
where
    T: Send,
    R: Send,
    E: Send,
{
    let first = Job {
        parent: Arc::new(top),
        name: None,
        path: Vec::new(),
        depth: 0,
        context,
    };
    let queue = Mutex::new(Queue {
        jobs: vec![first],
        busy: 0,
        error: None,
    });
    let more = Condvar::new();
    let work = || {
        let mut worker = worker();
        let mut results = Vec::new();
        loop {
            let job = {
                let mut queue = queue
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                loop {
                    if queue.error.is_some() {
                        return results;
                    }
                    if let Some(job) = queue.jobs.pop() {
                        queue.busy += 1;
                        break job;
                    }
                    if queue.busy == 0 {
                        more.notify_all();
                        return results;
                    }
                    queue = more
                        .wait(queue)
                        .unwrap_or_else(std::sync::PoisonError::into_inner);
                }
            };
            let opened = open(&job);
            let here = Here {
                path: &job.path,
                dir: opened.as_ref().map(|dir| dir.as_fd()).map_err(copy),
            };
            let visited = visit(&mut worker, here, job.context);
            let mut queue = queue
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            queue.busy -= 1;
            match visited {
                Err(error) => {
                    queue.error.get_or_insert(error);
                    more.notify_all();
                }
                Ok(visited) => {
                    results.push(visited.result);
                    if let Ok(dir) = opened {
                        for (name, context) in visited.next {
                            let path = path::join(&job.path, name.to_bytes());
                            let depth = job.depth + 1;
                            queue.jobs.push(Job {
                                parent: Arc::clone(&dir),
                                name: Some(name),
                                path,
                                depth,
                                context,
                            });
                            more.notify_one();
                        }
                    }
                    if queue.jobs.is_empty() && queue.busy == 0 {
                        more.notify_all();
                    }
                }
            }
        }
    };
    let mut results = Vec::new();
    std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        results = work();
        for helper in helpers {
            match helper.join() {
                Ok(more) => results.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    match queue
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .error
    {
        Some(error) => Err(error),
        None => Ok(results),
    }
}

fn open<T>(job: &Job<T>) -> io::Result<Arc<OwnedFd>> {
    match &job.name {
        None => Ok(Arc::clone(&job.parent)),
        Some(_) if job.depth > DEEPEST => Err(io::Error::other("nested too deep")),
        Some(name) => Ok(Arc::new(handles::open_child_dir(job.parent.as_fd(), name)?)),
    }
}

/// `io::Error` is not `Clone`; the visitor gets the same kind and number.
fn copy(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(
        || io::Error::new(error.kind(), error.to_string()),
        io::Error::from_raw_os_error,
    )
}

/// The names in a directory with one allocation for all of them.
#[derive(Debug, Default)]
pub(crate) struct Names(Vec<u8>);

/// The place of one name among [`Names`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name {
    start: u32,
    /// With the NUL that ends it.
    len: u16,
    is_dir: bool,
}

impl Name {
    /// Returns true if the directory's listing calls it a directory, so that nobody has to ask.
    /// False where it does not say.
    pub(crate) fn is_dir(self) -> bool {
        self.is_dir
    }
}

impl Names {
    /// Adds a name and gives its place.
    pub(crate) fn push(&mut self, name: &CStr, is_dir: bool) -> Name {
        let bytes = name.to_bytes_with_nul();
        let place = Name {
            start: self.0.len() as u32,
            // No file system has names of more than a few hundred bytes.
            len: u16::try_from(bytes.len()).unwrap_or(u16::MAX),
            is_dir,
        };
        self.0.extend_from_slice(bytes);
        place
    }

    /// The name's bytes.
    pub(crate) fn bytes(&self, name: Name) -> &[u8] {
        let start = name.start as usize;
        self.0
            .get(start..start + (name.len as usize).saturating_sub(1))
            .unwrap_or_default()
    }

    /// The name as a system call takes it.
    pub(crate) fn c_str(&self, name: Name) -> &CStr {
        let start = name.start as usize;
        let bytes = self
            .0
            .get(start..start + name.len as usize)
            .unwrap_or_default();
        CStr::from_bytes_with_nul(bytes).unwrap_or_default()
    }
}

/// The content of a directory: its names, sorted.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    names: Names,
    order: Vec<Name>,
}

impl Listed {
    /// Lists a directory that was opened for it.
    pub(crate) fn read(dir: BorrowedFd<'_>, buffer: &mut [MaybeUninit<u8>]) -> io::Result<Self> {
        let mut names = Names(Vec::with_capacity(512));
        let mut order = Vec::with_capacity(32);
        handles::list(dir, buffer, |name, is_dir| {
            order.push(names.push(name, is_dir))
        })?;
        order.sort_unstable_by(|a, b| names.bytes(*a).cmp(names.bytes(*b)));
        Ok(Self { names, order })
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    pub(crate) fn has(&self, name: &[u8]) -> bool {
        self.order
            .binary_search_by(|place| self.names.bytes(*place).cmp(name))
            .is_ok()
    }

    pub(crate) fn sorted(&self) -> impl Iterator<Item = (Name, &CStr)> {
        self.order
            .iter()
            .map(|place| (*place, self.names.c_str(*place)))
    }

    pub(crate) fn bytes(&self, name: Name) -> &[u8] {
        self.names.bytes(name)
    }
}
