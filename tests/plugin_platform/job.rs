//! A job for checks to look at.

use plugins::check::{
    self, ChangedFile, FileKind, FileState, LinePage, Moment, ReadError, Snapshot,
};

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
        let state = FileState {
            kind: FileKind::Regular,
            mode: 0o644,
            size: 3,
            binary: false,
            object_id: None,
        };
        vec![ChangedFile {
            path: "src/a.rs".to_owned(),
            previous_path: None,
            before: Some(state.clone()),
            after: Some(state),
            allowed: true,
        }]
    }
    fn commands(&self) -> Vec<check::Command> {
        Vec::new()
    }
    fn changed_lines(
        &self,
        _: &str,
        moment: Moment,
        after: u64,
        max_bytes: u32,
    ) -> Result<LinePage, ReadError> {
        let text: &[u8] = match moment {
            Moment::After => b"b",
            Moment::Before => b"a",
        };
        LinePage::of((after == 0).then_some((1, text)).into_iter(), max_bytes)
    }
    fn diff(&self, _: Option<&str>) -> Result<Vec<u8>, ReadError> {
        Ok(b"-a\n+b\n".to_vec())
    }
    fn read(&self, path: &str, _: Moment, _: u64, len: u32) -> Result<Vec<u8>, ReadError> {
        if path == "src/a.rs" {
            Ok(vec![b'a'; 3.min(len as usize)])
        } else {
            Err(ReadError::NotFound)
        }
    }
    fn read_output(&self, _: usize, _: u64, _: u32) -> Result<Vec<u8>, ReadError> {
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
