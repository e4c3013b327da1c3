//! Finding the repository that a directory lies in, and judging whether a job can work in it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gix_filter::eol::{AutoCrlf, Configuration, Mode};
use gix_glob::pattern::Case;

use crate::contents::ObjectStores;
use crate::conversion::Conversion;
use crate::error::WorkspaceError;
use crate::handles::{self, Bytes, Kind};
use crate::index::Index;
use crate::path;
use crate::root::Root;
use crate::rules::{AttributeSet, AttributeStack, Attributes, IgnoreRules, Scope};
use crate::tamper::{self, DotGit, GitState};

/// The places of a repository's parts.
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
    /// The folders that git reads objects from, as they were named when it was opened.
    pub(crate) stores: ObjectStores,
}

impl GitDir {
    /// The folder with the objects.
    pub(crate) fn objects(&self) -> PathBuf {
        self.common.join("objects")
    }

    /// Returns true if the git directory says that it is another tree's than the one at `place`: by its back link, by
    /// `core.worktree`, or by where it lies.
    fn is_anothers(&self, root: &Root, place: &Path) -> bool {
        let names = |path: &Path| root.resolve(path).ok();
        if let Ok(Bytes::Whole(back, _)) = handles::read_at(&self.handle, "gitdir", 64 << 10) {
            let back = self.path.join(OsStr::from_bytes(back.trim_ascii()));
            return back.parent().and_then(names).as_deref() != Some(place);
        }
        if let Some(worktree) = Config::of(self).ok().and_then(|config| config.worktree) {
            return names(&self.path.join(worktree)).as_deref() != Some(place);
        }
        self.path.file_name() == Some(OsStr::new(".git")) && self.path.parent() != Some(place)
    }

    /// The folders that git reads objects from: its own, and all that alternates name and that may be read.
    pub(crate) fn object_stores(&self) -> &[PathBuf] {
        &self.stores.folders
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
    let git_dir = GitDir {
        stores: ObjectStores::of(root, &common.join("objects")),
        path,
        common,
        handle,
        common_handle,
        dot_git,
    };
    if !matches!(git_dir.dot_git, DotGit::Directory(_)) && git_dir.is_anothers(root, place) {
        return Err(WorkspaceError::Unsupported {
            repository: place.to_path_buf(),
            what: format!(
                "its `.git` names {}, which is the git directory of another working tree; \
                 a moved worktree is mended by `git worktree repair`",
                git_dir.path.display()
            ),
        });
    }
    Ok(Some(git_dir))
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
    let tree = root.open_resolved_dir(top)?;
    let places = [
        (tree.as_fd(), "", RULES.as_slice()),
        (git_dir.handle.as_fd(), ".git/", GIT_READS.as_slice()),
        (git_dir.common_handle.as_fd(), ".git/", GIT_READS.as_slice()),
    ];
    for (dir, place, names) in places {
        let special = names.iter().find(|name| is_special(dir, name));
        if let Some(name) = special {
            return Err(unsupported(&special_rule(&format!("{place}{name}"))));
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

/// Files of a tree that git reads for itself.
pub(crate) const RULES: [&str; 3] = [".gitignore", ".gitattributes", ".gitmodules"];

/// Files of a git directory that every command of git's reads.
const GIT_READS: [&str; 8] = [
    "config",
    "config.worktree",
    "index",
    "packed-refs",
    "info/exclude",
    "info/attributes",
    "info/sparse-checkout",
    "shallow",
];

/// Returns true if the file is a FIFO, a socket or a device.
pub(crate) fn is_special(dir: BorrowedFd<'_>, name: &str) -> bool {
    let found = handles::stamp_at(dir, name);
    found.is_ok_and(|found| found.is_some_and(|stamp| stamp.kind() == Kind::Special))
}

/// Returns the reason why a tree with such a file is refused.
pub(crate) fn special_rule(name: &str) -> String {
    format!(
        "its {name} is a FIFO, a socket or a device, which git would read without end; remove it"
    )
}

/// The few settings that decide how files are to be read.
#[derive(Debug, Default)]
pub(crate) struct Config {
    pub(crate) bare: bool,
    worktree: Option<String>,
    object_format: Option<String>,
    ref_storage: Option<String>,
    /// `core.autocrlf`: line ends are converted without any attribute.
    autocrlf: Option<AutoCrlf>,
    /// `core.eol`, where it names one.
    eol: Option<Mode>,
    ignore_case: bool,
    /// `core.fileMode`: whether an execution bit says something.
    file_mode: bool,
    /// The drivers of filters that are configured, each with whether it is required.
    filters: BTreeMap<String, bool>,
    excludes_file: Option<PathBuf>,
    attributes_file: Option<PathBuf>,
    /// `core.hooksPath`, as it is written.
    hooks: Option<String>,
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
        // In a linked worktree git passes over what the common file says of these two: they are the main one's.
        let mut own = git2::Config::new()?;
        let file = match git_dir.path == git_dir.common {
            true => git_dir.common.join("config"),
            false => git_dir.path.join("config.worktree"),
        };
        if file.is_file() {
            own.add_file(&file, git2::ConfigLevel::Worktree, false)?;
        }
        let own = own.snapshot()?;
        Ok(Self {
            bare: own.get_bool("core.bare").unwrap_or(false),
            worktree: own.get_string("core.worktree").ok(),
            object_format: config.get_string("extensions.objectformat").ok(),
            ref_storage: config.get_string("extensions.refstorage").ok(),
            ..Self::user_part(&config)
        })
    }

    fn user_part(config: &git2::Config) -> Self {
        Self {
            autocrlf: match config.get_string("core.autocrlf") {
                Ok(value) if value.eq_ignore_ascii_case("input") => Some(AutoCrlf::Input),
                Ok(_) => config.get_bool("core.autocrlf").ok().map(|on| match on {
                    true => AutoCrlf::Enabled,
                    false => AutoCrlf::Disabled,
                }),
                Err(_) => None,
            },
            eol: match config.get_string("core.eol").unwrap_or_default().as_str() {
                "lf" => Some(Mode::Lf),
                "crlf" => Some(Mode::CrLf),
                _ => None,
            },
            ignore_case: config.get_bool("core.ignorecase").unwrap_or(false),
            file_mode: config.get_bool("core.filemode").unwrap_or(true),
            filters: filters(config),
            excludes_file: config.get_path("core.excludesfile").ok(),
            attributes_file: config.get_path("core.attributesfile").ok(),
            hooks: config.get_string("core.hookspath").ok(),
            ..Self::default()
        }
    }
}

/// The rules of the user's own configuration for every repository.
#[derive(Debug, Default)]
pub(crate) struct UserRules {
    excludes: Vec<u8>,
    attributes: Vec<u8>,
    autocrlf: AutoCrlf,
    eol: Option<Mode>,
    filters: BTreeMap<String, bool>,
    hooks: Option<String>,
}

fn filters(config: &git2::Config) -> BTreeMap<String, bool> {
    let mut names = BTreeMap::new();
    if let Ok(mut entries) = config.entries(Some(r"^filter\..*\.(clean|smudge|process)$")) {
        while let Some(Ok(entry)) = entries.next() {
            let name = entry.name().ok().and_then(|name| {
                let name = name.strip_prefix("filter.")?;
                Some(name.rsplit_once('.')?.0.to_owned())
            });
            names.extend(name.map(|name| {
                let required = config.get_bool(&format!("filter.{name}.required"));
                (name, required.unwrap_or(false))
            }));
        }
    }
    names
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
        attributes.extend(read(
            config
                .attributes_file
                .clone()
                .or_else(|| home("attributes")),
        ));
        Self {
            excludes: read(config.excludes_file.clone().or_else(|| home("ignore"))),
            attributes,
            autocrlf: config.autocrlf.unwrap_or_default(),
            eol: config.eol,
            filters: config.filters,
            hooks: config.hooks,
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
    /// `info/attributes`, and the weakest of the others: the user's and the system's.
    pub(crate) attributes: AttributeStack,
    /// `core.ignoreCase`.
    pub(crate) case: Case,
    /// `core.autocrlf` and `core.eol`.
    pub(crate) line_ends: Configuration,
    /// `core.fileMode`.
    pub(crate) file_mode: bool,
    /// The folder in the tree that git takes hooks from, relative to the repository's top.
    pub(crate) hooks_path: Option<Vec<u8>>,
    filters: BTreeMap<String, bool>,
}

/// A path of a configuration, where it is relative and leads into the tree.
fn in_tree(written: &str) -> Option<Vec<u8>> {
    let parts = written.split('/').filter(|part| !matches!(*part, "" | "."));
    let parts: Vec<&str> = parts.collect();
    let inside = !written.starts_with(['/', '~']) && !parts.is_empty() && !parts.contains(&"..");
    inside.then(|| parts.join("/").into_bytes())
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
        let case = match config.ignore_case {
            true => Case::Fold,
            false => Case::Sensitive,
        };
        let scope = Scope { dir: &place, case };
        let ignore = IgnoreRules::parse(&file(&config.excludes_file, &user.excludes), scope, None);
        let ignore = IgnoreRules::parse(&info("info/exclude"), scope, ignore);
        let attributes = AttributeStack {
            info: Attributes::parse(&info("info/attributes"), scope, true, None),
            tree: Attributes::parse(
                &file(&config.attributes_file, &user.attributes),
                scope,
                true,
                None,
            ),
        };
        Self {
            place,
            git_dir,
            state,
            index: index.unwrap_or_default(),
            ignore,
            attributes,
            case,
            line_ends: Configuration {
                auto_crlf: config.autocrlf.unwrap_or(user.autocrlf),
                eol: config.eol.or(user.eol),
            },
            file_mode: config.file_mode,
            hooks_path: config
                .hooks
                .or_else(|| user.hooks.clone())
                .and_then(|hooks| in_tree(&hooks)),
            filters: user
                .filters
                .clone()
                .into_iter()
                .chain(config.filters)
                .collect(),
        }
    }

    /// Returns git's conversion here for a file that has these attributes.
    pub(crate) fn conversion(&self, attributes: &AttributeSet<'_>) -> Conversion {
        Conversion::of(attributes, self.line_ends, &self.filters)
    }

    /// The part of `path` (relative to the tree's top) that lies below the repository's top.
    pub(crate) fn below<'a>(&self, path: &'a [u8]) -> &'a [u8] {
        if self.place.is_empty() {
            path
        } else {
            path.get(self.place.len() + 1..).unwrap_or_default()
        }
    }

    /// Returns the name of the repository in reports.
    pub(crate) fn shown(&self) -> path::FilePath {
        if self.place.is_empty() {
            path::FilePath::from(".")
        } else {
            path::FilePath::new(self.place.as_slice())
        }
    }
}
