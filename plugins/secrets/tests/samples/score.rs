//! Precision and recall a label over the sample rows, and the floors that they must not go below.

#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::fmt;

use secrets::{Secrets, Settings};
use worker_plugin::{Fault, Redactor as _};

use super::samples::{Mark, Row, cut, leak, marks, rows};

/// Rows with secrets, and rows of ordinary text.
const POSITIVE: [&str; 2] = ["positives.jsonl", "own-positives.jsonl"];
const ORDINARY: [&str; 2] = ["negatives.jsonl", "own-negatives.jsonl"];

/// The floor of every label's recall: all secrets of the sample rows go.
const RECALL: f64 = 1.0;
/// The ceiling of marks that touch no secret of their row: none, but of these labels. The LM hash
/// beside an NT hash, the id and the key beside a password, and the key beside a passphrase are not
/// among their rows' secrets.
const WRONG: &[(&str, usize)] = &[
    ("aws-access-key", 1),
    ("cli-password", 1),
    ("key", 1),
    ("password-hash", 2),
];

/// The counts of a label.
#[derive(Default)]
pub struct Count {
    /// Secrets of the label, and those of them that go.
    pub secrets: usize,
    pub found: usize,
    /// Marks with the label, and those of them that touch a secret.
    pub marks: usize,
    pub right: usize,
    /// The rows with secrets that stay, or with marks that touch no secret.
    pub rows: Vec<String>,
}

impl Count {
    fn recall(&self) -> f64 {
        ratio(self.found, self.secrets)
    }

    fn precision(&self) -> f64 {
        ratio(self.right, self.marks)
    }

    fn add(&mut self, other: &Self) {
        self.secrets += other.secrets;
        self.found += other.found;
        self.marks += other.marks;
        self.right += other.right;
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        1.0
    } else {
        part as f64 / whole as f64
    }
}

/// The counts of all labels.
#[derive(Default)]
pub struct Scores {
    pub labels: BTreeMap<String, Count>,
    /// Rows with secrets, and those of them that leak none.
    pub rows: usize,
    pub clean: usize,
    /// Rows of ordinary text, and those of them that change.
    pub ordinary: usize,
    pub changed: usize,
}

/// The first byte and the one after the last of each place where a secret of a row is.
fn places<'a>(row: &'a Row, secret: &'a str) -> impl Iterator<Item = (usize, usize)> + 'a {
    row.text
        .match_indices(secret)
        .map(|(start, found)| (start, start + found.len()))
}

fn overlap(mark: &Mark, (start, end): (usize, usize)) -> usize {
    mark.end.min(end).saturating_sub(mark.start.max(start))
}

impl Scores {
    /// Looks through all sample rows.
    pub fn measure() -> Result<Self, Fault> {
        let secrets = Secrets::new(Settings::default())?;
        let find = |text: &str| {
            let (found, _) = secrets.find(text.as_bytes(), 0, true);
            let hits = found.into_iter().map(|found| Mark {
                start: found.start,
                end: found.end,
                label: found.label.into_owned(),
            });
            marks(hits.collect())
        };
        let mut scores = Self::default();
        // By kind of secret and by kind of text: the labels under which secrets are found. A missed
        // secret counts for the most frequent one of its kind.
        let mut usual: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
        let mut missed = Vec::new();
        for row in POSITIVE.into_iter().flat_map(rows) {
            let marks = find(&row.text);
            let cut = cut(&row.text, &marks);
            for mark in &marks {
                let count = scores.labels.entry(mark.label.clone()).or_default();
                let right = row
                    .secrets
                    .iter()
                    .any(|secret| places(&row, secret).any(|place| overlap(mark, place) > 0));
                count.marks += 1;
                count.right += usize::from(right);
                if !right {
                    count.rows.push(row.id.clone());
                }
            }
            let kinds = [format!("rule {}", row.rule), format!("group {}", row.group)];
            let mut clean = true;
            for secret in &row.secrets {
                let label = marks
                    .iter()
                    .map(|mark| {
                        let most = places(&row, secret).map(|place| overlap(mark, place)).max();
                        (most.unwrap_or(0), mark)
                    })
                    .filter(|(most, _)| *most > 0)
                    .max_by_key(|(most, _)| *most)
                    .map(|(_, mark)| mark.label.clone());
                match label.filter(|_| leak(secret, &cut).is_none()) {
                    Some(label) => {
                        for kind in &kinds {
                            let labels = usual.entry(kind.clone()).or_default();
                            *labels.entry(label.clone()).or_default() += 1;
                        }
                        let count = scores.labels.entry(label).or_default();
                        count.secrets += 1;
                        count.found += 1;
                    }
                    None => {
                        clean = false;
                        missed.push((row.id.clone(), kinds.clone()));
                    }
                }
            }
            scores.rows += 1;
            scores.clean += usize::from(clean);
        }
        for (row, kinds) in missed {
            let label = kinds
                .iter()
                .find_map(|kind| usual.get(kind)?.iter().max_by_key(|(_, count)| **count))
                .map_or("(none)", |(label, _)| label);
            let count = scores.labels.entry(label.to_owned()).or_default();
            count.secrets += 1;
            count.rows.push(row);
        }
        for row in ORDINARY.into_iter().flat_map(rows) {
            let marks = find(&row.text);
            for mark in &marks {
                let count = scores.labels.entry(mark.label.clone()).or_default();
                count.marks += 1;
                count.rows.push(row.id.clone());
            }
            scores.ordinary += 1;
            scores.changed += usize::from(!marks.is_empty());
        }
        Ok(scores)
    }

    /// The counts of all labels together.
    pub fn total(&self) -> Count {
        let mut total = Count::default();
        for count in self.labels.values() {
            total.add(count);
        }
        total
    }

    /// Sentences about what is below its floor.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (label, count) in &self.labels {
            if count.recall() < RECALL {
                faults.push(format!(
                    "{label}: {} of {} secrets go; the floor is {:.2} % (rows {})",
                    count.found,
                    count.secrets,
                    RECALL * 100.0,
                    count.rows.join(", ")
                ));
            }
            let allowed = WRONG
                .iter()
                .find(|(allowed, _)| allowed == label)
                .map_or(0, |(_, wrong)| *wrong);
            let wrong = count.marks - count.right;
            if wrong > allowed {
                faults.push(format!(
                    "{label}: {wrong} of {} marks touch no secret; at most {allowed} may (rows {})",
                    count.marks,
                    count.rows.join(", ")
                ));
            }
        }
        if self.changed > 0 {
            faults.push(format!(
                "{} of {} rows of ordinary text change; none may",
                self.changed, self.ordinary
            ));
        }
        faults
    }
}

impl fmt::Display for Scores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| label | secrets | found | recall | marks | right | precision |"
        )?;
        writeln!(f, "| --- | ---: | ---: | ---: | ---: | ---: | ---: |")?;
        let total = ("total".to_owned(), self.total());
        for (label, count) in self.labels.iter().chain([(&total.0, &total.1)]) {
            writeln!(
                f,
                "| {label} | {} | {} | {:.2} % | {} | {} | {:.2} % |",
                count.secrets,
                count.found,
                count.recall() * 100.0,
                count.marks,
                count.right,
                count.precision() * 100.0
            )?;
        }
        writeln!(
            f,
            "\n{} of {} rows with secrets leak none; {} of {} rows of ordinary text change.",
            self.clean, self.rows, self.changed, self.ordinary
        )
    }
}
