//! Summarizer `test-output`: the failing tests, their assertions, their places and the exit state out of what test
//! runners, compilers and linters print; a fair cut of anything else.
//!
//! Each tool's recogniser claims the lines it understands and says what they are worth; several can claim parts of one
//! output (`npm test` may be a type check, a linter and a test run). What is worth most is kept, within the bytes asked for,
//! word by word and in order, so the digest is never longer than the output. The line that explains a failure goes last.

#![allow(
    clippy::if_same_then_else,
    reason = "each branch is one form of output, in the order in which they are tried"
)]

mod applog;
mod counts;
mod lines;
mod output;
mod report;
mod select;
mod tools;

use std::ops::Range;

use worker_plugin::{Fault, NoSettings, Request, Span, Summarizer, Summary};

use lines::Rank;
use output::{Output, View};

/// The summarizer.
pub struct TestOutput;

impl Summarizer for TestOutput {
    type Settings = NoSettings;
    const SUMMARY: &'static str = "failing tests, assertions and exit state of a test run";

    fn new(_: NoSettings) -> Result<Self, Fault> {
        Ok(TestOutput)
    }

    fn summarize(&self, request: &Request) -> Result<Summary, Fault> {
        let digest = digest(&request.text, request.max_bytes as usize);
        let kept = digest
            .kept
            .iter()
            .map(|span| Span {
                start: offset(span.start),
                end: offset(span.end),
            })
            .collect();
        Ok(Summary {
            text: digest.text,
            kept,
            elided_lines: offset(digest.elided),
        })
    }
}

/// The host's texts end far below 4 GiB.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// A shortened output.
#[derive(Debug)]
pub struct Digest {
    /// At most as long as asked for, never longer than the input.
    pub text: String,
    /// The parts of the input that are in it.
    pub kept: Vec<Range<usize>>,
    /// Lines of the input that are not.
    pub elided: usize,
}

/// Makes a digest of at most `max` bytes.
pub fn digest(text: &str, max: usize) -> Digest {
    let digest = report::digest(text, max).unwrap_or_else(|| digest_of_lines(text, max));
    // Only a note on an input of a few bytes could be longer than the input.
    if digest.text.len() > text.len() {
        return Digest {
            text: text.to_owned(),
            kept: std::iter::once(0..text.len()).collect(),
            elided: 0,
        };
    }
    digest
}

/// Shortens output for people.
fn digest_of_lines(text: &str, max: usize) -> Digest {
    let mut output = Output::new(text, View::Report);
    tools::recognise(&mut output);
    if !output.recognised {
        output = Output::new(text, View::Whole);
        tools::recognise(&mut output);
    }
    output.restore();
    tools::rest(&mut output);
    let mut selection = select::select(&output, max);
    if selection.lines.is_empty() {
        selection = head_and_tail(&output, max);
    }
    let kept = spans(&output, &selection.lines);
    let elided = text.lines().count().saturating_sub(selection.lines.len());
    Digest {
        text: selection.text,
        kept,
        elided,
    }
}

/// Nothing in it looks like a failure: the beginning, and twice as much of the end.
fn head_and_tail(output: &Output<'_>, max: usize) -> select::Selection {
    const NOTE: usize = 40;
    let worth = |at: &usize| {
        output
            .lines
            .get(*at)
            .is_some_and(|line| line.rank != Rank::Noise && !line.text.is_empty())
    };
    let mut lines: Vec<usize> = (0..output.lines.len()).filter(worth).collect();
    if lines.is_empty() {
        // Nothing but progress and passing tests: then the end of that.
        lines = (0..output.lines.len())
            .filter(|at| !output.text(*at).is_empty())
            .collect();
    }
    let length = |at: usize| output.text(at).len() + 1;
    if lines.iter().map(|at| length(*at)).sum::<usize>() <= max {
        let text = lines
            .iter()
            .map(|at| format!("{}\n", output.text(*at)))
            .collect();
        return select::Selection { text, lines };
    }
    let room = max.saturating_sub(NOTE);
    let (mut head, mut spent) = (0, 0);
    while lines
        .get(head)
        .is_some_and(|at| spent + length(*at) <= room / 3)
    {
        spent += lines.get(head).map_or(0, |at| length(*at));
        head += 1;
    }
    let mut tail = lines.len();
    while tail > head
        && lines
            .get(tail - 1)
            .is_some_and(|at| spent + length(*at) <= room)
    {
        spent += lines.get(tail - 1).map_or(0, |at| length(*at));
        tail -= 1;
    }
    let show = |range: Range<usize>| -> String {
        lines
            .get(range)
            .unwrap_or_default()
            .iter()
            .map(|at| format!("{}\n", output.text(*at)))
            .collect()
    };
    let mut text = show(0..head);
    if tail == lines.len() {
        // The last line alone is too long.
        let last = lines.last().map_or("", |at| output.text(*at));
        let room = max.saturating_sub(text.len());
        let start =
            (last.len().saturating_sub(room)..=last.len()).find(|at| last.is_char_boundary(*at));
        text.push_str(
            start
                .and_then(|start| last.get(start..))
                .unwrap_or_default(),
        );
    } else {
        text.push_str(&format!("[... {} lines left out ...]\n", tail - head));
        text.push_str(&show(tail..lines.len()));
    }
    lines.drain(head..tail);
    select::Selection { text, lines }
}

/// Neighbouring lines are one span.
fn spans(output: &Output<'_>, lines: &[usize]) -> Vec<Range<usize>> {
    let mut spans: Vec<Range<usize>> = Vec::new();
    let mut before = None;
    for at in lines.iter().copied() {
        let Some(line) = output.lines.get(at) else {
            continue;
        };
        match spans
            .last_mut()
            .filter(|_| before.is_some_and(|before: usize| before + 1 == line.number))
        {
            Some(last) => last.end = line.span.end,
            None => spans.push(line.span.clone()),
        }
        before = Some(line.number);
    }
    spans
}

worker_plugin::summarizer!(TestOutput);

#[cfg(test)]
mod tests;
