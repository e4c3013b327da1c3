//! The events of a pass as they came, in a file: working material.

use tokio::io::AsyncWriteExt;

use super::outcome::AgentError;
use process::Line;

/// The most bytes of raw events that are kept in a file.
const RAW_LOG_LIMIT: u64 = 64 << 20;

/// The events as they came, to find out what went wrong.
pub(super) struct RawLog {
    file: Option<tokio::fs::File>,
    left: u64,
}

impl RawLog {
    pub(super) async fn open(path: Option<&std::path::Path>) -> Result<Self, AgentError> {
        let Some(path) = path else {
            return Ok(Self {
                file: None,
                left: 0,
            });
        };
        let mut options = private::file();
        options.create(true).append(true);
        let file = tokio::fs::OpenOptions::from(options)
            .open(path)
            .await
            .map_err(|error| AgentError::Setup(format!("{}: {error}", path.display())))?;
        Ok(Self {
            file: Some(file),
            left: RAW_LOG_LIMIT,
        })
    }

    pub(super) async fn append(&mut self, line: &Line) {
        let (Some(file), Line::Whole(bytes)) = (&mut self.file, line) else {
            return;
        };
        let size = bytes.len() as u64 + 1;
        if size > self.left {
            return;
        }
        self.left -= size;
        let mut line = bytes.clone();
        line.push(b'\n');
        // A full disk must not end the pass: the log is a help, not a record.
        if file.write_all(&line).await.is_err() {
            self.left = 0;
        }
    }
}
