//! The labels of marks.

/// Stands for text that a scanner should have seen and did not.
pub(crate) const WITHHELD: &str = "withheld";

/// A label as it may stand in a mark: `a-z0-9-`, at most 48 of them.
pub(crate) fn clean_label(label: &str) -> String {
    let cleaned: String = label
        .chars()
        .take(48)
        .map(|c| match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9' | '-') => c,
            _ => '-',
        })
        .collect();
    if cleaned.is_empty() {
        "secret".to_owned()
    } else {
        cleaned
    }
}
