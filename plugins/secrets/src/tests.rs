#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use worker_plugin::Redactor as _;

use crate::custom::Settings;
use crate::redactor::Secrets;
use crate::rule::Found;

#[allow(dead_code, unreachable_pub)]
#[path = "../tests/samples/mod.rs"]
mod samples;

use samples::{Mark, Row, cut, leak, marks, rows};

/// The text with marks, as the host cuts it.
fn redacted(text: &str) -> String {
    let secrets = Secrets::new(Settings::default()).unwrap();
    let (found, settled) = secrets.find(text.as_bytes(), 0, true);
    assert_eq!(settled, text.len());
    let hits = found.into_iter().map(|found| Mark {
        start: found.start,
        end: found.end,
        label: found.label.into_owned(),
    });
    cut(text, &marks(hits.collect()))
}

/// The fault of the redaction of a row, if there is one.
fn fault(row: &Row, cut: &str) -> Option<String> {
    if let Some(piece) = row.secrets.iter().find_map(|secret| leak(secret, cut)) {
        return Some(format!("leaks {piece}"));
    }
    if let Some(line) = row.lost_line(cut) {
        return Some(format!("changes {line:?}"));
    }
    (redacted(cut) != cut).then(|| "changes in a second pass".to_owned())
}

/// Fails with all rows of a file whose redaction has a fault.
fn judge(file: &str) {
    let rows = rows(file);
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
        faults.is_empty(),
        "{} of {} rows of {file}\n{}",
        faults.len(),
        rows.len(),
        faults.join("\n")
    );
}

#[test]
fn every_secret_of_the_samples_goes_and_nothing_else() {
    judge("positives.jsonl");
    judge("own-positives.jsonl");
}

#[test]
fn ordinary_text_of_the_samples_stays_as_it_is() {
    judge("negatives.jsonl");
    judge("own-negatives.jsonl");
}

/// The secrets found in a text that comes in two pieces, the first one without its end in sight.
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
