//! The floors of precision and recall over the sample rows; the example `recall` prints the table.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code, unreachable_pub)]
mod samples;
#[allow(dead_code, unreachable_pub)]
#[path = "samples/score.rs"]
mod score;

#[test]
fn precision_and_recall_of_every_label_hold_their_floors() {
    let scores = score::Scores::measure().unwrap();
    // The figures are of something: rows that are not read hold every floor.
    assert!(scores.rows > 2_500 && scores.ordinary > 1_000, "{scores}");
    assert!(scores.faults().is_empty(), "{}", scores.faults().join("\n"));
}
