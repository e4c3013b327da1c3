//! The sample rows of `tests/fixtures/redaction`, and what redaction must do with a row. Shared by
//! the unit tests, the test of the floors and the example `recall`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::cmp::Reverse;

/// A row: a text, and the secrets in it.
#[derive(serde::Deserialize)]
pub struct Row {
    pub id: String,
    /// The kind of its secrets.
    pub rule: String,
    /// The kind of text that they are in.
    pub group: String,
    pub text: String,
    pub secrets: Vec<String>,
}

/// A part of a text that goes, and the label that stands in for it.
#[derive(Debug, Clone)]
pub struct Mark {
    pub start: usize,
    pub end: usize,
    pub label: String,
}

/// Reads the rows of a file, but for those with colour codes: the host takes these out before a
/// redactor sees a text.
pub fn rows(file: &str) -> Vec<Row> {
    let path = format!(
        "{}/../../tests/fixtures/redaction/{file}",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| serde_json::from_str::<Row>(line).expect(line))
        .filter(|row| !row.text.contains('\u{1b}'))
        .collect()
}

/// Makes marks of hits, as the host does: one where several overlap, with the label of the first.
pub fn marks(mut hits: Vec<Mark>) -> Vec<Mark> {
    hits.sort_by_key(|hit| (hit.start, Reverse(hit.end)));
    let mut marks: Vec<Mark> = Vec::new();
    for hit in hits {
        match marks.last_mut() {
            Some(last) if hit.start < last.end => last.end = last.end.max(hit.end),
            _ => marks.push(hit),
        }
    }
    marks
}

/// The text with marks, as the host cuts it.
pub fn cut(text: &str, marks: &[Mark]) -> String {
    let mut cut = Vec::new();
    let mut done = 0;
    for mark in marks {
        cut.extend_from_slice(&text.as_bytes()[done..mark.start]);
        cut.extend_from_slice(format!("[redacted:{}]", mark.label).as_bytes());
        done = mark.end;
    }
    cut.extend_from_slice(&text.as_bytes()[done..]);
    String::from_utf8_lossy(&cut).into_owned()
}

/// Returns a piece of a secret that is still in a redacted text: all of a short secret, two fifths
/// of a longer one.
pub fn leak(secret: &str, cut: &str) -> Option<String> {
    let characters: Vec<char> = secret.chars().collect();
    let piece = if characters.len() <= 12 {
        characters.len()
    } else {
        (characters.len() * 2 / 5).max(10)
    };
    characters
        .windows(piece)
        .map(|window| window.iter().collect::<String>())
        .find(|window| cut.contains(window))
}

impl Row {
    /// Returns a line without a secret that a redacted text no longer has.
    pub fn lost_line(&self, cut: &str) -> Option<&str> {
        self.text.split('\n').find(|line| {
            let touched = self.secrets.iter().any(|secret| {
                secret
                    .split('\n')
                    .any(|part| line.contains(part) || part.contains(line))
            });
            !touched && !cut.split('\n').any(|other| other == *line)
        })
    }
}
