//! The lines that a job added to a file or removed from it.

use crate::job::{READ, text_of};
use crate::{ChangedLine, Job, Moment, ReadError};

/// A line of a changed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffLine {
    /// Counted from 1, in the file after the job for an added line, before it for a removed one.
    pub number: usize,
    /// Without its end; bytes that are not UTF-8 become `U+FFFD`.
    pub text: String,
}

/// The most text that [`added_lines`](trait@Job#method.added_lines) and `removed_lines` collect.
const COLLECTED: usize = 16 << 20;

impl dyn Job + '_ {
    /// The lines that the job added to a file, one by one, however many there are; none for a binary or deleted one.
    pub fn added<'a>(&'a self, path: &'a str) -> Lines<'a> {
        Lines::new(self, path, Moment::After)
    }

    /// The lines that the job removed from a file, one by one, however many there are; none for a binary or added one.
    pub fn removed<'a>(&'a self, path: &'a str) -> Lines<'a> {
        Lines::new(self, path, Moment::Before)
    }

    /// All lines that the job added to a file; none for a binary or deleted one.
    ///
    /// # Errors
    /// When the file is not among the changed ones, when the host did not keep its content, or when the lines have more
    /// than 16 MiB: `job.added(path)` reads those.
    pub fn added_lines(&self, path: &str) -> Result<Vec<DiffLine>, ReadError> {
        self.added(path).collected()
    }

    /// All lines that the job removed from a file.
    ///
    /// # Errors
    /// As for `added_lines`; `job.removed(path)` reads what is longer.
    pub fn removed_lines(&self, path: &str) -> Result<Vec<DiffLine>, ReadError> {
        self.removed(path).collected()
    }
}

/// The lines of one side of a changed file, read page by page. An error is the last item: what comes after it was not seen,
/// so a check must not pass.
pub struct Lines<'a> {
    job: &'a dyn Job,
    path: &'a str,
    moment: Moment,
    page: std::vec::IntoIter<ChangedLine>,
    /// The number of the last line of the page.
    last: u64,
    more: bool,
}

impl<'a> Lines<'a> {
    fn new(job: &'a dyn Job, path: &'a str, moment: Moment) -> Self {
        Lines {
            job,
            path,
            moment,
            page: Vec::new().into_iter(),
            last: 0,
            more: true,
        }
    }

    fn collected(self) -> Result<Vec<DiffLine>, ReadError> {
        let path = self.path;
        let (mut all, mut bytes) = (Vec::new(), 0);
        for line in self {
            let line = line?;
            bytes += line.text.len();
            if bytes > COLLECTED {
                let what = format!(
                    "{path}: its changed lines have more than {} MiB, which this check does not read",
                    COLLECTED >> 20
                );
                return Err(ReadError::Other(what));
            }
            all.push(line);
        }
        Ok(all)
    }

    /// Asks for the next page; false when there is none.
    fn turn(&mut self) -> Result<bool, ReadError> {
        if !std::mem::take(&mut self.more) {
            return Ok(false);
        }
        let page = self
            .job
            .changed_lines(self.path, self.moment, self.last, READ);
        let page = page.map_err(|error| match error {
            ReadError::TooLarge(limit) => ReadError::Other(format!(
                "{}: a changed line is longer than the {} MiB that a check can read",
                self.path,
                limit >> 20
            )),
            error => error,
        })?;
        let Some(last) = page.lines.last() else {
            return Ok(false);
        };
        self.last = last.number;
        self.more = page.more;
        self.page = page.lines.into_iter();
        Ok(true)
    }
}

impl Iterator for Lines<'_> {
    type Item = Result<DiffLine, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(line) = self.page.next() {
                return Some(Ok(DiffLine {
                    number: usize::try_from(line.number).unwrap_or(usize::MAX),
                    text: text_of(line.text),
                }));
            }
            match self.turn() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::FakeJob;

    fn shown(lines: &[DiffLine]) -> Vec<String> {
        let line = |line: &DiffLine| format!("{} {}", line.number, line.text);
        lines.iter().map(line).collect()
    }

    #[test]
    fn lines_have_the_numbers_of_their_file() {
        let before = "one\n-- two\nthree\n4\n5\n6\n7\n8\n9\nten\neleven";
        let after = "one\n++ 2\nthree\n4\n5\n6\n7\n8\n9\nten\nnew\neleven";
        let fake = FakeJob::default().modified("x", before, after);
        let job: &dyn Job = &fake;
        assert_eq!(shown(&job.added_lines("x").unwrap()), ["2 ++ 2", "11 new"]);
        assert_eq!(shown(&job.removed_lines("x").unwrap()), ["2 -- two"]);
        let diff = String::from_utf8(job.diff(Some("x")).unwrap()).unwrap();
        let expected = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,5 +1,5 @@\n one\n--- two\n+++ 2\n three\n 4\n 5\n\
                        @@ -8,4 +8,5 @@\n 8\n 9\n ten\n+new\n eleven\n\\ No newline at end of file\n";
        assert_eq!(diff, expected);
    }

    #[test]
    fn every_page_is_read() {
        let text = "0123456789abcdef\n".repeat(50_000);
        let fake = FakeJob::default().added("x", &text);
        let job: &dyn Job = &fake;
        let numbers = job.added("x").map(|line| line.unwrap().number);
        assert!(numbers.eq(1..=50_000));
    }

    #[test]
    fn what_cannot_be_read_is_an_error_that_names_the_file() {
        let fake = FakeJob::default()
            .added("line", &"x".repeat((16 << 20) + 1))
            .added("lines", &format!("{}\n", "x".repeat(4 << 20)).repeat(5));
        let job: &dyn Job = &fake;
        for path in ["line", "lines"] {
            let ReadError::Other(why) = job.added_lines(path).unwrap_err() else {
                panic!("{path}")
            };
            assert!(why.starts_with(&format!("{path}: ")), "{why}");
        }
        assert_eq!(job.added("lines").filter(Result::is_ok).count(), 5);
        let unknown = job.added("unknown").next().unwrap();
        assert!(matches!(unknown, Err(ReadError::NotFound)));
    }
}
