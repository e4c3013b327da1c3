//! The facts of this build, for `--version` and `update`.

/// The sources of a program, and the machine that it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build {
    /// The full hash of the commit; empty when it is not known.
    pub commit: &'static str,
    /// The target triple.
    pub target: &'static str,
}

impl Build {
    /// The version of the release.
    pub const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    /// Version, commit and target on one line, as `--version` shows them behind the program's name.
    pub fn line(&self) -> String {
        let commit = match self.commit {
            "" => "commit unknown",
            commit => commit,
        };
        format!("{} ({commit}, {})", Self::VERSION, self.target)
    }
}
