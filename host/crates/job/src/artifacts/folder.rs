//! The artifacts of one job: a folder of redacted files.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::artifact::{Artifact, ArtifactError};
use super::diff;
use super::names::{DIFF, artifact_name, file_name};
use super::slice::{Slice, slice_of_file, slice_of_text};
use super::writer::{ArtifactWriter, Tail};
use redact::Redacted;
use redact::text;

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

fn fresh_file(path: &Path) -> io::Result<File> {
    private::file()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::names::*;
    use super::super::writer::*;
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
