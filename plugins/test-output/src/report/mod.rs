//! Reports that runners write for machines: JUnit XML and JSON. (TAP is for both, and read line by line with the rest.)
//!
//! A report is read into failures, and these are written out as a runner would for people: name, message, place. So the
//! text of such a digest is made, and no span of the input is in it as it was.

mod json;
mod junit;

use std::borrow::Cow;

use crate::Digest;
use crate::lines::{Line, Rank};
use crate::output::Output;
use crate::select;
use crate::tools;

/// One failing test, or one finding of a linter.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Failure {
    /// The test with its suite; the rule of a linter.
    name: String,
    /// File and line, where the report has them apart from the message.
    place: String,
    /// The assertion, in short.
    message: String,
    /// The rest: the message once more, source, frames.
    body: String,
    /// The output of the test.
    printed: String,
}

/// A report as far as a reader needs it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Report {
    /// Tests that it tells of.
    tests: u64,
    failures: Vec<Failure>,
}

/// The form of a text.
enum Read {
    /// A report of tests or findings.
    Report(Report),
    /// A stream of records around what would have been printed: `go test -json`, `cargo --message-format=json`.
    Printed(String),
}

/// The digest of a report; nothing when the text is none.
pub(crate) fn digest(text: &str, max: usize) -> Option<Digest> {
    match read(text)? {
        Read::Report(report) => Some(write(&report, text, max)),
        Read::Printed(printed) => {
            let inner = crate::digest_of_lines(&printed, max);
            Some(Digest {
                text: inner.text,
                kept: Vec::new(),
                elided: text.lines().count(),
            })
        }
    }
}

fn read(text: &str) -> Option<Read> {
    let start = text.trim_start_matches('\u{feff}').trim_start();
    if start.starts_with('<') {
        return junit::read(start).map(Read::Report);
    }
    if start.starts_with(['{', '[']) {
        return json::read(start.trim_end());
    }
    // Behind what was said on the way: `npx jest --json`, `cat target/junit.xml`.
    let xml = find_line(text, &["<?xml ", "<testsuites", "<testsuite "])
        .and_then(|at| junit::read(text.get(at..)?))
        .filter(|report| !report.failures.is_empty());
    if let Some(report) = xml {
        return Some(Read::Report(report));
    }
    let at = find_line(
        text,
        &["{\"numFailedTest", "{\"numTotalTest", "{\"version\":\"3."],
    )?;
    json::read(text.get(at..)?.lines().next()?)
        .filter(|read| matches!(read, Read::Report(report) if !report.failures.is_empty()))
}

/// The position of the first line with such a beginning.
fn find_line(text: &str, starts: &[&str]) -> Option<usize> {
    starts
        .iter()
        .filter_map(|start| {
            text.match_indices(start)
                .map(|(at, _)| at)
                .find(|at| *at == 0 || text.as_bytes().get(at - 1) == Some(&b'\n'))
        })
        .min()
}

fn write(report: &Report, text: &str, max: usize) -> Digest {
    let mut page = Page::default();
    for (at, failure) in report.failures.iter().enumerate() {
        page.failure(failure, u32::try_from(at + 1).unwrap_or(u32::MAX));
    }
    let sum = format!(
        "{} tests, {} failed",
        report.tests.max(report.failures.len() as u64),
        report.failures.len()
    );
    page.line(sum, Rank::Verdict, 0);
    let blocks = u32::try_from(report.failures.len()).unwrap_or(u32::MAX);
    let selection = select::select(&Output::ranked(page.lines, blocks), max);
    Digest {
        text: selection.text,
        kept: Vec::new(),
        elided: text.lines().count(),
    }
}

/// The failures as lines.
#[derive(Default)]
struct Page {
    lines: Vec<Line<'static>>,
}

/// Lines of one message that are looked at; a longer one is a dump.
const MESSAGE_LINES: usize = 200;

impl Page {
    fn line(&mut self, text: String, rank: Rank, block: u32) {
        self.lines.push(Line {
            span: 0..text.len(),
            text: Cow::Owned(text),
            rank,
            block,
            number: self.lines.len(),
            times: 1,
            log: None,
        });
    }

    fn failure(&mut self, failure: &Failure, block: u32) {
        self.line(format!("FAILED {}", failure.name), Rank::Name, block);
        let mut said: Vec<&str> = Vec::new();
        let mut placed = false;
        let parts = [
            (&failure.message, Rank::Explain),
            (
                &failure.body,
                if failure.message.is_empty() {
                    Rank::Explain
                } else {
                    Rank::Detail
                },
            ),
            (&failure.printed, Rank::Output),
        ];
        for (part, explains) in parts {
            let mut lines = 0;
            for line in part.lines().take(MESSAGE_LINES) {
                let plain = crate::lines::clean(line);
                let trimmed = plain.trim();
                if said.contains(&trimmed) || repeats(&said, trimmed) {
                    continue;
                }
                let rank = match tools::rank_of_failure_line(&plain) {
                    Rank::Explain => explains,
                    Rank::Place if placed => Rank::Detail,
                    rank => rank,
                };
                placed |= rank == Rank::Place;
                if rank != Rank::Noise {
                    lines += 1;
                    self.line(format!("  {trimmed}"), rank, block);
                }
            }
            if lines > 0 {
                said.extend(part.lines().take(MESSAGE_LINES).map(str::trim));
            }
        }
        if !failure.place.is_empty() {
            let known = placed && !failure.place.contains(':');
            let rank = if placed { Rank::Detail } else { Rank::Place };
            if !known {
                self.line(format!("  at {}", failure.place), rank, block);
            }
        }
    }
}

/// `AssertionError: x` behind `x`, `E   x` behind it.
fn repeats(said: &[&str], line: &str) -> bool {
    said.iter().any(|known| {
        known.len() > 3
            && line
                .strip_suffix(known)
                .is_some_and(|before| before.ends_with(": ") || before.trim() == "E")
    })
}
