//! A job's changes of git itself: commits, refs, `.git`, configuration, hooks. Read by handle out of the git directory that
//! was pinned when the job started; git is never asked.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};

use git2::Oid;
use rustix::fs::{Mode, OFlags};
use serde::Serialize;
use sha2::Digest as _;

use crate::handles::{self, Bytes, Kind};
use crate::index::Index;
use crate::path::{self, FilePath};

/// Something that a job changed in git rather than in the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum GitChange {
    /// `.git` was deleted, replaced or rewritten.
    DotGit {
        /// The repository's place, `.` for the job's own.
        repository: FilePath,
        /// The change.
        how: DotGitChange,
    },
    /// The working tree's top folder itself was deleted or replaced.
    Top {
        /// The change.
        how: DotGitChange,
    },
    /// HEAD names another branch or commit.
    Head {
        /// The repository's place.
        repository: FilePath,
        /// The target before (`ref: refs/heads/main` or a commit).
        from: String,
        /// The target now.
        to: String,
    },
    /// Commits were made on top of the base.
    Commits {
        /// The repository's place.
        repository: FilePath,
        /// The number, as far as counted (1,000 at most).
        count: usize,
        /// The newest.
        head: String,
    },
    /// A branch, a tag or another ref was made, moved or deleted.
    Ref {
        /// The repository's place.
        repository: FilePath,
        /// The ref's full name.
        name: FilePath,
        /// The value before; none when it is new.
        from: Option<String>,
        /// The value now; none when it is gone.
        to: Option<String>,
        /// It is the branch that HEAD was on.
        #[serde(skip)]
        current: bool,
    },
    /// The configuration, a hook, exclude rules, attributes, alternates or the like.
    Setting {
        /// The repository's place.
        repository: FilePath,
        /// The file in the git directory.
        file: FilePath,
    },
    /// The index holds something else than before.
    Index {
        /// The repository's place.
        repository: FilePath,
    },
    /// A file of ignore rules in the tree changed; the rules of the base went on to apply.
    IgnoreRules {
        /// The file.
        file: FilePath,
    },
    /// A repository appeared inside the tree.
    NestedRepository {
        /// The place.
        repository: FilePath,
    },
}

/// The change of something that should have stayed as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DotGitChange {
    /// It is not there any more.
    Removed,
    /// Something else stands in its place.
    Replaced,
    /// It was there, with other content.
    Rewritten,
}

impl GitChange {
    /// Returns true if others do this in the same repository while a job runs: a fetch moves remote-tracking branches and
    /// brings tags, a commit in another worktree moves that one's branch. It is a note at most.
    pub fn is_others(&self) -> bool {
        let Self::Ref {
            name,
            from,
            to,
            current,
            ..
        } = self
        else {
            return false;
        };
        let name = name.as_bytes();
        let gone = to.is_none();
        if name.starts_with(b"refs/remotes/") {
            return true;
        }
        if name.starts_with(b"refs/tags/") {
            return from.is_none();
        }
        name.starts_with(b"refs/heads/") && !gone && !current
    }

    /// Returns true if it is about commits, and where HEAD, branches and tags are.
    pub fn is_of_commits(&self) -> bool {
        matches!(
            self,
            Self::Head { .. } | Self::Commits { .. } | Self::Ref { .. }
        )
    }

    /// Returns true if honest work never does this: it changes what git itself would run, read or
    /// believe.
    pub fn is_tampering(&self) -> bool {
        matches!(
            self,
            Self::DotGit { .. } | Self::Top { .. } | Self::Setting { .. }
        )
    }
}

impl fmt::Display for DotGitChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Removed => "removed",
            Self::Replaced => "replaced",
            Self::Rewritten => "rewritten",
        })
    }
}

impl fmt::Display for GitChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |repository: &FilePath| {
            if *repository == "." {
                String::new()
            } else {
                format!(" in {repository}")
            }
        };
        match self {
            Self::DotGit { repository, how } => write!(f, ".git was {how}{}", place(repository)),
            Self::Top { how } => write!(f, "the working tree's top folder was {how}"),
            Self::Head {
                repository,
                from,
                to,
            } => {
                // They are readable already, see [`GitState::head`].
                write!(f, "HEAD{} moved from {from} to {to}", place(repository))
            }
            Self::Commits {
                repository,
                count,
                head,
            } => {
                let plural = if *count == 1 { "commit" } else { "commits" };
                write!(
                    f,
                    "{count} {plural} made{}, the newest {}",
                    place(repository),
                    path::quoted(head.get(..12).unwrap_or(head).as_bytes())
                )
            }
            Self::Ref {
                repository,
                name,
                from,
                to,
                ..
            } => {
                let how = match (from, to) {
                    (None, _) => "made",
                    (_, None) => "deleted",
                    _ => "moved",
                };
                write!(f, "{name} was {how}{}", place(repository))
            }
            Self::Setting { repository, file } => {
                write!(f, ".git/{file} was changed{}", place(repository))
            }
            Self::Index { repository } => {
                write!(f, "what is staged{} was changed", place(repository))
            }
            Self::IgnoreRules { file } => write!(f, "the ignore rules in {file} were changed"),
            Self::NestedRepository { repository } => {
                write!(f, "a repository was made in {repository}")
            }
        }
    }
}

/// `.git` as it stands in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DotGit {
    Missing,
    Directory((u64, u64)),
    File(Vec<u8>),
    Symlink(Vec<u8>),
    Other,
}

impl DotGit {
    pub(crate) fn read(tree: impl AsFd) -> Self {
        let Ok(Some(stamp)) = handles::stamp_at(&tree, ".git") else {
            return Self::Missing;
        };
        match stamp.kind() {
            Kind::Directory => handles::open_child_dir(tree.as_fd(), c".git")
                .and_then(handles::identity)
                .map_or(Self::Other, Self::Directory),
            Kind::File => match handles::read_at(&tree, ".git", 64 << 10) {
                Ok(Bytes::Whole(bytes, _)) => Self::File(bytes),
                _ => Self::Other,
            },
            Kind::Symlink => handles::link_target(&tree, ".git").map_or(Self::Other, Self::Symlink),
            Kind::Special => Self::Other,
        }
    }

    pub(crate) fn change(&self, now: &Self) -> Option<DotGitChange> {
        match (self, now) {
            (before, now) if before == now => None,
            (_, Self::Missing) => Some(DotGitChange::Removed),
            (Self::File(_), Self::File(_)) | (Self::Symlink(_), Self::Symlink(_)) => {
                Some(DotGitChange::Rewritten)
            }
            _ => Some(DotGitChange::Replaced),
        }
    }
}

/// The files of a git directory that decide what git does.
const SETTINGS: &[&str] = &[
    "config",
    "config.worktree",
    "commondir",
    "gitdir",
    "info/attributes",
    "info/exclude",
    "info/grafts",
    "info/sparse-checkout",
    "objects/info/alternates",
    "objects/info/http-alternates",
    "shallow",
];

/// A git directory at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct GitState {
    head: Vec<u8>,
    loose: BTreeMap<Vec<u8>, Vec<u8>>,
    packed: Vec<u8>,
    /// By name: what `config`, hooks and the like held.
    settings: BTreeMap<Vec<u8>, [u8; 32]>,
    pub(crate) staged: Option<[u8; 32]>,
}

const LONGEST_REF: u64 = 64 << 10;
const LONGEST_PACKED: u64 = 256 << 20;
const LONGEST_SETTING: u64 = 16 << 20;
const MOST_REFS: usize = 200_000;

impl GitState {
    /// Reads a git directory; `common` is the same one, or the main repository's of a linked worktree.
    pub(crate) fn read(git: BorrowedFd<'_>, common: BorrowedFd<'_>) -> Self {
        let head = plain(git, "HEAD", LONGEST_REF).unwrap_or_default();
        let mut loose = BTreeMap::new();
        collect_refs(common, "refs", 0, &mut loose);
        if handles::identity(git).ok() != handles::identity(common).ok() {
            collect_refs(git, "refs", 0, &mut loose);
        }
        let packed = plain(common, "packed-refs", LONGEST_PACKED).unwrap_or_default();
        let mut settings = BTreeMap::new();
        for name in SETTINGS {
            for dir in [git, common] {
                if let Some(digest) = fingerprint(dir, *name) {
                    settings.insert(name.as_bytes().to_vec(), digest);
                }
            }
        }
        if let Ok(hooks) = open_dir_at(common, "hooks") {
            let mut buffer = [std::mem::MaybeUninit::uninit(); 8192];
            let mut names = Vec::new();
            let _ = handles::list(hooks.as_fd(), &mut buffer, |name, _| {
                names.push(name.to_owned())
            });
            for name in names {
                // git runs hooks by their exact names; samples are inert until renamed.
                if !name.to_bytes().ends_with(b".sample") {
                    let digest = fingerprint(hooks.as_fd(), &name).unwrap_or_default();
                    settings.insert(path::join(b"hooks", name.to_bytes()), digest);
                }
            }
        }
        Self {
            head: head.trim_ascii_end().to_vec(),
            loose,
            packed,
            settings,
            staged: None,
        }
    }

    /// The target of HEAD, a ref or a commit, readable.
    pub(crate) fn head(&self) -> String {
        path::quoted(&self.head)
    }

    /// The branch that HEAD is on; `None` when it is detached.
    pub(crate) fn branch(&self) -> Option<&[u8]> {
        self.head.strip_prefix(b"ref:").map(<[u8]>::trim_ascii)
    }

    /// The commit that HEAD leads to; `None` when there is none yet.
    pub(crate) fn head_commit(&self) -> Option<Oid> {
        let mut name = self.head.as_slice();
        // A symbolic ref may name another one.
        for _ in 0..5 {
            match name.strip_prefix(b"ref:") {
                None => return parse_oid(name),
                Some(target) => name = self.value(target.trim_ascii())?,
            }
        }
        None
    }

    fn value(&self, name: &[u8]) -> Option<&[u8]> {
        if let Some(value) = self.loose.get(name) {
            return Some(value);
        }
        self.packed.split(|byte| *byte == b'\n').find_map(|line| {
            let (value, known) = line.split_at_checked(40)?;
            (known.strip_prefix(b" ") == Some(name)).then_some(value)
        })
    }

    /// The tags, branches and remote-tracking branches that name an object, ordered by name.
    pub(crate) fn named(&self) -> impl Iterator<Item = (Vec<u8>, Oid)> {
        let all = self.all_refs().into_iter();
        all.filter(|(name, _)| {
            [&b"refs/heads/"[..], b"refs/remotes/", b"refs/tags/"]
                .iter()
                .any(|space| name.starts_with(space))
        })
        .filter_map(|(name, value)| Some((name, parse_oid(&value)?)))
    }

    pub(crate) fn all_refs(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut all = BTreeMap::new();
        for line in self.packed.split(|byte| *byte == b'\n') {
            if let Some((value, name)) = line.split_at_checked(40)
                && let Some(name) = name.strip_prefix(b" ")
            {
                all.insert(name.to_vec(), value.to_vec());
            }
        }
        all.extend(
            self.loose
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        all
    }

    /// The differences between two moments; `now` is the later.
    pub(crate) fn changes(&self, now: &Self, repository: &FilePath) -> Vec<GitChange> {
        let mut found = Vec::new();
        let repository = || repository.clone();
        if self.head != now.head {
            found.push(GitChange::Head {
                repository: repository(),
                from: self.head(),
                to: now.head(),
            });
        }
        if self.loose != now.loose || self.packed != now.packed {
            let (before, after) = (self.all_refs(), now.all_refs());
            let text = |value: Option<&Vec<u8>>| {
                value.map(|value| String::from_utf8_lossy(value).into_owned())
            };
            let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
            for name in names {
                let (from, to) = (before.get(name), after.get(name));
                if from != to {
                    let current = self.branch() == Some(name.as_slice());
                    let name = FilePath::new(name.as_slice());
                    found.push(GitChange::Ref {
                        repository: repository(),
                        name,
                        from: text(from),
                        to: text(to),
                        current,
                    });
                }
            }
        }
        let names: std::collections::BTreeSet<_> =
            self.settings.keys().chain(now.settings.keys()).collect();
        for name in names {
            if self.settings.get(name) != now.settings.get(name) {
                found.push(GitChange::Setting {
                    repository: repository(),
                    file: FilePath::new(name.as_slice()),
                });
            }
        }
        if self.staged != now.staged {
            found.push(GitChange::Index {
                repository: repository(),
            });
        }
        found
    }
}

/// The digest of what is staged, `None` when there is no index or it is not understood.
pub(crate) fn staged(git: BorrowedFd<'_>) -> Option<[u8; 32]> {
    read_index(git).map(|index| index.digest())
}

/// Reads the index of a git directory.
pub(crate) fn read_index(git: BorrowedFd<'_>) -> Option<Index> {
    match handles::read_at(git, "index", 2 << 30) {
        Ok(Bytes::Whole(bytes, stamp)) => Index::parse_with(&bytes, stamp.mtime, |shared| {
            match handles::read_at(git, format!("sharedindex.{shared}"), 2 << 30) {
                Ok(Bytes::Whole(bytes, _)) => Some(bytes),
                _ => None,
            }
        }),
        _ => None,
    }
}

/// The state that keeps libgit2 from writing the index of a git directory, and the command that
/// mends it.
pub(crate) fn unwritable(git: BorrowedFd<'_>) -> Option<(&'static str, &'static str)> {
    let Ok(Bytes::Whole(bytes, _)) = handles::read_at(git, "index", 2 << 30) else {
        return None;
    };
    if Index::is_split(&bytes) {
        return Some((
            "a split index (core.splitIndex)",
            "git update-index --no-split-index",
        ));
    }
    Index::parse(&bytes, 0)?.is_sparse().then_some((
        "a sparse index (index.sparse)",
        "git sparse-checkout reapply --no-sparse-index",
    ))
}

pub(crate) fn parse_oid(text: &[u8]) -> Option<Oid> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    if text.len() == 40 {
        Oid::from_str(text).ok()
    } else {
        None
    }
}

pub(crate) fn open_dir_at(
    dir: BorrowedFd<'_>,
    name: impl rustix::path::Arg,
) -> std::io::Result<std::os::fd::OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, name, flags, Mode::empty())?)
}

fn plain(dir: BorrowedFd<'_>, name: &str, limit: u64) -> Option<Vec<u8>> {
    match handles::read_at(dir, name, limit) {
        Ok(Bytes::Whole(bytes, _)) => Some(bytes),
        _ => None,
    }
}

/// The lines of a configuration without its `[branch "..."]` sections: editors and `git push -u` write them at any time,
/// and nothing in them runs. Where a section cannot be told from the rest by its lines alone, all lines count.
fn without_branches(text: &[u8]) -> Cow<'_, [u8]> {
    let lines = || text.split(|byte| *byte == b'\n');
    let continued = lines().any(|line| line.trim_ascii_end().ends_with(b"\\"));
    if continued || memchr::memmem::find(text, b"[branch \"").is_none() {
        return Cow::Borrowed(text.trim_ascii_end());
    }
    let is_branch = |line: &[u8]| {
        line.strip_prefix(b"[branch \"")
            .and_then(|rest| rest.strip_suffix(b"\"]"))
            .is_some_and(|name| !name.iter().any(|byte| b"\"\\]".contains(byte)))
    };
    let is_key = |line: &[u8]| {
        let key = line.split(|byte| *byte == b'=').next().unwrap_or_default();
        let key = key.trim_ascii();
        line.is_empty()
            || (!key.is_empty()
                && key
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-'))
    };
    let mut kept = Vec::with_capacity(text.len());
    let mut inside = false;
    for line in lines() {
        let bare = line.trim_ascii();
        if bare.starts_with(b"[") {
            inside = is_branch(bare);
        }
        if inside && (bare.starts_with(b"[") || is_key(bare)) {
            continue;
        }
        kept.extend_from_slice(line);
        kept.push(b'\n');
    }
    let length = kept.trim_ascii_end().len();
    kept.truncate(length);
    Cow::Owned(kept)
}

/// A digest of a file with its kind and permissions, so that a link or a bit counts too.
fn fingerprint(dir: BorrowedFd<'_>, name: impl rustix::path::Arg + Copy) -> Option<[u8; 32]> {
    let stamp = handles::stamp_at(dir, name).ok().flatten()?;
    let mut hasher = sha2::Sha256::new();
    hasher.update(stamp.mode.to_be_bytes());
    match stamp.kind() {
        Kind::File => match handles::read_at(dir, name, LONGEST_SETTING) {
            Ok(Bytes::Whole(bytes, _)) => hasher.update(without_branches(&bytes)),
            _ => hasher.update(stamp.mtime.to_be_bytes()),
        },
        Kind::Symlink => hasher.update(handles::link_target(dir, name).unwrap_or_default()),
        Kind::Directory | Kind::Special => hasher.update(stamp.inode.to_be_bytes()),
    }
    Some(hasher.finalize().into())
}

fn collect_refs(
    dir: BorrowedFd<'_>,
    name: &str,
    depth: usize,
    into: &mut BTreeMap<Vec<u8>, Vec<u8>>,
) {
    if let Ok(refs) = open_dir_at(dir, name) {
        collect_below(refs.as_fd(), name.as_bytes(), depth, into);
    }
}

fn collect_below(
    dir: BorrowedFd<'_>,
    path: &[u8],
    depth: usize,
    into: &mut BTreeMap<Vec<u8>, Vec<u8>>,
) {
    let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
    let mut names = Vec::new();
    let _ = handles::list(dir, &mut buffer, |name, _| names.push(name.to_owned()));
    for name in names {
        if into.len() >= MOST_REFS || depth > 64 {
            return;
        }
        let full = path::join(path, name.to_bytes());
        let Ok(Some(stamp)) = handles::stamp_at(dir, &*name) else {
            continue;
        };
        match stamp.kind() {
            Kind::Directory => {
                if let Ok(child) = handles::open_child_dir(dir, &name) {
                    collect_below(child.as_fd(), &full, depth + 1, into);
                }
            }
            Kind::File if !full.ends_with(b".lock") => {
                if let Ok(Bytes::Whole(bytes, _)) = handles::read_at(dir, &*name, LONGEST_REF) {
                    into.insert(full, bytes.trim_ascii_end().to_vec());
                }
            }
            Kind::Symlink => {
                into.insert(full, handles::link_target(dir, &*name).unwrap_or_default());
            }
            Kind::File | Kind::Special => {}
        }
    }
}
