//! The publisher's word for a plugin or a team's lock: an in-toto statement about its digest, signed with an Ed25519 key.
//!
//! The statement names the key that signed it, so that whoever takes a plugin can see which key that was and hold later
//! versions to it. That alone proves no more than that all of them are the same publisher's; who the publisher is, the
//! operator decides by naming the key.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use plugins::Info;
use signing::{Envelope, EnvelopeError, PublicKey, SigningKey};

use super::team::FILE as LOCK;

/// The media type of an in-toto statement.
const MEDIA_TYPE: &str = "application/vnd.in-toto+json";

/// The type of an in-toto statement.
const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// The type of a statement about a plugin.
const PLUGIN: &str = "urn:mcp-codex-worker:plugin:1";

/// The type of a statement about a lock.
const PLUGINS_LOCK: &str = "urn:mcp-codex-worker:plugins-lock:1";

/// The largest signature that is read.
const LARGEST: u64 = 64 << 10;

/// The reason why a signature is not taken.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// Nobody signed it.
    #[error("is not signed, and {0} was expected to have signed it")]
    Missing(PublicKey),
    /// Another key signed it.
    #[error("is signed by {found}, and {expected} was expected")]
    Signer {
        /// The key that signed it.
        found: PublicKey,
        /// The key that should have.
        expected: PublicKey,
    },
    /// The signature was not made by the key that it names, or the statement was changed since.
    #[error("its signature {0}")]
    Envelope(#[from] EnvelopeError),
    /// The signed document is something else.
    #[error("its signature is no statement about a plugin: {0}")]
    Statement(#[from] serde_json::Error),
    /// The signed document is about something else.
    #[error("its signature is about {signed}, and this is {this}")]
    Subject {
        /// The subject of the signature.
        signed: String,
        /// The plugin or lock that it was found with.
        this: String,
    },
    /// The file cannot be read or written.
    #[error("{file}: {error}")]
    File {
        /// The name of the file.
        file: String,
        /// The answer of the system.
        error: std::io::Error,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    of: String,
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Subject {
    name: String,
    digest: Digest,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Digest {
    sha256: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Predicate {
    signer: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
}

/// Something that is signed.
struct Signed<'a> {
    predicate_type: &'static str,
    name: &'a str,
    sha256: &'a str,
    version: Option<&'a str>,
    kind: Option<&'a str>,
}

impl<'a> Signed<'a> {
    fn plugin(info: &'a Info) -> Self {
        Signed {
            predicate_type: PLUGIN,
            name: &info.own_name,
            sha256: &info.sha256,
            version: Some(&info.version),
            kind: Some(info.kind.word()),
        }
    }

    fn lock(sha256: &'a str) -> Self {
        Signed {
            predicate_type: PLUGINS_LOCK,
            name: LOCK,
            sha256,
            version: None,
            kind: None,
        }
    }

    fn sign(&self, key: &SigningKey) -> Result<Envelope, SignatureError> {
        let statement = Statement {
            of: STATEMENT.to_owned(),
            subject: vec![Subject {
                name: self.name.to_owned(),
                digest: Digest {
                    sha256: self.sha256.to_owned(),
                },
            }],
            predicate_type: self.predicate_type.to_owned(),
            predicate: Predicate {
                signer: key.public().to_string(),
                version: self.version.map(str::to_owned),
                kind: self.kind.map(str::to_owned),
            },
        };
        let payload = serde_json::to_vec(&statement)?;
        Ok(Envelope::sign(key, MEDIA_TYPE, &payload))
    }

    /// The key that signed this.
    fn signer(&self, envelope: &Envelope) -> Result<PublicKey, SignatureError> {
        // Not trusted yet: it says which key to verify it with.
        let claimed: Statement = serde_json::from_slice(&envelope.payload()?)?;
        let other = || SignatureError::Subject {
            signed: described(&claimed),
            this: format!(
                "{} {} ({})",
                self.name,
                self.version.unwrap_or(""),
                self.sha256
            ),
        };
        let key = claimed.predicate.signer.parse::<PublicKey>();
        let key = key.map_err(|_| other())?;
        envelope.verify(&key, MEDIA_TYPE)?;
        let right = claimed.of == STATEMENT
            && claimed.predicate_type == self.predicate_type
            && matches!(&claimed.subject[..], [one] if one.name == self.name && one.digest.sha256 == self.sha256)
            && claimed.predicate.version.as_deref() == self.version
            && claimed.predicate.kind.as_deref() == self.kind;
        match right {
            true => Ok(key),
            false => Err(other()),
        }
    }
}

/// The subject of a statement in words.
fn described(statement: &Statement) -> String {
    let version = statement.predicate.version.as_deref().unwrap_or_default();
    let subjects = statement.subject.iter();
    let subjects = subjects.map(|one| format!("{} {version} ({})", one.name, one.digest.sha256));
    match subjects.collect::<Vec<_>>().join(", ") {
        words if words.is_empty() => "nothing".to_owned(),
        words => words,
    }
}

/// Signs a plugin.
///
/// # Errors
/// When the statement cannot be written.
pub fn sign(key: &SigningKey, info: &Info) -> Result<Envelope, SignatureError> {
    Signed::plugin(info).sign(key)
}

/// Returns the key that signed a plugin; none where nobody did.
///
/// # Errors
/// When the signature is wrong, or is another plugin's or version's.
pub fn signer(
    envelope: Option<&Envelope>,
    info: &Info,
) -> Result<Option<PublicKey>, SignatureError> {
    let signer = envelope.map(|envelope| Signed::plugin(info).signer(envelope));
    signer.transpose()
}

/// Refuses what the expected key did not sign.
///
/// # Errors
/// When nobody signed it, or another key.
pub fn held_to(signer: Option<PublicKey>, expected: PublicKey) -> Result<(), SignatureError> {
    match signer {
        Some(found) if found == expected => Ok(()),
        Some(found) => Err(SignatureError::Signer { found, expected }),
        None => Err(SignatureError::Missing(expected)),
    }
}

/// The file beside a repository's lock that has its signature.
pub fn lock_file(top: &Path) -> PathBuf {
    top.join(format!("{LOCK}.sig"))
}

/// Signs the lock of a repository, by its digest, into the file beside it.
///
/// # Errors
/// When the file cannot be written.
pub fn sign_lock(key: &SigningKey, top: &Path, sha256: &str) -> Result<(), SignatureError> {
    let file = lock_file(top);
    let envelope = Signed::lock(sha256).sign(key)?;
    let text = format!("{}\n", serde_json::to_string(&envelope)?);
    std::fs::write(&file, text).map_err(|error| failed(&file, error))
}

/// Returns the key that signed the lock of a repository; none where nobody did.
///
/// # Errors
/// When the signature is wrong, or is that of another state of the lock.
pub fn lock_signer(top: &Path, sha256: &str) -> Result<Option<PublicKey>, SignatureError> {
    let file = lock_file(top);
    let size = match std::fs::symlink_metadata(&file) {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        Ok(_) => return Err(failed(&file, std::io::Error::other("is no plain file"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&file, error)),
    };
    if size > LARGEST {
        return Err(failed(&file, std::io::Error::other("is too large")));
    }
    let text = std::fs::read_to_string(&file).map_err(|error| failed(&file, error))?;
    let envelope: Envelope = serde_json::from_str(&text)?;
    Signed::lock(sha256).signer(&envelope).map(Some)
}

fn failed(file: &Path, error: std::io::Error) -> SignatureError {
    SignatureError::File {
        file: file.display().to_string(),
        error,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use plugins::Kind;

    fn key() -> SigningKey {
        let folder = tempfile::tempdir().unwrap();
        SigningKey::create(&folder.path().join("key.pem")).unwrap()
    }

    fn info(version: &str, sha256: &str) -> Info {
        Info {
            name: "no-todo".to_owned(),
            own_name: "no-todo".to_owned(),
            version: version.to_owned(),
            summary: String::new(),
            kind: Kind::Check,
            api: "1.0.0".to_owned(),
            settings_schema: None,
            imports: Vec::new(),
            size: 1,
            sha256: sha256.repeat(64),
        }
    }

    #[test]
    fn a_signature_is_for_one_plugin_in_one_version_with_one_digest() {
        let key = key();
        let envelope = sign(&key, &info("1.0.0", "a")).unwrap();
        let right = signer(Some(&envelope), &info("1.0.0", "a")).unwrap();
        assert_eq!(right, Some(key.public()));
        for other in [info("1.0.1", "a"), info("1.0.0", "b")] {
            let error = signer(Some(&envelope), &other).unwrap_err();
            assert!(matches!(error, SignatureError::Subject { .. }), "{error}");
        }
        let renamed = Info {
            own_name: "another".to_owned(),
            ..info("1.0.0", "a")
        };
        assert!(signer(Some(&envelope), &renamed).is_err());
        let of_another_kind = Info {
            kind: Kind::Redactor,
            ..info("1.0.0", "a")
        };
        assert!(signer(Some(&envelope), &of_another_kind).is_err());
    }

    #[test]
    fn a_statement_that_names_a_key_which_did_not_sign_it_is_refused() {
        let (honest, forger) = (key(), key());
        let this = info("1.0.0", "a");
        let statement = sign(&honest, &this).unwrap().payload().unwrap();
        let forged = Envelope::sign(&forger, MEDIA_TYPE, &statement);
        let error = signer(Some(&forged), &this).unwrap_err();
        assert!(matches!(error, SignatureError::Envelope(_)), "{error}");
        let nonsense = Envelope::sign(&honest, MEDIA_TYPE, b"{}");
        let error = signer(Some(&nonsense), &this).unwrap_err();
        assert!(matches!(error, SignatureError::Statement(_)), "{error}");
        // A lock's signature is no plugin's.
        let sha256 = this.sha256.clone();
        let of_lock = Signed::lock(&sha256).sign(&honest).unwrap();
        assert!(signer(Some(&of_lock), &this).is_err());
    }

    #[test]
    fn who_should_have_signed_is_named() {
        let (one, other) = (key().public(), key().public());
        held_to(Some(one), one).unwrap();
        let error = held_to(Some(one), other).unwrap_err().to_string();
        assert!(error.contains(&one.to_string()) && error.contains(&other.to_string()));
        let error = held_to(None, one).unwrap_err().to_string();
        assert!(error.contains("is not signed") && error.contains(&one.to_string()));
    }

    #[test]
    fn the_signature_of_a_lock_holds_for_that_state_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let (key, sha256) = (key(), "a".repeat(64));
        assert_eq!(lock_signer(folder.path(), &sha256).unwrap(), None);
        sign_lock(&key, folder.path(), &sha256).unwrap();
        let found = lock_signer(folder.path(), &sha256).unwrap();
        assert_eq!(found, Some(key.public()));
        let error = lock_signer(folder.path(), &"b".repeat(64)).unwrap_err();
        assert!(matches!(error, SignatureError::Subject { .. }), "{error}");
        std::fs::write(lock_file(folder.path()), "{").unwrap();
        assert!(lock_signer(folder.path(), &sha256).is_err());
    }
}
