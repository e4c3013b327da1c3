//! WORKER_METRICS_FILE: one JSON line for each gateway request.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

/// An append-only JSONL file that several processes may share: each line is one `O_APPEND` write.
#[derive(Debug)]
pub struct MetricsFile {
    file: File,
}

impl MetricsFile {
    /// Opens the file and makes it, readable for its owner only, when it is not there. Its folder must exist.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be opened for appending.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: private::file().append(true).create(true).open(path)?,
        })
    }

    /// Appends one record. What it holds is for the caller to have redacted.
    ///
    /// # Errors
    ///
    /// Fails if the record is no JSON or the disk does not take it; nothing of the line is repeated then, since half of it may
    /// be there already.
    pub fn append<R: Serialize>(&self, record: &R) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        (&self.file).write_all(&line)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn two_writers_share_a_file_without_tearing_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.metrics.jsonl");
        std::thread::scope(|scope| {
            for writer in 0..2 {
                let path = &path;
                scope.spawn(move || {
                    let metrics = MetricsFile::open(path).unwrap();
                    for n in 0..200 {
                        let record =
                            serde_json::json!({"writer": writer, "n": n, "pad": "x".repeat(500)});
                        metrics.append(&record).unwrap();
                    }
                });
            }
        });
        let text = std::fs::read_to_string(&path).unwrap();
        let whole = text
            .lines()
            .filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok());
        assert_eq!(whole.count(), 400);
    }
}
