//! Errors of plugins: who, what, and what to do.

use std::path::Path;

use super::Kind;

/// One failure of one plugin. Its text is a whole sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct PluginError {
    /// The plugin's name in the configuration.
    pub plugin: String,
    /// The version, when it got far enough to say.
    pub version: Option<String>,
    /// Digest of the component, in hex, when it was read.
    pub sha256: Option<Box<str>>,
    /// The kind, when that is known.
    pub kind: Option<Kind>,
    /// The stage it reached.
    pub stage: Stage,
    /// The event.
    pub what: String,
    /// The remedy.
    pub remedy: String,
}

/// The stages of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The operator's configuration or the manifest is wrong.
    Settings,
    /// There is no plugin of that name, or no such file.
    Locate,
    /// The bytes are not those that were pinned.
    Digest,
    /// It is no component that this host can compile.
    Compile,
    /// It wants what it was not given, or does not export what its kind needs.
    Link,
    /// It could not be started.
    Start,
    /// It trapped.
    Trap,
    /// It took too long.
    Deadline,
    /// It wanted too much memory, or too many tables or instances.
    Memory,
    /// The host had more for it than it may be given.
    Input,
    /// The answer breaks a rule of its interface.
    Output,
    /// It answered with a refusal.
    Fault,
}

impl PluginError {
    /// Names the component's file, where that is what is wrong: its settings and its answers are told of apart from it.
    pub(super) fn in_file(mut self, file: Option<&Path>) -> Self {
        let about_the_file = matches!(
            self.stage,
            Stage::Compile
                | Stage::Link
                | Stage::Start
                | Stage::Trap
                | Stage::Deadline
                | Stage::Memory
        );
        if let Some(file) = file.filter(|_| about_the_file) {
            self.what = format!("{} {}", file.display(), self.what);
        }
        self
    }
}

impl std::fmt::Display for PluginError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            Some(kind) => write!(f, "{kind} {}", self.plugin)?,
            None => write!(f, "plugin {}", self.plugin)?,
        }
        if let Some(version) = &self.version {
            write!(f, " {version}")?;
            // What the component itself did is said of these very bytes.
            let did = matches!(
                self.stage,
                Stage::Trap | Stage::Deadline | Stage::Memory | Stage::Output | Stage::Fault
            );
            let short = self.sha256.as_ref().and_then(|hex| hex.get(..12));
            if let Some(short) = short.filter(|_| did) {
                write!(f, " ({short})")?;
            }
        }
        write!(f, ": {}", self.what)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}
