//! A job that is made up: trees before and after, in a repository of their own, compared as those of a real job are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use plugins::check::Command;
use workspace::{Base, Limits, Root, Workspace, WorkspaceError, make_repository};

use crate::JobView;

/// The entry at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A file with these bytes, executable or not.
    File {
        /// The content.
        bytes: Vec<u8>,
        /// The owner may execute it.
        executable: bool,
    },
    /// A symbolic link with this target.
    Symlink(PathBuf),
}

/// The reason why a job cannot be made up.
#[derive(Debug, thiserror::Error)]
pub enum MadeUpError {
    /// The file system is in the way.
    #[error("{path}: {error}")]
    File {
        /// The path.
        path: String,
        /// The system's error.
        error: std::io::Error,
    },
    /// A path leads out of the tree.
    #[error("{0}: a path is relative, with no more than one .. at its beginning, and not in .git")]
    Path(String),
    /// The trees cannot be compared.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
}

impl JobView {
    /// The view of a job that is made up: makes the trees, which are gone with it, and compares them. Every path of `tree` is there before and after; those of `before` and `after` at
    /// their moment.
    ///
    /// # Errors
    /// When a tree cannot be made.
    pub fn made_up(
        tree: &BTreeMap<PathBuf, Entry>,
        before: &BTreeMap<PathBuf, Entry>,
        after: &BTreeMap<PathBuf, Entry>,
    ) -> Result<Self, MadeUpError> {
        let folder = tempfile::tempdir().map_err(|error| failed(Path::new("."), error))?;
        // The root has no link in it, wherever the system keeps temporary files.
        let place = std::fs::canonicalize(folder.path());
        let place = place.map_err(|error| failed(folder.path(), error))?;
        let top = place.join("tree");
        make_repository(&top)?;
        // What is beside the allowed directory begins with `..`.
        let paths = tree.keys().chain(before.keys()).chain(after.keys());
        let work = match paths.clone().any(|path| path.starts_with("..")) {
            true => top.join("work"),
            false => top.clone(),
        };
        std::fs::create_dir_all(&work).map_err(|error| failed(&work, error))?;
        for (path, entry) in tree.iter().chain(before) {
            put(&work, path, entry)?;
        }
        let root = Root::open(&place)?;
        let workspace = Workspace::open(&root, std::slice::from_ref(&work))?;
        let base = Base::capture(&workspace, &place.join("base"), Limits::default())?;
        for path in before.keys().filter(|path| !after.contains_key(*path)) {
            let file = work.join(path);
            std::fs::remove_file(&file).map_err(|error| failed(&file, error))?;
        }
        for (path, entry) in after {
            put(&work, path, entry)?;
        }
        let changes = base.changes()?;
        Ok(Self {
            id: "case".to_owned(),
            task: String::new(),
            agent_message: String::new(),
            changes: Arc::new(changes),
            root,
            work_dir: work,
            commands: Vec::new(),
            lines: Mutex::default(),
            index: OnceLock::new(),
            folder: Some(folder),
        })
    }

    /// Says what was asked for, and what the agent said.
    #[must_use]
    pub fn of(mut self, task: &str, agent_message: &str) -> Self {
        task.clone_into(&mut self.task);
        agent_message.clone_into(&mut self.agent_message);
        self
    }

    /// Adds a command that ran, with what it printed.
    pub fn ran(&mut self, command: Command, output: String) {
        self.commands.push((command, output.into()));
    }
}

fn put(work: &Path, path: &Path, entry: &Entry) -> Result<(), MadeUpError> {
    let beside = path.strip_prefix("..").unwrap_or(path);
    let inside = beside
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_)));
    if !inside || beside.as_os_str().is_empty() || beside.starts_with(".git") {
        return Err(MadeUpError::Path(path.display().to_string()));
    }
    let file = work.join(path);
    let made = || -> std::io::Result<()> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        // A link is replaced, not followed.
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        match entry {
            Entry::File { bytes, executable } => {
                std::fs::write(&file, bytes)?;
                set_executable(&file, *executable)
            }
            Entry::Symlink(target) => link(target, &file),
        }
    };
    made().map_err(|error| failed(&file, error))
}

#[cfg(unix)]
fn set_executable(file: &Path, executable: bool) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = if executable { 0o755 } else { 0o644 };
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_executable(_: &Path, _: bool) -> std::io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn link(target: &Path, file: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, file)
}

#[cfg(not(unix))]
fn link(target: &Path, file: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_file(target, file)
}

fn failed(path: &Path, error: std::io::Error) -> MadeUpError {
    MadeUpError::File {
        path: path.display().to_string(),
        error,
    }
}
