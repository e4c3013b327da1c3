#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use worker_plugin::Redactor as _;

use crate::custom::Settings;
use crate::redactor::Secrets;
use crate::rule::Found;

/// The text with marks, as the host cuts it.
pub(crate) fn redacted(text: &str) -> String {
    cut(&Secrets::new(Settings::default()).unwrap(), text)
}

pub(crate) fn cut(secrets: &Secrets, text: &str) -> String {
    let (mut found, settled) = secrets.find(text.as_bytes(), 0, true);
    assert_eq!(settled, text.len());
    found.sort_by_key(|found| (found.start, std::cmp::Reverse(found.end)));
    let mut cut = Vec::new();
    let mut done = 0;
    for found in found {
        if found.start >= done {
            cut.extend_from_slice(&text.as_bytes()[done..found.start]);
            cut.extend_from_slice(format!("[redacted:{}]", found.label).as_bytes());
        }
        done = done.max(found.end);
    }
    cut.extend_from_slice(&text.as_bytes()[done..]);
    String::from_utf8_lossy(&cut).into_owned()
}

#[derive(serde::Deserialize)]
struct Row {
    id: String,
    rule: String,
    group: String,
    text: String,
    secrets: Vec<String>,
}

fn rows(file: &str) -> Vec<Row> {
    let path = format!(
        "{}/../../tests/fixtures/redaction/{file}",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

/// What is wrong with the redaction of a row, if anything.
fn fault(row: &Row, cut: &str) -> Option<String> {
    for secret in &row.secrets {
        let characters: Vec<char> = secret.chars().collect();
        let piece = if characters.len() <= 12 {
            characters.len()
        } else {
            (characters.len() * 2 / 5).max(10)
        };
        for window in characters.windows(piece) {
            let window: String = window.iter().collect();
            if cut.contains(&window) {
                return Some(format!("leaks {window}"));
            }
        }
    }
    for line in row.text.split('\n') {
        let touched = row.secrets.iter().any(|secret| {
            secret
                .split('\n')
                .any(|part| line.contains(part) || part.contains(line))
        });
        if !touched && !cut.split('\n').any(|other| other == line) {
            return Some(format!("changes {line:?}"));
        }
    }
    if redacted(cut) != cut {
        return Some("changes in a second pass".to_owned());
    }
    None
}

fn judge(file: &str, allowed: usize) {
    // Colour codes are taken out by the host before a redactor sees the text.
    let rows: Vec<Row> = rows(file)
        .into_iter()
        .filter(|row| !row.text.contains('\u{1b}'))
        .collect();
    let mut faults = Vec::new();
    for row in &rows {
        let cut = redacted(&row.text);
        if let Some(fault) = fault(row, &cut) {
            let start: String = cut.chars().take(400).collect();
            faults.push(format!(
                "{} {} {}: {fault}\n    {start:?}",
                row.id, row.group, row.rule
            ));
        }
    }
    assert!(
        faults.len() <= allowed,
        "{} of {} rows of {file}\n{}",
        faults.len(),
        rows.len(),
        faults.join("\n")
    );
}

#[test]
fn every_secret_of_the_samples_goes_and_nothing_else() {
    judge("positives.jsonl", 0);
}

#[test]
fn ordinary_text_of_the_samples_stays_as_it_is() {
    judge("negatives.jsonl", 0);
}

/// What is found when the text comes in two pieces, the first one without its end in sight.
fn in_two(secrets: &Secrets, text: &[u8], cut: usize) -> Vec<Found> {
    let (mut found, settled) = secrets.find(&text[..cut], 0, false);
    found.retain(|found| found.start < settled);
    let (rest, _) = secrets.find(text, settled, true);
    found.extend(rest);
    found.sort_by_key(|found| (found.start, found.end));
    found.dedup();
    found
}

#[test]
fn a_key_without_its_header_is_found_across_empty_lines_wherever_the_text_is_cut() {
    let line = "6HAxlo0TFnbnFL7Qu6zDBPilJlXHs74vaL1RVYVU2sMPMKUqjkRv7kDazEtcvflS\n";
    let secrets = Secrets::new(Settings::default()).unwrap();
    for gap in ["\n", "\r\n", "\n\n", "  \n", "\"\n"] {
        let text = format!(
            "log\n{}{gap}{}-----END PRIVATE KEY-----",
            line.repeat(2),
            line.repeat(2)
        );
        let (mut batch, _) = secrets.find(text.as_bytes(), 0, true);
        batch.sort_by_key(|found| (found.start, found.end));
        batch.dedup();
        assert!(!batch.is_empty(), "{gap:?}");
        for cut in 1..text.len() {
            let cut_found = in_two(&secrets, text.as_bytes(), cut);
            let start = cut_found.iter().map(|found| found.start).min();
            assert_eq!(
                start,
                batch.iter().map(|found| found.start).min(),
                "{gap:?} cut at {cut}"
            );
        }
    }
}

#[test]
fn of_an_option_only_the_value_goes() {
    for (text, expected) in [
        (
            "docker login -u joe -p='tr0ut-Lake' r.example.org",
            "docker login -u joe -p='[redacted:cli-password]' r.example.org",
        ),
        (
            "docker login -u joe -p=\"tr0ut-Lake\" r.example.org",
            "docker login -u joe -p=\"[redacted:cli-password]\" r.example.org",
        ),
        (
            "mysql -h db -p'tr0ut-Lake' shop",
            "mysql -h db -p'[redacted:cli-password]' shop",
        ),
        (
            "curl --user='joe:tr0ut-Lake' https://example.org/a",
            "curl --user='joe:[redacted:cli-password]' https://example.org/a",
        ),
    ] {
        assert_eq!(redacted(text), expected);
    }
}
