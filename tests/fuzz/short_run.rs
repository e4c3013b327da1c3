// The bounded run of a fuzz target that `cargo test` does: over the target's corpus, and over small changes of it.
// Included by each crate that has targets.

use proptest::prelude::*;

/// Bytes that are worth putting anywhere.
const WORDS: &[&[u8]] = &[
    b"\n",
    b"\r\n",
    b"\r",
    b"\0",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\xff",
    b"\xe2\x82",
    b"data:",
    b"data: [DONE]\n\n",
    b"event:",
    b"{",
    b"}",
    b"[",
    b"null",
    b"..",
    b"/",
    b"**",
    b"-----END PRIVATE KEY-----",
    b"token=",
    b"://",
];

#[derive(Debug, Clone)]
enum Change {
    Set(usize, u8),
    Remove(usize, usize),
    Repeat(usize, usize),
    Word(usize, usize),
    Splice(usize, usize, usize),
}

impl Change {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Self::Set(at, byte)),
            (any::<usize>(), 1..64usize).prop_map(|(at, length)| Self::Remove(at, length)),
            (any::<usize>(), 1..64usize).prop_map(|(at, length)| Self::Repeat(at, length)),
            (any::<usize>(), 0..WORDS.len()).prop_map(|(at, word)| Self::Word(at, word)),
            (any::<usize>(), any::<usize>(), any::<usize>())
                .prop_map(|(at, other, from)| Self::Splice(at, other, from)),
        ]
    }

    fn apply(&self, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let place = |at: usize, bytes: &[u8]| at % (bytes.len() + 1);
        match *self {
            Self::Set(at, byte) => {
                let at = place(at, bytes);
                if let Some(old) = bytes.get_mut(at) {
                    *old = byte;
                }
            }
            Self::Remove(at, length) => {
                let at = place(at, bytes);
                bytes.drain(at..(at + length).min(bytes.len()));
            }
            Self::Repeat(at, length) => {
                let at = place(at, bytes);
                let again = bytes[at..(at + length).min(bytes.len())].to_vec();
                bytes.splice(at..at, again);
            }
            Self::Word(at, word) => {
                let at = place(at, bytes);
                bytes.splice(at..at, WORDS[word].iter().copied());
            }
            Self::Splice(at, other, from) => {
                let at = place(at, bytes);
                let other = &corpus[other % corpus.len()];
                let from = place(from, other);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
}

/// Calls `target` for every file of `tests/fuzz/corpus/NAME` and for `cases` changes of them, or for as many as
/// WORKER_FUZZ_CASES says.
pub(crate) fn short_run(name: &str, cases: u32, target: fn(&[u8])) {
    // Unit tests run in the folder of their crate, one or two below the root.
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = here
        .ancestors()
        .map(|up| up.join("tests/fuzz/corpus").join(name))
        .find(|folder| folder.is_dir())
        .unwrap_or_else(|| panic!("no corpus {name}"));
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect();
    assert!(!corpus.is_empty(), "{} is empty", folder.display());
    for bytes in &corpus {
        target(bytes);
    }
    let asked = std::env::var("WORKER_FUZZ_CASES").ok();
    let config = ProptestConfig {
        cases: asked.and_then(|asked| asked.parse().ok()).unwrap_or(cases),
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..ProptestConfig::default()
    };
    let changes = (0..corpus.len(), prop::collection::vec(Change::any(), 1..8));
    let outcome =
        proptest::test_runner::TestRunner::new(config).run(&changes, |(file, changes)| {
            let mut bytes = corpus[file].clone();
            for change in &changes {
                change.apply(&mut bytes, &corpus);
            }
            target(&bytes);
            Ok(())
        });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
