//! The user's checkout that an isolated tree is made from: its repository, and the uncommitted work in it.

use std::path::{Path, PathBuf};

use git2::{ObjectType, Oid, Signature, TreeWalkMode, TreeWalkResult};

use crate::base::Base;
use crate::contents::blob_id;
use crate::conversion::Effect;
use crate::directory::Entry;
use crate::error::WorkspaceError;
use crate::handles::Kind;
use crate::path;
use crate::site::Site;
use crate::state::{Content, FileState};

/// Opens the user's repository for reading its refs and commits; libgit2 runs nothing of what it brings along.
pub(crate) fn open_source(top: &Path) -> Result<git2::Repository, WorkspaceError> {
    let flags = git2::RepositoryOpenFlags::NO_SEARCH;
    Ok(git2::Repository::open_ext(
        top,
        flags,
        std::iter::empty::<&std::ffi::OsStr>(),
    )?)
}

/// The folder in which the repository of a checkout keeps its objects.
pub(crate) fn source_objects(top: &Path) -> PathBuf {
    open_source(top).map_or_else(
        |_| top.join(".git/objects"),
        |user| user.commondir().join("objects"),
    )
}

pub(crate) fn signature(source: &Path) -> Result<Signature<'static>, git2::Error> {
    let user = git2::Repository::open(source);
    user.and_then(|user| user.signature())
        .or_else(|_| Signature::now("mcp-codex-worker", "mcp-codex-worker@localhost"))
}

pub(crate) fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

/// A file whose state in a checkout is not the committed one.
pub(crate) struct Uncommitted {
    pub(crate) path: Vec<u8>,
    /// The mode and content (none: too long to be read); `None` when it was deleted.
    pub(crate) now: Option<(u32, Option<Oid>)>,
}

/// The difference between a snapshot of the user's checkout and a commit's tree: the uncommitted
/// work.
pub(crate) fn uncommitted(
    snapshot: &Base,
    repository: &git2::Repository,
    tree: &git2::Tree<'_>,
) -> Result<Vec<Uncommitted>, WorkspaceError> {
    let mut committed = std::collections::BTreeMap::new();
    tree.walk(TreeWalkMode::PreOrder, |dir, entry| {
        if entry.kind() == Some(ObjectType::Blob) {
            let path = path::join(dir.trim_end_matches('/').as_bytes(), entry.name_bytes());
            committed.insert(path, (entry.id(), entry.filemode() as u32));
        }
        TreeWalkResult::Ok
    })?;
    let sparse = |path: &[u8]| {
        snapshot
            .repositories
            .first()
            .is_some_and(|main| main.index.is_left_out(path))
    };
    let mut found = Vec::new();
    for directory in snapshot
        .directories
        .iter()
        .filter(|directory| directory.site.repository.place.is_empty())
    {
        for entry in &directory.entries {
            let path = path::join(&directory.path, directory.name(entry));
            let known = committed.remove(&path);
            let id = match entry.content {
                Content::Known(id) => Some(id),
                Content::Unread => None,
                Content::Ignored | Content::Special => continue,
            };
            let state = FileState::of(&entry.stamp, entry.content);
            let site = &directory.site;
            let same = known.is_some_and(|(blob, mode)| {
                let modes = mode == state.git_mode()
                    || (!site.repository.file_mode
                        && state.kind() == Kind::File
                        && mode != 0o120_000);
                modes
                    && (id == Some(blob)
                        || is_clean(snapshot, repository, site, &path, entry, blob))
            });
            if !same {
                found.push(Uncommitted {
                    path,
                    now: Some((entry.stamp.mode, id)),
                });
            }
        }
    }
    found.extend(
        committed
            .into_keys()
            .filter(|path| !sparse(path))
            .map(|path| Uncommitted { path, now: None }),
    );
    Ok(found)
}

/// Returns true if git takes the file for that of the object: by the index, or by what it makes of the file.
fn is_clean(
    snapshot: &Base,
    repository: &git2::Repository,
    site: &Site,
    path: &[u8],
    entry: &Entry,
    blob: Oid,
) -> bool {
    if entry.stamp.kind() != Kind::File {
        return false;
    }
    let (dir, name) = path::split(path);
    let conversion = site.conversion(path);
    // What an external program would tell is what it told when the index was written.
    if conversion.filter().is_some()
        && let Some(known) = site.tracked(dir, name)
        && known.oid == blob.as_bytes()
        && site.repository.index.says_unchanged(known, &entry.stamp)
    {
        return true;
    }
    if conversion.effect() == Effect::None {
        return false;
    }
    // Bytes that do not survive their own conversion are clean as long as git does not look at them again.
    if let Some(known) = site.tracked(dir, name)
        && known.oid == blob.as_bytes()
        && site.repository.index.proves(known, &entry.stamp)
    {
        return true;
    }
    let Content::Known(id) = entry.content else {
        return false;
    };
    let committed = || {
        let blob = repository.find_blob(blob).ok()?;
        Some(blob.content().to_vec())
    };
    let Ok(bytes) = snapshot.contents.read(id) else {
        return false;
    };
    let made = conversion
        .to_git(&bytes, committed)
        .ok()
        .and_then(|bytes| blob_id(&bytes).ok());
    made == Some(blob)
}
