//! A check: what a job did, passed or failed.

use std::sync::Arc;

use crate::check::{Report, Snapshot};
use crate::v1::plugin::Plugin;
use crate::{Cost, Info, PluginError};

/// A check plugin.
#[derive(Clone)]
pub struct CheckPlugin {
    plugin: Plugin,
}

impl CheckPlugin {
    pub(crate) fn new(plugin: Plugin) -> Self {
        CheckPlugin { plugin }
    }

    /// Returns the plugin's information about itself.
    pub fn info(&self) -> &Info {
        &self.plugin.loaded.info
    }

    /// Returns the cost of its calls so far.
    pub fn cost(&self) -> Cost {
        self.plugin.loaded.cost()
    }

    /// Tries these settings (an object, or null), laid over the operator's: by the plugin's schema, and by the plugin.
    ///
    /// # Errors
    /// Which key breaks which rule, or what the plugin says.
    pub fn accepts(&self, settings: &serde_json::Value) -> Result<(), PluginError> {
        let config = self.plugin.loaded.config(Some(settings))?;
        self.plugin.validate(config)
    }

    /// Returns the settings that the plugin works with when a job gives these: the operator's, with them laid over.
    pub fn settings(&self, settings: &serde_json::Value) -> serde_json::Value {
        let whole = self.plugin.loaded.config(Some(settings)).ok();
        let whole = whole.and_then(|text| serde_json::from_str(&text).ok());
        whole.unwrap_or_else(|| settings.clone())
    }

    /// Looks at a job, in an instance of its own. `settings` (an object, or null) are laid over the operator's. Blocks for
    /// as long as the plugin runs.
    ///
    /// # Errors
    /// Whatever keeps the check from giving an answer. The check is then errored, which never passes.
    pub fn run(
        &self,
        job: Arc<dyn Snapshot>,
        settings: &serde_json::Value,
    ) -> Result<Report, PluginError> {
        let config = self.plugin.loaded.config(Some(settings))?;
        let mut report = self.plugin.check(config)?.run(job)?;
        report.suppress(&self.plugin.loaded.suppress);
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::check::{ChangedFile, Command, FileKind, FileState, LinePage, Moment, ReadError};
    use crate::{Engine, Limits, PluginSet, PluginSettings};

    use super::*;

    /// A job that added a file of this many lines, 4 KiB each; only the last one is wrong.
    struct LongFile {
        lines: u64,
        /// The host could not keep it.
        lost: bool,
    }

    const LINE: usize = 4096;
    const LAST: &[u8] = b"<<<<<<< HEAD TODO AKIAQ3EGRIZ7WXV2MNHT";

    impl Snapshot for LongFile {
        fn id(&self) -> String {
            String::new()
        }
        fn task(&self) -> String {
            String::new()
        }
        fn changed(&self) -> Vec<ChangedFile> {
            vec![ChangedFile {
                path: "src/long.rs".to_owned(),
                previous_path: None,
                before: None,
                after: Some(FileState {
                    kind: FileKind::Regular,
                    mode: 0o644,
                    size: self.lines * LINE as u64,
                    binary: false,
                    object_id: None,
                }),
                allowed: true,
            }]
        }
        fn commands(&self) -> Vec<Command> {
            Vec::new()
        }
        fn changed_lines(
            &self,
            path: &str,
            moment: Moment,
            after: u64,
            max_bytes: u32,
        ) -> Result<LinePage, ReadError> {
            if self.lost {
                return Err(ReadError::Other(format!(
                    "the content of {path} was not kept"
                )));
            }
            let text = "x = y + 1; ".repeat(LINE / 11);
            let line = |number| match number == self.lines {
                true => (number, LAST),
                false => (number, text.as_bytes()),
            };
            let added = (after + 1..=self.lines).filter(|_| moment == Moment::After);
            LinePage::of(added.map(line), max_bytes)
        }
        fn diff(&self, _: Option<&str>) -> Result<Vec<u8>, ReadError> {
            Err(ReadError::TooLarge(Limits::READ))
        }
        fn read(&self, _: &str, _: Moment, _: u64, _: u32) -> Result<Vec<u8>, ReadError> {
            Err(ReadError::NotFound)
        }
        fn read_output(&self, _: usize, _: u64, _: u32) -> Result<Vec<u8>, ReadError> {
            Err(ReadError::NotFound)
        }
    }

    const CHECKS: [(&str, &str); 4] = [
        ("conflict-markers", "conflict-marker"),
        ("leftovers", "todo"),
        ("secrets-in-diff", "secret"),
        ("diff-size", "too-many-lines"),
    ];

    fn bundled() -> (tempfile::TempDir, PluginSet) {
        let cache = tempfile::tempdir().unwrap();
        let engine = Engine::shared(cache.path()).unwrap();
        (cache, PluginSet::load(&engine, &PluginSettings::default()))
    }

    #[test]
    fn the_bundled_checks_see_the_last_line_of_a_long_file_in_bounded_memory() {
        let (_cache, set) = bundled();
        for megabytes in [17, 100] {
            let lines = (megabytes << 20) / LINE as u64;
            for (name, rule) in CHECKS {
                let check = set.check(name).unwrap();
                let job = Arc::new(LongFile { lines, lost: false });
                let report = check.run(job, &serde_json::Value::Null).unwrap();
                let rules: Vec<_> = report.findings.iter().map(|found| &found.rule).collect();
                assert_eq!(rules, [rule], "{name} on {megabytes} MiB");
                assert!(!report.is_passed());
            }
        }
        for (name, _) in CHECKS {
            assert!(set.cost(name).memory <= Limits::of(crate::Kind::Check).memory);
        }
    }

    #[test]
    fn a_check_that_cannot_see_a_change_fails_and_names_the_file() {
        let (_cache, set) = bundled();
        for (name, _) in CHECKS {
            let job = Arc::new(LongFile {
                lines: 1,
                lost: true,
            });
            let check = set.check(name).unwrap();
            let error = check.run(job, &serde_json::Value::Null).unwrap_err();
            assert_eq!(
                error.what, "the content of src/long.rs was not kept",
                "{name}"
            );
        }
    }
}
