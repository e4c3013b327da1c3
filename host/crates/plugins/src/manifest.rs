//! `plugin.toml`, the file beside a component: what it is and what it wants.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Kind;
use super::grants::{GrantError, Grants};

/// The version of the kinds' packages that this host serves.
const API: &str = "1.0";

/// The file's name.
pub const FILE: &str = "plugin.toml";

/// The reason why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file cannot be read.
    #[error("{}: {error}", file.display())]
    Read {
        /// The name of the file.
        file: PathBuf,
        /// The answer of the system.
        error: std::io::Error,
    },
    /// The file says what cannot be.
    #[error("{}: {rule}", file.display())]
    Rule {
        /// The name of the file.
        file: PathBuf,
        /// The rule that it breaks.
        rule: ManifestRule,
    },
}

/// A rule that a manifest breaks.
#[derive(Debug, thiserror::Error)]
pub enum ManifestRule {
    /// It is no TOML, has a key too many or too few, or a value of another type.
    #[error("{}", .0.to_string().trim_end())]
    Form(#[from] toml::de::Error),
    /// The name can be no plugin's.
    #[error("id: has small letters, digits and dashes, and begins with a letter")]
    Id,
    /// The component is not beside the manifest.
    #[error("component: must be the name of a file beside this one")]
    Component,
    /// It was made for another version of its kind's package.
    #[error(
        "api: this host has {}, not {:?}: use a version of the plugin for {}, or another version of mcp-codex-worker",
        API, .0, API
    )]
    Api(String),
    /// It wants a grant that does not exist.
    #[error("wants: {0}")]
    Wants(#[from] GrantError),
}

/// A manifest.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// The plugin's name.
    pub id: String,
    /// The version.
    pub version: String,
    /// `check`, `summarizer`, `redactor` or `dialect`.
    #[serde(deserialize_with = "kind")]
    pub kind: Kind,
    /// The version of its kind's package that it was made for.
    pub api: String,
    /// The component, beside this file.
    pub component: String,
    /// Digest of the component; written by `plugin build`.
    #[serde(default)]
    pub sha256: Option<String>,
    /// Grants that it asks for: `clock`, `files:GLOB`.
    #[serde(default)]
    pub wants: Vec<String>,
    /// The default settings.
    #[serde(default)]
    pub config: Map<String, Value>,
    /// Anything else about it, for people and tools: authors, homepage, license. The host does not look at it.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// The build, if it is not Rust.
    #[serde(default)]
    pub build: Option<Build>,
    /// The folder of the file.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// `[build]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Build {
    /// `rust`, `javascript`, `python`, `go` or `c`.
    pub language: String,
    /// The source file, for the other languages.
    #[serde(default)]
    pub source: Option<String>,
}

fn kind<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
    let word = String::deserialize(deserializer)?;
    Kind::from_word(&word).ok_or_else(|| {
        serde::de::Error::custom(format!(
            "kind {word:?} is none of check, summarizer, redactor, dialect"
        ))
    })
}

impl Manifest {
    /// Reads the manifest in a folder.
    ///
    /// # Errors
    /// When there is none, or it breaks a rule.
    pub fn read(folder: &Path) -> Result<Manifest, ManifestError> {
        let file = folder.join(FILE);
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) => return Err(ManifestError::Read { file, error }),
        };
        match Self::parse(&text) {
            Ok(manifest) => Ok(Manifest {
                folder: folder.to_owned(),
                ..manifest
            }),
            Err(rule) => Err(ManifestError::Rule { file, rule }),
        }
    }

    /// A manifest's text, checked; its folder is not known yet.
    pub(crate) fn parse(text: &str) -> Result<Manifest, ManifestRule> {
        let manifest: Manifest = toml::from_str(text)?;
        let component = Path::new(&manifest.component);
        if !super::settings::is_name(&manifest.id) {
            Err(ManifestRule::Id)
        } else if component.components().count() != 1 || manifest.component.starts_with('.') {
            Err(ManifestRule::Component)
        } else if !manifest.is_of_this_version() {
            Err(ManifestRule::Api(manifest.api))
        } else {
            Grants::parse(&manifest.wants)?;
            Ok(manifest)
        }
    }

    fn is_of_this_version(&self) -> bool {
        let further = self.api.strip_prefix(API);
        further.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// The name and the version that the component has, too.
    pub(crate) fn promise(&self) -> (String, String) {
        (self.id.clone(), self.version.clone())
    }

    /// Returns the path of the component.
    pub fn component(&self) -> PathBuf {
        self.folder.join(&self.component)
    }
}
