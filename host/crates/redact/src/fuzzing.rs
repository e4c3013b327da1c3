//! Properties that hold for any bytes that reach this crate from outside, each as one function of
//! those bytes.
//!
//! `tests/fuzz` runs them under libFuzzer; the tests below run them over its corpus and over small changes of it. The
//! functions panic where something does not hold.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a target's way to report is to panic"
)]

use std::sync::OnceLock;

use serde_json::Value;

use self::reads::reads;
use crate::{KnownValues, Redactor};

/// Values that the host holds go, and the rest stays, the same for any cut of the text.
pub fn redaction(data: &[u8]) {
    static REDACTOR: OnceLock<Redactor> = OnceLock::new();
    let redactor = REDACTOR.get_or_init(|| {
        let mut known = KnownValues::new();
        known.add("key", "Zx8Kq2Lm4Rt6Wv0Yb3Nc5H");
        known.add("phrase", "correct \"horse\"/battery & staple");
        known.add("lines", "first line of it\nsecond line of it");
        Redactor::new(known, Vec::new())
    });
    let (reads, whole) = reads(data);
    let batch = redactor.bytes(whole).into_string();
    let mut stream = redactor.stream();
    let mut streamed = String::new();
    for read in reads {
        streamed.push_str(&stream.push(read));
    }
    streamed.push_str(&stream.finish());
    assert_eq!(streamed, batch);
    for secret in [
        "Zx8Kq2Lm4Rt6Wv0Yb3Nc5H",
        "correct \"horse\"/battery & staple",
    ] {
        assert!(!batch.contains(secret));
    }
    if let Ok(value) = serde_json::from_slice::<Value>(whole) {
        let cut = redactor.json(value).to_text();
        assert!(!cut.contains("Zx8Kq2Lm4Rt6Wv0Yb3Nc5H"));
    }
}

#[path = "../../../../tests/fuzz/reads.rs"]
mod reads;

#[cfg(test)]
#[path = "../../../../tests/fuzz/short_run.rs"]
mod short_run;

#[cfg(test)]
mod tests {
    use super::short_run::short_run;

    #[test]
    fn known_values_go_for_any_cut_of_any_bytes() {
        short_run("redaction", 400, super::redaction);
    }
}
