//! The grants of the operator to a plugin, beyond its log and settings.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// A word that is no grant. The text is a clause about a list of grants.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// There is no grant of that name.
    #[error("there is no grant {0:?}, only \"clock\" and \"files:GLOB\", as in \"files:docs/**\"")]
    Unknown(String),
    /// The glob of a `files:GLOB` cannot be understood.
    #[error("{word:?} has no valid glob: {error}")]
    Glob {
        /// The word.
        word: String,
        /// The fault of the glob.
        error: globset::Error,
    },
    /// The globs are too many, or too large, to be matched together.
    #[error("{0}")]
    Globs(globset::Error),
}

/// The grants of one plugin.
#[derive(Debug, Clone, Default)]
pub struct Grants {
    /// May ask for the time.
    pub clock: bool,
    /// Globs of files of the job's tree that it may read beyond the changed ones.
    pub files: Vec<String>,
    matcher: Option<GlobSet>,
}

impl Grants {
    /// Reads the operator's words: `clock`, `files:GLOB`.
    ///
    /// # Errors
    /// The first word that is none of these.
    pub fn parse(words: &[String]) -> Result<Self, GrantError> {
        let mut grants = Grants::default();
        let mut globs = GlobSetBuilder::new();
        for word in words {
            match word.split_once(':') {
                None if word == "clock" => grants.clock = true,
                Some(("files", glob)) if !glob.is_empty() => {
                    let parsed = GlobBuilder::new(glob).literal_separator(true).build();
                    globs.add(parsed.map_err(|error| GrantError::Glob {
                        word: word.clone(),
                        error,
                    })?);
                    grants.files.push(glob.to_owned());
                }
                _ => return Err(GrantError::Unknown(word.clone())),
            }
        }
        if !grants.files.is_empty() {
            grants.matcher = Some(globs.build().map_err(GrantError::Globs)?);
        }
        Ok(grants)
    }

    /// The words, as they stand in the configuration.
    pub fn words(&self) -> Vec<String> {
        let clock = self.clock.then(|| "clock".to_owned());
        clock
            .into_iter()
            .chain(self.files.iter().map(|glob| format!("files:{glob}")))
            .collect()
    }

    /// Returns true if the plugin may read this file of the tree. Paths that could leave the tree
    /// match nothing.
    pub(super) fn allows_file(&self, path: &str) -> bool {
        let plain =
            !path.is_empty() && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        plain
            && self
                .matcher
                .as_ref()
                .is_some_and(|matcher| matcher.is_match(path))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn grants(words: &[&str]) -> Result<Grants, GrantError> {
        Grants::parse(
            &words
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn a_glob_covers_its_files_and_no_way_around_it() {
        let docs = grants(&["files:docs/**"]).unwrap();
        assert!(docs.allows_file("docs/a/b.md"));
        for path in [
            "src/a.rs",
            "docs/../src/a.rs",
            "/docs/a",
            "docs//a",
            "./docs/a",
            "",
            "../docs/a",
        ] {
            assert!(!docs.allows_file(path), "{path}");
        }
        assert!(
            !grants(&["files:*.md"]).unwrap().allows_file("docs/a.md"),
            "a star stays within one part"
        );
        assert!(!grants(&["clock"]).unwrap().allows_file("docs/a.md"));
    }

    #[test]
    fn an_unknown_word_is_named_with_those_that_exist() {
        for word in ["network", "files", "files:", "files:[", "clock:utc"] {
            let error = grants(&[word]).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
