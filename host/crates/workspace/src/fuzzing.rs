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

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::Root;

/// A root with links that lead everywhere, made once a process.
fn root() -> &'static (PathBuf, Root) {
    static ROOT: OnceLock<(PathBuf, Root)> = OnceLock::new();
    ROOT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap().keep();
        let inside = folder.join("root");
        std::fs::create_dir_all(inside.join("a/b")).unwrap();
        std::fs::write(inside.join("a/file"), "x").unwrap();
        std::fs::write(folder.join("secret"), "outside").unwrap();
        for (link, target) in [
            ("up", ".."),
            ("out", "/etc"),
            ("proc", "/proc/self/root"),
            ("loop", "loop"),
            ("in", "a/b"),
            ("a/back", "../.."),
            ("a/b/far", "../../../secret"),
        ] {
            std::os::unix::fs::symlink(target, inside.join(link)).unwrap();
        }
        let root = Root::open(&inside).unwrap();
        (std::fs::canonicalize(&inside).unwrap(), root)
    })
}

/// No path leads out of the root.
pub fn path(data: &[u8]) {
    let (inside, root) = root();
    let asked = Path::new(std::ffi::OsStr::from_bytes(data));
    for asked in [asked.to_owned(), inside.join(asked)] {
        if let Ok(resolved) = root.resolve(&asked) {
            let real = std::fs::canonicalize(&resolved).unwrap();
            assert!(
                real.starts_with(inside),
                "{} led to {}",
                asked.display(),
                real.display()
            );
        }
        if let Ok(text) = root.read(&asked, 1_000) {
            assert_ne!(text.bytes, b"outside", "{}", asked.display());
        }
    }
}

#[cfg(test)]
#[path = "../../../../tests/fuzz/short_run.rs"]
mod short_run;

#[cfg(test)]
mod tests {
    use super::short_run::short_run;

    #[test]
    fn no_path_leads_out_of_the_root() {
        short_run("path", 600, super::path);
    }
}
