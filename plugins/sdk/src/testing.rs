//! Test a plugin natively, in plain `cargo test`: no WebAssembly, no host.

use std::collections::BTreeMap;

use crate::job::Tree;
use crate::{
    ChangedFile, ChangedLine, Command, Fault, FileKind, FileState, Job, LinePage, Moment,
    ReadError, Redactor, Span, Window, settings_from,
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
/// assert!(check.run(&FakeJob::default()).unwrap().is_passed());
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
    /// The task of the job.
    pub task: String,
    /// Files before the job.
    pub before: BTreeMap<String, Vec<u8>>,
    /// Files after it.
    pub after: BTreeMap<String, Vec<u8>>,
    /// The paths of renamed files before the job, by their paths after it.
    pub renamed: BTreeMap<String, String>,
    /// The kind of a path at a moment, if it is no regular file.
    pub kinds: Vec<(String, Moment, FileKind)>,
    /// Commands that ran, with what they printed.
    pub commands: Vec<(Command, Vec<u8>)>,
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

    /// Adds a file that the job renamed, and perhaps changed.
    #[must_use]
    pub fn renamed(mut self, from: &str, to: &str, before: &str, after: &str) -> Self {
        self.before.insert(from.to_owned(), before.into());
        self.after.insert(to.to_owned(), after.into());
        self.renamed.insert(to.to_owned(), from.to_owned());
        self
    }

    /// Says that a path is no regular file at a moment. The content of a symbolic link is its target.
    #[must_use]
    pub fn is(mut self, path: &str, moment: Moment, kind: FileKind) -> Self {
        self.kinds.push((path.to_owned(), moment, kind));
        self
    }

    fn file_diff(&self, file: &ChangedFile) -> Vec<u8> {
        let old = file.previous_path.as_ref().unwrap_or(&file.path);
        let (before, after) = (self.before.get(old), self.after.get(&file.path));
        unified((old, before), (&file.path, after), file.is_binary())
    }

    /// The changed file of that path, by its name at that moment.
    fn file(&self, path: &str, moment: Moment) -> Result<ChangedFile, ReadError> {
        let is_it = |file: &ChangedFile| {
            let known = match (moment, &file.previous_path) {
                (Moment::Before, Some(previous)) => previous,
                _ => &file.path,
            };
            known == path
        };
        let found = self.changed().into_iter().find(is_it);
        found.ok_or(ReadError::NotFound)
    }

    fn state(&self, path: &str, moment: Moment) -> Option<FileState> {
        let side = match moment {
            Moment::Before => &self.before,
            Moment::After => &self.after,
        };
        let bytes = side.get(path)?;
        let mut kinds = self.kinds.iter().rev();
        let kind = kinds.find(|(known, when, _)| known == path && *when == moment);
        let kind = kind.map_or(FileKind::Regular, |(_, _, kind)| kind.clone());
        let has_content = !matches!(kind, FileKind::Submodule | FileKind::Other(_));
        Some(FileState {
            mode: match kind {
                FileKind::Executable => 0o755,
                FileKind::Symlink => 0o777,
                _ => 0o644,
            },
            kind,
            size: bytes.len() as u64,
            binary: bytes.iter().take(8000).any(|byte| *byte == 0),
            object_id: has_content.then(|| stand_in_id(bytes)),
        })
    }
}

/// Returns an id that is the same for the same content; not git's, which a test of a check need not know.
fn stand_in_id(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:040x}")
}

/// Lines that stay the same around a change, as in git's diffs.
const AROUND: usize = 3;

/// A run of lines of the two sides: the same in both, or not.
struct Run {
    same: bool,
    old: std::ops::Range<usize>,
    new: std::ops::Range<usize>,
}

/// The runs that two versions have, one after the other.
fn runs(old: &[&[u8]], new: &[&[u8]]) -> Vec<Run> {
    let same = |pairs: &mut dyn Iterator<Item = (&&[u8], &&[u8])>| {
        pairs.take_while(|(old, new)| old == new).count()
    };
    let start = same(&mut old.iter().zip(new));
    let end = same(&mut old[start..].iter().rev().zip(new[start..].iter().rev()));
    let (old_end, new_end) = (old.len() - end, new.len() - end);
    let inner = common(&old[start..old_end], &new[start..new_end]);
    let pairs = (0..start)
        .map(|line| (line, line))
        .chain(
            inner
                .into_iter()
                .map(|(old, new)| (start + old, start + new)),
        )
        .chain((0..end).map(|line| (old_end + line, new_end + line)));
    let (mut runs, mut at) = (Vec::<Run>::new(), (0, 0));
    for (in_old, in_new) in pairs.chain(std::iter::once((old.len(), new.len()))) {
        if (in_old, in_new) != at {
            let (old, new) = (at.0..in_old, at.1..in_new);
            let same = false;
            runs.push(Run { same, old, new });
        }
        match runs.last_mut() {
            _ if in_old == old.len() => {}
            Some(run) if run.same => (run.old.end, run.new.end) = (in_old + 1, in_new + 1),
            _ => {
                let (old, new) = (in_old..in_old + 1, in_new..in_new + 1);
                let same = true;
                runs.push(Run { same, old, new });
            }
        }
        at = (in_old + 1, in_new + 1);
    }
    runs
}

/// Lines with their ends.
fn split(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').collect()
}

/// A unified diff as git has it: hunks with three lines around each change.
fn unified(
    (old_path, before): (&str, Option<&Vec<u8>>),
    (new_path, after): (&str, Option<&Vec<u8>>),
    binary: bool,
) -> Vec<u8> {
    let text = |bytes: Option<&Vec<u8>>| bytes.cloned().unwrap_or_default();
    let (old, new) = (text(before), text(after));
    let name = |side: &str, path: &str, there: bool| match there {
        true => format!("{side}/{path}"),
        false => "/dev/null".to_owned(),
    };
    let from = name("a", old_path, before.is_some());
    let to = name("b", new_path, after.is_some());
    let mut diff = format!("diff --git a/{old_path} b/{new_path}\n").into_bytes();
    if before.is_none() {
        diff.extend(b"new file mode 100644\n");
    } else if after.is_none() {
        diff.extend(b"deleted file mode 100644\n");
    } else if old_path != new_path {
        diff.extend(format!("rename from {old_path}\nrename to {new_path}\n").bytes());
    }
    if old == new {
        return diff;
    }
    if binary {
        diff.extend(format!("Binary files {from} and {to} differ\n").bytes());
        return diff;
    }
    diff.extend(format!("--- {from}\n+++ {to}\n").bytes());
    let (old, new) = (split(&old), split(&new));
    let runs = runs(&old, &new);
    let mut at = 0;
    while at < runs.len() {
        // A hunk: changes with no more between them than what would be around both.
        let Some(first) = (at..runs.len()).find(|run| !runs[*run].same) else {
            break;
        };
        let mut last = first;
        while let Some(next) = runs.get(last + 2) {
            if runs[last + 1].old.len() > 2 * AROUND || next.same {
                break;
            }
            last += 2;
        }
        let lead = match first.checked_sub(1) {
            Some(before) => runs[before].old.len().min(AROUND),
            None => 0,
        };
        let tail = runs
            .get(last + 1)
            .map_or(0, |run| run.old.len().min(AROUND));
        let range = |start: usize, end: usize| {
            let start = if start == end { start } else { start + 1 };
            (start, end)
        };
        let (old_start, new_start) = (runs[first].old.start - lead, runs[first].new.start - lead);
        let (old_end, new_end) = (runs[last].old.end + tail, runs[last].new.end + tail);
        let header = format!(
            "@@ -{},{} +{},{} @@\n",
            range(old_start, old_end).0,
            old_end - old_start,
            range(new_start, new_end).0,
            new_end - new_start
        );
        diff.extend(header.bytes());
        let mut put = |sign: u8, lines: &[&[u8]]| {
            for line in lines {
                diff.push(sign);
                diff.extend(*line);
                if !line.ends_with(b"\n") {
                    diff.extend(b"\n\\ No newline at end of file\n");
                }
            }
        };
        put(b' ', &old[old_start..runs[first].old.start]);
        for run in &runs[first..=last] {
            if run.same {
                put(b' ', &old[run.old.clone()]);
            } else {
                put(b'-', &old[run.old.clone()]);
                put(b'+', &new[run.new.clone()]);
            }
        }
        put(b' ', &old[runs[last].old.end..old_end]);
        at = last + 1;
    }
    diff
}

/// The longest common subsequence, as pairs of indices; of long texts none.
fn common(old: &[&[u8]], new: &[&[u8]]) -> Vec<(usize, usize)> {
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

/// The lines that are in one of two versions only.
fn changed(before: &[u8], after: &[u8], moment: Moment) -> Vec<ChangedLine> {
    let (old, new) = (split(before), split(after));
    let changed = runs(&old, &new).into_iter().filter(|run| !run.same);
    let lines = changed.flat_map(|run| match moment {
        Moment::Before => run.old.map(|line| (line, old[line])).collect::<Vec<_>>(),
        Moment::After => run.new.map(|line| (line, new[line])).collect(),
    });
    let line = |(line, text): (usize, &[u8])| ChangedLine {
        number: line as u64 + 1,
        text: text.strip_suffix(b"\n").unwrap_or(text).to_vec(),
    };
    lines.map(line).collect()
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
        let renamed: std::collections::BTreeSet<_> = self.renamed.values().collect();
        let gone = self.before.keys().filter(|path| !renamed.contains(path));
        let paths: std::collections::BTreeSet<_> = gone.chain(self.after.keys()).collect();
        let file = |path: &String| {
            let previous_path = self.renamed.get(path).cloned();
            ChangedFile {
                before: self.state(previous_path.as_ref().unwrap_or(path), Moment::Before),
                after: self.state(path, Moment::After),
                previous_path,
                path: path.clone(),
                allowed: !path.starts_with("../"),
            }
        };
        paths.into_iter().map(file).collect()
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
        after_line: u64,
        max_bytes: u32,
    ) -> Result<LinePage, ReadError> {
        let file = self
            .file(path, Moment::After)
            .or_else(|_| self.file(path, Moment::Before))?;
        let mut page = LinePage {
            lines: Vec::new(),
            more: false,
        };
        if file.is_binary() {
            return Ok(page);
        }
        let previous = file.previous_path.as_ref().unwrap_or(&file.path);
        let text = |bytes: Option<&Vec<u8>>| bytes.cloned().unwrap_or_default();
        let before = text(self.before.get(previous));
        let after = text(self.after.get(&file.path));
        let mut left = max_bytes.min(LONGEST_READ) as usize;
        let lines = changed(&before, &after, moment).into_iter();
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

    fn diff(&self, path: Option<&str>) -> Result<Vec<u8>, ReadError> {
        let diff = match path {
            Some(path) => self.file_diff(&self.file(path, Moment::After)?),
            None => {
                let changed = self.changed();
                changed
                    .iter()
                    .flat_map(|file| self.file_diff(file))
                    .collect()
            }
        };
        if diff.len() > LONGEST_READ as usize {
            return Err(ReadError::TooLarge(LONGEST_READ.into()));
        }
        Ok(diff)
    }

    fn read(
        &self,
        path: &str,
        moment: Moment,
        offset: u64,
        max_bytes: u32,
    ) -> Result<Vec<u8>, ReadError> {
        self.file(path, moment)?;
        let side = match moment {
            Moment::Before => &self.before,
            Moment::After => &self.after,
        };
        piece(side.get(path), offset, max_bytes)
    }

    fn read_output(&self, command: u32, offset: u64, max_bytes: u32) -> Result<Vec<u8>, ReadError> {
        let printed = self.commands.get(command as usize);
        piece(printed.map(|(_, output)| output), offset, max_bytes)
    }

    fn agent_message(&self) -> String {
        self.agent_message.clone()
    }

    fn tree(&self) -> Option<&dyn Tree> {
        Some(self)
    }
}

impl Tree for FakeJob {
    fn find(&self, glob: &str) -> Vec<String> {
        let paths = self.tree.keys().chain(self.after.keys());
        let mut found: Vec<_> = paths
            .filter(|path| matches(glob.as_bytes(), path.as_bytes()))
            .cloned()
            .collect();
        found.sort();
        found.dedup();
        found
    }

    fn read(&self, path: &str, offset: u64, len: u32) -> Result<Vec<u8>, ReadError> {
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
