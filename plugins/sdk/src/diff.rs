//! The lines that a job added and removed, out of its unified diff.

use crate::{Job, ReadError};

/// A line of a changed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffLine {
    /// Counted from 1, in the file after the job for an added line, before it for a removed one.
    pub number: usize,
    /// Without its end.
    pub text: String,
}

impl dyn Job + '_ {
    /// The lines that the job added to a file; none for a binary or deleted one.
    ///
    /// # Errors
    /// When the file is not among the changed ones.
    pub fn added_lines(&self, path: &str) -> Result<Vec<DiffLine>, ReadError> {
        Ok(side(&self.diff(Some(path))?, '+'))
    }

    /// The lines that the job removed from a file.
    ///
    /// # Errors
    /// When the file is not among the changed ones.
    pub fn removed_lines(&self, path: &str) -> Result<Vec<DiffLine>, ReadError> {
        Ok(side(&self.diff(Some(path))?, '-'))
    }
}

fn side(diff: &str, sign: char) -> Vec<DiffLine> {
    let mut found = Vec::new();
    let mut number = 1;
    // Only before the first hunk is `--- a/x` a header; in one it is a removed line that begins with `-- a/x`.
    let mut in_header = true;
    for line in diff.lines() {
        if line.starts_with("diff --git ") {
            in_header = true;
        } else if let Some(header) = line.strip_prefix("@@ ") {
            in_header = false;
            number = first_line(header, sign).unwrap_or(1);
        } else if in_header && (line.starts_with("--- ") || line.starts_with("+++ ")) {
            in_header = line.starts_with("--- ");
        } else if let Some(text) = line.strip_prefix(sign) {
            let text = text.to_owned();
            found.push(DiffLine { number, text });
            number += 1;
        } else if line.starts_with(' ') || line.is_empty() {
            number += 1;
        }
    }
    found
}

/// `-1,7 +1,8 @@ fn name`: where the side begins.
fn first_line(header: &str, sign: char) -> Option<usize> {
    let range = header.split(' ').find_map(|word| word.strip_prefix(sign))?;
    range.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::FakeJob;

    #[test]
    fn lines_have_the_numbers_of_their_file() {
        let diff = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n one\n--- two\n+++ 2\n three\n@@ -10,2 +10,3 @@ f\n ten\n+new\n eleven\n\\ No newline at end of file\n";
        let mut fake = FakeJob::default().modified("x", "", "");
        fake.diffs.insert("x".into(), diff.into());
        let job: &dyn Job = &fake;
        let show = |lines: Vec<DiffLine>| -> Vec<String> {
            lines
                .iter()
                .map(|line| format!("{} {}", line.number, line.text))
                .collect()
        };
        assert_eq!(show(job.added_lines("x").unwrap()), ["2 ++ 2", "11 new"]);
        assert_eq!(show(job.removed_lines("x").unwrap()), ["2 -- two"]);
    }
}
