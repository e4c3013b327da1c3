//! Everything long that a job leaves behind, as redacted files in its folder, read in slices.

pub mod diff;

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use redact::Redacted;
use redact::text;

/// The whole diff against the base.
pub const DIFF: &str = "diff";
/// The agent's own last words, unverified.
pub const AGENT_REPORT: &str = "agent_report";
/// What the agent did, line by line.
pub const TRANSCRIPT: &str = "transcript";
/// Which plugins had a part in the job, each with its version and digest.
pub const PLUGINS: &str = "plugins";
/// The ignored files that the job touched, by name.
pub const IGNORED: &str = "ignored";

/// What the host proved, signed; see [`crate::statement`].
pub const STATEMENT: &str = "statement";

/// One file is kept up to this size: half from its beginning, half from its end.
pub const MAX_BYTES: u64 = 8 << 20;

/// What goes wrong with an artifact.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// There is none of this name.
    #[error("no artifact `{name}`; there {}", present(.known))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The disk refused.
    #[error("artifact `{name}`: {source}")]
    Io {
        /// Which one.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

fn present(known: &[String]) -> String {
    match known {
        [] => "are none".to_owned(),
        [one] => format!("is `{one}`"),
        many => {
            let names: Vec<_> = many
                .iter()
                .take(20)
                .map(|name| format!("`{name}`"))
                .collect();
            let more = if many.len() > 20 { ", ..." } else { "" };
            format!("are {}{more}", names.join(", "))
        }
    }
}

/// Name and size of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// What `get` takes as `artifact`.
    pub name: String,
    /// Its bytes.
    pub size: u64,
}

/// A part of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Slice {
    /// Whole lines where they fit, always whole characters.
    pub text: String,
    /// Where to go on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
    /// Bytes of the whole.
    pub size: u64,
}

/// The artifacts of one job: a folder of its own inside the job's folder.
#[derive(Debug, Clone)]
pub struct Artifacts {
    folder: PathBuf,
}

impl Artifacts {
    /// The artifacts in `<job_folder>/artifacts`. The folder is made when the first one is written.
    pub fn in_job(job_folder: &Path) -> Self {
        Self {
            folder: job_folder.join("artifacts"),
        }
    }

    /// Keeps a text under a name; one that is there already is replaced.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, name: &str, content: &Redacted) -> Result<Artifact, ArtifactError> {
        let mut writer = self.create(name)?;
        writer.push(content)?;
        writer.finish()
    }

    /// Keeps what the host encoded from a text that was redacted: another look would take the encoding for a secret.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write_encoded(&self, name: &str, bytes: &[u8]) -> Result<(), ArtifactError> {
        let wrap = |source| ArtifactError::Io {
            name: name.to_owned(),
            source,
        };
        private::make_folder(&self.folder).map_err(wrap)?;
        let part = self.folder.join(format!(".{}.part", file_name(name)));
        let mut file = fresh_file(&part).map_err(wrap)?;
        file.write_all(bytes)
            .and_then(|()| fs::rename(&part, self.folder.join(file_name(name))))
            .map_err(wrap)
    }

    /// Opens an artifact to be written piece by piece.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn create(&self, name: &str) -> Result<ArtifactWriter, ArtifactError> {
        let wrap = |source| ArtifactError::Io {
            name: name.to_owned(),
            source,
        };
        private::make_folder(&self.folder).map_err(wrap)?;
        let path = self.folder.join(file_name(name));
        // Under another name until it is whole, so that a reader never meets half of a replaced one.
        let part = self.folder.join(format!(".{}.part", file_name(name)));
        let file = fresh_file(&part).map_err(wrap)?;
        Ok(ArtifactWriter {
            name: name.to_owned(),
            path,
            part,
            file,
            head: 0,
            tail: Tail::default(),
            total: 0,
        })
    }

    /// The file of an artifact, for the host's own use.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(file_name(name))
    }

    /// All of them, by name.
    pub fn list(&self) -> Vec<Artifact> {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let mut found: Vec<Artifact> = entries
            .flatten()
            .filter_map(|entry| {
                let name = artifact_name(entry.file_name().to_str()?)?;
                let size = entry.metadata().ok().filter(fs::Metadata::is_file)?.len();
                Some(Artifact { name, size })
            })
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// At most `max_bytes` from `cursor` (a byte offset that an earlier slice gave; 0 at first), ending after a line
    /// where that leaves at least half of them. `diff/PATH` is the part of the diff that is about one file.
    ///
    /// # Errors
    /// An unknown name, which lists the known ones, or a disk that refuses.
    pub fn read(&self, name: &str, cursor: u64, max_bytes: usize) -> Result<Slice, ArtifactError> {
        let path = self.folder.join(file_name(name));
        match File::open(&path) {
            Ok(file) => {
                slice_of_file(file, cursor, max_bytes).map_err(|source| ArtifactError::Io {
                    name: name.to_owned(),
                    source,
                })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(slice) = self.file_patch(name, cursor, max_bytes) {
                    return Ok(slice);
                }
                let known = self
                    .list()
                    .into_iter()
                    .map(|artifact| artifact.name)
                    .collect();
                Err(ArtifactError::Unknown {
                    name: text::one_line(name, 120),
                    known,
                })
            }
            Err(source) => Err(ArtifactError::Io {
                name: name.to_owned(),
                source,
            }),
        }
    }

    /// The whole of one, when it is there.
    pub fn text(&self, name: &str) -> Option<String> {
        let bytes = fs::read(self.folder.join(file_name(name))).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn file_patch(&self, name: &str, cursor: u64, max_bytes: usize) -> Option<Slice> {
        let path = name.strip_prefix(DIFF)?.strip_prefix('/')?;
        let whole = fs::read_to_string(self.folder.join(file_name(DIFF))).ok()?;
        Some(slice_of_text(
            diff::section(&whole, path)?,
            cursor,
            max_bytes,
        ))
    }
}

/// A slice of a record that is no artifact, as [`Artifacts::read`] gives it.
///
/// # Errors
/// There is no such file, or the disk refuses.
pub(crate) fn read_file(
    path: &Path,
    name: &str,
    cursor: u64,
    max_bytes: usize,
) -> Result<Slice, ArtifactError> {
    let wrap = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => ArtifactError::Unknown {
            name: name.to_owned(),
            known: Vec::new(),
        },
        _ => ArtifactError::Io {
            name: name.to_owned(),
            source,
        },
    };
    let file = File::open(path).map_err(wrap)?;
    slice_of_file(file, cursor, max_bytes).map_err(wrap)
}

/// The name under which what check components found in a pass is kept, as SARIF.
pub fn findings_name(pass: u32) -> String {
    match pass {
        1 => "findings.sarif".to_owned(),
        pass => format!("findings.pass-{pass}.sarif"),
    }
}

/// The name under which the output of a check is kept: readable, and safe wherever it is used.
pub fn check_name(check: &str, pass: u32) -> String {
    let mut slug = String::from("check-");
    for c in check.chars() {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            'A'..='Z' => slug.push(c.to_ascii_lowercase()),
            _ if !slug.ends_with('-') => slug.push('-'),
            _ => {}
        }
        if slug.len() >= 40 {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    if pass > 1 {
        format!("{slug}.pass-{pass}")
    } else {
        slug.to_owned()
    }
}

/// Every name becomes one plain file name: what is not a letter, digit, `-`, `_` or `.` is written `%XX`, and so is a
/// leading dot.
fn file_name(name: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(name.len());
    for (at, byte) in name.bytes().take(80).enumerate() {
        match byte {
            b'.' if at == 0 => out.push_str("%2E"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                out.push(char::from(byte))
            }
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

fn artifact_name(file: &str) -> Option<String> {
    if file.starts_with('.') {
        return None;
    }
    let mut bytes = Vec::with_capacity(file.len());
    let mut rest = file.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn fresh_file(path: &Path) -> io::Result<File> {
    private::file()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
}

/// The last bytes of what was pushed, in memory that does not grow.
#[derive(Debug, Default)]
struct Tail {
    kept: std::collections::VecDeque<u8>,
    dropped: u64,
}

const HEAD_BYTES: u64 = MAX_BYTES / 2;
const TAIL_BYTES: usize = (MAX_BYTES / 2) as usize;

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        let keep = bytes
            .get(bytes.len().saturating_sub(TAIL_BYTES)..)
            .unwrap_or_default();
        let over = (self.kept.len() + keep.len()).saturating_sub(TAIL_BYTES);
        self.kept.drain(..over.min(self.kept.len()));
        self.dropped += (over + bytes.len() - keep.len()) as u64;
        self.kept.extend(keep);
    }
}

/// An artifact in the making. What is beyond [`MAX_BYTES`] is left out of its middle, and that is said there.
#[derive(Debug)]
pub struct ArtifactWriter {
    name: String,
    path: PathBuf,
    part: PathBuf,
    file: File,
    head: u64,
    tail: Tail,
    total: u64,
}

impl ArtifactWriter {
    /// Adds a piece.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn push(&mut self, piece: &Redacted) -> Result<(), ArtifactError> {
        let bytes = piece.as_bytes();
        self.total += bytes.len() as u64;
        let room = usize::try_from(HEAD_BYTES - self.head).unwrap_or(usize::MAX);
        let (head, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        if !head.is_empty() {
            self.file
                .write_all(head)
                .map_err(|source| self.failed(source))?;
            self.head += head.len() as u64;
        }
        self.tail.push(rest);
        Ok(())
    }

    /// Notes bytes that the caller left out here: they count as left out of the middle.
    pub fn leave_out(&mut self, bytes: u64) {
        // Whatever stood in the tail came before them, so it lies in the middle too.
        self.tail.dropped += bytes + self.tail.kept.len() as u64;
        self.tail.kept.clear();
        self.total += bytes;
    }

    /// Bytes pushed so far.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Makes it visible under its name.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn finish(mut self) -> Result<Artifact, ArtifactError> {
        let written = self
            .write_tail()
            .and_then(|()| fs::rename(&self.part, &self.path))
            .and_then(|()| self.file.metadata());
        match written {
            Ok(metadata) => Ok(Artifact {
                name: std::mem::take(&mut self.name),
                size: metadata.len(),
            }),
            Err(source) => Err(self.failed(source)),
        }
    }

    fn write_tail(&mut self) -> io::Result<()> {
        let tail = self.tail.kept.make_contiguous();
        if self.tail.dropped > 0 {
            // The tail begins in the middle of a line, perhaps of a character.
            let start = tail.iter().position(|byte| *byte == b'\n').map_or_else(
                || {
                    tail.iter()
                        .position(|byte| byte & 0xc0 != 0x80)
                        .unwrap_or(0)
                },
                |at| at + 1,
            );
            let dropped = self.tail.dropped + start as u64;
            self.file
                .write_all(format!("\n[... {dropped} bytes left out ...]\n").as_bytes())?;
            self.file.write_all(tail.get(start..).unwrap_or_default())
        } else {
            self.file.write_all(tail)
        }
    }

    fn failed(&self, source: io::Error) -> ArtifactError {
        ArtifactError::Io {
            name: self.name.clone(),
            source,
        }
    }
}

impl Drop for ArtifactWriter {
    fn drop(&mut self) {
        // After `finish` it is renamed and there is nothing to remove.
        let _ = fs::remove_file(&self.part);
    }
}

fn slice_of_file(mut file: File, cursor: u64, max_bytes: usize) -> io::Result<Slice> {
    let size = file.metadata()?.len();
    let start = cursor.min(size);
    file.seek(SeekFrom::Start(start))?;
    let mut window = Vec::new();
    // One character more than asked for, so that a cut inside the last one is seen as such.
    file.take(max_bytes as u64 + 4).read_to_end(&mut window)?;
    Ok(cut(&window, start, size, max_bytes))
}

fn slice_of_text(whole: &str, cursor: u64, max_bytes: usize) -> Slice {
    let size = whole.len() as u64;
    let start = cursor.min(size);
    let window = usize::try_from(start)
        .ok()
        .and_then(|start| whole.as_bytes().get(start..))
        .unwrap_or_default();
    cut(window, start, size, max_bytes)
}

/// `window` begins at `start`; what is returned begins and ends between characters.
fn cut(window: &[u8], start: u64, size: u64, max_bytes: usize) -> Slice {
    // A cursor that someone made up may point into a character: the slice begins at the next one.
    let skipped = window
        .iter()
        .take(3)
        .take_while(|byte| *byte & 0xc0 == 0x80)
        .count();
    let window = window.get(skipped..).unwrap_or_default();
    let start = start + skipped as u64;
    let mut end = max_bytes.min(window.len());
    if start + (end as u64) < size {
        while end > 0 && window.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
            end -= 1;
        }
        let whole_lines = window
            .get(..end)
            .and_then(|part| part.iter().rposition(|byte| *byte == b'\n'))
            .map(|at| at + 1);
        if let Some(lines) = whole_lines.filter(|lines| *lines >= end / 2) {
            end = lines;
        }
        // A limit below one character still moves on.
        if end == 0 {
            end = window
                .iter()
                .skip(1)
                .position(|byte| byte & 0xc0 != 0x80)
                .map_or(window.len(), |at| at + 1);
        }
    }
    let text = String::from_utf8_lossy(window.get(..end).unwrap_or_default()).into_owned();
    let next = start + end as u64;
    Slice {
        text,
        cursor: (next < size).then_some(next),
        size,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use redact::{KnownValues, Redactor};

    fn job() -> (tempfile::TempDir, Artifacts) {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::in_job(folder.path());
        (folder, artifacts)
    }

    fn redacted(text: &str) -> Redacted {
        Redactor::new(KnownValues::new(), Vec::new()).text(text)
    }

    fn read_all(artifacts: &Artifacts, name: &str, max: usize) -> String {
        let (mut whole, mut cursor) = (String::new(), 0);
        loop {
            let slice = artifacts.read(name, cursor, max).unwrap();
            whole.push_str(&slice.text);
            match slice.cursor {
                Some(next) => {
                    assert!(next > cursor, "a cursor moves on");
                    cursor = next;
                }
                None => return whole,
            }
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let (_folder, artifacts) = job();
        assert_eq!(
            artifacts.read("diff", 0, 10).unwrap_err().to_string(),
            "no artifact `diff`; there are none"
        );
        artifacts.write("transcript", &redacted("x")).unwrap();
        artifacts.write("check-unit-tests", &redacted("y")).unwrap();
        assert_eq!(
            artifacts
                .read("../../etc/passwd", 0, 10)
                .unwrap_err()
                .to_string(),
            "no artifact `../../etc/passwd`; there are `check-unit-tests`, `transcript`"
        );
    }

    #[test]
    fn names_never_leave_the_folder_and_files_are_private() {
        let (folder, artifacts) = job();
        for name in [
            "../escape",
            "/abs",
            ".hidden",
            "a/b",
            "nul\0",
            "ü",
            "..",
            "%2E",
        ] {
            artifacts.write(name, &redacted("content")).unwrap();
            assert_eq!(
                artifacts.read(name, 0, 100).unwrap().text,
                "content",
                "{name:?}"
            );
            assert!(artifacts.list().iter().any(|a| a.name == name), "{name:?}");
        }
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing beside the folder `artifacts`"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let inside = folder.path().join("artifacts");
            assert_eq!(
                fs::metadata(&inside).unwrap().permissions().mode() & 0o777,
                0o700
            );
            for file in fs::read_dir(inside).unwrap() {
                assert_eq!(
                    file.unwrap().metadata().unwrap().permissions().mode() & 0o777,
                    0o600
                );
            }
        }
    }

    #[test]
    fn a_flood_keeps_both_ends_and_says_what_is_missing() {
        let (_folder, artifacts) = job();
        let mut writer = artifacts.create("check-flood").unwrap();
        writer.push(&redacted("first line\n")).unwrap();
        let block = redacted(&"0123456789abcdefghijklmnopqrstuvwxyz\n".repeat(10_000));
        for _ in 0..60 {
            writer.push(&block).unwrap();
        }
        writer.push(&redacted("last line\n")).unwrap();
        let kept = writer.finish().unwrap();
        assert!(kept.size <= MAX_BYTES + 100, "{}", kept.size);
        let whole = read_all(&artifacts, "check-flood", 1 << 20);
        assert!(whole.starts_with("first line\n") && whole.ends_with("\nlast line\n"));
        assert_eq!(whole.matches("bytes left out").count(), 1);
    }

    #[test]
    fn what_was_not_finished_is_not_there() {
        let (folder, artifacts) = job();
        let mut writer = artifacts.create("diff").unwrap();
        writer.push(&redacted("half")).unwrap();
        drop(writer);
        assert!(artifacts.list().is_empty());
        assert_eq!(
            fs::read_dir(folder.path().join("artifacts"))
                .unwrap()
                .count(),
            0
        );
    }

    #[test]
    fn the_patch_of_one_file_is_an_artifact_too() {
        let (_folder, artifacts) = job();
        let one = "diff --git a/src/a.rs b/src/a.rs\n--- a/src/a.rs\n+++ b/src/a.rs\n@@ -1 +1 @@\n-a\n+b\n";
        let two = one.replace("a.rs", "b.rs");
        artifacts
            .write(DIFF, &redacted(&format!("{one}{two}")))
            .unwrap();
        assert_eq!(artifacts.read("diff/src/b.rs", 0, 1000).unwrap().text, two);
        assert!(artifacts.read("diff/src/c.rs", 0, 1000).is_err());
    }

    #[test]
    fn check_names_are_readable_and_tell_passes_apart() {
        assert_eq!(check_name("unit tests", 1), "check-unit-tests");
        assert_eq!(check_name("Lint (clippy)", 2), "check-lint-clippy.pass-2");
        assert_eq!(check_name("../..", 1), "check");
    }

    proptest! {
        #[test]
        fn slices_put_together_are_the_whole(content in "[a-zé漢🦀\n]{0,400}", max in 1usize..50) {
            let (_folder, artifacts) = job();
            artifacts.write("x", &redacted(&content)).unwrap();
            prop_assert_eq!(read_all(&artifacts, "x", max), content);
        }

        #[test]
        fn any_cursor_gives_whole_characters(content in "[aé漢🦀\n]{0,60}", cursor in 0u64..300) {
            let (_folder, artifacts) = job();
            artifacts.write("x", &redacted(&content)).unwrap();
            let slice = artifacts.read("x", cursor, 10).unwrap();
            prop_assert!(content.contains(&slice.text), "{:?}", slice);
        }
    }
}
