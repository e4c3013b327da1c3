//! Lines of a stream, with a bound on what one line may cost.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// One line, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The whole line, as bytes: it need not be UTF-8.
    Whole(Vec<u8>),
    /// A line longer than the limit: how long it was, and its first bytes.
    TooLong {
        /// Bytes of the line, its end not counted.
        length: u64,
        /// The first kilobyte, to tell what it was.
        head: Vec<u8>,
    },
}

const READ_SIZE: usize = 64 << 10;
const HEAD: usize = 1 << 10;

/// Reads lines; one that is longer than the limit is read over and told as [`Line::TooLong`].
#[derive(Debug)]
pub struct Lines<R> {
    reader: R,
    limit: usize,
    buffer: Vec<u8>,
    /// The bytes of `buffer` that were searched for a line end already.
    searched: usize,
    /// Length so far of a line that is being read over.
    skipping: Option<(u64, Vec<u8>)>,
    ended: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// `limit` is the length in bytes from which a line is read over.
    pub fn new(reader: R, limit: usize) -> Self {
        Self {
            reader,
            limit,
            buffer: Vec::new(),
            searched: 0,
            skipping: None,
            ended: false,
        }
    }

    /// The next line, or `None` at the end. Safe to drop and call again.
    pub async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let found = memchr::memchr(b'\n', self.buffer.get(self.searched..).unwrap_or_default());
            if let Some(at) = found {
                let end = self.searched + at;
                let rest = self.buffer.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                line.pop();
                self.searched = 0;
                return Ok(Some(self.complete(line)));
            }
            self.searched = self.buffer.len();
            if self.searched > self.limit {
                let (length, _) = self
                    .skipping
                    .get_or_insert_with(|| (0, self.buffer.iter().take(HEAD).copied().collect()));
                *length += self.buffer.len() as u64;
                self.buffer.clear();
                self.searched = 0;
            }
            if self.ended {
                if self.buffer.is_empty() && self.skipping.is_none() {
                    return Ok(None);
                }
                self.searched = 0;
                let line = std::mem::take(&mut self.buffer);
                return Ok(Some(self.complete(line)));
            }
            self.buffer.reserve(READ_SIZE);
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                self.ended = true;
            }
        }
    }

    fn complete(&mut self, mut line: Vec<u8>) -> Line {
        match self.skipping.take() {
            Some((length, head)) => Line::TooLong {
                length: length + line.len() as u64,
                head,
            },
            None if line.len() > self.limit => {
                let length = line.len() as u64;
                line.truncate(HEAD);
                Line::TooLong { length, head: line }
            }
            None => {
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                Line::Whole(line)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    async fn all(input: &[u8], limit: usize) -> Vec<Line> {
        let mut lines = Lines::new(input, limit);
        let mut seen = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            seen.push(line);
        }
        seen
    }

    #[tokio::test]
    async fn a_line_over_the_limit_is_named_and_the_next_one_is_whole() {
        let whole = |text: &[u8]| Line::Whole(text.to_vec());
        assert_eq!(all(b"", 8).await, []);
        assert_eq!(
            all(b"a\r\n\n\xff\0b", 8).await,
            [whole(b"a"), whole(b""), whole(b"\xff\0b")]
        );
        assert_eq!(all(b"12345678\n", 8).await, [whole(b"12345678")]);
        let mut flood = vec![b'x'; 300_000];
        flood.extend_from_slice(b"\nafter\n");
        let seen = all(&flood, 100_000).await;
        assert_eq!(
            seen,
            [
                Line::TooLong {
                    length: 300_000,
                    head: vec![b'x'; 1024]
                },
                whole(b"after")
            ]
        );
        assert_eq!(
            all(&[b'y'; 9], 8).await,
            [Line::TooLong {
                length: 9,
                head: vec![b'y'; 9]
            }]
        );
    }
}
