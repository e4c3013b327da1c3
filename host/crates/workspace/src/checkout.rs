//! Making a repository of a job's own: objects by alternates, a branch, the files, the submodules.

use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use git2::build::CheckoutBuilder;
use git2::{ObjectType, Oid, RepositoryInitOptions, TreeWalkMode, TreeWalkResult};
use rustix::io::Errno;

use crate::error::WorkspaceError;
use crate::path::{self, FilePath};
use crate::record::IsolatedRecord;
use crate::repository;
use crate::workspace::Workspace;

/// Hard-links every object file of a repository into `keep`; `false` when the file system does not allow it.
pub(crate) fn keep_objects(objects: &Path, keep: &Path) -> Result<bool, WorkspaceError> {
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
pub(crate) fn check_out(
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
pub(crate) fn submodules(
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
