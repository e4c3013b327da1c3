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

/// The order in which a reviewer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Source,
    Test,
    /// Lock files, snapshots and what a tool has written: their lines say nothing.
    Generated,
}

fn rank(path: &str) -> Rank {
    let name = path.rsplit('/').next().unwrap_or(path);
    let generated = [
        "lock",
        "-lock.json",
        "-lock.yaml",
        ".snap",
        ".min.js",
        ".min.css",
        ".map",
    ]
    .iter()
    .any(|end| name.ends_with(end) && (*end != "lock" || name.contains('.')))
        || matches!(name, "go.sum" | "npm-shrinkwrap.json")
        || path
            .split('/')
            .any(|part| part == "__snapshots__" || part == "snapshots");
    if generated {
        return Rank::Generated;
    }
    let folder = |part: &str| matches!(part, "test" | "tests" | "__tests__" | "spec" | "specs");
    let parts: Vec<&str> = path.split('/').collect();
    let stem = name.split('.').next().unwrap_or(name);
    let is_test = parts.iter().rev().skip(1).any(|part| folder(part))
        || stem.starts_with("test_")
        || ["_test", "_tests", "_spec", "Test", "Tests", "Spec"]
            .iter()
            .any(|end| stem.ends_with(end))
        || [".test.", ".spec."].iter().any(|part| name.contains(part));
    if is_test { Rank::Test } else { Rank::Source }
}

/// A diff for a reviewer, at most `max_bytes` of it: source files first, tests next, lock files and snapshots as a line each,
/// hunks with one line of context. What is left out is counted at its end, with the artifact that has all of it.
pub fn review(diff: &str, artifact: &str, max_bytes: usize) -> String {
    let mut files: Vec<(FileStat, Rank, Condensed)> = sections(diff)
        .map(|section| {
            let stat = stat_section(&section);
            let rank = rank(&stat.path);
            (stat, rank, Condensed::of(section.text))
        })
        .collect();
    files.sort_by_key(|(_, rank, _)| *rank);
    let shown = |rank: Rank, condensed: &Condensed| rank != Rank::Generated && !condensed.is_bare();
    let whole: usize = files
        .iter()
        .filter(|(_, rank, condensed)| shown(*rank, condensed))
        .map(|(_, _, condensed)| condensed.size())
        .sum();
    // Room for what the tail says of the files that have none.
    let tail = if whole > max_bytes {
        (max_bytes / 3).min(900)
    } else {
        (max_bytes / 6).min(300)
    };
    let (mut out, mut rest) = (String::new(), Vec::new());
    for (stat, rank, condensed) in &files {
        let line = stat_line(stat);
        if !shown(*rank, condensed) {
            rest.push(line);
            continue;
        }
        let room = max_bytes.saturating_sub(tail).saturating_sub(out.len());
        let count = condensed.hunks_within(room);
        if count == 0 && !condensed.hunks.is_empty() {
            rest.push(line);
            continue;
        }
        out.push_str(&condensed.header);
        for hunk in condensed.hunks.iter().take(count) {
            out.push_str(hunk);
        }
        if count < condensed.hunks.len() {
            rest.push(format!(
                "{line}: {count} of {} hunks above",
                condensed.hunks.len()
            ));
        }
    }
    if rest.is_empty() {
        return out;
    }
    if out.is_empty() {
        return summary(diff, artifact, max_bytes.clamp(400, 1_200));
    }
    let (added, removed) = files.iter().fold((0, 0), |(added, removed), (stat, ..)| {
        (added + stat.added, removed + stat.removed)
    });
    let last = format!(
        "[{} files, +{added} -{removed}: artifact `{artifact}`]",
        files.len()
    );
    for (at, line) in rest.iter().enumerate() {
        let more = format!("[+{} files]\n", rest.len() - at);
        if out.len() + line.len() + 1 + more.len() + last.len() > max_bytes {
            out.push_str(&more);
            break;
        }
        out.push_str(line);
        out.push('\n');
    }
    out.push_str(&last);
    out
}

fn stat_line(file: &FileStat) -> String {
    if file.binary {
        format!("{} binary", file.path)
    } else {
        format!("{} +{} -{}", file.path, file.added, file.removed)
    }
}

/// One file's part with no more around its changes than a reviewer needs; still a patch.
struct Condensed {
    header: String,
    hunks: Vec<String>,
}

impl Condensed {
    fn of(section: &str) -> Self {
        let start = section.find("\n@@ ").map_or(section.len(), |at| at + 1);
        let (head, body) = section.split_at(start);
        let mut lines: Vec<&str> = head
            .lines()
            .filter(|line| !line.starts_with("index "))
            .collect();
        // A plain modification needs no more than its two names.
        if let [first, old, new] = lines.as_slice()
            && first.starts_with(HEADER)
            && old.starts_with("--- ")
            && new.starts_with("+++ ")
        {
            lines.remove(0);
        }
        let header = lines
            .iter()
            .fold(String::new(), |text, line| text + line + "\n");
        Self {
            header,
            hunks: hunks(body),
        }
    }

    /// Neither lines nor anything else to show.
    fn is_bare(&self) -> bool {
        self.hunks.is_empty() && self.header.contains("Binary files ")
    }

    fn size(&self) -> usize {
        self.header.len() + self.hunks.iter().map(String::len).sum::<usize>()
    }

    /// The number of hunks that fit with the header.
    fn hunks_within(&self, room: usize) -> usize {
        let mut size = self.header.len();
        self.hunks
            .iter()
            .take_while(|hunk| {
                size += hunk.len();
                size <= room
            })
            .count()
    }
}

/// A line of a hunk, with the numbers that the next line has on both sides.
struct HunkLine<'a> {
    text: &'a str,
    old: usize,
    new: usize,
}

/// The hunks of one file with one line of context; what lies further apart becomes hunks of its own.
fn hunks(body: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines: Vec<HunkLine<'_>> = Vec::new();
    let (mut old, mut new, mut heading) = (0, 0, "");
    for line in body.lines() {
        if let Some(header) = line.strip_prefix("@@ -") {
            split(&lines, heading, &mut found);
            lines.clear();
            let number = |text: &str| -> usize {
                let digits = text.split(|c: char| !c.is_ascii_digit()).next();
                digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
            };
            let (numbers, rest) = header.split_once(" @@").unwrap_or((header, ""));
            let (before, after) = numbers.split_once(" +").unwrap_or((numbers, "0"));
            // A side without lines names the line before.
            let start = |side: &str| number(side) + usize::from(side.ends_with(",0"));
            (old, new, heading) = (start(before), start(after), rest);
            continue;
        }
        lines.push(HunkLine {
            text: line,
            old,
            new,
        });
        match line.as_bytes().first() {
            Some(b'+') => new += 1,
            Some(b'-') => old += 1,
            // What stands behind a line without a line break.
            Some(b'\\') => {}
            _ => {
                old += 1;
                new += 1;
            }
        }
    }
    split(&lines, heading, &mut found);
    found
}

fn split(lines: &[HunkLine<'_>], heading: &str, found: &mut Vec<String>) {
    let is_change = |at: usize| {
        lines
            .get(at)
            .is_some_and(|line| line.text.starts_with(['+', '-']))
    };
    let kept = |at: usize| {
        let is_mark = lines
            .get(at)
            .is_some_and(|line| line.text.starts_with('\\'));
        is_change(at)
            || at.checked_sub(1).is_some_and(is_change)
            || is_change(at + 1)
            // The mark behind a line goes with it.
            || is_mark && at.checked_sub(2).is_some_and(is_change)
    };
    let mut at = 0;
    let mut heading = heading;
    while at < lines.len() {
        if !kept(at) {
            at += 1;
            continue;
        }
        let end = (at..lines.len())
            .find(|next| !kept(*next))
            .unwrap_or(lines.len());
        let group = lines.get(at..end).unwrap_or_default();
        let count = |skip: char| {
            group
                .iter()
                .filter(|line| !line.text.starts_with([skip, '\\']))
                .count()
        };
        let (old_count, new_count) = (count('+'), count('-'));
        let side = |start: usize, count: usize| match count {
            0 => format!("{},0", start.saturating_sub(1)),
            1 => start.to_string(),
            _ => format!("{start},{count}"),
        };
        if let Some(first) = group.first() {
            let mut hunk = format!(
                "@@ -{} +{} @@{heading}\n",
                side(first.old, old_count),
                side(first.new, new_count)
            );
            for line in group {
                hunk.push_str(line.text);
                hunk.push('\n');
            }
            found.push(hunk);
        }
        // The heading names what encloses the first of them.
        heading = "";
        at = end;
    }
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

    #[test]
    fn a_reviewer_reads_source_first_and_no_lock_file() {
        let diff = "diff --git a/Cargo.lock b/Cargo.lock\nindex 1..2 100644\n--- a/Cargo.lock\n+++ b/Cargo.lock\n@@ -1 +1 @@\n-a\n+b\n\
            diff --git a/tests/a.rs b/tests/a.rs\nindex 1..2 100644\n--- a/tests/a.rs\n+++ b/tests/a.rs\n@@ -1 +1 @@\n-t\n+u\n\
            diff --git a/src/a.rs b/src/a.rs\nindex 1..2 100644\n--- a/src/a.rs\n+++ b/src/a.rs\n\
            @@ -1,9 +1,9 @@ fn f\n-one\n+1\n two\n three\n four\n five\n six\n seven\n-eight\n+8\n nine\n";
        assert_eq!(
            review(diff, "diff", 3_600),
            "--- a/src/a.rs\n+++ b/src/a.rs\n@@ -1,2 +1,2 @@ fn f\n-one\n+1\n two\n@@ -7,3 +7,3 @@\n seven\n-eight\n+8\n nine\n\
             --- a/tests/a.rs\n+++ b/tests/a.rs\n@@ -1 +1 @@\n-t\n+u\n\
             Cargo.lock +1 -1\n[3 files, +4 -4: artifact `diff`]"
        );
    }

    #[test]
    fn what_a_reviewer_has_no_room_for_is_counted() {
        let many: String = (0..40)
            .map(|n| format!("diff --git a/src/f{n}.rs b/src/f{n}.rs\n--- a/src/f{n}.rs\n+++ b/src/f{n}.rs\n@@ -1 +1 @@\n-{}\n+b\n", "x".repeat(80)))
            .collect();
        let shown = review(&many, "diff", 3_600);
        assert!(shown.len() <= 3_600, "{}", shown.len());
        assert!(shown.starts_with("--- a/src/f0.rs\n"), "{shown}");
        assert!(
            shown.ends_with("src/f39.rs +1 -1\n[40 files, +40 -40: artifact `diff`]"),
            "{shown}"
        );
        // One line that is too long for all: only the stat is left.
        let long = format!(
            "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-{}\n+b\n",
            "x".repeat(9_000)
        );
        assert!(review(&long, "diff", 3_600).starts_with("a +1 -1\n"));
    }

    /// The git program as the judge: what is shown is a patch that makes the same file.
    #[test]
    fn what_is_shown_whole_is_still_a_patch() {
        use std::process::Command;
        let before: Vec<String> = (1..60).map(|n| format!("line {n}\n")).collect();
        let cases: [(&str, fn(&mut Vec<String>)); 6] = [
            ("first", |lines| lines[0] = "new\n".into()),
            ("last", |lines| {
                *lines.last_mut().unwrap() = "no line break".into()
            }),
            ("insert at the start", |lines| {
                lines.insert(0, "new\n".into())
            }),
            ("append", |lines| lines.push("new\n".into())),
            ("delete", |lines| drop(lines.drain(10..20))),
            ("several", |lines| {
                lines[3] = "x\n".into();
                lines.remove(30);
                lines.insert(45, "y\n".into());
            }),
        ];
        for (story, change) in cases {
            let folder = tempfile::tempdir().unwrap();
            let git = |arguments: &[&str]| {
                let output = Command::new("git")
                    .args(arguments)
                    .current_dir(folder.path())
                    .output()
                    .unwrap();
                (
                    output.status.success(),
                    String::from_utf8(output.stdout).unwrap(),
                )
            };
            let file = folder.path().join("a.txt");
            git(&["init", "-q"]);
            std::fs::write(&file, before.concat()).unwrap();
            git(&["add", "a.txt"]);
            let mut after = before.clone();
            change(&mut after);
            std::fs::write(&file, after.concat()).unwrap();
            let (_, diff) = git(&["diff"]);
            std::fs::write(&file, before.concat()).unwrap();
            std::fs::write(folder.path().join("p"), review(&diff, "diff", 3_600)).unwrap();
            assert!(
                git(&["apply", "p"]).0,
                "{story}: {}",
                review(&diff, "diff", 3_600)
            );
            assert_eq!(
                std::fs::read_to_string(&file).unwrap(),
                after.concat(),
                "{story}"
            );
        }
    }
}
