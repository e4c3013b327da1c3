//! The promises that hold for any text, as functions of bytes: see `tests/fuzz`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use worker_plugin::Redactor;

use crate::custom::Settings;
use crate::redactor::Secrets;
use crate::rule::Found;

/// The bytes that are hidden.
fn hidden(found: &[Found], length: usize, from: usize) -> Vec<bool> {
    let mut hidden = vec![false; length];
    for found in found {
        assert!(found.start < found.end && found.end <= length, "{found:?}");
        // As the host does: what is decided is out already.
        for byte in &mut hidden[found.start.max(from).min(found.end)..found.end] {
            *byte = true;
        }
    }
    hidden
}

/// A text in two or three pieces, cut where the first bytes say, hides what the whole text hides.
pub fn rules(data: &[u8]) {
    let secrets = Secrets::new(Settings::default()).unwrap();
    let (head, text) = data.split_at(data.len().min(4));
    let (whole, settled) = secrets.find(text, 0, true);
    assert_eq!(settled, text.len());
    let whole = hidden(&whole, text.len(), 0);
    let mut cuts: Vec<usize> = head
        .chunks(2)
        .map(|two| {
            two.iter()
                .fold(0, |sum, &byte| sum << 8 | usize::from(byte))
                % (text.len() + 1)
        })
        .collect();
    cuts.sort_unstable();
    let (mut decided, mut pieces) = (0, vec![false; text.len()]);
    for (end, last) in cuts
        .into_iter()
        .map(|cut| (cut, false))
        .chain([(text.len(), true)])
    {
        let (mut found, settled) = secrets.find(&text[..end], decided, last);
        assert!(settled >= decided && settled <= end);
        found.retain(|found| found.start < settled);
        for (piece, hidden) in pieces.iter_mut().zip(hidden(&found, end, decided)) {
            *piece |= hidden;
        }
        decided = settled;
    }
    let differs = pieces.iter().zip(&whole).position(|(a, b)| a != b);
    assert!(
        differs.is_none(),
        "at {differs:?}: {:?}",
        String::from_utf8_lossy(&text[differs.unwrap_or(0).saturating_sub(80)..])
    );
}

#[cfg(test)]
#[path = "../../../tests/fuzz/short_run.rs"]
mod short_run;

#[cfg(test)]
mod tests {
    #[test]
    fn any_text_hides_the_same_wherever_it_is_cut() {
        super::short_run::short_run("rules", 1_500, super::rules);
    }
}
