//! Test a plugin natively, in plain `cargo test`: no WebAssembly, no host.

use std::collections::BTreeMap;

use crate::check::Backing;
use crate::{
    Change, ChangedFile, ChangedLine, Command, Fault, Job, LinePage, Output, ReadError, Redactor,
    Side, Span, Window, settings_from,
};

/// The most bytes that the host gives in one read.
const LONGEST_READ: u32 = 16 << 20;

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
    /// The unified diff of a path, where it should not be the one between before and after.
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
        unified(path, self.before.get(path), self.after.get(path))
    }

    /// Refuses what the host refuses: a file that did not change.
    fn is_changed(&self, path: &str) -> Result<(), ReadError> {
        let known = self.before.contains_key(path) || self.after.contains_key(path);
        known.then_some(()).ok_or(ReadError::NotGranted)
    }
}

/// A unified diff of one hunk, with all that did not change around it.
fn unified(path: &str, before: Option<&Vec<u8>>, after: Option<&Vec<u8>>) -> String {
    let text = |bytes: Option<&Vec<u8>>| {
        bytes.map_or_else(String::new, |bytes| {
            String::from_utf8_lossy(bytes).into_owned()
        })
    };
    let (old, new) = (text(before), text(after));
    let (old, new): (Vec<_>, Vec<_>) = (
        old.split_inclusive('\n').collect(),
        new.split_inclusive('\n').collect(),
    );
    let name = |side: &str, there: bool| match there {
        true => format!("{side}/{path}"),
        false => "/dev/null".to_owned(),
    };
    let range = |count: usize| format!("{},{count}", count.min(1));
    let mut diff = format!(
        "diff --git a/{path} b/{path}\n--- {}\n+++ {}\n@@ -{} +{} @@\n",
        name("a", before.is_some()),
        name("b", after.is_some()),
        range(old.len()),
        range(new.len()),
    );
    let mut put = |sign: char, lines: &[&str]| {
        for line in lines {
            diff.push(sign);
            diff.push_str(line);
            if !line.ends_with('\n') {
                diff.push_str("\n\\ No newline at end of file\n");
            }
        }
    };
    let same = |pairs: &mut dyn Iterator<Item = (&&str, &&str)>| {
        pairs.take_while(|(old, new)| old == new).count()
    };
    let start = same(&mut old.iter().zip(&new));
    let end = same(&mut old[start..].iter().rev().zip(new[start..].iter().rev()));
    put(' ', &old[..start]);
    let (mut old_at, mut new_at) = (start, start);
    let (old_end, new_end) = (old.len() - end, new.len() - end);
    for (in_old, in_new) in common(&old[start..old_end], &new[start..new_end]) {
        put('-', &old[old_at..start + in_old]);
        put('+', &new[new_at..start + in_new]);
        put(' ', &[old[start + in_old]]);
        (old_at, new_at) = (start + in_old + 1, start + in_new + 1);
    }
    put('-', &old[old_at..old_end]);
    put('+', &new[new_at..new_end]);
    put(' ', &old[old_end..]);
    diff
}

/// The longest common subsequence, as pairs of indices; of long texts none.
fn common(old: &[&str], new: &[&str]) -> Vec<(usize, usize)> {
    const MOST: usize = 4_000_000;
    let width = new.len() + 1;
    if old.is_empty() || new.is_empty() || (old.len() + 1) * width > MOST {
        return Vec::new();
    }
    // The length of the longest one behind each pair of places.
    let mut lengths = vec![0_u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            lengths[i * width + j] = if old[i] == new[j] {
                lengths[(i + 1) * width + j + 1] + 1
            } else {
                lengths[(i + 1) * width + j].max(lengths[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < old.len() && j < new.len() {
        if old[i] == new[j] {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if lengths[(i + 1) * width + j] >= lengths[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

/// The changed lines of a unified diff.
fn lines_of(diff: &str, side: Side) -> Vec<ChangedLine> {
    let sign = match side {
        Side::Added => '+',
        Side::Removed => '-',
    };
    let mut found = Vec::new();
    let mut number = 1;
    // Only before the first hunk is `--- a/x` a header; in one it is a removed line that begins with `-- a/x`.
    let mut in_header = true;
    for line in diff.split_terminator('\n') {
        if line.starts_with("diff --git ") {
            in_header = true;
        } else if let Some(header) = line.strip_prefix("@@ ") {
            in_header = false;
            number = first_line(header, sign).unwrap_or(1);
        } else if in_header && (line.starts_with("--- ") || line.starts_with("+++ ")) {
            in_header = line.starts_with("--- ");
        } else if let Some(text) = line.strip_prefix(sign) {
            let text = text.into();
            found.push(ChangedLine { number, text });
            number += 1;
        } else if line.starts_with(' ') || line.is_empty() {
            number += 1;
        }
    }
    found
}

/// `-1,7 +1,8 @@ fn name`: where the side begins.
fn first_line(header: &str, sign: char) -> Option<u64> {
    let range = header.split(' ').find_map(|word| word.strip_prefix(sign))?;
    range.split(',').next()?.parse().ok()
}

/// A piece of `bytes`, as the host's reads give it.
fn piece(bytes: Option<&Vec<u8>>, offset: u64, len: u32) -> Result<Vec<u8>, ReadError> {
    let bytes = bytes.ok_or(ReadError::NotFound)?;
    if len > LONGEST_READ {
        return Err(ReadError::TooLarge(LONGEST_READ.into()));
    }
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
        let changed = self.changed();
        let sizes = changed.iter().map(|file| self.file_diff(&file.path).len());
        sizes.sum::<usize>() as u64
    }

    fn changed_lines(
        &self,
        path: &str,
        side: Side,
        after_line: u64,
        max_bytes: u32,
    ) -> Result<LinePage, ReadError> {
        self.is_changed(path)?;
        let mut page = LinePage {
            lines: Vec::new(),
            more: false,
        };
        let mut left = max_bytes.min(LONGEST_READ) as usize;
        let lines = lines_of(&self.file_diff(path), side).into_iter();
        for line in lines.skip_while(|line| line.number <= after_line) {
            let cost = line.text.len() + 32;
            if cost > left && !page.lines.is_empty() {
                page.more = true;
                break;
            }
            if line.text.len() > LONGEST_READ as usize {
                return Err(ReadError::TooLarge(LONGEST_READ.into()));
            }
            left = left.saturating_sub(cost);
            page.lines.push(line);
        }
        Ok(page)
    }

    fn diff(&self, path: Option<&str>) -> Result<String, ReadError> {
        let diff = match path {
            Some(path) => {
                self.is_changed(path)?;
                self.file_diff(path)
            }
            None => {
                let changed = self.changed();
                let diffs = changed.iter().map(|file| self.file_diff(&file.path));
                diffs.collect()
            }
        };
        if diff.len() > LONGEST_READ as usize {
            return Err(ReadError::TooLarge(LONGEST_READ.into()));
        }
        Ok(diff)
    }

    fn read(&self, path: &str, offset: u64, len: u32) -> Result<Vec<u8>, ReadError> {
        self.is_changed(path)?;
        piece(self.after.get(path), offset, len)
    }

    fn read_base(&self, path: &str, offset: u64, len: u32) -> Result<Vec<u8>, ReadError> {
        self.is_changed(path)?;
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
    let needs = redactor.needs();
    let (lookahead, context) = (needs.lookahead as usize, needs.context as usize);
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
