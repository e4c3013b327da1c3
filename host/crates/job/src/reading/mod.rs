//! `search` and `read_pack`: the planner reads a few lines of many files, and no model is called.
//!
//! Both work in a short-lived runner, beneath SANDBOX_ROOT, within bounds of time and size, and say what they left out.
//! What they show of a file is judged by the redactors with what stands around it.

mod definition;
mod pack;
mod search;

pub(super) use pack::PackSpec;
pub(super) use search::SearchSpec;

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::arguments::Arguments;
use super::refusal::Refusal;
use super::view::SLICE_MAX;
use redact::text;
use redact::{Marked, Redacted, Redactor};
use workspace::Root;

/// After this long no further file is begun, and what was found until then is answered.
pub(super) const SOFT_LIMIT: Duration = Duration::from_secs(10);
/// A call that takes longer than this has met a pattern that one file is enough to be lost in.
pub(super) const HARD_LIMIT: Duration = Duration::from_secs(30);

/// Bytes of text in a reply when the caller does not say: about 2,000 tokens.
const BYTES_DEFAULT: u64 = 7_000;
/// The most paths and globs of one call.
const PATHS_MAX: usize = 64;
/// The most bytes of one line in a reply.
const LINE_MAX: usize = 300;
/// The most sentences about what was left out, and the most names in one of them.
const LEFT_OUT_MAX: usize = 12;
/// The number of bytes that are judged around what is shown of a file: more than any rule of the
/// redactors looks at.
const JUDGED_AROUND: usize = 64 << 10;

/// A request to read.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reading {
    /// Lines that match.
    Search(SearchSpec),
    /// Lines around symbols.
    Pack(PackSpec),
}

impl Reading {
    /// Reads. Nothing that takes long is begun after `deadline`.
    pub(super) fn run(
        &self,
        root: &Root,
        redactor: &Redactor,
        deadline: Instant,
    ) -> Result<Value, Refusal> {
        match self {
            Self::Search(spec) => spec.run(root, redactor, deadline),
            Self::Pack(spec) => spec.run(root, redactor, deadline),
        }
    }

    /// The place where it reads, relative to the root.
    pub(super) fn paths(&self) -> &[String] {
        match self {
            Self::Search(spec) => &spec.paths,
            Self::Pack(spec) => &spec.paths,
        }
    }

    /// The tool that reads.
    pub(super) fn tool(&self) -> &'static str {
        match self {
            Self::Search(_) => "search",
            Self::Pack(_) => "read_pack",
        }
    }

    /// The argument to change when the reading takes too long.
    pub(super) fn slow_argument(&self) -> &'static str {
        match self {
            Self::Search(_) => "pattern",
            Self::Pack(_) => "paths",
        }
    }
}

fn paths_of(arguments: &mut Arguments) -> Result<Vec<String>, Refusal> {
    let paths = arguments.strings("paths", PATHS_MAX)?.unwrap_or_default();
    if paths.is_empty() {
        return Err(arguments.refuse("paths", "must name at least one file, directory or glob"));
    }
    Ok(paths)
}

fn max_bytes_of(arguments: &mut Arguments) -> Result<usize, Refusal> {
    let bytes = arguments.number("max_bytes", 200, SLICE_MAX)?;
    Ok(usize::try_from(bytes.unwrap_or(BYTES_DEFAULT)).unwrap_or(usize::MAX))
}

/// The files that a call is about.
struct Files {
    /// Absolute, in the order of the paths that name them, each once.
    found: Vec<PathBuf>,
    /// The folder to which names are shown relative: their repository, else SANDBOX_ROOT.
    base: PathBuf,
    left_out: LeftOut,
}

impl Files {
    /// Each path is resolved beneath the root by itself, so that a wrong one is named.
    fn list(root: &Root, paths: &[String], most: usize) -> Result<Self, Refusal> {
        let mut found = Vec::new();
        let mut left_out = LeftOut::default();
        let mut seen = std::collections::HashSet::new();
        for (index, path) in paths.iter().enumerate() {
            let argument = || format!("paths[{index}]");
            let room = most.saturating_sub(found.len());
            let listing = root
                .list(std::slice::from_ref(path), room)
                .map_err(|fault| Refusal::new(argument(), fault))?;
            if listing.truncated {
                left_out.say(format!("{path}: only its first {room} files"));
            } else if listing.files.is_empty() {
                return Err(Refusal::new(argument(), "matches no file"));
            }
            found.extend(
                listing
                    .files
                    .into_iter()
                    .filter(|file| seen.insert(file.clone())),
            );
        }
        let base = base_of(root, &found);
        Ok(Self {
            found,
            base,
            left_out,
        })
    }

    fn name<'a>(&self, file: &'a Path) -> Cow<'a, str> {
        file.strip_prefix(&self.base)
            .unwrap_or(file)
            .to_string_lossy()
    }

    /// The file's text, unless it is none; then that is noted.
    fn read(&mut self, root: &Root, file: &Path, most: u64) -> Option<Vec<u8>> {
        match root.read(file, most) {
            Ok(read) if read.size > most => self.left_out.large.push(self.name(file).into_owned()),
            Ok(read) => match text_of(read.bytes) {
                Some(text) => return Some(text),
                None => self.left_out.binary += 1,
            },
            Err(_) => self.left_out.unreadable.push(self.name(file).into_owned()),
        }
        None
    }
}

/// The repository that all files lie in, else the root.
fn base_of(root: &Root, files: &[PathBuf]) -> PathBuf {
    let Some(mut common) = files.first().and_then(|file| file.parent()) else {
        return root.path().to_owned();
    };
    for file in files {
        while !file.starts_with(common) {
            common = common.parent().unwrap_or(Path::new("/"));
        }
    }
    common
        .ancestors()
        .take_while(|folder| folder.starts_with(root.path()))
        .find(|folder| folder.join(".git").symlink_metadata().is_ok())
        .unwrap_or(root.path())
        .to_owned()
}

/// Text as UTF-8 (or as whatever it is, where that is one byte a character); `None` when it is binary.
fn text_of(bytes: Vec<u8>) -> Option<Vec<u8>> {
    let wide = |order: fn([u8; 2]) -> u16| {
        let units = bytes.get(2..).unwrap_or_default().chunks_exact(2);
        let units = units.map(|pair| order([pair[0], pair[1]]));
        let text: String = char::decode_utf16(units)
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
        Some(text.into_bytes())
    };
    match bytes.get(..2) {
        Some(b"\xff\xfe") => wide(u16::from_le_bytes),
        Some(b"\xfe\xff") => wide(u16::from_be_bytes),
        _ if memchr::memchr(0, &bytes).is_some() => None,
        _ => Some(bytes),
    }
    .map(with_plain_line_ends)
}

/// `\r\n` as `\n`, so that `$` is where a line ends.
fn with_plain_line_ends(text: Vec<u8>) -> Vec<u8> {
    if memchr::memmem::find(&text, b"\r\n").is_none() {
        return text;
    }
    let mut plain = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\r\n") {
            Some(line) => {
                plain.extend_from_slice(line);
                plain.push(b'\n');
            }
            None => plain.extend_from_slice(line),
        }
    }
    plain
}

/// The parts that a reply does not show, and why.
#[derive(Debug, Default)]
struct LeftOut {
    sentences: Vec<String>,
    binary: usize,
    large: Vec<String>,
    unreadable: Vec<String>,
}

impl LeftOut {
    fn say(&mut self, sentence: String) {
        self.sentences.push(sentence);
    }

    /// `what: a, b and 7 more`.
    fn say_of(&mut self, what: &str, names: &[String]) {
        if names.is_empty() {
            return;
        }
        let shown = names.get(..LEFT_OUT_MAX).unwrap_or(names);
        let more = match names.len() - shown.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        self.say(format!("{what}: {}{more}", shown.join(", ")));
    }

    fn out_of_time(&mut self, done: usize, of: usize) {
        self.say(format!(
            "stopped after {} s, {done} of {of} files read: name fewer paths",
            SOFT_LIMIT.as_secs()
        ));
    }

    fn reply(mut self, redactor: &Redactor) -> Option<Value> {
        if self.binary > 0 {
            self.say(format!("{} binary files", self.binary));
        }
        let large = std::mem::take(&mut self.large);
        self.say_of("too large", &large);
        let unreadable = std::mem::take(&mut self.unreadable);
        self.say_of("cannot be read", &unreadable);
        let sentences = self.sentences.iter().take(LEFT_OUT_MAX);
        let shown: Vec<Value> = sentences
            .map(|sentence| text::one_line(&redactor.text(sentence), 2 * LINE_MAX).into())
            .collect();
        (!shown.is_empty()).then(|| shown.into())
    }
}

/// A reply: what was read, from where, and what was left out.
fn reply(
    files: Files,
    redactor: &Redactor,
    (name, shown): (&str, String),
    counts: &[(&str, usize)],
) -> Value {
    let base = files.base.to_string_lossy();
    let mut fields = Map::new();
    fields.insert("base".to_owned(), redactor.text(&base).into_string().into());
    fields.insert(name.to_owned(), shown.into());
    for (name, count) in counts {
        fields.insert((*name).to_owned(), json!(count));
    }
    if let Some(left_out) = files.left_out.reply(redactor) {
        fields.insert("left_out".to_owned(), left_out);
    }
    Value::Object(fields)
}

/// The lines of a text, by number from 0.
struct Lines<'a> {
    bytes: &'a [u8],
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let mut starts = vec![0];
        starts.extend(memchr::memchr_iter(b'\n', bytes).map(|at| at + 1));
        if starts.last() == Some(&bytes.len()) {
            starts.pop();
        }
        Self { bytes, starts }
    }

    fn count(&self) -> usize {
        self.starts.len()
    }

    /// The range of a line, without its end.
    fn range(&self, line: usize) -> Range<usize> {
        let start = self.starts.get(line).copied().unwrap_or(self.bytes.len());
        let next = self.starts.get(line + 1).copied();
        let end = next.unwrap_or(self.bytes.len()).max(start);
        let whole = self.bytes.get(start..end).unwrap_or_default();
        start..end - usize::from(whole.ends_with(b"\n"))
    }

    /// A line as it is.
    fn bytes(&self, line: usize) -> &'a [u8] {
        self.bytes.get(self.range(line)).unwrap_or_default()
    }

    /// The line that a byte stands in.
    fn at(&self, byte: usize) -> usize {
        self.starts
            .partition_point(|start| *start <= byte)
            .saturating_sub(1)
    }

    /// Judges what is to be shown: `wanted` are ranges of lines, sorted.
    fn judge(&self, redactor: &Redactor, wanted: &[Range<usize>]) -> Judged<'a> {
        let mut windows: Vec<Range<usize>> = Vec::new();
        for lines in wanted.iter().filter(|lines| !lines.is_empty()) {
            let from = self.range(lines.start).start;
            let to = self.range(lines.end - 1).end;
            // Whole lines, so that no secret is cut before the rule that knows it.
            let from = self
                .range(self.at(from.saturating_sub(JUDGED_AROUND)))
                .start;
            let to = self
                .range(self.at(to.saturating_add(JUDGED_AROUND)))
                .end
                .max(to);
            match windows.last_mut() {
                Some(last) if last.end >= from => last.end = last.end.max(to),
                _ => windows.push(from..to),
            }
        }
        let windows = windows.into_iter().map(|window| {
            let bytes = self.bytes.get(window.clone()).unwrap_or_default();
            (window, redactor.mark(bytes))
        });
        Judged {
            windows: windows.collect(),
        }
    }
}

/// The parts of a text that may be shown, each in its offsets.
struct Judged<'a> {
    windows: Vec<(Range<usize>, Marked<'a>)>,
}

impl Judged<'_> {
    fn window(&self, range: &Range<usize>) -> Option<&(Range<usize>, Marked<'_>)> {
        self.windows
            .iter()
            .find(|(window, _)| window.start <= range.start && range.end <= window.end)
    }

    /// Returns true if a secret touches these bytes; what was not judged counts as one.
    fn hides(&self, range: Range<usize>) -> bool {
        self.window(&range).is_none_or(|(window, marked)| {
            marked.hides(range.start - window.start..range.end - window.start)
        })
    }

    /// A part of a line, ready to be shown; what was not judged is not.
    fn part(&self, range: Range<usize>) -> String {
        let part = self.window(&range).map(|(window, marked)| {
            marked.part(range.start - window.start..range.end - window.start)
        });
        let part = part.unwrap_or_else(|| Redacted::from_static("[withheld]"));
        text::printable(&part)
    }

    /// A line, cut around `focus` (from the line's start) where it is too long.
    fn line(&self, lines: &Lines<'_>, line: usize, focus: usize) -> String {
        let whole = lines.range(line);
        if whole.len() <= LINE_MAX {
            return self.part(whole);
        }
        let inside = |at: usize| {
            // Not within a character.
            let mut at = at.min(whole.end);
            while at < whole.end && lines.bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80) {
                at += 1;
            }
            at
        };
        let last = whole.end - LINE_MAX;
        let from = inside((whole.start + focus.saturating_sub(LINE_MAX / 3)).min(last));
        let to = inside(from + LINE_MAX);
        let before = if from > whole.start { "..." } else { "" };
        let after = if to < whole.end { "..." } else { "" };
        format!("{before}{}{after}", self.part(from..to))
    }
}

/// Puts ranges together that touch, sorted.
fn merged(mut ranges: Vec<Range<usize>>, gap: usize) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end + gap => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests;
