//! A job for checks to look at.

use plugins::check::{self, ChangedFile, LinePage, Output, ReadError, Side, Snapshot};

/// A job that changed `src/a.rs`, in a tree with `docs/a.md` and `src/b.rs`.
pub(crate) struct Job;

impl Snapshot for Job {
    fn id(&self) -> String {
        "job-1".to_owned()
    }
    fn task(&self) -> String {
        "do it".to_owned()
    }
    fn changed(&self) -> Vec<ChangedFile> {
        vec![ChangedFile {
            path: "src/a.rs".to_owned(),
            change: check::Change::Modified,
            previous_path: None,
            size: 3,
            binary: false,
            allowed: true,
        }]
    }
    fn commands(&self) -> Vec<check::Command> {
        Vec::new()
    }
    fn diff_size(&self) -> u64 {
        10
    }
    fn changed_lines(
        &self,
        _: &str,
        side: Side,
        after: u64,
        max_bytes: u32,
    ) -> Result<LinePage, ReadError> {
        let text: &[u8] = match side {
            Side::Added => b"b",
            Side::Removed => b"a",
        };
        LinePage::of((after == 0).then_some((1, text)).into_iter(), max_bytes)
    }
    fn diff(&self, _: Option<&str>) -> Result<String, ReadError> {
        Ok("-a\n+b\n".to_owned())
    }
    fn read(&self, path: &str, _: u64, len: u32) -> Result<Vec<u8>, ReadError> {
        if path == "src/a.rs" {
            Ok(vec![b'a'; 3.min(len as usize)])
        } else {
            Err(ReadError::NotGranted)
        }
    }
    fn read_base(&self, path: &str, offset: u64, len: u32) -> Result<Vec<u8>, ReadError> {
        self.read(path, offset, len)
    }
    fn read_output(&self, _: usize, _: Output, _: u64, _: u32) -> Result<Vec<u8>, ReadError> {
        Err(ReadError::NotFound)
    }
    fn find(&self, _: &str) -> Result<Vec<String>, ReadError> {
        Ok(["docs/a.md", "src/a.rs", "src/b.rs"]
            .map(str::to_owned)
            .to_vec())
    }
    fn read_tree(&self, path: &str, _: u64, _: u32) -> Result<Vec<u8>, ReadError> {
        Ok(format!("text of {path}").into_bytes())
    }
}
