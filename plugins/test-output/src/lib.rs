//! Summarizer `test-output`: what of a test run's output a reader needs, and a fair cut for anything else.

use worker_plugin::{Fault, NoSettings, Request, Span, Summarizer, Summary};

/// The summarizer.
pub struct TestOutput;

impl Summarizer for TestOutput {
    type Settings = NoSettings;
    const SUMMARY: &'static str = "failing tests, assertions and exit state of a test run";

    fn new(_: NoSettings) -> Result<Self, Fault> {
        Ok(TestOutput)
    }

    fn summarize(&self, request: &Request) -> Result<Summary, Fault> {
        Ok(head_and_tail(&request.text, request.max_bytes as usize))
    }
}

/// A third of the room for the beginning, the rest for the end, cut between lines.
fn head_and_tail(text: &str, most: usize) -> Summary {
    if text.len() <= most {
        let kept = vec![Span {
            start: 0,
            end: text.len() as u32,
        }];
        return Summary {
            text: text.to_owned(),
            kept,
            elided_lines: 0,
        };
    }
    let room = most.saturating_sub(40);
    let head = text[..floor(text, room / 3)]
        .rfind('\n')
        .map_or(0, |at| at + 1);
    let from = floor(text, text.len() - room * 2 / 3);
    let tail = text[from..]
        .find('\n')
        .map_or(text.len(), |at| from + at + 1);
    let elided = text[head..tail].lines().count() as u32;
    let kept = [(0, head), (tail, text.len())].map(|(start, end)| Span {
        start: start as u32,
        end: end as u32,
    });
    Summary {
        text: format!(
            "{}[{elided} lines left out]\n{}",
            &text[..head],
            &text[tail..]
        ),
        kept: kept
            .into_iter()
            .filter(|span| span.start < span.end)
            .collect(),
        elided_lines: elided,
    }
}

/// The last character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

worker_plugin::summarizer!(TestOutput);
