//! A unified diff, file by file: one file's part, and the stat that stands for the whole.

use redact::text;

/// Added and removed lines of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStat {
    /// The path after the change, or before it for a deleted file.
    pub path: String,
    /// Lines added.
    pub added: usize,
    /// Lines removed.
    pub removed: usize,
    /// True if git shows no lines for it.
    pub binary: bool,
}

/// Counts a unified diff with git's headers, file by file.
pub fn stat(diff: &str) -> Vec<FileStat> {
    sections(diff)
        .map(|section| stat_section(&section))
        .collect()
}

/// The part of a diff that is about one path; `None` where the path has none.
pub fn section<'a>(diff: &'a str, path: &str) -> Option<&'a str> {
    sections(diff)
        .find(|section| stat_section(section).path == path)
        .map(|section| section.text)
}

struct Section<'a> {
    header: &'a str,
    text: &'a str,
}

const HEADER: &str = "diff --git ";

fn sections(diff: &str) -> impl Iterator<Item = Section<'_>> {
    let mut rest = match diff.find(HEADER) {
        Some(start) if start == 0 || diff.as_bytes().get(start - 1) == Some(&b'\n') => {
            diff.get(start..).unwrap_or_default()
        }
        _ => "",
    };
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.find("\ndiff --git ").map_or(rest.len(), |at| at + 1);
        let (text, tail) = rest.split_at_checked(end)?;
        rest = tail;
        Some(Section {
            header: text.lines().next().unwrap_or_default(),
            text,
        })
    })
}

fn stat_section(section: &Section<'_>) -> FileStat {
    let (mut added, mut removed, mut binary) = (0, 0, false);
    let (mut before, mut after) = (None, None);
    let mut in_hunk = false;
    for line in section.text.lines().skip(1) {
        if line.starts_with("@@") {
            in_hunk = true;
        } else if in_hunk {
            match line.as_bytes().first() {
                Some(b'+') => added += 1,
                Some(b'-') => removed += 1,
                _ => {}
            }
        } else if let Some(path) = line.strip_prefix("--- ") {
            before = name(path, "a/");
        } else if let Some(path) = line.strip_prefix("+++ ") {
            after = name(path, "b/");
        } else if let Some(path) = line.strip_prefix("rename to ") {
            after = Some(path.to_owned());
        } else if line.starts_with("Binary files ") || line.starts_with("GIT binary patch") {
            binary = true;
        }
    }
    let path = after
        .or(before)
        .unwrap_or_else(|| header_path(section.header));
    FileStat {
        path,
        added,
        removed,
        binary,
    }
}

fn name(path: &str, side: &str) -> Option<String> {
    let path = path.strip_suffix('\t').unwrap_or(path);
    (path != "/dev/null").then(|| path.strip_prefix(side).unwrap_or(path).to_owned())
}

/// `diff --git a/X b/X`: both halves are alike unless the file was renamed, and then `rename to` says so.
fn header_path(header: &str) -> String {
    let both = header.strip_prefix(HEADER).unwrap_or(header);
    let half = both.len() / 2;
    let after = both.get(half..).map(str::trim_start).unwrap_or(both);
    after.strip_prefix("b/").unwrap_or(after).to_owned()
}

/// The text of a reply instead of a long diff: a line a file and where the whole is.
pub fn summary(diff: &str, artifact: &str, max_bytes: usize) -> String {
    let files = stat(diff);
    let (added, removed) = files
        .iter()
        .fold((0, 0), |(a, r), f| (a + f.added, r + f.removed));
    let last = format!(
        "{} file{}, +{added} -{removed}, {} bytes: artifact `{artifact}`",
        files.len(),
        if files.len() == 1 { "" } else { "s" },
        diff.len()
    );
    let mut out = String::new();
    for (shown, file) in files.iter().enumerate() {
        let line = if file.binary {
            format!("{} binary\n", file.path)
        } else {
            format!("{} +{} -{}\n", file.path, file.added, file.removed)
        };
        let note = format!("[... {} more files ...]\n", files.len() - shown);
        if out.len() + line.len() + note.len() + last.len() > max_bytes {
            out.push_str(&note);
            break;
        }
        out.push_str(&line);
    }
    out.push_str(&last);
    text::prefix(&out, max_bytes).to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const DIFF: &str = "diff --git a/src/a.rs b/src/a.rs\nindex 1..2 100644\n--- a/src/a.rs\n+++ b/src/a.rs\n@@ -1,3 +1,3 @@\n one\n--- two\n+++ 2\n three\n\
        diff --git a/old name.txt b/old name.txt\ndeleted file mode 100644\n--- a/old name.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n\
        diff --git a/run.sh b/run.sh\nold mode 100644\nnew mode 100755\n\
        diff --git a/x.png b/x.png\nBinary files a/x.png and b/x.png differ\n\
        diff --git a/m.rs b/n.rs\nsimilarity index 100%\nrename from m.rs\nrename to n.rs\n";

    #[test]
    fn every_file_of_a_diff_is_counted() {
        let lines: Vec<_> = stat(DIFF)
            .iter()
            .map(|f| format!("{} +{} -{} {}", f.path, f.added, f.removed, f.binary))
            .collect();
        assert_eq!(
            lines,
            [
                "src/a.rs +1 -1 false",
                "old name.txt +0 -1 false",
                "run.sh +0 -0 false",
                "x.png +0 -0 true",
                "n.rs +0 -0 false"
            ]
        );
    }

    #[test]
    fn one_file_can_be_asked_for() {
        assert!(
            section(DIFF, "run.sh")
                .unwrap()
                .ends_with("new mode 100755\n")
        );
        assert!(section(DIFF, "n.rs").unwrap().contains("rename from m.rs"));
        assert_eq!(section(DIFF, "nothing"), None);
        assert_eq!(section("", "x"), None);
    }

    #[test]
    fn a_long_diff_becomes_a_stat_within_its_bytes() {
        let many: String = (0..500)
            .map(|n| format!("diff --git a/src/file{n}.rs b/src/file{n}.rs\n--- a/src/file{n}.rs\n+++ b/src/file{n}.rs\n@@ -1 +1 @@\n-a\n+b\n"))
            .collect();
        let short = summary(&many, "diff", 600);
        assert!(short.len() <= 600);
        assert!(short.starts_with("src/file0.rs +1 -1\nsrc/file1.rs +1 -1\n"));
        assert!(
            short.ends_with(
                "\n[... 474 more files ...]\n500 files, +500 -500, 52060 bytes: artifact `diff`"
            ),
            "{short}"
        );
    }
}
