//! Unified diffs in git's form: a whole one can be fed to `git apply`.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use serde::Serialize;
use similar::{Algorithm, DiffOp, DiffTag, capture_diff_slices_deadline, group_diff_ops};

use crate::changes::{ChangeKind, ChangedFile, Changes, looks_binary};
use crate::contents::Contents;
use crate::handles::Kind;
use crate::path::{self, FilePath};
use crate::state::{Content, FileState};

/// The files that a diff shows.
#[derive(Debug, Clone, Copy)]
pub enum Selection<'a> {
    /// All changed files.
    All,
    /// One file, by its path relative to the working directory.
    Path(&'a [u8]),
}

/// The size of a file's change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileStat {
    /// Relative to the working directory.
    pub path: FilePath,
    /// Lines added.
    pub added: u64,
    /// Lines removed.
    pub removed: u64,
    /// No lines can be told.
    pub binary: bool,
}

/// Something that a diff does not show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Omitted {
    /// Relative to the working directory.
    pub path: FilePath,
    /// The reason, as a phrase: `2 of 5 hunks`, `content not kept`.
    pub what: String,
}

/// A diff, cut between hunks where it would be too long.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diff {
    /// The diff; files may hold any bytes, and so may it.
    pub bytes: Vec<u8>,
    /// The size of the change of each selected file, also of those that are not shown.
    pub files: Vec<FileStat>,
    /// The number that is shown whole.
    pub shown_files: usize,
    /// The parts that are left out.
    pub omitted: Vec<Omitted>,
}

impl Diff {
    /// The diff as text, bytes that are no UTF-8 replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }

    /// Returns true if nothing was left out: then `git apply`, run where the paths are relative to,
    /// makes the same changes.
    pub fn is_whole(&self) -> bool {
        self.omitted.is_empty()
    }

    /// Lines added and removed in all selected files.
    pub fn totals(&self) -> (u64, u64) {
        self.files.iter().fold((0, 0), |(added, removed), file| {
            (added + file.added, removed + file.removed)
        })
    }

    /// The parts that are left out, as lines for a reader; empty when nothing was. (`git apply`
    /// skips them.)
    pub fn note(&self) -> String {
        if self.omitted.is_empty() {
            return String::new();
        }
        let mut note = String::from("# left out:\n");
        for omitted in self.omitted.iter().take(20) {
            note.push_str(&format!("#   {}: {}\n", omitted.path, omitted.what));
        }
        if let Some(more) = self.omitted.len().checked_sub(20).filter(|more| *more > 0) {
            note.push_str(&format!("#   and {more} more files\n"));
        }
        note
    }
}

const CONTEXT: usize = 3;
/// One pair of files may take this long to compare well; then the rest of it is compared coarsely.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same for all files of a diff together.
const PATIENCE_IN_ALL: Duration = Duration::from_secs(10);
/// A binary file up to this length is carried in the patch, so that the patch stays whole.
const LONGEST_BINARY: usize = 1 << 20;

impl Changes {
    /// The selected changes as a unified diff of at most `max_bytes` bytes (notes on what was left out not counted). Paths
    /// are relative to the working directory, or to the tree's top when a file lies outside it.
    pub fn diff(&self, selection: Selection<'_>, max_bytes: u64) -> Diff {
        let mut diff = Diff::default();
        let end = Instant::now() + PATIENCE_IN_ALL;
        let limit = usize::try_from(max_bytes).unwrap_or(usize::MAX);
        let from_top = self
            .files
            .iter()
            .any(|file| !path::is_within(file.top_path.as_bytes(), self.prefix()));
        for file in &self.files {
            if let Selection::Path(wanted) = selection
                && !file.paths().any(|path| path.as_bytes() == wanted)
            {
                continue;
            }
            let names = if from_top {
                (
                    file.previous_top_path.as_ref().unwrap_or(&file.top_path),
                    &file.top_path,
                )
            } else {
                (
                    file.previous_path.as_ref().unwrap_or(&file.path),
                    &file.path,
                )
            };
            let room = limit.saturating_sub(diff.bytes.len());
            let means = Means {
                contents: &self.contents,
                room,
                deadline: end.min(Instant::now() + PATIENCE),
            };
            let rendered = render(file, names.0.as_bytes(), names.1.as_bytes(), &means);
            diff.files.push(rendered.stat);
            let omit = |what: String| Omitted {
                path: file.path.clone(),
                what,
            };
            if rendered.head.len() > room {
                diff.omitted.push(omit(if rendered.total == 0 {
                    "the whole change".to_owned()
                } else {
                    format!("all {} hunks", rendered.total)
                }));
                continue;
            }
            let mut taken = rendered.head;
            let mut shown = 0;
            for hunk in &rendered.hunks {
                if taken.len() + hunk.len() > room {
                    break;
                }
                taken.extend_from_slice(hunk);
                shown += 1;
            }
            let total = rendered.total;
            if shown < total {
                diff.omitted.push(omit(if shown == 0 {
                    format!("all {total} hunks")
                } else {
                    format!("{} of {total} hunks", total - shown)
                }));
                if shown == 0 {
                    continue;
                }
            } else if let Some(lost) = rendered.lost {
                diff.omitted.push(omit(lost));
            } else {
                diff.shown_files += 1;
            }
            diff.bytes.extend_from_slice(&taken);
        }
        diff
    }
}

/// The means of rendering besides the file.
struct Means<'a> {
    contents: &'a Contents,
    /// Bytes that can still be shown; hunks beyond are only counted.
    room: usize,
    deadline: Instant,
}

struct Rendered {
    head: Vec<u8>,
    /// Hunks, one more than can be shown.
    hunks: Vec<Vec<u8>>,
    /// The number of hunks.
    total: usize,
    stat: FileStat,
    /// Something that the diff cannot say.
    lost: Option<String>,
}

fn name(prefix: &str, path: &[u8]) -> String {
    path::quoted(&[prefix.as_bytes(), path].concat())
}

/// The name in a `---` or `+++` line: git ends it with a tab where it holds a space.
fn line_name(prefix: &str, path: &[u8]) -> String {
    let name = name(prefix, path);
    if name.contains(' ') && !name.starts_with('"') {
        format!("{name}\t")
    } else {
        name
    }
}

fn render(file: &ChangedFile, old_path: &[u8], new_path: &[u8], means: &Means<'_>) -> Rendered {
    let stat = FileStat {
        path: file.path.clone(),
        added: 0,
        removed: 0,
        binary: file.binary,
    };
    let mut out = Rendered {
        head: Vec::new(),
        hunks: Vec::new(),
        total: 0,
        stat,
        lost: None,
    };
    if let Some(submodule) = &file.submodule {
        submodule_diff(
            &mut out,
            new_path,
            submodule.from.as_deref(),
            submodule.to.as_deref(),
        );
        return out;
    }
    match (&file.before, &file.now) {
        // git cannot show a file that becomes a link as one change: it is deleted and made again.
        (Some(before), Some(now)) if file.kind == ChangeKind::TypeChanged => {
            one(
                &mut out,
                old_path,
                old_path,
                Some(before),
                None,
                means,
                false,
            );
            let mut second = Rendered {
                head: Vec::new(),
                hunks: Vec::new(),
                total: 0,
                stat: out.stat.clone(),
                lost: None,
            };
            one(
                &mut second,
                new_path,
                new_path,
                None,
                Some(now),
                means,
                false,
            );
            // The two halves only make sense together: one piece that is shown or left out.
            let mut whole = std::mem::take(&mut out.head);
            whole.extend(out.hunks.drain(..).flatten());
            whole.extend(second.head);
            whole.extend(second.hunks.into_iter().flatten());
            out.head = whole;
            out.total = 0;
            out.stat.added = second.stat.added;
            out.lost = out.lost.or(second.lost);
        }
        (before, now) => {
            let renamed = file.kind == ChangeKind::Renamed;
            one(
                &mut out,
                old_path,
                new_path,
                before.as_ref(),
                now.as_ref(),
                means,
                renamed,
            );
        }
    }
    out
}

fn submodule_diff(out: &mut Rendered, path: &[u8], from: Option<&str>, to: Option<&str>) {
    let short = |oid: Option<&str>| {
        oid.and_then(|oid| oid.get(..7))
            .unwrap_or("0000000")
            .to_owned()
    };
    let (a, b) = (name("a/", path), name("b/", path));
    out.head.extend(
        format!(
            "diff --git {a} {b}\nindex {}..{} 160000\n--- {a}\n+++ {b}\n",
            short(from),
            short(to)
        )
        .bytes(),
    );
    let zero = "0".repeat(40);
    let hunk = format!(
        "@@ -1 +1 @@\n-Subproject commit {}\n+Subproject commit {}\n",
        from.unwrap_or(&zero),
        to.unwrap_or(&zero)
    );
    out.hunks.push(hunk.into_bytes());
    out.total = 1;
    out.stat.added = 1;
    out.stat.removed = 1;
}

fn one(
    out: &mut Rendered,
    old_path: &[u8],
    new_path: &[u8],
    before: Option<&FileState>,
    now: Option<&FileState>,
    means: &Means<'_>,
    renamed: bool,
) {
    let mut head = format!(
        "diff --git {} {}\n",
        name("a/", old_path),
        name("b/", new_path)
    );
    match (before, now) {
        (None, Some(now)) => head.push_str(&format!("new file mode {:06o}\n", now.git_mode())),
        (Some(before), None) => {
            head.push_str(&format!("deleted file mode {:06o}\n", before.git_mode()))
        }
        (Some(before), Some(now)) if before.git_mode() != now.git_mode() => {
            head.push_str(&format!(
                "old mode {:06o}\nnew mode {:06o}\n",
                before.git_mode(),
                now.git_mode()
            ));
        }
        _ => {}
    }
    let differ = || {
        let (old, new) = (side("a/", old_path, before), side("b/", new_path, now));
        format!("Binary files {old} and {new} differ\n")
    };
    let bytes = |state: Option<&FileState>| -> Result<Vec<u8>, &'static str> {
        match state.map(|state| state.content) {
            None => Ok(Vec::new()),
            Some(Content::Known(id)) => means.contents.read(id).map_err(|_| "its content is gone"),
            Some(Content::Special) => Err("neither a file nor a link"),
            Some(Content::Unread | Content::Ignored) => {
                Err("too long or unreadable, content not kept")
            }
        }
    };
    let (old, new) = match (bytes(before), bytes(now)) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(why), _) | (_, Err(why)) => {
            out.stat.binary = true;
            out.lost = Some(why.to_owned());
            out.head.extend(head.bytes());
            out.head.extend(differ().bytes());
            return;
        }
    };
    let same_content = old == new && before.is_some() && now.is_some();
    if renamed {
        head.push_str(&format!(
            "similarity index {}%\nrename from {}\nrename to {}\n",
            if same_content {
                100
            } else {
                similarity(&old, &new)
            },
            path::quoted(old_path),
            path::quoted(new_path)
        ));
    }
    let only_special_bits = same_content
        && !renamed
        && before
            .zip(now)
            .is_some_and(|(before, now)| before.git_mode() == now.git_mode());
    if only_special_bits {
        out.lost = Some("a change of special permission bits, which git does not keep".to_owned());
    }
    if same_content {
        out.head.extend(head.bytes());
        return;
    }
    let is_file = |state: Option<&FileState>| state.is_none_or(|state| state.kind() == Kind::File);
    let binary = (is_file(before) && looks_binary(&old)) || (is_file(now) && looks_binary(&new));
    let ids = (id_text(before), id_text(now));
    let mode = match (before, now) {
        (Some(before), Some(now)) if before.git_mode() == now.git_mode() => {
            format!(" {:06o}", now.git_mode())
        }
        _ => String::new(),
    };
    if binary {
        out.stat.binary = true;
        out.head.extend(head.bytes());
        if old.len().max(new.len()) > LONGEST_BINARY {
            out.head
                .extend(format!("index {}..{}{mode}\n", short(&ids.0), short(&ids.1)).bytes());
            out.head.extend(differ().bytes());
            out.lost = Some("a long binary file".to_owned());
            return;
        }
        out.head
            .extend(format!("index {}..{}{mode}\n", ids.0, ids.1).bytes());
        let mut patch = b"GIT binary patch\n".to_vec();
        binary_literal(&mut patch, &new);
        binary_literal(&mut patch, &old);
        out.hunks.push(patch);
        out.total = 1;
        return;
    }
    head.push_str(&format!(
        "index {}..{}{mode}\n",
        short(&ids.0),
        short(&ids.1)
    ));
    let (old_lines, new_lines) = (split_lines(&old), split_lines(&new));
    if old_lines.is_empty() && new_lines.is_empty() {
        out.head.extend(head.bytes());
        return;
    }
    let side_line = |prefix: &str, path: &[u8], state: Option<&FileState>| {
        if state.is_some() {
            line_name(prefix, path)
        } else {
            "/dev/null".to_owned()
        }
    };
    head.push_str(&format!(
        "--- {}\n+++ {}\n",
        side_line("a/", old_path, before),
        side_line("b/", new_path, now)
    ));
    out.head.extend(head.bytes());
    let ops = capture_diff_slices_deadline(
        Algorithm::Myers,
        &old_lines,
        &new_lines,
        Some(means.deadline),
    );
    for op in &ops {
        if op.tag() != DiffTag::Equal {
            out.stat.removed += op.old_range().len() as u64;
            out.stat.added += op.new_range().len() as u64;
        }
    }
    let groups = group_diff_ops(ops, CONTEXT);
    out.total = groups.len();
    let mut length = out.head.len();
    for group in &groups {
        if length > means.room {
            break;
        }
        let hunk = hunk(group, &old_lines, &new_lines);
        length += hunk.len();
        out.hunks.push(hunk);
    }
}

fn side(prefix: &str, path: &[u8], state: Option<&FileState>) -> String {
    if state.is_some() {
        name(prefix, path)
    } else {
        "/dev/null".to_owned()
    }
}

fn id_text(state: Option<&FileState>) -> String {
    state
        .and_then(FileState::id)
        .map_or_else(|| "0".repeat(40), |id| id.to_string())
}

fn short(id: &str) -> &str {
    id.get(..7).unwrap_or(id)
}

fn similarity(old: &[u8], new: &[u8]) -> usize {
    let (old, new) = (split_lines(old), split_lines(new));
    let mut counts = std::collections::HashMap::new();
    for line in &old {
        *counts.entry(*line).or_insert(0usize) += line.len();
    }
    let mut shared = 0;
    for line in &new {
        if let Some(left) = counts.get_mut(line).filter(|left| **left >= line.len()) {
            *left -= line.len();
            shared += line.len();
        }
    }
    let total = |lines: &[&[u8]]| lines.iter().map(|line| line.len()).sum::<usize>();
    shared * 100 / total(&old).max(total(&new)).max(1)
}

/// Lines as git has them: each ends with its newline, and nothing else ends one.
pub(crate) fn split_lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').collect()
}

fn hunk(group: &[DiffOp], old: &[&[u8]], new: &[&[u8]]) -> Vec<u8> {
    let (Some(first), Some(last)) = (group.first(), group.last()) else {
        return Vec::new();
    };
    let range = |start: usize, end: usize| {
        let length = end.saturating_sub(start);
        // git counts lines from 1, an empty range is named by the line before it, and a length of 1 is left out.
        let begin = if length == 0 { start } else { start + 1 };
        if length == 1 {
            format!("{begin}")
        } else {
            format!("{begin},{length}")
        }
    };
    let mut out = format!(
        "@@ -{} +{} @@\n",
        range(first.old_range().start, last.old_range().end),
        range(first.new_range().start, last.new_range().end)
    )
    .into_bytes();
    let mut put = |sign: u8, lines: Option<&[&[u8]]>| {
        for line in lines.unwrap_or_default() {
            out.push(sign);
            out.extend_from_slice(line);
            if !line.ends_with(b"\n") {
                out.extend_from_slice(b"\n\\ No newline at end of file\n");
            }
        }
    };
    for op in group {
        if op.tag() == DiffTag::Equal {
            put(b' ', old.get(op.old_range()));
        } else {
            put(b'-', old.get(op.old_range()));
            put(b'+', new.get(op.new_range()));
        }
    }
    out
}

/// A `literal` of git's binary patch: zlib data in git's base 85, 52 bytes a line. The data is stored, not compressed;
/// what a patch of small binaries gains is not worth a compressor.
fn binary_literal(out: &mut Vec<u8>, bytes: &[u8]) {
    const ALPHABET: &[u8; 85] =
        b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
    out.extend(format!("literal {}\n", bytes.len()).bytes());
    for line in zlib_stored(bytes).chunks(52) {
        let length = line.len() as u8;
        out.push(if length <= 26 {
            b'A' + length - 1
        } else {
            b'a' + length - 27
        });
        for group in line.chunks(4) {
            let mut word = [0u8; 4];
            for (to, from) in word.iter_mut().zip(group) {
                *to = *from;
            }
            let mut value = u32::from_be_bytes(word);
            let mut digits = [0u8; 5];
            for digit in digits.iter_mut().rev() {
                *digit = ALPHABET.get((value % 85) as usize).copied().unwrap_or(b'0');
                value /= 85;
            }
            out.extend_from_slice(&digits);
        }
        out.push(b'\n');
    }
    out.push(b'\n');
}

/// RFC 1950 and 1951: a zlib stream of stored blocks.
fn zlib_stored(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let mut blocks = bytes.chunks(0xffff).peekable();
    if blocks.peek().is_none() {
        out.extend_from_slice(&[1, 0, 0, 0xff, 0xff]);
    }
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        out.push(u8::from(blocks.peek().is_none()));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(block);
    }
    let (mut a, mut b) = (1u32, 0u32);
    for byte in bytes {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    out.extend_from_slice(&((b << 16) | a).to_be_bytes());
    out
}
