//! Test a plugin natively, in plain `cargo test`: no WebAssembly, no host.

use std::collections::BTreeMap;

use crate::check::Backing;
use crate::{
    Change, ChangedFile, Command, Fault, Job, Output, ReadError, Redactor, Span, Window,
    settings_from,
};

/// Makes a plugin from JSON settings as the host does.
///
/// ```
/// # use worker_plugin::{Check, Fault, Job, NoSettings, Report};
/// # struct Mine;
/// # impl Check for Mine {
/// #     type Settings = NoSettings;
/// #     const SUMMARY: &'static str = "";
/// #     fn new(_: NoSettings) -> Result<Self, Fault> { Ok(Mine) }
/// #     fn run(&self, _: &dyn Job) -> Result<Report, Fault> { Ok(Report::passed("")) }
/// # }
/// use worker_plugin::testing::{FakeJob, configured};
/// let check: Mine = configured(Mine::new, "{}").unwrap();
/// assert!(check.run(&FakeJob::default()).unwrap().passed);
/// ```
///
/// # Errors
/// What the host would report: the settings' fault.
pub fn configured<P, S: serde::de::DeserializeOwned>(
    new: impl FnOnce(S) -> Result<P, Fault>,
    json: &str,
) -> Result<P, Fault> {
    new(settings_from(json)?)
}

/// A job made up for a test.
#[derive(Default)]
pub struct FakeJob {
    /// What was asked for.
    pub task: String,
    /// Files before the job.
    pub before: BTreeMap<String, Vec<u8>>,
    /// Files after it.
    pub after: BTreeMap<String, Vec<u8>>,
    /// Commands that ran, with their standard output and standard error.
    pub commands: Vec<(Command, Vec<u8>, Vec<u8>)>,
    /// The unified diff of a path; the whole diff is all of them joined. Without one, every line of the file is shown
    /// as removed or added.
    pub diffs: BTreeMap<String, String>,
    /// Files of the tree that did not change.
    pub tree: BTreeMap<String, Vec<u8>>,
    /// The agent's last message.
    pub agent_message: String,
}

impl FakeJob {
    /// Adds a file that the job made or changed.
    #[must_use]
    pub fn changed_file(mut self, path: &str, before: Option<&str>, after: Option<&str>) -> Self {
        if let Some(before) = before {
            self.before.insert(path.to_owned(), before.into());
        }
        if let Some(after) = after {
            self.after.insert(path.to_owned(), after.into());
        }
        self
    }

    /// Adds a file that the job created.
    #[must_use]
    pub fn added(self, path: &str, text: &str) -> Self {
        self.changed_file(path, None, Some(text))
    }

    /// Adds a file that the job changed.
    #[must_use]
    pub fn modified(self, path: &str, before: &str, after: &str) -> Self {
        self.changed_file(path, Some(before), Some(after))
    }

    /// Adds a file that the job deleted.
    #[must_use]
    pub fn deleted(self, path: &str, before: &str) -> Self {
        self.changed_file(path, Some(before), None)
    }

    fn file_diff(&self, path: &str) -> String {
        if let Some(diff) = self.diffs.get(path) {
            return diff.clone();
        }
        let mut diff = format!("--- a/{path}\n+++ b/{path}\n");
        for (sign, files) in [('-', &self.before), ('+', &self.after)] {
            for line in files
                .get(path)
                .map(|bytes| String::from_utf8_lossy(bytes))
                .iter()
                .flat_map(|text| text.lines())
            {
                diff.push(sign);
                diff.push_str(line);
                diff.push('\n');
            }
        }
        diff
    }
}

/// A piece of `bytes`, as the host's reads give it.
fn piece(bytes: Option<&Vec<u8>>, offset: u64, len: u32) -> Result<Vec<u8>, ReadError> {
    let bytes = bytes.ok_or(ReadError::NotFound)?;
    let start = usize::try_from(offset)
        .unwrap_or(usize::MAX)
        .min(bytes.len());
    let end = start.saturating_add(len as usize).min(bytes.len());
    Ok(bytes[start..end].to_vec())
}

impl Job for FakeJob {
    fn id(&self) -> String {
        "test".to_owned()
    }

    fn task(&self) -> String {
        self.task.clone()
    }

    fn changed(&self) -> Vec<ChangedFile> {
        let paths: std::collections::BTreeSet<_> =
            self.before.keys().chain(self.after.keys()).collect();
        paths
            .into_iter()
            .map(|path| {
                let (before, after) = (self.before.get(path), self.after.get(path));
                ChangedFile {
                    path: path.clone(),
                    change: match (before, after) {
                        (None, _) => Change::Added,
                        (Some(_), None) => Change::Deleted,
                        (Some(_), Some(_)) => Change::Modified,
                    },
                    previous_path: None,
                    size: after.map_or(0, |bytes| bytes.len() as u64),
                    binary: after.or(before).is_some_and(|bytes| bytes.contains(&0)),
                    allowed: !path.starts_with("../"),
                }
            })
            .collect()
    }

    fn commands(&self) -> Vec<Command> {
        self.commands
            .iter()
            .map(|(command, ..)| command.clone())
            .collect()
    }

    fn diff_size(&self) -> u64 {
        self.diff(None).map_or(0, |diff| diff.len() as u64)
    }

    fn diff(&self, path: Option<&str>) -> Result<String, ReadError> {
        let changed = self.changed();
        match path {
            Some(path) if changed.iter().any(|file| file.path == path) => Ok(self.file_diff(path)),
            Some(_) => Err(ReadError::NotFound),
            None => Ok(changed
                .iter()
                .map(|file| self.file_diff(&file.path))
                .collect()),
        }
    }

    fn read(&self, path: &str, offset: u64, len: u32) -> Result<Vec<u8>, ReadError> {
        piece(self.after.get(path), offset, len)
    }

    fn read_base(&self, path: &str, offset: u64, len: u32) -> Result<Vec<u8>, ReadError> {
        piece(self.before.get(path), offset, len)
    }

    fn read_output(
        &self,
        command: u32,
        which: Output,
        offset: u64,
        len: u32,
    ) -> Result<Vec<u8>, ReadError> {
        let (_, stdout, stderr) = self
            .commands
            .get(command as usize)
            .ok_or(ReadError::NotFound)?;
        piece(
            Some(if which == Output::Stdout {
                stdout
            } else {
                stderr
            }),
            offset,
            len,
        )
    }

    fn agent_message(&self) -> String {
        self.agent_message.clone()
    }

    fn backing(&self) -> Backing<'_> {
        Backing::Fake(self)
    }
}

impl FakeJob {
    pub(crate) fn find(&self, glob: &str) -> Vec<String> {
        let paths = self.tree.keys().chain(self.after.keys());
        let mut found: Vec<_> = paths
            .filter(|path| matches(glob.as_bytes(), path.as_bytes()))
            .cloned()
            .collect();
        found.sort();
        found.dedup();
        found
    }

    pub(crate) fn read_tree(
        &self,
        path: &str,
        offset: u64,
        len: u32,
    ) -> Result<Vec<u8>, ReadError> {
        piece(
            self.after.get(path).or_else(|| self.tree.get(path)),
            offset,
            len,
        )
    }
}

/// Globs as the host has them, for tests: `*` within one part of a path, `**` across parts, `?` one character.
fn matches(glob: &[u8], path: &[u8]) -> bool {
    match glob {
        [] => path.is_empty(),
        [b'*', b'*', b'/', rest @ ..] => {
            matches(rest, path)
                || path
                    .iter()
                    .enumerate()
                    .any(|(at, byte)| *byte == b'/' && matches(rest, &path[at + 1..]))
        }
        [b'*', b'*', rest @ ..] => (0..=path.len()).any(|at| matches(rest, &path[at..])),
        [b'*', rest @ ..] => {
            let part = path
                .iter()
                .position(|byte| *byte == b'/')
                .unwrap_or(path.len());
            (0..=part).any(|at| matches(rest, &path[at..]))
        }
        [b'?', rest @ ..] => {
            path.first().is_some_and(|byte| *byte != b'/') && matches(rest, &path[1..])
        }
        [byte, rest @ ..] => path.first() == Some(byte) && matches(rest, &path[1..]),
    }
}

/// Runs a redactor over a text that comes in pieces, as the host does, and gives the ranges that it masks.
///
/// # Panics
/// When the redactor refuses, or breaks a rule of `scan`: a hit outside the window, too little settled.
pub fn redact_in_pieces<'a, R: Redactor>(
    redactor: &mut R,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<Span> {
    let appetite = redactor.appetite();
    let (lookahead, context) = (appetite.lookahead as usize, appetite.context as usize);
    // The text so far, and how much of it is decided. A window shows the context before that.
    let (mut text, mut decided, mut spans) = (Vec::new(), 0_usize, Vec::<Span>::new());
    let mut show = |text: &[u8], last: bool| {
        let from = decided.saturating_sub(context);
        let window = Window {
            bytes: text[from..].to_vec(),
            decided: (decided - from) as u32,
            last,
        };
        let length = window.bytes.len();
        let verdicts = redactor
            .scan(&window)
            .expect("the redactor refused the window");
        let settled = verdicts.settled as usize;
        assert!(settled <= length, "settled {settled} of {length} bytes");
        assert!(
            !last || settled == length,
            "the last window must be settled wholly"
        );
        assert!(
            settled + lookahead >= length,
            "held back more than the lookahead"
        );
        for hit in verdicts.hits {
            let (start, end) = (hit.span.start as usize, hit.span.end as usize);
            assert!(
                start < end && end <= length,
                "hit {start}..{end} outside the window of {length} bytes"
            );
            if start < settled {
                spans.push(Span {
                    start: (from + start) as u32,
                    end: (from + end) as u32,
                });
            }
        }
        decided = decided.max(from + settled);
    };
    for piece in pieces {
        text.extend_from_slice(piece);
        show(&text, false);
    }
    show(&text, true);
    spans.sort_by_key(|span| (span.start, span.end));
    let mut united = Vec::<Span>::new();
    for span in spans {
        match united.last_mut() {
            Some(before) if span.start <= before.end => before.end = before.end.max(span.end),
            _ => united.push(span),
        }
    }
    united
}
