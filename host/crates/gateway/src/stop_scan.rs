//! The caller's stop sequences, looked for in the text itself: many gateways refuse the field, take fewer of them than
//! the API does, or take it and go on writing.

/// A search for stop sequences in text that arrives in pieces.
#[derive(Debug)]
pub(crate) struct StopScan {
    sequences: Vec<String>,
    /// The end of the text so far that may be the beginning of a sequence.
    held: String,
    met: Option<String>,
}

impl StopScan {
    /// A search for these sequences; `None` where there are none.
    pub(crate) fn new(sequences: &[String]) -> Option<Self> {
        let sequences: Vec<String> = sequences
            .iter()
            .filter(|sequence| !sequence.is_empty())
            .cloned()
            .collect();
        (!sequences.is_empty()).then_some(Self {
            sequences,
            held: String::new(),
            met: None,
        })
    }

    /// Takes a further piece of plain text; returns what of the text is certain to be in front of any sequence.
    pub(crate) fn push(&mut self, plain: &str) -> String {
        if self.met.is_some() {
            return String::new();
        }
        let mut text = std::mem::take(&mut self.held);
        text.push_str(plain);
        let first = self
            .sequences
            .iter()
            .filter_map(|sequence| Some((text.find(sequence.as_str())?, sequence)))
            .min_by_key(|(at, _)| *at);
        if let Some((at, sequence)) = first {
            self.met = Some(sequence.clone());
            text.truncate(at);
            return text;
        }
        let keep = self
            .sequences
            .iter()
            .map(|sequence| longest_beginning(&text, sequence))
            .max()
            .unwrap_or(0);
        self.held = text.split_off(text.len() - keep);
        text
    }

    /// Ends the search; returns the text that was held back.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// The sequence that was met.
    pub(crate) fn met(&self) -> Option<&str> {
        self.met.as_deref()
    }
}

/// Bytes at the end of the text that are the beginning of the sequence, and not the whole of it.
fn longest_beginning(text: &str, sequence: &str) -> usize {
    sequence
        .char_indices()
        .map(|(at, _)| at)
        .rev()
        .find(|length| {
            sequence
                .get(..*length)
                .is_some_and(|beginning| text.ends_with(beginning))
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn scan(sequences: &[&str], pieces: &[&str]) -> (String, Option<String>) {
        let sequences: Vec<String> = sequences.iter().map(|s| s.to_string()).collect();
        let mut scan = StopScan::new(&sequences).unwrap();
        let mut text: String = pieces.iter().map(|piece| scan.push(piece)).collect();
        text.push_str(&scan.finish());
        (text, scan.met().map(str::to_owned))
    }

    #[test]
    fn text_ends_in_front_of_the_first_sequence() {
        for (sequences, pieces, text, met) in [
            (&["END"][..], &["a EN", "D b"][..], "a ", Some("END")),
            (&["END"], &["a EN", "d"], "a ENd", None),
            (&["\n\n", "\n#"], &["a\n", "# b"], "a", Some("\n#")),
            (&["aab"], &["aaa", "ab!"], "aa", Some("aab")),
            (&["é!"], &["caf", "é", "!"], "caf", Some("é!")),
            (&["END"], &["xE", "N"], "xEN", None),
        ] {
            assert_eq!(
                scan(sequences, pieces),
                (text.to_owned(), met.map(str::to_owned)),
                "{pieces:?}"
            );
        }
        assert!(StopScan::new(&[String::new()]).is_none());
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(text in "[ab\n]{0,30}", sequence in "[ab\n]{1,4}", cut in 0usize..30) {
            let cut = cut.min(text.len());
            let (before, behind) = text.split_at(cut);
            prop_assert_eq!(scan(&[&sequence], &[before, behind]), scan(&[&sequence], &[&text]));
        }
    }
}
