//! The commits of a job whose runner was killed before it brought them: kept aside, since nobody verified them.
//!
//! What is needed for that is recorded beside the job's git directories when these are made, where no task reaches it.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::carrier::{Carrier, MOST_REFS, wishes};
use super::refused::Refused;
use crate::error::WorkspaceError;
use crate::handles;
use crate::interrupt::Interrupt;
use crate::own_git::OwnRepository;
use crate::path::FilePath;
use crate::repository::{self, Repository, UserRules};
use crate::root::Root;
use crate::tamper::{self, GitState};

/// The record, beside the git directories.
const RECORD: &str = "begun.json";

/// The extension of a folder that is a git directory's refs as they were when the job began.
const BEGUN: &str = "begun";

/// Where a job's git directories are to be brought.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Begun {
    root: PathBuf,
    /// Folders elsewhere whose objects may be read.
    stores: Vec<PathBuf>,
    /// The tree's top.
    top: PathBuf,
    repositories: Vec<BegunRepository>,
}

#[derive(Debug, Serialize, Deserialize)]
struct BegunRepository {
    /// Relative to the tree's top.
    place: Vec<u8>,
    /// The user's git directory, and the common one.
    git: Vec<u8>,
    common: Vec<u8>,
}

/// What became of the refs of a job whose runner was killed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rescued {
    /// The refs that are kept as `worker/JOB/NAME`.
    pub kept: usize,
    /// The refs that are not.
    pub lost: usize,
}

impl Begun {
    /// Records the git directories that were made in `folder`, in their order.
    pub(crate) fn write(
        root: &Root,
        top: &Path,
        repositories: &[std::sync::Arc<Repository>],
        folder: &Path,
    ) -> io::Result<()> {
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
        let of = |repository: &std::sync::Arc<Repository>| BegunRepository {
            place: repository.place.clone(),
            git: bytes(&repository.git_dir.path),
            common: bytes(&repository.git_dir.common),
        };
        let begun = Self {
            root: root.path().to_owned(),
            stores: root.stores().to_vec(),
            top: top.to_owned(),
            repositories: repositories.iter().map(of).collect(),
        };
        for number in 0..repositories.len() {
            let made = folder.join(number.to_string());
            let refs = made.with_extension(BEGUN);
            private::make_folder(&refs)?;
            for name in ["HEAD", "packed-refs"] {
                match fs::copy(made.join(name), refs.join(name)) {
                    Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
                    _ => {}
                }
            }
        }
        let text = serde_json::to_vec(&begun).map_err(io::Error::other)?;
        fs::write(folder.join(RECORD), text)
    }
}

/// Keeps what the job committed whose git directories are in `git`, and whose runner was killed, as `worker/JOB/NAME` in
/// the user's repositories. `folder` is the job's. What the runner had brought by then is not kept twice.
pub fn rescue_commits(job: &str, folder: &Path, git: &Path) -> Rescued {
    let mut rescued = Rescued::default();
    let Ok(text) = fs::read(git.join(RECORD)) else {
        return rescued;
    };
    let Ok(begun) = serde_json::from_slice::<Begun>(&text) else {
        return rescued;
    };
    // What is looked at here waits for it.
    let interrupt = Interrupt::default();
    interrupt.set();
    for (number, record) in begun.repositories.iter().enumerate() {
        let made = git.join(number.to_string());
        match rescue((job, folder), &begun, record, &made, &interrupt) {
            Ok(found) => {
                rescued.kept += found.kept;
                rescued.lost += found.lost;
            }
            Err(fault) => {
                tracing::warn!(%fault, "the commits of an interrupted job are not kept");
                rescued.lost += 1;
            }
        }
    }
    rescued
}

fn rescue(
    job: (&str, &Path),
    begun: &Begun,
    record: &BegunRepository,
    made: &Path,
    interrupt: &Interrupt,
) -> Result<Rescued, Refused> {
    let handle = handles::open_dir(made)?;
    let refs = handles::open_dir(&made.with_extension(BEGUN))?;
    let own = OwnRepository::again(
        record.place.clone(),
        PathBuf::from(OsStr::from_bytes(&record.git)),
        made.to_path_buf(),
        handle,
        GitState::read(refs.as_fd(), refs.as_fd()),
    );
    let mut wishes = wishes(&own, &own.state(), &mut Vec::new());
    if wishes.is_empty() {
        return Ok(Rescued::default());
    }
    let root = Root::open(&begun.root)?.with_stores(begun.stores.iter().cloned())?;
    let place = begun.top.join(FilePath::new(&*record.place).as_path());
    let tree = root.open_resolved_dir(&place)?;
    let git_dir = repository::git_dir_of(&root, tree.as_fd(), &place)?;
    let git_dir = git_dir.filter(|git_dir| {
        let paths = [&git_dir.path, &git_dir.common].map(|path| path.as_os_str().as_bytes());
        paths == [&*record.git, &*record.common]
    });
    let git_dir = git_dir.ok_or(WorkspaceError::Missing { path: place })?;
    let repository = Repository::read(record.place.clone(), git_dir, &UserRules::load());
    let users = repository.state.all_refs();
    wishes.retain(|wish| {
        let there = users.get(&wish.name);
        there.and_then(|value| tamper::parse_oid(value)) != Some(wish.to)
    });
    let mut rescued = Rescued {
        lost: wishes.len().saturating_sub(MOST_REFS),
        kept: 0,
    };
    wishes.truncate(MOST_REFS);
    if wishes.is_empty() {
        return Ok(rescued);
    }
    let mut carrier = Carrier::new(job, &begun.top, &own, &repository, interrupt)?;
    for wish in &wishes {
        match carrier.keep(wish) {
            Ok(_) => rescued.kept += 1,
            Err(fault) => {
                tracing::warn!(%fault, "a ref of an interrupted job is not kept");
                rescued.lost += 1;
            }
        }
    }
    carrier.locks.forget();
    Ok(rescued)
}
