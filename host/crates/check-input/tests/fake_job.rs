//! `FakeJob`, on which authors test their checks natively, is what the host shows of the same trees: the same files, lines,
//! pieces and errors.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use mcp_codex_worker_check_input::{Entry, JobView};
use plugins::check::{self as host, Snapshot as _};
use worker_plugin::testing::FakeJob;
use worker_plugin::{FileKind, Job as _, Moment, ReadError};

const MOMENTS: [(Moment, host::Moment); 2] = [
    (Moment::Before, host::Moment::Before),
    (Moment::After, host::Moment::After),
];

/// A changed path with its texts.
type Row<'a> = (&'a str, Option<&'a str>, Option<&'a str>);

/// The same trees for both. `renamed` has the new and the old path of a file.
fn both(files: &[Row<'_>], renamed: &[(&str, &str)]) -> (FakeJob, JobView) {
    let mut fake = FakeJob::default();
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    let entry = |text: &str| Entry::File {
        bytes: text.into(),
        executable: false,
    };
    for (path, old, new) in files {
        if let Some(old) = old {
            before.insert(PathBuf::from(path), entry(old));
        }
        if let Some(new) = new {
            after.insert(PathBuf::from(path), entry(new));
        }
        fake = fake.changed_file(path, *old, *new);
    }
    for (new, old) in renamed {
        fake.renamed.insert((*new).to_owned(), (*old).to_owned());
    }
    let real = JobView::made_up(&BTreeMap::new(), &before, &after).unwrap();
    (fake, real)
}

/// An error in words that both have.
fn words(error: &ReadError) -> String {
    match error {
        ReadError::NotFound => "not found".to_owned(),
        ReadError::NotGranted => "not granted".to_owned(),
        ReadError::TooLarge(limit) => format!("too large: {limit}"),
        ReadError::Other(_) => "other".to_owned(),
    }
}

fn words_of_host(error: &host::ReadError) -> String {
    match error {
        host::ReadError::NotFound => "not found".to_owned(),
        host::ReadError::NotGranted => "not granted".to_owned(),
        host::ReadError::TooLarge(limit) => format!("too large: {limit}"),
        host::ReadError::Other(_) => "other".to_owned(),
    }
}

/// Added and removed lines of a diff, without its headers.
fn changes(diff: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(diff);
    let lines = text.lines().filter(|line| {
        line.starts_with(['+', '-']) && !line.starts_with("+++") && !line.starts_with("---")
    });
    lines.map(str::to_owned).collect()
}

#[test]
fn a_fake_job_shows_what_the_host_shows_of_the_same_trees() {
    let many: String = (0..5000).map(|line| format!("line {line}\n")).collect();
    let body = "the same line again\n".repeat(50);
    let cases: [(&[Row<'_>], &[(&str, &str)]); 9] = [
        (&[], &[]),
        (&[("a.rs", None, Some("one\ntwo\n"))], &[]),
        (&[("a.rs", Some("one\ntwo\n"), None)], &[]),
        (
            &[("a.rs", Some("one\ntwo\nthree\n"), Some("one\n2\nthree\n"))],
            &[],
        ),
        (
            &[
                ("a.rs", Some("one"), Some("one\ntwo")),
                ("b/c.rs", None, Some("x\r\ny\r\n")),
            ],
            &[],
        ),
        (
            &[("empty", None, Some("")), ("gone", Some("x\n"), Some(""))],
            &[],
        ),
        (&[("a.bin", Some("a\0b"), Some("a\0c\n"))], &[]),
        (&[("many.txt", None, Some(&many))], &[]),
        (
            &[("old.rs", Some(&body), None), ("new.rs", None, Some(&body))],
            &[("new.rs", "old.rs")],
        ),
    ];
    for (files, renamed) in cases {
        let (fake, real) = both(files, renamed);
        let state = |kind: String, size: u64, binary: bool| format!("{kind} {size} {binary}");
        let of_fake = fake.changed().into_iter().map(|file| {
            let side = |side: Option<worker_plugin::FileState>| {
                side.map(|side| {
                    let kind = match side.kind {
                        FileKind::Regular => "Regular".to_owned(),
                        other => format!("{other:?}"),
                    };
                    state(kind, side.size, side.binary)
                })
            };
            (
                file.path,
                file.previous_path,
                side(file.before),
                side(file.after),
                file.allowed,
            )
        });
        let of_host = real.changed().into_iter().map(|file| {
            let side = |side: Option<host::FileState>| {
                side.map(|side| state(format!("{:?}", side.kind), side.size, side.binary))
            };
            (
                file.path,
                file.previous_path,
                side(file.before),
                side(file.after),
                file.allowed,
            )
        });
        assert_eq!(of_fake.collect::<Vec<_>>(), of_host.collect::<Vec<_>>());
        let known = files.iter().map(|(path, ..)| *path);
        for path in known.chain(["not/there"]) {
            for (of_fake, of_host) in MOMENTS {
                // By pages of some lines, as a check goes on from the last one.
                let mut last = 0;
                loop {
                    let one = fake.changed_lines(path, of_fake, last, 1000);
                    let other = real.changed_lines(path, of_host, last, 1000);
                    let one = one
                        .map(|page| {
                            let lines = page.lines.into_iter();
                            let lines = lines.map(|line| (line.number, line.text));
                            (lines.collect::<Vec<_>>(), page.more)
                        })
                        .map_err(|error| words(&error));
                    let other = other
                        .map(|page| {
                            let lines = page.lines.into_iter();
                            let lines = lines.map(|line| (line.number, line.text));
                            (lines.collect::<Vec<_>>(), page.more)
                        })
                        .map_err(|error| words_of_host(&error));
                    assert_eq!(one, other, "{path} after {last}");
                    match one {
                        Ok((lines, true)) => last = lines.last().unwrap().0,
                        _ => break,
                    }
                }
                for (offset, most) in [(0, 7), (3, 1 << 20), (1 << 40, 9)] {
                    let one = fake.read(path, of_fake, offset, most);
                    let other = real.read(path, of_host, offset, most);
                    assert_eq!(
                        one.map_err(|error| words(&error)),
                        other.map_err(|error| words_of_host(&error)),
                        "{path} at {offset}"
                    );
                }
            }
            let one = fake.diff(Some(path)).map_err(|error| words(&error));
            let other = real.diff(Some(path)).map_err(|error| words_of_host(&error));
            assert_eq!(
                one.map(|diff| changes(&diff)),
                other.map(|diff| changes(&diff)),
                "{path}"
            );
        }
    }
}
