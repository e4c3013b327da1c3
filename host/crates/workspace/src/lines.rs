//! The lines that a change added to a file or removed from it, for readers that take them piece by piece.

use std::ops::Range;
use std::time::{Duration, Instant};

use similar::{Algorithm, DiffTag, capture_diff_slices_deadline};

use super::WorkspaceError;
use super::changes::{ChangeKind, Changes, not_kept};
use super::diff::split_lines;
use super::state::{Content, FileState};

/// A side of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineSide {
    /// Lines that were not there before.
    Added,
    /// Lines that are not there any more.
    Removed,
}

/// The changed lines of one side of one file: the side's bytes, once, and which of its lines changed.
#[derive(Debug, Clone, Default)]
pub struct ChangedLines {
    bytes: Vec<u8>,
    /// Lines that changed, counted from 0, in ascending ranges.
    runs: Vec<Range<usize>>,
    /// The position at which each [`STRIDE`]th line begins, so that a reader need not walk from the
    /// start for each piece.
    marks: Vec<usize>,
}

/// Lines from one mark to the next.
const STRIDE: usize = 1024;

/// Two versions of a file may take this long to compare well; then the rest of them counts as changed.
const PATIENCE: Duration = Duration::from_secs(2);

impl ChangedLines {
    /// The changes between two versions of a file; none: it is not there.
    pub fn between(before: Option<Vec<u8>>, after: Option<Vec<u8>>, side: LineSide) -> Self {
        let all = |bytes: Option<Vec<u8>>| Self::new(bytes.unwrap_or_default(), None);
        match (before, after, side) {
            (None, after, LineSide::Added) => all(after),
            (before, None, LineSide::Removed) => all(before),
            (None, _, LineSide::Removed) | (_, None, LineSide::Added) => Self::default(),
            (Some(before), Some(after), side) => {
                let runs = changed_runs(&split_lines(&before), &split_lines(&after), side);
                let bytes = match side {
                    LineSide::Added => after,
                    LineSide::Removed => before,
                };
                Self::new(bytes, Some(runs))
            }
        }
    }

    /// Marks the lines of a side; without runs all of them changed.
    fn new(bytes: Vec<u8>, runs: Option<Vec<Range<usize>>>) -> Self {
        let (mut marks, mut lines, mut start) = (Vec::new(), 0, 0);
        while let Some(rest) = bytes.get(start..).filter(|rest| !rest.is_empty()) {
            if lines % STRIDE == 0 {
                marks.push(start);
            }
            lines += 1;
            start += line_length(rest);
        }
        // One range, not the numbers in it.
        #[allow(clippy::single_range_in_vec_init)]
        let runs = runs.unwrap_or_else(|| vec![0..lines]);
        Self { bytes, runs, marks }
    }

    /// The changed lines behind this one, each with its number, counted from 1, and without its end.
    pub fn after(&self, line: u64) -> impl Iterator<Item = (u64, &[u8])> {
        let line = usize::try_from(line).unwrap_or(usize::MAX);
        let first = self.runs.partition_point(|run| run.end <= line);
        let runs = self.runs.get(first..).unwrap_or_default();
        let mut here = Position::default();
        runs.iter()
            .flat_map(move |run| run.start.max(line)..run.end)
            .filter_map(move |index| {
                here.go_to(index, self);
                let text = self.bytes.get(here.start..)?;
                let text = text.get(..line_length(text))?;
                Some((index as u64 + 1, text.strip_suffix(b"\n").unwrap_or(text)))
            })
    }
}

/// The position at which a line begins.
#[derive(Default)]
struct Position {
    line: usize,
    start: usize,
}

impl Position {
    /// Moves forward to a line, by the nearest mark where that is shorter.
    fn go_to(&mut self, line: usize, lines: &ChangedLines) {
        let mark = line / STRIDE;
        if mark > self.line / STRIDE
            && let Some(start) = lines.marks.get(mark)
        {
            (self.line, self.start) = (mark * STRIDE, *start);
        }
        while self.line < line {
            let rest = lines.bytes.get(self.start..).unwrap_or_default();
            self.start += line_length(rest);
            self.line += 1;
        }
    }
}

/// Bytes of the first line, its end among them.
fn line_length(bytes: &[u8]) -> usize {
    memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1)
}

/// The ranges of lines that are on one side only, as the diff of the two has them.
fn changed_runs(before: &[&[u8]], after: &[&[u8]], side: LineSide) -> Vec<Range<usize>> {
    let deadline = Instant::now() + PATIENCE;
    let ops = capture_diff_slices_deadline(Algorithm::Myers, before, after, Some(deadline));
    let changed = ops.iter().filter(|op| op.tag() != DiffTag::Equal);
    let range = changed.map(|op| match side {
        LineSide::Added => op.new_range(),
        LineSide::Removed => op.old_range(),
    });
    range.filter(|range| !range.is_empty()).collect()
}

impl Changes {
    /// The lines of a changed file that the job added or removed; none of a binary file. Costs memory for both versions
    /// of the file while they are compared, and for one of them afterwards.
    ///
    /// # Errors
    /// When the file is not among the changes, or its content was not kept.
    pub fn changed_lines(
        &self,
        path: &[u8],
        side: LineSide,
    ) -> Result<ChangedLines, WorkspaceError> {
        let not_kept = not_kept(path);
        let file = self.changed(path)?;
        if let Some(submodule) = &file.submodule {
            // As the diff has it.
            let line = |commit: &Option<String>| {
                commit
                    .as_ref()
                    .map(|commit| format!("Subproject commit {commit}\n").into_bytes())
            };
            let (before, after) = (line(&submodule.from), line(&submodule.to));
            return Ok(ChangedLines::between(before, after, side));
        }
        let content = |state: &Option<FileState>| match state.map(|state| state.content) {
            None | Some(Content::Special) => Ok(None),
            Some(Content::Known(id)) => self.contents.read(id).map(Some),
            Some(Content::Unread | Content::Ignored) => {
                Err(not_kept("it is too long, or cannot be read"))
            }
        };
        let (before, after) = (content(&file.before)?, content(&file.now)?);
        if file.binary {
            return Ok(ChangedLines::default());
        }
        let (before, after) = match (file.kind, side) {
            // A file that becomes a link shares no line with it.
            (ChangeKind::TypeChanged, LineSide::Added) => (None, after),
            (ChangeKind::TypeChanged, LineSide::Removed) => (before, None),
            _ => (before, after),
        };
        Ok(ChangedLines::between(before, after, side))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn shown(lines: &ChangedLines, after: u64) -> Vec<String> {
        let line = |(number, text): (u64, &[u8])| format!("{number} {}", text.escape_ascii());
        lines.after(after).map(line).collect()
    }

    #[test]
    fn each_side_has_the_numbers_of_its_own_file() {
        let version = |text: &str| Some(text.as_bytes().to_vec());
        let before = "one\ntwo\nthree\nfour";
        let after = "one\n2\nthree\nfour\nfive\n";
        let rows: [(Option<Vec<u8>>, Option<Vec<u8>>, LineSide, &[&str]); 8] = [
            (
                version(before),
                version(after),
                LineSide::Added,
                &["2 2", "4 four", "5 five"],
            ),
            (
                version(before),
                version(after),
                LineSide::Removed,
                &["2 two", "4 four"],
            ),
            (
                None,
                version("a\n\nb"),
                LineSide::Added,
                &["1 a", "2 ", "3 b"],
            ),
            (None, version("a\n"), LineSide::Removed, &[]),
            (
                version("a\r\nb\n"),
                None,
                LineSide::Removed,
                &["1 a\\r", "2 b"],
            ),
            (version("a\n"), None, LineSide::Added, &[]),
            (version("a\n"), version("a\n"), LineSide::Added, &[]),
            (None, version(""), LineSide::Added, &[]),
        ];
        for (before, after, side, expected) in rows {
            let lines = ChangedLines::between(before.clone(), after.clone(), side);
            assert_eq!(shown(&lines, 0), expected, "{before:?} {after:?} {side:?}");
        }
    }

    proptest! {
        #[test]
        fn pieces_join_to_the_whole(
            before in proptest::collection::vec(0u8..4, 0..3000),
            after in proptest::collection::vec(0u8..4, 0..3000),
            piece in 1usize..1500,
        ) {
            let version = |lines: Vec<u8>| {
                Some(lines.into_iter().flat_map(|line| [b'a' + line, b'\n']).collect::<Vec<_>>())
            };
            let lines = ChangedLines::between(version(before), version(after), LineSide::Added);
            let whole: Vec<_> = lines.after(0).collect();
            let (mut joined, mut last) = (Vec::new(), 0);
            loop {
                let next: Vec<_> = lines.after(last).take(piece).collect();
                let Some((line, _)) = next.last() else { break };
                last = *line;
                joined.extend(next);
            }
            prop_assert_eq!(joined, whole);
        }
    }
}
