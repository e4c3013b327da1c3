//! An artifact in the making: the beginning goes to the disk, the end is kept in memory.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;

use super::artifact::{Artifact, ArtifactError};
use redact::Redacted;

/// One file is kept up to this size: half from its beginning, half from its end.
pub const MAX_BYTES: u64 = 8 << 20;

/// The last bytes of what was pushed, in memory that does not grow.
#[derive(Debug, Default)]
pub(super) struct Tail {
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
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) part: PathBuf,
    pub(super) file: File,
    pub(super) head: u64,
    pub(super) tail: Tail,
    pub(super) total: u64,
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
