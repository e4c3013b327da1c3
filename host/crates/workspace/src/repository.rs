//! Finding the repository that a directory lies in, and judging whether a job can work in it.

use std::ffi::OsStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::WorkspaceError;
use crate::handles::{self, Bytes, Kind};
use crate::index::Index;
use crate::path;
use crate::root::Root;
use crate::rules::{Attributes, IgnoreRules};
use crate::tamper::{self, DotGit, GitState};

/// Where a repository keeps what.
#[derive(Debug)]
pub(crate) struct GitDir {
    /// `.git`, or what it leads to.
    pub(crate) path: PathBuf,
    /// The main repository's git directory where `path` is a linked worktree's, else `path`.
    pub(crate) common: PathBuf,
    pub(crate) handle: OwnedFd,
    pub(crate) common_handle: OwnedFd,
    /// `.git` as it stands in the tree.
    pub(crate) dot_git: DotGit,
}

impl GitDir {
    /// The folder with the objects.
    pub(crate) fn objects(&self) -> PathBuf {
        self.common.join("objects")
    }

    /// The git directory's state now.
    pub(crate) fn state(&self) -> GitState {
        let mut state = GitState::read(self.handle.as_fd(), self.common_handle.as_fd());
        state.staged = tamper::staged(self.handle.as_fd());
        state
    }
}

/// Follows the `.git` of the directory `tree` at `place`. `None` when there is none, or one that is no git directory.
pub(crate) fn git_dir_of(
    root: &Root,
    tree: BorrowedFd<'_>,
    place: &Path,
) -> Result<Option<GitDir>, WorkspaceError> {
    let dot_git = DotGit::read(tree);
    let target = match &dot_git {
        DotGit::Missing => return Ok(None),
        DotGit::Directory(_) | DotGit::Symlink(_) => place.join(".git"),
        DotGit::File(bytes) => {
            let Some(target) = bytes.strip_prefix(b"gitdir:").map(<[u8]>::trim_ascii) else {
                return Err(WorkspaceError::Damaged {
                    repository: place.to_path_buf(),
                    what: "its `.git` file does not say `gitdir: ...`".to_owned(),
                });
            };
            place.join(OsStr::from_bytes(target))
        }
        DotGit::Other => {
            return Err(WorkspaceError::Damaged {
                repository: place.to_path_buf(),
                what: "its `.git` is neither a folder nor a file".to_owned(),
            });
        }
    };
    let outside = |error| match error {
        WorkspaceError::Outside { .. } => WorkspaceError::GitDirOutside {
            repository: place.to_path_buf(),
            root: root.path().to_path_buf(),
        },
        WorkspaceError::Missing { path } => WorkspaceError::Damaged {
            repository: place.to_path_buf(),
            what: format!("its git directory {} is missing", path.display()),
        },
        other => other,
    };
    let open = |path: &Path| -> Result<(OwnedFd, PathBuf), WorkspaceError> {
        let (handle, real) = root.locate(path).map_err(outside)?;
        let handle = handles::listable(handle.as_fd())
            .map_err(|_| WorkspaceError::NotADirectory { path: real.clone() })?;
        Ok((handle, real))
    };
    let (handle, path) = open(&target)?;
    let (common_handle, common) = match handles::read_at(&handle, "commondir", 64 << 10) {
        Ok(Bytes::Whole(bytes, _)) => open(&path.join(OsStr::from_bytes(bytes.trim_ascii())))?,
        _ => open(&path)?,
    };
    if !looks_like_git_dir(handle.as_fd(), common_handle.as_fd()) {
        return Ok(None);
    }
    Ok(Some(GitDir {
        path,
        common,
        handle,
        common_handle,
        dot_git,
    }))
}

fn looks_like_git_dir(git: BorrowedFd<'_>, common: BorrowedFd<'_>) -> bool {
    let is = |dir: BorrowedFd<'_>, name: &str, kinds: &[Kind]| {
        handles::stamp_at(dir, name)
            .ok()
            .flatten()
            .is_some_and(|stamp| kinds.contains(&stamp.kind()))
    };
    is(git, "HEAD", &[Kind::File, Kind::Symlink])
        && is(common, "objects", &[Kind::Directory, Kind::Symlink])
        && is(common, "refs", &[Kind::Directory, Kind::Symlink])
}

/// The repository that the resolved directory `dir` lies in.
pub(crate) fn find(root: &Root, dir: &Path) -> Result<(PathBuf, GitDir), WorkspaceError> {
    if dir
        .strip_prefix(root.path())
        .unwrap_or(dir)
        .components()
        .any(|part| part.as_os_str() == ".git")
    {
        return Err(WorkspaceError::InsideGitDir {
            dir: dir.to_path_buf(),
        });
    }
    for place in dir
        .ancestors()
        .take_while(|place| place.starts_with(root.path()))
    {
        let tree = root.open_resolved_dir(place)?;
        if let Some(git_dir) = git_dir_of(root, tree.as_fd(), place)? {
            return Ok((place.to_path_buf(), git_dir));
        }
        if looks_like_git_dir(tree.as_fd(), tree.as_fd()) {
            return Err(WorkspaceError::Bare {
                repository: place.to_path_buf(),
            });
        }
    }
    Err(WorkspaceError::NoRepository {
        dir: dir.to_path_buf(),
        root: root.path().to_path_buf(),
    })
}

/// Refuses what a job cannot work in, each with its reason.
pub(crate) fn judge(root: &Root, top: &Path, git_dir: &GitDir) -> Result<GitState, WorkspaceError> {
    let unsupported = |what: &str| WorkspaceError::Unsupported {
        repository: top.to_path_buf(),
        what: what.to_owned(),
    };
    let config = Config::of(git_dir).map_err(|error| WorkspaceError::Damaged {
        repository: top.to_path_buf(),
        what: format!("its config cannot be read: {}", error.message()),
    })?;
    if config.bare {
        return Err(WorkspaceError::Bare {
            repository: top.to_path_buf(),
        });
    }
    if config
        .object_format
        .as_deref()
        .is_some_and(|format| format != "sha1")
    {
        return Err(unsupported(
            "it keeps its objects by SHA-256, which is not supported yet",
        ));
    }
    if config
        .ref_storage
        .as_deref()
        .is_some_and(|format| format != "files")
    {
        return Err(unsupported(
            "it keeps its refs as a reftable, which is not supported yet",
        ));
    }
    if let Some(worktree) = &config.worktree {
        let real = root.resolve(&git_dir.path.join(worktree));
        if real.ok().as_deref() != Some(top) {
            return Err(unsupported("its core.worktree names another folder"));
        }
    }
    let state = GitState::read(git_dir.handle.as_fd(), git_dir.common_handle.as_fd());
    if state.head_commit().is_none() {
        return match state.branch() {
            Some(branch) => Err(WorkspaceError::Unborn {
                repository: top.to_path_buf(),
                head: path::quoted(branch),
            }),
            None => Err(WorkspaceError::Damaged {
                repository: top.to_path_buf(),
                what: "its HEAD names neither a branch nor a commit".to_owned(),
            }),
        };
    }
    Ok(state)
}

/// The few settings that decide how files are to be read.
#[derive(Debug, Default)]
pub(crate) struct Config {
    pub(crate) bare: bool,
    worktree: Option<String>,
    object_format: Option<String>,
    ref_storage: Option<String>,
    /// Line ends are converted without any attribute.
    autocrlf: Option<bool>,
    excludes_file: Option<PathBuf>,
    attributes_file: Option<PathBuf>,
}

impl Config {
    fn of(git_dir: &GitDir) -> Result<Self, git2::Error> {
        let mut config = git2::Config::new()?;
        for (dir, name, level) in [
            (&git_dir.common, "config", git2::ConfigLevel::Local),
            (
                &git_dir.path,
                "config.worktree",
                git2::ConfigLevel::Worktree,
            ),
        ] {
            let file = dir.join(name);
            if file.is_file() {
                config.add_file(&file, level, false)?;
            }
        }
        let config = config.snapshot()?;
        Ok(Self {
            bare: config.get_bool("core.bare").unwrap_or(false),
            worktree: config.get_string("core.worktree").ok(),
            object_format: config.get_string("extensions.objectformat").ok(),
            ref_storage: config.get_string("extensions.refstorage").ok(),
            ..Self::user_part(&config)
        })
    }

    fn user_part(config: &git2::Config) -> Self {
        Self {
            // `input` is no boolean, and converts too.
            autocrlf: config
                .get_string("core.autocrlf")
                .ok()
                .map(|value| !matches!(value.as_str(), "false" | "no" | "off" | "0")),
            excludes_file: config.get_path("core.excludesfile").ok(),
            attributes_file: config.get_path("core.attributesfile").ok(),
            ..Self::default()
        }
    }
}

/// What the user's own configuration says about every repository.
#[derive(Debug, Default)]
pub(crate) struct UserRules {
    excludes: Vec<u8>,
    attributes: Vec<u8>,
    autocrlf: bool,
}

impl UserRules {
    /// Reads the user's and the system's configuration.
    pub(crate) fn load() -> Self {
        let config = git2::Config::open_default().and_then(|mut config| config.snapshot());
        let config = config
            .map(|config| Config::user_part(&config))
            .unwrap_or_default();
        let home = |name: &str| {
            let base = std::env::var_os("XDG_CONFIG_HOME")
                .filter(|value| !value.is_empty())
                .map(PathBuf::from);
            base.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")))
                .map(|dir| dir.join("git").join(name))
        };
        let read = |path: Option<PathBuf>| {
            path.and_then(|path| std::fs::read(path).ok())
                .unwrap_or_default()
        };
        let mut attributes = std::fs::read("/etc/gitattributes").unwrap_or_default();
        attributes.push(b'\n');
        attributes.extend(read(config.attributes_file.or_else(|| home("attributes"))));
        Self {
            excludes: read(config.excludes_file.or_else(|| home("ignore"))),
            attributes,
            autocrlf: config.autocrlf.unwrap_or(false),
        }
    }
}

/// A repository in the tree as the job found it: the job's own, a submodule, or another one nested in it.
#[derive(Debug)]
pub(crate) struct Repository {
    /// Relative to the tree's top; empty for the job's own.
    pub(crate) place: Vec<u8>,
    pub(crate) git_dir: GitDir,
    pub(crate) state: GitState,
    pub(crate) index: Index,
    /// `info/exclude` and `core.excludesFile`, the weakest ignore rules.
    pub(crate) ignore: Option<Arc<IgnoreRules>>,
    pub(crate) attributes: Option<Arc<Attributes>>,
}

impl Repository {
    pub(crate) fn read(place: Vec<u8>, git_dir: GitDir, user: &UserRules) -> Self {
        let mut state = GitState::read(git_dir.handle.as_fd(), git_dir.common_handle.as_fd());
        let index = tamper::read_index(git_dir.handle.as_fd());
        state.staged = index.as_ref().map(Index::digest);
        let config = Config::of(&git_dir).unwrap_or_default();
        let info = |name: &str| match handles::read_at(&git_dir.common_handle, name, 1 << 20) {
            Ok(Bytes::Whole(bytes, _)) => bytes,
            _ => Vec::new(),
        };
        let file = |own: &Option<PathBuf>, users: &[u8]| match own {
            Some(path) => std::fs::read(path).unwrap_or_default(),
            None => users.to_vec(),
        };
        let ignore = IgnoreRules::parse(&file(&config.excludes_file, &user.excludes), &place, None);
        let ignore = IgnoreRules::parse(&info("info/exclude"), &place, ignore);
        let mut attributes = Attributes::parse(
            &file(&config.attributes_file, &user.attributes),
            &place,
            None,
        );
        attributes = Attributes::parse(&info("info/attributes"), &place, attributes);
        if config.autocrlf.unwrap_or(user.autocrlf) {
            attributes = Attributes::parse(b"* text=auto", &place, attributes);
        }
        Self {
            place,
            git_dir,
            state,
            index: index.unwrap_or_default(),
            ignore,
            attributes,
        }
    }

    /// The part of `path` (relative to the tree's top) that lies below the repository's top.
    pub(crate) fn below<'a>(&self, path: &'a [u8]) -> &'a [u8] {
        if self.place.is_empty() {
            path
        } else {
            path.get(self.place.len() + 1..).unwrap_or_default()
        }
    }

    /// How the repository is called in reports.
    pub(crate) fn shown(&self) -> path::FilePath {
        if self.place.is_empty() {
            path::FilePath::from(".")
        } else {
            path::FilePath::new(self.place.as_slice())
        }
    }
}
