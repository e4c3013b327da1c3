//! `plugin.toml`, the file beside a component: what it is and what it wants.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Kind;

/// The version of the kinds' packages that this host serves.
const API: &str = "1.0";

/// The file's name.
pub const FILE: &str = "plugin.toml";

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
    /// A clause with the file, the line and the rule.
    pub fn read(folder: &Path) -> Result<Manifest, String> {
        let file = folder.join(FILE);
        let text = std::fs::read_to_string(&file)
            .map_err(|error| format!("{}: {error}", file.display()))?;
        let mut manifest =
            Self::parse(&text).map_err(|rule| format!("{}: {rule}", file.display()))?;
        manifest.folder = folder.to_owned();
        Ok(manifest)
    }

    /// A manifest's text, checked; its folder is not known yet.
    pub(crate) fn parse(text: &str) -> Result<Manifest, String> {
        let manifest: Manifest =
            toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        let wrong = if !super::settings::is_name(&manifest.id) {
            Some("id: has small letters, digits and dashes, and begins with a letter".to_owned())
        } else if Path::new(&manifest.component).components().count() != 1
            || manifest.component.starts_with('.')
        {
            Some("component: must be the name of a file beside this one".to_owned())
        } else if !manifest.is_of_this_version() {
            Some(format!(
                "api: this host has {API}, not {:?}: use a version of the plugin for {API}, or another version of \
                 mcp-codex-worker",
                manifest.api
            ))
        } else {
            super::grants::Grants::parse(&manifest.wants)
                .err()
                .map(|rule| rule.replacen("grants", "wants", 1))
        };
        wrong.map_or(Ok(manifest), Err)
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
