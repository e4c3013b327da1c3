//! A job as a check sees it, over the changes of a working tree.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use plugins::Limits;
use plugins::check::{
    ChangedFile, Command, FileKind, FileState, LinePage, Moment, ReadError, Snapshot,
};
use workspace::{ChangeKind, ChangedLines, Changes, FilePath, FileType, LineSide, Root, Selection};

/// The job as a check sees it: the changes as they were taken, whatever happened to the tree since.
#[derive(Debug)]
pub struct JobView {
    /// The job's id.
    pub id: String,
    /// The task of the job.
    pub task: String,
    /// The agent's last words.
    pub agent_message: String,
    /// The differences from the base.
    pub changes: Arc<Changes>,
    /// The root that the tree is in.
    pub root: Root,
    /// The working directory.
    pub work_dir: PathBuf,
    /// The commands that ran, with what they printed.
    pub commands: Vec<(Command, Arc<str>)>,
    /// The lines that were asked for last: pages of one file come one after the other.
    pub lines: LastLines,
    /// The positions of paths among the changes, made when they are first needed.
    pub index: OnceLock<Index>,
    /// A folder that is removed with the view.
    pub folder: Option<tempfile::TempDir>,
}

/// The changed files by their paths before and after the job.
#[derive(Debug, Default)]
pub struct Index {
    before: HashMap<String, usize>,
    after: HashMap<String, usize>,
}

/// The changed lines of one side of one file.
type LastLines = Mutex<Option<(FilePath, LineSide, Arc<ChangedLines>)>>;

/// The files that `find` looks at.
const VISITED: usize = 1_000_000;

/// The range in which git looks for the NUL byte of a binary file.
const BINARY_WITHIN: u64 = 8000;

impl JobView {
    /// Returns true if a file is no text. One that was too long to be kept is so where its beginning says it: the rest of it is
    /// for the checks to miss, and to fail for.
    fn is_binary(&self, file: &workspace::ChangedFile) -> bool {
        if !file.unreadable || file.kind == ChangeKind::Deleted {
            return file.binary;
        }
        let beginning = self.tree().and_then(|tree| {
            tree.read_at(file.path.as_path(), 0, BINARY_WITHIN)
                .map_err(|error| ReadError::Other(error.to_string()))
        });
        beginning.is_ok_and(|bytes| bytes.contains(&0))
    }

    fn lines_of(
        &self,
        file: &workspace::ChangedFile,
        side: LineSide,
    ) -> Result<Arc<ChangedLines>, ReadError> {
        let mut last = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, lines)) = last
            .as_ref()
            .filter(|(path, of, _)| *path == file.path && *of == side)
        {
            return Ok(Arc::clone(lines));
        }
        // Only one at a time: they may be long.
        *last = None;
        let lines = self.changes.changed_lines(file.path.as_bytes(), side);
        let lines = Arc::new(lines.map_err(|error| ReadError::Other(error.to_string()))?);
        *last = Some((file.path.clone(), side, Arc::clone(&lines)));
        Ok(lines)
    }

    /// The changed file of that path, by its name at that moment.
    fn file(&self, path: &str, moment: Moment) -> Result<&workspace::ChangedFile, ReadError> {
        let index = self.index.get_or_init(|| {
            let mut index = Index::default();
            for (at, file) in self.changes.files.iter().enumerate() {
                let path = shown(&file.path);
                let before = file.previous_path.as_ref().map_or(path.clone(), shown);
                index.before.insert(before, at);
                index.after.insert(path, at);
            }
            index
        });
        let side = match moment {
            Moment::Before => &index.before,
            Moment::After => &index.after,
        };
        let found = side.get(path).and_then(|at| self.changes.files.get(*at));
        found.ok_or(ReadError::NotFound)
    }

    /// A side of a changed file as a check sees it.
    fn state(side: Option<workspace::Side>, binary: bool) -> Option<FileState> {
        let side = side?;
        Some(FileState {
            kind: match side.kind {
                FileType::File if side.mode & 0o100 != 0 => FileKind::Executable,
                FileType::File => FileKind::Regular,
                FileType::Symlink => FileKind::Symlink,
                FileType::Submodule => FileKind::Submodule,
                FileType::Special => FileKind::Other("special".to_owned()),
            },
            mode: side.mode,
            size: side.size,
            binary,
            object_id: side.id,
        })
    }
}

impl Snapshot for JobView {
    fn id(&self) -> String {
        self.id.clone()
    }

    fn task(&self) -> String {
        self.task.clone()
    }

    fn changed(&self) -> Vec<ChangedFile> {
        let file = |file: &workspace::ChangedFile| {
            let binary = self.is_binary(file);
            ChangedFile {
                path: shown(&file.path),
                previous_path: file.previous_path.as_ref().map(shown),
                before: Self::state(file.before(), binary),
                after: Self::state(file.after(), binary),
                allowed: file.allowed,
            }
        };
        self.changes.files.iter().map(file).collect()
    }

    fn commands(&self) -> Vec<Command> {
        self.commands
            .iter()
            .map(|(command, _)| command.clone())
            .collect()
    }

    fn changed_lines(
        &self,
        path: &str,
        moment: Moment,
        after: u64,
        max_bytes: u32,
    ) -> Result<LinePage, ReadError> {
        let file = self
            .file(path, Moment::After)
            .or_else(|_| self.file(path, Moment::Before))?;
        let side = match moment {
            Moment::After => LineSide::Added,
            Moment::Before => LineSide::Removed,
        };
        LinePage::of(self.lines_of(file, side)?.after(after), max_bytes)
    }

    fn diff(&self, path: Option<&str>) -> Result<Vec<u8>, ReadError> {
        let selection = match path {
            None => Selection::All,
            Some(path) => Selection::Path(self.file(path, Moment::After)?.path.as_bytes()),
        };
        let diff = self.changes.diff(selection, Limits::READ);
        let omitted = diff.omitted.iter();
        let omitted = omitted.filter_map(|omitted| self.changes.find(omitted.path.as_bytes()));
        for file in omitted {
            if self.is_binary(file) || file.special || file.kind == ChangeKind::ModeChanged {
                // Without lines that the check would miss.
            } else if file.unreadable {
                return Err(ReadError::Other(format!(
                    "the content of {} was not kept: it is too long, or cannot be read",
                    file.path
                )));
            } else {
                return Err(ReadError::TooLarge(Limits::READ));
            }
        }
        Ok(diff.bytes)
    }

    fn read(
        &self,
        path: &str,
        moment: Moment,
        offset: u64,
        len: u32,
    ) -> Result<Vec<u8>, ReadError> {
        let file = self.file(path, moment)?;
        let there = match moment {
            Moment::Before => file.before(),
            Moment::After => file.after(),
        };
        if there.is_none() {
            return Err(ReadError::NotFound);
        }
        let len = u64::from(len);
        let read = match moment {
            Moment::Before => self.changes.read_before(file.path.as_bytes(), offset, len),
            Moment::After => self.changes.read(file.path.as_bytes(), offset, len),
        };
        read.map_err(|error| ReadError::Other(error.to_string()))
    }

    fn read_output(&self, command: usize, offset: u64, len: u32) -> Result<Vec<u8>, ReadError> {
        let (_, output) = self.commands.get(command).ok_or(ReadError::NotFound)?;
        let bytes = output.as_bytes();
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let end = start.saturating_add(len as usize).min(bytes.len());
        Ok(bytes.get(start..end).unwrap_or_default().to_vec())
    }

    fn agent_message(&self) -> String {
        self.agent_message.clone()
    }

    fn find(&self, glob: &str) -> Result<Vec<String>, ReadError> {
        let unreadable = |error: &dyn std::fmt::Display| ReadError::Other(error.to_string());
        let matcher = globset::GlobBuilder::new(glob)
            .literal_separator(true)
            .build()
            .map_err(|error| unreadable(&error))?
            .compile_matcher();
        let tree = self.tree()?;
        let mut found = Vec::new();
        let walk = ignore::WalkBuilder::new(tree.path())
            .hidden(false)
            .follow_links(false)
            .filter_entry(|entry| entry.file_name() != ".git")
            .build();
        for entry in walk.flatten().take(VISITED) {
            let is_file = entry.file_type().is_some_and(|kind| kind.is_file());
            let Some(path) = entry
                .path()
                .strip_prefix(tree.path())
                .ok()
                .filter(|_| is_file)
            else {
                continue;
            };
            if matcher.is_match(path) {
                found.extend(path.to_str().map(str::to_owned));
            }
        }
        found.sort();
        Ok(found)
    }

    fn read_tree(&self, path: &str, offset: u64, len: u32) -> Result<Vec<u8>, ReadError> {
        let path = Path::new(path);
        let inside = path
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)));
        if !inside {
            return Err(ReadError::NotGranted);
        }
        // A link on the way is as good as nothing: it could lead out of the globs that are granted.
        self.tree()?
            .read_at(path, offset, u64::from(len))
            .map_err(|_| ReadError::NotFound)
    }
}

impl JobView {
    /// The working directory, by a handle that no link can lead astray.
    fn tree(&self) -> Result<Root, ReadError> {
        let opened = self.root.within(&self.work_dir);
        opened.map_err(|error| ReadError::Other(error.to_string()))
    }
}

/// A path as components see it: `/` between parts, bytes that are not UTF-8 as `\xNN`, a backslash as `\\`.
pub fn shown(path: &FilePath) -> String {
    let mut out = String::new();
    for chunk in path.as_bytes().utf8_chunks() {
        out.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02X}");
        }
    }
    out
}
