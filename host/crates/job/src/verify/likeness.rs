//! Whether two failures are the same one: the same tests with the same words, whatever clock, order and folder they had.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;
use sha2::{Digest as _, Sha256};

/// A failure, without what differs from run to run.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Likeness(String);

/// Addresses and numbers with their units: durations, counts, lines, process ids.
static NUMBERS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"0x[0-9a-fA-F]+|[0-9]+(?:[.:,][0-9]+)*(?: ?(?:ns|µs|us|ms|s|min|m)\b)?").ok()
});

impl Likeness {
    /// The likeness of a digest that was made in the tree at `top`. None of an empty one: it names no failure.
    pub(super) fn of(digest: &str, top: &Path) -> Option<Self> {
        let numbers = NUMBERS.as_ref()?;
        let top = top.to_str()?;
        let mut lines: Vec<String> = digest
            .lines()
            .map(|line| {
                let line = line.replace(top, ".");
                numbers.replace_all(line.trim(), "#").into_owned()
            })
            .filter(|line| !line.is_empty())
            .collect();
        // Tests that run side by side fail in any order, and once more is not another failure.
        lines.sort_unstable();
        lines.dedup();
        if lines.is_empty() {
            return None;
        }
        let mut hasher = Sha256::new();
        for line in lines {
            hasher.update(line.as_bytes());
            hasher.update(b"\n");
        }
        Some(Self(hex::encode(hasher.finalize())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(digest: &str) -> Option<Likeness> {
        Likeness::of(digest, Path::new("/home/u/app"))
    }

    #[test]
    fn clocks_orders_and_folders_make_no_other_failure() {
        let first = "FAILED tests/a.py::test_one - assert 1 == 2\nFAILED tests/a.py::test_two\n2 failed, 7 passed in 0.12s";
        let alike = [
            "FAILED tests/a.py::test_two\nFAILED tests/a.py::test_one - assert 1 == 2\n2 failed, 9 passed in 1.4s",
            "  FAILED tests/a.py::test_one - assert 1 == 2\n\nFAILED tests/a.py::test_two\n2 failed, 7 passed in 950ms",
        ];
        for other in alike {
            assert_eq!(of(first), of(other), "{other}");
        }
        assert_eq!(
            of("Error at /home/u/app/src/a.js:12 (pid 4711, 0x7ffe01)"),
            Likeness::of(
                "Error at /state/before/tree/src/a.js:9 (pid 3, 0x55aa)",
                Path::new("/state/before/tree")
            )
        );
    }

    #[test]
    fn another_test_or_another_assertion_is_another_failure() {
        let first = of("FAILED tests/a.py::test_one - assert left == right");
        for other in [
            "FAILED tests/a.py::test_other - assert left == right",
            "FAILED tests/a.py::test_one - KeyError: 'left'",
            "FAILED tests/a.py::test_one - assert left == right\nFAILED tests/b.py::test_two",
        ] {
            assert_ne!(first, of(other), "{other}");
        }
        assert_eq!(of(" \n"), None, "nothing is no failure");
    }
}
