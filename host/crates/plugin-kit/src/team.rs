//! `plugins.lock`: the plugins that a repository asks for, pinned by digest and reviewed with its code. It takes effect only
//! where the operator accepted it, by its own digest: an agent could write it, too.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use plugins::{Kind, digest, is_name};
use signing::{KeyError, PublicKey};

/// The file's name, at a repository's top.
pub const FILE: &str = "plugins.lock";

/// The version of the form.
const VERSION: u32 = 1;

/// The largest file that is read.
const MOST: u64 = 1 << 20;

/// A lock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    /// The plugins, ordered by name.
    #[serde(default, rename = "plugin", skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<Pinned>,
}

/// A plugin of a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    /// The name.
    pub id: String,
    /// The version.
    pub version: String,
    /// `check`, `summarizer`, `redactor` or `dialect`.
    pub kind: String,
    /// Digest of the component, in hex.
    pub sha256: String,
    /// The place of the component: a path from the repository's top, a URL, or an OCI reference.
    pub source: String,
    /// The public key of its publisher, where it was signed: `ed25519:BASE64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// The grants that it asks for beyond its kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<String>,
    /// The settings that the repository wants for it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Value>,
}

/// The reason why a lock cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// There is none.
    #[error("{0} is not there; `mcp-codex-worker plugin lock SOURCE` makes it")]
    Missing(String),
    /// It cannot be read or written.
    #[error("{file}: {error}")]
    File {
        /// The file.
        file: String,
        /// The system's error.
        error: std::io::Error,
    },
    /// It says what cannot be.
    #[error("{file}: {what}")]
    Content {
        /// The file.
        file: String,
        /// The fault.
        what: String,
    },
}

impl Pinned {
    /// The public key of its publisher.
    pub fn signer(&self) -> Option<Result<PublicKey, KeyError>> {
        self.signer.as_deref().map(str::parse)
    }

    /// Returns its fault.
    fn wrong(&self) -> Option<String> {
        let hex = |byte: u8| byte.is_ascii_hexdigit();
        if !is_name(&self.id) {
            Some("id: has small letters, digits and dashes, and begins with a letter".to_owned())
        } else if Kind::from_word(&self.kind).is_none() {
            Some("kind: is check, summarizer, redactor or dialect".to_owned())
        } else if self.sha256.len() != 64 || !self.sha256.bytes().all(hex) {
            Some("sha256: has 64 hexadecimal digits".to_owned())
        } else if self.source.is_empty() {
            Some("source: is where the component is".to_owned())
        } else if let Some(Err(error)) = self.signer() {
            Some(format!("signer: {error}"))
        } else {
            None
        }
    }
}

impl Lock {
    /// Returns the path of a repository's lock.
    pub fn file(top: &Path) -> PathBuf {
        top.join(FILE)
    }

    /// Reads the lock of a repository, and its digest.
    ///
    /// # Errors
    /// When there is none, or when it says what cannot be.
    pub fn read(top: &Path) -> Result<(Lock, String), LockError> {
        let file = Self::file(top);
        let shown = file.display().to_string();
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => LockError::Missing(shown.clone()),
            _ => LockError::File {
                file: shown.clone(),
                error,
            },
        };
        let metadata = std::fs::symlink_metadata(&file).map_err(failed)?;
        let wrong = |what: String| LockError::Content {
            file: shown.clone(),
            what,
        };
        if !metadata.is_file() || metadata.len() > MOST {
            return Err(wrong("is no file of at most 1 MiB".to_owned()));
        }
        let text = std::fs::read_to_string(&file).map_err(failed)?;
        let lock: Lock = toml::from_str(&text)
            .map_err(|error| wrong(error.to_string().trim_end().to_owned()))?;
        if lock.version != VERSION {
            return Err(wrong(format!(
                "version: this host reads {VERSION}, not {}: update mcp-codex-worker",
                lock.version
            )));
        }
        for plugin in &lock.plugins {
            if let Some(rule) = plugin.wrong() {
                return Err(wrong(format!("plugin {:?}: {rule}", plugin.id)));
            }
        }
        let mut names: Vec<&str> = lock
            .plugins
            .iter()
            .map(|plugin| plugin.id.as_str())
            .collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(wrong(format!("plugin {:?} is there twice", twice[0])));
        }
        Ok((lock, digest(text.as_bytes())))
    }

    /// Puts a plugin in, in the place of one of its name.
    pub fn put(&mut self, plugin: Pinned) {
        self.version = VERSION;
        self.plugins.retain(|known| known.id != plugin.id);
        self.plugins.push(plugin);
        self.plugins.sort_by(|a, b| a.id.cmp(&b.id));
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, top: &Path) -> Result<String, LockError> {
        let file = Self::file(top);
        let failed = |error: std::io::Error| LockError::File {
            file: file.display().to_string(),
            error,
        };
        let body = toml::to_string(self).map_err(|error| LockError::Content {
            file: file.display().to_string(),
            what: error.to_string(),
        })?;
        let text = format!(
            "# The plugins that this repository asks for. Written by `mcp-codex-worker plugin lock`; takes effect where the\n\
             # operator ran `mcp-codex-worker plugin accept`.\n{body}"
        );
        let temporary = file.with_extension(format!("lock.{}", std::process::id()));
        std::fs::write(&temporary, &text)
            .and_then(|()| std::fs::rename(&temporary, &file))
            .map_err(failed)?;
        Ok(digest(text.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pinned(id: &str) -> Pinned {
        Pinned {
            id: id.to_owned(),
            version: "1.0.0".to_owned(),
            kind: "check".to_owned(),
            sha256: "0".repeat(64),
            source: format!("tools/{id}.wasm"),
            signer: None,
            grants: Vec::new(),
            config: Map::new(),
        }
    }

    #[test]
    fn what_is_written_is_read_again_under_the_same_digest() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(
            Lock::read(folder.path()),
            Err(LockError::Missing(_))
        ));
        let mut lock = Lock::default();
        for id in ["b", "a", "b"] {
            lock.put(pinned(id));
        }
        let written = lock.write(folder.path()).unwrap();
        assert_eq!(Lock::read(folder.path()).unwrap(), (lock, written));
    }

    #[test]
    fn what_cannot_be_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut lock = Lock::default();
        lock.put(pinned("a"));
        lock.write(folder.path()).unwrap();
        let whole = std::fs::read_to_string(Lock::file(folder.path())).unwrap();
        for (text, says) in [
            (
                whole.replace("version = 1\n", "version = 2\n"),
                "this host reads 1, not 2",
            ),
            (whole.replace("\"check\"", "\"linter\""), "kind: is check"),
            (
                whole.replace(&"0".repeat(64), "00"),
                "64 hexadecimal digits",
            ),
            (whole.replace("\"a\"", "\"A\""), "id: has small letters"),
            (
                whole.replace("source =", "signer = \"x\"\nsource ="),
                "signer: \"x\" is no Ed25519 public key",
            ),
            (format!("{whole}more = 1\n"), "unknown field `more`"),
            (
                format!(
                    "{whole}{}",
                    whole
                        .split_once("[[plugin]]")
                        .map(|(_, rest)| format!("\n[[plugin]]{rest}"))
                        .unwrap()
                ),
                "is there twice",
            ),
        ] {
            std::fs::write(Lock::file(folder.path()), &text).unwrap();
            let error = Lock::read(folder.path()).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
