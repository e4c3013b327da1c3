//! The user's checkout that an isolated tree is made from: its repository, and the uncommitted work in it.

use std::path::{Path, PathBuf};

use git2::{ObjectType, Oid, Signature, TreeWalkMode, TreeWalkResult};

use crate::base::Base;
use crate::error::WorkspaceError;
use crate::handles::Kind;
use crate::path;
use crate::state::Content;

/// Opens the user's repository for reading its refs and commits; libgit2 runs nothing of what it brings along.
pub(crate) fn open_source(top: &Path) -> Result<git2::Repository, WorkspaceError> {
    let flags = git2::RepositoryOpenFlags::NO_SEARCH;
    Ok(git2::Repository::open_ext(
        top,
        flags,
        std::iter::empty::<&std::ffi::OsStr>(),
    )?)
}

/// Where the repository of a checkout keeps its objects.
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
    /// Its mode and content (none: too long to be read); `None` when it was deleted.
    pub(crate) now: Option<(u32, Option<Oid>)>,
}

/// What differs between a snapshot of the user's checkout and a commit's tree: the uncommitted work.
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
            let git_mode = match entry.stamp.kind() {
                Kind::Symlink => 0o120_000,
                _ if entry.stamp.mode & 0o100 != 0 => 0o100_755,
                _ => 0o100_644,
            };
            let same = match (known, id) {
                (Some((blob, mode)), Some(id)) => {
                    mode == git_mode
                        && (blob == id || only_line_ends(snapshot, repository, blob, id))
                }
                _ => false,
            };
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

/// Whether a checked-out file differs from its blob by line ends alone, as git's conversion makes it.
fn only_line_ends(snapshot: &Base, repository: &git2::Repository, blob: Oid, id: Oid) -> bool {
    let plain = |bytes: &[u8]| -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        let mut rest = bytes.iter().peekable();
        while let Some(byte) = rest.next() {
            if !(*byte == b'\r' && rest.peek() == Some(&&b'\n')) {
                out.push(*byte);
            }
        }
        out
    };
    let (Ok(blob), Ok(bytes)) = (repository.find_blob(blob), snapshot.contents.read(id)) else {
        return false;
    };
    bytes.windows(2).any(|pair| pair == b"\r\n") && plain(&bytes) == plain(blob.content())
}
